#include "base/clock.hpp"
#include "daemon/enforce/paused.hpp"
#include "tests/unit/pty.hpp"
#include "tests/unit/scope_help.hpp"

#include <functional>

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

using namespace vigil;
using test::named;
using test::Pty;
using test::scope;
using test::start;

namespace {

/// As a shell starts it: a process group of its own, which it leads.
pid_t job(const char* name, const std::function<void()>& more = [] {}) {
    return start([&] {
        ck_assert_int_eq(::setpgid(0, 0), 0);
        ::prctl(PR_SET_NAME, name);
        more();
    });
}

/// Start times are hundredths of a second: what is started now is younger than what was before.
void next_tick() {
    ::poll(nullptr, 0, 20);
}

/// All that is in the scope is held.
void hold() {
    CHECK_OK(enforce::make_frozen_child(scope()));
    const auto all = base::processes_in(scope());
    CHECK_OK(all);
    for (const pid_t pid : *all)
        CHECK_OK(enforce::move_to_frozen(scope(), pid));
    CHECK_OK(enforce::freeze(scope(), Seconds{2}));
}

/// A login, whose shell starts these; then all of it is held.
void hold_login(const std::function<void()>& jobs, const char* shell = "bash") {
    test::start_in_scope([&] {
        ck_assert_int_gt(::setsid(), 0);
        ::prctl(PR_SET_NAME, shell);
        jobs();
    });
    hold();
}

std::vector<enforce::PausedProgram> paused_programs(const std::string& of, BootTime locked) {
    return enforce::paused_programs(enforce::processes_under_lock(of, 0), locked);
}

/// The names, in the order they are told in.
std::string paused() {
    std::string names;
    for (const auto& program : paused_programs(scope(), base::read_boot_time()))
        names += (names.empty() ? "" : " ") + program.name;
    return names;
}

START_TEST(nothing_is_told_where_nothing_is_held) {
    CHECK_TEXT(paused(), "");
    test::start_in_scope([] { job("make"); });
    CHECK_TEXT(paused(), "");
    CHECK_OK(enforce::make_frozen_child(scope()));
    CHECK_TEXT(paused(), "");
    ck_assert(paused_programs("/vigil-no-such.scope", {}).empty());
}
END_TEST

START_TEST(a_time_of_minutes_is_told_without_seconds) {
    using namespace std::chrono_literals;
    CHECK_TEXT(enforce::text_of({"make", 59s}), "make, 59 s");
    CHECK_TEXT(enforce::text_of({"make", 119s}), "make, 1 min");
    CHECK_TEXT(enforce::text_of({"make", 130min + 59s}), "make, 2 h 10 min");
    CHECK_TEXT(enforce::text_of({"a\x1b[m", 0s}), "a\\x1b[m, 0 s");
}
END_TEST

START_TEST(who_asked_for_the_lock_is_left_out_and_nobody_who_has_its_number_later) {
    hold_login([] {
        job("vigilctl");
        job("make");
    });
    const auto processes = enforce::processes_under_lock(scope(), 0);
    for (const pid_t pid : processes.held) {
        const auto stat = base::read_process_stat(pid);
        CHECK_OK(stat);
        if (stat->command != "vigilctl")
            continue;
        const auto told = [&](std::uint64_t start_time) {
            return enforce::paused_programs(processes, base::read_boot_time(), {pid, start_time})
                .size();
        };
        ck_assert_uint_eq(told(stat->start_time), 1);
        ck_assert_uint_eq(told(stat->start_time - 1), 2);
        return;
    }
    ck_abort_msg("it is not held");
}
END_TEST

START_TEST(a_job_is_told_once_by_the_process_that_leads_it) {
    hold_login([] {
        job("make", [] {
            named("cc1");
            named("as");
        });
        next_tick();
        // The leader is the younger one here.
        start([] {
            ::prctl(PR_SET_NAME, "older");
            const pid_t leader = job("leader");
            ck_assert_int_eq(::setpgid(0, leader), 0);
        });
    });
    CHECK_TEXT(paused(), "make leader");
}
END_TEST

START_TEST(the_oldest_stands_for_a_job_whose_leader_is_gone) {
    hold_login([] {
        const pid_t leader = job("leader");
        for (const char* name : {"oldest", "younger"}) {
            start([&] {
                ck_assert_int_eq(::setpgid(0, leader), 0);
                ::prctl(PR_SET_NAME, name);
            });
            next_tick();
        }
        ck_assert_int_eq(::kill(leader, SIGKILL), 0);
        ck_assert_int_eq(::waitpid(leader, nullptr, 0), leader);
    });
    CHECK_TEXT(paused(), "oldest");
}
END_TEST

START_TEST(the_shell_of_a_login_is_no_program_and_one_that_it_starts_is) {
    for (const char* shell : {"bash", "sh", "fish"}) {
        hold_login([] { job("bash"); }, shell);
        CHECK_TEXT(paused(), "bash");
        test::remove_scope();
        ck_assert_int_eq(::mkdir(test::directory().c_str(), 0755), 0);
    }
    hold_login([] {}, "cat"); // `ssh host -t cat`
    CHECK_TEXT(paused(), "cat");
}
END_TEST

/// At a console login(1) leads the session, and is not held.
START_TEST(the_shell_that_login_started_is_no_program) {
    test::start_in_scope([] {
        ck_assert_int_gt(::setsid(), 0);
        ::prctl(PR_SET_NAME, "login");
        start([] {
            ck_assert_int_eq(::setpgid(0, 0), 0);
            ::prctl(PR_SET_NAME, "bash");
            job("make");
        });
    });
    const auto all = base::processes_in(scope());
    CHECK_OK(all);
    const auto processes = enforce::processes_under_lock(scope(), all->front());
    ck_assert(enforce::programs_going_on(processes) == std::vector<std::string>{"make"});
}
END_TEST

START_TEST(the_one_in_the_foreground_comes_first_then_the_longest) {
    const Pty pty;
    hold_login([&] {
        ck_assert_int_eq(::ioctl(pty.slave.get(), TIOCSCTTY, 0), 0);
        job("make");
        next_tick();
        job("sleep");
        next_tick();
        ck_assert_int_eq(::tcsetpgrp(pty.slave.get(), job("vim")), 0);
    });
    CHECK_TEXT(paused(), "vim make sleep");
}
END_TEST

START_TEST(it_ran_until_the_lock_and_never_less_than_no_time) {
    constexpr auto tick = std::chrono::milliseconds{10};
    const BootTime before = base::read_boot_time();
    hold_login([] { job("make"); });
    const BootTime after = base::read_boot_time();
    const BootTime locked = after + Seconds{3600};
    const auto programs = paused_programs(scope(), locked);
    ck_assert_uint_eq(programs.size(), 1);
    ck_assert(programs[0].ran >= locked - after);
    ck_assert(programs[0].ran <= locked - before + tick);
    ck_assert(paused_programs(scope(), before - Seconds{1})[0].ran == Microseconds{0});
}
END_TEST

START_TEST(a_name_is_as_the_kernel_has_it) {
    hold_login([] { job("a) \x1b[2J\n(b"); });
    CHECK_TEXT(paused(), "a) \x1b[2J\n(b");
}
END_TEST

START_TEST(no_more_are_looked_at_than_the_bound) {
    hold_login([] {
        for (std::size_t i = 0; i < enforce::max_paused_looked + 8; ++i)
            job("sleep");
    });
    const auto programs = paused_programs(scope(), base::read_boot_time());
    ck_assert_uint_le(programs.size(), enforce::max_paused_looked);
    ck_assert_uint_ge(programs.size(), enforce::max_paused_looked - 1); // but the shell
}
END_TEST

} // namespace

int main() {
    return vigil::test::run(
        "enforce: paused",
        {nothing_is_told_where_nothing_is_held, a_time_of_minutes_is_told_without_seconds,
         who_asked_for_the_lock_is_left_out_and_nobody_who_has_its_number_later,
         a_job_is_told_once_by_the_process_that_leads_it,
         the_oldest_stands_for_a_job_whose_leader_is_gone,
         the_shell_of_a_login_is_no_program_and_one_that_it_starts_is,
         the_shell_that_login_started_is_no_program,
         the_one_in_the_foreground_comes_first_then_the_longest,
         it_ran_until_the_lock_and_never_less_than_no_time, a_name_is_as_the_kernel_has_it,
         no_more_are_looked_at_than_the_bound},
        {.before = test::make_scope, .after = test::remove_scope, .seconds = 20});
}
