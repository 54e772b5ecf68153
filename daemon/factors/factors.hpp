#pragma once
// What a person can prove, and the proving: TOTP (RFC 6238) with sealed secrets in
// /var/lib/vigil/factors.db. A code is accepted once, ever: the last accepted step is moved by a
// conditional write that is on disk before the answer (invariant 4).

#include "base/error.hpp"
#include "base/secret.hpp"
#include "base/time.hpp"
#include "daemon/factors/credential.hpp"
#include "daemon/factors/source.hpp"
#include "daemon/factors/totp.hpp"
#include "wire/messages.hpp"

#include <memory>

namespace vigil::factors {

inline constexpr std::size_t max_factors_per_user = 8;
inline constexpr std::size_t max_factors_total = 100'000;
/// A pending enrolment is gone after this.
inline constexpr Seconds pending_lifetime{600};

struct CheckOutcome {
    enum class Verdict { wrong, accepted, throttled } verdict = Verdict::wrong;
    Seconds wait{0};            ///< before the next answer is taken
    std::uint32_t failures = 0; ///< of a wrong one that counts for the user: so many in a row
};

/// What came of a signature of a security key. No signature is guessed; but an agent that lies can
/// send wrong ones without end, so they count as wrong codes do, and none is looked at while codes
/// have to wait.
struct KeyOutcome {
    enum class Verdict {
        wrong, ///< no key of the person's, or not over these bytes
        accepted,
        untouched,    ///< nobody touched it
        counted_back, ///< it counts its signatures, and now less than before: there are two of it
        throttled,
    } verdict = Verdict::wrong;
    bool verified = false;      ///< of an accepted one: by a PIN or a finger, too
    Seconds wait{0};            ///< before the next answer is taken
    std::uint32_t failures = 0; ///< of a wrong one: so many of the person's in a row
};

inline constexpr std::size_t max_tickets = 4096;
inline constexpr Seconds shortest_ticket{60};
inline constexpr Seconds longest_ticket{30 * 24 * 3600};

/// Of one that was never used.
struct LapsedTicket {
    std::uint32_t uid = UINT32_MAX;
    std::string user;
    std::string by; ///< who made it
};

/// Persons whose time to enrol is kept, at one time.
inline constexpr std::int64_t max_graces = 100'000;

class Factors {
public:
    /// `key`: 32 bytes from systemd's credentials. EBADMSG: broken database or another key.
    static Result<Factors> open(const std::string& path, base::Secret key, std::string host_name,
                                std::string key_name = key_names.front());
    Factors(Factors&&) noexcept;
    ~Factors();

    /// Whether it could be enrolled, before a ticket or a code is spent on it. EDQUOT, EINVAL: as
    /// of the enrolment itself.
    enum class New : std::uint8_t { device, recovery };
    Result<> check_new(std::uint32_t uid, const std::string& name, New what, const Now& now);

    /// A new, pending TOTP device. EDQUOT beyond max_factors_per_user.
    Result<wire::Enrollment> enroll_totp(std::uint32_t uid, const std::string& user,
                                         const std::string& name, const TotpKind& kind,
                                         const Now& now);
    /// The first code makes it active. EACCES: wrong code, which is counted but makes nobody wait;
    /// ENOENT: no such pending factor.
    Result<> finish(const std::string& factor_id, std::uint32_t uid, std::string_view code,
                    const Now& now);
    Result<std::vector<wire::Factor>> list(std::optional<std::uint32_t> uid, const Now& now);
    Result<std::uint32_t> owner_of(const std::string& factor_id);
    Result<> forget(const std::string& factor_id);
    /// For its owner. EPERM: it is the last that counts; recovery codes are none by themselves.
    Result<> forget_own(const std::string& factor_id, std::uint32_t uid);
    /// Whether forget_own() would say EPERM.
    Result<bool> is_last(const std::string& factor_id, std::uint32_t uid);
    /// What of it counts.
    struct Active {
        bool totp = false;
        bool recovery = false;
        bool key = false;

        bool any() const noexcept { return totp || recovery || key; }
    };
    Result<Active> active(std::uint32_t uid);

    /// Ten new ones, as they are shown; the ones before count no more. Takes some 250 ms.
    Result<std::vector<base::Secret>> renew_recovery(std::uint32_t uid, const std::string& user,
                                                     const Now& now);

    /// Where a wrong code counts.
    enum class Counted : std::uint8_t {
        for_user, ///< and makes all wait who are counted with its source (throttle.hpp)
        by_caller,
    };

    enum class Proof : std::uint8_t {
        totp,     ///< one step of skew each side, never a step at or before the last accepted
        recovery, ///< is used up
    };

    /// `attempt` repeated for the same answer has the same outcome.
    Result<CheckOutcome> check(Proof proof, std::uint32_t uid, const Source& source,
                               std::string_view code, const std::array<std::uint8_t, 16>& attempt,
                               const Now& now, Counted counted = Counted::for_user);
    Result<CheckOutcome> check_totp(std::uint32_t uid, const Source& source, std::string_view code,
                                    const std::array<std::uint8_t, 16>& attempt, const Now& now,
                                    Counted counted = Counted::for_user) {
        return check(Proof::totp, uid, source, code, attempt, now, counted);
    }
    /// A password that somebody else has judged: a wrong one counts as a wrong code does, and none
    /// is taken while codes have to wait. A right one ends no count: who knows the password alone
    /// would have tries at codes without end.
    Result<CheckOutcome> check_password(std::uint32_t uid, const Source& source, bool is_right,
                                        const std::array<std::uint8_t, 16>& attempt,
                                        const Now& now);
    /// How long the next answer of this user from there has to wait.
    Result<Seconds> wait_for(std::uint32_t uid, const Source& source, const Now& now);
    /// Wrong ones of this user in a row, wherever they came from; those of callers that count
    /// themselves are not among them.
    Result<std::uint32_t> wrong_in_a_row(std::uint32_t uid);

    /// The credential whose key opens the database.
    const std::string& key_name() const noexcept;
    struct Rekeyed {
        std::uint32_t sealed = 0;
        std::uint32_t broken = 0; ///< did not open before, and were left as they are
    };
    /// All that is sealed gets this key, of the credential of that name; as a whole, or not at all.
    /// EINVAL: it is the one in use.
    Result<Rekeyed> rekey(base::Secret key, std::string name);

    /// As challenges and authenticators have it.
    const std::string& host() const noexcept;

    // Security keys: keys.cpp.

    /// A new, pending key, with what it has to sign. It is one of the person's factors, and
    /// replaces what was pending of his. EDQUOT, EINVAL: as above.
    Result<wire::KeyEnrollment> enroll_key(std::uint32_t uid, const std::string& user,
                                           const std::string& name, const Now& now);
    /// Makes it active with the public key whose signature over the enrolment's challenge this is.
    /// Without a name it gets its fingerprint as one. ENOENT: no such pending key. EACCES: a wrong
    /// signature. EPERM: nobody touched the key. EBADMSG: no signature. EINVAL, ENOTSUP: no key, a
    /// plain one (wire/security_key.hpp). EEXIST: he has it already.
    Result<> finish_key(const std::string& factor_id, std::uint32_t uid, std::string_view blob,
                        std::string_view signature, const Now& now);
    /// Public keys, as agents have them, that count for this person. One that does not open, of
    /// another's row or of a broken one, is none.
    Result<std::vector<std::string>> keys_of(std::uint32_t uid);
    /// Whether one of them has signed these bytes, by its touch. Its counter and its last use are
    /// written before the answer. The bytes have a nonce in them that the caller takes once;
    /// `attempt` repeated for the same signature has the same outcome.
    Result<KeyOutcome> check_key(std::uint32_t uid, const Source& source, std::string_view blob,
                                 std::string_view bytes, std::string_view signature,
                                 const std::array<std::uint8_t, 16>& attempt, const Now& now);

    // Who has no factor yet: tickets.cpp, graces.cpp.

    /// For one enrolment by this person, in place of the one that he has. 100 random bits, as they
    /// are shown. What is kept is a digest by a key that goes with a rekey, and tickets with it.
    /// EINVAL: for less than shortest_ticket or more than longest_ticket. EDQUOT: max_tickets.
    Result<base::Secret> make_ticket(std::uint32_t uid, const std::string& user,
                                     const std::string& by, Seconds lasts, const Now& now);
    /// Takes it: by one conditional write, before the answer. A wrong one counts as a wrong code
    /// does, where the person has a ticket at all. One that was made in the future, by the clock,
    /// is none.
    Result<CheckOutcome> use_ticket(std::uint32_t uid, const Source& source, std::string_view typed,
                                    const std::array<std::uint8_t, 16>& attempt, const Now& now);
    /// Takes away those that are over; each is told once.
    Result<std::vector<LapsedTicket>> lapse_tickets(const Now& now);

    /// Whether anything of his has ever counted, though it may be forgotten by now.
    Result<bool> had_factor(std::uint32_t uid);
    /// This person is told that he needs a factor. How much time is over since that was so first,
    /// on disk before the answer; nullopt: he had a factor once. Measured on CLOCK_BOOTTIME within
    /// one boot, so that no change of the date makes it longer or shorter, and by the date from
    /// one boot to the next, where going back counts as nothing. EDQUOT: max_graces.
    Result<std::optional<Seconds>> grace_used(std::uint32_t uid, const Now& now);

    struct State; ///< of the implementation

private:
    explicit Factors(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

} // namespace vigil::factors
