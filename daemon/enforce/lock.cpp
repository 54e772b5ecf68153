#include "daemon/enforce/lock.hpp"

#include "base/console.hpp"
#include "daemon/enforce/connection.hpp"
#include "daemon/enforce/console.hpp"
#include "daemon/enforce/prompt.hpp"
#include "daemon/enforce/scope.hpp"
#include "daemon/enforce/terminal_users.hpp"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <list>
#include <map>

namespace vigil::enforce {

namespace {

/// How often the scope is looked through for new users of the terminals, before and after the
/// freeze. A session that forks faster than that is held all the same, and said to be not covered.
constexpr int max_passes = 50;

/// How long one is waited for to stand still; 1000 processes need 5 ms.
constexpr Microseconds freeze_patience = std::chrono::milliseconds{50};

/// Those that the kernel does not let be moved, and why.
using Unmoved = std::map<pid_t, Error>;

const core::SavedTerminal* find(const std::vector<core::SavedTerminal>& saved,
                                const Terminal& terminal) noexcept {
    const auto found = std::ranges::find_if(saved, [&](const core::SavedTerminal& one) {
        return one.path == terminal.path && one.device == terminal.device;
    });
    return found == saved.end() ? nullptr : &*found;
}

Whose whose(const LockTarget& target, const std::vector<core::SavedTerminal>& saved) {
    return {.scope = target.scope,
            .leader = target.leader,
            .begun_at = target.begun_at,
            .shut = shut_among(saved)};
}

/// One lock being made. It goes on after a failure: the rest is held all the same, and the first
/// failure told.
class Hold {
public:
    explicit Hold(const LockRequest& request)
        : target_{request.target}, saved_{request.saved},
          had_terminal_{!request.saved.empty() || !request.before.empty()}, save_{request.save},
          taken_{request.taken}, was_frozen_{is_frozen(request.target.scope)} {}

    /// Until what the session has at its terminals stands still. One that is opened before the
    /// connection is sealed, and so can still get a program, is of this lock as well.
    void begin() {
        for (int pass = 0; pass < max_passes && take_new(); ++pass) {
        }
        if (looked_ && found_.empty())
            note_none();
    }

    const std::vector<core::SavedTerminal>& terminals() const noexcept { return report_.terminals; }

    /// false: nothing could be frozen, or nothing has to be.
    bool is_searched() const noexcept { return search_.has_value(); }
    UserSearch& search() noexcept { return *search_; }

    /// Moves those of the session in that are outside. false: there was nobody who could be moved.
    bool gather_inside() {
        const auto held = base::processes_in(target_.scope + "/" + frozen_child);
        const auto users = held ? search_->look(*held) : std::unexpected{held.error()};
        if (!users) {
            note(std::unexpected{users.error()});
            return false;
        }
        return move_in(*users);
    }

    bool move_in(const std::vector<pid_t>& users) {
        bool moved_one = false;
        for (const pid_t pid : users) {
            if (unmoved_.contains(pid))
                continue;
            if (const auto moved = move_to_frozen(target_.scope, pid); moved)
                moved_one = true;
            else
                unmoved_.emplace(pid, moved.error());
        }
        return moved_one;
    }

    void note(Result<> result) {
        if (!result && first_)
            first_ = std::move(result);
    }

    /// When nobody is left who could be moved.
    LockReport end(bool keeps_growing) {
        if (was_frozen_ && search_)
            for (const pid_t pid : search_->elsewhere())
                // One that cannot be moved in was never held, and is named for as long as it runs.
                if (!unmoved_.contains(pid))
                    report_.escaped.push_back(escaped_holder(pid));
        if (!unmoved_.empty())
            note(cannot_be_held());
        if (keeps_growing)
            note(fail("new processes of the session keep opening its terminal"));
        if (needs_freeze_) {
            note(look_at_carriers());
            for (const std::size_t place : fresh_)
                note(take_again(report_.terminals[place]));
        }
        report_.held = first_.has_value();
        if (!first_)
            report_.detail = first_.error().text();
        else if (stops_late_)
            report_.detail += std::string{report_.detail.empty() ? "" : "; "} + stops_late;
        return std::move(report_);
    }

private:
    /// false: there are no more than were taken before.
    bool take_new() {
        auto look = look_for_terminals(whose(target_, saved_));
        looked_ = look.has_value();
        if (!look) {
            note(std::unexpected{look.error()});
            return false;
        }
        has_leader_ = look->has_leader;
        auto& terminals = look->terminals;
        std::erase_if(terminals,
                      [&](const Terminal& one) { return std::ranges::count(found_, one) > 0; });
        if (terminals.empty())
            return false;
        std::ranges::copy(terminals, std::back_inserter(found_));
        std::erase_if(terminals, [&](const Terminal& one) {
            const auto taken = take_console(one);
            if (!taken)
                note(std::unexpected{taken.error()});
            return taken.value_or(true);
        });
        report_.is_desktop = report_.desktops.size() == found_.size();
        if (!report_.desktops.empty()) {
            note(fail(EBUSY, "a program has taken the console " + report_.desktops[0].path));
            terminals.clear();
        }
        for (const Terminal& terminal : terminals)
            note(take_one(terminal));
        taken_(report_.terminals);
        std::ranges::move(terminals, std::back_inserter(frozen_at_));
        needs_freeze_ = !frozen_at_.empty();
        if (needs_freeze_)
            freeze_users();
        return true;
    }

    /// Whether a lock console asks in its place, or a program has it, so that nothing has to be
    /// frozen. Where no lock console can be had, it is asked at the console itself, for as long as
    /// the lock lasts. An error: it was had, so somebody may be asked there, and it is tried again.
    Result<bool> take_console(const Terminal& terminal) {
        if (base::virtual_console(terminal.device) == 0)
            return false;
        const core::SavedTerminal* known = find(saved_, terminal);
        if (known && known->lock_console == 0)
            known = nullptr;
        if (was_frozen_ && !known)
            return false;
        core::SavedTerminal written;
        auto state = hold_at_console(target_, terminal, known, [&](const auto& planned) {
            written = planned;
            return save_(planned);
        });
        if (state) {
            report_.terminals.push_back(std::move(*state));
            return true;
        }
        // What was locked stays so, whatever a program does behind its back.
        const bool is_programs = has_desktop(terminal, target_.scope);
        if (known && (is_programs || place_of_prompt(target_.session, terminal.path))) {
            report_.terminals.push_back(*known);
            return std::unexpected{state.error()};
        }
        if (known || written.lock_console != 0)
            static_cast<void>(release_console(known ? *known : written, true, target_.scope));
        if (is_programs) {
            report_.desktops.push_back(terminal);
            return true;
        }
        report_.detail =
            "no lock console, " + std::string{stands_still} + ": " + state.error().text();
        return false;
    }

    /// Of a leader that is elsewhere nobody knows what it has. A terminal that sshd has no master
    /// of is closed. Of another leader's a program may only have let it go (TIOCNOTTY,
    /// ioctl_tty(2)), which what stands still cannot.
    void note_none() {
        if (!has_leader_)
            return note(fail("its leader is not in its scope"));
        if (had_terminal_ && !was_frozen_ && !is_sshd(target_.leader))
            return note(fail("its programs have let its terminal go"));
        report_.no_terminal = true;
        note(fail(without_terminal(target_.scope, target_.leader)));
    }

    Result<> take_one(const Terminal& terminal) {
        const core::SavedTerminal* known = find(saved_, terminal);
        if (known && known->lock_console != 0)
            known = nullptr;
        auto plan = plan_for(terminal, known);
        if (!plan) {
            if (plan.error().code == ENOENT) // it went between the look and now
                return {};
            if (known)
                report_.terminals.push_back(*known);
            return std::unexpected{plan.error()};
        }
        if (plan->is_new)
            if (auto written = save_(plan->state); !written)
                return written;
        auto taken = plan->is_held ? Result<>{} : take(plan->state, target_.scope);
        // Where that failed the prompt may change the settings first, and they are not a program's.
        if (taken && !plan->is_held)
            fresh_.push_back(report_.terminals.size());
        report_.terminals.push_back(plan->state);
        return taken || taken.error().code == ENOENT ? Result<>{} : taken;
    }

    /// What is given back of a terminal, and what is still to be done there.
    struct Plan {
        core::SavedTerminal state;
        bool is_new;  ///< the store does not have it, or somebody has to ask there anew
        bool is_held; ///< it was taken, and is asked at
    };

    Result<Plan> plan_for(const Terminal& terminal, const core::SavedTerminal* known) const {
        if (known && !was_frozen_)
            return Plan{.state = *known, .is_new = false, .is_held = false};
        auto now = enforce::save(target_.session, terminal, target_.scope, target_.owner);
        if (!now)
            return std::unexpected{now.error()};
        if (known && is_taken_from(*now, *known))
            return Plan{.state = *known, .is_new = false, .is_held = true};
        const bool is_touched =
            was_frozen_ && (is_taken(*now) || (now->uid == 0 && target_.owner != 0));
        // An earlier take() got no further, or not as far and the prompt has set its own already.
        if (known &&
            (is_touched || (is_silent(*now) && place_of_prompt(target_.session, terminal.path))))
            return Plan{.state = *known, .is_new = !is_touched, .is_held = false};
        // Taken by a lock of which the store knows no more; or new, also under an old number.
        return Plan{.state = is_touched ? as_new(*now, target_.owner) : *now,
                    .is_new = true,
                    .is_held = false};
    }

    void freeze_users() {
        if (const auto made = make_frozen_child(target_.scope); !made)
            return note(made);
        search_.emplace(target_.scope, target_.leader, frozen_at_);
        for (int pass = 0; pass < max_passes && gather_inside(); ++pass) {
        }
        const auto frozen = freeze(target_.scope, freeze_patience);
        stops_late_ = frozen && !*frozen;
        if (!frozen)
            note(std::unexpected{frozen.error()});
        note(seal(target_.scope, target_.leader));
    }

    Result<> cannot_be_held() const {
        const auto& [pid, error] = *unmoved_.begin();
        const auto stat = base::read_process_stat(pid);
        return fail(error.code, "process " + std::to_string(pid) +
                                    (stat ? " (" + stat->command + ")" : "") +
                                    (unmoved_.size() > 1
                                         ? " and " + std::to_string(unmoved_.size() - 1) + " more"
                                         : "") +
                                    " at the session's terminal cannot be held");
    }

    Result<> look_at_carriers() {
        const auto processes = base::processes_in(target_.scope);
        const auto held = base::processes_in(target_.scope + "/" + frozen_child);
        if (!processes || !held)
            return std::unexpected{processes ? held.error() : processes.error()};
        report_.carriers = carriers_of(*processes, target_.leader);
        std::erase(report_.carriers, target_.leader);
        report_.client_gone = left_by_sshd(*processes, *held, target_.leader);
        return {};
    }

    Result<> take_again(core::SavedTerminal& terminal) {
        const auto changed = retake(terminal, target_.scope);
        if (!changed)
            return changed.error().code == ENOENT ? Result<>{} : std::unexpected{changed.error()};
        if (!*changed)
            return {};
        terminal.settings = **changed;
        return save_(terminal);
    }

    const LockTarget& target_;
    const std::vector<core::SavedTerminal>& saved_;
    const bool had_terminal_;
    const SaveTerminal& save_;
    const TerminalsTaken& taken_;
    const bool was_frozen_;
    bool looked_ = false;             ///< the session's terminals could be looked for
    bool has_leader_ = false;         ///< and its leader was found there
    std::vector<Terminal> found_;     ///< by all looks
    std::vector<Terminal> frozen_at_; ///< those of them without a lock console
    bool needs_freeze_ = false;       ///< not all of it is behind lock consoles
    bool stops_late_ = false;
    std::optional<UserSearch> search_;
    Unmoved unmoved_;
    LockReport report_;
    /// The places of those whose settings an application may still have changed.
    std::vector<std::size_t> fresh_;
    Result<> first_{};
};

/// What forked while it was moved, what joined since, and jobs elsewhere; it freezes as it moves
/// in. Returns those that had new ones at each look.
std::vector<Hold*> gather_stragglers(std::vector<Hold*> holds) {
    for (int pass = 0; pass < max_passes && !holds.empty(); ++pass) {
        std::vector<UserSearch*> searches;
        std::vector<bool> moved;
        for (Hold* hold : holds) {
            moved.push_back(hold->gather_inside());
            searches.push_back(&hold->search());
        }
        const auto elsewhere = UserSearch::look_elsewhere(searches);
        std::vector<Hold*> again;
        for (std::size_t i = 0; i < holds.size(); ++i) {
            if (!elsewhere[i])
                holds[i]->note(std::unexpected{elsewhere[i].error()});
            else if (holds[i]->move_in(*elsewhere[i]) || moved[i])
                again.push_back(holds[i]);
        }
        holds = std::move(again);
    }
    return holds;
}

} // namespace

std::vector<LockReport> hold(std::vector<LockRequest> requests) {
    std::list<Hold> holds;
    std::vector<Hold*> searched;
    std::vector<unsigned> given; // lock consoles
    for (auto& request : requests) {
        std::ranges::copy(given, std::back_inserter(request.target.other_lock_consoles));
        auto& hold = holds.emplace_back(request);
        hold.begin();
        for (const auto& terminal : hold.terminals())
            if (terminal.lock_console != 0)
                given.push_back(terminal.lock_console);
        if (hold.is_searched())
            searched.push_back(&hold);
    }
    const auto growing = gather_stragglers(std::move(searched));
    std::vector<LockReport> reports;
    for (auto& hold : holds)
        reports.push_back(hold.end(std::ranges::count(growing, &hold) > 0));
    return reports;
}

Result<> release(const LockTarget& target, const std::vector<core::SavedTerminal>& saved,
                 Redraw& redraw) {
    // Only what still is this session's: numbers of terminals are used again.
    const auto terminals = find_terminals(whose(target, saved));
    if (!terminals && terminals.error().code != ENOENT)
        return std::unexpected{terminals.error()};
    Result<> first{};
    for (const core::SavedTerminal& terminal : saved) {
        const bool is_own =
            terminals && std::ranges::count(*terminals, terminal.device, &Terminal::device) > 0;
        if (!is_own && terminal.lock_console == 0)
            continue;
        auto given = terminal.lock_console == 0 ? give_back(terminal, target.scope)
                                                : release_console(terminal, is_own, target.scope);
        if (!given && first)
            first = std::move(given);
    }
    // Thawed even where a terminal could not be given back: nothing may stay frozen for ever.
    auto thawed = thaw(target.scope);
    if (!thawed && !(thawed.error().code == EBUSY && !is_frozen(target.scope)))
        return thawed;
    if (!terminals)
        return first;
    // Behind a lock console nothing was drawn over.
    auto drawn_over = *terminals;
    std::erase_if(drawn_over, [&](const Terminal& one) {
        const auto* const known = find(saved, one);
        return known && known->lock_console != 0;
    });
    redraw.ask(target.scope, drawn_over);
    return first;
}

} // namespace vigil::enforce
