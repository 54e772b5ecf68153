#pragma once
// Holding a session at its terminals and letting it go, as steps that can each be the last before a
// crash and are all safe to repeat (lock.md). Asking for the proof is vigil-lock's half.

#include "daemon/enforce/holders.hpp"
#include "daemon/enforce/redraw.hpp"
#include "daemon/enforce/terminals.hpp"

#include <functional>
#include <optional>
#include <string>

namespace vigil::enforce {

// How a lock is not as it should be, wherever that is told.
inline constexpr const char* stops_late = "a process is in the kernel and stops as it comes back";
inline constexpr const char* stands_still = "so what runs there stands still";

struct LockTarget {
    core::SessionId session;
    uid_t owner = 0;
    std::string scope;
    pid_t leader = 0;
    std::string begun_at;                      ///< PAM_TTY
    std::vector<unsigned> other_lock_consoles; ///< numbers of those that other sessions have
};

struct LockReport {
    bool held = false;
    std::vector<core::SavedTerminal> terminals;
    std::vector<Terminal> desktops; ///< consoles that programs have: nothing of them is held
    bool is_desktop = false;        ///< and there is nothing else
    std::string detail;             ///< why not held, or what is not covered
    bool no_terminal = false;       ///< it has none, and that is proven
    /// sshd's processes beside the leader: with the end of one its connection is over, which what
    /// is frozen can keep the leader from learning.
    std::vector<pid_t> carriers;
    bool client_gone = false; ///< that has happened
    /// What an earlier look had held and this one found elsewhere. It may have read keys.
    std::vector<ForeignHolder> escaped;
};

/// Writes a terminal's old state down before it is touched (and again if it turned out different).
using SaveTerminal = std::function<Result<>(const core::SavedTerminal&)>;

/// Told of all terminals that are taken, before what uses them is frozen: the prompts can be
/// started meanwhile. Told again where more were opened since.
using TerminalsTaken = std::function<void(const std::vector<core::SavedTerminal>&)>;

/// The callbacks are for as long as hold() lasts.
struct LockRequest {
    LockTarget target;
    /// What the store already has for this session (after a crash, or with a new terminal of a
    /// locked session); those are not saved again, only taken.
    std::vector<core::SavedTerminal> saved;
    std::vector<Terminal> before; ///< that it had when it was looked at last
    SaveTerminal save;
    TerminalsTaken taken;
};

/// Several at once, because one look at all processes of the host serves them all: each stands
/// still as its turn comes, and what it has elsewhere when all do. The reports are in their order.
std::vector<LockReport> hold(std::vector<LockRequest> requests);

/// Gives terminals back, then thaws, then asks for a redraw.
Result<> release(const LockTarget& target, const std::vector<core::SavedTerminal>& saved,
                 Redraw& redraw);

} // namespace vigil::enforce
