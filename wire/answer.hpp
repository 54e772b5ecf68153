#pragma once
// What a person types where a proof is asked for, told apart by its looks.

#include "base/secret.hpp"

#include <optional>
#include <string_view>

namespace vigil::wire {

/// 6 or 8 digits, as an authenticator shows them.
bool is_code(std::string_view typed) noexcept;

inline constexpr std::size_t recovery_code_bytes = 10;

/// The bytes of a recovery code, typed in upper or lower case, with its dashes, spaces or without.
/// nullopt: it is none.
std::optional<base::Secret> recovery_code(std::string_view typed);

inline constexpr std::size_t ticket_letters = 20;
/// A ticket's: 32, none of which is taken for another as it is read or typed (no i, l, o, u).
inline constexpr std::string_view ticket_alphabet = "0123456789abcdefghjkmnpqrstvwxyz";

/// The letters of a ticket as it was typed, in upper or lower case, with its dashes, spaces or
/// without, o for 0, i or l for 1. nullopt: it is none.
std::optional<base::Secret> ticket(std::string_view typed);

/// The factor that it is judged as: "recovery" where it looks like such a code, else "totp".
std::string_view factor_of(std::string_view typed);

} // namespace vigil::wire
