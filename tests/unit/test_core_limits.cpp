// Warnings, idleness, the absolute limit, and observe mode, by the clock.

#include "tests/unit/core_support.hpp"

using namespace vigil;
using namespace vigil::test;

namespace {

using Warnings = std::vector<Seconds>;

Now after_sleep(Microseconds since_start, Microseconds asleep) {
    auto now = at(since_start);
    now.asleep = asleep;
    return now;
}

START_TEST(a_key_after_a_suspend_comes_too_late_for_a_lock_that_was_due_in_it) {
    Machine machine{policy_of({.idle_lock = 15min}), {}, {}, at(0s)};
    machine.step(reserve(1), at(0s));
    machine.step(confirm(1), at(0s));
    machine.step(activity(1, 1min, 1min), at(1min));
    ck_assert(find<Lock>(machine.step(activity(1, 10min, 10min), at(10min))) == nullptr);
    const auto effects = machine.step(activity(1, 8h, 8h), after_sleep(8h, 7h));
    CHECK_TEXT(kinds(effects), "ReadActivity StoreSession Lock");
    ck_assert(machine.step(before_lock(activity(1, 8h, 8h)), after_sleep(8h, 7h)).empty());
    // Told of once: a key in the prompt is nobody's.
    ck_assert(machine.step(TimePassed{}, after_sleep(8h, 7h)).empty());
}
END_TEST

START_TEST(what_was_typed_up_to_a_suspend_puts_the_end_off) {
    Machine machine{
        policy_of({.idle_lock = 15min, .idle_terminate = 30min, .lock_on_sleep = false}),
        {},
        {},
        at(0s)};
    machine.step(reserve(1), at(0s));
    machine.step(confirm(1), at(0s));
    machine.step(activity(1, 0s, 0s), at(0s));
    const auto woken = after_sleep(16min, 2min);
    const auto effects = machine.step(TimePassed{}, woken);
    CHECK_TEXT(kinds(effects), "ReadActivity StoreSession Lock");
    ck_assert(find<ReadActivity>(effects)->before_lock);
    machine.step(before_lock(activity(1, 14min, 0s)), woken);
    const auto view = machine.view(id_of(1));
    ck_assert(view->record->state == State::locked);
    ck_assert(view->next_at == at(44min).boot);
}
END_TEST

START_TEST(many_that_are_due_at_one_moment_are_many_ticks) {
    Host host{policy_of({.max_duration = 1h})};
    constexpr std::uint32_t sessions = 2 * most_due_at_once + 1;
    for (std::uint32_t number = 1; number <= sessions; ++number)
        host.login(number, 0s);
    const auto ending = [&] {
        return std::ranges::count(host.machine.list(), State::ending,
                                  [](const SessionView& view) { return view.record->state; });
    };
    host.tick(1h);
    ck_assert_int_eq(ending(), most_due_at_once);
    ck_assert(host.deadline() <= 1h); // at once again
    host.tick(1h);
    host.tick(1h);
    ck_assert_int_eq(ending(), sessions);
    ck_assert(host.deadline() > 1h);
}
END_TEST

START_TEST(what_has_lost_its_terminal_by_the_end_of_a_suspend_is_given_back) {
    Machine machine{policy_of({.idle_lock = 15min}), {}, {}, at(0s)};
    machine.step(reserve(1), at(0s));
    machine.step(confirm(1), at(0s));
    machine.step(activity(1, 0s, 0s), at(0s));
    const auto woken = after_sleep(8h, 7h);
    ck_assert(find<Lock>(machine.step(TimePassed{}, woken)) != nullptr);
    machine.step(before_lock(no_terminal(1)), woken);
    CHECK_TEXT(kinds(machine.step(none_left(1), woken)), "StoreSession Unlock");
    machine.step(UnlockDone{id_of(1), true, {}}, woken);
    ck_assert(machine.view(id_of(1))->record->state == State::active);
}
END_TEST

START_TEST(a_suspend_that_ends_before_the_lock_is_due_locks_nothing) {
    Machine machine{policy_of({.idle_lock = 15min}), {}, {}, at(0s)};
    machine.step(reserve(1), at(0s));
    machine.step(confirm(1), at(0s));
    machine.step(activity(1, 1min, 1min), at(1min));
    ck_assert(machine.step(TimePassed{}, after_sleep(15min, 13min)).empty());
    // Awake since: a key counts as ever.
    ck_assert(machine.step(activity(1, 1h, 1h), after_sleep(1h, 13min)).empty());
}
END_TEST

START_TEST(a_suspend_locks_nothing_where_nothing_is_enforced_or_there_is_no_terminal) {
    Machine observing{policy_of({.idle_lock = 15min}, policy::Mode::observe), {}, {}, at(0s)};
    observing.step(reserve(1), at(0s));
    observing.step(confirm(1), at(0s));
    observing.step(activity(1, 1min, 1min), at(1min));
    CHECK_TEXT(told(observing.step(TimePassed{}, after_sleep(8h, 7h))),
               "[only observed: would be locked, idle for 15 min]");
    Machine copying{policy_of({.idle_lock = 15min}), {}, {}, at(0s)};
    copying.step(reserve(1), at(0s));
    copying.step(confirm(1), at(0s));
    ck_assert(find<Lock>(copying.step(no_terminal(1), after_sleep(8h, 7h))) == nullptr);
}
END_TEST

START_TEST(end_warnings_come_at_their_times_and_are_stored) {
    Host host{policy_of({.max_duration = 1h, .warn_before_end = Warnings{15min, 5min}})};
    host.login(1, 0s);
    ck_assert(host.deadline() == 45min);
    const auto effects = host.tick(45min);
    CHECK_TEXT(kinds(effects), "StoreSession Say Audit");
    CHECK_TEXT(told(effects), "<This session ends in 15 min, at its limit of 1 h. Save your "
                              "work.>[ends in 15 min]");
    ck_assert(!find<Say>(effects)->last);
    ck_assert(host.deadline() == 55min);
    ck_assert(host.tick(50min).empty());
    CHECK_TEXT(kinds(host.tick(55min)), "StoreSession Say Audit");
    ck_assert(host.deadline() == 1h);
}
END_TEST

START_TEST(a_warning_longer_than_the_session_is_not_given_at_login) {
    Host host{policy_of({.max_duration = 10min, .warn_before_end = Warnings{15min, 10min, 5min}})};
    host.login(1, 0s);
    ck_assert(host.tick(1s).empty());
    ck_assert(host.deadline() == 5min);
    const auto effects = host.tick(5min);
    ck_assert_uint_eq(count<Say>(effects), 1);
    ck_assert(host.deadline() == 10min);
}
END_TEST

START_TEST(warnings_missed_while_vigild_was_away_are_one_line) {
    Host host{policy_of({.max_duration = 1h, .warn_before_end = Warnings{15min, 5min, 1min}})};
    host.login(1, 0s);
    host.restart(57min);
    host.step(activity(1, 0s, 0s), 57min);
    const auto effects = host.tick(57min);
    ck_assert_uint_eq(count<Say>(effects), 1);
    ck_assert(find<Say>(effects)->line.starts_with("This session ends in 3 min,"));
    ck_assert(host.deadline() == 59min);
}
END_TEST

START_TEST(warnings_wait_while_the_screen_is_locked) {
    Host host{policy_of({.max_duration = 1h, .warn_before_end = Warnings{15min, 5min}})};
    host.login(1, 0s);
    host.lock(1, 40min);
    ck_assert(host.tick(45min).empty());
    ck_assert(host.deadline() == 1h);
    host.step(UnlockAsked{1, id_of(1), "totp", {}}, 50min);
    host.step(UnlockDone{id_of(1), true, {}}, 50min);
    ck_assert(find<Say>(host.tick(50min))->line.starts_with("This session ends in 10 min,"));
    ck_assert(host.deadline() == 55min);
    host.step(LockAsked{1, id_of(1), "root"}, 51min);
    ck_assert(find<Say>(host.tick(1h))->last); // the reason for the end reaches it
}
END_TEST

START_TEST(a_new_policy_moves_the_end_and_survives_a_crash) {
    const policy::SessionRule rule{.max_duration = 1h, .warn_before_end = Warnings{15min, 5min}};
    Host host{policy_of(rule)};
    host.login(1, 0s);
    host.tick(45min);
    auto longer = rule;
    longer.max_duration = 2h;
    const auto effects = host.step(PolicyChanged{policy_of(longer)}, 50min);
    CHECK_TEXT(kinds(effects), "StoreSession Audit");
    ck_assert_uint_eq(host.written.sessions.at(id_of(1)).end_warnings_given, 0);
    host.restart(51min);
    host.step(activity(1, 0s, 0s), 51min);
    ck_assert(host.deadline() == 105min);
}
END_TEST

START_TEST(an_idle_session_is_warned_then_locked) {
    Host host{policy_of({.idle_warn = 1min, .idle_lock = 15min})};
    host.login(1, 0s);
    ck_assert(host.deadline() == 14min);
    CHECK_TEXT(kinds(host.tick(14min)), "ReadActivity");
    ck_assert(host.deadline() == 14min + 5s); // the answer is waited for, no longer than this
    const auto warned = host.step(activity(1, 0s, 0s), 14min);
    CHECK_TEXT(told(warned), "<This session is locked in 1 min unless you press a key.>"
                             "[idle for 14 min, locked in 1 min]");
    ck_assert(host.deadline() == 15min);
    CHECK_TEXT(kinds(host.tick(15min)), "ReadActivity");
    const auto locked = host.step(activity(1, 0s, 14min + 1s), 15min); // our own words
    CHECK_TEXT(kinds(locked), "StoreSession Lock");
    CHECK_TEXT(find<StoreSession>(locked)->record.locked_by, "idle for 15 min");
}
END_TEST

START_TEST(a_key_moves_the_lock_and_arms_the_warning_anew) {
    Host host{policy_of({.idle_warn = 1min, .idle_lock = 15min})};
    host.login(1, 0s);
    host.tick(14min);
    ck_assert(host.step(activity(1, 10min, 10min), 14min).empty());
    ck_assert(host.deadline() == 24min);
    host.tick(24min);
    ck_assert_ptr_nonnull(find<Say>(host.step(activity(1, 10min, 10min), 24min)));
    ck_assert(find<Say>(host.step(activity(1, 10min, 10min), 24min + 1s)) == nullptr);
    host.tick(25min);
    CHECK_TEXT(kinds(host.step(activity(1, 24min + 30s, 0s), 25min)), "WipeLine");
    host.tick(38min + 30s);
    ck_assert_ptr_nonnull(find<Say>(host.step(activity(1, 24min + 30s, 0s), 38min + 30s)));
}
END_TEST

START_TEST(a_key_after_the_warning_takes_its_line_away) {
    Host host{policy_of({.idle_warn = 1min, .idle_lock = 15min})};
    host.login(1, 0s);
    const auto used = [&](Microseconds input, Microseconds now) {
        return kinds(host.step(WarnedTerminalUsed{id_of(1), at(input).boot}, now));
    };
    CHECK_TEXT(used(1min, 1min), ""); // nobody was warned
    host.step(activity(1, 0s, 0s), 14min);
    ck_assert(host.machine.view(id_of(1))->is_warned);
    ck_assert(host.machine.warned() == std::vector{id_of(1)});
    CHECK_TEXT(used(13min, 14min + 1s), ""); // output; the last key was before
    CHECK_TEXT(used(14min, 14min + 1s), "");
    CHECK_TEXT(used(14min + 2s, 14min + 2s), "WipeLine");
    ck_assert(!host.machine.view(id_of(1))->is_warned && host.machine.warned().empty());
    CHECK_TEXT(used(14min + 3s, 14min + 3s), ""); // it has gone
    // What did not tell of the key at once does at the next look.
    host.step(activity(1, 14min + 3s, 0s), 28min + 3s);
    CHECK_TEXT(kinds(host.step(activity(1, 28min + 10s, 0s), 29min + 3s)), "WipeLine");
    ck_assert(host.step(WarnedTerminalUsed{id_of(2), at(1h).boot}, 1h).empty());
}
END_TEST

START_TEST(a_line_of_a_warning_is_not_taken_away_under_a_lock_or_with_another) {
    Host host{policy_of({.idle_warn = 1min,
                         .idle_lock = 15min,
                         .max_duration = 16min,
                         .warn_before_end = Warnings{90s}})};
    host.login(1, 0s);
    host.step(activity(1, 0s, 0s), 14min);
    ck_assert(host.machine.view(id_of(1))->is_warned);
    // That the session ends is to be read: the next key leaves both lines.
    ck_assert_ptr_nonnull(find<Say>(host.tick(14min + 30s)));
    CHECK_TEXT(kinds(host.step(WarnedTerminalUsed{id_of(1), at(14min + 31s).boot}, 14min + 31s)),
               "");

    Host locked{policy_of({.idle_warn = 1min, .idle_lock = 15min})};
    locked.login(1, 0s);
    locked.step(activity(1, 0s, 0s), 14min);
    locked.lock(1, 14min + 10s);
    CHECK_TEXT(kinds(locked.step(WarnedTerminalUsed{id_of(1), at(14min + 20s).boot}, 14min + 20s)),
               "");
    Host observed{policy_of({.idle_warn = 1min, .idle_lock = 15min}, policy::Mode::observe)};
    observed.login(1, 0s);
    observed.step(activity(1, 0s, 0s), 14min);
    ck_assert(!observed.machine.view(id_of(1))->is_warned);
}
END_TEST

START_TEST(output_puts_off_the_end_but_not_the_lock) {
    Host host{policy_of({.idle_warn = 1min, .idle_lock = 15min, .idle_terminate = 1h})};
    host.login(1, 0s);
    ck_assert_ptr_nonnull(find<Lock>(host.step(activity(1, 0s, 14min), 15min)));
    // It runs under the lock too.
    ck_assert(host.deadline() == 74min - 10s);
    host.tick(74min - 10s);
    ck_assert(host.step(activity(1, 0s, 0s), 74min - 10s).empty());
    ck_assert(host.deadline() == 74min);
    host.tick(74min);
    const auto effects = host.step(activity(1, 0s, 0s), 74min);
    CHECK_TEXT(find<StoreSession>(effects)->record.end_reason, "it was idle for 1 h");
}
END_TEST

START_TEST(what_was_typed_up_to_a_lock_puts_the_end_off_and_no_key_in_its_prompt) {
    for (const bool for_sleep : {false, true}) {
        Host host{policy_of({.idle_lock = 1h, .idle_terminate = 1h})};
        host.login(1, 0s);
        const auto effects = for_sleep ? host.step(SleepAsked{7}, 50min)
                                       : host.step(LockAsked{7, id_of(1), "root"}, 50min);
        CHECK_TEXT(kinds(effects), "ReadActivity StoreSession Lock");
        ck_assert(find<ReadActivity>(effects)->before_lock);
        host.step(before_lock(activity(1, 49min, 0s)), 50min);
        host.step(LockDone{id_of(1), true, {}}, 50min);
        ck_assert(host.machine.view(id_of(1))->next_at == at(109min).boot);
        host.step(activity(1, 51min, 51min), 52min);
        ck_assert(host.machine.view(id_of(1))->next_at == at(109min).boot);
        ck_assert(host.deadline() == 109min - work_window);
    }
}
END_TEST

START_TEST(a_look_that_a_lock_waits_for_ends_nothing_since_it_sees_no_work) {
    Host host{policy_of({.idle_lock = 3h, .idle_terminate = 1h})};
    host.login(1, 0s);
    host.restart(2h);
    host.step(LockAsked{7, id_of(1), "root"}, 2h);
    host.step(before_lock(activity(1, 0s, 0s)), 2h);
    ck_assert(host.state(1) == State::locked);
    // It is looked for at once.
    host.step(activity(1, 0s, 0s), 2h);
    ck_assert(host.state(1) == State::locked);
    ck_assert(host.deadline() <= 2h + work_window);
}
END_TEST

START_TEST(an_end_put_off_by_output_is_warned_of_again) {
    Host host{policy_of({.idle_warn = 1min, .idle_terminate = 1h})};
    host.login(1, 0s);
    ck_assert_ptr_nonnull(find<Say>(host.step(activity(1, 0s, 0s), 59min)));
    host.step(activity(1, 0s, 59min + 30s), 60min);
    ck_assert(host.deadline() == 118min + 30s);
    const auto again = host.step(activity(1, 0s, 59min + 30s), 118min + 30s);
    ck_assert(find<Say>(again)->line.starts_with("This session ends in 1 min"));
}
END_TEST

START_TEST(without_a_terminal_nobody_is_idle) {
    Host host{policy_of({.idle_lock = 15min, .idle_terminate = 1h})};
    auto robot = facts_of();
    robot.session_class = policy::SessionClass::command;
    host.step(reserve(1, robot), 0s);
    host.step(confirm(1, robot), 0s);
    for (auto now = 15min; now < 600min; now += 15min) {
        host.tick(now);
        ck_assert(host.step(no_terminal(1), now).empty());
        ck_assert(host.deadline() > now);
        CHECK_TEXT(host.machine.view(id_of(1))->next_action, "");
    }
}
END_TEST

START_TEST(a_warning_as_long_as_the_limit_is_none) {
    Host host{policy_of({.idle_warn = 15min, .idle_lock = 15min})};
    host.login(1, 0s);
    ck_assert(host.deadline() == 15min);
}
END_TEST

START_TEST(limits_beyond_a_lifetime_are_none) {
    for (const auto limit : {never, never - 1s, Seconds{1LL << 45}}) {
        Host host{policy_of({.idle_warn = 1min,
                             .idle_lock = limit,
                             .idle_terminate = limit,
                             .max_duration = limit,
                             .warn_before_end = Warnings{15min}})};
        host.login(1, 0s);
        host.step(PolicyChanged{host.policy}, 1s);
        ck_assert(host.deadline() == Microseconds::max());
        host.restart(2s);
        ck_assert(host.step(activity(1, 0s, 0s), 2s).empty());
    }
}
END_TEST

START_TEST(observe_tells_each_thing_once_and_touches_nothing) {
    Host host{policy_of({.idle_warn = 1min,
                         .idle_lock = 15min,
                         .idle_terminate = 1h,
                         .max_duration = 2h,
                         .warn_before_end = Warnings{5min}},
                        policy::Mode::observe)};
    host.login(1, 0s);
    std::string all;
    for (int wakeups = 0; host.deadline() != Microseconds::max(); ++wakeups) {
        ck_assert_int_lt(wakeups, 10);
        const auto now = host.deadline();
        auto effects = host.tick(now);
        if (find<ReadActivity>(effects))
            std::ranges::copy(host.step(activity(1, 0s, 0s), now), std::back_inserter(effects));
        ck_assert(std::ranges::none_of(effects, touches));
        ck_assert(host.deadline() > now);
        all += told(effects);
    }
    CHECK_TEXT(all, "[only observed: would be warned, idle for 14 min, locked in 1 min]"
                    "[only observed: would be locked, idle for 15 min]"
                    "[only observed: would be warned, idle for 59 min, ends in 1 min]"
                    "[only observed: would be ended, it was idle for 1 h]"
                    "[only observed: would be warned, ends in 5 min]"
                    "[only observed: would be ended, it reached its limit of 2 h]");
    ck_assert(host.state(1) == State::active);
}
END_TEST

START_TEST(what_was_observed_is_done_once_enforced) {
    auto policy = policy_of({.max_duration = 2h}, policy::Mode::observe);
    Host host{policy};
    host.login(1, 0s);
    ck_assert_uint_eq(count<Audit>(host.tick(2h)), 1);
    policy.mode = policy::Mode::enforce;
    host.step(PolicyChanged{policy}, 3h);
    host.tick(3h);
    ck_assert(host.state(1) == State::ending);
}
END_TEST

START_TEST(an_answer_that_never_comes_does_not_make_the_timer_spin) {
    Host host{policy_of({.idle_lock = 15min})};
    host.login(1, 0s);
    CHECK_TEXT(kinds(host.tick(15min)), "ReadActivity"); // and no answer
    CHECK_TEXT(kinds(host.tick(15min + 5s)), "ReadActivity");
    host.step(TerminalOpened{id_of(1)}, 15min + 6s);
    for (auto now = Microseconds{15min + 6s}; now < 20min; now = host.deadline()) {
        host.tick(now);
        ck_assert_msg(host.deadline() > now, "it would spin");
    }
    Host calm{policy_of({.idle_lock = 10h})};
    calm.login(1, 0s);
    calm.step(TerminalOpened{id_of(1)}, 1s);
    calm.tick(6s);
    ck_assert(calm.deadline() == 10h);
}
END_TEST

} // namespace

int main() {
    return vigil::test::run(
        "core: limits", {a_key_after_a_suspend_comes_too_late_for_a_lock_that_was_due_in_it,
                         many_that_are_due_at_one_moment_are_many_ticks,
                         what_was_typed_up_to_a_suspend_puts_the_end_off,
                         what_has_lost_its_terminal_by_the_end_of_a_suspend_is_given_back,
                         a_suspend_that_ends_before_the_lock_is_due_locks_nothing,
                         a_suspend_locks_nothing_where_nothing_is_enforced_or_there_is_no_terminal,
                         end_warnings_come_at_their_times_and_are_stored,
                         a_warning_longer_than_the_session_is_not_given_at_login,
                         warnings_missed_while_vigild_was_away_are_one_line,
                         warnings_wait_while_the_screen_is_locked,
                         a_new_policy_moves_the_end_and_survives_a_crash,
                         an_idle_session_is_warned_then_locked,
                         a_key_moves_the_lock_and_arms_the_warning_anew,
                         a_key_after_the_warning_takes_its_line_away,
                         a_line_of_a_warning_is_not_taken_away_under_a_lock_or_with_another,
                         output_puts_off_the_end_but_not_the_lock,
                         what_was_typed_up_to_a_lock_puts_the_end_off_and_no_key_in_its_prompt,
                         a_look_that_a_lock_waits_for_ends_nothing_since_it_sees_no_work,
                         an_end_put_off_by_output_is_warned_of_again,
                         without_a_terminal_nobody_is_idle,
                         a_warning_as_long_as_the_limit_is_none,
                         limits_beyond_a_lifetime_are_none,
                         observe_tells_each_thing_once_and_touches_nothing,
                         what_was_observed_is_done_once_enforced,
                         an_answer_that_never_comes_does_not_make_the_timer_spin});
}
