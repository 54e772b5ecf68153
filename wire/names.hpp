#pragma once
// The names that all of vigil's programs share and that stay (design: the contract).

#include "base/time.hpp"

#include <cstddef>

namespace vigil::wire {

inline constexpr const char* bus_name = "org.vigil1";
inline constexpr const char* manager_path = "/org/vigil1";
/// Below it an object for each session, by its id.
inline constexpr const char* session_path = "/org/vigil1/session";
inline constexpr const char* manager_interface = "org.vigil1.Manager";
inline constexpr const char* session_interface = "org.vigil1.Session";
inline constexpr const char* stepup_interface = "org.vigil1.StepUp";

inline constexpr const char* socket_path = "/run/vigil/bus";
/// Beside the socket, while the policy has a rule for what sudo, su and pkexec start.
inline constexpr const char* elevated_mark = "elevated";

/// A terminal's answer to what it shows that has not come after so long is taken for none: the
/// Linux console gives none. It does not delay the lock screen, but an unlock so soon after it.
inline constexpr Microseconds screen_patience = Seconds{1};

/// How long a program on the login path waits for vigild altogether.
inline constexpr Microseconds machine_timeout = Seconds{2};

// Bounds of what a message may carry; longer text is refused, not cut.
inline constexpr std::size_t max_user_bytes = 256;
inline constexpr std::size_t max_service_bytes = 64;
inline constexpr std::size_t max_terminal_bytes = 64;
inline constexpr std::size_t max_host_bytes = 256;
inline constexpr std::size_t max_groups = 1024;
inline constexpr std::size_t max_answer_bytes = 512;

/// "SHA256:" and 43 characters.
inline constexpr std::size_t max_fingerprint_bytes = 64;
/// What a login has shown before it is asked for more, where it is no ssh key.
inline constexpr const char* after_password = "password";

/// PAM stacks of vigil's own: what opens a lock, and what takes a password before a command.
inline constexpr const char* unlock_stack = "vigil-unlock";
inline constexpr const char* reauth_stack = "vigil-reauth";
/// What pam_vigil puts into the PAM environment (pam_putenv(3)) when it took a code.
inline constexpr const char* factor_variable = "VIGIL_FACTOR";
inline constexpr std::size_t max_reason_bytes = 1024;
/// Of a block: told at a login in one line.
inline constexpr std::size_t max_block_reason_bytes = 200;
/// Time for a login, and no more than somebody who is shut out can wait.
inline constexpr Seconds shortest_rehearsal{60};
inline constexpr Seconds longest_rehearsal{24 * 60 * 60};
inline constexpr std::size_t max_path_bytes = 4096; ///< the kernel's PATH_MAX
inline constexpr std::size_t max_arguments = 1024;
inline constexpr std::size_t max_arguments_bytes = 64 * 1024;
inline constexpr std::size_t max_keys_asked = 8;    ///< factors a person can have
inline constexpr std::size_t max_text_bytes = 4096; ///< whatever is not named above

// Errors a method can answer with.
inline constexpr const char* error_denied = "org.vigil1.Error.Denied";
inline constexpr const char* error_not_found = "org.vigil1.Error.NotFound";
inline constexpr const char* error_invalid = "org.vigil1.Error.Invalid";
inline constexpr const char* error_too_many = "org.vigil1.Error.TooMany"; ///< a bound is reached
inline constexpr const char* error_broken = "org.vigil1.Error.Broken";

} // namespace vigil::wire
