// Rules about what sudo, su and pkexec start: which apply, and what they come to.

#include "policy/decide.hpp"
#include "tests/unit/policy_help.hpp"

using namespace vigil;
using namespace vigil::policy;
using namespace vigil::test;

namespace {

Facts facts(std::string service = "sudo") {
    return {.user = "alice",
            .uid = 1000,
            .groups = {"sudo"},
            .service = std::move(service),
            .remote = parse_remote_host("192.0.2.7").address};
}

/// 2024-10-07 was a Monday.
Now at_hour(int hour) {
    using namespace std::chrono;
    return {.boot = BootTime{1000h},
            .wall = WallTime{sys_days{2024y / October / 7}.time_since_epoch() + hours{hour}}};
}

std::optional<SessionDecision> decided(const std::string& rules, const Facts& about = facts(),
                                       const std::string& run_as = "root") {
    return decide_elevated(parsed("version: 1\nelevated:\n" + rules), about, run_as, at_hour(12));
}

START_TEST(the_first_value_of_each_setting_wins) {
    const auto decision = decided("  - {match: {run_as: [root]}, max_duration: 30m}\n"
                                  "  - {max_duration: 1h, idle_terminate: 10m, idle_warn: 1m}\n"
                                  "  - {idle_terminate: never, warn_before_end: [1m, 5m]}\n");
    ck_assert(decision.has_value());
    CHECK_TEXT(decision->rule, "rule 1 of elevated");
    ck_assert(decision->max_duration == std::chrono::minutes{30});
    ck_assert(decision->idle_terminate == std::chrono::minutes{10});
    ck_assert(decision->idle_warn == std::chrono::minutes{1});
    ck_assert(decision->warn_before_end == std::vector<Seconds>({Seconds{300}, Seconds{60}}));
    ck_assert(decision->idle_lock == never);
    ck_assert(!decision->activity.output && decision->activity.bytes &&
              decision->activity.processor);
}
END_TEST

START_TEST(what_no_rule_sets_is_no_limit) {
    const auto decision = decided("  - {max_duration: never}\n  - {max_duration: 1h}\n");
    ck_assert(decision && decision->max_duration == never && decision->idle_terminate == never);
}
END_TEST

START_TEST(every_condition_has_to_hold) {
    const std::string setting = ", max_duration: 1h}\n";
    for (const char* holds :
         {"users: [alice]", "groups: [sudo]", "services: [sudo]", "run_as: [bob, root]",
          "from: [192.0.2.0/24]", "not_from: [local]", "when: [\"Mon 11:00-13:00\"]"})
        ck_assert_msg(decided("  - {match: {" + std::string{holds} + "}" + setting).has_value(),
                      "%s", holds);
    for (const char* fails :
         {"users: [bob]", "groups: [wheel]", "services: [su]", "run_as: [postgres]",
          "from: [local]", "not_from: [192.0.2.7/32]", "when: [\"Mon 13:00-14:00\"]"})
        ck_assert_msg(!decided("  - {match: {" + std::string{fails} + "}" + setting).has_value(),
                      "%s", fails);
}
END_TEST

START_TEST(login_shells_are_of_the_plain_service_too) {
    const std::string rule = "  - {match: {services: [sudo, su]}, max_duration: 1h}\n";
    for (const char* service : {"sudo", "sudo-i", "su", "su-l"})
        ck_assert_msg(decided(rule, facts(service)).has_value(), "%s", service);
    ck_assert(!decided(rule, facts("polkit-1")).has_value());
    ck_assert(!decided("  - {match: {services: [sudo-i]}, max_duration: 1h}\n").has_value());
}
END_TEST

START_TEST(a_policy_without_rules_has_no_clock_for_anybody) {
    const auto policy = parsed("version: 1\n");
    ck_assert(!decide_elevated(policy, facts(), "root", at_hour(12)).has_value());
    CHECK_TEXT(summary(policy), "0 session rules, 0 step-up rules");
    CHECK_TEXT(summary(parsed("version: 1\nelevated:\n  - max_duration: 1h\n")),
               "0 session rules, 0 step-up rules, 1 elevated rule");
}
END_TEST

} // namespace

int main() {
    return run("policy_elevated",
               {the_first_value_of_each_setting_wins, what_no_rule_sets_is_no_limit,
                every_condition_has_to_hold, login_shells_are_of_the_plain_service_too,
                a_policy_without_rules_has_no_clock_for_anybody});
}
