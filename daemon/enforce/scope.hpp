#pragma once
// Holding part of a session's scope still. Paths are those of base/cgroup.hpp.

#include "base/cgroup.hpp"
#include "base/time.hpp"

#include <optional>

namespace vigil::enforce {

/// The child that holds what is frozen. systemd keeps its hands off it (Delegate=yes).
inline constexpr const char* frozen_child = "vigil-lock";
/// Those that a sealed connection has besides: sshd's own processes, and what runs on meanwhile. A
/// limit cannot be put on the scope itself, where it would stop the work behind tmux too.
inline constexpr const char* connection_child = "vigil-connection";
inline constexpr const char* work_child = "vigil-work";

/// Makes the child cgroup. No error if it is there.
Result<> make_frozen_child(const std::string& scope);

/// Moves one process into the child. ESRCH (it ended meanwhile) is no error.
Result<> move_to_frozen(const std::string& scope, pid_t pid);

/// Writes cgroup.freeze and waits, at most `patience`, until cgroup.events says so. false: some
/// process is in the kernel (state D, or waiting for a processor) and stops as it comes back;
/// nothing of it runs meanwhile, but a key that comes first is its: vigil-lock waits for it.
Result<bool> freeze(const std::string& scope, Microseconds patience);

/// Keeps a connection from bringing in new processes under a lock: `carriers`, wherever they are,
/// go into a child where nothing can be started (pids.max 0), and whatever else runs in the scope's
/// own cgroup into another, without a limit. false: there is no pids controller, or processes come
/// faster than they can be moved. Idempotent; undone by thaw().
Result<bool> seal_connection(const std::string& scope, const std::vector<pid_t>& carriers);

/// Thaws, moves everything back into the scope, removes the children. ENOENT is no error.
Result<> thaw(const std::string& scope);

/// cgroup.kill on the child, and thaws what is left of it so that it can die; a sealed connection
/// may start processes again, for what closes the session. ENOENT is no error.
Result<> kill_frozen(const std::string& scope);

/// cgroup.kill on the child alone, which stays frozen for what comes into it next, as a sealed
/// connection stays sealed. ENOENT is no error.
Result<> kill_held(const std::string& scope);

/// cgroup.kill on the scope and all below it. ENOENT is no error.
Result<> kill_scope(const std::string& scope);

/// The scope is gone or holds nothing.
bool is_gone(const std::string& scope);

bool is_frozen(const std::string& scope);

/// The scopes of this host that have such a child, root's own: any user may give a cgroup of his
/// its name. ENOENT where there is no v2 hierarchy.
Result<std::vector<std::string>> held_scopes();

/// Whether all that is in the child stands still by now.
bool is_at_rest(const std::string& scope);

/// Names of the units of the user's own manager that have processes, at most `most`: they are
/// outside of every session, and live on after the last where the user lingers.
std::vector<std::string> user_units(uid_t user, std::size_t most);

/// Leaves a mark on the scope that somebody thawed it by hand, and when. It goes with the scope,
/// and only root can make one.
Result<> mark_thawed(const std::string& scope, BootTime when);

/// When it was thawed by hand last; nullopt: never.
std::optional<BootTime> thawed_by_hand(const std::string& scope);

} // namespace vigil::enforce
