// The codec over real connections: sd-bus and sd-bus, and sd-bus and our own, on a socketpair.

#include "base/dbus_message.hpp"
#include "tests/unit/test.hpp"
#include "wire/bus_codec.hpp"
#include "wire/names.hpp"
#include "wire/screen.hpp"

#include <cerrno>
#include <functional>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

using namespace vigil;
using namespace vigil::wire;
using namespace std::string_literals;

namespace {

base::Bus make_bus(int fd, bool server) {
    sd_bus* raw = nullptr;
    ck_assert_int_ge(sd_bus_new(&raw), 0);
    base::Bus bus{raw};
    ck_assert_int_ge(sd_bus_set_fd(raw, fd, fd), 0);
    if (server)
        ck_assert_int_ge(sd_bus_set_server(raw, 1, sd_id128_t{}), 0);
    ck_assert_int_ge(sd_bus_negotiate_fds(raw, 1), 0);
    ck_assert_int_ge(sd_bus_start(raw), 0);
    return bus;
}

class Pair {
public:
    Pair() {
        int fds[2];
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
                         0);
        server_ = make_bus(fds[0], true);
        client_ = make_bus(fds[1], false);
        while (sd_bus_is_ready(server_.get()) == 0 || sd_bus_is_ready(client_.get()) == 0) {
            ck_assert_int_ge(sd_bus_process(client_.get(), nullptr), 0);
            ck_assert_int_ge(sd_bus_process(server_.get(), nullptr), 0);
        }
    }

    base::BusMessage make() {
        sd_bus_message* raw = nullptr;
        ck_assert_int_ge(
            sd_bus_message_new_signal(client_.get(), &raw, manager_path, manager_interface, "T"),
            0);
        return base::BusMessage{raw};
    }

    /// What the other side receives.
    base::BusMessage send(const base::BusMessage& message) {
        ck_assert_int_ge(sd_bus_send(client_.get(), message.get(), nullptr), 0);
        while (true) {
            sd_bus_message* raw = nullptr;
            ck_assert_int_ge(sd_bus_process(client_.get(), nullptr), 0);
            ck_assert_int_ge(sd_bus_process(server_.get(), &raw), 0);
            if (raw != nullptr && sd_bus_message_is_signal(raw, manager_interface, "T") > 0)
                return base::BusMessage{raw};
            sd_bus_message_unref(raw);
        }
    }

    /// A message with these values, by sd_bus_message_append(3), as received.
    template <typename... Values>
    base::BusMessage raw(const char* signature, Values... values) {
        const base::BusMessage message = make();
        ck_assert_int_ge(sd_bus_message_append(message.get(), signature, values...), 0);
        return send(message);
    }

private:
    base::Bus server_;
    base::Bus client_;
};

/// sd-bus on one side, and on the other what pam_vigil.so and vigil_approval.so carry values with.
class MixedPair {
public:
    MixedPair() {
        int fds[2];
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
                         0);
        bus_ = make_bus(fds[0], true);
        own_ = base::UniqueFd{fds[1]};
        send_all("\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n"s);
        while (sd_bus_is_ready(bus_.get()) == 0)
            ck_assert_int_ge(sd_bus_process(bus_.get(), nullptr), 0);
        char handshake[256];
        ck_assert_int_gt(::read(own_.get(), handshake, sizeof handshake), 0);
    }

    /// What sd-bus receives.
    base::BusMessage to_bus(const base::DbusWriter& arguments) {
        const auto header = base::dbus_header(
            {.path = manager_path, .interface = manager_interface, .member = "T"}, 1, arguments);
        CHECK_OK(header);
        left_ = *header + std::string{arguments.bytes()};
        while (true) {
            sd_bus_message* raw = nullptr;
            send_some();
            ck_assert_int_ge(sd_bus_process(bus_.get(), &raw), 0);
            if (raw != nullptr && sd_bus_message_is_method_call(raw, manager_interface, "T") > 0)
                return base::BusMessage{raw};
            sd_bus_message_unref(raw);
        }
    }

    /// What arrives of a message of sd-bus's.
    template <typename T>
    base::DbusMessage from_bus(const T& value) {
        sd_bus_message* raw = nullptr;
        ck_assert_int_ge(
            sd_bus_message_new_signal(bus_.get(), &raw, manager_path, manager_interface, "T"), 0);
        const base::BusMessage message{raw};
        CHECK_OK(append(raw, value));
        ck_assert_int_ge(sd_bus_send(bus_.get(), raw, nullptr), 0);
        std::string bytes;
        while (bytes.size() < base::dbus_prefix_bytes || bytes.size() < *base::dbus_size(bytes)) {
            ck_assert_int_ge(sd_bus_process(bus_.get(), nullptr), 0);
            char some[4096];
            const ssize_t got = ::read(own_.get(), some, sizeof some);
            if (got > 0)
                bytes.append(some, static_cast<std::size_t>(got));
        }
        auto parsed = base::parse_dbus(bytes);
        CHECK_OK(parsed);
        return std::move(*parsed);
    }

private:
    void send_some() {
        const ssize_t sent = ::send(own_.get(), left_.data(), left_.size(), MSG_NOSIGNAL);
        if (sent > 0)
            left_.erase(0, static_cast<std::size_t>(sent));
    }
    void send_all(std::string text) {
        for (left_ = std::move(text); !left_.empty();)
            send_some();
    }

    base::Bus bus_;
    base::UniqueFd own_;
    std::string left_;
};

template <typename T>
void check_reads_back(base::ValueSource& source, const T& value) {
    const auto read_back = read<T>(source);
    CHECK_OK(read_back);
    ck_assert(*read_back == value);
    ck_assert_int_eq(source.at_end(), 1);
}

template <typename T>
void check_roundtrip(Pair& pair, const T& value, const char* signature) {
    const base::BusMessage message = pair.make();
    CHECK_OK(append(message.get(), value));
    const base::BusMessage received = pair.send(message);
    CHECK_TEXT(sd_bus_message_get_signature(received.get(), 1), signature);
    base::BusSource source{received.get()};
    check_reads_back(source, value);

    base::DbusWriter writer;
    CHECK_OK(append(writer, value));
    CHECK_TEXT(writer.signature(), signature);
    base::DbusReader reader{writer.bytes(), writer.signature()};
    check_reads_back(reader, value);

    MixedPair mixed;
    const base::BusMessage taken = mixed.to_bus(writer);
    CHECK_TEXT(sd_bus_message_get_signature(taken.get(), 1), signature);
    base::BusSource taken_source{taken.get()};
    check_reads_back(taken_source, value);

    const base::DbusMessage given = mixed.from_bus(value);
    CHECK_TEXT(given.signature, signature);
    auto given_reader = given.reader();
    check_reads_back(given_reader, value);
}

Login some_login() {
    return {.user = "alice",
            .uid = 1000,
            .groups = {"alice", "sudo", "größe"},
            .service = "sshd",
            .terminal = "ssh",
            .remote_host = "2001:db8::1%eth0"};
}

Session some_session() {
    return {.id = std::string(32, 'a'),
            .user = "alice",
            .uid = 1000,
            .service = "sshd",
            .terminals = {"pts/3", "pts/4"},
            .remote_host = "192.0.2.1",
            .logind_session = "c1",
            .leader_pid = 4242,
            .since = 1,
            .idle_seconds = 2,
            .state = "locked",
            .locked_since = 3,
            .rule = "everyone",
            .idle_lock = 4,
            .idle_terminate = 5,
            .max_duration = 6,
            .next_action = "terminate",
            .next_at = 7,
            .locked_by = "by root",
            .last_lock_at = 5,
            .last_lock_by = "by root",
            .last_unlock_at = 4,
            .last_unlock_by = "by password at /dev/pts/3",
            .desktop = "locked",
            .uncovered = {"process 7 (cat)"},
            .runs_on = {"user unit a.service"}};
}

Factor some_factor() {
    return {.id = "f1",
            .user = "alice",
            .uid = 1000,
            .kind = "totp",
            .name = "phone",
            .created = 1,
            .last_used = 2,
            .active = true};
}

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

START_TEST(what_an_asker_may_not_send_is_not_written) {
    Pair pair;
    const struct {
        int code;
        std::function<void(Login&)> spoil;
    } cases[] = {
        {EMSGSIZE, [](Login& login) { login.user = std::string(max_user_bytes + 1, 'u'); }},
        {EMSGSIZE, [](Login& login) { login.service = std::string(max_service_bytes + 1, 's'); }},
        {EMSGSIZE, [](Login& login) { login.terminal = std::string(max_terminal_bytes + 1, 't'); }},
        {EMSGSIZE, [](Login& login) { login.remote_host = std::string(max_host_bytes + 1, 'h'); }},
        {EMSGSIZE, [](Login& login) { login.groups.assign(max_groups + 1, "g"); }},
        {EMSGSIZE, [](Login& login) { login.groups = {std::string(max_user_bytes + 1, 'g')}; }},
        {EINVAL, [](Login& login) { login.user = "root\0x"s; }},
        {EINVAL, [](Login& login) { login.remote_host = "\xff"; }},
    };
    for (const auto& one : cases) {
        Login login = some_login();
        one.spoil(login);
        const base::BusMessage message = pair.make();
        CHECK_ERROR(append(message.get(), login), one.code);
        const base::BusMessage request = pair.make();
        CHECK_ERROR(append(request.get(), StepUpRequest{.login = login}), one.code);
    }
    for (const auto& [command, code] :
         {std::pair{Command{.path = std::string(max_path_bytes + 1, 'p')}, EMSGSIZE},
          {Command{.named = "a\0b"s}, EINVAL},
          {Command{.arguments = std::vector<std::string>(max_arguments + 1)}, EMSGSIZE},
          {Command{.arguments = {std::string(max_arguments_bytes, 'a'), "b"}}, EMSGSIZE}}) {
        const base::BusMessage message = pair.make();
        CHECK_ERROR(append(message.get(), command), code);
    }
    const base::BusMessage proof = pair.make();
    CHECK_ERROR(append(proof.get(), Proof{.answer = std::string(max_answer_bytes + 1, '1')}),
                EMSGSIZE);
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

START_TEST(an_oversized_field_is_refused_by_the_reader) {
    Pair pair;
    const std::string u(max_user_bytes + 1, 'u'), s(max_service_bytes + 1, 's'),
        t(max_terminal_bytes + 1, 't'), h(max_host_bytes + 1, 'h');
    const struct {
        const char *user, *group, *service, *terminal, *host;
    } cases[] = {{u.c_str(), "g", "s", "t", "h"},
                 {"u", u.c_str(), "s", "t", "h"},
                 {"u", "g", s.c_str(), "t", "h"},
                 {"u", "g", "s", t.c_str(), "h"},
                 {"u", "g", "s", "t", h.c_str()}};
    for (const auto& one : cases) {
        const auto message =
            pair.raw("(suassss)", one.user, 1u, 1, one.group, one.service, one.terminal, one.host);
        CHECK_ERROR(read<Login>(message.get()), EBADMSG);
    }
    const base::BusMessage groups = pair.make();
    sd_bus_message_open_container(groups.get(), 'r', "suassss");
    sd_bus_message_append(groups.get(), "su", "u", 1u);
    sd_bus_message_open_container(groups.get(), 'a', "s");
    for (std::size_t i = 0; i <= max_groups; ++i)
        sd_bus_message_append(groups.get(), "s", "g");
    sd_bus_message_close_container(groups.get());
    sd_bus_message_append(groups.get(), "sss", "s", "t", "h");
    sd_bus_message_close_container(groups.get());
    const auto received = pair.send(groups);
    CHECK_ERROR(read<Login>(received.get()), EBADMSG);
}
END_TEST

START_TEST(another_signature_is_refused) {
    Pair pair;
    const auto check_nothing_reads = [](const base::BusMessage& message) {
        const auto again = [&] { sd_bus_message_rewind(message.get(), 1); };
        CHECK_ERROR(read<Login>(message.get()), EBADMSG);
        again();
        CHECK_ERROR(read<ReserveReply>(message.get()), EBADMSG);
        again();
        CHECK_ERROR(read<StepUpRequest>(message.get()), EBADMSG);
        again();
        CHECK_ERROR(read<AskReply>(message.get()), EBADMSG);
        again();
        CHECK_ERROR(read<Proof>(message.get()), EBADMSG);
        again();
        CHECK_ERROR(read<ProveReply>(message.get()), EBADMSG);
        again();
        CHECK_ERROR(read<LockInfo>(message.get()), EBADMSG);
        again();
        CHECK_ERROR(read<Session>(message.get()), EBADMSG);
        again();
        CHECK_ERROR(read<Status>(message.get()), EBADMSG);
        again();
        CHECK_ERROR(read<Enrollment>(message.get()), EBADMSG);
        again();
        CHECK_ERROR(read<std::vector<Session>>(message.get()), EBADMSG);
        again();
        CHECK_ERROR(read<std::vector<wire::Factor>>(message.get()), EBADMSG);
        again();
        CHECK_ERROR(read_fd(message.get()), EBADMSG);
    };
    check_nothing_reads(pair.raw(""));
    check_nothing_reads(pair.raw("i", 1));
    check_nothing_reads(pair.raw("ss", "a", "b"));
    check_nothing_reads(pair.raw("(su)", "a", 1u));
    check_nothing_reads(pair.raw("a{ss}", 1, "user", "alice"));
    check_nothing_reads(pair.raw("u", 1u));
    CHECK_ERROR(read<std::string>(pair.raw("u", 1u).get()), EBADMSG);
    CHECK_ERROR(read<std::string>(pair.raw("").get()), EBADMSG);
    CHECK_ERROR(read<std::uint64_t>(pair.raw("u", 1u).get()), EBADMSG);
}
END_TEST

START_TEST(a_number_that_is_no_verdict_is_refused) {
    Pair pair;
    const std::uint64_t zero = 0;
    CHECK_ERROR(read<ReserveReply>(pair.raw("ust", 3u, "", zero).get()), EBADMSG);
    CHECK_ERROR(read<AskReply>(pair.raw("usasst", 4u, "", 0, "", zero).get()), EBADMSG);
    CHECK_ERROR(read<ProveReply>(pair.raw("usast", 4u, "", 0, zero).get()), EBADMSG);
    CHECK_ERROR(
        read<StepUpRequest>(pair.raw("u(suassss)s", 3u, "u", 1u, 0, "s", "t", "h", "root").get()),
        EBADMSG);
}
END_TEST

START_TEST(an_attempt_of_another_length_is_refused) {
    Pair pair;
    for (const int size : {0, 15, 17}) {
        const base::BusMessage message = pair.make();
        const std::array<std::uint8_t, 17> bytes{};
        sd_bus_message_append(message.get(), "ss", "totp", "123456");
        sd_bus_message_append_array(message.get(), 'y', bytes.data(),
                                    static_cast<std::size_t>(size));
        CHECK_ERROR(read<Proof>(pair.send(message).get()), EBADMSG);
    }
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

START_TEST(a_known_key_of_another_type_is_refused) {
    Pair pair;
    CHECK_ERROR(read<Session>(pair.raw("a{sv}", 1, "uid", "s", "1000").get()), EBADMSG);
    CHECK_ERROR(read<Session>(pair.raw("a{sv}", 1, "user", "o", "/alice").get()), EBADMSG);
    CHECK_ERROR(read<Session>(pair.raw("a{sv}", 1, "terminals", "s", "pts/1").get()), EBADMSG);
    CHECK_ERROR(read<LockInfo>(pair.raw("a{sv}", 1, "locked", "u", 0u).get()), EBADMSG);
    CHECK_ERROR(read<Status>(pair.raw("a{sv}", 1, "degraded", "s", "no").get()), EBADMSG);
    const auto list = pair.raw("aa{sv}", 2, 0, 1, "uid", "s", "1000");
    CHECK_ERROR(read<std::vector<Session>>(list.get()), EBADMSG);
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
                 what_an_asker_may_not_send_is_not_written, the_bounds_themselves_are_allowed,
                 an_oversized_field_is_refused_by_the_reader, another_signature_is_refused,
                 a_number_that_is_no_verdict_is_refused, an_attempt_of_another_length_is_refused,
                 keys_of_a_newer_daemon_are_passed_over, a_known_key_of_another_type_is_refused,
                 a_sentence_is_cut_between_characters, a_screen_is_a_word_where_it_can_be_told});
}
