#pragma once
// Bytes from a terminal in raw mode -> an answer, and nothing else. Pure: no terminal, no clock.
// Everything a terminal sends that is no text does nothing here: signals' characters, mouse
// reports, escape sequences but those that say a letter or a digit. What was pasted is text where
// it is one line.

#include "base/secret.hpp"
#include "base/time.hpp"
#include "terminal/control_sequence.hpp"
#include "terminal/seven_bit.hpp"
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
        empty_line,    ///< Enter alone: who presses it wants to see something
        submitted,     ///< take() has the answer
        too_long,      ///< the line was over the bound and was dropped whole
        several_lines, ///< pasted, and dropped; so is a paste that is too long or has controls
        console_f1,    ///< the key F1 of a virtual console
    };

    /// One read's bytes. A line that ends with more text behind it in the same read was pasted, not
    /// typed: it is dropped with all that follows until the terminal falls silent. What the
    /// terminal sends by itself is no text, and may come behind any Enter.
    Event feed(std::string_view bytes) noexcept;

    /// How long to wait for the rest of what began; zero: nothing did. After that much silence call
    /// settle(), or a lone Escape key would swallow the next letter.
    Microseconds patience() const noexcept;
    void settle() noexcept;

    /// Between the brackets of a paste.
    bool is_pasting() const noexcept { return state_ == State::paste; }

    /// The answer of the last `submitted`; forget_text().
    base::Secret take();

    /// Forgets all that was typed; the buffer is wiped.
    void clear() noexcept;
    /// The same, but for a sequence that has begun: its end is no text either.
    void forget_text() noexcept;

    /// The buffer, for mlock(2).
    const void* memory() const noexcept { return text_.data(); }
    std::size_t memory_size() const noexcept { return text_.size(); }

private:
    enum class State {
        text,
        escape,      ///< ESC
        sequence,    ///< ESC [ …
        console_key, ///< ESC [ [ x, F1 to F5 of a virtual console
        single,      ///< ESC O x
        string,      ///< OSC, DCS, APC, PM, SOS: until BEL or ST
        mouse,       ///< ESC [ M and three coordinates
        paste,       ///< ESC [ 200 ~
        pasted,      ///< a paste without brackets: until silence
    };

    Event one(char byte) noexcept;
    Event text(char byte) noexcept;
    Event end_line() noexcept;
    void begin(char byte) noexcept;
    Event sequence(char byte) noexcept;
    Event single(char byte) noexcept;
    bool belongs_to_mouse(char byte) noexcept;
    void begin_paste() noexcept;
    Event paste(char byte) noexcept;
    Event refuse_paste() noexcept;
    void append(char byte) noexcept;
    void erase() noexcept;
    void cut(std::size_t length) noexcept;

    // Fixed, so that a password never lies in memory a growing string left behind.
    std::array<char, wire::max_answer_bytes> text_{};
    std::size_t length_ = 0;
    bool over_ = false;
    bool line_ended_ = false; ///< by an Enter of the read that is being fed
    State state_ = State::text;
    SevenBit seven_bit_;
    ControlSequence sequence_;
    bool modified_ = false; ///< ESC O 5 x: Ctrl and a key
    unsigned mouse_left_ = 0;
    bool mouse_wide_ = false; ///< the coordinate that came last may have a second byte
    std::size_t paste_from_ = 0;
    unsigned paste_matched_ = 0; ///< of ESC [ 201 ~
    bool paste_ended_line_ = false;
    bool paste_refused_ = false;
};

} // namespace vigil::terminal
