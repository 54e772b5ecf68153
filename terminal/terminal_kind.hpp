#pragma once
// Whether a terminal takes escape sequences, by what the programs at it were told (environ(7),
// TERM). That is the user's own word, and decides how his own lock screen looks, nothing else.

#include <string_view>

#include <sys/types.h>

namespace vigil::terminal {

/// Who has the word; 0: nobody. `shell` leads the session at the terminal and was told by whoever
/// made the terminal, as sshd by the client. `foreground` may know better.
struct TerminalUsers {
    pid_t shell = 0;
    pid_t foreground = 0;
};

/// Only where all that say something say "dumb": on such a terminal nothing can be hidden. Looked
/// up by a process of its own that is given up after 100 ms, because the kernel may make whoever
/// reads an environment wait for the program that it belongs to.
bool is_dumb(const TerminalUsers& users);

/// TERM in the contents of /proc/PID/environ; "": it is not there.
std::string_view term_of(std::string_view environment) noexcept;

} // namespace vigil::terminal
