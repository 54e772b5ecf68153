#pragma once
#include "base/time.hpp"

namespace vigil::base {

/// Reads CLOCK_BOOTTIME, CLOCK_REALTIME and the local offset. Cannot fail on Linux.
Now read_clocks() noexcept;

/// CLOCK_BOOTTIME alone, for callers that need no date.
BootTime read_boot_time() noexcept;

} // namespace vigil::base
