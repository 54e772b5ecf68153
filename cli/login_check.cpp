#include "cli/login_check.hpp"

#include "cli/config_text.hpp"
#include "cli/sshd.hpp"
#include "cli/stack_check.hpp"
#include "policy/load.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

#include <unistd.h>

namespace vigil::cli {

namespace {

constexpr const char* check = "login factors";
constexpr const char* see = "pam_vigil(8), AT LOGIN";

bool asks(const policy::Policy& policy, const char* service) {
    return std::ranges::any_of(policy.sessions, [&](const policy::SessionRule& rule) {
        const auto& services = rule.match.services;
        return rule.login_factors && !rule.login_factors->empty() &&
               (services.empty() || std::ranges::count(services, service) > 0);
    });
}

Finding nobody_asks(const char* service) {
    return {check, Grade::failure,
            std::string{"rules ask for a proof at login, and PAM's stack "} + service +
                " has no auth line of pam_vigil.so: whom they are about is refused",
            std::string{"pam-auth-update --enable vigil-login; see "} + see};
}

std::optional<Finding> look_at_sshd(const LoginSetUp& host) {
    const auto settings = host.sshd_settings();
    if (!settings)
        return std::nullopt;
    if (!*settings)
        return not_looked_at(check, settings->error().text());
    if (!host.has_auth_line("sshd"))
        return nobody_asks("sshd");
    for (const char* name : {"UsePAM", "KbdInteractiveAuthentication"}) {
        if (setting_of(**settings, name) != "yes")
            return Finding{check, Grade::failure,
                           std::string{"rules ask for a proof at login, and sshd cannot ask: it "
                                       "does not have "} +
                               name + " yes",
                           name + std::string{" yes in a file of /etc/ssh/sshd_config.d, then "
                                              "systemctl reload ssh"}};
    }
    const auto methods = setting_of(**settings, "AuthenticationMethods");
    if (methods.empty() || methods == "any")
        return Finding{
            check, Grade::warning,
            "rules ask for a proof at login, and sshd takes a key alone, behind which "
            "it asks for nothing: whom they are about is then refused (Match blocks "
            "aside)",
            std::string{"AuthenticationMethods publickey,keyboard-interactive:pam; see "} + see};
    return std::nullopt;
}

} // namespace

Finding finding_of(const policy::Policy& policy, const LoginSetUp& host) {
    const bool sshd = asks(policy, "sshd");
    const bool console = asks(policy, "login");
    if (!sshd && !console)
        return {check, Grade::ok, "no rule asks for a proof at a login by ssh or at a console"};
    if (sshd)
        if (auto bad = look_at_sshd(host))
            return *std::move(bad);
    if (console && !host.has_auth_line("login"))
        return nobody_asks("login");
    return {check, Grade::ok, "whom the policy asks for a proof at login can be asked"};
}

Finding look_at_login_factors() {
    if (::geteuid() != 0)
        return not_looked_at(check, "the policy is root's", "sudo vigilctl doctor");
    const auto sources = policy::read_sources(policy::default_path, true);
    if (!sources && sources.error().code == ENOENT)
        return {check, Grade::ok, "there is no policy that would ask for a proof at login"};
    const auto policy = sources ? policy::parse(*sources)
                                : Result<policy::Policy>{std::unexpected{sources.error()}};
    if (!policy)
        return not_looked_at(check, policy.error().text(), "vigilctl policy check");
    return finding_of(*policy, {.sshd_settings = []() -> std::optional<Result<std::string>> {
                                    const auto program = sshd_program();
                                    if (!program)
                                        return std::nullopt;
                                    return sshd_settings(*program);
                                },
                                .has_auth_line =
                                    [](const char* service) {
                                        return asks_vigil(service, "auth") == AsksVigil::yes;
                                    }});
}

} // namespace vigil::cli
