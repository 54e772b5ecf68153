// A lock whose session loses its last terminal: nobody can be asked there any more.

#include "tests/unit/core_support.hpp"

using namespace vigil;
using namespace vigil::test;

namespace {

Host locked_host(policy::SessionRule rule = {.idle_lock = 15min, .idle_terminate = 1h}) {
    Host host{policy_of(std::move(rule))};
    host.login(1, 0s);
    host.lock(1, 1s);
    return host;
}

SessionView view_of(const Host& host) {
    return *host.machine.view(id_of(1));
}

START_TEST(what_stood_still_at_the_last_terminal_is_ended_and_the_lock_stays) {
    auto host = locked_host();
    CHECK_TEXT(kinds(host.step(TerminalClosed{id_of(1)}, 2s)), "Lock");
    const auto effects = host.step(none_left(1), 2s);
    CHECK_TEXT(kinds(effects), "Audit KillFrozen LookForGaps");
    CHECK_TEXT(told(effects), "[its last terminal is closed]");
    ck_assert(find<Audit>(effects)->kind == AuditKind::terminals_closed);
    ck_assert(find<KillFrozen>(effects)->stays_locked);
    CHECK_TEXT(find<KillFrozen>(effects)->cgroup, "/user.slice/session-c1.scope");
    ck_assert(host.state(1) == State::locked);
    ck_assert(view_of(host).terminals.empty());
    ck_assert(view_of(host).gaps.empty()); // nothing of it is not held
}
END_TEST

START_TEST(it_is_not_tried_again_and_ends_for_idleness_at_its_time) {
    auto host = locked_host();
    host.step(none_left(1), 2s);
    host.step(GapsSeen{id_of(1), {{Gap::Kind::closed, "closed"}}}, 3s);
    CHECK_TEXT(view_of(host).next_action, "terminate");
    ck_assert(view_of(host).next_at == at(1h).boot);
    ck_assert(host.deadline() == 1h - work_window);
    CHECK_TEXT(kinds(host.tick(1h - work_window)), "ReadActivity");
    ck_assert(host.step(no_terminal(1), 1h - work_window).empty());
    ck_assert(view_of(host).next_at == at(1h).boot);
    CHECK_TEXT(kinds(host.tick(1h)), "ReadActivity");
    CHECK_TEXT(told(host.step(no_terminal(1), 1h)),
               "[ended: it was idle for 1 h]<This session ends now: it was idle for 1 h.>");
}
END_TEST

START_TEST(without_limits_it_costs_no_wakeup) {
    auto host = locked_host({.idle_lock = 15min});
    host.step(none_left(1), 2s);
    host.step(GapsSeen{id_of(1), {}}, 3s);
    ck_assert(host.deadline() == Microseconds::max());
    CHECK_TEXT(view_of(host).next_action, "");
}
END_TEST

START_TEST(the_work_that_goes_on_over_its_connection_puts_the_end_off) {
    auto host = locked_host();
    host.step(none_left(1), 2s);
    auto seen = no_terminal(1);
    host.step(seen, 50min);
    seen.work.bytes = 1'000'000'000;
    host.step(seen, 1h);
    ck_assert(host.state(1) == State::locked);
    ck_assert(view_of(host).next_at == at(2h).boot);
}
END_TEST

START_TEST(nobody_gets_it_back_by_asking_for_a_lock_once_more) {
    auto host = locked_host();
    host.step(TerminalClosed{id_of(1)}, 2s);
    host.step(no_terminal(1), 2s);
    ck_assert(host.step(LockAsked{7, id_of(1), "by alice"}, 2s).empty());
    const auto effects = host.step(none_left(1), 2s);
    CHECK_TEXT(answer(effects), "");
    ck_assert(find<Unlock>(effects) == nullptr);
    ck_assert(host.state(1) == State::locked);
    CHECK_TEXT(kinds(host.step(LockAsked{8, id_of(1), "by alice"}, 4s)), "ReplyDone");
    ck_assert(host.state(1) == State::locked);
}
END_TEST

START_TEST(who_closes_it_as_somebody_asks_for_the_lock_does_not_get_it_back) {
    Host host{policy_of({.idle_lock = 15min})};
    host.login(1, 0s);
    host.step(LockAsked{7, id_of(1), "root"}, 1s);
    host.step(activity(1, 0s, 0s), 1s);
    const auto effects = host.step(none_left(1), 1s);
    CHECK_TEXT(answer(effects), "");
    ck_assert(find<Unlock>(effects) == nullptr);
    ck_assert(host.state(1) == State::locked);
}
END_TEST

START_TEST(a_look_that_failed_gives_nothing_back_and_ends_nothing) {
    Host host{policy_of({.idle_lock = 15min})};
    host.login(1, 0s);
    host.step(no_terminal(1), 1s);
    host.step(LockAsked{7, id_of(1), "root"}, 1s);
    const auto effects = host.step(LockDone{id_of(1), false, "too many open files"}, 1s);
    CHECK_TEXT(kinds(effects), "Audit ReplyDone");
    CHECK_TEXT(answer(effects), wire::error_broken);
    ck_assert(host.deadline() == 6s);
    ck_assert(host.state(1) == State::locked);
}
END_TEST

START_TEST(one_that_closes_before_it_was_held_is_locked_all_the_same) {
    Host host{policy_of({.idle_lock = 15min})};
    host.login(1, 0s);
    host.step(activity(1, 0s, 0s), 15min);
    const auto effects = host.step(none_left(1), 15min);
    CHECK_TEXT(kinds(effects), "Audit KillFrozen LookForGaps");
    CHECK_TEXT(told(effects), "[locked: idle for 15 min; its last terminal is closed]");
    ck_assert(host.state(1) == State::locked);
}
END_TEST

START_TEST(a_terminal_that_is_opened_then_is_held_and_asked_at) {
    auto host = locked_host();
    host.step(none_left(1), 2s);
    CHECK_TEXT(kinds(host.step(TerminalOpened{id_of(1)}, 3s)), "Lock");
    host.step(LockDone{id_of(1), true, {}, {"/dev/pts/4"}}, 3s);
    CHECK_TEXT(view_of(host).terminals.front(), "/dev/pts/4");
    // What was held there is ended, which is told each time; another look that finds none is not.
    const auto effects = host.step(none_left(1), 4s);
    CHECK_TEXT(told(effects), "[its last terminal is closed]");
    ck_assert(find<KillFrozen>(effects) != nullptr);
    CHECK_TEXT(told(host.step(none_left(1), 5s)), "");
    // Nor does it take a prompt to hold something.
    host.step(LockDone{id_of(1), false, "no prompt", {"/dev/pts/4"}, true}, 6s);
    CHECK_TEXT(told(host.step(none_left(1), 7s)), "[its last terminal is closed]");
}
END_TEST

START_TEST(it_is_the_same_after_a_crash) {
    auto host = locked_host();
    CHECK_TEXT(kinds(host.restart(3s)), "KeepMarks Watch Lock");
    const auto effects = host.step(none_left(1), 3s);
    CHECK_TEXT(kinds(effects), "Audit KillFrozen LookForGaps");
    ck_assert(host.state(1) == State::locked);
    ck_assert(view_of(host).next_at == at(1h + 1s).boot); // the lock's time is what is known
}
END_TEST

START_TEST(it_is_no_lock_that_is_not_complete) {
    auto host = locked_host({.incomplete_lock = policy::IncompleteLock::end});
    host.step(none_left(1), 2s);
    host.step(GapsSeen{id_of(1), {{Gap::Kind::closed, "closed"}}}, 3s);
    ck_assert(host.state(1) == State::locked);
}
END_TEST

START_TEST(an_operator_gets_it_back) {
    auto host = locked_host();
    host.step(none_left(1), 2s);
    CHECK_TEXT(kinds(host.step(UnlockAsked{8, id_of(1), "root", {}}, 3s)), "StoreSession Unlock");
    host.step(UnlockDone{id_of(1), true, {}}, 3s);
    ck_assert(host.state(1) == State::active);
}
END_TEST

START_TEST(a_terminal_that_closes_means_something_under_a_lock_alone) {
    Host host{policy_of({.idle_lock = 15min})};
    host.step(reserve(1), 0s);
    host.login(2, 0s);
    host.login(3, 0s);
    host.step(TerminateAsked{1, id_of(3), "root", {}}, 1s);
    for (const std::uint32_t number : {1, 2, 3, 9})
        ck_assert(host.step(TerminalClosed{id_of(number)}, 2s).empty());
}
END_TEST

} // namespace

int main() {
    return vigil::test::run(
        "core: no terminal left",
        {what_stood_still_at_the_last_terminal_is_ended_and_the_lock_stays,
         it_is_not_tried_again_and_ends_for_idleness_at_its_time, without_limits_it_costs_no_wakeup,
         the_work_that_goes_on_over_its_connection_puts_the_end_off,
         nobody_gets_it_back_by_asking_for_a_lock_once_more,
         who_closes_it_as_somebody_asks_for_the_lock_does_not_get_it_back,
         a_look_that_failed_gives_nothing_back_and_ends_nothing,
         one_that_closes_before_it_was_held_is_locked_all_the_same,
         a_terminal_that_is_opened_then_is_held_and_asked_at, it_is_the_same_after_a_crash,
         it_is_no_lock_that_is_not_complete, an_operator_gets_it_back,
         a_terminal_that_closes_means_something_under_a_lock_alone});
}
