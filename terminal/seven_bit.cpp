#include "terminal/seven_bit.hpp"

#include <utility>

namespace vigil::terminal {

namespace {

constexpr char escape = 0x1B;
constexpr unsigned char held_back = 0xC2;

/// How many bytes follow this one in a character of UTF-8.
unsigned followers(unsigned char first) noexcept {
    if (first >= 0xC2 && first <= 0xDF)
        return 1;
    if (first >= 0xE0 && first <= 0xEF)
        return 2;
    return first >= 0xF0 && first <= 0xF4 ? 3 : 0;
}

} // namespace

SevenBit::Bytes SevenBit::feed(char byte) noexcept {
    const auto value = static_cast<unsigned char>(byte);
    const bool held = std::exchange(held_, false);
    const bool continues = to_come_ > 0 && (value & 0xC0) == 0x80;
    if (value >= 0x80 && value <= 0x9F && (held || !continues)) {
        to_come_ = 0;
        return {.bytes = {escape, static_cast<char>(value - 0x40)}, .count = 2};
    }
    to_come_ = continues ? to_come_ - 1 : followers(value);
    held_ = value == held_back;
    Bytes out;
    if (held)
        out.bytes[out.count++] = static_cast<char>(held_back);
    if (!held_)
        out.bytes[out.count++] = byte;
    return out;
}

} // namespace vigil::terminal
