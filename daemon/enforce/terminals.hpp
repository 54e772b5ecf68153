#pragma once
// The terminals of a session: found by looking at its processes (logind and utmp do not know them),
// read, written, taken and given back (tty_ioctl(4), termios(3)).

#include "daemon/core/records.hpp"

namespace vigil::enforce {

struct Terminal {
    std::string path;         ///< "/dev/pts/3", "/dev/tty1"; below /dev, checked against the device
    std::uint64_t device = 0; ///< st_rdev, and tty_nr of /proc/PID/stat

    bool operator==(const Terminal&) const = default;
};

/// The OUTER terminals: those whose master is held by the session's sshd (tty-index in the fdinfo
/// of its ptmx descriptors), or a console that processes of the session have as theirs. A pane of
/// tmux is none. `leader` is the session's leader;
/// without a scope ("") its children alone are looked at.
Result<std::vector<Terminal>> find_terminals(const std::string& scope, pid_t leader);

/// Settings and ownership of the terminal as they are now.
Result<core::SavedTerminal> save(const core::SessionId& session, const Terminal& terminal);

/// Whether it looks as take() leaves it.
bool is_taken(const core::SavedTerminal& terminal) noexcept;

/// What a user's terminal is like at a login, in place of what was lost.
core::SavedTerminal as_new(core::SavedTerminal terminal, uid_t owner);

/// Raw without ISIG, echo off; the node becomes root:tty 0600 so that nobody new opens it.
Result<> take(const core::SavedTerminal& terminal);

/// After the freeze: if the settings are not those take() set, the application changed them in
/// between; returns the settings to give back instead, and takes the terminal again.
Result<std::optional<std::string>> retake(const core::SavedTerminal& terminal);

/// Flushes what was typed ahead, takes the prompt's screen down, restores settings and node. A
/// terminal that is gone is no error.
Result<> give_back(const core::SavedTerminal& terminal);

/// Writes a line from vigil without ever blocking; escapes it. What does not fit is lost, not
/// waited for. `last`: the session ends, so a full-screen program's screen is left first.
Result<> say(const Terminal& terminal, const std::string& line, bool last = false);

/// How coarse a terminal's atime is: the kernel blurs it, so that it tells nothing of passwords.
inline constexpr Seconds input_step{8};

/// The last moment input can have been read, from atime: it moves in steps of 8 s, so the end of
/// the step is returned, never later than `now`.
BootTime latest_input(const Terminal& terminal, const Now& now);

} // namespace vigil::enforce
