#pragma once
// What wrong answers cost. Pure.

#include "base/time.hpp"

#include <cstdint>

namespace vigil::factors {

inline constexpr Seconds first_delay{30};
inline constexpr Seconds longest_delay{15 * 60};
/// Wrong answers in a row before waiting begins; then 30 s, doubling to 15 min.
inline constexpr unsigned free_failures = 5;
/// The same of one source, over all persons: an office behind one address makes mistakes, too.
inline constexpr unsigned free_failures_of_source = 20;
/// So long after the last wrong one a count begins anew. To wait for that gains a guesser nothing:
/// in as long a time he would have had 24 tries, and it gives him 10 more at once.
inline constexpr Seconds failures_memory{6 * 3600};

/// What this many wrong answers in a row cost. The first that costs anything is number `free`.
Seconds delay_after(std::int64_t failures, unsigned free = free_failures) noexcept;

/// Wrong answers that are counted together.
struct Count {
    std::int64_t failures = 0;
    WallTime last{};       ///< of the last wrong one
    WallTime not_before{}; ///< of the next answer

    bool operator==(const Count&) const = default;
};

/// What of it holds now. What lies in the future was written before the clock was turned back: the
/// wait is drawn in to what the last wrong answer cost, so that a wrong clock shuts nobody out for
/// years and lets nobody off.
Count settled(Count count, unsigned free, WallTime now) noexcept;

/// With one more, at `now`. `count` is a settled one.
Count one_more(Count count, unsigned free, WallTime now) noexcept;

/// Rounded up to whole seconds.
Seconds wait_of(const Count& count, WallTime now) noexcept;

} // namespace vigil::factors
