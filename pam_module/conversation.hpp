#pragma once
// Talking to the person behind the application, and to the log. Whatever the application's
// conversation function does, what comes out here is bounded, checked and wiped after use.

#include "base/secret.hpp"

#include <expected>
#include <string>
#include <string_view>

#include <security/pam_modules.h>

namespace vigil::pam {

/// One line to syslog (pam_syslog(3)); escaped.
void log(pam_handle_t* pam, int priority, std::string_view text);

/// One line for the user, escaped. A refusal is said under PAM_SILENT too, which sudo sets by
/// default: without the reason the user is left with sudo's own guess.
void say_error(pam_handle_t* pam, std::string_view text);

enum class NoAnswer {
    nobody,   ///< no conversation function, no terminal, end of file
    unusable, ///< empty, too long, or with control characters: not worth sending
};

/// Asks with echo off.
std::expected<base::Secret, NoAnswer> ask(pam_handle_t* pam, const std::string& prompt);

/// Asks for what may be a password, and leaves it as PAM_AUTHTOK for the next module.
std::expected<base::Secret, NoAnswer> ask_authtok(pam_handle_t* pam, const std::string& prompt);

/// Takes PAM_AUTHTOK away: a code that was used is no password for the next module.
void forget_authtok(pam_handle_t* pam);

} // namespace vigil::pam
