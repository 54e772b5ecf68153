#pragma once
// RFC 4648, section 6, without padding: how TOTP secrets are written.

#include "base/error.hpp"

#include <string>
#include <string_view>

namespace vigil::base {

std::string base32_encode(std::string_view bytes);

/// Upper and lower case; '=' at the end is left out of account. EINVAL for any other character, for
/// a length no bytes encode to, and for left-over bits that are not zero.
Result<std::string> base32_decode(std::string_view text);

} // namespace vigil::base
