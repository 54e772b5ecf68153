#pragma once
// Between sudo's user and the plugin, by what sudo has for that (sudo_plugin(5): sudo_conv_t).

#include "base/secret.hpp"

#include <optional>
#include <string_view>

#include <sudo_plugin.h>

namespace vigil::sudo {

class Conversation {
public:
    Conversation() noexcept = default;
    Conversation(sudo_conv_t conversation, sudo_printf_t print) noexcept
        : conversation_{conversation}, print_{print} {}

    /// Without an echo. nullopt: there is nobody to ask, or he gave none (Ctrl-C, an empty line).
    std::optional<base::Secret> ask(std::string_view prompt) const;

    /// One line, escaped.
    void say(std::string_view text) const;

private:
    sudo_conv_t conversation_ = nullptr;
    sudo_printf_t print_ = nullptr;
};

} // namespace vigil::sudo
