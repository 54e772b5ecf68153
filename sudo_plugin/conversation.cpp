#include "sudo_plugin/conversation.hpp"

#include "base/c_secret.hpp"
#include "base/log.hpp"
#include "wire/names.hpp"

namespace vigil::sudo {

std::optional<base::Secret> Conversation::ask(std::string_view prompt) const {
    const std::string shown = base::escape(prompt);
    const sudo_conv_message question{
        .msg_type = SUDO_CONV_PROMPT_ECHO_OFF, .timeout = 0, .msg = shown.c_str()};
    sudo_conv_reply given{};
    if (conversation_ == nullptr || conversation_(1, &question, &given, nullptr) != 0)
        return std::nullopt;
    const base::CSecret answer{given.reply};
    if (!answer)
        return std::nullopt;
    const std::string_view text{answer.get()};
    if (text.empty() || text.size() > wire::max_answer_bytes)
        return std::nullopt;
    return base::Secret{text};
}

void Conversation::say(std::string_view text) const {
    if (print_ != nullptr)
        print_(SUDO_CONV_ERROR_MSG, "%s\n", base::escape(text, wire::max_reason_bytes).c_str());
}

} // namespace vigil::sudo
