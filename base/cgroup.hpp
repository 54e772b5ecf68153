#pragma once
// Cgroups as files (cgroups(7)). Paths are as in /proc/PID/cgroup
// ("/user.slice/user-1000.slice/session-1.scope"), opened below where cgroup v2 is mounted.
// Nothing here remembers anything: every call looks.

#include "base/error.hpp"
#include "base/process.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace vigil::base {

/// A deeper tree below a scope is nobody's.
inline constexpr int max_cgroup_depth = 16;

/// Where the v2 hierarchy is, or should be.
const char* cgroup_root() noexcept;
bool has_cgroup2() noexcept;

/// The folder of a cgroup. EINVAL for what is no path of one below the root: the root itself is
/// never ours to touch.
Result<std::string> cgroup_directory(const std::string& cgroup);

/// Gone: one that is removed answers ENODEV to those who have its files open.
bool is_missing(const Error& error) noexcept;

/// Whether a word is among others: "pids" in the text of cgroup.controllers.
bool has_part(std::string_view text, std::string_view part, const char* separators) noexcept;

/// Names of the folders in one. ENOENT: it is gone.
Result<std::vector<std::string>> folders_in(const std::string& directory);

/// The cgroup of a process, without the mount point. ENODATA where there is no v2 hierarchy.
Result<std::string> cgroup_of(pid_t pid);

/// The same of what runs of it: a first thread that has ended stays where it was when the others
/// are moved.
Result<std::string> running_cgroup_of(pid_t pid);

/// Whether a cgroup is another one or below it; none is within "".
bool is_within(const std::string& cgroup, const std::string& other);

/// Whether what runs of a process is in the cgroup or below it; false where that cannot be told.
bool is_in_cgroup(pid_t pid, const std::string& cgroup);

/// Every process in the scope and below it, at the time of the look. ENOENT: the scope is gone.
Result<std::vector<pid_t>> processes_in(const std::string& scope);

/// Those that are in the cgroup itself, and not below it.
Result<std::vector<pid_t>> own_processes(const std::string& cgroup);

/// Threads in the cgroup itself. Of a process whose first thread has ended nothing else is listed.
Result<std::vector<pid_t>> own_threads(const std::string& cgroup);

/// Names of the cgroups right below it.
Result<std::vector<std::string>> children_of(const std::string& cgroup);

/// A file of the cgroup's, whole. ENOENT or ENODEV: the cgroup is gone.
Result<std::string> read_cgroup_file(const std::string& cgroup, const char* file);

Result<> write_cgroup_file(const std::string& cgroup, const char* file, std::string_view value);

/// Removes an empty one; it stays busy for a moment after its last process has left. ENOENT is no
/// error.
Result<> remove_cgroup(const std::string& cgroup);

/// Kills all that is in a cgroup, frozen or not. Thawed even where the kill was refused: nothing
/// may stay frozen for ever. A cgroup that is gone is no error.
Result<> end_frozen_cgroup(const std::string& cgroup);

/// Whether PID 1 leaves the cgroup's children alone (Delegate=, which it marks the cgroup with).
bool is_delegated(const std::string& cgroup);

} // namespace vigil::base
