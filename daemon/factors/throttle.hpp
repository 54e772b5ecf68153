#pragma once
// Wrong answers cost time, kept in the database, so that neither a restart nor another session
// makes it shorter. It delays; it never locks anybody out.
//
// Who waits for whom: a person's wrong answers from the machine itself, and from each place where
// he has proved something lately, are counted for that place alone. Those from everywhere else are
// counted together as his strangers', and each of their addresses over all persons too. So
// strangers slow down each other, however many places they come from, and never the person at a
// place of his.

#include "base/sqlite.hpp"
#include "daemon/factors/back_off.hpp"
#include "daemon/factors/source.hpp"

#include <optional>

namespace vigil::factors {

/// A place is a person's own for so long after he has proved something there.
inline constexpr Seconds place_lifetime{30 * 24 * 3600};
/// Places of one person; the one where he proved something longest ago makes room.
inline constexpr std::int64_t max_places_per_user = 16;
/// Addresses that strangers' wrong answers are counted of; one that waits for nothing makes room.
/// Where all wait, those that find no room have one count together.
inline constexpr std::int64_t max_sources = 4096;

class Throttle {
public:
    static constexpr const char* schema =
        "CREATE TABLE throttle (uid INTEGER NOT NULL, lane TEXT NOT NULL,"
        " failures INTEGER NOT NULL, last INTEGER NOT NULL, not_before INTEGER NOT NULL,"
        " wrong_attempt BLOB NOT NULL, proved INTEGER NOT NULL,"
        " PRIMARY KEY (uid, lane)) STRICT, WITHOUT ROWID;"
        "CREATE TABLE source (place TEXT PRIMARY KEY, failures INTEGER NOT NULL,"
        " last INTEGER NOT NULL, not_before INTEGER NOT NULL) STRICT, WITHOUT ROWID;";

    static Result<Throttle> prepare(base::Database& database);

    /// What failed() goes on from.
    struct Standing {
        Seconds wait{0};
        std::string wrong_attempt{}; ///< mark of the last answer from there that was wrong
        std::string lane{};          ///< what counts it
        Count count{};
        std::string source{}; ///< what counts its address as well; "": nothing does
        Count of_source{};
    };
    Result<Standing> standing(std::uint32_t uid, const Source& source, WallTime now);

    struct Failed {
        Seconds wait{0};            ///< from now on
        std::uint32_t failures = 0; ///< in a row, of the person, wherever they came from
    };
    Result<Failed> failed(std::uint32_t uid, const Standing& before, std::string_view attempt,
                          WallTime now);
    /// A wrong one that makes nobody wait.
    Result<> noted(std::uint32_t uid, WallTime now);
    /// `failures`, as above.
    Result<std::uint32_t> in_a_row(std::uint32_t uid);
    /// Strangers' failures stay: what he proves elsewhere gives them no tries.
    Result<> succeeded(std::uint32_t uid, const Source& source, WallTime now);
    /// Of persons without a factor, who have passwords alone to guess, nothing is kept but their
    /// waits and what was wrong lately.
    Result<> forget_unknown(WallTime now);

private:
    struct Row {
        Count count{};
        std::string wrong_attempt{};
        WallTime proved{}; ///< the epoch: never
    };
    Result<std::optional<Row>> row(std::uint32_t uid, std::string_view lane);
    Result<> put(std::uint32_t uid, std::string_view lane, const Row& row);
    Result<> settle_source(Standing& standing, const Source& source, WallTime now);
    Result<Seconds> count_source(const Standing& before, WallTime now);
    Result<std::optional<Count>> count_of(std::string_view place);
    Result<> put_source(std::string_view place, const Count& count);
    Result<bool> has_room(WallTime now);

    base::Statement find_, put_, erase_, drop_places_, forget_;
    base::Statement find_source_, put_source_, count_sources_, settle_sources_, drop_source_;
};

} // namespace vigil::factors
