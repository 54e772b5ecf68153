#include "daemon/core/state.hpp"

#include <algorithm>

namespace vigil::core {

namespace {

std::uint64_t seconds_or_unlimited(Seconds limit) {
    return limit == never ? wire::unlimited : static_cast<std::uint64_t>(limit.count());
}

/// Root at the machine itself is the way back in (invariant 8). What is no login never comes here.
bool is_break_glass(const ReserveAsked& asked) {
    return asked.facts.uid == 0 && asked.remote_host.empty() && asked.at_console;
}

SessionRecord record_of(const ReserveAsked& asked, const Now& now) {
    SessionRecord record;
    record.id = asked.fresh_id;
    record.facts = asked.facts;
    record.pam_terminal = asked.pam_terminal;
    record.remote_host = asked.remote_host;
    record.leader = asked.leader;
    record.since = now.boot;
    record.since_wall = now.wall;
    return record;
}

Audit audit_refusal(const policy::Facts& facts, const std::string& rule, std::string text,
                    AuditKind kind = AuditKind::login_refused) {
    return {.kind = kind,
            .session = std::nullopt,
            .user = facts.user,
            .uid = facts.uid,
            .service = facts.service,
            .rule = rule,
            .text = std::move(text)};
}

constexpr const char* not_watched = "not watched: there are too many sessions";

std::string in_rule(const std::string& rule) {
    return rule.empty() ? std::string{} : " (rule \"" + rule + "\")";
}

/// Why the policy refuses this login; nullopt: it does not.
std::optional<std::string> refusal(const policy::SessionDecision& decision, std::uint32_t open) {
    if (decision.access == policy::Access::deny)
        return decision.message.empty() ? "This login is not allowed" + in_rule(decision.rule) + "."
                                        : decision.message;
    const auto limit = decision.max_sessions.per_user;
    if (limit && open >= *limit)
        return "You have " + std::to_string(open) + (open == 1 ? " session" : " sessions") +
               " here and the limit is " + std::to_string(*limit) + in_rule(decision.rule) +
               ". End one first.";
    return std::nullopt;
}

/// What PID 1 is told, for the day vigild is dead. Which class the session will be of is not known
/// yet, and PID 1 must never be the first to end one.
std::uint64_t longest_limit(const policy::Policy& policy, policy::Facts facts, const Now& now) {
    if (policy.mode != policy::Mode::enforce)
        return wire::unlimited;
    Seconds longest{0};
    for (const auto possible : {policy::SessionClass::interactive, policy::SessionClass::command,
                                policy::SessionClass::transfer, policy::SessionClass::forward,
                                policy::SessionClass::graphical}) {
        facts.session_class = possible;
        longest = std::max(longest, policy::decide_session(policy, facts, now).max_duration);
    }
    return seconds_or_unlimited(longest);
}

} // namespace

Audit audit(AuditKind kind, const Tracked& session, std::string text, std::string reason) {
    const auto& record = session.record;
    if (is_elevated(record)) {
        if (kind == AuditKind::session_warned)
            kind = AuditKind::elevated_warned;
        else if (kind == AuditKind::session_ending)
            kind = AuditKind::elevated_ending;
    }
    return {.kind = kind,
            .session = record.id,
            .user = record.facts.user,
            .uid = record.facts.uid,
            .service = record.facts.service,
            .rule = session.decision.rule,
            .text = std::move(text),
            .reason = std::move(reason)};
}

Effects Machine::Data::on(const ReserveAsked& asked, const Now& now) {
    Effects effects;
    const auto refuse = [&](const std::string& rule, const std::string& why) {
        effects.push_back(audit_refusal(asked.facts, rule, why));
        effects.push_back(ReplyReserve{
            asked.token, {.verdict = wire::ReserveReply::Verdict::refused, .reason = why}});
    };
    // A repeated question (a lost connection) is about the same login.
    if (auto* known = find_leader(asked.leader); known && known->record.state == State::reserved) {
        const auto id = known->record.id;
        effects.push_back(EraseSession{id});
        effects.push_back(Forget{id});
        erase(id);
    } else if (known) {
        // A process leads one session: it is in its own already, and gets no second one.
        effects.push_back(
            ReplyReserve{asked.token, {.verdict = wire::ReserveReply::Verdict::not_a_login}});
        return effects;
    }
    const auto decision = policy::decide_session(policy, asked.facts, now);
    const auto user = per_user.find(asked.facts.uid);
    const auto* const block = find_block(asked.facts.uid, now);
    auto why = block ? std::optional{block_text(*block, now.utc_offset)}
                     : refusal(decision, user == per_user.end() ? 0 : user->second);
    if (!why)
        why = unproved(decision, asked.facts, asked.leader, now);
    const bool full = login_count() >= max_sessions_total;
    if (full && !enforcing()) {
        effects.push_back(audit_refusal(asked.facts, {}, not_watched));
        effects.push_back(
            ReplyReserve{asked.token, {.verdict = wire::ReserveReply::Verdict::not_a_login}});
        return effects;
    }
    const auto rule = why && !block ? decision.rule : std::string{};
    if (full && !why)
        why = "This host has reached the number of sessions it can watch.";
    if (why && is_break_glass(asked)) {
        effects.push_back(audit_refusal(asked.facts, rule,
                                        "root at the console is let in although: " + *why,
                                        AuditKind::login_let_in));
    } else if (why && !enforcing()) {
        effects.push_back(audit_refusal(asked.facts, rule, "only observed: " + *why));
    } else if (why) {
        refuse(rule, *why);
        return effects;
    }
    const auto& session = insert(record_of(asked, now), now);
    effects.push_back(StoreSession{session.record});
    effects.push_back(Watch{session.record.id});
    effects.push_back(audit(AuditKind::login_reserved, session, "login allowed"));
    effects.push_back(ReplyReserve{asked.token,
                                   {.verdict = wire::ReserveReply::Verdict::reserved,
                                    .reason = {},
                                    .max_seconds = longest_limit(policy, asked.facts, now)}});
    return effects;
}

Effects Machine::Data::on(const PrepareAsked& asked, const Now& now) {
    const auto* session = find_leader(asked.leader);
    return {ReplyLimit{asked.token, session ? longest_limit(policy, session->record.facts, now)
                                            : wire::unlimited}};
}

Effects Machine::Data::on(const ConfirmAsked& asked, const Now& now) {
    Effects effects;
    auto* session = find_leader(asked.leader);
    const bool fresh = !session || session->record.state == State::reserved;
    if (!session && login_count() >= max_sessions_total) {
        effects.push_back(audit_refusal(asked.facts, {}, not_watched));
        effects.push_back(ReplyDone{asked.token, wire::error_broken,
                                    "This host has reached the number of sessions vigil can "
                                    "watch."});
        return effects;
    }
    if (!session) {
        // The account phase could not reach vigild. The login stands; watch it from here on.
        SessionRecord record;
        record.id = asked.fresh_id;
        record.facts = asked.facts;
        record.leader = asked.leader;
        record.since = now.boot;
        record.since_wall = now.wall;
        session = &insert(std::move(record), now);
    }
    // It has done its work: what another login of this process needs it proves itself.
    std::erase_if(login_proofs, [&](const auto& proof) { return proof.leader == asked.leader; });
    auto& record = session->record;
    if (fresh) {
        record.state = State::active;
        record.since = now.boot;
        record.since_wall = now.wall;
        session->last_input = now.boot;
        session->last_output = now.boot;
        session->last_work = now.boot;
        // Told again of a session that has a terminal by now, that is no news of its class.
        record.facts.session_class = asked.facts.session_class;
    }
    record.pam_terminal = asked.pam_terminal;
    record.remote_host = asked.remote_host;
    record.cgroup = asked.cgroup;
    bind_logind(*session, asked.logind_session);
    session->decision = policy::decide_session(policy, record.facts, now);
    if (fresh) {
        skip_past_warnings(*session, now);
        await_class(*session, now);
    }
    schedule(*session);
    effects.push_back(StoreSession{record});
    effects.push_back(Watch{record.id});
    if (fresh)
        effects.push_back(audit(AuditKind::session_opened, *session, "session opened"));
    // A console's terminal is there already; nothing will tell of a new one.
    if (fresh && record.remote_host.empty())
        effects.push_back(ReadActivity{record.id});
    effects.push_back(ReplyId{asked.token, record.id.text()});
    // Blocked between the two, as while he was asked for a new password.
    if (fresh)
        if (const auto why = why_blocked(record.facts.uid, now))
            std::ranges::move(on(TerminateAsked{0, record.id, "vigil", *why}, now),
                              std::back_inserter(effects));
    return effects;
}

Effects Machine::Data::on(const SessionFound& found, const Now& now) {
    Effects effects;
    if (by_logind.contains(found.logind_session))
        return effects;
    auto* session = find_leader(found.leader);
    if (!session && login_count() >= max_sessions_total) {
        effects.push_back(audit_refusal(found.facts, {}, not_watched));
        return effects;
    }
    if (!session) {
        SessionRecord record;
        record.id = found.fresh_id;
        record.facts = found.facts;
        record.leader = found.leader;
        record.adopted = true;
        session = &insert(std::move(record), now);
    } else if (session->record.state != State::reserved) {
        // Confirmed while logind was away: from here on it can be locked and ended.
        if (session->record.logind_session.empty()) {
            session->record.cgroup = found.cgroup;
            bind_logind(*session, found.logind_session);
            effects.push_back(StoreSession{session->record});
        }
        return effects;
    }
    auto& record = session->record;
    record.state = State::active;
    record.since = std::min(found.since, now.boot);
    // Its true last input is asked for before anything is done to it.
    session->last_input = record.since;
    session->last_output = record.since;
    session->last_work = now.boot;
    record.since_wall = found.since_wall;
    record.facts.session_class = found.facts.session_class;
    record.pam_terminal = found.pam_terminal;
    record.remote_host = found.remote_host;
    record.cgroup = found.cgroup;
    bind_logind(*session, found.logind_session);
    session->decision = policy::decide_session(policy, record.facts, now);
    skip_past_warnings(*session, now);
    session->asked_activity = now.boot;
    schedule(*session);
    effects.push_back(StoreSession{record});
    effects.push_back(Watch{record.id});
    effects.push_back(audit(AuditKind::session_adopted, *session,
                            "session " + found.logind_session + " of logind's is watched now"));
    effects.push_back(ReadActivity{record.id});
    return effects;
}

Effects Machine::Data::on(const ReleaseAsked& asked, const Now&) {
    Effects effects;
    if (auto* session = find_leader(asked.leader))
        over(*session, "closed", effects);
    effects.push_back(ReplyDone{.token = asked.token, .error = nullptr, .text = {}});
    return effects;
}

Effects Machine::Data::on(const LeaderGone& gone, const Now&) {
    Effects effects;
    auto* session = find(gone.session);
    // What it has started may go on.
    if (session && is_elevated(session->record))
        effects.push_back(CheckGone{gone.session});
    else if (session)
        over(*session, "its process ended", effects);
    return effects;
}

Effects Machine::Data::on(const WatchFailed& failed, const Now& now) {
    if (auto* session = find(failed.session)) {
        session->watch_at = now.boot + watch_retry;
        schedule(*session);
    }
    return {};
}

/// The login is over. One that is being ended stays until its scope is seen to be gone.
void Machine::Data::over(Tracked& session, const char* how, Effects& effects) {
    const auto& record = session.record;
    if (record.state == State::ending) {
        // Mostly nothing of it is left by now, and then there is nobody to wait for.
        effects.push_back(CheckGone{record.id});
        return;
    }
    const auto id = record.id;
    // Nothing may stay frozen for ever: a hang-up does nothing to it before a thaw.
    if (record.state == State::locked || record.state == State::unlocking)
        effects.push_back(KillFrozen{id, record.cgroup});
    const bool lapsed = record.state == State::reserved;
    effects.push_back(audit(AuditKind::session_closed, session,
                            lapsed ? "the login did not come to a session"
                                   : std::string{"session over: "} + how));
    revoke(id, "logout", effects);
    answer_waiting(session, effects);
    effects.push_back(Forget{id});
    effects.push_back(EraseSession{id});
    erase(id);
    check_elevated(id, effects);
}

Effects Machine::Data::on(const PolicyChanged& change, const Now& now) {
    Effects effects;
    const bool was_enforcing = enforcing();
    set_policy(change.policy);
    if (policy.mode == policy::Mode::enforce)
        rehearsal.reset();
    if (rehearsal) // who came in before has not come in under this one
        rehearsal->since = now.boot;
    if (enforcing() != was_enforcing)
        store_blocks(now, effects);
    decide_anew(now, effects);
    effects.push_back(Audit{.kind = AuditKind::policy_loaded,
                            .session = std::nullopt,
                            .user = {},
                            .uid = UINT32_MAX,
                            .service = {},
                            .rule = {},
                            .text = "policy loaded: " + policy::summary(policy)});
    return effects;
}

void Machine::Data::decide_anew(const Now& now, Effects& effects) {
    for (auto& [id, session] : sessions) {
        session.decision = decide(session.record, now);
        const auto given = session.record.end_warnings_given;
        skip_past_warnings(session, now);
        if (session.record.end_warnings_given != given)
            effects.push_back(StoreSession{session.record});
        session.lock_observed.reset();
        session.idle_end_observed.reset();
        session.end_observed.reset();
        if (session.record.state == State::active && !is_elevated(session.record))
            await_class(session, now);
        // What is not wholly locked may have to end now.
        if (session.record.state == State::locked && first_incomplete(session.gaps))
            want_look(session, now, effects);
        schedule(session);
    }
    revoke_withdrawn(effects);
}

} // namespace vigil::core
