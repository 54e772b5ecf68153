#include "daemon/enforce/holders.hpp"

#include "base/cgroup.hpp"
#include "base/directory.hpp"
#include "base/process.hpp"
#include "daemon/enforce/descriptors.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <sys/stat.h>

namespace vigil::enforce {

namespace {

// Steps of a Budget.
constexpr std::size_t max_owner_steps = 16384;   ///< for all processes of one user
constexpr std::size_t max_stranger_steps = 4096; ///< for those of users who own none of it
constexpr std::size_t max_steps_of_a_stranger = 256;

/// root's is none.
using Uids = std::vector<uid_t>;

/// By the line "Uid:", which has the real, effective, saved and file system's uid.
Uids uids_in_status(pid_t pid) {
    Uids uids;
    const auto text = base::read_small_file(base::proc_path(pid, "status"));
    constexpr std::string_view label = "\nUid:";
    const std::size_t at = text ? text->find(label) : std::string::npos;
    if (at == std::string::npos) // gone
        return uids;
    const char* begin = text->data() + at + label.size();
    const char* const end = text->data() + text->size();
    for (int i = 0; i < 4 && begin < end; ++i) {
        uid_t uid = 0;
        const auto [stop, error] = std::from_chars(begin + 1, end, uid); // after a tab
        if (error != std::errc{})
            break;
        if (uid != 0)
            uids.push_back(uid);
        begin = stop;
    }
    return uids;
}

/// The folder's owner is the effective uid, or root where the process may not be looked into.
Uids uids_of(int proc, pid_t pid) {
    struct stat info{};
    if (::fstatat(proc, std::to_string(pid).c_str(), &info, 0) < 0)
        return {};
    return info.st_uid == 0 ? uids_in_status(pid) : Uids{info.st_uid};
}

/// One look at all processes.
class HolderSearch {
public:
    explicit HolderSearch(const std::vector<HolderQuestion>& questions) {
        for (const auto& question : questions)
            add(question);
    }

    std::vector<Holders> run() {
        const auto looked = base::for_numbers_in("/proc", [this](int proc, int pid) {
            process(proc, pid);
            return full_ < asked_.size();
        });
        std::vector<Holders> all;
        for (auto& asked : asked_) {
            if (!looked)
                asked.holders.push_back(
                    {.command = "/proc cannot be read", .uid = asked.question.owner});
            // What the other sessions have open is not its own reader's heap.
            if (asked.cut_short && asked_.size() > 1)
                all.emplace_back(std::nullopt);
            else
                all.emplace_back(std::move(asked.holders));
        }
        return all;
    }

private:
    struct Asked {
        const HolderQuestion& question;
        bool cut_short = false;
        std::vector<ForeignHolder> holders;
    };
    struct Owner {
        Budget budget{max_owner_steps};
        std::vector<std::size_t> asked;
    };

    void add(const HolderQuestion& question) {
        const auto index = asked_.size();
        asked_.push_back({.question = question, .holders = {}});
        owners_[question.owner].asked.push_back(index);
        for (const auto& terminal : question.terminals) {
            terminals_.push_back(terminal);
            asked_by_.emplace(terminal.device, index);
        }
        for (const pid_t pid : base::processes_in(question.scope).value_or(std::vector<pid_t>{}))
            inside_.emplace(pid, index);
    }

    void process(int proc, pid_t pid) {
        // Of a single question its own need no look.
        if (asked_.size() == 1 && inside_.contains(pid))
            return;
        const auto uids = uids_of(proc, pid);
        if (uids.empty())
            return;
        for (const uid_t uid : uids)
            if (const auto owner = owners_.find(uid); owner != owners_.end())
                return look_at_owners(pid, owner->second);
        const std::size_t share = std::min(strangers_.left(), max_steps_of_a_stranger);
        Budget budget{share};
        std::set<std::size_t> told;
        static_cast<void>(look(pid, budget, told));
        strangers_.take(share - budget.left());
    }

    void look_at_owners(pid_t pid, Owner& owner) {
        std::set<std::size_t> told;
        if (look(pid, owner.budget, told))
            return;
        // Once, because it is so for all that follow.
        for (const auto index : owner.asked)
            if (!told.contains(index) && !is_inside(pid, index) &&
                !std::exchange(asked_[index].cut_short, true))
                tell(pid, index, {});
    }

    /// false: not all of it could be looked at. `told`: of whom it has a terminal.
    bool look(pid_t pid, Budget& budget, std::set<std::size_t>& told) {
        const auto open = open_terminal_of(
            pid, terminals_, budget, fetcher_, [&](pid_t, int, const Terminal& terminal) {
                note(pid, terminal, told);
                return told.size() == asked_.size(); // it may have another's, too
            });
        return open.complete;
    }

    void note(pid_t pid, const Terminal& terminal, std::set<std::size_t>& told) {
        const auto [first, last] = asked_by_.equal_range(terminal.device);
        for (auto by = first; by != last; ++by)
            if (!is_inside(pid, by->second) && told.insert(by->second).second)
                tell(pid, by->second, terminal.path);
    }

    bool is_inside(pid_t pid, std::size_t index) const {
        const auto found = inside_.find(pid);
        return found != inside_.end() && found->second == index;
    }

    void tell(pid_t pid, std::size_t index, std::string path) {
        auto& asked = asked_[index];
        const auto stat = base::read_process_stat(pid);
        // What was forked in the session since the look began is none.
        if (!stat || asked.holders.size() == max_holders ||
            base::is_in_cgroup(pid, asked.question.scope))
            return;
        const auto uid = base::read_real_uid(pid);
        asked.holders.push_back({.pid = pid,
                                 .command = stat->command,
                                 .uid = uid.value_or(asked.question.owner),
                                 .path = std::move(path)});
        if (asked.holders.size() == max_holders)
            ++full_;
    }

    std::vector<Asked> asked_;
    std::map<uid_t, Owner> owners_;
    std::vector<Terminal> terminals_;                              ///< of all questions
    std::unordered_multimap<std::uint64_t, std::size_t> asked_by_; ///< by device
    std::unordered_map<pid_t, std::size_t> inside_;
    Budget strangers_{max_stranger_steps};
    Fetcher fetcher_;
    std::size_t full_ = 0; ///< those of which no more is told
};

} // namespace

ForeignHolder escaped_holder(pid_t pid) {
    const auto stat = base::read_process_stat(pid);
    return {.pid = pid, .command = stat ? stat->command : "", .path = {}, .escaped = true};
}

std::vector<Holders> foreign_holders(const std::vector<HolderQuestion>& questions) {
    return HolderSearch{questions}.run();
}

} // namespace vigil::enforce
