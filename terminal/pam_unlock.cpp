#include "terminal/pam_unlock.hpp"

#include "base/pam.hpp"
#include "wire/names.hpp"

#include <cstdlib>
#include <cstring>

namespace vigil::terminal {

namespace {

constexpr std::size_t max_text_bytes = 1024;

struct Conversation {
    const base::Secret* answer = nullptr;
    std::string text;
};

void hear(Conversation& conversation, const char* words) {
    if (words == nullptr || *words == 0)
        return;
    if (!conversation.text.empty())
        conversation.text += ' ';
    conversation.text.append(words, strnlen(words, max_text_bytes));
    if (conversation.text.size() > max_text_bytes)
        conversation.text.resize(max_text_bytes);
}

/// libpam frees what modules got with free(3), and so do modules themselves.
void drop(pam_response* replies, int count) noexcept {
    for (int i = 0; i < count; ++i) {
        if (replies[i].resp != nullptr) {
            base::wipe(replies[i].resp, std::strlen(replies[i].resp));
            std::free(replies[i].resp);
        }
    }
    std::free(replies);
}

bool reply_to(const pam_message& message, Conversation& conversation, pam_response& reply) {
    switch (message.msg_style) {
    case PAM_PROMPT_ECHO_OFF:
        // The bound of Keys, and no NUL comes out of it.
        reply.resp =
            strndup(conversation.answer->view().data(), conversation.answer->view().size());
        return reply.resp != nullptr;
    case PAM_ERROR_MSG:
    case PAM_TEXT_INFO:
        hear(conversation, message.msg);
        return true;
    default:
        return false;
    }
}

int converse(int count, const pam_message** messages, pam_response** responses, void* data) noexcept
    try {
    if (count <= 0 || count > PAM_MAX_NUM_MSG)
        return PAM_CONV_ERR;
    auto* const replies = static_cast<pam_response*>(
        std::calloc(static_cast<std::size_t>(count), sizeof(pam_response)));
    if (replies == nullptr)
        return PAM_BUF_ERR;
    auto& conversation = *static_cast<Conversation*>(data);
    try {
        for (int i = 0; i < count; ++i) {
            if (!reply_to(*messages[i], conversation, replies[i])) {
                drop(replies, count);
                return PAM_CONV_ERR;
            }
        }
    } catch (...) {
        drop(replies, count);
        throw;
    }
    *responses = replies;
    return PAM_SUCCESS;
} catch (...) {
    return PAM_CONV_ERR;
}

/// vigild makes people wait, and the prompt says for how long: modules need not sleep as well.
void no_delay(int, unsigned, void*) noexcept {}

int start(base::PamTransaction& pam, const PamRequest& request, const pam_conv& conversation) {
    if (request.directory.empty())
        return pam_start(pam_service, request.user.c_str(), &conversation, pam.out());
    return pam_start_confdir(pam_service, request.user.c_str(), &conversation,
                             request.directory.c_str(), pam.out());
}

} // namespace

PamOutcome ask_pam(const PamRequest& request, const base::Secret& answer) {
    PamOutcome outcome;
    Conversation conversation{.answer = &answer, .text = {}};
    const pam_conv functions{.conv = converse, .appdata_ptr = &conversation};
    base::PamTransaction pam;
    if (pam.noted(start(pam, request, functions)) != PAM_SUCCESS) {
        outcome.text = "The PAM stack vigil-unlock could not be started.";
        return outcome;
    }
    void (*const delay)(int, unsigned, void*) = no_delay;
    if (pam.noted(pam_set_item(pam.get(), PAM_TTY, request.terminal.c_str())) == PAM_SUCCESS &&
        pam.noted(pam_set_item(pam.get(), PAM_FAIL_DELAY, reinterpret_cast<const void*>(delay))) ==
            PAM_SUCCESS &&
        pam.noted(pam_authenticate(pam.get(), 0)) == PAM_SUCCESS &&
        pam.noted(pam_acct_mgmt(pam.get(), 0)) == PAM_SUCCESS)
        outcome.accepted = true;
    const char* const factor = pam_getenv(pam.get(), factor_variable);
    if (factor != nullptr && std::strcmp(factor, "totp") == 0)
        outcome.factor = "totp";
    outcome.text = std::move(conversation.text);
    return outcome;
}

} // namespace vigil::terminal
