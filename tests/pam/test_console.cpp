// Root at a console always gets in: who he is, where he sits, and what does not keep him out.

#include "tests/pam/console.hpp"
#include "tests/pam/pam_host.hpp"
#include "tests/unit/test.hpp"

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include <unistd.h>

using namespace vigil::test;

namespace {

const std::string deny = "unavailable=deny";

/// Where vigild cannot be asked: that is what a mark is for.
void block(FakeVigild& vigild, unsigned uid) {
    vigild.remove();
    std::filesystem::create_directory(vigild.directory() + "/blocked");
    std::ofstream{vigild.directory() + "/blocked/" + std::to_string(uid)} << "gone\n";
}

} // namespace

START_TEST(vigild_away_does_not_keep_him_out) {
    const std::string terminal = sit_down_at_a_terminal(true);
    FakeVigild vigild;
    vigild.remove();
    PamHost host{vigild, "login", "root", deny};
    host.set(PAM_TTY, terminal.c_str());
    ck_assert_int_eq(host.account(), ignored);
    ck_assert_int_eq(host.open(), ignored);
    ck_assert(host.lines.empty());
}
END_TEST

START_TEST(vigild_silent_does_not_keep_him_out) {
    sit_down_at_a_terminal(true);
    FakeVigild vigild;
    vigild->mood = Mood::mute;
    ck_assert_int_eq(PamHost(vigild, "login", "root", deny).account(), ignored);
}
END_TEST

START_TEST(a_mark_does_not_keep_him_out) {
    sit_down_at_a_terminal(true);
    FakeVigild vigild;
    block(vigild, 0);
    PamHost host{vigild, "login", "root", deny};
    ck_assert_int_eq(host.account(), ignored);
    ck_assert(host.lines.empty());
}
END_TEST

START_TEST(marks_that_cannot_be_looked_for_do_not_keep_him_out) {
    sit_down_at_a_terminal(true);
    FakeVigild vigild;
    vigild.remove();
    std::ofstream{vigild.directory() + "/blocked"};
    ck_assert_int_eq(PamHost(vigild, "login", "root", deny).account(), ignored);
    ck_assert_int_eq(PamHost(vigild, "login", "nobody", deny).account(), PAM_PERM_DENIED);
}
END_TEST

START_TEST(a_refusal_does_not_keep_him_out_and_his_session_is_told_of) {
    sit_down_at_a_terminal(true);
    FakeVigild vigild;
    vigild->reserve_verdict = 0;
    std::strcpy(vigild->reason, "not on working days");
    PamHost host{vigild, "login", "root", deny};
    ck_assert_int_eq(host.account(), ignored);
    ck_assert(!host.was_told("working days"));
    ck_assert_int_eq(host.open(), PAM_SUCCESS);
    ck_assert_int_eq(vigild->confirmed, 1);
}
END_TEST

START_TEST(what_a_program_says_of_its_terminal_is_no_console) {
    sit_down_at_a_terminal(false);
    FakeVigild vigild;
    block(vigild, 0);
    for (const char* const name : {"/dev/console", "/dev/tty1", "tty1"}) {
        PamHost host{vigild, "login", "root", deny};
        host.set(PAM_TTY, name);
        ck_assert_int_eq(host.account(), PAM_PERM_DENIED);
    }
    std::filesystem::remove_all(vigild.directory() + "/blocked");
    ck_assert_int_eq(PamHost(vigild, "login", "root", deny).account(), PAM_AUTHINFO_UNAVAIL);
}
END_TEST

START_TEST(who_has_no_terminal_has_no_console) {
    leave_the_terminal();
    FakeVigild vigild;
    block(vigild, 0);
    PamHost host{vigild, "login", "root", deny};
    host.set(PAM_TTY, "tty1");
    ck_assert_int_eq(host.account(), PAM_PERM_DENIED);
}
END_TEST

START_TEST(who_comes_from_elsewhere_is_not_at_the_console) {
    sit_down_at_a_terminal(true);
    FakeVigild vigild;
    block(vigild, 0);
    for (const char* const from : {"192.0.2.7", "localhost", "?"}) {
        PamHost host{vigild, "login", "root", deny};
        host.set(PAM_RHOST, from);
        ck_assert_int_eq(host.account(), PAM_PERM_DENIED);
    }
}
END_TEST

START_TEST(others_at_the_console_are_refused_as_anywhere) {
    sit_down_at_a_terminal(true);
    FakeVigild vigild;
    block(vigild, 65534);
    ck_assert_int_eq(PamHost(vigild, "login", "nobody", deny).account(), PAM_PERM_DENIED);
    std::filesystem::remove_all(vigild.directory() + "/blocked");
    ck_assert_int_eq(PamHost(vigild, "login", "nobody", deny).account(), PAM_AUTHINFO_UNAVAIL);
}
END_TEST

START_TEST(a_users_setuid_program_is_not_root_at_the_console) {
    sit_down_at_a_terminal(true);
    FakeVigild vigild;
    block(vigild, 0);
    ck_assert_int_eq(setresuid(65534, 0, 0), 0);
    ck_assert_int_eq(PamHost(vigild, "login", "root", deny).account(), PAM_PERM_DENIED);
}
END_TEST

START_TEST(a_step_up_at_the_console_is_no_login) {
    sit_down_at_a_terminal(true);
    FakeVigild vigild;
    block(vigild, 0);
    ck_assert_int_eq(PamHost(vigild, "su", "root", deny).account(), PAM_PERM_DENIED);
}
END_TEST

int main() {
    return vigil::test::run(
        "console",
        {vigild_away_does_not_keep_him_out, vigild_silent_does_not_keep_him_out,
         a_mark_does_not_keep_him_out, marks_that_cannot_be_looked_for_do_not_keep_him_out,
         a_refusal_does_not_keep_him_out_and_his_session_is_told_of,
         what_a_program_says_of_its_terminal_is_no_console, who_has_no_terminal_has_no_console,
         who_comes_from_elsewhere_is_not_at_the_console,
         others_at_the_console_are_refused_as_anywhere,
         a_users_setuid_program_is_not_root_at_the_console, a_step_up_at_the_console_is_no_login},
        {.seconds = 30});
}
