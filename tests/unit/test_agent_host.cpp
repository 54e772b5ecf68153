// The ssh agent's client inside of a host that is root: what its child has of the host, and what
// the host notices of its child.

#include "base/clock.hpp"
#include "base/process.hpp"
#include "tests/unit/agents.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <poll.h>

using namespace vigil;
using namespace vigil::test;
using namespace std::string_literals;

namespace {

int open_files() {
    return static_cast<int>(
        std::distance(std::filesystem::directory_iterator{"/proc/self/fd"}, {}));
}

std::string status_of(pid_t pid) {
    std::ifstream file{"/proc/" + std::to_string(pid) + "/status"};
    return {std::istreambuf_iterator<char>{file}, {}};
}

pid_t peer_of(int connection) {
    ucred peer{};
    socklen_t size = sizeof peer;
    ck_assert_int_eq(::getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size), 0);
    ck_assert_uint_eq(peer.uid, nobody);
    ck_assert_uint_eq(peer.gid, nobodys_group);
    return peer.pid;
}

START_TEST(who_asks_has_nothing_of_the_hosts) {
    const base::UniqueFd mine{::open("/etc/shadow", O_RDONLY)}; // inherited, were it not closed
    ck_assert(bool{mine});
    const FalseAgent agent{[](int connection) {
        hear(connection);
        ucred peer{};
        socklen_t size = sizeof peer;
        ::getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size);
        std::string seen = status_of(peer.pid) + "peer: " + std::to_string(peer.uid) + "\nopen:";
        const std::string files = "/proc/" + std::to_string(peer.pid) + "/fd";
        std::error_code none;
        for (const auto& file : std::filesystem::directory_iterator{files, none})
            seen += " " + std::filesystem::read_symlink(file.path(), none).string().substr(0, 6);
        say(connection, message_of("\x0e" + string_of(seen)));
    }};
    const auto seen = asked(agent.socket()).sign("key", "bytes");
    CHECK_OK(seen);
    for (const char* line :
         {"\nUid:\t65534\t65534\t65534\t65534\n", "\nGid:\t65534\t65534\t65534\t65534\n",
          "\nGroups:\t \n", "\nCapPrm:\t0000000000000000\n", "\nCapEff:\t0000000000000000\n",
          "\nNoNewPrivs:\t1\n", "\npeer: 65534\n"})
        ck_assert_msg(seen->contains(line), "%s is not in %s", line, seen->c_str());
    const auto open = seen->substr(seen->find("open:"));
    ck_assert_msg(open == "open: pipe:[ socket" || open == "open: socket pipe:[", "%s",
                  open.c_str());
}
END_TEST

std::atomic<int> children_heard;

START_TEST(the_host_hears_of_no_child) {
    const FalseAgent agent{answering(message_of("\x0c\0\0\0\0"s))};
    const int before = open_files();
    struct sigaction action{};
    action.sa_handler = [](int) { ++children_heard; };
    ck_assert_int_eq(::sigaction(SIGCHLD, &action, nullptr), 0);
    const pid_t own = ::fork();
    ck_assert_int_ge(own, 0);
    if (own == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::pause();
        ::_exit(0);
    }
    for (int i = 0; i < 20; ++i)
        CHECK_OK(asked(agent.socket()).list());
    CHECK_ERROR(asked("/nowhere/agent").list(), ENOENT);
    ck_assert_int_eq(children_heard, 0);
    // What the host would wait for are its own children: the agent and this one, both alive.
    ck_assert_int_eq(::waitpid(-1, nullptr, WNOHANG), 0);
    ck_assert_int_eq(open_files(), before);
    // None is left that has ended and was not waited for.
    const auto children =
        base::read_small_file("/proc/self/task/" + std::to_string(::getpid()) + "/children");
    CHECK_OK(children);
    ck_assert_int_eq(std::ranges::count(*children, ' '), 2);
    sigset_t blocked;
    ck_assert_int_eq(::sigprocmask(SIG_BLOCK, nullptr, &blocked), 0);
    ck_assert(!sigismember(&blocked, SIGINT) && !sigismember(&blocked, SIGCHLD));
    ck_assert_int_eq(::kill(own, SIGKILL), 0);
    ck_assert_int_eq(::waitpid(own, nullptr, 0), own);
}
END_TEST

START_TEST(a_host_that_ignores_its_children_is_served_as_well) {
    const FalseAgent agent{answering(message_of("\x0c\0\0\0\0"s))};
    ck_assert(::signal(SIGCHLD, SIG_IGN) != SIG_ERR);
    CHECK_OK(asked(agent.socket()).list());
    CHECK_ERROR(asked("/nowhere/agent").list(), ENOENT);
}
END_TEST

START_TEST(a_host_with_threads_is_served_and_keeps_its_uid) {
    const FalseAgent agent{answering(message_of("\x0c\0\0\0\0"s))};
    std::atomic<bool> over = false;
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&] {
            // Allocating, and starting threads, takes the locks that a copy would find taken.
            while (!over)
                std::jthread{[] { std::string(100'000, 'x').clear(); }}.join();
        });
    for (int i = 0; i < 50; ++i)
        CHECK_OK(asked(agent.socket()).list());
    over = true;
    threads.clear();
    ck_assert_uint_eq(::geteuid(), 0);
}
END_TEST

std::atomic<int> interrupts_heard;

/// In a child: what sign() said, and how often the host's own handler has run by then.
struct Seen {
    int code = 0;
    int heard = 0;
    bool took_long = false;
};

Seen interrupted_by(int number, void (*disposition)(int)) {
    const FalseAgent agent{{}};
    int ends[2];
    ck_assert_int_eq(::pipe2(ends, O_CLOEXEC), 0);
    const base::UniqueFd from{ends[0]};
    base::UniqueFd to{ends[1]};
    const pid_t host = ::fork();
    ck_assert_int_ge(host, 0);
    if (host == 0) {
        struct sigaction action{};
        action.sa_handler = disposition;
        ::sigaction(number, &action, nullptr);
        const auto before = base::read_boot_time();
        const auto done = asked(agent.socket()).sign("key", "bytes", Seconds{2});
        const Seen seen{done ? 0 : done.error().code, interrupts_heard,
                        base::read_boot_time() - before > Seconds{1}};
        (void)!::write(to.get(), &seen, sizeof seen);
        ::_exit(0);
    }
    to.reset();
    const base::UniqueFd connection{::accept(agent.listener(), nullptr, nullptr)};
    hear(connection.get());
    ck_assert_int_eq(::kill(host, number), 0);
    Seen seen;
    ck_assert_int_eq(::read(from.get(), &seen, sizeof seen), sizeof seen);
    ck_assert_int_eq(::waitpid(host, nullptr, 0), host);
    // And the child goes with the wait.
    char byte;
    ck_assert_int_eq(::recv(connection.get(), &byte, 1, 0), 0);
    return seen;
}

START_TEST(an_interrupt_ends_the_wait_and_is_the_hosts) {
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
        const auto seen = interrupted_by(number, [](int) { ++interrupts_heard; });
        ck_assert_int_eq(seen.code, ECANCELED);
        ck_assert_int_eq(seen.heard, 1);
        ck_assert(!seen.took_long);
    }
}
END_TEST

START_TEST(what_the_host_ignores_ends_nothing) {
    const auto seen = interrupted_by(SIGINT, SIG_IGN);
    ck_assert_int_eq(seen.code, ETIMEDOUT);
    // Another signal of the host's runs its handler at once, and the wait goes on.
    const auto window = interrupted_by(SIGWINCH, [](int) { ++interrupts_heard; });
    ck_assert_int_eq(window.code, ETIMEDOUT);
    ck_assert_int_eq(window.heard, 1);
}
END_TEST

START_TEST(who_asks_does_not_outlive_the_host) {
    const FalseAgent agent{{}};
    const pid_t host = ::fork();
    ck_assert_int_ge(host, 0);
    if (host == 0) {
        (void)asked(agent.socket()).sign("key", "bytes");
        ::_exit(0);
    }
    const base::UniqueFd connection{::accept(agent.listener(), nullptr, nullptr)};
    ck_assert(bool{connection});
    hear(connection.get());
    const auto child = base::open_pidfd(peer_of(connection.get()));
    CHECK_OK(child);
    ck_assert_int_eq(::kill(host, SIGKILL), 0);
    ck_assert_int_eq(::waitpid(host, nullptr, 0), host);
    pollfd ended{.fd = child->get(), .events = POLLIN, .revents = 0};
    ck_assert_int_eq(::poll(&ended, 1, 10'000), 1);
}
END_TEST

} // namespace

int main() {
    return vigil::test::run("agent_host",
                            {who_asks_has_nothing_of_the_hosts, the_host_hears_of_no_child,
                             a_host_that_ignores_its_children_is_served_as_well,
                             a_host_with_threads_is_served_and_keeps_its_uid,
                             an_interrupt_ends_the_wait_and_is_the_hosts,
                             what_the_host_ignores_ends_nothing,
                             who_asks_does_not_outlive_the_host},
                            {.seconds = 60});
}
