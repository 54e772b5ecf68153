#include "daemon/core/grants.hpp"

#include <algorithm>

namespace vigil::core {

namespace {

using policy::StepUpDecision;

/// The strictest of what the policy says of everyone who stands behind the command.
StepUpDecision strictest(const policy::Policy& policy, const StepUpAsked& asked, const Now& now) {
    StepUpDecision result;
    for (const auto& subject : asked.subjects) {
        auto decision = policy::decide_step_up(policy, subject, asked.target, now);
        if (decision.verdict > result.verdict)
            result = std::move(decision);
    }
    return result;
}

/// Of a decision that asks for a proof.
std::string purpose_of(const policy::Policy& policy, const StepUpAsked& asked,
                       const StepUpDecision& decision) {
    return rule_purpose(policy.step_up[decision.rule]) + asked.target.run_as.value_or("*");
}

Audit about(AuditKind kind, const StepUpAsked& asked, std::string text) {
    const auto& person = asked.subjects.front();
    return {.kind = kind,
            .session = asked.session,
            .user = person.user,
            .uid = person.uid,
            .service = person.service,
            .rule = {},
            .text = std::move(text)};
}

/// Whom sudo runs it as is known but where it is in another group than his own (`sudo -g`). A proof
/// for one such would count for any.
bool can_last(const StepUpAsked& asked) {
    return asked.target.run_as || !asked.target.command;
}

/// What a grant is bound to beside its session, its user and its purpose.
struct Place {
    std::uint64_t terminal = 0;
    base::Process leader;

    bool operator==(const Place&) const = default;
};

/// nullopt: there is nothing that would tell one terminal from another.
std::optional<Place> place_of(const StepUpAsked& asked, const StepUpDecision& decision,
                              const Tracked& session) {
    if (decision.scope == policy::GrantScope::session)
        return Place{.terminal = 0, .leader = session.record.leader};
    if (asked.terminal == 0 || asked.terminal_leader.pid == 0)
        return std::nullopt;
    return Place{.terminal = asked.terminal, .leader = asked.terminal_leader};
}

bool same_binding(const GrantRecord& grant, const StepUpAsked& asked,
                  const std::optional<Place>& place, const std::string& purpose) {
    return grant.uid == asked.subjects.front().uid &&
           place == Place{grant.terminal, grant.leader} && grant.purpose == purpose;
}

std::vector<std::string> names_of(const std::vector<policy::Factor>& factors) {
    std::vector<std::string> names;
    for (const auto factor : factors)
        names.emplace_back(policy::to_text(factor));
    return names;
}

/// Whoever has lost his device and his recovery codes gets another device.
std::string no_factor_text(const std::string& user, const std::vector<policy::Factor>& required) {
    if (std::ranges::count(required, policy::Factor::totp) > 0)
        return "No one-time code is enrolled for " + user +
               ": an administrator enrols it with `vigilctl enroll totp " + user + "`.";
    return "There are no recovery codes for " + user +
           ": an administrator makes some with `vigilctl recovery-codes " + user + "`.";
}

/// From so many on each is told as an alert, too; the next takes its time.
constexpr std::uint32_t alarming_failures = 5;

constexpr const char* not_taken = "The policy does not take this factor here.";
} // namespace

Effects Machine::Data::on(const StepUpAsked& asked, const Now& now) {
    Effects effects;
    const auto answer = [&](wire::AskReply reply) {
        effects.push_back(ReplyAsk{asked.token, std::move(reply)});
        return effects;
    };
    if (asked.subjects.empty())
        return answer(denied("vigil cannot tell who asks."));
    const auto decision = strictest(policy, asked, now);
    if (decision.verdict == StepUpDecision::Verdict::not_applicable)
        return answer({.verdict = wire::AskReply::Verdict::not_applicable});
    if (decision.verdict == StepUpDecision::Verdict::none)
        return answer(allowed("the policy asks for no proof"));
    if (!enforcing()) {
        effects.push_back(about(AuditKind::step_up_asked, asked, "only observed: would be asked"));
        return answer(allowed("only observed"));
    }
    const auto* session = asked.session ? find(*asked.session) : nullptr;
    if (session && session->record.state != State::active)
        return answer(denied("This session is locked or ending: unlock it first."));
    if (session && can_last(asked)) {
        const auto purpose = purpose_of(policy, asked, decision);
        const auto place = place_of(asked, decision, *session);
        const auto [first, last] = grants.equal_range(*asked.session);
        for (auto grant = first; grant != last; ++grant) {
            auto& record = grant->second;
            if (record.expires > now.boot && record.uses_left > 0 &&
                same_binding(record, asked, place, purpose))
                return use(record, asked.token);
        }
    }
    std::vector<policy::Factor> usable;
    std::ranges::copy_if(decision.require, std::back_inserter(usable), [&](policy::Factor factor) {
        return std::ranges::count(asked.person_has, factor) > 0;
    });
    if (usable.empty()) {
        const auto why = no_factor_text(asked.subjects.front().user, decision.require);
        effects.push_back(about(AuditKind::step_up_refused, asked, why));
        return answer(denied(why));
    }
    // For whom there is nobody to ask: which rule stands in his way.
    return answer(
        {.verdict = wire::AskReply::Verdict::prove,
         .text = "rule " + std::to_string(decision.rule + 1) + " of step_up asks for a proof",
         .factors = names_of(usable),
         .wait_seconds = static_cast<std::uint64_t>(asked.wait.count())});
}

bool Machine::takes(const StepUpAsked& asked, std::string_view factor, const Now& now) const {
    const auto decision = strictest(data_->policy, asked, now);
    const auto known = policy::factor_from_text(std::string{factor});
    return decision.verdict != StepUpDecision::Verdict::prove ||
           (known && std::ranges::count(decision.require, *known) > 0);
}

Effects Machine::Data::on(const ProofChecked& checked, const Now& now) {
    Effects effects;
    const auto& asked = checked.request;
    const auto reply = [&](wire::ProveReply::Verdict verdict, std::string text) {
        return ReplyProve{checked.token,
                          {.verdict = verdict,
                           .text = std::move(text),
                           .wait_seconds = static_cast<std::uint64_t>(checked.wait.count())}};
    };
    const auto answer = [&](wire::ProveReply::Verdict verdict, std::string text) {
        effects.push_back(reply(verdict, std::move(text)));
        return effects;
    };
    if (asked.subjects.empty())
        return answer(wire::ProveReply::Verdict::denied, "vigil cannot tell who asks.");
    switch (checked.outcome) {
    case ProofChecked::Outcome::unavailable:
        return answer(wire::ProveReply::Verdict::denied,
                      "vigil cannot check codes now; see `vigilctl status`.");
    case ProofChecked::Outcome::throttled:
        return answer(wire::ProveReply::Verdict::denied,
                      "Too many wrong codes: wait " + duration_text(checked.wait) + ".");
    case ProofChecked::Outcome::wrong:
        effects.push_back(
            about(AuditKind::step_up_refused, asked, "wrong or used " + checked.factor));
        if (checked.failures >= alarming_failures)
            effects.push_back(about(AuditKind::codes_guessed, asked,
                                    std::to_string(checked.failures) + " wrong codes in a row"));
        return answer(wire::ProveReply::Verdict::wrong, "That code is wrong or was used before.");
    case ProofChecked::Outcome::not_taken:
        return answer(wire::ProveReply::Verdict::denied, not_taken);
    case ProofChecked::Outcome::accepted:
        break;
    }
    const auto decision = strictest(policy, asked, now);
    const auto factor = policy::factor_from_text(checked.factor);
    if (decision.verdict == StepUpDecision::Verdict::prove &&
        (!factor || !std::ranges::count(decision.require, *factor)))
        return answer(wire::ProveReply::Verdict::denied, not_taken);
    const auto* session = asked.session ? find(*asked.session) : nullptr;
    if (session && session->record.state != State::active)
        return answer(wire::ProveReply::Verdict::denied, "This session was locked meanwhile.");
    const bool lasts = decision.verdict == StepUpDecision::Verdict::prove && can_last(asked) &&
                       decision.valid_for > Seconds{0} && decision.uses.value_or(2) > 1;
    const auto place = session ? place_of(asked, decision, *session) : std::nullopt;
    if (place && lasts) {
        GrantRecord grant{.id = checked.fresh_id,
                          .uid = asked.subjects.front().uid,
                          .session = *asked.session,
                          .terminal = place->terminal,
                          .leader = place->leader,
                          .purpose = purpose_of(policy, asked, decision),
                          .expires = after(now.boot, decision.valid_for).value_or(BootTime::max()),
                          .uses_left = decision.uses ? *decision.uses - 1 : UINT32_MAX};
        // A new proof replaces older ones of its kind, and what has expired makes room.
        std::erase_if(grants, [&](const auto& entry) {
            const auto& old = entry.second;
            const bool gone =
                entry.first == grant.session && (old.expires <= now.boot || old.uses_left == 0 ||
                                                 same_binding(old, asked, place, grant.purpose));
            if (gone)
                effects.push_back(EraseGrant{old.id});
            return gone;
        });
        if (grants.count(grant.session) >= max_grants_per_session) {
            const auto oldest = grants.lower_bound(grant.session);
            effects.push_back(EraseGrant{oldest->second.id});
            grants.erase(oldest);
        }
        const auto valid = std::min<Seconds>(decision.valid_for, std::chrono::days{3650});
        auto granted = about(AuditKind::step_up_granted, asked,
                             "proved by " + checked.factor + ", valid for " + duration_text(valid));
        // Fail table: a grant that cannot be written down is none.
        auto refused = about(AuditKind::step_up_refused, asked, "the grant cannot be written down");
        pending_grants.push_back(
            {.grant = grant.id,
             .stored = {std::move(granted), reply(wire::ProveReply::Verdict::accepted, {})},
             .failed = {std::move(refused),
                        reply(wire::ProveReply::Verdict::denied, cannot_write)}});
        effects.push_back(StoreGrant{grant});
        grants.emplace(grant.session, std::move(grant));
        return effects;
    }
    effects.push_back(about(AuditKind::step_up_granted, asked, "proved by " + checked.factor));
    return answer(wire::ProveReply::Verdict::accepted, {});
}

} // namespace vigil::core
