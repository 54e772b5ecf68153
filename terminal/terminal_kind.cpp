#include "terminal/terminal_kind.hpp"

#include "base/child.hpp"
#include "base/process.hpp"
#include "base/unique_fd.hpp"

#include <algorithm>
#include <csignal>
#include <string>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace vigil::terminal {

namespace {

constexpr Microseconds patience = std::chrono::milliseconds{100};
/// A larger environment says nothing.
constexpr std::size_t max_environment_bytes = 256 * 1024;
constexpr std::string_view dumb = "dumb";

std::string read_term(pid_t pid) {
    if (pid <= 0)
        return {};
    const auto environment =
        base::read_small_file(base::proc_path(pid, "environ"), max_environment_bytes);
    return environment ? std::string{term_of(*environment)} : std::string{};
}

bool look(const TerminalUsers& users) {
    if (read_term(users.shell) != dumb)
        return false;
    const auto better = read_term(users.foreground);
    return better.empty() || better == dumb;
}

[[noreturn]] void answer(const TerminalUsers& users, pid_t parent, int to) noexcept {
    const int own = base::begin_child(parent, to, "vigil-lock-term");
    char verdict = 0;
    try {
        verdict = look(users) ? 1 : 0;
    } catch (...) { // no memory: not known to be dumb
    }
    _exit(::write(own, &verdict, 1) == 1 ? 0 : 1);
}

} // namespace

std::string_view term_of(std::string_view environment) noexcept {
    constexpr std::string_view name = "TERM=";
    while (!environment.empty()) {
        const auto entry = environment.substr(0, environment.find('\0'));
        if (entry.starts_with(name))
            return entry.substr(name.size());
        environment.remove_prefix(std::min(entry.size() + 1, environment.size()));
    }
    return {};
}

bool is_dumb(const TerminalUsers& users) {
    int ends[2];
    if (users.shell <= 0 || ::pipe2(ends, O_CLOEXEC) < 0)
        return false;
    base::UniqueFd from{ends[0]};
    base::UniqueFd to{ends[1]};
    const pid_t self = ::getpid();
    const pid_t reader = ::fork();
    if (reader < 0)
        return false;
    if (reader == 0)
        answer(users, self, to.get());
    to.reset();
    const bool ready = base::is_readable_within(from.get(), patience);
    char verdict = 0;
    const bool told = ready && ::read(from.get(), &verdict, 1) == 1;
    ::kill(reader, SIGKILL);
    // One that hangs in the kernel is reaped by PID 1 after us.
    ::waitpid(reader, nullptr, ready ? 0 : WNOHANG);
    return told && verdict == 1;
}

} // namespace vigil::terminal
