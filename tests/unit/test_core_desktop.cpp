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

LockDone not_asked(std::string why) {
    return {.session = id_of(1), .detail = std::move(why), .terminals = {}, .by_desktop = true};
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
    CHECK_TEXT(told(host.step(not_asked("no bus"), 1s)), "[not locked: no bus]");
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

constexpr const char* console = "/dev/tty1";

ActivitySeen seen_at_console(Microseconds input, bool desktop) {
    auto seen = activity(1, input, input);
    seen.terminals = {console};
    seen.desktop_at_console = desktop;
    return seen;
}

LockDone a_program_has_it() {
    return {.session = id_of(1),
            .detail = "a program has taken the console /dev/tty1",
            .terminals = {console},
            .desktop_at_console = true};
}

LockDone held_at_console() {
    return {.session = id_of(1), .held = true, .detail = {}, .terminals = {console}};
}

/// A login at a prompt, where somebody has started a desktop since.
Host host_at_console(policy::SessionRule rule = {.idle_lock = 15min}) {
    Host host{policy_of(std::move(rule))};
    host.login(1, 0s);
    host.step(seen_at_console(0s, false), 0s);
    return host;
}

/// The same, and it has locked itself.
Host locked_at_console() {
    auto host = host_at_console();
    host.step(LockAsked{7, id_of(1), "by root"}, 1s);
    host.step(a_program_has_it(), 1s);
    host.step(hint(true), 2s);
    host.tick(3s);
    ck_assert(host.state(1) == State::locked);
    return host;
}

START_TEST(a_program_that_has_the_console_is_asked_as_a_desktop) {
    auto host = host_at_console();
    CHECK_TEXT(kinds(host.step(LockAsked{7, id_of(1), "by root"}, 1s)),
               "ReadActivity StoreSession Lock");
    ck_assert(host.step(seen_at_console(0s, true), 1s).empty());
    ck_assert(host.step(hint(true), 1s).empty()); // an old one, of which nobody knows yet
    CHECK_TEXT(kinds(host.step(a_program_has_it(), 1s)), "LockDesktop");
    ck_assert(host.machine.view(id_of(1))->is_desktop);
    ck_assert(host.step(hint(false), 1s).empty());
    ck_assert(host.step(hint(true), 2s).empty());
    CHECK_TEXT(told(host.tick(3s)), "[locked: by root]");
    // What it writes to the console is no reason to ask it again.
    CHECK_TEXT(kinds(host.step(LockedTerminalUsed{id_of(1)}, 4s)), "Lock");
    ck_assert(host.step(a_program_has_it(), 4s).empty());
    CHECK_TEXT(told(host.step(hint(false), 60s)), "[unlocked by its desktop]");
    ck_assert(host.state(1) == State::active);
}
END_TEST

START_TEST(a_program_that_has_the_console_and_does_not_answer_is_not_held) {
    auto host = host_at_console();
    host.step(LockAsked{7, id_of(1), "by root"}, 1s);
    host.step(a_program_has_it(), 1s);
    host.step(hint(false), 1s);
    const auto effects = host.tick(11s);
    CHECK_TEXT(told(effects), "[not held: a program has taken the console: its desktop did not "
                              "answer within 10 s]");
    CHECK_TEXT(answer(effects), wire::error_broken);
    ck_assert(host.state(1) == State::active);
    ck_assert(first_incomplete(host.machine.view(id_of(1))->gaps) != nullptr);
    auto other = host_at_console({.incomplete_lock = policy::IncompleteLock::end});
    other.step(LockAsked{7, id_of(1), "by root"}, 1s);
    other.step(a_program_has_it(), 1s);
    other.tick(10s);
    ck_assert(other.state(1) == State::locked);
    other.tick(11s);
    ck_assert(other.state(1) == State::ending);
    auto third = host_at_console();
    third.step(LockAsked{7, id_of(1), "by root"}, 1s);
    third.step(a_program_has_it(), 1s);
    CHECK_TEXT(told(third.step(not_asked("no bus"), 1s)),
               "[not held: a program has taken the console: no bus]");
}
END_TEST

START_TEST(a_console_that_a_program_has_is_used_unless_its_desktop_says_otherwise) {
    auto host = host_at_console();
    ck_assert(find<ReadActivity>(host.tick(15min)) != nullptr);
    ck_assert(host.step(seen_at_console(0s, true), 15min).empty());
    ck_assert(host.deadline() > 15min); // for what the desktop says
    ck_assert(find<Lock>(host.step(hint(false), 15min)) == nullptr);
    ck_assert(host.deadline() == 30min);
    host.tick(30min);
    host.step(seen_at_console(0s, true), 30min);
    ck_assert(find<Lock>(host.step(idle(20min), 30min)) == nullptr);
    host.tick(35min);
    host.step(seen_at_console(0s, true), 35min);
    CHECK_TEXT(kinds(host.step(idle(20min), 35min)), "StoreSession Lock");
    // Given back, it is the terminal's keys that count.
    auto other = host_at_console();
    other.tick(15min);
    other.step(seen_at_console(0s, true), 15min);
    other.step(hint(false), 15min);
    other.tick(30min);
    CHECK_TEXT(kinds(other.step(seen_at_console(16min, false), 30min)), "");
    other.tick(31min);
    CHECK_TEXT(kinds(other.step(seen_at_console(16min, false), 31min)), "StoreSession Lock");
}
END_TEST

START_TEST(a_console_that_is_given_back_is_locked_as_before) {
    auto host = locked_at_console();
    CHECK_TEXT(kinds(host.step(LockedTerminalUsed{id_of(1)}, 60s)), "Lock");
    // logind would go on saying so of a desktop that is gone.
    CHECK_TEXT(kinds(host.step(held_at_console(), 60s)), "StoreSession ForgetHint LookForGaps");
    ck_assert(!host.machine.view(id_of(1))->is_desktop);
    ck_assert(host.step(hint(false), 61s).empty());
    ck_assert(host.state(1) == State::locked);
    CHECK_TEXT(kinds(host.step(UnlockAsked{8, id_of(1), "root", "why"}, 62s)),
               "StoreSession Unlock");
    // One that went before it had answered.
    auto other = host_at_console();
    other.step(LockAsked{7, id_of(1), "by root"}, 1s);
    other.step(a_program_has_it(), 1s);
    other.step(LockedTerminalUsed{id_of(1)}, 2s);
    CHECK_TEXT(told(other.step(held_at_console(), 2s)), "[locked: by root]");
    CHECK_TEXT(told(other.tick(11s)), "");
    ck_assert(other.state(1) == State::locked);
    // A look that finds nothing tells nothing of it.
    auto third = locked_at_console();
    third.step(LockedTerminalUsed{id_of(1)}, 60s);
    third.step(LockDone{id_of(1), false, "no look"}, 60s);
    ck_assert(third.machine.view(id_of(1))->is_desktop);
    ck_assert(find<Lock>(third.tick(65s)) != nullptr);
    ck_assert(third.step(a_program_has_it(), 65s).empty());
    ck_assert(third.state(1) == State::locked);
}
END_TEST

START_TEST(a_console_is_given_back_where_nobody_was_told) {
    // Not locked, and its user had locked the desktop himself.
    auto host = host_at_console();
    host.step(seen_at_console(0s, true), 1s);
    host.step(hint(true), 1s);
    CHECK_TEXT(kinds(host.step(seen_at_console(0s, false), 2s)), "StoreSession ForgetHint");
    ck_assert(!host.machine.view(id_of(1))->is_desktop);
    // Locked: a look for something else sees it …
    auto other = locked_at_console();
    CHECK_TEXT(kinds(other.step(seen_at_console(0s, false), 60s)), "Lock");
    // … or that it does not answer.
    auto third = locked_at_console();
    third.step(UnlockAsked{8, id_of(1), "root", "why"}, 60s);
    ck_assert(find<Lock>(third.tick(70s)) != nullptr);
    third.step(held_at_console(), 70s);
    CHECK_TEXT(kinds(third.step(UnlockAsked{8, id_of(1), "root", "why"}, 71s)),
               "StoreSession Unlock");
}
END_TEST

START_TEST(after_a_crash_a_console_is_looked_at_anew) {
    auto host = locked_at_console();
    CHECK_TEXT(kinds(host.restart(60s)), "KeepMarks Watch Lock");
    ck_assert(host.step(a_program_has_it(), 60s).empty());
    CHECK_TEXT(told(host.step(hint(false), 60s)), "[unlocked by its desktop]");
    // It was not asked, or its answer not believed.
    auto other = host_at_console();
    other.step(LockAsked{7, id_of(1), "by root"}, 1s);
    other.step(a_program_has_it(), 1s);
    other.step(hint(true), 2s);
    other.restart(2s);
    CHECK_TEXT(kinds(other.step(a_program_has_it(), 2s)), "LockDesktop");
    // It went meanwhile.
    auto third = locked_at_console();
    third.restart(60s);
    ck_assert(find<ForgetHint>(third.step(held_at_console(), 60s)) != nullptr);
    ck_assert(third.state(1) == State::locked);
}
END_TEST

START_TEST(a_locked_desktop_whose_input_alone_counts_is_not_looked_at_all_the_time) {
    policy::SessionRule rule{.idle_terminate = 1h};
    rule.activity = policy::Activity{.output = false, .bytes = false, .processor = false};
    auto host = host_with(rule);
    host.step(LockAsked{7, id_of(1), "by root"}, 1s);
    host.step(hint(true), 2s);
    host.tick(3s);
    host.tick(1h);
    host.step(hint(true), 1h);
    ck_assert(host.deadline() > 1h);
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
         after_a_crash_the_hint_tells_what_happened,
         a_program_that_has_the_console_is_asked_as_a_desktop,
         a_program_that_has_the_console_and_does_not_answer_is_not_held,
         a_console_that_a_program_has_is_used_unless_its_desktop_says_otherwise,
         a_console_that_is_given_back_is_locked_as_before,
         a_console_is_given_back_where_nobody_was_told, after_a_crash_a_console_is_looked_at_anew,
         a_locked_desktop_whose_input_alone_counts_is_not_looked_at_all_the_time});
}
