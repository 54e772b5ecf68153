// What is no error of the policy and yet not what anybody means.

#include "policy/policy.hpp"

#include <algorithm>

namespace vigil::policy {

namespace {

/// polkit asks in a helper that is in no login of the person's, and so has no ssh agent.
bool asks_polkit_for_a_key_alone(const StepUpRule& rule) {
    const auto& services = rule.match.services;
    const bool is_polkits = services.empty() || std::ranges::count(services, "polkit-1") > 0;
    return is_polkits && !rule.require.empty() &&
           std::ranges::all_of(rule.require, [](const Factors& way) {
               return std::ranges::count(way, Factor::key) > 0;
           });
}

bool lets_nobody_in(const SessionRule& rule) {
    return std::ranges::none_of(*rule.login_factors, [](const Factors& way) {
        return std::ranges::all_of(way, is_asked_at_login);
    });
}

} // namespace

std::vector<std::string> warnings(const Policy& policy) {
    std::vector<std::string> lines;
    for (const auto& rule : policy.sessions) {
        if (!rule.login_factors || rule.login_factors->empty())
            continue;
        const auto name = "rule \"" + rule.name + "\"";
        if (lets_nobody_in(rule))
            lines.push_back(name +
                            " lets nobody in: its login_factors cannot be asked for without a "
                            "security key, and no ssh agent is there before a login; add totp");
        // A greeter or a mail server has nobody who could answer.
        else if (rule.match.services.empty())
            lines.push_back(name +
                            " asks for a proof at every login that PAM knows of, by mail servers "
                            "and desktops too; say services: [sshd, login]");
    }
    for (std::size_t i = 0; i < policy.step_up.size(); ++i)
        if (asks_polkit_for_a_key_alone(policy.step_up[i]))
            lines.push_back("rule " + std::to_string(i + 1) +
                            " of step_up refuses what polkit asks about: a security key cannot be "
                            "asked for there; add totp, or say services: [sudo, su]");
    return lines;
}

} // namespace vigil::policy
