#include "base/directory.hpp"
#include "base/number.hpp"
#include "base/process.hpp"
#include "base/pty.hpp"
#include "daemon/enforce/descriptors.hpp"
#include "daemon/enforce/scope.hpp"
#include "daemon/enforce/terminal_file.hpp"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <string_view>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace vigil::enforce {

namespace {

struct Executable {
    std::string path; ///< "": not known
    dev_t device = 0;
    ino_t inode = 0;
    uid_t owner = uid_t(-1);

    bool operator==(const Executable&) const = default;
};

/// As the kernel has it, without a question to the file system (proc_pid_exe(5)).
std::string executable_path(pid_t pid) {
    std::error_code error;
    return std::filesystem::read_symlink(base::proc_path(pid, "exe"), error).native();
}

/// What the file's server would have to be asked for is not asked: it may be the user's own, or
/// stand still with his session.
Executable executable_of(pid_t pid) {
    constexpr unsigned wanted = STATX_INO | STATX_UID;
    struct statx info{};
    auto path = executable_path(pid);
    if (path.empty() ||
        ::statx(AT_FDCWD, base::proc_path(pid, "exe").c_str(), AT_STATX_DONT_SYNC, wanted, &info) <
            0 ||
        (info.stx_mask & wanted) != wanted)
        return {};
    return {.path = std::move(path),
            .device = makedev(info.stx_dev_major, info.stx_dev_minor),
            .inode = info.stx_ino,
            .owner = info.stx_uid};
}

/// A file of another name is left alone: on a server that is dead even its kind is asked for.
bool runs(pid_t pid, const Executable& wanted) {
    return !wanted.path.empty() && executable_path(pid) == wanted.path &&
           executable_of(pid) == wanted;
}

/// Calls `use(descriptor, terminal)` for the pty masters that a process has open.
void for_masters_of(pid_t pid, const std::function<void(int fd, Terminal terminal)>& use) {
    // A folder that cannot be read has none: the process is gone.
    static_cast<void>(base::for_numbers_in(base::proc_path(pid, "fdinfo"), [&](int, int fd) {
        const auto index = base::read_pty_index(pid, fd);
        auto terminal = index ? pty_terminal(*index) : fail(ENOTTY, "no master of a pty");
        if (terminal)
            use(fd, std::move(*terminal));
        return true;
    }));
}

/// 0: none has the terminal. An error: it was closed meanwhile, say.
Result<pid_t> controlling_session(pid_t carrier, int fd, const Terminal& terminal) {
    const auto master = fetch_descriptor(carrier, fd);
    if (!master)
        return std::unexpected{master.error()};
    unsigned index = 0;
    pid_t session = 0;
    if (::ioctl(master->get(), TIOCGPTN, &index) < 0)
        return fail(errno, "asking a terminal for its number");
    const auto own = pty_terminal(index);
    if (!own || !(*own == terminal)) // another was opened under its number
        return fail(ESTALE, terminal.path);
    if (::ioctl(master->get(), TIOCGSID, &session) < 0 && errno != ENOTTY)
        return fail(errno, "asking a terminal for its session");
    return session;
}

/// Of its first thread's, sshd's only one. (proc_pid_task(5); ENOENT too where the kernel is built
/// without it.)
Result<std::vector<pid_t>> children_of(pid_t leader) {
    const auto text = base::read_small_file(base::proc_path(leader, "task/") +
                                            std::to_string(leader) + "/children");
    if (!text)
        return std::unexpected{text.error()};
    std::vector<pid_t> processes;
    std::string_view rest = *text;
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find(' '), rest.size());
        pid_t pid = 0;
        if (base::parse_number(rest.substr(0, end), pid))
            processes.push_back(pid);
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return processes;
}

/// Of a login without a scope: those that could carry its bytes, sorted.
Result<std::vector<pid_t>> leader_and_children(pid_t leader) {
    auto processes = children_of(leader);
    if (!processes)
        return processes;
    processes->push_back(leader);
    std::ranges::sort(*processes);
    return processes;
}

/// The same by looking at each of these.
std::vector<pid_t> children_among(const std::vector<pid_t>& processes, pid_t leader) {
    std::vector<pid_t> children;
    for (const pid_t pid : processes)
        if (const auto stat = base::read_process_stat(pid); stat && stat->parent == leader)
            children.push_back(pid);
    return children;
}

/// The terminal that login(1) and its like were started on: the leader's own, or, as login gives
/// it to the shell, its child's.
void add_controlling(const std::vector<pid_t>& processes, pid_t leader,
                     std::vector<Terminal>& terminals) {
    for (const pid_t pid : processes) {
        const auto stat = base::read_process_stat(pid);
        if (!stat || stat->terminal == 0 || (pid != leader && stat->parent != leader) ||
            find(terminals, stat->terminal) != nullptr)
            continue;
        auto terminal = terminal_of(stat->terminal);
        if (terminal)
            terminals.push_back(std::move(*terminal));
    }
}

} // namespace

// sshd, or sshd-session as OpenSSH has it since 9.8. Of other leaders any child may be the user's
// own, and run the leader's file under his own library.
bool is_sshd(pid_t leader) {
    const std::filesystem::path path = executable_path(leader);
    return path.filename().native().starts_with("sshd") && executable_of(leader).owner == 0;
}

std::vector<pid_t> carriers_of(const std::vector<pid_t>& processes, pid_t leader) {
    if (!std::ranges::binary_search(processes, leader))
        return {};
    std::vector<pid_t> carriers{leader};
    if (!is_sshd(leader))
        return carriers;
    const Executable own = executable_of(leader);
    auto children = children_of(leader);
    for (const pid_t pid : children ? *children : children_among(processes, leader))
        if (runs(pid, own))
            carriers.push_back(pid);
    return carriers;
}

bool left_by_sshd(const std::vector<pid_t>& processes, const std::vector<pid_t>& held,
                  pid_t leader) {
    const Executable own = executable_of(leader);
    return is_sshd(leader) && std::ranges::any_of(held, [&](pid_t pid) {
               if (!runs(pid, own))
                   return false;
               const auto stat = base::read_process_stat(pid);
               return stat && !std::ranges::binary_search(processes, stat->parent);
           });
}

Result<Terminal> pty_terminal(std::uint32_t index) {
    const std::string path = "/dev/pts/" + std::to_string(index);
    struct stat info{};
    if (::stat(path.c_str(), &info) < 0)
        return fail(errno, "looking at " + path);
    if (!S_ISCHR(info.st_mode) || !base::pty_index(info.st_rdev))
        return fail(ENOTTY, path);
    return Terminal{.path = path, .device = info.st_rdev};
}

Result<Terminal> terminal_of(std::uint64_t device) {
    if (const auto index = base::pty_index(device))
        return pty_terminal(*index);
    const std::string numbers = std::to_string(major(device)) + ":" + std::to_string(minor(device));
    const auto text = base::read_small_file("/sys/dev/char/" + numbers + "/uevent");
    if (!text)
        return std::unexpected{text.error()};
    constexpr std::string_view label = "DEVNAME=";
    const std::size_t at = text->find(label);
    if (at == text->npos)
        return fail(ENODEV, "no name of device " + numbers);
    const std::size_t start = at + label.size();
    const std::string path = "/dev/" + text->substr(start, text->find('\n', start) - start);
    struct stat info{};
    if (::lstat(path.c_str(), &info) < 0)
        return fail(errno, "looking at " + path);
    if (!S_ISCHR(info.st_mode) || info.st_rdev != device)
        return fail(ENODEV, path + " is not device " + numbers);
    return Terminal{.path = path, .device = device};
}

std::optional<std::vector<pid_t>> controlling_sessions(const std::vector<pid_t>& carriers,
                                                       const std::vector<Terminal>& terminals) {
    std::map<std::uint64_t, pid_t> sessions;
    for (const pid_t carrier : carriers)
        for_masters_of(carrier, [&](int fd, const Terminal& terminal) {
            if (find(terminals, terminal.device) == nullptr || sessions.contains(terminal.device))
                return;
            if (const auto session = controlling_session(carrier, fd, terminal))
                sessions.emplace(terminal.device, *session);
        });
    if (sessions.size() != terminals.size())
        return std::nullopt;
    std::vector<pid_t> found;
    for (const auto& [device, session] : sessions)
        found.push_back(session);
    return found;
}

Result<std::vector<Terminal>> find_terminals(const std::string& scope, pid_t leader) {
    const auto processes = scope.empty() ? leader_and_children(leader) : base::processes_in(scope);
    if (!processes)
        return std::unexpected{processes.error()};
    std::vector<Terminal> terminals;
    const std::vector<pid_t> carriers = carriers_of(*processes, leader);
    for (const pid_t pid : carriers)
        for_masters_of(pid, [&](int, Terminal terminal) {
            if (find(terminals, terminal.device) == nullptr)
                terminals.push_back(std::move(terminal));
        });
    if (terminals.empty() && !carriers.empty())
        add_controlling(*processes, leader, terminals);
    return terminals;
}

} // namespace vigil::enforce
