#pragma once
// The texts of vigil-policy(5) that mean more than themselves. Each reader takes the whole text or
// answers with "what; what to do", which parse.cpp puts after the position.

#include "base/error.hpp"
#include "policy/policy.hpp"

#include <string_view>

namespace vigil::policy {

inline constexpr Seconds longest_duration = std::chrono::days{3650};

/// `90s`, `1h30m`, `7d`; a number without a unit is refused.
Result<Seconds> read_duration(std::string_view text);

/// `10.0.0.0/8`, `2001:db8::/32`, an address alone, or `local`.
Result<Network> read_network(std::string_view text);

/// `Mon-Fri 07:00-20:00`, `Sat,Sun 22:00-06:00`.
Result<Window> read_window(std::string_view text);

/// `input+output+cpu`: `input` and any of `output`, `bytes` and `cpu`, each once, in any order.
Result<Activity> read_activity(std::string_view text);

/// Decimal digits without a leading zero.
Result<std::uint32_t> read_number(std::string_view text, std::uint32_t least, std::uint32_t most);

/// A user, group or service: compared as it is, so what only looks like a pattern is refused.
Result<std::string> read_name(std::string_view text);

/// A literal address: no zone, no brackets, no name, no looking up.
std::optional<Address> parse_address(std::string_view text) noexcept;

/// What may follow the % of an address: an interface's name or number.
bool is_zone(std::string_view text) noexcept;

/// For messages: in quotes, cut to a readable length between characters.
std::string quote(std::string_view text);

} // namespace vigil::policy
