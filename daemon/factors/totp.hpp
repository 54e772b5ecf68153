#pragma once
// The arithmetic of one-time codes. Pure: time and secrets are handed in. (hotp and its kinds
// themselves are declared in factors.hpp.)

#include "daemon/factors/factors.hpp"

namespace vigil::factors {

inline constexpr std::int64_t totp_period = 30;

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
