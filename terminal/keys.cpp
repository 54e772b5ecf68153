#include "terminal/keys.hpp"

#include <algorithm>

namespace vigil::terminal {

namespace {

constexpr char escape_key = 0x1B;
constexpr char bell = 0x07;
constexpr char erase_key = 0x7F;
constexpr char backspace = 0x08;
constexpr char kill_key = 0x15; // ^U
constexpr char cancel = 0x18;   // CAN and SUB end a sequence (ECMA-48)
constexpr char substitute = 0x1A;
constexpr std::string_view paste_end = "\x1B[201~";

constexpr Microseconds sequence_patience{100'000};
/// A paste may come in bursts over a slow line; what is left of it must not be taken for typing.
constexpr Microseconds paste_patience = Seconds{3};

bool ends_line(char byte) noexcept {
    return byte == '\r' || byte == '\n';
}

bool is_control(char byte) noexcept {
    return static_cast<unsigned char>(byte) < 0x20 || byte == erase_key;
}

bool is_continuation(char byte) noexcept {
    return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

bool begins_two_bytes(char byte) noexcept {
    return (static_cast<unsigned char>(byte) & 0xE0) == 0xC0;
}

} // namespace

Keys::Event Keys::feed(std::string_view bytes) noexcept {
    line_ended_ = false;
    Event last = Event::none;
    for (const char byte : bytes) {
        // Coordinates are no characters: any byte may be one.
        if (state_ == State::mouse && belongs_to_mouse(byte))
            continue;
        for (const char plain : seven_bit_.feed(byte)) {
            const Event event = one(plain);
            // Behind an Enter, nothing but text changes what it was; Enter alone changes nothing.
            const bool counts = event != Event::none && event != Event::empty_line;
            if (event == Event::several_lines || last == Event::none || (counts && !line_ended_))
                last = event;
            line_ended_ = line_ended_ || event == Event::submitted || event == Event::too_long;
        }
    }
    return last;
}

Keys::Event Keys::one(char byte) noexcept {
    // It cuts off what had begun, and before a backslash ends a string.
    if (byte == escape_key && state_ != State::paste && state_ != State::pasted) {
        state_ = State::escape;
        return Event::none;
    }
    switch (state_) {
    case State::text:
        return text(byte);
    case State::escape:
        begin(byte);
        break;
    case State::sequence:
        return sequence(byte);
    case State::console_key:
        state_ = State::text;
        return byte == 'A' ? Event::console_f1 : Event::none;
    case State::single:
        return single(byte);
    case State::string:
        if (byte == bell || byte == cancel || byte == substitute)
            state_ = State::text;
        break;
    case State::paste:
        return paste(byte);
    case State::mouse: // feed()
    case State::pasted:
        break;
    }
    return Event::none;
}

Keys::Event Keys::text(char byte) noexcept {
    if (line_ended_) {
        // The Enter key pressed twice is still a person, and controls are no text.
        if (is_control(byte))
            return Event::none;
        clear();
        state_ = State::pasted;
        return Event::several_lines;
    }
    if (ends_line(byte))
        return end_line();
    if (byte == erase_key || byte == backspace)
        erase();
    else if (byte == kill_key)
        forget_text();
    else if (!is_control(byte)) // ^C, ^D, ^Q, ^S, ^Z, ^\ and all others have no meaning here.
        append(byte);
    return Event::none;
}

Keys::Event Keys::end_line() noexcept {
    if (over_) {
        forget_text();
        return Event::too_long;
    }
    return length_ > 0 ? Event::submitted : Event::empty_line;
}

void Keys::begin(char byte) noexcept {
    switch (byte) {
    case '[':
        state_ = State::sequence;
        sequence_.begin();
        break;
    case 'O':
        state_ = State::single;
        modified_ = false;
        break;
    case ']':
    case 'P':
    case 'X':
    case '^':
    case '_':
        state_ = State::string;
        break;
    default: // Alt and a key, or the end of a string
        state_ = State::text;
        break;
    }
}

Keys::Event Keys::sequence(char byte) noexcept {
    if (byte == '[' && sequence_.is_bare()) {
        state_ = State::console_key;
    } else if (byte == 'M' && sequence_.is_bare()) {
        state_ = State::mouse;
        mouse_left_ = 3;
        mouse_wide_ = false;
    } else if (byte == '~' && sequence_.is(200)) {
        begin_paste();
    } else if ((byte >= 0x40 && byte <= 0x7E) || byte == cancel || byte == substitute) {
        state_ = State::text;
        const char character = sequence_.character(byte);
        return character != '\0' ? text(character) : Event::none;
    } else {
        sequence_.feed(byte);
    }
    return Event::none;
}

/// Of a keypad in application mode (DECKPAM), as vim(1) and less(1) leave it, the keys that a code
/// is typed with; with Ctrl and the like they are none (xterm's ctlseqs: VT220-Style Function
/// Keys).
Keys::Event Keys::single(char byte) noexcept {
    if ((byte >= '0' && byte <= '9') || byte == ';') {
        modified_ = true;
        return Event::none;
    }
    state_ = State::text;
    if (modified_)
        return Event::none;
    if (byte >= 'p' && byte <= 'y')
        return text(static_cast<char>('0' + (byte - 'p')));
    return byte == 'n' ? text('.') : byte == 'M' ? text('\r') : Event::none;
}

/// A coordinate is one byte, or in mode 1005 a character of UTF-8, of at most two (ctlseqs). Which
/// mode it is the report does not say.
bool Keys::belongs_to_mouse(char byte) noexcept {
    if (byte == escape_key)
        return false;
    const bool second = mouse_wide_ && is_continuation(byte);
    mouse_wide_ = !second && begins_two_bytes(byte);
    if (!second && mouse_left_ == 0) { // a key, where a second byte could have been
        state_ = State::text;
        return false;
    }
    if (!second)
        --mouse_left_;
    if (mouse_left_ == 0 && !mouse_wide_)
        state_ = State::text;
    return true;
}

void Keys::begin_paste() noexcept {
    state_ = State::paste;
    paste_from_ = length_;
    paste_matched_ = 0;
    paste_ended_line_ = false;
    // Not into the answer that stands there, nor into a line that is dropped anyway.
    paste_refused_ = line_ended_ || over_;
}

/// One line is taken when it is whole, but for its Enter: only a person says that it is the answer.
Keys::Event Keys::paste(char byte) noexcept {
    if (byte == paste_end[paste_matched_]) {
        if (++paste_matched_ == paste_end.size())
            state_ = State::text;
        return Event::none;
    }
    const bool false_end = paste_matched_ > 0;
    paste_matched_ = byte == paste_end[0] ? 1 : 0;
    if (paste_refused_)
        return Event::none;
    if (!false_end && ends_line(byte)) {
        paste_ended_line_ = true;
        return Event::none;
    }
    if (false_end || paste_ended_line_ || is_control(byte))
        return refuse_paste();
    append(byte);
    return over_ ? refuse_paste() : Event::none;
}

Keys::Event Keys::refuse_paste() noexcept {
    paste_refused_ = true;
    over_ = false;
    cut(paste_from_);
    return Event::several_lines;
}

void Keys::append(char byte) noexcept {
    if (length_ == text_.size())
        over_ = true;
    else if (!over_)
        text_[length_++] = byte;
}

void Keys::erase() noexcept {
    if (over_) {
        // How much was dropped is not known, so neither is what is left.
        forget_text();
        return;
    }
    std::size_t length = length_;
    while (length > 0 && is_continuation(text_[length - 1]))
        --length;
    cut(length > 0 ? length - 1 : 0);
}

/// What is behind is wiped.
void Keys::cut(std::size_t length) noexcept {
    base::wipe(text_.data() + length, length_ - length);
    length_ = length;
}

Microseconds Keys::patience() const noexcept {
    switch (state_) {
    case State::text:
        return Microseconds{0};
    case State::paste:
        return paste_patience;
    default:
        return sequence_patience;
    }
}

void Keys::settle() noexcept {
    if (state_ == State::paste && !paste_refused_)
        cut(paste_from_); // a part of a line is none
    state_ = State::text;
}

base::Secret Keys::take() {
    base::Secret answer{std::string_view{text_.data(), length_}};
    forget_text();
    return answer;
}

void Keys::clear() noexcept {
    forget_text();
    seven_bit_.forget();
    state_ = State::text;
}

void Keys::forget_text() noexcept {
    base::wipe(text_.data(), text_.size());
    length_ = 0;
    over_ = false;
    paste_refused_ = true; // the rest of one is no line
}

} // namespace vigil::terminal
