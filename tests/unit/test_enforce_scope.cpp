#include "daemon/enforce/scope.hpp"
#include "tests/unit/scope_help.hpp"

#include <algorithm>
#include <csignal>

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace vigil;
using test::directory;
using test::scope;

namespace {

/// A process that writes a byte into a pipe every millisecond, for as long as the pipe has a
/// reader.
struct Ticker {
    pid_t pid = -1;
    base::UniqueFd ticks;

    Ticker() {
        int ends[2];
        ck_assert_int_eq(::pipe(ends), 0);
        pid = ::fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
            ::close(ends[0]);
            while (::write(ends[1], "x", 1) == 1)
                ::poll(nullptr, 0, 1);
            ::_exit(0);
        }
        ::close(ends[1]);
        ticks.reset(ends[0]);
    }

    /// A tick comes within this time, of those that are not there yet.
    bool runs(int milliseconds) const {
        char seen[65536];
        pollfd one{.fd = ticks.get(), .events = POLLIN, .revents = 0};
        while (::poll(&one, 1, 0) == 1)
            if (::read(ticks.get(), seen, sizeof seen) <= 0)
                return false;
        return ::poll(&one, 1, milliseconds) == 1 && (one.revents & POLLIN) != 0;
    }
};

Ticker held_ticker() {
    Ticker ticker;
    CHECK_OK(enforce::make_frozen_child(scope()));
    CHECK_OK(enforce::move_to_frozen(scope(), ticker.pid));
    return ticker;
}

START_TEST(a_frozen_process_stands_still_and_goes_on_after_the_thaw) {
    const Ticker ticker = held_ticker();
    ck_assert(ticker.runs(1000));
    const auto frozen = enforce::freeze(scope(), Seconds{2});
    CHECK_OK(frozen);
    ck_assert(*frozen);
    ck_assert(enforce::is_frozen(scope()));
    ck_assert(!ticker.runs(50));
    CHECK_OK(enforce::thaw(scope()));
    ck_assert(ticker.runs(1000));
    const auto cgroup = base::cgroup_of(ticker.pid);
    CHECK_OK(cgroup);
    CHECK_TEXT(*cgroup, scope());
    ck_assert(!enforce::is_frozen(scope()));
    ck_assert_int_ne(::access((directory() + "/" + enforce::frozen_child).c_str(), F_OK), 0);
}
END_TEST

START_TEST(what_moves_into_a_frozen_child_freezes) {
    const Ticker first = held_ticker();
    CHECK_OK(enforce::freeze(scope(), Seconds{2}));
    const Ticker second;
    CHECK_OK(enforce::move_to_frozen(scope(), second.pid));
    CHECK_OK(enforce::freeze(scope(), Seconds{2})); // again, and waits for the new one
    ck_assert(!second.runs(50));
    const auto all = base::processes_in(scope());
    CHECK_OK(all);
    ck_assert(std::ranges::binary_search(*all, first.pid));
    ck_assert(std::ranges::binary_search(*all, second.pid));
}
END_TEST

START_TEST(a_frozen_process_can_be_killed) {
    const Ticker ticker = held_ticker();
    CHECK_OK(enforce::freeze(scope(), Seconds{2}));
    CHECK_OK(enforce::kill_frozen(scope()));
    int status = 0;
    ck_assert_int_eq(::waitpid(ticker.pid, &status, 0), ticker.pid);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    ck_assert(enforce::is_gone(scope()));
}
END_TEST

START_TEST(what_is_held_can_be_killed_and_the_lock_stay) {
    const Ticker ticker = held_ticker();
    CHECK_OK(enforce::freeze(scope(), Seconds{2}));
    CHECK_OK(enforce::kill_held(scope()));
    int status = 0;
    ck_assert_int_eq(::waitpid(ticker.pid, &status, 0), ticker.pid);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    ck_assert(enforce::is_frozen(scope()));
    ck_assert(enforce::is_at_rest(scope()));
    const Ticker next;
    CHECK_OK(enforce::move_to_frozen(scope(), next.pid));
    ck_assert(!next.runs(50));
    CHECK_OK(enforce::kill_held(scope() + "-gone"));
}
END_TEST

START_TEST(killing_a_scope_reaches_what_is_frozen_in_it) {
    const Ticker ticker = held_ticker();
    CHECK_OK(enforce::freeze(scope(), Seconds{2}));
    ck_assert(!enforce::is_gone(scope()));
    CHECK_OK(enforce::kill_scope(scope()));
    int status = 0;
    ck_assert_int_eq(::waitpid(ticker.pid, &status, 0), ticker.pid);
    ck_assert(enforce::is_gone(scope()));
}
END_TEST

START_TEST(a_process_that_ended_is_no_error) {
    CHECK_OK(enforce::make_frozen_child(scope()));
    CHECK_OK(enforce::make_frozen_child(scope()));
    const pid_t pid = ::fork();
    if (pid == 0)
        ::_exit(0);
    ck_assert_int_eq(::waitpid(pid, nullptr, 0), pid);
    CHECK_OK(enforce::move_to_frozen(scope(), pid));
    CHECK_ERROR(enforce::move_to_frozen(scope(), 0), EINVAL);
}
END_TEST

START_TEST(a_scope_that_is_gone_is_thawed_and_killed_without_an_error) {
    const std::string gone = scope() + "-gone";
    CHECK_OK(enforce::thaw(gone));
    CHECK_OK(enforce::kill_frozen(gone));
    CHECK_OK(enforce::kill_scope(gone));
    ck_assert(enforce::is_gone(gone));
    ck_assert(!enforce::is_frozen(gone));
    CHECK_ERROR(base::processes_in(gone), ENOENT);
    CHECK_ERROR(enforce::make_frozen_child(gone), ENOENT);
}
END_TEST

START_TEST(paths_that_leave_the_tree_are_refused) {
    for (const char* path : {"", "/", "a", "/a/../b", "/..", "/a/"})
        CHECK_ERROR(enforce::kill_scope(path), EINVAL);
}
END_TEST

} // namespace

int main() {
    return vigil::test::run(
        "scope",
        {a_frozen_process_stands_still_and_goes_on_after_the_thaw,
         what_moves_into_a_frozen_child_freezes, a_frozen_process_can_be_killed,
         what_is_held_can_be_killed_and_the_lock_stay, killing_a_scope_reaches_what_is_frozen_in_it,
         a_process_that_ended_is_no_error,
         a_scope_that_is_gone_is_thawed_and_killed_without_an_error,
         paths_that_leave_the_tree_are_refused},
        {.before = test::make_scope, .after = test::remove_scope, .seconds = 20});
}
