#pragma once
// What a security key has signed (OpenSSH's PROTOCOL.u2f, "SSH U2F signatures"). Pure.

#include "base/error.hpp"
#include "wire/security_key.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace vigil::factors {

/// Two names' lengths, the larger signature, flags and counter: nobody's is longer.
inline constexpr std::size_t max_signature_bytes = 256;

/// What an agent answers with, taken apart and not yet believed.
struct KeySignature {
    wire::SecurityKey::Kind kind = wire::SecurityKey::Kind::ed25519;
    std::string first;  ///< ed25519: all 64 bytes; ECDSA: r, big endian, without leading zeros
    std::string second; ///< ECDSA: s
    std::uint8_t flags = 0;
    std::uint32_t counter = 0;
};

/// EBADMSG: it is none, or is not written as it has to be: numbers with needless zeros or a sign,
/// other lengths, something behind it.
Result<KeySignature> parse_key_signature(std::string_view signature);

/// Of a signature that is good and was touched for.
struct KeyUse {
    bool verified = false;     ///< by a PIN or a finger, too
    std::uint32_t counter = 0; ///< how often the key has signed; 0 each time: it does not count
};

/// EBADMSG: as above. EACCES: it is not this key's over these bytes. EPERM: it is, but nobody
/// touched the key.
Result<KeyUse> verify_key(const wire::SecurityKey& key, std::string_view bytes,
                          std::string_view signature);

} // namespace vigil::factors
