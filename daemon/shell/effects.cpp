// An effect of the core becomes a change of the system, and what came of it an event.

#include "base/clock.hpp"
#include "base/log.hpp"
#include "daemon/audit/journal.hpp"
#include "daemon/enforce/console.hpp"
#include "daemon/enforce/prompt.hpp"
#include "daemon/enforce/scope.hpp"
#include "daemon/enforce/work.hpp"
#include "daemon/shell/shell.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

#include <sys/epoll.h>

namespace vigil::shell {

namespace {

/// A lock is looked at anew with each key at its prompt; who reads along is not.
constexpr Microseconds gaps_age = Seconds{1};

void log_failure(const std::string& line) {
    base::log(base::Level::warning, line);
}

void log_failure(const char* doing, const Result<>& result) {
    if (!result)
        log_failure(std::string{doing} + ": " + result.error().text());
}

} // namespace

// --- what is written down ------------------------------------------------------------------------

bool Shell::stored(const Result<>& result) {
    if (result) {
        if (std::exchange(write_failed_, false)) {
            base::log(base::Level::notice, "the state can be written again");
            store_error_ = store_trouble_;
        }
        return true;
    }
    if (!std::exchange(write_failed_, true))
        base::log(base::Level::error,
                  "the state cannot be written, limits would not survive a restart: " +
                      result.error().text());
    store_error_ = result.error().text();
    return false;
}

void Shell::perform(const core::StoreSession& effect) {
    stored(store_.put(effect.record));
}

void Shell::perform(const core::EraseSession& effect) {
    stored(store_.erase_session(effect.id));
}

void Shell::perform(const core::StoreGrant& effect) {
    events_.push_back(core::GrantStored{effect.record.id, stored(store_.put(effect.record))});
}

void Shell::perform(const core::EraseGrant& effect) {
    stored(store_.erase_grant(effect.id));
}

void Shell::perform(const core::Audit& effect) {
    audit::write_journal(effect);
}

// --- watching ------------------------------------------------------------------------------------

void Shell::perform(const core::Watch& effect) {
    const auto* known = record(effect.session);
    if (!known)
        return;
    const auto [entry, is_new] = watched_.try_emplace(effect.session);
    auto& watched = entry->second;
    if (is_new) {
        watched.shell = this;
        watched.id = effect.session;
        watched.uid = known->facts.uid;
        by_user_.emplace(watched.uid, watched.id);
        watched.before = store_.activity(effect.session).value_or(std::nullopt);
    }
    if (!watched.leader_source)
        watch_leader(watched, known->leader);
    if (is_graphical(*known)) {
        watched.desktop = known->logind_session;
        look_at_desktop(*known);
    }
}

void Shell::watch_leader(Watched& watched, const base::Process& process) {
    auto leader = base::open_pidfd(process);
    if (!leader && leader.error().code == ESRCH) {
        events_.push_back(core::LeaderGone{watched.id});
        return;
    }
    sd_event_source* source = nullptr;
    if (leader)
        watched.leader = std::move(*leader);
    // EMFILE, say: that its end cannot be told is not its end.
    if (!leader || sd_event_add_io(loop_, &source, watched.leader.get(), EPOLLIN, on_leader_gone,
                                   &watched) < 0) {
        log_failure("a session's process cannot be watched yet",
                    leader ? Result<>{} : std::unexpected{leader.error()});
        events_.push_back(core::WatchFailed{watched.id});
        return;
    }
    watched.leader_source.reset(source);
}

/// The session was just seen to have it. Numbers of terminals are used again, so whoever had it
/// before has it no more.
Result<> Shell::watch_terminal(const core::SessionId& session, const enforce::Terminal& terminal,
                               const enforce::Activity& known) {
    const auto [owner, is_new] = by_terminal_.try_emplace(terminal.device, session);
    if (!is_new && owner->second == session)
        return {};
    if (!is_new)
        lose_terminal(owner->second, terminal);
    by_terminal_[terminal.device] = session;
    return activity_->add(terminal, known);
}

/// What was written down of it must not be given to whoever has its number next.
void Shell::lose_terminal(core::SessionId session, const enforce::Terminal& terminal) {
    unwatch_terminal(session, terminal);
    if (const auto saved = store_.terminals(session))
        for (const auto& one : *saved)
            if (one.device == terminal.device && one.lock_console != 0)
                log_failure("giving up a lock console", enforce::release_console(one, false));
    stored(store_.erase_terminal(session, terminal.path));
    const auto found = watched_.find(session);
    if (found == watched_.end())
        return;
    std::erase(found->second.terminals, terminal);
    std::erase_if(found->second.consoles,
                  [&](const auto& one) { return one.device == terminal.device; });
    if (found->second.prompted.erase(terminal.device) > 0 && system_bus_)
        log_failure("stopping a prompt", enforce::stop_prompt(system_bus_, session, terminal.path));
}

void Shell::unwatch_terminal(const core::SessionId& session,
                             const enforce::Terminal& terminal) noexcept {
    const auto owner = by_terminal_.find(terminal.device);
    if (owner == by_terminal_.end() || owner->second != session)
        return;
    activity_->remove(terminal);
    by_terminal_.erase(owner);
}

void Shell::stop_prompts(const core::SessionId& id) {
    const auto saved = store_.terminals(id);
    if (!saved || !system_bus_)
        return;
    for (const auto& terminal : *saved)
        log_failure("stopping a prompt", enforce::stop_prompt(system_bus_, id, terminal.path));
}

void Shell::perform(const core::Forget& effect) {
    stop_prompts(effect.session);
    if (const auto saved = store_.terminals(effect.session))
        for (const auto& terminal : *saved)
            if (terminal.lock_console != 0)
                enforce::dismiss_prompt(effect.session, terminal.path);
    // A console outlives its session and must not stay as the lock left it.
    if (const auto saved = store_.terminals(effect.session))
        for (const auto& terminal : *saved) {
            const auto owner = by_terminal_.find(terminal.device);
            const bool is_own = owner == by_terminal_.end() || owner->second == effect.session;
            if (terminal.lock_console != 0)
                log_failure("giving a console back",
                            is_own ? enforce::leave_console(terminal)
                                   : enforce::release_console(terminal, false));
            else if (is_own)
                log_failure("giving a terminal back", enforce::give_back(terminal));
        }
    const auto found = watched_.find(effect.session);
    if (found == watched_.end())
        return;
    forget_consoles(found->second);
    for (const auto& terminal : found->second.terminals)
        unwatch_terminal(effect.session, terminal);
    desktops_.forget(found->second.desktop);
    const auto [first, last] = by_user_.equal_range(found->second.uid);
    for (auto entry = first; entry != last; ++entry)
        if (entry->second == effect.session) {
            by_user_.erase(entry);
            break;
        }
    watched_.erase(found);
}

std::vector<enforce::Terminal> Shell::look_for_terminals(const core::SessionRecord& known) {
    auto terminals = enforce::find_terminals(known.cgroup, known.leader.pid);
    return terminals.value_or(std::vector<enforce::Terminal>{});
}

/// Never before the true last input, and as near to it as is known.
enforce::Activity Shell::known_activity(const Watched& watched, const enforce::Terminal& terminal,
                                        const Now& now) const {
    const auto input = enforce::latest_input(terminal, now);
    const auto& before = watched.before;
    // atime is the first read of its step: later than what was written down, there was one more.
    const auto step_began = input - enforce::input_step;
    if (before && activity_->inherited() && before->input >= step_began)
        return {.input = before->input, .output = before->output};
    return {.input = input, .output = before ? std::max(before->output, input) : input};
}

/// What nobody asks for is not looked up. Whether a session without a terminal is asked about may
/// change with what is found there.
void Shell::read_work(core::ActivitySeen& seen, const Watched& watched,
                      const core::SessionView& view) const {
    const auto& known = *view.record;
    if (known.cgroup.empty())
        return;
    if (view.counts_work || policy::has_no_terminal(known.facts.session_class)) {
        seen.work = enforce::read_work(known.cgroup, known.leader.pid);
        seen.work_at_input = watched.work_at_input;
        seen.work_at_output = watched.work_at_output;
    }
    if (seen.terminals.empty())
        if (const auto runs = enforce::classify(known.cgroup, known.leader.pid))
            seen.session_class = *runs;
}

void Shell::perform(const core::ReadActivity& effect) {
    const auto view = machine_.view(effect.session);
    const auto found = watched_.find(effect.session);
    if (!view || found == watched_.end())
        return;
    if (is_graphical(*view->record))
        return look_at_desktop(*view->record);
    auto& watched = found->second;
    const auto now = base::read_clocks();
    auto terminals = look_for_terminals(*view->record);
    for (const auto& terminal : watched.terminals)
        if (!std::ranges::count(terminals, terminal))
            unwatch_terminal(effect.session, terminal);
    for (const auto& terminal : terminals)
        log_failure("watching a terminal", watch_terminal(effect.session, terminal,
                                                          known_activity(watched, terminal, now)));
    activity_->refresh();
    const auto& cgroup = view->record->cgroup;
    core::ActivitySeen seen{.session = effect.session, .terminals = {}};
    seen.held = (!cgroup.empty() && enforce::is_frozen(cgroup)) ||
                std::ranges::any_of(terminals, enforce::is_shut);
    for (const auto& terminal : terminals) {
        seen.terminals.push_back(terminal.path);
        // What cannot be watched counts as used now: a lock is never early.
        const auto activity =
            activity_->get(terminal).value_or(enforce::Activity{now.boot, now.boot});
        seen.last_input = std::max(seen.last_input, activity.input);
        seen.last_output = std::max(seen.last_output, activity.output);
    }
    read_work(seen, watched, *view);
    watched.terminals = std::move(terminals);
    if (!watched.terminals.empty()) {
        watched.before.reset();
        write_activity(watched, std::max(view->last_input, seen.last_input), seen.last_output);
    }
    events_.push_back(std::move(seen));
}

// --- the session itself --------------------------------------------------------------------------

enforce::LockTarget Shell::target(const core::SessionRecord& known) const {
    enforce::LockTarget target{.session = known.id,
                               .owner = known.facts.uid,
                               .scope = known.cgroup,
                               .leader = known.leader.pid,
                               .other_lock_consoles = {}};
    for (const auto& [id, watched] : watched_)
        for (const auto& console : watched.consoles)
            if (id != known.id)
                target.other_lock_consoles.push_back(console.lock_console);
    return target;
}

void Shell::perform(const core::Say& effect) {
    const auto* known = record(effect.session);
    if (!known)
        return;
    for (const auto& terminal : look_for_terminals(*known))
        log_failure("telling the user", enforce::say(terminal, effect.line, effect.last));
}

void Shell::perform(const core::Lock& effect) {
    const auto* known = record(effect.session);
    const auto found = watched_.find(effect.session);
    if (!known || found == watched_.end())
        return;
    auto& watched = found->second;
    // Nothing is held against root's own hand.
    if (const auto thawed = enforce::thawed_by_hand(known->cgroup);
        thawed && *thawed >= known->locked_since) {
        events_.push_back(core::ThawedByHand{effect.session, *thawed});
        return;
    }
    const auto saved = store_.terminals(effect.session);
    auto report = enforce::hold(target(*known), saved.value_or(std::vector<core::SavedTerminal>{}),
                                [&](const core::SavedTerminal& terminal) {
                                    // A number that was used again has no prompt yet.
                                    watched.prompted.erase(terminal.device);
                                    auto result = store_.put(terminal);
                                    stored(result);
                                    return result;
                                });
    // Watched under the lock too: what is used there tells of somebody who is not held.
    const auto now = base::read_boot_time();
    std::vector<enforce::Terminal> terminals;
    for (const auto& terminal : report.terminals)
        terminals.push_back({terminal.path, terminal.device});
    for (const auto& known_before : saved.value_or(std::vector<core::SavedTerminal>{})) {
        const enforce::Terminal terminal{known_before.path, known_before.device};
        // Nothing found at all can be a look that failed.
        if (!terminals.empty() && !std::ranges::count(terminals, terminal))
            lose_terminal(effect.session, terminal);
    }
    for (const auto& terminal : watched.terminals)
        if (!std::ranges::count(terminals, terminal))
            unwatch_terminal(effect.session, terminal);
    for (const auto& terminal : terminals)
        log_failure("watching a terminal", watch_terminal(effect.session, terminal, {now, now}));
    watched.terminals = std::move(terminals);
    watch_carriers(watched, report.carriers);
    if (const auto kept = keep_consoles(watched, report.terminals); !kept && report.held) {
        report.held = false;
        report.detail = "its console cannot be watched: " + kept.error().text();
    }
    if (report.client_gone)
        events_.push_back(core::ClientGone{effect.session});
    bool unasked = false;
    if (const auto started = start_prompts(watched); !started && report.held) {
        report.held = false;
        unasked = true;
        report.detail = "held, but nobody asks there: " + started.error().text();
    }
    std::vector<std::string> paths;
    for (const auto& terminal : watched.terminals)
        paths.push_back(terminal.path);
    events_.push_back(core::LockDone{effect.session, report.held, std::move(report.detail),
                                     std::move(paths), unasked});
}

void Shell::perform(const core::LookForGaps& effect) {
    events_.push_back(core::GapsSeen{effect.session, look_for_gaps(effect.session, gaps_age)});
}

void Shell::watch_carriers(Watched& watched, const std::vector<pid_t>& carriers) {
    for (const pid_t pid : carriers) {
        auto& source = watched.carriers[pid];
        if (source)
            continue;
        auto pidfd = base::open_pidfd(pid);
        sd_event_source* raw = nullptr;
        if (pidfd &&
            sd_event_add_io(loop_, &raw, pidfd->get(), EPOLLIN, on_carrier_gone, &watched) >= 0) {
            source.reset(raw);
            sd_event_source_set_io_fd_own(raw, 1);
            static_cast<void>(pidfd->release());
        } else if (!pidfd && pidfd.error().code == ESRCH) {
            events_.push_back(core::ClientGone{watched.id});
        } else {
            log_failure("a session's sshd cannot be watched");
        }
    }
}

/// One at each terminal, asked for once: PID 1 starts one that is killed.
Result<> Shell::start_prompts(Watched& watched) {
    if (!system_bus_)
        return fail("there is no system bus to start the prompt through");
    Result<> first{};
    for (const auto& terminal : watched.terminals) {
        if (!watched.prompted.insert(terminal.device).second)
            continue;
        const auto console =
            std::ranges::find(watched.consoles, terminal.device, &core::SavedTerminal::device);
        const auto place = console == watched.consoles.end()
                               ? std::string{}
                               : enforce::console(console->lock_console).path;
        auto started = enforce::start_prompt(
            system_bus_, watched.id, terminal.path, place,
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
    dispatch(core::LockDone{session, false, "held, but nobody asks there: " + line, {}, true});
}

void Shell::perform(const core::Unlock& effect) {
    const auto* known = record(effect.session);
    if (!known)
        return;
    const auto saved = store_.terminals(effect.session);
    if (!saved) {
        events_.push_back(core::UnlockDone{effect.session, false, saved.error().text()});
        return;
    }
    for (const auto& terminal : *saved)
        enforce::dismiss_prompt(effect.session, terminal.path);
    const auto released = enforce::release(target(*known), *saved, redraw_);
    if (released) {
        if (const auto found = watched_.find(effect.session); found != watched_.end()) {
            found->second.prompted.clear();
            found->second.carriers.clear();
            forget_consoles(found->second);
            found->second.looked_for_holders.reset();
        }
        stop_prompts(effect.session);
        stored(store_.erase_terminals(effect.session));
    }
    events_.push_back(core::UnlockDone{effect.session, released.has_value(),
                                       released ? std::string{} : released.error().text()});
}

void Shell::perform(const core::KillFrozen& effect) {
    if (!effect.cgroup.empty())
        log_failure("killing what is frozen", enforce::kill_frozen(effect.cgroup));
}

void Shell::perform(const core::Terminate& effect) {
    const auto* known = record(effect.session);
    if (!known)
        return;
    if (known->logind_session.empty())
        signal_leader(effect.session, SIGTERM);
    if (known->logind_session.empty() || !system_bus_)
        return;
    log_failure("asking logind to end a session",
                enforce::terminate_session(system_bus_, known->logind_session,
                                           [](const std::string& line) { log_failure(line); }));
}

void Shell::perform(const core::KillScope& effect) {
    const auto* known = record(effect.session);
    if (!known)
        return;
    if (known->cgroup.empty())
        signal_leader(effect.session, SIGKILL);
    else
        log_failure("killing a session", enforce::kill_scope(known->cgroup));
}

/// All that can be reached of a login that logind made no session for.
void Shell::signal_leader(const core::SessionId& session, int signal) {
    const auto found = watched_.find(session);
    if (found == watched_.end() || !found->second.leader)
        return;
    const auto sent = base::send_signal(found->second.leader.get(), signal);
    if (!sent && sent.error().code != ESRCH)
        log_failure("ending a login", sent);
}

void Shell::perform(const core::CheckGone& effect) {
    const auto* known = record(effect.session);
    const bool gone = !known                  ? true
                      : known->cgroup.empty() ? !base::is_alive(known->leader)
                                              : enforce::is_gone(known->cgroup);
    events_.push_back(core::ScopeSeen{effect.session, gone});
}

// --- answers -------------------------------------------------------------------------------------

void Shell::respond(core::Token token, const Reply& reply) {
    const auto found = waiting_.find(token);
    if (found == waiting_.end())
        return;
    const auto responder = std::move(found->second);
    waiting_.erase(found);
    responder(reply);
}

void Shell::perform(const core::ReplyReserve& effect) {
    respond(effect.token, effect);
}

void Shell::perform(const core::ReplyLimit& effect) {
    respond(effect.token, effect);
}

void Shell::perform(const core::ReplyAsk& effect) {
    respond(effect.token, effect);
}

void Shell::perform(const core::ReplyProve& effect) {
    respond(effect.token, effect);
}

void Shell::perform(const core::ReplyWait& effect) {
    respond(effect.token, effect);
}

void Shell::perform(const core::ReplyId& effect) {
    respond(effect.token, effect);
}

void Shell::perform(const core::ReplyDone& effect) {
    respond(effect.token, effect);
}

} // namespace vigil::shell
