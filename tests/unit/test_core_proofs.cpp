// Proofs of which more than one is wanted, and another person's yes.

#include "tests/unit/core_support.hpp"

using namespace vigil;
using namespace vigil::test;
using policy::Factor;
using Verdict = wire::ProveReply::Verdict;

namespace {

policy::Policy rule_of(policy::StepUpRule rule) {
    auto policy = policy_of({.idle_lock = 15min});
    policy.step_up.push_back(std::move(rule));
    return policy;
}

policy::Policy both() {
    return rule_of(
        {.require = {{Factor::password, Factor::totp}, {Factor::recovery}}, .valid_for = 5min});
}

policy::Policy approved() {
    return rule_of(
        {.require = {{Factor::approval}}, .approvers = {.users = {"bob"}, .groups = {"security"}}});
}

StepUpAsked asked_by(pid_t pid = 700) {
    return {.token = 5,
            .asker = {.pid = pid, .start_time = 1},
            .directory = "/home/alice",
            .subjects = {facts_of()},
            .target = {.run_as = "root", .command = {}},
            .session = id_of(1),
            .terminal = 3,
            .terminal_leader = {.pid = 500, .start_time = 9},
            .person_has = {Factor::totp, Factor::recovery}};
}

wire::ProveReply prove(Host& host, const StepUpAsked& asked, const char* factor,
                       Microseconds now = 1s,
                       ProofChecked::Outcome outcome = ProofChecked::Outcome::accepted) {
    static std::uint32_t drawn = 5000;
    return find<ReplyProve>(host.step(ProofChecked{.token = 6,
                                                   .request = asked,
                                                   .fresh_id = id_of(++drawn),
                                                   .outcome = outcome,
                                                   .factor = factor},
                                      now))
        ->reply;
}

std::string wanted(const std::vector<std::string>& factors) {
    std::string text;
    for (const auto& factor : factors)
        text += (text.empty() ? "" : " ") + factor;
    return text;
}

START_TEST(of_all_that_is_wanted_each_is_asked_for_until_it_is_proved) {
    Host host{both()};
    host.login(1, 0s);
    const auto asks = host.step(asked_by(), 0s);
    CHECK_TEXT(wanted(find<ReplyAsk>(asks)->reply.factors), "password totp recovery");
    const auto first = prove(host, asked_by(), "password");
    ck_assert(first.verdict == Verdict::more);
    CHECK_TEXT(wanted(first.factors), "totp recovery");
    ck_assert_uint_eq(host.machine.grant_count(), 0);
    ck_assert(!host.machine.takes(asked_by(), "password", at(1s)));
    const auto wrong = prove(host, asked_by(), "totp", 1s, ProofChecked::Outcome::wrong);
    ck_assert(wrong.verdict == Verdict::wrong);
    ck_assert(prove(host, asked_by(), "totp").verdict == Verdict::accepted);
    ck_assert_uint_eq(host.machine.grant_count(), 1);
}
END_TEST

START_TEST(one_of_the_ways_is_enough) {
    Host host{both()};
    host.login(1, 0s);
    ck_assert(prove(host, asked_by(), "recovery").verdict == Verdict::accepted);
}
END_TEST

START_TEST(a_way_that_somebody_cannot_go_is_not_offered) {
    Host host{both()};
    host.login(1, 0s);
    auto asked = asked_by();
    asked.person_has = {Factor::totp};
    CHECK_TEXT(wanted(find<ReplyAsk>(host.step(asked, 0s))->reply.factors), "password totp");
    asked.person_has.clear();
    ck_assert(find<ReplyAsk>(host.step(asked, 0s))->reply.verdict ==
              wire::AskReply::Verdict::denied);
}
END_TEST

/// Each of these is another question than the one that the password was given for.
START_TEST(half_a_proof_is_good_for_nothing_else) {
    Host host{both()};
    host.login(1, 0s);
    auto other_process = asked_by(701);
    auto number_used_again = asked_by();
    number_used_again.asker.start_time = 2;
    auto other_target = asked_by();
    other_target.target.run_as = "bob";
    auto other_command = asked_by();
    other_command.target.command = policy::Command{.path = "/usr/bin/id", .named = "/usr/bin/id"};
    auto other_place = asked_by();
    other_place.directory = "/tmp";
    auto other_terminal = asked_by();
    other_terminal.terminal = 4;
    for (const auto& other : {other_process, number_used_again, other_target, other_command,
                              other_place, other_terminal}) {
        host.step(asked_by(), 1s); // begun anew
        ck_assert(prove(host, asked_by(), "password").verdict == Verdict::more);
        ck_assert(prove(host, other, "totp").verdict == Verdict::more);
    }
}
END_TEST

START_TEST(half_a_proof_ends_with_its_time_a_new_question_a_lock_and_the_factors) {
    const auto half = [](Host& host) {
        host.login(1, 0s);
        ck_assert(prove(host, asked_by(), "password").verdict == Verdict::more);
    };
    Host late{both()};
    half(late);
    ck_assert(prove(late, asked_by(), "totp", 1s + begun_proof_lasts).verdict == Verdict::more);
    Host anew{both()};
    half(anew);
    anew.step(asked_by(), 2s);
    ck_assert(prove(anew, asked_by(), "totp", 2s).verdict == Verdict::more);
    Host changed{both()};
    half(changed);
    changed.step(FactorsChanged{1000}, 2s);
    ck_assert(prove(changed, asked_by(), "totp", 2s).verdict == Verdict::more);
    Host locked{both()};
    half(locked);
    locked.step(LockAsked{1, id_of(1), "root"}, 2s);
    ck_assert(prove(locked, asked_by(), "totp", 2s).verdict == Verdict::denied);
    locked.step(UnlockAsked{1, id_of(1), "totp", {}}, 3s);
    locked.step(UnlockDone{id_of(1), true, {}}, 3s);
    ck_assert(prove(locked, asked_by(), "totp", 3s).verdict == Verdict::more);
}
END_TEST

/// Whoever begins many pushes out his own, and nobody else's.
START_TEST(begun_proofs_are_bounded_for_each_person) {
    Host host{both()};
    host.login(1, 0s);
    auto bob = asked_by(900);
    bob.subjects = {facts_of("bob", 1001)};
    ck_assert(prove(host, bob, "password").verdict == Verdict::more);
    for (pid_t pid = 1000; pid < 1000 + 2 * max_begun_proofs_per_user; ++pid)
        ck_assert(prove(host, asked_by(pid), "password").verdict == Verdict::more);
    ck_assert(prove(host, asked_by(1000), "totp").verdict == Verdict::more);
    ck_assert(prove(host, bob, "totp").verdict == Verdict::accepted);
}
END_TEST

Answerer person(const char* name, std::uint32_t uid, std::optional<std::uint32_t> login,
                std::vector<std::string> groups = {}) {
    auto facts = facts_of(name, uid);
    facts.groups = std::move(groups);
    return {.person = std::move(facts), .login_uid = login};
}

ApprovalAsked request(std::uint32_t number = 40, pid_t pid = 700) {
    return {.token = 7,
            .asked = asked_by(pid),
            .fresh_id = id_of(number),
            .reason = "the key has changed",
            .digest = "d1",
            .login_uid = 1000};
}

ApprovalAnswered answered(Answerer by, bool yes = true) {
    return {.token = 9,
            .request = id_of(40),
            .digest = "d1",
            .by = std::move(by),
            .yes = yes,
            .reason = yes ? "" : "not today"};
}

const Answerer bob = person("bob", 1001, 1001);

/// Somebody waits for an approval.
Host waiting(policy::Policy policy = approved()) {
    Host host{std::move(policy)};
    host.login(1, 0s);
    CHECK_TEXT(kinds(host.step(request(), 0s)), "WatchAsker Audit ReplyRequested");
    ck_assert(host.step(ApprovalAwaited{8, id_of(40), asked_by().asker}, 0s).empty());
    return host;
}

START_TEST(an_approver_lets_one_command_run_once) {
    auto host = waiting();
    const auto effects = host.step(answered(bob), 2s);
    CHECK_TEXT(kinds(effects), "Audit ForgetAsker Audit ReplyProve ReplyDone");
    CHECK_TEXT(told(effects), "[request 28000000 was approved by bob][proved by approval]");
    ck_assert(find<ReplyProve>(effects)->reply.verdict == Verdict::accepted);
    ck_assert_uint_eq(find<ReplyProve>(effects)->token, 8);
    ck_assert_uint_eq(host.machine.grant_count(), 0);
    CHECK_TEXT(answer(host.step(answered(bob), 2s)), wire::error_not_found);
    ck_assert(find<ReplyAsk>(host.step(asked_by(), 3s))->reply.verdict ==
              wire::AskReply::Verdict::prove);
}
END_TEST

START_TEST(an_answer_given_before_somebody_waits_is_kept_for_him) {
    Host host{approved()};
    host.login(1, 0s);
    host.step(request(), 0s);
    CHECK_TEXT(kinds(host.step(answered(bob), 1s)), "Audit ReplyDone");
    const auto effects = host.step(ApprovalAwaited{8, id_of(40), asked_by().asker}, 2s);
    ck_assert(find<ReplyProve>(effects)->reply.verdict == Verdict::accepted);
}
END_TEST

START_TEST(nobody_approves_his_own_by_whatever_name) {
    auto host = waiting();
    const Answerer no[] = {
        person("alice", 1000, 1000, {"security"}),
        person("bob", 1001, 1000),          // alice, by su
        person("root", 0, 1000),            // alice, by sudo
        person("root", 0, std::nullopt),    // who knows
        person("carol", 1002, 1002),        // no approver
        person("carol", 1002, std::nullopt) // the same
    };
    for (const auto& by : no)
        CHECK_TEXT(answer(host.step(answered(by), 1s)), wire::error_denied);
    auto another = answered(bob);
    another.digest = "d2";
    CHECK_TEXT(answer(host.step(another, 1s)), wire::error_invalid);
    const Answerer yes[] = {bob, person("bob", 1001, std::nullopt),
                            person("dave", 1003, 1003, {"security"}), person("root", 0, 0),
                            person("root", 0, 1001)};
    for (const auto& by : yes) {
        auto fresh = waiting();
        CHECK_TEXT(answer(fresh.step(answered(by), 1s)), "");
    }
}
END_TEST

START_TEST(a_denial_is_told_with_its_reason_and_the_next_request_waits) {
    auto host = waiting();
    const auto effects = host.step(answered(bob, false), 1s);
    const auto reply = find<ReplyProve>(effects)->reply;
    ck_assert(reply.verdict == Verdict::denied);
    CHECK_TEXT(reply.text, "The request was denied by bob: not today.");
    const auto again = host.step(request(41), 2s);
    CHECK_TEXT(find<ReplyRequested>(again)->reply.text,
               "A request of yours was just denied: ask again in 59 s.");
    const auto later = host.step(request(41), 1s + request_pause);
    ck_assert(!find<ReplyRequested>(later)->reply.id.empty());
}
END_TEST

START_TEST(three_wait_at_one_time_and_each_lapses) {
    Host host{approved()};
    host.login(1, 0s);
    for (std::uint32_t number = 40; number < 43; ++number)
        ck_assert(!find<ReplyRequested>(host.step(request(number), 0s))->reply.id.empty());
    ck_assert(find<ReplyRequested>(host.step(request(43), 0s))->reply.id.empty());
    ck_assert(host.machine.next_deadline() == at(request_lasts).boot);
    host.step(ApprovalAwaited{8, id_of(40), asked_by().asker}, 1s);
    const auto effects = host.step(TimePassed{}, request_lasts);
    ck_assert_uint_eq(count<ForgetAsker>(effects), 3);
    CHECK_TEXT(find<ReplyProve>(effects)->reply.text, "Nobody answered the request in 5 min.");
    CHECK_TEXT(answer(host.step(answered(bob), request_lasts)), wire::error_not_found);
}
END_TEST

START_TEST(a_request_goes_with_its_process_and_is_nobody_elses) {
    auto host = waiting();
    const auto stranger =
        host.step(ApprovalAwaited{9, id_of(40), {.pid = 701, .start_time = 1}}, 1s);
    ck_assert(find<ReplyProve>(stranger)->reply.verdict == Verdict::denied);
    const auto effects = host.step(AskerGone{id_of(40)}, 2s);
    CHECK_TEXT(kinds(effects), "Audit ReplyProve ForgetAsker");
    CHECK_TEXT(answer(host.step(answered(bob), 3s)), wire::error_not_found);
}
END_TEST

START_TEST(requests_are_shown_to_who_asks_and_who_may_answer) {
    auto host = waiting();
    const auto seen = [&](const Answerer& by) { return host.machine.requests(by, at(1s)); };
    ck_assert_uint_eq(seen(person("alice", 1000, 1000)).size(), 1);
    ck_assert(seen(person("alice", 1000, 1000)).front().own);
    ck_assert_uint_eq(seen(bob).size(), 1);
    ck_assert(!seen(bob).front().own);
    ck_assert(seen(person("carol", 1002, 1002)).empty());
    ck_assert_uint_eq(seen(person("root", 0, std::nullopt)).size(), 1);
    ck_assert(host.machine.requests(bob, at(request_lasts)).empty());
}
END_TEST

/// Alice's login, where she has become erin: each rule names approvers of its own.
START_TEST(where_two_rules_take_an_approval_it_is_of_who_approves_for_both) {
    auto policy = approved();
    policy.step_up.front().match.users = {"alice"};
    policy.step_up.push_back({.match = {.users = {"erin"}},
                              .require = {{Factor::approval}, {Factor::totp}},
                              .approvers = {.users = {"carol"}, .groups = {"security"}}});
    const auto dave = person("dave", 1003, 1003, {"security"});
    for (const auto& [by, expected] :
         {std::pair{bob, wire::error_denied},
          {person("carol", 1002, 1002), wire::error_denied},
          {person("alice", 1000, 1000, {"security"}), wire::error_denied},
          {dave, ""}}) {
        Host host{policy};
        host.login(1, 0s);
        auto wanted = request();
        wanted.asked.subjects.push_back(facts_of("erin", 1004));
        ck_assert(!find<ReplyRequested>(host.step(wanted, 0s))->reply.id.empty());
        ck_assert(host.machine.requests(bob, at(0s)).empty());
        ck_assert_uint_eq(host.machine.requests(dave, at(0s)).size(), 1);
        CHECK_TEXT(answer(host.step(answered(by), 1s)), expected);
    }
}
END_TEST

START_TEST(what_is_answered_and_not_fetched_is_told_as_that) {
    Host host{approved()};
    host.login(1, 0s);
    host.step(request(), 0s);
    host.step(answered(bob), 1s);
    CHECK_TEXT(told(host.step(TimePassed{}, request_lasts)),
               "[request 28000000 was answered, and nobody waited for it]");
}
END_TEST

START_TEST(whether_there_is_a_request_is_known_without_asking_who_wants_to_know) {
    Host host{approved()};
    host.login(1, 0s);
    ck_assert(!host.machine.has_requests() && !host.machine.has_request(id_of(40)));
    host.step(request(), 0s);
    ck_assert(host.machine.has_requests() && host.machine.has_request(id_of(40)));
    ck_assert(!host.machine.has_request(id_of(41)));
}
END_TEST

START_TEST(what_the_policy_does_not_take_is_not_asked_for) {
    Host host{both()};
    host.login(1, 0s);
    ck_assert(find<ReplyRequested>(host.step(request(), 0s))->reply.id.empty());
    auto late = waiting();
    late.step(PolicyChanged{both()}, 1s);
    CHECK_TEXT(answer(late.step(answered(bob), 2s)), wire::error_denied);
    auto over = waiting();
    CHECK_TEXT(answer(over.step(answered(bob), request_lasts)), wire::error_not_found);
    auto locked = waiting();
    locked.step(LockAsked{1, id_of(1), "root"}, 1s);
    const auto effects = locked.step(answered(bob), 2s);
    ck_assert(find<ReplyProve>(effects)->reply.verdict == Verdict::denied);
}
END_TEST

} // namespace

int main() {
    return run("core: proofs",
               {of_all_that_is_wanted_each_is_asked_for_until_it_is_proved,
                one_of_the_ways_is_enough, a_way_that_somebody_cannot_go_is_not_offered,
                half_a_proof_is_good_for_nothing_else,
                half_a_proof_ends_with_its_time_a_new_question_a_lock_and_the_factors,
                begun_proofs_are_bounded_for_each_person, an_approver_lets_one_command_run_once,
                an_answer_given_before_somebody_waits_is_kept_for_him,
                nobody_approves_his_own_by_whatever_name,
                a_denial_is_told_with_its_reason_and_the_next_request_waits,
                three_wait_at_one_time_and_each_lapses,
                a_request_goes_with_its_process_and_is_nobody_elses,
                requests_are_shown_to_who_asks_and_who_may_answer,
                where_two_rules_take_an_approval_it_is_of_who_approves_for_both,
                what_is_answered_and_not_fetched_is_told_as_that,
                whether_there_is_a_request_is_known_without_asking_who_wants_to_know,
                what_the_policy_does_not_take_is_not_asked_for});
}
