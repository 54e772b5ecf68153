// daemon/core: the proof that a login needs, what it is bound to, and the sources not asked again.

#include "tests/unit/core_support.hpp"

using namespace vigil;
using namespace vigil::test;

namespace {

using Verdict = wire::AskReply::Verdict;
using Answer = wire::ProveReply::Verdict;
using policy::Factor;

constexpr policy::Address home{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 192, 0, 2, 7};
constexpr policy::Address away{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 192, 0, 2, 8};
constexpr const char* key = "SHA256:one";

policy::Policy asks(Seconds remember = 0s, std::vector<policy::Factors> factors = {{Factor::totp}},
                    policy::Mode mode = policy::Mode::enforce) {
    return policy_of({.login_factors = std::move(factors), .remember_source = remember}, mode);
}

policy::Facts person(policy::Address from = home, std::uint32_t uid = 1000) {
    auto facts = facts_of(uid == 1000 ? "alice" : "bob", uid);
    facts.remote = from;
    return facts;
}

/// Login number so-and-so, which came with this key.
StepUpAsked login(std::uint32_t number, policy::Facts facts = person(), std::string after = key) {
    StepUpAsked asked;
    asked.token = 5;
    asked.asker = process_of(number);
    asked.subjects = {std::move(facts)};
    asked.person_has = {Factor::totp, Factor::recovery};
    asked.login = AtLogin{.leader = process_of(number),
                          .after = std::move(after),
                          .host = "192.0.2.7",
                          .is_way_back_in = false};
    return asked;
}

ProofChecked right(StepUpAsked asked, std::uint32_t id = 900, const char* factor = "totp") {
    return {.token = 6,
            .request = std::move(asked),
            .fresh_id = id_of(id),
            .outcome = ProofChecked::Outcome::accepted,
            .factor = factor};
}

Verdict ask(Host& host, const StepUpAsked& asked, Microseconds now = 0s) {
    const auto effects = host.step(asked, now);
    ck_assert_uint_eq(count<ReplyAsk>(effects), 1);
    return find<ReplyAsk>(effects)->reply.verdict;
}

Answer prove(Host& host, const ProofChecked& checked, Microseconds now = 0s) {
    const auto effects = host.step(checked, now);
    ck_assert_uint_eq(count<ReplyProve>(effects), 1);
    return find<ReplyProve>(effects)->reply.verdict;
}

/// Why its reservation is refused; "": it is not.
std::string refusal(Host& host, std::uint32_t number, policy::Facts facts = person(),
                    Microseconds now = 0s) {
    const auto effects = host.step(reserve(number, std::move(facts)), now);
    const auto* const reply = find<ReplyReserve>(effects);
    ck_assert_ptr_nonnull(reply);
    return reply->reply.verdict == wire::ReserveReply::Verdict::refused ? reply->reply.reason : "";
}

/// Logged in once with a code, and remembered from then on.
Host remembering(Seconds time = 8h) {
    Host host{asks(time)};
    ck_assert(ask(host, login(1)) == Verdict::prove);
    ck_assert(prove(host, right(login(1))) == Answer::accepted);
    CHECK_TEXT(refusal(host, 1), "");
    host.step(confirm(1, person()), 0s);
    return host;
}

} // namespace

START_TEST(without_a_proof_there_is_no_reservation) {
    Host host{asks()};
    CHECK_TEXT(
        refusal(host, 1),
        "rule \"everyone\" asks for a proof at login, and this way in has none: it "
        "takes keyboard-interactive, behind a key or the password (pam_vigil(8), AT LOGIN).");
    auto at_console = person();
    at_console.service = "login";
    CHECK_TEXT(refusal(host, 1, at_console),
               "rule \"everyone\" asks for a proof at login, and login has not asked for one "
               "(pam_vigil(8), AT LOGIN).");
    ck_assert(!host.knows(1));
    // Asked and not answered, or answered wrongly, is no proof either.
    ck_assert(ask(host, login(1)) == Verdict::prove);
    ck_assert(!refusal(host, 1).empty());
    auto wrong = right(login(1));
    wrong.outcome = ProofChecked::Outcome::wrong;
    ck_assert(prove(host, wrong) == Answer::wrong);
    ck_assert(!refusal(host, 1).empty());
}
END_TEST

START_TEST(a_proof_is_for_one_login_of_one_person) {
    Host host{asks()};
    ck_assert(ask(host, login(1)) == Verdict::prove);
    ck_assert(prove(host, right(login(1))) == Answer::accepted);
    ck_assert(!refusal(host, 2).empty());                     // another process
    ck_assert(!refusal(host, 1, person(home, 1001)).empty()); // another person
    CHECK_TEXT(refusal(host, 1), "");
    CHECK_TEXT(refusal(host, 1), ""); // asked again, over a connection that broke
    host.step(confirm(1, person()), 0s);
    host.step(ReleaseAsked{1, process_of(1)}, 1s);
    ck_assert(!refusal(host, 1, person(), 1s).empty());
}
END_TEST

START_TEST(a_proof_waits_ten_minutes_for_its_login) {
    for (const auto& [later, is_in] :
         {std::pair{10min - 1us, true}, {Microseconds{10min}, false}}) {
        Host host{asks()};
        prove(host, right(login(1)));
        ck_assert(refusal(host, 1, person(), later).empty() == is_in);
    }
}
END_TEST

START_TEST(all_of_a_way_is_asked_for) {
    Host host{asks(0s, {{Factor::totp, Factor::recovery}})};
    ck_assert(ask(host, login(1)) == Verdict::prove);
    ck_assert(prove(host, right(login(1))) == Answer::more);
    ck_assert(!refusal(host, 1).empty());
    ck_assert(prove(host, right(login(1), 901, "recovery")) == Answer::accepted);
    CHECK_TEXT(refusal(host, 1), "");
}
END_TEST

START_TEST(a_proof_begun_at_one_login_is_none_at_another) {
    Host host{asks(0s, {{Factor::totp, Factor::recovery}})};
    ck_assert(prove(host, right(login(1))) == Answer::more);
    ck_assert(prove(host, right(login(2), 901, "recovery")) == Answer::more);
    ck_assert(!refusal(host, 1).empty());
    ck_assert(!refusal(host, 2).empty());
}
END_TEST

START_TEST(who_has_nothing_to_prove_with_is_told_once) {
    Host host{asks()};
    auto asked = login(1);
    asked.person_has.clear();
    auto effects = host.step(asked, 0s);
    ck_assert(find<ReplyAsk>(effects)->reply.verdict == Verdict::denied);
    CHECK_TEXT(find<ReplyAsk>(effects)->reply.text,
               "No one-time code is enrolled for alice: an administrator enrols it with `vigilctl "
               "enroll totp alice`.");
    asked.cannot_check = true;
    effects = host.step(asked, 0s);
    ck_assert(find<ReplyAsk>(effects)->reply.text.starts_with("vigil cannot check codes now"));
}
END_TEST

START_TEST(a_key_alone_is_asked_of_nobody) {
    Host host{asks(0s, {{Factor::key}})};
    const auto effects = host.step(login(1), 0s);
    ck_assert(find<ReplyAsk>(effects)->reply.verdict == Verdict::denied);
    ck_assert(find<ReplyAsk>(effects)->reply.text.find("adds totp") != std::string::npos);
    ck_assert(refusal(host, 1).find("adds totp") != std::string::npos);
}
END_TEST

START_TEST(nobody_is_asked_where_it_is_only_observed) {
    Host host{asks(0s, {{Factor::totp}}, policy::Mode::observe)};
    ck_assert(ask(host, login(1)) == Verdict::not_applicable);
    CHECK_TEXT(refusal(host, 1), "");
}
END_TEST

START_TEST(who_is_not_let_in_anyway_is_not_asked) {
    auto rules = asks();
    rules.sessions.front().access = policy::Access::deny;
    Host host{rules};
    ck_assert(ask(host, login(1)) == Verdict::not_applicable);
    CHECK_TEXT(refusal(host, 1), "This login is not allowed (rule \"everyone\").");
    ck_assert(ask(host, login(1), 0s) == Verdict::not_applicable);
}
END_TEST

START_TEST(root_at_a_console_is_the_way_back_in) {
    Host host{asks()};
    auto root = facts_of("root", 0);
    root.service = "login";
    auto asked = login(1, root, "");
    asked.login->is_way_back_in = true;
    ck_assert(ask(host, asked) == Verdict::not_applicable);
    auto wanted = reserve(1, root);
    wanted.remote_host.clear();
    wanted.at_console = true;
    const auto effects = host.step(wanted, 0s);
    ck_assert(find<ReplyReserve>(effects)->reply.verdict == wire::ReserveReply::Verdict::reserved);
    ck_assert(find<Audit>(effects)->kind == AuditKind::login_let_in);
    // At no console he is asked as anybody is.
    ck_assert(ask(host, login(2, root, "")) == Verdict::prove);
}
END_TEST

START_TEST(a_source_is_remembered_for_its_time) {
    auto host = remembering();
    ck_assert(ask(host, login(2), 8h - 1us) == Verdict::allowed);
    CHECK_TEXT(refusal(host, 2, person(), 8h - 1us), "");
    ck_assert(ask(host, login(3), 8h) == Verdict::prove);
    ck_assert(!refusal(host, 3, person(), 8h).empty());
}
END_TEST

START_TEST(a_source_is_a_person_an_address_and_a_key) {
    auto host = remembering();
    ck_assert(ask(host, login(2, person(away))) == Verdict::prove);
    ck_assert(ask(host, login(2, person(home, 1001))) == Verdict::prove);
    ck_assert(ask(host, login(2, person(), "SHA256:other")) == Verdict::prove);
    ck_assert(ask(host, login(2, person(), "password")) == Verdict::prove);
    ck_assert(ask(host, login(2, person(), "")) == Verdict::prove);
    auto unknown = person();
    unknown.remote.reset();
    unknown.remote_unknown = true;
    ck_assert(ask(host, login(2, unknown)) == Verdict::prove);
    ck_assert(ask(host, login(2)) == Verdict::allowed);
}
END_TEST

START_TEST(nothing_is_remembered_without_a_key_or_an_address) {
    auto no_address = person();
    no_address.remote.reset();
    for (const auto& asked : {login(1, person(), ""), login(1, no_address)}) {
        Host host{asks(8h)};
        ck_assert(prove(host, right(asked)) == Answer::accepted);
        ck_assert(host.written.remembered.empty());
        auto again = asked;
        again.asker = again.login->leader = process_of(2);
        ck_assert(ask(host, again) == Verdict::prove);
    }
    Host host{asks()}; // nor where the policy gives no time
    prove(host, right(login(1)));
    ck_assert(host.written.remembered.empty());
}
END_TEST

START_TEST(what_is_remembered_outlives_vigild) {
    auto host = remembering();
    ck_assert_uint_eq(host.written.remembered.size(), 1);
    host.restart(1h);
    ck_assert(ask(host, login(2), 1h) == Verdict::allowed);
    CHECK_TEXT(kinds(host.restart(8h)).substr(0, 15), "EraseRemembered");
    ck_assert(host.written.remembered.empty());
}
END_TEST

START_TEST(a_new_policy_a_new_factor_and_a_revocation_end_it) {
    const auto id = id_of(900);
    for (const Event& event : {Event{FactorsChanged{1000}}, Event{RevokeAsked{1, id, "root"}},
                               Event{PolicyChanged{asks()}}}) {
        auto host = remembering();
        ck_assert(host.machine.owner_of_grant(id) == 1000);
        ck_assert_uint_eq(host.machine.remembered(1000, at(0s)).size(), 1);
        ck_assert(host.machine.remembered(1001, at(0s)).empty());
        host.step(event, 1s);
        ck_assert(host.written.remembered.empty());
        ck_assert(host.machine.remembered(std::nullopt, at(1s)).empty());
        ck_assert(!host.machine.owner_of_grant(id));
        ck_assert(ask(host, login(2), 1s) == Verdict::prove);
    }
    auto stricter = remembering();
    stricter.step(PolicyChanged{asks(8h, {{Factor::recovery}})}, 1s);
    ck_assert(ask(stricter, login(2), 1s) == Verdict::prove);
    auto same = remembering();
    same.step(PolicyChanged{asks(8h)}, 1s);
    ck_assert(ask(same, login(2), 1s) == Verdict::allowed);
    auto host = remembering();
    host.step(FactorsChanged{1001}, 1s);
    ck_assert(ask(host, login(2), 1s) == Verdict::allowed);
}
END_TEST

START_TEST(a_policy_that_changed_while_vigild_was_down_counts) {
    for (const auto& rules : {asks(), asks(1h), asks(8h, {{Factor::recovery}})}) {
        auto host = remembering();
        host.policy = rules;
        host.restart(2h);
        ck_assert(ask(host, login(2), 2h) == Verdict::prove);
    }
}
END_TEST

START_TEST(a_factor_that_changes_takes_a_proof_under_way) {
    Host host{asks()};
    prove(host, right(login(1)));
    host.step(FactorsChanged{1000}, 0s);
    ck_assert(!refusal(host, 1).empty());
}
END_TEST

START_TEST(memory_is_bounded_and_nobody_pushes_others_out) {
    auto host = remembering();
    for (std::uint32_t i = 0; i < 100; ++i)
        prove(host, right(login(2, person(away, 1001), "SHA256:" + std::to_string(i)), 1000 + i));
    ck_assert_uint_eq(host.machine.remembered(1001, at(0s)).size(), max_remembered_per_user);
    ck_assert_uint_eq(host.written.remembered.size(), max_remembered_per_user + 1);
    ck_assert(ask(host, login(3)) == Verdict::allowed);
    ck_assert(ask(host, login(4, person(away, 1001), "SHA256:99")) == Verdict::allowed);
    ck_assert(ask(host, login(4, person(away, 1001), "SHA256:0")) == Verdict::prove);
    // The same source once more is one.
    prove(host, right(login(5), 2000));
    ck_assert_uint_eq(host.machine.remembered(1000, at(0s)).size(), 1);
    // More logins at one time than there is room for: the oldest is asked anew.
    Host crowd{asks()};
    for (std::uint32_t i = 0; i <= max_login_proofs; ++i)
        prove(crowd, right(login(i)));
    ck_assert(!refusal(crowd, 0).empty());
    CHECK_TEXT(refusal(crowd, 1), "");
}
END_TEST

int main() {
    return vigil::test::run(
        "core/login factors",
        {without_a_proof_there_is_no_reservation, a_proof_is_for_one_login_of_one_person,
         a_proof_waits_ten_minutes_for_its_login, all_of_a_way_is_asked_for,
         a_proof_begun_at_one_login_is_none_at_another, who_has_nothing_to_prove_with_is_told_once,
         a_key_alone_is_asked_of_nobody, nobody_is_asked_where_it_is_only_observed,
         who_is_not_let_in_anyway_is_not_asked, root_at_a_console_is_the_way_back_in,
         a_source_is_remembered_for_its_time, a_source_is_a_person_an_address_and_a_key,
         nothing_is_remembered_without_a_key_or_an_address, what_is_remembered_outlives_vigild,
         a_new_policy_a_new_factor_and_a_revocation_end_it,
         a_policy_that_changed_while_vigild_was_down_counts,
         a_factor_that_changes_takes_a_proof_under_way,
         memory_is_bounded_and_nobody_pushes_others_out});
}
