#include "daemon/store/store.hpp"

#include "base/sqlite.hpp"
#include "daemon/store/rows.hpp"
#include "daemon/store/schema.hpp"

#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <unistd.h>

namespace vigil::store {

namespace {

/// Broken databases kept for a look; the last place is used again and again.
constexpr unsigned max_set_aside = 8;

Result<> move_aside(const std::string& from, const std::string& to) {
    if (::rename(from.c_str(), to.c_str()) < 0 && errno != ENOENT)
        return fail(errno, "renaming " + from);
    return {};
}

} // namespace

// Statements are kept: preparing one costs as much as running it.
struct RuntimeStore::State {
    base::Database database;
    base::Statement put_session, erase_session, all_sessions;
    base::Statement put_grant, erase_grant, all_grants;
    base::Statement put_remembered, erase_remembered, all_remembered;
    base::Statement put_block, erase_block, all_blocks;
    base::Statement put_terminal, erase_terminal, erase_terminals, session_terminals;
    base::Statement put_activity, session_activity;
};

RuntimeStore::RuntimeStore(std::unique_ptr<State> state) : state_{std::move(state)} {}
RuntimeStore::RuntimeStore(RuntimeStore&&) noexcept = default;
RuntimeStore::~RuntimeStore() = default;

Result<RuntimeStore> RuntimeStore::open(const std::string& path) {
    // Nothing is synced: the file is on tmpfs and gone with the boot, and what a kill -9 leaves
    // behind is in the kernel's hands already.
    auto database = base::Database::open(path, true, base::Database::Synchronous::off);
    if (!database)
        return std::unexpected{database.error()};
    // Locked for as long as it is open: a second vigild, left over from an upgrade, stays out (and
    // no write pays for locks). The cache is small because the file is memory already.
    for (const char* pragma : {"PRAGMA locking_mode = EXCLUSIVE", "PRAGMA cache_size = -512"})
        if (const auto done = database->exec(pragma); !done)
            return std::unexpected{done.error()};
    if (const auto done = prepare_schema(*database); !done)
        return fail(done.error().code, path + ": " + done.error().what);

    std::optional<Error> error;
    const auto prepare = [&](std::string_view sql) {
        auto statement = database->prepare(sql);
        if (!statement && !error)
            error = statement.error();
        return statement ? std::move(*statement) : base::Statement{};
    };
    auto put_session = prepare(rows::session.put());
    auto erase_session = prepare("DELETE FROM session WHERE id = ?1");
    auto all_sessions = prepare(rows::session.select("ORDER BY since, id"));
    auto put_grant = prepare(rows::grant.put());
    auto erase_grant = prepare("DELETE FROM grant_ WHERE id = ?1");
    auto all_grants = prepare(rows::grant.select("ORDER BY expires, id"));
    auto put_remembered = prepare(rows::remembered.put());
    auto erase_remembered = prepare("DELETE FROM remembered_login WHERE id = ?1");
    auto all_remembered = prepare(rows::remembered.select("ORDER BY since, id"));
    auto put_block = prepare(rows::block.put());
    auto erase_block = prepare("DELETE FROM block WHERE uid = ?1");
    auto all_blocks = prepare(rows::block.select("ORDER BY uid"));
    auto put_terminal = prepare(rows::terminal.put());
    auto erase_terminal = prepare("DELETE FROM terminal WHERE session = ?1 AND path = ?2");
    auto erase_terminals = prepare("DELETE FROM terminal WHERE session = ?1");
    auto session_terminals = prepare(rows::terminal.select("WHERE session = ?1 ORDER BY path"));
    auto put_activity =
        prepare("INSERT OR REPLACE INTO activity (session, input, output) VALUES (?1, ?2, ?3)");
    auto session_activity = prepare("SELECT input, output FROM activity WHERE session = ?1");
    if (error) // of this version by its number, and yet its tables are others
        return fail(error->code != 0 ? error->code : EBADMSG, path + ": " + error->what);
    return RuntimeStore{std::unique_ptr<State>{
        new State{std::move(*database), std::move(put_session), std::move(erase_session),
                  std::move(all_sessions), std::move(put_grant), std::move(erase_grant),
                  std::move(all_grants), std::move(put_remembered), std::move(erase_remembered),
                  std::move(all_remembered), std::move(put_block), std::move(erase_block),
                  std::move(all_blocks), std::move(put_terminal), std::move(erase_terminal),
                  std::move(erase_terminals), std::move(session_terminals), std::move(put_activity),
                  std::move(session_activity)}}};
}

Result<std::string> RuntimeStore::set_aside(const std::string& path) {
    unsigned n = 1;
    std::string target = path + ".broken-1";
    while (n < max_set_aside && ::access(target.c_str(), F_OK) == 0)
        target = path + ".broken-" + std::to_string(++n);
    // The log goes first: left behind alone, it would be played into the next database.
    if (const auto done = move_aside(path + "-wal", target + "-wal"); !done)
        return std::unexpected{done.error()};
    if (::unlink((path + "-shm").c_str()) < 0 && errno != ENOENT)
        return fail(errno, "removing " + path + "-shm");
    if (const auto done = move_aside(path, target); !done)
        return std::unexpected{done.error()};
    return target;
}

Result<> RuntimeStore::put(const core::SessionRecord& record) {
    const base::Running running{state_->put_session};
    return rows::write(state_->put_session, record);
}

Result<> RuntimeStore::erase_session(const core::SessionId& id) {
    return rows::run_with_id(state_->erase_session, id);
}

Result<std::vector<core::SessionRecord>> RuntimeStore::sessions() {
    return rows::read_all<core::SessionRecord>(state_->all_sessions);
}

Result<> RuntimeStore::put(const core::GrantRecord& record) {
    const base::Running running{state_->put_grant};
    return rows::write(state_->put_grant, record);
}

Result<> RuntimeStore::erase_grant(const core::SessionId& id) {
    return rows::run_with_id(state_->erase_grant, id);
}

Result<std::vector<core::GrantRecord>> RuntimeStore::grants() {
    return rows::read_all<core::GrantRecord>(state_->all_grants);
}

Result<> RuntimeStore::put(const core::RememberedLogin& record) {
    const base::Running running{state_->put_remembered};
    return rows::write(state_->put_remembered, record);
}

Result<> RuntimeStore::erase_remembered(const core::SessionId& id) {
    return rows::run_with_id(state_->erase_remembered, id);
}

Result<std::vector<core::RememberedLogin>> RuntimeStore::remembered() {
    return rows::read_all<core::RememberedLogin>(state_->all_remembered);
}

Result<> RuntimeStore::put(const core::BlockRecord& record) {
    const base::Running running{state_->put_block};
    return rows::write(state_->put_block, record);
}

Result<> RuntimeStore::erase_block(std::uint32_t uid) {
    auto& statement = state_->erase_block;
    const base::Running running{statement};
    if (const auto bound = statement.bind(1, std::int64_t{uid}); !bound)
        return bound;
    return statement.run();
}

Result<std::vector<core::BlockRecord>> RuntimeStore::blocks() {
    return rows::read_all<core::BlockRecord>(state_->all_blocks);
}

Result<> RuntimeStore::put(const core::SavedTerminal& terminal) {
    const base::Running running{state_->put_terminal};
    return rows::write(state_->put_terminal, terminal);
}

Result<> RuntimeStore::erase_terminal(const core::SessionId& session, const std::string& path) {
    auto& statement = state_->erase_terminal;
    const base::Running running{statement};
    auto bound = rows::bind_id(statement, 1, session);
    if (bound)
        bound = statement.bind(2, path);
    return bound ? statement.run() : bound;
}

Result<> RuntimeStore::erase_terminals(const core::SessionId& session) {
    return rows::run_with_id(state_->erase_terminals, session);
}

Result<std::vector<core::SavedTerminal>> RuntimeStore::terminals(const core::SessionId& session) {
    if (const auto bound = rows::bind_id(state_->session_terminals, 1, session); !bound)
        return std::unexpected{bound.error()};
    return rows::read_all<core::SavedTerminal>(state_->session_terminals);
}

Result<> RuntimeStore::put_activity(const core::SessionId& session, const Activity& activity) {
    auto& statement = state_->put_activity;
    const base::Running running{statement};
    auto bound = rows::bind_id(statement, 1, session);
    if (bound)
        bound = statement.bind(2, std::int64_t{activity.input.time_since_epoch().count()});
    if (bound)
        bound = statement.bind(3, std::int64_t{activity.output.time_since_epoch().count()});
    return bound ? statement.run() : bound;
}

Result<std::optional<RuntimeStore::Activity>>
RuntimeStore::activity(const core::SessionId& session) {
    auto& statement = state_->session_activity;
    const base::Running running{statement};
    if (const auto bound = rows::bind_id(statement, 1, session); !bound)
        return std::unexpected{bound.error()};
    const auto row = statement.step();
    if (!row)
        return std::unexpected{row.error()};
    if (!*row)
        return std::nullopt;
    return Activity{BootTime{Microseconds{statement.integer(0)}},
                    BootTime{Microseconds{statement.integer(1)}}};
}

} // namespace vigil::store
