#include "daemon/factors/database.hpp"

#include "base/openssl.hpp"
#include "daemon/factors/throttle.hpp"

#include <cerrno>
#include <ctime>

#include <sys/stat.h>

namespace vigil::factors {

namespace {

constexpr std::int64_t schema_version = 3;
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

/// Who has, or had, a factor that counts; how much of the time to enrol is over, when that was
/// looked at last by both clocks, and in which boot. Tickets, by a digest. That somebody has a
/// factor is noted by whatever makes it count.
constexpr const char* persons_schema = R"(
CREATE TABLE person (
  uid INTEGER PRIMARY KEY, had_factor INTEGER NOT NULL DEFAULT 0, met INTEGER NOT NULL DEFAULT 0,
  used INTEGER NOT NULL DEFAULT 0, looked INTEGER NOT NULL DEFAULT 0,
  looked_boot INTEGER NOT NULL DEFAULT 0, boot TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE TABLE ticket (
  uid INTEGER PRIMARY KEY, user TEXT NOT NULL, mark BLOB NOT NULL, made INTEGER NOT NULL,
  expires INTEGER NOT NULL, made_by TEXT NOT NULL
) STRICT;
CREATE TRIGGER factor_added AFTER INSERT ON factor WHEN new.active = 1 BEGIN
  INSERT INTO person (uid, had_factor) VALUES (new.uid, 1)
    ON CONFLICT (uid) DO UPDATE SET had_factor = 1;
END;
CREATE TRIGGER factor_proved AFTER UPDATE OF active ON factor WHEN new.active = 1 BEGIN
  INSERT INTO person (uid, had_factor) VALUES (new.uid, 1)
    ON CONFLICT (uid) DO UPDATE SET had_factor = 1;
END;
)";

/// steps[n] brings version n + 1 forward by one. One that was in use is never changed.
constexpr std::array<const char*, schema_version - 1> steps{
    // Wrong codes were counted for a person alone. Where they came from is not known, so they count
    // wherever that may have been.
    R"(
ALTER TABLE throttle RENAME TO throttle_1;
CREATE TABLE throttle (uid INTEGER NOT NULL, lane TEXT NOT NULL, failures INTEGER NOT NULL,
  last INTEGER NOT NULL, not_before INTEGER NOT NULL, wrong_attempt BLOB NOT NULL,
  proved INTEGER NOT NULL, PRIMARY KEY (uid, lane)) STRICT, WITHOUT ROWID;
CREATE TABLE source (place TEXT PRIMARY KEY, failures INTEGER NOT NULL, last INTEGER NOT NULL,
  not_before INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO throttle SELECT uid, lane, failures, not_before, not_before, wrong_attempt, 0
  FROM throttle_1, (SELECT 'person' AS lane UNION SELECT 'strangers' UNION SELECT 'local'
    UNION SELECT 'apart');
DROP TABLE throttle_1;
)",
    // Who had no factor when it was written may have had one before: that is not known.
    R"(
CREATE TABLE person (
  uid INTEGER PRIMARY KEY, had_factor INTEGER NOT NULL DEFAULT 0, met INTEGER NOT NULL DEFAULT 0,
  used INTEGER NOT NULL DEFAULT 0, looked INTEGER NOT NULL DEFAULT 0,
  looked_boot INTEGER NOT NULL DEFAULT 0, boot TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE TABLE ticket (
  uid INTEGER PRIMARY KEY, user TEXT NOT NULL, mark BLOB NOT NULL, made INTEGER NOT NULL,
  expires INTEGER NOT NULL, made_by TEXT NOT NULL
) STRICT;
CREATE TRIGGER factor_added AFTER INSERT ON factor WHEN new.active = 1 BEGIN
  INSERT INTO person (uid, had_factor) VALUES (new.uid, 1)
    ON CONFLICT (uid) DO UPDATE SET had_factor = 1;
END;
CREATE TRIGGER factor_proved AFTER UPDATE OF active ON factor WHEN new.active = 1 BEGIN
  INSERT INTO person (uid, had_factor) VALUES (new.uid, 1)
    ON CONFLICT (uid) DO UPDATE SET had_factor = 1;
END;
INSERT INTO person (uid, had_factor) SELECT DISTINCT uid, 1 FROM factor WHERE active = 1;
)"};

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

Result<> write_version(base::Database& database) {
    return database.exec(("PRAGMA user_version = " + std::to_string(schema_version)).c_str());
}

Result<> make(base::Database& database, std::string_view key) {
    for (const char* sql : {schema, Throttle::schema, persons_schema})
        if (const auto done = database.exec(sql); !done)
            return done;
    if (const auto done = write_version(database); !done)
        return done;
    return prove_key(database, key);
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

/// From `version` on, as a whole: the caller's transaction is around it.
Result<> bring_forward(base::Database& database, std::int64_t version) {
    for (; version < schema_version; ++version)
        if (const auto done = database.exec(steps[static_cast<std::size_t>(version - 1)]); !done)
            return done;
    return write_version(database);
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
    if (*version < 0 || *version > schema_version)
        return fail(EBADMSG, "schema " + std::to_string(*version) + ", this program knows " +
                                 std::to_string(schema_version));
    if (const auto sound = database.check(); !sound)
        return sound;
    if (const auto ours = check_key(database, key); !ours || *version == schema_version)
        return ours;
    if (const auto done = bring_forward(database, *version); !done)
        return done;
    return transaction->commit();
}

} // namespace

Result<> prove_key(base::Database& database, std::string_view key) {
    const auto sealed = base::seal(key, meta_purpose, meta_text);
    if (!sealed)
        return std::unexpected{sealed.error()};
    auto put = database.prepare("INSERT OR REPLACE INTO meta VALUES ('key', ?1)");
    if (!put)
        return std::unexpected{put.error()};
    if (const auto bound = put->bind_blob(1, *sealed); !bound)
        return bound;
    return put->run();
}

Result<base::Database> open_database(const std::string& path, std::string_view key) {
    if (key.size() != base::seal_key_bytes)
        return fail(EINVAL, "the key of the factors has not 32 bytes");
    auto database = open_waiting(path);
    if (!database)
        return database;
    sqlite3_busy_timeout(database->get(), busy_milliseconds);
    // What is sealed anew, or forgotten, is to leave nothing of the old in the file.
    if (const auto done = database->exec("PRAGMA secure_delete = ON"); !done)
        return std::unexpected{done.error()};
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
