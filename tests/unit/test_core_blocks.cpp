// A blocked user: what he is refused, what of his ends, and until when, whatever vigild goes
// through.

#include "tests/unit/core_support.hpp"

#include <cstring>

using namespace vigil;
using namespace vigil::test;

namespace {

constexpr std::uint32_t alice = 1000;
constexpr const char* sentence =
    "alice is blocked on this host until further notice: left the company";

BlockAsked block(std::optional<Seconds> lasts = {}, std::uint32_t uid = alice,
                 std::string user = "alice") {
    return {.token = 7,
            .uid = uid,
            .user = std::move(user),
            .reason = "left the company",
            .by = "root",
            .lasts = lasts};
}

UnblockAsked unblock(std::optional<std::uint32_t> uid = alice, std::string user = "alice") {
    return {.token = 8, .user = std::move(user), .uid = uid, .by = "root"};
}

policy::Policy codes_for_all(policy::Mode mode = policy::Mode::enforce) {
    auto policy = policy_of({.idle_lock = 15min}, mode);
    policy.step_up.push_back({.require = {{policy::Factor::totp}}, .valid_for = 5min});
    return policy;
}

/// sudo of alice's, in her first login.
StepUpAsked command(policy::Facts runner = facts_of()) {
    return {.token = 5,
            .asker = {.pid = 700, .start_time = 1},
            .subjects = {std::move(runner)},
            .target = {.run_as = "root", .command = {}},
            .session = id_of(1),
            .terminal = 3,
            .terminal_leader = {.pid = 500, .start_time = 9},
            .person_has = {policy::Factor::totp}};
}

ProofChecked proof(StepUpAsked request) {
    return {.token = 6,
            .request = std::move(request),
            .fresh_id = id_of(900),
            .outcome = ProofChecked::Outcome::accepted,
            .factor = "totp"};
}

wire::AskReply asked(Host& host, const StepUpAsked& question, Microseconds now) {
    return find<ReplyAsk>(host.step(question, now))->reply;
}

void check_denied(Host& host, const StepUpAsked& question, Microseconds now) {
    const auto reply = asked(host, question, now);
    ck_assert(reply.verdict == wire::AskReply::Verdict::denied);
    CHECK_TEXT(reply.text, sentence);
}

bool gets_in(Host& host, std::uint32_t number, Microseconds now, policy::Facts who = facts_of()) {
    return find<ReplyReserve>(host.step(reserve(number, std::move(who)), now))->reply.verdict ==
           wire::ReserveReply::Verdict::reserved;
}

START_TEST(it_is_written_down_before_the_answer) {
    Host host{codes_for_all()};
    const auto effects = host.step(block(8h), 0s);
    CHECK_TEXT(kinds(effects), "StoreBlock Audit ReplyDone");
    CHECK_TEXT(answer(effects), "");
    ck_assert(find<StoreBlock>(effects)->marked);
    const auto& record = find<StoreBlock>(effects)->record;
    ck_assert(record.until == at(8h).boot && record.until_wall == at(8h).wall);
    ck_assert_ptr_nonnull(std::strstr(told(effects).c_str(), "by root: left the company"));
    CHECK_TEXT(find<Audit>(effects)->reason, "left the company");
}
END_TEST

START_TEST(a_login_is_refused_with_the_reason_and_nobody_elses) {
    Host host{codes_for_all()};
    host.step(block(), 0s);
    const auto effects = host.step(reserve(1), 1s);
    CHECK_TEXT(kinds(effects), "Audit ReplyReserve");
    CHECK_TEXT(find<ReplyReserve>(effects)->reply.reason, std::string{sentence});
    ck_assert(find<Audit>(effects)->kind == AuditKind::login_refused);
    ck_assert(gets_in(host, 2, 1s, facts_of("bob", 1001)));
}
END_TEST

START_TEST(a_login_is_asked_for_no_code) {
    auto rules = policy_of({.login_factors = {{{policy::Factor::totp}}}});
    Host host{rules};
    host.step(block(), 0s);
    auto question = command();
    question.session.reset();
    question.login = AtLogin{.leader = process_of(1), .after = "password", .host = "192.0.2.7"};
    check_denied(host, question, 1s);
}
END_TEST

START_TEST(no_step_up_of_his_passes_whatever_the_rules_say) {
    for (const bool asks : {true, false}) {
        Host host{asks ? codes_for_all() : policy_of({})};
        host.login(1, 0s);
        host.step(block(), 1s);
        check_denied(host, command(), 2s);
        // Become root or bob in his login; polkit for somebody at his screen.
        check_denied(host, command(facts_of("root", 0)), 2s);
        check_denied(host, command(facts_of("bob", 1001)), 2s);
        auto elsewhere = command(facts_of("root", 0));
        elsewhere.session.reset();
        ck_assert(asked(host, elsewhere, 2s).verdict != wire::AskReply::Verdict::denied ||
                  asked(host, elsewhere, 2s).text != sentence);
        elsewhere.login_uid = alice;
        check_denied(host, elsewhere, 2s);
    }
}
END_TEST

START_TEST(nobody_but_root_becomes_him) {
    Host host{policy_of({})};
    host.login(1, 0s, facts_of("bob", 1001));
    host.step(block(), 1s);
    auto su = command(facts_of("bob", 1001));
    su.target.run_as = "alice";
    su.becomes = alice;
    check_denied(host, su, 2s);
    su.subjects = {facts_of("root", 0)};
    ck_assert(asked(host, su, 2s).verdict != wire::AskReply::Verdict::denied);
}
END_TEST

START_TEST(a_proof_that_was_under_way_is_worth_nothing) {
    Host host{codes_for_all()};
    host.login(1, 0s);
    ck_assert(asked(host, command(), 1s).verdict == wire::AskReply::Verdict::prove);
    host.step(block(), 2s);
    const auto reply = find<ReplyProve>(host.step(proof(command()), 3s))->reply;
    ck_assert(reply.verdict == wire::ProveReply::Verdict::denied);
    CHECK_TEXT(reply.text, sentence);
    ck_assert_uint_eq(host.machine.grant_count(), 0);
}
END_TEST

START_TEST(his_proofs_are_taken_back) {
    Host host{codes_for_all()};
    host.login(1, 0s);
    host.step(proof(command()), 0s);
    ck_assert_uint_eq(host.machine.grant_count(), 1);
    CHECK_TEXT(kinds(host.step(block(), 1s)), "StoreBlock Audit EraseGrant Audit ReplyDone");
    ck_assert(host.machine.grant_count() == 0 && host.written.grants.empty());
    host.step(unblock(), 2s);
    ck_assert(asked(host, command(), 3s).verdict == wire::AskReply::Verdict::prove);
}
END_TEST

START_TEST(remembered_logins_of_his_are_forgotten) {
    RememberedLogin login{.id = id_of(70),
                          .uid = alice,
                          .user = "alice",
                          .host = "192.0.2.7",
                          .after = "password",
                          .proved = {policy::Factor::totp},
                          .since = at(0s).boot,
                          .expires = at(8h).boot};
    Host host{codes_for_all()};
    host.machine.restore(std::vector{login}, at(0s));
    CHECK_TEXT(kinds(host.step(block(), 1s)), "StoreBlock Audit EraseRemembered Audit ReplyDone");
}
END_TEST

START_TEST(his_requests_end_and_he_answers_none) {
    auto policy = policy_of({});
    policy.step_up.push_back(
        {.require = {{policy::Factor::approval}}, .approvers = {.users = {"alice", "bob"}}});
    Host host{policy};
    host.login(1, 0s);
    const auto request = [&](std::uint32_t number, policy::Facts who) {
        auto question = command(std::move(who));
        const auto uid = question.subjects.front().uid;
        if (uid != alice)
            question.session.reset();
        return ApprovalAsked{.token = 20 + number,
                             .asked = std::move(question),
                             .fresh_id = id_of(number),
                             .reason = {},
                             .digest = "d",
                             .login_uid = uid};
    };
    host.step(request(40, facts_of()), 1s);
    host.step(ApprovalAwaited{30, id_of(40), {.pid = 700, .start_time = 1}}, 1s);
    host.step(request(41, facts_of("carol", 1002)), 1s);
    const auto effects = host.step(block(), 2s);
    CHECK_TEXT(kinds(effects), "StoreBlock Audit Audit ReplyProve ForgetAsker ReplyDone");
    ck_assert(!host.machine.has_request(id_of(40)) && host.machine.has_request(id_of(41)));
    const Answerer by{.person = facts_of(), .login_uid = alice};
    ck_assert(host.machine.requests(by, at(3s)).empty());
    const auto refused = host.step(
        ApprovalAnswered{.token = 9, .request = id_of(41), .digest = "d", .by = by, .yes = true},
        3s);
    CHECK_TEXT(answer(refused), wire::error_denied);
    CHECK_TEXT(find<ReplyDone>(refused)->text, sentence);
    const auto another = find<ReplyRequested>(host.step(request(42, facts_of()), 3s))->reply;
    CHECK_TEXT(another.text, sentence);
}
END_TEST

START_TEST(locked_stays_locked) {
    Host host{codes_for_all()};
    host.login(1, 0s);
    host.lock(1, 1s);
    host.step(block(), 2s);
    const auto effects = host.step(UnlockAsked{4, id_of(1), "password at pts/3", {}}, 3s);
    CHECK_TEXT(answer(effects), wire::error_invalid);
    CHECK_TEXT(find<ReplyDone>(effects)->text, sentence);
    ck_assert(host.state(1) == State::locked);
    host.step(unblock(), 4s);
    host.step(UnlockAsked{4, id_of(1), "password at pts/3", {}}, 5s);
    ck_assert(host.state(1) == State::unlocking);
}
END_TEST

UnlockAsked unlock() {
    return {4, id_of(1), "password at pts/3", {}};
}

/// It waits for a terminal's answer; or it has failed once, and is tried again.
START_TEST(an_unlock_that_was_begun_before_does_not_come_to_pass) {
    for (const bool waits : {true, false}) {
        Host host{codes_for_all()};
        host.login(1, 0s);
        host.lock(1, 1s);
        host.step(ScreenAsked{id_of(1), waits ? 3U : 0U}, 2s);
        if (!waits)
            host.step(ScreenSeen{id_of(1), 0}, 2s);
        host.step(unlock(), 2s);
        if (!waits)
            host.step(UnlockDone{id_of(1), false, "busy"}, 2s);
        ck_assert(host.state(1) == State::unlocking);
        const auto effects = host.step(block(), 2s + 500ms);
        CHECK_TEXT(kinds(effects),
                   waits ? "StoreBlock Audit StoreSession Audit ReplyDone Lock ReplyDone"
                         : "StoreBlock Audit StoreSession Audit Lock ReplyDone");
        if (waits) {
            const auto* const told = find<ReplyDone>(effects);
            ck_assert_uint_eq(told->token, 4);
            CHECK_TEXT(told->error, wire::error_invalid);
            CHECK_TEXT(told->text, sentence);
        }
        ck_assert(host.state(1) == State::locked &&
                  host.written.sessions[id_of(1)].unlocking_by.empty());
        ck_assert(host.written.sessions[id_of(1)].locked_since == at(1s).boot);
        for (const auto& late : {host.step(ScreenSeen{id_of(1), 3}, 2s + 600ms), host.tick(10s),
                                 host.step(UnlockDone{id_of(1), true, {}}, 10s)})
            ck_assert(!find<Unlock>(late));
        ck_assert(host.state(1) == State::locked);
        host.step(unblock(), 11s);
        CHECK_TEXT(kinds(host.step(unlock(), 12s)), "StoreSession Unlock");
    }
}
END_TEST

START_TEST(an_unlock_of_a_desktop_that_was_begun_before_is_taken_back) {
    auto who = facts_of();
    who.session_class = policy::SessionClass::graphical;
    Host host{codes_for_all()};
    host.step(reserve(1, who), 0s);
    host.step(confirm(1, who), 0s);
    host.step(LockAsked{1, id_of(1), "root"}, 1s);
    host.step(DesktopSeen{id_of(1), true, {}}, 1s);
    host.tick(2s);
    CHECK_TEXT(kinds(host.step(unlock(), 3s)), "StoreSession UnlockDesktop");
    ck_assert(find<LockDesktop>(host.step(block(), 4s)));
    // The answers to the one, and to the other.
    host.step(DesktopSeen{id_of(1), false, {}}, 5s);
    ck_assert(host.state(1) == State::locked);
    host.step(DesktopSeen{id_of(1), true, {}}, 5s);
    host.tick(20s);
    ck_assert(host.state(1) == State::locked);
}
END_TEST

START_TEST(a_crash_between_a_block_and_the_unlock_before_it_locks) {
    Host host{codes_for_all()};
    host.login(1, 0s);
    host.lock(1, 1s);
    host.step(unlock(), 2s);
    const auto before = host.written.sessions;
    host.step(block(), 3s);
    host.written.sessions = before;
    const auto effects = host.restart(4s);
    ck_assert(find<Lock>(effects) && !find<Unlock>(effects));
    ck_assert(host.state(1) == State::locked);
    ck_assert(host.written.sessions[id_of(1)].state == State::locked);
}
END_TEST

/// Nobody was to be kept from it: what was not locked is given back.
START_TEST(a_lock_that_never_was_is_taken_back_all_the_same) {
    Host host{codes_for_all()};
    host.login(1, 0s);
    host.step(LockAsked{1, id_of(1), "root"}, 1s);
    host.step(no_terminal(1), 1s);
    host.step(none_left(1), 1s);
    if (host.state(1) != State::unlocking)
        ck_abort_msg("it is not being taken back");
    ck_assert(!find<Lock>(host.step(block(), 2s)));
    ck_assert(host.state(1) == State::unlocking);
}
END_TEST

/// Held again behind root's back it would stay locked, and nobody could open it.
START_TEST(what_root_has_thawed_is_given_back) {
    Host host{codes_for_all()};
    host.login(1, 0s);
    host.lock(1, 1s);
    host.step(block(), 2s);
    host.step(ThawedByHand{id_of(1), at(3s).boot}, 4s);
    ck_assert(host.state(1) == State::unlocking);
    // Also where the thaw came first: what is to be held is found to be thawed (Shell::prepare()).
    host.step(UnlockDone{id_of(1), false, "busy"}, 5s);
    ck_assert(find<Lock>(host.step(block(), 6s)));
    ck_assert(find<Unlock>(host.step(ThawedByHand{id_of(1), at(3s).boot}, 7s)));
}
END_TEST

/// As while he is asked for a new password.
START_TEST(a_login_that_was_let_in_and_has_not_begun_is_ended) {
    Host host{codes_for_all()};
    ck_assert(gets_in(host, 1, 0s));
    host.step(block(), 1s);
    host.step(confirm(1), 2s);
    ck_assert(host.state(1) == State::ending);
}
END_TEST

START_TEST(open_sessions_go_on) {
    Host host{codes_for_all()};
    host.login(1, 0s);
    for (const auto& effect : host.step(block(), 1s))
        ck_assert(!touches(effect));
    ck_assert(host.state(1) == State::active);
}
END_TEST

START_TEST(it_ends_at_its_time) {
    Host host{codes_for_all()};
    host.step(block(1h), 0s);
    ck_assert(host.deadline() == 1h);
    ck_assert(!gets_in(host, 1, 1h - 1us));
    ck_assert(gets_in(host, 2, 1h)); // also before the timer has told
    const auto effects = host.tick(1h);
    CHECK_TEXT(kinds(effects), "EraseBlock Audit");
    ck_assert(find<Audit>(effects)->kind == AuditKind::block_expired);
    ck_assert(host.written.blocks.empty() && host.machine.blocks(at(1h)).empty());
}
END_TEST

START_TEST(another_one_takes_its_place) {
    Host host{codes_for_all()};
    host.step(block(1h), 0s);
    auto longer = block();
    longer.reason = "an inquiry";
    host.step(longer, 1s);
    ck_assert(host.deadline() == Microseconds::max());
    ck_assert(host.tick(2h).empty());
    CHECK_TEXT(find<ReplyReserve>(host.step(reserve(1), 2h))->reply.reason,
               "alice is blocked on this host until further notice: an inquiry");
    host.step(block(1h), 2h);
    ck_assert(host.deadline() == 3h);
    ck_assert_uint_eq(host.machine.blocks(at(2h)).size(), 1);
}
END_TEST

START_TEST(unblocked_he_is_let_in) {
    Host host{codes_for_all()};
    host.step(block(), 0s);
    CHECK_TEXT(kinds(host.step(unblock(), 1s)), "EraseBlock Audit ReplyDone");
    ck_assert(gets_in(host, 1, 1s) && host.written.blocks.empty());
    const auto again = host.step(unblock(), 2s);
    CHECK_TEXT(answer(again), wire::error_not_found);
    CHECK_TEXT(find<ReplyDone>(again)->text, "alice is not blocked.");
}
END_TEST

/// Who had it before was blocked under it too, and is not who is meant.
START_TEST(a_name_is_whose_it_is_now) {
    Host host{codes_for_all()};
    host.step(block(), 0s);
    host.step(block({}, 2000), 0s);
    host.step(block({}, 3000), 0s);
    ck_assert_uint_eq(find<EraseBlock>(host.step(unblock(2000), 1s))->uid, 2000);
    // Of those that are left none has it now.
    for (const auto& nobody : {unblock(std::nullopt), unblock(2000)}) {
        const auto effects = host.step(nobody, 2s);
        CHECK_TEXT(kinds(effects), "ReplyDone");
        CHECK_TEXT(answer(effects), wire::error_invalid);
        CHECK_TEXT(find<ReplyDone>(effects)->text,
                   "Blocked under the name alice are 1000 and 3000, and neither has it now: give "
                   "the number.");
    }
    ck_assert_uint_eq(find<EraseBlock>(host.step(unblock(std::nullopt, "3000"), 3s))->uid, 3000);
    // Blocked is one alone: he is who is meant, whoever has the name now.
    ck_assert_uint_eq(find<EraseBlock>(host.step(unblock(2000), 4s))->uid, alice);
}
END_TEST

START_TEST(a_number_of_many_that_had_a_name_is_named) {
    Host host{codes_for_all()};
    for (const std::uint32_t uid : {1000U, 2000U, 3000U})
        host.step(block({}, uid), 0s);
    CHECK_TEXT(find<ReplyDone>(host.step(unblock(std::nullopt), 1s))->text,
               "Blocked under the name alice are 1000, 2000 and 3000, and none of them has it now: "
               "give the number.");
    for (std::uint32_t i = 4000; i < 4100; ++i)
        host.step(block({}, i), 0s);
    const auto text = find<ReplyDone>(host.step(unblock(std::nullopt), 1s))->text;
    ck_assert_ptr_nonnull(std::strstr(text.c_str(), "4004 and 95 more"));
}
END_TEST

START_TEST(who_has_another_name_by_now_is_unblocked_by_either) {
    for (const auto* const name : {"alice", "alicia", "1000"}) {
        Host host{codes_for_all()};
        host.step(block(), 0s);
        const auto uid = name == std::string_view{"alicia"} ? std::optional{alice} : std::nullopt;
        CHECK_TEXT(answer(host.step(unblock(uid, name), 1s)), "");
    }
    Host host{codes_for_all()};
    host.step(block(), 0s);
    const auto effects = host.step(unblock(std::nullopt, "alicia"), 1s);
    CHECK_TEXT(answer(effects), wire::error_not_found);
    CHECK_TEXT(find<ReplyDone>(effects)->text, "Nobody is blocked under the name alicia.");
}
END_TEST

START_TEST(of_another_boot_the_wall_clock_has_the_end) {
    using std::chrono::minutes;
    BlockRecord record{.uid = alice, .since = at(0s).wall, .until_wall = at(1h).wall};
    const auto left = [&](Microseconds later) {
        const Now now{.boot = BootTime{minutes{1}}, .wall = record.since + later};
        return end_after_reboot(record, now) - now.boot;
    };
    ck_assert(left(20min) == 40min);
    ck_assert(left(70min) == 0min);     // over while the machine was off: now, not before the boot
    ck_assert(left(-1000min) == 60min); // a clock that was lost makes it no longer
}
END_TEST

START_TEST(a_restart_keeps_it_and_makes_its_mark_anew) {
    Host host{codes_for_all()};
    host.step(block(1h), 0s);
    const auto effects = host.restart(1min);
    ck_assert(find<StoreBlock>(effects)->marked && find<StoreBlock>(effects)->token == 0);
    ck_assert(find<KeepMarks>(effects)->uids == std::vector{alice});
    ck_assert(!gets_in(host, 2, 2min) && host.deadline() == 1h);
    // Over while vigild was down.
    host.restart(2h);
    CHECK_TEXT(kinds(host.tick(2h)).substr(0, 16), "EraseBlock Audit");
    ck_assert(gets_in(host, 3, 2h));
}
END_TEST

START_TEST(a_crash_before_the_proofs_were_taken_back_leaves_none) {
    Host host{codes_for_all()};
    host.login(1, 0s);
    host.step(proof(command()), 0s);
    const auto grants = host.written.grants;
    host.step(block(), 1s);
    host.written.grants = grants;
    host.restart(2s);
    ck_assert(host.machine.grant_count() == 0 && host.written.grants.empty());
}
END_TEST

START_TEST(root_cannot_be_blocked) {
    Host host{codes_for_all()};
    const auto effects = host.step(block({}, 0, "root"), 0s);
    CHECK_TEXT(kinds(effects), "ReplyDone");
    CHECK_TEXT(answer(effects), wire::error_denied);
    CHECK_TEXT(find<ReplyDone>(effects)->text,
               "Root cannot be blocked: there is always a way back in.");
}
END_TEST

START_TEST(their_number_has_a_bound) {
    Host host{codes_for_all()};
    for (std::uint32_t i = 0; i < max_blocks; ++i)
        CHECK_TEXT(answer(host.step(block({}, 5000 + i, "user"), 0s)), "");
    CHECK_TEXT(answer(host.step(block(), 0s)), wire::error_too_many);
    CHECK_TEXT(answer(host.step(block(1h, 5000, "user"), 0s)), ""); // is there already
}
END_TEST

START_TEST(what_cannot_be_written_down_is_in_force_and_said) {
    Host host{codes_for_all()};
    host.store_works = false;
    const auto effects = host.step(block(), 0s);
    CHECK_TEXT(answer(effects), wire::error_broken);
    ck_assert_ptr_nonnull(std::strstr(find<ReplyDone>(effects)->text.c_str(), "No space left"));
    ck_assert(!gets_in(host, 1, 1s));
}
END_TEST

START_TEST(where_vigil_only_observes_nobody_is_kept_out) {
    Host host{codes_for_all()};
    host.step(block(), 0s);
    const auto observing = codes_for_all(policy::Mode::observe);
    ck_assert(!find<StoreBlock>(host.step(PolicyChanged{observing}, 1s))->marked);
    ck_assert(gets_in(host, 1, 2s));
    CHECK_TEXT(answer(host.step(block({}, 1001, "bob"), 2s)), wire::error_denied);
    ck_assert(find<KeepMarks>(host.restart(3s))->uids.empty());
    ck_assert(find<StoreBlock>(host.step(PolicyChanged{codes_for_all()}, 4s))->marked);
    ck_assert(!gets_in(host, 2, 5s));
}
END_TEST

} // namespace

int main() {
    return vigil::test::run("core_blocks",
                            {it_is_written_down_before_the_answer,
                             a_login_is_refused_with_the_reason_and_nobody_elses,
                             a_login_is_asked_for_no_code,
                             no_step_up_of_his_passes_whatever_the_rules_say,
                             nobody_but_root_becomes_him,
                             a_proof_that_was_under_way_is_worth_nothing,
                             his_proofs_are_taken_back,
                             remembered_logins_of_his_are_forgotten,
                             his_requests_end_and_he_answers_none,
                             locked_stays_locked,
                             an_unlock_that_was_begun_before_does_not_come_to_pass,
                             an_unlock_of_a_desktop_that_was_begun_before_is_taken_back,
                             a_crash_between_a_block_and_the_unlock_before_it_locks,
                             a_lock_that_never_was_is_taken_back_all_the_same,
                             what_root_has_thawed_is_given_back,
                             a_login_that_was_let_in_and_has_not_begun_is_ended,
                             open_sessions_go_on,
                             it_ends_at_its_time,
                             another_one_takes_its_place,
                             unblocked_he_is_let_in,
                             a_restart_keeps_it_and_makes_its_mark_anew,
                             a_name_is_whose_it_is_now,
                             a_number_of_many_that_had_a_name_is_named,
                             who_has_another_name_by_now_is_unblocked_by_either,
                             of_another_boot_the_wall_clock_has_the_end,
                             a_crash_before_the_proofs_were_taken_back_leaves_none,
                             root_cannot_be_blocked,
                             their_number_has_a_bound,
                             what_cannot_be_written_down_is_in_force_and_said,
                             where_vigil_only_observes_nobody_is_kept_out});
}
