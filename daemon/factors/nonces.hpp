#pragma once
// What security keys are asked to sign, while that is awaited. Pure: kept in memory, since whoever
// asked before a restart asks again.

#include "base/error.hpp"
#include "base/time.hpp"

#include <array>
#include <cerrno>
#include <cstdint>
#include <map>
#include <optional>

namespace vigil::factors {

/// Longer than an agent is waited for.
inline constexpr Seconds nonce_lifetime{120};
inline constexpr std::size_t max_nonces = 1024;

using Nonce = std::array<std::uint8_t, 32>;

/// One for each owner: a person who changes his factors, a process that asks for a proof.
template <typename Owner>
class Nonces {
public:
    /// In place of the one that this owner has. EDQUOT: max_nonces other owners have one.
    Result<> put(const Owner& owner, const Nonce& nonce, BootTime now) {
        std::erase_if(waiting_,
                      [&](const auto& entry) { return now - entry.second.since > nonce_lifetime; });
        if (waiting_.size() >= max_nonces && !waiting_.contains(owner))
            return fail(EDQUOT, "too many are proving a security key; try again in two minutes");
        waiting_.insert_or_assign(owner, Waiting{.nonce = nonce, .since = now});
        return {};
    }

    /// It is gone by this. nullopt: there is none, or it is too old.
    std::optional<Nonce> take(const Owner& owner, BootTime now) {
        const auto found = waiting_.extract(owner);
        if (!found || now - found.mapped().since > nonce_lifetime)
            return std::nullopt;
        return found.mapped().nonce;
    }

private:
    struct Waiting {
        Nonce nonce;
        BootTime since;
    };
    std::map<Owner, Waiting> waiting_;
};

} // namespace vigil::factors
