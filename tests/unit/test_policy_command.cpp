// What sudo runs against the policy's patterns for it.

#include "base/glob.hpp"
#include "policy/decide.hpp"
#include "policy_help.hpp"

#include <string_view>

using namespace vigil;
using namespace vigil::policy;
using namespace vigil::test;

namespace {

Command run(std::string path, std::vector<std::string> arguments = {}) {
    return {.path = path, .named = path, .arguments = std::move(arguments), .settled = true};
}

Command named(Command command, std::string name) {
    command.named = std::move(name);
    return command;
}

Command unsettled(Command command) {
    command.settled = false;
    return command;
}

Command cut(Command command) {
    command.cut = true;
    return command;
}

Command edit(std::vector<std::string> files) {
    return {.arguments = std::move(files), .edits = true, .settled = true};
}

const std::string ctl = "/usr/bin/systemctl";
const std::string vim = "/usr/bin/vim.basic";

/// In the order of the columns below.
const std::vector<std::optional<Command>> commands{
    run(ctl),                                                                // a
    run(ctl, {"restart"}),                                                   // b
    run(ctl, {"restart", "app.service"}),                                    // c
    run(ctl, {"restart", "db.service"}),                                     // d
    run(ctl, {"restart", "app.service", "--now"}),                           // e
    run(ctl, {"--root=/tmp", "restart", "app.service"}),                     // f
    run(ctl, {"restart", "--root=/tmp"}),                                    // g
    run(ctl, {"restart", ""}),                                               // h
    unsettled(run(ctl, {"restart", "app.service"})),                         // i: another's folder
    named(run(ctl, {"restart", "app.service"}), "/bin/systemctl"),           // j: a link of root's
    named(unsettled(run(ctl, {"restart", "app.service"})), "/tmp/ctl"),      // k: a link of his own
    named(unsettled(run("/usr/bin/bash", {"restart", "app.service"})), ctl), // l: swapped
    run("/home/deploy/systemctl", {"restart", "app.service"}),               // m: a copy
    cut(run(ctl, {"restart", "app.service"})),                               // n
    named(run(vim, {"/etc/hosts"}), "/usr/bin/vi"),                          // o
    run(vim, {"/etc/nginx/a.conf"}),                                         // p
    run(vim, {"/etc/nginx/sites/a.conf"}),                                   // q
    run(vim, {"/etc/nginx/../shadow"}),                                      // r
    run(vim, {"/etc/nginx/.."}),                                             // s
    run(vim, {"/etc/nginx/a.conf", "/etc/shadow"}),                          // t
    run(vim, {"-c", "!sh"}),                                                 // u
    edit({"/etc/nginx/a.conf"}),                                             // v
    edit({"/etc/nginx/a.conf", "/etc/shadow"}),                              // w
    edit({"/etc/nginx/a.conf", "/etc/nginx/b.conf"}),                        // x
    cut(edit({"/etc/nginx/a.conf"})),                                        // y
    std::nullopt,                                                            // z: PAM asks
};

struct Row {
    std::string_view pattern;
    /// A column each: `=` whatever a rule asks for, `!` where it asks for a proof alone, `.` no.
    std::string_view expected;
};

// clang-format off
constexpr Row rows[] = {
    //                                                 abcdefghijklmnopqrstuvwxyz
    {"/usr/bin/systemctl",                            "========!=!!.=...........!"},
    {"/usr/bin/systemctl \"\"",                       "=........................!"},
    {"/usr/bin/systemctl restart",                    ".=.......................!"},
    {"/usr/bin/systemctl restart app.service",        "..=.....!=!!.............!"},
    {"/usr/bin/systemctl  restart  app.service ",     "..=.....!=!!.............!"},
    {"/usr/bin/systemctl restart app.service ...",    "..=.=...!=!!.=...........!"},
    {"/usr/bin/systemctl restart ...",                ".====.==!=!!.=...........!"},
    {"/usr/bin/systemctl restart *",                  "..==...=!=!!.............!"},
    {"/usr/bin/systemctl restart ???.service",        "..=.....!=!!.............!"},
    {"/usr/bin/systemctl restart --*",                ".........................!"},
    {"/usr/bin/systemctl restart --root=/*",          "......=..................!"},
    {"/usr/bin/systemctl restart app.service extra",  ".............!...........!"},
    {"/usr/bin/systemctl *",                          ".=.......................!"},
    {"/usr/bin/*",                                    "========!=!!.=!======....!"},
    {"/usr/bin/* restart app.service",                "..=.....!=!!.............!"},
    {"/usr/*",                                        ".........................!"},
    {"/*/*/systemctl",                                "========!=!!==...........!"},
    {"/bin/systemctl",                                ".........!...............!"},
    {"/tmp/ctl",                                      "..........!..............!"},
    {"/tmp/*",                                        "..........!..............!"},
    {"/home/deploy/*",                                "............=............!"},
    {"/home/deploy/systemctl restart app.service",    "............=............!"},
    {"/usr/bin/bash",                                 "...........!.............!"},
    {"/usr/bin/vi",                                   "..............!..........!"},
    {"/usr/bin/vi*",                                  "..............!======....!"},
    {"/usr/bin/vim.basic /etc/nginx/*",               "...............=.........!"},
    {"/usr/bin/vim.basic /etc/nginx/*.conf",          "...............=.........!"},
    {"/usr/bin/vim.basic /etc/nginx/*/*",             "................=........!"},
    {"/usr/bin/vim.basic /etc/*",                     "..............!..........!"},
    {"/usr/bin/vim.basic /etc/nginx/* ...",           "...............=...=.....!"},
    {"/usr/bin/vim.basic *",                          ".........................!"},
    {"/usr/bin/vim.basic * *",                        ".........................!"},
    {"/usr/bin/vim.basic -* *",                       "....................=....!"},
    {"/usr/bin/vim.basic /etc/nginx/..",              "..................=......!"},
    {"/usr/bin/vim.basic /etc/nginx/../shadow",       ".................=.......!"},
    {"/usr/bin/vim.basic /etc/nginx/??",              ".........................!"},
    {"sudoedit",                                      ".....................===!!"},
    {"sudoedit /etc/nginx/*",                         ".....................=!=!!"},
    {"sudoedit /etc/nginx/a.conf",                    ".....................=!!!!"},
    {"sudoedit /etc/shadow",                          "......................!.!!"},
    {"sudoedit /etc/nginx/a.conf /etc/shadow",        ".....................==!!!"},
    {"sudoedit /etc/*",                               "......................!.!!"},
    {"/usr/bin/sudoedit",                             ".........................!"},
};
// clang-format on

CommandPattern pattern_of(std::string_view text) {
    auto pattern = read_command(text);
    if (!pattern)
        ck_abort_msg("refused: %s", pattern.error().what.c_str());
    return *std::move(pattern);
}

std::string refused_as(std::string_view text) {
    const auto pattern = read_command(text);
    return pattern ? "taken" : pattern.error().what;
}

/// By a rule that asks for a proof, and one that asks for nothing, through the whole policy.
std::string decided(const CommandPattern& pattern, const std::optional<Command>& command) {
    const auto verdict = [&](std::vector<Factors> require) {
        Policy policy;
        auto& rule = policy.step_up.emplace_back();
        rule.match.commands = {pattern};
        rule.require = std::move(require);
        return decide_step_up(policy, Facts{}, {.run_as = "root", .command = command}, at(0, 12))
            .verdict;
    };
    const bool strict = verdict({{Factor::totp}}) == StepUpDecision::Verdict::prove;
    const bool lax = verdict(std::vector<Factors>{}) == StepUpDecision::Verdict::none;
    return strict && lax ? "=" : strict ? "!" : lax ? "?" : ".";
}

} // namespace

START_TEST(each_command_is_decided_as_the_table_says) {
    std::size_t cases = 0;
    std::string wrong;
    for (const Row& row : rows) {
        ck_assert_uint_eq(row.expected.size(), commands.size());
        const auto pattern = pattern_of(row.pattern);
        std::string seen;
        for (const auto& command : commands)
            seen += decided(pattern, command);
        cases += commands.size();
        if (seen != row.expected)
            wrong += std::string{row.pattern} + "\n  " + seen + "\n  " + std::string{row.expected} +
                     "\n";
    }
    check_text(wrong, "");
    ck_assert_uint_ge(cases, 300);
}
END_TEST

START_TEST(a_link_is_named_by_each_way_to_its_folder) {
    const Command reboot{
        .path = ctl, .named = "/sbin/reboot", .link = "/usr/sbin/reboot", .settled = true};
    for (const std::string_view pattern : {"/sbin/reboot", "/usr/sbin/reboot", "/usr/sbin/*"}) {
        ck_assert(any_matches({pattern_of(pattern)}, reboot, InDoubt::matches));
        ck_assert(!any_matches({pattern_of(pattern)}, reboot, InDoubt::does_not_match));
    }
}
END_TEST

START_TEST(names_that_a_glob_does_not_mean) {
    using base::glob_matches;
    const struct {
        std::string_view glob, text;
        bool matches;
    } cases[] = {
        {"", "", true},           {"", "a", false},
        {"a", "", false},         {"*", "", true},
        {"*", "abc", true},       {"*", "a/b", false},
        {"*/*", "a/b", true},     {"*", ".", false},
        {"*", "..", false},       {"?", ".", false},
        {"..", "..", true},       {".*", "..", false},
        {".*", ".a", true},       {"a*", "a", true},
        {"*a", "ba", true},       {"*a*a", "aba", true},
        {"*a*ab", "aabab", true}, {"*ab", "aba", false},
        {"a*b*c", "abc", true},   {"a*b*c", "acb", false},
        {"?", "\xc3\xa4", true},  {"??", "\xc3\xa4", false},
        {"?", "\xff", true},      {"*", "-x", false},
        {"?x", "-x", false},      {"-*", "-x", true},
        {"a*", "a-x", true},      {"*/x", "-a/x", false},
        {"a/*", "a/-x", true},    {"[a]", "a", false},
        {"[a]", "[a]", true},     {"\\*", "*", false},
        {"*", "*", true},         {"**", "ab", true},
        {"a/*", "a/", false},     {"/*", "/", false},
        {"a/*/b", "a//b", false}, {"a//b", "a//b", true},
        {"a/?*", "a/", false},    {"*/a", "/a", false},
        {"/a*", "/a/b", false},   {"*.conf", "a.conf.bak", false},
    };
    for (const auto& one : cases)
        ck_assert_msg(glob_matches(one.glob, one.text) == one.matches, "%s and %s",
                      std::string{one.glob}.c_str(), std::string{one.text}.c_str());
    // No run of stars takes longer than the two texts' product.
    ck_assert(!glob_matches(std::string(2000, '*') + "b", std::string(4000, 'a')));
    std::string stars;
    for (int i = 0; i < 1000; ++i)
        stars += "*a";
    ck_assert(!glob_matches(stars + "b", std::string(4000, 'a')));
}
END_TEST

START_TEST(what_is_no_pattern_is_refused_with_what_to_say) {
    check_text(refused_as(""), "an empty command; take it out");
    check_text(refused_as("systemctl restart x"),
               "'systemctl' does not begin with /; say where it is");
    check_text(refused_as("/usr/sbin/"),
               "'/usr/sbin/' is a folder; name what is in it, as /usr/local/sbin/*");
    check_text(refused_as("/usr/../bin/x"), "'/usr/../bin/x' has /../ in it, and nothing is ever "
                                            "found by such a name; say it without");
    check_text(refused_as("//x"), "'//x' has // in it, and nothing is ever found by such a name; "
                                  "say it without");
    check_text(refused_as("/bin/sh -c 'x y'"),
               "'/bin/sh -c 'x y'' has a ', and no shell reads this; say the words as a list, "
               "where each stands for itself but for * and ?");
    check_text(refused_as("/bin/[a-z]s"),
               "'/bin/[a-z]s' has a [, and no shell reads this; say the words as a list, where "
               "each stands for itself but for * and ?");
    check_text(refused_as("/bin/x ... y"), "... is any further arguments; put it at the end");
    check_text(refused_as("/bin/x y \"\""),
               "'/bin/x y \"\"' has more than a path in front of \"\", which stands for no "
               "argument at all; take one of both out");
    check_text(refused_as("sudoedit hosts"), "'hosts' does not begin with /; say where it is");
    std::string words = "/bin/x";
    for (std::size_t i = 0; i < max_pattern_words; ++i)
        words += " y";
    check_text(refused_as(words), "'/bin/x' has more than 64 words; end it with ... instead");
}
END_TEST

START_TEST(an_empty_word_is_an_empty_argument_and_nothing_else) {
    const auto pattern = [](std::string_view words) {
        const auto policy = parsed("version: 1\nstep_up:\n  - match: {commands: [" +
                                   std::string{words} + "]}\n    require: [totp]\n");
        return policy.step_up.at(0).match.commands.at(0);
    };
    for (const char* empty : {"''", "\"\""}) {
        const auto one = pattern("[/bin/x, " + std::string{empty} + "]");
        ck_assert((one == CommandPattern{.path = "/bin/x", .arguments = {""}}));
        check_text(decided(one, run("/bin/x", {""})), "=");
        for (const auto& other : {run("/bin/x"), run("/bin/x", {" "}), run("/bin/x", {"a"}),
                                  run("/bin/x", {"", ""}), run("/bin/x", {"", "a"})})
            check_text(decided(one, other), ".");
    }
    const auto middle = pattern("[/bin/x, a, '', ...]");
    check_text(decided(middle, run("/bin/x", {"a", "", "b"})), "=");
    check_text(decided(middle, run("/bin/x", {"a", "b"})), ".");
    // Without any argument, which is another command.
    ck_assert(!(pattern("'/bin/x \"\"'") == pattern("[/bin/x, '']")));
    check_text(decided(pattern("'/bin/x \"\"'"), run("/bin/x", {""})), ".");
    const auto refuse = [](std::string_view words, std::string_view why) {
        check_refusal("version: 1\nstep_up:\n  - match:\n      commands:\n        - " +
                          std::string{words} + "\n    require: [totp]\n",
                      std::string{why});
    };
    refuse("['', /bin/x]", "policy.yaml:5:11: commands: an empty command; take it out");
    refuse("''", "policy.yaml:5:11: commands: no value; write one, or take the key out");
    refuse("[sudoedit, '']",
           "policy.yaml:5:11: commands: '' does not begin with /; say where it is");
    // Nothing between two commas, or behind a dash, is a slip.
    refuse("\n          - /bin/x\n          -",
           "policy.yaml:7:12: commands: no value; write one, or take the key out");
}
END_TEST

START_TEST(a_policy_names_commands_as_texts_and_as_words) {
    const auto policy = parsed("version: 1\nstep_up:\n  - match: {commands: [/usr/sbin/visudo, "
                               "\"/usr/bin/passwd root\", [/usr/bin/vim, '/a b', \"'$x'\"]]}\n"
                               "    require: [totp]\n");
    const auto& read = policy.step_up.at(0).match.commands;
    ck_assert_uint_eq(read.size(), 3);
    ck_assert(
        (read[0] == CommandPattern{.path = "/usr/sbin/visudo", .arguments = {}, .more = true}));
    ck_assert((read[1] == CommandPattern{.path = "/usr/bin/passwd", .arguments = {"root"}}));
    ck_assert((read[2] == CommandPattern{.path = "/usr/bin/vim", .arguments = {"/a b", "'$x'"}}));
    check_refusal("version: 1\nstep_up:\n  - match: {commands: [visudo]}\n    require: none\n",
                  "policy.yaml:3:24: commands: 'visudo' does not begin with /; say where it is");
    check_refusal(
        "version: 1\nsessions:\n  - {name: a, match: {commands: [/bin/x]}, idle_lock: 1m}\n",
        "policy.yaml:3:23: commands: unknown key; known here: users, groups, services, "
        "from, not_from, when, classes");
}
END_TEST

int main() {
    return vigil::test::run("policy/command", {each_command_is_decided_as_the_table_says,
                                               a_link_is_named_by_each_way_to_its_folder,
                                               names_that_a_glob_does_not_mean,
                                               what_is_no_pattern_is_refused_with_what_to_say,
                                               an_empty_word_is_an_empty_argument_and_nothing_else,
                                               a_policy_names_commands_as_texts_and_as_words});
}
