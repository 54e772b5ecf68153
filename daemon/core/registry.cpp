#include "daemon/core/state.hpp"

#include <algorithm>

namespace vigil::core {

namespace {

void earlier(std::optional<BootTime>& best, const std::optional<BootTime>& candidate) {
    if (candidate && (!best || *candidate < *best))
        best = candidate;
}

bool counts(const SessionRecord& record) {
    return record.state != State::ending && !is_elevated(record);
}

/// What was observed already does not come again.
void unless_observed(std::optional<BootTime>& moment, const std::optional<BootTime>& observed) {
    if (moment == observed)
        moment.reset();
}

/// Where the idle clock of a restored session starts. An active one's true last input is asked for
/// before anything is done to it; under a lock nobody can ask any more.
BootTime restored_input(const SessionRecord& record, const policy::SessionDecision& decision) {
    if (record.state == State::active)
        return record.since;
    const auto& locked = record.locked_since;
    const bool was_idle =
        record.locked_by == idle_reason(decision) && after(locked, decision.idle_lock);
    return std::max(record.since, was_idle ? locked - decision.idle_lock : locked);
}

} // namespace

std::optional<BootTime> after(BootTime from, Seconds limit) {
    constexpr Seconds lifetime = std::chrono::years{100};
    return limit > lifetime ? std::nullopt : std::optional{from + limit};
}

std::string idle_reason(const policy::SessionDecision& decision) {
    return after({}, decision.idle_lock) ? "idle for " + duration_text(decision.idle_lock) : "idle";
}

void skip_past_warnings(Tracked& session, const Now& now) {
    const auto end = after(session.record.since, session.decision.max_duration);
    const auto& warnings = session.decision.warn_before_end;
    auto& given = session.record.end_warnings_given;
    given = 0;
    while (end && given < warnings.size() && warnings[given] >= *end - now.boot)
        ++given;
}

namespace {

/// The end comes once the work is known to be idle up to it.
void await_work(const Tracked& session, Moments& at) {
    const auto& base = session.work_base;
    const bool known = base && session.work_was_idle && *at.idle_end <= base->at;
    if (base && !known)
        at.idle_end = std::max(*at.idle_end, base->at + shortest_stretch(session));
    if (session.decision.idle_terminate >= 2 * work_window &&
        session.work_looked_for != at.idle_end)
        at.work_look = *at.idle_end - work_window;
}

} // namespace

Moments moments(const Tracked& session) {
    Moments result;
    const auto& record = session.record;
    const auto& decision = session.decision;
    if (record.state == State::reserved || record.state == State::ending)
        return result;
    result.end = after(record.since, decision.max_duration);
    unless_observed(result.end, session.end_observed);
    if (record.state == State::unlocking)
        return result;
    if (session.behind_lock)
        return result;
    // idle_terminate waits for the work too; a lock looks at input alone.
    result.idle_end = after(last_activity(session), decision.idle_terminate);
    unless_observed(result.idle_end, session.idle_end_observed);
    if (result.idle_end && counts_work(session))
        await_work(session, result);
    // A locked screen shows no warnings; after the unlock they are made up for.
    if (record.state != State::active)
        return result;
    result.class_look = session.class_look_at;
    if (result.end && record.end_warnings_given < decision.warn_before_end.size())
        result.end_warning = *result.end - decision.warn_before_end[record.end_warnings_given];
    result.lock = after(session.last_input, decision.idle_lock);
    unless_observed(result.lock, session.lock_observed);
    // Nobody sees a warning without a terminal.
    if (policy::has_no_terminal(record.facts.session_class))
        return result;
    std::optional<BootTime> first;
    earlier(first, result.lock);
    earlier(first, result.idle_end);
    const auto limit = first == result.lock ? decision.idle_lock : decision.idle_terminate;
    // The two may come from different rules: a warning as long as the limit would come with each
    // key.
    if (first && decision.idle_warn > Seconds{0} && decision.idle_warn < limit &&
        session.warned_for != first)
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
    session.decision = decide(record, now);
    session.record = std::move(record);
    // A new one has no past yet, and these two are the same.
    session.last_input = std::min(now.boot, restored_input(session.record, session.decision));
    session.last_output = session.last_input;
    // Of its work nothing is remembered; without a terminal that would be all there is.
    session.last_work =
        policy::has_no_terminal(session.record.facts.session_class) ? now.boot : session.last_input;
    if (session.record.login) {
        elevated[*session.record.login].push_back(id);
        ++elevated_count;
    } else {
        by_leader[session.record.leader.pid] = id;
    }
    if (!session.record.logind_session.empty())
        by_logind[session.record.logind_session] = id;
    if (counts(session.record))
        ++per_user[session.record.facts.uid];
    schedule(session);
    return session;
}

/// One of an elevated session that no rule is about any more has no limits.
policy::SessionDecision Machine::Data::decide(const SessionRecord& record, const Now& now) const {
    if (!is_elevated(record))
        return policy::decide_session(policy, record.facts, now);
    return policy::decide_elevated(policy, record.facts, record.run_as, now)
        .value_or(policy::SessionDecision{});
}

/// A crash can come between a lock, an end or a logout and the erasure of what they revoke; and the
/// policy can have changed while vigild was down, which revokes as a reload does.
void Machine::Data::restore_grant(GrantRecord grant, const Now& now) {
    const auto* session = find(grant.session);
    if (session && session->record.state == State::active &&
        (grant.terminal != 0 || session->record.leader == grant.leader) &&
        grant.expires > now.boot && grant.uses_left > 0 && rule_of(grant))
        grants.emplace(grant.session, std::move(grant));
    else
        stale_grants.push_back(grant.id);
}

/// From its end on a session does not count against max_sessions any more.
void Machine::Data::leave_count(const SessionRecord& record) {
    const auto user = per_user.find(record.facts.uid);
    if (counts(record) && user != per_user.end() && --user->second == 0)
        per_user.erase(user);
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
    if (const auto& login = session.record.login) {
        auto& others = elevated[*login];
        std::erase(others, id);
        if (others.empty())
            elevated.erase(*login);
        --elevated_count;
    }
    looks_due.erase(id);
    leave_count(session.record);
    sessions.erase(found);
}

void Machine::Data::schedule(Tracked& session) {
    tell_elevated_of_lock(session);
    std::optional<BootTime> next;
    switch (session.record.state) {
    case State::reserved:
        next = session.record.since + reservation_lasts;
        break;
    case State::ending:
        next = session.retry_at;
        break;
    case State::active:
    case State::locked:
    case State::unlocking: {
        const auto at = moments(session);
        next = at.end;
        earlier(next, at.end_warning);
        earlier(next, session.retry_at);
        earlier(next, session.newcomer_at);
        earlier(next, session.answer_by);
        earlier(next, session.settles_at);
        earlier(next, session.look_at);
        if (session.asked_activity) {
            earlier(next, *session.asked_activity + activity_patience);
        } else {
            earlier(next, at.idle_warning);
            earlier(next, at.work_look);
            earlier(next, at.class_look);
            earlier(next, at.lock);
            earlier(next, at.idle_end);
        }
        break;
    }
    }
    earlier(next, session.watch_at);
    if (next == session.deadline)
        return;
    if (session.deadline)
        deadlines.erase({*session.deadline, session.record.id});
    if (next)
        deadlines.emplace(*next, session.record.id);
    session.deadline = next;
}

} // namespace vigil::core
