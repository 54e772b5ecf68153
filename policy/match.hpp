#pragma once
// Does a rule's `match` hold? One condition a function, so that decide and the index share them.

#include "policy/decide.hpp"

namespace vigil::policy {

/// Which way a rule leans, and so how it takes a remote host whose address is not known (see
/// parse_remote_host in decide.hpp).
enum class Leaning {
    strict, ///< refuses, or asks for a proof: in doubt it matches
    neutral,
    lax, ///< allows, or asks for nothing: in doubt it does not match
};
Leaning leaning(const SessionRule& rule) noexcept;
Leaning leaning(const StepUpRule& rule) noexcept;

struct LocalTime {
    unsigned weekday = 0; ///< Monday is 0
    unsigned minute = 0;  ///< of the day
};
LocalTime local_time(const Now& now) noexcept;

/// IPv4 is ::ffff:0:0/96 here, as in Network; `::/0` means IPv6 alone.
bool is_ipv4(const Address& address) noexcept;
bool is_ipv4(const Network& network) noexcept;
bool contains(const Network& network, const Address& address) noexcept;
bool contains(const Window& window, const LocalTime& time) noexcept;

bool from_holds(const Match& match, const Facts& facts, Leaning leaning) noexcept;
bool not_from_holds(const Match& match, const Facts& facts, Leaning leaning) noexcept;

/// All conditions but `run_as` and `commands`.
bool matches(const Match& match, const Facts& facts, const LocalTime& time,
             Leaning leaning) noexcept;

} // namespace vigil::policy
