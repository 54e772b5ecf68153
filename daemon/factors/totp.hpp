#pragma once
// The arithmetic of one-time codes (RFC 4226, RFC 6238). Pure: time and secrets are handed in.

#include "base/error.hpp"
#include "base/time.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vigil::factors {

inline constexpr std::int64_t totp_period = 30;

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

/// The step near `now_step` (one each side) that `code` belongs to; nullopt: none. The latest,
/// where two steps share a code: accepted for the earlier, it would count once more for the later.
Result<std::optional<std::uint64_t>> matching_step(std::string_view key, std::string_view code,
                                                   std::uint64_t now_step,
                                                   const TotpKind& kind = {});

/// As long as what the hash gives (RFC 6238, 5.1; RFC 4226, 4: 160 bits are recommended).
std::size_t secret_bytes(const TotpKind& kind) noexcept;

/// otpauth://totp/…, as the authenticator apps read it from a QR code.
std::string otpauth_uri(const std::string& user, const std::string& host,
                        std::string_view base32_secret, const TotpKind& kind = {});

} // namespace vigil::factors
