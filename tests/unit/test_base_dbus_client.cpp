// DbusClient against the other end of its kind, against sd-bus where no descriptor goes along, and
// against peers of every bad kind.

#include "base/dbus_client.hpp"
#include "tests/unit/bus_peers.hpp"

#include <bit>
#include <string>
#include <string_view>

#include <poll.h>
#include <sys/stat.h>

using namespace vigil;
using namespace vigil::base;
using namespace vigil::test;

namespace {

constexpr std::string_view handshake = "DATA\r\nOK 0123456789abcdef0123456789abcdef\r\n"
                                       "AGREE_UNIX_FD\r\n";

struct Asked {
    Result<DbusMessage> reply;
    Microseconds took;
};

Asked ask(const char* path, Microseconds time, const char* method, const DbusWriter& arguments) {
    const BootTime start = read_boot_time();
    auto client = DbusClient::connect(path, start + time);
    if (!client)
        return {std::unexpected{client.error()}, read_boot_time() - start};
    const DbusCall what{.path = "/test", .interface = "org.test", .member = method};
    auto reply = client->call(what, arguments);
    return {std::move(reply), read_boot_time() - start};
}

Asked ask(const Listener& listener, Microseconds time = ample, const char* method = "Echo") {
    return ask(listener.path(), time, method, DbusWriter{});
}

void say(int fd, std::string_view text) {
    ck_assert_int_eq(send(fd, text.data(), text.size(), MSG_NOSIGNAL),
                     static_cast<ssize_t>(text.size()));
}

/// Shakes hands as a server does, reads the call and then says this.
auto after_handshake(std::string answer) {
    return [answer = std::move(answer)](int fd) {
        char bytes[4096];
        std::string heard;
        while (heard.find("Echo") == heard.npos) { // the call comes with the greeting
            const ssize_t got = read(fd, bytes, sizeof bytes);
            if (got <= 0)
                return;
            heard.append(bytes, static_cast<std::size_t>(got));
        }
        say(fd, handshake);
        say(fd, answer);
        wait_for_hangup(fd);
    };
}

/// A message without fields but those given, all but the last padded already.
std::string message(char kind, std::string_view fields, std::string_view body = {},
                    std::uint32_t body_size = UINT32_MAX) {
    const auto number = [](std::size_t value) {
        const auto small = static_cast<std::uint32_t>(value);
        return std::string{reinterpret_cast<const char*>(&small), sizeof small};
    };
    const char order = std::endian::native == std::endian::little ? 'l' : 'B';
    std::string text{order, kind, '\0', '\1'};
    text += number(body_size == UINT32_MAX ? body.size() : body_size) + number(7) +
            number(fields.size());
    text += fields;
    text.resize((text.size() + 7) / 8 * 8, '\0');
    text += body;
    return text;
}

/// The field that says which call is answered.
std::string reply_to(std::uint32_t serial) {
    std::string field{"\5\1u\0", 4};
    field.append(reinterpret_cast<const char*>(&serial), sizeof serial);
    return field;
}

START_TEST(a_daemon_that_is_not_there_is_told_at_once) {
    Listener listener;
    const std::string elsewhere = std::string{listener.path()} + "x";
    CHECK_ERROR(ask(elsewhere.c_str(), ample, "Echo", DbusWriter{}).reply, ENOENT);
    listener.stop();
    CHECK_ERROR(ask(listener).reply, ECONNREFUSED);
}
END_TEST

START_TEST(a_daemon_that_never_accepts_costs_the_deadline) {
    const Listener listener;
    const Asked asked = ask(listener, brief);
    CHECK_ERROR(asked.reply, ETIMEDOUT);
    CHECK_WHOLE_DEADLINE(asked.took);
}
END_TEST

START_TEST(a_daemon_that_is_silent_costs_the_deadline) {
    const Listener listener;
    const Peer peer{listener, wait_for_hangup};
    const Asked asked = ask(listener, brief);
    CHECK_ERROR(asked.reply, ETIMEDOUT);
    CHECK_WHOLE_DEADLINE(asked.took);
}
END_TEST

START_TEST(a_deadline_that_is_over_is_over) {
    const Listener listener;
    CHECK_ERROR(ask(listener, Microseconds{0}).reply, ETIMEDOUT);
}
END_TEST

START_TEST(a_call_never_answered_costs_the_deadline) {
    const Listener listener;
    const Peer peer{listener, serve_echo};
    const Asked asked = ask(listener, brief, "Silence");
    CHECK_ERROR(asked.reply, ETIMEDOUT);
    CHECK_WHOLE_DEADLINE(asked.took);
}
END_TEST

START_TEST(one_that_trickles_costs_the_deadline) {
    const Listener listener;
    const Peer peer{listener, [](int fd) {
                        while (send(fd, "D", 1, MSG_NOSIGNAL) == 1)
                            std::this_thread::sleep_for(20ms);
                    }};
    const Asked asked = ask(listener, brief);
    CHECK_ERROR(asked.reply, ETIMEDOUT);
    CHECK_WHOLE_DEADLINE(asked.took);
}
END_TEST

START_TEST(hanging_up_costs_nothing_however_far_it_had_come) {
    for (const std::string_view said : {std::string_view{}, std::string_view{"DATA\r\nOK 0"},
                                        handshake.substr(0, handshake.size() - 1), handshake}) {
        const Listener listener;
        const Peer peer{listener, [said](int fd) {
                            char bytes[512];
                            ck_assert_int_gt(read(fd, bytes, sizeof bytes), 0);
                            say(fd, said);
                        }};
        const Asked asked = ask(listener);
        CHECK_ERROR(asked.reply, ECONNRESET);
        ck_assert_int_lt(asked.took.count(), ample.count());
    }
}
END_TEST

START_TEST(hanging_up_in_mid_answer_costs_nothing) {
    const std::string whole = message(2, reply_to(1));
    const Listener listener;
    const Peer peer{listener, [&](int fd) {
                        char bytes[4096];
                        ck_assert_int_gt(read(fd, bytes, sizeof bytes), 0);
                        say(fd, handshake);
                        say(fd, std::string_view{whole}.substr(0, 20));
                    }};
    CHECK_ERROR(ask(listener).reply, ECONNRESET);
}
END_TEST

START_TEST(a_peer_that_speaks_something_else_is_refused) {
    for (const std::string& said :
         {std::string{"HTTP/1.1 400 Bad Request\r\n\r\n"}, std::string(4000, 'x'),
          std::string{"DATA\r\nREJECTED EXTERNAL\r\n"},
          std::string{"DATA\r\nOK 0123456789abcdef0123456789abcdef\r\nERROR\r\n"}}) {
        const Listener listener;
        const Peer peer{listener, [&](int fd) {
                            say(fd, said);
                            wait_for_hangup(fd);
                        }};
        const Asked asked = ask(listener);
        CHECK_ERROR(asked.reply, EBADMSG);
        ck_assert_int_lt(asked.took.count(), ample.count());
    }
}
END_TEST

START_TEST(an_answer_that_is_none_is_refused) {
    const std::string good = message(2, reply_to(1));
    std::string order = good;
    order[0] ^= 'l' ^ 'B';
    std::string version = good;
    version[3] = 2;
    std::string kind = good;
    kind[1] = 5;
    std::string padding = message(2, reply_to(1) + std::string{"\1\1o\0\1\0\0\0/\0", 10});
    padding.back() = 'x';
    for (const std::string& said :
         {order, version, kind, padding, message(2, reply_to(0)),           // to nobody
          message(2, ""),                                                   // the same
          message(3, reply_to(1)),                                          // an error without name
          message(2, reply_to(1), "body without a signature"),              //
          message(2, reply_to(1) + std::string{"\x09\1u\0\1\0\0\0", 8}),    // brings a descriptor
          message(2, reply_to(1) + std::string{"\x08\1g\0\1\x28\0\0", 8}),  // signature "("
          message(2, std::string{"\5\1s\0\1\0\0\0x\0\0\0\0\0\0\0", 16}),    // answers to "x"
          message(2, reply_to(1) + std::string{"\7\1s\0\xff\xff\0\0", 8})}) // beyond the end
    {
        const Listener listener;
        const Peer peer{listener, after_handshake(said)};
        CHECK_ERROR(ask(listener).reply, EBADMSG);
    }
}
END_TEST

START_TEST(an_answer_too_large_is_not_waited_for) {
    for (const std::uint32_t size : {std::uint32_t{max_dbus_bytes}, UINT32_MAX - 1}) {
        const Listener listener;
        const Peer peer{listener, after_handshake(message(2, reply_to(1), "", size))};
        CHECK_ERROR(ask(listener).reply, EMSGSIZE);
    }
}
END_TEST

START_TEST(what_was_not_asked_for_is_passed_over) {
    const std::string name{"\2\1s\0\3\0\0\0x.x\0\0\0\0\0", 16};
    const std::string member{"\3\1s\0\1\0\0\0X\0", 10};
    const std::string path{"\1\1o\0\1\0\0\0/\0\0\0\0\0\0\0", 16};
    const Listener listener;
    const Peer peer{listener,
                    after_handshake(message(4, path + name + member) + message(2, reply_to(9)) +
                                    message(1, path + reply_to(1) + member) +
                                    message(2, reply_to(1)))};
    const Asked asked = ask(listener);
    CHECK_OK(asked.reply);
    ck_assert_uint_eq(asked.reply->reply_to, 1);
}
END_TEST

START_TEST(a_call_is_answered) {
    const Listener listener;
    const Peer peer{listener, serve_echo};
    const Asked asked = ask(listener);
    CHECK_OK(asked.reply);
    CHECK_TEXT(asked.reply->signature, "s");
    auto reader = asked.reply->reader();
    const char* text = nullptr;
    ck_assert_int_eq(reader.basic('s', &text), 1);
    CHECK_TEXT(text, "echo");
    ck_assert_int_eq(reader.at_end(), 1);
}
END_TEST

START_TEST(an_error_reply_keeps_its_words) {
    const Listener listener;
    const Peer peer{listener, serve_echo};
    const auto reply = ask(listener, ample, "Refuse").reply;
    CHECK_ERROR(reply, EIO);
    CHECK_TEXT(reply.error().what, "not you");
}
END_TEST

/// Answers with how long its text was and which file its descriptor is.
void measure(const std::shared_ptr<DbusRequest>& call) {
    const char* text = nullptr;
    int fd = -1;
    struct stat file{};
    auto arguments = call->reader();
    ck_assert_int_eq(arguments.basic('h', &fd), 1);
    ck_assert_int_eq(arguments.basic('s', &text), 1);
    ck_assert_int_eq(fstat(fd, &file), 0);
    const std::uint64_t size = std::strlen(text);
    const std::uint64_t node = file.st_ino;
    DbusWriter values;
    ck_assert_int_ge(values.basic('t', &size), 0);
    ck_assert_int_ge(values.basic('t', &node), 0);
    CHECK_OK(call->answer(values));
}

START_TEST(a_long_call_and_its_descriptor_arrive_whole) {
    const Listener listener;
    const Peer peer{listener, [](int fd) { serve_directly(fd, measure); }};
    const UniqueFd file{open("/", O_PATH | O_CLOEXEC)};
    struct stat root{};
    ck_assert_int_eq(fstat(file.get(), &root), 0);
    const std::string text(max_dbus_bytes - 1024, 'x'); // more than a socket holds
    DbusWriter arguments;
    const int fd = file.get();
    ck_assert_int_ge(arguments.basic('h', &fd), 0);
    ck_assert_int_ge(arguments.basic('s', text.c_str()), 0);
    const auto reply = ask(listener.path(), ample, "Measure", arguments).reply;
    CHECK_OK(reply);
    auto reader = reply->reader();
    std::uint64_t size = 0;
    std::uint64_t node = 0;
    ck_assert_int_eq(reader.basic('t', &size), 1);
    ck_assert_int_eq(reader.basic('t', &node), 1);
    ck_assert_uint_eq(size, text.size());
    ck_assert_uint_eq(node, root.st_ino);
}
END_TEST

START_TEST(a_peer_that_never_reads_costs_the_deadline) {
    const Listener listener;
    const Peer peer{listener, [](int fd) {
                        char bytes[48];
                        ck_assert_int_eq(recv(fd, bytes, sizeof bytes, MSG_WAITALL), 48);
                        say(fd, handshake);
                        pollfd gone{.fd = fd, .events = 0, .revents = 0};
                        ck_assert_int_eq(poll(&gone, 1, 20'000), 1);
                    }};
    const std::string text(max_dbus_bytes - 1024, 'x');
    DbusWriter arguments;
    ck_assert_int_ge(arguments.basic('s', text.c_str()), 0);
    const Asked asked = ask(listener.path(), brief, "Echo", arguments);
    CHECK_ERROR(asked.reply, ETIMEDOUT);
    CHECK_WHOLE_DEADLINE(asked.took);
}
END_TEST

START_TEST(what_is_too_large_is_not_sent) {
    const Listener listener;
    DbusWriter arguments;
    ck_assert_int_ge(arguments.basic('s', std::string(max_dbus_bytes, 'x').c_str()), 0);
    const Peer peer{listener, wait_for_hangup};
    CHECK_ERROR(ask(listener.path(), ample, "Echo", arguments).reply, EMSGSIZE);
}
END_TEST

START_TEST(a_descriptor_sent_to_us_is_not_kept) {
    const auto open_descriptors = [] {
        return std::distance(std::filesystem::directory_iterator{"/proc/self/fd"}, {});
    };
    const Listener listener;
    const auto before = open_descriptors();
    {
        const Peer peer{listener, [](int fd) {
                            const UniqueFd file{open("/", O_PATH | O_CLOEXEC)};
                            const int sent = file.get();
                            char bytes[CMSG_SPACE(sizeof sent)] = {};
                            iovec part{const_cast<char*>(handshake.data()), handshake.size()};
                            msghdr head{};
                            head.msg_iov = &part;
                            head.msg_iovlen = 1;
                            head.msg_control = bytes;
                            head.msg_controllen = sizeof bytes;
                            auto* const rights = CMSG_FIRSTHDR(&head);
                            rights->cmsg_level = SOL_SOCKET;
                            rights->cmsg_type = SCM_RIGHTS;
                            rights->cmsg_len = CMSG_LEN(sizeof sent);
                            std::memcpy(CMSG_DATA(rights), &sent, sizeof sent);
                            ck_assert_int_gt(sendmsg(fd, &head, MSG_NOSIGNAL), 0);
                            wait_for_hangup(fd);
                        }};
        CHECK_ERROR(ask(listener, brief).reply, ETIMEDOUT);
    }
    ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

START_TEST(closed_standard_descriptors_are_not_taken) {
    const Listener listener;
    const Peer peer{listener, serve_echo};
    const UniqueFd saved{fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10)};
    close(STDIN_FILENO);
    auto client = DbusClient::connect(listener.path(), read_boot_time() + ample);
    CHECK_OK(client);
    ck_assert_int_gt(client->socket(), STDERR_FILENO);
    CHECK_OK(client->call({.path = "/test", .interface = "org.test", .member = "Echo"}, {}));
}
END_TEST

} // namespace

int main() {
    return vigil::test::run(
        "base_dbus_client",
        {a_daemon_that_is_not_there_is_told_at_once, a_daemon_that_never_accepts_costs_the_deadline,
         a_daemon_that_is_silent_costs_the_deadline, a_deadline_that_is_over_is_over,
         a_call_never_answered_costs_the_deadline, one_that_trickles_costs_the_deadline,
         hanging_up_costs_nothing_however_far_it_had_come, hanging_up_in_mid_answer_costs_nothing,
         a_peer_that_speaks_something_else_is_refused, an_answer_that_is_none_is_refused,
         an_answer_too_large_is_not_waited_for, what_was_not_asked_for_is_passed_over,
         a_call_is_answered, an_error_reply_keeps_its_words,
         a_long_call_and_its_descriptor_arrive_whole, a_peer_that_never_reads_costs_the_deadline,
         what_is_too_large_is_not_sent, a_descriptor_sent_to_us_is_not_kept,
         closed_standard_descriptors_are_not_taken},
        {.seconds = 60});
}
