#pragma once
// Wrong answers cost time, kept per uid in the database, so that neither a restart nor another
// session makes it shorter. It delays; it never locks anybody out.

#include "base/sqlite.hpp"
#include "base/time.hpp"

namespace vigil::factors {

inline constexpr Seconds first_delay{30};
inline constexpr Seconds longest_delay{15 * 60};

/// What this many wrong answers in a row cost.
Seconds delay_after(std::int64_t failures) noexcept;

class Throttle {
public:
    static constexpr const char* schema =
        "CREATE TABLE throttle (uid INTEGER PRIMARY KEY, failures INTEGER NOT NULL,"
        " not_before INTEGER NOT NULL, wrong_attempt BLOB NOT NULL) STRICT;";

    static Result<Throttle> prepare(base::Database& database);

    struct Standing {
        std::int64_t failures = 0;
        Seconds wait{0};
        std::string wrong_attempt; ///< mark of the last answer that was wrong
    };
    /// A date to wait for that lies further off than its delay was written before the clock was
    /// turned back; it is drawn in, so that a wrong clock cannot shut a user out for years.
    Result<Standing> standing(std::uint32_t uid, WallTime now);

    /// Counts one more. Returns what to wait from now on.
    Result<Seconds> failed(std::uint32_t uid, const Standing& before, std::string_view attempt,
                           WallTime now);
    Result<> succeeded(std::uint32_t uid);

private:
    Result<> put(std::uint32_t uid, std::int64_t failures, WallTime not_before,
                 std::string_view attempt);

    base::Statement find_, put_, erase_;
};

} // namespace vigil::factors
