#pragma once
// Between sudo's user and the plugin, by what sudo has for that (sudo_plugin(5): sudo_conv_t).

#include "wire/dialogue.hpp"

#include <sudo_plugin.h>

namespace vigil::sudo {

class Conversation : public wire::Person {
public:
    Conversation() noexcept = default;
    Conversation(sudo_conv_t conversation, sudo_printf_t print) noexcept
        : conversation_{conversation}, print_{print} {}

    std::expected<base::Secret, wire::NoAnswer> ask(const std::string& prompt,
                                                    wire::Echo echo) override;
    void say(std::string_view text) override { tell(text); }
    std::optional<wire::Agent> agent() const override { return agent_; }
    /// Whose agent, and where he says that it is.
    void know(wire::Agent agent) { agent_ = std::move(agent); }

    /// One line, escaped.
    void tell(std::string_view text) const;

private:
    sudo_conv_t conversation_ = nullptr;
    sudo_printf_t print_ = nullptr;
    std::optional<wire::Agent> agent_;
};

} // namespace vigil::sudo
