#pragma once
// Programs that make a terminal of their own and show it at another one: sudo, script, tmux.

#include <vector>

#include <sys/types.h>

namespace vigil::cli {

/// A terminal, and a process that has it as its controlling terminal.
struct Place {
    dev_t terminal = 0;
    pid_t process = 0; ///< 0: this one
};

struct Relay {
    std::vector<dev_t> made;   ///< the terminals it made
    std::vector<Place> places; ///< where it shows them; none: nowhere, as a detached tmux
};

/// Those that may be looked at: the caller's own, and for root all. Programs that are not known by
/// name, screen among them, are none. (proc(5))
std::vector<Relay> read_relays();

} // namespace vigil::cli
