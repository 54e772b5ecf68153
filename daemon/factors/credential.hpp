#pragma once
// The key that seals the factors, as systemd hands it over (systemd.exec(5), CREDENTIALS).

#include "base/error.hpp"
#include "base/secret.hpp"

#include <string>

namespace vigil::factors {

/// $CREDENTIALS_DIRECTORY/vigil.key, exactly 32 bytes. ENOENT: PID 1 gave none (see
/// vigil-key.service for when); EBADMSG: not a key. The one variable of the environment that vigild
/// believes: it was set by PID 1 for this process, in a fresh environment that no user has a hand
/// in, and vigild runs no other way.
Result<base::Secret> load_key();

/// The same from a directory.
Result<base::Secret> load_key_from(const std::string& directory);

} // namespace vigil::factors
