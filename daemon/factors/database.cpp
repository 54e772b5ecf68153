#include "daemon/factors/database.hpp"

#include "base/openssl.hpp"
#include "daemon/factors/throttle.hpp"

#include <cerrno>
#include <ctime>

#include <sys/stat.h>

namespace vigil::factors {

namespace {

constexpr std::int64_t schema_version = 1;
constexpr const char* meta_purpose = "vigil factors, meta, 1";
constexpr const char* meta_text = "sealed under this key";
/// For a lock held by another process: the one before an upgrade, on its way out.
constexpr int busy_milliseconds = 1000;

constexpr const char* schema = R"(
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE factor (
  id TEXT PRIMARY KEY, uid INTEGER NOT NULL, user TEXT NOT NULL, kind TEXT NOT NULL,
  name TEXT NOT NULL, sealed BLOB NOT NULL, created INTEGER NOT NULL, active INTEGER NOT NULL,
  last_step INTEGER NOT NULL, last_used INTEGER NOT NULL, accepted_attempt BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX factor_uid ON factor (uid);
)";

Result<base::Database> open_waiting(const std::string& path) {
    // base opens without waiting, and with a second process about, that is too short.
    for (int left = busy_milliseconds / 20;; --left) {
        auto database = base::Database::open(path, true, base::Database::Synchronous::full);
        if (database || database.error().code != EBUSY || left == 0)
            return database;
        const timespec pause{0, 20'000'000};
        ::nanosleep(&pause, nullptr);
    }
}

Result<> make(base::Database& database, std::string_view key) {
    const auto sealed = base::seal(key, meta_purpose, meta_text);
    if (!sealed)
        return std::unexpected{sealed.error()};
    for (const char* sql : {schema, Throttle::schema, "PRAGMA user_version = 1"})
        if (const auto done = database.exec(sql); !done)
            return done;
    auto insert = database.prepare("INSERT INTO meta VALUES ('key', ?1)");
    if (!insert)
        return std::unexpected{insert.error()};
    if (const auto bound = insert->bind_blob(1, *sealed); !bound)
        return bound;
    return insert->run();
}

Result<std::int64_t> version_of(base::Database& database) {
    auto statement = database.prepare(
        "SELECT user_version, (SELECT count(*) FROM sqlite_schema) FROM pragma_user_version");
    if (!statement)
        return std::unexpected{statement.error()};
    const auto row = statement->step();
    if (!row)
        return std::unexpected{row.error()};
    const std::int64_t version = statement->integer(0);
    return version == 0 && statement->integer(1) != 0 ? -1 : version;
}

Result<> check_key(base::Database& database, std::string_view key) {
    auto statement = database.prepare("SELECT value FROM meta WHERE name = 'key'");
    if (!statement)
        return fail(EBADMSG, statement.error().what);
    const auto row = statement->step();
    if (!row)
        return std::unexpected{row.error()};
    if (!*row || !base::unseal(key, meta_purpose, statement->blob(0)))
        return fail(EBADMSG, "sealed under another key");
    return {};
}

Result<> make_or_check(base::Database& database, std::string_view key) {
    auto transaction = base::Transaction::begin(database);
    if (!transaction)
        return std::unexpected{transaction.error()};
    const auto version = version_of(database);
    if (!version)
        return std::unexpected{version.error()};
    if (*version == 0) {
        if (const auto made = make(database, key); !made)
            return made;
        return transaction->commit();
    }
    if (*version != schema_version)
        return fail(EBADMSG, "schema " + std::to_string(*version) + ", this program knows " +
                                 std::to_string(schema_version));
    if (const auto sound = database.check(); !sound)
        return sound;
    return check_key(database, key);
}

} // namespace

Result<base::Database> open_database(const std::string& path, std::string_view key) {
    if (key.size() != base::seal_key_bytes)
        return fail(EINVAL, "the key of the factors has not 32 bytes");
    auto database = open_waiting(path);
    if (!database)
        return database;
    sqlite3_busy_timeout(database->get(), busy_milliseconds);
    if (const auto done = make_or_check(*database, key); !done)
        return fail(done.error().code, path + ": " + done.error().what);
    return database;
}

Result<FileWatch> FileWatch::of(const std::string& path) {
    FileWatch watch;
    watch.files_[0].path = path;
    watch.files_[1].path = path + "-wal";
    for (auto& file : watch.files_) {
        struct stat status;
        if (::lstat(file.path.c_str(), &status) < 0)
            return fail(errno, "looking at " + file.path);
        file.device = status.st_dev;
        file.inode = status.st_ino;
        file.size = status.st_size;
    }
    return watch;
}

Result<> FileWatch::check() {
    for (auto& file : files_) {
        struct stat status;
        if (::lstat(file.path.c_str(), &status) < 0)
            return fail(errno == ENOENT ? ESTALE : errno, "looking at " + file.path);
        if (status.st_dev != file.device || status.st_ino != file.inode ||
            status.st_size < file.size)
            return fail(ESTALE, file.path + " is not the file that was opened");
        file.size = status.st_size;
    }
    return {};
}

} // namespace vigil::factors
