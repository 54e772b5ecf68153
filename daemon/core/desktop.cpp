// Desktops: logind asks them to lock themselves, and LockedHint is the answer. So are graphical
// sessions locked, and those at a console that a program has taken, as X does where somebody logged
// in at a prompt starts it: it decides about switching, so that it cannot be made to stand still,
// and draws what is seen, so that nobody could be asked there.

#include "daemon/core/state.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace vigil::core {

/// Asked and not known yet: the answer comes as DesktopSeen, or not at all.
void ask_desktop(Tracked& session, const Now& now, Effects& effects) {
    session.answer_by = now.boot + desktop_patience;
    session.settles_at.reset();
    if (session.record.state == State::locked)
        effects.push_back(LockDesktop{session.record.id});
    else
        effects.push_back(UnlockDesktop{session.record.id});
}

Effects Machine::Data::on(const DesktopSeen& seen, const Now& now) {
    Effects effects;
    auto* session = find(seen.session);
    if (!session || !is_desktop(*session))
        return effects;
    auto& record = session->record;
    session->asked_activity.reset();
    bool unlocked = false;
    const bool was_locked = std::exchange(record.desktop_locked, seen.locked);
    // An answer to a lock is written down when it is believed: who comes back before asks again.
    const bool settles = record.state == State::locked && seen.locked && !was_locked;
    // What opens is written down as open at once: half of it would be a lock that was never asked
    // for.
    const bool opens =
        record.state == State::locked && !seen.locked && was_locked && !session->answer_by;
    if (was_locked != seen.locked && !settles && !opens)
        effects.push_back(StoreSession{record});
    // Whether work goes on behind a desktop nobody knows: it is not ended for being quiet.
    session->last_output = now.boot;
    switch (record.state) {
    case State::reserved:
    case State::ending:
        break;
    case State::active:
        if (seen.locked)
            session->gaps.clear();
        session->last_input = std::max(
            session->last_input, seen.idle_since ? std::min(*seen.idle_since, now.boot) : now.boot);
        judge_idle(*session, now, effects);
        break;
    case State::locked:
        if (settles) {
            session->answer_by.reset();
            session->settles_at = now.boot + desktop_settles;
        } else if (seen.locked) {
            if (!session->settles_at)
                desktop_holds(*session, effects);
        } else if (session->settles_at) {
            desktop_failed(*session, "its desktop did not stay locked", now, effects);
        } else if (opens) {
            record.unlocked_by = "its desktop";
            record.unlock_reason.clear();
            record.unlocked_wall = now.wall;
            desktop_is_open(*session, AuditKind::session_unlocked,
                            "unlocked " + unlock_text(record), now, effects);
        } else if (!session->answer_by) { // a crash came before it was asked, or before it answered
            ask_desktop(*session, now, effects);
        }
        break;
    case State::unlocking:
        if (!seen.locked)
            unlocked = true;
        break;
    }
    if ((session = find(seen.session)))
        schedule(*session);
    if (unlocked)
        std::ranges::move(on(UnlockDone{seen.session, true, {}}, now), std::back_inserter(effects));
    return effects;
}

/// A Lock found it. Asked once: what it does then, and did before a crash, it says itself.
void Machine::Data::found_desktop(Tracked& session, const LockDone& outcome, const Now& now,
                                  Effects& effects) {
    session.terminals = outcome.terminals;
    session.retry_at.reset();
    session.failure.clear();
    session.gaps.clear();
    const bool was_known = std::exchange(session.desktop_at_console, true);
    if (!was_known && (!session.record.desktop_locked || !session.lock_tokens.empty()))
        ask_desktop(session, now, effects);
}

/// What it said was its word, and none of the shell's that is there now.
void Machine::Data::lost_desktop(Tracked& session, Effects& effects) {
    session.desktop_at_console = false;
    session.answer_by.reset();
    session.settles_at.reset();
    if (!std::exchange(session.record.desktop_locked, false))
        return;
    effects.push_back(StoreSession{session.record});
    effects.push_back(ForgetHint{session.record.id});
}

void Machine::Data::desktop_holds(Tracked& session, Effects& effects) {
    session.answer_by.reset();
    session.settles_at.reset();
    session.gaps.clear();
    if (!std::exchange(session.lock_told, true))
        effects.push_back(audit(AuditKind::session_locked, session,
                                "locked: " + lock_text(session.record),
                                session.record.lock_reason));
    answer(session.lock_tokens, effects);
}

/// Its user proved himself there, or it never locked: what is not locked is not called so.
void Machine::Data::desktop_is_open(Tracked& session, AuditKind kind, const std::string& why,
                                    const Now& now, Effects& effects) {
    session.record.state = State::active;
    session.answer_by.reset();
    session.settles_at.reset();
    session.gaps.clear();
    // It is asked again when nobody was there for as long once more.
    session.last_input = now.boot;
    effects.push_back(StoreSession{session.record});
    effects.push_back(audit(kind, session, why));
}

void Machine::Data::desktop_failed(Tracked& session, const std::string& why, const Now& now,
                                   Effects& effects) {
    session.answer_by.reset();
    session.settles_at.reset();
    if (session.record.state == State::unlocking) {
        stay_locked(session, why, effects);
        answer(session.unlock_token, effects, wire::error_broken,
               "It is still locked: " + why + ".");
        // One that is gone does not answer: then it is asked for at a lock console.
        if (session.desktop_at_console)
            order_lock(session, effects);
        return;
    }
    const Gap gap{Gap::Kind::desktop,
                  (session.desktop_at_console ? "not held: a program has taken the console: "
                                              : "not locked: ") +
                      why};
    auto tokens = std::exchange(session.lock_tokens, {});
    if (!ends_for(session, {gap}, now, effects)) {
        session.record.locked_since_wall = {}; // it never was
        desktop_is_open(session, AuditKind::lock_failed, gap.text, now, effects);
        session.gaps.push_back(gap);
    }
    answer(tokens, effects, wire::error_broken, "It is not locked: " + why + ".");
}

void Machine::Data::desktop_due(Tracked& session, const Now& now, Effects& effects) {
    if (is_due(session.answer_by, now))
        desktop_failed(session,
                       "its desktop did not answer within " + duration_text(desktop_patience), now,
                       effects);
    if (is_due(session.settles_at, now)) {
        effects.push_back(StoreSession{session.record});
        desktop_holds(session, effects);
    }
}

} // namespace vigil::core
