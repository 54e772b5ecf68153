#include "daemon/enforce/work.hpp"
#include "tests/unit/scope_help.hpp"

#include <csignal>
#include <ctime>
#include <functional>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

using namespace vigil;
using policy::SessionClass;
using test::named;
using test::scope;
using test::start;
using test::start_in_scope;

namespace {

/// A leader whose children have these names.
SessionClass class_of(const std::vector<const char*>& names) {
    test::make_scope();
    const pid_t leader = start_in_scope([&] {
        for (const char* name : names)
            named(name);
    });
    const auto found = enforce::classify(scope(), leader);
    CHECK_OK(found);
    test::remove_scope();
    return *found;
}

/// A connected TCP socket; what listened for it is closed.
struct Connection {
    base::UniqueFd here;
    base::UniqueFd there;

    Connection() {
        const base::UniqueFd listening{::socket(AF_INET, SOCK_STREAM, 0)};
        sockaddr_in address{.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
        socklen_t size = sizeof address;
        auto* const any = reinterpret_cast<sockaddr*>(&address);
        ck_assert_int_eq(::bind(listening.get(), any, size), 0);
        ck_assert_int_eq(::listen(listening.get(), 1), 0);
        ck_assert_int_eq(::getsockname(listening.get(), any, &size), 0);
        here.reset(::socket(AF_INET, SOCK_STREAM, 0));
        ck_assert_int_eq(::connect(here.get(), any, size), 0);
        there.reset(::accept(listening.get(), nullptr, nullptr));
        ck_assert_int_ge(there.get(), 0);
    }
};

void send(const base::UniqueFd& from, const base::UniqueFd& to, std::size_t size) {
    const std::string text(size, 'x');
    ck_assert_int_eq(::send(from.get(), text.data(), size, 0), static_cast<ssize_t>(size));
    std::string got(size, ' ');
    ck_assert_int_eq(::recv(to.get(), got.data(), size, MSG_WAITALL), static_cast<ssize_t>(size));
}

START_TEST(the_bytes_of_a_connection_count_both_ways) {
    ck_assert_uint_eq(enforce::connection_bytes(::getpid()).value(), 0); // there is none
    const Connection connection;
    const auto before = enforce::connection_bytes(::getpid()).value(); // the first SYN counts
    ck_assert_uint_le(before, 1);
    send(connection.here, connection.there, 5000);
    send(connection.there, connection.here, 700);
    // What was sent counts once it is acknowledged.
    for (int attempt = 0;
         enforce::connection_bytes(::getpid()).value() < before + 5700 && attempt < 2000; ++attempt)
        ::poll(nullptr, 0, 1);
    ck_assert_uint_eq(enforce::connection_bytes(::getpid()).value(), before + 5700);
}
END_TEST

START_TEST(other_sockets_are_no_connection) {
    int pair[2];
    ck_assert_int_eq(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    const base::UniqueFd datagrams{::socket(AF_INET, SOCK_DGRAM, 0)};
    ck_assert_uint_eq(enforce::connection_bytes(::getpid()).value(), 0);
    const Connection connection;
    send(connection.here, connection.there, 10);
    ck_assert_uint_ge(enforce::connection_bytes(::getpid()).value(), 10);
}
END_TEST

START_TEST(it_is_seen_from_another_network_namespace) {
    const Connection connection;
    send(connection.here, connection.there, 4242);
    const pid_t other = ::fork();
    if (other == 0)
        ::_exit(::unshare(CLONE_NEWNET) == 0 &&
                        enforce::connection_bytes(::getppid()).value_or(0) >= 4242
                    ? 0
                    : 1);
    int status = -1;
    ck_assert_int_eq(::waitpid(other, &status, 0), other);
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(a_process_that_is_gone_is_an_error_and_no_idleness) {
    const pid_t gone = ::fork();
    if (gone == 0)
        ::_exit(0);
    ck_assert_int_eq(::waitpid(gone, nullptr, 0), gone);
    CHECK_ERROR(enforce::connection_bytes(gone), ESRCH);
    ck_assert(!enforce::processor_time("/vigil-no-such.scope"));
    enforce::MovedReader reader;
    const auto work = enforce::read_work("/vigil-no-such.scope", ::getpid(), 0, reader);
    ck_assert(!work.processor && !work.moved);
}
END_TEST

START_TEST(processor_time_counts_those_that_ended_and_those_below) {
    test::make_scope();
    const auto work = [] {
        const auto until = std::clock() + CLOCKS_PER_SEC / 50;
        while (std::clock() < until)
            ;
    };
    const auto before = enforce::processor_time(scope());
    CHECK_OK(before);
    const pid_t worker = start_in_scope(work);
    CHECK_OK(enforce::make_frozen_child(scope()));
    CHECK_OK(enforce::move_to_frozen(scope(), worker));
    const auto after = enforce::processor_time(scope());
    ck_assert(*after - *before > std::chrono::milliseconds{5});
    ::kill(worker, SIGKILL);
    ::waitpid(worker, nullptr, 0);
    ck_assert(*enforce::processor_time(scope()) >= *after);
    const auto resting = enforce::processor_time(scope());
    ::poll(nullptr, 0, 50);
    ck_assert(*enforce::processor_time(scope()) - *resting < std::chrono::milliseconds{5});
    test::remove_scope();
}
END_TEST

START_TEST(who_is_no_sshd_has_no_connection) {
    test::make_scope();
    const Connection connection;
    send(connection.here, connection.there, 100);
    // A helper that lived on would be waited for.
    const auto work = [] {
        enforce::MovedReader reader;
        return enforce::read_work(scope(), ::getpid(), 0, reader);
    }();
    ck_assert(work.bytes == 0U);
    ck_assert(work.processor.has_value());
    ck_assert(work.moved && work.moved->empty());
    test::remove_scope();
}
END_TEST

START_TEST(what_runs_tells_the_class) {
    ck_assert(class_of({}) == SessionClass::forward);
    ck_assert(class_of({"sftp-server"}) == SessionClass::transfer);
    ck_assert(class_of({"scp", "rsync"}) == SessionClass::transfer);
    for (const char* name : {"git-upload-pack", "git-receive-pack", "git-upload-archive"})
        ck_assert(class_of({name}) == SessionClass::transfer);
    ck_assert(class_of({"sleep"}) == SessionClass::command);
    ck_assert(class_of({"sftp-server", "sleep"}) == SessionClass::command);
    ck_assert(class_of({"scp-not"}) == SessionClass::command);
    ck_assert(class_of({"sshd"}) == SessionClass::command); // its leader is none
}
END_TEST

START_TEST(what_starts_a_copy_and_what_it_starts_belong_to_it) {
    test::make_scope();
    const pid_t leader = start_in_scope([] {
        start([] {
            ::prctl(PR_SET_NAME, "bash");
            start([] {
                ::prctl(PR_SET_NAME, "git-receive-pack");
                named("git");
            });
        });
    });
    ck_assert(enforce::classify(scope(), leader).value() == SessionClass::transfer);
    test::remove_scope();
    CHECK_ERROR(enforce::classify(scope(), leader), ENOENT);
}
END_TEST

START_TEST(more_than_is_looked_at_is_a_command) {
    test::make_scope();
    const pid_t leader = start_in_scope([] {
        for (std::size_t i = 0; i <= enforce::max_classified; ++i)
            named("scp");
    });
    ck_assert(enforce::classify(scope(), leader).value() == SessionClass::command);
    test::remove_scope();
}
END_TEST

} // namespace

int main() {
    return vigil::test::run(
        "enforce: work",
        {the_bytes_of_a_connection_count_both_ways, other_sockets_are_no_connection,
         it_is_seen_from_another_network_namespace,
         a_process_that_is_gone_is_an_error_and_no_idleness,
         processor_time_counts_those_that_ended_and_those_below, who_is_no_sshd_has_no_connection,
         what_runs_tells_the_class, what_starts_a_copy_and_what_it_starts_belong_to_it,
         more_than_is_looked_at_is_a_command});
}
