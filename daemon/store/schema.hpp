#pragma once
// The tables of state.db, and how those that an older vigild made become them.

#include "base/sqlite.hpp"

namespace vigil::store {

/// Makes the tables in an empty database and brings an older one forward, in one transaction: what
/// fails, or is killed, leaves it as it was. EBADMSG: unsound, or of a newer schema.
Result<> prepare_schema(base::Database& database);

} // namespace vigil::store
