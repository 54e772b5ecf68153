#pragma once
// The terminals of a session: found by looking at its processes (logind and utmp do not know them),
// read, written, taken and given back (tty_ioctl(4), termios(3)).

#include "daemon/core/records.hpp"

#include <algorithm>
#include <optional>

namespace vigil::enforce {

struct Terminal {
    std::string path;         ///< "/dev/pts/3", "/dev/tty1"; below /dev, checked against the device
    std::uint64_t device = 0; ///< st_rdev, and tty_nr of /proc/PID/stat

    bool operator==(const Terminal&) const = default;
};

/// nullptr: it is none of them.
inline const Terminal* find(const std::vector<Terminal>& terminals, std::uint64_t device) noexcept {
    const auto found = std::ranges::find(terminals, device, &Terminal::device);
    return found == terminals.end() ? nullptr : &*found;
}

/// Whose terminals are looked for. A program can let its own go and keep its keys (TIOCNOTTY,
/// ioctl_tty(2)), so two kinds a session has for as long as it has its leader.
struct Whose {
    std::string scope; ///< "": it has none, and its leader's children alone are looked at
    pid_t leader = 0;
    /// PAM_TTY. Where it names a line, which is none below /dev/pts, that is the session's whatever
    /// its programs say that they have.
    std::string begun_at = {};
    std::vector<Terminal> shut = {}; ///< its consoles that are asked for at lock consoles
};

/// The OUTER terminals: those whose master is held by the session's sshd (tty-index in the fdinfo
/// of its ptmx descriptors), or a console that processes of the session have as theirs. A pane of
/// tmux is none.
Result<std::vector<Terminal>> find_terminals(const Whose& whose);

struct FoundTerminals {
    std::vector<Terminal> terminals;
    bool has_leader = false; ///< it was among those that were looked through
};

/// The same, with what finding none is worth. An error: some of it could not be looked at.
Result<FoundTerminals> look_for_terminals(const Whose& whose);

/// Those of `saved` that are asked for at lock consoles.
std::vector<Terminal> shut_among(const std::vector<core::SavedTerminal>& saved);

/// Who has terminals as theirs, as the masters tell (TIOCGSID, ioctl_tty(2)).
struct Controlling {
    std::vector<pid_t> sessions;  ///< in the sense of setsid(2)
    std::vector<Terminal> untold; ///< the master is there, and could not be asked
    std::vector<Terminal> closed; ///< no master is there: its number may be anybody's by now
};

/// Of these terminals, by the masters that `carriers` have.
Result<Controlling> controlling_sessions(const std::vector<pid_t>& carriers,
                                         const std::vector<Terminal>& terminals);

// `scope` is that of the terminal's session: where a program has the terminal to itself (TIOCEXCL),
// it is opened with the help of those in there; EBUSY if none of them has it open. That it was the
// program's own is not written down, so it does not come back with the rest.

/// Settings and ownership of the terminal as they are now. `owner`: whose it is where it is taken,
/// and so root's; who makes wait at one of his is not waited for at each.
Result<core::SavedTerminal> save(const core::SessionId& session, const Terminal& terminal,
                                 const std::string& scope, uid_t owner = 0);

/// Whether its node looks as take() leaves it.
bool is_taken(const core::SavedTerminal& terminal) noexcept;

/// Whether all of it looks as take() leaves a terminal that was like `before`. take() can end after
/// each of its steps, where its helper ends.
bool is_taken_from(const core::SavedTerminal& terminal, const core::SavedTerminal& before) noexcept;

/// Nothing typed there is echoed, edited or a signal: as take() and the prompt set it, and few
/// programs.
bool is_silent(const core::SavedTerminal& terminal) noexcept;

/// What a user's terminal is like at a login, in place of what was lost.
core::SavedTerminal as_new(core::SavedTerminal terminal, uid_t owner);

/// Raw without ISIG, echo off, the output started; the node becomes root:tty 0600 so that nobody
/// new opens it.
Result<> take(const core::SavedTerminal& terminal, const std::string& scope);

/// After the freeze, with the output started again: if the settings are not those take() set, the
/// application changed them in between; returns the settings to give back instead, and takes the
/// terminal again.
Result<std::optional<std::string>> retake(const core::SavedTerminal& terminal,
                                          const std::string& scope);

/// Flushes what was typed ahead, takes the prompt's screen down, restores settings and node. A
/// terminal that is gone is no error. It has to be known to be the session's still.
Result<> give_back(const core::SavedTerminal& terminal, const std::string& scope);

/// Its settings alone, for a program that is killed and cannot; a terminal that is gone is no
/// error.
Result<> set_back(const core::SavedTerminal& terminal, const std::string& scope);

/// The session is over: a line that outlives it (a serial one) is as new and root's, if it is as
/// take() left it. One below /dev/pts went with its session, and whoever has its number by now has
/// it to himself.
Result<> leave(const core::SavedTerminal& terminal);

/// Whether a program there places all that it writes, and takes the whole screen or passes on what
/// another one draws, by the settings: the newline's carriage return is off, which no shell at its
/// prompt does. Not all such programs turn it off. false: it cannot be opened, too.
bool is_drawn_on(const Terminal& terminal, const std::string& scope);

/// Writes a line from vigil without ever blocking; escapes it. What does not fit is lost, not
/// waited for. `leaves`: the session ends, so a full-screen program's screen is left first.
Result<> say(const Terminal& terminal, const std::string& line, bool leaves = false);

/// How coarse a terminal's atime is: the kernel blurs it, so that it tells nothing of passwords.
inline constexpr Seconds input_step{8};

/// The last moment input can have been read, from atime: it moves in steps of 8 s, so the end of
/// the step is returned, never later than `now`.
BootTime latest_input(const Terminal& terminal, const Now& now);

} // namespace vigil::enforce
