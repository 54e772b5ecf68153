// daemon/factors: the last factor, tickets, time to enrol, and what is counted beside codes.

#include "tests/unit/factors_help.hpp"
#include "wire/answer.hpp"

#include <set>

using namespace vigil;
using namespace vigil::test;

namespace {

constexpr Seconds day{24 * 3600};

Now later(std::int64_t boot, std::int64_t wall) {
    Now now = at(wall);
    now.boot = BootTime{Seconds{1000 + boot}};
    return now;
}

std::string ticket_of(Factors& factors, std::uint32_t uid, std::int64_t when, Seconds lasts = day) {
    const auto made = factors.make_ticket(uid, "alice", "root", lasts, at(when));
    CHECK_OK(made);
    return std::string{made->view()};
}

Verdict use(Factors& factors, std::uint32_t uid, const std::string& typed, std::int64_t when) {
    const auto used = factors.use_ticket(uid, here, typed, attempt(), at(when));
    CHECK_OK(used);
    return used->verdict;
}

START_TEST(the_last_that_counts_is_not_forgotten_by_its_owner) {
    auto factors = open_factors();
    const auto phone = device(factors, alice, at(0));
    CHECK_OK(factors.renew_recovery(alice, "alice", at(0)));
    const auto pending = factors.enroll_totp(alice, "alice", "pending", {}, at(0));
    device(factors, bob, at(0)); // is nobody's but bob's
    ck_assert(*factors.is_last(phone.factor_id, alice));
    CHECK_ERROR(factors.forget_own(phone.factor_id, alice), EPERM);
    ck_assert(factors.active(alice)->totp);
    CHECK_OK(factors.forget_own(pending->factor_id, alice));
    const auto second = device(factors, alice, at(60));
    ck_assert(!*factors.is_last(phone.factor_id, alice));
    CHECK_OK(factors.forget_own(phone.factor_id, alice));
    CHECK_ERROR(factors.forget_own(second.factor_id, alice), EPERM);
    CHECK_ERROR(factors.forget_own(second.factor_id, bob), ENOENT);
    CHECK_OK(factors.forget(second.factor_id));
}
END_TEST

START_TEST(recovery_codes_are_forgotten_by_their_owner) {
    auto factors = open_factors();
    CHECK_OK(factors.renew_recovery(alice, "alice", at(0)));
    const auto codes = factors.list(alice, at(0))->front().id;
    ck_assert(!*factors.is_last(codes, alice));
    CHECK_OK(factors.forget_own(codes, alice));
}
END_TEST

START_TEST(a_ticket_is_four_groups_that_can_be_read_aloud) {
    auto factors = open_factors();
    std::set<std::string> seen;
    std::set<char> letters;
    for (int i = 0; i < 50; ++i) {
        const auto ticket = ticket_of(factors, alice, 0);
        ck_assert_uint_eq(ticket.size(), 23);
        for (std::size_t at = 0; at < ticket.size(); ++at) {
            ck_assert((at % 6 == 5) == (ticket[at] == '-'));
            if (ticket[at] != '-')
                letters.insert(ticket[at]);
        }
        ck_assert(seen.insert(ticket).second);
    }
    for (const char c : std::string_view{"ilou"})
        ck_assert(!letters.contains(c));
    ck_assert_uint_ge(letters.size(), 30); // of 32, among 1000 letters
}
END_TEST

START_TEST(a_ticket_is_used_once_by_whose_it_is) {
    auto factors = open_factors();
    auto ticket = ticket_of(factors, alice, 0);
    ck_assert(use(factors, bob, ticket, 1) == Verdict::wrong);
    for (char& c : ticket)
        c = c == '-' ? ' ' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    ck_assert(use(factors, alice, ticket, 1) == Verdict::accepted);
    ck_assert(use(factors, alice, ticket, 1) == Verdict::wrong);
}
END_TEST

START_TEST(a_new_ticket_replaces_the_one_before) {
    auto factors = open_factors();
    const auto first = ticket_of(factors, alice, 0);
    const auto second = ticket_of(factors, alice, 0);
    ck_assert(use(factors, alice, first, 1) == Verdict::wrong);
    ck_assert(use(factors, alice, second, 1) == Verdict::accepted);
}
END_TEST

START_TEST(a_ticket_lapses_and_is_told_once) {
    auto factors = open_factors();
    const auto ticket = ticket_of(factors, alice, 0, Seconds{3600});
    ck_assert(factors.lapse_tickets(at(3599))->empty());
    ck_assert(use(factors, alice, ticket, -1) == Verdict::wrong); // made in the future
    ck_assert(use(factors, alice, ticket, 3600) == Verdict::wrong);
    const auto lapsed = factors.lapse_tickets(at(3600));
    CHECK_OK(lapsed);
    ck_assert_uint_eq(lapsed->size(), 1);
    CHECK_TEXT(lapsed->front().user + " by " + lapsed->front().by, "alice by root");
    ck_assert(factors.lapse_tickets(at(3601))->empty());
}
END_TEST

START_TEST(wrong_tickets_wait_as_wrong_codes_do) {
    auto factors = open_factors();
    const auto ticket = ticket_of(factors, alice, 0);
    std::uint32_t failures = 0;
    for (unsigned i = 0; i < free_failures; ++i)
        failures = factors.use_ticket(alice, here, "no ticket", attempt(), at(1))->failures;
    ck_assert_uint_eq(failures, free_failures);
    ck_assert(use(factors, alice, ticket, 1) == Verdict::throttled);
    ck_assert(use(factors, alice, ticket, 60) == Verdict::accepted); // and it was not used up
}
END_TEST

START_TEST(for_whom_there_is_no_ticket_nothing_is_kept) {
    auto factors = open_factors();
    for (int i = 0; i < 20; ++i)
        ck_assert(use(factors, alice, "aaaaa-aaaaa-aaaaa-aaaaa", 1) == Verdict::wrong);
    ck_assert_int_eq(factors.wait_for(alice, here, at(1))->count(), 0);
}
END_TEST

START_TEST(tickets_are_no_longer_than_they_may_be_and_no_more) {
    auto factors = open_factors();
    for (const Seconds lasts : {Seconds{0}, Seconds{59}, longest_ticket + Seconds{1}})
        CHECK_ERROR(factors.make_ticket(alice, "alice", "root", lasts, at(0)), EINVAL);
    sql("WITH RECURSIVE n(i) AS (SELECT 2000 UNION ALL SELECT i + 1 FROM n WHERE i < 2000 + 4095)"
        " INSERT INTO ticket SELECT i, 'x', x'00', 0, 9e18, 'root' FROM n");
    CHECK_ERROR(factors.make_ticket(alice, "alice", "root", day, at(0)), EDQUOT);
    CHECK_OK(factors.make_ticket(2000, "x", "root", day, at(0)));
}
END_TEST

START_TEST(a_ticket_is_not_in_the_file_and_goes_with_the_key) {
    auto factors = open_factors();
    const auto ticket = ticket_of(factors, alice, 0);
    CHECK_OK(factors.rekey(a_key('n'), "vigil.key.2"));
    ck_assert(use(factors, alice, ticket, 1) == Verdict::wrong);
}
END_TEST

START_TEST(time_to_enrol_counts_from_the_first_time) {
    auto factors = open_factors();
    ck_assert_int_eq((*factors.grace_used(alice, later(0, 0)))->count(), 0);
    ck_assert_int_eq((*factors.grace_used(alice, later(3600, 3600)))->count(), 3600);
    ck_assert_int_eq((*factors.grace_used(bob, later(3600, 3600)))->count(), 0);
}
END_TEST

START_TEST(no_change_of_the_date_makes_it_longer_or_shorter) {
    auto factors = open_factors();
    CHECK_OK(factors.grace_used(alice, later(0, 0)));
    ck_assert_int_eq((*factors.grace_used(alice, later(10, -1'000'000)))->count(), 10);
    ck_assert_int_eq((*factors.grace_used(alice, later(20, 9'000'000)))->count(), 20);
    // Over a boot the date is all there is: what went back is nothing, and no time comes back.
    sql("UPDATE person SET boot = 'another'");
    ck_assert_int_eq((*factors.grace_used(alice, later(5, 8'000'000)))->count(), 20);
    sql("UPDATE person SET boot = 'another'");
    ck_assert_int_eq((*factors.grace_used(alice, later(5, 8'000'100)))->count(), 120);
}
END_TEST

START_TEST(who_had_a_factor_has_no_time_and_forgetting_gives_none) {
    auto factors = open_factors();
    CHECK_OK(factors.grace_used(alice, later(0, 0)));
    ck_assert(!*factors.had_factor(alice));
    CHECK_OK(factors.enroll_totp(alice, "alice", "pending", {}, at(0)));
    ck_assert(!*factors.had_factor(alice));
    const auto phone = device(factors, alice, at(0));
    ck_assert(*factors.had_factor(alice));
    CHECK_OK(factors.forget(phone.factor_id));
    ck_assert(*factors.had_factor(alice));
    const auto used = factors.grace_used(alice, later(0, 0));
    ck_assert(used && !*used);
    CHECK_OK(factors.renew_recovery(bob, "bob", at(0)));
    ck_assert(*factors.had_factor(bob));
}
END_TEST

START_TEST(time_is_given_to_so_many_persons) {
    auto factors = open_factors();
    CHECK_OK(factors.grace_used(alice, later(0, 0)));
    sql("WITH RECURSIVE n(i) AS (SELECT 2000 UNION ALL SELECT i + 1 FROM n WHERE i < 101998)"
        " INSERT INTO person (uid, met) SELECT i, 1 FROM n");
    CHECK_ERROR(factors.grace_used(bob, later(0, 0)), EDQUOT);
    CHECK_OK(factors.grace_used(alice, later(1, 1)));
}
END_TEST

START_TEST(passwords_wait_with_codes) {
    auto factors = open_factors();
    const auto phone = device(factors, alice, at(0));
    const auto password = [&](bool is_right, std::int64_t when) {
        const auto checked = factors.check_password(alice, here, is_right, attempt(), at(when));
        CHECK_OK(checked);
        return *checked;
    };
    for (unsigned i = 1; i < free_failures; ++i)
        ck_assert_uint_eq(password(false, 100).failures, i);
    // A right one ends no count.
    ck_assert(password(true, 100).verdict == Verdict::accepted);
    const auto last = password(false, 100);
    ck_assert(last.verdict == Verdict::wrong && last.failures == free_failures);
    ck_assert(last.wait > Seconds{0});
    ck_assert(password(true, 100).verdict == Verdict::throttled);
    ck_assert(verdict(factors, alice, code_at(phone.secret, at(100)), at(100)) ==
              Verdict::throttled);
    ck_assert(verdict(factors, alice, code_at(phone.secret, at(200)), at(200)) ==
              Verdict::accepted);
    ck_assert_uint_eq(password(false, 200).failures, 1);
}
END_TEST

START_TEST(a_wrong_password_that_is_sent_again_counts_once) {
    auto factors = open_factors();
    const auto own = attempt();
    for (int i = 0; i < 20; ++i)
        ck_assert(factors.check_password(alice, here, false, own, at(1))->verdict ==
                  Verdict::wrong);
    ck_assert_int_eq(factors.wait_for(alice, here, at(1))->count(), 0);
}
END_TEST

START_TEST(of_a_database_of_version_2_who_has_a_factor_had_one) {
    {
        auto factors = open_factors();
        device(factors, alice, at(0));
        CHECK_OK(factors.enroll_totp(bob, "bob", "pending", {}, at(0)));
    }
    sql("DROP TRIGGER factor_added; DROP TRIGGER factor_proved; DROP TABLE person;"
        "DROP TABLE ticket; PRAGMA user_version = 2");
    auto factors = open_factors();
    ck_assert(*factors.had_factor(alice) && !*factors.had_factor(bob));
    device(factors, bob, at(60));
    ck_assert(*factors.had_factor(bob));
    ck_assert(use(factors, bob, ticket_of(factors, bob, 0), 1) == Verdict::accepted);
}
END_TEST

START_TEST(what_is_a_ticket_by_its_looks) {
    const auto letters = [](const char* typed) {
        const auto ticket = wire::ticket(typed);
        return ticket ? std::string{ticket->view()} : std::string{"none"};
    };
    CHECK_TEXT(letters("01234-56789-abcde-fghjk"), "0123456789abcdefghjk");
    CHECK_TEXT(letters("OIl34 56789 ABCDE FGHJK"), "0113456789abcdefghjk");
    for (const char* none :
         {"", "123456", "01234-56789-abcde-fghj", "01234-56789-abcde-fghjkm",
          "u1234-56789-abcde-fghjk", "01234-56789-abcde-fghj\x1b", "abcd-efgh-ijkl-mnop"})
        CHECK_TEXT(letters(none), "none");
}
END_TEST

} // namespace

int main() {
    return run(
        "enrolment",
        {the_last_that_counts_is_not_forgotten_by_its_owner,
         recovery_codes_are_forgotten_by_their_owner,
         a_ticket_is_four_groups_that_can_be_read_aloud, a_ticket_is_used_once_by_whose_it_is,
         a_new_ticket_replaces_the_one_before, a_ticket_lapses_and_is_told_once,
         wrong_tickets_wait_as_wrong_codes_do, for_whom_there_is_no_ticket_nothing_is_kept,
         tickets_are_no_longer_than_they_may_be_and_no_more,
         a_ticket_is_not_in_the_file_and_goes_with_the_key,
         time_to_enrol_counts_from_the_first_time, no_change_of_the_date_makes_it_longer_or_shorter,
         who_had_a_factor_has_no_time_and_forgetting_gives_none, time_is_given_to_so_many_persons,
         passwords_wait_with_codes, a_wrong_password_that_is_sent_again_counts_once,
         of_a_database_of_version_2_who_has_a_factor_had_one, what_is_a_ticket_by_its_looks},
        {.before = make_folder, .after = remove_folder});
}
