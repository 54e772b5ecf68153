#pragma once
// What a terminal showed before its lock screen, by its own answer. Header only.

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

namespace vigil::wire {

/// The store has it as a number: new ones come last.
enum class Screen : std::uint8_t {
    unasked, ///< nothing of the lock was drawn there yet
    asked,   ///< and has not answered
    unknown, ///< it does not tell
    main,
    alternate, ///< that of programs with the whole screen (ctlseqs: 1049)
    plain,     ///< it takes no escape sequences (TERM=dumb)
};

/// A program may have hidden it (ctlseqs: 25). The store has it as a number, too.
enum class Cursor : std::uint8_t { shown, hidden };

/// What a prompt can tell, in the words of the bus.
inline constexpr std::array screen_names{
    std::pair{Screen::unknown, std::string_view{"unknown"}},
    std::pair{Screen::main, std::string_view{"main"}},
    std::pair{Screen::alternate, std::string_view{"alternate"}},
    std::pair{Screen::plain, std::string_view{"plain"}},
};

inline constexpr std::array cursor_names{
    std::pair{Cursor::shown, std::string_view{"shown"}},
    std::pair{Cursor::hidden, std::string_view{"hidden"}},
};

/// "": nothing that can be told.
constexpr std::string_view to_text(Screen screen) noexcept {
    for (const auto& [value, name] : screen_names)
        if (value == screen)
            return name;
    return {};
}

constexpr std::optional<Screen> screen_from_text(std::string_view text) noexcept {
    for (const auto& [value, name] : screen_names)
        if (name == text)
            return value;
    return std::nullopt;
}

constexpr std::string_view to_text(Cursor cursor) noexcept {
    for (const auto& [value, name] : cursor_names)
        if (value == cursor)
            return name;
    return {};
}

constexpr std::optional<Cursor> cursor_from_text(std::string_view text) noexcept {
    for (const auto& [value, name] : cursor_names)
        if (name == text)
            return value;
    return std::nullopt;
}

} // namespace vigil::wire
