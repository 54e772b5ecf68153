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

bool is_continuation(char byte) noexcept {
    return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

} // namespace

Keys::Event Keys::feed(std::string_view bytes) noexcept {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        const Event event = one(bytes[i]);
        if (event == Event::none)
            continue;
        // The Enter key pressed twice is still a person.
        const bool more =
            std::ranges::any_of(bytes.substr(i + 1), [](char byte) { return !ends_line(byte); });
        if (!more)
            return event;
        clear();
        state_ = State::pasted;
        return Event::none;
    }
    return Event::none;
}

Keys::Event Keys::one(char byte) noexcept {
    switch (state_) {
    case State::text:
        return edit(byte);
    case State::escape:
        begin(byte);
        break;
    case State::sequence:
        sequence(byte);
        break;
    case State::console_key:
        state_ = State::text;
        return byte == 'A' ? Event::console_f1 : Event::none;
    case State::single:
        state_ = State::text;
        break;
    case State::string:
        if (byte == bell || byte == cancel || byte == substitute)
            state_ = State::text;
        else if (byte == escape_key)
            state_ = State::string_escape;
        break;
    case State::string_escape:
        state_ = byte == '\\' ? State::text : State::string;
        break;
    case State::mouse:
        if (--mouse_left_ == 0)
            state_ = State::text;
        break;
    case State::paste:
        paste(byte);
        break;
    case State::pasted:
        break;
    }
    return Event::none;
}

Keys::Event Keys::edit(char byte) noexcept {
    if (byte == escape_key) {
        state_ = State::escape;
    } else if (ends_line(byte)) {
        if (over_) {
            clear();
            return Event::too_long;
        }
        if (length_ > 0)
            return Event::submitted;
    } else if (byte == erase_key || byte == backspace) {
        erase();
    } else if (byte == kill_key) {
        forget_text();
    } else if (static_cast<unsigned char>(byte) < 0x20) {
        // ^C, ^D, ^Q, ^S, ^Z, ^\ and all others: no meaning here.
    } else if (length_ == text_.size()) {
        over_ = true;
    } else if (!over_) {
        text_[length_++] = byte;
    }
    return Event::none;
}

void Keys::begin(char byte) noexcept {
    switch (byte) {
    case '[':
        state_ = State::sequence;
        number_ = 0;
        break;
    case 'O':
        state_ = State::single;
        break;
    case ']':
    case 'P':
    case 'X':
    case '^':
    case '_':
        state_ = State::string;
        break;
    case escape_key:
        break;
    default: // Alt and a key
        state_ = State::text;
        break;
    }
}

void Keys::sequence(char byte) noexcept {
    if (byte == '[' && number_ == 0) {
        state_ = State::console_key;
    } else if (byte >= '0' && byte <= '9') {
        number_ = std::min(number_ * 10 + static_cast<unsigned>(byte - '0'), 100'000U);
    } else if (byte == escape_key) {
        state_ = State::escape;
    } else if (byte == 'M' && number_ == 0) {
        state_ = State::mouse;
        mouse_left_ = 3;
    } else if (byte == '~' && number_ == 200) {
        state_ = State::paste;
        paste_matched_ = 0;
    } else if ((byte >= 0x40 && byte <= 0x7E) || byte == cancel || byte == substitute) {
        state_ = State::text;
    } else if (byte == '<') {
        number_ = 1; // a mouse report of the newer kind ends with M, too, and nothing behind it
    }
}

void Keys::paste(char byte) noexcept {
    if (byte == paste_end[paste_matched_])
        ++paste_matched_;
    else
        paste_matched_ = byte == paste_end[0] ? 1 : 0;
    if (paste_matched_ == paste_end.size())
        state_ = State::text;
}

void Keys::erase() noexcept {
    if (over_) {
        // How much was dropped is not known, so neither is what is left.
        forget_text();
        return;
    }
    while (length_ > 0 && is_continuation(text_[length_ - 1]))
        text_[--length_] = 0;
    if (length_ > 0)
        text_[--length_] = 0;
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
    state_ = State::text;
}

base::Secret Keys::take() {
    base::Secret answer{std::string_view{text_.data(), length_}};
    clear();
    return answer;
}

void Keys::clear() noexcept {
    forget_text();
    state_ = State::text;
}

void Keys::forget_text() noexcept {
    base::wipe(text_.data(), text_.size());
    length_ = 0;
    over_ = false;
}

} // namespace vigil::terminal
