// The proof that a login needs, the logins that bring one, and the sources that are not asked
// again.

#include "daemon/core/step_up.hpp"

#include <algorithm>
#include <iterator>

namespace vigil::core {

namespace {

using policy::StepUpDecision;

/// From its proof to its reservation, which sshd and login(1) ask for at once.
constexpr Microseconds login_proof_lasts = std::chrono::minutes{10};

std::string rule_text(const policy::SessionDecision& decision) {
    return "rule \"" + decision.login_rule + "\" asks for a proof at login";
}

/// Asked where there is no ssh agent yet, so of what is left without the security keys.
bool can_be_asked(const std::vector<policy::Factors>& require) {
    return std::ranges::any_of(require, [](const policy::Factors& way) {
        return std::ranges::all_of(way, policy::is_asked_at_login);
    });
}

std::string only_a_key(const policy::SessionDecision& decision) {
    return rule_text(decision) +
           ", and a security key cannot be asked for before it: an administrator adds totp to its "
           "login_factors.";
}

/// The same person with the same key or a password, from the same address. Without the one or the
/// other before it the proof would be all that is ever asked for.
bool is_same_login(const RememberedLogin& login, const StepUpAsked& asked) {
    const auto& person = asked.subjects.front();
    return login.uid == person.uid && person.remote == login.source &&
           !asked.login->after.empty() && asked.login->after == login.after;
}

} // namespace

Audit about(const RememberedLogin& login, std::string text) {
    return {.kind = AuditKind::grant_revoked,
            .session = std::nullopt,
            .user = login.user,
            .uid = login.uid,
            .service = {},
            .rule = {},
            .text = "logins from " + login.host + ": " + std::move(text)};
}

StepUpDecision login_decision(const policy::Policy& policy, const policy::Facts& facts,
                              const Now& now) {
    auto decision = policy::decide_session(policy, facts, now);
    StepUpDecision result;
    if (decision.login_factors.empty())
        return result;
    result.verdict = StepUpDecision::Verdict::prove;
    result.require = std::move(decision.login_factors);
    result.valid_for = decision.remember_source;
    return result;
}

std::optional<std::string> Machine::Data::unproved(const policy::SessionDecision& decision,
                                                   const policy::Facts& facts,
                                                   const base::Process& leader,
                                                   const Now& now) const {
    if (decision.login_factors.empty())
        return std::nullopt;
    const StepUpDecision wanted{.verdict = StepUpDecision::Verdict::prove,
                                .require = decision.login_factors};
    if (std::ranges::any_of(login_proofs, [&](const LoginProof& proof) {
            return proof.leader == leader && proof.uid == facts.uid && proof.until > now.boot &&
                   suffices(wanted, proof.proved);
        }))
        return std::nullopt;
    if (!can_be_asked(decision.login_factors))
        return only_a_key(decision);
    // How the ways in differ is sshd's, so it is sshd's words that help.
    return rule_text(decision) +
           (facts.service == "sshd"
                ? ", and this way in has none: it takes keyboard-interactive, behind a key or the "
                  "password (pam_vigil(8), AT LOGIN)."
                : ", and " + facts.service + " has not asked for one (pam_vigil(8), AT LOGIN).");
}

Effects Machine::Data::ask_at_login(const StepUpAsked& asked, const Now& now) {
    const auto& person = asked.subjects.front();
    const auto rules = policy::decide_session(policy, person, now);
    const auto decision = login_decision(policy, person, now);
    Effects effects;
    const auto answer = [&](wire::AskReply reply) {
        effects.push_back(ReplyAsk{asked.token, std::move(reply)});
        return effects;
    };
    // Whoever is not let in anyway, or in any case, is not asked: the reservation says so.
    if (decision.verdict != StepUpDecision::Verdict::prove ||
        rules.access == policy::Access::deny || asked.login->is_way_back_in)
        return answer({.verdict = wire::AskReply::Verdict::not_applicable});
    if (!enforcing()) {
        effects.push_back(about(AuditKind::step_up_asked, asked, "only observed: would be asked"));
        return answer({.verdict = wire::AskReply::Verdict::not_applicable});
    }
    std::erase_if(begun_proofs,
                  [&](const auto& begun) { return begun.asked.asker == asked.asker; });
    if (const auto* const known = find_remembered(asked, decision, now)) {
        note_proof(asked, known->proved, now);
        effects.push_back(about(AuditKind::step_up_granted, asked,
                                "at login: proved before by " + listed(known->proved) + " from " +
                                    known->host + ", " + known->after));
        return answer(allowed("proved before"));
    }
    const auto wanted = missing(decision, asked, {});
    if (wanted.empty()) {
        const auto why = asked.cannot_check                   ? std::string{cannot_check}
                         : !can_be_asked(rules.login_factors) ? only_a_key(rules)
                                                              : no_factor_text(asked, decision);
        effects.push_back(about(AuditKind::step_up_refused, asked, "at login: " + why));
        return answer(denied(why));
    }
    return answer({.verdict = wire::AskReply::Verdict::prove,
                   .text = rule_text(rules),
                   .factors = names_of(wanted),
                   .person = person.user,
                   .wait_seconds = static_cast<std::uint64_t>(asked.wait.count())});
}

const RememberedLogin* Machine::Data::find_remembered(const StepUpAsked& asked,
                                                      const StepUpDecision& decision,
                                                      const Now& now) const {
    const auto found = std::ranges::find_if(remembered, [&](const RememberedLogin& login) {
        const auto until = after(login.since, decision.valid_for).value_or(BootTime::max());
        return is_same_login(login, asked) && now.boot < std::min(until, login.expires) &&
               suffices(decision, login.proved);
    });
    return found == remembered.end() ? nullptr : &*found;
}

/// Nothing here is written down: with vigild gone in between, the login is asked anew.
void Machine::Data::note_proof(const StepUpAsked& asked, policy::Factors proved, const Now& now) {
    const auto& leader = asked.login->leader;
    std::erase_if(login_proofs, [&](const LoginProof& proof) {
        return proof.until <= now.boot || proof.leader == leader;
    });
    if (login_proofs.size() >= max_login_proofs)
        login_proofs.erase(login_proofs.begin());
    login_proofs.push_back({.leader = leader,
                            .uid = asked.subjects.front().uid,
                            .proved = std::move(proved),
                            .until = now.boot + login_proof_lasts});
}

Effects Machine::Data::proved_at_login(const StepUpAsked& asked, const StepUpDecision& decision,
                                       policy::Factors proved, Token token, SessionId fresh_id,
                                       const Now& now) {
    Effects effects;
    note_proof(asked, proved, now);
    auto text = "at login: proved by " + listed(proved);
    const bool lasts = decision.valid_for > Seconds{0} && !asked.login->after.empty() &&
                       asked.subjects.front().remote.has_value();
    if (lasts)
        text += ", not asked again from " + asked.login->host + " with " + asked.login->after +
                " for " + duration_text(decision.valid_for);
    if (lasts)
        remember(asked, decision.valid_for, std::move(proved), fresh_id, now, effects);
    effects.push_back(about(AuditKind::step_up_granted, asked, std::move(text)));
    effects.push_back(
        ReplyProve{token, {.verdict = wire::ProveReply::Verdict::accepted, .text = {}}});
    return effects;
}

/// A new one takes the place of what was known of the same source; where there is no room the
/// oldest goes, first of the same person.
void Machine::Data::remember(const StepUpAsked& asked, Seconds time, policy::Factors proved,
                             SessionId fresh_id, const Now& now, Effects& effects) {
    const auto forget = [&](auto place) {
        effects.push_back(EraseRemembered{place->id});
        remembered.erase(place);
    };
    const auto& person = asked.subjects.front();
    std::erase_if(remembered, [&](const RememberedLogin& login) {
        const bool goes = login.expires <= now.boot || is_same_login(login, asked);
        if (goes)
            effects.push_back(EraseRemembered{login.id});
        return goes;
    });
    const auto is_persons = [&](const RememberedLogin& login) { return login.uid == person.uid; };
    if (std::ranges::count_if(remembered, is_persons) >= max_remembered_per_user)
        forget(std::ranges::find_if(remembered, is_persons));
    if (remembered.size() >= max_remembered)
        forget(remembered.begin());
    remembered.push_back({.id = fresh_id,
                          .uid = person.uid,
                          .user = person.user,
                          .source = *person.remote,
                          .host = asked.login->host,
                          .after = asked.login->after,
                          .proved = std::move(proved),
                          .since = now.boot,
                          .expires = after(now.boot, time).value_or(BootTime::max())});
    effects.push_back(StoreRemembered{remembered.back()});
}

/// `uid`: of nobody else.
void Machine::Data::forget_remembered(std::optional<std::uint32_t> uid, const char* why,
                                      Effects& effects) {
    std::erase_if(login_proofs, [&](const LoginProof& proof) { return uid && proof.uid == *uid; });
    std::erase_if(remembered, [&](const RememberedLogin& login) {
        if (uid && login.uid != *uid)
            return false;
        effects.push_back(EraseRemembered{login.id});
        effects.push_back(about(login, why));
        return true;
    });
}

void Machine::restore(std::vector<RememberedLogin> logins, const Now& now) {
    for (auto& login : logins) {
        if (login.expires > now.boot)
            data_->remembered.push_back(std::move(login));
        else
            data_->stale_remembered.push_back(login.id);
    }
    std::ranges::sort(data_->remembered, {}, &RememberedLogin::since);
}

std::vector<const RememberedLogin*> Machine::remembered(std::optional<std::uint32_t> uid,
                                                        const Now& now) const {
    std::vector<const RememberedLogin*> found;
    for (const auto& login : data_->remembered)
        if (login.expires > now.boot && (!uid || login.uid == *uid))
            found.push_back(&login);
    return found;
}

} // namespace vigil::core
