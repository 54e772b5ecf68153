#include "daemon/factors/back_off.hpp"

#include <algorithm>

namespace vigil::factors {

Seconds delay_after(std::int64_t failures, unsigned free) noexcept {
    if (failures < free)
        return Seconds{0};
    const auto doublings = std::min<std::int64_t>(failures - free, 10);
    return std::min(first_delay * (1 << doublings), longest_delay);
}

Count settled(Count count, unsigned free, WallTime now) noexcept {
    count.last = std::min(count.last, now);
    count.not_before =
        std::min<WallTime>(count.not_before, now + delay_after(count.failures, free));
    if (count.not_before <= now && now - count.last >= failures_memory)
        return {};
    return count;
}

Count one_more(Count count, unsigned free, WallTime now) noexcept {
    ++count.failures;
    count.last = now;
    count.not_before = now + delay_after(count.failures, free);
    return count;
}

Seconds wait_of(const Count& count, WallTime now) noexcept {
    return count.not_before > now ? std::chrono::ceil<Seconds>(count.not_before - now) : Seconds{0};
}

} // namespace vigil::factors
