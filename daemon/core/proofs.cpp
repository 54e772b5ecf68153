// A proof that was judged: what it is worth with those before it, and the grant it may lead to.

#include "daemon/core/step_up.hpp"

#include <algorithm>
#include <iterator>

namespace vigil::core {

namespace {

using policy::StepUpDecision;
using Verdict = wire::ProveReply::Verdict;

/// From so many on each is told as an alert, too; the next takes its time.
bool is_alarming(std::uint32_t failures) noexcept {
    return failures >= 5;
}

std::string alarm_text(std::uint32_t failures) {
    return std::to_string(failures) + " wrong codes in a row";
}

Effect reply(Token token, Verdict verdict, std::string text = {}) {
    return ReplyProve{token, {.verdict = verdict, .text = std::move(text)}};
}

/// A proof of another question, or of an asker that is not known, is none of this one's.
bool is_of_same_dialogue(const StepUpAsked& begun, const StepUpAsked& asked) {
    return asked.asker.pid != 0 && begun.asker == asked.asker && begun.session == asked.session &&
           begun.terminal == asked.terminal && begun.terminal_leader == asked.terminal_leader &&
           begun.subjects == asked.subjects && begun.target == asked.target &&
           begun.login == asked.login && begun.directory == asked.directory;
}

/// What no proof came of.
Effects not_accepted(const ProofChecked& checked) {
    using Outcome = ProofChecked::Outcome;
    Effects effects;
    const auto answer = [&](Verdict verdict, std::string text) {
        effects.push_back(
            ReplyProve{checked.token,
                       {.verdict = verdict,
                        .text = std::move(text),
                        .wait_seconds = static_cast<std::uint64_t>(checked.wait.count())}});
        return effects;
    };
    switch (checked.outcome) {
    case Outcome::unavailable:
        return answer(Verdict::denied, cannot_check);
    case Outcome::throttled:
        return answer(Verdict::denied,
                      "Too many wrong answers: wait " + duration_text(checked.wait) + ".");
    case Outcome::wrong:
        effects.push_back(
            about(AuditKind::step_up_refused, checked.request, "wrong or used " + checked.factor));
        if (is_alarming(checked.failures))
            effects.push_back(
                about(AuditKind::codes_guessed, checked.request, alarm_text(checked.failures)));
        return answer(Verdict::wrong, checked.factor == policy::to_text(policy::Factor::key)
                                          ? "That is nothing that the key has signed for this."
                                          : "That code is wrong or was used before.");
    case Outcome::untouched:
        effects.push_back(
            about(AuditKind::step_up_refused, checked.request, "the key was not touched"));
        return answer(Verdict::wrong, "The security key was not touched.");
    case Outcome::not_taken:
    case Outcome::accepted:
        break;
    }
    return answer(Verdict::denied, "The policy does not take this factor here.");
}

} // namespace

std::string listed(const policy::Factors& factors) {
    std::string text;
    for (const auto factor : factors)
        text += (text.empty() ? "" : " and ") + std::string{policy::to_text(factor)};
    return text;
}

policy::Factors Machine::Data::begun_by(const StepUpAsked& asked, const Now& now) const {
    const auto begun = std::ranges::find_if(begun_proofs, [&](const BegunProof& each) {
        return each.until > now.boot && is_of_same_dialogue(each.asked, asked);
    });
    return begun == begun_proofs.end() ? policy::Factors{} : begun->proved;
}

/// The oldest make room: first those of the same person, so that nobody pushes others' out.
void Machine::Data::begin_proof(const StepUpAsked& asked, policy::Factors proved, const Now& now) {
    std::erase_if(begun_proofs, [&](const BegunProof& each) {
        return each.until <= now.boot || each.asked.asker == asked.asker;
    });
    const auto is_persons = [&](const BegunProof& each) {
        return each.asked.subjects.front().uid == asked.subjects.front().uid;
    };
    if (std::ranges::count_if(begun_proofs, is_persons) >= max_begun_proofs_per_user)
        begun_proofs.erase(std::ranges::find_if(begun_proofs, is_persons));
    if (begun_proofs.size() >= max_begun_proofs)
        begun_proofs.erase(begun_proofs.begin());
    begun_proofs.push_back(
        {.asked = asked, .proved = std::move(proved), .until = now.boot + begun_proof_lasts});
}

bool Machine::takes(const StepUpAsked& asked, std::string_view factor, const Now& now) const {
    const auto decision = strictest(data_->policy, asked, now);
    if (decision.verdict != StepUpDecision::Verdict::prove)
        return true;
    const auto known = policy::factor_from_text(std::string{factor});
    const auto wanted = missing(decision, asked, data_->begun_by(asked, now));
    return known && std::ranges::count(wanted, *known) > 0;
}

Effects Machine::Data::on(const ProofChecked& checked, const Now& now) {
    if (checked.request.subjects.empty())
        return {reply(checked.token, Verdict::denied, cannot_tell_who)};
    if (const auto why = why_blocked(checked.request, now))
        return {about(AuditKind::step_up_refused, checked.request, *why),
                reply(checked.token, Verdict::denied, *why)};
    const auto factor = policy::factor_from_text(checked.factor);
    if (checked.outcome != ProofChecked::Outcome::accepted || !factor)
        return not_accepted(checked);
    if (*factor == policy::Factor::key && !checked.verified &&
        strictest(policy, checked.request, now).key_verified)
        return {about(AuditKind::step_up_refused, checked.request, "the key asked for no PIN"),
                reply(checked.token, Verdict::wrong,
                      "A key with a PIN is asked for here: one made with `ssh-keygen -O "
                      "verify-required`.")};
    return proved(checked.request, *factor, checked.token, checked.fresh_id, now);
}

/// `factor` was proved by whoever asks.
Effects Machine::Data::proved(const StepUpAsked& asked, policy::Factor factor, Token token,
                              SessionId fresh_id, const Now& now) {
    const auto decision = strictest(policy, asked, now);
    const bool is_wanted = decision.verdict == StepUpDecision::Verdict::prove;
    auto proofs = begun_by(asked, now);
    if (is_wanted) {
        const auto wanted = missing(decision, asked, proofs);
        if (std::ranges::count(wanted, factor) == 0)
            return {reply(token, Verdict::denied, "The policy does not take this factor here.")};
    }
    const auto* session = asked.session ? find(*asked.session) : nullptr;
    if (session && session->record.state != State::active)
        return {reply(token, Verdict::denied, "This session was locked meanwhile.")};
    proofs.push_back(factor);
    if (is_wanted && !suffices(decision, proofs)) {
        auto wanted = names_of(missing(decision, asked, proofs));
        if (asked.asker.pid == 0)
            return {reply(token, Verdict::denied, cannot_tell_who)};
        begin_proof(asked, std::move(proofs), now);
        return {ReplyProve{token, {.verdict = Verdict::more, .factors = std::move(wanted)}}};
    }
    std::erase_if(begun_proofs,
                  [&](const auto& begun) { return begun.asked.asker == asked.asker; });
    if (asked.login)
        return proved_at_login(asked, decision, std::move(proofs), token, fresh_id, now);
    const auto by = "proved by " + listed(proofs);
    const auto place = session && is_wanted ? place_of(asked, decision, *session) : std::nullopt;
    const bool approved = std::ranges::count(proofs, policy::Factor::approval) > 0;
    if (place && can_last(asked, decision) && !approved && decision.valid_for > Seconds{0} &&
        decision.uses.value_or(2) > 1)
        return grant(asked, decision, *place, by, token, fresh_id, now);
    return {about(AuditKind::step_up_granted, asked, by), reply(token, Verdict::accepted)};
}

/// A new proof replaces older ones of its kind, and what has expired makes room.
Effects Machine::Data::grant(const StepUpAsked& asked, const StepUpDecision& decision,
                             const Place& place, const std::string& by, Token token,
                             SessionId fresh_id, const Now& now) {
    Effects effects;
    GrantRecord grant{.id = fresh_id,
                      .uid = asked.subjects.front().uid,
                      .session = *asked.session,
                      .terminal = place.terminal,
                      .leader = place.leader,
                      .purpose = purpose_of(purposes, asked, decision),
                      .expires = after(now.boot, decision.valid_for).value_or(BootTime::max()),
                      .uses_left = decision.uses ? *decision.uses - 1 : UINT32_MAX};
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
    auto granted =
        about(AuditKind::step_up_granted, asked, by + ", valid for " + duration_text(valid));
    // Fail table: a grant that cannot be written down is none.
    auto refused = about(AuditKind::step_up_refused, asked, "the grant cannot be written down");
    pending_grants.push_back(
        {.grant = grant.id,
         .stored = {std::move(granted), reply(token, Verdict::accepted)},
         .failed = {std::move(refused), reply(token, Verdict::denied, cannot_write)}});
    effects.push_back(StoreGrant{grant});
    grants.emplace(grant.session, std::move(grant));
    return effects;
}

Effects Machine::Data::on(const CodeRefused& refused, const Now&) {
    if (!is_alarming(refused.failures))
        return {};
    return {Audit{.kind = AuditKind::codes_guessed,
                  .session = std::nullopt,
                  .user = refused.user,
                  .uid = refused.uid,
                  .service = "vigilctl",
                  .rule = {},
                  .text = alarm_text(refused.failures)}};
}

} // namespace vigil::core
