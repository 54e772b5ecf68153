// An effect of the core becomes a change of the system, and what came of it an event.

#include "base/clock.hpp"
#include "base/log.hpp"
#include "daemon/audit/journal.hpp"
#include "daemon/enforce/console.hpp"
#include "daemon/enforce/elevated.hpp"
#include "daemon/enforce/prompt.hpp"
#include "daemon/enforce/scope.hpp"
#include "daemon/shell/shell.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <initializer_list>
#include <utility>

namespace vigil::shell {

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

void Shell::perform(const core::StoreRemembered& effect) {
    stored(store_.put(effect.record));
}

void Shell::perform(const core::EraseRemembered& effect) {
    stored(store_.erase_remembered(effect.id));
}

namespace {

/// The first of them that failed, in a line; "": none.
std::string first_failure(std::initializer_list<Result<>> all) {
    for (const auto& done : all)
        if (!done)
            return done.error().text();
    return {};
}

} // namespace

void Shell::perform(const core::StoreBlock& effect) {
    const auto& record = effect.record;
    const auto written = store_.put(record);
    stored(written);
    const auto marked = effect.marked ? block_files_.put_mark(record, effect.utc_offset)
                                      : block_files_.erase_mark(record.uid);
    const auto copied = block_files_.put_copy(record, effect.utc_offset);
    base::log_failure("marking a blocked user", marked);
    base::log_failure("keeping a block for after a reboot", copied);
    events_.push_back(core::BlockKept{effect.token, first_failure({written, marked, copied})});
}

/// The copy first: one that is left behind without the state counts as a block.
void Shell::perform(const core::EraseBlock& effect) {
    const auto copied = block_files_.erase_copy(effect.uid);
    const auto marked = block_files_.erase_mark(effect.uid);
    const auto erased = store_.erase_block(effect.uid);
    stored(erased);
    base::log_failure("unblocking a user", copied);
    base::log_failure("unblocking a user", marked);
    events_.push_back(core::BlockKept{effect.token, first_failure({copied, marked, erased})});
}

void Shell::perform(const core::KeepMarks& effect) {
    base::log_failure("taking marks of blocked users away",
                      block_files_.keep_marks({effect.uids.begin(), effect.uids.end()}));
}

void Shell::perform(const core::Audit& effect) {
    audit::write_journal(effect);
}

// --- the session itself --------------------------------------------------------------------------

enforce::LockTarget Shell::target(const core::SessionRecord& known) const {
    enforce::LockTarget target{.session = known.id,
                               .owner = known.facts.uid,
                               .scope = known.cgroup,
                               .leader = known.leader.pid,
                               .begun_at = known.pam_terminal,
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
    if (core::is_elevated(*known)) {
        if (const auto terminal = enforce::elevated_terminal(*known))
            base::log_failure("telling the user",
                              enforce::say(*terminal, effect.line, effect.last));
        return;
    }
    for (const auto& terminal : terminals_now(*known)) {
        // One that takes no escape sequences has no screen to leave; that is known under a lock.
        const auto saved = saved_terminal(effect.session, terminal.path);
        const bool leaves = effect.last && !(saved && saved->screen == core::Screen::plain);
        base::log_failure("telling the user", enforce::say(terminal, effect.line, leaves));
    }
}

void Shell::perform(const core::WipeLine& effect) {
    if (const auto* known = record(effect.session))
        redraw_.ask_whole_screens(known->cgroup, terminals_now(*known));
}

void Shell::perform(const core::Unlock& effect) {
    const auto* known = record(effect.session);
    if (!known)
        return;
    const auto id = known->id;
    const auto saved = store_.terminals(id);
    if (!saved) {
        events_.push_back(core::UnlockDone{id, false, saved.error().text()});
        return;
    }
    for (const auto& terminal : *saved)
        enforce::dismiss_prompt(id, terminal.path);
    const auto released = enforce::release(target(*known), *saved, redraw_);
    // They have been dismissed: a lock that is kept after all asks for new ones.
    if (const auto found = watched_.find(id); found != watched_.end())
        found->second.prompted.clear();
    if (released) {
        if (const auto found = watched_.find(id); found != watched_.end()) {
            found->second.carriers.clear();
            forget_consoles(found->second);
            found->second.looked_for_holders.reset();
            found->second.escaped.clear();
        }
        stop_prompts(id);
        stored(store_.erase_terminals(id));
    }
    events_.push_back(core::UnlockDone{id, released.has_value(),
                                       released ? std::string{} : released.error().text()});
}

void Shell::perform(const core::KillFrozen& effect) {
    if (!effect.cgroup.empty())
        base::log_failure("killing what is frozen", effect.stays_locked
                                                        ? enforce::kill_held(effect.cgroup)
                                                        : enforce::kill_frozen(effect.cgroup));
}

void Shell::perform(const core::Terminate& effect) {
    const auto* known = record(effect.session);
    if (!known)
        return;
    if (core::is_elevated(*known))
        return end_elevated(*known);
    if (known->logind_session.empty())
        signal_leader(effect.session, SIGTERM);
    if (known->logind_session.empty() || !system_bus_)
        return;
    base::log_failure(
        "asking logind to end a session",
        enforce::terminate_session(system_bus_, known->logind_session, [](const std::string& line) {
            base::log(base::Level::warning, line);
        }));
}

void Shell::perform(const core::KillScope& effect) {
    const auto* known = record(effect.session);
    if (!known)
        return;
    if (core::is_elevated(*known))
        return kill_elevated(*known);
    if (known->cgroup.empty())
        signal_leader(effect.session, SIGKILL);
    else
        base::log_failure("killing a session", enforce::kill_scope(known->cgroup));
}

/// All that can be reached of a login that logind made no session for.
void Shell::signal_leader(const core::SessionId& session, int signal) {
    const auto found = watched_.find(session);
    if (found == watched_.end() || !found->second.leader)
        return;
    const auto sent = base::send_signal(found->second.leader.get(), signal);
    if (!sent && sent.error().code != ESRCH)
        base::log_failure("ending a login", sent);
}

void Shell::perform(const core::CheckGone& effect) {
    const auto* known = record(effect.session);
    const bool gone = !known                      ? true
                      : core::is_elevated(*known) ? enforce::is_elevated_gone(known->cgroup)
                      : known->cgroup.empty()     ? !base::is_alive(known->leader)
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

} // namespace vigil::shell
