#pragma once
// Lines and words of other programs' configuration files.

#include <algorithm>
#include <string_view>

#include <strings.h>

namespace vigil::cli {

inline constexpr std::string_view config_blanks = " \t\r";

inline std::string_view trimmed(std::string_view text) noexcept {
    const auto first = text.find_first_not_of(config_blanks);
    if (first == text.npos)
        return {};
    return text.substr(first, text.find_last_not_of(config_blanks) - first + 1);
}

/// Cuts the first line off.
inline std::string_view take_line(std::string_view& text) noexcept {
    const auto end = std::min(text.find('\n'), text.size());
    const auto line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return trimmed(line);
}

/// Cuts the first word off; what stands in brackets is one, blanks and all.
inline std::string_view take_word(std::string_view& line) noexcept {
    const auto bracket = line.starts_with('[') ? line.find(']') : line.npos;
    const auto end = bracket != line.npos
                         ? bracket + 1
                         : std::min(line.find_first_of(config_blanks), line.size());
    const auto word = line.substr(0, end);
    line = trimmed(line.substr(end));
    return word;
}

inline bool is_same_word(std::string_view one, std::string_view other) noexcept {
    return one.size() == other.size() && ::strncasecmp(one.data(), other.data(), one.size()) == 0;
}

/// What stands behind this word in the first line that begins with it, however it is written. "":
/// there is none.
inline std::string_view setting_of(std::string_view text, std::string_view name) noexcept {
    while (!text.empty())
        if (auto line = take_line(text); is_same_word(take_word(line), name))
            return line;
    return {};
}

} // namespace vigil::cli
