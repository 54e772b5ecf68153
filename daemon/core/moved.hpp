#pragma once
// What a session's programs have read and written between two looks at them.

#include "daemon/core/records.hpp"

namespace vigil::core {

/// The kernel adds what a process has moved to the count of its parent as that waits for it, and
/// forgets it where nobody of the session does. So what had ended by the second look is taken out
/// of the nearest ancestor's count if it has come in there, and else counts with all that it had
/// moved: of how much it moved before its end nothing is known. Both sorted by pid.
std::uint64_t moved_between(const std::vector<ProcessBytes>& before,
                            const std::vector<ProcessBytes>& now);

} // namespace vigil::core
