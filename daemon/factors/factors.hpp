#pragma once
// What a person can prove, and the proving: TOTP (RFC 6238) with sealed secrets in
// /var/lib/vigil/factors.db. A code is accepted once, ever: the last accepted step is moved by a
// conditional write that is on disk before the answer (invariant 4).

#include "base/error.hpp"
#include "base/secret.hpp"
#include "base/time.hpp"
#include "wire/messages.hpp"

#include <memory>

namespace vigil::factors {

inline constexpr std::size_t max_factors_per_user = 8;
inline constexpr std::size_t max_factors_total = 100'000;
/// A pending enrolment is gone after this.
inline constexpr Seconds pending_lifetime{600};
/// Wrong codes in a row before waiting begins; then 30 s, doubling to 15 min.
inline constexpr unsigned free_failures = 5;

/// What an authenticator was told of its codes (RFC 6238, 1.2). A step is always 30 s.
struct TotpKind {
    enum class Hash : std::uint8_t { sha1, sha256, sha512 } hash = Hash::sha1;
    unsigned digits = 6; ///< or 8

    bool operator==(const TotpKind&) const = default;
};

/// A kind of factor, in the store and over the bus: "totp", "totp-8", "totp-sha256",
/// "totp-8-sha512".
std::string text_of(const TotpKind& kind);
std::optional<TotpKind> totp_kind_of(std::string_view text);

/// RFC 4226 with the hashes of RFC 6238: the pure part. EINVAL: digits other than 6 to 9.
Result<std::string> hotp(std::string_view key, std::uint64_t counter, const TotpKind& kind = {});
std::uint64_t totp_step(WallTime time) noexcept;

struct CheckOutcome {
    enum class Verdict { wrong, accepted, throttled } verdict = Verdict::wrong;
    Seconds wait{0};            ///< before the next answer is taken
    std::uint32_t failures = 0; ///< of a wrong one that counts for the user: so many in a row
};

class Factors {
public:
    /// `key`: 32 bytes from systemd's credentials. EBADMSG: broken database or another key.
    static Result<Factors> open(const std::string& path, base::Secret key, std::string host_name);
    Factors(Factors&&) noexcept;
    ~Factors();

    /// A new, pending TOTP device. EDQUOT beyond max_factors_per_user.
    Result<wire::Enrollment> enroll_totp(std::uint32_t uid, const std::string& user,
                                         const std::string& name, const TotpKind& kind,
                                         const Now& now);
    /// The first code makes it active. EACCES: wrong code; ENOENT: no such pending factor.
    Result<> finish(const std::string& factor_id, std::uint32_t uid, std::string_view code,
                    const Now& now);
    Result<std::vector<wire::Factor>> list(std::optional<std::uint32_t> uid, const Now& now);
    Result<std::uint32_t> owner_of(const std::string& factor_id);
    Result<> forget(const std::string& factor_id);
    /// What of it counts.
    struct Active {
        bool totp = false;
        bool recovery = false;
    };
    Result<Active> active(std::uint32_t uid);

    /// Ten new ones, as they are shown; the ones before count no more. Takes some 250 ms.
    Result<std::vector<base::Secret>> renew_recovery(std::uint32_t uid, const std::string& user,
                                                     const Now& now);

    /// Where a wrong code counts.
    enum class Counted : std::uint8_t {
        for_user, ///< and makes all that asks him for codes wait
        by_caller,
    };

    enum class Proof : std::uint8_t {
        totp,     ///< one step of skew each side, never a step at or before the last accepted
        recovery, ///< is used up
    };

    /// `attempt` repeated for the same answer has the same outcome.
    Result<CheckOutcome> check(Proof proof, std::uint32_t uid, std::string_view code,
                               const std::array<std::uint8_t, 16>& attempt, const Now& now,
                               Counted counted = Counted::for_user);
    Result<CheckOutcome> check_totp(std::uint32_t uid, std::string_view code,
                                    const std::array<std::uint8_t, 16>& attempt, const Now& now,
                                    Counted counted = Counted::for_user) {
        return check(Proof::totp, uid, code, attempt, now, counted);
    }
    /// How long the next answer of this user has to wait.
    Result<Seconds> wait_for(std::uint32_t uid, const Now& now);

    struct State; ///< of the implementation

private:
    explicit Factors(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

} // namespace vigil::factors
