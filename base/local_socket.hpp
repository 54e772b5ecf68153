#pragma once
// Connecting to a local socket within a deadline.

#include "base/error.hpp"
#include "base/time.hpp"
#include "base/unique_fd.hpp"

namespace vigil::base {

/// What is left of the deadline; zero if it is over.
Microseconds time_until(BootTime deadline) noexcept;

/// A stream to the socket at `path`, blocking, and none of the standard descriptors. `deadline`: on
/// CLOCK_BOOTTIME. Errors: ENOENT, ECONNREFUSED, ETIMEDOUT, ENAMETOOLONG, EMFILE and kin.
Result<UniqueFd> connect_socket(const char* path, BootTime deadline);

} // namespace vigil::base
