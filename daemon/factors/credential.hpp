#pragma once
// The key that seals the factors, as systemd hands it over (systemd.exec(5), CREDENTIALS).

#include "base/error.hpp"
#include "base/secret.hpp"

#include <array>
#include <string>
#include <vector>

namespace vigil::factors {

/// A key has one of two names, and gets the other when it is renewed: so the old one and the new
/// one are both there until the database is sealed under the new, whatever ends that in between.
inline const std::array<std::string, 2> key_names{"vigil.key", "vigil.key.2"};

struct NamedKey {
    std::string name;
    base::Secret key;
};

/// Those in $CREDENTIALS_DIRECTORY, of exactly 32 bytes each, at least one. Without a number: PID 1
/// gave none (see vigil-key.service for when); EBADMSG: not a key. The one variable of the
/// environment that vigild believes: it was set by PID 1 for this process, in a fresh environment
/// that no user has a hand in, and vigild runs no other way.
Result<std::vector<NamedKey>> load_keys();

/// The same from a directory. One that is none does not take the other away.
Result<std::vector<NamedKey>> load_keys_from(const std::string& directory);

/// A key in an open file, from its start on. EBADMSG: it has not 32 bytes.
Result<base::Secret> read_key(int fd);

} // namespace vigil::factors
