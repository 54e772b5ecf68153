#pragma once
#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace vigil::core {

/// 128 random bits. They name a session and never authorize anything.
struct SessionId {
    std::array<std::uint8_t, 16> bytes{};

    auto operator<=>(const SessionId&) const = default;
    std::string text() const; ///< 32 hex digits
    static std::optional<SessionId> from_text(std::string_view text);
};

} // namespace vigil::core

template <>
struct std::hash<vigil::core::SessionId> {
    std::size_t operator()(const vigil::core::SessionId& id) const noexcept {
        // The bits are random already.
        std::size_t value = 0;
        for (std::size_t i = 0; i < sizeof value; ++i)
            value = value << 8 | id.bytes[i];
        return value;
    }
};
