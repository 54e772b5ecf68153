#pragma once
// Children that do what could make their parent wait for ever (fork(2), prctl(2)).

#include "base/time.hpp"

#include <sys/types.h>

namespace vigil::base {

/// In a new child: it goes with its parent, has this name (15 bytes), and keeps nothing open but
/// the standard descriptors and this one, whose new number is returned. It may be there for long,
/// and a connection is over only when all have closed it. It ends if that cannot be had, or if the
/// parent has gone already. `parent`: its pid, from before the fork.
int begin_child(pid_t parent, int kept, const char* name) noexcept;

/// false: nothing came in that time, nor the other end's close.
bool is_readable_within(int fd, Microseconds patience) noexcept;

} // namespace vigil::base
