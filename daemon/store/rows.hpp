#pragma once
// One record, one row: which column is which place. What does not fit its type, or its range, is no
// row of ours (EBADMSG).

#include "base/sqlite.hpp"
#include "daemon/core/records.hpp"

#include <vector>

namespace vigil::store::rows {

// Places are given by order: the columns stand here as write() and read() go through them.
// ON CONFLICT, not OR REPLACE: that one deletes the row first, and the trigger would take the
// grants.
inline constexpr const char* put_session =
    "INSERT INTO session VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
    "?, ?, ?, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET"
    " user = excluded.user, uid = excluded.uid, groups = excluded.groups,"
    " service = excluded.service, remote = excluded.remote,"
    " remote_unknown = excluded.remote_unknown, class = excluded.class,"
    " pam_terminal = excluded.pam_terminal, remote_host = excluded.remote_host,"
    " leader_pid = excluded.leader_pid, leader_start = excluded.leader_start,"
    " logind_session = excluded.logind_session, cgroup = excluded.cgroup,"
    " state = excluded.state, since = excluded.since, since_wall = excluded.since_wall,"
    " locked_since = excluded.locked_since, locked_since_wall = excluded.locked_since_wall,"
    " locked_by = excluded.locked_by, unlock_failures = excluded.unlock_failures,"
    " unlock_not_before = excluded.unlock_not_before, ending_since = excluded.ending_since,"
    " end_reason = excluded.end_reason, end_warnings_given = excluded.end_warnings_given,"
    " adopted = excluded.adopted, desktop_locked = excluded.desktop_locked";
inline constexpr const char* all_sessions =
    "SELECT"
    " id, user, uid, groups, service, remote, remote_unknown, class, pam_terminal,"
    " remote_host, leader_pid, leader_start, logind_session, cgroup, state, since,"
    " since_wall, locked_since, locked_since_wall, locked_by, unlock_failures,"
    " unlock_not_before, ending_since, end_reason, end_warnings_given, adopted,"
    " desktop_locked"
    " FROM session ORDER BY since, id";
inline constexpr const char* put_grant =
    "INSERT OR REPLACE INTO grant_ VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
inline constexpr const char* all_grants =
    "SELECT id, uid, session, terminal, leader_pid, leader_start, purpose, expires, uses_left"
    " FROM grant_ ORDER BY expires, id";
inline constexpr const char* put_terminal =
    "INSERT OR REPLACE INTO terminal VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
inline constexpr const char* session_terminals =
    "SELECT session, path, device, settings, uid, gid, mode, lock_console, keyboard_mode"
    " FROM terminal WHERE session = ?1 ORDER BY path";

Result<> write(base::Statement& statement, const core::SessionRecord& record);
Result<> write(base::Statement& statement, const core::GrantRecord& record);
Result<> write(base::Statement& statement, const core::SavedTerminal& record);

Result<> read(const base::Statement& row, core::SessionRecord& record);
Result<> read(const base::Statement& row, core::GrantRecord& record);
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
