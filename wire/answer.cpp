#include "wire/answer.hpp"

#include "base/base32.hpp"

#include <algorithm>
#include <string>

namespace vigil::wire {

namespace {

/// In base32, and with a dash or a space behind each letter.
constexpr std::size_t recovery_code_letters = recovery_code_bytes * 8 / 5;
constexpr std::size_t longest_recovery_code = 2 * recovery_code_letters;

} // namespace

bool is_code(std::string_view typed) noexcept {
    return (typed.size() == 6 || typed.size() == 8) &&
           std::ranges::all_of(typed, [](char c) { return c >= '0' && c <= '9'; });
}

std::optional<base::Secret> recovery_code(std::string_view typed) {
    if (typed.size() > longest_recovery_code)
        return std::nullopt;
    std::string letters;
    letters.reserve(longest_recovery_code); // no copy is left behind by growing
    std::ranges::copy_if(typed, std::back_inserter(letters),
                         [](char c) { return c != '-' && c != ' '; });
    auto bytes = base::base32_decode(letters);
    const bool whole = letters.size() == recovery_code_letters && bytes;
    base::wipe(letters.data(), letters.size());
    return whole ? std::optional{base::Secret{std::move(*bytes)}} : std::nullopt;
}

std::optional<base::Secret> ticket(std::string_view typed) {
    if (typed.size() > 2 * ticket_letters)
        return std::nullopt;
    std::string letters;
    letters.reserve(2 * ticket_letters);
    for (const char c : typed) {
        const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        if (c != '-' && c != ' ')
            letters += lower == 'o' ? '0' : lower == 'i' || lower == 'l' ? '1' : lower;
    }
    const bool whole = letters.size() == ticket_letters && std::ranges::all_of(letters, [](char c) {
                           return ticket_alphabet.find(c) != std::string_view::npos;
                       });
    auto found = whole ? std::optional{base::Secret{std::string_view{letters}}} : std::nullopt;
    base::wipe(letters.data(), letters.size());
    return found;
}

std::string_view factor_of(std::string_view typed) {
    return recovery_code(typed) ? "recovery" : "totp";
}

} // namespace vigil::wire
