#pragma once
// The cgroups of elevated sessions: each is one of its own in its login's scope, or in another's.
// Under a lock what stands still of it is in a part of the same name within the frozen child.

#include "base/cgroup.hpp"
#include "base/time.hpp"
#include "daemon/enforce/moved.hpp"
#include "daemon/enforce/terminals.hpp"

namespace vigil::enforce {

/// The elevated sessions that a cgroup of the scope is in, as what follows the scope or the frozen
/// child: "/vigil-elevated-ID/vigil-elevated-ID". "": in none.
std::string elevated_part(const std::string& scope, const std::string& cgroup);

/// How many those are.
std::size_t elevated_depth(const std::string& part) noexcept;

/// All there are below a cgroup, each behind the one that it is in, as elevated_part() has them.
std::vector<std::string> elevated_below(const std::string& cgroup);

/// Makes those of `part` below a cgroup. No error if they are there.
Result<> make_elevated(const std::string& cgroup, const std::string& part);

/// Makes the cgroup and moves the process in. ESRCH (it ended meanwhile) is no error.
Result<> hold_elevated(const std::string& cgroup, const base::Process& process);

/// Neither in its cgroup nor in its part of the frozen child runs anything.
bool is_elevated_gone(const std::string& cgroup);

/// SIGTERM, SIGHUP and SIGCONT to all that is in it but to its front.
void signal_elevated(const std::string& cgroup, const std::optional<base::Process>& front);

/// SIGKILL to all that is in it, frozen or not. The front is let out first.
Result<> kill_elevated(const std::string& cgroup, const std::optional<base::Process>& front);

/// Removes what is empty. ENOENT is no error.
Result<> remove_elevated(const std::string& cgroup);

/// sudo, su and doas wait for what they have started, and give its terminal back: such a one is
/// spared and ends by itself. pkexec becomes what it starts. nullopt also where it has ended, or
/// where there is nobody that it could wait for.
std::optional<base::Process> front_of(const core::SessionRecord& record);

/// The terminal of the process that opened it. nullopt: it has none, or has ended.
std::optional<Terminal> elevated_terminal(const core::SessionRecord& record);

/// Whether what the terminal's foreground is belongs to it.
bool is_in_foreground(const core::SessionRecord& record);

/// As read_work() for a session, of what is in its cgroup.
core::WorkDone read_elevated_work(const core::SessionRecord& record, MovedReader& reader);

} // namespace vigil::enforce
