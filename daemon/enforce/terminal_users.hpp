#pragma once
// Who uses a session's terminals: the processes that its lock has to hold.

#include "daemon/enforce/descriptors.hpp"

#include <optional>
#include <set>
#include <unordered_map>

namespace vigil::enforce {

/// Looks, pass after pass, for the processes that would read a lock's keys or run on behind it:
/// - of the session: those with one of the terminals as their controlling terminal or open under
///   any descriptor, and those with more descriptors than a look has time for; never the leader,
///   nor sshd's own processes, which carry the bytes;
/// - elsewhere: those with one of the terminals as their controlling terminal. They are jobs of it
///   that left the session's scope (systemd-run --scope), whoever runs them.
/// One that is elsewhere and only has a terminal open is not held, because it may serve another
/// session too (a tmux server): it is a ForeignHolder.
class UserSearch {
public:
    UserSearch(std::string scope, pid_t leader, std::vector<Terminal> terminals);

    /// Those of the session that are there now, without those in `held` (sorted). A scope that is
    /// gone has none.
    Result<std::vector<pid_t>> look(const std::vector<pid_t>& held);

    /// Those elsewhere, of each of the searches behind a look() of its own: takes as long as there
    /// are processes on the host, and hardly longer for many searches than for one. What one cannot
    /// look at is its error alone.
    static std::vector<Result<std::vector<pid_t>>>
    look_elsewhere(const std::vector<UserSearch*>& searches);

    /// Of all that were found, those that were elsewhere.
    const std::set<pid_t>& elsewhere() const noexcept { return elsewhere_; }

private:
    void look_inside(const std::vector<pid_t>& loose, std::vector<pid_t>& users);
    bool is_held(const base::ProcessStat& stat) const;
    bool is_job(pid_t pid, pid_t session);
    /// Which of ours it is, by its device; 0: none.
    std::uint64_t terminal_of_session(pid_t session);
    bool has_untold(pid_t session);
    Result<> ask_masters();

    const std::string scope_;
    const pid_t leader_;
    const std::vector<Terminal> terminals_;
    Budget budget_;
    Fetcher fetcher_;
    // By the last look():
    bool is_gone_ = false;
    std::vector<pid_t> inside_; ///< sorted
    std::vector<pid_t> carriers_;
    Controlling controlling_; ///< by the last look_elsewhere()
    /// By session leader, which of ours is its terminal; 0: none. A session cannot get a terminal
    /// that is another's, so one look at each is enough.
    std::unordered_map<pid_t, std::uint64_t> sessions_;
    std::set<pid_t> elsewhere_;
};

} // namespace vigil::enforce
