#pragma once
// UTF-8 as Unicode has it (table 3-7): no overlong form, no surrogate, nothing beyond U+10FFFF.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace vigil::base {

struct Character {
    std::size_t length = 0; ///< in bytes; 0: not UTF-8
    std::uint32_t code = 0;
};

/// The first character of a text that is not empty.
Character first_character(std::string_view text) noexcept;

/// Whether D-Bus carries it as a text: UTF-8 without noncharacters (U+FFFE and its kin), which
/// libsystemd does not take. A NUL counts as any other character.
bool is_dbus_text(std::string_view text) noexcept;

} // namespace vigil::base
