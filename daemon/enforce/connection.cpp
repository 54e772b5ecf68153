#include "daemon/enforce/connection.hpp"

#include "base/number.hpp"
#include "base/process.hpp"
#include "daemon/enforce/scope.hpp"

#include <algorithm>
#include <filesystem>
#include <string_view>

#include <fcntl.h>
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

/// The same of these processes, by looking at each.
std::vector<pid_t> children_among(const std::vector<pid_t>& processes, pid_t leader) {
    std::vector<pid_t> children;
    for (const pid_t pid : processes)
        if (const auto stat = base::read_process_stat(pid); stat && stat->parent == leader)
            children.push_back(pid);
    return children;
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

Result<std::vector<pid_t>> leader_and_children(pid_t leader) {
    auto processes = children_of(leader);
    if (!processes)
        return processes;
    processes->push_back(leader);
    std::ranges::sort(*processes);
    return processes;
}

Result<> seal(const std::string& scope, pid_t leader) {
    if (!is_sshd(leader))
        return {};
    const auto processes = base::processes_in(scope);
    if (!processes)
        return std::unexpected{processes.error()};
    const auto sealed = seal_connection(scope, carriers_of(*processes, leader));
    return sealed ? Result<>{} : std::unexpected{sealed.error()};
}

std::optional<std::string> how_unsealed(const std::string& scope, pid_t leader) {
    if (!is_sshd(leader))
        return std::nullopt;
    const std::string child = scope + "/" + connection_child;
    const auto limit = base::read_cgroup_file(child, "pids.max");
    const auto processes = base::processes_in(scope);
    if (limit && base::has_part(*limit, "0", "\n") && processes) {
        const auto carriers = carriers_of(*processes, leader);
        if (!carriers.empty() && std::ranges::all_of(carriers, [&](pid_t pid) {
                return base::is_in_cgroup(pid, child);
            }))
            return std::nullopt;
    }
    const auto controllers = base::read_cgroup_file(scope, "cgroup.controllers");
    const bool has_pids = !controllers || base::has_part(*controllers, "pids", " \n");
    return std::string{"its connection could start a command without a terminal"} +
           (has_pids ? "" : " (no pids controller)");
}

std::string without_terminal(const std::string& scope, pid_t leader) {
    const std::string closed = "its last terminal is closed, and what stood still there was ended";
    if (!is_sshd(leader))
        return closed;
    return closed + (how_unsealed(scope, leader)
                         ? "; who opens another over its connection is asked there"
                         : "; none can be opened over its connection: close that, or end the "
                           "session (vigilctl terminate)");
}

} // namespace vigil::enforce
