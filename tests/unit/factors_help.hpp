#pragma once
// What the tests of factors share: a database in a folder of its own, devices and their codes.

#include "base/base32.hpp"
#include "base/openssl.hpp"
#include "base/sqlite.hpp"
#include "daemon/factors/credential.hpp"
#include "daemon/factors/factors.hpp"
#include "daemon/factors/throttle.hpp"
#include "daemon/factors/totp.hpp"
#include "tests/unit/folder.hpp"
#include "tests/unit/test.hpp"

namespace vigil::test {

using namespace vigil::factors;
using Verdict = CheckOutcome::Verdict;

inline constexpr std::uint32_t alice = 1000;
inline constexpr std::uint32_t bob = 1001;

inline const Source here = Source::local();

inline std::string folder;
inline std::string path;

inline void make_folder() {
    folder = new_folder();
    path = folder + "/factors.db";
}

inline void remove_folder() {
    std::filesystem::remove_all(folder);
}

inline Now at(std::int64_t seconds) {
    Now now;
    now.wall = WallTime{Seconds{1'700'000'000 + seconds}};
    return now;
}

inline base::Secret a_key(char fill = 'k') {
    return base::Secret{std::string(32, fill)};
}

inline Factors open_factors() {
    auto opened = Factors::open(path, a_key(), "host");
    CHECK_OK(opened);
    return std::move(*opened);
}

inline std::string code_at(const std::string& secret, const Now& now, int step = 0,
                           const TotpKind& kind = {}) {
    const auto bytes = base::base32_decode(secret);
    CHECK_OK(bytes);
    return *hotp(*bytes, totp_step(now.wall) + static_cast<std::uint64_t>(step), kind);
}

inline std::string wrong_code(const std::string& secret, const Now& now) {
    std::string code = "000000";
    while (code == code_at(secret, now) || code == code_at(secret, now, 1) ||
           code == code_at(secret, now, -1))
        ++code.back();
    return code;
}

/// Each call is another attempt.
inline std::array<std::uint8_t, 16> attempt() {
    static std::uint8_t number = 0;
    std::array<std::uint8_t, 16> out{};
    out[0] = ++number;
    return out;
}

/// An active device, whose enrolment took the code of `now`.
inline wire::Enrollment device(Factors& factors, std::uint32_t uid, const Now& now,
                               const TotpKind& kind = {}) {
    const auto enrolled = factors.enroll_totp(uid, "alice", "phone", kind, now);
    CHECK_OK(enrolled);
    CHECK_OK(
        factors.finish(enrolled->factor_id, uid, code_at(enrolled->secret, now, 0, kind), now));
    return *enrolled;
}

inline Verdict verdict(Factors& factors, std::uint32_t uid, const std::string& code,
                       const Now& now) {
    const auto outcome = factors.check_totp(uid, here, code, attempt(), now);
    CHECK_OK(outcome);
    return outcome->verdict;
}

inline void sql(const std::string& text) {
    auto database = base::Database::open(path, false, base::Database::Synchronous::full);
    CHECK_OK(database);
    CHECK_OK(database->exec(text.c_str()));
}

} // namespace vigil::test
