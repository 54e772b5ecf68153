#include "policy_help.hpp"

using namespace vigil;
using namespace vigil::policy;
using namespace vigil::test;

namespace {

std::string rule_with(const std::string& line) {
    return "version: 1\nsessions:\n  - name: a\n    " + line + "\n";
}

} // namespace

START_TEST(every_key_reaches_its_place) {
    const Policy policy = parsed(slurp(source_root() / "tests/data/policy/good/everything.yaml"));
    ck_assert(policy.mode == Mode::observe);
    ck_assert_uint_eq(policy.sessions.size(), 4);
    const SessionRule& rule = policy.sessions[0];
    ck_assert_str_eq(rule.name.c_str(), "administrators from outside");
    ck_assert((rule.match.users == std::vector<std::string>{"alice", "no", "0x10"}));
    ck_assert((rule.match.groups == std::vector<std::string>{"sudo", "wheel"}));
    ck_assert((rule.match.services == std::vector<std::string>{"sshd"}));
    ck_assert_uint_eq(rule.match.from.size(), 3);
    ck_assert_uint_eq(rule.match.from[0].prefix, 96);
    ck_assert_uint_eq(rule.match.from[1].prefix, 0);
    ck_assert(rule.match.from[2].local);
    ck_assert_uint_eq(rule.match.not_from.size(), 1);
    ck_assert_uint_eq(rule.match.not_from[0].prefix, 120);
    ck_assert_uint_eq(rule.match.when[0].from_minute, 7 * 60);
    ck_assert_uint_eq(rule.match.when[0].to_minute, 20 * 60);
    ck_assert(rule.match.when[0].days == (std::array<bool, 7>{1, 1, 1, 1, 1, 0, 0}));
    ck_assert((rule.match.classes == std::vector{SessionClass::interactive, SessionClass::command,
                                                 SessionClass::transfer, SessionClass::forward,
                                                 SessionClass::graphical}));
    ck_assert(rule.access == Access::allow);
    ck_assert(rule.idle_warn == Seconds{60});
    ck_assert(rule.idle_lock == Seconds{300});
    ck_assert(rule.idle_terminate == Seconds{5400});
    ck_assert((rule.activity == Activity{.output = true, .bytes = false, .processor = true}));
    ck_assert(rule.max_duration == Seconds{8 * 3600});
    ck_assert((rule.warn_before_end == std::vector{Seconds{900}, Seconds{300}, Seconds{60}}));
    ck_assert(rule.max_sessions->per_user == 3U);
    ck_assert((rule.unlock == std::vector{Factor::password, Factor::totp}));
    ck_assert(rule.incomplete_lock == IncompleteLock::end);
    ck_assert(rule.lock_on_sleep == false);
    ck_assert(
        (*policy.sessions[1].login_factors ==
         std::vector<Factors>{{Factor::totp}, {Factor::key}, {Factor::recovery, Factor::totp}}));
    ck_assert(policy.sessions[1].remember_source == Seconds{8 * 3600});
    ck_assert(policy.sessions[2].access == Access::deny);
    ck_assert_str_eq(policy.sessions[2].message->c_str(), "Contractors log in on working days.");
    ck_assert(policy.sessions[3].idle_lock == never);
    ck_assert(policy.sessions[3].idle_warn == Seconds{0});
    ck_assert(policy.sessions[3].warn_before_end->empty());
    ck_assert(!policy.sessions[3].max_sessions->per_user);
    ck_assert(policy.sessions[3].login_factors->empty());
    ck_assert(policy.sessions[3].remember_source == Seconds{0});
    ck_assert_uint_eq(policy.step_up.size(), 3);
    ck_assert(policy.step_up[0].require.empty());
    ck_assert((policy.step_up[1].require == std::vector<Factors>{{Factor::totp}}));
    ck_assert((policy.step_up[1].match.run_as == std::vector<std::string>{"root"}));
    ck_assert(policy.step_up[1].valid_for == Seconds{300});
    ck_assert(policy.step_up[1].scope == GrantScope::session);
    ck_assert(policy.step_up[1].uses == 20U);
    ck_assert(policy.step_up[1].enroll_within == Seconds{7 * 24 * 3600});
    const auto& visudo = policy.step_up[2];
    ck_assert((visudo.require ==
               std::vector<Factors>{{Factor::recovery}, {Factor::password, Factor::approval}}));
    ck_assert((visudo.approvers.users == std::vector<std::string>{"carol"}));
    ck_assert((visudo.approvers.groups == std::vector<std::string>{"security"}));
    ck_assert_uint_eq(policy.elevated.size(), 1);
    const auto& elevated = policy.elevated[0];
    ck_assert((elevated.match.users == std::vector<std::string>{"alice"}));
    ck_assert((elevated.match.groups == std::vector<std::string>{"sudo"}));
    ck_assert((elevated.match.services == std::vector<std::string>{"sudo", "su", "polkit-1"}));
    ck_assert((elevated.match.run_as == std::vector<std::string>{"root"}));
    ck_assert(elevated.match.from[0].local);
    ck_assert_uint_eq(elevated.match.not_from[0].prefix, 120);
    ck_assert_uint_eq(elevated.match.when[0].from_minute, 7 * 60);
    ck_assert(elevated.idle_warn == Seconds{60});
    ck_assert(elevated.idle_terminate == Seconds{600});
    ck_assert(elevated.max_duration == Seconds{1800});
    ck_assert((elevated.warn_before_end == std::vector{Seconds{300}, Seconds{60}}));
}
END_TEST

START_TEST(a_file_that_says_nothing_is_told_what_to_write) {
    check_refusal("", "policy.yaml:1:1: the file is empty; write `version: 1`");
    check_refusal("# nothing yet\n", "policy.yaml:1:1: the file is empty; write `version: 1`");
    check_refusal("---\n", "policy.yaml:2:1: the file says nothing; write `version: 1`");
    check_refusal("mode: enforce\n", "policy.yaml:1:1: version is missing; write `version: 1`");
}
END_TEST

START_TEST(a_misspelt_key_gets_the_nearest_one) {
    check_refusal(rule_with("idle_lok: 5m"),
                  "policy.yaml:4:5: idle_lok: unknown key; did you mean idle_lock?");
    check_refusal(rule_with("match: {sevrices: [sshd]}"),
                  "policy.yaml:4:13: sevrices: unknown key; did you mean services?");
    check_refusal("version: 1\nsession: []\n",
                  "policy.yaml:2:1: session: unknown key; did you mean sessions?");
    check_refusal("version: 1\nfavourite_colour: green\n",
                  "policy.yaml:2:1: favourite_colour: unknown key; known here: version, mode, "
                  "sessions, step_up, elevated");
}
END_TEST

START_TEST(keys_of_later_versions_are_refused_by_name) {
    for (const char* key : {"extensions"})
        check_refusal(rule_with(std::string{key} + ": 1"),
                      "policy.yaml:4:5: " + std::string{key} +
                          ": not known to this version; take it out");
}
END_TEST

START_TEST(each_bound_is_where_it_says) {
    std::string padded = "version: 1\n#";
    padded.resize(max_file_bytes, 'x');
    ck_assert(parse_text(padded).has_value());
    check_refusal(padded + "x",
                  "policy.yaml:1:1: the file is over 256 KiB; split it over policy.d/*.yaml");
    const std::string head = "version: 1\nsessions:\n  - name: a\n    access: deny\n    message: ";
    ck_assert(parse_text(head + std::string(1024, 'x')).has_value());
    check_refusal(head + std::string(1025, 'x'),
                  "policy.yaml:5:14: message: longer than 1024 bytes; make it shorter");
    check_refusal(head + std::string(max_scalar_bytes + 1, 'x'),
                  "policy.yaml:5:14: a text over 4 KiB; say it in fewer words");
    check_refusal("version: " + std::string(14, '[') + "1" + std::string(14, ']'),
                  "policy.yaml:1:10: version: not a single value; write one word or text");
    check_refusal("version: " + std::string(15, '[') + "1" + std::string(15, ']'),
                  "policy.yaml:1:25: nested more than 16 deep; no key needs that");
}
END_TEST

START_TEST(bytes_that_are_no_text_are_refused_where_they_stand) {
    check_refusal(std::string{"version: 1\n#\0\n", 14},
                  "policy.yaml:2:2: a control character; take it out");
    check_refusal("version: 1\n# \xff\n", "policy.yaml:2:3: not UTF-8; save the file as UTF-8");
    check_refusal("version: 1\n# \xc0\xaf\n", "policy.yaml:2:3: not UTF-8; save the file as UTF-8");
    check_refusal("version: 1\n# \xed\xa0\x80\n",
                  "policy.yaml:2:3: not UTF-8; save the file as UTF-8");
    check_refusal("\xef\xbb\xbfversion: 1\n",
                  "policy.yaml:1:1: the file starts with a byte order mark; save it as UTF-8 "
                  "without");
    check_refusal("# \x1b[2J\nversion: 1\n", "policy.yaml:1:3: a control character; take it out");
}
END_TEST

START_TEST(columns_count_characters_and_not_bytes) {
    check_refusal("version: 1\nsessions: [{name: ä€, nme: x}]\n",
                  "policy.yaml:2:23: nme: unknown key; did you mean name?");
}
END_TEST

START_TEST(rules_of_several_files_stand_in_their_order) {
    const auto policy =
        parse({{"policy.yaml", "version: 1\nmode: observe\nsessions: [{name: a, idle_lock: 1m}]"},
               {"10.yaml", "version: 1\nsessions: [{name: b, idle_lock: 2m}]"},
               {"20.yaml", "version: 1\nsessions: [{name: c, idle_lock: 3m}]"}});
    ck_assert(policy.has_value());
    ck_assert(policy->mode == Mode::observe);
    ck_assert_uint_eq(policy->sessions.size(), 3);
    ck_assert_str_eq(policy->sessions[2].name.c_str(), "c");
}
END_TEST

START_TEST(each_file_has_its_version_and_one_has_the_mode) {
    const Source main{"policy.yaml",
                      "version: 1\nmode: observe\nsessions: [{name: a, idle_lock: 1m}]"};
    const auto text = [&](const std::string& other) {
        const auto policy = parse({main, {"d.yaml", other}});
        return policy ? "accepted" : policy.error().what;
    };
    check_text(text("mode: observe\n"),
               "d.yaml:1:7: mode: already set in policy.yaml; set it in one file");
    check_text(text("sessions: [{name: b, idle_lock: 1m}]\n"),
               "d.yaml:1:1: version is missing; write `version: 1`");
    check_text(text("version: 1\nsessions: [{name: a, idle_lock: 1m}]\n"),
               "d.yaml:2:19: name: 'a' is taken by a rule above, in policy.yaml; choose "
               "another");
}
END_TEST

START_TEST(rules_beyond_the_bound_are_refused) {
    std::vector<Source> sources;
    for (std::size_t file = 0; file < 4; ++file) {
        std::string text = "version: 1\nsessions:\n";
        for (std::size_t i = 0; i < max_rules / 4; ++i)
            text += "  - {name: " + std::to_string(file) + "-" + std::to_string(i) +
                    ", idle_lock: 5m}\n";
        sources.push_back({std::to_string(file) + ".yaml", std::move(text)});
    }
    ck_assert_uint_eq(parse(sources)->sessions.size(), max_rules);
    sources.push_back({"last.yaml", "version: 1\nsessions:\n  - {name: z, idle_lock: 5m}\n"});
    check_text(parse(sources).error().what,
               "last.yaml:3:5: more than 10000 rules; name several users or groups in one");
}
END_TEST

START_TEST(no_policy_at_all_is_an_error) {
    ck_assert(!parse({}).has_value());
}
END_TEST

START_TEST(every_good_file_and_every_example_is_taken) {
    std::size_t count = 0;
    for (const char* folder : {"tests/data/policy/good", "examples"}) {
        for (const auto& path : yaml_files(source_root() / folder)) {
            const auto policy = parse({{path.filename(), slurp(path)}});
            if (!policy)
                ck_abort_msg("%s", policy.error().what.c_str());
            if (folder == std::string_view{"examples"})
                for (const auto& line : warnings(*policy))
                    ck_abort_msg("%s: %s", path.c_str(), line.c_str());
            ++count;
        }
    }
    ck_assert_uint_ge(count, 6);
}
END_TEST

START_TEST(the_example_of_the_manual_is_taken) {
    const std::string page = slurp(source_root() / "docs/man/vigil-policy.5");
    const std::size_t section = page.find(".Sh EXAMPLES");
    const std::size_t start = page.find("version: 1", section);
    const std::size_t end = page.find(".Ed", start);
    ck_assert(section != std::string::npos && end != std::string::npos);
    ck_assert_uint_eq(parsed(page.substr(start, end - start)).sessions.size(), 5);
}
END_TEST

START_TEST(every_bad_file_is_refused_as_its_first_line_expects) {
    std::size_t count = 0;
    for (const auto& path : yaml_files(source_root() / "tests/data/policy/bad")) {
        std::string expected = slurp(std::filesystem::path{path}.replace_extension(".expect"));
        ck_assert_msg(!expected.empty(), "%s has no .expect", path.c_str());
        expected.pop_back();
        const auto policy = parse({{path.filename(), slurp(path)}});
        ck_assert_msg(!policy, "%s is accepted", path.c_str());
        check_text(policy.error().text(), expected);
        ++count;
    }
    ck_assert_uint_ge(count, 40);
}
END_TEST

int main() {
    return vigil::test::run(
        "policy/parse",
        {every_key_reaches_its_place, a_file_that_says_nothing_is_told_what_to_write,
         a_misspelt_key_gets_the_nearest_one, keys_of_later_versions_are_refused_by_name,
         each_bound_is_where_it_says, bytes_that_are_no_text_are_refused_where_they_stand,
         columns_count_characters_and_not_bytes, rules_of_several_files_stand_in_their_order,
         each_file_has_its_version_and_one_has_the_mode, rules_beyond_the_bound_are_refused,
         no_policy_at_all_is_an_error, every_good_file_and_every_example_is_taken,
         the_example_of_the_manual_is_taken, every_bad_file_is_refused_as_its_first_line_expects});
}
