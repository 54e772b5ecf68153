#include "base/process.hpp"

#include "base/number.hpp"

#include <array>
#include <cerrno>
#include <optional>

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace vigil::base {

namespace {

/// The first word after `label` at the start of a line ("Uid:\t1000\t1000…" -> "1000").
std::optional<std::string_view> first_word(std::string_view text, std::string_view label) noexcept {
    std::size_t at =
        text.starts_with(label) ? 0 : text.find(std::string{"\n"} + std::string{label});
    if (at == text.npos)
        return std::nullopt;
    at = text.find_first_not_of(" \t", at + label.size() + (text[at] == '\n' ? 1 : 0));
    if (at == text.npos)
        return std::nullopt;
    return text.substr(at, text.find_first_of(" \t\n", at) - at);
}

/// /proc/PID/`file`; ESRCH where the process is gone, whichever way procfs says it.
Result<std::string> read_proc(pid_t pid, const char* file) {
    if (pid <= 0)
        return fail(ESRCH, "no such process: " + std::to_string(pid));
    auto text = read_small_file(proc_path(pid, file));
    if (!text && text.error().code == ENOENT)
        return fail(ESRCH, text.error().what);
    return text;
}

Result<pid_t> read_pidfd_pid(int pidfd) {
    const auto text = read_small_file("/proc/self/fdinfo/" + std::to_string(pidfd));
    if (!text)
        return fail(text.error().code == ENOENT ? EBADF : text.error().code, text.error().what);
    const auto word = first_word(*text, "Pid:");
    pid_t pid = 0;
    if (!word || !parse_number(*word, pid))
        return fail(EBADF, "descriptor " + std::to_string(pidfd) + " is no pidfd");
    if (pid <= 0) // -1: reaped; 0: in a pid namespace that is not below ours
        return fail(ESRCH, "process behind pidfd " + std::to_string(pidfd));
    return pid;
}

} // namespace

std::string proc_path(pid_t pid, const char* file) {
    return "/proc/" + std::to_string(pid) + "/" + file;
}

Result<std::string> read_small_file(const std::string& path, std::size_t limit) {
    const UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY)};
    if (!fd)
        return fail(errno, "opening " + path);
    std::string text;
    std::array<char, 4096> buffer;
    while (true) {
        const ssize_t got = ::read(fd.get(), buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail(errno, "reading " + path);
        if (got == 0)
            return text;
        if (text.size() + static_cast<std::size_t>(got) > limit)
            return fail(EFBIG, "reading " + path);
        text.append(buffer.data(), static_cast<std::size_t>(got));
    }
}

Result<std::optional<unsigned>> read_pty_index(pid_t pid, int fd) {
    const auto text = read_small_file(proc_path(pid, "fdinfo/") + std::to_string(fd));
    if (!text)
        return std::unexpected{text.error()};
    const auto word = first_word(*text, "tty-index:");
    unsigned index = 0;
    return word && parse_number(*word, index) ? std::optional{index} : std::nullopt;
}

Result<ProcessStat> parse_process_stat(std::string_view text) {
    const std::size_t open = text.find(" (");
    const std::size_t close = text.rfind(')');
    ProcessStat stat;
    if (open == text.npos || close == text.npos || close < open + 2 ||
        !parse_number(text.substr(0, open), stat.pid))
        return fail(EBADMSG, "parsing a line of /proc/PID/stat");
    stat.command = text.substr(open + 2, close - open - 2);

    std::array<std::string_view, 20> words; // fields 3 to 22
    std::string_view rest = text.substr(close + 1);
    for (std::string_view& word : words) {
        if (!rest.starts_with(' '))
            return fail(EBADMSG, "parsing a line of /proc/PID/stat");
        rest.remove_prefix(1);
        word = rest.substr(0, rest.find_first_of(" \n"));
        rest.remove_prefix(word.size());
    }
    std::int32_t terminal = 0; // printed signed: a high minor number comes out negative
    if (words[0].size() != 1 || !parse_number(words[1], stat.parent) ||
        !parse_number(words[2], stat.group) || !parse_number(words[3], stat.session) ||
        !parse_number(words[4], terminal) || !parse_number(words[5], stat.foreground) ||
        !parse_number(words[17], stat.threads) || !parse_number(words[19], stat.start_time))
        return fail(EBADMSG, "parsing a line of /proc/PID/stat");
    stat.state = words[0][0];
    stat.terminal = static_cast<std::uint32_t>(terminal);
    return stat;
}

bool has_ended(const ProcessStat& stat) noexcept {
    return stat.state == 'X' || (stat.state == 'Z' && stat.threads <= 1);
}

Result<ProcessStat> read_process_stat(pid_t pid) {
    const auto text = read_proc(pid, "stat");
    if (!text)
        return std::unexpected{text.error()};
    return parse_process_stat(*text);
}

Result<std::uint64_t> read_bytes_moved(pid_t pid) {
    const auto text = read_proc(pid, "io");
    if (!text)
        return std::unexpected{text.error()};
    const auto read = first_word(*text, "rchar:");
    const auto written = first_word(*text, "wchar:");
    std::uint64_t in = 0;
    std::uint64_t out = 0;
    if (!read || !written || !parse_number(*read, in) || !parse_number(*written, out))
        return fail(EBADMSG, "parsing " + proc_path(pid, "io"));
    return in + out;
}

Result<uid_t> read_real_uid(pid_t pid) {
    const auto text = read_proc(pid, "status");
    if (!text)
        return std::unexpected{text.error()};
    const auto word = first_word(*text, "Uid:");
    uid_t uid = 0;
    if (!word || !parse_number(*word, uid))
        return fail(EBADMSG, "parsing " + proc_path(pid, "status"));
    return uid;
}

Result<uid_t> read_login_uid(pid_t pid) {
    const auto text = read_proc(pid, "loginuid");
    if (!text)
        return std::unexpected{text.error()};
    uid_t uid = 0;
    if (!parse_number(std::string_view{*text}.substr(0, text->find('\n')), uid))
        return fail(EBADMSG, "parsing " + proc_path(pid, "loginuid"));
    return uid;
}

Result<UniqueFd> open_pidfd(pid_t pid) {
    if (pid <= 0)
        return fail(ESRCH, "no such process: " + std::to_string(pid));
    UniqueFd fd{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
    if (!fd)
        return fail(errno, "opening a pidfd of process " + std::to_string(pid));
    return fd;
}

Result<UniqueFd> open_pidfd(const Process& process) {
    auto fd = open_pidfd(process.pid);
    if (!fd)
        return fd;
    // The number is held by the pidfd's process until it is reaped, so what stat says now is either
    // that process's or a successor's; the start time tells.
    const auto stat = read_process_stat(process.pid);
    if (!stat)
        return std::unexpected{stat.error()};
    if (stat->start_time != process.start_time)
        return fail(ESRCH, "process " + std::to_string(process.pid) + " is another one now");
    return fd;
}

Result<ProcessStat> stat_of_pidfd(int pidfd) {
    const auto pid = read_pidfd_pid(pidfd);
    if (!pid)
        return std::unexpected{pid.error()};
    auto stat = read_process_stat(*pid);
    // Still there after stat was read: so it was this process's stat, not a successor's. Where it
    // has ended it may not be reaped yet, and then it still has the number.
    if (stat && has_ended(pidfd))
        if (const auto again = read_pidfd_pid(pidfd); !again)
            return std::unexpected{again.error()};
    return stat;
}

Result<Process> process_of_pidfd(int pidfd) {
    const auto stat = stat_of_pidfd(pidfd);
    if (!stat)
        return std::unexpected{stat.error()};
    return Process{.pid = stat->pid, .start_time = stat->start_time};
}

Result<> send_signal(int pidfd, int signal) {
    if (::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0U) < 0)
        return fail(errno, "sending signal " + std::to_string(signal));
    return {};
}

bool is_alive(const Process& process) {
    const auto stat = read_process_stat(process.pid);
    if (!stat)
        return stat.error().code != ESRCH;
    return stat->start_time == process.start_time && !has_ended(*stat);
}

bool has_ended(int pidfd) noexcept {
    if (pidfd < 0)
        return true;
    pollfd ended{.fd = pidfd, .events = POLLIN, .revents = 0};
    int r = 0;
    do
        r = ::poll(&ended, 1, 0);
    while (r < 0 && errno == EINTR);
    return r != 0;
}

} // namespace vigil::base
