// Graphical sessions: what logind's hints mean in each state.

#include "tests/unit/core_support.hpp"

using namespace vigil;
using namespace vigil::test;

namespace {

policy::Facts graphical() {
    auto facts = facts_of();
    facts.session_class = policy::SessionClass::graphical;
    return facts;
}

DesktopSeen hint(bool locked) {
    return {id_of(1), locked, std::nullopt};
}

DesktopSeen idle(Microseconds since) {
    return {id_of(1), false, at(since).boot};
}

/// With a desktop that is open and in use.
Host host_with(policy::SessionRule rule = {.idle_lock = 15min}) {
    Host host{policy_of(std::move(rule))};
    host.step(reserve(1, graphical()), 0s);
    host.step(confirm(1, graphical()), 0s);
    host.step(hint(false), 0s);
    return host;
}

START_TEST(the_hint_is_the_answer_to_a_lock_and_to_an_unlock) {
    auto host = host_with();
    CHECK_TEXT(kinds(host.step(LockAsked{7, id_of(1), "by root"}, 1s)), "StoreSession LockDesktop");
    ck_assert(host.step(hint(true), 2s).empty());
    ck_assert(host.deadline() == 3s);
    auto effects = host.tick(3s);
    CHECK_TEXT(kinds(effects), "StoreSession Audit ReplyDone");
    CHECK_TEXT(told(effects), "[locked: by root]");
    CHECK_TEXT(kinds(host.step(UnlockAsked{8, id_of(1), "root", "why"}, 4s)),
               "StoreSession UnlockDesktop");
    effects = host.step(hint(false), 5s);
    CHECK_TEXT(told(effects), "[unlocked by root: why]");
    ck_assert(host.state(1) == State::active);
}
END_TEST

START_TEST(a_desktop_that_opens_is_opened_by_its_user) {
    auto host = host_with();
    host.step(LockAsked{7, id_of(1), "by root"}, 1s);
    host.step(hint(true), 2s);
    host.tick(3s);
    const auto effects = host.step(hint(false), 60s);
    // Once: a crash in between would find a lock that nobody was asked for, and ask.
    CHECK_TEXT(kinds(effects), "StoreSession Audit");
    CHECK_TEXT(told(effects), "[unlocked by its desktop]");
    ck_assert(find<Audit>(effects)->kind == AuditKind::session_unlocked);
    ck_assert(host.state(1) == State::active);
}
END_TEST

START_TEST(what_does_not_answer_is_not_called_locked) {
    auto host = host_with();
    host.step(LockAsked{7, id_of(1), "by root"}, 1s);
    ck_assert(host.tick(10s).empty());
    const auto effects = host.tick(11s);
    CHECK_TEXT(told(effects), "[not locked: its desktop did not answer within 10 s]");
    CHECK_TEXT(find<ReplyDone>(effects)->error, wire::error_broken);
    ck_assert(host.state(1) == State::active);
    ck_assert_uint_eq(host.machine.view(id_of(1))->gaps.size(), 1);
    host.step(hint(true), 12s);
    ck_assert(host.machine.view(id_of(1))->gaps.empty());
}
END_TEST

START_TEST(what_opens_again_at_once_was_not_locked) {
    auto host = host_with();
    host.step(LockAsked{7, id_of(1), "by root"}, 1s);
    host.step(hint(true), 2s);
    // Who asks as well waits as well; what else the desktop says meanwhile is no second answer.
    ck_assert(host.step(LockAsked{8, id_of(1), "by root"}, 2s).empty());
    ck_assert(host.step(hint(true), 2s).empty());
    const auto effects = host.step(hint(false), 2500ms);
    CHECK_TEXT(told(effects), "[not locked: its desktop did not stay locked]");
    CHECK_TEXT(kinds(effects), "StoreSession Audit ReplyDone ReplyDone");
    ck_assert_uint_eq(find<ReplyDone>(effects)->token, 7);
    CHECK_TEXT(find<ReplyDone>(effects)->error, wire::error_broken);
    ck_assert(host.state(1) == State::active);
    ck_assert(host.tick(20s).empty());
    // Nor is it where the policy ends what cannot be locked.
    auto other = host_with({.incomplete_lock = policy::IncompleteLock::end});
    other.step(LockAsked{7, id_of(1), "by root"}, 1s);
    other.step(hint(true), 2s);
    other.step(hint(false), 2500ms);
    ck_assert(other.state(1) == State::ending);
}
END_TEST

START_TEST(an_unlock_comes_before_a_lock_is_believed) {
    auto host = host_with();
    host.step(LockAsked{7, id_of(1), "by root"}, 1s);
    host.step(hint(true), 2s);
    const auto asked = host.step(UnlockAsked{8, id_of(1), "root", "why"}, 2500ms);
    CHECK_TEXT(find<ReplyDone>(asked)->error, wire::error_denied);
    ck_assert(host.tick(4s).empty());
    CHECK_TEXT(told(host.step(hint(false), 4s)), "[unlocked by root: why]");
    ck_assert(host.state(1) == State::active);
}
END_TEST

START_TEST(what_does_not_answer_is_ended_where_the_policy_says_so) {
    auto host = host_with({.incomplete_lock = policy::IncompleteLock::end});
    host.step(LockAsked{7, id_of(1), "by root"}, 1s);
    host.tick(11s);
    ck_assert(host.state(1) == State::ending);
}
END_TEST

START_TEST(an_unlock_that_is_not_answered_leaves_it_locked) {
    auto host = host_with();
    host.step(LockAsked{7, id_of(1), "by root"}, 1s);
    host.step(hint(true), 2s);
    host.tick(3s);
    host.step(UnlockAsked{8, id_of(1), "root", "why"}, 3s);
    CHECK_TEXT(told(host.tick(13s)),
               "[it is still locked: its desktop did not answer within 10 s]");
    ck_assert(host.state(1) == State::locked);
}
END_TEST

START_TEST(an_unlock_that_fails_leaves_the_last_one_as_it_was) {
    auto host = host_with();
    host.step(LockAsked{7, id_of(1), "by root"}, 1s);
    host.step(hint(true), 2s);
    host.tick(3s);
    host.step(hint(false), 3s);
    host.step(LockAsked{7, id_of(1), "by root"}, 4s);
    host.step(hint(true), 5s);
    host.tick(6s);
    host.step(UnlockAsked{8, id_of(1), "root", "why"}, 6s);
    const auto last = [&] {
        const auto& record = *host.machine.view(id_of(1))->record;
        ck_assert(record.unlocked_wall == at(3s).wall);
        return unlock_text(record);
    };
    CHECK_TEXT(last(), "by its desktop");
    host.tick(16s);
    CHECK_TEXT(last(), "by its desktop");
    // Nor is it told of the next one.
    CHECK_TEXT(told(host.step(hint(false), 17s)), "[unlocked by its desktop]");
}
END_TEST

START_TEST(where_logind_cannot_be_asked_it_is_told_at_once) {
    auto host = host_with();
    host.step(LockAsked{7, id_of(1), "by root"}, 1s);
    CHECK_TEXT(told(host.step(LockDone{id_of(1), false, "no bus", {}}, 1s)),
               "[not locked: no bus]");
    ck_assert(host.state(1) == State::active);
}
END_TEST

START_TEST(idleness_is_what_the_desktop_says_it_is) {
    auto host = host_with();
    ck_assert(find<ReadActivity>(host.tick(15min)) != nullptr);
    ck_assert(find<LockDesktop>(host.step(hint(false), 15min)) == nullptr);
    ck_assert(host.deadline() == 30min);
    host.step(idle(20min), 20min);
    ck_assert(find<LockDesktop>(host.step(idle(20min), 34min)) == nullptr);
    const auto effects = host.step(idle(20min), 35min);
    ck_assert(find<LockDesktop>(effects) != nullptr && find<Lock>(effects) == nullptr);
}
END_TEST

START_TEST(after_a_crash_the_hint_tells_what_happened) {
    // It was locked, and its user opened it.
    auto host = host_with();
    host.step(LockAsked{7, id_of(1), "by root"}, 1s);
    host.step(hint(true), 2s);
    host.tick(3s);
    ck_assert(find<LockDesktop>(host.restart(3s)) == nullptr);
    CHECK_TEXT(told(host.step(hint(false), 3s)), "[unlocked by its desktop]");
    // It was locked and still is.
    host.step(LockAsked{7, id_of(1), "by root"}, 4s);
    host.step(hint(true), 5s);
    host.tick(6s);
    host.restart(6s);
    host.step(hint(true), 6s);
    ck_assert(host.state(1) == State::locked);
    // The crash came before it was asked.
    auto other = host_with();
    other.step(LockAsked{7, id_of(1), "by root"}, 1s);
    other.restart(2s);
    ck_assert(find<LockDesktop>(other.step(hint(false), 2s)) != nullptr);
    other.step(hint(true), 3s);
    ck_assert(other.state(1) == State::locked);
    // It came before the answer was believed: what opened meanwhile was not locked.
    other.restart(3s);
    ck_assert(find<LockDesktop>(other.step(hint(false), 4s)) != nullptr);
    other.step(hint(true), 5s);
    CHECK_TEXT(told(other.step(hint(false), 5s)), "[not locked: its desktop did not stay locked]");
    // Who asks before anything is known of it waits for its answer.
    auto third = host_with();
    third.step(LockAsked{7, id_of(1), "by root"}, 1s);
    third.restart(2s);
    CHECK_TEXT(kinds(third.step(LockAsked{8, id_of(1), "by root"}, 2s)), "LockDesktop");
    third.step(hint(true), 3s);
    ck_assert_uint_eq(find<ReplyDone>(third.tick(4s))->token, 8);
}
END_TEST

} // namespace

int main() {
    return vigil::test::run(
        "core: desktop",
        {the_hint_is_the_answer_to_a_lock_and_to_an_unlock,
         a_desktop_that_opens_is_opened_by_its_user, what_does_not_answer_is_not_called_locked,
         what_opens_again_at_once_was_not_locked, an_unlock_comes_before_a_lock_is_believed,
         what_does_not_answer_is_ended_where_the_policy_says_so,
         an_unlock_that_is_not_answered_leaves_it_locked,
         an_unlock_that_fails_leaves_the_last_one_as_it_was,
         where_logind_cannot_be_asked_it_is_told_at_once, idleness_is_what_the_desktop_says_it_is,
         after_a_crash_the_hint_tells_what_happened});
}
