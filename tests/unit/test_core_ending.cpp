// The end of a session: the reason, the stages and their times, and what does not go away.

#include "tests/unit/core_support.hpp"

using namespace vigil;
using namespace vigil::test;

namespace {

TerminateAsked terminate(std::uint32_t number) {
    return {.token = 4, .session = id_of(number), .by = "root", .reason = "maintenance"};
}

START_TEST(an_end_goes_through_its_stages) {
    Host host{policy_of({})};
    host.login(1, 0s);
    const auto effects = host.step(terminate(1), 1s);
    CHECK_TEXT(kinds(effects), "StoreSession Audit Say ReplyDone");
    CHECK_TEXT(told(effects), "[ended: root ended it: maintenance]"
                              "<This session ends now: root ended it: maintenance.>");
    ck_assert(find<Say>(effects)->last);
    ck_assert(host.deadline() == 1s + 200ms);
    CHECK_TEXT(kinds(host.tick(host.deadline())), "KillFrozen Terminate");
    ck_assert(host.deadline() == 3s + 200ms);
    CHECK_TEXT(kinds(host.tick(host.deadline())), "KillScope");
    ck_assert(host.deadline() == 3s + 400ms);
    CHECK_TEXT(kinds(host.tick(host.deadline())), "CheckGone");
    const auto gone = host.step(ScopeSeen{id_of(1), true}, 4s);
    CHECK_TEXT(kinds(gone), "Audit Forget EraseSession");
    CHECK_TEXT(told(gone), "[session over: root ended it: maintenance]");
    ck_assert(host.written.sessions.empty());
    ck_assert(host.deadline() == Microseconds::max());
}
END_TEST

START_TEST(what_does_not_go_away_is_killed_until_it_does) {
    Host host{policy_of({})};
    host.login(1, 0s);
    host.step(terminate(1), 1s);
    std::size_t alarms = 0;
    for (int wakeups = 0; wakeups < 23; ++wakeups) {
        const auto now = host.deadline();
        if (find<CheckGone>(host.tick(now))) {
            const auto effects = host.step(ScopeSeen{id_of(1), false}, now);
            ck_assert_ptr_nonnull(find<Terminate>(effects));
            ck_assert_ptr_nonnull(find<KillScope>(effects));
            alarms += count<Audit>(effects);
        }
        ck_assert(host.deadline() > now);
    }
    ck_assert_uint_eq(alarms, 1);
    ck_assert(host.state(1) == State::ending);
    ck_assert(host.deadline() > 90s); // every 5 s, not faster
}
END_TEST

START_TEST(terminate_is_answered_in_every_state) {
    Host host{policy_of({})};
    ck_assert_ptr_nonnull(find<ReplyDone>(host.step(terminate(1), 0s))->error);
    host.step(reserve(1), 0s);
    // It is listed, so "no such session" would puzzle who asked.
    CHECK_TEXT(find<ReplyDone>(host.step(terminate(1), 0s))->error, wire::error_denied);
    CHECK_TEXT(find<ReplyDone>(host.step(terminate(1), 0s))->text,
               "The login is not complete yet: try again in a moment.");
    host.login(2, 0s);
    host.step(terminate(2), 0s);
    const auto again = host.step(terminate(2), 1s);
    CHECK_TEXT(kinds(again), "ReplyDone");
    ck_assert_ptr_null(find<ReplyDone>(again)->error);
    Host observed{policy_of({}, policy::Mode::observe)};
    observed.login(1, 0s);
    CHECK_TEXT(kinds(observed.step(terminate(1), 1s)), "ReplyDone");
    ck_assert(observed.state(1) == State::active);
}
END_TEST

START_TEST(a_locked_session_ends_and_its_asker_is_answered) {
    Host host{policy_of({})};
    host.login(1, 0s);
    host.lock(1, 1s);
    host.step(UnlockAsked{6, id_of(1), "totp", {}}, 2s);
    const auto effects = host.step(terminate(1), 2s);
    ck_assert_uint_eq(count<ReplyDone>(effects), 2);
    ck_assert_uint_eq(find<ReplyDone>(effects)->token, 6);
    ck_assert(host.step(UnlockDone{id_of(1), true, {}}, 2s).empty());
    ck_assert(host.state(1) == State::ending);
    CHECK_TEXT(find<KillFrozen>(host.tick(host.deadline()))->cgroup,
               "/user.slice/session-c1.scope");
}
END_TEST

START_TEST(an_ending_session_does_not_count_and_waits_for_its_scope) {
    Host host{policy_of({.max_sessions = policy::MaxSessions{.per_user = 1}})};
    host.login(1, 0s);
    host.step(terminate(1), 1s);
    host.step(reserve(2), 1s);
    ck_assert(host.knows(2));
    const auto left = host.step(LeaderGone{id_of(1)}, 2s);
    ck_assert_uint_eq(left.size(), 1);
    ck_assert(find<CheckGone>(left));
    ck_assert(host.step(ScopeSeen{id_of(1), false}, 2s).empty()); // programs still save
    ck_assert(host.state(1) == State::ending);
    host.step(ScopeSeen{id_of(1), true}, 3s);
    ck_assert(!host.knows(1));
    const auto third = host.step(reserve(3), 4s); // the end is subtracted once
    ck_assert(find<ReplyReserve>(third)->reply.verdict == wire::ReserveReply::Verdict::refused);
}
END_TEST

START_TEST(an_end_goes_on_after_a_crash_and_programs_still_get_their_time) {
    Host host{policy_of({.max_sessions = policy::MaxSessions{.per_user = 1}})};
    host.login(1, 0s);
    host.step(terminate(1), 1s);
    CHECK_TEXT(kinds(host.restart(60s)), "KeepMarks Watch");
    CHECK_TEXT(kinds(host.tick(60s)), "KillFrozen Terminate");
    ck_assert(host.deadline() == 62s);
    CHECK_TEXT(kinds(host.tick(62s)), "KillScope");
    host.step(reserve(2), 63s);
    ck_assert(host.knows(2));
}
END_TEST

START_TEST(the_absolute_limit_ends_a_session_whatever_its_state) {
    for (const bool lock : {false, true}) {
        Host host{policy_of({.max_duration = 8h})};
        host.login(1, 0s);
        if (lock)
            host.step(LockAsked{1, id_of(1), "root"}, 1h);
        ck_assert(host.deadline() == 8h);
        const auto effects = host.tick(8h);
        CHECK_TEXT(find<StoreSession>(effects)->record.end_reason, "it reached its limit of 8 h");
        ck_assert(find<Audit>(effects)->kind == AuditKind::session_ending);
    }
}
END_TEST

START_TEST(a_scope_that_nobody_asked_about_means_nothing) {
    Host host{policy_of({})};
    host.login(1, 0s);
    ck_assert(host.step(ScopeSeen{id_of(1), true}, 1s).empty());
    ck_assert(host.step(ScopeSeen{id_of(2), true}, 1s).empty());
    ck_assert(host.state(1) == State::active);
}
END_TEST

} // namespace

int main() {
    return vigil::test::run(
        "core: ending",
        {an_end_goes_through_its_stages, what_does_not_go_away_is_killed_until_it_does,
         terminate_is_answered_in_every_state, a_locked_session_ends_and_its_asker_is_answered,
         an_ending_session_does_not_count_and_waits_for_its_scope,
         an_end_goes_on_after_a_crash_and_programs_still_get_their_time,
         the_absolute_limit_ends_a_session_whatever_its_state,
         a_scope_that_nobody_asked_about_means_nothing});
}
