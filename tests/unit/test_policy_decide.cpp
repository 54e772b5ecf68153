#include "policy/decide.hpp"
#include "policy_help.hpp"

using namespace vigil;
using namespace vigil::policy;
using namespace vigil::test;

namespace {

Facts facts_of(const std::string& user, std::vector<std::string> groups = {},
               const std::string& host = "") {
    Facts facts{.user = user, .uid = 1000, .groups = std::move(groups), .service = "sshd"};
    const RemoteHost remote = parse_remote_host(host);
    facts.remote = remote.address;
    facts.remote_unknown = remote.is_remote && !remote.address;
    return facts;
}

SessionDecision decided(const std::string& rules, const Facts& facts, const Now& now = at(0, 12)) {
    return decide_session(parsed("version: 1\nsessions:\n" + rules), facts, now);
}

bool holds(const std::string& match, const Facts& facts, const Now& now = at(0, 12)) {
    return !decided("  - {name: a, match: {" + match + "}, idle_lock: 1m}\n", facts, now)
                .rule.empty();
}

bool in(const std::string& networks, const std::string& host) {
    return holds("from: [" + networks + "]", facts_of("alice", {}, host));
}

} // namespace

START_TEST(what_no_rule_sets_is_no_limit) {
    const SessionDecision decision = decide_session({}, facts_of("alice"), at(0, 0));
    ck_assert(decision == SessionDecision{});
    ck_assert(decision.idle_lock == never);
    ck_assert(decision.max_duration == never);
    ck_assert(decision.access == Access::allow);
}
END_TEST

START_TEST(the_first_value_of_each_setting_wins) {
    const std::string rules = "  - {name: robots, match: {users: [deploy]}, idle_lock: never}\n"
                              "  - {name: other, match: {users: [bob]}, idle_lock: 1m}\n"
                              "  - {name: all, idle_lock: 15m, max_duration: 12h}\n"
                              "  - {name: late, max_duration: 1h, max_sessions: {user: 4}}\n";
    const SessionDecision deploy = decided(rules, facts_of("deploy"));
    ck_assert_str_eq(deploy.rule.c_str(), "robots");
    ck_assert(deploy.idle_lock == never);
    ck_assert(deploy.max_duration == Seconds{12 * 3600});
    ck_assert(deploy.max_sessions.per_user == 4U);
    const SessionDecision alice = decided(rules, facts_of("alice"));
    ck_assert_str_eq(alice.rule.c_str(), "all");
    ck_assert(alice.idle_lock == Seconds{900});
}
END_TEST

START_TEST(a_message_comes_with_a_refusal_alone) {
    const std::string deny = "  - {name: no, access: deny, message: Not today.}\n";
    check_text(decided(deny, facts_of("a")).message, "Not today.");
    const SessionDecision allowed =
        decided("  - {name: yes, match: {users: [a]}, access: allow}\n" + deny, facts_of("a"));
    ck_assert(allowed.access == Access::allow);
    ck_assert_str_eq(allowed.message.c_str(), "");
}
END_TEST

START_TEST(all_conditions_must_hold_and_one_of_each_list) {
    const std::string match = "users: [a, b], groups: [g, h], services: [sshd, login]";
    ck_assert(holds(match, facts_of("b", {"x", "h"})));
    ck_assert(!holds(match, facts_of("c", {"h"})));
    ck_assert(!holds(match, facts_of("a", {"x"})));
    ck_assert(!holds(match, facts_of("a", {})));
    Facts cron = facts_of("a", {"g"});
    cron.service = "cron";
    ck_assert(!holds(match, cron));
    ck_assert(!holds("users: [alice]", facts_of("Alice")));
    Facts command = facts_of("a");
    command.session_class = SessionClass::command;
    ck_assert(holds("classes: [graphical, command]", command));
    ck_assert(!holds("classes: [graphical, interactive]", command));
}
END_TEST

START_TEST(without_a_terminal_only_who_names_the_class_ends_the_idle) {
    Facts facts = facts_of("a");
    const std::string everybody = "  - {name: all, idle_terminate: 1h}\n";
    const std::string copies =
        "  - {name: copies, match: {classes: [transfer]}, idle_terminate: 2h}\n";
    ck_assert(decided(everybody, facts).idle_terminate == Seconds{3600});
    for (const auto session_class :
         {SessionClass::command, SessionClass::transfer, SessionClass::forward}) {
        facts.session_class = session_class;
        const bool named = session_class == SessionClass::transfer;
        ck_assert(decided(everybody, facts).idle_terminate == never);
        ck_assert(decided(copies + everybody, facts).idle_terminate ==
                  (named ? Seconds{7200} : never));
        // The first value wins, as always: it says nothing here, and so there is none.
        ck_assert(decided(everybody + copies, facts).idle_terminate == never);
        ck_assert(
            decided("  - {name: no, match: {users: [a]}, idle_terminate: never}\n" + copies, facts)
                .idle_terminate == never);
    }
    facts.session_class = SessionClass::graphical;
    ck_assert(decided(everybody, facts).idle_terminate == Seconds{3600});
}
END_TEST

START_TEST(all_activity_counts_unless_a_rule_says_less) {
    Facts facts = facts_of("a");
    ck_assert(decided("  - {name: all, idle_terminate: 1h}\n", facts).activity == Activity{});
    const std::string less = "  - {name: a, activity: cpu+input}\n  - {name: b, activity: "
                             "input+bytes}\n";
    ck_assert((decided(less, facts).activity ==
               Activity{.output = false, .bytes = false, .processor = true}));
    facts.session_class = SessionClass::transfer; // a copy in progress is never cut
    ck_assert(decided(less, facts).activity == Activity{});
}
END_TEST

START_TEST(networks_hold_their_addresses_and_no_others) {
    ck_assert(in("10.0.0.0/8", "10.255.1.2"));
    ck_assert(!in("10.0.0.0/8", "11.0.0.0"));
    ck_assert(in("192.0.2.128/25", "192.0.2.128"));
    ck_assert(!in("192.0.2.128/25", "192.0.2.127"));
    ck_assert(in("192.0.2.1", "192.0.2.1"));
    ck_assert(!in("192.0.2.1", "192.0.2.2"));
    ck_assert(in("10.0.0.0/8", "::ffff:10.1.1.1"));
    ck_assert(in("\"2001:db8::/33\"", "2001:db8:7fff::1"));
    ck_assert(!in("\"2001:db8::/33\"", "2001:db8:8000::1"));
    ck_assert(in("\"fe80::/10\"", "fe80::1%eth0"));
    ck_assert(in("0.0.0.0/0", "203.0.113.9"));
    ck_assert(!in("0.0.0.0/0", "2001:db8::1"));
    ck_assert(in("\"::/0\"", "2001:db8::1"));
    ck_assert(!in("\"::/0\"", "203.0.113.9"));
    ck_assert(!in("0.0.0.0/0, \"::/0\"", ""));
    ck_assert(in("local", ""));
    ck_assert(!in("local", "127.0.0.1"));
    ck_assert(!in("local", "::1"));
}
END_TEST

START_TEST(not_from_takes_out_what_it_names) {
    const std::string match = "from: [0.0.0.0/0], not_from: [10.0.0.0/8]";
    ck_assert(holds(match, facts_of("a", {}, "192.0.2.1")));
    ck_assert(!holds(match, facts_of("a", {}, "10.0.0.1")));
    ck_assert(!holds("not_from: [local]", facts_of("a")));
    ck_assert(holds("not_from: [local]", facts_of("a", {}, "10.0.0.1")));
}
END_TEST

START_TEST(a_window_is_local_time_and_ends_before_its_end) {
    const std::string office = "when: [\"Mon-Fri 07:00-20:00\"]";
    ck_assert(!holds(office, facts_of("a"), at(0, 6, 59)));
    ck_assert(holds(office, facts_of("a"), at(0, 7)));
    ck_assert(holds(office, facts_of("a"), at(4, 19, 59)));
    ck_assert(!holds(office, facts_of("a"), at(4, 20)));
    ck_assert(!holds(office, facts_of("a"), at(5, 12)));
    ck_assert(holds(office, facts_of("a"), at(0, 6, 59, Seconds{60})));
    ck_assert(!holds(office, facts_of("a"), at(0, 7, 0, Seconds{-60})));
    // Sunday 23:30 in Greenwich is Monday 07:30 eight hours east of it.
    ck_assert(holds(office, facts_of("a"), at(-1, 23, 30, Seconds{8 * 3600})));
}
END_TEST

START_TEST(a_window_across_midnight_belongs_to_the_day_it_begins) {
    const std::string night = "when: [\"Mon,Wed 22:00-06:00\"]";
    ck_assert(!holds(night, facts_of("a"), at(0, 5)));
    ck_assert(!holds(night, facts_of("a"), at(0, 21, 59)));
    ck_assert(holds(night, facts_of("a"), at(0, 22)));
    ck_assert(holds(night, facts_of("a"), at(1, 5, 59)));
    ck_assert(!holds(night, facts_of("a"), at(1, 6)));
    ck_assert(!holds(night, facts_of("a"), at(1, 22)));
    ck_assert(holds("when: [\"Sun 22:00-06:00\"]", facts_of("a"), at(0, 5)));
    ck_assert(holds("when: [\"Fri-Mon 00:00-24:00\"]", facts_of("a"), at(6, 12)));
    ck_assert(!holds("when: [\"Fri-Mon 00:00-24:00\"]", facts_of("a"), at(1, 0)));
    ck_assert(holds("when: [\"Mon 22:00-00:00\"]", facts_of("a"), at(0, 23, 59)));
    ck_assert(!holds("when: [\"Mon 22:00-00:00\"]", facts_of("a"), at(1, 0)));
}
END_TEST

START_TEST(a_window_and_the_rest_of_the_day_make_the_whole_clock) {
    const std::string one = "when: [\"Mon-Sun 06:00-22:00\"]";
    const std::string rest = "when: [\"Mon-Sun 22:00-06:00\"]";
    const Policy day =
        parsed("version: 1\nsessions: [{name: a, match: {" + one + "}, idle_lock: 1m}]");
    const Policy night =
        parsed("version: 1\nsessions: [{name: a, match: {" + rest + "}, idle_lock: 1m}]");
    for (int minute = 0; minute < 7 * 1440; ++minute) {
        const Now now = at(-700, 0, minute);
        ck_assert(decide_session(day, facts_of("a"), now).rule.empty() !=
                  decide_session(night, facts_of("a"), now).rule.empty());
    }
}
END_TEST

START_TEST(times_before_the_epoch_have_a_weekday_too) {
    const Now now{.boot = {}, .wall = WallTime{Seconds{-1}}}; // Wednesday, 23:59
    ck_assert(holds("when: [\"Wed 23:59-24:00\"]", facts_of("a"), now));
}
END_TEST

START_TEST(a_host_is_an_address_or_unknown_but_never_looked_up) {
    ck_assert(!parse_remote_host("").is_remote);
    for (const char* text : {"192.0.2.1", "::1", "2001:db8::1", "::ffff:1.2.3.4", "fe80::1%eth0"}) {
        ck_assert_msg(parse_remote_host(text).address.has_value(), "%s", text);
        ck_assert(parse_remote_host(text).is_remote);
    }
    const std::vector<std::string> names{"localhost",
                                         "UNKNOWN",
                                         "local",
                                         "bastion.example.org",
                                         "192.0.2.1\n",
                                         " 192.0.2.1",
                                         "192.0.2.1 ",
                                         "192.0.2",
                                         "010.0.0.1",
                                         "0x7f000001",
                                         "2130706433",
                                         "192.0.2.1%eth0",
                                         "fe80::1%",
                                         "fe80::1%a\nb",
                                         "fe80::1%aaaaaaaaaaaaaaaa",
                                         "[::1]",
                                         "::1/128",
                                         "1.2.3.4.5",
                                         "%n%n",
                                         ":0",
                                         "\n",
                                         std::string(4096, '1'),
                                         std::string(4096, ':'),
                                         std::string{"192.0.2.1\0", 10}};
    for (const std::string& text : names) {
        ck_assert_msg(!parse_remote_host(text).address, "%s", text.c_str());
        ck_assert_msg(parse_remote_host(text).is_remote, "%s", text.c_str());
    }
    ck_assert(parse_remote_host("::ffff:1.2.3.4").address == parse_remote_host("1.2.3.4").address);
}
END_TEST

START_TEST(an_unknown_host_earns_no_laxer_rule) {
    const Facts unknown = facts_of("a", {}, "evil.example.org");
    ck_assert(unknown.remote_unknown);
    ck_assert(!in("local", "evil.example.org"));
    ck_assert(!in("10.0.0.0/8", "evil.example.org"));
    ck_assert(in("0.0.0.0/0", "evil.example.org"));
    ck_assert(in("\"::/0\"", "evil.example.org"));
    ck_assert(holds("not_from: [10.0.0.0/8]", unknown));
    ck_assert(!holds("not_from: [0.0.0.0/0]", unknown));
    const std::string from = "  - {name: x, match: {from: [192.0.2.0/24]}, access: ";
    ck_assert(decided(from + "deny}\n", unknown).access == Access::deny);
    check_text(decided(from + "allow}\n", unknown).rule, "");
    const std::string not_from = "  - {name: x, match: {not_from: [192.0.2.0/24]}, access: ";
    ck_assert(decided(not_from + "deny}\n", unknown).access == Access::deny);
    check_text(decided(not_from + "allow}\n", unknown).rule, "");
    // None of which touches a login at the machine itself.
    ck_assert(decided(from + "deny}\n", facts_of("a")).access == Access::allow);
}
END_TEST

START_TEST(a_proof_at_login_is_by_the_first_rule_that_speaks_of_one) {
    const std::string rules = "  - {name: limits, idle_lock: 5m}\n"
                              "  - {name: robots, match: {users: [robot]}, login_factors: none}\n"
                              "  - {name: people, login_factors: [totp, {all: [recovery, key]}], "
                              "remember_source: 8h}\n"
                              "  - {name: others, login_factors: [recovery]}\n";
    const auto person = decided(rules, facts_of("alice"));
    ck_assert((person.login_factors ==
               std::vector<Factors>{{Factor::totp}, {Factor::recovery, Factor::key}}));
    check_text(person.login_rule, "people");
    check_text(person.rule, "limits");
    ck_assert(person.remember_source == Seconds{8 * 3600});
    ck_assert(decided(rules, facts_of("robot")).login_factors.empty());
    ck_assert(decided("  - {name: a, idle_lock: 5m}\n", facts_of("a")).login_factors.empty());
}
END_TEST

START_TEST(an_unknown_host_is_asked_and_not_let_off) {
    const Facts unknown = facts_of("a", {}, "evil.example.org");
    const std::string from = "  - {name: x, match: {from: [192.0.2.0/24]}, login_factors: ";
    ck_assert(!decided(from + "[totp]}\n", unknown).login_factors.empty());
    const std::string office = "  - {name: office, match: {from: [192.0.2.0/24]}, login_factors: "
                               "none}\n  - {name: all, login_factors: [totp]}\n";
    ck_assert(!decided(office, unknown).login_factors.empty());
    ck_assert(decided(office, facts_of("a", {}, "192.0.2.7")).login_factors.empty());
    const std::string outside = "  - {name: inside, match: {not_from: [192.0.2.0/24]}, "
                                "login_factors: none}\n  - {name: all, login_factors: [totp]}\n";
    ck_assert(!decided(outside, unknown).login_factors.empty());
}
END_TEST

START_TEST(a_key_alone_is_warned_of_where_polkit_asks) {
    const auto warned = [](const std::string& rule) {
        return warnings(parsed("version: 1\nstep_up:\n  - " + rule + "\n"));
    };
    const auto lines = warned("{match: {services: [sudo, polkit-1]}, require: [key]}");
    ck_assert_uint_eq(lines.size(), 1);
    ck_assert(lines.front().starts_with("rule 1 of step_up refuses what polkit asks about"));
    ck_assert(warned("{match: {services: [polkit-1]}, require: [key, totp]}").empty());
    ck_assert(warned("{match: {services: [polkit-1]}, require: none}").empty());
    ck_assert_uint_eq(warned("{match: {groups: [sudo]}, require: [key]}").size(), 1);
    ck_assert(warned("{match: {services: [sudo]}, require: [key]}").empty());
}
END_TEST

START_TEST(only_what_nobody_can_be_asked_for_is_warned_of) {
    const auto warned = [](const std::string& factors) {
        return warnings(parsed(
            "version: 1\nsessions:\n  - {name: a, match: {services: [sshd]}, login_factors: " +
            factors + "}\n"));
    };
    ck_assert(warned("[totp]").empty());
    ck_assert(warned("none").empty());
    ck_assert(warned("[key, recovery]").empty());
    ck_assert_uint_eq(warned("[key]").size(), 1);
    ck_assert(warned("[key, {all: [totp, key]}]").front().starts_with("rule \"a\" lets nobody in"));
    const auto everywhere =
        warnings(parsed("version: 1\nsessions:\n  - {name: a, login_factors: [totp]}\n"));
    ck_assert_uint_eq(everywhere.size(), 1);
    ck_assert(everywhere.front().starts_with("rule \"a\" asks for a proof at every login"));
}
END_TEST

START_TEST(step_up_is_decided_by_the_first_match) {
    const Policy policy = parsed("version: 1\nstep_up:\n"
                                 "  - {match: {users: [deploy], run_as: [app]}, require: none}\n"
                                 "  - {match: {groups: [sudo], run_as: [root]}, require: [totp], "
                                 "valid_for: 5m, uses: 3}\n"
                                 "  - {match: {groups: [sudo]}, require: none}\n");
    using enum StepUpDecision::Verdict;
    const auto verdict = [&](const char* user, const char* group,
                             const std::optional<std::string>& run_as) {
        return decide_step_up(policy, facts_of(user, {group}), {.run_as = run_as, .command = {}},
                              at(0, 12));
    };
    ck_assert(verdict("deploy", "x", "app").verdict == none);
    ck_assert(verdict("deploy", "x", "root").verdict == not_applicable);
    const StepUpDecision root = verdict("alice", "sudo", "root");
    ck_assert(root.verdict == prove);
    ck_assert_uint_eq(root.rule, 1);
    ck_assert((root.require == std::vector<policy::Factors>{{Factor::totp}}));
    ck_assert(root.valid_for == Seconds{300});
    ck_assert(root.uses == 3U);
    ck_assert(verdict("alice", "sudo", "bob").verdict == none);
    ck_assert_uint_eq(verdict("alice", "sudo", "bob").rule, 2);
    // Not knowing the target, what asks for a proof matches and what waives one does not.
    ck_assert(verdict("alice", "sudo", std::nullopt).verdict == prove);
    ck_assert(verdict("deploy", "x", std::nullopt).verdict == not_applicable);
    ck_assert(verdict("carol", "x", "root").verdict == not_applicable);
}
END_TEST

START_TEST(a_rule_for_sudo_or_su_holds_for_their_login_shells_too) {
    using enum StepUpDecision::Verdict;
    const auto verdict = [](const char* rule, const char* service) {
        const Policy policy = parsed("version: 1\nstep_up:\n  - {match: {services: [" +
                                     std::string{rule} + "]}, require: [totp]}\n");
        Facts facts = facts_of("alice");
        facts.service = service;
        return decide_step_up(policy, facts, {.run_as = "root", .command = {}}, at(0, 12)).verdict;
    };
    ck_assert(verdict("sudo", "sudo-i") == prove);
    ck_assert(verdict("su", "su-l") == prove);
    ck_assert(verdict("sudo-i", "sudo-i") == prove);
    ck_assert(verdict("sudo-i", "sudo") == not_applicable);
    ck_assert(verdict("su", "sudo-i") == not_applicable);
    ck_assert(verdict("sudo", "su-l") == not_applicable);
}
END_TEST

START_TEST(words_for_factors_go_both_ways) {
    for (const Factor factor :
         {Factor::password, Factor::totp, Factor::recovery, Factor::key, Factor::approval})
        ck_assert(factor_from_text(to_text(factor)) == factor);
    ck_assert(!factor_from_text("Key"));
    ck_assert(!factor_from_text(""));
    ck_assert_str_eq(to_text(Mode::observe), "observe");
}
END_TEST

int main() {
    return vigil::test::run("policy/decide",
                            {what_no_rule_sets_is_no_limit,
                             the_first_value_of_each_setting_wins,
                             a_message_comes_with_a_refusal_alone,
                             all_conditions_must_hold_and_one_of_each_list,
                             without_a_terminal_only_who_names_the_class_ends_the_idle,
                             all_activity_counts_unless_a_rule_says_less,
                             networks_hold_their_addresses_and_no_others,
                             not_from_takes_out_what_it_names,
                             a_window_is_local_time_and_ends_before_its_end,
                             a_window_across_midnight_belongs_to_the_day_it_begins,
                             a_window_and_the_rest_of_the_day_make_the_whole_clock,
                             times_before_the_epoch_have_a_weekday_too,
                             a_host_is_an_address_or_unknown_but_never_looked_up,
                             an_unknown_host_earns_no_laxer_rule,
                             a_proof_at_login_is_by_the_first_rule_that_speaks_of_one,
                             an_unknown_host_is_asked_and_not_let_off,
                             a_key_alone_is_warned_of_where_polkit_asks,
                             only_what_nobody_can_be_asked_for_is_warned_of,
                             step_up_is_decided_by_the_first_match,
                             a_rule_for_sudo_or_su_holds_for_their_login_shells_too,
                             words_for_factors_go_both_ways});
}
