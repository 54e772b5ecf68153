#pragma once
// The test's process at a console, or at a terminal that is none.

#include <string>

namespace vigil::test {

/// This process has no controlling terminal any more.
void leave_the_terminal();

/// Makes a new terminal the controlling one of this process. `console`: it stands at /dev/console,
/// as a container's does, in a mount namespace of this process. Its name, as PAM_TTY has it.
/// Each test is a process of its own, so nothing has to be put back.
std::string sit_down_at_a_terminal(bool console);

} // namespace vigil::test
