#include "daemon/core/ids.hpp"

#include "base/hex.hpp"

#include <algorithm>

namespace vigil::core {

std::string SessionId::text() const {
    return base::hex_encode({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

std::optional<SessionId> SessionId::from_text(std::string_view text) {
    const auto decoded = base::hex_decode(text);
    SessionId id;
    if (!decoded || decoded->size() != id.bytes.size())
        return std::nullopt;
    std::ranges::copy(*decoded, id.bytes.begin());
    // One name has one spelling.
    return id.text() == text ? std::optional{id} : std::nullopt;
}

} // namespace vigil::core
