// cli: what vigilctl says of a policy that asks for proofs, and of a host that cannot: doctor at
// logins, policy check at the services of step_up.

#include "cli/login_check.hpp"
#include "cli/stack_check.hpp"
#include "tests/unit/test.hpp"

#include <algorithm>

using namespace vigil;
using cli::Grade;

namespace {

constexpr const char* good = "port 22\nusepam yes\nkbdinteractiveauthentication yes\n"
                             "authenticationmethods publickey,keyboard-interactive:pam\n";

policy::Policy asks_at(std::vector<std::string> services) {
    policy::SessionRule rule{.name = "a", .login_factors = {{{policy::Factor::totp}}}};
    rule.match.services = std::move(services);
    return {.sessions = {rule}};
}

cli::Finding finding(const policy::Policy& policy, std::optional<std::string> settings,
                     std::vector<std::string> stacks = {"sshd", "login"}) {
    return cli::finding_of(
        policy,
        {.sshd_settings = [settings]() -> std::optional<Result<std::string>> {
             if (!settings)
                 return std::nullopt;
             return Result<std::string>{*settings};
         },
         .has_auth_line =
             [stacks](const char* service) { return std::ranges::count(stacks, service) > 0; }});
}

bool has(const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
}

} // namespace

START_TEST(who_asks_for_nothing_needs_nothing) {
    ck_assert(finding({}, "", {}).grade == Grade::ok);
    auto none = asks_at({});
    none.sessions.front().login_factors->clear();
    ck_assert(finding(none, "", {}).grade == Grade::ok);
    ck_assert(finding(asks_at({"gdm-password"}), "", {}).grade == Grade::ok);
    // No sshd is there to be asked, and no rule is about a console.
    ck_assert(finding(asks_at({"sshd"}), std::nullopt, {}).grade == Grade::ok);
}
END_TEST

START_TEST(a_host_that_asks_is_good) {
    for (const auto& services : std::vector<std::vector<std::string>>{{}, {"sshd"}, {"login"}})
        ck_assert(finding(asks_at(services), good).grade == Grade::ok);
}
END_TEST

START_TEST(a_stack_without_the_line_is_a_failure) {
    auto found = finding(asks_at({}), good, {"login"});
    ck_assert(found.grade == Grade::failure && has(found.found, "stack sshd has no auth line"));
    ck_assert(has(found.mend, "pam-auth-update --enable vigil-login"));
    found = finding(asks_at({}), good, {"sshd"});
    ck_assert(found.grade == Grade::failure && has(found.found, "stack login has no auth line"));
}
END_TEST

START_TEST(an_sshd_that_cannot_ask_is_told) {
    auto found = finding(asks_at({"sshd"}), "usepam yes\nkbdinteractiveauthentication no\n");
    ck_assert(found.grade == Grade::failure);
    ck_assert(has(found.found, "KbdInteractiveAuthentication yes"));
    found = finding(asks_at({"sshd"}), "usepam no\nkbdinteractiveauthentication yes\n");
    ck_assert(found.grade == Grade::failure && has(found.found, "UsePAM yes"));
    ck_assert(finding(asks_at({"sshd"}), "").grade == Grade::failure);
    found = finding(asks_at({"sshd"}),
                    "usepam yes\nkbdinteractiveauthentication yes\nauthenticationmethods any\n");
    ck_assert(found.grade == Grade::warning);
    ck_assert(has(found.mend, "AuthenticationMethods publickey,keyboard-interactive:pam"));
}
END_TEST

START_TEST(an_sshd_that_says_nothing_is_not_well) {
    const auto found =
        cli::finding_of(asks_at({}), {.sshd_settings = []() -> std::optional<Result<std::string>> {
                                          return Result<std::string>{fail(5, "sshd is broken")};
                                      },
                                      .has_auth_line = [](const char*) { return true; }});
    ck_assert(found.grade == Grade::warning && !found.looked_at);
}
END_TEST

START_TEST(a_service_where_nobody_is_asked_is_told_once) {
    using cli::AsksVigil;
    const auto rule = [](std::vector<std::string> services, std::vector<policy::Factors> require) {
        policy::StepUpRule made;
        made.match.services = std::move(services);
        made.require = std::move(require);
        return made;
    };
    const std::vector<policy::Factors> code{{policy::Factor::totp}};
    const policy::Policy policy{.step_up = {rule({"nowhere"}, {}), rule({}, code),
                                            rule({"sudo", "doas", "ftp"}, code),
                                            rule({"sudo", "doas"}, code)}};
    const auto lines = cli::unasked_services(policy, [](const std::string& service) {
        return service == "sudo"  ? AsksVigil::yes
               : service == "ftp" ? AsksVigil::no
                                  : AsksVigil::no_stack;
    });
    ck_assert_uint_eq(lines.size(), 2);
    CHECK_TEXT(lines[0], "rule 3 of step_up names the service doas, which PAM has no stack of "
                         "here: not installed, or misspelt");
    ck_assert(lines[1].starts_with("rule 3 of step_up names the service ftp, whose PAM stack has "
                                   "no account line of pam_vigil.so"));
}
END_TEST

int main() {
    return vigil::test::run("cli/login check",
                            {who_asks_for_nothing_needs_nothing, a_host_that_asks_is_good,
                             a_stack_without_the_line_is_a_failure, an_sshd_that_cannot_ask_is_told,
                             an_sshd_that_says_nothing_is_not_well,
                             a_service_where_nobody_is_asked_is_told_once});
}
