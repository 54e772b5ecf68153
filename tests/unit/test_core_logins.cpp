// Logins: reservation, confirmation, adoption, the count, the end of a login, a restart.

#include "tests/unit/core_support.hpp"

using namespace vigil;
using namespace vigil::test;

namespace {

policy::Policy two_at_most(policy::Mode mode = policy::Mode::enforce) {
    return policy_of({.max_duration = 8h, .max_sessions = policy::MaxSessions{.per_user = 2}},
                     mode);
}

START_TEST(a_login_is_stored_and_audited_before_the_answer) {
    Host host{two_at_most()};
    const auto effects = host.step(reserve(1), 0s);
    CHECK_TEXT(kinds(effects), "StoreSession Watch Audit ReplyReserve");
    ck_assert(find<ReplyReserve>(effects)->reply.verdict == wire::ReserveReply::Verdict::reserved);
    ck_assert_uint_eq(find<ReplyReserve>(effects)->reply.max_seconds, 8 * 3600);
    ck_assert_uint_eq(find<ReplyReserve>(effects)->token, 1);
    const auto confirmed = host.step(confirm(1), 1s);
    CHECK_TEXT(kinds(confirmed), "StoreSession Watch Audit ReplyId");
    CHECK_TEXT(find<ReplyId>(confirmed)->id, id_of(1).text());
    ck_assert(host.state(1) == State::active);
    ck_assert(host.machine.by_logind("c1") == id_of(1));
    ck_assert(host.machine.view(id_of(1))->record->since == at(1s).boot);
}
END_TEST

START_TEST(a_repeated_reservation_is_the_same_login) {
    Host host{two_at_most()};
    host.step(reserve(1), 0s);
    auto again = reserve(1);
    again.fresh_id = id_of(9);
    const auto effects = host.step(again, 1s);
    CHECK_TEXT(kinds(effects), "EraseSession Forget StoreSession Watch Audit ReplyReserve");
    ck_assert_uint_eq(host.machine.list().size(), 1);
    ck_assert_uint_eq(host.written.sessions.size(), 1);
    host.step(reserve(2), 2s); // it counts once
    ck_assert(host.knows(2));
}
END_TEST

START_TEST(a_process_in_its_session_gets_no_second_one) {
    Host host{two_at_most()};
    host.login(1, 0s);
    auto again = reserve(1);
    again.fresh_id = id_of(9);
    const auto effects = host.step(again, 1s);
    CHECK_TEXT(kinds(effects), "ReplyReserve");
    ck_assert(find<ReplyReserve>(effects)->reply.verdict ==
              wire::ReserveReply::Verdict::not_a_login);
    const auto released = host.step(ReleaseAsked{3, process_of(1)}, 2s);
    CHECK_TEXT(kinds(released), "Audit Forget EraseSession ReplyDone");
    ck_assert(host.machine.list().empty());
}
END_TEST

START_TEST(a_login_over_the_limit_is_refused_with_its_reason) {
    Host host{two_at_most()};
    host.login(1, 0s);
    host.step(reserve(2), 0s); // reserved counts too
    const auto effects = host.step(reserve(3), 1s);
    CHECK_TEXT(kinds(effects), "Audit ReplyReserve");
    const auto& reply = find<ReplyReserve>(effects)->reply;
    ck_assert(reply.verdict == wire::ReserveReply::Verdict::refused);
    CHECK_TEXT(reply.reason,
               "You have 2 sessions here and the limit is 2 (rule \"everyone\"). End one first.");
    ck_assert(find<Audit>(effects)->kind == AuditKind::login_refused);
    CHECK_TEXT(find<Audit>(effects)->text, reply.reason);
    host.step(reserve(4, facts_of("bob", 1001)), 1s); // his own count
    ck_assert(host.knows(4));
    host.step(LeaderGone{id_of(2)}, 2s); // a reservation lapses with its process
    host.step(reserve(5), 3s);
    ck_assert(host.knows(5));
}
END_TEST

START_TEST(root_at_the_console_always_gets_in) {
    auto rules = policy_of({.access = policy::Access::deny, .message = "Closed."});
    Host host{rules};
    auto root = reserve(1, {.user = "root", .uid = 0, .service = "login"});
    const auto from_afar = host.step(root, 0s); // a remote_host: not the console
    ck_assert(find<ReplyReserve>(from_afar)->reply.verdict == wire::ReserveReply::Verdict::refused);
    CHECK_TEXT(find<ReplyReserve>(from_afar)->reply.reason, "Closed.");
    root.remote_host.clear();
    ck_assert(find<ReplyReserve>(host.step(root, 0s))->reply.verdict ==
              wire::ReserveReply::Verdict::refused); // no console, whatever the service
    root.at_console = true;
    const auto effects = host.step(root, 0s);
    ck_assert(find<ReplyReserve>(effects)->reply.verdict == wire::ReserveReply::Verdict::reserved);
    ck_assert(find<Audit>(effects)->kind == AuditKind::login_let_in);
    CHECK_TEXT(find<Audit>(effects)->text, "root at the console is let in although: Closed.");
    root.remote_host = "192.0.2.7";
    ck_assert(find<ReplyReserve>(host.step(root, 0s))->reply.verdict ==
              wire::ReserveReply::Verdict::refused);
    auto other = reserve(2);
    other.remote_host.clear();
    other.at_console = true;
    ck_assert(find<ReplyReserve>(host.step(other, 0s))->reply.verdict ==
              wire::ReserveReply::Verdict::refused);
}
END_TEST

START_TEST(no_number_of_sessions_keeps_root_from_the_console) {
    Host host{two_at_most()};
    auto root = reserve(1, {.user = "root", .uid = 0, .service = "login"});
    root.remote_host.clear();
    root.at_console = true;
    for (std::uint32_t number = 1; number <= 4; ++number) {
        root.fresh_id = id_of(number);
        root.leader = process_of(number);
        const auto effects = host.step(root, 0s);
        ck_assert(find<ReplyReserve>(effects)->reply.verdict ==
                  wire::ReserveReply::Verdict::reserved);
        ck_assert((find<Audit>(effects)->kind == AuditKind::login_let_in) == (number > 2));
    }
}
END_TEST

START_TEST(a_session_confirmed_again_keeps_its_class) {
    policy::SessionRule rule{.idle_lock = 60s};
    rule.match.classes = {policy::SessionClass::interactive};
    Host host{policy_of(std::move(rule))};
    auto again = confirm(1);
    again.facts.session_class = policy::SessionClass::command;
    host.step(reserve(1), 0s);
    host.step(again, 0s);
    host.step(activity(1, 0s, 0s), 1s); // a terminal: not a bare command
    const auto has_class = [&](policy::SessionClass wanted) {
        return host.machine.view(id_of(1))->record->facts.session_class == wanted;
    };
    ck_assert(has_class(policy::SessionClass::interactive));
    host.step(again, 2s);
    ck_assert(has_class(policy::SessionClass::interactive));
    ck_assert(host.machine.view(id_of(1))->decision->idle_lock == 60s);
}
END_TEST

START_TEST(observe_refuses_nobody_and_says_who_would_be) {
    Host host{two_at_most(policy::Mode::observe)};
    for (std::uint32_t number = 1; number <= 3; ++number)
        host.login(number, 0s);
    const auto effects = host.step(reserve(4), 1s);
    ck_assert(find<ReplyReserve>(effects)->reply.verdict == wire::ReserveReply::Verdict::reserved);
    ck_assert_uint_eq(find<ReplyReserve>(effects)->reply.max_seconds, wire::unlimited);
    ck_assert(find<Audit>(effects)->text.starts_with("only observed: You have 3 sessions"));
    ck_assert_uint_eq(find<ReplyLimit>(host.step(PrepareAsked{1, process_of(1)}, 1s))->max_seconds,
                      wire::unlimited);
}
END_TEST

START_TEST(sessions_are_bounded_in_both_modes) {
    for (const auto mode : {policy::Mode::enforce, policy::Mode::observe}) {
        Machine machine{policy_of({}, mode), {}, {}, at(0s)};
        for (std::uint32_t number = 0; number < max_sessions_total; ++number)
            machine.step(reserve(number), at(0s));
        const auto effects = machine.step(reserve(max_sessions_total), at(0s));
        CHECK_TEXT(kinds(effects), "Audit ReplyReserve");
        ck_assert(find<ReplyReserve>(effects)->reply.verdict ==
                  (mode == policy::Mode::enforce ? wire::ReserveReply::Verdict::refused
                                                 : wire::ReserveReply::Verdict::not_a_login));
        // The account phase had been passed by, or logind knows more of them.
        CHECK_TEXT(kinds(machine.step(confirm(max_sessions_total), at(0s))), "Audit ReplyDone");
        CHECK_TEXT(kinds(machine.step(found(max_sessions_total, 0s), at(0s))), "Audit");
        CHECK_TEXT(kinds(machine.step(confirm(1), at(0s))), "StoreSession Watch Audit ReplyId");
        ck_assert_uint_eq(machine.list().size(), max_sessions_total);
    }
}
END_TEST

START_TEST(the_limit_reaches_the_session_phase) {
    Host host{two_at_most()};
    host.step(reserve(1), 0s);
    ck_assert_uint_eq(find<ReplyLimit>(host.step(PrepareAsked{1, process_of(1)}, 0s))->max_seconds,
                      8 * 3600);
    auto reused = process_of(1);
    ++reused.start_time; // the number alone is nobody
    ck_assert_uint_eq(find<ReplyLimit>(host.step(PrepareAsked{1, reused}, 0s))->max_seconds,
                      wire::unlimited);
}
END_TEST

START_TEST(a_login_that_was_not_reserved_is_watched_all_the_same) {
    Host host{two_at_most()};
    const auto effects = host.step(confirm(1), 5s);
    CHECK_TEXT(kinds(effects), "StoreSession Watch Audit ReplyId");
    ck_assert(host.state(1) == State::active);
    const auto again = host.step(confirm(1), 9s);
    CHECK_TEXT(kinds(again), "StoreSession Watch ReplyId");
    ck_assert(host.machine.view(id_of(1))->record->since == at(5s).boot);
}
END_TEST

START_TEST(the_end_of_a_login_depends_on_its_state) {
    Host host{two_at_most()};
    ck_assert(host.step(LeaderGone{id_of(1)}, 0s).empty());
    host.step(reserve(1), 0s);
    CHECK_TEXT(told(host.step(LeaderGone{id_of(1)}, 1s)), "[the login did not come to a session]");
    host.login(2, 0s);
    host.lock(2, 1s);
    const auto effects = host.step(LeaderGone{id_of(2)}, 2s);
    CHECK_TEXT(kinds(effects), "KillFrozen Audit Forget EraseSession");
    // The machine has forgotten it by the time the shell does this.
    CHECK_TEXT(find<KillFrozen>(effects)->cgroup, "/user.slice/session-c2.scope");
    ck_assert(host.written.sessions.empty());
    ck_assert(!host.machine.by_logind("c2"));
    CHECK_TEXT(kinds(host.step(ReleaseAsked{6, process_of(2)}, 3s)), "ReplyDone");
}
END_TEST

START_TEST(who_waits_learns_that_the_session_is_over) {
    Host host{two_at_most()};
    host.login(1, 0s);
    host.step(LockAsked{5, id_of(1), "root"}, 1s);
    const auto effects = host.step(LeaderGone{id_of(1)}, 1s); // before LockDone
    ck_assert_ptr_nonnull(find<ReplyDone>(effects));
    ck_assert_uint_eq(find<ReplyDone>(effects)->token, 5);
    CHECK_TEXT(find<ReplyDone>(effects)->error, wire::error_denied);
}
END_TEST

START_TEST(logind_sessions_are_adopted_with_their_own_start) {
    Host host{policy_of({.idle_lock = 15min, .max_duration = 8h})};
    const auto effects = host.step(found(1, -7h), 0s);
    CHECK_TEXT(kinds(effects), "StoreSession Watch Audit ReadActivity");
    ck_assert(host.machine.view(id_of(1))->record->adopted);
    ck_assert(host.machine.view(id_of(1))->record->since == at(-7h).boot);
    ck_assert(host.step(found(1, -7h), 1s).empty());
    // Nobody was there for two hours: what it was before vigild came counts.
    const auto seen = host.step(activity(1, -2h, -2h), 1s);
    ck_assert_ptr_nonnull(find<Lock>(seen));
    ck_assert(host.machine.view(id_of(1))->last_input == at(-2h).boot);
}
END_TEST

START_TEST(a_reservation_that_logind_knows_becomes_its_session) {
    Host host{two_at_most()};
    host.step(reserve(1), 0s);
    host.step(found(1, 1s), 2s);
    ck_assert(host.state(1) == State::active);
    ck_assert(!host.machine.view(id_of(1))->record->adopted);
    auto without = confirm(2);
    without.logind_session.clear();
    without.cgroup.clear();
    host.step(without, 3s);
    CHECK_TEXT(kinds(host.step(found(2, 3s), 4s)), "StoreSession");
    ck_assert(host.machine.by_logind("c2") == id_of(2));
    CHECK_TEXT(host.machine.view(id_of(2))->record->cgroup, "/user.slice/session-c2.scope");
    ck_assert(host.machine.view(id_of(2))->record->since == at(3s).boot);
}
END_TEST

START_TEST(a_restart_brings_back_the_same_sessions) {
    Host host{policy_of({.idle_lock = 15min,
                         .max_duration = 8h,
                         .warn_before_end = std::vector<Seconds>{15min, 5min},
                         .max_sessions = policy::MaxSessions{.per_user = 2}})};
    host.login(1, 0s);
    host.step(activity(1, 7h + 45min, 0s), 7h + 45min);
    host.step(reserve(2), 7h + 45min);
    ck_assert_ptr_nonnull(find<Say>(host.tick(7h + 45min)));
    const auto before = host.machine.list();
    const std::vector<SessionRecord> records{*before[0].record, *before[1].record};
    const auto effects = host.restart(7h + 46min);
    ck_assert_uint_eq(count<Watch>(effects), 2);
    ck_assert_ptr_nonnull(find<ReadActivity>(effects));
    ck_assert(*host.machine.list()[0].record == records[0]);
    ck_assert(*host.machine.list()[1].record == records[1]);
    ck_assert(find<Say>(host.step(activity(1, 7h + 45min, 0s), 7h + 46min)) == nullptr);
    ck_assert(find<Say>(host.tick(7h + 46min)) == nullptr); // said before
    ck_assert(host.deadline() == 7h + 55min);
    ck_assert(find<ReplyReserve>(host.step(reserve(3), 7h + 46min))->reply.verdict ==
              wire::ReserveReply::Verdict::refused);
    ck_assert(find<StoreSession>(host.tick(8h))->record.state == State::ending);
}
END_TEST

START_TEST(a_restart_does_not_reset_the_idle_clock) {
    Host host{policy_of({.idle_lock = 15min})};
    host.login(1, 0s);
    host.restart(14min);
    const auto effects = host.step(activity(1, 0s, 0s), 14min);
    ck_assert(find<Lock>(effects) == nullptr);
    ck_assert(host.deadline() == 15min);
}
END_TEST

START_TEST(a_reservation_that_comes_to_nothing_does_not_count_for_ever) {
    Host host{policy_of({.max_sessions = policy::MaxSessions{.per_user = 1}})};
    host.step(reserve(1), 0s);
    ck_assert(host.deadline() == 10min);
    ck_assert_ptr_nonnull(find<ReplyReserve>(host.step(reserve(2), 10min - 1s)));
    ck_assert(!host.knows(2));
    const auto effects = host.tick(10min);
    CHECK_TEXT(kinds(effects), "Audit Forget EraseSession");
    CHECK_TEXT(told(effects), "[the login did not come to a session]");
    host.step(reserve(2), 10min);
    ck_assert(host.knows(2));
    // Late, but it is a session all the same.
    host.step(confirm(1), 11min);
    ck_assert(host.knows(1));
}
END_TEST

START_TEST(pid_1_is_told_the_longest_limit_that_the_session_can_come_to_have) {
    auto policy = policy_of({.max_duration = Seconds{8h}});
    policy.sessions.insert(
        policy.sessions.begin(),
        {.match = {.classes = {policy::SessionClass::interactive}}, .max_duration = Seconds{1h}});
    Host host{policy};
    const auto effects = host.step(reserve(1), 0s);
    ck_assert_uint_eq(find<ReplyReserve>(effects)->reply.max_seconds, 8 * 3600);
    ck_assert_uint_eq(find<ReplyLimit>(host.step(PrepareAsked{1, process_of(1)}, 0s))->max_seconds,
                      8 * 3600);
    ck_assert_uint_eq(find<ReplyLimit>(host.step(PrepareAsked{1, process_of(2)}, 0s))->max_seconds,
                      wire::unlimited);
}
END_TEST

START_TEST(a_leader_that_cannot_be_watched_is_not_taken_for_gone) {
    for (const bool confirmed : {false, true}) {
        Host host{policy_of({})};
        host.step(reserve(1), 0s);
        if (confirmed)
            host.login(1, 0s);
        ck_assert(host.step(WatchFailed{id_of(1)}, 1s).empty());
        ck_assert(host.knows(1));
        ck_assert(host.deadline() == 6s);
        CHECK_TEXT(kinds(host.tick(6s)), "Watch");
        ck_assert(host.deadline() == (confirmed ? Microseconds::max() : 10min));
    }
    Host host{policy_of({})};
    host.login(1, 0s);
    host.step(TerminateAsked{1, id_of(1), "root", {}}, 1s);
    host.step(WatchFailed{id_of(1)}, 1s);
    host.tick(2s);
    host.tick(4s + 1s);
    CHECK_TEXT(kinds(host.tick(6s)), "Watch CheckGone");
}
END_TEST

} // namespace

int main() {
    return vigil::test::run("core: logins",
                            {a_login_is_stored_and_audited_before_the_answer,
                             a_repeated_reservation_is_the_same_login,
                             a_process_in_its_session_gets_no_second_one,
                             a_login_over_the_limit_is_refused_with_its_reason,
                             root_at_the_console_always_gets_in,
                             no_number_of_sessions_keeps_root_from_the_console,
                             a_session_confirmed_again_keeps_its_class,
                             observe_refuses_nobody_and_says_who_would_be,
                             sessions_are_bounded_in_both_modes,
                             the_limit_reaches_the_session_phase,
                             a_login_that_was_not_reserved_is_watched_all_the_same,
                             the_end_of_a_login_depends_on_its_state,
                             who_waits_learns_that_the_session_is_over,
                             logind_sessions_are_adopted_with_their_own_start,
                             a_reservation_that_logind_knows_becomes_its_session,
                             a_restart_brings_back_the_same_sessions,
                             a_restart_does_not_reset_the_idle_clock,
                             a_leader_that_cannot_be_watched_is_not_taken_for_gone,
                             a_reservation_that_comes_to_nothing_does_not_count_for_ever,
                             pid_1_is_told_the_longest_limit_that_the_session_can_come_to_have});
}
