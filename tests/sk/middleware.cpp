// A security key without hardware, for tests: what ssh-keygen, ssh-add and ssh-agent load through
// SSH_SK_PROVIDER. The ABI is OpenSSH's sk-api.h, version 10, as 9.2 and 10.0 have it. The private
// key is the key handle; it is touched by itself, or by whoever takes a file away.
//
// How it is used stands in the environment of whoever loads it: VIGIL_SK_FLAGS, the flags of each
// signature (1 touch, 4 PIN; 1 if not set), and VIGIL_SK_COUNTER, a file with the number of
// signatures, "0" for a key that does not count. VIGIL_SK_PIN: a key that was made to verify its
// owner (ssh-keygen -O verify-required) signs with this PIN alone, and then says so.
// VIGIL_SK_UNTOUCHED: a file; as long as it is there nobody touches the key, and who waits for that
// has a byte in it.

#include "base/openssl.hpp"

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <unistd.h>

using namespace vigil::base;

namespace {

constexpr std::uint32_t api_version = 0x000a0000;
constexpr std::uint32_t ecdsa = 0;
constexpr std::uint32_t ed25519 = 1;
constexpr int failed = -1;
constexpr int unsupported = -2;
constexpr int pin_required = -3;
constexpr std::uint8_t verified = 4;

struct Enrolled {
    std::uint8_t flags;
    std::uint8_t* public_key;
    std::size_t public_key_size;
    std::uint8_t* handle;
    std::size_t handle_size;
    std::uint8_t* signature;
    std::size_t signature_size;
    std::uint8_t* certificate;
    std::size_t certificate_size;
    std::uint8_t* authdata;
    std::size_t authdata_size;
};

struct Signed {
    std::uint8_t flags;
    std::uint32_t counter;
    std::uint8_t* r;
    std::size_t r_size;
    std::uint8_t* s;
    std::size_t s_size;
};

/// The caller frees it.
std::uint8_t* given(std::string_view bytes) {
    auto* const memory = static_cast<std::uint8_t*>(std::malloc(bytes.size() + 1));
    if (memory != nullptr)
        std::memcpy(memory, bytes.data(), bytes.size());
    return memory;
}

std::string digest_of(std::string_view bytes) {
    return digest(Hash::sha256, bytes).value_or("");
}

std::string public_of(EVP_PKEY* key, bool is_ecdsa) {
    unsigned char out[65];
    std::size_t size = sizeof out;
    const int done = is_ecdsa ? EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, out,
                                                                sizeof out, &size)
                              : EVP_PKEY_get_raw_public_key(key, out, &size);
    return done == 1 ? std::string{reinterpret_cast<char*>(out), size} : std::string{};
}

std::string private_of(EVP_PKEY* key) {
    unsigned char* der = nullptr;
    const int size = i2d_PrivateKey(key, &der);
    std::string bytes{reinterpret_cast<char*>(der), size < 0 ? 0 : static_cast<std::size_t>(size)};
    OPENSSL_free(der);
    return bytes;
}

std::string signature_of(EVP_PKEY* key, const EVP_MD* hash, std::string_view bytes) {
    unsigned char out[128];
    std::size_t size = sizeof out;
    const DigestContext context{EVP_MD_CTX_new()};
    if (EVP_DigestSignInit(context.get(), nullptr, hash, nullptr, key) != 1 ||
        EVP_DigestSign(context.get(), out, &size,
                       reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()) != 1)
        return {};
    return {reinterpret_cast<char*>(out), size};
}

std::string bytes_of(const BIGNUM* number) {
    std::string bytes(static_cast<std::size_t>(BN_num_bytes(number)), '\0');
    BN_bn2bin(number, reinterpret_cast<unsigned char*>(bytes.data()));
    return bytes;
}

std::uint8_t flags() {
    const char* const text = std::getenv("VIGIL_SK_FLAGS");
    return text == nullptr ? 1 : static_cast<std::uint8_t>(std::atoi(text));
}

/// nullopt: without the right PIN it signs nothing.
std::optional<std::uint8_t> flags_with(const char* pin, std::uint8_t wanted) {
    const char* const right = std::getenv("VIGIL_SK_PIN");
    if (right == nullptr || (wanted & verified) == 0)
        return flags();
    if (pin == nullptr || std::strcmp(pin, right) != 0)
        return std::nullopt;
    return static_cast<std::uint8_t>(flags() | verified);
}

/// Until somebody touches the key.
void wait_for_a_touch() {
    const char* const path = std::getenv("VIGIL_SK_UNTOUCHED");
    if (path == nullptr || ::access(path, F_OK) != 0)
        return;
    std::ofstream{path, std::ios::app} << '.';
    while (::access(path, F_OK) == 0)
        std::this_thread::sleep_for(std::chrono::milliseconds{20});
}

/// One more than the last time, unless that was 0.
std::uint32_t next_count() {
    const char* const path = std::getenv("VIGIL_SK_COUNTER");
    if (path == nullptr)
        return 1;
    std::uint32_t count = 0;
    std::ifstream{path} >> count;
    if (count != 0)
        std::ofstream{path} << count + 1;
    return count;
}

} // namespace

extern "C" {

[[gnu::visibility("default")]] std::uint32_t sk_api_version() {
    return api_version;
}

[[gnu::visibility("default")]] int sk_enroll(std::uint32_t algorithm, const std::uint8_t*,
                                             std::size_t, const char*, std::uint8_t wanted,
                                             const char*, void**, Enrolled** out) {
    if (algorithm != ecdsa && algorithm != ed25519)
        return unsupported;
    const bool is_ecdsa = algorithm == ecdsa;
    const Key key{is_ecdsa ? EVP_EC_gen("P-256") : EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")};
    auto* const answer = static_cast<Enrolled*>(std::calloc(1, sizeof(Enrolled)));
    if (!key || answer == nullptr)
        return failed;
    const auto point = public_of(key.get(), is_ecdsa);
    const auto handle = private_of(key.get());
    answer->flags = wanted;
    answer->public_key = given(point);
    answer->public_key_size = point.size();
    answer->handle = given(handle);
    answer->handle_size = handle.size();
    // An attestation nobody looks at.
    answer->signature = given("none");
    answer->signature_size = 4;
    *out = answer;
    return 0;
}

[[gnu::visibility("default")]] int sk_sign(std::uint32_t algorithm, const std::uint8_t* data,
                                           std::size_t size, const char* application,
                                           const std::uint8_t* handle, std::size_t handle_size,
                                           std::uint8_t wanted, const char* pin, void**,
                                           Signed** out) {
    wait_for_a_touch();
    const auto said = flags_with(pin, wanted);
    if (!said)
        return pin_required;
    const unsigned char* at = handle;
    const Key key{d2i_AutoPrivateKey(nullptr, &at, static_cast<long>(handle_size))};
    auto* const answer = static_cast<Signed*>(std::calloc(1, sizeof(Signed)));
    if (!key || answer == nullptr)
        return failed;
    answer->flags = *said;
    answer->counter = next_count();
    std::string bytes = digest_of(application);
    bytes += static_cast<char>(answer->flags);
    for (const unsigned shift : {24U, 16U, 8U, 0U})
        bytes += static_cast<char>(answer->counter >> shift & 0xFF);
    bytes += digest_of({reinterpret_cast<const char*>(data), size});
    const auto made = signature_of(key.get(), algorithm == ecdsa ? EVP_sha256() : nullptr, bytes);
    if (made.empty())
        return failed;
    if (algorithm == ed25519) {
        answer->r = given(made);
        answer->r_size = made.size();
    } else {
        const auto* der = reinterpret_cast<const unsigned char*>(made.data());
        const EcdsaSignature pair{d2i_ECDSA_SIG(nullptr, &der, static_cast<long>(made.size()))};
        const auto r = bytes_of(ECDSA_SIG_get0_r(pair.get()));
        const auto s = bytes_of(ECDSA_SIG_get0_s(pair.get()));
        answer->r = given(r);
        answer->r_size = r.size();
        answer->s = given(s);
        answer->s_size = s.size();
    }
    *out = answer;
    return 0;
}

[[gnu::visibility("default")]] int sk_load_resident_keys(const char*, void**, void***,
                                                         std::size_t*) {
    return unsupported;
}

} // extern "C"
