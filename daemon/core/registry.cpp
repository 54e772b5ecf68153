#include "daemon/core/state.hpp"

namespace vigil::core {

namespace {

std::optional<BootTime> after(BootTime from, Seconds limit) {
    return limit == never ? std::nullopt : std::optional{from + limit};
}

void earlier(std::optional<BootTime>& best, const std::optional<BootTime>& candidate) {
    if (candidate && (!best || *candidate < *best))
        best = candidate;
}

std::optional<BootTime> ending_deadline(const Tracked& session) {
    const auto& since = session.record.ending_since;
    switch (session.end_stage) {
    case EndStage::announced:
        return since + reason_is_read;
    case EndStage::terminated:
        return since + reason_is_read + programs_save;
    case EndStage::killed:
        return session.retry_at;
    }
    return std::nullopt;
}

bool counts(State state) {
    return state != State::ending;
}

} // namespace

Moments moments(const Tracked& session) {
    Moments result;
    const auto& record = session.record;
    const auto& decision = session.decision;
    if (record.state == State::reserved || record.state == State::ending)
        return result;
    if (!session.end_observed)
        result.end = after(record.since, decision.max_duration);
    if (result.end && record.end_warnings_given < decision.warn_before_end.size())
        result.end_warning = *result.end - decision.warn_before_end[record.end_warnings_given];
    if (session.observed_for == session.last_input)
        return result;
    // idle_terminate waits for the work too; a lock looks at input alone.
    result.idle_end = after(std::max(session.last_input, session.last_output),
                            decision.idle_terminate);
    if (record.state != State::active)
        return result;
    result.lock = after(session.last_input, decision.idle_lock);
    auto first = result.lock;
    earlier(first, result.idle_end);
    if (first && decision.idle_warn > Seconds{0} && session.warned_for != session.last_input)
        result.idle_warning = *first - decision.idle_warn;
    return result;
}

Tracked* Machine::Data::find(const SessionId& id) {
    const auto found = sessions.find(id);
    return found == sessions.end() ? nullptr : &found->second;
}

Tracked* Machine::Data::find_leader(const base::Process& leader) {
    const auto found = by_leader.find(leader.pid);
    if (found == by_leader.end())
        return nullptr;
    auto* session = find(found->second);
    return session && session->record.leader == leader ? session : nullptr;
}

Tracked& Machine::Data::insert(SessionRecord record, const Now& now) {
    const auto id = record.id;
    auto& session = sessions[id];
    session.decision = policy::decide_session(policy, record.facts, now);
    session.record = std::move(record);
    session.last_input = now.boot;
    session.last_output = now.boot;
    by_leader[session.record.leader.pid] = id;
    if (!session.record.logind_session.empty())
        by_logind[session.record.logind_session] = id;
    if (counts(session.record.state))
        ++per_user[session.record.facts.uid];
    schedule(session);
    return session;
}

void Machine::Data::bind_logind(Tracked& session, const std::string& logind_session) {
    session.record.logind_session = logind_session;
    if (!logind_session.empty())
        by_logind[logind_session] = session.record.id;
}

void Machine::Data::erase(const SessionId& id) {
    const auto found = sessions.find(id);
    if (found == sessions.end())
        return;
    const auto& session = found->second;
    const auto leader = by_leader.find(session.record.leader.pid);
    if (leader != by_leader.end() && leader->second == id)
        by_leader.erase(leader);
    const auto logind = by_logind.find(session.record.logind_session);
    if (logind != by_logind.end() && logind->second == id)
        by_logind.erase(logind);
    if (session.deadline)
        deadlines.erase({*session.deadline, id});
    if (counts(session.record.state)) {
        const auto user = per_user.find(session.record.facts.uid);
        if (user != per_user.end() && --user->second == 0)
            per_user.erase(user);
    }
    sessions.erase(found);
}

void Machine::Data::schedule(Tracked& session) {
    std::optional<BootTime> next;
    switch (session.record.state) {
    case State::reserved:
        break;
    case State::ending:
        next = ending_deadline(session);
        break;
    case State::active:
    case State::locked:
    case State::unlocking: {
        const auto at = moments(session);
        next = at.end;
        earlier(next, at.end_warning);
        earlier(next, session.retry_at);
        if (session.asked_activity) {
            earlier(next, *session.asked_activity + activity_patience);
        } else {
            earlier(next, at.idle_warning);
            earlier(next, at.lock);
            earlier(next, at.idle_end);
        }
        break;
    }
    }
    if (next == session.deadline)
        return;
    if (session.deadline)
        deadlines.erase({*session.deadline, session.record.id});
    if (next)
        deadlines.emplace(*next, session.record.id);
    session.deadline = next;
}

} // namespace vigil::core
