#pragma once
// One record, one row: which column is which field. What does not fit its type, or its range, is no
// row of ours (EBADMSG).

#include "base/sqlite.hpp"
#include "daemon/core/records.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace vigil::store::rows {

/// A table of records, each under a key. The columns stand here as write() and read() go through
/// them, and are always named: where a database is older than the program they have another order.
struct Table {
    std::string_view name;
    std::string_view key; ///< the first columns
    std::string_view rest;

    /// For write(). Not OR REPLACE: that one deletes the row first, and the trigger would take what
    /// hangs on a session.
    std::string put() const;
    /// For read(). `which`: what stands behind the name.
    std::string select(std::string_view which) const;
};

inline constexpr Table session{
    "session", "id",
    "user, uid, groups, service, remote, remote_unknown, class, pam_terminal, remote_host, "
    "leader_pid, leader_start, logind_session, cgroup, state, since, since_wall, locked_since, "
    "locked_since_wall, locked_by, lock_reason, unlocked_by, unlock_reason, unlocked_wall, "
    "unlocking_by, unlocking_reason, unlock_failures, unlock_not_before, ending_since, end_reason, "
    "end_warnings_given, adopted, desktop_locked, login, run_as"};
inline constexpr Table grant{"grant_", "id",
                             "uid, session, terminal, leader_pid, leader_start, purpose, expires, "
                             "uses_left"};
inline constexpr Table remembered{"remembered_login", "id",
                                  "uid, user, source, host, after, proved, since, expires"};
inline constexpr Table block{"block", "uid", "user, reason, ordered_by, since, until, until_wall"};
inline constexpr Table terminal{"terminal", "session, path",
                                "device, settings, uid, gid, mode, lock_console, keyboard_mode, "
                                "screen, cursor"};

Result<> write(base::Statement& statement, const core::SessionRecord& record);
Result<> write(base::Statement& statement, const core::GrantRecord& record);
Result<> write(base::Statement& statement, const core::RememberedLogin& record);
Result<> write(base::Statement& statement, const core::BlockRecord& record);
Result<> write(base::Statement& statement, const core::SavedTerminal& record);

Result<> read(const base::Statement& row, core::SessionRecord& record);
Result<> read(const base::Statement& row, core::GrantRecord& record);
Result<> read(const base::Statement& row, core::RememberedLogin& record);
Result<> read(const base::Statement& row, core::BlockRecord& record);
Result<> read(const base::Statement& row, core::SavedTerminal& record);

Result<> bind_id(base::Statement& statement, int place, const core::SessionId& id);
Result<> run_with_id(base::Statement& statement, const core::SessionId& id);

template <typename Record>
Result<std::vector<Record>> read_all(base::Statement& statement) {
    const base::Running running{statement};
    std::vector<Record> records;
    for (;;) {
        const auto row = statement.step();
        if (!row)
            return std::unexpected{row.error()};
        if (!*row)
            return records;
        if (const auto done = read(statement, records.emplace_back()); !done)
            return std::unexpected{done.error()};
    }
}

} // namespace vigil::store::rows
