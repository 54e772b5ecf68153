#pragma once
// The arithmetic of one-time codes. Pure: time and secrets are handed in. (hotp and totp_step
// themselves are declared in factors.hpp.)

#include "base/error.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vigil::factors {

inline constexpr unsigned totp_digits = 6;
inline constexpr std::int64_t totp_period = 30;

/// The step near `now_step` (one each side) that `code` belongs to; nullopt: none. The latest,
/// where two steps share a code: accepted for the earlier, it would count once more for the later.
Result<std::optional<std::uint64_t>> matching_step(std::string_view key, std::string_view code,
                                                   std::uint64_t now_step);

/// otpauth://totp/…, as the authenticator apps read it from a QR code.
std::string otpauth_uri(const std::string& user, const std::string& host,
                        std::string_view base32_secret);

} // namespace vigil::factors
