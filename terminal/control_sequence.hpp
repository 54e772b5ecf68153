#pragma once
// What stands between ESC [ and its last byte (ECMA-48, 5.4), and which key it says. Pure.

#include <array>
#include <cstddef>

namespace vigil::terminal {

class ControlSequence {
public:
    void begin() noexcept { *this = {}; }
    /// A byte that does not end it.
    void feed(char byte) noexcept;

    bool is_bare() const noexcept { return bare_; }
    /// Whether it has this number and nothing else.
    bool is(unsigned number) const noexcept {
        return plain_ && last_ == 0 && numbers_[0] == number;
    }

    /// The character that a terminal says so because a program asked for it (xterm's ctlseqs:
    /// modifyOtherKeys and formatOtherKeys), of ASCII and without Ctrl, Alt and the like; '\0' for
    /// everything else. `end`: its last byte.
    char character(char end) const noexcept;

private:
    std::array<unsigned, 3> numbers_{};
    std::size_t last_ = 0;
    bool bare_ = true;
    bool plain_ = true; ///< nothing but numbers, no more than there is room for
};

} // namespace vigil::terminal
