// What locks leave free, as it is at this moment.

#include "base/clock.hpp"
#include "base/console.hpp"
#include "base/log.hpp"
#include "daemon/enforce/connection.hpp"
#include "daemon/enforce/scope.hpp"
#include "daemon/shell/shell.hpp"

#include <algorithm>

namespace vigil::shell {

namespace {

constexpr std::size_t most_units_told = 16;

core::Gap gap_of(const enforce::ForeignHolder& holder) {
    const auto process =
        "process " + std::to_string(holder.pid) + " (" + base::escape(holder.command, 64) + ")";
    if (holder.escaped)
        return {core::Gap::Kind::reader, process + " was taken out of the lock"};
    return {core::Gap::Kind::reader, process + " outside the session " +
                                         (holder.path.empty() ? "cannot be looked through"
                                                              : "has " + holder.path + " open")};
}

} // namespace

/// One look for all of them; those of which it did not see all are as if it had not been.
void Shell::look_for_holders(const std::vector<core::SessionId>& ids) {
    const BootTime now = base::read_boot_time();
    std::vector<Watched*> asked;
    std::vector<enforce::HolderQuestion> questions;
    for (const auto& id : ids) {
        const auto* known = record(id);
        const auto found = watched_.find(id);
        if (!known || found == watched_.end())
            continue;
        asked.push_back(&found->second);
        questions.push_back({.scope = known->cgroup,
                             .owner = known->facts.uid,
                             .terminals = places_of(found->second)});
    }
    auto answers = enforce::foreign_holders(questions);
    for (std::size_t i = 0; i < asked.size(); ++i) {
        asked[i]->looked_for_holders.reset();
        if (!answers[i])
            continue;
        asked[i]->looked_for_holders = now;
        asked[i]->holders = std::move(*answers[i]);
    }
}

std::vector<enforce::ForeignHolder> Shell::foreign_holders(const core::SessionId& id,
                                                           Microseconds age) {
    const auto found = watched_.find(id);
    if (!record(id) || found == watched_.end())
        return {};
    auto& watched = found->second;
    if (!watched.looked_for_holders || base::read_boot_time() - *watched.looked_for_holders >= age)
        look_for_holders({id});
    auto all = watched.escaped;
    for (const auto& holder : watched.holders)
        if (!std::ranges::count(watched.escaped, holder.pid, &enforce::ForeignHolder::pid))
            all.push_back(holder);
    return all;
}

std::vector<core::Gap> Shell::look_for_gaps(const core::SessionId& id, Microseconds age) {
    using enum core::Gap::Kind;
    std::vector<core::Gap> gaps;
    const auto view = machine_.view(id);
    // A desktop holds itself, and the user's units are most of it.
    if (!view || view->record->cgroup.empty() || view->is_desktop)
        return gaps;
    const auto* known = view->record;
    for (const auto& holder : foreign_holders(id, age))
        gaps.push_back(gap_of(holder));
    // Behind a lock console nothing is held in the scope.
    const bool frozen = enforce::is_frozen(known->cgroup);
    if (frozen && !base::is_delegated(known->cgroup))
        gaps.push_back({undelegated, "its scope is not delegated, so PID 1 may undo the lock: it "
                                     "began before vigil was here"});
    if (const auto found = watched_.find(id); frozen && found != watched_.end())
        for (const auto& terminal : found->second.terminals)
            if (base::virtual_console(terminal.device) != 0)
                gaps.push_back({at_its_own, "there was no lock console for " + terminal.path +
                                                ", " + std::string{enforce::stands_still}});
    if (frozen && !enforce::is_at_rest(known->cgroup))
        gaps.push_back({slow, enforce::stops_late});
    if (auto how = frozen ? enforce::how_unsealed(known->cgroup, known->leader.pid) : std::nullopt)
        gaps.push_back({unsealed, std::move(*how)});
    if (const auto found = watched_.find(id); found != watched_.end() && found->second.no_terminal)
        gaps.push_back({closed, enforce::without_terminal(known->cgroup, known->leader.pid)});
    for (const auto& unit : enforce::user_units(known->facts.uid, most_units_told))
        gaps.push_back({user_unit, "user unit " + base::escape(unit, 256) + " runs on"});
    return gaps;
}

} // namespace vigil::shell
