#pragma once
// A time that many share, because vigild does nothing else meanwhile.

#include "base/time.hpp"

#include <algorithm>

namespace vigil::enforce {

/// `most` in one go; what was spent comes back with the time that passes besides, one `share`-th of
/// it. So of any stretch no more is spent than `most` and one `share`-th.
class TimeBudget {
public:
    constexpr TimeBudget(Microseconds most, int share) noexcept
        : most_{most}, share_{share}, left_{most} {}

    Microseconds left(BootTime now) const noexcept {
        return std::min(most_, left_ + std::max(now - spent_, Microseconds{0}) / share_);
    }

    void spend(BootTime from, BootTime to) noexcept {
        left_ = std::max(left(from) - (to - from), Microseconds{0});
        spent_ = to;
    }

private:
    Microseconds most_;
    int share_;
    Microseconds left_; ///< at `spent_`
    BootTime spent_{};
};

} // namespace vigil::enforce
