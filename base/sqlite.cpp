#include "base/sqlite.hpp"

#include "base/unique_fd.hpp"

#include <cerrno>

#include <fcntl.h>

namespace vigil::base {

namespace {

int errno_of(int code) noexcept {
    switch (code & 0xFF) {
    case SQLITE_FULL:
        return ENOSPC;
    case SQLITE_IOERR:
        return EIO;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return EBUSY;
    case SQLITE_READONLY:
        return EROFS;
    case SQLITE_NOMEM:
        return ENOMEM;
    case SQLITE_CONSTRAINT:
        return EEXIST;
    case SQLITE_PERM:
        return EACCES;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return EBADMSG;
    default:
        return 0;
    }
}

std::unexpected<Error> failed(sqlite3* database, const std::string& doing) {
    const int code = database ? sqlite3_extended_errcode(database) : SQLITE_NOMEM;
    return fail(errno_of(code), doing + ": " +
                                    (database ? sqlite3_errmsg(database) : sqlite3_errstr(code)) +
                                    " (SQLite " + std::to_string(code) + ")");
}

std::unexpected<Error> failed(sqlite3_stmt* statement) {
    const char* const sql = sqlite3_sql(statement);
    return failed(sqlite3_db_handle(statement), sql ? sql : "a statement");
}

const char* pragma_of(Database::Synchronous synchronous) noexcept {
    switch (synchronous) {
    case Database::Synchronous::off:
        return "PRAGMA synchronous = OFF";
    case Database::Synchronous::normal:
        return "PRAGMA synchronous = NORMAL";
    case Database::Synchronous::full:
        break;
    }
    return "PRAGMA synchronous = FULL";
}

/// SQLite makes files 0644 less the umask, and gives -wal and -shm the mode of the main file.
Result<> make_private_file(const std::string& path) {
    const UniqueFd fd{
        ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600)};
    if (!fd)
        return fail(errno, "opening " + path);
    return {};
}

} // namespace

Result<> Statement::bind(int place, std::int64_t value) {
    if (sqlite3_bind_int64(statement_.get(), place, value) != SQLITE_OK)
        return failed(statement_.get());
    return {};
}

Result<> Statement::bind(int place, std::string_view text) {
    const char* const data = text.data() ? text.data() : ""; // a null pointer would bind NULL
    if (sqlite3_bind_text64(statement_.get(), place, data, text.size(), SQLITE_TRANSIENT,
                            SQLITE_UTF8) != SQLITE_OK)
        return failed(statement_.get());
    return {};
}

Result<> Statement::bind_blob(int place, std::string_view bytes) {
    const char* const data = bytes.data() ? bytes.data() : "";
    if (sqlite3_bind_blob64(statement_.get(), place, data, bytes.size(), SQLITE_TRANSIENT) !=
        SQLITE_OK)
        return failed(statement_.get());
    return {};
}

Result<> Statement::bind_null(int place) {
    if (sqlite3_bind_null(statement_.get(), place) != SQLITE_OK)
        return failed(statement_.get());
    return {};
}

Result<bool> Statement::step() {
    switch (sqlite3_step(statement_.get())) {
    case SQLITE_ROW:
        return true;
    case SQLITE_DONE:
        return false;
    default:
        return failed(statement_.get());
    }
}

Result<> Statement::run() {
    const auto row = step();
    reset();
    if (!row)
        return std::unexpected{row.error()};
    return {};
}

void Statement::reset() noexcept {
    sqlite3_reset(statement_.get());
    sqlite3_clear_bindings(statement_.get());
}

bool Statement::is_null(int column) const noexcept {
    return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

std::int64_t Statement::integer(int column) const noexcept {
    return sqlite3_column_int64(statement_.get(), column);
}

std::string_view Statement::text(int column) const noexcept {
    const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
    const int size = sqlite3_column_bytes(statement_.get(), column);
    return data ? std::string_view{data, static_cast<std::size_t>(size)} : std::string_view{};
}

std::string_view Statement::blob(int column) const noexcept {
    const auto* data = static_cast<const char*>(sqlite3_column_blob(statement_.get(), column));
    const int size = sqlite3_column_bytes(statement_.get(), column);
    return data ? std::string_view{data, static_cast<std::size_t>(size)} : std::string_view{};
}

Result<Database> Database::open(const std::string& path, bool create, Synchronous synchronous) {
    // ":memory:" is no file's name (sqlite3_open_v2).
    if (create && path != ":memory:") {
        if (const auto made = make_private_file(path); !made)
            return std::unexpected{made.error()};
    }
    sqlite3* raw = nullptr;
    const int r = sqlite3_open_v2(path.c_str(), &raw,
                                  SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
                                      SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE,
                                  nullptr);
    Database database{raw}; // to be closed even after a failure
    if (r != SQLITE_OK)
        return failed(raw, "opening " + path);
    sqlite3_busy_timeout(raw, 0);
    for (const char* pragma :
         {"PRAGMA journal_mode = WAL", "PRAGMA foreign_keys = ON", pragma_of(synchronous),
          "PRAGMA trusted_schema = OFF", "SELECT count(*) FROM sqlite_schema"})
        if (const auto done = database.exec(pragma); !done)
            return fail(done.error().code, path + ": " + done.error().what);
    return database;
}

Result<> Database::exec(const char* sql) {
    if (sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK)
        return failed(database_.get(), sql);
    return {};
}

Result<Statement> Database::prepare(std::string_view sql) {
    sqlite3_stmt* raw = nullptr;
    if (sqlite3_prepare_v3(database_.get(), sql.data(), static_cast<int>(sql.size()),
                           SQLITE_PREPARE_PERSISTENT, &raw, nullptr) != SQLITE_OK)
        return failed(database_.get(), std::string{sql});
    return Statement{raw};
}

Result<> Database::check() {
    auto statement = prepare("PRAGMA quick_check(1)");
    if (!statement)
        return std::unexpected{statement.error()};
    const auto row = statement->step();
    if (!row)
        return std::unexpected{row.error()};
    if (!*row || statement->text(0) != "ok")
        return fail(EBADMSG, std::string{statement->text(0)});
    return {};
}

Result<Transaction> Transaction::begin(Database& database) {
    if (const auto begun = database.exec("BEGIN IMMEDIATE"); !begun)
        return std::unexpected{begun.error()};
    return Transaction{database};
}

Transaction::~Transaction() {
    // Some errors (a full disk) have rolled back already: then this fails, and that is well.
    if (database_ != nullptr)
        sqlite3_exec(database_->get(), "ROLLBACK", nullptr, nullptr, nullptr);
}

Result<> Transaction::commit() {
    auto done = database_->exec("COMMIT");
    if (done)
        database_ = nullptr;
    return done;
}

} // namespace vigil::base
