#pragma once
// Control characters of 8 bits (C1) as the Escape and the letter that mean the same (ECMA-48, 5.3):
// a terminal may answer with either, and with UTF-8 the former are characters of two bytes. Pure.

#include <array>
#include <cstddef>

namespace vigil::terminal {

class SevenBit {
public:
    struct Bytes {
        std::array<char, 2> bytes{};
        std::size_t count = 0;

        const char* begin() const noexcept { return bytes.data(); }
        const char* end() const noexcept { return bytes.data() + count; }
    };

    /// What there is to read when this byte has come: nothing, while it may be the first half of a
    /// control; itself, with what was held back; or a control's two. Bytes 0x80 to 0x9F that
    /// continue a character of UTF-8 are no controls, and what is no UTF-8 is left as it is.
    Bytes feed(char byte) noexcept;
    void forget() noexcept { *this = {}; }

private:
    unsigned to_come_ = 0; ///< bytes of the character that has begun
    bool held_ = false;    ///< 0xC2 was the last: a letter's first byte, or a control's
};

} // namespace vigil::terminal
