#pragma once
// What `vigilctl doctor` looks at by itself, so that it is told without vigild too: the kernel, PID
// 1's drop-in and the files that a lock needs. Nothing here waits for anybody.

#include "cli/findings.hpp"

namespace vigil::cli {

/// A line each, in the order they are shown. A further check is a line of the table there.
std::vector<Finding> check_host();

} // namespace vigil::cli
