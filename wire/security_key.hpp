#pragma once
// Public keys of security keys, as ssh has them (OpenSSH's PROTOCOL.u2f): a private key that
// signs when it is touched, and whose signature says so. Pure, and without OpenSSL; what they sign
// is verified in daemon/factors/ssh_key.hpp.

#include "base/error.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vigil::wire {

/// A name, a point, an application: nobody's is longer.
inline constexpr std::size_t max_key_bytes = 512;

struct SecurityKey {
    enum class Kind : std::uint8_t { ed25519, ecdsa_p256 } kind = Kind::ed25519;
    std::string point;       ///< ed25519: 32 bytes; P-256: 65, as SEC 1 has it uncompressed
    std::string application; ///< "ssh:", and whatever its owner put behind it

    bool operator==(const SecurityKey&) const = default;
};

/// "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com".
std::string_view name_of(SecurityKey::Kind kind) noexcept;

/// `blob`: a public key as agents and .pub files have it. ENOTSUP: a key of another kind, which
/// signs for whoever has it, touched or not; a certificate is one. EINVAL: no key at all, one with
/// something behind it, or of an application that is not ssh's: an agent signs for those only what
/// looks like a login.
Result<SecurityKey> parse_security_key(std::string_view blob);

/// The blob of a line of a .pub file: its kind, base64, and, perhaps, a comment. Errors: as above.
Result<std::string> blob_of_line(std::string_view line);
/// The same line without a comment. The blob is one that parse_security_key() took.
std::string line_of_blob(std::string_view blob);

/// What a key has signed, and which one, as a text: an answer to a challenge.
struct KeyAnswer {
    std::string blob;
    std::string signature;
};
std::string text_of(const KeyAnswer& answer);
/// nullopt: it is none. Neither part is verified.
std::optional<KeyAnswer> key_answer_of(std::string_view text);

/// "SHA256:…", as ssh-keygen -l shows it. Of any blob.
std::string fingerprint_of(std::string_view blob);

} // namespace vigil::wire
