#pragma once
// Holding a session at its terminals and letting it go, as steps that can each be the last before a
// crash and are all safe to repeat (lock.md). Asking for the proof is vigil-lock's half.

#include "daemon/enforce/redraw.hpp"
#include "daemon/enforce/terminals.hpp"

#include <functional>

namespace vigil::enforce {

struct LockTarget {
    core::SessionId session;
    uid_t owner = 0;
    std::string scope;
    pid_t leader = 0;
    std::vector<unsigned> other_lock_consoles; ///< numbers of those that other sessions have
};

struct LockReport {
    bool held = false;
    std::vector<core::SavedTerminal> terminals;
    std::string detail; ///< why not held, or what is not covered
    /// sshd's processes beside the leader: with the end of one its connection is over, which what
    /// is frozen can keep the leader from learning.
    std::vector<pid_t> carriers;
    bool client_gone = false; ///< that has happened
};

/// Writes a terminal's old state down before it is touched (and again if it turned out different).
using SaveTerminal = std::function<Result<>(const core::SavedTerminal&)>;

/// `saved`: what the store already has for this session (after a crash, or with a new terminal of a
/// locked session); those are not saved again, only taken.
LockReport hold(const LockTarget& target, const std::vector<core::SavedTerminal>& saved,
                const SaveTerminal& save);

/// Gives terminals back, then thaws, then asks for a redraw.
Result<> release(const LockTarget& target, const std::vector<core::SavedTerminal>& saved,
                 Redraw& redraw);

} // namespace vigil::enforce
