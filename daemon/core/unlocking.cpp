// The way back: who may unlock a session, and when it is given back.

#include "daemon/core/state.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace vigil::core {

Effects Machine::Data::on(const ScreenAsked& asked, const Now& now) {
    auto* session = find(asked.session);
    if (!session || session->record.state != State::locked)
        return {};
    std::erase_if(session->answers_due, [&](const auto& one) { return one.second <= now.boot; });
    session->answers_due[asked.device] = now.boot + wire::screen_patience;
    return {};
}

Effects Machine::Data::on(const ScreenSeen& seen, const Now& now) {
    auto* session = find(seen.session);
    if (!session || session->answers_due.erase(seen.device) == 0 ||
        session->record.state != State::unlocking)
        return {};
    Effects effects;
    give_back(*session, now, effects);
    schedule(*session);
    return effects;
}

/// An answer that is on its way would be typed into the session's shell. It is given a moment.
void Machine::Data::give_back(Tracked& session, const Now& now, Effects& effects) {
    std::optional<BootTime> last;
    for (const auto& [device, due] : session.answers_due)
        if (due > now.boot && (!last || due > *last))
            last = due;
    if (last)
        session.retry_at = last;
    else
        effects.push_back(Unlock{session.record.id});
}

Effects Machine::Data::on(const UnlockAsked& asked, const Now& now) {
    const auto* const session = find(asked.session);
    if (session && session->record.state == State::locked)
        if (const auto why = why_blocked(session->record.facts.uid, now))
            return {refused(asked.token, wire::error_invalid, *why)}; // whoever asks, root too
    return unlock(asked, now);
}

Effects Machine::Data::unlock(const UnlockAsked& asked, const Now& now) {
    auto* session = find(asked.session);
    if (auto refusal = not_open(session, asked.token))
        return {std::move(*refusal)};
    auto& record = session->record;
    if (record.state == State::active)
        return {done(asked.token)};
    if (record.state == State::ending)
        return {refused(asked.token, wire::error_not_found, "The session is being ended.")};
    Effects effects;
    answer_waiting(*session, effects);
    session->unlock_token = asked.token;
    if (record.state == State::locked) {
        record.unlocking_by = asked.by;
        record.unlocking_reason = asked.reason;
        session->failure.clear();
        session->retry_at.reset();
        record.state = State::unlocking;
        effects.push_back(StoreSession{record});
    }
    if (!is_desktop(*session)) {
        give_back(*session, now, effects);
        schedule(*session);
        return effects;
    }
    ask_desktop(*session, now, effects);
    schedule(*session);
    // One that never locked itself has nothing to undo.
    if (!record.desktop_locked)
        std::ranges::move(on(UnlockDone{record.id, true, {}}, now), std::back_inserter(effects));
    return effects;
}

Effects Machine::Data::on(const UnlockDone& outcome, const Now& now) {
    Effects effects;
    auto* session = find(outcome.session);
    if (!session || session->record.state != State::unlocking)
        return effects;
    auto& record = session->record;
    session->answer_by.reset();
    if (!outcome.thawed && is_desktop(*session)) {
        desktop_failed(*session, outcome.detail, now, effects);
        schedule(*session);
        return effects;
    }
    session->answers_due.clear(); // they were waited for
    if (!outcome.thawed) {
        session->retry_at = now.boot + unlock_retry;
        const auto why = "unlocking does not work yet: " + outcome.detail;
        note_failure(*session, AuditKind::unlock_failed, why, effects);
        answer(session->unlock_token, effects, wire::error_broken, why + "; it is tried again.");
        schedule(*session);
        return effects;
    }
    record.state = State::active;
    const bool was_locked = !record.unlocking_by.empty();
    if (was_locked) {
        record.unlocked_by = std::exchange(record.unlocking_by, {});
        record.unlock_reason = std::exchange(record.unlocking_reason, {});
        record.unlocked_wall = now.wall;
    }
    record.unlock_failures = 0;
    record.unlock_not_before = BootTime{};
    session->retry_at.reset();
    session->newcomer_at.reset();
    session->failure.clear();
    session->gaps.clear();
    session->gaps_told.reset();
    session->warned_at.reset();
    session->last_input = now.boot;
    session->last_output = now.boot;
    session->work_base.reset();
    schedule(*session);
    effects.push_back(StoreSession{record});
    if (was_locked)
        effects.push_back(audit(AuditKind::session_unlocked, *session,
                                "unlocked " + unlock_text(record), record.unlock_reason));
    // After a lock the terminals are watched anew.
    effects.push_back(ReadActivity{record.id});
    elevated_given_back(record.id, now, effects);
    answer(session->unlock_token, effects);
    return effects;
}

void stay_locked(Tracked& session, const std::string& why, Effects& effects) {
    auto& record = session.record;
    record.state = State::locked;
    record.unlocking_by.clear();
    record.unlocking_reason.clear();
    effects.push_back(StoreSession{record});
    effects.push_back(audit(AuditKind::unlock_failed, session, "it is still locked: " + why));
}

/// Of a lock that never was (take_lock_back()) there is nothing to keep up. What root has thawed by
/// hand is found to be so when it is to be held.
bool Machine::Data::keep_locked(Tracked& session, const Now& now, Effects& effects) {
    const auto& record = session.record;
    if (record.state != State::unlocking || record.unlocking_by.empty())
        return false;
    const auto why = why_blocked(record.facts.uid, now);
    if (!why)
        return false;
    stay_locked(session, *why, effects);
    session.retry_at.reset();
    session.failure.clear();
    session.answers_due.clear();
    answer(session.unlock_token, effects, wire::error_invalid, *why);
    // A part of it may have been given back.
    if (is_desktop(session))
        ask_desktop(session, now, effects);
    else
        order_lock(session, effects);
    schedule(session);
    return true;
}

/// As an operator's unlock: held again behind his back it would be locked for ever in a loop that
/// he cannot see, so a block does not stand in his way either. A thaw from before this lock is
/// another's.
Effects Machine::Data::on(const ThawedByHand& thaw, const Now& now) {
    const auto* session = find(thaw.session);
    if (!session || session->record.state != State::locked || !undoes(thaw.when, session->record))
        return {};
    Effects effects{audit(AuditKind::break_glass, *session,
                          "thawed by hand, so without a proof and past vigild")};
    std::ranges::move(unlock(UnlockAsked{0, thaw.session, "root: thawed by hand", {}}, now),
                      std::back_inserter(effects));
    return effects;
}

Effects Machine::Data::on(const UnlockRefused& refusal, const Now& now) {
    auto* session = find(refusal.session);
    if (!session || session->record.state != State::locked)
        return {ReplyWait{refusal.token, 0}};
    auto& record = session->record;
    // 1, 2, 4 … 30 s: slower for who guesses, never a locked account.
    const auto doubled = Seconds{1LL << std::min(record.unlock_failures, 5U)};
    const auto wait = std::min(doubled, longest_unlock_wait);
    ++record.unlock_failures;
    record.unlock_not_before = now.boot + wait;
    Effects effects;
    effects.push_back(StoreSession{record});
    effects.push_back(audit(AuditKind::unlock_failed, *session,
                            "wrong answer number " + std::to_string(record.unlock_failures)));
    effects.push_back(ReplyWait{refusal.token, static_cast<std::uint64_t>(wait.count())});
    return effects;
}

} // namespace vigil::core
