// Where a path leads, and whether it stays so. As root: owners are what it is about.

#include "sudo_plugin/path_walk.hpp"
#include "tests/unit/folder.hpp"

#include <atomic>
#include <cerrno>
#include <fstream>
#include <thread>

#include <sys/stat.h>
#include <unistd.h>

using namespace vigil;
using namespace vigil::sudo;
using namespace vigil::test;

namespace {

constexpr uid_t somebody = 12345;
/// As many as the kernel follows (path_resolution(7)).
constexpr int most_links = 40;

/// A root to walk in: /usr/bin/id, and links to be made.
class Tree {
public:
    Tree() {
        std::filesystem::create_directories(folder_ / "usr/bin");
        std::ofstream{folder_ / "usr/bin/id"} << "a program";
    }

    void link(const std::string& path, const std::string& target) const {
        std::filesystem::create_directories((folder_ / path).parent_path());
        std::filesystem::create_symlink(target, folder_ / path);
    }

    std::string at(const std::string& path) const { return folder_ / path; }
    std::string root() const { return std::filesystem::path{folder_ / "."}.parent_path(); }

    Result<Walked> walk(const std::string& path) const { return Walker{root()}.to(path); }

    void check(const std::string& path, const std::string& end, bool settled = true) const {
        const auto walked = walk(path);
        CHECK_OK(walked);
        CHECK_TEXT(walked->path, root() + end);
        ck_assert_msg(walked->settled == settled, "%s: settled is %d", path.c_str(),
                      walked->settled);
    }

private:
    Folder folder_;
};

START_TEST(a_path_without_links_leads_to_itself) {
    const Tree tree;
    for (const char* path : {"/usr/bin/id", "//usr///bin/id", "/./usr/./bin/id",
                             "/usr/../usr/bin/../bin/id", "/../../usr/bin/id"})
        tree.check(path, "/usr/bin/id");
    tree.check("/", "");
    tree.check("/usr/bin/..", "/usr");
}
END_TEST

/// Of files that have nothing to do with it.
START_TEST(who_renames_files_keeps_nobody_from_his_way) {
    const Tree tree;
    std::ofstream{tree.at("one")};
    std::atomic<bool> over = false;
    std::thread others{[&] {
        while (!over)
            if (::rename(tree.at("one").c_str(), tree.at("two").c_str()) != 0)
                ::rename(tree.at("two").c_str(), tree.at("one").c_str());
    }};
    for (int i = 0; i < 2000; ++i) {
        tree.check("/usr/../usr/bin/../bin/id", "/usr/bin/id");
        CHECK_OK(Walker{}.to("/usr/../usr/bin/../bin/env"));
    }
    over = true;
    others.join();
}
END_TEST

START_TEST(links_are_followed_from_where_they_stand) {
    const Tree tree;
    tree.link("bin", "usr/bin");
    tree.link("opt/id", "/usr/bin/id");
    tree.link("opt/up", "../usr/bin");
    tree.link("opt/out", "../../../../usr/bin/id");
    tree.link("opt/over", "up/../../opt/id");
    for (const char* path :
         {"/bin/id", "/opt/id", "/opt/up/id", "/opt/out", "/opt/over", "/opt/up/../bin/id"})
        tree.check(path, "/usr/bin/id");
    // `..` is that of the folder that a link has led to.
    tree.check("/opt/up/..", "/usr");
}
END_TEST

START_TEST(a_loop_of_links_ends) {
    const Tree tree;
    tree.link("self", "self");
    tree.link("a", "b");
    tree.link("b", "c");
    tree.link("c", "/a");
    tree.link("deep", "deep/deep");
    for (const char* path : {"/self", "/a", "/b", "/a/usr/bin/id", "/deep"})
        CHECK_ERROR(tree.walk(path), ELOOP);
}
END_TEST

START_TEST(as_many_links_are_followed_as_by_the_kernel) {
    const Tree tree;
    tree.link("1", "usr/bin/id");
    for (int i = 2; i <= most_links + 1; ++i)
        tree.link(std::to_string(i), std::to_string(i - 1));
    tree.check("/" + std::to_string(most_links), "/usr/bin/id");
    CHECK_ERROR(tree.walk("/" + std::to_string(most_links + 1)), ELOOP);
}
END_TEST

/// Their text is not where they lead.
START_TEST(no_link_of_the_kernels_own_is_followed) {
    ck_assert_int_eq(::chdir("/usr/bin"), 0);
    for (const char* path : {"/proc/self/cwd/id", "/proc/self/root/usr/bin/id", "/proc/self/exe"})
        CHECK_ERROR(Walker{}.to(path), ELOOP);
}
END_TEST

START_TEST(what_is_not_there_is_an_error) {
    const Tree tree;
    tree.link("dangling", "usr/bin/nothing");
    CHECK_ERROR(tree.walk("/usr/bin/nothing"), ENOENT);
    CHECK_ERROR(tree.walk("/dangling"), ENOENT);
    CHECK_ERROR(tree.walk("/usr/bin/id/more"), ENOTDIR);
    CHECK_ERROR(tree.walk("/" + std::string(300, 'x')), ENAMETOOLONG);
    ck_assert(!Walker{tree.at("nowhere")}.to("/usr/bin/id"));
}
END_TEST

START_TEST(what_another_could_change_is_not_settled) {
    const Tree tree;
    tree.link("bin", "usr/bin");
    tree.link("opt/his", "/usr/bin/id");
    tree.check("/bin/id", "/usr/bin/id");
    ck_assert_int_eq(::lchown(tree.at("opt/his").c_str(), somebody, 0), 0);
    tree.check("/opt/his", "/usr/bin/id", false);
    for (const char* node : {"usr/bin/id", "usr/bin", "usr", "."}) {
        for (const mode_t open : {S_IWGRP, S_IWOTH}) {
            ck_assert_int_eq(::chmod(tree.at(node).c_str(), 0755 | open), 0);
            tree.check("/bin/id", "/usr/bin/id", false);
        }
        ck_assert_int_eq(::chmod(tree.at(node).c_str(), 0755), 0);
        ck_assert_int_eq(::chown(tree.at(node).c_str(), somebody, 0), 0);
        tree.check("/bin/id", "/usr/bin/id", false);
        ck_assert_int_eq(::chown(tree.at(node).c_str(), 0, 0), 0);
        tree.check("/bin/id", "/usr/bin/id");
    }
}
END_TEST

/// It was gone through, and could have led elsewhere.
START_TEST(a_folder_that_is_left_again_counts) {
    const Tree tree;
    tree.link("opt/out", "../usr/bin/id");
    ck_assert_int_eq(::chmod(tree.at("opt").c_str(), 0777), 0);
    tree.check("/opt/out", "/usr/bin/id", false);
    tree.check("/opt/../usr/bin/id", "/usr/bin/id", false);
}
END_TEST

} // namespace

int main() {
    return run("path_walk",
               {a_path_without_links_leads_to_itself, who_renames_files_keeps_nobody_from_his_way,
                links_are_followed_from_where_they_stand, a_loop_of_links_ends,
                as_many_links_are_followed_as_by_the_kernel, no_link_of_the_kernels_own_is_followed,
                what_is_not_there_is_an_error, what_another_could_change_is_not_settled,
                a_folder_that_is_left_again_counts});
}
