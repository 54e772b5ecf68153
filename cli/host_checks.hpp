#pragma once
// What `vigilctl doctor` looks at by itself, so that it is told without vigild too: the kernel, PID
// 1's drop-in, the files that a lock needs, and sshd, which alone is asked, and waited for for
// seconds at the most.

#include "base/error.hpp"
#include "cli/findings.hpp"

namespace vigil::cli {

struct Context;

/// A line each, in the order they are shown. A further check is a line of the table there.
std::vector<Finding> check_host();

/// All that `vigilctl doctor` shows.
std::vector<Finding> findings_of_host(const Context& context);

/// What an unfinished rekey has left, in a line; "": nothing. EACCES: for root alone to see.
Result<std::string> left_by_rekey();

} // namespace vigil::cli
