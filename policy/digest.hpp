#pragma once
#include "policy/policy.hpp"

namespace vigil::policy {

/// Tells a rule from another by all that it says, as 16 hex digits: for what is remembered about a
/// rule while the policy may change. The same in every build. No secret and no signature: whoever
/// can write the policy need not forge one.
std::string digest(const StepUpRule& rule);

/// The same of each of them together with all those above it, which decide before it does: what one
/// gave while it stood first it does not give behind another.
std::vector<std::string> digests(const std::vector<StepUpRule>& rules);

} // namespace vigil::policy
