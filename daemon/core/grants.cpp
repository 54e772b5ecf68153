// Proofs that count for a while: their uses, who sees them, and what takes them back.

#include "daemon/core/step_up.hpp"
#include "policy/digest.hpp"

#include <algorithm>
#include <iterator>

namespace vigil::core {

void Machine::Data::set_policy(policy::Policy next) {
    policy = std::move(next);
    purposes = policy::digests(policy.step_up);
    for (auto& purpose : purposes)
        purpose = "step_up " + purpose + " as ";
}

std::optional<std::size_t> Machine::Data::rule_of(const GrantRecord& grant) const {
    const auto found = std::ranges::find_if(
        purposes, [&](const auto& purpose) { return grant.purpose.starts_with(purpose); });
    if (found == purposes.end())
        return std::nullopt;
    return static_cast<std::size_t>(found - purposes.begin());
}

/// A use that is not written down could be made again after a crash: no use then.
Effects Machine::Data::use(GrantRecord& grant, Token token) {
    const Effect yes = ReplyAsk{token, allowed("proved before")};
    if (grant.uses_left == UINT32_MAX)
        return {yes};
    --grant.uses_left;
    pending_grants.push_back(
        {.grant = grant.id, .stored = {yes}, .failed = {ReplyAsk{token, denied(cannot_write)}}});
    return {StoreGrant{grant}};
}

Effects Machine::Data::on(const GrantStored& outcome, const Now&) {
    const auto pending = std::ranges::find(pending_grants, outcome.grant, &PendingGrant::grant);
    if (pending == pending_grants.end())
        return {};
    auto told = std::move(*pending);
    pending_grants.erase(pending);
    const auto grant = std::ranges::find_if(
        grants, [&](const auto& entry) { return entry.second.id == outcome.grant; });
    // Revoked meanwhile is as good as not written down.
    if (grant == grants.end())
        return std::move(told.failed);
    Effects effects = std::move(outcome.stored ? told.stored : told.failed);
    if (!outcome.stored || grant->second.uses_left == 0) {
        effects.insert(effects.begin(), EraseGrant{outcome.grant});
        grants.erase(grant);
    }
    return effects;
}

std::vector<GrantView> Machine::grants(std::optional<std::uint32_t> uid, const Now& now) const {
    std::vector<GrantView> views;
    for (const auto& [session, grant] : data_->grants)
        if (grant.expires > now.boot && grant.uses_left > 0 && (!uid || grant.uid == *uid))
            views.push_back({.record = &grant, .session = &data_->find(session)->record});
    for (auto& view : views) {
        if (const auto rule = data_->rule_of(*view.record)) {
            view.rule = *rule + 1;
            view.run_as = view.record->purpose.substr(data_->purposes[*rule].size());
        }
    }
    return views;
}

std::optional<std::uint32_t> Machine::owner_of_grant(const SessionId& id) const {
    const auto& grants = data_->grants;
    const auto found =
        std::ranges::find_if(grants, [&](const auto& entry) { return entry.second.id == id; });
    if (found != grants.end())
        return found->second.uid;
    const auto& logins = data_->remembered;
    const auto login = std::ranges::find(logins, id, &RememberedLogin::id);
    return login == logins.end() ? std::nullopt : std::optional{login->uid};
}

Effects Machine::Data::on(const RevokeAsked& asked, const Now&) {
    const auto found = std::ranges::find_if(
        grants, [&](const auto& entry) { return entry.second.id == asked.grant; });
    const auto login = std::ranges::find(remembered, asked.grant, &RememberedLogin::id);
    if (found == grants.end() && login != remembered.end()) {
        Effects effects{EraseRemembered{login->id}, about(*login, "by " + asked.by)};
        effects.push_back(ReplyDone{.token = asked.token, .error = nullptr, .text = {}});
        remembered.erase(login);
        return effects;
    }
    if (found == grants.end())
        return {ReplyDone{asked.token, wire::error_not_found, "There is no such grant."}};
    Effects effects{EraseGrant{asked.grant}};
    effects.push_back(audit(AuditKind::grant_revoked, *find(found->first), "by " + asked.by));
    effects.push_back(ReplyDone{.token = asked.token, .error = nullptr, .text = {}});
    grants.erase(found);
    return effects;
}

Effects Machine::Data::on(const FactorsChanged& change, const Now&) {
    Effects effects;
    revoke_of(change.uid, "the factors changed", effects);
    return effects;
}

void Machine::Data::revoke_of(std::uint32_t uid, const char* why, Effects& effects) {
    std::erase_if(begun_proofs,
                  [&](const BegunProof& begun) { return begun.asked.subjects.front().uid == uid; });
    forget_remembered(uid, why, effects);
    // By whose proof it was, which need not be the session's own user.
    std::vector<SessionId> concerned;
    for (const auto& [id, grant] : grants)
        if ((grant.uid == uid || find(id)->record.facts.uid == uid) &&
            (concerned.empty() || concerned.back() != id))
            concerned.push_back(id);
    for (const auto& id : concerned)
        revoke(id, why, effects);
}

namespace {

AuditKind kind_of(FactorNews::What what) noexcept {
    using What = FactorNews::What;
    switch (what) {
    case What::enrolled:
        return AuditKind::factor_enrolled;
    case What::forgotten:
        return AuditKind::factor_forgotten;
    case What::ticket_made:
        return AuditKind::ticket_made;
    case What::ticket_used:
        return AuditKind::ticket_used;
    case What::ticket_lapsed:
        return AuditKind::ticket_lapsed;
    case What::key_copied:
        break;
    }
    return AuditKind::key_copied;
}

} // namespace

Effects Machine::Data::on(const FactorNews& news, const Now&) {
    return {Audit{.kind = kind_of(news.what),
                  .session = std::nullopt,
                  .user = news.user,
                  .uid = news.uid,
                  .service = "vigilctl",
                  .rule = {},
                  .text = news.text}};
}

Effects Machine::Data::on(const KeyChanged& change, const Now&) {
    return {Audit{.kind = AuditKind::factors_rekeyed,
                  .session = std::nullopt,
                  .user = change.by,
                  .uid = 0, // it is root's alone
                  .service = "vigilctl",
                  .rule = {},
                  .text = change.text}};
}

/// What the new policy has no rule for any more. A rule that stands where it stood, word for word
/// as all above it, gives what it gave; a remembered login is measured by the rules each time it
/// comes.
void Machine::Data::revoke_withdrawn(Effects& effects) {
    constexpr const char* why = "the policy changed";
    begun_proofs.clear();
    std::vector<SessionId> told;
    std::erase_if(grants, [&](const auto& entry) {
        const auto& [session, grant] = entry;
        if (rule_of(grant))
            return false;
        effects.push_back(EraseGrant{grant.id});
        if (told.empty() || told.back() != session) {
            told.push_back(session);
            effects.push_back(audit(AuditKind::grant_revoked, *find(session), why));
        }
        return true;
    });
    if (std::ranges::none_of(policy.sessions, [](const policy::SessionRule& rule) {
            return rule.remember_source.value_or(Seconds{0}) > Seconds{0};
        }))
        forget_remembered(std::nullopt, why, effects);
}

void Machine::Data::revoke(const SessionId& id, const char* why, Effects& effects) {
    std::erase_if(begun_proofs, [&](const BegunProof& begun) { return begun.asked.session == id; });
    const auto [first, last] = grants.equal_range(id);
    if (first == last)
        return;
    for (auto grant = first; grant != last; ++grant)
        effects.push_back(EraseGrant{grant->second.id});
    grants.erase(first, last);
    if (const auto* session = find(id))
        effects.push_back(audit(AuditKind::grant_revoked, *session, why));
}

} // namespace vigil::core
