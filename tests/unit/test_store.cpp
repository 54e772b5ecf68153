// daemon/store: what vigild knows is there again after kill -9, or said to be broken.

#include "base/sqlite.hpp"
#include "daemon/store/store.hpp"
#include "tests/unit/folder.hpp"

#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <fstream>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

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

core::SessionId id_of(std::uint8_t number) {
    core::SessionId id;
    id.bytes.fill(number);
    return id;
}

core::SessionRecord full_session(std::uint8_t number) {
    core::SessionRecord r;
    r.id = id_of(number);
    r.facts.user = "al'ice; DROP";
    r.facts.uid = UINT32_MAX - 1;
    r.facts.groups = {"sudo", "", "domain users", "ünïx,|\n"};
    r.facts.service = "sshd";
    r.facts.remote = policy::Address{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 192, 0, 2, 7};
    r.facts.remote_unknown = true;
    r.facts.session_class = policy::SessionClass::graphical;
    r.pam_terminal = "ssh";
    r.remote_host = "192.0.2.7";
    r.leader = {4242, UINT64_MAX - 5};
    r.logind_session = "c12";
    r.cgroup = "/user.slice/user-1000.slice/session-c12.scope";
    r.state = core::State::locked;
    r.since = BootTime{Microseconds{123'456'789}};
    r.since_wall = WallTime{Microseconds{1'700'000'000'123'456}};
    r.locked_since = BootTime{Microseconds{223'456'789}};
    r.locked_since_wall = WallTime{Microseconds{-1}};
    r.locked_by = "by root";
    r.lock_reason = "end of shift";
    r.unlocked_by = "password at /dev/pts/3";
    r.unlock_reason = "she'; called";
    r.unlocked_wall = WallTime{Microseconds{1'700'000'000'123'457}};
    r.unlocking_by = "root";
    r.unlocking_reason = "she'; called again";
    r.unlock_failures = 7;
    r.unlock_not_before = BootTime{Microseconds{LLONG_MAX}};
    r.ending_since = BootTime{Microseconds{5}};
    r.end_reason = "longer than 8 h";
    r.end_warnings_given = 3;
    r.adopted = true;
    r.login = id_of(99);
    r.run_as = "root'; --";
    return r;
}

core::GrantRecord grant(std::uint8_t number, std::uint8_t session) {
    core::GrantRecord r;
    r.id = id_of(number);
    r.uid = 1000;
    r.session = id_of(session);
    r.terminal = 0x8800'0000'0000'0003;
    r.leader = {7, 8};
    r.purpose = "sudo";
    r.expires = BootTime{Microseconds{99}};
    r.uses_left = 20;
    return r;
}

core::RememberedLogin remembered(std::uint8_t number) {
    return {.id = id_of(number),
            .uid = UINT32_MAX - 1,
            .user = "al'ice",
            .source = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 192, 0, 2, 7},
            .host = "192.0.2.7",
            .after = "SHA256:a'b",
            .proved = {policy::Factor::totp, policy::Factor::recovery},
            .since = BootTime{Microseconds{number}},
            .expires = BootTime{Microseconds{LLONG_MAX}}};
}

core::BlockRecord block(std::uint32_t uid) {
    return {.uid = uid,
            .user = "al'ice",
            .reason = "left'; DROP",
            .by = "root (login of bob)",
            .since = WallTime{Microseconds{1'700'000'000'123'456}},
            .until = BootTime::max(),
            .until_wall = WallTime{Microseconds{-1}}};
}

core::SavedTerminal terminal(std::uint8_t session, const char* name) {
    return {id_of(session),
            name,
            0x8803,
            std::string("\0\1\2\xFF", 4),
            1000,
            5,
            020620,
            13,
            3,
            core::Screen::alternate,
            core::Cursor::hidden};
}

store::RuntimeStore open_store() {
    auto opened = store::RuntimeStore::open(path);
    ck_assert_msg(opened.has_value(), "%s", opened ? "" : opened.error().what.c_str());
    return std::move(*opened);
}

int code_of_open() {
    const auto opened = store::RuntimeStore::open(path);
    return opened ? 0 : opened.error().code;
}

void sql(const char* text) {
    auto database = base::Database::open(path, true, base::Database::Synchronous::off);
    ck_assert(database.has_value());
    ck_assert(database->exec(text).has_value());
}

} // namespace

START_TEST(every_field_comes_back) {
    core::SessionRecord plain;
    plain.id = id_of(2);
    const auto first_grant = grant(9, 1);
    const auto first_terminal = terminal(1, "/dev/pts/3");
    {
        auto store = open_store();
        ck_assert(store.put(full_session(1)).has_value());
        ck_assert(store.put(plain).has_value());
        ck_assert(store.put(first_grant).has_value());
        ck_assert(store.put(first_terminal).has_value());
        ck_assert(store.put(remembered(8)).has_value());
        ck_assert(store.put(remembered(7)).has_value());
        ck_assert(store.put(block(UINT32_MAX - 1)).has_value());
        ck_assert(store.put(block(1000)).has_value());
    }
    auto store = open_store();
    const auto sessions = store.sessions();
    ck_assert(sessions && sessions->size() == 2);
    ck_assert((*sessions)[0] == plain);
    ck_assert((*sessions)[1] == full_session(1));
    const auto grants = store.grants();
    ck_assert(grants && *grants == std::vector{first_grant});
    const auto terminals = store.terminals(id_of(1));
    ck_assert(terminals && *terminals == std::vector{first_terminal});
    const auto logins = store.remembered();
    ck_assert((logins && *logins == std::vector{remembered(7), remembered(8)}));
    ck_assert(store.erase_remembered(id_of(7)).has_value());
    ck_assert((*store.remembered() == std::vector{remembered(8)}));
    ck_assert((*store.blocks() == std::vector{block(1000), block(UINT32_MAX - 1)}));
    ck_assert(store.erase_block(UINT32_MAX - 1).has_value());
    auto changed = block(1000);
    changed.until = BootTime{Microseconds{5}};
    ck_assert(store.put(changed).has_value());
    ck_assert(*store.blocks() == std::vector{changed});
}
END_TEST

START_TEST(a_session_put_again_is_changed_and_keeps_what_hangs_on_it) {
    auto store = open_store();
    auto session = full_session(1);
    ck_assert(store.put(session).has_value());
    ck_assert(store.put(grant(9, 1)).has_value());
    ck_assert(store.put(terminal(1, "/dev/pts/3")).has_value());
    session.state = core::State::unlocking;
    session.facts.remote.reset();
    session.facts.groups.clear();
    ck_assert(store.put(session).has_value());
    ck_assert(*store.sessions() == std::vector{session});
    ck_assert_uint_eq(store.grants()->size(), 1);
    ck_assert_uint_eq(store.terminals(id_of(1))->size(), 1);
}
END_TEST

START_TEST(what_hangs_on_a_session_goes_with_it_and_nothing_else) {
    auto store = open_store();
    for (const std::uint8_t number : {std::uint8_t{1}, std::uint8_t{2}}) {
        ck_assert(store.put(full_session(number)).has_value());
        ck_assert(store.put(grant(static_cast<std::uint8_t>(10 + number), number)).has_value());
        ck_assert(store.put(terminal(number, "/dev/pts/3")).has_value());
    }
    ck_assert(store.erase_session(id_of(1)).has_value());
    ck_assert(*store.sessions() == std::vector{full_session(2)});
    ck_assert(*store.grants() == std::vector{grant(12, 2)});
    ck_assert(store.terminals(id_of(1))->empty());
    ck_assert_uint_eq(store.terminals(id_of(2))->size(), 1);
}
END_TEST

START_TEST(activity_is_kept_by_session_and_goes_with_it) {
    auto store = open_store();
    ck_assert(store.put(full_session(1)).has_value());
    const auto id = full_session(1).id;
    ck_assert(!store.activity(id)->has_value());
    const BootTime input{Seconds{7}};
    const BootTime output{Seconds{9}};
    ck_assert(store.put_activity(id, {BootTime{}, BootTime{}}).has_value());
    ck_assert(store.put_activity(id, {input, output}).has_value());
    ck_assert((*store.activity(id))->input == input);
    ck_assert((*store.activity(id))->output == output);
    ck_assert(store.erase_session(id).has_value());
    ck_assert(!store.activity(id)->has_value());
}
END_TEST

START_TEST(grants_and_terminals_are_erased_alone) {
    auto store = open_store();
    ck_assert(store.put(full_session(1)).has_value());
    ck_assert(store.put(grant(9, 1)).has_value());
    ck_assert(store.put(terminal(1, "/dev/pts/3")).has_value());
    ck_assert(store.put(terminal(1, "/dev/pts/4")).has_value());
    ck_assert(store.erase_terminals(id_of(1)).has_value());
    ck_assert(store.erase_grant(id_of(9)).has_value());
    ck_assert(store.terminals(id_of(1))->empty());
    ck_assert(store.grants()->empty());
    ck_assert_uint_eq(store.sessions()->size(), 1);
}
END_TEST

START_TEST(what_was_put_before_a_kill_is_there) {
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        auto store = open_store();
        if (!store.put(full_session(1)) || !store.put(grant(9, 1)))
            _exit(1);
        raise(SIGKILL);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    auto store = open_store();
    ck_assert(*store.sessions() == std::vector{full_session(1)});
    ck_assert_uint_eq(store.grants()->size(), 1);
}
END_TEST

START_TEST(a_second_daemon_stays_out) {
    auto store = open_store();
    ck_assert(store.put(full_session(1)).has_value());
    ck_assert_int_eq(code_of_open(), EBUSY);
}
END_TEST

START_TEST(a_newer_or_foreign_schema_is_refused) {
    {
        open_store();
    }
    sql("PRAGMA user_version = 99");
    ck_assert_int_eq(code_of_open(), EBADMSG);
    sql("PRAGMA user_version = 0");
    ck_assert_int_eq(code_of_open(), EBADMSG);
    sql("PRAGMA user_version = 3; DROP TABLE grant_");
    ck_assert_int_ne(code_of_open(), 0);
}
END_TEST

START_TEST(what_is_no_database_is_refused) {
    std::ofstream{path} << std::string(5000, 'x');
    ck_assert_int_eq(code_of_open(), EBADMSG);
}
END_TEST

START_TEST(a_cut_or_scribbled_database_is_refused) {
    {
        auto store = open_store();
        for (int i = 0; i < 200; ++i)
            ck_assert(store.put(full_session(static_cast<std::uint8_t>(i))).has_value());
    }
    const auto size = fs::file_size(path);
    fs::copy(path, path + ".whole");
    fs::resize_file(path, size / 2 / 4096 * 4096);
    ck_assert_int_eq(code_of_open(), EBADMSG);
    fs::copy(path + ".whole", path, fs::copy_options::overwrite_existing);
    std::fstream file{path, std::ios::in | std::ios::out | std::ios::binary};
    file.seekp(4096);
    file << std::string(3 * 4096, '\x5A');
    file.close();
    ck_assert_int_eq(code_of_open(), EBADMSG);
}
END_TEST

START_TEST(a_row_out_of_range_is_an_error_and_no_session) {
    for (const char* const damage :
         {"UPDATE session SET state = 5", "UPDATE session SET state = -1",
          "UPDATE session SET class = 5", "UPDATE session SET adopted = 2",
          "UPDATE session SET remote_unknown = 2", "UPDATE session SET uid = 4294967296",
          "UPDATE session SET id = x'00'", "UPDATE session SET groups = x'41'",
          "UPDATE session SET remote = x'0102'", "UPDATE session SET leader_pid = 1 << 40",
          "UPDATE session SET unlock_failures = -1"}) {
        {
            auto store = open_store();
            ck_assert(store.put(full_session(1)).has_value());
        }
        sql(damage);
        auto store = open_store();
        const auto sessions = store.sessions();
        ck_assert_msg(!sessions && sessions.error().code == EBADMSG, "%s", damage);
    }
}
END_TEST

START_TEST(a_remembered_login_that_makes_no_sense_is_an_error) {
    for (const char* const damage :
         {"UPDATE remembered_login SET proved = x'746F7470'",
          "UPDATE remembered_login SET proved = x'746F747000FF00'",
          "UPDATE remembered_login SET source = x'01'", "UPDATE remembered_login SET id = x'00'",
          "UPDATE remembered_login SET uid = -1"}) {
        remove_folder();
        make_folder();
        {
            auto store = open_store();
            ck_assert(store.put(remembered(7)).has_value());
        }
        sql(damage);
        auto store = open_store();
        const auto logins = store.remembered();
        ck_assert_msg(!logins && logins.error().code == EBADMSG, "%s", damage);
    }
}
END_TEST

START_TEST(a_broken_database_is_set_aside_with_its_log) {
    for (const int n : {1, 2}) {
        std::ofstream{path} << "broken";
        std::ofstream{path + "-wal"} << "log";
        std::ofstream{path + "-shm"} << "shm";
        const auto aside = store::RuntimeStore::set_aside(path);
        ck_assert(aside && *aside == path + ".broken-" + std::to_string(n));
        ck_assert(fs::exists(*aside) && fs::exists(*aside + "-wal"));
        ck_assert(!fs::exists(path) && !fs::exists(path + "-wal") && !fs::exists(path + "-shm"));
    }
    open_store();
}
END_TEST

START_TEST(broken_databases_do_not_pile_up) {
    for (int i = 0; i < 20; ++i) {
        std::ofstream{path} << "broken";
        ck_assert(store::RuntimeStore::set_aside(path).has_value());
    }
    ck_assert_int_eq(std::distance(fs::directory_iterator{folder}, {}), 8);
}
END_TEST

START_TEST(a_full_disk_is_an_error_and_loses_nothing_written_before) {
    auto store = open_store();
    ck_assert(store.put(full_session(1)).has_value());
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit small{fs::file_size(path + "-wal"), RLIM_INFINITY};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    ck_assert(!store.put(full_session(2)).has_value());
    const rlimit large{RLIM_INFINITY, RLIM_INFINITY};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &large), 0);
    ck_assert(*store.sessions() == std::vector{full_session(1)});
    ck_assert(store.put(full_session(2)).has_value());
    ck_assert_uint_eq(store.sessions()->size(), 2);
}
END_TEST

START_TEST(a_folder_that_is_not_there_is_an_error) {
    path = folder + "/no/state.db";
    ck_assert_int_eq(code_of_open(), ENOENT);
}
END_TEST

START_TEST(without_any_folder_it_lives_in_memory) {
    path = ":memory:";
    auto store = open_store();
    ck_assert(store.put(full_session(1)).has_value());
    ck_assert_uint_eq(store.sessions()->size(), 1);
    ck_assert(!fs::exists(path));
}
END_TEST

START_TEST(the_file_is_its_owners_alone) {
    auto store = open_store();
    ck_assert(store.put(full_session(1)).has_value());
    for (const auto& entry : fs::directory_iterator{folder})
        ck_assert_int_eq(static_cast<int>(entry.status().permissions()), 0600);
}
END_TEST

int main() {
    return vigil::test::run(
        "store",
        {every_field_comes_back, a_session_put_again_is_changed_and_keeps_what_hangs_on_it,
         what_hangs_on_a_session_goes_with_it_and_nothing_else,
         activity_is_kept_by_session_and_goes_with_it, grants_and_terminals_are_erased_alone,
         what_was_put_before_a_kill_is_there, a_second_daemon_stays_out,
         a_newer_or_foreign_schema_is_refused, what_is_no_database_is_refused,
         a_cut_or_scribbled_database_is_refused, a_row_out_of_range_is_an_error_and_no_session,
         a_remembered_login_that_makes_no_sense_is_an_error,
         a_broken_database_is_set_aside_with_its_log, broken_databases_do_not_pile_up,
         a_full_disk_is_an_error_and_loses_nothing_written_before,
         a_folder_that_is_not_there_is_an_error, without_any_folder_it_lives_in_memory,
         the_file_is_its_owners_alone},
        {.before = make_folder, .after = remove_folder});
}
