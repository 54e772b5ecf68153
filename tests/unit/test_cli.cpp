// What vigilctl prints, and which session it means.

#include "cli/findings.hpp"
#include "cli/pam_stack.hpp"
#include "cli/select.hpp"
#include "tests/unit/test.hpp"

#include <algorithm>
#include <cerrno>
#include <sstream>

#include <nlohmann/json.hpp>

using namespace vigil;
using cli::Look;

namespace {

constexpr std::uint64_t second = 1'000'000;
constexpr std::uint64_t noon = 1'795'262'400 * second; // 2026-11-21 12:00 UTC

Now some_now() {
    Now now{};
    now.wall = WallTime{Microseconds{static_cast<std::int64_t>(noon + 3600 * second)}};
    now.utc_offset = Seconds{3600};
    return now;
}

wire::Session some_session() {
    wire::Session session;
    session.id = "abcd0123abcd0123abcd0123abcd0123";
    session.user = "alice";
    session.uid = 1000;
    session.service = "sshd";
    session.terminals = {"pts/3", "pts/4"};
    session.remote_host = "2001:db8:1234:5678:9abc:def0:1234:5678";
    session.logind_session = "7";
    session.leader_pid = 42;
    session.since = noon;
    session.idle_seconds = 75;
    session.state = "active";
    session.rule = "everyone";
    session.idle_lock = 900;
    session.next_action = "lock";
    session.next_at = noon + 900 * second;
    return session;
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream{text};
    for (std::string line; std::getline(stream, line);)
        lines.push_back(line);
    return lines;
}

} // namespace

START_TEST(a_session_in_json_has_the_contracts_fields) {
    const auto json = cli::to_json(some_session(), {});
    std::vector<std::string> names;
    for (const auto& [name, value] : json.items())
        names.push_back(name);
    ck_assert(names ==
              (std::vector<std::string>{
                  "id",          "user",           "uid",         "service", "terminals",
                  "remote_host", "logind_session", "leader_pid",  "since",   "idle_seconds",
                  "state",       "locked_since",   "rule",        "limits",  "next",
                  "locked_by",   "last_lock",      "last_unlock", "desktop", "uncovered",
                  "runs_on",     "login",          "run_as",      "elevated"}));
    ck_assert(json["limits"].dump() ==
              R"({"idle_lock":900,"idle_terminate":null,"max_duration":null})");
    ck_assert(json["next"].dump() == R"({"action":"lock","at":"2026-11-21T12:15:00Z"})");
    ck_assert(json["since"] == "2026-11-21T12:00:00Z");
    ck_assert(json["locked_since"].is_null());
    ck_assert(json["terminals"].size() == 2);
}
END_TEST

START_TEST(nothing_next_is_null) {
    auto session = some_session();
    session.next_action = "";
    ck_assert(cli::to_json(session, {})["next"].is_null());
}
END_TEST

START_TEST(json_on_a_terminal_is_ascii) {
    auto session = some_session();
    session.user = "\u009B31m\x7F\x1B\xFF";
    const std::string text = cli::json_text(cli::to_json(session, {}));
    ck_assert(
        std::ranges::all_of(text, [](char c) { return c == '\n' || (c >= 0x20 && c < 0x7F); }));
}
END_TEST

START_TEST(times_and_durations_read_as_people_write_them) {
    ck_assert(cli::rfc3339(0) == "1970-01-01T00:00:00Z");
    ck_assert(cli::clock_text(noon, some_now()) == "13:00");
    ck_assert(cli::clock_text(noon - 86'400 * second, some_now()) == "2026-11-20 13:00");
    ck_assert(cli::duration_text(0) == "0s");
    ck_assert(cli::duration_text(59) == "59s");
    ck_assert(cli::duration_text(60) == "1m");
    ck_assert(cli::duration_text(3 * 3600 + 5 * 60) == "3h05m");
    ck_assert(cli::duration_text(86'400) == "1d");
    ck_assert(cli::duration_text(90) == "1m30s");
    ck_assert(cli::duration_text(12 * 3600 + 59) == "12h");
    ck_assert(cli::duration_text(86'400 + 7200) == "1d02h");
    ck_assert(cli::duration_text(wire::unlimited) == "none");
}
END_TEST

START_TEST(a_table_fits_every_width_and_keeps_the_ids) {
    const std::vector<wire::Session> sessions{some_session()};
    for (std::size_t width = 8; width < 200; ++width) {
        for (const auto& line : lines_of(cli::session_table(sessions, some_now(), {width}))) {
            ck_assert_uint_le(line.size(), width);
            ck_assert(!line.ends_with(' '));
        }
        const std::string text = cli::session_table(sessions, some_now(), {width});
        ck_assert(text.find("abcd0123") != std::string::npos);
    }
    ck_assert(cli::session_table({}, some_now(), {80}) == "No sessions.\n");
    ck_assert(cli::factor_table({}, some_now(), {80}) == "No factors.\n");
    ck_assert(cli::grant_table({}, some_now(), {80}) == "No grants.\n");
}
END_TEST

START_TEST(what_is_elevated_stands_below_its_login_and_alone_where_that_is_over) {
    const auto login = some_session();
    auto below = some_session();
    below.id = "beef" + login.id.substr(4);
    below.login = login.id;
    below.run_as = "root";
    below.service = "sudo";
    auto alone = below;
    alone.id = "cafe" + login.id.substr(4);
    alone.login = "dead" + login.id.substr(4);
    const std::vector<wire::Session> all{below, alone, login};
    const auto lines = lines_of(cli::session_table(all, some_now(), {200}));
    ck_assert_uint_eq(lines.size(), 4);
    ck_assert(lines[1].starts_with(login.id.substr(0, 8)));
    ck_assert(lines[2].starts_with("  " + below.id.substr(0, 8) + "  root "));
    ck_assert(lines[3].starts_with(alone.id.substr(0, 8)));
    const auto listed = cli::by_login(all);
    ck_assert_uint_eq(listed.size(), 2);
    const auto json = cli::to_json(listed[0].session, listed[0].elevated);
    ck_assert(json["login"].is_null() && json["run_as"].is_null());
    ck_assert_uint_eq(json["elevated"].size(), 1);
    ck_assert(json["elevated"][0]["id"] == below.id && json["elevated"][0]["run_as"] == "root");
    ck_assert(!json["elevated"][0].contains("elevated"));
    ck_assert(cli::to_json(listed[1].session, listed[1].elevated)["login"] == alone.login);
}
END_TEST

START_TEST(colour_comes_only_where_wanted_and_moves_no_column) {
    auto session = some_session();
    session.state = "locked";
    const auto plain = cli::session_table({session}, some_now(), {100});
    auto coloured = cli::session_table({session}, some_now(), {100, true});
    ck_assert(plain.find('\x1B') == std::string::npos);
    ck_assert(coloured.find("\x1B[33mlocked\x1B[0m") != std::string::npos);
    for (const std::string sequence : {"\x1B[33m", "\x1B[1m", "\x1B[0m"}) {
        for (auto at = coloured.find(sequence); at != std::string::npos;
             at = coloured.find(sequence))
            coloured.erase(at, sequence.size());
    }
    ck_assert(coloured == plain);
}
END_TEST

START_TEST(text_from_outside_is_escaped_everywhere) {
    auto session = some_session();
    session.user = session.remote_host = session.rule = "a\x1B[2J\nb";
    session.uncovered = {"c\x07"};
    wire::Factor factor{.id = "1", .user = "x\x1B", .kind = "totp", .name = "n\r"};
    wire::Grant grant{.id = "1", .user = "x\x1B", .terminal = "t\n", .run_as = "r\x07"};
    wire::Status status{.version = "1\x1B", .mode = "enforce", .policy_error = "e\x1B"};
    for (const std::string& text : {cli::session_table({session}, some_now(), {300}),
                                    cli::session_details(session, some_now(), {80}),
                                    cli::factor_table({factor}, some_now(), {80}),
                                    cli::grant_table({grant}, some_now(), {120}),
                                    cli::status_text(status, {}, some_now(), {80})}) {
        ck_assert(std::ranges::all_of(
            text, [](char c) { return c == '\n' || static_cast<unsigned char>(c) >= 0x20; }));
    }
}
END_TEST

START_TEST(ids_are_shown_as_long_as_they_have_to_be) {
    auto first = some_session();
    auto second_one = some_session();
    ck_assert_uint_eq(cli::short_id_length({first}), 8);
    second_one.id = "abcd0123abcd0923abcd0123abcd0123";
    ck_assert_uint_eq(cli::short_id_length({first, second_one}), 14);
}
END_TEST

START_TEST(a_session_is_found_by_what_only_it_begins_with) {
    auto first = some_session();
    auto second_one = some_session();
    second_one.id = "abcd9999abcd0123abcd0123abcd0123";
    const std::vector<wire::Session> sessions{first, second_one};
    ck_assert(cli::find_session(sessions, "abcd0")->id == first.id);
    ck_assert(cli::find_session(sessions, second_one.id)->id == second_one.id);
    ck_assert_int_eq(cli::find_session(sessions, "abcd").error().code, EINVAL);
    ck_assert_int_eq(cli::find_session(sessions, "abc").error().code, EINVAL);
    ck_assert_int_eq(cli::find_session(sessions, "").error().code, EINVAL);
    ck_assert_int_eq(cli::find_session(sessions, "ABCD0").error().code, EINVAL);
    ck_assert_int_eq(cli::find_session(sessions, first.id + "0").error().code, EINVAL);
    ck_assert_int_eq(cli::find_session(sessions, "ffff").error().code, ESRCH);
}
END_TEST

START_TEST(a_grant_is_found_and_shown_as_a_session_is) {
    wire::Grant grant{.id = "abcd0123abcd0123abcd0123abcd0123",
                      .session = "0123abcd0123abcd0123abcd0123abcd",
                      .user = "alice",
                      .uid = 1000,
                      .terminal = "pts/3",
                      .rule = 2,
                      .run_as = "root",
                      .expires = some_session().since,
                      .uses_left = 3};
    CHECK_TEXT(cli::find_grant({grant}, "abcd0")->id, grant.id);
    CHECK_TEXT(cli::find_grant({grant}, "ffff").error().what,
               "ffff: no such grant: vigilctl grants");
    const auto line = [&] { return lines_of(cli::grant_table({grant}, some_now(), {120})).at(1); };
    ck_assert(line().starts_with("abcd0123  alice  0123abcd  pts/3     2     root"));
    ck_assert(line().ends_with(" 3"));
    grant.terminal.clear();
    grant.run_as = "*";
    grant.uses_left = wire::unlimited;
    ck_assert(line().starts_with("abcd0123  alice  0123abcd  all       2     anybody"));
    ck_assert(line().ends_with(" any"));
    const wire::Grant login{.id = "beef0123abcd0123abcd0123abcd0123",
                            .user = "al\x1Bice",
                            .source = "192.0.2.1",
                            .after = "SHA256:mNDM/UzAYfg40thIrMmezGB9Z9t+T3HZGdbUTfe3cLs"};
    const auto shown = lines_of(cli::grant_table({grant, login}, some_now(), {80}));
    ck_assert_uint_eq(shown.size(), 5);
    CHECK_TEXT(shown.at(3), "Not asked again:");
    ck_assert(
        shown.at(4).starts_with("beef0123  al\\x1bice: login from 192.0.2.1 with key "
                                "SHA256:mNDM/UzAYfg40thIrMmezGB9Z9t+T3HZGdbUTfe3cLs, until "));
    ck_assert(cli::to_json(login)["kind"] == "login" && cli::to_json(grant)["kind"] == "step-up");
    ck_assert(cli::to_json(login)["rule"].is_null() && cli::to_json(login)["session"].is_null());
    ck_assert(cli::to_json(login)["source"] == "192.0.2.1");
    const auto json = cli::to_json(grant);
    ck_assert(json["terminal"].is_null() && json["run_as"].is_null() &&
              json["uses_left"].is_null());
}
END_TEST

START_TEST(a_qr_code_has_its_quiet_zone_and_every_module) {
    const cli::QrMatrix matrix{.width = 3,
                               .dark = {true, false, true, false, true, false, true, true, true}};
    Look look{.modules = cli::Modules::hash};
    const auto wide = lines_of(cli::qr_text(matrix, 4, look));
    ck_assert_uint_eq(wide.size(), 11);
    ck_assert(wide[0] == std::string(22, '#'));
    ck_assert(wide[4] == "########  ##  ########");
    ck_assert(wide[6] == "########      ########");
    look.modules = cli::Modules::block;
    const auto half = lines_of(cli::qr_text(matrix, 4, look));
    ck_assert_uint_eq(half.size(), 6);
    ck_assert(half[2] == "\u2588\u2588\u2588\u2588\u2584\u2580\u2584\u2588\u2588\u2588\u2588");
    ck_assert(cli::qr_text(matrix, 1, look) ==
              "\u2588\u2580\u2588\u2580\u2588\n\u2588\u2580 \u2580\u2588\n"
              "\u2580\u2580\u2580\u2580\u2580\n");
    look.colour = true;
    ck_assert(cli::qr_text(matrix, 4, look).starts_with("\x1B[97;40m"));
    look.modules = cli::Modules::none;
    ck_assert(cli::qr_text(matrix, 4, look).empty());
}
END_TEST

START_TEST(an_enrolment_fits_the_window_from_its_qr_code_to_the_question) {
    const wire::Enrollment enrollment{.factor_id = "f",
                                      .uri = "otpauth://totp/vigil:alice@bastion?secret=" +
                                             std::string(32, 'A') + "&issuer=vigil",
                                      .secret = std::string(32, 'A')};
    const cli::QrMatrix matrix{.width = 37, .dark = std::vector<bool>(37 * 37, true)};
    const std::string plain = cli::enrollment_text(enrollment);
    std::size_t fitting = 0;
    for (const auto modules : {cli::Modules::hash, cli::Modules::block}) {
        for (std::size_t width = 8; width < 100; ++width) {
            for (std::size_t height = 1; height < 60; ++height) {
                const auto text = cli::enrollment_text(
                    enrollment, matrix, {.width = width, .height = height, .modules = modules});
                ck_assert(text.ends_with(plain));
                auto lines = lines_of(text);
                if (text.starts_with("The window is too small")) {
                    ck_assert_uint_eq(lines.size(), 3);
                    continue;
                }
                ++fitting;
                std::size_t rows = 1; // the question
                for (std::size_t i = 1; i < lines.size(); ++i) {
                    const auto length = static_cast<std::size_t>(
                        std::ranges::count_if(lines[i], [](char c) { return (c & 0xC0) != 0x80; }));
                    ck_assert(i + 2 >= lines.size() || length <= width);
                    rows += (length + width - 1) / width;
                }
                ck_assert_uint_le(rows, height);
            }
        }
    }
    ck_assert_uint_gt(fitting, 0);
    const auto shown = [&](Look look) {
        return lines_of(cli::enrollment_text(enrollment, matrix, look)).size() > 3;
    };
    ck_assert(shown({.modules = cli::Modules::block})); // 80x24
    ck_assert(!shown({.height = 23, .modules = cli::Modules::block}));
    ck_assert(!shown({.width = 38, .height = 60, .modules = cli::Modules::block}));
    ck_assert(!shown({.height = 60, .modules = cli::Modules::none}));
}
END_TEST

START_TEST(a_drop_in_says_of_delegation_what_it_says_last) {
    ck_assert(!cli::delegate_in(""));
    ck_assert(!cli::delegate_in("[Service]\nDelegate=yes\n"));
    ck_assert(cli::delegate_in("# why\n[Scope]\nDelegate=yes") == true);
    ck_assert(cli::delegate_in("[Scope]\n Delegate = pids cpu \n") == true);
    ck_assert(cli::delegate_in("[Scope]\nDelegate=yes\nDelegate=no\n") == false);
    ck_assert(cli::delegate_in("[Scope]\nDelegate=no\nDelegate=\n") == true);
    for (const char* no : {"No", "FALSE", "Off", "0", "n"})
        ck_assert(cli::delegate_in(std::string{"[Scope]\nDelegate="} + no) == false);
    ck_assert(!cli::delegate_in("[Scope]\n#Delegate=yes\n;Delegate=yes\nDelegated=yes\n"));
}
END_TEST

START_TEST(the_modules_of_a_stack_are_those_it_cannot_do_without) {
    using Lines = std::vector<cli::StackLine>;
    const auto lines = cli::stack_lines("# auth required pam_no.so\n"
                                        "auth\t[success=done default=die]  pam_vigil.so  debug x\n"
                                        "-auth optional pam_gnome.so\n"
                                        "auth include system-auth\n"
                                        "auth substack password-auth # why\n"
                                        "account include system-account\n"
                                        "@include common-auth\n"
                                        "@include\n"
                                        "auth required /opt/pam_x.so # why\n"
                                        "auth required\n"
                                        "account required pam_unix.so",
                                        "auth");
    ck_assert(lines == (Lines{{false, false, "pam_vigil.so", "debug x"},
                              {false, true, "pam_gnome.so", ""},
                              {true, false, "system-auth", ""},
                              {true, false, "password-auth", ""},
                              {true, false, "common-auth", ""},
                              {false, false, "/opt/pam_x.so", ""}}));
    ck_assert(cli::stack_lines("", "auth").empty());
    ck_assert(cli::stack_lines("auth [no end pam_x.so", "auth") ==
              (Lines{{false, false, "end", "pam_x.so"}}));
}
END_TEST

START_TEST(a_login_is_reserved_before_its_session_is_made_and_registered_behind_it) {
    using Lines = std::vector<cli::StackLine>;
    const cli::StackLine prepare{false, false, "pam_vigil.so", "prepare"};
    const cli::StackLine systemd{false, true, "/usr/lib/security/pam_systemd.so", ""};
    const cli::StackLine registers{false, false, "/opt/pam_vigil.so", "socket=/x"};
    const cli::StackLine elevated{false, false, "pam_vigil.so", "elevated"};
    const cli::StackLine other{false, false, "pam_unix.so", ""};
    ck_assert(!cli::wrong_in_session({prepare, other, systemd, other, registers, elevated}));
    for (const auto& wrong : {Lines{}, Lines{prepare, systemd, elevated}, Lines{prepare, registers},
                              Lines{prepare, registers, systemd}, Lines{systemd, registers},
                              Lines{systemd, prepare, registers}})
        ck_assert(cli::wrong_in_session(wrong));
}
END_TEST

START_TEST(sshd_forwards_what_it_does_not_refuse) {
    using Settings = std::vector<std::string>;
    const auto forwards = [](const char* tcp, const char* streams, const char* none) {
        return cli::forwards_in("port 22\nallowtcpforwarding " + std::string{tcp} +
                                "\nallowagentforwarding yes\ndisableforwarding " + none +
                                "\nallowstreamlocalforwarding " + streams + "\nipqos af21 cs1\n");
    };
    ck_assert(forwards("yes", "yes", "no") ==
              (Settings{"AllowTcpForwarding yes", "AllowStreamLocalForwarding yes"}));
    ck_assert(forwards("no", "local", "no") == Settings{"AllowStreamLocalForwarding local"});
    ck_assert(forwards("remote", "no", "no") == Settings{"AllowTcpForwarding remote"});
    ck_assert(forwards("no", "no", "no") == Settings{});
    ck_assert(forwards("yes", "yes", "yes") == Settings{});
    // What does not say both is not what sshd says.
    ck_assert(!cli::forwards_in(""));
    ck_assert(!cli::forwards_in("disableforwarding yes\nallowtcpforwarding no\n"));
    ck_assert(!forwards("", "no", "no"));
    ck_assert(!cli::forwards_in("allowtcpforwardings no\nallowstreamlocalforwarding no\n"));
}
END_TEST

START_TEST(a_lock_is_called_held_only_where_it_is) {
    auto session = some_session();
    ck_assert(!cli::finding_of(session));
    session.uncovered = {"one", "another"};
    CHECK_TEXT(cli::finding_of(session)->found, "abcd0123 of alice: cannot be held: one; another");
    session.state = "locked";
    CHECK_TEXT(cli::finding_of(session)->found,
               "abcd0123 of alice: locked, but not held: one; another");
    ck_assert(cli::finding_of(session)->session == session.id);
    session.uncovered.clear();
    CHECK_TEXT(cli::finding_of(session)->found, "abcd0123 of alice: locked, and all of it is held");
    session.runs_on = {"one", "another"};
    ck_assert(cli::finding_of(session)->grade == cli::Grade::ok);
    CHECK_TEXT(cli::finding_of(session)->found,
               "abcd0123 of alice: locked, and all of it is held; note: one; another");
    session.desktop = "locked";
    ck_assert(cli::finding_of(session)->grade == cli::Grade::ok);
    session.desktop = "unlocked"; // was asked, and has not answered yet
    ck_assert(cli::finding_of(session)->grade == cli::Grade::warning);
    session.desktop = "";
    session.unlocking = true;
    ck_assert(cli::finding_of(session)->grade == cli::Grade::warning);
    session.state = "ending";
    ck_assert(!cli::finding_of(session));
}
END_TEST

START_TEST(what_was_not_looked_at_is_never_well) {
    std::vector<cli::Finding> findings{{"a", cli::Grade::ok, "it is there"}};
    ck_assert(cli::worst(findings) == cli::Grade::ok);
    findings.push_back(cli::not_looked_at("bee", "nobody is there", "call"));
    ck_assert(cli::worst(findings) == cli::Grade::warning);
    findings.push_back({"c", cli::Grade::failure, "gone\x1B", "apt install c"});
    ck_assert(cli::worst(findings) == cli::Grade::failure);
    const auto text = cli::findings_text(findings, {});
    ck_assert_str_eq(text.c_str(), "ok       a    it is there\n"
                                   "warning  bee  not looked at: nobody is there\n"
                                   "              mend: call\n"
                                   "failure  c    gone\\x1b\n"
                                   "              mend: apt install c\n"
                                   "1 ok, 1 warning, 1 failure\n");
    const auto json = cli::to_json(findings);
    ck_assert(json["result"] == "failure");
    ck_assert(json["checks"][1].dump() ==
              R"({"check":"bee","result":"warning","looked_at":false,"found":"not looked at: )"
              R"(nobody is there","mend":"call","session":null})");
    ck_assert(json["checks"][0]["mend"].is_null());
}
END_TEST

START_TEST(a_result_of_vigilds_that_is_no_word_of_ours_was_looked_at_by_nobody) {
    const auto found = [](const char* result) {
        return cli::finding_of(wire::Finding{.check = "a", .result = result});
    };
    for (const auto grade : {cli::Grade::ok, cli::Grade::warning, cli::Grade::failure}) {
        ck_assert(found(wire::to_text(grade)).grade == grade);
        ck_assert(found(wire::to_text(grade)).looked_at);
    }
    for (const char* word : {"fine", "", "OK"}) {
        ck_assert(found(word).grade == cli::Grade::warning);
        ck_assert(!found(word).looked_at);
    }
}
END_TEST

int main() {
    return vigil::test::run(
        "cli", {a_session_in_json_has_the_contracts_fields,
                nothing_next_is_null,
                json_on_a_terminal_is_ascii,
                times_and_durations_read_as_people_write_them,
                a_table_fits_every_width_and_keeps_the_ids,
                what_is_elevated_stands_below_its_login_and_alone_where_that_is_over,
                colour_comes_only_where_wanted_and_moves_no_column,
                text_from_outside_is_escaped_everywhere,
                ids_are_shown_as_long_as_they_have_to_be,
                a_session_is_found_by_what_only_it_begins_with,
                a_grant_is_found_and_shown_as_a_session_is,
                a_qr_code_has_its_quiet_zone_and_every_module,
                an_enrolment_fits_the_window_from_its_qr_code_to_the_question,
                a_drop_in_says_of_delegation_what_it_says_last,
                the_modules_of_a_stack_are_those_it_cannot_do_without,
                a_login_is_reserved_before_its_session_is_made_and_registered_behind_it,
                sshd_forwards_what_it_does_not_refuse,
                what_was_not_looked_at_is_never_well,
                a_lock_is_called_held_only_where_it_is,
                a_result_of_vigilds_that_is_no_word_of_ours_was_looked_at_by_nobody});
}
