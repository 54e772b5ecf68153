#include "terminal/control_sequence.hpp"

#include <algorithm>

namespace vigil::terminal {

namespace {

constexpr unsigned most = 100'000;
constexpr unsigned other_key = 27;
/// Of a key's modifiers, which are sent as their sum and one: Shift is in the character already,
/// and Num Lock belongs to the digits of a keypad.
constexpr unsigned shift_and_num_lock = 1 | 128;

char printable(unsigned code, unsigned modifiers) noexcept {
    const bool harmless = modifiers > 0 && ((modifiers - 1) & ~shift_and_num_lock) == 0;
    return harmless && code >= 0x20 && code < 0x7F ? static_cast<char>(code) : '\0';
}

} // namespace

void ControlSequence::feed(char byte) noexcept {
    bare_ = false;
    if (byte >= '0' && byte <= '9')
        numbers_[last_] = std::min(numbers_[last_] * 10 + static_cast<unsigned>(byte - '0'), most);
    else if (byte == ';' && last_ + 1 < numbers_.size())
        ++last_;
    else
        plain_ = false;
}

char ControlSequence::character(char end) const noexcept {
    if (!plain_)
        return '\0';
    if (end == 'u' && last_ < 2)
        return printable(numbers_[0], last_ == 0 ? 1 : numbers_[1]);
    if (end == '~' && last_ == 2 && numbers_[0] == other_key)
        return printable(numbers_[2], numbers_[1]);
    return '\0';
}

} // namespace vigil::terminal
