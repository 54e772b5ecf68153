// Blocks as files: what is written is read again, over a reboot too, and what is odd blocks.

#include "base/clock.hpp"
#include "daemon/store/block_files.hpp"
#include "tests/unit/folder.hpp"
#include "wire/block_mark.hpp"
#include "wire/names.hpp"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <functional>

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace vigil;
namespace fs = std::filesystem;

namespace {

std::string folder;
std::vector<std::string> synced; ///< what fsync(2) was asked for, in its order
bool folders_fail = false;

} // namespace

/// In libc's place: what is on disk after a power cut no test sees otherwise.
extern "C" int fsync(int file) {
    const auto path = fs::read_symlink("/proc/self/fd/" + std::to_string(file));
    synced.push_back(path.lexically_relative(folder));
    if (folders_fail && fs::is_directory(path)) {
        errno = EIO;
        return -1;
    }
    return static_cast<int>(::syscall(SYS_fsync, file));
}

namespace {

void make_folder() {
    folder = test::new_folder();
    fs::create_directory(folder + "/run");
    fs::create_directory(folder + "/lib");
    synced.clear();
}

void remove_folder() {
    fs::remove_all(folder);
}

store::BlockFiles files() {
    return {folder + "/run", folder + "/lib"};
}

std::string mark_of(unsigned uid) {
    return folder + "/run/blocked/" + std::to_string(uid);
}

std::optional<std::string> refusal(uid_t uid = 1000) {
    return wire::blocked_by_mark(folder + "/run/bus", uid);
}

core::BlockRecord record(Microseconds lasts = std::chrono::hours{1}) {
    const auto now = base::read_clocks();
    return {.uid = 1000,
            .user = "alice",
            .reason = "left the company",
            .by = "root (login of bob)",
            .since = now.wall,
            .until = now.boot + lasts,
            .until_wall = now.wall + lasts};
}

core::BlockRecord without_end() {
    auto one = record();
    one.until = BootTime::max();
    one.until_wall = {};
    return one;
}

std::string text_in(const std::string& path) {
    std::ifstream file{path};
    return {std::istreambuf_iterator<char>{file}, {}};
}

bool is_put_right(bool somebody_is_blocked) {
    return somebody_is_blocked ? files().put_mark(record(), {}).has_value()
                               : files().keep_marks({}).has_value();
}

void change(const std::string& path, const std::string& from, const std::string& to) {
    auto text = text_in(path);
    ck_assert(text.contains(from));
    std::ofstream{path} << text.replace(text.find(from), from.size(), to);
}

} // namespace

START_TEST(a_mark_refuses_until_its_time_is_over) {
    auto here = files();
    ck_assert(!refusal());
    for (const auto& one : {record(), without_end()}) {
        ck_assert(here.put_mark(one, {}).has_value());
        CHECK_TEXT(*refusal(), core::block_text(one, {}));
        ck_assert(!refusal(1001));
    }
    ck_assert(here.put_mark(record(Microseconds{-1}), {}).has_value());
    ck_assert(!refusal());
    ck_assert(here.erase_mark(1000).has_value() && here.erase_mark(1000).has_value());
    ck_assert(!refusal());
}
END_TEST

START_TEST(marks_are_roots_to_read_and_anybodys_to_find) {
    const auto before = ::umask(0077);
    ck_assert(files().put_mark(record(), {}).has_value());
    ck_assert(files().put_copy(record(), {}).has_value());
    ::umask(before);
    const auto mode = [](const std::string& path) {
        return static_cast<int>(fs::status(path).permissions());
    };
    ck_assert_int_eq(mode(folder + "/run/blocked"), 0755);
    ck_assert_int_eq(mode(folder + "/lib/blocked"), 0700);
    ck_assert_int_eq(mode(mark_of(1000)), 0600);
    ck_assert_int_eq(mode(folder + "/lib/blocked/1000"), 0600);
}
END_TEST

START_TEST(a_mark_that_is_right_already_is_left) {
    const auto one = record();
    ck_assert(files().put_mark(one, {}).has_value());
    struct stat first{};
    ck_assert_int_eq(::stat(mark_of(1000).c_str(), &first), 0);
    ck_assert(files().put_mark(one, {}).has_value());
    struct stat second{};
    ck_assert_int_eq(::stat(mark_of(1000).c_str(), &second), 0);
    ck_assert(first.st_ino == second.st_ino);
}
END_TEST

START_TEST(whatever_else_has_a_marks_name_refuses_and_is_put_right) {
    const auto elsewhere = folder + "/elsewhere";
    std::ofstream{elsewhere} << "";
    const auto path = mark_of(1000);
    fs::create_directory(folder + "/run/blocked");
    const std::function<void()> oddities[] = {
        [&] { fs::create_symlink(elsewhere, path); },
        [&] { fs::create_symlink("/nowhere", path); },
        [&] { ck_assert_int_eq(::mkfifo(path.c_str(), 0600), 0); },
        [&] { std::ofstream{path} << std::string(1 << 20, 'x'); },
        [&] { std::ofstream{path}; },
        [&] { std::ofstream{path} << "\nuntil never\n"; },
        [&] {
            std::ofstream{path} << "another user's\n";
            ck_assert_int_eq(::chown(path.c_str(), 65534, 65534), 0);
        }};
    for (const auto& make : oddities) {
        make();
        CHECK_TEXT(*refusal(), "This account is blocked on this host.");
        ck_assert(files().put_mark(record(), {}).has_value());
        CHECK_TEXT(*refusal(), core::block_text(record(), {}));
        fs::remove(path);
    }
    fs::create_directory(path);
    ck_assert(refusal().has_value());
}
END_TEST

START_TEST(whatever_else_has_the_folders_name_is_put_right) {
    const auto path = folder + "/run/blocked";
    const std::function<void()> oddities[] = {
        [&] { std::ofstream{path} << "in the way\n"; },
        [&] { fs::create_symlink("/nowhere", path); },
        [&] { fs::create_directory_symlink(folder + "/lib", path); },
        [&] { ck_assert_int_eq(::mkfifo(path.c_str(), 0600), 0); },
        [&] {
            fs::create_directory(path);
            ck_assert_int_eq(::chmod(path.c_str(), 0), 0);
            ck_assert_int_eq(::chown(path.c_str(), 65534, 65534), 0);
        }};
    for (const auto& make : oddities)
        for (const bool somebody_is_blocked : {true, false}) {
            make();
            // With nobody blocked, too: everybody is refused meanwhile.
            ck_assert(is_put_right(somebody_is_blocked));
            ck_assert(!refusal(1001));
            struct stat status{};
            const bool is_there = ::lstat(path.c_str(), &status) == 0;
            ck_assert(is_there || !somebody_is_blocked);
            ck_assert(!is_there || status.st_mode == (S_IFDIR | 0755));
            ck_assert(!is_there || (status.st_uid == 0 && status.st_gid == 0));
            ck_assert(refusal().has_value() == somebody_is_blocked);
            fs::remove_all(path);
        }
}
END_TEST

START_TEST(a_second_line_that_makes_no_sense_gives_no_end) {
    for (const char* const line :
         {"", "until", "until ", "until  5", "until x", "until x y", "until -5", "until 5 6",
          "until 99999999999999999999", "Until 5"})
        ck_assert(wire::mark_of("line\n" + std::string{line} + "\n").until == BootTime::max());
    const auto mark = wire::mark_of("line\nuntil 5\nmore");
    ck_assert(mark.line == "line");
    ck_assert(mark.until == BootTime{Microseconds{5}});
}
END_TEST

START_TEST(marks_of_nobody_who_is_blocked_go) {
    auto here = files();
    ck_assert(here.keep_marks({1000}).has_value()); // there is no folder yet
    auto other = record();
    other.uid = 1001;
    ck_assert(here.put_mark(record(), {}) && here.put_mark(other, {}));
    std::ofstream{folder + "/run/blocked/01000"};
    std::ofstream{folder + "/run/blocked/1000.new"};
    ck_assert(here.keep_marks({1000}).has_value());
    ck_assert(fs::exists(mark_of(1000)));
    ck_assert_int_eq(std::distance(fs::directory_iterator{folder + "/run/blocked"}, {}), 1);
}
END_TEST

START_TEST(copies_come_back) {
    auto here = files();
    const auto now = base::read_clocks();
    ck_assert(here.copies(now)->empty());
    for (const auto& one : {record(), without_end()}) {
        ck_assert(here.put_copy(one, {}).has_value());
        ck_assert(*here.copies(now) == std::vector{one});
    }
    ck_assert(here.erase_copy(1000).has_value() && here.copies(now)->empty());
}
END_TEST

START_TEST(a_power_cut_brings_back_no_copy_and_loses_none) {
    using Paths = std::vector<std::string>;
    auto here = files();
    ck_assert(here.put_copy(record(), {}).has_value());
    ck_assert((synced == Paths{"lib/blocked/1000.new", "lib/blocked", "lib"}));
    synced.clear();
    ck_assert(here.put_copy(without_end(), {}).has_value());
    ck_assert((synced == Paths{"lib/blocked/1000.new", "lib/blocked"}));
    synced.clear();
    ck_assert(here.erase_copy(1000).has_value());
    ck_assert((synced == Paths{"lib/blocked"}));
    // Of tmpfs nothing is left in any case.
    synced.clear();
    ck_assert(here.put_mark(record(), {}) && here.erase_mark(1000));
    ck_assert(std::ranges::find(synced, "run/blocked") == synced.end());
}
END_TEST

START_TEST(what_may_not_be_on_disk_is_an_error) {
    auto here = files();
    folders_fail = true;
    const auto kept = here.put_copy(record(), {});
    ck_assert(!kept && kept.error().code == EIO);
    CHECK_TEXT(kept.error().text(), "writing " + folder + "/lib/blocked: Input/output error");
    // It is there all the same: a restart of vigild finds it.
    ck_assert(here.copies(base::read_clocks())->size() == 1);
    const auto erased = here.erase_copy(1000);
    ck_assert(!erased && erased.error().code == EIO);
    ck_assert(here.copies(base::read_clocks())->empty());
    ck_assert(!here.erase_copy(1000)); // nor can it be told of one that was gone before
}
END_TEST

/// What systemd-tmpfiles does when the machine comes up.
START_TEST(a_copy_is_a_mark_as_well) {
    for (const char* const user :
         {"alice", "user", "by", "since", "reason", "boot", "until", "until_wall"})
        for (auto one : {record(), without_end()}) {
            one.user = user;
            ck_assert(files().put_copy(one, {}).has_value());
            fs::remove_all(folder + "/run/blocked");
            fs::copy(folder + "/lib/blocked", folder + "/run/blocked");
            CHECK_TEXT(*refusal(), core::block_text(one, {}));
            ck_assert(wire::mark_of(text_in(mark_of(1000))).until == one.until);
            ck_assert(*files().copies(base::read_clocks()) == std::vector{one});
        }
    auto longest = without_end();
    longest.user = std::string(wire::max_user_bytes, 'u');
    longest.reason = std::string(wire::max_block_reason_bytes, 'r');
    longest.by = "root (login of " + longest.user + ")";
    ck_assert(files().put_copy(longest, {}).has_value());
    ck_assert_uint_le(fs::file_size(folder + "/lib/blocked/1000"), wire::max_mark_bytes);
}
END_TEST

/// "key value" lines alone.
START_TEST(a_copy_of_an_older_vigilds_comes_back) {
    const auto one = record();
    fs::create_directory(folder + "/lib/blocked");
    ck_assert(files().put_copy(one, {}).has_value());
    const auto text = text_in(folder + "/lib/blocked/1000");
    std::ofstream{folder + "/lib/blocked/1000"} << text.substr(text.find("user "));
    ck_assert(*files().copies(base::read_clocks()) == std::vector{one});
}
END_TEST

START_TEST(after_a_reboot_the_wall_clock_has_the_end) {
    using std::chrono::minutes;
    auto one = record(minutes{60});
    ck_assert(files().put_copy(one, {}).has_value());
    change(folder + "/lib/blocked/1000", "boot ", "boot another");
    const auto left = [&](Microseconds later) {
        const Now now{.boot = BootTime{minutes{1}}, .wall = one.since + later};
        return files().copies(now)->front().until - now.boot;
    };
    ck_assert(left(minutes{20}) == minutes{40});
    ck_assert(left(minutes{70}) == minutes{0});
}
END_TEST

START_TEST(a_copy_that_cannot_be_read_is_a_block) {
    fs::create_directory(folder + "/lib/blocked");
    std::ofstream{folder + "/lib/blocked/1000"};
    std::ofstream{folder + "/lib/blocked/1001"} << "until 5\nnonsense\n";
    std::ofstream{folder + "/lib/blocked/0"} << "user root\nreason a slip\n";
    std::ofstream{folder + "/lib/blocked/notes"};
    const auto copies = files().copies(base::read_clocks());
    ck_assert(copies && copies->size() == 2);
    for (const auto& one : *copies) {
        ck_assert(one.until == BootTime::max());
        CHECK_TEXT(one.user, "uid " + std::to_string(one.uid));
        CHECK_TEXT(one.reason, "what is known of it cannot be read");
    }
}
END_TEST

START_TEST(a_place_that_does_not_work_is_an_error) {
    store::BlockFiles nowhere{folder + "/none", folder + "/none"};
    ck_assert(!nowhere.put_mark(record(), {}) && !nowhere.put_copy(record(), {}));
    ck_assert(nowhere.erase_mark(1000) && nowhere.erase_copy(1000));
    ck_assert(nowhere.copies(base::read_clocks())->empty());
}
END_TEST

int main() {
    return vigil::test::run(
        "block_files",
        {a_mark_refuses_until_its_time_is_over, marks_are_roots_to_read_and_anybodys_to_find,
         a_mark_that_is_right_already_is_left,
         whatever_else_has_a_marks_name_refuses_and_is_put_right,
         whatever_else_has_the_folders_name_is_put_right,
         a_second_line_that_makes_no_sense_gives_no_end, marks_of_nobody_who_is_blocked_go,
         copies_come_back, a_copy_is_a_mark_as_well, a_copy_of_an_older_vigilds_comes_back,
         a_power_cut_brings_back_no_copy_and_loses_none, what_may_not_be_on_disk_is_an_error,
         after_a_reboot_the_wall_clock_has_the_end, a_copy_that_cannot_be_read_is_a_block,
         a_place_that_does_not_work_is_an_error},
        {.before = make_folder, .after = remove_folder});
}
