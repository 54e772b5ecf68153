// Elevated sessions: their cgroups, what is seen of them, and their end.

#include "daemon/enforce/elevated.hpp"

#include "base/clock.hpp"
#include "base/log.hpp"
#include "daemon/enforce/scope.hpp"
#include "daemon/shell/shell.hpp"

#include <algorithm>

#include <sys/inotify.h>

namespace vigil::shell {

/// The login's, where there still is one.
std::string Shell::scope_around(const core::SessionRecord& known) const {
    const auto* login = known.login ? record(*known.login) : nullptr;
    return login ? login->cgroup : known.cgroup;
}

/// What the terminal is like now is what it goes back to if a program there has to be killed.
void Shell::perform(const core::HoldElevated& effect) {
    const auto* known = record(effect.session);
    if (!known)
        return;
    if (const auto terminal = enforce::elevated_terminal(*known);
        terminal && effect.process == known->leader) {
        auto saved = enforce::save(known->id, *terminal, scope_around(*known), known->facts.uid);
        if (saved)
            stored(store_.put(*saved));
        else
            base::log_failure("looking at a terminal", std::unexpected{saved.error()});
    }
    const auto held = enforce::hold_elevated(known->cgroup, effect.process);
    if (!held)
        base::log_failure("removing a cgroup", enforce::remove_elevated(known->cgroup));
    events_.push_back(
        core::ElevatedHeld{effect.token, effect.session, held ? "" : held.error().text()});
}

void Shell::watch_elevated(Watched& watched, const core::SessionRecord& known) {
    if (watched.emptied_source)
        return;
    watched.cgroup = known.cgroup;
    const auto directory = base::cgroup_directory(known.cgroup);
    const std::string path = directory ? *directory + "/cgroup.events" : std::string{};
    sd_event_source* source = nullptr;
    const int done = directory ? sd_event_add_inotify(loop_, &source, path.c_str(), IN_MODIFY,
                                                      on_elevated_changed, &watched)
                               : -directory.error().code;
    if (done < 0 && done != -ENOENT)
        base::log_failure("watching " + known.cgroup, fail(done, "adding it to the loop"));
    watched.emptied_source.reset(source);
    // It may be empty already.
    perform(core::CheckGone{known.id});
}

int Shell::on_elevated_changed(sd_event_source*, const inotify_event*, void* userdata) noexcept {
    try {
        const auto& watched = *static_cast<Watched*>(userdata);
        auto& shell = *watched.shell;
        shell.perform(core::CheckGone{watched.id});
        shell.drain();
    } catch (const std::exception& error) {
        base::log(base::Level::error, error.what());
    }
    return 0;
}

/// Of one that a login has it is known exactly; another, as of a window of tmux, tells it in steps.
BootTime Shell::input_at(const enforce::Terminal& terminal, const Now& now) const {
    if (const auto owner = by_terminal_.find(terminal.device); owner != by_terminal_.end())
        if (const auto activity = activity_->get(terminal))
            return activity->input;
    return enforce::latest_input(terminal, now);
}

void Shell::read_elevated(const core::SessionView& view) {
    const auto& known = *view.record;
    const auto now = base::read_clocks();
    core::ActivitySeen seen{.session = known.id, .terminals = {}};
    activity_->refresh();
    if (const auto terminal = enforce::elevated_terminal(known)) {
        seen.terminals.push_back(terminal->path);
        seen.last_input = input_at(*terminal, now);
    }
    if (view.counts_work)
        seen.work = enforce::read_elevated_work(known, moved_);
    events_.push_back(std::move(seen));
}

void Shell::end_elevated(const core::SessionRecord& known) {
    enforce::signal_elevated(known.cgroup, enforce::front_of(known));
}

/// Under a lock they are those that the lock gives back.
void Shell::set_back(const core::SavedTerminal& before, const std::string& scope,
                     const core::SessionId& login) {
    for (auto& locked : store_.terminals(login).value_or(std::vector<core::SavedTerminal>{}))
        if (locked.session != before.session && locked.device == before.device) {
            locked.settings = before.settings;
            stored(store_.put(locked));
            return;
        }
    base::log_failure("giving a terminal back", enforce::set_back(before, scope));
}

/// The settings before the kill: after it the login's shell may have its own already.
void Shell::kill_elevated(const core::SessionRecord& known) {
    const auto* login = known.login ? record(*known.login) : nullptr;
    const auto saved = store_.terminals(known.id).value_or(std::vector<core::SavedTerminal>{});
    const auto terminal = enforce::elevated_terminal(known);
    const bool has_it = terminal && enforce::is_in_foreground(known);
    for (const auto& before : saved)
        if (has_it && before.device == terminal->device)
            set_back(before, scope_around(known), login ? login->id : known.id);
    base::log_failure("ending an elevated session",
                      enforce::kill_elevated(known.cgroup, enforce::front_of(known)));
}

void Shell::forget_elevated(const Watched& watched) {
    base::log_failure("removing a cgroup", enforce::remove_elevated(watched.cgroup));
    watched_.erase(watched.id);
}

} // namespace vigil::shell
