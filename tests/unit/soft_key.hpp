#pragma once
// A security key that signs whatever a test wants said: touched or not, counting or not.

#include "base/openssl.hpp"
#include "base/ssh_format.hpp"
#include "tests/unit/test.hpp"
#include "wire/security_key.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace vigil::test {

class SoftKey {
public:
    SoftKey() : key_{EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")} {
        unsigned char point[32];
        std::size_t size = sizeof point;
        ck_assert_int_eq(EVP_PKEY_get_raw_public_key(key_.get(), point, &size), 1);
        base::append_ssh_string(blob_, name());
        base::append_ssh_string(blob_, {reinterpret_cast<char*>(point), size});
        base::append_ssh_string(blob_, "ssh:");
    }

    const std::string& blob() const { return blob_; }

    std::string sign(std::string_view bytes, std::uint32_t counter, std::uint8_t flags = 1) const {
        std::string content = base::digest(base::Hash::sha256, "ssh:").value();
        content += static_cast<char>(flags);
        base::append_ssh_number(content, counter);
        content += base::digest(base::Hash::sha256, bytes).value();
        unsigned char made[64];
        std::size_t size = sizeof made;
        const base::DigestContext context{EVP_MD_CTX_new()};
        ck_assert_int_eq(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()),
                         1);
        ck_assert_int_eq(EVP_DigestSign(context.get(), made, &size,
                                        reinterpret_cast<const unsigned char*>(content.data()),
                                        content.size()),
                         1);
        std::string signature;
        base::append_ssh_string(signature, name());
        base::append_ssh_string(signature, {reinterpret_cast<char*>(made), size});
        signature += static_cast<char>(flags);
        base::append_ssh_number(signature, counter);
        return signature;
    }

private:
    static std::string_view name() { return wire::name_of(wire::SecurityKey::Kind::ed25519); }

    base::Key key_;
    std::string blob_;
};

} // namespace vigil::test
