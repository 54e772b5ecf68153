#include "daemon/enforce/terminal_users.hpp"

#include "base/process.hpp"
#include "daemon/enforce/scope.hpp"
#include "daemon/enforce/terminal_file.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <string_view>

#include <sys/stat.h>
#include <unistd.h>

namespace vigil::enforce {

namespace {

// Steps of a Budget, at about 5 µs each.
constexpr std::size_t max_session_steps = 16384; ///< in the session, for one lock
constexpr std::size_t max_owner_steps = 16384;   ///< outside of it, for its user's processes
constexpr std::size_t max_stranger_steps = 4096; ///< and for everybody else's
constexpr std::size_t max_steps_of_a_stranger = 256;

bool is_one_of(const std::vector<Terminal>& terminals, std::uint64_t device) noexcept {
    return std::ranges::find(terminals, device, &Terminal::device) != terminals.end();
}

bool see_the_same_mounts(pid_t one, pid_t other) noexcept {
    struct stat namespaces[2]{};
    return ::stat(("/proc/" + std::to_string(one) + "/ns/mnt").c_str(), &namespaces[0]) == 0 &&
           ::stat(("/proc/" + std::to_string(other) + "/ns/mnt").c_str(), &namespaces[1]) == 0 &&
           namespaces[0].st_ino == namespaces[1].st_ino &&
           namespaces[0].st_dev == namespaces[1].st_dev;
}

enum class Whose { roots, owners, strangers };

/// By the line "Uid:", which has the real, effective, saved and file system's uid.
Whose whose_by_status(pid_t pid, uid_t owner) {
    const auto text = base::read_small_file("/proc/" + std::to_string(pid) + "/status");
    constexpr std::string_view label = "\nUid:";
    const std::size_t at = text ? text->find(label) : std::string::npos;
    if (at == std::string::npos)
        return Whose::roots; // gone
    const char* begin = text->data() + at + label.size();
    const char* const end = text->data() + text->size();
    auto whose = Whose::roots;
    for (int i = 0; i < 4 && begin < end; ++i) {
        uid_t uid = 0;
        const auto [stop, error] = std::from_chars(begin + 1, end, uid); // after a tab
        if (error != std::errc{})
            break;
        if (uid == owner && uid != 0)
            return Whose::owners;
        if (uid != 0)
            whose = Whose::strangers;
        begin = stop;
    }
    return whose;
}

/// The folder's owner is the effective uid, or root where the process may not be looked into.
Whose whose_process(int proc, pid_t pid, uid_t owner) {
    struct stat info{};
    if (::fstatat(proc, std::to_string(pid).c_str(), &info, 0) < 0)
        return Whose::roots;
    if (info.st_uid == 0)
        return whose_by_status(pid, owner);
    return info.st_uid == owner ? Whose::owners : Whose::strangers;
}

/// One look at all processes for holders.
class HolderSearch {
public:
    HolderSearch(std::vector<pid_t> own, uid_t owner, const std::vector<Terminal>& terminals)
        : own_{std::move(own)}, owner_{owner}, terminals_{terminals} {}

    std::vector<ForeignHolder> run() {
        const auto looked = for_numbers_in("/proc", [this](int proc, int pid) {
            if (!std::ranges::binary_search(own_, pid))
                process(proc, pid);
            return holders_.size() < max_holders;
        });
        if (!looked)
            holders_.push_back({.command = "/proc cannot be read", .uid = owner_});
        return std::move(holders_);
    }

private:
    void process(int proc, pid_t pid) {
        switch (whose_process(proc, pid, owner_)) {
        case Whose::roots:
            return;
        case Whose::owners: {
            const auto open = open_terminal_of(pid, terminals_, owners_);
            if (open.terminal != nullptr)
                return tell(pid, open.terminal->path);
            // Once, because it is so for all that follow.
            if (!open.complete && !std::exchange(told_of_bound_, true))
                tell(pid, {});
            return;
        }
        case Whose::strangers: {
            const std::size_t share = std::min(strangers_.left(), max_steps_of_a_stranger);
            Budget budget{share};
            const auto open = open_terminal_of(pid, terminals_, budget);
            strangers_.take(share - budget.left());
            if (open.terminal != nullptr)
                tell(pid, open.terminal->path);
            return;
        }
        }
    }

    void tell(pid_t pid, std::string path) {
        const auto stat = base::read_process_stat(pid);
        if (!stat)
            return;
        const auto uid = base::read_real_uid(pid);
        holders_.push_back({.pid = pid,
                            .command = stat->command,
                            .uid = uid.value_or(owner_),
                            .path = std::move(path)});
    }

    const std::vector<pid_t> own_;
    const uid_t owner_;
    const std::vector<Terminal>& terminals_;
    Budget owners_{max_owner_steps};
    Budget strangers_{max_stranger_steps};
    bool told_of_bound_ = false;
    std::vector<ForeignHolder> holders_;
};

} // namespace

UserSearch::UserSearch(std::string scope, pid_t leader, std::vector<Terminal> terminals)
    : scope_{std::move(scope)}, leader_{leader}, terminals_{std::move(terminals)},
      budget_{max_session_steps} {}

/// A controlling terminal is the whole session's (in the sense of setsid(2)), and its leader has it
/// for as long as the others do. In a container the same number is another terminal: there the
/// leader sees other mounts, and has none of ours open.
bool UserSearch::has_terminal(pid_t session) {
    const auto [known, is_new] = sessions_.try_emplace(session, false);
    if (!is_new)
        return known->second;
    const auto stat = base::read_process_stat(session);
    if (stat && is_one_of(terminals_, stat->terminal))
        known->second = see_the_same_mounts(session, leader_) ||
                        open_terminal_of(session, terminals_, budget_).terminal != nullptr;
    return known->second;
}

Result<std::vector<pid_t>> UserSearch::look(const std::vector<pid_t>& held) {
    const auto inside = processes_in(scope_);
    if (!inside) {
        if (inside.error().code == ENOENT)
            return std::vector<pid_t>{};
        return std::unexpected{inside.error()};
    }
    std::vector<pid_t> users;
    std::vector<pid_t> loose;
    std::ranges::set_difference(*inside, held, std::back_inserter(loose));
    const std::vector<pid_t> carriers = carriers_of(loose, leader_);
    for (const pid_t pid : loose) {
        if (std::ranges::find(carriers, pid) != carriers.end())
            continue;
        const auto stat = base::read_process_stat(pid);
        if (!stat)
            continue;
        if (!is_one_of(terminals_, stat->terminal)) {
            const auto open = open_terminal_of(pid, terminals_, budget_);
            if (open.terminal == nullptr && open.complete)
                continue;
        }
        users.push_back(pid);
    }
    const auto looked = for_numbers_in("/proc", [&](int, int pid) {
        // getsid(2) and not /proc/PID/stat, which takes fifty times as long.
        const pid_t session = ::getsid(pid);
        if (session <= 0 || !has_terminal(session) || std::ranges::binary_search(*inside, pid) ||
            pid == ::getpid())
            return true;
        const auto stat = base::read_process_stat(pid);
        // One that has ended stays outside for as long as its parent does not ask for it.
        if (stat && stat->state != 'Z' && is_one_of(terminals_, stat->terminal))
            users.push_back(pid);
        return true;
    });
    if (!looked)
        return std::unexpected{looked.error()};
    return users;
}

std::vector<ForeignHolder> foreign_holders(const std::string& scope, uid_t owner,
                                           const std::vector<Terminal>& terminals) {
    auto own = processes_in(scope).value_or(std::vector<pid_t>{});
    return HolderSearch{std::move(own), owner, terminals}.run();
}

} // namespace vigil::enforce
