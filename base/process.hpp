#pragma once
// A process by an identity that is never reused, and what /proc tells of it (proc(5)).

#include "base/error.hpp"
#include "base/unique_fd.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace vigil::base {

/// pid and start time together name a process for as long as the machine is up.
struct Process {
    pid_t pid = 0;
    std::uint64_t start_time = 0; ///< clock ticks since boot, field 22 of /proc/PID/stat

    bool operator==(const Process&) const = default;
};

/// The fields vigil uses of /proc/PID/stat.
struct ProcessStat {
    pid_t pid = 0;
    std::string command; ///< comm, at most 15 bytes, may hold any byte but NUL
    char state = '?';
    pid_t parent = 0;
    pid_t group = 0;
    pid_t session = 0;
    dev_t terminal = 0;   ///< controlling terminal, 0 if none
    pid_t foreground = 0; ///< foreground process group of the terminal, -1 if none
    unsigned threads = 0; ///< the first one counts also where it has ended
    std::uint64_t start_time = 0;
};

/// Of a process whose first thread alone has ended the others run on, although its state says what
/// that of a process does that waits for its parent (pthread_exit(3)).
bool has_ended(const ProcessStat& stat) noexcept;

/// Parses one line of /proc/PID/stat. The command is parsed to the LAST ')': it may contain one
/// (sudo CVE-2017-1000367).
Result<ProcessStat> parse_process_stat(std::string_view text);

/// ESRCH if the process is gone.
Result<ProcessStat> read_process_stat(pid_t pid);

/// Bytes that it has read and written by system calls (rchar and wchar of proc_pid_io(5)), and that
/// those of its children had which it has waited for. To be asked where one may wait: for as long
/// as an execve(2) of the process's stands still, so does the answer.
Result<std::uint64_t> read_bytes_moved(pid_t pid);

/// Real uid, from /proc/PID/status.
Result<uid_t> read_real_uid(pid_t pid);

/// The login uid set by pam_loginuid; uid_t(-1) if never set.
Result<uid_t> read_login_uid(pid_t pid);

/// pidfd_open(2), checked against the start time so that a reused pid is refused (ESRCH).
Result<UniqueFd> open_pidfd(const Process& process);

/// pidfd_open(2) of the process that has this pid now.
Result<UniqueFd> open_pidfd(pid_t pid);

/// Who a pidfd names (from /proc/self/fdinfo), and what is known of it. ESRCH if it is reaped.
Result<ProcessStat> stat_of_pidfd(int pidfd);
Result<Process> process_of_pidfd(int pidfd);

/// pidfd_send_signal(2). ESRCH if the process has ended.
Result<> send_signal(int pidfd, int signal);

/// false only where it is known to have ended: no such pid, or another process's, or a zombie. What
/// cannot be found out counts as alive.
bool is_alive(const Process& process);

/// Whether the process behind a pidfd has ended, reaped or not; what cannot be told counts as
/// ended. Asked after reading of a process under its number: while it is false, what was read was
/// its own and not a successor's.
bool has_ended(int pidfd) noexcept;

/// "/proc/PID/FILE".
std::string proc_path(pid_t pid, const char* file);

/// The pty (base/pty.hpp) whose master a process's descriptor is, by "tty-index:" in its fdinfo.
/// nullopt: it is none. An error: it was closed meanwhile, or may not be looked at.
Result<std::optional<unsigned>> read_pty_index(pid_t pid, int fd);

/// Reads a small file (procfs, sysfs, cgroupfs) whole; EFBIG beyond `limit` bytes.
Result<std::string> read_small_file(const std::string& path, std::size_t limit = 64 * 1024);

} // namespace vigil::base
