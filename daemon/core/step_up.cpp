// What a privileged command has to be asked for: nothing, a proof given before, or which proofs.

#include "daemon/core/step_up.hpp"

#include <algorithm>
#include <cstdio>
#include <iterator>

namespace vigil::core {

using policy::StepUpDecision;

namespace {

StepUpDecision strictest_rule(const policy::Policy& policy, const StepUpAsked& asked,
                              const Now& now) {
    if (asked.login)
        return login_decision(policy, asked.subjects.front(), now);
    StepUpDecision result;
    for (const auto& subject : asked.subjects) {
        auto decision = policy::decide_step_up(policy, subject, asked.target, now);
        if (decision.verdict == StepUpDecision::Verdict::prove &&
            result.verdict == StepUpDecision::Verdict::prove)
            result = policy::both(result, decision);
        else if (decision.verdict > result.verdict)
            result = std::move(decision);
    }
    return result;
}

bool has_some(const StepUpAsked& asked, const StepUpDecision& decision) {
    return std::ranges::any_of(decision.require, [&](const policy::Factors& way) {
        return std::ranges::any_of(way, [&](policy::Factor factor) {
            return std::ranges::count(asked.person_has, factor) > 0;
        });
    });
}

/// What has to be enrolled for this rule, each once.
policy::Factors to_enroll(const StepUpDecision& decision) {
    policy::Factors factors;
    for (const auto& way : decision.require)
        std::ranges::copy_if(way, std::back_inserter(factors), [&](policy::Factor factor) {
            return policy::is_enrolled(factor) && std::ranges::count(factors, factor) == 0;
        });
    return factors;
}

bool gives_time(const StepUpDecision& decision, const StepUpAsked& asked) {
    return decision.verdict == StepUpDecision::Verdict::prove && decision.enroll_within &&
           !asked.cannot_check && !has_some(asked, decision);
}

bool is_in_time(const StepUpDecision& decision, const StepUpAsked& asked) {
    return gives_time(decision, asked) && asked.grace_used &&
           *asked.grace_used < *decision.enroll_within;
}

/// polkit asks for a password for a first enrolment by the stack whose account phase is here. Not
/// where a rule asks for what he cannot enrol, as another's approval: it would be without that for
/// anything else that polkit asks him at this time. Who can give the password for the one could
/// enrol by it, and then prove what he has enrolled for the other.
bool is_met_by_enrolling(const StepUpDecision& decision) {
    return std::ranges::any_of(decision.require, [](const policy::Factors& way) {
        return std::ranges::all_of(way, [](policy::Factor factor) {
            return policy::is_enrolled(factor) || factor == policy::Factor::password;
        });
    });
}

/// Recovery codes take a proof, which he has none for.
std::string how_to_enroll(const policy::Factors& factors, const std::string& user) {
    if (std::ranges::count(factors, policy::Factor::totp) > 0)
        return "enrol one with `vigilctl enroll totp`.";
    if (std::ranges::count(factors, policy::Factor::key) > 0)
        return "enrol one with `vigilctl enroll key`.";
    return "an administrator makes recovery codes with `vigilctl recovery-codes " + user + "`.";
}

std::string time_left_text(const StepUpDecision& decision, const StepUpAsked& asked,
                           const Now& now) {
    const auto left = *decision.enroll_within - *asked.grace_used;
    return "from " + date_text(now.wall + left, now.utc_offset) +
           " on this takes a second factor: " +
           how_to_enroll(to_enroll(decision), asked.subjects.front().user);
}

} // namespace

std::string date_text(WallTime when, Seconds utc_offset) {
    const auto local = std::chrono::floor<std::chrono::minutes>(when + utc_offset);
    const auto day = std::chrono::floor<std::chrono::days>(local);
    const std::chrono::year_month_day date{day};
    const std::chrono::hh_mm_ss time{local - day};
    char text[64] = {};
    std::snprintf(text, sizeof text, "%04d-%02u-%02u %02d:%02d", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()));
    return text;
}

StepUpDecision strictest(const policy::Policy& policy, const StepUpAsked& asked, const Now& now) {
    auto decision = strictest_rule(policy, asked, now);
    if (!is_in_time(decision, asked))
        return decision;
    // What is proved without the factor counts no longer than there is time to enrol it.
    decision.valid_for = std::min(decision.valid_for, *decision.enroll_within - *asked.grace_used);
    decision.require = policy::without_enrolled(decision.require);
    if (decision.require.empty())
        decision.verdict = StepUpDecision::Verdict::none;
    return decision;
}

bool Machine::gives_time_to_enroll(const StepUpAsked& asked, const Now& now) const {
    return data_->enforcing() && gives_time(strictest_rule(data_->policy, asked, now), asked);
}

std::string purpose_of(const std::vector<std::string>& purposes, const StepUpAsked& asked,
                       const StepUpDecision& decision) {
    return purposes[decision.rule] + asked.target.run_as.value_or("*");
}

namespace {

/// Of a command in an audit line; what is longer is cut.
constexpr std::size_t longest_command = 300;

/// " (/usr/bin/passwd root)"; "" where it is not known.
std::string command_text(const StepUpAsked& asked) {
    const auto& command = asked.target.command;
    if (!command)
        return {};
    std::string text = command->edits ? "sudoedit" : command->path;
    for (const auto& argument : command->arguments)
        text += " " + argument;
    const bool is_cut = command->cut || text.size() > longest_command;
    return " (" + text.substr(0, longest_command) + (is_cut ? " ...)" : ")");
}

} // namespace

Audit about(AuditKind kind, const StepUpAsked& asked, std::string text) {
    if (kind == AuditKind::step_up_refused)
        text += command_text(asked);
    const auto& person = asked.subjects.front();
    return {.kind = kind,
            .session = asked.session,
            .user = person.user,
            .uid = person.uid,
            .service = person.service,
            .rule = {},
            .text = std::move(text)};
}

bool can_last(const StepUpAsked& asked, const StepUpDecision& decision) {
    return decision.also.empty() && (asked.target.run_as || !asked.target.command);
}

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

namespace {

/// A password is PAM's to judge: whether there is one is not known here. Approvers always are, or
/// the rule would not have been read.
bool has(const StepUpAsked& asked, policy::Factor factor) {
    return factor == policy::Factor::password || factor == policy::Factor::approval ||
           std::ranges::count(asked.person_has, factor) > 0;
}

/// Of the rules that let nobody through without a proof.
std::string rule_text(const StepUpDecision& decision) {
    std::string rules = std::to_string(decision.rule + 1);
    for (const auto rule : decision.also)
        rules += " and " + std::to_string(rule + 1);
    if (!decision.also.empty())
        return "rules " + rules + " of step_up ask for proofs";
    return "rule " + std::to_string(decision.rule + 1) + " of step_up asks for a proof";
}

} // namespace

/// Whoever has lost his device and his recovery codes gets another device. Who is not in yet has no
/// shell to enrol from.
std::string no_factor_text(const StepUpAsked& asked, const StepUpDecision& decision) {
    const auto& user = asked.subjects.front().user;
    const auto takes = [&](policy::Factor factor) {
        return std::ranges::any_of(
            decision.require, [&](const auto& way) { return std::ranges::count(way, factor) > 0; });
    };
    const auto how = [&](const std::string& kind) {
        return asked.login ? ": an administrator enrols it with `vigilctl enroll " + kind + " " +
                                 user + "`."
                           : ": `vigilctl enroll " + kind +
                                 "` does it, by the password or an administrator's ticket.";
    };
    if (!takes(policy::Factor::totp) && takes(policy::Factor::key))
        return "No security key is enrolled for " + user + how("key");
    if (takes(policy::Factor::totp))
        return "No one-time code is enrolled for " + user + how("totp");
    return "There are no recovery codes for " + user +
           ": an administrator makes some with `vigilctl recovery-codes " + user + "`.";
}

policy::Factors missing(const StepUpDecision& decision, const StepUpAsked& asked,
                        const policy::Factors& proved) {
    policy::Factors factors;
    for (const auto& way : decision.require) {
        const auto can_go = [&](policy::Factor factor) {
            return has(asked, factor) || std::ranges::count(proved, factor) > 0;
        };
        if (!std::ranges::all_of(way, can_go))
            continue;
        std::ranges::copy_if(way, std::back_inserter(factors), [&](policy::Factor factor) {
            return std::ranges::count(proved, factor) == 0 &&
                   std::ranges::count(factors, factor) == 0;
        });
    }
    return factors;
}

bool suffices(const StepUpDecision& decision, const policy::Factors& proved) {
    return std::ranges::any_of(decision.require, [&](const policy::Factors& way) {
        return std::ranges::all_of(
            way, [&](policy::Factor factor) { return std::ranges::count(proved, factor) > 0; });
    });
}

std::vector<std::string> names_of(const policy::Factors& factors) {
    std::vector<std::string> names;
    for (const auto factor : factors)
        names.emplace_back(policy::to_text(factor));
    return names;
}

GrantRecord* Machine::Data::standing(const StepUpAsked& asked, const StepUpDecision& decision,
                                     BootTime when) {
    const auto* const session = asked.session ? find(*asked.session) : nullptr;
    if (!session || session->record.state != State::active || !can_last(asked, decision))
        return nullptr;
    const auto purpose = purpose_of(purposes, asked, decision);
    const auto place = place_of(asked, decision, *session);
    const auto [first, last] = grants.equal_range(*asked.session);
    const auto found = std::find_if(first, last, [&](const auto& each) {
        const GrantRecord& grant = each.second;
        return grant.expires > when && grant.uses_left > 0 &&
               same_binding(grant, asked, place, purpose);
    });
    return found == last ? nullptr : &found->second;
}

bool Machine::needs_factors(const StepUpAsked& asked, const Now& now) const {
    if (asked.login || asked.subjects.empty())
        return true;
    const auto decision = strictest_rule(data_->policy, asked, now);
    if (decision.verdict != StepUpDecision::Verdict::prove)
        return false;
    // How long a proof counts may hang on what he has.
    return decision.enroll_within || !data_->enforcing() ||
           !data_->standing(asked, decision, now.boot + Seconds{1});
}

Effects Machine::Data::on(const StepUpAsked& asked, const Now& now) {
    Effects effects;
    const auto answer = [&](wire::AskReply reply) {
        effects.push_back(ReplyAsk{asked.token, std::move(reply)});
        return effects;
    };
    if (asked.subjects.empty())
        return answer(denied(cannot_tell_who));
    if (const auto why = why_blocked(asked, now)) {
        effects.push_back(about(AuditKind::step_up_refused, asked, *why));
        return answer(denied(*why));
    }
    if (asked.login)
        return ask_at_login(asked, now);
    const auto decision = strictest(policy, asked, now);
    if (decision.verdict == StepUpDecision::Verdict::not_applicable)
        return answer({.verdict = wire::AskReply::Verdict::not_applicable});
    if (decision.verdict == StepUpDecision::Verdict::none) {
        const auto rule = strictest_rule(policy, asked, now);
        if (!is_in_time(rule, asked) || !enforcing())
            return answer(allowed("the policy asks for no proof"));
        effects.push_back(about(AuditKind::step_up_granted, asked, "there is time yet to enrol"));
        auto reply = allowed(time_left_text(rule, asked, now));
        reply.factors = names_of(to_enroll(rule));
        return answer(std::move(reply));
    }
    if (!enforcing()) {
        effects.push_back(about(AuditKind::step_up_asked, asked, "only observed: would be asked"));
        return answer(allowed("only observed"));
    }
    const auto* session = asked.session ? find(*asked.session) : nullptr;
    if (session && session->record.state != State::active)
        return answer(denied("This session is locked or ending: unlock it first."));
    if (auto* const grant = standing(asked, decision, now.boot))
        return use(*grant, asked.token);
    // Whoever asks anew begins anew.
    std::erase_if(begun_proofs,
                  [&](const auto& begun) { return begun.asked.asker == asked.asker; });
    if (asked.enrols_first && asked.person_has.empty() && !asked.cannot_check &&
        is_met_by_enrolling(decision)) {
        effects.push_back(about(AuditKind::step_up_granted, asked,
                                "by the password alone, to enrol a first factor"));
        return answer(allowed("a first factor is enrolled by the password"));
    }
    const auto wanted = missing(decision, asked, {});
    if (wanted.empty()) {
        const auto why =
            asked.cannot_check ? std::string{cannot_check} : no_factor_text(asked, decision);
        effects.push_back(about(AuditKind::step_up_refused, asked, why));
        return answer(denied(why));
    }
    // For whom there is nobody to ask: which rule stands in his way.
    return answer({.verdict = wire::AskReply::Verdict::prove,
                   .text = rule_text(decision),
                   .factors = names_of(wanted),
                   .person = asked.subjects.front().user,
                   .wait_seconds = static_cast<std::uint64_t>(asked.wait.count())});
}

} // namespace vigil::core
