#pragma once
// polkit, asked whether a caller of the system bus may do something: by its rules, and where they
// say so by a password, which polkit's agent asks for and vigild never sees (polkit(8)).

#include "base/error.hpp"
#include "base/time.hpp"

#include <cstddef>
#include <functional>

#include <systemd/sd-bus.h>

namespace vigil::bus {

/// Of systemd/org.vigil1.policy.
enum class PolkitAction {
    enroll_first,   ///< org.vigil1.enroll-first
    manage_factors, ///< org.vigil1.manage-factors
    manage_grants,  ///< org.vigil1.manage-grants
};

/// A person types; polkit's own agents wait as long.
inline constexpr Seconds polkit_patience{180};
/// Callers that polkit is asked about at one time, and those of one user.
inline constexpr std::size_t max_asked_of_polkit = 64;
inline constexpr std::size_t max_asked_of_polkit_per_user = 3;

enum class PolkitSays {
    no, ///< also: what was typed was wrong
    yes,
    nobody_to_ask, ///< somebody would have to be asked, and the caller has no agent
    given_up,      ///< by who was asked
    not_there,     ///< polkit
    no_answer,     ///< in polkit_patience
};

/// Asks about the sender of `call`, and does not wait. `interactive`: somebody may be asked. `done`
/// is called once, unless the bus ends first, which is a no; it does not throw. Errors: nothing was
/// asked.
Result<> ask_polkit(sd_bus_message* call, PolkitAction action, bool interactive,
                    std::function<void(PolkitSays)> done);

} // namespace vigil::bus
