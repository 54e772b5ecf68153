// The ssh agent's client: the real ssh-agent with a security key of tests/sk, and agents that lie,
// are slow, too large or dead.

#include "base/clock.hpp"
#include "daemon/factors/ssh_key.hpp"
#include "tests/unit/agents.hpp"
#include "tests/unit/keys_seen.hpp"

#include <cerrno>
#include <vector>

using namespace vigil;
using namespace vigil::wire;
using namespace vigil::test;
using namespace std::string_literals;

namespace {

constexpr std::chrono::milliseconds impatience{300};

START_TEST(the_agents_security_keys_are_found_and_sign) {
    const RealAgent real;
    const auto agent = asked(real.socket());
    const auto has = agent.list();
    CHECK_OK(has);
    ck_assert_uint_eq(has->keys.size(), 2);
    ck_assert_uint_eq(has->others, 1);
    CHECK_TEXT(has->keys[0].comment, "one");
    CHECK_TEXT(has->keys[1].comment, "two");
    for (const auto& key : has->keys) {
        const auto parsed = parse_security_key(key.blob);
        CHECK_OK(parsed);
        const auto signature = agent.sign(key.blob, "some bytes");
        CHECK_OK(signature);
        CHECK_OK(factors::verify_key(*parsed, "some bytes", *signature));
        CHECK_ERROR(factors::verify_key(*parsed, "other bytes", *signature), EACCES);
    }
    const auto chosen = wanted_keys(*has, {"another", has->keys[1].blob});
    ck_assert(chosen.size() == 1 && chosen[0] == has->keys[1]);
    ck_assert(wanted_keys(*has, {}).empty());
    // One that it has not got.
    CHECK_ERROR(agent.sign(blob_of_line(ed25519_line).value(), "x"), EACCES);
}
END_TEST

START_TEST(a_socket_that_the_person_may_not_open_is_not_opened) {
    const RealAgent real;
    CHECK_ERROR(Agent(real.socket(), 4242, 4242).list(), EACCES);
    // Root's uid alone opens nothing of others: his capabilities are gone.
    CHECK_ERROR(Agent(real.socket(), 0, 0).list(), EACCES);
    const FalseAgent roots{answering(message_of("\x0c\0\0\0\0"s))};
    ck_assert_int_eq(::chown(roots.folder.c_str(), 0, 0), 0);
    CHECK_ERROR(asked(roots.socket()).list(), EACCES);
    CHECK_ERROR(Agent(real.socket(), static_cast<uid_t>(-1), 0).list(), EPERM);
    CHECK_ERROR(Agent(real.socket(), nobody, static_cast<gid_t>(-1)).list(), EPERM);
}
END_TEST

START_TEST(where_there_is_no_agent_that_is_said) {
    CHECK_ERROR(asked("").list(), ENOENT);
    CHECK_ERROR(asked("agent").list(), ENOENT);
    CHECK_ERROR(asked("\0abstract"s).list(), ENOENT);
    CHECK_ERROR(asked("/tmp/\0agent"s).list(), ENOENT);
    CHECK_ERROR(asked("/" + std::string(200, 'a')).list(), ENOENT);
    CHECK_ERROR(asked("/nowhere/agent").list(), ENOENT);
    CHECK_ERROR(asked("/etc/passwd").list(), EACCES); // connecting asks for the right to write
    {
        const FalseAgent gone{{}};
        ck_assert_int_eq(::shutdown(gone.listener(), SHUT_RDWR), 0);
        CHECK_ERROR(asked(gone.socket()).list(), ECONNREFUSED);
    }
}
END_TEST

/// What comes back for each of these questions.
void refused(const std::string& answer, int code) {
    const FalseAgent agent{answering(answer)};
    CHECK_ERROR(asked(agent.socket()).list(), code);
    CHECK_ERROR(asked(agent.socket()).sign("key", "bytes"), code);
}

START_TEST(lies_are_refused) {
    refused("", ECONNRESET);
    refused("\0\0"s, ECONNRESET);
    refused("\0\0\0\5\x0c"s, ECONNRESET);
    refused("\0\0\0\0"s, EMSGSIZE);
    refused("\xff\xff\xff\xff"s, EMSGSIZE);
    refused("\0\4\0\1"s + std::string(100'000, 'x'), EMSGSIZE);
    refused(message_of("\5"), EACCES);
    refused(message_of("\6"), EPROTO);
    refused(message_of("\x0c"), EPROTO);
    refused(message_of("\x0e"), EPROTO);
    refused(message_of("\x0e\0\0\1\0x"s), EPROTO);
    refused(message_of("\x0c\0\0\0\1"s), EPROTO);
    refused("HTTP/1.1 400 Bad Request\r\n\r\n", EMSGSIZE);
}
END_TEST

START_TEST(lists_have_a_bound_and_end_where_they_end) {
    const auto list = [](unsigned says, unsigned has, const std::string& behind = "") {
        std::string content = "\x0c";
        base::append_ssh_number(content, says);
        for (unsigned i = 0; i < has; ++i)
            content += string_of("blob") + string_of("comment");
        return content + behind;
    };
    ck_assert_uint_eq(read_keys(list(max_agent_keys, max_agent_keys))->others, max_agent_keys);
    CHECK_ERROR(read_keys(list(max_agent_keys + 1, max_agent_keys + 1)), E2BIG);
    CHECK_ERROR(read_keys(list(0xFFFFFFFF, 1)), E2BIG);
    CHECK_ERROR(read_keys(list(2, 1)), EPROTO);
    CHECK_ERROR(read_keys(list(1, 1, "x")), EPROTO);
    CHECK_ERROR(read_keys(list(1, 2)), EPROTO);
    CHECK_ERROR(read_keys(""), EPROTO);
    const auto blob = blob_of_line(ed25519_line).value();
    const auto one =
        read_keys("\x0c\0\0\0\1"s + string_of(blob) + string_of(std::string(999, 'c')));
    CHECK_OK(one);
    ck_assert(one->keys.size() == 1 && one->keys[0].blob == blob);
    ck_assert_uint_eq(one->keys[0].comment.size(), max_comment_bytes);
    CHECK_ERROR(sign_request(std::string(max_agent_message, 'x'), ""), EMSGSIZE);
    CHECK_ERROR(sign_request("", std::string(max_agent_message, 'x')), EMSGSIZE);
}
END_TEST

START_TEST(the_largest_answer_is_taken_whole) {
    std::string content = "\x0e";
    base::append_ssh_string(content, std::string(max_agent_message - 5, 's'));
    const FalseAgent agent{answering(message_of(content))};
    const auto signature = asked(agent.socket()).sign("key", "bytes");
    CHECK_OK(signature);
    ck_assert(*signature == std::string(max_agent_message - 5, 's'));
}
END_TEST

void times_out(const std::function<void(int)>& serve) {
    const FalseAgent agent{serve};
    const auto before = base::read_boot_time();
    CHECK_ERROR(asked(agent.socket()).list(impatience), ETIMEDOUT);
    ck_assert(base::read_boot_time() - before < Seconds{10});
}

START_TEST(nobody_waits_longer_than_he_said) {
    times_out([](int) { ::pause(); });
    times_out([](int connection) {
        hear(connection);
        ::pause();
    });
    // A byte now and then does not put it off.
    times_out([](int connection) {
        hear(connection);
        say(connection, "\0\0\1\0\x0c"s);
        for (;;) {
            ::usleep(20'000);
            say(connection, "x");
        }
    });
    // One that has too much to do to let anybody in.
    const FalseAgent full{{}, 0};
    const auto path = full.socket();
    std::vector<base::UniqueFd> waiting;
    for (int i = 0; i < 4; ++i) {
        sockaddr_un address{.sun_family = AF_UNIX};
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        waiting.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        (void)!::connect(waiting.back().get(), reinterpret_cast<sockaddr*>(&address),
                         sizeof address);
    }
    CHECK_ERROR(asked(path).list(impatience), ETIMEDOUT);
}
END_TEST

} // namespace

int main() {
    return vigil::test::run("agent",
                            {the_agents_security_keys_are_found_and_sign,
                             a_socket_that_the_person_may_not_open_is_not_opened,
                             where_there_is_no_agent_that_is_said, lies_are_refused,
                             lists_have_a_bound_and_end_where_they_end,
                             the_largest_answer_is_taken_whole, nobody_waits_longer_than_he_said},
                            {.seconds = 60});
}
