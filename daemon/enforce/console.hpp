#pragma once
// A session at a virtual console (tty1 to tty63) is not frozen: its console is made blind and deaf
// in the kernel, and asked for at a lock console, another one that nobody has (console_ioctl(4),
// ioctl_vt(2)). Steps that can each be the last before a crash and are all safe to repeat.
//
// Nothing here keeps a console open: the secure attention key kills whoever has the one in front
// open.

#include "daemon/enforce/lock.hpp"

namespace vigil::enforce {

/// The virtual console of a number, whether it is there or not.
Terminal console(unsigned number);

/// Number of the console that a lock would be asked for at, if one were made now. 0: this machine
/// has no virtual consoles. ENOSPC: none is free.
Result<unsigned> free_lock_console();

/// Its screen shows nothing and its keyboard gives nothing, as hold_at_console() leaves it, and as
/// no graphical program does.
bool is_shut(const Terminal& terminal);

/// A program shows graphics there or decides about switching, and no lock does: nobody could be
/// asked at it, and to stop the program would stop the switching. `scope`: as in terminals.hpp.
bool has_desktop(const Terminal& terminal, const std::string& scope);

/// Shuts the session's console and, where that one is in front, brings a lock console there. What
/// will be changed is written down by `save` first. `known`: what an earlier attempt wrote down;
/// null: nothing. EBUSY: has_desktop(). ENOSPC: no
/// console is free. After an error release_console() puts right what was begun.
Result<core::SavedTerminal> hold_at_console(const LockTarget& target, const Terminal& terminal,
                                            const core::SavedTerminal* known,
                                            const SaveTerminal& save);

/// Where the session's own console is in front, brings the lock console there. While that one is in
/// front, switching is held if `alone`, and free otherwise.
Result<> guard_console(const core::SavedTerminal& saved, bool alone);

/// Opens the session's console again and brings it to the front if its lock console is there; frees
/// the lock console. `is_own` false: the console is another session's by now, so only the latter.
/// `scope`: as in terminals.hpp; "": the session is over.
Result<> release_console(const core::SavedTerminal& saved, bool is_own,
                         const std::string& scope = {});

/// Wipes what a session that is over has left on its console, and opens it.
Result<> leave_console(const core::SavedTerminal& saved);

/// The same for a console of which nothing is written down, with a prompt at that lock console (0:
/// there is none): it comes back as at a login, and switching is free.
Result<> open_console(const Terminal& terminal, unsigned lock_console);

} // namespace vigil::enforce
