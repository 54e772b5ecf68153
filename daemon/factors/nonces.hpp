#pragma once
// What security keys are asked to sign, while that is awaited. Pure: kept in memory, since whoever
// asked before a restart asks again.

#include "base/error.hpp"
#include "base/time.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

namespace vigil::factors {

/// Longer than an agent is waited for.
inline constexpr Seconds nonce_lifetime{120};
inline constexpr std::size_t max_nonces = 1024;
inline constexpr std::size_t max_nonces_per_person = 8;

using Nonce = std::array<std::uint8_t, 32>;

/// One for each owner: a person who changes his factors, a process that asks for a proof.
template <typename Owner>
class Nonces {
public:
    /// In place of the one that this owner has, and of the person's oldest where he has too many:
    /// nobody's processes take the room of others. EDQUOT: max_nonces owners of other people have
    /// one.
    Result<> put(const Owner& owner, std::uint32_t person, const Nonce& nonce, BootTime now) {
        std::erase_if(waiting_, [&](const auto& entry) {
            return now - entry.second.since > nonce_lifetime || entry.first == owner;
        });
        const auto is_persons = [&](const auto& entry) { return entry.second.person == person; };
        if (std::ranges::count_if(waiting_, is_persons) >=
            static_cast<std::ptrdiff_t>(max_nonces_per_person))
            waiting_.erase(std::ranges::min_element(waiting_, {}, [&](const auto& entry) {
                return is_persons(entry) ? entry.second.since : BootTime::max();
            }));
        if (waiting_.size() >= max_nonces)
            return fail(EDQUOT, "too many are proving a security key; try again in two minutes");
        waiting_.emplace(owner, Waiting{.nonce = nonce, .person = person, .since = now});
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
        std::uint32_t person;
        BootTime since;
    };
    std::map<Owner, Waiting> waiting_;
};

} // namespace vigil::factors
