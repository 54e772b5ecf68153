#pragma once
// What Factors holds; shared by its source files.

#include "daemon/factors/database.hpp"
#include "daemon/factors/factors.hpp"
#include "daemon/factors/throttle.hpp"

namespace vigil::factors {

/// A new row of the table.
struct FactorRow {
    std::string id;
    std::uint32_t uid;
    std::string user;
    std::string kind;
    std::string name;
    std::string sealed;
    /// What else of the person goes.
    enum class Replaces : std::uint8_t {
        pending, ///< and the new one is pending
        kind,    ///< and the new one counts
    } replaces;
};

struct Factors::State {
    base::Secret key;
    std::string key_name;
    base::Secret attempt_key;
    std::string host;
    base::Database database;
    FileWatch watch;
    Throttle throttle;
    base::Statement insert, purge, counts, find, owner, remove, all, all_of;
    base::Statement active_of, activate, accept, kinds_of, forget_kind, use_up;
    base::Statement find_key, activate_key, accept_key;
    base::Statement last_of, put_ticket, find_ticket, take_ticket, count_tickets, lapse;
    base::Statement find_person, put_grace, count_graces;
    std::string boot_id; ///< proc(5), random/boot_id: which boot CLOCK_BOOTTIME is of

    /// Where the file is still the one that was opened.
    Result<base::Transaction> begin();
    /// EDQUOT: there is none. `replaced_kind`: which one takes the place of; "": of what is
    /// pending.
    Result<> find_room(std::uint32_t uid, std::string_view replaced_kind, const Now& now);
    /// EDQUOT: no room.
    Result<> add(const FactorRow& row, const Now& now);
    Result<CheckOutcome> count_wrong(std::uint32_t uid, const Source& source, std::string_view mark,
                                     bool is_right, const Now& now);
};

inline constexpr std::size_t id_bytes = 8; ///< it names and never authorizes
inline constexpr std::size_t max_name_bytes = 64;

/// EINVAL: too long.
Result<> check_name(std::string_view name);

// Kinds of factors in the store, beside those of TotpKind.
inline constexpr const char* recovery_kind = "recovery";
inline constexpr const char* key_kind = "key";

/// Whether an enrolment begun then can still be proved. One of the future was written before the
/// clock was turned back.
bool is_pending(std::int64_t created, const Now& now) noexcept;

/// A repeat of an accepted attempt comes within a lost connection's time, or it is no repeat.
inline constexpr Seconds repeat_lifetime{60};

/// How the set is listed: "7 codes left".
std::string recovery_name(std::size_t left);

/// What a secret is sealed for: a row moved to another user, or renamed, does not open.
std::string purpose_of(std::string_view id, std::uint32_t uid, std::string_view kind);

/// What names attempts: see mark_of().
Result<base::Secret> attempt_key_of(std::string_view key);

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
