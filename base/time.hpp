#pragma once
// The two clocks vigil lives by, as values. Nothing here reads one: that is clock.hpp's, for the
// shell alone, so that the core and the policy stay functions of their arguments.

#include <chrono>
#include <cstdint>

namespace vigil {

using Microseconds = std::chrono::microseconds;
using Seconds = std::chrono::seconds;

/// CLOCK_BOOTTIME: what durations are measured on, because it counts suspend (clock_gettime(2)).
/// A tag without now(): a time point of it can only be handed in.
struct BootClock {
    using duration = Microseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<BootClock>;
    static constexpr bool is_steady = true;
};
using BootTime = BootClock::time_point;

/// CLOCK_REALTIME: for what people read and for time windows and TOTP; never for a duration.
using WallTime = std::chrono::sys_time<Microseconds>;

/// One reading of the clocks, taken once per dispatch of the loop.
struct Now {
    BootTime boot;
    WallTime wall;
    Seconds utc_offset{};  ///< local time is wall + utc_offset; for the policy's time windows
    Microseconds asleep{}; ///< how long the machine was suspended since it came up
};

/// "No limit", where a limit is a duration.
inline constexpr Seconds never = Seconds::max();

} // namespace vigil
