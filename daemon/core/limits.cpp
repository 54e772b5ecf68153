#include "daemon/core/state.hpp"

namespace vigil::core {

std::string duration_text(Microseconds duration) {
    const auto total = std::chrono::ceil<Seconds>(duration).count();
    const auto hours = total / 3600;
    const auto minutes = total / 60 % 60;
    const auto seconds = total % 60;
    std::string text;
    const auto add = [&](auto value, const char* unit) {
        if (value > 0)
            text += (text.empty() ? "" : " ") + std::to_string(value) + unit;
    };
    add(hours, " h");
    add(minutes, " min");
    if (hours == 0)
        add(seconds, " s");
    return text.empty() ? "0 s" : text;
}

Effects Machine::Data::on(const TimePassed&, const Now& now) {
    Effects effects;
    // Each session is handled once a tick: what it schedules for this very moment waits for the
    // next.
    std::vector<SessionId> ripe;
    for (const auto& [at, id] : deadlines) {
        if (at > now.boot)
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
    if (enforcing()) {
        session.said_at = now.boot;
        effects.push_back(Say{session.record.id, std::move(line)});
    }
    effects.push_back(audit(AuditKind::session_warned, session,
                            (enforcing() ? "" : "only observed: would be warned, ") + text));
}

void Machine::Data::due(Tracked& session, const Now& now, Effects& effects) {
    auto& record = session.record;
    if (session.watch_at && *session.watch_at <= now.boot) {
        session.watch_at.reset();
        effects.push_back(Watch{record.id});
    }
    if (record.state == State::reserved) {
        if (record.since + reservation_lasts <= now.boot)
            over(session, "", effects);
        return;
    }
    if (record.state == State::ending) {
        if (session.retry_at && *session.retry_at <= now.boot)
            end_further(session, now, effects);
        return;
    }
    auto at = moments(session);
    if (at.end && *at.end <= now.boot) {
        session.end_observed = at.end;
        end(session, "it reached its limit of " + duration_text(session.decision.max_duration), now,
            effects);
        if (enforcing())
            return;
        at = moments(session);
    }
    if (at.end_warning && *at.end_warning <= now.boot) {
        // After a lock or an absence of ours several may be due: one line says it.
        skip_past_warnings(session, now);
        const auto left = duration_text(*at.end - now.boot);
        effects.push_back(StoreSession{record});
        warn(session,
             "This session ends in " + left + ", at its limit of " +
                 duration_text(session.decision.max_duration) + ". Save your work.",
             "ends in " + left, now, effects);
    }
    desktop_due(session, now, effects);
    if (record.state == State::ending)
        return;
    const bool retry = session.retry_at && *session.retry_at <= now.boot;
    const bool newcomers = session.newcomer_at && *session.newcomer_at <= now.boot;
    if (retry)
        session.retry_at.reset();
    if (newcomers)
        look_later(session, now);
    if (record.state == State::locked && (retry || newcomers))
        effects.push_back(Lock{record.id});
    if (record.state == State::unlocking && retry)
        effects.push_back(Unlock{record.id});
    const bool idle_due =
        (at.idle_warning && *at.idle_warning <= now.boot) || (at.lock && *at.lock <= now.boot) ||
        (at.work_look && *at.work_look <= now.boot) ||
        (at.class_look && *at.class_look <= now.boot) || (at.idle_end && *at.idle_end <= now.boot);
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
    session->asked_activity.reset();
    if (record.state != State::active && record.state != State::locked) {
        schedule(*session);
        return effects;
    }
    session->terminals = seen.terminals;
    if (record.state == State::active && seen.held) {
        // The store was lost with a lock in it.
        hold(*session, "found locked", now, effects);
        schedule(*session);
        return effects;
    }
    if (record.state == State::active) {
        note_class(*session, seen, now, effects);
        session->last_input = std::max(session->last_input, std::min(seen.last_input, now.boot));
        const bool our_own = session->said_at != BootTime{} &&
                             seen.last_output >= session->said_at &&
                             seen.last_output <= session->said_at + own_output_lasts;
        if (!our_own)
            session->last_output =
                std::max(session->last_output, std::min(seen.last_output, now.boot));
    }
    // Without a terminal there is nobody whose keys could tell: for a lock it is never idle.
    if (seen.terminals.empty())
        session->last_input = now.boot;
    const auto work_look = moments(*session).work_look;
    note_work(*session, seen, now);
    if (work_look && *work_look <= now.boot)
        session->work_looked_for = moments(*session).idle_end;
    judge_idle(*session, now, effects);
    if ((session = find(seen.session)))
        schedule(*session);
    return effects;
}

void Machine::Data::judge_idle(Tracked& session, const Now& now, Effects& effects) {
    const auto at = moments(session);
    const auto idle = now.boot - session.last_input;
    if (at.idle_end && *at.idle_end <= now.boot) {
        session.idle_end_observed = at.idle_end;
        // Time may have jumped over both; what would have ended needs no lock.
        if (at.lock && *at.lock <= now.boot)
            session.lock_observed = at.lock;
        end(session, "it was idle for " + duration_text(session.decision.idle_terminate), now,
            effects);
        if (!enforcing())
            judge_idle(session, now, effects);
    } else if (at.lock && *at.lock <= now.boot) {
        session.lock_observed = at.lock;
        lock(session, idle_reason(session.decision), now, effects);
        if (!enforcing())
            judge_idle(session, now, effects);
    } else if (at.idle_warning && *at.idle_warning <= now.boot) {
        const bool locks = at.lock && (!at.idle_end || *at.lock <= *at.idle_end);
        session.warned_for = locks ? at.lock : at.idle_end;
        const std::string coming =
            (locks ? "locked in " : "ends in ") + duration_text(*session.warned_for - now.boot);
        warn(session,
             (locks ? "This session is " : "This session ") + coming + " unless you press a key.",
             "idle for " + duration_text(idle) + ", " + coming, now, effects);
    }
}

} // namespace vigil::core
