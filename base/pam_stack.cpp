#include "base/pam_stack.hpp"

#include "base/pam.hpp"

#include <cstdlib>
#include <cstring>

namespace vigil::base {

namespace {

constexpr std::size_t max_text_bytes = 1024;

struct Conversation {
    const Secret* answer = nullptr;
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
            wipe(replies[i].resp, std::strlen(replies[i].resp));
            std::free(replies[i].resp);
        }
    }
    std::free(replies);
}

bool reply_to(const pam_message& message, Conversation& conversation, pam_response& reply) {
    switch (message.msg_style) {
    case PAM_PROMPT_ECHO_OFF:
        // Bounded by whoever read it, and no NUL comes out of it.
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

void no_delay(int, unsigned, void*) noexcept {}

int start(PamTransaction& pam, const PamRequest& request, const pam_conv& conversation) {
    if (request.directory.empty())
        return pam_start(request.service.c_str(), request.user.c_str(), &conversation, pam.out());
    return pam_start_confdir(request.service.c_str(), request.user.c_str(), &conversation,
                             request.directory.c_str(), pam.out());
}

/// What is not asked for is not set: a module may tell an empty terminal from none.
int set_up(PamTransaction& pam, const PamRequest& request) {
    int result = PAM_SUCCESS;
    if (!request.terminal.empty())
        result = pam.noted(pam_set_item(pam.get(), PAM_TTY, request.terminal.c_str()));
    if (result == PAM_SUCCESS && request.without_delay) {
        void (*const delay)(int, unsigned, void*) = no_delay;
        result = pam.noted(
            pam_set_item(pam.get(), PAM_FAIL_DELAY, reinterpret_cast<const void*>(delay)));
    }
    return result;
}

} // namespace

PamOutcome ask_pam(const PamRequest& request, const Secret& answer, const char* note) {
    PamOutcome outcome;
    Conversation conversation{.answer = &answer, .text = {}};
    const pam_conv functions{.conv = converse, .appdata_ptr = &conversation};
    PamTransaction pam;
    if (pam.noted(start(pam, request, functions)) != PAM_SUCCESS) {
        outcome.text = "The PAM stack " + request.service + " could not be started.";
        return outcome;
    }
    if (set_up(pam, request) == PAM_SUCCESS &&
        pam.noted(pam_authenticate(pam.get(), 0)) == PAM_SUCCESS &&
        pam.noted(pam_acct_mgmt(pam.get(), 0)) == PAM_SUCCESS)
        outcome.accepted = true;
    const char* const left = note != nullptr ? pam_getenv(pam.get(), note) : nullptr;
    if (left != nullptr)
        outcome.note = left;
    outcome.text = std::move(conversation.text);
    return outcome;
}

} // namespace vigil::base
