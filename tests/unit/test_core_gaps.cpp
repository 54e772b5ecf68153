// What a lock leaves free: it is told and shown while it is true, and the policy says whether it
// ends the session.

#include "tests/unit/core_support.hpp"

using namespace vigil;
using namespace vigil::test;

namespace {

policy::Policy ends_incomplete() {
    return policy_of({.idle_lock = 15min, .incomplete_lock = policy::IncompleteLock::end});
}

GapsSeen seen(Gap::Kind kind, std::string text) {
    return {id_of(1), {{kind, std::move(text)}}};
}

using enum Gap::Kind;

START_TEST(what_a_lock_leaves_free_is_told_and_shown_while_it_is_true) {
    Host host{policy_of({.idle_lock = 15min})};
    host.login(1, 0s);
    host.step(LockAsked{1, id_of(1), "root"}, 1s);
    ck_assert(host.step(seen(reader, "cat reads"), 1s).size() == 1);
    host.step(LockDone{id_of(1), true, {}}, 1s);
    CHECK_TEXT(told(host.step(seen(reader, "dd reads"), 2s)), "[not wholly locked: dd reads]");
    ck_assert(host.step(seen(reader, "dd reads"), 3s).empty());
    ck_assert(host.machine.view(id_of(1))->gaps == seen(reader, "dd reads").gaps);
    // Gone again: nothing to tell, and nothing to show.
    ck_assert(host.step(GapsSeen{id_of(1), {}}, 4s).empty());
    ck_assert(host.machine.view(id_of(1))->gaps.empty());
    host.step(seen(reader, "dd reads"), 5s);
    host.step(UnlockAsked{1, id_of(1), "totp", {}}, 6s);
    ck_assert(host.step(seen(reader, "dd reads"), 6s).empty());
    host.step(UnlockDone{id_of(1), true, {}}, 6s);
    ck_assert(host.machine.view(id_of(1))->gaps.empty());
}
END_TEST

START_TEST(what_runs_beside_a_session_is_told_once) {
    Host host{ends_incomplete()};
    host.login(1, 0s);
    host.lock(1, 1s);
    CHECK_TEXT(told(host.step(seen(user_unit, "user unit a.service"), 1s)),
               "[wholly locked; note: user unit a.service]");
    ck_assert(host.step(seen(user_unit, "user unit b.service"), 2s).empty());
    ck_assert(host.state(1) == State::locked);
    ck_assert(host.machine.view(id_of(1))->gaps.front().text == "user unit b.service");
}
END_TEST

START_TEST(the_policy_can_have_ended_what_is_not_wholly_locked) {
    for (const auto kind :
         {not_held, undelegated, reader, unasked, at_its_own, slow, unsealed, desktop, user_unit}) {
        Host host{ends_incomplete()};
        host.login(1, 0s);
        host.lock(1, 1s);
        const auto effects = host.step(seen(kind, "it is free"), 1s);
        const bool ends = kind != unasked && kind != at_its_own && kind != slow &&
                          kind != unsealed && kind != closed && kind != user_unit;
        ck_assert(makes_incomplete({kind, {}}) == ends);
        ck_assert(host.state(1) == (ends ? State::ending : State::locked));
        if (ends)
            CHECK_TEXT(told(effects), "[ended: it could not be locked wholly: it is free]"
                                      "<This session ends now: it could not be locked wholly: it "
                                      "is free.>");
    }
}
END_TEST

START_TEST(a_lock_that_does_not_hold_ends_the_session_where_the_policy_says_so) {
    Host host{ends_incomplete()};
    for (const std::uint32_t number : {1, 2, 3})
        host.login(number, 0s);
    host.step(LockAsked{7, id_of(1), "root"}, 1s);
    auto effects = host.step(LockDone{id_of(1), false, "too many forks", {"/dev/pts/3"}}, 1s);
    ck_assert(host.state(1) == State::ending);
    CHECK_TEXT(answer(effects), wire::error_denied);
    // Nothing gets past a lock that lacks its prompt alone.
    host.step(LockAsked{7, id_of(2), "root"}, 1s);
    host.step(LockDone{id_of(2), false, "no bus", {"/dev/pts/3"}, true}, 1s);
    ck_assert(host.state(2) == State::locked);
    CHECK_TEXT(host.machine.view(id_of(2))->gaps.front().text, "no bus");
    // Without a terminal nobody knows whether anything was to be held.
    host.step(LockAsked{7, id_of(3), "root"}, 1s);
    host.step(LockDone{id_of(3), false, "no terminal", {}}, 1s);
    ck_assert(host.state(3) == State::locked);
}
END_TEST

START_TEST(prompts_ask_anew_each_time_that_somebody_has_taken_a_process_out) {
    Host host{policy_of({.idle_lock = 15min})};
    host.login(1, 0s);
    host.lock(1, 1s);
    const auto held = [&](bool escaped, Microseconds now) {
        return host.step(LockDone{id_of(1), true, {}, {"/dev/pts/3"}, false, escaped}, now);
    };
    ck_assert_uint_eq(count<RenewPrompts>(held(false, 2s)), 0);
    const auto effects = held(true, 3s);
    ck_assert(find<RenewPrompts>(effects)->session == id_of(1));
    ck_assert_uint_eq(count<RenewPrompts>(held(false, 4s)), 0);
    ck_assert_uint_eq(count<RenewPrompts>(held(true, 5s)), 1);
}
END_TEST

START_TEST(a_policy_loaded_later_ends_what_is_not_wholly_locked) {
    Host host{policy_of({.idle_lock = 15min})};
    host.login(1, 0s);
    host.lock(1, 1s);
    host.step(seen(reader, "cat reads"), 1s);
    const auto effects = host.step(PolicyChanged{ends_incomplete()}, 2s);
    ck_assert(find<LookForGaps>(effects) != nullptr);
    host.step(seen(reader, "cat reads"), 2s);
    ck_assert(host.state(1) == State::ending);
}
END_TEST

START_TEST(what_has_no_scope_never_looks_locked) {
    for (const bool ends : {false, true}) {
        Host host{ends ? ends_incomplete() : policy_of({.idle_lock = 15min})};
        host.step(reserve(1), 0s);
        auto login = confirm(1);
        login.cgroup.clear();
        host.step(login, 0s);
        host.step(activity(1, 0s, 0s), 0s);
        const auto by_hand = ends ? Effects{} : host.step(LockAsked{1, id_of(1), "root"}, 1s);
        if (!ends)
            CHECK_TEXT(find<ReplyDone>(by_hand)->text,
                       "It cannot be locked: its processes are in no scope of cgroup v2.");
        const auto effects = host.step(activity(1, 0s, 0s), 15min);
        ck_assert(find<Lock>(effects) == nullptr);
        ck_assert(host.state(1) == (ends ? State::ending : State::active));
        if (!ends)
            CHECK_TEXT(told(effects),
                       "[it cannot be locked: its processes are in no scope of cgroup v2]");
        // Once for each time that nobody is there.
        ck_assert(ends || told(host.step(activity(1, 0s, 0s), 16min)).empty());
    }
}
END_TEST

} // namespace

int main() {
    return vigil::test::run("core: gaps",
                            {what_a_lock_leaves_free_is_told_and_shown_while_it_is_true,
                             what_runs_beside_a_session_is_told_once,
                             the_policy_can_have_ended_what_is_not_wholly_locked,
                             a_lock_that_does_not_hold_ends_the_session_where_the_policy_says_so,
                             prompts_ask_anew_each_time_that_somebody_has_taken_a_process_out,
                             a_policy_loaded_later_ends_what_is_not_wholly_locked,
                             what_has_no_scope_never_looks_locked});
}
