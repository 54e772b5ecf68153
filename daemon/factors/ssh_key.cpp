#include "daemon/factors/ssh_key.hpp"

#include "base/openssl.hpp"
#include "base/signatures.hpp"
#include "base/ssh_format.hpp"

#include <cerrno>
#include <optional>

namespace vigil::factors {

namespace {

using Kind = wire::SecurityKey::Kind;

constexpr std::uint8_t touched_flag = 1;  ///< user presence
constexpr std::uint8_t verified_flag = 4; ///< user verification
constexpr std::size_t ed25519_signature_bytes = 64;
constexpr std::size_t p256_number_bytes = 32;

std::unexpected<Error> malformed() {
    return fail(EBADMSG, "that is no signature of a security key");
}

/// The bytes of an mpint (RFC 4251, 5) over zero, written as short as can be.
std::optional<std::string_view> positive_number(base::SshReader& reader) {
    auto number = reader.string();
    const auto is_high = [](char c) { return (static_cast<unsigned char>(c) & 0x80) != 0; };
    if (!number || number->empty() || is_high(number->front()))
        return std::nullopt;
    if (number->front() == 0) {
        if (number->size() < 2 || !is_high((*number)[1]))
            return std::nullopt;
        number->remove_prefix(1);
    }
    return number->size() <= p256_number_bytes ? number : std::nullopt;
}

} // namespace

Result<KeySignature> parse_key_signature(std::string_view signature) {
    if (signature.size() > max_signature_bytes)
        return malformed();
    base::SshReader reader{signature};
    const auto name = reader.string();
    const auto blob = reader.string();
    const auto flags = reader.byte();
    const auto counter = reader.number();
    if (!name || !blob || !flags || !counter || !reader.is_at_end())
        return malformed();
    KeySignature parsed{.flags = *flags, .counter = *counter};
    if (*name == wire::name_of(Kind::ed25519)) {
        if (blob->size() != ed25519_signature_bytes)
            return malformed();
        parsed.first = *blob;
        return parsed;
    }
    if (*name != wire::name_of(Kind::ecdsa_p256))
        return malformed();
    base::SshReader numbers{*blob};
    const auto r = positive_number(numbers);
    const auto s = r ? positive_number(numbers) : std::nullopt;
    if (!s || !numbers.is_at_end())
        return malformed();
    parsed.kind = Kind::ecdsa_p256;
    parsed.first = *r;
    parsed.second = *s;
    return parsed;
}

Result<KeyUse> verify_key(const wire::SecurityKey& key, std::string_view bytes,
                          std::string_view signature) {
    const auto parsed = parse_key_signature(signature);
    if (!parsed)
        return std::unexpected{parsed.error()};
    const auto application = base::digest(base::Hash::sha256, key.application);
    const auto content = base::digest(base::Hash::sha256, bytes);
    if (!application || !content)
        return std::unexpected{application ? content.error() : application.error()};
    std::string signed_bytes = *application;
    signed_bytes += static_cast<char>(parsed->flags);
    base::append_ssh_number(signed_bytes, parsed->counter);
    signed_bytes += *content;
    Result<bool> good = false;
    if (parsed->kind == key.kind)
        good =
            key.kind == Kind::ed25519
                ? base::verify_ed25519(key.point, signed_bytes, parsed->first)
                : base::verify_ecdsa_p256(key.point, signed_bytes, parsed->first, parsed->second);
    if (!good)
        return std::unexpected{good.error()};
    if (!*good)
        return fail(EACCES, "that signature is not this key's, or of something else");
    if ((parsed->flags & touched_flag) == 0)
        return fail(EPERM, "the key signed without being touched");
    return KeyUse{.verified = (parsed->flags & verified_flag) != 0, .counter = parsed->counter};
}

} // namespace vigil::factors
