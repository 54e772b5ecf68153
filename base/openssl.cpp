#include "base/openssl.hpp"

#include <array>
#include <cerrno>
#include <climits>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/rand.h>

namespace vigil::base {

namespace {

constexpr char version = 1;
constexpr std::size_t nonce_bytes = 12;
constexpr std::size_t tag_bytes = 16;

const char* name_of(Hash hash) noexcept {
    switch (hash) {
    case Hash::sha1:
        return "SHA1";
    case Hash::sha256:
        return "SHA256";
    case Hash::sha512:
        break;
    }
    return "SHA512";
}

std::unexpected<Error> failed(const char* doing) {
    char reason[256] = "unknown";
    if (const unsigned long code = ERR_get_error(); code != 0)
        ERR_error_string_n(code, reason, sizeof reason);
    ERR_clear_error(); // the queue is the thread's, and the next failure's
    return fail(std::string{doing} + ": " + reason);
}

unsigned char* raw(std::string& bytes, std::size_t at = 0) noexcept {
    return reinterpret_cast<unsigned char*>(bytes.data() + at);
}

const unsigned char* raw(std::string_view bytes) noexcept {
    return reinterpret_cast<const unsigned char*>(bytes.data());
}

/// Lengths are ints there; nothing vigil handles comes near.
bool fits(std::string_view bytes) noexcept {
    return bytes.size() <= INT_MAX / 2;
}
int length(std::string_view bytes) noexcept {
    return static_cast<int>(bytes.size());
}

} // namespace

Result<std::string> random_bytes(std::size_t count) {
    std::string bytes(count, '\0');
    if (!fits(bytes) || RAND_priv_bytes(raw(bytes), length(bytes)) != 1)
        return failed("drawing random bytes");
    return bytes;
}

Result<std::string> digest(Hash hash, std::string_view bytes) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> out;
    std::size_t size = 0;
    if (EVP_Q_digest(nullptr, name_of(hash), nullptr, bytes.data(), bytes.size(), out.data(),
                     &size) != 1)
        return failed("hashing");
    return std::string{reinterpret_cast<char*>(out.data()), size};
}

Result<std::string> hmac(Hash hash, std::string_view key, std::string_view bytes) {
    const Mac mac{EVP_MAC_fetch(nullptr, "HMAC", nullptr)};
    const MacContext context{mac ? EVP_MAC_CTX_new(mac.get()) : nullptr};
    const std::array<OSSL_PARAM, 2> parameters{
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, const_cast<char*>(name_of(hash)),
                                         0),
        OSSL_PARAM_construct_end()};
    std::array<unsigned char, EVP_MAX_MD_SIZE> out;
    std::size_t size = 0;
    // A null key would mean "the one set before".
    const unsigned char* const key_bytes = key.empty() ? out.data() : raw(key);
    if (!context || EVP_MAC_init(context.get(), key_bytes, key.size(), parameters.data()) != 1 ||
        EVP_MAC_update(context.get(), raw(bytes), bytes.size()) != 1 ||
        EVP_MAC_final(context.get(), out.data(), &size, out.size()) != 1)
        return failed("computing an HMAC");
    return std::string{reinterpret_cast<char*>(out.data()), size};
}

Result<std::string> scrypt(std::string_view secret, std::string_view salt, std::size_t size,
                           const ScryptCost& cost) {
    constexpr std::uint64_t most_memory = 32 << 20;
    std::string key(size, '\0');
    if (EVP_PBE_scrypt(secret.data(), secret.size(), raw(salt), salt.size(), cost.n, cost.r, cost.p,
                       most_memory, raw(key), key.size()) != 1)
        return failed("deriving a hash");
    return key;
}

bool equal_in_constant_time(std::string_view left, std::string_view right) noexcept {
    return left.size() == right.size() &&
           CRYPTO_memcmp(left.data(), right.data(), left.size()) == 0;
}

Result<std::string> seal(std::string_view key, std::string_view additional,
                         std::string_view secret) {
    if (key.size() != seal_key_bytes || !fits(additional) || !fits(secret))
        return fail(EINVAL, "sealing a secret");
    auto nonce = random_bytes(nonce_bytes);
    if (!nonce)
        return nonce;
    std::string out(1 + nonce_bytes + secret.size() + tag_bytes, '\0');
    out[0] = version;
    nonce->copy(out.data() + 1, nonce_bytes);
    const CipherContext context{EVP_CIPHER_CTX_new()};
    int size = 0;
    if (!context ||
        EVP_EncryptInit_ex2(context.get(), EVP_aes_256_gcm(), raw(key), raw(*nonce), nullptr) !=
            1 ||
        EVP_EncryptUpdate(context.get(), nullptr, &size, raw(std::string_view{out}), 1) != 1 ||
        EVP_EncryptUpdate(context.get(), nullptr, &size, raw(additional), length(additional)) !=
            1 ||
        EVP_EncryptUpdate(context.get(), raw(out, 1 + nonce_bytes), &size, raw(secret),
                          length(secret)) != 1 ||
        EVP_EncryptFinal_ex(context.get(), raw(out, out.size() - tag_bytes), &size) != 1 ||
        EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, tag_bytes,
                            raw(out, out.size() - tag_bytes)) != 1)
        return failed("sealing a secret");
    return out;
}

Result<Secret> unseal(std::string_view key, std::string_view additional, std::string_view sealed) {
    if (key.size() != seal_key_bytes || !fits(additional) || !fits(sealed))
        return fail(EINVAL, "unsealing a secret");
    if (sealed.size() < seal_overhead_bytes || sealed[0] != version)
        return fail(EBADMSG, "unsealing a secret");
    const std::string_view nonce = sealed.substr(1, nonce_bytes);
    const std::string_view cipher =
        sealed.substr(1 + nonce_bytes, sealed.size() - seal_overhead_bytes);
    std::string tag{sealed.substr(sealed.size() - tag_bytes)};
    std::string plain(cipher.size() + 1, '\0'); // one more: never an empty buffer
    const CipherContext context{EVP_CIPHER_CTX_new()};
    int size = 0;
    const bool sound =
        context &&
        EVP_DecryptInit_ex2(context.get(), EVP_aes_256_gcm(), raw(key), raw(nonce), nullptr) == 1 &&
        EVP_DecryptUpdate(context.get(), nullptr, &size, raw(sealed), 1) == 1 &&
        EVP_DecryptUpdate(context.get(), nullptr, &size, raw(additional), length(additional)) ==
            1 &&
        EVP_DecryptUpdate(context.get(), raw(plain), &size, raw(cipher), length(cipher)) == 1 &&
        EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, tag_bytes, raw(tag)) == 1 &&
        EVP_DecryptFinal_ex(context.get(), raw(plain, cipher.size()), &size) == 1;
    if (!sound) {
        wipe(plain.data(), plain.size()); // GCM decrypts before it knows
        ERR_clear_error();
        return fail(EBADMSG, "unsealing a secret");
    }
    plain.resize(cipher.size());
    return Secret{std::move(plain)};
}

} // namespace vigil::base
