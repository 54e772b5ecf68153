#pragma once
// How much a session has worked (cgroups(7), tcp(7)), and what runs in one that has no terminal.

#include "daemon/core/records.hpp"
#include "daemon/enforce/moved.hpp"

namespace vigil::enforce {

/// The looks below have these bounds, because users start as many processes as they like.
inline constexpr std::size_t max_classified = 256;
inline constexpr std::size_t max_leader_descriptors = 256;

/// Processor time of the scope from its cpu.stat, which is there without the cpu controller too,
/// the bytes of the connection that its sshd holds, and what its programs, which are `user`'s, have
/// read and written. Each is nullopt where it cannot be read. `kept`: see MovedReader::read().
core::WorkDone read_work(const std::string& scope, pid_t leader, uid_t user, MovedReader& reader,
                         Microseconds kept = Microseconds{0});

/// usage_usec of cpu.stat: all processes of the cgroup and below, those that ended too.
Result<Microseconds> processor_time(const std::string& scope);

/// Bytes received, and sent and acknowledged, by the first TCP connection of the process; 0 if it
/// has none. The socket is looked at through a copy of the descriptor (pidfd_getfd(2)), so it may
/// be in a network namespace that is not ours.
Result<std::uint64_t> connection_bytes(pid_t process);

/// By the names that the kernel has of the programs, which their owners can change: a hint for
/// people's rules, and no boundary.
/// - forward: nothing but sshd's own processes;
/// - transfer: sftp-server, sshd's own sftp, scp, rsync, git-upload-pack, git-receive-pack or
///   git-upload-archive, with nothing beside what started it and what it started;
/// - command: anything else, also more than `max_classified` processes.
/// ENOENT: the scope is gone, ESRCH: its leader is.
Result<policy::SessionClass> classify(const std::string& scope, pid_t leader);

} // namespace vigil::enforce
