#pragma once
// Processes that hold terminals, or look as if they did, for the tests of who has one.

#include "base/clock.hpp"
#include "daemon/enforce/holders.hpp"
#include "daemon/enforce/terminal_users.hpp"
#include "tests/unit/pty.hpp"
#include "tests/unit/scope_help.hpp"

#include <algorithm>
#include <functional>
#include <memory>
#include <ranges>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

namespace vigil::test {

/// Of this run alone: others look through the processes of their own owner.
inline const uid_t owner = 2'000'000U + 2 * static_cast<uid_t>(::getpid());
inline const uid_t stranger = owner + 1;
/// Files of one process, and processes, that together are more than any look has time for.
inline constexpr rlim_t heap = 8000;
inline constexpr int heaps = 3;

/// More than any wait takes, on a busy machine too.
inline constexpr Microseconds long_time = std::chrono::seconds{20};

template <typename Done>
void eventually(Done done) {
    const BootTime end = base::read_boot_time() + long_time;
    while (!done()) {
        ck_assert_msg(base::read_boot_time() < end, "it did not come to this");
        ::usleep(1000);
    }
}

/// A process that does something, says that it is done, and stays.
class Process {
public:
    Process(uid_t uid, const std::function<bool()>& prepare) {
        int ends[2];
        ck_assert_int_eq(::pipe(ends), 0);
        pid_ = ::fork();
        ck_assert_int_ge(pid_, 0);
        if (pid_ == 0)
            run(uid, prepare, ends[1]);
        ::close(ends[1]);
        char word = 0;
        ck_assert_msg(::read(ends[0], &word, 1) == 1, "the process could not prepare itself");
        ::close(ends[0]);
    }
    ~Process() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

    pid_t pid() const noexcept { return pid_; }

private:
    /// As a program that the user started: who changes his uid may not be looked into by others.
    static bool become(uid_t uid) { return ::setuid(uid) == 0 && ::prctl(PR_SET_DUMPABLE, 1) == 0; }
    [[noreturn]] static void run(uid_t uid, const std::function<bool()>& prepare, int told) {
        const rlimit files{heap + 100, heap + 100};
        ::setrlimit(RLIMIT_NOFILE, &files);
        // Its leader must be free to take a terminal, and it must not outlive the test.
        if (::setsid() < 0 || !prepare() || (uid != 0 && !become(uid)) ||
            ::prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || ::write(told, "x", 1) != 1)
            ::_exit(1);
        while (true)
            ::pause();
    }

    pid_t pid_ = -1;
};

/// Makes the pty the process's controlling terminal, and keeps no descriptor of it.
inline bool own_and_close(const Pty& pty) {
    return ::ioctl(pty.slave.get(), TIOCSCTTY, 0) == 0 && ::close(pty.slave.get()) == 0 &&
           ::close(pty.master.get()) == 0;
}

inline bool close_both(const Pty& pty) {
    return ::close(pty.slave.get()) == 0 && ::close(pty.master.get()) == 0;
}

/// Without the terminal, but to know that takes long.
inline std::vector<std::unique_ptr<Process>> make_heaps(uid_t uid, const Pty& pty) {
    std::vector<std::unique_ptr<Process>> made;
    for (int i = 0; i < heaps; ++i)
        made.push_back(std::make_unique<Process>(uid, [&] {
            const int first = ::open("/dev/null", O_RDONLY);
            for (rlim_t file = 0; file < heap; ++file)
                if (::fcntl(first, F_DUPFD, 0) < 0)
                    return false;
            return close_both(pty);
        }));
    return made;
}

/// Looks go by the number, and those begin anew now and then.
inline pid_t last_of(const std::vector<std::unique_ptr<Process>>& processes) {
    return std::ranges::max(processes |
                            std::views::transform([](const auto& one) { return one->pid(); }));
}

/// In the session and elsewhere.
inline std::vector<pid_t> users(enforce::UserSearch& search, const std::vector<pid_t>& held = {}) {
    auto found = search.look(held);
    CHECK_OK(found);
    const auto elsewhere = enforce::UserSearch::look_elsewhere({&search}).front();
    CHECK_OK(elsewhere);
    std::ranges::copy(*elsewhere, std::back_inserter(*found));
    return *found;
}

inline std::vector<pid_t> users(const Pty& pty) {
    enforce::UserSearch search{scope(), ::getpid(), {pty.terminal}};
    return users(search);
}

/// As this process sees it who holds the terminal itself, but is root's.
inline std::vector<enforce::ForeignHolder> holders(const Pty& pty) {
    return *enforce::foreign_holders({{scope(), owner, {pty.terminal}}}).front();
}

} // namespace vigil::test
