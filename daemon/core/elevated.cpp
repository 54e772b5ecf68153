// Elevated sessions: what sudo, su and pkexec started in a login, from its beginning to its end.

#include "daemon/core/state.hpp"

#include <algorithm>
#include <utility>

namespace vigil::core {

namespace {

/// What is told to nobody who waits for more than an answer: it goes on as it did.
Effect no_clock(Token token) {
    return ReplyId{token, {}};
}

std::string name_of(const SessionRecord& record) {
    return record.facts.service + (record.run_as.empty() ? "" : " as " + record.run_as);
}

} // namespace

std::string title(const SessionRecord& record) {
    if (!is_elevated(record))
        return "This session";
    return "What " + record.facts.service + " started as " + record.run_as;
}

Effects Machine::Data::on(const ElevatedAsked& asked, const Now& now) {
    const auto* login = find(asked.login);
    if (!login || is_elevated(login->record) || login->record.state == State::reserved)
        return {no_clock(asked.token)};
    // A repeated question (a lost connection) is about the same one.
    if (const auto known = elevated.find(asked.login); known != elevated.end())
        for (const auto& id : known->second)
            if (find(id)->record.leader == asked.leader)
                return {HoldElevated{asked.token, id, asked.leader}};
    auto facts = login->record.facts;
    facts.service = asked.service;
    const auto decision = policy::decide_elevated(policy, facts, asked.run_as, now);
    if (!decision)
        return {no_clock(asked.token)};
    return hold_elevated(asked, login->record, *decision, now);
}

/// Of those that run, the one that ends first, by whatever rule: it may have longer than what joins
/// it would have had.
const SessionId& Machine::Data::joined(const std::vector<SessionId>& ids) {
    return *std::ranges::min_element(ids, {}, [&](const SessionId& id) {
        const auto& session = *find(id);
        return std::pair{session.record.state == State::ending,
                         moments(session).end.value_or(BootTime::max())};
    });
}

/// What comes beyond a bound is never without a clock: it is where another one runs already.
Effects Machine::Data::hold_elevated(const ElevatedAsked& asked, const SessionRecord& login,
                                     const policy::SessionDecision& decision, const Now& now) {
    SessionRecord record;
    record.id = asked.fresh_id;
    record.facts = login.facts;
    record.facts.service = asked.service;
    record.facts.session_class =
        asked.terminal.empty() ? policy::SessionClass::command : policy::SessionClass::interactive;
    record.pam_terminal = asked.terminal;
    record.remote_host = login.remote_host;
    record.leader = asked.leader;
    record.cgroup = asked.around + "/" + elevated_cgroup + asked.fresh_id.text();
    record.state = State::active;
    record.since = now.boot;
    record.since_wall = now.wall;
    record.login = login.id;
    record.run_as = asked.run_as;
    if (!enforcing())
        return {Audit{.kind = AuditKind::elevated_opened,
                      .session = login.id,
                      .user = record.facts.user,
                      .uid = record.facts.uid,
                      .service = asked.service,
                      .rule = decision.rule,
                      .text = "only observed: would have a clock of its own, " + name_of(record)},
                no_clock(asked.token)};
    if (asked.depth >= max_elevated_depth)
        return {no_clock(asked.token)};
    const auto others = elevated.find(login.id);
    if (others != elevated.end() &&
        (others->second.size() >= max_elevated_per_login || elevated_count >= max_elevated_total))
        return {HoldElevated{asked.token, joined(others->second), asked.leader}};
    auto& session = insert(std::move(record), now);
    session.behind_lock = login.state == State::locked;
    skip_past_warnings(session, now);
    schedule(session);
    return {StoreSession{session.record},
            HoldElevated{asked.token, session.record.id, asked.leader}};
}

/// Whoever asked goes on in any case: an elevated session is no gate.
Effects Machine::Data::on(const ElevatedHeld& held, const Now&) {
    Effects effects;
    auto* session = find(held.session);
    if (!session) {
        effects.push_back(no_clock(held.token));
        return effects;
    }
    if (!held.failure.empty()) {
        effects.push_back(
            audit(AuditKind::elevated_over, *session,
                  name_of(session->record) + " runs without a clock of its own: " + held.failure));
        // One that runs goes on: it was another who could not join it, or asked again.
        if (!session->opened_told) {
            effects.push_back(Forget{held.session});
            effects.push_back(EraseSession{held.session});
            erase(held.session);
        }
        effects.push_back(no_clock(held.token));
        return effects;
    }
    effects.push_back(Watch{held.session});
    if (!std::exchange(session->opened_told, true))
        effects.push_back(
            audit(AuditKind::elevated_opened, *session, name_of(session->record) + " was started"));
    effects.push_back(ReplyId{held.token, held.session.text()});
    return effects;
}

void Machine::Data::elevated_over(Tracked& session, const std::string& how, Effects& effects) {
    const auto id = session.record.id;
    effects.push_back(audit(AuditKind::elevated_over, session,
                            name_of(session.record) + " is over" +
                                (how.empty() ? ": it ended by itself" : ": " + how)));
    answer_waiting(session, effects);
    effects.push_back(Forget{id});
    effects.push_back(EraseSession{id});
    erase(id);
}

/// Its terminal is used by the login too, so what is written there tells nothing of it.
void Machine::Data::see_elevated(Tracked& session, const ActivitySeen& seen, const Now& now,
                                 Effects& effects) {
    const auto id = session.record.id;
    // Under the lock a key is the prompt's.
    if (!session.behind_lock)
        session.last_input = std::max(session.last_input, std::min(seen.last_input, now.boot));
    const auto work_look = moments(session).work_look;
    note_work(session, seen, now);
    if (is_due(work_look, now))
        session.work_looked_for = moments(session).idle_end;
    if (!session.behind_lock)
        judge_idle(session, now, effects);
    if (auto* still = find(id))
        schedule(*still);
}

void Machine::Data::check_elevated(const SessionId& login, Effects& effects) {
    if (const auto found = elevated.find(login); found != elevated.end())
        for (const auto& id : found->second)
            effects.push_back(CheckGone{id});
}

void Machine::Data::elevated_given_back(const SessionId& login, const Now& now, Effects& effects) {
    if (const auto found = elevated.find(login); found != elevated.end())
        for (const auto& id : found->second) {
            auto& session = *find(id);
            session.last_input = now.boot;
            schedule(session);
        }
    check_elevated(login, effects);
}

void Machine::Data::tell_elevated_of_lock(const Tracked& login) {
    const auto found = elevated.find(login.record.id);
    if (found == elevated.end())
        return;
    const bool locked =
        login.record.state == State::locked || login.record.state == State::unlocking;
    for (const auto& id : found->second)
        if (auto& session = *find(id); session.behind_lock != locked) {
            session.behind_lock = locked;
            schedule(session);
        }
}

} // namespace vigil::core
