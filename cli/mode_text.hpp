#pragma once
// The mode of a policy file as a person has written it. Texts in, texts out.

#include <optional>
#include <string>
#include <string_view>

namespace vigil::cli {

/// The same with `mode: enforce` in the place of `mode: observe`, and every other byte as it was.
/// nullopt: no line of its own says so.
std::optional<std::string> made_enforcing(std::string_view policy);

} // namespace vigil::cli
