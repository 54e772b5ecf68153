// daemon/factors: whatever breaks, nothing is accepted.

#include "tests/unit/factors_help.hpp"

#include <csignal>
#include <fstream>

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace vigil;
using namespace vigil::factors;
using namespace vigil::test;
namespace fs = std::filesystem;

namespace {

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
    CHECK_ERROR(factors.check_totp(bob, here, code_at(phone.secret, at(60)), attempt(), at(60)),
                EBADMSG);
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
            CHECK_OK(factors.enroll_totp(uid, "user", "phone", {}, at(0)));
    }
    const auto size = fs::file_size(path);
    fs::copy(path, path + ".whole");
    fs::resize_file(path, size / 2 / 4096 * 4096);
    CHECK_ERROR(Factors::open(path, a_key(), "host"), EBADMSG);
    fs::copy(path + ".whole", path, fs::copy_options::overwrite_existing);
    sql("PRAGMA user_version = 4");
    CHECK_ERROR(Factors::open(path, a_key(), "host"), EBADMSG);
    sql("PRAGMA user_version = 3; DELETE FROM meta");
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
        CHECK_ERROR(
            factors.check_totp(alice, here, code_at(phone.secret, at(60)), attempt(), at(60)),
            ESTALE);
        CHECK_ERROR(factors.active(alice), ESTALE);
        CHECK_ERROR(factors.forget(phone.factor_id), ESTALE);
        CHECK_ERROR(factors.enroll_totp(bob, "bob", "phone", {}, at(0)), ESTALE);
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
    ck_assert(!factors.check_totp(alice, here, code, attempt(), at(60)).has_value());
    ck_assert(!factors.check_totp(alice, here, wrong_code(phone.secret, at(60)), attempt(), at(60))
                   .has_value());
    ck_assert(!factors.enroll_totp(bob, "bob", "phone", {}, at(60)).has_value());
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
        CHECK_ERROR(factors.check_totp(alice, here, code, attempt(), at(60)), ENOSPC);
        fs::remove(folder + "/fill");
        ck_assert(verdict(factors, alice, code, at(60)) == Verdict::accepted);
    }
    ck_assert(mount(nullptr, folder.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0);
    CHECK_ERROR(Factors::open(path, a_key(), "host"), EROFS);
    ck_assert(umount(folder.c_str()) == 0);
}
END_TEST

START_TEST(the_key_is_thirty_two_bytes_in_a_file_of_its_own) {
    const std::string file = folder + "/vigil.key";
    CHECK_ERROR(load_keys_from(folder), 0);
    for (const std::size_t size : {0U, 31U, 33U, 100000U}) {
        std::ofstream{file} << std::string(size, 'k');
        CHECK_ERROR(load_keys_from(folder), EBADMSG);
    }
    std::ofstream{file, std::ios::trunc} << std::string(32, 'k');
    const auto key = load_keys_from(folder);
    ck_assert(key && key->size() == 1 && key->front().key.view() == std::string(32, 'k'));
    setenv("CREDENTIALS_DIRECTORY", folder.c_str(), 1);
    CHECK_OK(load_keys());
    setenv("CREDENTIALS_DIRECTORY", "relative", 1);
    CHECK_ERROR(load_keys(), 0);
    unsetenv("CREDENTIALS_DIRECTORY");
    CHECK_ERROR(load_keys(), 0);
    fs::rename(file, file + ".real");
    fs::create_symlink(file + ".real", file);
    CHECK_ERROR(load_keys_from(folder), ELOOP);
    fs::remove(file);
    ck_assert_int_eq(mkfifo(file.c_str(), 0600), 0);
    CHECK_ERROR(load_keys_from(folder), EBADMSG);
}
END_TEST

} // namespace

int main() {
    return vigil::test::run(
        "factors: faults",
        {the_secret_is_not_in_the_files, a_row_moved_to_another_user_does_not_open,
         a_broken_row_does_not_take_the_other_devices_away, another_key_is_seen_at_the_opening,
         a_broken_database_is_refused_at_the_opening,
         a_file_deleted_swapped_or_cut_under_it_accepts_nothing,
         a_full_disk_accepts_nothing_and_the_code_is_good_afterwards,
         a_full_or_read_only_file_system_accepts_nothing,
         the_key_is_thirty_two_bytes_in_a_file_of_its_own},
        {.before = make_folder, .after = remove_folder, .seconds = 30});
}
