#pragma once
// Who uses a session's terminals: the processes that its lock has to hold, and those outside of it
// that could read its keys all the same.

#include "daemon/enforce/descriptors.hpp"

#include <unordered_map>

namespace vigil::enforce {

/// Looks, pass after pass, for the processes that would read a lock's keys or run on behind it:
/// - of the session: those with one of the terminals as their controlling terminal or open under
///   any descriptor, and those with more descriptors than a look has time for; never the leader,
///   nor sshd's own processes, which carry the bytes;
/// - elsewhere: those with one of the terminals as their controlling terminal. They are jobs of
/// that
///   terminal which left the session's scope (systemd-run --scope), whoever runs them.
/// One that is elsewhere and only has a terminal open is not held, because it may serve another
/// session too (a tmux server): it is a ForeignHolder.
class UserSearch {
public:
    UserSearch(std::string scope, pid_t leader, std::vector<Terminal> terminals);

    /// Those that are there now, without those in `held` (sorted). A scope that is gone has none.
    Result<std::vector<pid_t>> look(const std::vector<pid_t>& held);

private:
    bool has_terminal(pid_t session);

    const std::string scope_;
    const pid_t leader_;
    const std::vector<Terminal> terminals_;
    Budget budget_;
    /// By session leader, whether its terminal is one of ours. A session cannot get a terminal that
    /// is another's, so one look at each is enough.
    std::unordered_map<pid_t, bool> sessions_;
};

struct ForeignHolder {
    pid_t pid = 0;
    std::string command;
    uid_t uid = 0;
    std::string path; ///< "": it could not be looked through, and may have any
};

/// The most that are told; those beyond change nothing.
inline constexpr std::size_t max_holders = 16;

/// Processes outside the session that have one of the terminals open. `owner` is the session's
/// user.
///
/// Only the owner and root can open the terminal's node. The processes with the owner's uid (real,
/// effective or saved) are therefore looked through, and one that there is no time for is told too:
/// who hides a reader behind a heap of descriptors loses the password for his own session. root's
/// are left out: root is outside the promise. To another user a descriptor can only be passed by
/// the owner's own doing, as to the server of a shared tmux; such are looked for, but never at the
/// cost of others: what is hidden from that look is not told. Who hands his terminal to a program
/// that hides has it drawing lock screens too.
std::vector<ForeignHolder> foreign_holders(const std::string& scope, uid_t owner,
                                           const std::vector<Terminal>& terminals);

} // namespace vigil::enforce
