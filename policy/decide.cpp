#include "policy/decide.hpp"

#include "policy/index.hpp"
#include "policy/scalars.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace vigil::policy {

namespace {

/// The first of the rules that sets it has said so.
template <typename T>
void take_first(const std::optional<T>& value, bool& is_settled, T& out) {
    if (value && !std::exchange(is_settled, true))
        out = *value;
}

bool run_as_holds(const StepUpRule& rule, const std::optional<std::string>& run_as) noexcept {
    if (rule.match.run_as.empty())
        return true;
    if (!run_as)
        return leaning(rule) == Leaning::strict;
    return std::ranges::find(rule.match.run_as, *run_as) != rule.match.run_as.end();
}

bool command_holds(const StepUpRule& rule, const std::optional<Command>& command) noexcept {
    return rule.match.commands.empty() ||
           any_matches(rule.match.commands, command,
                       leaning(rule) == Leaning::strict ? InDoubt::matches
                                                        : InDoubt::does_not_match);
}

/// `sudo -i` and `su -` have PAM services of their own. Who writes `sudo` means them too: a rule
/// must not be left behind by a letter on the command line.
std::optional<Facts> without_login_shell(const Facts& facts) {
    const bool is_sudo = facts.service == "sudo-i";
    if (!is_sudo && facts.service != "su-l")
        return std::nullopt;
    Facts plain = facts;
    plain.service = is_sudo ? "sudo" : "su";
    return plain;
}

} // namespace

void index_rules(Policy& policy) {
    policy.index = std::make_shared<const RuleIndex>(policy.sessions);
}

SessionDecision decide_session(const Policy& policy, const Facts& facts, const Now& now) {
    if (!policy.index) {
        Policy indexed = policy;
        index_rules(indexed);
        return decide_session(indexed, facts, now);
    }
    const RuleIndex& index = *policy.index;
    const RuleSet matching = index.matching(facts, local_time(now));
    const auto first_rule = RuleIndex::first(matching);
    SessionDecision decision;
    if (!first_rule)
        return decision;
    decision.rule = policy.sessions[*first_rule].name;
    const auto settle = [&]<typename T>(Setting setting, std::optional<T> SessionRule::* value,
                                        T& out) {
        if (const auto rule = index.first(matching, setting))
            out = *(policy.sessions[*rule].*value);
    };
    settle(Setting::access, &SessionRule::access, decision.access);
    if (decision.access == Access::deny)
        settle(Setting::message, &SessionRule::message, decision.message);
    settle(Setting::idle_warn, &SessionRule::idle_warn, decision.idle_warn);
    settle(Setting::idle_lock, &SessionRule::idle_lock, decision.idle_lock);
    settle(Setting::idle_terminate, &SessionRule::idle_terminate, decision.idle_terminate);
    settle(Setting::activity, &SessionRule::activity, decision.activity);
    if (has_no_terminal(facts.session_class)) {
        // A command that waits looks like one that was left: only who names the class ends it.
        const auto rule = index.first(matching, Setting::idle_terminate);
        if (rule && policy.sessions[*rule].match.classes.empty())
            decision.idle_terminate = never;
        decision.activity = {};
    }
    settle(Setting::max_duration, &SessionRule::max_duration, decision.max_duration);
    settle(Setting::warn_before_end, &SessionRule::warn_before_end, decision.warn_before_end);
    settle(Setting::max_sessions, &SessionRule::max_sessions, decision.max_sessions);
    settle(Setting::unlock, &SessionRule::unlock, decision.unlock);
    settle(Setting::incomplete_lock, &SessionRule::incomplete_lock, decision.incomplete_lock);
    settle(Setting::lock_on_sleep, &SessionRule::lock_on_sleep, decision.lock_on_sleep);
    settle(Setting::login_factors, &SessionRule::login_factors, decision.login_factors);
    settle(Setting::remember_source, &SessionRule::remember_source, decision.remember_source);
    if (const auto rule = index.first(matching, Setting::login_factors))
        decision.login_rule = policy.sessions[*rule].name;
    return decision;
}

StepUpDecision decide_step_up(const Policy& policy, const Facts& facts, const StepUpTarget& target,
                              const Now& now) {
    const LocalTime time = local_time(now);
    const std::optional<Facts> plain = without_login_shell(facts);
    for (std::size_t i = 0; i < policy.step_up.size(); ++i) {
        const StepUpRule& rule = policy.step_up[i];
        if (!run_as_holds(rule, target.run_as) || !command_holds(rule, target.command) ||
            !(matches(rule.match, facts, time, leaning(rule)) ||
              (plain && matches(rule.match, *plain, time, leaning(rule)))))
            continue;
        return {.verdict = rule.require.empty() ? StepUpDecision::Verdict::none
                                                : StepUpDecision::Verdict::prove,
                .rule = i,
                .require = rule.require,
                .key_verified = rule.key_verified,
                .valid_for = rule.valid_for,
                .scope = rule.scope,
                .uses = rule.uses,
                .enroll_within = rule.enroll_within};
    }
    return {};
}

StepUpDecision both(const StepUpDecision& one, const StepUpDecision& other) {
    if (one.rule == other.rule || std::ranges::count(one.also, other.rule) > 0)
        return one;
    StepUpDecision result{.verdict = StepUpDecision::Verdict::prove,
                          .rule = one.rule,
                          .also = one.also,
                          .require = {},
                          .key_verified = one.key_verified || other.key_verified};
    result.also.push_back(other.rule);
    for (const Factors& way : one.require) {
        for (const Factors& more : other.require) {
            Factors joined = way;
            std::ranges::copy_if(more, std::back_inserter(joined), [&](Factor factor) {
                return std::ranges::count(way, factor) == 0;
            });
            if (std::ranges::none_of(result.require, [&](const Factors& known) {
                    return std::ranges::is_permutation(known, joined);
                }))
                result.require.push_back(std::move(joined));
        }
    }
    if (one.enroll_within && other.enroll_within)
        result.enroll_within = std::min(*one.enroll_within, *other.enroll_within);
    return result;
}

std::optional<SessionDecision> decide_elevated(const Policy& policy, const Facts& facts,
                                               const std::string& run_as, const Now& now) {
    const LocalTime time = local_time(now);
    const std::optional<Facts> plain = without_login_shell(facts);
    std::optional<SessionDecision> decision;
    bool warn = false, idle = false, longest = false, before = false;
    for (std::size_t i = 0; i < policy.elevated.size(); ++i) {
        const ElevatedRule& rule = policy.elevated[i];
        const auto& names = rule.match.run_as;
        if ((!names.empty() && std::ranges::find(names, run_as) == names.end()) ||
            !(matches(rule.match, facts, time, Leaning::neutral) ||
              (plain && matches(rule.match, *plain, time, Leaning::neutral))))
            continue;
        if (!decision) {
            decision.emplace();
            decision->rule = "rule " + std::to_string(i + 1) + " of elevated";
            decision->activity.output = false;
        }
        take_first(rule.idle_warn, warn, decision->idle_warn);
        take_first(rule.idle_terminate, idle, decision->idle_terminate);
        take_first(rule.max_duration, longest, decision->max_duration);
        take_first(rule.warn_before_end, before, decision->warn_before_end);
    }
    return decision;
}

std::vector<Factors> without_enrolled(const std::vector<Factors>& ways) {
    std::vector<Factors> left;
    for (Factors way : ways) {
        std::erase_if(way, is_enrolled);
        if (way.empty())
            return {};
        if (std::ranges::find(left, way) == left.end())
            left.push_back(std::move(way));
    }
    return left;
}

RemoteHost parse_remote_host(const std::string& text) {
    if (text.empty())
        return {};
    const std::string_view whole{text};
    const std::size_t percent = whole.find('%');
    const std::optional<Address> address = parse_address(whole.substr(0, percent));
    if (address && percent != std::string_view::npos &&
        (is_ipv4(*address) || !is_zone(whole.substr(percent + 1))))
        return {.address = std::nullopt, .is_remote = true};
    return {.address = address, .is_remote = true};
}

const char* to_text(Factor factor) noexcept {
    switch (factor) {
    case Factor::password:
        return "password";
    case Factor::totp:
        return "totp";
    case Factor::recovery:
        return "recovery";
    case Factor::key:
        return "key";
    case Factor::approval:
        return "approval";
    }
    return "unknown";
}

std::string summary(const Policy& policy) {
    const auto counted = [](std::size_t count, const char* what) {
        return std::to_string(count) + what + (count == 1 ? " rule" : " rules");
    };
    return counted(policy.sessions.size(), " session") + ", " +
           counted(policy.step_up.size(), " step-up") +
           (policy.elevated.empty() ? "" : ", " + counted(policy.elevated.size(), " elevated"));
}

const char* to_text(Mode mode) noexcept {
    switch (mode) {
    case Mode::enforce:
        return "enforce";
    case Mode::observe:
        return "observe";
    }
    return "unknown";
}

std::optional<Factor> factor_from_text(const std::string& text) noexcept {
    for (const Factor factor :
         {Factor::password, Factor::totp, Factor::recovery, Factor::key, Factor::approval}) {
        if (text == to_text(factor))
            return factor;
    }
    return std::nullopt;
}

} // namespace vigil::policy
