// The auth phase of a login: who is asked for a proof, in which words, and what is refused at once.

#include "tests/pam/console.hpp"
#include "tests/pam/pam_host.hpp"
#include "tests/pam/troubles.hpp"
#include "tests/unit/test.hpp"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

using namespace vigil::test;

namespace {

/// The blob is "key"; SHA-256 of it, as sha256sum(1) has it in hex: 2c70e12b7a0646f9...
constexpr const char* one_key = "publickey ssh-ed25519 a2V5\n";
constexpr const char* fingerprint = "SHA256:LHDhK3oGRvkiefQnx7OOczTY5Tic/xZ6HcMOc/gmtoM";

/// vigild wants a code.
void wants_code(FakeVigild& vigild) {
    vigild->ask_verdict = 2;
    std::strcpy(vigild->ask_text, "rule \"x\" asks for a proof at login");
}

/// As sshd has keyboard-interactive: in a child of what leads the session. What `work` returns.
int in_child_of_monitor(const std::function<int()>& work, pid_t* monitor_pid = nullptr) {
    const pid_t monitor = ::fork();
    if (monitor == 0) {
        ::setsid();
        const pid_t child = ::fork();
        if (child == 0)
            ::_exit(work());
        int status = -1;
        ::waitpid(child, &status, 0);
        ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 99);
    }
    int status = -1;
    ck_assert_int_eq(::waitpid(monitor, &status, 0), monitor);
    ck_assert(WIFEXITED(status));
    if (monitor_pid != nullptr)
        *monitor_pid = monitor;
    return WEXITSTATUS(status);
}

} // namespace

START_TEST(without_vigild_nobody_is_let_through) {
    leave_the_terminal();
    const Trouble& trouble = troubles[_i];
    FakeVigild vigild;
    make(vigild, trouble);
    PamHost host{vigild, "login"};
    host.answers = {"123456"};
    int code = -1;
    check_time(trouble, time_of([&] { code = host.authenticate(PAM_SILENT); }));
    ck_assert_msg(code == PAM_MAXTRIES, "auth, %s: %d", trouble.name, code);
    ck_assert(host.was_told("systemctl status vigild"));
    ck_assert(host.prompts.empty());
}
END_TEST

START_TEST(without_vigild_root_at_a_console_is_let_through) {
    const auto terminal = sit_down_at_a_terminal(true);
    FakeVigild vigild;
    make(vigild, troubles[_i]);
    PamHost host{vigild, "login"};
    host.set(PAM_TTY, terminal.c_str());
    ck_assert_int_eq(host.authenticate(), ignored);
}
END_TEST

START_TEST(unavailable_allow_lets_logins_through_where_vigild_is_down) {
    const Trouble& trouble = troubles[_i];
    leave_the_terminal();
    FakeVigild vigild;
    make(vigild, trouble);
    PamHost host{vigild, "login", "root", "unavailable=allow"};
    const int code = host.authenticate();
    ck_assert_msg(code == (is_down(trouble) ? ignored : PAM_MAXTRIES), "%s: %d", trouble.name,
                  code);
    ck_assert(host.was_told("systemctl status vigild") != is_down(trouble));
}
END_TEST

START_TEST(a_right_code_lets_in) {
    FakeVigild vigild;
    wants_code(vigild);
    PamHost host{vigild, "login"};
    host.set(PAM_RHOST, "192.0.2.7");
    host.answers = {"123456"};
    ck_assert_int_eq(host.authenticate(), PAM_SUCCESS);
    ck_assert_uint_eq(host.prompts.size(), 1);
    ck_assert_str_eq(host.prompts[0].c_str(), "Code for root: ");
    ck_assert_uint_eq(vigild->purpose, 2);
    ck_assert_str_eq(vigild->host, "192.0.2.7");
    ck_assert_str_eq(vigild->after, "");
    ck_assert_int_eq(vigild->process, getpid());
}
END_TEST

START_TEST(nobody_is_asked_where_nothing_is_wanted) {
    FakeVigild vigild;
    for (const auto& [verdict, code] : {std::pair{1U, int{PAM_SUCCESS}}, {3U, ignored}}) {
        vigild->ask_verdict = verdict;
        PamHost host{vigild, "login"};
        ck_assert_int_eq(host.authenticate(), code);
        ck_assert(host.prompts.empty());
    }
}
END_TEST

START_TEST(wrong_codes_end_it_after_three) {
    leave_the_terminal();
    FakeVigild vigild;
    wants_code(vigild);
    PamHost host{vigild, "login"};
    host.answers = {"000000", "111111", "222222", "123456"};
    ck_assert_int_eq(host.authenticate(), PAM_MAXTRIES);
    ck_assert_uint_eq(host.prompts.size(), 3);
    ck_assert(host.was_told("no right code in 3"));
}
END_TEST

START_TEST(what_is_no_code_is_sent_to_nobody) {
    leave_the_terminal();
    FakeVigild vigild;
    wants_code(vigild);
    PamHost host{vigild, "login"};
    host.answers = {"the password", "123456"};
    ck_assert_int_eq(host.authenticate(), PAM_SUCCESS);
    ck_assert_int_eq(vigild->proved, 1);
    ck_assert_str_eq(vigild->answers[0], "123456");
}
END_TEST

START_TEST(an_empty_answer_is_nobody) {
    leave_the_terminal();
    FakeVigild vigild;
    wants_code(vigild);
    for (const auto& answers : {std::vector<std::string>{"", "123456"}, {}}) {
        PamHost host{vigild, "login"};
        host.answers = answers;
        ck_assert_int_eq(host.authenticate(), PAM_MAXTRIES);
        ck_assert_uint_eq(host.prompts.size(), 1);
        ck_assert(host.was_told("rule \"x\" asks for a proof at login, and no answer was given"));
    }
    ck_assert_int_eq(vigild->proved, 0);
}
END_TEST

START_TEST(a_refusal_is_told_and_ends_it) {
    leave_the_terminal();
    FakeVigild vigild;
    vigild->ask_verdict = 0;
    std::strcpy(vigild->ask_text, "No one-time code is enrolled");
    PamHost host{vigild, "login"};
    ck_assert_int_eq(host.authenticate(PAM_SILENT), PAM_MAXTRIES);
    ck_assert(host.was_told("vigil: No one-time code is enrolled"));
    wants_code(vigild);
    vigild->ask_wait = 30;
    PamHost throttled{vigild, "login"};
    throttled.answers = {"123456"};
    ck_assert_int_eq(throttled.authenticate(), PAM_MAXTRIES);
    ck_assert(throttled.prompts.empty());
}
END_TEST

START_TEST(who_is_blocked_is_refused_with_vigild_away) {
    leave_the_terminal();
    FakeVigild vigild;
    std::filesystem::create_directory(vigild.directory() + "/blocked");
    std::ofstream{vigild.directory() + "/blocked/0"} << "root is blocked: gone\n";
    vigild.remove();
    PamHost host{vigild, "login", "root", "unavailable=allow"};
    ck_assert_int_eq(host.authenticate(), PAM_MAXTRIES);
    ck_assert(host.was_told("vigil: root is blocked: gone"));
}
END_TEST

START_TEST(a_locker_of_a_users_own_asks_nothing_of_vigild) {
    FakeVigild vigild;
    wants_code(vigild);
    ck_assert_int_eq(setresuid(65534, 0, 0), 0);
    PamHost host{vigild, "i3lock"};
    ck_assert_int_eq(host.authenticate(), ignored);
    ck_assert_int_eq(vigild->connections, 0);
}
END_TEST

START_TEST(a_key_that_sshd_took_is_told_by_its_fingerprint) {
    FakeVigild vigild;
    wants_code(vigild);
    pid_t monitor = 0;
    const int code = in_child_of_monitor(
        [&] {
            PamHost host{vigild, "sshd"};
            pam_putenv(host.handle(),
                       (std::string{"SSH_AUTH_INFO_0=hostbased x y\n"} + one_key).c_str());
            host.answers = {"123456"};
            return host.authenticate();
        },
        &monitor);
    ck_assert_int_eq(code, PAM_SUCCESS);
    ck_assert_str_eq(vigild->after, fingerprint);
    ck_assert_int_eq(vigild->process, monitor);
}
END_TEST

START_TEST(what_is_no_key_is_none) {
    FakeVigild vigild;
    for (const char* const methods :
         {"", "password\n", "publickey \n", "publickey ssh-rsa\n", "publickey ssh-rsa %%%\n",
          "xpublickey ssh-rsa a2V5\n", "publickey ssh-rsa a2V5 x\n"}) {
        std::strcpy(vigild->after, "?");
        PamHost host{vigild, "sshd"};
        pam_putenv(host.handle(), (std::string{"SSH_AUTH_INFO_0="} + methods).c_str());
        ck_assert_int_eq(host.authenticate(), PAM_SUCCESS);
        ck_assert_msg(*vigild->after == '\0', "%s: %s", methods, vigild->after);
    }
    // Nor is another program's word one.
    PamHost host{vigild, "login"};
    pam_putenv(host.handle(), (std::string{"SSH_AUTH_INFO_0="} + one_key).c_str());
    ck_assert_int_eq(host.authenticate(), PAM_SUCCESS);
    ck_assert_str_eq(vigild->after, "");
}
END_TEST

START_TEST(after_key_tells_nobody_who_is_known) {
    FakeVigild vigild;
    for (const char* const user : {"root", "no-such-user"}) {
        PamHost host{vigild, "sshd", user, "after_key"};
        ck_assert_int_eq(host.authenticate(), ignored);
    }
}
END_TEST

START_TEST(after_key_is_about_keys_alone) {
    leave_the_terminal(); // a session of its own, as sshd's monitor has
    FakeVigild vigild;
    vigild->ask_verdict = 3;
    PamHost without{vigild, "sshd", "root", "after_key"};
    ck_assert_int_eq(without.authenticate(), ignored);
    ck_assert_int_eq(vigild->connections, 0);
    const auto with_a_key = [&] {
        PamHost with{vigild, "sshd", "root", "after_key"};
        pam_putenv(with.handle(), (std::string{"SSH_AUTH_INFO_0="} + one_key).c_str());
        return with.authenticate();
    };
    // The method `password` behind a key: that the password is right the next lines have to say.
    for (const std::uint32_t verdict : {1U, 3U}) {
        vigild->ask_verdict = verdict;
        ck_assert_int_eq(with_a_key(), ignored);
        ck_assert_int_eq(in_child_of_monitor(with_a_key), PAM_SUCCESS);
    }
    ck_assert_int_eq(vigild->asked, 4);
}
END_TEST

START_TEST(where_sshd_can_ask_nobody_account_refuses) {
    leave_the_terminal();
    FakeVigild vigild;
    wants_code(vigild);
    vigild->reserve_verdict = 0;
    std::strcpy(vigild->reason, "a proof is missing");
    PamHost host{vigild, "sshd"};
    host.answers = {"123456"};
    ck_assert_int_eq(host.authenticate(), ignored);
    ck_assert(host.prompts.empty());
    ck_assert_int_eq(host.account(), PAM_PERM_DENIED);
    ck_assert(host.was_told("a proof is missing"));
}
END_TEST

START_TEST(a_proof_that_is_owing_keeps_out_with_vigild_gone) {
    leave_the_terminal();
    FakeVigild vigild;
    wants_code(vigild);
    PamHost host{vigild, "sshd"};
    ck_assert_int_eq(host.authenticate(), ignored);
    vigild.remove();
    ck_assert_int_eq(host.account(), PAM_PERM_DENIED);
    ck_assert(host.was_told("vigild cannot be asked"));
}
END_TEST

int main() {
    return vigil::test::run(
        "auth",
        {{without_vigild_nobody_is_let_through, 0, trouble_count},
         {without_vigild_root_at_a_console_is_let_through, 0, trouble_count},
         {unavailable_allow_lets_logins_through_where_vigild_is_down, 0, trouble_count},
         a_right_code_lets_in,
         nobody_is_asked_where_nothing_is_wanted,
         wrong_codes_end_it_after_three,
         what_is_no_code_is_sent_to_nobody,
         an_empty_answer_is_nobody,
         a_refusal_is_told_and_ends_it,
         who_is_blocked_is_refused_with_vigild_away,
         a_locker_of_a_users_own_asks_nothing_of_vigild,
         a_key_that_sshd_took_is_told_by_its_fingerprint,
         what_is_no_key_is_none,
         after_key_tells_nobody_who_is_known,
         after_key_is_about_keys_alone,
         where_sshd_can_ask_nobody_account_refuses,
         a_proof_that_is_owing_keeps_out_with_vigild_gone},
        {.seconds = 30});
}
