#pragma once
// Bytes from a terminal in raw mode -> an answer, and nothing else. Pure: no terminal, no clock.
// Everything a terminal sends that is no text does nothing here: signals' characters, escape
// sequences, mouse reports, bracketed paste.

#include "base/secret.hpp"
#include "base/time.hpp"
#include "wire/names.hpp"

#include <array>
#include <string_view>

namespace vigil::terminal {

class Keys {
public:
    Keys() = default;
    Keys(const Keys&) = delete;
    Keys& operator=(const Keys&) = delete;
    ~Keys() { clear(); }

    enum class Event {
        none,
        submitted,  ///< take() has the answer
        too_long,   ///< the line was over the bound and was dropped whole
        console_f1, ///< the key F1 of a virtual console
    };

    /// One read's bytes. A line that ends with more text behind it in the same read was pasted, not
    /// typed: it is dropped with all that follows until the terminal falls silent.
    Event feed(std::string_view bytes) noexcept;

    /// How long to wait for the rest of what began; zero: nothing did. After that much silence call
    /// settle(), or a lone Escape key would swallow the next letter.
    Microseconds patience() const noexcept;
    void settle() noexcept;

    /// The answer of the last `submitted`; the buffer is wiped.
    base::Secret take();

    /// Forgets all that was typed.
    void clear() noexcept;

    /// The buffer, for mlock(2).
    const void* memory() const noexcept { return text_.data(); }
    std::size_t memory_size() const noexcept { return text_.size(); }

private:
    enum class State {
        text,
        escape,        ///< ESC
        sequence,      ///< ESC [ …
        console_key,   ///< ESC [ [ x, F1 to F5 of a virtual console
        single,        ///< ESC O x
        string,        ///< OSC, DCS, APC, PM, SOS: until BEL or ST
        string_escape, ///< … ESC
        mouse,         ///< ESC [ M and three bytes
        paste,         ///< ESC [ 200 ~
        pasted,        ///< a paste without brackets: until silence
    };

    Event one(char byte) noexcept;
    Event edit(char byte) noexcept;
    void begin(char byte) noexcept;
    void sequence(char byte) noexcept;
    void paste(char byte) noexcept;
    void erase() noexcept;
    void forget_text() noexcept;

    // Fixed, so that a password never lies in memory a growing string left behind.
    std::array<char, wire::max_answer_bytes> text_{};
    std::size_t length_ = 0;
    bool over_ = false;
    State state_ = State::text;
    unsigned number_ = 0; ///< of a sequence, the first
    unsigned mouse_left_ = 0;
    unsigned paste_matched_ = 0; ///< of ESC [ 201 ~
};

} // namespace vigil::terminal
