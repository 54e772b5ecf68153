// Every cell of the fail table that is the module's: an entry point, and what is wrong with vigild.

#include "base/clock.hpp"
#include "tests/pam/console.hpp"
#include "tests/pam/pam_host.hpp"
#include "tests/pam/troubles.hpp"
#include "tests/unit/test.hpp"
#include "wire/block_mark.hpp"
#include "wire/login_mark.hpp"
#include "wire/observing.hpp"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include <sys/stat.h>
#include <unistd.h>

using namespace vigil;
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

void block(const FakeVigild& vigild, unsigned uid, const std::string& mark) {
    const auto folder = vigild.directory() + "/blocked";
    std::filesystem::create_directory(folder);
    std::ofstream{folder + "/" + std::to_string(uid)} << mark;
}

/// As vigild does where a rule asks everybody for a proof at login.
void mark_login_rules(const FakeVigild& vigild) {
    std::ofstream{vigild.directory() + "/" + wire::login_mark}
        << wire::text_of({wire::LoginRule{}});
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

START_TEST(who_needs_a_proof_at_login_is_not_let_in_past_the_auth_phase) {
    leave_the_terminal();
    const Trouble& trouble = troubles[_i];
    FakeVigild vigild;
    mark_login_rules(vigild);
    make(vigild, trouble);
    for (const char* const service : {"sshd", "login"})
        for (const std::string word : {"", "unavailable=deny", "unavailable=allow"}) {
            PamHost host{vigild, service, "nobody", word};
            int code = -1;
            const auto took = time_of([&] { code = host.account(); });
            const bool is_let_in = word == "unavailable=allow" && is_down(trouble);
            check_code(service, trouble, code, is_let_in ? ignored : PAM_PERM_DENIED);
            check_time(trouble, took);
            ck_assert(host.was_told("a rule asks for a proof at login, and vigild cannot be asked "
                                    "about it. See: systemctl status vigild") != is_let_in);
        }
    // Who mends it; and what is no login by a key.
    ck_assert_int_eq(PamHost(vigild, "sshd", "root").account(), ignored);
    ck_assert_int_eq(PamHost(vigild, "i3lock", "nobody").account(), ignored);
}
END_TEST

START_TEST(who_has_proved_it_is_let_in_with_vigild_gone) {
    for (const std::uint32_t verdict : {1U, 2U, 3U}) {
        FakeVigild vigild;
        mark_login_rules(vigild);
        vigild->ask_verdict = verdict;
        PamHost host{vigild, "login", "nobody"};
        host.answers = {"123456"};
        const int code = host.authenticate();
        ck_assert_msg(code == (verdict == 3 ? ignored : PAM_SUCCESS), "%u: %d", verdict, code);
        vigild.remove();
        ck_assert_int_eq(host.account(), ignored);
        // The next try at the same terminal is somebody else's.
        ck_assert_int_eq(host.authenticate(), PAM_MAXTRIES);
        ck_assert_int_eq(host.account(), PAM_PERM_DENIED);
    }
}
END_TEST

START_TEST(whom_the_auth_line_lets_through_account_does_not_refuse) {
    FakeVigild vigild;
    mark_login_rules(vigild);
    vigild.remove();
    PamHost host{vigild, "login", "nobody", "unavailable=allow", Lines::auth_apart};
    ck_assert_int_eq(host.authenticate(), ignored);
    ck_assert_int_eq(host.account(), ignored);
    PamHost other{vigild, "login", "nobody", "unavailable=allow", Lines::auth_apart};
    ck_assert_int_eq(other.account(), PAM_PERM_DENIED); // past the auth phase
}
END_TEST

START_TEST(who_has_failed_it_is_not_let_in_by_another_module) {
    FakeVigild vigild;
    mark_login_rules(vigild);
    vigild->ask_verdict = 2;
    PamHost host{vigild, "login", "nobody"};
    host.answers = {"000000", "000000", "000000"};
    ck_assert_int_ne(host.authenticate(), PAM_SUCCESS);
    vigild.remove();
    ck_assert_int_eq(host.account(), PAM_PERM_DENIED);
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

START_TEST(a_blocked_user_is_refused_where_vigild_cannot_be_asked) {
    const Trouble& trouble = troubles[_i];
    FakeVigild vigild;
    block(vigild, 0, "left the \033[31mcompany\nsecond line\n");
    make(vigild, trouble);
    for (const char* const service : {"sshd", "sudo", "polkit-1"}) {
        PamHost host{vigild, service, "root", "unavailable=allow"};
        check_code(service, trouble, host.account(), PAM_PERM_DENIED);
        ck_assert(host.was_told("vigil: left the \\x1b[31mcompany"));
        ck_assert(!host.was_told("second line"));
    }
}
END_TEST

START_TEST(who_can_be_asked_knows_better_than_a_mark) {
    FakeVigild vigild;
    block(vigild, 0, "left the company\n");
    ck_assert_int_eq(PamHost(vigild, "sshd").account(), PAM_SUCCESS);
    ck_assert_int_eq(PamHost(vigild, "sudo").account(), PAM_SUCCESS);
    vigild->reserve_verdict = 0;
    std::strcpy(vigild->reason, "vigil: root is blocked on this host");
    PamHost host{vigild, "sshd"};
    ck_assert_int_eq(host.account(), PAM_PERM_DENIED);
    ck_assert(host.was_told("vigil: root is blocked on this host") &&
              !host.was_told("vigil: vigil"));
}
END_TEST

START_TEST(whatever_has_the_name_of_a_mark_blocks) {
    FakeVigild vigild;
    block(vigild, 1, "another user\n");
    vigild.remove();
    const std::string mark = vigild.directory() + "/blocked/0";
    ck_assert_int_eq(PamHost(vigild, "sshd").account(), ignored);
    const std::function<void()> kinds[] = {
        [&] { std::filesystem::create_symlink(vigild.directory() + "/blocked/1", mark); },
        [&] { std::filesystem::create_symlink("/nowhere", mark); },
        [&] { ck_assert_int_eq(::mkfifo(mark.c_str(), 0600), 0); },
        [&] { std::filesystem::create_directory(mark); },
        [&] { std::ofstream{mark}; },
        [&] { std::ofstream{mark} << std::string(1 << 20, 'x'); },
        [&] {
            std::ofstream{mark} << "somebody's\n";
            ck_assert_int_eq(::chown(mark.c_str(), 65534, 65534), 0);
        }};
    for (const auto& make_it : kinds) {
        make_it();
        PamHost host{vigild, "sshd", "root", "unavailable=allow"};
        ck_assert_int_eq(host.account(), PAM_PERM_DENIED);
        ck_assert(host.was_told("vigil: This account is blocked on this host."));
        std::filesystem::remove(mark);
    }
}
END_TEST

/// Only root can have done it; and root can be blocked by nobody, so he is let in to mend it.
START_TEST(where_no_mark_can_be_looked_for_nobody_but_root_is_let_in) {
    FakeVigild vigild;
    vigild.remove();
    const auto folder = vigild.directory() + "/blocked";
    ck_assert_int_eq(PamHost(vigild, "sshd", "nobody").account(), ignored); // nobody is blocked
    const std::function<void()> kinds[] = {
        [&] { std::ofstream{folder}; },
        [&] { std::filesystem::create_symlink("/nowhere", folder); },
        [&] { std::filesystem::create_directory_symlink(vigild.directory(), folder); },
        [&] { ck_assert_int_eq(::mkfifo(folder.c_str(), 0600), 0); }};
    for (const auto& make_it : kinds) {
        make_it();
        for (const char* const service : {"sshd", "sudo", "su", "polkit-1"}) {
            const bool by_root = service == std::string_view{"su"};
            PamHost host{vigild, service, "nobody", "unavailable=allow"};
            ck_assert_int_eq(host.account(), by_root ? ignored : PAM_PERM_DENIED);
            ck_assert(by_root ||
                      (host.was_told("cannot be told who is blocked") && host.was_told(folder) &&
                       host.was_told("systemctl status vigild")));
        }
        for (const char* const service : {"sshd", "sudo", "su"})
            ck_assert_int_eq(PamHost(vigild, service, "root").account(), ignored);
        std::filesystem::remove(folder);
    }
}
END_TEST

START_TEST(who_may_not_look_for_a_mark_is_refused) {
    FakeVigild vigild;
    vigild.remove();
    const auto folder = vigild.directory() + "/blocked";
    std::filesystem::create_directory(folder);
    PamHost login{vigild, "sshd", "nobody"};
    ck_assert_int_eq(login.account(), ignored);
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all);
    // As a screen's locker, which runs as its user.
    ck_assert_int_eq(setresuid(65534, 65534, 0), 0);
    ck_assert_int_eq(login.account(), PAM_PERM_DENIED);
    ck_assert_int_eq(setresuid(0, 0, 0), 0);
    ck_assert(login.was_told("blocked: Permission denied"));
}
END_TEST

/// Neither by an absence, nor by what stays of a policy that was enforced before.
START_TEST(what_only_observes_refuses_nobody) {
    FakeVigild vigild;
    make(vigild, troubles[_i]);
    mark_login_rules(vigild);
    block(vigild, 65534, "nobody is blocked: gone\n\n");
    std::ofstream{vigild.directory() + "/" + wire::observing_mark};
    for (const char* const service : {"sshd", "sudo", "su", "polkit-1"}) {
        PamHost host{vigild, service, "nobody", "unavailable=deny"};
        check_code(service, troubles[_i], host.account(), ignored);
        ck_assert(host.lines.empty());
    }
    PamHost login{vigild, "login", "nobody", "", Lines::auth_apart};
    check_code("auth", troubles[_i], login.authenticate(), ignored);
    PamHost lock{vigild, "vigil-unlock", "nobody"};
    lock.answers = {"123456"};
    check_code("unlock", troubles[_i], lock.authenticate(), PAM_AUTHINFO_UNAVAIL);
}
END_TEST

START_TEST(what_only_looks_like_the_mark_that_vigil_observes_is_none) {
    FakeVigild vigild;
    vigild.remove();
    const auto mark = vigild.directory() + "/" + wire::observing_mark;
    const std::function<void()> kinds[] = {
        [&] { std::filesystem::create_directory(mark); },
        [&] { std::filesystem::create_symlink("/etc/passwd", mark); },
        [&] {
            std::ofstream{mark};
            ck_assert_int_eq(::chown(mark.c_str(), 65534, 0), 0);
        }};
    for (const auto& make_it : kinds) {
        make_it();
        ck_assert_int_eq(PamHost(vigild, "polkit-1", "nobody").account(), PAM_AUTHINFO_UNAVAIL);
        std::filesystem::remove(mark);
    }
}
END_TEST

START_TEST(a_mark_whose_time_is_over_lets_in) {
    FakeVigild vigild;
    vigild.remove();
    const auto write = [&](Microseconds from_now) {
        block(vigild, 0,
              wire::text_of({.line = "gone", .until = base::read_boot_time() + from_now}));
        return PamHost(vigild, "sshd").account();
    };
    ck_assert_int_eq(write(Seconds{-1}), ignored);
    ck_assert_int_eq(write(Seconds{60}), PAM_PERM_DENIED);
}
END_TEST

START_TEST(root_may_become_a_blocked_user_and_nobody_else) {
    FakeVigild vigild;
    block(vigild, 65534, "gone\n");
    vigild.remove();
    ck_assert_int_eq(PamHost(vigild, "su", "nobody").account(), ignored);
    ck_assert_int_eq(PamHost(vigild, "sudo", "nobody").account(), PAM_PERM_DENIED);
    become_setuid_program();
    ck_assert_int_eq(PamHost(vigild, "su", "nobody").account(), PAM_PERM_DENIED);
    ck_assert_int_eq(PamHost(vigild, "su", "root").account(), PAM_PERM_DENIED); // runs as nobody
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
         {who_needs_a_proof_at_login_is_not_let_in_past_the_auth_phase, 0, trouble_count},
         who_has_proved_it_is_let_in_with_vigild_gone,
         whom_the_auth_line_lets_through_account_does_not_refuse,
         who_has_failed_it_is_not_let_in_by_another_module,
         an_argument_misspelt_changes_nothing,
         {a_blocked_user_is_refused_where_vigild_cannot_be_asked, 0, trouble_count},
         who_can_be_asked_knows_better_than_a_mark,
         whatever_has_the_name_of_a_mark_blocks,
         where_no_mark_can_be_looked_for_nobody_but_root_is_let_in,
         who_may_not_look_for_a_mark_is_refused,
         {what_only_observes_refuses_nobody, 0, trouble_count},
         what_only_looks_like_the_mark_that_vigil_observes_is_none,
         a_mark_whose_time_is_over_lets_in,
         root_may_become_a_blocked_user_and_nobody_else,
         a_restart_of_vigild_is_waited_out},
        {.seconds = 30});
}
