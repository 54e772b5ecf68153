#pragma once
// Asking for a second factor: before a privileged command, and at a locked terminal.

#include "pam_module/call.hpp"

namespace vigil::pam {

/// account, in sudo and its like: the phase they run also with a cached ticket or NOPASSWD.
Outcome step_up(Call& call);

/// auth, in vigil-lock's stack.
Outcome unlock(Call& call);

} // namespace vigil::pam
