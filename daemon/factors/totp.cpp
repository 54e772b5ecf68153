#include "daemon/factors/totp.hpp"

#include "base/openssl.hpp"
#include "daemon/factors/factors.hpp"

#include <cerrno>

namespace vigil::factors {

namespace {

std::string percent_encode(std::string_view text) {
    static constexpr char digits[] = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
        if (plain) {
            out += c;
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        out += '%';
        out += digits[byte >> 4];
        out += digits[byte & 15];
    }
    return out;
}

} // namespace

Result<std::string> hotp(std::string_view key, std::uint64_t counter, unsigned digits) {
    // RFC 4226, 5.3: six at the least; nine are the most that 31 bits fill.
    if (digits < 6 || digits > 9)
        return fail(EINVAL, "a code of " + std::to_string(digits) + " digits");
    char message[8];
    for (std::size_t i = 0; i < sizeof message; ++i)
        message[i] = static_cast<char>(counter >> (56 - 8 * i));
    const auto mac = base::hmac(base::Hash::sha1, key, {message, sizeof message});
    if (!mac)
        return std::unexpected{mac.error()};
    const auto byte = [&](std::size_t i) -> std::uint32_t {
        return static_cast<unsigned char>((*mac)[i]);
    };
    const std::size_t at = byte(19) & 15;
    std::uint32_t number =
        (byte(at) & 0x7F) << 24 | byte(at + 1) << 16 | byte(at + 2) << 8 | byte(at + 3);
    std::string code(digits, '0');
    for (auto digit = code.rbegin(); digit != code.rend(); ++digit, number /= 10)
        *digit = static_cast<char>('0' + number % 10);
    return code;
}

std::uint64_t totp_step(WallTime time) noexcept {
    const auto seconds = std::chrono::floor<Seconds>(time).time_since_epoch().count();
    return seconds < 0 ? 0 : static_cast<std::uint64_t>(seconds / totp_period);
}

Result<std::optional<std::uint64_t>> matching_step(std::string_view key, std::string_view code,
                                                   std::uint64_t now_step) {
    std::optional<std::uint64_t> found;
    // All three are always computed: how long it takes tells nothing of which one it was.
    for (const std::uint64_t step : {now_step == 0 ? 0 : now_step - 1, now_step, now_step + 1}) {
        const auto right = hotp(key, step, totp_digits);
        if (!right)
            return std::unexpected{right.error()};
        if (base::equal_in_constant_time(*right, code))
            found = step;
    }
    return found;
}

std::string otpauth_uri(const std::string& user, const std::string& host,
                        std::string_view base32_secret) {
    // SHA1, six digits and 30 seconds are the format's defaults: left out, the QR code fits a
    // window.
    static_assert(totp_digits == 6 && totp_period == 30);
    // The issuer stands twice, and must be the same: some apps read the one, some the other.
    return "otpauth://totp/vigil:" + percent_encode(user) + "@" + percent_encode(host) +
           "?secret=" + std::string{base32_secret} + "&issuer=vigil";
}

} // namespace vigil::factors
