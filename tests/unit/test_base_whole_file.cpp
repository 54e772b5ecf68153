// Files that are there whole or not at all.

#include "base/whole_file.hpp"
#include "tests/unit/folder.hpp"

#include <cerrno>
#include <csignal>
#include <fstream>
#include <iterator>

#include <sys/resource.h>
#include <sys/stat.h>

using namespace vigil;
using namespace vigil::base;
using namespace vigil::test;

namespace {

std::string read(const std::filesystem::path& path) {
    std::ifstream file{path, std::ios::binary};
    return {std::istreambuf_iterator<char>{file}, {}};
}

mode_t mode_of(const std::filesystem::path& path) {
    struct stat found{};
    ck_assert_int_eq(::stat(path.c_str(), &found), 0);
    return found.st_mode & 07777;
}

START_TEST(a_file_is_written_and_written_over) {
    const Folder folder;
    const auto path = folder / "file";
    const std::string longer(300'000, 'x');
    for (const std::string& text :
         {std::string{"first\n"}, longer, std::string{}, std::string{"a\0b", 3}}) {
        CHECK_OK(write_whole(path, text, 0644));
        ck_assert(read(path) == text);
        ck_assert(!std::filesystem::exists(folder / "file.new"));
    }
}
END_TEST

START_TEST(the_mode_is_as_asked_whatever_the_umask_and_the_old_files) {
    const Folder folder;
    const auto path = folder / "file";
    for (const mode_t mask : {0U, 0777U}) {
        ::umask(mask);
        for (const mode_t mode : {0600U, 0644U, 0440U}) {
            CHECK_OK(write_whole(path, "text", mode));
            ck_assert_uint_eq(mode_of(path), mode);
        }
    }
}
END_TEST

START_TEST(what_a_crash_has_left_is_no_obstacle) {
    const Folder folder;
    const auto path = folder / "file";
    std::ofstream{folder / "file.new"} << "half of something longer";
    CHECK_OK(write_whole(path, "whole", 0600));
    CHECK_TEXT(read(path), "whole");
}
END_TEST

START_TEST(no_link_in_its_way_is_followed) {
    const Folder folder;
    const auto path = folder / "file";
    std::ofstream{path} << "old";
    std::ofstream{folder / "other"} << "of somebody else";
    std::filesystem::create_symlink(folder / "other", folder / "file.new");
    CHECK_ERROR(write_whole(path, "new", 0600), ELOOP);
    CHECK_TEXT(read(path), "old");
    CHECK_TEXT(read(folder / "other"), "of somebody else");
}
END_TEST

/// A link at the place itself is replaced, and what it led to stays.
START_TEST(a_link_is_replaced_by_the_file) {
    const Folder folder;
    const auto path = folder / "file";
    std::ofstream{folder / "other"} << "of somebody else";
    std::filesystem::create_symlink(folder / "other", path);
    CHECK_OK(write_whole(path, "new", 0600));
    ck_assert(!std::filesystem::is_symlink(path));
    CHECK_TEXT(read(path), "new");
    CHECK_TEXT(read(folder / "other"), "of somebody else");
}
END_TEST

START_TEST(where_it_cannot_be_written_the_old_one_stays) {
    const Folder folder;
    const auto path = folder / "file";
    std::ofstream{path} << "old";
    // As a full disk: a part is written, and then no more.
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit little{4096, RLIM_INFINITY};
    ck_assert_int_eq(::setrlimit(RLIMIT_FSIZE, &little), 0);
    CHECK_ERROR(write_whole(path, std::string(10'000, 'x'), 0600), EFBIG);
    CHECK_TEXT(read(path), "old");
    std::filesystem::remove(folder / "file.new");
    std::filesystem::create_directory(folder / "file.new");
    CHECK_ERROR(write_whole(path, "new", 0600), EISDIR);
    CHECK_TEXT(read(path), "old");
    CHECK_ERROR(write_whole(folder / "nowhere" / "file", "new", 0600), ENOENT);
}
END_TEST

START_TEST(a_folder_is_not_replaced) {
    const Folder folder;
    std::filesystem::create_directories(folder / "file" / "inside");
    ck_assert(!write_whole(folder / "file", "new", 0600));
    ck_assert(std::filesystem::is_directory(folder / "file" / "inside"));
}
END_TEST

} // namespace

int main() {
    return run("whole_file",
               {a_file_is_written_and_written_over,
                the_mode_is_as_asked_whatever_the_umask_and_the_old_files,
                what_a_crash_has_left_is_no_obstacle, no_link_in_its_way_is_followed,
                a_link_is_replaced_by_the_file, where_it_cannot_be_written_the_old_one_stays,
                a_folder_is_not_replaced});
}
