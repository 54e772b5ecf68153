// What is due: warnings, locks and ends, by the times of the policy and by what the shell saw.

#include "daemon/core/state.hpp"

namespace vigil::core {

Effects Machine::Data::on(const TimePassed&, const Now& now) {
    Effects effects;
    lapse_requests(now, effects);
    lapse_blocks(now, effects);
    lapse_rehearsal(now, effects);
    // Each session is handled once a tick: what it schedules for this very moment waits for the
    // next, and so do those beyond the bound, since logins wait for this one's end.
    std::vector<SessionId> ripe;
    for (const auto& [at, id] : deadlines) {
        if (at > now.boot || ripe.size() == most_due_at_once)
            break;
        ripe.push_back(id);
    }
    for (const auto& id : ripe)
        if (auto* session = find(id)) {
            due(*session, now, effects);
            if ((session = find(id)))
                schedule(*session);
        }
    return effects;
}

void Machine::Data::warn(Tracked& session, std::string line, const std::string& text,
                         const Now& now, Effects& effects) {
    if (enforcing() && !session.behind_lock) {
        session.said_at = now.boot;
        effects.push_back(Say{session.record.id, std::move(line)});
    }
    effects.push_back(audit(AuditKind::session_warned, session,
                            (enforcing() ? "" : "only observed: would be warned, ") + text));
}

void Machine::Data::due(Tracked& session, const Now& now, Effects& effects) {
    auto& record = session.record;
    if (is_due(session.watch_at, now)) {
        session.watch_at.reset();
        effects.push_back(Watch{record.id});
    }
    if (record.state == State::reserved) {
        if (record.since + reservation_lasts <= now.boot)
            over(session, "", effects);
        return;
    }
    if (record.state == State::ending) {
        if (is_due(session.retry_at, now))
            end_further(session, now, effects);
        return;
    }
    auto at = moments(session);
    if (is_due(at.end, now)) {
        session.end_observed = at.end;
        end(session, "it reached its limit of " + duration_text(session.decision.max_duration), now,
            effects);
        if (enforcing())
            return;
        at = moments(session);
    }
    if (is_due(at.end_warning, now)) {
        // After a lock or an absence of ours several may be due: one line says it.
        skip_past_warnings(session, now);
        const auto left = duration_text(*at.end - now.boot);
        effects.push_back(StoreSession{record});
        session.warned_at.reset(); // the next key must not take both lines away
        warn(session,
             title(record) + " ends in " + left + ", at its limit of " +
                 duration_text(session.decision.max_duration) + ". Save your work.",
             "ends in " + left, now, effects);
    }
    desktop_due(session, now, effects);
    if (record.state == State::ending)
        return;
    const bool retry = is_due(session.retry_at, now);
    const bool newcomers = is_due(session.newcomer_at, now);
    if (retry)
        session.retry_at.reset();
    if (newcomers)
        look_later(session, now);
    if (record.state == State::locked && (retry || newcomers))
        order_lock(session, effects);
    if (record.state == State::unlocking && retry)
        effects.push_back(Unlock{record.id});
    look_due(session, now, effects);
    const bool idle_due = is_due(at.idle_warning, now) || is_due(at.lock, now) ||
                          is_due(at.work_look, now) || is_due(at.class_look, now) ||
                          is_due(at.idle_end, now);
    // An answer that did not come in its time does not come any more.
    if (session.asked_activity && *session.asked_activity + activity_patience <= now.boot)
        session.asked_activity.reset();
    if (idle_due && !session.asked_activity) {
        session.asked_activity = now.boot;
        effects.push_back(ReadActivity{record.id});
    }
}

Effects Machine::Data::on(const ActivitySeen& seen, const Now& now) {
    Effects effects;
    auto* session = find(seen.session);
    if (!session)
        return effects;
    auto& record = session->record;
    // Of a desktop it is the half of the answer.
    if (!seen.desktop_at_console)
        session->asked_activity.reset();
    if (record.state != State::active && record.state != State::locked) {
        schedule(*session);
        return effects;
    }
    session->terminals = seen.terminals;
    if (is_elevated(record)) {
        see_elevated(*session, seen, now, effects);
        return effects;
    }
    if (!seen.desktop_at_console && session->desktop_at_console) {
        // A lock goes on where a prompt is.
        if (record.state == State::locked)
            order_lock(*session, effects);
        else
            lost_desktop(*session, effects);
    }
    if (record.state == State::active && seen.held) {
        // The store was lost with a lock in it.
        hold(*session, {"found locked"}, now, effects);
        schedule(*session);
        return effects;
    }
    if (seen.desktop_at_console) {
        if (record.state == State::active) {
            note_class(*session, seen, now, effects);
            session->desktop_at_console = true;
        }
        schedule(*session);
        return effects;
    }
    if (record.state == State::active)
        note_class(*session, seen, now, effects);
    // Under the lock a key is the prompt's, and what is drawn is it.
    if (record.state == State::active || seen.before_lock) {
        session->last_input = std::max(session->last_input, std::min(seen.last_input, now.boot));
        const bool our_own = session->said_at != BootTime{} &&
                             seen.last_output >= session->said_at &&
                             seen.last_output <= session->said_at + own_output_lasts;
        if (!our_own)
            session->last_output =
                std::max(session->last_output, std::min(seen.last_output, now.boot));
    }
    // Without a terminal there is nobody whose keys could tell: for a lock it is never idle. Under
    // one nobody comes back to a terminal that was closed.
    if (seen.terminals.empty() && record.state == State::active)
        session->last_input = now.boot;
    warning_is_over(*session, session->last_input, effects);
    // Whether it is idle the work decides too. Where its end is due, that is looked for at once.
    if (seen.before_lock) {
        schedule(*session);
        return effects;
    }
    const auto work_look = moments(*session).work_look;
    note_work(*session, seen, now);
    if (is_due(work_look, now))
        session->work_looked_for = moments(*session).idle_end;
    judge_idle(*session, now, effects);
    if ((session = find(seen.session)))
        schedule(*session);
    return effects;
}

Effects Machine::Data::on(const WarnedTerminalUsed& used, const Now&) {
    Effects effects;
    if (auto* session = find(used.session))
        warning_is_over(*session, used.input, effects);
    return effects;
}

/// After a lock all is drawn anew in any case.
void warning_is_over(Tracked& session, BootTime input, Effects& effects) {
    if (!session.warned_at || input <= *session.warned_at)
        return;
    session.warned_at.reset();
    if (session.record.state == State::active)
        effects.push_back(WipeLine{session.record.id});
}

void Machine::Data::judge_idle(Tracked& session, const Now& now, Effects& effects) {
    const auto at = moments(session);
    const auto idle = now.boot - session.last_input;
    if (is_due(at.idle_end, now)) {
        session.idle_end_observed = at.idle_end;
        // Time may have jumped over both; what would have ended needs no lock.
        if (is_due(at.lock, now))
            session.lock_observed = at.lock;
        end(session, "it was idle for " + duration_text(session.decision.idle_terminate), now,
            effects);
        if (!enforcing())
            judge_idle(session, now, effects);
    } else if (is_due(at.lock, now)) {
        session.lock_observed = at.lock;
        lock(session, {idle_reason(session.decision)}, now, effects);
        if (!enforcing())
            judge_idle(session, now, effects);
    } else if (is_due(at.idle_warning, now)) {
        const bool locks = at.lock && (!at.idle_end || *at.lock <= *at.idle_end);
        session.warned_for = locks ? at.lock : at.idle_end;
        const std::string coming =
            (locks ? "locked in " : "ends in ") + duration_text(*session.warned_for - now.boot);
        warn(session,
             title(session.record) + (locks ? " is " : " ") + coming + " unless you press a key.",
             "idle for " + duration_text(idle) + ", " + coming, now, effects);
        // Of an elevated session no key is asked for: its line stands on a terminal of the login's.
        if (enforcing() && !is_elevated(session.record))
            session.warned_at = now.boot;
    }
}

} // namespace vigil::core
