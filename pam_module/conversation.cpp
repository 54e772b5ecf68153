#include "pam_module/conversation.hpp"

#include "base/c_secret.hpp"
#include "base/log.hpp"
#include "wire/names.hpp"

#include <algorithm>
#include <cstring>

#include <security/pam_ext.h>
#include <syslog.h>

namespace vigil::pam {

namespace {

/// The text came as a C string: what followed a NUL is not part of it and was never seen.
std::expected<base::Secret, NoAnswer> take(const char* text) {
    const std::size_t size = strnlen(text, wire::max_answer_bytes + 1);
    if (size == 0 || size > wire::max_answer_bytes)
        return std::unexpected{NoAnswer::unusable};
    const std::string_view answer{text, size};
    const auto is_control = [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte < 0x20 || byte == 0x7F;
    };
    if (std::ranges::any_of(answer, is_control))
        return std::unexpected{NoAnswer::unusable};
    return base::Secret{answer};
}

} // namespace

void log(pam_handle_t* pam, int priority, std::string_view text) {
    pam_syslog(pam, priority, "%s", base::escape(text).c_str());
}

void say_error(pam_handle_t* pam, std::string_view text) {
    // A failure to say it is no reason to decide otherwise.
    (void)pam_prompt(pam, PAM_ERROR_MSG, nullptr, "%s",
                     base::escape(text, wire::max_reason_bytes).c_str());
}

std::expected<base::Secret, NoAnswer> ask(pam_handle_t* pam, const std::string& prompt) {
    char* raw = nullptr;
    const int r = pam_prompt(pam, PAM_PROMPT_ECHO_OFF, &raw, "%s", base::escape(prompt).c_str());
    const base::CSecret answer{raw};
    if (r != PAM_SUCCESS || !answer)
        return std::unexpected{NoAnswer::nobody};
    return take(answer.get());
}

std::expected<base::Secret, NoAnswer> ask_authtok(pam_handle_t* pam, const std::string& prompt) {
    const char* text = nullptr; // libpam's own copy, which it wipes
    const int r = pam_get_authtok(pam, PAM_AUTHTOK, &text, prompt.c_str());
    if (r != PAM_SUCCESS || !text)
        return std::unexpected{NoAnswer::nobody};
    return take(text);
}

void forget_authtok(pam_handle_t* pam) {
    (void)pam_set_item(pam, PAM_AUTHTOK, nullptr);
}

} // namespace vigil::pam
