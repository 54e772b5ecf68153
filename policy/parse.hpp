#pragma once
// YAML text -> Policy, or the first thing wrong with it as `file:line:column: what; what to do`.
// Pure but for libyaml's own allocations. vigil-policy(5) documents the language.

#include "base/error.hpp"
#include "policy/policy.hpp"

#include <string_view>

namespace vigil::policy {

inline constexpr std::size_t max_file_bytes = 256 * 1024;
inline constexpr std::size_t max_scalar_bytes = 4 * 1024;
inline constexpr std::size_t max_depth = 16;
inline constexpr std::size_t max_rules = 10'000;

struct Source {
    std::string name; ///< for messages
    std::string text;
};

/// The files in order: policy.yaml first, then policy.d/*.yaml sorted. Rules are read in that
/// order; `version` must be in each, `mode` may be in one.
Result<Policy> parse(const std::vector<Source>& sources);

} // namespace vigil::policy
