#pragma once
// Which PAM stacks of this host ask vigil.

#include "cli/pam_stack.hpp"
#include "policy/policy.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace vigil::cli {

/// Its lines of this type in PAM's order, those of included files in their place; what cannot be
/// read has none. nullopt: there is no such stack.
std::optional<std::vector<StackLine>> whole_stack(const std::string& service, const char* type);

enum class AsksVigil { yes, no, no_stack };

/// Whether the stack of a service has a line of pam_vigil.so of this type ("account"), in its file
/// or in one that it includes. What cannot be read has none.
AsksVigil asks_vigil(const std::string& service, const char* type);

/// The command that puts vigil's lines into PAM's files on this host.
const char* how_to_wire();

/// A line for each service that a rule of `step_up` names and where nobody is asked, with what to
/// do; PAM's other names for a service stand for themselves.
std::vector<std::string>
unasked_services(const policy::Policy& policy,
                 const std::function<AsksVigil(const std::string& service)>& look);

} // namespace vigil::cli
