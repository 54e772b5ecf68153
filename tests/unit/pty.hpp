#pragma once
// A real pty pair, as sshd has it: bytes written to the master are what a person types.

#include "base/unique_fd.hpp"
#include "daemon/enforce/terminals.hpp"
#include "tests/unit/test.hpp"

#include <pty.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

namespace vigil::test {

struct Pty {
    base::UniqueFd master;
    base::UniqueFd slave;
    enforce::Terminal terminal;

    Pty() {
        int ends[2];
        ck_assert_int_eq(::openpty(&ends[0], &ends[1], nullptr, nullptr, nullptr), 0);
        master.reset(ends[0]);
        slave.reset(ends[1]);
        struct stat node{};
        ck_assert_int_eq(::fstat(ends[1], &node), 0);
        terminal = {.path = ::ttyname(ends[1]), .device = node.st_rdev};
    }

    void type(std::string_view text) const {
        ck_assert_int_eq(::write(master.get(), text.data(), text.size()),
                         static_cast<ssize_t>(text.size()));
    }

    termios settings() const {
        termios now{};
        ck_assert_int_eq(::tcgetattr(slave.get(), &now), 0);
        return now;
    }

    struct stat node() const {
        struct stat now{};
        ck_assert_int_eq(::fstat(slave.get(), &now), 0);
        return now;
    }
};

} // namespace vigil::test
