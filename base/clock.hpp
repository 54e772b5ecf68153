#pragma once
#include "base/time.hpp"

namespace vigil::base {

/// Reads CLOCK_BOOTTIME, CLOCK_REALTIME and the local offset. Cannot fail on Linux.
Now read_clocks() noexcept;

/// CLOCK_BOOTTIME alone, for callers that need no date.
BootTime read_boot_time() noexcept;

/// As poll(2) takes it: rounded up, since it may not return before; 0 once it is over.
int milliseconds_until(BootTime deadline) noexcept;

} // namespace vigil::base
