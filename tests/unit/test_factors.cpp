// daemon/factors: a code counts once, ever; and whatever breaks, nothing is accepted.

#include "base/base32.hpp"
#include "base/openssl.hpp"
#include "base/sqlite.hpp"
#include "daemon/factors/credential.hpp"
#include "daemon/factors/factors.hpp"
#include "daemon/factors/totp.hpp"
#include "tests/unit/test.hpp"

#include <csignal>
#include <filesystem>
#include <fstream>

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace vigil;
using namespace vigil::factors;
namespace fs = std::filesystem;
using Verdict = CheckOutcome::Verdict;

namespace {

constexpr std::uint32_t alice = 1000;
constexpr std::uint32_t bob = 1001;

std::string folder;
std::string path;

void make_folder() {
    char name[] = "/tmp/vigil-factors-XXXXXX";
    ck_assert(mkdtemp(name) != nullptr);
    folder = name;
    path = folder + "/factors.db";
}

void remove_folder() {
    fs::remove_all(folder);
}

Now at(std::int64_t seconds) {
    Now now;
    now.wall = WallTime{Seconds{1'700'000'000 + seconds}};
    return now;
}

base::Secret a_key(char fill = 'k') {
    return base::Secret{std::string(32, fill)};
}

Factors open_factors() {
    auto opened = Factors::open(path, a_key(), "host");
    CHECK_OK(opened);
    return std::move(*opened);
}

std::string code_at(const std::string& secret, const Now& now, int step = 0) {
    const auto bytes = base::base32_decode(secret);
    CHECK_OK(bytes);
    return *hotp(*bytes, totp_step(now.wall) + static_cast<std::uint64_t>(step), 6);
}

std::string wrong_code(const std::string& secret, const Now& now) {
    std::string code = "000000";
    while (code == code_at(secret, now) || code == code_at(secret, now, 1) ||
           code == code_at(secret, now, -1))
        ++code.back();
    return code;
}

/// Each call is another attempt.
std::array<std::uint8_t, 16> attempt() {
    static std::uint8_t number = 0;
    std::array<std::uint8_t, 16> out{};
    out[0] = ++number;
    return out;
}

/// An active device, whose enrolment took the code of `now`.
wire::Enrollment device(Factors& factors, std::uint32_t uid, const Now& now) {
    const auto enrolled = factors.enroll_totp(uid, "alice", "phone", now);
    CHECK_OK(enrolled);
    CHECK_OK(factors.finish(enrolled->factor_id, uid, code_at(enrolled->secret, now), now));
    return *enrolled;
}

Verdict verdict(Factors& factors, std::uint32_t uid, const std::string& code, const Now& now) {
    const auto outcome = factors.check_totp(uid, code, attempt(), now);
    CHECK_OK(outcome);
    return outcome->verdict;
}

void sql(const std::string& text) {
    auto database = base::Database::open(path, false, base::Database::Synchronous::full);
    CHECK_OK(database);
    CHECK_OK(database->exec(text.c_str()));
}

} // namespace

START_TEST(a_code_is_accepted_once) {
    auto factors = open_factors();
    const auto phone = device(factors, alice, at(0));
    const std::string code = code_at(phone.secret, at(60));
    ck_assert(verdict(factors, alice, code, at(60)) == Verdict::accepted);
    ck_assert(verdict(factors, alice, code, at(60)) == Verdict::wrong);
    auto again = open_factors();
    ck_assert(verdict(again, alice, code, at(61)) == Verdict::wrong);
}
END_TEST

START_TEST(the_code_that_proved_an_enrolment_opens_nothing_more) {
    auto factors = open_factors();
    const auto phone = device(factors, alice, at(0));
    ck_assert(verdict(factors, alice, code_at(phone.secret, at(0)), at(0)) == Verdict::wrong);
    ck_assert(verdict(factors, alice, code_at(phone.secret, at(0), -1), at(0)) == Verdict::wrong);
    ck_assert(verdict(factors, alice, code_at(phone.secret, at(30)), at(30)) == Verdict::accepted);
}
END_TEST

START_TEST(a_step_at_or_before_the_last_accepted_is_over) {
    auto factors = open_factors();
    const auto phone = device(factors, alice, at(0));
    ck_assert(verdict(factors, alice, code_at(phone.secret, at(60), 1), at(60)) ==
              Verdict::accepted);
    ck_assert(verdict(factors, alice, code_at(phone.secret, at(60)), at(60)) == Verdict::wrong);
    ck_assert(verdict(factors, alice, code_at(phone.secret, at(60), 1), at(90)) == Verdict::wrong);
    ck_assert(verdict(factors, alice, code_at(phone.secret, at(120)), at(120)) ==
              Verdict::accepted);
}
END_TEST

START_TEST(an_attempt_repeated_has_the_same_outcome) {
    auto factors = open_factors();
    const auto phone = device(factors, alice, at(0));
    const auto same = attempt();
    const std::string code = code_at(phone.secret, at(60));
    ck_assert(factors.check_totp(alice, code, same, at(60))->verdict == Verdict::accepted);
    ck_assert(factors.check_totp(alice, code, same, at(61))->verdict == Verdict::accepted);
    // The same attempt is no key to anything else: another code, another user, another day.
    ck_assert(factors.check_totp(alice, wrong_code(phone.secret, at(61)), same, at(61))->verdict ==
              Verdict::wrong);
    ck_assert(factors.check_totp(bob, code, same, at(61))->verdict == Verdict::wrong);
    ck_assert(factors.check_totp(alice, code, same, at(200))->verdict == Verdict::wrong);
    ck_assert(factors.check_totp(alice, code, same, at(-200))->verdict == Verdict::wrong);
}
END_TEST

START_TEST(a_wrong_attempt_repeated_counts_once) {
    auto factors = open_factors();
    const auto phone = device(factors, alice, at(0));
    const auto same = attempt();
    for (int i = 0; i < 20; ++i) {
        const auto outcome =
            factors.check_totp(alice, wrong_code(phone.secret, at(60)), same, at(60));
        ck_assert(outcome && outcome->verdict == Verdict::wrong && outcome->wait == Seconds{0});
    }
    ck_assert_int_eq(factors.wait_for(alice, at(60))->count(), 0);
}
END_TEST

START_TEST(wrong_codes_make_waiting_and_a_right_one_ends_it) {
    auto factors = open_factors();
    const auto phone = device(factors, alice, at(0));
    const std::string wrong = wrong_code(phone.secret, at(60));
    for (unsigned i = 1; i <= free_failures; ++i) {
        const auto outcome = factors.check_totp(alice, wrong, attempt(), at(60));
        ck_assert(outcome->verdict == Verdict::wrong);
        ck_assert_int_eq(outcome->wait.count(), i < free_failures ? 0 : 30);
    }
    // Throttled, the right code is not looked at, and nothing is counted.
    const std::string right = code_at(phone.secret, at(60));
    for (int i = 0; i < 10; ++i) {
        const auto outcome = factors.check_totp(alice, right, attempt(), at(61));
        ck_assert(outcome->verdict == Verdict::throttled);
        ck_assert_int_eq(outcome->wait.count(), 29);
    }
    {
        auto again = open_factors(); // a restart makes it no shorter
        ck_assert_int_eq(again.wait_for(alice, at(61))->count(), 29);
    }
    ck_assert_int_eq(factors.wait_for(bob, at(61))->count(), 0);
    const auto next =
        factors.check_totp(alice, wrong_code(phone.secret, at(90)), attempt(), at(90));
    ck_assert(next->verdict == Verdict::wrong && next->wait == Seconds{60});
    ck_assert(verdict(factors, alice, code_at(phone.secret, at(150)), at(150)) ==
              Verdict::accepted);
    ck_assert(
        factors.check_totp(alice, wrong_code(phone.secret, at(150)), attempt(), at(150))->wait ==
        Seconds{0});
}
END_TEST

START_TEST(a_clock_turned_back_shuts_nobody_out) {
    auto factors = open_factors();
    const auto phone = device(factors, alice, at(0));
    for (unsigned i = 0; i < free_failures; ++i)
        factors.check_totp(alice, wrong_code(phone.secret, at(60)), attempt(), at(60));
    constexpr std::int64_t years = -10LL * 365 * 86400;
    ck_assert_int_eq(factors.wait_for(alice, at(years))->count(), 30);
    ck_assert_int_eq(factors.wait_for(alice, at(years + 30))->count(), 0);
}
END_TEST

START_TEST(a_user_without_a_factor_leaves_no_row) {
    auto factors = open_factors();
    for (std::uint32_t uid = 0; uid < 100; ++uid)
        ck_assert(verdict(factors, uid, "123456", at(0)) == Verdict::wrong);
    auto database = base::Database::open(path, false, base::Database::Synchronous::full);
    auto rows = database->prepare("SELECT count(*) FROM throttle");
    ck_assert(rows->step().value());
    ck_assert_int_eq(rows->integer(0), 0);
}
END_TEST

START_TEST(a_pending_factor_opens_nothing) {
    auto factors = open_factors();
    const auto pending = factors.enroll_totp(alice, "alice", "phone", at(0));
    CHECK_OK(pending);
    ck_assert(!*factors.has_active(alice));
    ck_assert(verdict(factors, alice, code_at(pending->secret, at(0)), at(0)) == Verdict::wrong);
    const auto listed = factors.list(alice, at(0));
    ck_assert(listed && listed->size() == 1 && !listed->front().active);
}
END_TEST

START_TEST(an_enrolment_needs_its_owner_its_code_and_its_time) {
    auto factors = open_factors();
    const auto pending = factors.enroll_totp(alice, "alice", "phone", at(0));
    const std::string code = code_at(pending->secret, at(0));
    CHECK_ERROR(factors.finish(pending->factor_id, bob, code, at(0)), ENOENT);
    CHECK_ERROR(factors.finish("nothing", alice, code, at(0)), ENOENT);
    CHECK_ERROR(
        factors.finish(pending->factor_id, alice, wrong_code(pending->secret, at(0)), at(0)),
        EACCES);
    const Now late = at(pending_lifetime.count() + 1);
    CHECK_ERROR(factors.finish(pending->factor_id, alice, code_at(pending->secret, late), late),
                ENOENT);
    ck_assert(factors.list(alice, late)->empty());
    ck_assert(factors.list(alice, at(-1))->empty());
    ck_assert_uint_eq(factors.list(alice, at(30))->size(), 1);
    ck_assert(!*factors.has_active(alice));
    CHECK_OK(
        factors.finish(pending->factor_id, alice, code_at(pending->secret, at(30), -1), at(30)));
    CHECK_ERROR(factors.finish(pending->factor_id, alice, code_at(pending->secret, at(60)), at(60)),
                ENOENT);
    ck_assert(*factors.has_active(alice));
}
END_TEST

START_TEST(an_enrolment_replaces_the_pending_one) {
    auto factors = open_factors();
    const auto first = factors.enroll_totp(alice, "alice", "phone", at(0));
    const auto other = factors.enroll_totp(bob, "bob", "phone", at(0));
    const auto second = factors.enroll_totp(alice, "alice", "phone", at(1));
    CHECK_ERROR(factors.finish(first->factor_id, alice, code_at(first->secret, at(1)), at(1)),
                ENOENT);
    CHECK_OK(factors.finish(second->factor_id, alice, code_at(second->secret, at(1)), at(1)));
    CHECK_OK(factors.finish(other->factor_id, bob, code_at(other->secret, at(1)), at(1)));
}
END_TEST

START_TEST(factors_of_a_user_are_bounded) {
    auto factors = open_factors();
    std::string last;
    for (std::size_t i = 0; i < max_factors_per_user; ++i)
        last = device(factors, alice, at(0)).factor_id;
    CHECK_ERROR(factors.enroll_totp(alice, "alice", "one more", at(0)), EDQUOT);
    CHECK_ERROR(factors.enroll_totp(bob, "bob", std::string(65, 'n'), at(0)), EINVAL);
    device(factors, bob, at(0));
    CHECK_OK(factors.forget(last));
    CHECK_OK(factors.enroll_totp(alice, "alice", "one more", at(0)));
}
END_TEST

START_TEST(factors_are_listed_owned_and_forgotten) {
    auto factors = open_factors();
    const auto phone = device(factors, alice, at(0));
    device(factors, bob, at(0));
    ck_assert_uint_eq(factors.list(std::nullopt, at(0))->size(), 2);
    const auto listed = factors.list(alice, at(0));
    ck_assert_uint_eq(listed->size(), 1);
    CHECK_TEXT(listed->front().id, phone.factor_id);
    CHECK_TEXT(listed->front().kind, "totp");
    CHECK_TEXT(listed->front().name, "phone");
    ck_assert(listed->front().active && listed->front().uid == alice);
    ck_assert_uint_eq(listed->front().created, 1'700'000'000'000'000);
    ck_assert_uint_eq(*factors.owner_of(phone.factor_id), alice);
    CHECK_OK(factors.forget(phone.factor_id));
    CHECK_ERROR(factors.forget(phone.factor_id), ENOENT);
    CHECK_ERROR(factors.owner_of(phone.factor_id), ENOENT);
    ck_assert(!*factors.has_active(alice) && *factors.has_active(bob));
    ck_assert(verdict(factors, alice, code_at(phone.secret, at(60)), at(60)) == Verdict::wrong);
}
END_TEST

START_TEST(the_secret_is_not_in_the_files) {
    std::string bytes;
    {
        auto factors = open_factors();
        bytes = *base::base32_decode(device(factors, alice, at(0)).secret);
        ck_assert_uint_eq(bytes.size(), 20);
        for (const auto& entry : fs::directory_iterator{folder}) {
            ck_assert_int_eq(static_cast<int>(entry.status().permissions()), 0600);
            std::ifstream file{entry.path(), std::ios::binary};
            const std::string all{std::istreambuf_iterator<char>{file}, {}};
            ck_assert(all.find(bytes) == std::string::npos);
        }
    }
}
END_TEST

START_TEST(a_row_moved_to_another_user_does_not_open) {
    wire::Enrollment phone;
    {
        auto factors = open_factors();
        phone = device(factors, alice, at(0));
    }
    sql("UPDATE factor SET uid = 1001");
    auto factors = open_factors();
    CHECK_ERROR(factors.check_totp(bob, code_at(phone.secret, at(60)), attempt(), at(60)), EBADMSG);
}
END_TEST

START_TEST(a_broken_row_does_not_take_the_other_devices_away) {
    wire::Enrollment phone;
    {
        auto factors = open_factors();
        const auto broken = device(factors, alice, at(0));
        phone = device(factors, alice, at(0));
        sql("UPDATE factor SET sealed = x'01' WHERE id = '" + broken.factor_id + "'");
    }
    auto factors = open_factors();
    ck_assert(verdict(factors, alice, code_at(phone.secret, at(60)), at(60)) == Verdict::accepted);
}
END_TEST

START_TEST(another_key_is_seen_at_the_opening) {
    {
        open_factors();
    }
    const auto opened = Factors::open(path, a_key('x'), "host");
    CHECK_ERROR(opened, EBADMSG);
    ck_assert(opened.error().what.find("sealed under another key") != std::string::npos);
    CHECK_ERROR(Factors::open(path, base::Secret{std::string(31, 'k')}, "host"), EINVAL);
}
END_TEST

START_TEST(a_broken_database_is_refused_at_the_opening) {
    {
        auto factors = open_factors();
        for (std::uint32_t uid = 0; uid < 60; ++uid)
            CHECK_OK(factors.enroll_totp(uid, "user", "phone", at(0)));
    }
    const auto size = fs::file_size(path);
    fs::copy(path, path + ".whole");
    fs::resize_file(path, size / 2 / 4096 * 4096);
    CHECK_ERROR(Factors::open(path, a_key(), "host"), EBADMSG);
    fs::copy(path + ".whole", path, fs::copy_options::overwrite_existing);
    sql("PRAGMA user_version = 2");
    CHECK_ERROR(Factors::open(path, a_key(), "host"), EBADMSG);
    sql("PRAGMA user_version = 1; DELETE FROM meta");
    CHECK_ERROR(Factors::open(path, a_key(), "host"), EBADMSG);
    fs::remove(path);
    std::ofstream{path} << std::string(9000, 'x');
    CHECK_ERROR(Factors::open(path, a_key(), "host"), EBADMSG);
}
END_TEST

START_TEST(a_file_deleted_swapped_or_cut_under_it_accepts_nothing) {
    for (const int way : {0, 1, 2, 3}) {
        remove_folder();
        fs::create_directory(folder);
        auto factors = open_factors();
        const auto phone = device(factors, alice, at(0));
        if (way == 0)
            fs::remove(path);
        if (way == 1) {
            fs::copy(path, path + ".old");
            fs::rename(path + ".old", path);
        }
        if (way == 2)
            fs::resize_file(path, 0);
        if (way == 3)
            fs::remove(path + "-wal");
        CHECK_ERROR(factors.check_totp(alice, code_at(phone.secret, at(60)), attempt(), at(60)),
                    ESTALE);
        CHECK_ERROR(factors.has_active(alice), ESTALE);
        CHECK_ERROR(factors.forget(phone.factor_id), ESTALE);
        CHECK_ERROR(factors.enroll_totp(bob, "bob", "phone", at(0)), ESTALE);
    }
}
END_TEST

START_TEST(a_full_disk_accepts_nothing_and_the_code_is_good_afterwards) {
    auto factors = open_factors();
    const auto phone = device(factors, alice, at(0));
    const std::string code = code_at(phone.secret, at(60));
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit small{fs::file_size(path + "-wal"), RLIM_INFINITY};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    ck_assert(!factors.check_totp(alice, code, attempt(), at(60)).has_value());
    ck_assert(!factors.check_totp(alice, wrong_code(phone.secret, at(60)), attempt(), at(60))
                   .has_value());
    ck_assert(!factors.enroll_totp(bob, "bob", "phone", at(60)).has_value());
    const rlimit large{RLIM_INFINITY, RLIM_INFINITY};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &large), 0);
    ck_assert(verdict(factors, alice, code, at(60)) == Verdict::accepted);
    ck_assert(verdict(factors, alice, code, at(60)) == Verdict::wrong);
}
END_TEST

START_TEST(a_full_or_read_only_file_system_accepts_nothing) {
    // A user namespace where the test is not root's; the mounts go with this process.
    ck_assert(unshare(CLONE_NEWNS | (geteuid() == 0 ? 0 : CLONE_NEWUSER)) == 0);
    ck_assert(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
    ck_assert(mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=1m") == 0);
    {
        auto factors = open_factors();
        const auto phone = device(factors, alice, at(0));
        const std::string code = code_at(phone.secret, at(60));
        std::ofstream fill{folder + "/fill", std::ios::binary};
        while (fill << std::string(4096, 'x') << std::flush)
            ;
        fill.close();
        CHECK_ERROR(factors.check_totp(alice, code, attempt(), at(60)), ENOSPC);
        fs::remove(folder + "/fill");
        ck_assert(verdict(factors, alice, code, at(60)) == Verdict::accepted);
    }
    ck_assert(mount(nullptr, folder.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0);
    CHECK_ERROR(Factors::open(path, a_key(), "host"), EROFS);
    ck_assert(umount(folder.c_str()) == 0);
}
END_TEST

START_TEST(a_hundred_uses_of_one_code_are_one) {
    wire::Enrollment phone;
    {
        auto factors = open_factors();
        phone = device(factors, alice, at(0));
    }
    const std::string code = code_at(phone.secret, at(60));
    int gate[2];
    ck_assert_int_eq(pipe(gate), 0);
    std::array<pid_t, 100> children;
    for (std::size_t i = 0; i < children.size(); ++i) {
        children[i] = fork();
        ck_assert_int_ge(children[i], 0);
        if (children[i] == 0) {
            close(gate[1]);
            char byte;
            (void)!read(gate[0], &byte, 1); // all of them start when the gate is shut
            std::array<std::uint8_t, 16> mine{};
            mine[0] = static_cast<std::uint8_t>(i);
            auto factors = Factors::open(path, a_key(), "host");
            const auto outcome = factors ? factors->check_totp(alice, code, mine, at(60))
                                         : std::unexpected{factors.error()};
            if (!outcome)
                _exit(outcome.error().code == EBUSY ? 3 : 4);
            _exit(static_cast<int>(outcome->verdict));
        }
    }
    close(gate[0]);
    close(gate[1]);
    std::array<int, 5> count{};
    for (const pid_t child : children) {
        int status = 0;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) < 5);
        ++count[static_cast<std::size_t>(WEXITSTATUS(status))];
    }
    ck_assert_msg(count[1] == 1 && count[4] == 0,
                  "wrong %d accepted %d throttled %d busy %d failed %d", count[0], count[1],
                  count[2], count[3], count[4]);
}
END_TEST

START_TEST(the_key_is_thirty_two_bytes_in_a_file_of_its_own) {
    const std::string file = folder + "/vigil.key";
    CHECK_ERROR(load_key_from(folder), ENOENT);
    for (const std::size_t size : {0U, 31U, 33U, 100000U}) {
        std::ofstream{file} << std::string(size, 'k');
        CHECK_ERROR(load_key_from(folder), EBADMSG);
    }
    std::ofstream{file, std::ios::trunc} << std::string(32, 'k');
    const auto key = load_key_from(folder);
    ck_assert(key && key->view() == std::string(32, 'k'));
    setenv("CREDENTIALS_DIRECTORY", folder.c_str(), 1);
    CHECK_OK(load_key());
    setenv("CREDENTIALS_DIRECTORY", "relative", 1);
    CHECK_ERROR(load_key(), ENOENT);
    unsetenv("CREDENTIALS_DIRECTORY");
    CHECK_ERROR(load_key(), ENOENT);
    fs::rename(file, file + ".real");
    fs::create_symlink(file + ".real", file);
    CHECK_ERROR(load_key_from(folder), ELOOP);
    fs::remove(file);
    ck_assert_int_eq(mkfifo(file.c_str(), 0600), 0);
    CHECK_ERROR(load_key_from(folder), EBADMSG);
}
END_TEST

int main() {
    Suite* suite = suite_create("factors");
    TCase* group = tcase_create("factors");
    tcase_add_checked_fixture(group, make_folder, remove_folder);
    tcase_set_timeout(group, 30);
    for (const TTest* test : {a_code_is_accepted_once,
                              the_code_that_proved_an_enrolment_opens_nothing_more,
                              a_step_at_or_before_the_last_accepted_is_over,
                              an_attempt_repeated_has_the_same_outcome,
                              a_wrong_attempt_repeated_counts_once,
                              wrong_codes_make_waiting_and_a_right_one_ends_it,
                              a_clock_turned_back_shuts_nobody_out,
                              a_user_without_a_factor_leaves_no_row,
                              a_pending_factor_opens_nothing,
                              an_enrolment_needs_its_owner_its_code_and_its_time,
                              an_enrolment_replaces_the_pending_one,
                              factors_of_a_user_are_bounded,
                              factors_are_listed_owned_and_forgotten,
                              the_secret_is_not_in_the_files,
                              a_row_moved_to_another_user_does_not_open,
                              a_broken_row_does_not_take_the_other_devices_away,
                              another_key_is_seen_at_the_opening,
                              a_broken_database_is_refused_at_the_opening,
                              a_file_deleted_swapped_or_cut_under_it_accepts_nothing,
                              a_full_disk_accepts_nothing_and_the_code_is_good_afterwards,
                              a_full_or_read_only_file_system_accepts_nothing,
                              a_hundred_uses_of_one_code_are_one,
                              the_key_is_thirty_two_bytes_in_a_file_of_its_own})
        tcase_add_test(group, test);
    suite_add_tcase(suite, group);
    return vigil::test::run(suite);
}
