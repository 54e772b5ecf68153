#pragma once
// Which of its two screens a terminal shows, and whether its cursor (xterm's ctlseqs: DECRQM of the
// modes 1049 and 25). It answers in the midst of what is typed. Pure.

#include "terminal/seven_bit.hpp"
#include "wire/screen.hpp"

#include <cstddef>
#include <optional>
#include <string_view>

namespace vigil::terminal {

/// Written in front of what switches screens: a terminal does one thing after the other, so that
/// its answers are about the screen before, and nobody has to wait for them. The cursor is put
/// back: one terminal (Terminal.app) does not know the questions and writes a "p" for each, which
/// the next letter of the session then covers. It is saved for each, since there are terminals that
/// put a saved one back once. The one about the screen is the last, so that with its answer no
/// other is on its way.
inline constexpr std::string_view screen_question =
    "\x1B\x37\x1B[?25$p\x1B\x38\x1B\x37\x1B[?1049$p\x1B\x38";

/// Finds the answers in the bytes that a terminal sends, whatever stands around them and wherever
/// they are cut. Whoever types one by hand has said something about his own screen alone.
class ScreenAnswer {
public:
    /// Whether the last answer, that about the screen, has come with these bytes; it is in shows().
    bool feed(std::string_view bytes) noexcept;
    /// `main`, `alternate`, or `unknown`: none came, it has no second screen, or does not tell.
    wire::Screen shows() const noexcept { return shows_; }
    /// Hidden only where it said so.
    wire::Cursor cursor() const noexcept { return cursor_; }
    /// What came last may be the beginning of an answer.
    bool has_begun() const noexcept { return matched() > 0; }
    /// The same, and it is more than an Escape, which is a key as well.
    bool is_under_way() const noexcept { return matched() > 1; }

private:
    /// One mode's, which differs from the others by its number.
    struct Answer {
        std::string_view form; ///< the hash stands for one digit
        std::size_t matched = 0;
        char digit = 0;

        /// The digit, when the answer is whole.
        std::optional<char> feed(char byte) noexcept;
    };

    bool one(char byte) noexcept;
    std::size_t matched() const noexcept;

    SevenBit seven_bit_;
    Answer of_cursor_{.form = "\x1B[?25;#$y"};
    Answer of_screen_{.form = "\x1B[?1049;#$y"};
    wire::Screen shows_ = wire::Screen::unknown;
    wire::Cursor cursor_ = wire::Cursor::shown;
};

} // namespace vigil::terminal
