#pragma once
// How good or bad a finding is, and the words for it: on the bus, in JSON and for people.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace vigil::wire {

/// In the order of their badness.
enum class Grade : std::uint8_t { ok, warning, failure };

inline constexpr std::array grade_words{"ok", "warning", "failure"};

constexpr const char* to_text(Grade grade) noexcept {
    return grade_words[static_cast<std::size_t>(grade)];
}

/// nullopt: no word of ours; a newer vigild may have more.
constexpr std::optional<Grade> grade_from_text(std::string_view text) noexcept {
    for (const auto grade : {Grade::ok, Grade::warning, Grade::failure})
        if (text == to_text(grade))
            return grade;
    return std::nullopt;
}

} // namespace vigil::wire
