#pragma once
// A rule of each kind, read from its mapping and checked.

#include "policy/reader.hpp"

namespace vigil::policy {

void read_session_rule(Reader& reader, const Node& node, SessionRule& rule);
void read_step_up_rule(Reader& reader, const Node& node, StepUpRule& rule);
void read_elevated_rule(Reader& reader, const Node& node, ElevatedRule& rule);

} // namespace vigil::policy
