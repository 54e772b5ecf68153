#pragma once
// Signatures of two kinds, verified by OpenSSL.

#include "base/error.hpp"

#include <string_view>

namespace vigil::base {

/// RFC 8032. false: it is not this key's over these bytes. EINVAL: no 32 bytes of key or no 64 of
/// signature.
Result<bool> verify_ed25519(std::string_view key, std::string_view bytes,
                            std::string_view signature);

/// ECDSA on P-256 with SHA-256 (FIPS 186-4). `point` as SEC 1 has it, 65 bytes; `r` and `s` big
/// endian, 32 bytes at the most. false: as above. EINVAL: lengths, or a point that is not on the
/// curve.
Result<bool> verify_ecdsa_p256(std::string_view point, std::string_view bytes, std::string_view r,
                               std::string_view s);

} // namespace vigil::base
