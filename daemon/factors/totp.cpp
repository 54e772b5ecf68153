#include "daemon/factors/totp.hpp"

#include "base/openssl.hpp"

#include <array>
#include <cerrno>

namespace vigil::factors {

namespace {

struct Hashed {
    TotpKind::Hash hash;
    base::Hash as;
    std::size_t bytes;
    std::string_view text;
    const char* algorithm; ///< in an otpauth URI
};

constexpr std::array hashes{
    Hashed{TotpKind::Hash::sha1, base::Hash::sha1, 20, "", "SHA1"},
    Hashed{TotpKind::Hash::sha256, base::Hash::sha256, 32, "-sha256", "SHA256"},
    Hashed{TotpKind::Hash::sha512, base::Hash::sha512, 64, "-sha512", "SHA512"}};

const Hashed& hashed(const TotpKind& kind) noexcept {
    return hashes[static_cast<std::size_t>(kind.hash)];
}

constexpr std::string_view usual_kind = "totp";
constexpr std::string_view eight = "-8";

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

std::string text_of(const TotpKind& kind) {
    std::string text{usual_kind};
    if (kind.digits == 8)
        text += eight;
    return text += hashed(kind).text;
}

std::optional<TotpKind> totp_kind_of(std::string_view text) {
    for (const auto& one : hashes)
        for (const unsigned digits : {6U, 8U})
            if (const TotpKind kind{.hash = one.hash, .digits = digits}; text_of(kind) == text)
                return kind;
    return std::nullopt;
}

std::size_t secret_bytes(const TotpKind& kind) noexcept {
    return hashed(kind).bytes;
}

Result<std::string> hotp(std::string_view key, std::uint64_t counter, const TotpKind& kind) {
    const auto digits = kind.digits;
    // RFC 4226, 5.3: six at the least; nine are the most that 31 bits fill.
    if (digits < 6 || digits > 9)
        return fail(EINVAL, "a code of " + std::to_string(digits) + " digits");
    char message[8];
    for (std::size_t i = 0; i < sizeof message; ++i)
        message[i] = static_cast<char>(counter >> (56 - 8 * i));
    const auto mac = base::hmac(hashed(kind).as, key, {message, sizeof message});
    if (!mac)
        return std::unexpected{mac.error()};
    const auto byte = [&](std::size_t i) -> std::uint32_t {
        return static_cast<unsigned char>((*mac)[i]);
    };
    const std::size_t at = byte(mac->size() - 1) & 15;
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
                                                   std::uint64_t now_step, const TotpKind& kind) {
    std::optional<std::uint64_t> found;
    // All three are always computed: how long it takes tells nothing of which one it was.
    for (const std::uint64_t step : {now_step == 0 ? 0 : now_step - 1, now_step, now_step + 1}) {
        const auto right = hotp(key, step, kind);
        if (!right)
            return std::unexpected{right.error()};
        if (base::equal_in_constant_time(*right, code))
            found = step;
    }
    return found;
}

std::string otpauth_uri(const std::string& user, const std::string& host,
                        std::string_view base32_secret, const TotpKind& kind) {
    // SHA1, six digits and 30 seconds are the format's defaults: left out, the QR code fits a
    // window.
    static_assert(totp_period == 30);
    std::string others;
    if (kind.hash != TotpKind::Hash::sha1)
        others += std::string{"&algorithm="} + hashed(kind).algorithm;
    if (kind.digits != 6)
        others += "&digits=" + std::to_string(kind.digits);
    // The issuer stands twice, and must be the same: some apps read the one, some the other.
    const std::string before =
        "otpauth://totp/vigil:" + percent_encode(user) + "@" + percent_encode(host) + "?secret=";
    const std::string after = "&issuer=vigil" + others;
    std::string uri;
    uri.reserve(before.size() + base32_secret.size() + after.size()); // no copy stays behind
    uri += before;
    uri += base32_secret;
    uri += after;
    return uri;
}

} // namespace vigil::factors
