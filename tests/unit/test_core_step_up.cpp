// Step-up: who is asked, what a proof is good for, and what ends it.

#include "policy/digest.hpp"
#include "tests/unit/core_support.hpp"

#include <set>

using namespace vigil;
using namespace vigil::test;
using Verdict = wire::AskReply::Verdict;

namespace {

policy::Policy some_policy(policy::StepUpRule rule = {.require = {{policy::Factor::totp}},
                                                      .valid_for = 5min}) {
    auto policy = policy_of({.idle_lock = 15min});
    policy.step_up.push_back(std::move(rule));
    return policy;
}

StepUpAsked command(std::uint32_t number = 1, std::uint64_t terminal = 3) {
    return {.token = 5,
            .subjects = {facts_of()},
            .target = {.run_as = "root", .command = {}},
            .session = id_of(number),
            .terminal = terminal,
            .terminal_leader = {.pid = 500, .start_time = 9},
            .person_has = {policy::Factor::totp}};
}

ProofChecked proof(StepUpAsked request,
                   ProofChecked::Outcome outcome = ProofChecked::Outcome::accepted) {
    static std::uint32_t drawn = 1000;
    return {.token = 6,
            .request = std::move(request),
            .fresh_id = id_of(++drawn),
            .outcome = outcome,
            .factor = "totp"};
}

Verdict ask(Host& host, const StepUpAsked& asked, Microseconds now) {
    return find<ReplyAsk>(host.step(asked, now))->reply.verdict;
}

/// Logged in and proved at once.
Host proved(policy::Policy policy = some_policy()) {
    Host host{std::move(policy)};
    host.login(1, 0s);
    host.step(proof(command()), 0s);
    return host;
}

START_TEST(a_proof_is_stored_and_audited_before_the_answer) {
    Host host{some_policy()};
    host.login(1, 0s);
    ck_assert(ask(host, command(), 0s) == Verdict::prove);
    const auto effects = host.step(proof(command()), 0s);
    CHECK_TEXT(kinds(effects), "StoreGrant Audit ReplyProve");
    CHECK_TEXT(told(effects), "[proved by totp, valid for 5 min]");
    ck_assert(ask(host, command(), 1s) == Verdict::allowed);
}
END_TEST

START_TEST(a_grant_is_good_for_nothing_else) {
    auto host = proved();
    host.login(2, 0s);
    auto other_user = command();
    other_user.subjects = {facts_of("bob", 1001)};
    auto other_target = command();
    other_target.target.run_as = "bob";
    auto outside = command();
    outside.session.reset();
    auto number_used_again = command();
    number_used_again.terminal_leader.start_time = 10;
    auto nobodys = command();
    nobodys.terminal_leader = {};
    for (const auto& asked :
         {other_user, other_target, outside, number_used_again, nobodys, command(2), command(1, 4)})
        ck_assert(ask(host, asked, 1s) == Verdict::prove);
    ck_assert(ask(host, command(), 1s) == Verdict::allowed);
}
END_TEST

START_TEST(a_grant_ends_at_its_time) {
    auto host = proved();
    ck_assert(ask(host, command(), 5min - 1us) == Verdict::allowed);
    ck_assert(ask(host, command(), 5min) == Verdict::prove);
}
END_TEST

/// What is not looked at must make no difference: the same question without it has the same answer.
START_TEST(what_a_person_has_is_not_asked_for_where_nothing_hangs_on_it) {
    const auto needed = [](const Host& host, const StepUpAsked& asked, Microseconds now) {
        return host.machine.needs_factors(asked, at(now));
    };
    const auto in_hand = [](StepUpAsked asked) {
        asked.person_has.clear();
        return asked;
    };
    Host unproved{some_policy()};
    unproved.login(1, 0s);
    ck_assert(needed(unproved, command(), 1s));

    auto host = proved();
    ck_assert(!needed(host, command(), 1s));
    ck_assert(ask(host, in_hand(command()), 1s) == Verdict::allowed);
    ck_assert(needed(host, command(1, 4), 1s)); // at another terminal
    // It stands for as long as the answer can take, and longer.
    ck_assert(!needed(host, command(), 5min - 2s));
    ck_assert(needed(host, command(), 5min - 1s));

    Host free{some_policy({.require = {}})};
    free.login(1, 0s);
    ck_assert(!needed(free, command(), 1s));
    ck_assert(ask(free, in_hand(command()), 1s) == Verdict::allowed);

    // With time to enrol a grant lasts no longer than that.
    auto in_time = proved(some_policy(
        {.require = {{policy::Factor::totp}}, .valid_for = 5min, .enroll_within = Seconds{600}}));
    ck_assert(needed(in_time, command(), 1s));

    auto observed = some_policy();
    observed.mode = policy::Mode::observe;
    ck_assert(needed(proved(observed), command(), 1s));

    auto login = command();
    login.login.emplace();
    ck_assert(needed(host, login, 1s));
    auto nobody = command();
    nobody.subjects.clear();
    ck_assert(needed(host, nobody, 1s));

    host.step(LockAsked{1, id_of(1), "root"}, 2s);
    ck_assert(needed(host, command(), 2s));
}
END_TEST

START_TEST(a_grant_dies_with_a_lock_a_logout_an_end_the_factors_and_the_policy) {
    const std::pair<Event, const char*> ends[] = {
        {LockAsked{1, id_of(1), "root"}, "ReadActivity StoreSession EraseGrant Audit Lock"},
        {LeaderGone{id_of(1)}, "Audit EraseGrant Audit Forget EraseSession"},
        {TerminateAsked{1, id_of(1), "root", {}},
         "StoreSession Audit EraseGrant Audit Say ReplyDone"},
        {FactorsChanged{1000}, "EraseGrant Audit"},
        {PolicyChanged{some_policy({.require = {{policy::Factor::totp}}, .valid_for = 6min})},
         "EraseGrant Audit Audit"}};
    for (const auto& [event, expected] : ends) {
        auto host = proved();
        CHECK_TEXT(kinds(host.step(event, 1s)), expected);
        ck_assert_uint_eq(host.machine.grant_count(), 0);
        ck_assert(host.written.grants.empty());
    }
    auto host = proved();
    ck_assert(host.step(FactorsChanged{1001}, 1s).empty());
}
END_TEST

START_TEST(a_new_policy_with_the_same_rule_gives_what_the_old_one_gave) {
    auto host = proved();
    auto policy = some_policy();
    policy.step_up.push_back({.match = {.users = {"bob"}}});
    CHECK_TEXT(kinds(host.step(PolicyChanged{policy}, 1s)), "Audit");
    ck_assert(ask(host, command(), 2s) == Verdict::allowed);
    ck_assert_uint_eq(host.machine.grants(1000, at(2s)).front().rule, 1);
    // One above it may be about anybody.
    policy.step_up.insert(policy.step_up.begin(), {.match = {.users = {"bob"}}});
    CHECK_TEXT(kinds(host.step(PolicyChanged{policy}, 3s)), "EraseGrant Audit Audit");
    host.step(PolicyChanged{some_policy()}, 4s);
    ck_assert(ask(host, command(), 4s) == Verdict::prove);
}
END_TEST

/// Alice's login, where she has become bob: one rule is about her, the other about him.
Host two_who_are_asked(policy::StepUpRule hers, policy::StepUpRule his) {
    hers.match.users = {"alice"};
    his.match.users = {"bob"};
    auto policy = some_policy(std::move(hers));
    policy.step_up.push_back(std::move(his));
    Host host{std::move(policy)};
    host.login(1, 0s);
    return host;
}

StepUpAsked as_bob() {
    auto asked = command();
    asked.asker = {.pid = 700, .start_time = 1};
    asked.subjects.push_back(facts_of("bob", 1001));
    return asked;
}

START_TEST(where_two_are_asked_for_proofs_both_rules_hold_and_nothing_lasts) {
    using policy::Factor;
    auto host =
        two_who_are_asked({.require = {{Factor::totp}}, .valid_for = 5min},
                          {.require = {{Factor::password}, {Factor::recovery}}, .valid_for = 5min});
    const auto asks = find<ReplyAsk>(host.step(as_bob(), 0s))->reply;
    ck_assert(asks.verdict == Verdict::prove);
    CHECK_TEXT(asks.text, "rules 1 and 2 of step_up ask for proofs");
    ck_assert_uint_eq(asks.factors.size(), 2); // nobody here has recovery codes
    const auto half = find<ReplyProve>(host.step(proof(as_bob()), 0s))->reply;
    ck_assert(half.verdict == wire::ProveReply::Verdict::more);
    ck_assert_uint_eq(half.factors.size(), 1);
    CHECK_TEXT(half.factors.front(), "password");
    auto password = proof(as_bob());
    password.factor = "password";
    const auto effects = host.step(password, 1s);
    CHECK_TEXT(kinds(effects), "Audit ReplyProve");
    ck_assert(find<ReplyProve>(effects)->reply.verdict == wire::ProveReply::Verdict::accepted);
    ck_assert_uint_eq(host.machine.grant_count(), 0);
    ck_assert(ask(host, as_bob(), 2s) == Verdict::prove);
}
END_TEST

START_TEST(a_grant_of_one_rule_is_none_where_two_ask) {
    using policy::Factor;
    auto host = two_who_are_asked({.require = {{Factor::totp}}, .valid_for = 5min},
                                  {.require = {{Factor::totp}}, .valid_for = 6min});
    host.step(proof(command()), 0s);
    ck_assert(ask(host, command(), 1s) == Verdict::allowed);
    ck_assert(ask(host, as_bob(), 1s) == Verdict::prove);
}
END_TEST

START_TEST(grants_are_listed_and_revoked_one_by_one) {
    auto host = proved();
    host.step(proof(command(1, 4)), 1s);
    const auto listed = host.machine.grants(std::nullopt, at(2s));
    ck_assert_uint_eq(listed.size(), 2);
    ck_assert(host.machine.grants(1001, at(2s)).empty());
    const auto& first = listed.front();
    ck_assert_uint_eq(first.record->uid, 1000);
    ck_assert(first.session->id == id_of(1));
    ck_assert_uint_eq(first.rule, 1);
    CHECK_TEXT(first.run_as, "root");
    const auto id = first.record->id;
    ck_assert(host.machine.owner_of_grant(id) == 1000);
    const auto effects = host.step(RevokeAsked{7, id, "alice"}, 2s);
    CHECK_TEXT(kinds(effects), "EraseGrant Audit ReplyDone");
    CHECK_TEXT(told(effects), "[by alice]");
    ck_assert_uint_eq(host.machine.grants(std::nullopt, at(2s)).size(), 1);
    ck_assert_uint_eq(host.written.grants.size(), 1);
    ck_assert(ask(host, command(), 2s) == Verdict::prove);
    ck_assert(ask(host, command(1, 4), 2s) == Verdict::allowed);
    ck_assert(!host.machine.owner_of_grant(id));
    const auto again = host.step(RevokeAsked{8, id, "alice"}, 2s);
    CHECK_TEXT(find<ReplyDone>(again)->error, wire::error_not_found);
}
END_TEST

START_TEST(what_counts_no_more_is_not_listed) {
    auto host = proved();
    ck_assert_uint_eq(host.machine.grants(std::nullopt, at(5min - 1us)).size(), 1);
    ck_assert(host.machine.grants(std::nullopt, at(5min)).empty());
}
END_TEST

START_TEST(a_crash_in_the_middle_of_a_lock_keeps_no_grant) {
    auto host = proved();
    const auto effects = host.machine.step(LockAsked{1, id_of(1), "root"}, at(1s));
    host.written.take(
        *find<StoreSession>(effects)); // the session is stored, and then the kill comes
    const auto started = host.restart(2s);
    ck_assert_ptr_nonnull(find<EraseGrant>(started));
    ck_assert_uint_eq(host.machine.grant_count(), 0);
}
END_TEST

START_TEST(a_grant_survives_a_restart_with_its_binding) {
    auto host = proved();
    ck_assert_ptr_null(find<EraseGrant>(host.restart(1s)));
    ck_assert(ask(host, command(1, 4), 2s) == Verdict::prove);
    ck_assert(ask(host, command(), 2s) == Verdict::allowed);
    ck_assert_ptr_nonnull(find<EraseGrant>(host.restart(5min)));
}
END_TEST

START_TEST(a_grant_hangs_on_what_its_rule_and_those_above_say) {
    Host host = proved();
    auto rule = host.policy.step_up.front();
    policy::StepUpRule other{.require = {{policy::Factor::totp}}, .valid_for = 5min};
    other.match.users = {"bob"};
    host.policy.step_up.push_back(other);
    ck_assert_ptr_null(find<EraseGrant>(host.restart(1s)));
    ck_assert(ask(host, command(), 1s) == Verdict::allowed);
    auto behind = proved();
    behind.policy.step_up.insert(behind.policy.step_up.begin(), other);
    ck_assert_uint_eq(count<EraseGrant>(behind.restart(1s)), 1);
    // While vigild was down another rule came to where this one was.
    rule.uses = 3;
    host.policy.step_up = {rule};
    ck_assert_uint_eq(count<EraseGrant>(host.restart(2s)), 1);
    ck_assert(ask(host, command(), 2s) == Verdict::prove);
}
END_TEST

START_TEST(no_two_rules_have_one_digest) {
    const policy::StepUpRule plain{.require = {{policy::Factor::totp}}, .valid_for = 5min};
    std::vector rules(25, plain);
    rules[1].match.users = {"ab"};
    rules[2].match.users = {"a", "b"};
    rules[3].match.groups = {"ab"};
    rules[4].match.services = {"ab"};
    rules[5].match.from = {{.prefix = 0}};
    rules[6].match.not_from = {{.prefix = 0}};
    rules[7].match.when = {{.to_minute = 600}};
    rules[8].match.classes = {policy::SessionClass::command};
    rules[9].match.run_as = {"ab"};
    rules[10].require = {{policy::Factor::totp}, {policy::Factor::password}};
    rules[19].require = {{policy::Factor::totp, policy::Factor::password}};
    rules[20].approvers.users = {"ab"};
    rules[21].approvers.groups = {"ab"};
    rules[11].valid_for = 6min;
    rules[12].scope = policy::GrantScope::session;
    rules[13].uses = 0;
    rules[14].match.commands = {{.path = "/a"}};
    rules[15].match.commands = {{.path = "/a", .arguments = {}, .more = true}};
    rules[16].match.commands = {{.path = "/a", .arguments = {"b"}}};
    rules[17].match.commands = {{.path = "/a", .arguments = {"b", "c"}}};
    rules[18].match.commands = {{.path = "/a"}, {.path = "/b"}};
    rules[22].key_verified = true;
    rules[23].enroll_within = Seconds{1};
    rules[24].enroll_within = Seconds{2};
    std::set<std::string> digests;
    for (const auto& rule : rules)
        digests.insert(policy::digest(rule));
    ck_assert_uint_eq(digests.size(), rules.size());
    // It is in stores that another build reads.
    CHECK_TEXT(policy::digest(plain), "06b27e38c0b19cee");
}
END_TEST

START_TEST(uses_are_counted_on_disk) {
    auto host =
        proved(some_policy({.require = {{policy::Factor::totp}}, .valid_for = 5min, .uses = 3}));
    CHECK_TEXT(kinds(host.step(command(), 1s)), "StoreGrant ReplyAsk");
    host.restart(2s);
    CHECK_TEXT(kinds(host.step(command(), 3s)), "StoreGrant EraseGrant ReplyAsk");
    ck_assert(ask(host, command(), 4s) == Verdict::prove);
}
END_TEST

START_TEST(what_cannot_be_written_down_is_no_grant_and_no_use) {
    Host host{some_policy({.require = {{policy::Factor::totp}}, .valid_for = 5min, .uses = 3})};
    host.login(1, 0s);
    host.store_works = false;
    const auto effects = host.step(proof(command()), 0s);
    ck_assert(find<ReplyProve>(effects)->reply.verdict == wire::ProveReply::Verdict::denied);
    CHECK_TEXT(told(effects), "[the grant cannot be written down]");
    ck_assert_uint_eq(host.machine.grant_count(), 0);
    host.store_works = true;
    ck_assert(ask(host, command(), 1s) == Verdict::prove);
    host.step(proof(command()), 1s);
    host.store_works = false;
    ck_assert(ask(host, command(), 2s) == Verdict::denied);
    host.store_works = true;
    ck_assert(ask(host, command(), 3s) == Verdict::prove);
}
END_TEST

START_TEST(a_grant_that_is_revoked_while_it_is_written_down_is_none) {
    Host host{some_policy()};
    host.login(1, 0s);
    const auto asked = proof(command());
    CHECK_TEXT(kinds(host.machine.step(asked, at(0s))), "StoreGrant");
    host.step(LockAsked{1, id_of(1), "root"}, 0s);
    const auto effects = host.step(GrantStored{asked.fresh_id, true}, 0s);
    ck_assert(find<ReplyProve>(effects)->reply.verdict == wire::ProveReply::Verdict::denied);
    ck_assert(host.step(GrantStored{asked.fresh_id, true}, 0s).empty());
}
END_TEST

START_TEST(a_scope_of_the_session_spans_its_terminals) {
    auto host = proved(some_policy({.require = {{policy::Factor::totp}},
                                    .valid_for = 5min,
                                    .scope = policy::GrantScope::session}));
    ck_assert(ask(host, command(1, 4), 1s) == Verdict::allowed);
}
END_TEST

START_TEST(what_binds_to_nothing_is_no_grant) {
    const policy::StepUpRule every_time{.require = {{policy::Factor::totp}}};
    for (auto [policy, asked] :
         {std::pair{some_policy(every_time), command()}, std::pair{some_policy(), command(1, 0)},
          std::pair{some_policy(), command(77)}}) {
        Host host{policy};
        host.login(1, 0s);
        CHECK_TEXT(kinds(host.step(proof(asked), 0s)), "Audit ReplyProve");
        ck_assert(ask(host, asked, 0s) == Verdict::prove);
    }
}
END_TEST

START_TEST(only_an_accepted_proof_of_a_named_factor_counts) {
    Host host{some_policy()};
    host.login(1, 0s);
    using Outcome = ProofChecked::Outcome;
    for (const auto outcome : {Outcome::wrong, Outcome::throttled, Outcome::unavailable})
        ck_assert(find<ReplyProve>(host.step(proof(command(), outcome), 0s))->reply.verdict !=
                  wire::ProveReply::Verdict::accepted);
    auto other = proof(command());
    other.factor = "password";
    ck_assert(find<ReplyProve>(host.step(other, 0s))->reply.verdict ==
              wire::ProveReply::Verdict::denied);
    ck_assert_uint_eq(host.machine.grant_count(), 0);
}
END_TEST

START_TEST(from_the_fifth_wrong_code_in_a_row_on_each_is_an_alert) {
    Host host{some_policy()};
    host.login(1, 0s);
    for (std::uint32_t failures = 1; failures <= 7; ++failures) {
        auto wrong = proof(command(), ProofChecked::Outcome::wrong);
        wrong.failures = failures;
        const auto effects = host.step(wrong, 0s);
        const bool alarming = failures >= 5;
        CHECK_TEXT(kinds(effects), alarming ? "Audit Audit ReplyProve" : "Audit ReplyProve");
        if (alarming)
            ck_assert(std::get<Audit>(effects[1]).kind == AuditKind::codes_guessed);
        const auto elsewhere = host.step(CodeRefused{1000, "alice", failures}, 0s);
        CHECK_TEXT(kinds(elsewhere), alarming ? "Audit" : "");
    }
}
END_TEST

START_TEST(a_locked_session_gets_neither_yes_nor_grant) {
    auto host = proved();
    host.step(LockAsked{1, id_of(1), "root"}, 1s);
    ck_assert(ask(host, command(), 2s) == Verdict::denied);
    const auto effects = host.step(proof(command()), 2s);
    CHECK_TEXT(kinds(effects), "ReplyProve");
    ck_assert(find<ReplyProve>(effects)->reply.verdict == wire::ProveReply::Verdict::denied);
    host.step(UnlockAsked{1, id_of(1), "totp", {}}, 3s);
    host.step(UnlockDone{id_of(1), true, {}}, 3s);
    ck_assert(ask(host, command(), 4s) == Verdict::prove);
}
END_TEST

START_TEST(the_strictest_of_all_subjects_decides) {
    auto policy = some_policy({.match = {.users = {"bob"}}, .require = {{policy::Factor::totp}}});
    policy.step_up.push_back({.match = {.users = {"alice"}}});
    Host host{policy};
    host.login(1, 0s);
    ck_assert(ask(host, command(), 0s) == Verdict::allowed);
    auto as_bob = command();
    as_bob.subjects.push_back(facts_of("bob", 1001));
    ck_assert(ask(host, as_bob, 0s) == Verdict::prove);
    as_bob.subjects.clear();
    ck_assert(ask(host, as_bob, 0s) == Verdict::denied);
    auto nobody = command();
    nobody.subjects = {facts_of("carol", 1002)};
    ck_assert(ask(host, nobody, 0s) == Verdict::not_applicable);
}
END_TEST

START_TEST(without_a_factor_the_refusal_says_what_to_do) {
    Host host{some_policy()};
    host.login(1, 0s);
    auto asked = command();
    asked.person_has.clear();
    const auto effects = host.step(asked, 0s);
    CHECK_TEXT(kinds(effects), "Audit ReplyAsk");
    ck_assert(find<ReplyAsk>(effects)->reply.verdict == Verdict::denied);
    CHECK_TEXT(find<ReplyAsk>(effects)->reply.text, find<Audit>(effects)->text);
}
END_TEST

START_TEST(observe_asks_nobody) {
    auto policy = some_policy();
    policy.mode = policy::Mode::observe;
    Host host{policy};
    host.login(1, 0s);
    CHECK_TEXT(kinds(host.step(command(), 0s)), "Audit ReplyAsk");
    ck_assert(ask(host, command(), 0s) == Verdict::allowed);
}
END_TEST

START_TEST(grants_of_a_session_are_bounded_and_the_oldest_goes) {
    Host host{some_policy()};
    host.login(1, 0s);
    for (std::uint64_t terminal = 1; terminal <= max_grants_per_session + 1; ++terminal)
        host.step(proof(command(1, terminal)), 0s);
    ck_assert_uint_eq(host.machine.grant_count(), max_grants_per_session);
    ck_assert_uint_eq(host.written.grants.size(), max_grants_per_session);
    ck_assert(ask(host, command(1, 1), 1s) == Verdict::prove);
    ck_assert(ask(host, command(1, 2), 1s) == Verdict::allowed);
}
END_TEST

} // namespace

int main() {
    return vigil::test::run("core: step-up",
                            {a_proof_is_stored_and_audited_before_the_answer,
                             a_grant_is_good_for_nothing_else,
                             a_grant_ends_at_its_time,
                             what_a_person_has_is_not_asked_for_where_nothing_hangs_on_it,
                             a_grant_dies_with_a_lock_a_logout_an_end_the_factors_and_the_policy,
                             a_new_policy_with_the_same_rule_gives_what_the_old_one_gave,
                             where_two_are_asked_for_proofs_both_rules_hold_and_nothing_lasts,
                             a_grant_of_one_rule_is_none_where_two_ask,
                             grants_are_listed_and_revoked_one_by_one,
                             what_counts_no_more_is_not_listed,
                             a_crash_in_the_middle_of_a_lock_keeps_no_grant,
                             a_grant_survives_a_restart_with_its_binding,
                             a_grant_hangs_on_what_its_rule_and_those_above_say,
                             no_two_rules_have_one_digest,
                             uses_are_counted_on_disk,
                             what_cannot_be_written_down_is_no_grant_and_no_use,
                             a_grant_that_is_revoked_while_it_is_written_down_is_none,
                             a_scope_of_the_session_spans_its_terminals,
                             what_binds_to_nothing_is_no_grant,
                             only_an_accepted_proof_of_a_named_factor_counts,
                             from_the_fifth_wrong_code_in_a_row_on_each_is_an_alert,
                             a_locked_session_gets_neither_yes_nor_grant,
                             the_strictest_of_all_subjects_decides,
                             without_a_factor_the_refusal_says_what_to_do,
                             observe_asks_nobody,
                             grants_of_a_session_are_bounded_and_the_oldest_goes});
}
