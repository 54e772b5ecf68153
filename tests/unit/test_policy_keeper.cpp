// The policy in force: a broken file, the last good one, and the kernel's command line.

#include "daemon/shell/policy_keeper.hpp"
#include "tests/unit/folder.hpp"
#include "wire/login_mark.hpp"
#include "wire/observing.hpp"

#include <filesystem>
#include <fstream>

using namespace vigil;
using shell::PolicyKeeper;

namespace {

constexpr const char* good = "version: 1\nsessions:\n  - {name: all, idle_lock: 5m}\n";
constexpr const char* broken = "version: 1\nsessions: 7\n";

/// A folder of its own with a policy in it.
struct Place {
    test::Folder folder;

    explicit Place(const char* text) {
        std::filesystem::create_directory(state());
        write(text);
    }
    std::string state() const { return folder / "state"; }
    void write(const char* text) const { std::ofstream{folder / "policy.yaml"} << text; }
    PolicyKeeper keeper(const char* command_line = "BOOT_IMAGE=/vmlinuz ro quiet") const {
        return {folder / "policy.yaml", state(), folder / "", command_line};
    }
};

bool is_marked(const Place& place) {
    return std::filesystem::exists(place.folder / "elevated");
}

START_TEST(what_has_a_rule_for_elevated_sessions_is_marked_while_it_is_in_force) {
    const Place place{good};
    auto keeper = place.keeper();
    (void)keeper.start(WallTime{});
    ck_assert(!is_marked(place));
    place.write("version: 1\nelevated:\n  - {match: {run_as: [root]}, max_duration: 30m}\n");
    ck_assert(keeper.reload(WallTime{}) && is_marked(place));
    place.write(broken);
    ck_assert(!keeper.reload(WallTime{}) && is_marked(place));
    // By the last good one, too.
    std::filesystem::remove(place.folder / "elevated");
    auto next = place.keeper();
    ck_assert_uint_eq(next.start(WallTime{}).elevated.size(), 1);
    ck_assert(is_marked(place));
    place.write(good);
    ck_assert(next.reload(WallTime{}) && !is_marked(place));
}
END_TEST

/// Whether somebody is refused past the auth phase, where vigild cannot be asked.
bool is_asked(const Place& place, const char* user, const std::vector<std::string>& groups = {},
              const char* service = "sshd") {
    return wire::needs_proof_by_mark(
        place.folder / "bus", {.user = user, .uid = 1000, .groups = &groups, .service = service});
}

constexpr const char* asking =
    "version: 1\nsessions:\n"
    "  - {name: at home, match: {from: [192.0.2.0/24]}, login_factors: none}\n"
    "  - {name: robots, match: {groups: [robots], services: [sshd]}, login_factors: none}\n"
    "  - {name: all, idle_lock: 5m}\n"
    "  - {name: people, match: {groups: [people], from: [192.0.2.0/24]}, login_factors: [totp]}\n"
    "  - {name: eve, match: {users: [eve]}, login_factors: [totp]}\n";

START_TEST(who_is_asked_for_a_proof_at_login_is_marked_while_the_rule_is_in_force) {
    const Place place{good};
    auto keeper = place.keeper();
    (void)keeper.start(WallTime{});
    ck_assert(!is_asked(place, "alice", {"people"}));
    place.write(asking);
    ck_assert(keeper.reload(WallTime{}).has_value());
    ck_assert(is_asked(place, "alice", {"users", "people"}) && is_asked(place, "eve"));
    ck_assert(is_asked(place, "alice", {"people"}, "login"));
    ck_assert(!is_asked(place, "bob", {"users"}) && !is_asked(place, "people"));
    ck_assert(!is_asked(place, "eve", {"robots"}) && is_asked(place, "eve", {"robots"}, "login"));
    // Nobody who came past auth by another service.
    ck_assert(!is_asked(place, "eve", {}, "i3lock"));
    // A broken file changes nothing; nor does it over a restart, with or without a last good one.
    place.write(broken);
    ck_assert(!keeper.reload(WallTime{}) && is_asked(place, "eve"));
    ck_assert(!place.keeper().start(WallTime{}).sessions.empty() && is_asked(place, "eve"));
    std::filesystem::remove(place.state() + "/policy.last-good");
    ck_assert(place.keeper().start(WallTime{}).sessions.empty() && is_asked(place, "eve"));
    auto rescue = place.keeper("vigil.mode=observe");
    (void)rescue.start(WallTime{});
    ck_assert(!is_asked(place, "eve"));
}
END_TEST

START_TEST(what_is_only_observed_or_asks_nobody_leaves_no_mark) {
    const Place place{asking};
    auto keeper = place.keeper();
    for (const std::string& text :
         {std::string{asking} + "mode: observe\n", std::string{good},
          std::string{"version: 1\nsessions:\n  - {name: all, login_factors: none}\n"}}) {
        place.write(asking);
        ck_assert(keeper.reload(WallTime{}) && is_asked(place, "eve"));
        place.write(text.c_str());
        ck_assert(keeper.reload(WallTime{}).has_value());
        ck_assert(!std::filesystem::exists(place.folder / wire::login_mark));
    }
}
END_TEST

START_TEST(that_nothing_is_refused_is_marked_while_the_policy_says_so) {
    const auto is_there = [](const std::string& folder) {
        return std::filesystem::exists(folder + "/" + wire::observing_mark);
    };
    const Place place{"version: 1\nmode: observe\n"};
    place.keeper().start(WallTime{});
    ck_assert(is_there(place.folder / "") && is_there(place.state()));
    ck_assert(wire::observes(place.folder / "bus"));
    // As after a boot, with a file that somebody has broken since.
    std::filesystem::remove(place.folder / wire::observing_mark);
    place.write(broken);
    auto keeper = place.keeper();
    (void)keeper.start(WallTime{});
    ck_assert(is_there(place.folder / ""));
    place.write(good);
    ck_assert(keeper.reload(WallTime{}).has_value());
    ck_assert(!wire::observes(place.folder / "bus"));
    ck_assert(!is_there(place.state()));
    // The kernel's word is there to be read, and goes with its boot.
    (void)place.keeper("vigil.mode=observe").start(WallTime{});
    ck_assert(!wire::observes(place.folder / "bus"));
    ck_assert(!is_there(place.state()));
}
END_TEST

START_TEST(files_that_were_changed_since_are_not_what_is_in_force) {
    const Place place{good};
    auto keeper = place.keeper();
    (void)keeper.start(WallTime{});
    ck_assert(keeper.is_as_read());
    place.write("version: 1\n");
    ck_assert(!keeper.is_as_read());
    ck_assert(keeper.reload(WallTime{}) && keeper.is_as_read());
    place.write(broken);
    ck_assert(!keeper.reload(WallTime{}) && !keeper.is_as_read());
}
END_TEST

START_TEST(a_good_file_is_in_force) {
    const Place place{good};
    auto keeper = place.keeper();
    const auto policy = keeper.start(WallTime{});
    ck_assert(keeper.usable());
    ck_assert(policy.mode == policy::Mode::enforce);
    ck_assert_uint_eq(policy.sessions.size(), 1);
}
END_TEST

START_TEST(a_broken_file_changes_nothing_across_a_restart) {
    const Place place{good};
    place.keeper().start(WallTime{});
    place.write(broken);
    auto keeper = place.keeper();
    ck_assert_uint_eq(keeper.start(WallTime{}).sessions.size(), 1);
    ck_assert(keeper.usable());
    ck_assert(!keeper.error().empty());
    ck_assert(!keeper.reload(WallTime{}).has_value());
    ck_assert(keeper.usable());
}
END_TEST

START_TEST(without_any_good_one_none_is_usable) {
    const Place place{broken};
    auto keeper = place.keeper();
    ck_assert(keeper.start(WallTime{}).sessions.empty());
    ck_assert(!keeper.usable());
}
END_TEST

START_TEST(a_word_on_the_kernels_command_line_makes_every_policy_observe) {
    const Place place{good};
    auto keeper = place.keeper("ro vigil.mode=observe quiet");
    ck_assert(keeper.start(WallTime{}).mode == policy::Mode::observe);
    ck_assert(keeper.reload(WallTime{})->mode == policy::Mode::observe);
    // Nor does it need a good file: it is there for whoever broke it.
    std::filesystem::remove(place.state() + "/policy.last-good");
    place.write(broken);
    auto rescue = place.keeper("ro vigil.mode=observe\n");
    ck_assert(rescue.start(WallTime{}).mode == policy::Mode::observe);
    ck_assert(rescue.usable());
}
END_TEST

} // namespace

int main() {
    return vigil::test::run(
        "policy keeper",
        {what_has_a_rule_for_elevated_sessions_is_marked_while_it_is_in_force,
         who_is_asked_for_a_proof_at_login_is_marked_while_the_rule_is_in_force,
         what_is_only_observed_or_asks_nobody_leaves_no_mark,
         that_nothing_is_refused_is_marked_while_the_policy_says_so,
         files_that_were_changed_since_are_not_what_is_in_force, a_good_file_is_in_force,
         a_broken_file_changes_nothing_across_a_restart, without_any_good_one_none_is_usable,
         a_word_on_the_kernels_command_line_makes_every_policy_observe});
}
