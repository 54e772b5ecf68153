// Every cell of the fail table that is the module's: an entry point, and what is wrong with vigild.

#include "tests/pam/console.hpp"
#include "tests/pam/pam_host.hpp"
#include "tests/pam/troubles.hpp"
#include "tests/unit/test.hpp"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <unistd.h>

using namespace vigil::test;
using std::chrono_literals::operator""ms;

namespace {

void check_code(const char* entry, const Trouble& trouble, int got, int wanted) {
    ck_assert_msg(got == wanted, "%s, %s: %d instead of %d", entry, trouble.name, got, wanted);
}

/// As in sudo when alice runs it. Each test is a process of its own, so nothing has to be put back.
void become_setuid_program() {
    ck_assert_int_eq(setresuid(65534, 0, 0), 0);
}

} // namespace

START_TEST(limits_go_on) {
    leave_the_terminal(); // a session of its own, as sshd's monitor has
    const Trouble& trouble = troubles[_i];
    FakeVigild vigild;
    make(vigild, trouble);
    PamHost host{vigild, "sshd"};
    int code = -1;
    const auto took = time_of([&] { code = host.account(); });
    check_code("account", trouble, code, ignored);
    check_time(trouble, took);
    ck_assert(host.lines.empty());
}
END_TEST

START_TEST(step_up_refuses_and_says_where_to_look) {
    const Trouble& trouble = troubles[_i];
    become_setuid_program();
    FakeVigild vigild;
    make(vigild, trouble);
    PamHost host{vigild, "sudo"};
    int code = -1;
    const auto took = time_of([&] { code = host.account(PAM_SILENT); });
    check_code("step-up", trouble, code, PAM_AUTHINFO_UNAVAIL);
    check_time(trouble, took);
    ck_assert(host.was_told("systemctl status vigild"));
}
END_TEST

START_TEST(root_needs_no_step_up_where_nobody_can_be_asked) {
    FakeVigild vigild;
    make(vigild, troubles[_i]);
    PamHost host{vigild, "su"};
    ck_assert_int_eq(host.account(), ignored);
    ck_assert(host.lines.empty());
}
END_TEST

START_TEST(polkits_helper_is_nobody_by_being_root) {
    FakeVigild vigild;
    vigild.remove();
    PamHost host{vigild, "polkit-1"};
    ck_assert_int_eq(host.account(), PAM_AUTHINFO_UNAVAIL);
}
END_TEST

START_TEST(a_lock_stays_locked) {
    const Trouble& trouble = troubles[_i];
    FakeVigild vigild;
    make(vigild, trouble);
    PamHost host{vigild, "vigil-unlock", "root", "unavailable=allow"};
    host.answers = {"123456"};
    int code = -1;
    const auto took = time_of([&] { code = host.authenticate(); });
    check_code("unlock", trouble, code, PAM_AUTHINFO_UNAVAIL);
    check_time(trouble, took);
}
END_TEST

START_TEST(a_session_opens_and_closes) {
    Trouble trouble = troubles[_i];
    if (trouble.mood == Mood::lies || trouble.mood == Mood::floods)
        trouble.mood = Mood::mistypes; // these replies have no verdict and no text
    FakeVigild vigild;
    make(vigild, trouble);
    PamHost host{vigild, "sshd"};
    int code = -1;
    check_time(trouble, time_of([&] { code = host.open(); }), 500ms);
    check_code("open_session", trouble, code, ignored);
    check_code("setcred", trouble, host.setcred(), PAM_SUCCESS);
    int closed = -1;
    check_time(trouble, time_of([&] { closed = PamHost(vigild, "sshd").close(); }), 500ms);
    check_code("close_session", trouble, closed, PAM_SUCCESS);
    ck_assert(host.lines.empty());
}
END_TEST

START_TEST(what_is_elevated_goes_on) {
    Trouble trouble = troubles[_i];
    if (trouble.mood == Mood::lies || trouble.mood == Mood::floods)
        trouble.mood = Mood::mistypes; // these replies have no verdict and no text
    FakeVigild vigild;
    make(vigild, trouble);
    PamHost host{vigild, "sudo", "root", "elevated"};
    int code = -1;
    check_time(trouble, time_of([&] { code = host.open(); }));
    check_code("open_session of sudo", trouble, code, ignored);
    ck_assert(host.lines.empty() && host.prompts.empty());
}
END_TEST

START_TEST(who_could_not_ask_before_a_command_does_not_wait_again) {
    FakeVigild vigild;
    vigild->mood = Mood::mute;
    PamHost host{vigild, "sudo", "root", "elevated"};
    int code = -1;
    const auto took = time_of([&] {
        host.account();
        code = host.open();
    });
    ck_assert_msg(took < std::chrono::milliseconds{2900}, "%ld ms",
                  static_cast<long>(took.count()));
    ck_assert_int_eq(code, ignored);
}
END_TEST

START_TEST(prepare_goes_on) {
    const Trouble& trouble = troubles[_i];
    FakeVigild vigild;
    make(vigild, trouble);
    if (trouble.mood == Mood::lies || trouble.mood == Mood::floods)
        vigild->mood = Mood::mistypes;
    PamHost host{vigild, "sshd", "root", "prepare"};
    check_code("prepare", trouble, host.open(), ignored);
    const auto before = vigild->connections;
    check_code("close of prepare", trouble, PamHost(vigild, "sshd", "root", "prepare").close(),
               PAM_SUCCESS);
    ck_assert_int_eq(vigild->connections, before);
}
END_TEST

START_TEST(unavailable_deny_refuses_logins) {
    FakeVigild vigild;
    vigild.remove();
    PamHost host{vigild, "sshd", "root", "unavailable=deny"};
    ck_assert_int_eq(host.account(), PAM_AUTHINFO_UNAVAIL);
    ck_assert_int_eq(host.open(), ignored);
    PamHost closing{vigild, "sshd", "root", "unavailable=deny"};
    ck_assert_int_eq(closing.close(), PAM_SUCCESS);
}
END_TEST

START_TEST(unavailable_allow_lets_step_up_pass_where_vigild_is_down) {
    const Trouble& trouble = troubles[_i];
    become_setuid_program();
    FakeVigild vigild;
    make(vigild, trouble);
    PamHost host{vigild, "sudo", "root", "unavailable=allow"};
    check_code("step-up", trouble, host.account(),
               is_down(trouble) ? ignored : PAM_AUTHINFO_UNAVAIL);
    ck_assert(host.was_told("systemctl status vigild") != is_down(trouble));
}
END_TEST

START_TEST(an_argument_misspelt_changes_nothing) {
    become_setuid_program();
    FakeVigild vigild;
    vigild.remove();
    PamHost login{vigild, "sshd", "root", "unavailable=dney nonsense"};
    ck_assert_int_eq(login.account(), ignored);
    PamHost sudo{vigild, "sudo", "root", "unavailable=alow socket=here"};
    ck_assert_int_eq(sudo.account(), PAM_AUTHINFO_UNAVAIL);
}
END_TEST

START_TEST(a_blocked_user_is_refused_with_vigild_down) {
    FakeVigild vigild;
    std::filesystem::create_directory(vigild.directory() + "/blocked");
    std::ofstream{vigild.directory() + "/blocked/0"} << "left the \033[31mcompany\nsecond line\n";
    vigild.remove();
    for (const char* const service : {"sshd", "login", "sudo", "su", "polkit-1"}) {
        PamHost host{vigild, service, "root", "unavailable=allow"};
        ck_assert_int_eq(host.account(), PAM_PERM_DENIED);
        ck_assert(host.was_told("blocked: left the \\x1b[31mcompany"));
        ck_assert(!host.was_told("second line"));
    }
}
END_TEST

START_TEST(a_blocked_user_is_refused_whatever_vigild_says) {
    FakeVigild vigild;
    std::filesystem::create_directory(vigild.directory() + "/blocked");
    std::ofstream{vigild.directory() + "/blocked/0"};
    PamHost host{vigild, "sshd"};
    ck_assert_int_eq(host.account(), PAM_PERM_DENIED);
    ck_assert_int_eq(vigild->reserved, 0);
}
END_TEST

START_TEST(only_a_file_of_roots_in_a_directory_of_roots_blocks) {
    FakeVigild vigild;
    const std::string directory = vigild.directory() + "/blocked";
    std::filesystem::create_directory(directory);
    std::ofstream{directory + "/1"} << "another user\n";
    std::filesystem::create_symlink(directory + "/1", directory + "/0");
    ck_assert_int_eq(PamHost(vigild, "sshd").account(), PAM_SUCCESS);
    std::filesystem::remove(directory + "/0");
    std::ofstream{directory + "/0"};
    ck_assert_int_eq(PamHost(vigild, "sshd").account(), PAM_PERM_DENIED);
    std::filesystem::permissions(directory, std::filesystem::perms{0777});
    ck_assert_int_eq(PamHost(vigild, "sshd").account(), PAM_SUCCESS);
}
END_TEST

START_TEST(a_restart_of_vigild_is_waited_out) {
    FakeVigild vigild;
    vigild->mood = Mood::hangs_up;
    vigild->hang_ups = 2;
    ck_assert_int_eq(PamHost(vigild, "sshd").account(), PAM_SUCCESS);
    vigild->hang_ups = 1;
    ck_assert_int_eq(PamHost(vigild, "sudo").account(), PAM_SUCCESS);
    vigild->hang_ups = 1;
    ck_assert_int_eq(PamHost(vigild, "sshd").open(), PAM_SUCCESS);
}
END_TEST

int main() {
    return vigil::test::run(
        "fail table",
        {{limits_go_on, 0, trouble_count},
         {step_up_refuses_and_says_where_to_look, 0, trouble_count},
         {root_needs_no_step_up_where_nobody_can_be_asked, 0, trouble_count},
         polkits_helper_is_nobody_by_being_root,
         {a_lock_stays_locked, 0, trouble_count},
         {a_session_opens_and_closes, 0, trouble_count},
         {what_is_elevated_goes_on, 0, trouble_count},
         who_could_not_ask_before_a_command_does_not_wait_again,
         {prepare_goes_on, 0, trouble_count},
         unavailable_deny_refuses_logins,
         {unavailable_allow_lets_step_up_pass_where_vigild_is_down, 0, trouble_count},
         an_argument_misspelt_changes_nothing,
         a_blocked_user_is_refused_with_vigild_down,
         a_blocked_user_is_refused_whatever_vigild_says,
         only_a_file_of_roots_in_a_directory_of_roots_blocks,
         a_restart_of_vigild_is_waited_out},
        {.seconds = 30});
}
