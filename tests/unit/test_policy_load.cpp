#include "policy/load.hpp"
#include "policy_help.hpp"
#include "tests/unit/folder.hpp"

#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace vigil;
using namespace vigil::policy;
using namespace vigil::test;
namespace fs = std::filesystem;

namespace {

/// A folder of its own, with files of a policy.
class PolicyFolder : public Folder {
public:
    fs::path write(const char* name, const std::string& text = "version: 1\n") const {
        const fs::path path = *this / name;
        fs::create_directories(path.parent_path());
        std::ofstream{path, std::ios::binary} << text;
        fs::permissions(path, fs::perms{0644});
        return path;
    }
};

std::string problem(const fs::path& path, bool must_be_ours = false) {
    const auto sources = read_sources(path, must_be_ours);
    return sources ? "read" : sources.error().text();
}

} // namespace

START_TEST(policy_d_follows_by_the_bytes_of_its_names) {
    const PolicyFolder folder;
    const auto main = folder.write("policy.yaml", "main");
    for (const char* name : {"b.yaml", "10.yaml", "9.yaml", "Z.yaml", "a.yaml"})
        folder.write((std::string{"policy.d/"} + name).c_str(), name);
    folder.write("policy.d/.a.yaml.swp");
    folder.write("policy.d/.hidden.yaml");
    folder.write("policy.d/README");
    const auto sources = read_sources(main, false);
    ck_assert(sources.has_value());
    std::vector<std::string> texts;
    for (const Source& source : *sources)
        texts.push_back(source.text);
    ck_assert((texts == std::vector<std::string>{"main", "10.yaml", "9.yaml", "Z.yaml", "a.yaml",
                                                 "b.yaml"}));
    check_text(sources->back().name, (folder / "policy.d/b.yaml").string());
}
END_TEST

START_TEST(a_file_of_another_name_stands_alone) {
    const PolicyFolder folder;
    folder.write("policy.d/10.yaml");
    ck_assert_uint_eq(read_sources(folder.write("draft.yaml"), false)->size(), 1);
}
END_TEST

START_TEST(a_link_a_fifo_and_a_folder_are_no_policy) {
    const PolicyFolder folder;
    const auto real = folder.write("real.yaml");
    fs::create_symlink(real, folder / "policy.yaml");
    check_text(problem(folder / "policy.yaml"),
               (folder / "policy.yaml").string() + ": a symbolic link; put the file itself there");
    ck_assert_int_eq(::mkfifo((folder / "fifo.yaml").c_str(), 0644), 0);
    check_text(problem(folder / "fifo.yaml"),
               (folder / "fifo.yaml").string() + ": not a regular file; put a file there");
    fs::create_directory(folder / "folder.yaml");
    check_text(problem(folder / "folder.yaml"),
               (folder / "folder.yaml").string() + ": not a regular file; put a file there");
    check_text(problem(folder / "none.yaml"),
               (folder / "none.yaml").string() + ": No such file or directory");
}
END_TEST

START_TEST(a_link_in_policy_d_or_for_it_is_refused_and_not_passed_over) {
    const PolicyFolder folder;
    const auto main = folder.write("policy.yaml");
    const auto real = folder.write("real.yaml");
    fs::create_directory(folder / "policy.d");
    fs::create_symlink(real, folder / "policy.d/10.yaml");
    ck_assert(!read_sources(main, false).has_value());
    fs::remove_all(folder / "policy.d");
    fs::create_directory(folder / "elsewhere");
    fs::create_directory_symlink(folder / "elsewhere", folder / "policy.d");
    ck_assert(!read_sources(main, false).has_value());
}
END_TEST

START_TEST(a_file_over_the_bound_is_refused) {
    const PolicyFolder folder;
    ck_assert(
        read_sources(folder.write("a.yaml", std::string(max_file_bytes, '#')), false).has_value());
    check_text(problem(folder.write("b.yaml", std::string(max_file_bytes + 1, '#'))),
               (folder / "b.yaml").string() +
                   ": over 256 KiB; split it over policy.d/*.yaml: File too large");
}
END_TEST

START_TEST(more_files_than_the_bound_are_refused) {
    const PolicyFolder folder;
    const auto main = folder.write("policy.yaml");
    for (int i = 0; i < 257; ++i)
        folder.write(("policy.d/" + std::to_string(i) + ".yaml").c_str());
    check_text(problem(main), (folder / "policy.d").string() +
                                  ": more than 256 files; put several rules into one");
}
END_TEST

START_TEST(what_others_can_write_is_not_ours) {
    // Read by vigild itself only: as anybody else, the owner's rule speaks first.
    const bool root = ::geteuid() == 0;
    const std::string chmod = ": writable by others than its owner; chmod go-w it";
    const std::string chown =
        ": owned by uid " + std::to_string(::geteuid()) + "; chown it to root";
    const PolicyFolder folder;
    const auto main = folder.write("policy.yaml");
    const auto part = folder.write("policy.d/10.yaml");
    const std::string whole = main.parent_path().string();
    check_text(problem(main, true), root ? "read" : whole + chown);
    fs::permissions(part, fs::perms{0664});
    check_text(problem(main, true), root ? part.string() + chmod : whole + chown);
    check_text(problem(main, false), "read");
    fs::permissions(part, fs::perms{0644});
    fs::permissions(part.parent_path(), fs::perms{0777});
    check_text(problem(main, true), root ? part.parent_path().string() + chmod : whole + chown);
    fs::permissions(part.parent_path(), fs::perms{0755});
    fs::permissions(main.parent_path(), fs::perms{0775});
    check_text(problem(main, true), whole + (root ? chmod : chown));
    fs::permissions(main.parent_path(), fs::perms{0755});
    if (root) {
        ck_assert_int_eq(::chown(main.c_str(), 12345, 0), 0);
        check_text(problem(main, true), main.string() + ": owned by uid 12345; chown it to root");
    }
}
END_TEST

START_TEST(a_file_that_is_swapped_is_read_as_one_of_its_versions) {
    const PolicyFolder folder;
    const std::string a(100'000, 'a');
    const std::string b(200'000, 'b');
    folder.write("a", a);
    folder.write("b", b);
    folder.write("swapped.yaml", a);
    std::thread writer{[&] {
        for (int i = 0; i < 300; ++i) {
            fs::copy_file(folder / (i % 2 == 0 ? "b" : "a"), folder / "next",
                          fs::copy_options::overwrite_existing);
            fs::rename(folder / "next", folder / "swapped.yaml");
        }
    }};
    std::size_t read = 0;
    bool whole = true;
    for (int i = 0; i < 300; ++i) {
        const auto sources = read_sources(folder / "swapped.yaml", false);
        if (!sources)
            continue; // "changed while it was read": refused, and tried again
        ++read;
        whole = whole && (sources->front().text == a || sources->front().text == b);
    }
    writer.join();
    ck_assert(whole);
    ck_assert_uint_gt(read, 0);
}
END_TEST

int main() {
    return vigil::test::run(
        "policy/load",
        {policy_d_follows_by_the_bytes_of_its_names, a_file_of_another_name_stands_alone,
         a_link_a_fifo_and_a_folder_are_no_policy,
         a_link_in_policy_d_or_for_it_is_refused_and_not_passed_over,
         a_file_over_the_bound_is_refused, more_files_than_the_bound_are_refused,
         what_others_can_write_is_not_ours, a_file_that_is_swapped_is_read_as_one_of_its_versions});
}
