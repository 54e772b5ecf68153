#include "sudo_plugin/conversation.hpp"

#include "base/c_secret.hpp"
#include "base/log.hpp"
#include "wire/names.hpp"

namespace vigil::sudo {

std::expected<base::Secret, wire::NoAnswer> Conversation::ask(const std::string& prompt,
                                                              wire::Echo echo) {
    const std::string shown = base::escape(prompt);
    const sudo_conv_message question{.msg_type = echo == wire::Echo::on ? SUDO_CONV_PROMPT_ECHO_ON
                                                                        : SUDO_CONV_PROMPT_ECHO_OFF,
                                     .timeout = 0,
                                     .msg = shown.c_str()};
    sudo_conv_reply given{};
    if (conversation_ == nullptr || conversation_(1, &question, &given, nullptr) != 0)
        return std::unexpected{wire::NoAnswer::nobody};
    const base::CSecret answer{given.reply};
    if (!answer)
        return std::unexpected{wire::NoAnswer::nobody};
    return wire::answer_of(answer.get());
}

void Conversation::tell(std::string_view text) const {
    if (print_ != nullptr)
        print_(SUDO_CONV_ERROR_MSG, "%s\n", base::escape(text, wire::max_reason_bytes).c_str());
}

} // namespace vigil::sudo
