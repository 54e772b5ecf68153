#include "pam_module/conversation.hpp"

#include "base/c_secret.hpp"
#include "base/log.hpp"
#include "pam_module/arguments.hpp"
#include "pam_module/request.hpp"
#include "wire/names.hpp"

#include <cstdlib>
#include <utility>

#include <security/pam_ext.h>
#include <syslog.h>
#include <unistd.h>

namespace vigil::pam {

void log(pam_handle_t* pam, int priority, std::string_view text) {
    pam_syslog(pam, priority, "%s", base::escape(text).c_str());
}

void say_error(pam_handle_t* pam, std::string_view text) {
    // A failure to say it is no reason to decide otherwise.
    (void)pam_prompt(pam, PAM_ERROR_MSG, nullptr, "%s",
                     base::escape(text, wire::max_reason_bytes).c_str());
}

std::expected<base::Secret, NoAnswer> Person::ask(const std::string& prompt, wire::Echo echo) {
    char* raw = nullptr;
    const int style = echo == wire::Echo::on ? PAM_PROMPT_ECHO_ON : PAM_PROMPT_ECHO_OFF;
    const int r = pam_prompt(pam_, style, &raw, "%s", base::escape(prompt).c_str());
    const base::CSecret answer{raw};
    if (r != PAM_SUCCESS || !answer)
        return std::unexpected{NoAnswer::nobody};
    return wire::answer_of(answer.get());
}

/// Of whoever runs the program: su and doas change who that is behind this alone.
std::optional<wire::Agent> Person::agent() const {
    constexpr const char* variable = "SSH_AUTH_SOCK";
    std::string socket;
    if (const char* const now = std::getenv(variable))
        socket = now;
    else if (service_name(pam_).starts_with("sudo"))
        socket = variable_at_start(variable);
    if (socket.empty())
        return std::nullopt;
    return wire::Agent{std::move(socket), getuid(), getgid()};
}

std::expected<base::Secret, NoAnswer> ask_authtok(pam_handle_t* pam, const std::string& prompt) {
    const char* text = nullptr; // libpam's own copy, which it wipes
    const int r = pam_get_authtok(pam, PAM_AUTHTOK, &text, prompt.c_str());
    if (r != PAM_SUCCESS || !text)
        return std::unexpected{NoAnswer::nobody};
    return wire::answer_of(text);
}

void forget_authtok(pam_handle_t* pam) {
    (void)pam_set_item(pam, PAM_AUTHTOK, nullptr);
}

} // namespace vigil::pam
