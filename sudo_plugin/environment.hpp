#pragma once
// The environment that a command of sudo's gets.

#include "sudo_plugin/command.hpp"
#include "sudo_plugin/path_walk.hpp"

namespace vigil::sudo {

/// Nothing in it makes another program of the command: no more than what sudo by itself sets or
/// keeps (sudoers(5): env_reset), and of that nothing that leads to what another than root can
/// write. With SETENV, which sudoers gives with ALL, and with `sudo -E` a user sets what he wants:
/// LD_PRELOAD. `walker`: from "/".
bool is_roots_environment(const Told& told, Walker& walker);

} // namespace vigil::sudo
