#include "daemon/core/ids.hpp"

namespace vigil::core {

namespace {

std::optional<std::uint8_t> digit(char c) {
    if (c >= '0' && c <= '9')
        return static_cast<std::uint8_t>(c - '0');
    if (c >= 'a' && c <= 'f')
        return static_cast<std::uint8_t>(c - 'a' + 10);
    return std::nullopt;
}

} // namespace

std::string SessionId::text() const {
    constexpr char digits[] = "0123456789abcdef";
    std::string out;
    out.reserve(bytes.size() * 2);
    for (const auto byte : bytes) {
        out += digits[byte >> 4];
        out += digits[byte & 15];
    }
    return out;
}

std::optional<SessionId> SessionId::from_text(std::string_view text) {
    SessionId id;
    if (text.size() != id.bytes.size() * 2)
        return std::nullopt;
    for (std::size_t i = 0; i < id.bytes.size(); ++i) {
        const auto high = digit(text[2 * i]);
        const auto low = digit(text[2 * i + 1]);
        if (!high || !low)
            return std::nullopt;
        id.bytes[i] = static_cast<std::uint8_t>(*high << 4 | *low);
    }
    return id;
}

} // namespace vigil::core
