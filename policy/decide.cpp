#include "policy/decide.hpp"

#include "policy/index.hpp"
#include "policy/scalars.hpp"

#include <algorithm>

namespace vigil::policy {

namespace {

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
                .valid_for = rule.valid_for,
                .scope = rule.scope,
                .uses = rule.uses};
    }
    return {};
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
    }
    return "unknown";
}

std::string summary(const Policy& policy) {
    const auto counted = [](std::size_t count, const char* what) {
        return std::to_string(count) + what + (count == 1 ? " rule" : " rules");
    };
    return counted(policy.sessions.size(), " session") + ", " +
           counted(policy.step_up.size(), " step-up");
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
    for (const Factor factor : {Factor::password, Factor::totp, Factor::recovery}) {
        if (text == to_text(factor))
            return factor;
    }
    return std::nullopt;
}

} // namespace vigil::policy
