// BusClient against peers of every bad kind.

#include "base/bus_client.hpp"
#include "tests/unit/bus_peers.hpp"

#include <sys/resource.h>

using namespace vigil;
using namespace vigil::base;
using namespace vigil::test;
using namespace std::chrono_literals;

namespace {

struct Outcome {
    Result<BusClient> client;
    Microseconds took;
};

Outcome connect_within(const char* path, Microseconds time) {
    const BootTime start = read_boot_time();
    auto client = BusClient::connect(path, start + time);
    return {std::move(client), read_boot_time() - start};
}

START_TEST(without_a_socket_it_is_told_at_once) {
    const Listener listener;
    const Outcome outcome = connect_within((std::string{listener.path()} + "x").c_str(), ample);
    CHECK_ERROR(outcome.client, ENOENT);
    ck_assert_int_lt(outcome.took.count(), ample.count());
}
END_TEST

START_TEST(a_socket_nobody_listens_on_refuses) {
    Listener listener;
    listener.stop();
    CHECK_ERROR(connect_within(listener.path(), ample).client, ECONNREFUSED);
}
END_TEST

START_TEST(a_path_too_long_is_refused) {
    CHECK_ERROR(connect_within(std::string(200, 'x').c_str(), ample).client, ENAMETOOLONG);
}
END_TEST

START_TEST(a_daemon_that_never_accepts_costs_the_deadline) {
    const Listener listener;
    const Outcome outcome = connect_within(listener.path(), brief);
    CHECK_ERROR(outcome.client, ETIMEDOUT);
    CHECK_WHOLE_DEADLINE(outcome.took);
}
END_TEST

START_TEST(a_full_backlog_costs_the_deadline) {
    Listener listener{0};
    const auto callers = listener.fill();
    const Outcome outcome = connect_within(listener.path(), brief);
    CHECK_ERROR(outcome.client, ETIMEDOUT);
    CHECK_WHOLE_DEADLINE(outcome.took);
}
END_TEST

START_TEST(a_backlog_that_empties_lets_it_in) {
    Listener listener{0};
    auto callers = listener.fill();
    const std::size_t waiting = callers.size() - 1;
    std::thread server{[&] {
        for (std::size_t i = 0; i < waiting; ++i)
            (void)listener.accept();
        serve_echo(listener.accept().get());
    }};
    {
        const Outcome outcome = connect_within(listener.path(), ample);
        CHECK_OK(outcome.client);
    }
    server.join();
}
END_TEST

START_TEST(a_daemon_that_accepts_and_is_silent_costs_the_deadline) {
    const Listener listener;
    const Peer peer{listener, wait_for_hangup};
    const Outcome outcome = connect_within(listener.path(), brief);
    CHECK_ERROR(outcome.client, ETIMEDOUT);
    CHECK_WHOLE_DEADLINE(outcome.took);
}
END_TEST

START_TEST(a_daemon_that_hangs_up_in_the_handshake_costs_nothing) {
    const Listener listener;
    const Peer peer{listener, [](int fd) {
                        char byte;
                        ck_assert_int_eq(read(fd, &byte, 1), 1);
                    }};
    const Outcome outcome = connect_within(listener.path(), ample);
    CHECK_ERROR(outcome.client, ECONNRESET);
    ck_assert_int_lt(outcome.took.count(), ample.count());
}
END_TEST

START_TEST(a_daemon_that_hangs_up_half_way_through_its_answer_costs_nothing) {
    const Listener listener;
    const Peer peer{listener, [](int fd) {
                        char bytes[512];
                        ck_assert_int_gt(read(fd, bytes, sizeof bytes), 0);
                        ck_assert_int_eq(write(fd, "DATA\r\nOK 0", 10), 10);
                    }};
    CHECK_ERROR(connect_within(listener.path(), ample).client, ECONNRESET);
}
END_TEST

START_TEST(a_peer_that_speaks_something_else_is_refused) {
    const Listener listener;
    const Peer peer{listener, [](int fd) {
                        const std::string text(4000, 'x');
                        ck_assert_int_gt(write(fd, text.data(), text.size()), 0);
                        ck_assert_int_gt(write(fd, "\r\n\r\n\r\n", 6), 0);
                        wait_for_hangup(fd);
                    }};
    const Outcome outcome = connect_within(listener.path(), ample);
    ck_assert(!outcome.client);
    ck_assert_int_lt(outcome.took.count(), ample.count());
}
END_TEST

START_TEST(a_deadline_that_is_over_is_over) {
    const Listener listener;
    CHECK_ERROR(BusClient::connect(listener.path(), read_boot_time()), ETIMEDOUT);
    CHECK_ERROR(BusClient::connect(listener.path(), BootTime{}), ETIMEDOUT);
}
END_TEST

Result<BusMessage> call(BusClient& client, const char* method) {
    auto message = client.message("/test", "org.test", method);
    CHECK_OK(message);
    return client.call(std::move(*message));
}

START_TEST(a_call_is_answered) {
    const Listener listener;
    const Peer peer{listener, serve_echo};
    auto outcome = connect_within(listener.path(), ample);
    CHECK_OK(outcome.client);
    const auto reply = call(*outcome.client, "Echo");
    CHECK_OK(reply);
    const char* text = nullptr;
    ck_assert_int_gt(sd_bus_message_read(reply->get(), "s", &text), 0);
    CHECK_TEXT(text, "echo");
    ck_assert_int_eq(sd_bus_can_send(outcome.client->get(), 'h'), 1);
}
END_TEST

START_TEST(an_error_reply_keeps_its_words) {
    const Listener listener;
    const Peer peer{listener, serve_echo};
    auto outcome = connect_within(listener.path(), ample);
    CHECK_OK(outcome.client);
    const auto reply = call(*outcome.client, "Refuse");
    CHECK_ERROR(reply, EACCES);
    CHECK_TEXT(reply.error().what, "not you");
}
END_TEST

START_TEST(a_call_never_answered_costs_the_deadline) {
    const Listener listener;
    const Peer peer{listener, serve_echo};
    const BootTime start = read_boot_time();
    auto client = BusClient::connect(listener.path(), start + 1s);
    CHECK_OK(client);
    CHECK_ERROR(call(*client, "Silence"), ETIMEDOUT);
    const Microseconds took = read_boot_time() - start;
    ck_assert_int_ge(took.count(), Microseconds{1s}.count());
    ck_assert_int_lt(took.count(), ample.count());
    CHECK_ERROR(call(*client, "Echo"), ETIMEDOUT); // the deadline is everything's
}
END_TEST

START_TEST(a_signal_in_the_wait_changes_nothing) {
    const Listener listener;
    const Peer peer{listener, wait_for_hangup};
    struct sigaction action{};
    action.sa_handler = [](int) {};
    sigaction(SIGALRM, &action, nullptr);
    const itimerval every{.it_interval = {.tv_sec = 0, .tv_usec = 20'000},
                          .it_value = {.tv_sec = 0, .tv_usec = 20'000}};
    setitimer(ITIMER_REAL, &every, nullptr);
    const Outcome outcome = connect_within(listener.path(), brief);
    CHECK_ERROR(outcome.client, ETIMEDOUT);
    CHECK_WHOLE_DEADLINE(outcome.took);
}
END_TEST

START_TEST(without_descriptors_it_says_so) {
    const Listener listener;
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    const rlimit none{.rlim_cur = 0, .rlim_max = limit.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    const Outcome outcome = connect_within(listener.path(), ample);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    CHECK_ERROR(outcome.client, EMFILE);
}
END_TEST

START_TEST(closed_standard_descriptors_are_not_taken) {
    const Listener listener;
    const Peer peer{listener, serve_echo};
    const UniqueFd saved{fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10)};
    close(STDIN_FILENO);
    auto outcome = connect_within(listener.path(), ample);
    CHECK_OK(outcome.client);
    ck_assert_int_gt(sd_bus_get_fd(outcome.client->get()), STDERR_FILENO);
    CHECK_OK(call(*outcome.client, "Echo"));
}
END_TEST

START_TEST(nothing_is_left_open) {
    const auto open_descriptors = [] {
        return std::distance(std::filesystem::directory_iterator{"/proc/self/fd"}, {});
    };
    const Listener listener;
    const auto before = open_descriptors();
    for (int i = 0; i < 3; ++i)
        CHECK_ERROR(BusClient::connect(listener.path(), read_boot_time() + 10ms), ETIMEDOUT);
    ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

START_TEST(pid1_is_left_alone_where_the_system_bus_is_another) {
    ::setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere", 1);
    CHECK_ERROR(open_service_manager(), EPERM);
}
END_TEST

} // namespace

int main() {
    return vigil::test::run(
        "base_bus_client",
        {without_a_socket_it_is_told_at_once, a_socket_nobody_listens_on_refuses,
         a_path_too_long_is_refused, a_daemon_that_never_accepts_costs_the_deadline,
         a_full_backlog_costs_the_deadline, a_backlog_that_empties_lets_it_in,
         a_daemon_that_accepts_and_is_silent_costs_the_deadline,
         a_daemon_that_hangs_up_in_the_handshake_costs_nothing,
         a_daemon_that_hangs_up_half_way_through_its_answer_costs_nothing,
         a_peer_that_speaks_something_else_is_refused, a_deadline_that_is_over_is_over,
         a_call_is_answered, an_error_reply_keeps_its_words,
         a_call_never_answered_costs_the_deadline, a_signal_in_the_wait_changes_nothing,
         without_descriptors_it_says_so, closed_standard_descriptors_are_not_taken,
         nothing_is_left_open, pid1_is_left_alone_where_the_system_bus_is_another},
        {.seconds = 60});
}
