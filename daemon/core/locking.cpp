// Locks: asked for, held, tried again; and the answers to those who asked.

#include "daemon/core/state.hpp"

#include <utility>

namespace vigil::core {

namespace {

/// What trying to lock has found out. What it says of a lock that holds is looked for later.
std::vector<Gap> gaps_of(const LockDone& outcome) {
    if (outcome.held || outcome.no_terminal)
        return {};
    return {{outcome.unasked ? Gap::Kind::unasked : Gap::Kind::not_held, outcome.detail}};
}

} // namespace

Effect done(Token token) {
    return ReplyDone{.token = token, .error = nullptr, .text = {}};
}

Effect refused(Token token, const char* error, std::string why) {
    return ReplyDone{.token = token, .error = error, .text = std::move(why)};
}

std::optional<Effect> not_open(const Tracked* session, Token token) {
    if (!session)
        return refused(token, wire::error_not_found, "There is no such session.");
    if (session->record.state == State::reserved)
        return refused(token, wire::error_denied,
                       "The login is not complete yet: try again in a moment.");
    return std::nullopt;
}

std::string with_reason(const std::string& by, const std::string& reason) {
    return reason.empty() ? by : by + ": " + reason;
}

std::string lock_text(const SessionRecord& record) {
    return with_reason(record.locked_by, record.lock_reason);
}

std::string unlock_text(const SessionRecord& record) {
    return "by " + with_reason(record.unlocked_by, record.unlock_reason);
}

std::optional<Gap> not_holdable(const SessionRecord& record) {
    if (!record.cgroup.empty())
        return std::nullopt;
    return Gap{Gap::Kind::not_held, record.logind_session.empty()
                                        ? "logind has no session for it"
                                        : "its processes are in no scope of cgroup v2"};
}

void answer(Token& token, Effects& effects, const char* error, std::string why) {
    if (const auto waiting = std::exchange(token, 0); waiting != 0)
        effects.push_back(ReplyDone{.token = waiting, .error = error, .text = std::move(why)});
}

void answer(std::vector<Token>& tokens, Effects& effects, const char* error,
            const std::string& why) {
    for (const auto token : std::exchange(tokens, {}))
        effects.push_back(ReplyDone{.token = token, .error = error, .text = why});
}

void order_lock(Tracked& session, Effects& effects) {
    session.lock_ordered = true;
    effects.push_back(Lock{session.record.id});
}

void answer_prompts(Tracked& session, Effects& effects) {
    for (const auto token : std::exchange(session.prompt_tokens, {}))
        effects.push_back(done(token));
}

void answer_waiting(Tracked& session, Effects& effects) {
    constexpr const char* why = "Something else was done to the session first.";
    answer(session.lock_tokens, effects, wire::error_denied, why);
    answer(session.unlock_token, effects, wire::error_denied, why);
    answer_prompts(session, effects);
}

Effects Machine::Data::on(const LockAsked& asked, const Now& now) {
    auto* session = find(asked.session);
    if (auto refusal = not_open(session, asked.token))
        return {std::move(*refusal)};
    if (is_elevated(session->record))
        return {refused(asked.token, wire::error_denied,
                        "It has no lock of its own: lock the login that it is in.")};
    switch (session->record.state) {
    case State::locked: {
        const bool unasked = is_desktop(*session) && !session->record.desktop_locked &&
                             !session->answer_by; // a crash came before
        if (!session->lock_ordered && !session->retry_at && !session->answer_by &&
            !session->settles_at && !unasked)
            return {done(asked.token)};
        // It is written down, but not held yet: the answer waits for the next attempt's outcome.
        Effects effects;
        session->lock_tokens.push_back(asked.token);
        if (!is_desktop(*session)) {
            if (!session->lock_ordered)
                order_lock(*session, effects);
        } else if (unasked) {
            ask_desktop(*session, now, effects);
            schedule(*session);
        }
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
    session->lock_tokens.push_back(asked.token);
    lock_unseen(*session, {asked.by, asked.reason}, now, effects);
    return effects;
}

/// Its idle time runs on from its last key; and whether it has a terminal decides what a lock that
/// does not hold means, since its last one may have been closed after the look before.
void Machine::Data::lock_unseen(Tracked& session, const Cause& cause, const Now& now,
                                Effects& effects) {
    if (enforcing() && !is_graphical(session.record))
        effects.push_back(ReadActivity{.session = session.record.id, .before_lock = true});
    lock(session, cause, now, effects);
    session.asked_anew = session.record.state == State::locked;
    schedule(session);
}

void Machine::Data::lock(Tracked& session, const Cause& cause, const Now& now, Effects& effects) {
    if (const auto why = not_holdable(session.record); why && enforcing()) {
        if (!ends_for(session, {*why}, now, effects) &&
            std::exchange(session.failure, why->text) != why->text)
            effects.push_back(
                audit(AuditKind::lock_failed, session, "it cannot be locked: " + why->text));
    } else if (enforcing())
        hold(session, cause, now, effects);
    else
        effects.push_back(
            audit(AuditKind::session_locked, session,
                  "only observed: would be locked, " + with_reason(cause.by, cause.reason),
                  cause.reason));
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
            *due_at + input_lags > now.boot)
            continue;
        session.lock_observed = due_at;
        lock_unseen(session, {idle_reason(session.decision)}, now, effects);
    }
    return effects;
}

void Machine::Data::hold(Tracked& session, const Cause& cause, const Now& now, Effects& effects) {
    auto& record = session.record;
    record.state = State::locked;
    record.locked_since = now.boot;
    record.locked_since_wall = now.wall;
    record.locked_by = cause.by;
    record.lock_reason = cause.reason;
    record.unlock_failures = 0;
    record.unlock_not_before = BootTime{};
    session.lock_told = false;
    session.asked_anew = false;
    session.closed_told = false;
    session.failure.clear();
    session.gaps.clear();
    session.gaps_told.reset();
    session.answer_by.reset();
    session.settles_at.reset();
    session.answers_due.clear();
    session.newcomer_at.reset();
    session.look_at.reset();
    effects.push_back(StoreSession{record});
    revoke(record.id, "the session was locked", effects);
    if (!is_graphical(record)) {
        // Whether a program has its console is seen as it is held, and not before.
        session.desktop_at_console = false;
        order_lock(session, effects);
        return;
    }
    ask_desktop(session, now, effects);
    if (record.desktop_locked) // by its user, a moment ago
        desktop_holds(session, effects);
}

/// Told once, for as long as it is the same.
void Machine::Data::note_failure(Tracked& session, AuditKind kind, const std::string& why,
                                 Effects& effects) {
    if (std::exchange(session.failure, why) != why)
        effects.push_back(audit(kind, session, why));
}

/// It holds, or nobody is left to be held. Who asked is told before anything that takes long.
void Machine::Data::lock_holds(Tracked& session, const LockDone& outcome, std::vector<Token> tokens,
                               const Now& now, Effects& effects) {
    session.retry_at.reset();
    const bool is_told = outcome.no_terminal && std::exchange(session.closed_told, true);
    if (!std::exchange(session.lock_told, true))
        effects.push_back(audit(AuditKind::session_locked, session,
                                "locked: " + lock_text(session.record) +
                                    (outcome.detail.empty() ? "" : "; " + outcome.detail),
                                session.record.lock_reason));
    else if (outcome.no_terminal && !is_told)
        effects.push_back(audit(AuditKind::terminals_closed, session, outcome.detail));
    answer(tokens, effects);
    // Nobody can be asked there again, and a hang-up does nothing to what is frozen. It is not
    // given back: whoever has the client may be the one it was locked for. Another terminal is
    // told of (TerminalOpened), so nothing is tried until then.
    if (outcome.no_terminal)
        effects.push_back(KillFrozen{session.record.id, session.record.cgroup, true});
    // After the prompts.
    want_look(session, now, effects);
}

/// Part of it may be held: it is given back as after a proof. It never was locked.
void Machine::Data::take_lock_back(Tracked& session, Effects& effects) {
    auto& record = session.record;
    record.locked_since_wall = {};
    record.state = State::unlocking;
    effects.push_back(StoreSession{record});
    effects.push_back(Unlock{record.id});
}

/// What its terminals are now, and what of it is not covered. Nothing found at all can be a look
/// that failed.
void Machine::Data::note_found(Tracked& session, const LockDone& outcome, Effects& effects) {
    if (!outcome.terminals.empty() || outcome.no_terminal) {
        if (session.desktop_at_console || session.record.desktop_locked)
            lost_desktop(session, effects);
        session.terminals = outcome.terminals;
    }
    // What stands still there may be ended, which is told each time.
    if (!outcome.terminals.empty())
        session.closed_told = false;
    const auto tried = gaps_of(outcome);
    std::erase_if(session.gaps, [](const Gap& gap) { return !is_looked_for(gap); });
    session.gaps.insert(session.gaps.begin(), tried.begin(), tried.end());
    // It can be done again and again, and a key be read each time. The prompts say so at once: who
    // sees it types no password.
    if (outcome.escaped)
        effects.push_back(RenewPrompts{session.record.id});
}

Effects Machine::Data::on(const LockDone& outcome, const Now& now) {
    Effects effects;
    auto* session = find(outcome.session);
    if (!session || session->record.state != State::locked)
        return effects;
    if (outcome.by_desktop) {
        if (is_desktop(*session))
            desktop_failed(*session, outcome.detail, now, effects);
        schedule(*session);
        return effects;
    }
    session->lock_ordered = false;
    if (outcome.desktop_at_console) {
        found_desktop(*session, outcome, now, effects);
        schedule(*session);
        return effects;
    }
    // By the look before it, so that nobody has it given back by closing the last one meanwhile.
    const bool had_none = std::exchange(session->asked_anew, false) && outcome.no_terminal &&
                          session->terminals.empty();
    note_found(*session, outcome, effects);
    auto tokens = std::exchange(session->lock_tokens, {});
    // Without a terminal nobody knows whether there is anything to hold.
    if (!outcome.held && !outcome.terminals.empty() &&
        ends_for(*session, gaps_of(outcome), now, effects)) {
        answer(tokens, effects, wire::error_denied,
               "It could not be locked wholly and is ended instead: " + outcome.detail + ".");
        return effects;
    }
    if (outcome.held || (outcome.no_terminal && !had_none)) {
        lock_holds(*session, outcome, std::move(tokens), now, effects);
    } else if (had_none) {
        take_lock_back(*session, effects);
        answer(tokens, effects, wire::error_denied,
               "The session has no terminal: there is nothing to lock.");
    } else {
        // Locked stays locked, and what could not be done is tried until it can.
        session->retry_at = now.boot + lock_retry;
        note_failure(*session, AuditKind::lock_failed, outcome.detail, effects);
        answer(tokens, effects, wire::error_broken, outcome.detail);
    }
    schedule(*session);
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
    if (!session || is_graphical(session->record))
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
    Effects effects;
    order_lock(*session, effects);
    return effects;
}

void look_later(Tracked& session, const Now& now) {
    session.newcomer_pause *= 2;
    session.newcomer_at.reset();
    if (session.record.state == State::locked && session.newcomer_pause <= last_newcomer_look)
        session.newcomer_at = now.boot + session.newcomer_pause;
}

/// If that was the last, there is nobody to ask any more.
Effects Machine::Data::on(const TerminalClosed& closed, const Now&) {
    auto* session = find(closed.session);
    if (!session || session->record.state != State::locked || is_graphical(session->record))
        return {};
    Effects effects;
    order_lock(*session, effects);
    return effects;
}

Effects Machine::Data::on(const LockedTerminalUsed& used, const Now&) {
    auto* session = find(used.session);
    if (!session || session->record.state != State::locked)
        return {};
    Effects effects;
    order_lock(*session, effects);
    return effects;
}

} // namespace vigil::core
