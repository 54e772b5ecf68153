#include "daemon/factors/throttle.hpp"

#include "daemon/factors/factors.hpp"

#include <algorithm>

namespace vigil::factors {

Seconds delay_after(std::int64_t failures) noexcept {
    if (failures < free_failures)
        return Seconds{0};
    const auto doublings = std::min<std::int64_t>(failures - free_failures, 10);
    return std::min(first_delay * (1 << doublings), longest_delay);
}

Result<Throttle> Throttle::prepare(base::Database& database) {
    auto find =
        database.prepare("SELECT failures, not_before, wrong_attempt FROM throttle WHERE uid = ?1");
    auto put = database.prepare("INSERT OR REPLACE INTO throttle VALUES (?1, ?2, ?3, ?4)");
    auto erase = database.prepare("DELETE FROM throttle WHERE uid = ?1");
    for (const auto* statement : {&find, &put, &erase})
        if (!*statement)
            return std::unexpected{statement->error()};
    Throttle throttle;
    throttle.find_ = std::move(*find);
    throttle.put_ = std::move(*put);
    throttle.erase_ = std::move(*erase);
    return throttle;
}

Result<Throttle::Standing> Throttle::standing(std::uint32_t uid, WallTime now) {
    Standing standing;
    WallTime not_before{};
    {
        const base::Running running{find_};
        if (const auto bound = find_.bind(1, std::int64_t{uid}); !bound)
            return std::unexpected{bound.error()};
        const auto row = find_.step();
        if (!row)
            return std::unexpected{row.error()};
        if (!*row)
            return standing;
        standing.failures = find_.integer(0);
        not_before = WallTime{Microseconds{find_.integer(1)}};
        standing.wrong_attempt = find_.blob(2);
    }
    const Seconds most = delay_after(standing.failures);
    if (not_before > now + most) {
        not_before = now + most;
        if (const auto done = put(uid, standing.failures, not_before, standing.wrong_attempt);
            !done)
            return std::unexpected{done.error()};
    }
    if (not_before > now)
        standing.wait = std::chrono::ceil<Seconds>(not_before - now);
    return standing;
}

Result<Seconds> Throttle::failed(std::uint32_t uid, const Standing& before,
                                 std::string_view attempt, WallTime now) {
    const std::int64_t failures = before.failures + 1;
    const Seconds delay = delay_after(failures);
    if (const auto done = put(uid, failures, now + delay, attempt); !done)
        return std::unexpected{done.error()};
    return delay;
}

Result<> Throttle::succeeded(std::uint32_t uid) {
    if (const auto bound = erase_.bind(1, std::int64_t{uid}); !bound)
        return bound;
    return erase_.run();
}

Result<> Throttle::put(std::uint32_t uid, std::int64_t failures, WallTime not_before,
                       std::string_view attempt) {
    const base::Running running{put_};
    for (const auto& bound :
         {put_.bind(1, std::int64_t{uid}), put_.bind(2, failures),
          put_.bind(3, not_before.time_since_epoch().count()), put_.bind_blob(4, attempt)})
        if (!bound)
            return bound;
    return put_.run();
}

} // namespace vigil::factors
