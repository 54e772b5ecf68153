#pragma once
#include "policy/policy.hpp"

namespace vigil::policy {

/// Tells a rule from another by all that it says, as 16 hex digits: for what is remembered about a
/// rule while the policy may change, where its place in the file means nothing. The same in every
/// build. No secret and no signature: whoever can write the policy need not forge one.
std::string digest(const StepUpRule& rule);

} // namespace vigil::policy
