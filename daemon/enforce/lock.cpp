#include "daemon/enforce/lock.hpp"

#include "daemon/enforce/console.hpp"
#include "daemon/enforce/prompt.hpp"
#include "daemon/enforce/scope.hpp"
#include "daemon/enforce/terminal_file.hpp"
#include "daemon/enforce/terminal_users.hpp"

#include <algorithm>
#include <cerrno>

namespace vigil::enforce {

namespace {

/// How often the scope is looked through for new users of the terminals, before and after the
/// freeze. A session that forks faster than that is held all the same, and said to be not covered.
constexpr int max_passes = 50;

/// How long hold() waits for the freeze; 1000 processes need 5 ms.
constexpr Microseconds freeze_patience = std::chrono::milliseconds{50};

/// Moves users of the terminals into the child until a look finds none outside. false: still there
/// after `max_passes`.
Result<bool> gather(const LockTarget& target, UserSearch& search) {
    const std::string child = target.scope + "/" + frozen_child;
    for (int pass = 0; pass < max_passes; ++pass) {
        const auto inside = processes_in(child);
        if (!inside)
            return std::unexpected{inside.error()};
        const auto users = search.look(*inside);
        if (!users)
            return std::unexpected{users.error()};
        for (const pid_t pid : *users)
            if (const auto moved = move_to_frozen(target.scope, pid); !moved)
                return std::unexpected{moved.error()};
        if (users->empty())
            return true;
    }
    return false;
}

const core::SavedTerminal* find(const std::vector<core::SavedTerminal>& saved,
                                const Terminal& terminal) noexcept {
    const auto found = std::ranges::find_if(saved, [&](const core::SavedTerminal& one) {
        return one.path == terminal.path && one.device == terminal.device;
    });
    return found == saved.end() ? nullptr : &*found;
}

/// One lock being made. `fresh_` are the terminals whose settings an application may still change.
class Hold {
public:
    Hold(const LockTarget& target, const std::vector<core::SavedTerminal>& saved,
         const SaveTerminal& save)
        : target_{target}, saved_{saved}, save_{save}, was_frozen_{is_frozen(target.scope)} {}

    /// Goes on after a failure: the rest is held all the same, and the first failure told.
    Result<> run() {
        auto terminals = find_terminals(target_.scope, target_.leader);
        if (!terminals)
            return std::unexpected{terminals.error()};
        if (terminals->empty())
            return fail("no terminal");
        Result<> first{};
        std::erase_if(*terminals, [&](const Terminal& one) {
            auto taken = take_console(one);
            if (!taken && first)
                first = std::unexpected{taken.error()};
            return taken.value_or(true);
        });
        if (terminals->empty())
            return first;
        const auto note = [&first](Result<> result) {
            if (!result && first)
                first = std::move(result);
        };
        for (const Terminal& terminal : *terminals)
            note(take_one(terminal));
        note(freeze_users(*terminals));
        note(look_at_carriers());
        for (core::SavedTerminal* terminal : fresh())
            note(take_again(*terminal));
        return first;
    }

    LockReport report;

private:
    /// Whether a lock console asks in its place, so that nothing has to be frozen. Where none can
    /// be had, it is asked at the console itself, for as long as the lock lasts. An error: it was
    /// had, so somebody may be asked there, and it is tried again.
    Result<bool> take_console(const Terminal& terminal) {
        if (console_number(terminal.device) == 0)
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
            report.terminals.push_back(std::move(*state));
            is_fresh_.push_back(false);
            return true;
        }
        if (known && place_of_prompt(target_.session, terminal.path)) {
            report.terminals.push_back(*known);
            is_fresh_.push_back(false);
            return std::unexpected{state.error()};
        }
        if (known || written.lock_console != 0)
            static_cast<void>(release_console(known ? *known : written, true));
        report.detail = "no lock console, so what runs there stands still: " + state.error().text();
        return false;
    }

    Result<> take_one(const Terminal& terminal) {
        core::SavedTerminal state;
        const core::SavedTerminal* const known = find(saved_, terminal);
        if (known && known->lock_console == 0 && !(was_frozen_ && is_another(terminal))) {
            state = *known;
            // Held before: the prompt has settings of its own there by now.
            is_fresh_.push_back(!was_frozen_);
        } else {
            const auto now = enforce::save(target_.session, terminal);
            if (!now) // it went between the look and now
                return now.error().code == ENOENT ? Result<>{} : std::unexpected{now.error()};
            // Taken by a lock of which the store knows no more.
            const bool is_lost = was_frozen_ && is_taken(*now);
            state = is_lost ? as_new(*now, target_.owner) : *now;
            if (auto written = save_(state); !written)
                return written;
            is_fresh_.push_back(!is_lost);
        }
        report.terminals.push_back(state);
        if (!is_fresh_.back())
            return {};
        auto taken = take(state);
        if (!taken && taken.error().code != ENOENT)
            return taken;
        return {};
    }

    /// Held before, and yet not as take() leaves it: a new terminal under the old number.
    bool is_another(const Terminal& terminal) const {
        const auto now = enforce::save(target_.session, terminal);
        return now && !is_taken(*now);
    }

    Result<> freeze_users(const std::vector<Terminal>& terminals) {
        if (auto made = make_frozen_child(target_.scope); !made)
            return made;
        UserSearch search{target_.scope, target_.leader, terminals};
        const auto gathered = gather(target_, search);
        if (!gathered)
            return std::unexpected{gathered.error()};
        const auto frozen = freeze(target_.scope, freeze_patience);
        if (!frozen)
            return std::unexpected{frozen.error()};
        if (const auto sealed = seal(); !sealed)
            return sealed;
        // What forked while it was moved, and what joined since; it freezes as it moves in.
        const auto stragglers = gather(target_, search);
        if (!stragglers)
            return std::unexpected{stragglers.error()};
        if (!*stragglers)
            return fail("new processes of the session keep opening its terminal");
        if (!*frozen)
            report.detail += std::string{report.detail.empty() ? "" : "; "} +
                             "a process is in the kernel and stops as it comes back";
        return {};
    }

    /// From here on no channel of the connection brings in a process; where that cannot be had,
    /// what it brings is held as it is found.
    Result<> seal() {
        if (!is_sshd(target_.leader))
            return {};
        const auto processes = processes_in(target_.scope);
        if (!processes)
            return std::unexpected{processes.error()};
        const auto sealed = seal_connection(target_.scope, carriers_of(*processes, target_.leader));
        return sealed ? Result<>{} : std::unexpected{sealed.error()};
    }

    Result<> look_at_carriers() {
        const auto processes = processes_in(target_.scope);
        const auto held = processes_in(target_.scope + "/" + frozen_child);
        if (!processes || !held)
            return std::unexpected{processes ? held.error() : processes.error()};
        report.carriers = carriers_of(*processes, target_.leader);
        std::erase(report.carriers, target_.leader);
        report.client_gone = left_by_sshd(*processes, *held, target_.leader);
        return {};
    }

    std::vector<core::SavedTerminal*> fresh() {
        std::vector<core::SavedTerminal*> found;
        for (std::size_t i = 0; i < report.terminals.size(); ++i)
            if (is_fresh_[i])
                found.push_back(&report.terminals[i]);
        return found;
    }

    Result<> take_again(core::SavedTerminal& terminal) {
        const auto changed = retake(terminal);
        if (!changed)
            return changed.error().code == ENOENT ? Result<>{} : std::unexpected{changed.error()};
        if (!*changed)
            return {};
        terminal.settings = **changed;
        return save_(terminal);
    }

    const LockTarget& target_;
    const std::vector<core::SavedTerminal>& saved_;
    const SaveTerminal& save_;
    const bool was_frozen_;
    std::vector<bool> is_fresh_;
};

} // namespace

LockReport hold(const LockTarget& target, const std::vector<core::SavedTerminal>& saved,
                const SaveTerminal& save) {
    Hold hold{target, saved, save};
    const auto held = hold.run();
    hold.report.held = held.has_value();
    if (!held)
        hold.report.detail = held.error().text();
    return std::move(hold.report);
}

Result<> release(const LockTarget& target, const std::vector<core::SavedTerminal>& saved,
                 Redraw& redraw) {
    // Only what still is this session's: numbers of terminals are used again.
    const auto terminals = find_terminals(target.scope, target.leader);
    if (!terminals && terminals.error().code != ENOENT)
        return std::unexpected{terminals.error()};
    Result<> first{};
    for (const core::SavedTerminal& terminal : saved) {
        const bool is_own =
            terminals && std::ranges::count(*terminals, terminal.device, &Terminal::device) > 0;
        if (!is_own && terminal.lock_console == 0)
            continue;
        auto given =
            terminal.lock_console == 0 ? give_back(terminal) : release_console(terminal, is_own);
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
