#include "daemon/store/schema.hpp"

#include <array>
#include <cerrno>
#include <string>

namespace vigil::store {

namespace {

// A change is made twice: here, for a new database, and as another step below. What a step adds has
// a default that is true of whatever an older vigild wrote. Rows are read and written by the names
// of their columns (rows.hpp), so where a column stands does not matter.
//
// Groups are a blob of names, each ended by NUL, which no name has in it. Times are microseconds.
// What hangs on a session goes with it by a trigger: one statement, so one write.
constexpr const char* schema = R"(
CREATE TABLE session (
  id BLOB PRIMARY KEY, user TEXT NOT NULL, uid INTEGER NOT NULL, groups BLOB NOT NULL,
  service TEXT NOT NULL, remote BLOB, remote_unknown INTEGER NOT NULL,
  class INTEGER NOT NULL, pam_terminal TEXT NOT NULL,
  remote_host TEXT NOT NULL, leader_pid INTEGER NOT NULL, leader_start INTEGER NOT NULL,
  logind_session TEXT NOT NULL, cgroup TEXT NOT NULL, state INTEGER NOT NULL,
  since INTEGER NOT NULL, since_wall INTEGER NOT NULL, locked_since INTEGER NOT NULL,
  locked_since_wall INTEGER NOT NULL, locked_by TEXT NOT NULL, lock_reason TEXT NOT NULL,
  unlocked_by TEXT NOT NULL, unlock_reason TEXT NOT NULL, unlocked_wall INTEGER NOT NULL,
  unlocking_by TEXT NOT NULL, unlocking_reason TEXT NOT NULL, unlock_failures INTEGER NOT NULL,
  unlock_not_before INTEGER NOT NULL, ending_since INTEGER NOT NULL, end_reason TEXT NOT NULL,
  end_warnings_given INTEGER NOT NULL, adopted INTEGER NOT NULL,
  desktop_locked INTEGER NOT NULL, login BLOB, run_as TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE grant_ (
  id BLOB PRIMARY KEY, uid INTEGER NOT NULL, session BLOB NOT NULL, terminal INTEGER NOT NULL,
  leader_pid INTEGER NOT NULL, leader_start INTEGER NOT NULL, purpose TEXT NOT NULL,
  expires INTEGER NOT NULL, uses_left INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX grant_session ON grant_ (session);
CREATE TABLE remembered_login (
  id BLOB PRIMARY KEY, uid INTEGER NOT NULL, user TEXT NOT NULL, source BLOB NOT NULL,
  host TEXT NOT NULL, after TEXT NOT NULL, proved BLOB NOT NULL, since INTEGER NOT NULL,
  expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE block (
  uid INTEGER PRIMARY KEY, user TEXT NOT NULL, reason TEXT NOT NULL, ordered_by TEXT NOT NULL,
  since INTEGER NOT NULL, until INTEGER NOT NULL, until_wall INTEGER NOT NULL
) STRICT;
CREATE TABLE terminal (
  session BLOB NOT NULL, path TEXT NOT NULL, device INTEGER NOT NULL, settings BLOB NOT NULL,
  uid INTEGER NOT NULL, gid INTEGER NOT NULL, mode INTEGER NOT NULL,
  lock_console INTEGER NOT NULL, keyboard_mode INTEGER NOT NULL, screen INTEGER NOT NULL,
  cursor INTEGER NOT NULL,
  PRIMARY KEY (session, path)
) STRICT, WITHOUT ROWID;
CREATE TABLE activity (
  session BLOB PRIMARY KEY, input INTEGER NOT NULL, output INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER session_gone AFTER DELETE ON session BEGIN
  DELETE FROM grant_ WHERE session = old.id;
  DELETE FROM terminal WHERE session = old.id;
  DELETE FROM activity WHERE session = old.id;
END;
)";

Result<std::int64_t> first_integer(base::Database& database, const std::string& sql) {
    auto statement = database.prepare(sql);
    if (!statement)
        return std::unexpected{statement.error()};
    const auto row = statement->step();
    if (!row)
        return std::unexpected{row.error()};
    return *row ? statement->integer(0) : 0;
}

struct Column {
    const char* table;
    const char* name;
    const char* definition;
};

Result<> add(base::Database& database, const Column& column) {
    return database.exec((std::string{"ALTER TABLE "} + column.table + " ADD COLUMN " +
                          column.name + " " + column.definition)
                             .c_str());
}

Result<> add_missing(base::Database& database, const Column& column) {
    const auto there =
        first_integer(database, std::string{"SELECT count(*) FROM pragma_table_info('"} +
                                    column.table + "') WHERE name = '" + column.name + "'");
    if (!there)
        return std::unexpected{there.error()};
    return *there != 0 ? Result<>{} : add(database, column);
}

/// Number 1 was given to all that vigild wrote before its schemas had numbers of their own: each
/// has the columns up to one of these. Only what is under a lock is in `terminal`, and a prompt of
/// that time has drawn there without asking, so which screen it had nobody knows (2,
/// core::Screen).
Result<> from_1(base::Database& database) {
    static constexpr std::array columns{
        Column{"terminal", "lock_console", "INTEGER NOT NULL DEFAULT 0"},
        Column{"terminal", "keyboard_mode", "INTEGER NOT NULL DEFAULT 0"},
        Column{"session", "desktop_locked", "INTEGER NOT NULL DEFAULT 0"},
        Column{"terminal", "screen", "INTEGER NOT NULL DEFAULT 2"},
        Column{"session", "lock_reason", "TEXT NOT NULL DEFAULT ''"},
        Column{"session", "unlocked_by", "TEXT NOT NULL DEFAULT ''"},
        Column{"session", "unlock_reason", "TEXT NOT NULL DEFAULT ''"},
        Column{"session", "unlocked_wall", "INTEGER NOT NULL DEFAULT 0"},
        Column{"session", "unlocking_by", "TEXT NOT NULL DEFAULT ''"},
        Column{"session", "unlocking_reason", "TEXT NOT NULL DEFAULT ''"},
    };
    for (const auto& column : columns)
        if (const auto done = add_missing(database, column); !done)
            return done;
    return database.exec(R"(
CREATE TABLE IF NOT EXISTS activity (
  session BLOB PRIMARY KEY, input INTEGER NOT NULL, output INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
DROP TRIGGER session_gone;
CREATE TRIGGER session_gone AFTER DELETE ON session BEGIN
  DELETE FROM grant_ WHERE session = old.id;
  DELETE FROM terminal WHERE session = old.id;
  DELETE FROM activity WHERE session = old.id;
END;
)");
}

/// A cursor was not asked for, and came back shown (0, core::Cursor).
Result<> from_2(base::Database& database) {
    return add(database, {"terminal", "cursor", "INTEGER NOT NULL DEFAULT 0"});
}

/// Elevated sessions were not known.
Result<> from_3(base::Database& database) {
    if (const auto done = add(database, {"session", "login", "BLOB"}); !done)
        return done;
    return add(database, {"session", "run_as", "TEXT NOT NULL DEFAULT ''"});
}

/// No login was remembered before.
Result<> from_4(base::Database& database) {
    return database.exec(R"(
CREATE TABLE remembered_login (
  id BLOB PRIMARY KEY, uid INTEGER NOT NULL, user TEXT NOT NULL, source BLOB NOT NULL,
  host TEXT NOT NULL, after TEXT NOT NULL, proved BLOB NOT NULL, since INTEGER NOT NULL,
  expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
)");
}

/// Nobody was blocked.
Result<> from_5(base::Database& database) {
    return database.exec(R"(
CREATE TABLE block (
  uid INTEGER PRIMARY KEY, user TEXT NOT NULL, reason TEXT NOT NULL, ordered_by TEXT NOT NULL,
  since INTEGER NOT NULL, until INTEGER NOT NULL, until_wall INTEGER NOT NULL
) STRICT;
)");
}

/// The first leads from 1 to 2, and so on. None is ever changed once a vigild with it was used.
constexpr std::array steps{from_1, from_2, from_3, from_4, from_5};
constexpr std::int64_t current = steps.size() + 1;

Result<> set_version(base::Database& database) {
    return database.exec(("PRAGMA user_version = " + std::to_string(current)).c_str());
}

Result<> bring_forward(base::Database& database, std::int64_t version) {
    for (std::size_t step = static_cast<std::size_t>(version) - 1; step < steps.size(); ++step)
        if (const auto done = steps[step](database); !done)
            // Without an errno of SQLite's: its tables are not those of its number.
            return fail(done.error().code != 0 ? done.error().code : EBADMSG,
                        "bringing schema " + std::to_string(version) +
                            " forward: " + done.error().what);
    return set_version(database);
}

Result<> make(base::Database& database) {
    if (const auto made = database.exec(schema); !made)
        return made;
    return set_version(database);
}

} // namespace

Result<> prepare_schema(base::Database& database) {
    auto transaction = base::Transaction::begin(database);
    if (!transaction)
        return std::unexpected{transaction.error()};
    const auto version = first_integer(database, "PRAGMA user_version");
    const auto tables = first_integer(database, "SELECT count(*) FROM sqlite_schema");
    if (!version || !tables)
        return std::unexpected{version ? tables.error() : version.error()};
    if (*version == 0 && *tables == 0) {
        if (const auto made = make(database); !made)
            return made;
        return transaction->commit();
    }
    if (*version > current)
        return fail(EBADMSG, "it is of a newer vigild (schema " + std::to_string(*version) +
                                 "; this one knows " + std::to_string(current) + ")");
    if (*version < 1)
        return fail(EBADMSG, "no schema of vigild's (" + std::to_string(*version) + ")");
    if (const auto sound = database.check(); !sound || *version == current)
        return sound;
    if (const auto forward = bring_forward(database, *version); !forward)
        return forward;
    return transaction->commit();
}

} // namespace vigil::store
