#include "base/signatures.hpp"

#include "base/openssl.hpp"

#include <array>
#include <cerrno>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>

namespace vigil::base {

namespace {

constexpr std::size_t ed25519_key_bytes = 32;
constexpr std::size_t ed25519_signature_bytes = 64;
constexpr std::size_t p256_point_bytes = 65;
constexpr std::size_t p256_number_bytes = 32;

const unsigned char* raw(std::string_view bytes) noexcept {
    return reinterpret_cast<const unsigned char*>(bytes.data());
}

/// Only a 1 is a yes: what went wrong on the way is none either.
Result<bool> verify(EVP_PKEY* key, const EVP_MD* hash, std::string_view bytes,
                    std::string_view signature) {
    const DigestContext context{EVP_MD_CTX_new()};
    if (!context || EVP_DigestVerifyInit(context.get(), nullptr, hash, nullptr, key) != 1) {
        ERR_clear_error();
        return fail(ENOMEM, "verifying a signature");
    }
    const bool sound = EVP_DigestVerify(context.get(), raw(signature), signature.size(), raw(bytes),
                                        bytes.size()) == 1;
    ERR_clear_error();
    return sound;
}

/// Null where the point is none of the curve's.
Key p256_key(std::string_view point) {
    const KeyContext context{EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr)};
    char group[] = "P-256";
    std::string octets{point};
    std::array<OSSL_PARAM, 3> parameters{
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, octets.data(), octets.size()),
        OSSL_PARAM_construct_end()};
    EVP_PKEY* key = nullptr;
    if (context && EVP_PKEY_fromdata_init(context.get()) == 1)
        EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.data());
    ERR_clear_error();
    return Key{key};
}

/// What OpenSSL takes: r and s in DER. "" when there is no memory.
std::string der_of(std::string_view r, std::string_view s) {
    Number first{BN_bin2bn(raw(r), static_cast<int>(r.size()), nullptr)};
    Number second{BN_bin2bn(raw(s), static_cast<int>(s.size()), nullptr)};
    const EcdsaSignature pair{ECDSA_SIG_new()};
    if (!first || !second || !pair || ECDSA_SIG_set0(pair.get(), first.get(), second.get()) != 1)
        return {};
    (void)first.release(); // the pair's from now on
    (void)second.release();
    const int size = i2d_ECDSA_SIG(pair.get(), nullptr);
    if (size <= 0)
        return {};
    std::string der(static_cast<std::size_t>(size), '\0');
    auto* end = reinterpret_cast<unsigned char*>(der.data());
    i2d_ECDSA_SIG(pair.get(), &end);
    return der;
}

} // namespace

Result<bool> verify_ed25519(std::string_view key, std::string_view bytes,
                            std::string_view signature) {
    if (key.size() != ed25519_key_bytes || signature.size() != ed25519_signature_bytes)
        return fail(EINVAL, "verifying a signature");
    const Key handle{EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, raw(key), key.size())};
    if (!handle) {
        ERR_clear_error();
        return fail(EINVAL, "verifying a signature");
    }
    return verify(handle.get(), nullptr, bytes, signature);
}

Result<bool> verify_ecdsa_p256(std::string_view point, std::string_view bytes, std::string_view r,
                               std::string_view s) {
    if (point.size() != p256_point_bytes || r.size() > p256_number_bytes ||
        s.size() > p256_number_bytes)
        return fail(EINVAL, "verifying a signature");
    const Key handle = p256_key(point);
    if (!handle)
        return fail(EINVAL, "verifying a signature");
    const auto der = der_of(r, s);
    if (der.empty())
        return fail(ENOMEM, "verifying a signature");
    return verify(handle.get(), EVP_sha256(), bytes, der);
}

} // namespace vigil::base
