#pragma once
// Reads the policy's files. Shell code that lives here because vigild and `vigilctl policy check`
// share it; parse.hpp has the pure part.

#include "policy/parse.hpp"

namespace vigil::policy {

inline constexpr const char* default_path = "/etc/vigil/policy.yaml";

/// Reads `path` and, if it is policy.yaml in a directory with policy.d/, that directory's *.yaml in
/// order. With `must_be_ours`, refuses a file or directory not owned by root or writable by others.
/// O_NOFOLLOW|O_NONBLOCK and regular files only; a file over max_file_bytes is refused.
Result<std::vector<Source>> read_sources(const std::string& path, bool must_be_ours);

} // namespace vigil::policy
