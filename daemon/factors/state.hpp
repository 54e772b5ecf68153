#pragma once
// What Factors holds; shared by its two source files.

#include "daemon/factors/database.hpp"
#include "daemon/factors/factors.hpp"
#include "daemon/factors/throttle.hpp"

namespace vigil::factors {

struct Factors::State {
    base::Secret key;
    base::Secret attempt_key;
    std::string host;
    base::Database database;
    FileWatch watch;
    Throttle throttle;
    base::Statement insert, purge, counts, find, owner, remove, all, all_of;
    base::Statement active_of, activate, accept, kinds_of, forget_kind, use_up;
};

/// A kind of factor in the store, beside those of TotpKind.
inline constexpr const char* recovery_kind = "recovery";

/// How the set is listed: "7 codes left".
std::string recovery_name(std::size_t left);

/// What a secret is sealed for: a row moved to another user, or renamed, does not open.
std::string purpose_of(std::string_view id, std::uint32_t uid, std::string_view kind);

/// Whole microseconds since the epoch, as stored.
inline std::int64_t stamp(WallTime time) noexcept {
    return time.time_since_epoch().count();
}

/// The first failure of several binds. For binds alone: all of them are done, whatever comes of
/// one.
inline Result<> bound(std::initializer_list<Result<>> results) {
    for (const auto& result : results)
        if (!result)
            return result;
    return {};
}

} // namespace vigil::factors
