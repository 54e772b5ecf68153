// Who has nothing to prove yet: time to enrol, and the password that polkit asks for.

#include "tests/unit/core_support.hpp"

using namespace vigil;
using namespace vigil::test;
using policy::Factor;
using policy::Factors;
using Verdict = wire::AskReply::Verdict;

namespace {

constexpr Seconds week{7 * 24 * 3600};

policy::Policy rule_of(std::vector<Factors> require, std::optional<Seconds> within = week,
                       policy::Mode mode = policy::Mode::enforce) {
    auto policy = policy_of({.idle_lock = 15min}, mode);
    policy.step_up.push_back({.require = std::move(require),
                              .approvers = {.users = {"bob"}, .groups = {}},
                              .valid_for = 5min,
                              .enroll_within = within});
    return policy;
}

StepUpAsked asked_by(std::optional<Seconds> used = Seconds{0}, policy::Factors has = {}) {
    return {.token = 5,
            .asker = {.pid = 700, .start_time = 1},
            .directory = "/home/alice",
            .subjects = {facts_of()},
            .target = {.run_as = "root", .command = {}},
            .session = id_of(1),
            .terminal = 3,
            .terminal_leader = {.pid = 500, .start_time = 9},
            .person_has = std::move(has),
            .grace_used = used};
}

wire::AskReply ask(Host& host, const StepUpAsked& asked) {
    const auto effects = host.step(asked, 1s);
    const auto* reply = find<ReplyAsk>(effects);
    ck_assert_ptr_nonnull(reply);
    return reply->reply;
}

std::string listed(const std::vector<std::string>& factors) {
    std::string text;
    for (const auto& factor : factors)
        text += (text.empty() ? "" : " ") + factor;
    return text;
}

START_TEST(in_time_one_is_let_through_and_told_until_when) {
    Host host{rule_of({{Factor::totp}, {Factor::recovery}})};
    host.login(1, 0s);
    const auto effects = host.step(asked_by(), 1s);
    const auto& reply = find<ReplyAsk>(effects)->reply;
    ck_assert(reply.verdict == Verdict::allowed);
    CHECK_TEXT(listed(reply.factors), "totp recovery");
    CHECK_TEXT(reply.text, "from 2024-10-11 00:00 on this takes a second factor: enrol one "
                           "with `vigilctl enroll totp`.");
    CHECK_TEXT(told(effects), "[there is time yet to enrol]");
    ck_assert_uint_eq(host.machine.grant_count(), 0);
}
END_TEST

START_TEST(afterwards_the_factors_are_required) {
    for (const auto used : {std::optional<Seconds>{week}, std::optional<Seconds>{week * 2},
                            std::optional<Seconds>{}}) {
        Host host{rule_of({{Factor::totp}})};
        host.login(1, 0s);
        const auto reply = ask(host, asked_by(used));
        ck_assert(reply.verdict == Verdict::denied);
        ck_assert(reply.text.find("vigilctl enroll totp") != std::string::npos);
    }
}
END_TEST

START_TEST(one_who_has_a_factor_of_the_rule_has_to_prove_it) {
    Host host{rule_of({{Factor::totp}, {Factor::recovery}})};
    host.login(1, 0s);
    const auto reply = ask(host, asked_by(Seconds{0}, {Factor::recovery}));
    ck_assert(reply.verdict == Verdict::prove);
    CHECK_TEXT(listed(reply.factors), "recovery");
}
END_TEST

START_TEST(what_needs_no_enrolment_is_asked_for_all_the_same) {
    Host both{rule_of({{Factor::password, Factor::totp}})};
    both.login(1, 0s);
    CHECK_TEXT(listed(ask(both, asked_by()).factors), "password");
    ck_assert(both.machine.takes(asked_by(), "password", at(1s)));
    ck_assert(!both.machine.takes(asked_by(), "totp", at(1s)));
    Host approval{rule_of({{Factor::totp, Factor::approval}})};
    approval.login(1, 0s);
    CHECK_TEXT(listed(ask(approval, asked_by()).factors), "approval");
    const auto proved = both.step(ProofChecked{.token = 6,
                                               .request = asked_by(),
                                               .fresh_id = id_of(77),
                                               .outcome = ProofChecked::Outcome::accepted,
                                               .factor = "password"},
                                  1s);
    ck_assert(find<ReplyProve>(proved)->reply.verdict == wire::ProveReply::Verdict::accepted);
}
END_TEST

START_TEST(who_can_enrol_nothing_by_himself_is_told_who_does_it) {
    Host host{rule_of({{Factor::recovery}})};
    host.login(1, 0s);
    CHECK_TEXT(ask(host, asked_by()).text,
               "from 2024-10-11 00:00 on this takes a second factor: an administrator makes "
               "recovery codes with `vigilctl recovery-codes alice`.");
}
END_TEST

START_TEST(what_is_proved_without_the_factor_counts_no_longer_than_there_is_time) {
    Host host{rule_of({{Factor::password, Factor::totp}})};
    host.login(1, 0s);
    host.step(ProofChecked{.token = 6,
                           .request = asked_by(week - Seconds{60}),
                           .fresh_id = id_of(77),
                           .outcome = ProofChecked::Outcome::accepted,
                           .factor = "password"},
              1s);
    const auto grants = host.machine.grants(1000, at(1s));
    ck_assert_uint_eq(grants.size(), 1);
    ck_assert(grants.front().record->expires == at(61s).boot);
}
END_TEST

START_TEST(time_is_asked_for_only_where_a_rule_gives_it) {
    const auto gives = [](policy::Policy policy, const StepUpAsked& asked) {
        Host host{std::move(policy)};
        host.login(1, 0s);
        return host.machine.gives_time_to_enroll(asked, at(1s));
    };
    ck_assert(gives(rule_of({{Factor::totp}}), asked_by({})));
    ck_assert(!gives(rule_of({{Factor::totp}}, {}), asked_by({})));
    ck_assert(!gives(rule_of({{Factor::totp}}), asked_by({}, {Factor::totp})));
    ck_assert(!gives(rule_of({{Factor::totp}}, week, policy::Mode::observe), asked_by({})));
    auto broken = asked_by({});
    broken.cannot_check = true;
    ck_assert(!gives(rule_of({{Factor::totp}}), broken));
}
END_TEST

START_TEST(what_cannot_be_checked_gives_no_time) {
    Host host{rule_of({{Factor::totp}})};
    host.login(1, 0s);
    auto asked = asked_by();
    asked.cannot_check = true;
    ck_assert(ask(host, asked).verdict == Verdict::denied);
}
END_TEST

START_TEST(the_password_for_a_first_enrolment_is_no_circle) {
    for (const auto& ways : {std::vector<Factors>{{Factor::totp}},
                             std::vector<Factors>{{Factor::password, Factor::key}},
                             std::vector<Factors>{{Factor::approval}, {Factor::totp}}}) {
        Host host{rule_of(ways, {})};
        host.login(1, 0s);
        auto asked = asked_by({});
        ck_assert(ask(host, asked).verdict != Verdict::allowed);
        asked.enrols_first = true;
        const auto effects = host.step(asked, 1s);
        ck_assert(find<ReplyAsk>(effects)->reply.verdict == Verdict::allowed);
        CHECK_TEXT(told(effects), "[by the password alone, to enrol a first factor]");
    }
}
END_TEST

START_TEST(it_is_no_way_around_another_persons_yes_nor_around_a_factor) {
    for (const auto& ways : {std::vector<Factors>{{Factor::approval}},
                             std::vector<Factors>{{Factor::totp, Factor::approval}}}) {
        Host host{rule_of(ways, {})};
        host.login(1, 0s);
        auto asked = asked_by({});
        asked.enrols_first = true;
        ck_assert(ask(host, asked).verdict != Verdict::allowed);
    }
    Host host{rule_of({{Factor::totp}}, {})};
    host.login(1, 0s);
    auto asked = asked_by({}, {Factor::recovery});
    asked.enrols_first = true;
    ck_assert(ask(host, asked).verdict == Verdict::denied);
    asked = asked_by({});
    asked.enrols_first = true;
    asked.cannot_check = true;
    ck_assert(ask(host, asked).verdict == Verdict::denied);
}
END_TEST

START_TEST(what_is_refused_is_named) {
    Host host{rule_of({{Factor::totp}}, {})};
    host.login(1, 0s);
    auto asked = asked_by({});
    asked.target.command = policy::Command{.path = "/usr/bin/passwd", .arguments = {"root"}};
    const auto text = told(host.step(asked, 1s));
    ck_assert_msg(text.ends_with(" (/usr/bin/passwd root)]"), "%s", text.c_str());
    asked.target.command->arguments.assign(1, std::string(5000, 'x'));
    const auto cut = told(host.step(asked, 1s));
    ck_assert(cut.ends_with(" ...)]") && cut.size() < 600);
}
END_TEST

START_TEST(what_happens_to_factors_is_told) {
    Host host{rule_of({{Factor::totp}})};
    using What = FactorNews::What;
    const std::pair<What, AuditKind> kinds_of[] = {{What::enrolled, AuditKind::factor_enrolled},
                                                   {What::forgotten, AuditKind::factor_forgotten},
                                                   {What::ticket_made, AuditKind::ticket_made},
                                                   {What::ticket_used, AuditKind::ticket_used},
                                                   {What::ticket_lapsed, AuditKind::ticket_lapsed},
                                                   {What::key_copied, AuditKind::key_copied}};
    for (const auto& [what, kind] : kinds_of) {
        const auto effects = host.step(FactorNews{what, 1000, "alice", "so"}, 0s);
        CHECK_TEXT(kinds(effects), "Audit");
        ck_assert(find<Audit>(effects)->kind == kind && find<Audit>(effects)->uid == 1000);
    }
}
END_TEST

} // namespace

int main() {
    return run("core_enrolment",
               {in_time_one_is_let_through_and_told_until_when, afterwards_the_factors_are_required,
                one_who_has_a_factor_of_the_rule_has_to_prove_it,
                what_needs_no_enrolment_is_asked_for_all_the_same,
                who_can_enrol_nothing_by_himself_is_told_who_does_it,
                what_is_proved_without_the_factor_counts_no_longer_than_there_is_time,
                time_is_asked_for_only_where_a_rule_gives_it, what_cannot_be_checked_gives_no_time,
                the_password_for_a_first_enrolment_is_no_circle,
                it_is_no_way_around_another_persons_yes_nor_around_a_factor,
                what_is_refused_is_named, what_happens_to_factors_is_told});
}
