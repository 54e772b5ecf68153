#pragma once
// What a lock has paused and what goes on behind it, for the person who comes back to it.

#include "base/process.hpp"
#include "base/time.hpp"

#include <cstdint>
#include <string>
#include <vector>

#include <sys/types.h>

namespace vigil::enforce {

/// More processes than these are not looked at.
inline constexpr std::size_t max_paused_looked = 256;

struct PausedProgram {
    std::string name; ///< as the kernel has it, unescaped
    Microseconds ran{0};

    bool operator==(const PausedProgram&) const = default;
};

/// Of the kernel's 15 bytes each may have to be written as four.
inline constexpr std::size_t max_program_name_bytes = 64;

/// "make, 2 h 10 min": from a minute on without the seconds.
std::string text_of(const PausedProgram& program);

/// Of a session's scope, read once for all that is told of them. Empty where there is none.
struct LockedProcesses {
    std::vector<pid_t> all;
    std::vector<pid_t> held; ///< those in its frozen part
    pid_t leader = 0;
};

LockedProcesses processes_under_lock(const std::string& scope, pid_t leader);

/// One for each job that is frozen: the process that leads it, or the oldest that is left of it.
/// The one in the foreground first, then the longest. Without the shells that the sessions of
/// terminals began with, or login at a console, and without `asker`: the vigilctl that locked its
/// own session is no work of anybody's. Empty where nothing is frozen.
std::vector<PausedProgram> paused_programs(const LockedProcesses& processes, BootTime locked_since,
                                           const base::Process& asker = {});

/// The names of those of the session's jobs that are not frozen: what runs behind tmux, or at no
/// terminal. In the same order. Without the leader and what of sshd's carries the connection.
std::vector<std::string> programs_going_on(const LockedProcesses& processes);

/// Of a terminal at which all is frozen.
struct TerminalJobs {
    pid_t shell = 0;      ///< leads the session that has it; 0: not found
    pid_t foreground = 0; ///< leads the process group in its foreground
};

TerminalJobs jobs_at(const LockedProcesses& processes, std::uint64_t device);

} // namespace vigil::enforce
