// DbusPeer, the serving end: byte by byte, and against sd-bus.

#include "base/bus_client.hpp"
#include "base/dbus_peer.hpp"
#include "tests/unit/bus_peers.hpp"

#include <string>
#include <string_view>
#include <vector>

using namespace vigil;
using namespace vigil::base;
using namespace vigil::test;

namespace {

constexpr std::string_view guid{"0123456789abcdef0123456789abcdef"};
constexpr std::string_view greeting{"\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n",
                                    48};

std::string call_of(const char* member, const DbusWriter& arguments, std::uint32_t serial = 1) {
    const DbusCall call{.path = "/test", .interface = "org.test", .member = member};
    auto header = dbus_header(call, serial, arguments);
    CHECK_OK(header);
    return *header + std::string{arguments.bytes()};
}

std::string call_of(const char* member) {
    return call_of(member, DbusWriter{});
}

/// A peer and the socket that whoever talks to it has.
class Line {
public:
    Line() {
        int ends[2] = {-1, -1};
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends),
                         0);
        own = UniqueFd{ends[0]};
        peer = std::make_shared<DbusPeer>(UniqueFd{ends[1]}, std::string{guid});
    }

    void say(std::string_view text, const std::vector<int>& descriptors = {}) const {
        alignas(cmsghdr) char rights[CMSG_SPACE(64 * sizeof(int))] = {};
        iovec part{const_cast<char*>(text.data()), text.size()};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        if (!descriptors.empty()) {
            const std::size_t size = descriptors.size() * sizeof(int);
            message.msg_control = rights;
            message.msg_controllen = CMSG_SPACE(size);
            auto* const head = CMSG_FIRSTHDR(&message);
            head->cmsg_level = SOL_SOCKET;
            head->cmsg_type = SCM_RIGHTS;
            head->cmsg_len = CMSG_LEN(size);
            std::memcpy(CMSG_DATA(head), descriptors.data(), size);
        }
        ck_assert_int_eq(sendmsg(own.get(), &message, MSG_NOSIGNAL),
                         static_cast<ssize_t>(text.size()));
    }

    /// All that there is to hear.
    std::string hear() const {
        std::string heard;
        char bytes[65536];
        while (true) {
            const ssize_t got = recv(own.get(), bytes, sizeof bytes, 0);
            if (got <= 0)
                return heard;
            heard.append(bytes, static_cast<std::size_t>(got));
        }
    }

    Result<> receive() {
        return peer->receive([this](std::shared_ptr<DbusRequest> request) {
            requests.push_back(std::move(request));
        });
    }

    UniqueFd own;
    std::shared_ptr<DbusPeer> peer;
    std::vector<std::shared_ptr<DbusRequest>> requests;
};

const std::string welcome = "DATA\r\nOK " + std::string{guid} + "\r\nAGREE_UNIX_FD\r\n";

/// Only what comes behind the handshake.
DbusMessage answer_in(std::string heard) {
    if (heard.starts_with(welcome))
        heard.erase(0, welcome.size());
    auto message = parse_dbus(heard);
    CHECK_OK(message);
    return std::move(*message);
}

int open_descriptors() {
    return static_cast<int>(
        std::distance(std::filesystem::directory_iterator{"/proc/self/fd"}, {}));
}

START_TEST(a_call_that_comes_with_the_greeting_is_answered_with_it) {
    Line line;
    line.say(std::string{greeting} + call_of("Echo"));
    CHECK_OK(line.receive());
    ck_assert_uint_eq(line.requests.size(), 1);
    const auto& call = line.requests.front()->message();
    CHECK_TEXT(call.path, "/test");
    CHECK_TEXT(call.interface, "org.test");
    CHECK_TEXT(call.member, "Echo");
    DbusWriter values;
    ck_assert_int_ge(values.basic('s', "back"), 0);
    CHECK_OK(line.requests.front()->answer(values));
    const auto heard = line.hear();
    ck_assert(heard.starts_with(welcome));
    const auto answer = answer_in(heard);
    ck_assert(answer.kind == DbusMessage::Kind::reply);
    ck_assert_uint_eq(answer.reply_to, 1);
    CHECK_TEXT(answer.signature, "s");
}
END_TEST

START_TEST(it_may_come_byte_by_byte) {
    Line line;
    DbusWriter arguments;
    ck_assert_int_ge(arguments.basic('s', "text"), 0);
    for (const char byte : std::string{greeting} + call_of("Echo", arguments)) {
        ck_assert(line.requests.empty());
        line.say({&byte, 1});
        CHECK_OK(line.receive());
    }
    ck_assert_uint_eq(line.requests.size(), 1);
    auto reader = line.requests.front()->reader();
    const char* text = nullptr;
    ck_assert_int_eq(reader.basic('s', &text), 1);
    CHECK_TEXT(text, "text");
}
END_TEST

START_TEST(what_is_no_handshake_ends_it_or_is_told) {
    struct Case {
        std::string_view said;
        std::string_view answer; ///< "": it is over
    };
    const std::string ok = "OK " + std::string{guid} + "\r\n";
    for (const Case& each :
         {Case{{"\0AUTH EXTERNAL 30\r\n", 20}, ok},
          Case{{"\0AUTH\r\n", 7}, "REJECTED EXTERNAL\r\n"},
          Case{{"\0AUTH ANONYMOUS\r\n", 17}, "REJECTED EXTERNAL\r\n"},
          Case{{"\0CANCEL\r\n", 9}, "REJECTED EXTERNAL\r\n"}, Case{{"\0BEGIN\r\n", 8}, "ERROR\r\n"},
          Case{{"\0NEGOTIATE_UNIX_FD\r\n", 20}, "ERROR\r\n"}, Case{{"\0\r\n", 3}, "ERROR\r\n"},
          Case{"AUTH EXTERNAL\r\n", ""}, Case{"GET / HTTP/1.1\r\n", ""}}) {
        Line line;
        line.say(each.said);
        if (each.answer.empty())
            CHECK_ERROR(line.receive(), EBADMSG);
        else
            CHECK_OK(line.receive());
        CHECK_TEXT(line.hear(), each.answer);
    }
}
END_TEST

START_TEST(a_handshake_without_end_ends) {
    Line endless;
    endless.say(std::string(1, '\0') + std::string(max_greeting_line_bytes, 'x'));
    CHECK_ERROR(endless.receive(), EBADMSG);
    Line many;
    std::string lines(1, '\0');
    for (int i = 0; i <= max_greeting_lines; ++i)
        lines += "AUTH\r\n";
    many.say(lines);
    CHECK_ERROR(many.receive(), EBADMSG);
}
END_TEST

START_TEST(what_is_no_message_ends_it) {
    DbusWriter none;
    std::string order = call_of("Echo");
    order[0] ^= 'l' ^ 'B';
    std::string pathless = call_of("Echo");
    pathless[16] = 7; // the path's field says that it is the sender's
    std::string large = call_of("Echo");
    const std::uint32_t size = max_dbus_bytes;
    std::memcpy(large.data() + 4, &size, sizeof size);
    for (const auto& [said, code] :
         {std::pair{order, EBADMSG}, std::pair{pathless, EBADMSG}, std::pair{large, EMSGSIZE},
          std::pair{std::string(32, 'l'), EBADMSG}}) {
        Line line;
        line.say(std::string{greeting} + said);
        CHECK_ERROR(line.receive(), code);
        ck_assert(line.requests.empty());
    }
}
END_TEST

START_TEST(hanging_up_ends_it_after_what_was_said) {
    Line line;
    line.say(std::string{greeting} + call_of("Echo"));
    CHECK_OK(line.receive());
    line.own.reset();
    CHECK_ERROR(line.receive(), ECONNRESET);
    ck_assert_uint_eq(line.requests.size(), 1);
    line.peer.reset();
    CHECK_ERROR(line.requests.front()->answer(DbusWriter{}), ECONNRESET);
}
END_TEST

START_TEST(each_descriptor_is_of_its_message) {
    const UniqueFd root{open("/", O_PATH | O_CLOEXEC)};
    const UniqueFd proc{open("/proc", O_PATH | O_CLOEXEC)};
    const int before = open_descriptors();
    {
        Line line;
        const auto with = [](int fd) {
            DbusWriter arguments;
            ck_assert_int_ge(arguments.basic('h', &fd), 0);
            return call_of("Take", arguments);
        };
        // Both arrive before either is looked at, one with the greeting's first byte.
        line.say(std::string{greeting} + with(root.get()), {root.get()});
        line.say(with(proc.get()), {proc.get()});
        CHECK_OK(line.receive());
        CHECK_OK(line.receive());
        ck_assert_uint_eq(line.requests.size(), 2);
        for (const auto& [request, path] :
             {std::pair{line.requests[0], "/"}, std::pair{line.requests[1], "/proc"}}) {
            auto reader = request->reader();
            int fd = -1;
            ck_assert_int_eq(reader.basic('h', &fd), 1);
            CHECK_TEXT(
                std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd)).string(),
                path);
        }
    }
    ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

START_TEST(descriptors_that_no_message_has_or_too_many_end_it) {
    const UniqueFd root{open("/", O_PATH | O_CLOEXEC)};
    const int before = open_descriptors();
    {
        Line many;
        many.say(greeting, std::vector<int>(max_dbus_descriptors + 1, root.get()));
        CHECK_ERROR(many.receive(), EMSGSIZE);
        Line promised;
        DbusWriter arguments;
        const int fd = root.get();
        ck_assert_int_ge(arguments.basic('h', &fd), 0);
        promised.say(std::string{greeting} + call_of("Take", arguments)); // and brings none
        CHECK_ERROR(promised.receive(), EBADMSG);
        ck_assert(promised.requests.empty());
    }
    ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

START_TEST(an_index_beyond_the_descriptors_is_none) {
    const UniqueFd root{open("/", O_PATH | O_CLOEXEC)};
    Line line;
    DbusWriter arguments;
    const int fd = root.get();
    ck_assert_int_ge(arguments.basic('h', &fd), 0);
    std::string call = call_of("Take", arguments);
    call[call.size() - 4] = 1;
    line.say(std::string{greeting} + call, {fd});
    CHECK_OK(line.receive());
    auto reader = line.requests.front()->reader();
    int none = -1;
    ck_assert_int_eq(reader.basic('h', &none), -EBADMSG);
}
END_TEST

START_TEST(who_wants_no_answer_gets_none) {
    Line line;
    std::string call = call_of("Echo");
    call[2] = 1; // NO_REPLY_EXPECTED
    line.say(std::string{greeting} + call);
    CHECK_OK(line.receive());
    CHECK_OK(line.requests.front()->answer(DbusWriter{}));
    CHECK_TEXT(line.hear(), welcome);
}
END_TEST

START_TEST(a_refusal_keeps_its_name_and_words) {
    Line line;
    line.say(std::string{greeting} + call_of("Echo"));
    CHECK_OK(line.receive());
    CHECK_OK(line.requests.front()->refuse("org.test.No", "not you"));
    const auto answer = answer_in(line.hear());
    ck_assert(answer.kind == DbusMessage::Kind::error);
    CHECK_TEXT(answer.error, "org.test.No");
    auto reader = answer.reader();
    const char* text = nullptr;
    ck_assert_int_eq(reader.basic('s', &text), 1);
    CHECK_TEXT(text, "not you");
}
END_TEST

START_TEST(an_answer_larger_than_the_socket_goes_out_as_it_is_read) {
    Line line;
    bool was_told = false;
    line.peer->when_unsent([&] { was_told = true; });
    line.say(std::string{greeting} + call_of("Echo"));
    CHECK_OK(line.receive());
    const std::string large(3 * max_dbus_bytes, 'x');
    DbusWriter values;
    ck_assert_int_ge(values.basic('s', large.c_str()), 0);
    CHECK_OK(line.requests.front()->answer(values));
    ck_assert(was_told);
    ck_assert(line.peer->has_unsent());
    std::string heard;
    while (line.peer->has_unsent()) {
        heard += line.hear();
        CHECK_OK(line.peer->flush());
    }
    heard += line.hear();
    ck_assert_uint_gt(heard.size(), large.size());
    ck_assert(heard.find(large) != heard.npos);
}
END_TEST

START_TEST(who_reads_nothing_is_hung_up_on) {
    Line line;
    line.say(std::string{greeting} + call_of("Echo"));
    CHECK_OK(line.receive());
    const std::string large(max_dbus_answer_bytes * 3 / 4, 'x');
    DbusWriter values;
    ck_assert_int_ge(values.basic('s', large.c_str()), 0);
    CHECK_OK(line.requests.front()->answer(values));
    line.say(call_of("Echo"));
    CHECK_OK(line.receive());
    CHECK_ERROR(line.requests.back()->answer(values), ENOBUFS);
    CHECK_ERROR(line.receive(), ECONNRESET);
}
END_TEST

/// Asks on and reads a little: what has gone out is not kept with what has not.
START_TEST(who_reads_slowly_costs_what_is_unread) {
    Line line;
    line.say(greeting);
    CHECK_OK(line.receive());
    const std::string large(max_dbus_answer_bytes / 4, 'x');
    DbusWriter values;
    ck_assert_int_ge(values.basic('s', large.c_str()), 0);
    line.say(call_of("Echo"));
    CHECK_OK(line.receive());
    std::size_t heard = 0;
    // More in all than may be unread at one time.
    for (int i = 0; i < 8; ++i) {
        CHECK_OK(line.requests.back()->answer(values));
        while (heard < static_cast<std::size_t>(i) * large.size()) {
            heard += line.hear().size();
            CHECK_OK(line.peer->flush());
        }
        ck_assert(line.peer->has_unsent());
    }
}
END_TEST

START_TEST(who_keeps_talking_does_not_keep_the_loop) {
    Line line;
    line.say(greeting);
    CHECK_OK(line.receive());
    // As much as the socket takes; each message is read in part only.
    const std::string call = call_of("Echo");
    std::size_t said = 0;
    while (send(line.own.get(), call.data(), call.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(call.size()))
        ++said;
    std::size_t times = 0;
    while (line.requests.size() < said) {
        CHECK_OK(line.receive());
        ++times;
    }
    ck_assert_uint_ge(times, 1);
    ck_assert_uint_le(line.requests.size(), times * max_reads_at_once * 4096 / call.size() + times);
}
END_TEST

START_TEST(it_is_known_how_many_wait) {
    Line line;
    line.say(std::string{greeting} + call_of("Echo") + call_of("Echo"));
    CHECK_OK(line.receive());
    ck_assert_uint_eq(line.peer->waiting(), 2);
    line.requests.pop_back();
    ck_assert_uint_eq(line.peer->waiting(), 1);
    line.requests.clear();
    ck_assert_uint_eq(line.peer->waiting(), 0);
}
END_TEST

/// As vigilctl and vigil-lock ask.
START_TEST(sd_bus_is_served) {
    const Listener listener;
    const Peer peer{listener, [](int fd) {
                        serve_directly(fd, [](const std::shared_ptr<DbusRequest>& call) {
                            auto arguments = call->reader();
                            const char* text = nullptr;
                            ck_assert_int_eq(arguments.basic('s', &text), 1);
                            DbusWriter values;
                            ck_assert_int_ge(values.basic('s', text), 0);
                            CHECK_OK(call->answer(values));
                        });
                    }};
    auto client = BusClient::connect(listener.path(), read_boot_time() + ample);
    CHECK_OK(client);
    auto request = client->message("/test", "org.test", "Echo");
    CHECK_OK(request);
    ck_assert_int_ge(sd_bus_message_append(request->get(), "s", "round"), 0);
    auto reply = client->call(std::move(*request));
    CHECK_OK(reply);
    const char* text = nullptr;
    ck_assert_int_eq(sd_bus_message_read_basic(reply->get(), 's', &text), 1);
    CHECK_TEXT(text, "round");
}
END_TEST

} // namespace

int main() {
    return vigil::test::run(
        "base_dbus_peer",
        {a_call_that_comes_with_the_greeting_is_answered_with_it, it_may_come_byte_by_byte,
         what_is_no_handshake_ends_it_or_is_told, a_handshake_without_end_ends,
         what_is_no_message_ends_it, hanging_up_ends_it_after_what_was_said,
         each_descriptor_is_of_its_message, descriptors_that_no_message_has_or_too_many_end_it,
         an_index_beyond_the_descriptors_is_none, who_wants_no_answer_gets_none,
         a_refusal_keeps_its_name_and_words,
         an_answer_larger_than_the_socket_goes_out_as_it_is_read, who_reads_nothing_is_hung_up_on,
         who_reads_slowly_costs_what_is_unread, who_keeps_talking_does_not_keep_the_loop,
         it_is_known_how_many_wait, sd_bus_is_served},
        {.seconds = 60});
}
