#pragma once
// Whether a person has anything to type where a password is asked for.

#include <string_view>

namespace vigil::terminal {

/// The user has a line in /etc/shadow, with what no password matches in place of one (shadow(5)):
/// who logs in with a key has that. false where it cannot be told: PAM may know of other passwords.
bool lacks_local_password(std::string_view user);

} // namespace vigil::terminal
