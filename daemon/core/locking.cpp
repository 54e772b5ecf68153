#include "daemon/core/state.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace vigil::core {

namespace {

Effect done(Token token) {
    return ReplyDone{.token = token, .error = nullptr, .text = {}};
}

Effect refused(Token token, const char* error, std::string why) {
    return ReplyDone{.token = token, .error = error, .text = std::move(why)};
}

/// What trying to lock has found out. What it says of a lock that holds is looked for later.
std::vector<Gap> gaps_of(const LockDone& outcome) {
    if (outcome.held)
        return {};
    return {{outcome.unasked ? Gap::Kind::unasked : Gap::Kind::not_held, outcome.detail}};
}

} // namespace

std::optional<Gap> not_holdable(const SessionRecord& record) {
    if (!record.cgroup.empty())
        return std::nullopt;
    return Gap{Gap::Kind::not_held, record.logind_session.empty()
                                        ? "logind has no session for it"
                                        : "its processes are in no scope of cgroup v2"};
}

void answer_waiting(Tracked& session, Effects& effects) {
    for (auto* token : {&session.lock_token, &session.unlock_token})
        if (const auto waiting = std::exchange(*token, 0); waiting != 0)
            effects.push_back(refused(waiting, wire::error_denied,
                                      "Something else was done to the session first."));
}

Effects Machine::Data::on(const LockAsked& asked, const Now& now) {
    auto* session = find(asked.session);
    if (!session || session->record.state == State::reserved)
        return {refused(asked.token, wire::error_not_found, "There is no such session.")};
    switch (session->record.state) {
    case State::locked: {
        if (!session->retry_at && !session->answer_by)
            return {done(asked.token)};
        // It is written down, but not held yet: the answer waits for the next attempt's outcome.
        Effects effects;
        answer_waiting(*session, effects);
        session->lock_token = asked.token;
        if (!is_desktop(session->record))
            effects.push_back(Lock{asked.session});
        return effects;
    }
    case State::unlocking:
    case State::ending:
    case State::reserved:
        return {refused(asked.token, wire::error_denied,
                        "The session is just being unlocked or ended.")};
    case State::active:
        break;
    }
    if (!enforcing())
        return {refused(asked.token, wire::error_denied,
                        "vigil only observes on this host (mode: observe): nothing is locked.")};
    Effects effects;
    if (const auto why = not_holdable(session->record)) {
        const bool ended = ends_for(*session, {*why}, now, effects);
        effects.push_back(refused(asked.token, wire::error_denied,
                                  "It cannot be locked: " + why->text +
                                      (ended ? "; it is ended instead." : ".")));
        return effects;
    }
    session->lock_token = asked.token;
    // Whether there is a terminal decides below what a lock that does not hold means.
    if (session->terminals.empty() && !is_desktop(session->record))
        effects.push_back(ReadActivity{asked.session});
    lock(*session, asked.by, now, effects);
    schedule(*session);
    return effects;
}

void Machine::Data::lock(Tracked& session, const std::string& by, const Now& now,
                         Effects& effects) {
    if (const auto why = not_holdable(session.record); why && enforcing()) {
        if (!ends_for(session, {*why}, now, effects) &&
            std::exchange(session.failure, why->text) != why->text)
            effects.push_back(
                audit(AuditKind::lock_failed, session, "it cannot be locked: " + why->text));
    } else if (enforcing())
        hold(session, by, now, effects);
    else
        effects.push_back(
            audit(AuditKind::session_locked, session, "only observed: would be locked, " + by));
}

/// The machine may have been suspended beyond a lock's time. Nobody was there then, so that the
/// lock is due whatever was typed since: the first key after a resume must not put it off.
Effects Machine::Data::wake(const Now& now) {
    Effects effects;
    if (now.asleep - asleep < shortest_sleep)
        return effects;
    asleep = now.asleep;
    for (auto& [id, session] : sessions) {
        const auto due_at = moments(session).lock;
        if (session.record.state != State::active || session.terminals.empty() || !due_at ||
            *due_at + shortest_sleep > now.boot)
            continue;
        session.lock_observed = due_at;
        lock(session, idle_reason(session.decision), now, effects);
        schedule(session);
    }
    return effects;
}

void Machine::Data::hold(Tracked& session, const std::string& by, const Now& now,
                         Effects& effects) {
    auto& record = session.record;
    record.state = State::locked;
    record.locked_since = now.boot;
    record.locked_since_wall = now.wall;
    record.locked_by = by;
    record.unlock_failures = 0;
    record.unlock_not_before = BootTime{};
    session.lock_told = false;
    session.failure.clear();
    session.gaps.clear();
    session.gaps_told.reset();
    session.answer_by.reset();
    session.newcomer_at.reset();
    effects.push_back(StoreSession{record});
    revoke(record.id, "the session was locked", effects);
    if (!is_desktop(record)) {
        effects.push_back(Lock{record.id});
        return;
    }
    ask_desktop(session, now, effects);
    if (record.desktop_locked) // by its user, a moment ago
        desktop_holds(session, effects);
}

Effects Machine::Data::on(const LockDone& outcome, const Now& now) {
    Effects effects;
    auto* session = find(outcome.session);
    if (!session || session->record.state != State::locked)
        return effects;
    auto& record = session->record;
    if (is_desktop(record)) {
        desktop_failed(*session, outcome.detail, now, effects);
        schedule(*session);
        return effects;
    }
    if (!outcome.terminals.empty())
        session->terminals = outcome.terminals;
    const auto tried = gaps_of(outcome);
    std::erase_if(session->gaps, [](const Gap& gap) { return !is_looked_for(gap); });
    session->gaps.insert(session->gaps.begin(), tried.begin(), tried.end());
    const auto token = std::exchange(session->lock_token, 0);
    // Without a terminal nobody knows whether there is anything to hold.
    if (!outcome.held && !outcome.terminals.empty() && ends_for(*session, tried, now, effects)) {
        if (token != 0)
            effects.push_back(refused(
                token, wire::error_denied,
                "It could not be locked wholly and is ended instead: " + outcome.detail + "."));
        return effects;
    }
    if (outcome.held) {
        session->retry_at.reset();
        if (!std::exchange(session->lock_told, true))
            effects.push_back(audit(AuditKind::session_locked, *session,
                                    "locked: " + record.locked_by +
                                        (outcome.detail.empty() ? "" : "; " + outcome.detail)));
        if (token != 0)
            effects.push_back(done(token));
        // After the prompts, and after those of all others that are locked in this moment.
        effects.push_back(LookForGaps{record.id});
    } else if (session->terminals.empty() && token != 0 && !session->retry_at) {
        // Part of it may be held: it is given back as after a proof.
        session->unlock_by = "vigil";
        session->unlock_reason = "nothing to lock";
        record.state = State::unlocking;
        effects.push_back(StoreSession{record});
        effects.push_back(Unlock{record.id});
        effects.push_back(refused(token, wire::error_denied,
                                  "The session has no terminal: there is nothing to lock."));
    } else {
        // Locked stays locked, and what could not be done is tried until it can.
        session->retry_at = now.boot + lock_retry;
        if (std::exchange(session->failure, outcome.detail) != outcome.detail)
            effects.push_back(audit(AuditKind::lock_failed, *session, outcome.detail));
        if (token != 0)
            effects.push_back(refused(token, wire::error_broken, outcome.detail));
    }
    schedule(*session);
    return effects;
}

Effects Machine::Data::on(const GapsSeen& seen, const Now& now) {
    Effects effects;
    auto* session = find(seen.session);
    if (!session || session->record.state != State::locked)
        return effects;
    std::erase_if(session->gaps, is_looked_for);
    session->gaps.insert(session->gaps.end(), seen.gaps.begin(), seen.gaps.end());
    if (session->gaps.size() > max_gaps)
        session->gaps.resize(max_gaps);
    if (ends_for(*session, seen.gaps, now, effects))
        return effects;
    // What runs beside the session comes and goes: it is told once, with the first look.
    std::vector<Gap> incomplete = session->gaps;
    std::erase_if(incomplete, [](const Gap& gap) { return !makes_incomplete(gap); });
    const auto telling = text_of(incomplete);
    const auto before = std::exchange(session->gaps_told, telling);
    if (before ? telling != *before && !telling.empty() : !session->gaps.empty())
        effects.push_back(
            audit(AuditKind::lock_gaps, *session,
                  (telling.empty() ? "wholly locked; beside it: " : "not wholly locked: ") +
                      text_of(session->gaps)));
    return effects;
}

/// Whether the session ends because its lock is not complete and the policy will not have that.
bool Machine::Data::ends_for(Tracked& session, const std::vector<Gap>& gaps, const Now& now,
                             Effects& effects) {
    const auto* gap = first_incomplete(gaps);
    if (!gap || !enforcing() || session.decision.incomplete_lock != policy::IncompleteLock::end)
        return false;
    end(session, "it could not be locked wholly: " + gap->text, now, effects);
    return true;
}

/// The leader then ends by itself, and that ends the session.
Effects Machine::Data::on(const ClientGone& gone, const Now&) {
    const auto* session = find(gone.session);
    if (!session ||
        (session->record.state != State::locked && session->record.state != State::unlocking))
        return {};
    return {KillFrozen{gone.session, session->record.cgroup}};
}

/// A channel that is opened under the lock gets its terminal first and its shell a moment later,
/// and sshd, which starts it, is not held. So it is looked for again and again.
Effects Machine::Data::on(const TerminalOpened& opened, const Now& now) {
    auto* session = find(opened.session);
    if (!session || is_desktop(session->record))
        return {};
    if (session->record.state == State::active) {
        session->asked_activity = now.boot;
        schedule(*session);
        return {ReadActivity{opened.session}};
    }
    if (session->record.state != State::locked)
        return {};
    session->newcomer_at = now.boot + first_newcomer_look;
    session->newcomer_pause = first_newcomer_look;
    schedule(*session);
    return {Lock{opened.session}};
}

void look_later(Tracked& session, const Now& now) {
    session.newcomer_pause *= 2;
    session.newcomer_at.reset();
    if (session.record.state == State::locked && session.newcomer_pause <= last_newcomer_look)
        session.newcomer_at = now.boot + session.newcomer_pause;
}

Effects Machine::Data::on(const LockedTerminalUsed& used, const Now&) {
    const auto* session = find(used.session);
    if (!session || session->record.state != State::locked)
        return {};
    return {Lock{used.session}};
}

Effects Machine::Data::on(const UnlockAsked& asked, const Now& now) {
    auto* session = find(asked.session);
    if (!session || session->record.state == State::reserved)
        return {refused(asked.token, wire::error_not_found, "There is no such session.")};
    auto& record = session->record;
    if (record.state == State::active)
        return {done(asked.token)};
    if (record.state == State::ending)
        return {refused(asked.token, wire::error_denied, "The session is being ended.")};
    Effects effects;
    answer_waiting(*session, effects);
    session->unlock_token = asked.token;
    if (record.state == State::locked) {
        session->unlock_by = asked.by;
        session->unlock_reason = asked.reason;
        session->failure.clear();
        session->retry_at.reset();
        record.state = State::unlocking;
        effects.push_back(StoreSession{record});
        schedule(*session);
    }
    if (!is_desktop(record)) {
        effects.push_back(Unlock{record.id});
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
    if (!outcome.thawed && is_desktop(record)) {
        desktop_failed(*session, outcome.detail, now, effects);
        schedule(*session);
        return effects;
    }
    if (!outcome.thawed) {
        session->retry_at = now.boot + unlock_retry;
        const auto why = "unlocking does not work yet: " + outcome.detail;
        if (std::exchange(session->failure, why) != why)
            effects.push_back(audit(AuditKind::unlock_failed, *session, why));
        if (const auto token = std::exchange(session->unlock_token, 0); token != 0)
            effects.push_back(refused(token, wire::error_broken, why + "; it is tried again."));
        schedule(*session);
        return effects;
    }
    record.state = State::active;
    record.unlock_failures = 0;
    record.unlock_not_before = BootTime{};
    session->retry_at.reset();
    session->newcomer_at.reset();
    session->failure.clear();
    session->gaps.clear();
    session->gaps_told.reset();
    session->last_input = now.boot;
    session->last_output = now.boot;
    session->work_base.reset();
    schedule(*session);
    effects.push_back(StoreSession{record});
    effects.push_back(audit(
        AuditKind::session_unlocked, *session,
        "unlocked by " + (session->unlock_by.empty() ? "an earlier proof" : session->unlock_by) +
            (session->unlock_reason.empty() ? "" : ": " + session->unlock_reason)));
    // After a lock the terminals are watched anew.
    effects.push_back(ReadActivity{record.id});
    if (const auto token = std::exchange(session->unlock_token, 0); token != 0)
        effects.push_back(done(token));
    return effects;
}

/// As an operator's unlock: held again behind his back it would be locked for ever in a loop that
/// he cannot see. A thaw from before this lock is another's.
Effects Machine::Data::on(const ThawedByHand& thaw, const Now& now) {
    const auto* session = find(thaw.session);
    if (!session || session->record.state != State::locked ||
        thaw.when < session->record.locked_since)
        return {};
    return on(UnlockAsked{0, thaw.session, "root", "thawed by hand"}, now);
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
