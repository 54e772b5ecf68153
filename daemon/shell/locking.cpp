// Locks, as they fall due: those of one moment are held together, since one look at all processes
// of the host serves them all.

#include "base/clock.hpp"
#include "base/log.hpp"
#include "daemon/enforce/console.hpp"
#include "daemon/enforce/prompt.hpp"
#include "daemon/enforce/scope.hpp"
#include "daemon/shell/shell.hpp"

#include <algorithm>
#include <cerrno>
#include <list>
#include <utility>

namespace vigil::shell {

namespace {

/// To hold one takes a millisecond or two; the first of them waits for the last, and so does
/// whoever logs in.
constexpr std::size_t most_held_at_once = 8;

/// So long locks wait while the loop has other things to do, and so long it has for these between
/// two lots of locks.
constexpr Microseconds lock_patience = std::chrono::milliseconds{20};

std::string nobody_asks(const std::string& why) {
    return "held, but nobody asks there: " + why;
}

} // namespace

/// One lock that is made together with others.
struct Shell::Held {
    Watched& watched;
    std::vector<enforce::Terminal> before;
    std::vector<core::SavedTerminal> saved;
    Asked asked;
};

void Shell::perform(const core::Lock& effect) {
    const auto found = watched_.find(effect.session);
    if (found == watched_.end() || std::exchange(found->second.lock_due, true))
        return;
    if (locks_due_.empty())
        locks_due_since_ = base::read_boot_time();
    locks_due_.push_back(effect.session);
}

/// By when those that are due are held, whatever else there is to do.
std::optional<BootTime> Shell::hold_by() const {
    return locks_due_.empty() ? std::nullopt : std::optional{locks_due_since_ + lock_patience};
}

int Shell::on_idle(sd_event_source*, void* userdata) noexcept {
    try {
        static_cast<Shell*>(userdata)->drain(Holding::at_once);
    } catch (const std::exception& error) {
        base::log(base::Level::error, error.what());
    }
    return 0;
}

/// Of those that are due the first few. What fails unforeseen has not held, and is tried again.
void Shell::hold_some() noexcept {
    std::vector<core::SessionId> lot;
    try {
        while (!locks_due_.empty() && lot.size() < most_held_at_once) {
            lot.push_back(locks_due_.front());
            locks_due_.pop_front();
            if (const auto found = watched_.find(lot.back()); found != watched_.end())
                found->second.lock_due = false;
        }
        hold(lot);
    } catch (const std::exception& error) {
        base::log(base::Level::error, error.what());
        for (const auto& id : lot)
            events_.push_back(core::LockDone{id, false, error.what(), {}});
    }
    locks_due_since_ = base::read_boot_time();
}

void Shell::hold(const std::vector<core::SessionId>& lot) {
    std::list<Held> all;
    std::vector<enforce::LockRequest> requests;
    for (const auto& id : lot) {
        const auto found = watched_.find(id);
        // Something else may have been done to it meanwhile.
        const auto* known = record(id);
        if (found != watched_.end() && known && known->state == core::State::locked)
            prepare(*known, found->second, all, requests);
    }
    auto reports = enforce::hold(std::move(requests));
    auto report = reports.begin();
    for (auto& one : all)
        finish(one, *report++);
}

void Shell::prepare(const core::SessionRecord& known, Watched& watched, std::list<Held>& all,
                    std::vector<enforce::LockRequest>& requests) {
    // Nothing is held against root's own hand.
    if (const auto thawed = enforce::thawed_by_hand(known.cgroup);
        thawed && core::undoes(*thawed, known)) {
        events_.push_back(core::ThawedByHand{known.id, *thawed});
        return;
    }
    // An older look says nothing of what is held from here on.
    watched.looked_for_holders.reset();
    auto& held = all.emplace_back(
        Held{.watched = watched,
             .before = std::exchange(watched.terminals, {}),
             .saved = store_.terminals(known.id).value_or(std::vector<core::SavedTerminal>{}),
             .asked = {}});
    requests.push_back(
        {.target = target(known),
         .saved = held.saved,
         .before = held.before,
         .save =
             [this, &watched](const core::SavedTerminal& terminal) {
                 // A number that was used again has no prompt yet.
                 watched.prompted.erase(terminal.device);
                 auto result = store_.put(terminal);
                 stored(result);
                 return result;
             },
         .taken = [this, &held](
                      const auto& terminals) { held.asked = ask_at(held.watched, terminals); }});
}

void Shell::finish(Held& held, enforce::LockReport& report) {
    auto& watched = held.watched;
    for (const auto& terminal : report.desktops) {
        watched.terminals.push_back(terminal);
        stored(store_.erase_terminal(watched.id, terminal.path));
    }
    watched.no_terminal = report.no_terminal;
    std::vector<std::string> paths;
    for (const auto& terminal : watched.terminals)
        paths.push_back(terminal.path);
    watch_locked(watched, held.before, held.saved);
    watch_carriers(watched, report.carriers);
    const bool escaped = note_escaped(watched, report.escaped);
    if (report.client_gone)
        events_.push_back(core::ClientGone{watched.id});
    const auto& asked = held.asked;
    bool unasked = false;
    if (!asked.consoles && report.held) {
        report.held = false;
        report.detail = "its console cannot be watched: " + asked.consoles.error().text();
    } else if (!asked.prompts && report.held) {
        report.held = false;
        unasked = true;
        report.detail = nobody_asks(asked.prompts.error().text());
    }
    if (const auto* known = record(watched.id); known && report.is_desktop)
        look_at_desktop(*known);
    events_.push_back(core::LockDone{.session = watched.id,
                                     .held = report.held,
                                     .detail = std::move(report.detail),
                                     .terminals = std::move(paths),
                                     .unasked = unasked,
                                     .escaped = escaped,
                                     .desktop_at_console = report.is_desktop,
                                     .no_terminal = report.no_terminal});
}

/// false: nobody has been taken out who had not been before.
bool Shell::note_escaped(Watched& watched, const std::vector<enforce::ForeignHolder>& escaped) {
    const auto before = watched.escaped.size();
    for (const auto& one : escaped)
        if (watched.escaped.size() < enforce::max_holders &&
            !std::ranges::count(watched.escaped, one.pid, &enforce::ForeignHolder::pid))
            watched.escaped.push_back(one);
    return watched.escaped.size() > before;
}

void Shell::perform(const core::RenewPrompts& effect) {
    const auto found = watched_.find(effect.session);
    if (found == watched_.end())
        return;
    for (const auto& terminal : found->second.terminals)
        enforce::renew_prompt(effect.session, terminal.path);
}

void Shell::perform(const core::LookForGaps& effect) {
    look_for_holders(effect.sessions);
    for (const auto& id : effect.sessions) {
        const auto found = watched_.find(id);
        if (found != watched_.end() && !found->second.looked_for_holders)
            events_.push_back(core::LookCutShort{id});
        else
            events_.push_back(core::GapsSeen{id, look_for_gaps(id, Microseconds::max())});
    }
}

/// Before it stands still wherever it can be: PID 1 starts the prompts while that is done. What
/// they show they ask vigild, which has no answer before all is held.
Shell::Asked Shell::ask_at(Watched& watched, const std::vector<core::SavedTerminal>& terminals) {
    watched.terminals.clear();
    for (const auto& terminal : terminals)
        watched.terminals.push_back({terminal.path, terminal.device});
    Asked asked;
    asked.consoles = keep_consoles(watched, terminals);
    asked.prompts = start_prompts(watched);
    return asked;
}

/// One at each terminal, asked for once: PID 1 starts one that is killed.
Result<> Shell::start_prompts(Watched& watched) {
    if (!service_manager_)
        return fail(not_to_be_asked);
    const auto* known = record(watched.id);
    if (!known)
        return fail(ESRCH, "looking for the session");
    Result<> first{};
    for (const auto& terminal : watched.terminals) {
        if (!watched.prompted.insert(terminal.device).second)
            continue;
        const auto* console = console_of(watched, terminal.device);
        const auto place = console ? enforce::console(console->lock_console).path : std::string{};
        auto started = enforce::start_prompt(
            *service_manager_, *known, terminal.path, place,
            [this, id = watched.id, device = terminal.device](const std::string& line) {
                prompt_failed(id, device, line);
            });
        if (started)
            continue;
        watched.prompted.erase(terminal.device);
        if (first)
            first = std::move(started);
    }
    return first;
}

void Shell::prompt_failed(const core::SessionId& session, std::uint64_t device,
                          const std::string& line) {
    const auto found = watched_.find(session);
    if (found == watched_.end() || found->second.prompted.erase(device) == 0)
        return;
    dispatch(core::LockDone{session, false, nobody_asks(line), {}, true});
}

} // namespace vigil::shell
