#pragma once
// The way back without vigild, a bus or a store: what a lock holds is found in the kernel and given
// back. What needs the store (a terminal's own settings) comes back as at a login instead.

#include "base/error.hpp"

#include <string>
#include <vector>

namespace vigil::rescue {

/// What came of one held session.
struct Thawed {
    std::string scope;                  ///< cgroup path
    std::string logind_session;         ///< "" where the scope is none of logind's
    std::string user;                   ///< "" where logind does not know it any more
    std::vector<std::string> terminals; ///< given back: "/dev/pts/3"
    std::size_t processes = 0;          ///< that stood still
    bool thawed = false;
    std::vector<std::string> troubles; ///< what did not work, a line each

    std::string name() const; ///< "session 3 of alice"
};

/// "3" of ".../session-3.scope"; "" for any other.
std::string logind_session_in(const std::string& scope);

/// Whether a vigild runs, by its unit's cgroup: asking it would start one. ENODATA: there is no
/// cgroup v2 hierarchy, so nobody can tell.
Result<bool> vigild_runs();

/// Thaws every session that a lock of vigil's holds; each is told to the journal. For root.
/// A vigild that comes later, or runs, takes it for an operator's unlock (enforce::mark_thawed()).
/// Other ways to hold a session get a function of their own beside this one.
Result<std::vector<Thawed>> thaw_sessions();

} // namespace vigil::rescue
