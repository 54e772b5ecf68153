// Elevated sessions: their beginning, their clock beside the login's, the lock of it, their end.

#include "tests/unit/core_support.hpp"

using namespace vigil;
using namespace vigil::test;

namespace {

policy::Policy rules(policy::ElevatedRule rule, policy::Mode mode = policy::Mode::enforce) {
    auto policy = policy_of({}, mode);
    policy.elevated = {std::move(rule)};
    return policy;
}

ElevatedAsked asked(std::uint32_t number, std::uint32_t login = 1, std::size_t depth = 0) {
    return {.token = 7,
            .fresh_id = id_of(number),
            .login = id_of(login),
            .service = "sudo",
            .run_as = "root",
            .leader = process_of(number),
            .terminal = "pts/3",
            .around = "/user.slice/session-c1.scope",
            .depth = depth};
}

/// As the shell does it.
Effects begin(Host& host, std::uint32_t number, Microseconds now) {
    auto effects = host.step(asked(number), now);
    const auto* hold = find<HoldElevated>(effects);
    ck_assert_ptr_nonnull(hold);
    std::ranges::copy(host.step(ElevatedHeld{7, hold->session, {}}, now),
                      std::back_inserter(effects));
    return effects;
}

std::string id_told(const Effects& effects) {
    const auto* reply = find<ReplyId>(effects);
    ck_assert_ptr_nonnull(reply);
    ck_assert_uint_eq(reply->token, 7);
    return reply->id;
}

START_TEST(one_is_written_down_before_it_is_held_and_answered_after) {
    Host host{rules({.max_duration = Seconds{1800}})};
    host.login(1, 0s);
    const auto effects = begin(host, 2, 1s);
    CHECK_TEXT(kinds(effects), "StoreSession HoldElevated Watch Audit ReplyId");
    CHECK_TEXT(id_told(effects), id_of(2).text());
    const auto& record = host.written.sessions.at(id_of(2));
    ck_assert(record.login == id_of(1));
    CHECK_TEXT(record.run_as, "root");
    CHECK_TEXT(record.facts.user, "alice");
    CHECK_TEXT(record.facts.service, "sudo");
    CHECK_TEXT(record.cgroup, "/user.slice/session-c1.scope/vigil-elevated-" + id_of(2).text());
    ck_assert(find<Audit>(effects)->kind == AuditKind::elevated_opened);
    const auto view = host.machine.view(id_of(2));
    CHECK_TEXT(view->next_action, "terminate");
    ck_assert(view->next_at == at(1s + 30min).boot);
}
END_TEST

START_TEST(nothing_is_held_without_a_rule_a_login_or_where_vigil_observes) {
    Host plain{policy_of({})};
    plain.login(1, 0s);
    CHECK_TEXT(kinds(plain.step(asked(2), 1s)), "ReplyId");
    Host host{rules({.max_duration = Seconds{1800}})};
    CHECK_TEXT(kinds(host.step(asked(2), 1s)), "ReplyId");
    host.step(reserve(1), 0s);
    CHECK_TEXT(kinds(host.step(asked(2), 1s)), "ReplyId");
    Host other{rules({.match = {.run_as = {"postgres"}}, .max_duration = Seconds{1800}})};
    other.login(1, 0s);
    CHECK_TEXT(id_told(other.step(asked(2), 1s)), "");
    Host observing{rules({.max_duration = Seconds{1800}}, policy::Mode::observe)};
    observing.login(1, 0s);
    const auto effects = observing.step(asked(2), 1s);
    CHECK_TEXT(kinds(effects), "Audit ReplyId");
    CHECK_TEXT(told(effects), "[only observed: would have a clock of its own, sudo as root]");
    CHECK_TEXT(id_told(effects), "");
}
END_TEST

START_TEST(a_question_that_is_repeated_is_about_the_same_one) {
    Host host{rules({.max_duration = Seconds{1800}})};
    host.login(1, 0s);
    begin(host, 2, 1s);
    auto again = asked(3);
    again.leader = process_of(2);
    const auto effects = host.step(again, 1s);
    CHECK_TEXT(kinds(effects), "HoldElevated");
    ck_assert(find<HoldElevated>(effects)->session == id_of(2));
    ck_assert_uint_eq(host.written.sessions.size(), 2);
}
END_TEST

START_TEST(what_could_not_be_held_goes_on_without) {
    Host host{rules({.max_duration = Seconds{1800}})};
    host.login(1, 0s);
    host.step(asked(2), 1s);
    const auto effects = host.step(ElevatedHeld{7, id_of(2), "no space"}, 1s);
    CHECK_TEXT(kinds(effects), "Audit Forget EraseSession ReplyId");
    CHECK_TEXT(id_told(effects), "");
    ck_assert(!host.knows(2) && host.knows(1));
}
END_TEST

START_TEST(its_clock_is_its_own_and_its_end_leaves_the_login) {
    Host host{rules({.max_duration = Seconds{1800}, .warn_before_end = {{Seconds{60}}}})};
    host.login(1, 0s);
    begin(host, 2, 600s);
    ck_assert(host.deadline() == 600s + 29min);
    auto effects = host.tick(host.deadline());
    CHECK_TEXT(told(effects), "<What sudo started as root ends in 1 min, at its limit of 30 min. "
                              "Save your work.>[ends in 1 min]");
    ck_assert(find<Audit>(effects)->kind == AuditKind::elevated_warned);
    effects = host.tick(host.deadline());
    CHECK_TEXT(told(effects), "[ended: it reached its limit of 30 min]<What sudo started as root "
                              "ends now: it reached its limit of 30 min.>");
    ck_assert(find<Audit>(effects)->kind == AuditKind::elevated_ending);
    CHECK_TEXT(kinds(host.tick(host.deadline())), "Terminate");
    CHECK_TEXT(kinds(host.tick(host.deadline())), "KillScope");
    CHECK_TEXT(kinds(host.tick(host.deadline())), "CheckGone");
    effects = host.step(ScopeSeen{id_of(2), true}, 3000s);
    CHECK_TEXT(kinds(effects), "Audit Forget EraseSession");
    CHECK_TEXT(told(effects), "[sudo as root is over: it reached its limit of 30 min]");
    ck_assert(host.state(1) == State::active && !host.knows(2));
}
END_TEST

START_TEST(it_is_over_with_its_last_process_and_not_with_the_first) {
    Host host{rules({.max_duration = Seconds{1800}})};
    host.login(1, 0s);
    begin(host, 2, 1s);
    CHECK_TEXT(kinds(host.step(LeaderGone{id_of(2)}, 2s)), "CheckGone");
    CHECK_TEXT(kinds(host.step(ScopeSeen{id_of(2), false}, 2s)), "");
    ck_assert(host.state(2) == State::active);
    CHECK_TEXT(told(host.step(ScopeSeen{id_of(2), true}, 3s)),
               "[sudo as root is over: it ended by itself]");
    ck_assert(!host.knows(2));
}
END_TEST

ActivitySeen quiet(std::uint32_t number, Microseconds input, Microseconds processor = 0us) {
    auto seen = activity(number, input, input);
    seen.work.processor = processor;
    return seen;
}

START_TEST(it_ends_for_idleness_by_keys_and_its_own_work) {
    Host host{rules({.idle_terminate = Seconds{600}})};
    host.login(1, 0s);
    begin(host, 2, 0s);
    ck_assert(host.deadline() == 590s);
    CHECK_TEXT(kinds(host.tick(590s)), "ReadActivity");
    host.step(quiet(2, 100s), 590s);
    ck_assert_msg(host.deadline() == 690s, "the key was later");
    host.tick(690s);
    host.step(quiet(2, 100s, 30s), 690s);
    ck_assert_msg(host.deadline() > 1200s, "it worked");
    Microseconds now = host.deadline();
    for (int looks = 0; looks < 5 && host.state(2) == State::active; ++looks) {
        now = host.deadline();
        host.tick(now);
        host.step(quiet(2, 100s, 30s), now);
    }
    ck_assert(host.state(2) == State::ending);
    ck_assert_msg(now >= 1290s && now < 1400s, "%lld", static_cast<long long>(now.count()));
    ck_assert(host.state(1) == State::active);
}
END_TEST

START_TEST(output_of_the_login_is_no_sign_of_life) {
    Host host{rules({.idle_terminate = Seconds{600}})};
    host.login(1, 0s);
    begin(host, 2, 0s);
    host.tick(590s);
    host.step(activity(2, 0s, 589s), 590s);
    host.tick(600s);
    host.step(activity(2, 0s, 599s), 600s);
    ck_assert(host.state(2) == State::ending);
}
END_TEST

START_TEST(a_terminal_that_is_gone_does_not_keep_it_alive) {
    Host host{rules({.idle_terminate = Seconds{600}})};
    host.login(1, 0s);
    begin(host, 2, 0s);
    auto seen = quiet(2, 0s);
    seen.terminals.clear();
    seen.last_input = {};
    host.tick(590s);
    host.step(seen, 590s);
    host.tick(600s);
    host.step(seen, 600s);
    ck_assert(host.state(2) == State::ending);
}
END_TEST

START_TEST(under_the_lock_it_is_not_idle_and_nobody_is_told_but_its_limit_holds) {
    Host host{rules({.idle_terminate = Seconds{600},
                     .max_duration = Seconds{1800},
                     .warn_before_end = {{Seconds{60}}}})};
    host.login(1, 0s);
    begin(host, 2, 0s);
    host.lock(1, 300s);
    ck_assert(host.deadline() >= 1800s);
    const auto effects = host.tick(1800s);
    ck_assert_ptr_null(find<Say>(effects));
    ck_assert(host.state(2) == State::ending && host.state(1) == State::locked);
}
END_TEST

START_TEST(after_the_lock_its_idle_time_begins_anew) {
    Host host{rules({.idle_terminate = Seconds{600}})};
    host.login(1, 0s);
    begin(host, 2, 0s);
    host.lock(1, 300s);
    host.step(UnlockAsked{1, id_of(1), "password", {}}, 2000s);
    const auto given = host.step(UnlockDone{id_of(1), true, {}}, 2000s);
    ck_assert_ptr_nonnull(find<CheckGone>(given));
    host.tick(2000s);
    host.step(quiet(2, 0s), 2000s);
    ck_assert(host.state(2) == State::active);
    ck_assert(host.deadline() >= 2590s);
}
END_TEST

START_TEST(it_has_no_lock_of_its_own) {
    Host host{rules({.max_duration = Seconds{1800}})};
    host.login(1, 0s);
    begin(host, 2, 0s);
    const auto effects = host.step(LockAsked{7, id_of(2), "by root", {}}, 1s);
    CHECK_TEXT(answer(effects), wire::error_denied);
    host.step(SleepAsked{9}, 2s);
    ck_assert(host.state(2) == State::active);
}
END_TEST

START_TEST(it_may_outlive_its_login_and_keeps_its_clock) {
    Host host{rules({.max_duration = Seconds{1800}})};
    host.login(1, 0s);
    begin(host, 2, 0s);
    const auto effects = host.step(LeaderGone{id_of(1)}, 10s);
    ck_assert_ptr_nonnull(find<CheckGone>(effects));
    ck_assert(!host.knows(1));
    host.step(ScopeSeen{id_of(2), false}, 10s);
    host.tick(1800s);
    ck_assert(host.state(2) == State::ending);
}
END_TEST

START_TEST(a_restart_keeps_it_and_its_clock) {
    Host host{rules({.max_duration = Seconds{1800}})};
    host.login(1, 0s);
    begin(host, 2, 0s);
    const auto effects = host.restart(100s);
    ck_assert_uint_eq(count<Watch>(effects), 2);
    ck_assert_uint_eq(count<CheckGone>(effects), 1);
    host.tick(1800s);
    ck_assert(host.state(2) == State::ending && host.state(1) == State::active);
    host.restart(1801s);
    CHECK_TEXT(kinds(host.tick(1801s)), "Terminate");
}
END_TEST

START_TEST(beyond_its_bounds_it_is_where_a_clock_runs_already) {
    Host host{rules({.max_duration = Seconds{1800}})};
    host.login(1, 0s);
    CHECK_TEXT(kinds(host.step(asked(2, 1, max_elevated_depth), 0s)), "ReplyId");
    for (std::uint32_t number = 10; number < 10 + max_elevated_per_login; ++number)
        begin(host, number, Seconds{number});
    const auto effects = begin(host, 500, 1000s);
    CHECK_TEXT(kinds(effects), "HoldElevated Watch ReplyId");
    ck_assert(find<HoldElevated>(effects)->session == id_of(10)); // which ends first
    ck_assert(find<HoldElevated>(effects)->process == process_of(500));
    ck_assert(!host.knows(500));
    // It ends, and takes nobody along who has just come.
    host.tick(1810s);
    ck_assert(host.state(10) == State::ending);
    ck_assert(find<HoldElevated>(begin(host, 501, 1810s))->session == id_of(11));
}
END_TEST

START_TEST(one_that_runs_goes_on_where_another_cannot_join_it) {
    Host host{rules({.max_duration = Seconds{1800}})};
    host.login(1, 0s);
    begin(host, 2, 0s);
    host.restart(1s);
    const auto effects =
        host.step(ElevatedHeld{.token = 9, .session = id_of(2), .failure = "no room"}, 1s);
    CHECK_TEXT(kinds(effects), "Audit ReplyId");
    ck_assert(host.knows(2));
    host.tick(1800s);
    ck_assert(host.state(2) == State::ending);
}
END_TEST

START_TEST(it_counts_as_no_session_of_its_users) {
    auto policy = rules({.max_duration = Seconds{1800}});
    policy.sessions.front().max_sessions = {.per_user = 2};
    Host host{policy};
    host.login(1, 0s);
    begin(host, 2, 0s);
    begin(host, 3, 0s);
    const auto effects = host.step(reserve(4), 1s);
    ck_assert(find<ReplyReserve>(effects)->reply.verdict == wire::ReserveReply::Verdict::reserved);
}
END_TEST

START_TEST(a_new_policy_is_its_policy) {
    Host host{rules({.max_duration = Seconds{1800}})};
    host.login(1, 0s);
    begin(host, 2, 0s);
    host.step(PolicyChanged{rules({.max_duration = Seconds{60}})}, 10s);
    ck_assert(host.deadline() == 60s);
    host.step(PolicyChanged{policy_of({})}, 20s);
    ck_assert(host.deadline() == Microseconds::max());
    ck_assert(host.state(2) == State::active);
}
END_TEST

START_TEST(whoever_may_end_it_ends_it_alone) {
    Host host{rules({.max_duration = Seconds{1800}})};
    host.login(1, 0s);
    begin(host, 2, 0s);
    const auto effects = host.step(TerminateAsked{7, id_of(2), "alice", {}}, 1s);
    CHECK_TEXT(answer(effects), "");
    ck_assert(host.state(2) == State::ending && host.state(1) == State::active);
}
END_TEST

} // namespace

int main() {
    return run(
        "core_elevated",
        {one_is_written_down_before_it_is_held_and_answered_after,
         nothing_is_held_without_a_rule_a_login_or_where_vigil_observes,
         a_question_that_is_repeated_is_about_the_same_one, what_could_not_be_held_goes_on_without,
         its_clock_is_its_own_and_its_end_leaves_the_login,
         it_is_over_with_its_last_process_and_not_with_the_first,
         it_ends_for_idleness_by_keys_and_its_own_work, output_of_the_login_is_no_sign_of_life,
         a_terminal_that_is_gone_does_not_keep_it_alive,
         under_the_lock_it_is_not_idle_and_nobody_is_told_but_its_limit_holds,
         after_the_lock_its_idle_time_begins_anew, it_has_no_lock_of_its_own,
         it_may_outlive_its_login_and_keeps_its_clock, a_restart_keeps_it_and_its_clock,
         beyond_its_bounds_it_is_where_a_clock_runs_already,
         one_that_runs_goes_on_where_another_cannot_join_it, it_counts_as_no_session_of_its_users,
         a_new_policy_is_its_policy, whoever_may_end_it_ends_it_alone});
}
