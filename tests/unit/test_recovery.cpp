// Recovery codes, and telling apart what is typed.

#include "daemon/factors/recovery.hpp"
#include "tests/unit/factors_help.hpp"
#include "wire/answer.hpp"

#include <algorithm>
#include <cctype>
#include <set>

namespace {

using namespace vigil;
using namespace vigil::test;

START_TEST(ten_codes_are_drawn_and_no_two_alike) {
    const auto drawn = RecoverySet::draw();
    CHECK_OK(drawn);
    std::set<std::string> seen;
    for (const auto& code : drawn->codes) {
        ck_assert_uint_eq(code.view().size(), 19);
        ck_assert(wire::factor_of(code.view()) == "recovery");
        seen.insert(std::string{code.view()});
        const auto raw = wire::recovery_code(code.view());
        ck_assert(raw && raw->view().size() == wire::recovery_code_bytes);
        for (const auto clear : {code.view(), raw->view()})
            ck_assert(drawn->set.bytes().find(clear) == std::string::npos);
    }
    ck_assert_uint_eq(seen.size(), 10);
    ck_assert_uint_eq(drawn->set.left(), 10);
}
END_TEST

START_TEST(each_counts_once_however_it_is_typed) {
    auto drawn = RecoverySet::draw();
    CHECK_OK(drawn);
    auto& set = drawn->set;
    const std::string code{drawn->codes[3].view()};
    std::string loud = code;
    std::ranges::transform(loud, loud.begin(), [](unsigned char c) { return std::toupper(c); });
    std::ranges::replace(loud, '-', ' ');
    ck_assert(*set.use(loud));
    ck_assert(!*set.use(code));
    ck_assert_uint_eq(set.left(), 9);
    auto again = RecoverySet::parse(set.bytes());
    CHECK_OK(again);
    ck_assert(!*again->use(code));
    ck_assert(*again->use(drawn->codes[0].view()));
    for (const char* other : {"", "123456", "aaaa-aaaa-aaaa-aaaa", "aaaa-aaaa-aaaa-aaa"})
        ck_assert(!*again->use(other));
    ck_assert_uint_eq(again->left(), 8);
    CHECK_ERROR(RecoverySet::parse(""), EBADMSG);
    CHECK_ERROR(RecoverySet::parse(set.bytes() + "x"), EBADMSG);
}
END_TEST

START_TEST(what_is_typed_is_told_apart) {
    for (const char* code : {"123456", "12345678"})
        ck_assert(wire::is_code(code) && wire::factor_of(code) == "totp");
    for (const char* other : {"", "12345", "1234567", "123456789", "12345a", "abcdef"})
        ck_assert(!wire::is_code(other) && wire::factor_of(other) == "totp");
    const std::string huge(1'000'000, 'a');
    ck_assert(wire::factor_of(huge) == "totp");
    for (const char* code : {"abcd-efgh-ijkl-mnop", "ABCDEFGHIJKLMNOP", "abcd efgh ijkl mnop"})
        ck_assert(wire::factor_of(code) == "recovery");
    for (const char* other : {"abcd-efgh-ijkl-mno1", "abcd-efgh-ijkl-mno", "abcd-efgh-ijkl-mnopq"})
        ck_assert(wire::factor_of(other) == "totp");
}
END_TEST

START_TEST(one_of_them_is_accepted_once_and_by_the_store) {
    auto factors = open_factors();
    const auto codes = factors.renew_recovery(alice, "alice", at(0));
    CHECK_OK(codes);
    const auto listed = factors.list(alice, at(0));
    ck_assert_uint_eq(listed->size(), 1);
    CHECK_TEXT(listed->front().kind, "recovery");
    CHECK_TEXT(listed->front().name, "10 codes left");
    const auto check = [&](std::uint32_t uid, std::string_view code, std::int64_t when) {
        return factors.check(Factors::Proof::recovery, uid, here, code, attempt(), at(when))
            ->verdict;
    };
    const auto first = codes->front().view();
    ck_assert(check(bob, first, 1) == Verdict::wrong);
    ck_assert(check(alice, first, 2) == Verdict::accepted);
    ck_assert(check(alice, first, 3) == Verdict::wrong);
    CHECK_TEXT(factors.list(alice, at(0))->front().name, "9 codes left");
    // As no one-time code, and none of those as this.
    ck_assert(verdict(factors, alice, std::string{codes->at(1).view()}, at(4)) == Verdict::wrong);
    ck_assert(factors.active(alice)->recovery && !factors.active(alice)->totp);
    CHECK_OK(factors.renew_recovery(alice, "alice", at(5)));
    ck_assert(check(alice, codes->at(2).view(), 6) == Verdict::wrong);
    ck_assert_uint_eq(factors.list(alice, at(6))->size(), 1);
}
END_TEST

START_TEST(a_lost_answer_is_repeated_and_guessing_is_throttled) {
    auto factors = open_factors();
    const auto codes = factors.renew_recovery(alice, "alice", at(0));
    CHECK_OK(codes);
    const auto same = attempt();
    for (int i = 0; i < 2; ++i)
        ck_assert(
            factors
                .check(Factors::Proof::recovery, alice, here, codes->front().view(), same, at(1))
                ->verdict == Verdict::accepted);
    Verdict last = Verdict::accepted;
    for (unsigned i = 0; i <= free_failures; ++i)
        last = factors
                   .check(Factors::Proof::recovery, alice, here, "aaaa-aaaa-aaaa-aaaa", attempt(),
                          at(2))
                   ->verdict;
    ck_assert(last == Verdict::throttled);
    ck_assert(
        factors.check(Factors::Proof::recovery, alice, here, codes->at(1).view(), attempt(), at(3))
            ->verdict == Verdict::throttled);
}
END_TEST

} // namespace

int main() {
    return test::run("recovery",
                     {ten_codes_are_drawn_and_no_two_alike, each_counts_once_however_it_is_typed,
                      what_is_typed_is_told_apart, one_of_them_is_accepted_once_and_by_the_store,
                      a_lost_answer_is_repeated_and_guessing_is_throttled},
                     {.before = make_folder, .after = remove_folder, .seconds = 30});
}
