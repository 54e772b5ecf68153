// The mark of the rules that ask for a proof at login: whom it asks, and what of it nobody can
// read.

#include "tests/unit/folder.hpp"
#include "wire/login_mark.hpp"

#include <filesystem>
#include <fstream>
#include <functional>

#include <sys/stat.h>
#include <unistd.h>

using namespace vigil;

namespace {

using Groups = std::vector<std::string>;

bool asks(const std::string& mark, const char* user, const Groups* groups,
          const char* service = "sshd") {
    return wire::asks(mark, {.user = user, .uid = 1000, .groups = groups, .service = service});
}

START_TEST(the_first_rule_that_matches_counts) {
    const auto mark =
        wire::text_of({{.asks = false, .users = {"deploy"}, .groups = {"robots", "ci"}},
                       {.users = {"alice", "deploy"}, .services = {"sshd"}},
                       {.groups = {"people"}}});
    const Groups none;
    const Groups ci{"ci"};
    const Groups people{"users", "people"};
    ck_assert(!asks(mark, "deploy", &ci));
    ck_assert(asks(mark, "deploy", &none)); // one of its conditions alone
    ck_assert(asks(mark, "alice", &none) && !asks(mark, "alice", &none, "login"));
    ck_assert(asks(mark, "bob", &people) && asks(mark, "bob", &people, "login"));
    ck_assert(!asks(mark, "bob", &none) && !asks(mark, "people", &none));
    ck_assert(!asks("", "alice", &people));
}
END_TEST

START_TEST(whose_groups_nobody_knows_is_asked) {
    ck_assert(asks(wire::text_of({{.groups = {"people"}}}), "bob", nullptr));
    ck_assert(!asks(wire::text_of({{.users = {"alice"}, .groups = {"people"}}}), "bob", nullptr));
    ck_assert(asks(wire::text_of({{.asks = false, .groups = {"robots"}}, {}}), "bob", nullptr));
    ck_assert(!asks(wire::text_of({{.asks = false, .users = {"bob"}}, {}}), "bob", nullptr));
}
END_TEST

START_TEST(what_cannot_be_understood_asks_everybody) {
    const Groups none;
    for (const char* const mark :
         {"?", "\n", "asks\thost there\n", "perhaps\n", "none\tuser\n", "none\tuser alice\nwhat\n"})
        ck_assert_msg(asks(mark, "bob", &none), "%s", mark);
    // A name that would be two is nobody's.
    ck_assert(!asks(wire::text_of({{.users = {"eve\nasks", "eve\tuser bob"}}}), "bob", &none));
}
END_TEST

START_TEST(what_cannot_be_read_asks_everybody_but_root) {
    const test::Folder folder;
    const std::string mark = folder / wire::login_mark;
    const Groups none;
    const auto needs = [&](uid_t uid, const char* service) {
        return wire::needs_proof_by_mark(
            folder / "bus", {.user = "bob", .uid = uid, .groups = &none, .service = service});
    };
    ck_assert(!needs(1000, "sshd"));
    const std::string asking = wire::text_of({{}});
    const std::function<void()> kinds[] = {
        [&] { std::ofstream{mark} << asking; },
        [&] { std::filesystem::create_symlink("/nowhere", mark); },
        [&] { ck_assert_int_eq(::mkfifo(mark.c_str(), 0600), 0); },
        [&] { std::filesystem::create_directory(mark); },
        [&] { std::ofstream{mark} << std::string(wire::max_login_mark_bytes + 1, '\n'); },
        [&] {
            std::ofstream{mark} << "none\n";
            ck_assert_int_eq(::chown(mark.c_str(), 65534, 65534), 0);
        }};
    for (const auto& make_it : kinds) {
        make_it();
        ck_assert(needs(1000, "sshd") && needs(1000, "login"));
        ck_assert(!needs(0, "sshd") && !needs(1000, "gdm-password"));
        std::filesystem::remove(mark);
    }
    std::ofstream{mark} << "none\n" << asking;
    ck_assert(!needs(1000, "sshd"));
}
END_TEST

} // namespace

int main() {
    return vigil::test::run("login mark",
                            {the_first_rule_that_matches_counts, whose_groups_nobody_knows_is_asked,
                             what_cannot_be_understood_asks_everybody,
                             what_cannot_be_read_asks_everybody_but_root});
}
