// A policy that only observes, enforced for a while: what it does meanwhile, who can confirm it,
// and what is given back when nobody has.

#include "tests/unit/core_support.hpp"

using namespace vigil;
using namespace vigil::test;

namespace {

policy::Policy observing() {
    return policy_of({.idle_lock = 15min}, policy::Mode::observe);
}

RehearseAsked rehearse(Seconds lasts = 10min) {
    return {.token = 7, .lasts = lasts, .by = "root"};
}

/// Why not; "" where he does.
std::string why_not(const Effects& effects) {
    return find<ReplyDone>(effects)->text;
}

std::string confirm_from(Host& host, std::optional<SessionId> session, Microseconds now,
                         bool is_running = true) {
    return why_not(host.step(
        RehearsalConfirmed{.token = 8, .session = session, .is_running = is_running}, now));
}

START_TEST(the_kernels_word_is_told_loudly_and_changes_nothing_else) {
    Host host{observing()};
    const auto effects = host.step(ObservesByWord{}, 0s);
    CHECK_TEXT(kinds(effects), "Audit");
    ck_assert(find<Audit>(effects)->kind == AuditKind::break_glass);
}
END_TEST

START_TEST(it_enforces_until_its_time_and_then_gives_back) {
    Host host{observing()};
    host.login(1, 0s);
    const auto effects = host.step(rehearse(), 1min);
    CHECK_TEXT(answer(effects), "");
    ck_assert(host.machine.mode() == policy::Mode::enforce);
    ck_assert(host.machine.rehearsed_until() == at(11min).boot);
    host.lock(1, 2min);
    ck_assert(host.state(1) == State::locked);
    ck_assert(host.deadline() <= 11min);
    host.tick(11min - 1us);
    ck_assert(host.state(1) == State::locked);
    const auto over = host.tick(11min);
    ck_assert(host.machine.mode() == policy::Mode::observe && !host.machine.rehearsed_until());
    ck_assert(host.state(1) == State::unlocking && find<Unlock>(over));
    ck_assert(told(over).contains("nobody has confirmed it"));
    host.step(UnlockDone{id_of(1), true, {}}, 11min);
    ck_assert(host.state(1) == State::active);
}
END_TEST

START_TEST(what_was_only_observed_is_due_when_it_begins) {
    Host host{observing()};
    host.login(1, 0s);
    host.tick(16min);
    ck_assert(host.state(1) == State::active);
    host.step(rehearse(), 17min);
    host.step(activity(1, 0s, 0s), 17min);
    host.tick(17min + 1s);
    ck_assert(host.state(1) == State::locked);
}
END_TEST

START_TEST(it_is_confirmed_from_a_login_that_was_made_since) {
    Host host{observing()};
    host.login(1, 0s);
    host.step(rehearse(), 1min);
    host.login(2, 2min);
    for (const auto& from :
         {std::optional<SessionId>{}, std::optional{id_of(1)}, std::optional{id_of(9)}})
        ck_assert(confirm_from(host, from, 3min).contains("log in anew"));
    CHECK_TEXT(confirm_from(host, id_of(2), 3min), "");
    ck_assert(host.machine.rehearsed_until());
    host.step(PolicyChanged{policy_of({.idle_lock = 15min})}, 3min);
    ck_assert(!host.machine.rehearsed_until() && host.machine.mode() == policy::Mode::enforce);
    host.lock(1, 4min);
    host.tick(1h);
    ck_assert(host.state(1) == State::locked);
}
END_TEST

START_TEST(more_time_does_not_make_older_logins_new) {
    Host host{observing()};
    host.step(rehearse(), 1min);
    host.login(1, 2min);
    host.step(rehearse(20min), 5min);
    ck_assert(host.machine.rehearsed_until() == at(25min).boot);
    CHECK_TEXT(confirm_from(host, id_of(1), 6min), "");
}
END_TEST

START_TEST(a_policy_that_observes_still_does_not_end_it) {
    Host host{observing()};
    host.step(rehearse(), 1min);
    host.login(1, 2min);
    host.step(PolicyChanged{observing()}, 3min);
    ck_assert(host.machine.mode() == policy::Mode::enforce);
    ck_assert(host.machine.rehearsed_until() == at(11min).boot);
    // Under these rules nobody has come in yet.
    ck_assert(confirm_from(host, id_of(1), 4min).contains("log in anew"));
    host.login(2, 5min);
    CHECK_TEXT(confirm_from(host, id_of(2), 6min), "");
}
END_TEST

START_TEST(one_that_is_over_is_not_confirmed) {
    Host host{observing()};
    host.step(rehearse(), 1min);
    host.login(1, 2min);
    host.tick(11min);
    ck_assert(confirm_from(host, id_of(1), 11min).contains("is over"));
    // Who has not seen one confirms none.
    CHECK_TEXT(confirm_from(host, id_of(1), 12min, false), "");
}
END_TEST

START_TEST(what_run0_starts_is_no_login_from_outside) {
    Host host{observing()};
    host.step(rehearse(), 1min);
    auto facts = facts_of();
    facts.service = "systemd-run0";
    host.step(reserve(1, facts), 2min);
    host.step(confirm(1, facts), 2min);
    ck_assert(confirm_from(host, id_of(1), 3min).contains("log in anew"));
}
END_TEST

START_TEST(one_that_enforces_is_not_rehearsed) {
    Host host{policy_of({.idle_lock = 15min})};
    ck_assert(why_not(host.step(rehearse(), 1min)).contains("already"));
    ck_assert(!host.machine.rehearsed_until());
    CHECK_TEXT(confirm_from(host, {}, 1min, false), "");
}
END_TEST

START_TEST(a_restart_ends_it) {
    Host host{observing()};
    host.login(1, 0s);
    host.step(rehearse(), 1min);
    host.restart(2min);
    ck_assert(host.machine.mode() == policy::Mode::observe);
}
END_TEST

START_TEST(a_block_is_marked_while_it_lasts) {
    Host host{observing()};
    host.step(rehearse(), 1min);
    host.step(
        BlockAsked{
            .token = 9, .uid = 1000, .user = "alice", .reason = "why", .by = "root", .lasts = {}},
        2min);
    const auto over = host.tick(11min);
    ck_assert(find<StoreBlock>(over) && !find<StoreBlock>(over)->marked);
}
END_TEST

} // namespace

int main() {
    return vigil::test::run(
        "core_rehearsal",
        {the_kernels_word_is_told_loudly_and_changes_nothing_else,
         it_enforces_until_its_time_and_then_gives_back,
         what_was_only_observed_is_due_when_it_begins,
         it_is_confirmed_from_a_login_that_was_made_since, more_time_does_not_make_older_logins_new,
         a_policy_that_observes_still_does_not_end_it, one_that_is_over_is_not_confirmed,
         what_run0_starts_is_no_login_from_outside, one_that_enforces_is_not_rehearsed,
         a_restart_ends_it, a_block_is_marked_while_it_lasts});
}
