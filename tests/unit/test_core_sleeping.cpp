// Before the machine sleeps: what is locked for it, and when it may.

#include "tests/unit/core_support.hpp"

using namespace vigil;
using namespace vigil::test;

namespace {

Host at_a_terminal(policy::SessionRule rule, policy::Mode mode = policy::Mode::enforce) {
    Host host{policy_of(std::move(rule), mode)};
    for (const std::uint32_t number : {1U, 2U}) {
        host.login(number, 0s);
        host.step(activity(number, 0s, 0s), 0s);
    }
    return host;
}

START_TEST(it_sleeps_when_the_last_lock_is_held) {
    auto host = at_a_terminal({.idle_lock = 15min});
    CHECK_TEXT(kinds(host.step(SleepAsked{5}, 1s)),
               "ReadActivity StoreSession Lock ReadActivity StoreSession Lock");
    auto effects = host.step(LockDone{id_of(1), true, {}}, 1s);
    CHECK_TEXT(told(effects), "[locked: the machine was put to sleep]");
    ck_assert(!find<ReplyDone>(effects));
    effects = host.step(LockDone{id_of(2), true, {}}, 1s);
    ck_assert_uint_eq(find<ReplyDone>(effects)->token, 5);
    CHECK_TEXT(answer(effects), "");
}
END_TEST

START_TEST(a_lock_that_cannot_be_held_is_not_waited_for) {
    auto host = at_a_terminal({.idle_lock = 15min});
    host.step(SleepAsked{5}, 1s);
    host.step(LockDone{id_of(1), true, {}}, 1s);
    const auto effects = host.step(LockDone{id_of(2), false, "busy", {"/dev/pts/3"}}, 2s);
    CHECK_TEXT(answer(effects), "");
    // It is tried on, and nobody waits for that.
    CHECK_TEXT(kinds(host.tick(10s)), "Lock");
    ck_assert(!find<ReplyDone>(host.step(LockDone{id_of(2), true, {}}, 10s)));
}
END_TEST

START_TEST(a_lock_under_way_is_waited_for) {
    auto host = at_a_terminal({});
    host.step(LockAsked{4, id_of(1), "root"}, 1s);
    ck_assert(host.step(SleepAsked{5}, 1s).empty());
    const auto effects = host.step(LockDone{id_of(1), true, {}}, 1s);
    ck_assert_uint_eq(count<ReplyDone>(effects), 2);
}
END_TEST

START_TEST(an_end_of_what_is_being_locked_is_none_to_wait_for) {
    auto host = at_a_terminal({.idle_lock = 15min});
    host.step(SleepAsked{5}, 1s);
    host.step(LockDone{id_of(1), true, {}}, 1s);
    ck_assert_uint_eq(find<ReplyDone>(host.step(LeaderGone{id_of(2)}, 1s))->token, 5);
}
END_TEST

START_TEST(what_no_rule_locks_sleeps_open) {
    for (const auto& rule : {policy::SessionRule{}, policy::SessionRule{.idle_lock = never},
                             policy::SessionRule{.idle_lock = 15min, .lock_on_sleep = false}}) {
        auto host = at_a_terminal(rule);
        CHECK_TEXT(kinds(host.step(SleepAsked{5}, 1s)), "ReplyDone");
    }
    Host commands{policy_of({.idle_lock = 15min})};
    commands.login(1, 0s);
    commands.step(no_terminal(1), 0s);
    CHECK_TEXT(kinds(commands.step(SleepAsked{5}, 1s)), "ReplyDone");
}
END_TEST

START_TEST(what_has_lost_its_terminal_since_the_last_look_is_given_back) {
    Host host{policy_of({.idle_lock = 15min, .idle_terminate = 1h})};
    host.login(1, 0s);
    host.step(SleepAsked{5}, 1min);
    host.step(before_lock(no_terminal(1)), 1min);
    const auto effects = host.step(none_left(1), 1min);
    CHECK_TEXT(kinds(effects), "StoreSession Unlock ReplyDone");
    ck_assert_uint_eq(find<ReplyDone>(effects)->token, 5);
    ck_assert(find<ReadActivity>(host.step(UnlockDone{id_of(1), true, {}}, 1min)) != nullptr);
    host.step(no_terminal(1), 1min);
    ck_assert(host.state(1) == State::active);
    ck_assert(host.machine.view(id_of(1))->record->facts.session_class ==
              policy::SessionClass::command);
    CHECK_TEXT(host.machine.view(id_of(1))->next_action, "");
}
END_TEST

START_TEST(where_vigil_only_observes_it_says_so) {
    auto host = at_a_terminal({.idle_lock = 15min}, policy::Mode::observe);
    const auto effects = host.step(SleepAsked{5}, 1s);
    CHECK_TEXT(kinds(effects), "Audit Audit ReplyDone");
    ck_assert(host.state(1) == State::active);
}
END_TEST

START_TEST(a_desktop_is_asked_and_waited_for_until_it_is_believed) {
    Host host{policy_of({.idle_lock = 15min})};
    auto facts = facts_of();
    facts.session_class = policy::SessionClass::graphical;
    host.step(reserve(1, facts), 0s);
    host.step(confirm(1, facts), 0s);
    CHECK_TEXT(kinds(host.step(SleepAsked{5}, 1s)), "StoreSession LockDesktop");
    ck_assert(!find<ReplyDone>(host.step(DesktopSeen{id_of(1), true, {}}, 2s)));
    ck_assert_uint_eq(find<ReplyDone>(host.tick(3s))->token, 5);
}
END_TEST

START_TEST(two_who_ask_are_both_answered) {
    auto host = at_a_terminal({.idle_lock = 15min});
    host.step(SleepAsked{5}, 1s);
    ck_assert(!find<ReplyDone>(host.step(SleepAsked{6}, 1s)));
    host.step(LockDone{id_of(1), true, {}}, 1s);
    ck_assert_uint_eq(count<ReplyDone>(host.step(LockDone{id_of(2), true, {}}, 1s)), 2);
}
END_TEST

} // namespace

int main() {
    return vigil::test::run(
        "core: sleeping",
        {it_sleeps_when_the_last_lock_is_held, a_lock_that_cannot_be_held_is_not_waited_for,
         a_lock_under_way_is_waited_for, an_end_of_what_is_being_locked_is_none_to_wait_for,
         what_no_rule_locks_sleeps_open,
         what_has_lost_its_terminal_since_the_last_look_is_given_back,
         where_vigil_only_observes_it_says_so,
         a_desktop_is_asked_and_waited_for_until_it_is_believed, two_who_ask_are_both_answered});
}
