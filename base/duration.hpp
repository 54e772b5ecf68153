#pragma once

#include "base/time.hpp"

#include <string>

namespace vigil::base {

/// "15 min", "1 h 30 min", "20 s". Rounded up to seconds.
std::string duration_text(Microseconds duration);

} // namespace vigil::base
