#pragma once
// Owners for SQLite's handles. Every error is a Result whose text has SQLite's own message and
// extended result code; Error::code is an errno where one says as much (ENOSPC, EIO, EBUSY…).

#include "base/error.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <sqlite3.h>

namespace vigil::base {

class Statement {
public:
    Statement() = default; ///< none; for a member to be filled

    // Places are counted from 1, as in SQL (?1).
    Result<> bind(int place, std::int64_t value);
    Result<> bind(int place, std::string_view text);
    Result<> bind(int place, const char* text) { return bind(place, std::string_view{text}); }
    Result<> bind_blob(int place, std::string_view bytes);
    Result<> bind_null(int place);

    /// True: there is a row. False: done.
    Result<bool> step();

    /// step() for a statement without rows, then reset() whatever came of it.
    Result<> run();

    /// Makes it ready for another run; what is bound goes.
    void reset() noexcept;

    // Columns of the row, counted from 0. Text and blobs hold until the next step or reset.
    bool is_null(int column) const noexcept;
    std::int64_t integer(int column) const noexcept;
    std::string_view text(int column) const noexcept;
    std::string_view blob(int column) const noexcept;

private:
    friend class Database;
    struct Deleter {
        void operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }
    };
    explicit Statement(sqlite3_stmt* statement) noexcept : statement_{statement} {}

    std::unique_ptr<sqlite3_stmt, Deleter> statement_;
};

/// Resets a statement when left, so that no early return leaves a read open.
class Running {
public:
    explicit Running(Statement& statement) noexcept : statement_{statement} {}
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;
    ~Running() { statement_.reset(); }

private:
    Statement& statement_;
};

class Database {
public:
    enum class Synchronous { off, normal, full };

    /// WAL, foreign keys on, no waiting for locks (one process has it). A file that is new is made
    /// for its owner alone (0600) if `create`. Reads the file's header, so what is no database is
    /// found here.
    static Result<Database> open(const std::string& path, bool create, Synchronous synchronous);

    /// One or more statements without parameters; rows are dropped.
    Result<> exec(const char* sql);
    Result<Statement> prepare(std::string_view sql);
    /// EBADMSG: it is damaged.
    Result<> check();

    /// Rows the last statement changed.
    std::int64_t changes() const noexcept { return sqlite3_changes64(database_.get()); }
    sqlite3* get() const noexcept { return database_.get(); }

private:
    struct Deleter {
        void operator()(sqlite3* database) const noexcept { sqlite3_close_v2(database); }
    };
    explicit Database(sqlite3* database) noexcept : database_{database} {}

    std::unique_ptr<sqlite3, Deleter> database_;
};

/// BEGIN IMMEDIATE; rolled back unless committed.
class Transaction {
public:
    static Result<Transaction> begin(Database& database);
    Transaction(Transaction&& other) noexcept
        : database_{std::exchange(other.database_, nullptr)} {}
    Transaction& operator=(Transaction&&) = delete;
    ~Transaction();

    Result<> commit();

private:
    explicit Transaction(Database& database) noexcept : database_{&database} {}

    Database* database_; ///< nullptr: nothing to roll back
};

} // namespace vigil::base
