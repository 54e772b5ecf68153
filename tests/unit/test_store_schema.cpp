// daemon/store: databases of older vigilds, made here from their own SQL, are brought forward as a
// whole or not at all; one of a newer vigild is refused.

#include "base/sqlite.hpp"
#include "daemon/store/store.hpp"
#include "tests/unit/folder.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <string>

#include <sys/resource.h>

using namespace vigil;
namespace fs = std::filesystem;

namespace {

std::string folder;
std::string path;

void make_folder() {
    folder = test::new_folder();
    path = folder + "/state.db";
}

void remove_folder() {
    fs::remove_all(folder);
}

constexpr const char* grants = R"(
CREATE TABLE grant_ (
  id BLOB PRIMARY KEY, uid INTEGER NOT NULL, session BLOB NOT NULL, terminal INTEGER NOT NULL,
  leader_pid INTEGER NOT NULL, leader_start INTEGER NOT NULL, purpose TEXT NOT NULL,
  expires INTEGER NOT NULL, uses_left INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX grant_session ON grant_ (session);
INSERT INTO grant_ VALUES (x'09090909090909090909090909090909', 1000,
  x'01010101010101010101010101010101', 34819, 4242, 77, 'sudo', 99, 20);
PRAGMA user_version = 1;
)";

// Number 1 as it was at first: nothing is known of consoles, desktops, reasons or last input.
constexpr const char* first = R"(
CREATE TABLE session (
  id BLOB PRIMARY KEY, user TEXT NOT NULL, uid INTEGER NOT NULL, groups BLOB NOT NULL,
  service TEXT NOT NULL, remote BLOB, remote_unknown INTEGER NOT NULL,
  class INTEGER NOT NULL, pam_terminal TEXT NOT NULL,
  remote_host TEXT NOT NULL, leader_pid INTEGER NOT NULL, leader_start INTEGER NOT NULL,
  logind_session TEXT NOT NULL, cgroup TEXT NOT NULL, state INTEGER NOT NULL,
  since INTEGER NOT NULL, since_wall INTEGER NOT NULL, locked_since INTEGER NOT NULL,
  locked_since_wall INTEGER NOT NULL, locked_by TEXT NOT NULL, unlock_failures INTEGER NOT NULL,
  unlock_not_before INTEGER NOT NULL, ending_since INTEGER NOT NULL, end_reason TEXT NOT NULL,
  end_warnings_given INTEGER NOT NULL, adopted INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE terminal (
  session BLOB NOT NULL, path TEXT NOT NULL, device INTEGER NOT NULL, settings BLOB NOT NULL,
  uid INTEGER NOT NULL, gid INTEGER NOT NULL, mode INTEGER NOT NULL,
  PRIMARY KEY (session, path)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER session_gone AFTER DELETE ON session BEGIN
  DELETE FROM grant_ WHERE session = old.id;
  DELETE FROM terminal WHERE session = old.id;
END;
INSERT INTO session VALUES (x'01010101010101010101010101010101', 'alice', 1000, x'7375646F00',
  'sshd', x'00000000000000000000FFFFC0000207', 0, 0, 'ssh', '192.0.2.7', 4242, 77, '3',
  '/user.slice/user-1000.slice/session-3.scope', 2, 5, 6, 7, 8, 'by root', 2, 9, 0, '', 1, 0);
INSERT INTO terminal VALUES (x'01010101010101010101010101010101', '/dev/pts/3', 34819, x'000102',
  1000, 5, 8592);
)";

// Still number 1: with last input, consoles, desktops and screens, and no reasons yet.
constexpr const char* middle = R"(
CREATE TABLE session (
  id BLOB PRIMARY KEY, user TEXT NOT NULL, uid INTEGER NOT NULL, groups BLOB NOT NULL,
  service TEXT NOT NULL, remote BLOB, remote_unknown INTEGER NOT NULL,
  class INTEGER NOT NULL, pam_terminal TEXT NOT NULL,
  remote_host TEXT NOT NULL, leader_pid INTEGER NOT NULL, leader_start INTEGER NOT NULL,
  logind_session TEXT NOT NULL, cgroup TEXT NOT NULL, state INTEGER NOT NULL,
  since INTEGER NOT NULL, since_wall INTEGER NOT NULL, locked_since INTEGER NOT NULL,
  locked_since_wall INTEGER NOT NULL, locked_by TEXT NOT NULL, unlock_failures INTEGER NOT NULL,
  unlock_not_before INTEGER NOT NULL, ending_since INTEGER NOT NULL, end_reason TEXT NOT NULL,
  end_warnings_given INTEGER NOT NULL, adopted INTEGER NOT NULL,
  desktop_locked INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE terminal (
  session BLOB NOT NULL, path TEXT NOT NULL, device INTEGER NOT NULL, settings BLOB NOT NULL,
  uid INTEGER NOT NULL, gid INTEGER NOT NULL, mode INTEGER NOT NULL,
  lock_console INTEGER NOT NULL, keyboard_mode INTEGER NOT NULL, screen INTEGER NOT NULL,
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
INSERT INTO session VALUES (x'01010101010101010101010101010101', 'alice', 1000, x'7375646F00',
  'sshd', x'00000000000000000000FFFFC0000207', 0, 0, 'ssh', '192.0.2.7', 4242, 77, '3',
  '/user.slice/user-1000.slice/session-3.scope', 2, 5, 6, 7, 8, 'by root', 2, 9, 0, '', 1, 0, 1);
INSERT INTO terminal VALUES (x'01010101010101010101010101010101', '/dev/pts/3', 34819, x'000102',
  1000, 5, 8592, 13, 3, 4);
INSERT INTO activity VALUES (x'01010101010101010101010101010101', 11, 12);
)";

// The last that had number 1: all that schema 2 has.
constexpr const char* last = R"(
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
  desktop_locked INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE terminal (
  session BLOB NOT NULL, path TEXT NOT NULL, device INTEGER NOT NULL, settings BLOB NOT NULL,
  uid INTEGER NOT NULL, gid INTEGER NOT NULL, mode INTEGER NOT NULL,
  lock_console INTEGER NOT NULL, keyboard_mode INTEGER NOT NULL, screen INTEGER NOT NULL,
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
INSERT INTO session VALUES (x'01010101010101010101010101010101', 'alice', 1000, x'7375646F00',
  'sshd', x'00000000000000000000FFFFC0000207', 0, 0, 'ssh', '192.0.2.7', 4242, 77, '3',
  '/user.slice/user-1000.slice/session-3.scope', 2, 5, 6, 7, 8, 'by root', 'lunch', 'password',
  'back', 10, 'root', 'she called', 2, 9, 0, '', 1, 0, 1);
INSERT INTO terminal VALUES (x'01010101010101010101010101010101', '/dev/pts/3', 34819, x'000102',
  1000, 5, 8592, 13, 3, 4);
INSERT INTO activity VALUES (x'01010101010101010101010101010101', 11, 12);
)";

/// Number 3: with a cursor, and without elevated sessions.
const std::string third =
    std::string{last} + "ALTER TABLE terminal ADD COLUMN cursor INTEGER NOT NULL DEFAULT 0;";

/// Number 4: with those, and without the logins that are remembered.
const std::string fourth = third +
                           "ALTER TABLE session ADD COLUMN login BLOB; "
                           "ALTER TABLE session ADD COLUMN run_as TEXT NOT NULL DEFAULT '';";

/// Number 5: with those, and nobody blocked.
const std::string fifth = fourth + R"(
CREATE TABLE remembered_login (
  id BLOB PRIMARY KEY, uid INTEGER NOT NULL, user TEXT NOT NULL, source BLOB NOT NULL,
  host TEXT NOT NULL, after TEXT NOT NULL, proved BLOB NOT NULL, since INTEGER NOT NULL,
  expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
)";

core::SessionId id_of(std::uint8_t number) {
    core::SessionId id;
    id.bytes.fill(number);
    return id;
}

core::SessionRecord session_of_first() {
    core::SessionRecord r;
    r.id = id_of(1);
    r.facts.user = "alice";
    r.facts.uid = 1000;
    r.facts.groups = {"sudo"};
    r.facts.service = "sshd";
    r.facts.remote = policy::Address{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 192, 0, 2, 7};
    r.pam_terminal = "ssh";
    r.remote_host = "192.0.2.7";
    r.leader = {4242, 77};
    r.logind_session = "3";
    r.cgroup = "/user.slice/user-1000.slice/session-3.scope";
    r.state = core::State::locked;
    r.since = BootTime{Microseconds{5}};
    r.since_wall = WallTime{Microseconds{6}};
    r.locked_since = BootTime{Microseconds{7}};
    r.locked_since_wall = WallTime{Microseconds{8}};
    r.locked_by = "by root";
    r.unlock_failures = 2;
    r.unlock_not_before = BootTime{Microseconds{9}};
    r.end_warnings_given = 1;
    return r;
}

core::SessionRecord session_of_middle() {
    auto r = session_of_first();
    r.desktop_locked = true;
    return r;
}

core::SessionRecord session_of_last() {
    auto r = session_of_middle();
    r.lock_reason = "lunch";
    r.unlocked_by = "password";
    r.unlock_reason = "back";
    r.unlocked_wall = WallTime{Microseconds{10}};
    r.unlocking_by = "root";
    r.unlocking_reason = "she called";
    return r;
}

core::SavedTerminal terminal(std::uint32_t lock_console, std::uint32_t keyboard_mode,
                             core::Screen screen) {
    return {id_of(1),     "/dev/pts/3",  34819,  std::string("\0\1\2", 3), 1000, 5, 8592,
            lock_console, keyboard_mode, screen, core::Cursor::shown};
}

struct Older {
    const char* tables;
    core::SessionRecord session;
    core::SavedTerminal terminal;
    bool has_activity;
    const char* number = "PRAGMA user_version = 1";
};

/// Made anew for each test.
std::array<Older, 7> older() {
    return {Older{first, session_of_first(), terminal(0, 0, core::Screen::unknown), false},
            Older{middle, session_of_middle(), terminal(13, 3, core::Screen::alternate), true},
            Older{last, session_of_last(), terminal(13, 3, core::Screen::alternate), true},
            // Number 2 has the same columns: without the cursor.
            Older{last, session_of_last(), terminal(13, 3, core::Screen::alternate), true,
                  "PRAGMA user_version = 2"},
            Older{third.c_str(), session_of_last(), terminal(13, 3, core::Screen::alternate), true,
                  "PRAGMA user_version = 3"},
            Older{fourth.c_str(), session_of_last(), terminal(13, 3, core::Screen::alternate), true,
                  "PRAGMA user_version = 4"},
            Older{fifth.c_str(), session_of_last(), terminal(13, 3, core::Screen::alternate), true,
                  "PRAGMA user_version = 5"}};
}

base::Database open_database() {
    auto database = base::Database::open(path, true, base::Database::Synchronous::off);
    ck_assert(database.has_value());
    return std::move(*database);
}

void sql(const char* text) {
    auto database = open_database();
    const auto done = database.exec(text);
    ck_assert_msg(done.has_value(), "%s", done ? "" : done.error().what.c_str());
}

void make_older(const Older& one) {
    for (const char* file : {"", "-wal", "-shm"})
        fs::remove(path + file);
    sql(one.tables);
    sql(grants);
    sql(one.number);
}

std::string text_of(const char* query) {
    auto database = open_database();
    auto statement = database.prepare(query);
    ck_assert(statement.has_value());
    std::string all;
    for (auto row = statement->step(); row && *row; row = statement->step())
        all += std::string{statement->text(0)} + "\n";
    return all;
}

/// All that the tables are, but for the order of their columns and what is put in by default.
std::string columns() {
    return text_of(
        "SELECT m.name || ' ' || c.name || ' ' || c.type || ' ' || c.\"notnull\" || ' ' || c.pk "
        "FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY 1");
}

std::string others() {
    return text_of("SELECT name || ' ' || sql FROM sqlite_schema WHERE type <> 'table' "
                   "AND sql IS NOT NULL ORDER BY 1");
}

store::RuntimeStore open_store() {
    auto opened = store::RuntimeStore::open(path);
    ck_assert_msg(opened.has_value(), "%s", opened ? "" : opened.error().what.c_str());
    return std::move(*opened);
}

Error error_of_open() {
    const auto opened = store::RuntimeStore::open(path);
    return opened ? Error{0, ""} : opened.error();
}

} // namespace

START_TEST(what_an_older_vigild_knew_is_known) {
    for (const auto& one : older()) {
        make_older(one);
        for (int again = 0; again < 2; ++again) {
            auto store = open_store();
            ck_assert(*store.sessions() == std::vector{one.session});
            ck_assert(*store.terminals(id_of(1)) == std::vector{one.terminal});
            ck_assert_uint_eq(store.grants()->size(), 1);
            ck_assert_uint_eq(store.grants()->front().uses_left, 20);
            const auto activity = store.activity(id_of(1));
            ck_assert(activity.has_value() && activity->has_value() == one.has_activity);
            ck_assert(store.blocks()->empty());
        }
    }
}
END_TEST

START_TEST(an_older_database_becomes_what_a_new_one_is) {
    {
        open_store();
    }
    const auto new_columns = columns();
    const auto new_others = others();
    ck_assert(new_columns.contains("session desktop_locked INTEGER 1 0"));
    ck_assert(new_others.contains("session_gone"));
    const auto version = text_of("PRAGMA user_version");
    for (const auto& one : older()) {
        make_older(one);
        {
            open_store();
        }
        ck_assert(columns() == new_columns);
        ck_assert(others() == new_others);
        ck_assert(text_of("PRAGMA user_version") == version);
    }
}
END_TEST

START_TEST(what_was_brought_forward_is_written_and_goes_like_any_other) {
    for (const auto& one : older()) {
        make_older(one);
        auto store = open_store();
        auto changed = session_of_last();
        changed.state = core::State::unlocking;
        ck_assert(store.put(changed).has_value());
        ck_assert(*store.sessions() == std::vector{changed});
        auto asked = terminal(14, 1, core::Screen::main);
        asked.cursor = core::Cursor::hidden;
        ck_assert(store.put(asked).has_value());
        ck_assert(*store.terminals(id_of(1)) == std::vector{asked});
        ck_assert(store.put_activity(id_of(1), {BootTime{Seconds{1}}, {}}).has_value());
        ck_assert(store.erase_session(id_of(1)).has_value());
        ck_assert(store.sessions()->empty() && store.grants()->empty());
        ck_assert(store.terminals(id_of(1))->empty() && !store.activity(id_of(1))->has_value());
    }
}
END_TEST

START_TEST(a_step_that_fails_half_way_changes_nothing) {
    make_older(older()[0]);
    sql("DROP TRIGGER session_gone"); // the last thing that the step looks for
    const auto before = columns();
    ck_assert_int_eq(error_of_open().code, EBADMSG);
    ck_assert(columns() == before);
    ck_assert(text_of("PRAGMA user_version") == "1\n");
}
END_TEST

START_TEST(a_full_disk_leaves_the_older_one_for_the_next_try) {
    const auto one = older()[0];
    make_older(one);
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit small{1, RLIM_INFINITY};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    const auto error = error_of_open();
    const rlimit large{RLIM_INFINITY, RLIM_INFINITY};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &large), 0);
    ck_assert_msg(error.code != 0 && error.code != EBADMSG, "%s", error.what.c_str());
    ck_assert(text_of("PRAGMA user_version") == "1\n");
    ck_assert(*open_store().sessions() == std::vector{one.session});
}
END_TEST

START_TEST(one_of_a_newer_vigild_is_refused_with_a_line_and_left_as_it_is) {
    make_older(older()[2]);
    {
        open_store();
    }
    sql("ALTER TABLE session RENAME COLUMN locked_by TO locked_how; PRAGMA user_version = 99");
    const auto error = error_of_open();
    ck_assert_int_eq(error.code, EBADMSG);
    ck_assert_msg(error.what.contains("newer vigild (schema 99; this one knows 6)"), "%s",
                  error.what.c_str());
    ck_assert(!error.what.contains('\n'));
    ck_assert(text_of("PRAGMA user_version") == "99\n");
    ck_assert(columns().contains("session locked_how"));
}
END_TEST

START_TEST(a_number_that_no_vigild_wrote_is_refused) {
    for (const char* number : {"PRAGMA user_version = 0", "PRAGMA user_version = -1"}) {
        make_older(older()[0]);
        sql(number);
        ck_assert_int_eq(error_of_open().code, EBADMSG);
    }
}
END_TEST

int main() {
    return vigil::test::run("store_schema",
                            {what_an_older_vigild_knew_is_known,
                             an_older_database_becomes_what_a_new_one_is,
                             what_was_brought_forward_is_written_and_goes_like_any_other,
                             a_step_that_fails_half_way_changes_nothing,
                             a_full_disk_leaves_the_older_one_for_the_next_try,
                             one_of_a_newer_vigild_is_refused_with_a_line_and_left_as_it_is,
                             a_number_that_no_vigild_wrote_is_refused},
                            {.before = make_folder, .after = remove_folder});
}
