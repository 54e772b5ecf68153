#pragma once
// Whether this process may do what a lock takes, tried without changing anything. Asked of vigild,
// because it is confined by its unit and nobody else is confined just so.

#include "base/error.hpp"

namespace vigil::enforce {

/// EROFS, EACCES: its unit or the container does not let it; ENOENT: no hierarchy.
Result<> can_write_cgroups();

/// pidfd_open(2) and pidfd_getfd(2), at PID 1, which is nobody's child. ENOSYS, EPERM.
Result<> can_fetch_descriptors();

} // namespace vigil::enforce
