// daemon/factors/totp: the arithmetic, against the RFCs and against oathtool.

#include "base/hex.hpp"
#include "daemon/factors/factors.hpp"
#include "daemon/factors/throttle.hpp"
#include "daemon/factors/totp.hpp"
#include "tests/unit/test.hpp"

#include <array>
#include <cstdio>
#include <set>

using namespace vigil;
using namespace vigil::factors;

namespace {

constexpr std::string_view rfc_key = "12345678901234567890";

WallTime at(std::int64_t seconds) {
    return WallTime{Seconds{seconds}};
}

std::string output_of(const std::string& command) {
    FILE* const pipe = popen(command.c_str(), "r");
    ck_assert(pipe != nullptr);
    std::string out;
    for (int c = fgetc(pipe); c != EOF; c = fgetc(pipe))
        out += static_cast<char>(c);
    ck_assert_msg(pclose(pipe) == 0, "failed: %s", command.c_str());
    return out;
}

} // namespace

START_TEST(hotp_is_as_in_rfc_4226_appendix_d) {
    const std::array codes{"755224", "287082", "359152", "969429", "338314",
                           "254676", "287922", "162583", "399871", "520489"};
    for (std::size_t i = 0; i < codes.size(); ++i)
        CHECK_TEXT(*hotp(rfc_key, i), codes[i]);
}
END_TEST

START_TEST(totp_is_as_in_rfc_6238_appendix_b) {
    struct Row {
        std::int64_t time;
        std::uint64_t step;
        const char* codes[3];
    };
    // As long as what the hash gives (errata 2866 of the RFC).
    const std::string digits = "1234567890123456789012345678901234567890123456789012345678901234";
    const struct {
        TotpKind::Hash hash;
        std::string key;
    } keys[] = {{TotpKind::Hash::sha1, digits.substr(0, 20)},
                {TotpKind::Hash::sha256, digits.substr(0, 32)},
                {TotpKind::Hash::sha512, digits}};
    for (const Row& row : {Row{59, 0x1, {"94287082", "46119246", "90693936"}},
                           Row{1111111109, 0x23523EC, {"07081804", "68084774", "25091201"}},
                           Row{1111111111, 0x23523ED, {"14050471", "67062674", "99943326"}},
                           Row{1234567890, 0x273EF07, {"89005924", "91819424", "93441116"}},
                           Row{2000000000, 0x3F940AA, {"69279037", "90698825", "38618901"}},
                           Row{20000000000, 0x27BC86AA, {"65353130", "77737706", "47863826"}}}) {
        ck_assert_uint_eq(totp_step(at(row.time)), row.step);
        for (std::size_t i = 0; i < std::size(keys); ++i)
            CHECK_TEXT(*hotp(keys[i].key, totp_step(at(row.time)), {keys[i].hash, 8}),
                       row.codes[i]);
    }
}
END_TEST

START_TEST(oathtool_says_the_same) {
    for (const std::string_view key : {"12345678901234567890", "\x01\xFF\x80zyxwvutsrqponmlkji"})
        for (const std::int64_t time : {59L, 1700000000L, 1700000029L, 4102444800L}) {
            for (const char* hash : {"sha1", "sha256", "sha512"})
                for (const unsigned digits : {6U, 8U}) {
                    const auto kind = totp_kind_of(
                        std::string{"totp"} + (digits == 8 ? "-8" : "") +
                        (hash == std::string_view{"sha1"} ? "" : std::string{"-"} + hash));
                    ck_assert(kind && kind->digits == digits);
                    const std::string theirs =
                        output_of(std::string{"oathtool --totp="} + hash +
                                  " --digits=" + std::to_string(digits) + " --now='@" +
                                  std::to_string(time) + "' " + base::hex_encode(key));
                    CHECK_TEXT(*hotp(key, totp_step(at(time)), *kind) + "\n", theirs);
                }
        }
}
END_TEST

START_TEST(only_sensible_lengths_are_made) {
    for (const unsigned digits : {0U, 5U, 10U})
        CHECK_ERROR(hotp(rfc_key, 1, {.digits = digits}), EINVAL);
    ck_assert_uint_eq(hotp(rfc_key, 1, {.digits = 9})->size(), 9);
}
END_TEST

START_TEST(a_step_begins_every_thirty_seconds_and_never_before_1970) {
    ck_assert_uint_eq(totp_step(at(29)), 0);
    ck_assert_uint_eq(totp_step(at(30)), 1);
    ck_assert_uint_eq(totp_step(at(-1)), 0);
    ck_assert_uint_eq(totp_step(at(30) - Microseconds{1}), 0);
}
END_TEST

START_TEST(one_step_of_skew_each_side_and_no_more) {
    const auto code = [](std::uint64_t step) { return *hotp(rfc_key, step); };
    for (const std::uint64_t step : {99U, 100U, 101U}) {
        const auto found = matching_step(rfc_key, code(step), 100);
        ck_assert(found && *found == step);
    }
    for (const std::uint64_t step : {98U, 102U}) {
        const auto found = matching_step(rfc_key, code(step), 100);
        ck_assert(found && !*found);
    }
    const auto first = matching_step(rfc_key, code(0), 0);
    ck_assert(first && *first == 0U);
}
END_TEST

START_TEST(what_is_no_code_matches_nothing) {
    using namespace std::string_view_literals;
    const std::string right = *hotp(rfc_key, 100);
    for (const std::string& code :
         {std::string{}, right.substr(1), right + "0", right + " ", " " + right,
          right + std::string(1, '\0'), "0" + right, std::string(1'000'000, '1')}) {
        const auto found = matching_step(rfc_key, code, 100);
        ck_assert(found && !*found);
    }
}
END_TEST

START_TEST(a_kind_has_one_text_and_a_text_one_kind) {
    std::set<std::string> texts;
    for (const auto hash : {TotpKind::Hash::sha1, TotpKind::Hash::sha256, TotpKind::Hash::sha512})
        for (const unsigned digits : {6U, 8U}) {
            const TotpKind kind{hash, digits};
            ck_assert(totp_kind_of(text_of(kind)) == kind);
            texts.insert(text_of(kind));
        }
    ck_assert_uint_eq(texts.size(), 6);
    CHECK_TEXT(text_of(TotpKind{}), "totp");
    CHECK_TEXT(text_of(TotpKind{TotpKind::Hash::sha512, 8}), "totp-8-sha512");
    for (const char* other : {"", "totp-", "totp-6", "totp-7", "totp-sha1", "totp-sha512-8", "TOTP",
                              "totp-8-", "recovery"})
        ck_assert_msg(!totp_kind_of(other), "%s", other);
}
END_TEST

START_TEST(the_uri_is_one_that_apps_read) {
    CHECK_TEXT(otpauth_uri("alice", "h", "A", {TotpKind::Hash::sha256, 8}),
               "otpauth://totp/vigil:alice@h?secret=A&issuer=vigil&algorithm=SHA256&digits=8");
    CHECK_TEXT(otpauth_uri("alice", "host.example", "ABC234"),
               "otpauth://totp/vigil:alice@host.example?secret=ABC234&issuer=vigil");
    CHECK_TEXT(otpauth_uri("a b:c?&%\xC3\xA9", "h/#", "A"),
               "otpauth://totp/vigil:a%20b%3Ac%3F%26%25%C3%A9@h%2F%23?secret=A&issuer=vigil");
}
END_TEST

START_TEST(the_delay_doubles_from_thirty_seconds_to_a_quarter_of_an_hour) {
    const std::array<std::int64_t, 12> delays{0, 0, 0, 0, 0, 30, 60, 120, 240, 480, 900, 900};
    for (std::size_t i = 0; i < delays.size(); ++i)
        ck_assert_int_eq(delay_after(static_cast<std::int64_t>(i)).count(), delays[i]);
    ck_assert_int_eq(delay_after(INT64_MAX).count(), 900);
}
END_TEST

int main() {
    return vigil::test::run(
        "totp", {hotp_is_as_in_rfc_4226_appendix_d, totp_is_as_in_rfc_6238_appendix_b,
                 oathtool_says_the_same, only_sensible_lengths_are_made,
                 a_step_begins_every_thirty_seconds_and_never_before_1970,
                 one_step_of_skew_each_side_and_no_more, what_is_no_code_matches_nothing,
                 a_kind_has_one_text_and_a_text_one_kind, the_uri_is_one_that_apps_read,
                 the_delay_doubles_from_thirty_seconds_to_a_quarter_of_an_hour});
}
