#pragma once
// Talking to the person behind the application, and to the log. Whatever the application's
// conversation function does, what comes out here is bounded, checked and wiped after use.

#include "wire/dialogue.hpp"

#include <string>
#include <string_view>

#include <security/pam_modules.h>

namespace vigil::pam {

/// One line to syslog (pam_syslog(3)); escaped.
void log(pam_handle_t* pam, int priority, std::string_view text);

/// One line for the user, escaped. A refusal is said under PAM_SILENT too, which sudo sets by
/// default: without the reason the user is left with sudo's own guess.
void say_error(pam_handle_t* pam, std::string_view text);

using wire::NoAnswer;

/// Whoever is behind the application.
class Person : public wire::Person {
public:
    explicit Person(pam_handle_t* pam) noexcept : pam_{pam} {}

    std::expected<base::Secret, NoAnswer> ask(const std::string& prompt, wire::Echo echo) override;
    void say(std::string_view text) override { say_error(pam_, text); }
    std::optional<wire::Agent> agent() const override;

private:
    pam_handle_t* pam_;
};

/// Asks for what may be a password, and leaves it as PAM_AUTHTOK for the next module.
std::expected<base::Secret, NoAnswer> ask_authtok(pam_handle_t* pam, const std::string& prompt);

/// Takes PAM_AUTHTOK away: a code that was used is no password for the next module.
void forget_authtok(pam_handle_t* pam);

} // namespace vigil::pam
