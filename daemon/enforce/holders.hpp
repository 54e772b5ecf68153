#pragma once
// Who could read the keys of a session's terminals from outside of it.

#include "daemon/enforce/terminals.hpp"

#include <optional>

#include <sys/types.h>

namespace vigil::enforce {

struct ForeignHolder {
    pid_t pid = 0;
    std::string command;
    uid_t uid = 0;
    std::string path;     ///< "": it could not be looked through, and may have any
    bool escaped = false; ///< it was held, and somebody took it out of the lock
};

/// A process that the lock had held and that was found elsewhere.
ForeignHolder escaped_holder(pid_t pid);

/// The most that are told of a session; those beyond change nothing.
inline constexpr std::size_t max_holders = 16;

/// The session that is asked about. `owner` is its user.
struct HolderQuestion {
    std::string scope;
    uid_t owner = 0;
    std::vector<Terminal> terminals;
};

/// Those of one session. nullopt: with what its user has in the other sessions that were asked
/// about there was no time for all of it; asked about alone it always has an answer.
using Holders = std::optional<std::vector<ForeignHolder>>;

/// For each of these sessions, in their order, the processes outside of it that have one of its
/// terminals open. One look at all processes, since that is what takes the time. Each user's cost
/// has a bound, so that whoever asks bounds their number.
///
/// Only the owner and root can open a terminal's node. The processes with an owner's uid (real,
/// effective or saved) are therefore looked through, and one that there is no time for is told too:
/// who hides a reader behind a heap of descriptors loses the password for his own session. root's
/// are left out: root is outside the promise. To another user a descriptor can only be passed by
/// the owner's own doing, as to the server of a shared tmux; such are looked for, but never at the
/// cost of others: what is hidden from that look is not told. Who hands his terminal to a program
/// that hides has it drawing lock screens too.
std::vector<Holders> foreign_holders(const std::vector<HolderQuestion>& questions);

} // namespace vigil::enforce
