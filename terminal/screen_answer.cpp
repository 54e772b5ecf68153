#include "terminal/screen_answer.hpp"

#include <algorithm>

namespace vigil::terminal {

namespace {

// What DECRQM says of a mode.
constexpr char is_set = '1';
constexpr char is_reset = '2';

bool fits(char byte, char wanted) noexcept {
    return wanted == '#' ? byte >= '0' && byte <= '9' : byte == wanted;
}

} // namespace

bool ScreenAnswer::feed(std::string_view bytes) noexcept {
    bool found = false;
    for (const char byte : bytes) {
        for (const char plain : seven_bit_.feed(byte))
            found = one(plain) || found;
    }
    return found;
}

std::size_t ScreenAnswer::matched() const noexcept {
    return std::max(of_cursor_.matched, of_screen_.matched);
}

std::optional<char> ScreenAnswer::Answer::feed(char byte) noexcept {
    if (!fits(byte, form[matched]))
        matched = 0; // what else begins with an Escape starts anew
    if (!fits(byte, form[matched]))
        return std::nullopt;
    if (form[matched] == '#')
        digit = byte;
    if (++matched < form.size())
        return std::nullopt;
    matched = 0;
    return digit;
}

bool ScreenAnswer::one(char byte) noexcept {
    if (const auto said = of_cursor_.feed(byte))
        cursor_ = *said == is_reset ? wire::Cursor::hidden : wire::Cursor::shown;
    const auto said = of_screen_.feed(byte);
    if (said)
        shows_ = *said == is_set     ? wire::Screen::alternate
                 : *said == is_reset ? wire::Screen::main
                                     : wire::Screen::unknown;
    return said.has_value();
}

} // namespace vigil::terminal
