// The codec over real connections: what is sent comes back as it was.

#include "tests/unit/wire_support.hpp"
#include "wire/screen.hpp"

#include <fcntl.h>
#include <sys/stat.h>

using namespace vigil;
using namespace vigil::test;

namespace {

START_TEST(every_request_and_reply_comes_back_as_it_was) {
    Pair pair;
    check_roundtrip(pair, some_login(), login_signature);
    check_roundtrip(pair, Login{}, login_signature);
    check_roundtrip(pair,
                    ReserveReply{.verdict = ReserveReply::Verdict::not_a_login,
                                 .reason = "no",
                                 .max_seconds = 3600},
                    reserve_reply_signature);
    check_roundtrip(
        pair, StepUpRequest{.purpose = Purpose::unlock, .login = some_login(), .run_as = "root"},
        step_up_request_signature);
    check_roundtrip(
        pair,
        Command{.path = "/usr/bin/\xff",
                .named = "/bin/x",
                .link = "/usr/bin/x",
                .arguments = {"", "a b", std::string(wire::max_arguments_bytes - 3, 'x')},
                .edits = true,
                .settled = true,
                .cut = true,
                .directory = "/srv/\xfe"},
        command_signature);
    check_roundtrip(pair, Command{}, command_signature);
    check_roundtrip(pair,
                    AskReply{.verdict = AskReply::Verdict::not_applicable,
                             .text = "code",
                             .factors = {"totp", "password"},
                             .person = "alice",
                             .wait_seconds = 30},
                    ask_reply_signature);
    check_roundtrip(pair,
                    Proof{.factor = "totp",
                          .answer = "123456",
                          .vouched = true,
                          .attempt = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255}},
                    proof_signature);
    check_roundtrip(pair,
                    ProveReply{.verdict = ProveReply::Verdict::more,
                               .text = "later",
                               .factors = {"key"},
                               .wait_seconds = unlimited},
                    prove_reply_signature);
    check_roundtrip(pair, Requested{.id = "ab", .text = "no", .wait_seconds = 300},
                    requested_signature);
    check_roundtrip(pair, KeyQuestion{.bytes = "vigil\0\xff"s, .keys = {"one\0"s, "two"}},
                    key_question_signature);
    check_roundtrip(pair, KeyQuestion{}, key_question_signature);
}
END_TEST

START_TEST(every_record_comes_back_as_it_was) {
    Pair pair;
    check_roundtrip(pair, some_session(), session_signature);
    check_roundtrip(pair, Session{}, session_signature);
    check_roundtrip(pair, std::vector<Session>{}, "aa{sv}");
    check_roundtrip(pair, std::vector<Session>{some_session(), Session{}, some_session()},
                    "aa{sv}");
    check_roundtrip(pair,
                    Status{.version = "0.1",
                           .mode = "enforce",
                           .policy_path = "/etc/vigil/policy.yaml",
                           .policy_error = "a",
                           .policy_loaded = 1,
                           .store_error = "b",
                           .factors_error = "c",
                           .started = 2,
                           .sessions = 3,
                           .locked = 4,
                           .grants = 5,
                           .degraded = true},
                    status_signature);
    check_roundtrip(pair,
                    LockInfo{.locked = true,
                             .user = "alice",
                             .host = "h",
                             .locked_by = "idle",
                             .locked_since = 1,
                             .ends_at = 2,
                             .factors = {"totp"},
                             .warnings = {"sudo (12)"},
                             .paused = {"make, 2 h 10 min"},
                             .paused_more = 4,
                             .goes_on = {"tmux: server"},
                             .goes_on_more = 5,
                             .wait_seconds = 3,
                             .ask_screen = true,
                             .shell = 12,
                             .foreground = 13,
                             .held = "/a/b",
                             .leader = 14},
                    lock_info_signature);
    check_roundtrip(pair,
                    std::vector<wire::Request>{{.id = "ab",
                                                .digest = "cd",
                                                .user = "alice",
                                                .runner = "bob",
                                                .host = "web1",
                                                .service = "sudo",
                                                .terminal = "pts/3",
                                                .run_as = "root",
                                                .command = {"/usr/bin/id", "a b", ""},
                                                .directory = "/tmp",
                                                .reason = "why",
                                                .since = 1,
                                                .until = 2,
                                                .own = true},
                                               {}},
                    "aa{sv}");
    KeyEnrollment key{.factor_id = "f", .host = "web1", .user = "alice"};
    key.nonce.fill(0x17);
    check_roundtrip(pair, key, key_enrollment_signature);
    check_roundtrip(pair,
                    KeyChallenge{.host = "web1",
                                 .user = "alice",
                                 .nonce = key.nonce,
                                 .keys = {"SHA256:one", "SHA256:two"}},
                    key_challenge_signature);
    check_roundtrip(pair, Enrollment{.factor_id = "f", .uri = "otpauth://x", .secret = "MZXW"},
                    enrollment_signature);
    check_roundtrip(pair, std::vector<wire::Factor>{some_factor(), wire::Factor{}}, "a(ssussttb)");
}
END_TEST

START_TEST(findings_come_back_as_they_were) {
    Pair pair;
    check_roundtrip(pair, std::vector<Finding>{}, "aa{sv}");
    check_roundtrip(
        pair,
        std::vector<Finding>{
            {.check = "console", .result = "failure", .found = "none is free", .mend = "chvt 1"},
            {}},
        "aa{sv}");
}
END_TEST

START_TEST(blocks_come_back_as_they_were) {
    Pair pair;
    check_roundtrip(pair,
                    std::vector<wire::Block>{{.uid = 1000,
                                              .user = "alice",
                                              .reason = "left the company",
                                              .by = "root",
                                              .since = 5,
                                              .until = 6},
                                             {}},
                    "aa{sv}");
}
END_TEST

START_TEST(text_and_numbers_come_back) {
    Pair pair;
    const base::BusMessage message = pair.make();
    CHECK_OK(append_text(message.get(), "text"));
    const auto text = read<std::string>(pair.send(message).get());
    CHECK_OK(text);
    CHECK_TEXT(*text, "text");
    const auto number = read<std::uint64_t>(pair.raw("t", unlimited).get());
    CHECK_OK(number);
    ck_assert_uint_eq(*number, unlimited);
}
END_TEST

START_TEST(a_descriptor_outlives_its_message) {
    Pair pair;
    int fds[2];
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    const base::UniqueFd reader{fds[0]};
    const base::UniqueFd writer{fds[1]};
    base::BusMessage message = pair.make();
    CHECK_OK(append_fd(message.get(), writer.get()));
    base::BusMessage received = pair.send(message);
    const auto fd = read_fd(received.get());
    CHECK_OK(fd);
    message.reset();
    received.reset();
    ck_assert(fcntl(fd->get(), F_GETFD) & FD_CLOEXEC);
    ck_assert_int_eq(write(fd->get(), "x", 1), 1);
    char byte = 0;
    ck_assert_int_eq(read(reader.get(), &byte, 1), 1);
    ck_assert_int_eq(byte, 'x');
}
END_TEST

START_TEST(the_bounds_themselves_are_allowed) {
    Pair pair;
    check_roundtrip(pair,
                    Login{.user = std::string(max_user_bytes, 'u'),
                          .uid = 0,
                          .groups = std::vector<std::string>(max_groups, "g"),
                          .service = std::string(max_service_bytes, 's'),
                          .terminal = std::string(max_terminal_bytes, 't'),
                          .remote_host = std::string(max_host_bytes, 'h')},
                    login_signature);
}
END_TEST

START_TEST(keys_of_a_newer_daemon_are_passed_over) {
    Pair pair;
    const auto message = pair.raw("a{sv}", 4, "user", "s", "alice", "new", "a{sv}", 1, "x", "as", 1,
                                  "y", "uid", "u", 7u, "newer", "(st)", "z", std::uint64_t{1});
    const auto session = read<Session>(message.get());
    CHECK_OK(session);
    CHECK_TEXT(session->user, "alice");
    ck_assert_uint_eq(session->uid, 7);
    ck_assert_uint_eq(session->idle_lock, unlimited); // a key that is missing keeps its default
}
END_TEST

START_TEST(a_sentence_is_cut_between_characters) {
    Pair pair;
    const base::BusMessage message = pair.make();
    const std::string long_text = std::string(max_reason_bytes - 1, 'a') + "é and more";
    CHECK_OK(append(message.get(), ReserveReply{.reason = long_text}));
    const auto reply = read<ReserveReply>(pair.send(message).get());
    CHECK_OK(reply);
    CHECK_TEXT(reply->reason, std::string(max_reason_bytes - 1, 'a'));
}
END_TEST

START_TEST(a_screen_is_a_word_where_it_can_be_told) {
    for (const auto screen : {Screen::unknown, Screen::main, Screen::alternate, Screen::plain})
        ck_assert(screen_from_text(to_text(screen)) == screen);
    CHECK_TEXT(std::string{to_text(Screen::plain)}, "plain");
    for (const auto cursor : {Cursor::shown, Cursor::hidden})
        ck_assert(cursor_from_text(to_text(cursor)) == cursor);
    ck_assert(!cursor_from_text("") && !cursor_from_text("blinking"));
    // Nobody may say that a terminal was not asked.
    for (const auto screen : {Screen::unasked, Screen::asked})
        CHECK_TEXT(std::string{to_text(screen)}, "");
    for (const char* text : {"", "asked", "unasked", "Main", "main "})
        ck_assert(!screen_from_text(text));
}
END_TEST

} // namespace

int main() {
    return vigil::test::run(
        "wire", {every_request_and_reply_comes_back_as_it_was, every_record_comes_back_as_it_was,
                 findings_come_back_as_they_were, blocks_come_back_as_they_were,
                 text_and_numbers_come_back, a_descriptor_outlives_its_message,
                 the_bounds_themselves_are_allowed, keys_of_a_newer_daemon_are_passed_over,
                 a_sentence_is_cut_between_characters, a_screen_is_a_word_where_it_can_be_told});
}
