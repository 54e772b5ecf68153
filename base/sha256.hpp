#pragma once
// SHA-256 (FIPS 180-4) for programs that are without OpenSSL, of what is no secret: vigilctl names
// keys by it. Where OpenSSL is, base/openssl.hpp has it.

#include <array>
#include <string_view>

namespace vigil::base {

std::array<unsigned char, 32> sha256(std::string_view bytes) noexcept;

} // namespace vigil::base
