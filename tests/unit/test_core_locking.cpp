// The lock: every event of it in every state, and what a crash leaves.

#include "tests/unit/core_support.hpp"

using namespace vigil;
using namespace vigil::test;

namespace {

policy::Policy some_policy(policy::Mode mode = policy::Mode::enforce) {
    auto policy = policy_of({.idle_lock = 15min, .idle_terminate = 1h}, mode);
    policy.step_up.push_back({.require = {{policy::Factor::totp}}, .valid_for = 1h});
    return policy;
}

/// A session in each state, as its number.
constexpr std::uint32_t reserved = 1, active = 2, locked = 3, unlocking = 4, ending = 5,
                        unknown = 6;

Host everyone(policy::Mode mode = policy::Mode::enforce) {
    Host host{some_policy()};
    host.step(reserve(reserved), 0s);
    for (const auto number : {active, locked, unlocking, ending})
        host.login(number, 0s);
    for (const auto number : {locked, unlocking}) {
        host.lock(number, 1s);
    }
    host.step(UnlockAsked{1, id_of(unlocking), "totp", {}}, 2s);
    host.step(TerminateAsked{1, id_of(ending), "root", {}}, 2s);
    if (mode == policy::Mode::observe)
        host.step(PolicyChanged{some_policy(mode)}, 2s);
    return host;
}

START_TEST(a_lock_is_stored_then_held_then_told) {
    Host host{some_policy()};
    host.login(1, 0s);
    CHECK_TEXT(kinds(host.step(LockAsked{7, id_of(1), "root"}, 1s)),
               "ReadActivity StoreSession Lock");
    const auto effects = host.step(LockDone{id_of(1), true, "one stops later"}, 1s + 3ms);
    CHECK_TEXT(kinds(effects), "Audit ReplyDone LookForGaps");
    CHECK_TEXT(told(effects), "[locked: root; one stops later]");
    ck_assert(find<Audit>(effects)->kind == AuditKind::session_locked);
    ck_assert(host.machine.view(id_of(1))->gaps.empty());
    // Held once more, for a new terminal: that is no news, but who reads there may be.
    CHECK_TEXT(kinds(host.step(LockDone{id_of(1), true, {}}, 3s)), "LookForGaps");
}
END_TEST

START_TEST(who_asks_while_it_is_being_held_waits_for_what_comes_of_it) {
    Host host{some_policy()};
    host.login(1, 0s);
    host.step(LockAsked{7, id_of(1), "root"}, 1s);
    ck_assert(host.step(LockAsked{8, id_of(1), "alice"}, 1s).empty());
    auto effects = host.step(LockDone{id_of(1), false, "busy", {"/dev/pts/1"}}, 2s);
    CHECK_TEXT(kinds(effects), "Audit ReplyDone ReplyDone");
    ck_assert_uint_eq(find<ReplyDone>(effects)->token, 7);
    CHECK_TEXT(answer(effects), wire::error_broken);
    // Once more it is on its way by itself.
    CHECK_TEXT(kinds(host.tick(7s)), "Lock");
    ck_assert(host.step(LockAsked{9, id_of(1), "root"}, 8s).empty());
    effects = host.step(LockDone{id_of(1), true, {}}, 8s);
    ck_assert_uint_eq(find<ReplyDone>(effects)->token, 9);
    CHECK_TEXT(answer(effects), "");
    CHECK_TEXT(answer(host.step(LockAsked{10, id_of(1), "root"}, 9s)), "");
}
END_TEST

START_TEST(a_lock_for_idleness_is_told) {
    Host host{some_policy()};
    host.login(1, 0s);
    host.step(activity(1, 0s, 0s), 15min);
    CHECK_TEXT(told(host.step(LockDone{id_of(1), true, {}}, 15min + 3ms)),
               "[locked: idle for 15 min]");
}
END_TEST

START_TEST(a_thaw_by_hand_is_an_operators_unlock) {
    Host host{some_policy()};
    host.login(1, 0s);
    host.lock(1, 10s);
    // One of an earlier lock says nothing of this one.
    ck_assert(host.step(ThawedByHand{id_of(1), at(9s).boot}, 11s).empty());
    CHECK_TEXT(kinds(host.step(ThawedByHand{id_of(1), at(12s).boot}, 13s)),
               "Audit StoreSession Unlock");
    const auto effects = host.step(UnlockDone{id_of(1), true, {}}, 13s);
    CHECK_TEXT(told(effects), "[unlocked by root: thawed by hand]");
    ck_assert(host.state(1) == State::active);
    ck_assert(host.step(ThawedByHand{id_of(1), at(12s).boot}, 14s).empty());
    ck_assert(host.step(ThawedByHand{id_of(9), at(12s).boot}, 14s).empty());
}
END_TEST

START_TEST(lock_is_answered_in_every_state) {
    auto host = everyone();
    CHECK_TEXT(answer(host.step(LockAsked{1, id_of(reserved), "root"}, 3s)), wire::error_denied);
    CHECK_TEXT(answer(host.step(LockAsked{1, id_of(unknown), "root"}, 3s)), wire::error_not_found);
    CHECK_TEXT(answer(host.step(LockAsked{1, id_of(locked), "root"}, 3s)), "");
    CHECK_TEXT(answer(host.step(LockAsked{1, id_of(unlocking), "root"}, 3s)), wire::error_denied);
    CHECK_TEXT(answer(host.step(LockAsked{1, id_of(ending), "root"}, 3s)), wire::error_denied);
    auto observed = everyone(policy::Mode::observe);
    CHECK_TEXT(kinds(observed.step(LockAsked{1, id_of(active), "root"}, 3s)), "ReplyDone");
    ck_assert(observed.state(active) == State::active);
}
END_TEST

START_TEST(what_was_never_locked_was_not_unlocked_either) {
    Host host{some_policy()};
    host.login(1, 0s);
    host.lock(1, 1s);
    host.step(UnlockAsked{1, id_of(1), "totp", {}}, 2s);
    host.step(UnlockDone{id_of(1), true, {}}, 2s);
    const auto before = *host.machine.view(id_of(1))->record;
    host.step(no_terminal(1), 3s);
    host.step(LockAsked{7, id_of(1), "root"}, 3s);
    host.step(no_terminal(1), 3s);
    CHECK_TEXT(told(host.step(none_left(1), 3s)), "");
    host.restart(4s);
    CHECK_TEXT(told(host.step(UnlockDone{id_of(1), true, {}}, 4s)), "");
    const auto after = *host.machine.view(id_of(1))->record;
    ck_assert(after.state == State::active);
    ck_assert(after.locked_since_wall == WallTime{});
    ck_assert(after.unlocked_wall == before.unlocked_wall);
    CHECK_TEXT(unlock_text(after), "by totp");
}
END_TEST

START_TEST(screens_mean_something_under_a_lock_alone) {
    auto host = everyone();
    for (const auto number : {reserved, active, unlocking, ending, unknown}) {
        ck_assert(host.step(ScreenAsked{id_of(number), 3}, 3s).empty());
        ck_assert(host.step(ScreenSeen{id_of(number), 3}, 3s).empty());
    }
    host.step(ScreenAsked{id_of(locked), 3}, 3s);
    ck_assert(host.step(ScreenSeen{id_of(locked), 3}, 3s).empty());
}
END_TEST

START_TEST(unlock_is_answered_in_every_state) {
    auto host = everyone();
    CHECK_TEXT(answer(host.step(UnlockAsked{1, id_of(reserved), "root", {}}, 3s)),
               wire::error_denied);
    CHECK_TEXT(answer(host.step(UnlockAsked{1, id_of(unknown), "root", {}}, 3s)),
               wire::error_not_found);
    CHECK_TEXT(answer(host.step(UnlockAsked{1, id_of(active), "root", {}}, 3s)), "");
    CHECK_TEXT(answer(host.step(UnlockAsked{1, id_of(ending), "root", {}}, 3s)),
               wire::error_not_found);
    CHECK_TEXT(kinds(host.step(UnlockAsked{1, id_of(locked), "root", {}}, 3s)),
               "StoreSession Unlock");
}
END_TEST

START_TEST(outcomes_mean_nothing_in_other_states) {
    auto host = everyone();
    for (const auto number : {reserved, active, unlocking, ending, unknown})
        ck_assert(host.step(LockDone{id_of(number), false, "late"}, 3s).empty());
    for (const auto number : {reserved, active, locked, ending, unknown})
        ck_assert(host.step(UnlockDone{id_of(number), true, {}}, 3s).empty());
    for (const auto number : {reserved, active, unlocking, ending, unknown})
        ck_assert_uint_eq(find<ReplyWait>(host.step(UnlockRefused{1, id_of(number)}, 3s))->seconds,
                          0);
    ck_assert(host.state(locked) == State::locked);
}
END_TEST

START_TEST(an_unlock_is_stored_before_and_after_the_thaw) {
    auto host = everyone();
    host.step(UnlockAsked{8, id_of(locked), "root", "she called"}, 3s);
    ck_assert(host.written.sessions.at(id_of(locked)).state == State::unlocking);
    const auto effects = host.step(UnlockDone{id_of(locked), true, {}}, 4s);
    CHECK_TEXT(kinds(effects), "StoreSession Audit ReadActivity ReplyDone");
    CHECK_TEXT(told(effects), "[unlocked by root: she called]");
    CHECK_TEXT(find<Audit>(effects)->reason, "she called");
    ck_assert(host.written.sessions.at(id_of(locked)).state == State::active);
    ck_assert(host.machine.view(id_of(locked))->last_input == at(4s).boot);
}
END_TEST

START_TEST(locked_stays_locked_until_it_holds) {
    Host host{some_policy()};
    host.login(1, 0s);
    host.step(LockAsked{7, id_of(1), "root"}, 1s);
    const auto failed = host.step(LockDone{id_of(1), false, "no freezer"}, 1s);
    CHECK_TEXT(kinds(failed), "Audit ReplyDone");
    CHECK_TEXT(answer(failed), wire::error_broken);
    ck_assert(host.state(1) == State::locked);
    ck_assert(host.deadline() == 6s);
    CHECK_TEXT(kinds(host.tick(6s)), "Lock");
    ck_assert(host.step(LockDone{id_of(1), false, "no freezer"}, 6s).empty()); // told before
    // Who asks now hears how the next attempt goes, not that it is locked.
    CHECK_TEXT(kinds(host.step(LockAsked{8, id_of(1), "root"}, 7s)), "Lock");
    ck_assert_uint_eq(find<ReplyDone>(host.step(LockDone{id_of(1), true, {}}, 7s))->token, 8);
    ck_assert(host.deadline() == 1h - work_window);
}
END_TEST

START_TEST(what_has_no_terminal_is_given_back_whole) {
    Host host{some_policy()};
    host.step(reserve(1), 0s);
    host.step(confirm(1), 0s);
    CHECK_TEXT(kinds(host.step(LockAsked{7, id_of(1), "root"}, 1s)),
               "ReadActivity StoreSession Lock");
    host.step(before_lock(no_terminal(1)), 1s);
    const auto effects = host.step(none_left(1), 1s);
    CHECK_TEXT(kinds(effects), "StoreSession Unlock ReplyDone");
    CHECK_TEXT(answer(effects), wire::error_denied);
    host.step(UnlockDone{id_of(1), true, {}}, 1s);
    ck_assert(host.state(1) == State::active);
}
END_TEST

START_TEST(a_fresh_login_at_a_terminal_is_not_taken_for_one_without) {
    Host host{some_policy()};
    host.step(reserve(1), 0s);
    host.step(confirm(1), 0s);
    host.step(LockAsked{7, id_of(1), "root"}, 1s);
    host.step(before_lock(activity(1, 0s, 0s)), 1s);
    CHECK_TEXT(answer(host.step(LockDone{id_of(1), false, "no freezer"}, 1s)), wire::error_broken);
    ck_assert(host.state(1) == State::locked);
}
END_TEST

START_TEST(a_thaw_that_fails_is_tried_again_and_told_once) {
    auto host = everyone();
    const auto failed = host.step(UnlockDone{id_of(unlocking), false, "busy"}, 3s);
    CHECK_TEXT(kinds(failed), "Audit ReplyDone");
    CHECK_TEXT(answer(failed), wire::error_broken);
    ck_assert(host.deadline() <= 4s);
    const auto again = host.tick(4s);
    ck_assert_ptr_nonnull(find<Unlock>(again));
    ck_assert(host.step(UnlockDone{id_of(unlocking), false, "busy"}, 4s).empty());
    ck_assert(host.state(unlocking) == State::unlocking);
    // idle_terminate does not spin on a session that is being given back.
    host.tick(2h);
    ck_assert(host.deadline() > 2h);
}
END_TEST

START_TEST(a_terminal_opened_under_the_lock_is_looked_at_again_and_again) {
    Host host{some_policy()};
    host.login(1, 0s);
    host.lock(1, 1s);
    CHECK_TEXT(kinds(host.step(TerminalOpened{id_of(1)}, 2s)), "Lock");
    host.step(LockDone{id_of(1), true, {}}, 2s);
    auto now = Microseconds{2s};
    // What it leaves free is looked for less often.
    const auto look_until = [&](Microseconds end) {
        while (host.deadline() < end)
            CHECK_TEXT(kinds(host.tick(host.deadline())), "LookForGaps");
    };
    for (const auto pause : {20ms, 40ms, 80ms, 160ms, 320ms, 640ms, 1280ms}) {
        now += pause;
        look_until(now);
        ck_assert(host.deadline() == now);
        CHECK_TEXT(kinds(host.tick(now)), "Lock");
        host.step(LockDone{id_of(1), true, {}}, now);
    }
    look_until(now + 1s);
    ck_assert(host.deadline() == 1h - work_window); // its idle end, and nothing before
}
END_TEST

START_TEST(no_newcomer_is_looked_for_after_the_unlock) {
    Host host{some_policy()};
    host.login(1, 0s);
    host.lock(1, 1s);
    host.step(TerminalOpened{id_of(1)}, 2s);
    host.step(UnlockAsked{8, id_of(1), "totp", {}}, 2s);
    host.step(UnlockDone{id_of(1), true, {}}, 2s);
    host.step(activity(1, 2s, 2s), 2s);
    ck_assert(host.deadline() > 1min);
}
END_TEST

START_TEST(a_terminal_that_opens_or_is_used_means_something_in_two_states) {
    auto host = everyone();
    for (const auto number : {reserved, unlocking, ending, unknown}) {
        ck_assert(host.step(TerminalOpened{id_of(number)}, 3s).empty());
        ck_assert(host.step(LockedTerminalUsed{id_of(number)}, 3s).empty());
    }
    CHECK_TEXT(kinds(host.step(TerminalOpened{id_of(active)}, 3s)), "ReadActivity");
    ck_assert(host.step(LockedTerminalUsed{id_of(active)}, 3s).empty());
    CHECK_TEXT(kinds(host.step(LockedTerminalUsed{id_of(locked)}, 3s)), "Lock");
}
END_TEST

START_TEST(nothing_stays_frozen_for_a_client_that_is_gone) {
    auto host = everyone();
    for (const auto number : {reserved, active, ending, unknown})
        ck_assert(host.step(ClientGone{id_of(number)}, 3s).empty());
    for (const auto number : {locked, unlocking}) {
        const auto effects = host.step(ClientGone{id_of(number)}, 3s);
        CHECK_TEXT(kinds(effects), "KillFrozen");
        CHECK_TEXT(find<KillFrozen>(effects)->cgroup,
                   "/user.slice/session-c" + std::to_string(number) + ".scope");
        ck_assert(host.knows(number)); // until its leader ends
    }
}
END_TEST

START_TEST(what_is_found_held_is_locked_whatever_the_store_knew) {
    for (const auto mode : {policy::Mode::enforce, policy::Mode::observe}) {
        Host host{some_policy(mode)};
        CHECK_TEXT(kinds(host.step(found(1, 0s), 1s)), "StoreSession Watch Audit ReadActivity");
        auto seen = activity(1, 0s, 0s);
        seen.held = true;
        CHECK_TEXT(kinds(host.step(seen, 1s)), "StoreSession Lock");
        ck_assert(host.state(1) == State::locked);
        CHECK_TEXT(told(host.step(LockDone{id_of(1), true, {}}, 1s)), "[locked: found locked]");
    }
    auto host = everyone();
    for (const auto number : {reserved, locked, unlocking, ending}) {
        auto seen = activity(number, 0s, 0s);
        seen.held = true;
        const auto before = host.state(number);
        host.step(seen, 3s);
        ck_assert(host.state(number) == before);
    }
}
END_TEST

START_TEST(a_locked_session_has_its_terminals_again_after_a_restart) {
    auto host = everyone();
    host.restart(3s);
    ck_assert(host.machine.view(id_of(locked))->terminals.empty());
    host.step(LockDone{id_of(locked), true, {}, {"/dev/pts/3", "/dev/pts/4"}}, 3s);
    ck_assert_uint_eq(host.machine.view(id_of(locked))->terminals.size(), 2);
    host.step(LockDone{id_of(locked), false, "no look", {}}, 4s);
    ck_assert_uint_eq(host.machine.view(id_of(locked))->terminals.size(), 2);
}
END_TEST

START_TEST(a_prompt_that_cannot_start_is_tried_again_and_told_once) {
    Host host{some_policy()};
    host.login(1, 0s);
    host.lock(1, 1s);
    CHECK_TEXT(told(host.step(LockDone{id_of(1), false, "no prompt"}, 2s)), "[no prompt]");
    CHECK_TEXT(kinds(host.tick(7s)), "Lock");
    CHECK_TEXT(kinds(host.step(LockDone{id_of(1), true, {}}, 7s)), "LookForGaps");
    ck_assert(host.step(LockDone{id_of(1), false, "no prompt"}, 8s).empty());
    ck_assert(host.state(1) == State::locked);
}
END_TEST

START_TEST(wrong_answers_cost_more_and_more_time) {
    auto host = everyone();
    for (const std::uint64_t wait : {1, 2, 4, 8, 16, 30, 30}) {
        const auto effects = host.step(UnlockRefused{9, id_of(locked)}, 3s);
        CHECK_TEXT(kinds(effects), "StoreSession Audit ReplyWait");
        ck_assert_uint_eq(find<ReplyWait>(effects)->seconds, wait);
    }
    host.restart(4s);
    ck_assert_uint_eq(host.machine.view(id_of(locked))->record->unlock_failures, 7);
    host.step(UnlockAsked{1, id_of(locked), "totp", {}}, 40s);
    host.step(UnlockDone{id_of(locked), true, {}}, 40s);
    ck_assert_uint_eq(host.written.sessions.at(id_of(locked)).unlock_failures, 0);
}
END_TEST

START_TEST(an_operators_reason_outlives_a_crash) {
    Host host{some_policy()};
    host.login(1, 0s);
    host.step(LockAsked{7, id_of(1), "by root", "end of shift"}, 1s);
    host.restart(2s);
    auto effects = host.step(LockDone{id_of(1), true, {}}, 3s);
    CHECK_TEXT(told(effects), "[locked: by root: end of shift]");
    CHECK_TEXT(find<Audit>(effects)->reason, "end of shift");
    host.step(UnlockAsked{8, id_of(1), "root", "she called"}, 4s);
    host.restart(5s);
    effects = host.step(UnlockDone{id_of(1), true, {}}, 6s);
    CHECK_TEXT(told(effects), "[unlocked by root: she called]");
    CHECK_TEXT(find<Audit>(effects)->reason, "she called");
    host.step(LockAsked{7, id_of(1), "by alice", {}}, 7s);
    CHECK_TEXT(find<Audit>(host.step(LockDone{id_of(1), true, {}}, 8s))->reason, "");
}
END_TEST

START_TEST(a_crash_changes_no_state_and_finishes_what_was_begun) {
    auto host = everyone();
    const auto effects = host.restart(3s);
    ck_assert_uint_eq(count<Watch>(effects), 5);
    ck_assert(find<Lock>(effects)->session == id_of(locked));
    ck_assert(find<Unlock>(effects)->session == id_of(unlocking));
    ck_assert(find<ReadActivity>(effects)->session == id_of(active));
    for (const auto number : {reserved, active, locked, unlocking, ending})
        ck_assert_int_eq(static_cast<int>(host.state(number)), static_cast<int>(number) - 1);
    CHECK_TEXT(told(host.step(UnlockDone{id_of(unlocking), true, {}}, 3s)), "[unlocked by totp]");
}
END_TEST

START_TEST(the_end_of_an_idle_lock_is_the_same_after_a_crash) {
    Host host{some_policy()};
    host.login(1, 0s);
    host.step(activity(1, 10min, 10min), 10min);
    host.step(activity(1, 10min, 10min), 25min);
    host.step(LockDone{id_of(1), true, {}}, 25min);
    ck_assert(host.deadline() == 70min - work_window);
    host.restart(30min);
    ck_assert(host.deadline() == 70min - work_window);
}
END_TEST

} // namespace

int main() {
    return vigil::test::run("core: locking",
                            {a_lock_is_stored_then_held_then_told,
                             who_asks_while_it_is_being_held_waits_for_what_comes_of_it,
                             a_lock_for_idleness_is_told,
                             a_thaw_by_hand_is_an_operators_unlock,
                             lock_is_answered_in_every_state,
                             unlock_is_answered_in_every_state,
                             what_was_never_locked_was_not_unlocked_either,
                             screens_mean_something_under_a_lock_alone,
                             outcomes_mean_nothing_in_other_states,
                             an_unlock_is_stored_before_and_after_the_thaw,
                             locked_stays_locked_until_it_holds,
                             what_has_no_terminal_is_given_back_whole,
                             a_fresh_login_at_a_terminal_is_not_taken_for_one_without,
                             a_terminal_opened_under_the_lock_is_looked_at_again_and_again,
                             no_newcomer_is_looked_for_after_the_unlock,
                             a_terminal_that_opens_or_is_used_means_something_in_two_states,
                             a_prompt_that_cannot_start_is_tried_again_and_told_once,
                             a_locked_session_has_its_terminals_again_after_a_restart,
                             what_is_found_held_is_locked_whatever_the_store_knew,
                             nothing_stays_frozen_for_a_client_that_is_gone,
                             a_thaw_that_fails_is_tried_again_and_told_once,
                             wrong_answers_cost_more_and_more_time,
                             an_operators_reason_outlives_a_crash,
                             a_crash_changes_no_state_and_finishes_what_was_begun,
                             the_end_of_an_idle_lock_is_the_same_after_a_crash});
}
