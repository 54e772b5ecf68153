#pragma once
// Owners for OpenSSL's handles, and the few operations vigil needs of it.

#include "base/error.hpp"
#include "base/secret.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>

namespace vigil::base {

struct OpensslDeleter {
    void operator()(EVP_CIPHER_CTX* context) const noexcept { EVP_CIPHER_CTX_free(context); }
    void operator()(EVP_MAC* mac) const noexcept { EVP_MAC_free(mac); }
    void operator()(EVP_MAC_CTX* context) const noexcept { EVP_MAC_CTX_free(context); }
    void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
    void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
    void operator()(EVP_PKEY_CTX* context) const noexcept { EVP_PKEY_CTX_free(context); }
    void operator()(BIGNUM* number) const noexcept { BN_free(number); }
    void operator()(ECDSA_SIG* signature) const noexcept { ECDSA_SIG_free(signature); }
};

using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, OpensslDeleter>;
using Mac = std::unique_ptr<EVP_MAC, OpensslDeleter>;
using MacContext = std::unique_ptr<EVP_MAC_CTX, OpensslDeleter>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, OpensslDeleter>;
using Key = std::unique_ptr<EVP_PKEY, OpensslDeleter>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, OpensslDeleter>;
using Number = std::unique_ptr<BIGNUM, OpensslDeleter>;
using EcdsaSignature = std::unique_ptr<ECDSA_SIG, OpensslDeleter>;

enum class Hash { sha1, sha256, sha512 };

/// From the kernel's generator by way of OpenSSL's private one (RAND_priv_bytes(3)).
Result<std::string> random_bytes(std::size_t count);

Result<std::string> digest(Hash hash, std::string_view bytes);
Result<std::string> hmac(Hash hash, std::string_view key, std::string_view bytes);

/// RFC 7914, 2. What it is by itself takes 8 MiB and some 25 ms.
struct ScryptCost {
    std::uint64_t n = 1 << 13;
    std::uint64_t r = 8;
    std::uint64_t p = 1;
};

/// Of a code or a password, slowly (scrypt, RFC 7914).
Result<std::string> scrypt(std::string_view secret, std::string_view salt, std::size_t size,
                           const ScryptCost& cost = {});

/// In a time that does not depend on where they differ (CRYPTO_memcmp(3)).
bool equal_in_constant_time(std::string_view left, std::string_view right) noexcept;

inline constexpr std::size_t seal_key_bytes = 32;
inline constexpr std::size_t seal_overhead_bytes = 1 + 12 + 16;

/// AES-256-GCM: version byte, nonce, ciphertext, tag. `additional` says what the secret is for and
/// must be the same to unseal (so that a row's secret cannot be moved to another row). The nonce is
/// random: one key is good for 2^32 seals. EINVAL for a key of another length.
Result<std::string> seal(std::string_view key, std::string_view additional,
                         std::string_view secret);

/// EBADMSG if any byte of it, the key or `additional` is not what it was.
Result<Secret> unseal(std::string_view key, std::string_view additional, std::string_view sealed);

} // namespace vigil::base
