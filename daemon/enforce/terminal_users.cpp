#include "daemon/enforce/terminal_users.hpp"

#include "base/directory.hpp"
#include "base/process.hpp"
#include "daemon/enforce/connection.hpp"
#include "daemon/enforce/scope.hpp"

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace vigil::enforce {

namespace {

// Steps of a Budget, at about 5 µs each.
constexpr std::size_t max_session_steps = 16384; ///< in the session, for one lock
constexpr std::size_t max_mounts_bytes = 1024 * 1024;

bool is_one_of(const std::vector<Terminal>& terminals, std::uint64_t device) noexcept {
    return find(terminals, device) != nullptr;
}

/// Whether a process can see a file system. By its list of mounts: its files could be answered by a
/// file system of the user's own, which need not answer at all. In doubt it can.
bool sees_file_system(pid_t pid, dev_t device) {
    const auto mounts = base::read_small_file(base::proc_path(pid, "mountinfo"), max_mounts_bytes);
    if (!mounts)
        return true;
    // "36 35 0:25 / /dev/pts ...", proc_pid_mountinfo(5). The whole of it: systemd-nspawn gives a
    // container one file of the host's as its console.
    const std::string wanted =
        std::to_string(major(device)) + ":" + std::to_string(minor(device)) + " / ";
    std::string_view rest = *mounts;
    while (!rest.empty()) {
        const std::string_view line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(line.size() + 1, rest.size()));
        const auto second = line.find(' ', line.find(' ') + 1);
        if (second != line.npos && line.substr(second + 1).starts_with(wanted))
            return true;
    }
    return false;
}

} // namespace

UserSearch::UserSearch(std::string scope, pid_t leader, std::vector<Terminal> terminals)
    : scope_{std::move(scope)}, leader_{leader}, terminals_{std::move(terminals)},
      budget_{max_session_steps} {}

/// A controlling terminal is the whole session's (in the sense of setsid(2)), and its leader has it
/// for as long as the others do. In a container the number of a pty is another terminal's: there
/// the leader does not see the file system of ours, and has none of ours open.
std::uint64_t UserSearch::terminal_of_session(pid_t session) {
    const auto stat = base::read_process_stat(session);
    const auto* const terminal = stat ? find(terminals_, stat->terminal) : nullptr;
    struct stat node{};
    const bool is_ours =
        terminal != nullptr &&
        (::stat(terminal->path.c_str(), &node) < 0 || sees_file_system(session, node.st_dev) ||
         open_terminal_of(session, terminals_, budget_, fetcher_).terminal != nullptr);
    return is_ours ? terminal->device : 0;
}

bool UserSearch::has_untold(pid_t session) {
    if (controlling_.untold.empty())
        return false;
    const auto [known, is_new] = sessions_.try_emplace(session, 0);
    if (is_new)
        known->second = terminal_of_session(session);
    return find(controlling_.untold, known->second) != nullptr;
}

/// Each time anew: of a terminal that was closed meanwhile the number is another's, whoever that
/// is. Only sshd is known to have a master of each; a console has none.
Result<> UserSearch::ask_masters() {
    controlling_ = {};
    const auto leader = base::read_process_stat(leader_);
    if (is_gone_ || !leader || base::has_ended(*leader))
        return {};
    auto controlling = controlling_sessions(carriers_, terminals_);
    if (!controlling)
        return std::unexpected{controlling.error()};
    controlling_ = std::move(*controlling);
    if (!is_sshd(leader_))
        std::ranges::move(std::exchange(controlling_.closed, {}),
                          std::back_inserter(controlling_.untold));
    return {};
}

Result<std::vector<pid_t>> UserSearch::look(const std::vector<pid_t>& held) {
    auto inside = base::processes_in(scope_);
    if (!inside && inside.error().code != ENOENT)
        return std::unexpected{inside.error()};
    is_gone_ = !inside;
    inside_ = inside ? std::move(*inside) : std::vector<pid_t>{};
    std::vector<pid_t> users;
    std::vector<pid_t> loose;
    std::ranges::set_difference(inside_, held, std::back_inserter(loose));
    carriers_ = carriers_of(loose, leader_);
    look_inside(loose, users);
    return users;
}

void UserSearch::look_inside(const std::vector<pid_t>& loose, std::vector<pid_t>& users) {
    for (const pid_t pid : loose) {
        if (std::ranges::find(carriers_, pid) != carriers_.end())
            continue;
        const auto stat = base::read_process_stat(pid);
        if (!stat || is_held(*stat))
            continue;
        if (!is_one_of(terminals_, stat->terminal)) {
            const auto open = open_terminal_of(pid, terminals_, budget_, fetcher_);
            if (open.terminal == nullptr && open.complete)
                continue;
        }
        users.push_back(pid);
    }
}

std::vector<Result<std::vector<pid_t>>>
UserSearch::look_elsewhere(const std::vector<UserSearch*>& searches) {
    std::vector<Result<std::vector<pid_t>>> users(searches.size());
    for (std::size_t i = 0; i < searches.size(); ++i)
        if (const auto asked = searches[i]->ask_masters(); !asked)
            users[i] = std::unexpected{asked.error()};
    const auto looked = base::for_numbers_in("/proc", [&](int, int pid) {
        // getsid(2) and not /proc/PID/stat, which takes fifty times as long.
        const pid_t session = ::getsid(pid);
        if (session > 0 && pid != ::getpid())
            for (std::size_t i = 0; i < searches.size(); ++i)
                if (users[i] && searches[i]->is_job(pid, session))
                    users[i]->push_back(pid);
        return true;
    });
    if (!looked)
        std::ranges::fill(users, Result<std::vector<pid_t>>{std::unexpected{looked.error()}});
    return users;
}

/// One whose first thread has ended is listed where it was when that thread ended.
bool UserSearch::is_held(const base::ProcessStat& stat) const {
    return stat.state == 'Z' && base::is_in_cgroup(stat.pid, scope_ + "/" + frozen_child);
}

bool UserSearch::is_job(pid_t pid, pid_t session) {
    if (!(std::ranges::count(controlling_.sessions, session) > 0 || has_untold(session)) ||
        std::ranges::binary_search(inside_, pid))
        return false;
    const auto stat = base::read_process_stat(pid);
    // One that has ended stays outside for as long as its parent does not ask for it.
    if (!stat || base::has_ended(*stat) || !is_one_of(terminals_, stat->terminal) || is_held(*stat))
        return false;
    const auto cgroup = base::running_cgroup_of(pid);
    if (!cgroup && cgroup.error().code == ESRCH)
        return false; // it ended since
    // What was forked in the session since the look began is none of these.
    if (!cgroup || !base::is_within(*cgroup, scope_))
        elsewhere_.insert(pid);
    return true;
}

} // namespace vigil::enforce
