#include "base/log.hpp"

#include <cstdint>

namespace vigil::base {

namespace {

/// The shape of a UTF-8 sequence by its first byte: its length, and the range of the second byte
/// that leaves out overlong forms, surrogates and what is beyond U+10FFFF (Unicode, table 3-7).
struct Shape {
    std::size_t length = 0; ///< 0: no sequence begins like this
    unsigned second_low = 0x80;
    unsigned second_high = 0xBF;
};

Shape shape_of(unsigned char first) noexcept {
    if (first < 0x80)
        return {.length = 1};
    if (first >= 0xC2 && first <= 0xDF)
        return {.length = 2};
    if (first == 0xE0)
        return {.length = 3, .second_low = 0xA0};
    if (first == 0xED)
        return {.length = 3, .second_high = 0x9F};
    if (first >= 0xE1 && first <= 0xEF)
        return {.length = 3};
    if (first == 0xF0)
        return {.length = 4, .second_low = 0x90};
    if (first == 0xF4)
        return {.length = 4, .second_high = 0x8F};
    if (first >= 0xF1 && first <= 0xF3)
        return {.length = 4};
    return {};
}

struct Character {
    std::size_t length = 0; ///< 0: not UTF-8
    std::uint32_t code = 0;
};

Character decode(std::string_view text) noexcept {
    const auto first = static_cast<unsigned char>(text[0]);
    const Shape shape = shape_of(first);
    if (shape.length == 0 || shape.length > text.size())
        return {};
    if (shape.length == 1)
        return {.length = 1, .code = first};
    std::uint32_t code = first & (0x7Fu >> shape.length);
    for (std::size_t i = 1; i < shape.length; ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        if (byte < (i == 1 ? shape.second_low : 0x80u) ||
            byte > (i == 1 ? shape.second_high : 0xBFu))
            return {};
        code = code << 6 | (byte & 0x3Fu);
    }
    return {.length = shape.length, .code = code};
}

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
        const Character character = decode(text);
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
