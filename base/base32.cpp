#include "base/base32.hpp"

#include <cerrno>
#include <cstdint>

namespace vigil::base {

namespace {

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

} // namespace

std::string base32_encode(std::string_view bytes) {
    std::string out;
    out.reserve((bytes.size() * 8 + 4) / 5);
    std::uint32_t bits = 0;
    unsigned count = 0;
    for (const char byte : bytes) {
        bits = bits << 8 | static_cast<unsigned char>(byte);
        for (count += 8; count >= 5; count -= 5)
            out += alphabet[bits >> (count - 5) & 31u];
    }
    if (count > 0)
        out += alphabet[bits << (5 - count) & 31u];
    return out;
}

Result<std::string> base32_decode(std::string_view text) {
    while (text.ends_with('='))
        text.remove_suffix(1);
    std::string out;
    out.reserve(text.size() * 5 / 8);
    std::uint32_t bits = 0;
    unsigned count = 0;
    for (const char c : text) {
        const char upper = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
        const std::size_t value = alphabet.find(upper);
        if (value == alphabet.npos)
            return fail(EINVAL, "decoding base32");
        bits = bits << 5 | static_cast<std::uint32_t>(value);
        count += 5;
        if (count >= 8) {
            count -= 8;
            out += static_cast<char>(bits >> count & 0xFFu);
        }
    }
    if (count >= 5 || (bits & ((1u << count) - 1)) != 0)
        return fail(EINVAL, "decoding base32");
    return out;
}

} // namespace vigil::base
