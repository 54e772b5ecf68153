// A session's end, from the reason on its terminals to the last SIGKILL.

#include "daemon/core/state.hpp"

namespace vigil::core {

Effects Machine::Data::on(const TerminateAsked& asked, const Now& now) {
    auto* session = find(asked.session);
    if (auto refusal = not_open(session, asked.token))
        return {std::move(*refusal)};
    if (!enforcing())
        return {ReplyDone{
            .token = asked.token,
            .error = wire::error_denied,
            .text = "vigil only observes on this host (mode: observe): nothing is ended."}};
    Effects effects;
    if (session->record.state != State::ending)
        end(*session, with_reason(asked.by + " ended it", asked.reason), now, effects,
            asked.reason);
    effects.push_back(ReplyDone{.token = asked.token, .error = nullptr, .text = {}});
    return effects;
}

void Machine::Data::end(Tracked& session, const std::string& why, const Now& now, Effects& effects,
                        const std::string& order) {
    auto& record = session.record;
    if (!enforcing()) {
        effects.push_back(
            audit(AuditKind::session_ending, session, "only observed: would be ended, " + why));
        return;
    }
    leave_count(record);
    record.state = State::ending;
    record.ending_since = now.boot;
    record.end_reason = why;
    session.end_stage = EndStage::announced;
    session.retry_at = now.boot + reason_is_read;
    effects.push_back(StoreSession{record});
    effects.push_back(audit(AuditKind::session_ending, session, "ended: " + why, order));
    revoke(record.id, "the session ends", effects);
    if (!session.behind_lock)
        effects.push_back(Say{record.id, title(record) + " ends now: " + why + ".", true});
    answer_waiting(session, effects);
    schedule(session);
}

/// TerminateSession lets programs save; what ignores it is killed; then somebody looks.
void Machine::Data::end_further(Tracked& session, const Now& now, Effects& effects) {
    const auto& id = session.record.id;
    session.retry_at = now.boot + kill_retry;
    switch (session.end_stage) {
    case EndStage::announced:
        // systemd waits 90 s for what is frozen (lock.md, 7): that part goes first. Harmless if
        // nothing is.
        session.end_stage = EndStage::terminated;
        session.retry_at = now.boot + programs_save;
        if (!is_elevated(session.record))
            effects.push_back(KillFrozen{id, session.record.cgroup});
        effects.push_back(Terminate{id});
        break;
    case EndStage::terminated:
        session.end_stage = EndStage::killed;
        session.retry_at = now.boot + gone_check;
        effects.push_back(KillScope{id});
        break;
    case EndStage::killed:
        effects.push_back(CheckGone{id});
        break;
    }
}

Effects Machine::Data::on(const ScopeSeen& seen, const Now&) {
    Effects effects;
    auto* session = find(seen.session);
    if (session && is_elevated(session->record) && seen.gone) {
        elevated_over(*session, session->record.end_reason, effects);
        return effects;
    }
    if (!session || session->record.state != State::ending)
        return effects;
    const auto id = session->record.id;
    if (seen.gone) {
        effects.push_back(audit(AuditKind::session_closed, *session,
                                "session over: " + session->record.end_reason));
        effects.push_back(Forget{id});
        effects.push_back(EraseSession{id});
        erase(id);
        check_elevated(id, effects);
        return effects;
    }
    if (session->end_stage != EndStage::killed)
        return effects; // its programs still have time to save
    if (++session->kills == kills_before_alarm)
        effects.push_back(audit(AuditKind::end_failed, *session,
                                "its processes do not go away; they are killed again every 5 s"));
    effects.push_back(Terminate{id});
    effects.push_back(KillScope{id});
    return effects;
}

} // namespace vigil::core
