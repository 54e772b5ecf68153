#include "base/utf8.hpp"

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

bool is_noncharacter(std::uint32_t code) noexcept {
    return (code >= 0xFDD0 && code <= 0xFDEF) || (code & 0xFFFE) == 0xFFFE;
}

} // namespace

Character first_character(std::string_view text) noexcept {
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

bool is_dbus_text(std::string_view text) noexcept {
    while (!text.empty()) {
        const Character character = first_character(text);
        if (character.length == 0 || is_noncharacter(character.code))
            return false;
        text.remove_prefix(character.length);
    }
    return true;
}

} // namespace vigil::base
