#pragma once
// One record, one row: which column is which place. What does not fit its type, or its range, is no
// row of ours (EBADMSG).

#include "base/sqlite.hpp"
#include "daemon/core/records.hpp"

#include <vector>

namespace vigil::store::rows {

// ON CONFLICT, not OR REPLACE: that one deletes the row first, and the trigger would take the
// grants.
inline constexpr const char* put_session =
    "INSERT INTO session VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,"
    " ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25) ON CONFLICT (id) DO UPDATE SET user = ?2,"
    " uid = ?3, groups = ?4, service = ?5, remote = ?6, class = ?7, pam_terminal = ?8,"
    " remote_host = ?9, leader_pid = ?10, leader_start = ?11, logind_session = ?12, cgroup = ?13,"
    " state = ?14, since = ?15, since_wall = ?16, locked_since = ?17, locked_since_wall = ?18,"
    " locked_by = ?19, unlock_failures = ?20, unlock_not_before = ?21, ending_since = ?22,"
    " end_reason = ?23, end_warnings_given = ?24, adopted = ?25";
inline constexpr const char* all_sessions =
    "SELECT id, user, uid, groups, service, remote, class, pam_terminal, remote_host, leader_pid,"
    " leader_start, logind_session, cgroup, state, since, since_wall, locked_since,"
    " locked_since_wall, locked_by, unlock_failures, unlock_not_before, ending_since, end_reason,"
    " end_warnings_given, adopted FROM session ORDER BY since, id";
inline constexpr const char* put_grant =
    "INSERT OR REPLACE INTO grant_ VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
inline constexpr const char* all_grants =
    "SELECT id, uid, session, terminal, leader_pid, leader_start, purpose, expires, uses_left"
    " FROM grant_ ORDER BY expires, id";
inline constexpr const char* put_terminal =
    "INSERT OR REPLACE INTO terminal VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
inline constexpr const char* session_terminals =
    "SELECT session, path, device, settings, uid, gid, mode FROM terminal WHERE session = ?1"
    " ORDER BY path";

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
