#pragma once
// Whether a person has anything to type where a password is asked for.

#include <string_view>

namespace vigil::terminal {

enum class LocalPassword {
    usable, ///< also where it cannot be told: PAM may know of other passwords
    none,   ///< what no password matches is in its place: who logs in with a key has that
    locked, ///< usermod(8)
    empty,
};

/// By the user's line in /etc/shadow (shadow(5)).
LocalPassword local_password(std::string_view user);

} // namespace vigil::terminal
