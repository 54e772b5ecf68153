#pragma once
// RFC 4648, section 4.

#include <optional>
#include <string>
#include <string_view>

namespace vigil::base {

/// With padding.
std::string base64_encode(std::string_view bytes);

/// nullopt for all but what base64_encode() makes: no other padding, no line breaks, and no bits
/// left over, so that no two texts are the same bytes.
std::optional<std::string> base64_decode(std::string_view text);

} // namespace vigil::base
