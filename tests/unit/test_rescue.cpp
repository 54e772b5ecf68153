// Whether vigild runs, told from the kernel alone, in a mount namespace of the test's own. Needs
// root.

#include "rescue/thaw.hpp"
#include "tests/unit/scope_help.hpp"

using namespace vigil;

START_TEST(a_unit_that_is_not_there_does_not_run) {
    const auto runs = rescue::vigild_runs();
    CHECK_OK(runs);
    ck_assert(!*runs);
}
END_TEST

START_TEST(without_cgroup_v2_nobody_knows_whether_it_runs) {
    ck_assert_int_eq(::mount("none", "/sys/fs/cgroup", "tmpfs", 0, nullptr), 0);
    CHECK_ERROR(rescue::vigild_runs(), ENODATA);
    ck_assert_int_eq(::umount("/sys/fs/cgroup"), 0);
}
END_TEST

START_TEST(a_session_is_named_by_its_scope) {
    const std::string slice = "/user.slice/user-1000.slice/";
    CHECK_TEXT(rescue::logind_session_in(slice + "session-3.scope"), "3");
    CHECK_TEXT(rescue::logind_session_in("session-c12.scope"), "c12");
    for (const char* other : {"user@1000.service", "session-.slice", "session-3.scope/vigil-lock",
                              "run-1.scope", "session-3", ""})
        CHECK_TEXT(rescue::logind_session_in(slice + other), "");
}
END_TEST

int main() {
    return vigil::test::run(
        "rescue",
        {a_unit_that_is_not_there_does_not_run, without_cgroup_v2_nobody_knows_whether_it_runs,
         a_session_is_named_by_its_scope},
        {.before = test::make_scope, .after = test::remove_scope, .seconds = 20});
}
