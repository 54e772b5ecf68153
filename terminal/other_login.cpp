#include "terminal/other_login.hpp"

#include "base/console.hpp"
#include "base/process.hpp"

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <string>

#include <linux/vt.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace vigil::terminal {

namespace {

/// Those with a function key.
constexpr unsigned last_login_console = 12;
constexpr const char* waiting_login = "agetty";

/// The console of a login that nobody has answered yet; 0: there is none.
unsigned find_waiting_login() {
    std::error_code error;
    for (std::filesystem::directory_iterator entry{"/proc", error}, end; !error && entry != end;
         entry.increment(error)) {
        const std::string name = entry->path().filename();
        pid_t pid = 0;
        if (std::from_chars(name.data(), name.data() + name.size(), pid).ec != std::errc{})
            continue;
        const auto stat = base::read_process_stat(pid);
        if (!stat || stat->command != waiting_login)
            continue;
        if (const auto number = base::virtual_console(stat->terminal);
            number != 0 && number <= last_login_console)
            return number;
    }
    return 0;
}

Result<unsigned> find_free_console(int console) {
    vt_stat state{};
    if (::ioctl(console, VT_GETSTATE, &state) < 0)
        return fail(errno, "looking for a free console");
    for (unsigned number = 1; number <= last_login_console; ++number)
        if ((state.v_state & (1U << number)) == 0)
            return number;
    return fail(ENOSPC, "looking for a free console");
}

/// PID 1's work from there on. The child is the caller's to wait for.
Result<pid_t> start_login(unsigned number) {
    std::string unit = "getty@tty" + std::to_string(number) + ".service";
    char program[] = "/usr/bin/systemctl";
    char verb[] = "start";
    char option[] = "--no-block";
    char* const words[] = {program, verb, option, unit.data(), nullptr};
    char* const environment[] = {nullptr};
    pid_t pid = 0;
    if (const int error = ::posix_spawn(&pid, program, nullptr, nullptr, words, environment);
        error != 0)
        return fail(error, "starting " + unit);
    return pid;
}

} // namespace

void free_switching(int console) noexcept {
    ::ioctl(console, VT_UNLOCKSWITCH, 1);
}

Result<> offer_login(int console) {
    unsigned number = find_waiting_login();
    pid_t starting = 0;
    if (number == 0) {
        const auto free = find_free_console(console);
        if (!free)
            return std::unexpected{free.error()};
        const auto started = start_login(*free);
        if (!started)
            return std::unexpected{started.error()};
        starting = *started;
        number = *free;
    }
    free_switching(console);
    const int switched = ::ioctl(console, VT_ACTIVATE, number);
    const int error = errno;
    // Nobody looks at this prompt any more, so nobody waits if PID 1 is slow.
    if (starting != 0)
        ::waitpid(starting, nullptr, 0);
    if (switched < 0)
        return fail(error, "switching to tty" + std::to_string(number));
    return {};
}

} // namespace vigil::terminal
