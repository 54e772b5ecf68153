// daemon/factors: a code counts once, ever, and waiting, enrolling and forgetting are as they
// should be.

#include "tests/unit/factors_help.hpp"

#include <sys/wait.h>
#include <unistd.h>

using namespace vigil;
using namespace vigil::factors;
using namespace vigil::test;

namespace {

START_TEST(a_code_is_accepted_once) {
    auto factors = open_factors();
    const auto phone = device(factors, alice, at(0));
    const std::string code = code_at(phone.secret, at(60));
    ck_assert(verdict(factors, alice, code, at(60)) == Verdict::accepted);
    ck_assert(verdict(factors, alice, code, at(60)) == Verdict::wrong);
    auto again = open_factors();
    ck_assert(verdict(again, alice, code, at(61)) == Verdict::wrong);
}
END_TEST

START_TEST(the_code_that_proved_an_enrolment_opens_nothing_more) {
    auto factors = open_factors();
    const auto phone = device(factors, alice, at(0));
    ck_assert(verdict(factors, alice, code_at(phone.secret, at(0)), at(0)) == Verdict::wrong);
    ck_assert(verdict(factors, alice, code_at(phone.secret, at(0), -1), at(0)) == Verdict::wrong);
    ck_assert(verdict(factors, alice, code_at(phone.secret, at(30)), at(30)) == Verdict::accepted);
}
END_TEST

START_TEST(a_step_at_or_before_the_last_accepted_is_over) {
    auto factors = open_factors();
    const auto phone = device(factors, alice, at(0));
    ck_assert(verdict(factors, alice, code_at(phone.secret, at(60), 1), at(60)) ==
              Verdict::accepted);
    ck_assert(verdict(factors, alice, code_at(phone.secret, at(60)), at(60)) == Verdict::wrong);
    ck_assert(verdict(factors, alice, code_at(phone.secret, at(60), 1), at(90)) == Verdict::wrong);
    ck_assert(verdict(factors, alice, code_at(phone.secret, at(120)), at(120)) ==
              Verdict::accepted);
}
END_TEST

START_TEST(an_attempt_repeated_has_the_same_outcome) {
    auto factors = open_factors();
    const auto phone = device(factors, alice, at(0));
    const auto same = attempt();
    const std::string code = code_at(phone.secret, at(60));
    ck_assert(factors.check_totp(alice, here, code, same, at(60))->verdict == Verdict::accepted);
    ck_assert(factors.check_totp(alice, here, code, same, at(61))->verdict == Verdict::accepted);
    // The same attempt is no key to anything else: another code, another user, another day.
    ck_assert(
        factors.check_totp(alice, here, wrong_code(phone.secret, at(61)), same, at(61))->verdict ==
        Verdict::wrong);
    ck_assert(factors.check_totp(bob, here, code, same, at(61))->verdict == Verdict::wrong);
    ck_assert(factors.check_totp(alice, here, code, same, at(200))->verdict == Verdict::wrong);
    ck_assert(factors.check_totp(alice, here, code, same, at(-200))->verdict == Verdict::wrong);
}
END_TEST

START_TEST(a_wrong_attempt_repeated_counts_once) {
    auto factors = open_factors();
    const auto phone = device(factors, alice, at(0));
    const auto same = attempt();
    for (int i = 0; i < 20; ++i) {
        const auto outcome =
            factors.check_totp(alice, here, wrong_code(phone.secret, at(60)), same, at(60));
        ck_assert(outcome && outcome->verdict == Verdict::wrong && outcome->wait == Seconds{0});
    }
    ck_assert_int_eq(factors.wait_for(alice, here, at(60))->count(), 0);
}
END_TEST

START_TEST(wrong_codes_make_waiting_and_a_right_one_ends_it) {
    auto factors = open_factors();
    const auto phone = device(factors, alice, at(0));
    const std::string wrong = wrong_code(phone.secret, at(60));
    for (unsigned i = 1; i <= free_failures; ++i) {
        const auto outcome = factors.check_totp(alice, here, wrong, attempt(), at(60));
        ck_assert(outcome->verdict == Verdict::wrong);
        ck_assert_int_eq(outcome->wait.count(), i < free_failures ? 0 : 30);
        ck_assert_uint_eq(outcome->failures, i);
    }
    // Throttled, the right code is not looked at, and nothing is counted.
    const std::string right = code_at(phone.secret, at(60));
    for (int i = 0; i < 10; ++i) {
        const auto outcome = factors.check_totp(alice, here, right, attempt(), at(61));
        ck_assert(outcome->verdict == Verdict::throttled);
        ck_assert_int_eq(outcome->wait.count(), 29);
    }
    {
        auto again = open_factors(); // a restart makes it no shorter
        ck_assert_int_eq(again.wait_for(alice, here, at(61))->count(), 29);
    }
    ck_assert_int_eq(factors.wait_for(bob, here, at(61))->count(), 0);
    const auto next =
        factors.check_totp(alice, here, wrong_code(phone.secret, at(90)), attempt(), at(90));
    ck_assert(next->verdict == Verdict::wrong && next->wait == Seconds{60} && next->failures == 6);
    ck_assert(verdict(factors, alice, code_at(phone.secret, at(150)), at(150)) ==
              Verdict::accepted);
    ck_assert(
        factors.check_totp(alice, here, wrong_code(phone.secret, at(150)), attempt(), at(150))
            ->wait == Seconds{0});
}
END_TEST

START_TEST(a_wrong_code_that_the_caller_counts_makes_nothing_wait) {
    auto factors = open_factors();
    const auto phone = device(factors, alice, at(0));
    const std::string wrong = wrong_code(phone.secret, at(60));
    using Counted = factors::Factors::Counted;
    for (unsigned i = 0; i < 3 * free_failures; ++i) {
        const auto outcome =
            factors.check_totp(alice, here, wrong, attempt(), at(60), Counted::by_caller);
        ck_assert(outcome->verdict == Verdict::wrong && outcome->wait == Seconds{0});
    }
    ck_assert_int_eq(factors.wait_for(alice, here, at(60))->count(), 0);
    // And what makes the user wait elsewhere does not here.
    for (unsigned i = 0; i < free_failures; ++i)
        factors.check_totp(alice, here, wrong, attempt(), at(60));
    const auto right = code_at(phone.secret, at(61));
    ck_assert(
        factors.check_totp(alice, here, right, attempt(), at(61), Counted::by_caller)->verdict ==
        Verdict::accepted);
}
END_TEST

START_TEST(a_clock_turned_back_shuts_nobody_out) {
    auto factors = open_factors();
    const auto phone = device(factors, alice, at(0));
    for (unsigned i = 0; i < free_failures; ++i)
        factors.check_totp(alice, here, wrong_code(phone.secret, at(60)), attempt(), at(60));
    constexpr std::int64_t years = -10LL * 365 * 86400;
    ck_assert_int_eq(factors.wait_for(alice, here, at(years))->count(), 30);
    ck_assert_int_eq(factors.wait_for(alice, here, at(years + 30))->count(), 0);
}
END_TEST

START_TEST(a_user_without_a_factor_leaves_no_row) {
    auto factors = open_factors();
    for (std::uint32_t uid = 0; uid < 100; ++uid)
        ck_assert(verdict(factors, uid, "123456", at(0)) == Verdict::wrong);
    auto database = base::Database::open(path, false, base::Database::Synchronous::full);
    auto rows = database->prepare("SELECT count(*) FROM throttle");
    ck_assert(rows->step().value());
    ck_assert_int_eq(rows->integer(0), 0);
}
END_TEST

START_TEST(a_pending_factor_opens_nothing) {
    auto factors = open_factors();
    const auto pending = factors.enroll_totp(alice, "alice", "phone", {}, at(0));
    CHECK_OK(pending);
    ck_assert(!factors.active(alice)->totp);
    ck_assert(verdict(factors, alice, code_at(pending->secret, at(0)), at(0)) == Verdict::wrong);
    const auto listed = factors.list(alice, at(0));
    ck_assert(listed && listed->size() == 1 && !listed->front().active);
}
END_TEST

START_TEST(an_enrolment_needs_its_owner_its_code_and_its_time) {
    auto factors = open_factors();
    const auto pending = factors.enroll_totp(alice, "alice", "phone", {}, at(0));
    const std::string code = code_at(pending->secret, at(0));
    CHECK_ERROR(factors.finish(pending->factor_id, bob, code, at(0)), ENOENT);
    CHECK_ERROR(factors.finish("nothing", alice, code, at(0)), ENOENT);
    CHECK_ERROR(
        factors.finish(pending->factor_id, alice, wrong_code(pending->secret, at(0)), at(0)),
        EACCES);
    const Now late = at(pending_lifetime.count() + 1);
    CHECK_ERROR(factors.finish(pending->factor_id, alice, code_at(pending->secret, late), late),
                ENOENT);
    ck_assert(factors.list(alice, late)->empty());
    ck_assert(factors.list(alice, at(-1))->empty());
    ck_assert_uint_eq(factors.list(alice, at(30))->size(), 1);
    ck_assert(!factors.active(alice)->totp);
    CHECK_OK(
        factors.finish(pending->factor_id, alice, code_at(pending->secret, at(30), -1), at(30)));
    CHECK_ERROR(factors.finish(pending->factor_id, alice, code_at(pending->secret, at(60)), at(60)),
                ENOENT);
    ck_assert(factors.active(alice)->totp);
}
END_TEST

START_TEST(an_enrolment_replaces_the_pending_one) {
    auto factors = open_factors();
    const auto first = factors.enroll_totp(alice, "alice", "phone", {}, at(0));
    const auto other = factors.enroll_totp(bob, "bob", "phone", {}, at(0));
    const auto second = factors.enroll_totp(alice, "alice", "phone", {}, at(1));
    CHECK_ERROR(factors.finish(first->factor_id, alice, code_at(first->secret, at(1)), at(1)),
                ENOENT);
    CHECK_OK(factors.finish(second->factor_id, alice, code_at(second->secret, at(1)), at(1)));
    CHECK_OK(factors.finish(other->factor_id, bob, code_at(other->secret, at(1)), at(1)));
}
END_TEST

START_TEST(factors_of_a_user_are_bounded) {
    auto factors = open_factors();
    std::string last;
    for (std::size_t i = 0; i < max_factors_per_user; ++i)
        last = device(factors, alice, at(0)).factor_id;
    CHECK_ERROR(factors.enroll_totp(alice, "alice", "one more", {}, at(0)), EDQUOT);
    CHECK_ERROR(factors.enroll_totp(bob, "bob", std::string(65, 'n'), {}, at(0)), EINVAL);
    device(factors, bob, at(0));
    CHECK_OK(factors.forget(last));
    CHECK_OK(factors.enroll_totp(alice, "alice", "one more", {}, at(0)));
}
END_TEST

START_TEST(factors_are_listed_owned_and_forgotten) {
    auto factors = open_factors();
    const auto phone = device(factors, alice, at(0));
    device(factors, bob, at(0));
    ck_assert_uint_eq(factors.list(std::nullopt, at(0))->size(), 2);
    const auto listed = factors.list(alice, at(0));
    ck_assert_uint_eq(listed->size(), 1);
    CHECK_TEXT(listed->front().id, phone.factor_id);
    CHECK_TEXT(listed->front().kind, "totp");
    CHECK_TEXT(listed->front().name, "phone");
    ck_assert(listed->front().active && listed->front().uid == alice);
    ck_assert_uint_eq(listed->front().created, 1'700'000'000'000'000);
    ck_assert_uint_eq(*factors.owner_of(phone.factor_id), alice);
    CHECK_OK(factors.forget(phone.factor_id));
    CHECK_ERROR(factors.forget(phone.factor_id), ENOENT);
    CHECK_ERROR(factors.owner_of(phone.factor_id), ENOENT);
    ck_assert(!factors.active(alice)->totp && factors.active(bob)->totp);
    ck_assert(verdict(factors, alice, code_at(phone.secret, at(60)), at(60)) == Verdict::wrong);
}
END_TEST

START_TEST(a_hundred_uses_of_one_code_are_one) {
    wire::Enrollment phone;
    {
        auto factors = open_factors();
        phone = device(factors, alice, at(0));
    }
    const std::string code = code_at(phone.secret, at(60));
    int gate[2];
    ck_assert_int_eq(pipe(gate), 0);
    std::array<pid_t, 100> children;
    for (std::size_t i = 0; i < children.size(); ++i) {
        children[i] = fork();
        ck_assert_int_ge(children[i], 0);
        if (children[i] == 0) {
            close(gate[1]);
            char byte;
            (void)!read(gate[0], &byte, 1); // all of them start when the gate is shut
            std::array<std::uint8_t, 16> mine{};
            mine[0] = static_cast<std::uint8_t>(i);
            auto factors = Factors::open(path, a_key(), "host");
            const auto outcome = factors ? factors->check_totp(alice, here, code, mine, at(60))
                                         : std::unexpected{factors.error()};
            if (!outcome)
                _exit(outcome.error().code == EBUSY ? 3 : 4);
            _exit(static_cast<int>(outcome->verdict));
        }
    }
    close(gate[0]);
    close(gate[1]);
    std::array<int, 5> count{};
    for (const pid_t child : children) {
        int status = 0;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) < 5);
        ++count[static_cast<std::size_t>(WEXITSTATUS(status))];
    }
    ck_assert_msg(count[1] == 1 && count[4] == 0,
                  "wrong %d accepted %d throttled %d busy %d failed %d", count[0], count[1],
                  count[2], count[3], count[4]);
}
END_TEST

} // namespace

int main() {
    return vigil::test::run(
        "factors",
        {a_code_is_accepted_once, the_code_that_proved_an_enrolment_opens_nothing_more,
         a_step_at_or_before_the_last_accepted_is_over, an_attempt_repeated_has_the_same_outcome,
         a_wrong_attempt_repeated_counts_once, wrong_codes_make_waiting_and_a_right_one_ends_it,
         a_wrong_code_that_the_caller_counts_makes_nothing_wait,
         a_clock_turned_back_shuts_nobody_out, a_user_without_a_factor_leaves_no_row,
         a_pending_factor_opens_nothing, an_enrolment_needs_its_owner_its_code_and_its_time,
         an_enrolment_replaces_the_pending_one, factors_of_a_user_are_bounded,
         factors_are_listed_owned_and_forgotten, a_hundred_uses_of_one_code_are_one},
        {.before = make_folder, .after = remove_folder, .seconds = 30});
}
