#include "wire/security_key.hpp"

#include "base/base64.hpp"
#include "base/sha256.hpp"
#include "base/ssh_format.hpp"

#include <cerrno>

namespace vigil::wire {

namespace {

constexpr std::string_view ed25519_name = "sk-ssh-ed25519@openssh.com";
constexpr std::string_view ecdsa_name = "sk-ecdsa-sha2-nistp256@openssh.com";
constexpr std::string_view curve_name = "nistp256";
constexpr std::string_view application_prefix = "ssh:";
constexpr std::size_t ed25519_point_bytes = 32;
constexpr std::size_t p256_point_bytes = 65;
constexpr char uncompressed = 4; ///< SEC 1, 2.3.3

std::unexpected<Error> no_key() {
    return fail(EINVAL, "that is no public key of a security key");
}

std::unexpected<Error> other_kind() {
    return fail(ENOTSUP, "only keys of security keys are taken, sk-ssh-ed25519 and "
                         "sk-ecdsa-sha2-nistp256: others sign without a touch");
}

} // namespace

std::string_view name_of(SecurityKey::Kind kind) noexcept {
    return kind == SecurityKey::Kind::ed25519 ? ed25519_name : ecdsa_name;
}

Result<SecurityKey> parse_security_key(std::string_view blob) {
    base::SshReader reader{blob};
    const auto name = reader.string();
    if (!name || name->empty())
        return no_key();
    SecurityKey key;
    if (*name == ecdsa_name)
        key.kind = SecurityKey::Kind::ecdsa_p256;
    else if (*name != ed25519_name)
        return other_kind();
    if (blob.size() > max_key_bytes)
        return no_key();
    const bool is_ecdsa = key.kind == SecurityKey::Kind::ecdsa_p256;
    if (is_ecdsa && reader.string() != curve_name)
        return no_key();
    const auto point = reader.string();
    const auto application = reader.string();
    if (!point || !application || !reader.is_at_end() ||
        point->size() != (is_ecdsa ? p256_point_bytes : ed25519_point_bytes) ||
        (is_ecdsa && point->front() != uncompressed) ||
        !application->starts_with(application_prefix))
        return no_key();
    key.point = *point;
    key.application = *application;
    return key;
}

Result<std::string> blob_of_line(std::string_view line) {
    while (line.ends_with('\n') || line.ends_with('\r'))
        line.remove_suffix(1);
    const auto kind = line.substr(0, line.find(' '));
    if (kind.size() == line.size() || kind.empty())
        return no_key();
    auto rest = line.substr(kind.size() + 1);
    rest = rest.substr(0, rest.find(' '));
    // Four characters are three bytes.
    if (rest.size() > (max_key_bytes + 2) / 3 * 4)
        return kind == ed25519_name || kind == ecdsa_name ? no_key() : other_kind();
    auto blob = base::base64_decode(rest);
    if (!blob)
        return no_key();
    const auto key = parse_security_key(*blob);
    if (!key)
        return std::unexpected{key.error()};
    if (kind != name_of(key->kind))
        return no_key();
    return std::move(*blob);
}

std::string line_of_blob(std::string_view blob) {
    const auto name = base::SshReader{blob}.string().value_or("");
    return std::string{name} + ' ' + base::base64_encode(blob);
}

std::string text_of(const KeyAnswer& answer) {
    return base::base64_encode(answer.blob) + ' ' + base::base64_encode(answer.signature);
}

std::optional<KeyAnswer> key_answer_of(std::string_view text) {
    const auto space = text.find(' ');
    if (space == std::string_view::npos)
        return std::nullopt;
    auto blob = base::base64_decode(text.substr(0, space));
    auto signature = base::base64_decode(text.substr(space + 1));
    if (!blob || !signature || !parse_security_key(*blob))
        return std::nullopt;
    return KeyAnswer{.blob = std::move(*blob), .signature = std::move(*signature)};
}

std::string fingerprint_of(std::string_view blob) {
    const auto digest = base::sha256(blob);
    auto text = base::base64_encode({reinterpret_cast<const char*>(digest.data()), digest.size()});
    while (text.ends_with('='))
        text.pop_back();
    return "SHA256:" + text;
}

} // namespace vigil::wire
