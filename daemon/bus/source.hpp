#pragma once
// Where a session's codes come from.

#include "daemon/core/machine.hpp"
#include "daemon/factors/source.hpp"

namespace vigil::bus {

factors::Source source_of(const policy::Facts& facts);

/// nullopt: the asker is in no session.
factors::Source source_of(const std::optional<core::SessionView>& view);

} // namespace vigil::bus
