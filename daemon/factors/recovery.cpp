#include "daemon/factors/recovery.hpp"

#include "base/base32.hpp"
#include "base/openssl.hpp"
#include "wire/answer.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>

namespace vigil::factors {

namespace {

constexpr std::size_t salt_bytes = 16;
constexpr std::size_t hash_bytes = 32;
constexpr std::size_t group = 4; ///< letters between dashes
constexpr std::size_t set_bytes = salt_bytes + recovery_codes * hash_bytes;
/// Of one that was used. No hash that anybody has seen is this.
const std::string used(hash_bytes, '\0');

/// As a person copies it.
base::Secret shown(std::string_view code) {
    std::string text = base::base32_encode(code);
    std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
    for (std::size_t at = text.size() - group; at > 0; at -= group)
        text.insert(at, "-");
    return base::Secret{std::move(text)};
}

} // namespace

Result<RecoverySet::Drawn> RecoverySet::draw() {
    Drawn drawn;
    auto salt = base::random_bytes(salt_bytes);
    if (!salt)
        return std::unexpected{salt.error()};
    drawn.set.salt_ = std::move(*salt);
    for (std::size_t i = 0; i < recovery_codes; ++i) {
        auto bytes = base::random_bytes(wire::recovery_code_bytes);
        if (!bytes)
            return std::unexpected{bytes.error()};
        const base::Secret code{std::move(*bytes)};
        auto hash = base::scrypt(code.view(), drawn.set.salt_, hash_bytes);
        if (!hash)
            return std::unexpected{hash.error()};
        drawn.set.hashes_.push_back(std::move(*hash));
        drawn.codes.push_back(shown(code.view()));
    }
    return drawn;
}

Result<RecoverySet> RecoverySet::parse(std::string_view bytes) {
    if (bytes.size() != set_bytes)
        return fail(EBADMSG, "recovery codes");
    RecoverySet set;
    set.salt_ = bytes.substr(0, salt_bytes);
    for (std::size_t at = salt_bytes; at < bytes.size(); at += hash_bytes)
        set.hashes_.emplace_back(bytes.substr(at, hash_bytes));
    return set;
}

std::string RecoverySet::bytes() const {
    std::string all = salt_;
    for (const auto& hash : hashes_)
        all += hash;
    return all;
}

Result<bool> RecoverySet::use(std::string_view typed) {
    const auto code = wire::recovery_code(typed);
    if (!code)
        return false;
    const auto hash = base::scrypt(code->view(), salt_, hash_bytes);
    if (!hash)
        return std::unexpected{hash.error()};
    bool found = false;
    // All are compared, so that the time tells nothing of which one it was.
    for (auto& one : hashes_)
        if (base::equal_in_constant_time(one, *hash)) {
            one = used;
            found = true;
        }
    return found;
}

std::size_t RecoverySet::left() const noexcept {
    return static_cast<std::size_t>(
        std::ranges::count_if(hashes_, [](const auto& hash) { return hash != used; }));
}

} // namespace vigil::factors
