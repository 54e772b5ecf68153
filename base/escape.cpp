#include "base/log.hpp"
#include "base/utf8.hpp"

#include <cstdint>

namespace vigil::base {

namespace {

/// Control characters, and those that reorder or break the line they stand in.
bool is_harmful(std::uint32_t code) noexcept {
    return code < 0x20 || (code >= 0x7F && code <= 0x9F) || code == 0x061C ||
           (code >= 0x200B && code <= 0x200F) || (code >= 0x2028 && code <= 0x202E) ||
           (code >= 0x2066 && code <= 0x2069) || code == 0xFEFF ||
           (code >= 0xFFF9 && code <= 0xFFFB);
}

void append_escaped(std::string& out, std::string_view bytes) {
    static constexpr char digits[] = "0123456789abcdef";
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        out += "\\x";
        out += digits[byte >> 4];
        out += digits[byte & 0xF];
    }
}

} // namespace

std::string escape(std::string_view text, std::size_t limit) {
    std::string out;
    out.reserve(text.size() < limit ? text.size() : limit);
    while (!text.empty()) {
        const Character character = first_character(text);
        const bool keep = character.length != 0 && !is_harmful(character.code);
        const std::size_t length = character.length == 0 ? 1 : character.length;
        if (out.size() + (keep ? length : 4 * length) > limit)
            break;
        if (keep)
            out += text.substr(0, length);
        else
            append_escaped(out, text.substr(0, length));
        text.remove_prefix(length);
    }
    return out;
}

} // namespace vigil::base
