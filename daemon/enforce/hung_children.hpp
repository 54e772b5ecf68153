#pragma once
// Children that wait for a user, where no signal helps, and were given up.

#include "base/time.hpp"
#include "base/unique_fd.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace vigil::enforce {

/// Those that were given up, by the user for whom they wait. One of these is the process's, because
/// it is the process that they are children of.
class HungChildren {
public:
    /// `most`: as many may hang at a time. `rest`: so long a user stays refused after one hung,
    /// also where it has ended.
    HungChildren(std::size_t most, Microseconds rest) noexcept : most_{most}, rest_{rest} {}

    /// Whether nothing more is begun for him: one wait for all that he could make wait. Forgets
    /// those that have ended.
    bool refuses(std::uint64_t user);
    /// Kills it, which helps as soon as its user lets it. `child`: its pidfd.
    void give_up(base::UniqueFd child, std::uint64_t user);

private:
    struct Hung {
        base::UniqueFd child;
        std::uint64_t user;
        BootTime until;
    };

    const std::size_t most_;
    const Microseconds rest_;
    std::vector<Hung> hung_;
};

} // namespace vigil::enforce
