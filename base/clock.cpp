#include "base/clock.hpp"

#include <algorithm>
#include <climits>
#include <ctime>

namespace vigil::base {

namespace {

Microseconds read(clockid_t clock) noexcept {
    timespec now{};
    clock_gettime(clock, &now);
    return std::chrono::duration_cast<Microseconds>(std::chrono::seconds{now.tv_sec} +
                                                    std::chrono::nanoseconds{now.tv_nsec});
}

} // namespace

BootTime read_boot_time() noexcept {
    return BootTime{read(CLOCK_BOOTTIME)};
}

int milliseconds_until(BootTime deadline) noexcept {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - read_boot_time());
    return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, INT_MAX));
}

Now read_clocks() noexcept {
    Now now{.boot = read_boot_time(), .wall = WallTime{read(CLOCK_REALTIME)}};
    // They are read one after the other: good to some microseconds.
    now.asleep = now.boot.time_since_epoch() - read(CLOCK_MONOTONIC);
    const time_t seconds = std::chrono::floor<Seconds>(now.wall).time_since_epoch().count();
    tm local{};
    if (localtime_r(&seconds, &local) != nullptr)
        now.utc_offset = Seconds{local.tm_gmtoff};
    return now;
}

} // namespace vigil::base
