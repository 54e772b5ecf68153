// What is watched of a session from its start to its end: its leader, its terminals, and what they
// and its work were used for.

#include "base/clock.hpp"
#include "base/log.hpp"
#include "daemon/enforce/console.hpp"
#include "daemon/enforce/prompt.hpp"
#include "daemon/enforce/scope.hpp"
#include "daemon/enforce/work.hpp"
#include "daemon/shell/shell.hpp"

#include <algorithm>
#include <cerrno>

#include <sys/epoll.h>

namespace vigil::shell {

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
        if (!core::is_elevated(*known)) {
            by_user_.emplace(watched.uid, watched.id);
            watched.before = store_.activity(effect.session).value_or(std::nullopt);
        }
    }
    if (!watched.leader_source)
        watch_leader(watched, known->leader);
    if (core::is_elevated(*known))
        watch_elevated(watched, *known);
    if (core::is_graphical(*known))
        look_at_desktop(*known);
}

void Shell::watch_leader(Watched& watched, const base::Process& process) {
    auto leader = base::open_pidfd(process);
    if (!leader && leader.error().code == ESRCH) {
        events_.push_back(core::LeaderGone{watched.id});
        return;
    }
    sd_event_source* source = nullptr;
    Result<> watching{};
    if (!leader) {
        watching = std::unexpected{leader.error()};
    } else {
        watched.leader = std::move(*leader);
        if (const int r = sd_event_add_io(loop_, &source, watched.leader.get(), EPOLLIN,
                                          on_leader_gone, &watched);
            r < 0)
            watching = fail(r, "adding it to the loop");
    }
    // EMFILE, say: that its end cannot be told is not its end.
    if (!watching) {
        base::log_failure("a session's process cannot be watched yet", watching);
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
    if (!is_new) {
        // Nothing has told that the one before was closed, or that was lost.
        events_.push_back(core::TerminalClosed{owner->second});
        lose_terminal(owner->second, terminal);
    }
    by_terminal_[terminal.device] = session;
    return activity_->add(terminal, known);
}

/// What was written down of it must not be given to whoever has its number next.
void Shell::lose_terminal(core::SessionId session, const enforce::Terminal& terminal) {
    unwatch_terminal(session, terminal);
    if (const auto saved = store_.terminals(session))
        for (const auto& one : *saved)
            if (one.device == terminal.device && one.lock_console != 0)
                base::log_failure("giving up a lock console", enforce::release_console(one, false));
    stored(store_.erase_terminal(session, terminal.path));
    events_.push_back(core::ScreenSeen{session, terminal.device}); // whatever it would have shown
    const auto found = watched_.find(session);
    if (found == watched_.end())
        return;
    std::erase(found->second.terminals, terminal);
    std::erase_if(found->second.consoles,
                  [&](const auto& one) { return one.device == terminal.device; });
    if (found->second.prompted.erase(terminal.device) > 0)
        stop_prompt(session, terminal.path);
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
    if (!saved)
        return;
    for (const auto& terminal : *saved)
        stop_prompt(id, terminal.path);
}

void Shell::stop_prompt(const core::SessionId& session, const std::string& terminal_path) {
    if (service_manager_)
        base::log_failure("stopping a prompt",
                          enforce::stop_prompt(*service_manager_, session, terminal_path));
}

void Shell::perform(const core::Forget& effect) {
    if (const auto elevated = watched_.find(effect.session);
        elevated != watched_.end() && !elevated->second.cgroup.empty())
        return forget_elevated(elevated->second);
    stop_prompts(effect.session);
    if (const auto saved = store_.terminals(effect.session))
        for (const auto& terminal : *saved) {
            // A console outlives its session and must not stay as the lock left it.
            const auto owner = by_terminal_.find(terminal.device);
            const bool is_own = owner == by_terminal_.end() || owner->second == effect.session;
            // It would take the settings again as it draws.
            enforce::dismiss_prompt(effect.session, terminal.path);
            if (terminal.lock_console != 0) {
                base::log_failure("giving a console back",
                                  is_own ? enforce::leave_console(terminal)
                                         : enforce::release_console(terminal, false));
            } else if (is_own) {
                base::log_failure("giving a terminal back", enforce::leave(terminal));
            }
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

Result<std::vector<enforce::Terminal>>
Shell::look_for_terminals(const core::SessionRecord& known) const {
    const auto found = watched_.find(known.id);
    return enforce::find_terminals({.scope = known.cgroup,
                                    .leader = known.leader.pid,
                                    .begun_at = known.pam_terminal,
                                    .shut = found == watched_.end()
                                                ? std::vector<enforce::Terminal>{}
                                                : enforce::shut_among(found->second.consoles)});
}

std::vector<enforce::Terminal> Shell::terminals_now(const core::SessionRecord& known) const {
    auto terminals = look_for_terminals(known);
    if (terminals)
        return std::move(*terminals);
    const auto found = watched_.find(known.id);
    // A scope that is gone is the session's end, which is told as that.
    if (terminals.error().code != ENOENT)
        base::log(base::Level::warning,
                  "looking for a session's terminals: " + terminals.error().text());
    return found == watched_.end() ? std::vector<enforce::Terminal>{} : found->second.terminals;
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
                      const core::SessionView& view) {
    const auto& known = *view.record;
    if (known.cgroup.empty())
        return;
    if (view.counts_work || policy::has_no_terminal(known.facts.session_class)) {
        seen.work = work_of(known);
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
    if (core::is_elevated(*view->record))
        return read_elevated(*view);
    if (core::is_graphical(*view->record))
        return look_at_desktop(*view->record);
    auto& watched = found->second;
    const auto now = base::read_clocks();
    auto terminals = terminals_now(*view->record);
    for (const auto& terminal : watched.terminals)
        if (!std::ranges::count(terminals, terminal))
            unwatch_terminal(effect.session, terminal);
    for (const auto& terminal : terminals)
        base::log_failure(
            "watching a terminal",
            watch_terminal(effect.session, terminal, known_activity(watched, terminal, now)));
    activity_->refresh();
    const auto& cgroup = view->record->cgroup;
    core::ActivitySeen seen{
        .session = effect.session, .before_lock = effect.before_lock, .terminals = {}};
    seen.held = (!cgroup.empty() && enforce::is_frozen(cgroup)) ||
                std::ranges::any_of(terminals, enforce::is_shut);
    seen.desktop_at_console =
        !terminals.empty() && std::ranges::all_of(terminals, [&](const auto& terminal) {
            return enforce::has_desktop(terminal, cgroup);
        });
    for (const auto& terminal : terminals) {
        seen.terminals.push_back(terminal.path);
        // What cannot be watched counts as used now: a lock is never early.
        const auto activity =
            activity_->get(terminal).value_or(enforce::Activity{now.boot, now.boot});
        seen.last_input = std::max(seen.last_input, activity.input);
        seen.last_output = std::max(seen.last_output, activity.output);
    }
    if (!effect.before_lock)
        read_work(seen, watched, *view);
    watched.terminals = std::move(terminals);
    if (!watched.terminals.empty()) {
        watched.before.reset();
        write_activity(watched, std::max(view->last_input, seen.last_input), seen.last_output);
    }
    if (seen.desktop_at_console)
        look_at_desktop(*view->record);
    events_.push_back(std::move(seen));
}

/// Programs that read their terminal as /dev/tty, as less and sudo do, are not told of by its name.
void Shell::look_at_warned() {
    for (const auto& id : machine_.warned()) {
        const auto found = watched_.find(id);
        if (found == watched_.end())
            continue;
        BootTime input{};
        for (const auto& terminal : found->second.terminals)
            if (const auto activity = activity_->get(terminal))
                input = std::max(input, activity->input);
        dispatch(core::WarnedTerminalUsed{id, input});
    }
}

/// Under the lock too: what is used there tells of somebody who is not held. `before` and `saved`:
/// what the session had when it was looked at last, and what an earlier attempt had taken.
void Shell::watch_locked(Watched& watched, const std::vector<enforce::Terminal>& before,
                         const std::vector<core::SavedTerminal>& saved) {
    const auto now = base::read_boot_time();
    const auto terminals = watched.terminals;
    // Nothing found at all can be a look that failed: what it had it has.
    if (terminals.empty() && !watched.no_terminal) {
        watched.terminals = before;
        return;
    }
    for (const auto& known : saved) {
        const enforce::Terminal terminal{known.path, known.device};
        if (!std::ranges::count(terminals, terminal))
            lose_terminal(watched.id, terminal);
    }
    for (const auto& terminal : before)
        if (!std::ranges::count(terminals, terminal))
            unwatch_terminal(watched.id, terminal);
    for (const auto& terminal : terminals)
        base::log_failure("watching a terminal", watch_terminal(watched.id, terminal, {now, now}));
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
            base::log(base::Level::warning, "a session's sshd cannot be watched");
        }
    }
}

} // namespace vigil::shell
