#pragma once
// The connection of a session that came over ssh: which processes carry its bytes, and whether they
// could bring in more under a lock.

#include "base/error.hpp"

#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace vigil::enforce {

/// Whether the leader is sshd, whose connection can open more channels.
bool is_sshd(pid_t leader);

/// The leader and, if that is sshd, those children of it that run the very same file: they carry
/// the bytes and must go on. Only direct children: any user may start an sshd of his own further
/// below. Wherever they are: another session of the user's can have PID 1 move them. Empty if the
/// leader is not among `processes`, the scope's, sorted.
std::vector<pid_t> carriers_of(const std::vector<pid_t>& processes, pid_t leader);

/// Those of `held` that sshd had started and that have not become the shell yet, while the sshd
/// that did has ended: its connection is over. They hold its descriptors open, so that the leader,
/// which waits for these to close, does not learn of it.
bool left_by_sshd(const std::vector<pid_t>& processes, const std::vector<pid_t>& held,
                  pid_t leader);

/// Of a login without a scope: those that could carry its bytes, sorted.
Result<std::vector<pid_t>> leader_and_children(pid_t leader);

/// From here on no channel brings in a process; where that cannot be had, what it brings is held as
/// it is found. Nothing is done where the leader is not sshd. Undone by thaw() (scope.hpp).
Result<> seal(const std::string& scope, pid_t leader);

/// How the connection of a held session could bring in processes all the same; nullopt: it has
/// none, or nothing can be started over it. Also true where its processes were sealed in and
/// another login of the user's had PID 1 move them out.
std::optional<std::string> how_unsealed(const std::string& scope, pid_t leader);

/// What is to be known of a lock whose session has lost its last terminal, and the way on.
std::string without_terminal(const std::string& scope, pid_t leader);

} // namespace vigil::enforce
