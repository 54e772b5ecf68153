// Logins as vigild sees them: what it is told, and what its answers do.

#include "tests/pam/pam_host.hpp"
#include "tests/unit/test.hpp"

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

#include <security/pam_modules.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace vigil::test;

namespace {

std::string runtime_limit(PamHost& host) {
    // Left there by probe.so, which stands where pam_systemd would: pam_get_data(3) is for
    // modules alone.
    const char* const text = pam_getenv(host.handle(), "TEST_RUNTIME_MAX_SEC");
    return text ? text : "";
}

} // namespace

START_TEST(vigild_is_told_who_logs_in) {
    FakeVigild vigild;
    PamHost host{vigild, "sshd"};
    host.set(PAM_TTY, "/dev/pts/9");
    host.set(PAM_RHOST, "192.0.2.7");
    ck_assert_int_eq(host.account(), PAM_SUCCESS);
    ck_assert_str_eq(vigild->user, "root");
    ck_assert_uint_eq(vigild->uid, 0);
    ck_assert_str_eq(vigild->service, "sshd");
    ck_assert_str_eq(vigild->terminal, "pts/9");
    ck_assert_str_eq(vigild->host, "192.0.2.7");
    ck_assert_int_ge(vigild->groups, 1);
}
END_TEST

START_TEST(a_refusal_carries_its_reason_escaped) {
    FakeVigild vigild;
    vigild->reserve_verdict = 0;
    std::strcpy(vigild->reason, "no more than\n2 \033[2Jsessions");
    PamHost host{vigild, "sshd"};
    ck_assert_int_eq(host.account(PAM_SILENT), PAM_PERM_DENIED);
    ck_assert(host.was_told("vigil: no more than\\x0a2 \\x1b[2Jsessions"));
}
END_TEST

START_TEST(what_is_no_login_is_left_alone) {
    FakeVigild vigild;
    vigild->reserve_verdict = 2;
    PamHost host{vigild, "passwd"};
    ck_assert_int_eq(host.account(), ignored);
    ck_assert_int_eq(host.open(), ignored);
    ck_assert_int_eq(host.close(), ignored);
    ck_assert_int_eq(vigild->confirmed + vigild->released, 0);
}
END_TEST

START_TEST(some_services_are_never_touched) {
    FakeVigild vigild;
    for (const char* const service :
         {"cron", "crond", "atd", "systemd-user", "vigil-unlock", "runuser", "runuser-l"}) {
        PamHost host{vigild, service};
        ck_assert_int_eq(host.account(), ignored);
        ck_assert_int_eq(host.open(), ignored);
        ck_assert_int_eq(host.setcred(), PAM_SUCCESS);
        ck_assert_int_eq(PamHost(vigild, service).close(), PAM_SUCCESS);
    }
    ck_assert_int_eq(vigild->connections, 0);
}
END_TEST

START_TEST(auth_asks_nothing_at_a_step_up) {
    FakeVigild vigild;
    for (const char* const service : {"sudo", "sudo-i", "su", "polkit-1", "doas", "cron"}) {
        PamHost host{vigild, service};
        ck_assert_int_eq(host.authenticate(), ignored);
        ck_assert(host.prompts.empty());
    }
    ck_assert_int_eq(vigild->connections, 0);
}
END_TEST

START_TEST(a_session_is_confirmed_and_released) {
    FakeVigild vigild;
    PamHost host{vigild, "login"};
    ck_assert_int_eq(host.account(), PAM_SUCCESS);
    ck_assert_int_eq(host.open(), PAM_SUCCESS);
    ck_assert_int_eq(vigild->confirmed, 1);
    ck_assert_int_eq(vigild->process, getpid());
    ck_assert_int_eq(host.close(), PAM_SUCCESS);
    ck_assert_int_eq(vigild->released, 1);
}
END_TEST

START_TEST(what_sudo_su_and_pkexec_start_is_told_of_and_nothing_is_said) {
    FakeVigild vigild;
    int told = 0;
    for (const char* const service : {"sudo", "sudo-i", "su", "su-l", "polkit-1", "doas"}) {
        PamHost host{vigild, service, "root", "elevated"};
        ck_assert_int_eq(host.open(), PAM_SUCCESS);
        ck_assert_int_eq(vigild->elevated, ++told);
        ck_assert_int_eq(vigild->process, getpid());
        ck_assert_str_eq(vigild->service, service);
        ck_assert_str_eq(vigild->run_as, "root");
        ck_assert_int_eq(host.close(), PAM_SUCCESS);
        ck_assert(host.lines.empty() && host.prompts.empty());
    }
    ck_assert_int_eq(vigild->elevated, told);
    ck_assert_int_eq(vigild->released, 0);
}
END_TEST

START_TEST(without_a_rule_for_what_is_elevated_nobody_is_asked) {
    FakeVigild vigild;
    std::filesystem::remove(vigild.directory() + "/elevated");
    for (const char* const service : {"sudo", "su", "polkit-1"})
        ck_assert_int_eq(PamHost(vigild, service, "root", "elevated").open(), ignored);
    ck_assert_int_eq(vigild->connections, 0);
    vigild.mark_elevated();
    ck_assert_int_eq(PamHost(vigild, "sudo", "root", "elevated").open(), PAM_SUCCESS);
    ck_assert_int_eq(vigild->elevated, 1);
}
END_TEST

START_TEST(the_line_for_what_is_elevated_is_for_no_login_and_the_other_for_nothing_else) {
    FakeVigild vigild;
    for (const char* const service : {"sshd", "login", "cron", "systemd-user", "vigil-unlock"}) {
        PamHost host{vigild, service, "root", "elevated"};
        ck_assert_int_eq(host.open(), ignored);
        ck_assert_int_eq(PamHost(vigild, service, "root", "elevated").close(), PAM_SUCCESS);
    }
    ck_assert_int_eq(PamHost(vigild, "sudo").open(), ignored);
    ck_assert_int_eq(PamHost(vigild, "sudo", "root", "prepare").open(), ignored);
    ck_assert_int_eq(vigild->connections, 0);
}
END_TEST

START_TEST(the_limit_reaches_systemd_a_minute_later) {
    FakeVigild vigild;
    vigild->max_seconds = 3600;
    PamHost host{vigild, "sshd", "root", "prepare"};
    ck_assert_int_eq(host.account(), PAM_SUCCESS);
    ck_assert_int_eq(host.open(), PAM_SUCCESS);
    ck_assert_int_eq(vigild->prepared, 0); // account knew it
    ck_assert_str_eq(runtime_limit(host).c_str(), "3660s");
}
END_TEST

START_TEST(the_limit_is_asked_for_when_account_was_another_process) {
    FakeVigild vigild;
    vigild->max_seconds = 60;
    PamHost host{vigild, "sshd", "root", "prepare"};
    ck_assert_int_eq(host.open(), PAM_SUCCESS);
    ck_assert_int_eq(vigild->prepared, 1);
    ck_assert_str_eq(runtime_limit(host).c_str(), "120s");
}
END_TEST

START_TEST(no_limit_is_no_limit_for_systemd) {
    FakeVigild vigild;
    for (const std::uint64_t seconds : {UINT64_MAX, UINT64_MAX - 1, UINT64_MAX / 1000000}) {
        vigild->max_seconds = seconds;
        PamHost host{vigild, "sshd", "root", "prepare"};
        ck_assert_int_eq(host.open(), PAM_SUCCESS);
        ck_assert_str_eq(runtime_limit(host).c_str(), "");
    }
}
END_TEST

START_TEST(a_child_of_sshds_monitor_speaks_for_the_monitor) {
    FakeVigild vigild;
    const pid_t monitor = ::fork();
    if (monitor == 0) {
        ::setsid();
        const pid_t child = ::fork();
        if (child == 0) {
            const int code = PamHost(vigild, "sshd").account();
            ::_exit(code == PAM_SUCCESS ? 0 : 1);
        }
        int status = -1;
        ::waitpid(child, &status, 0);
        ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 2);
    }
    int status = -1;
    ck_assert_int_eq(::waitpid(monitor, &status, 0), monitor);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(vigild->process, monitor);
}
END_TEST

START_TEST(a_host_that_is_none_is_passed_on_as_unfit) {
    FakeVigild vigild;
    const std::string long_name(4096, 'a');
    for (const char* const text : {"a\nb", "\033]0;x", "\377\376", "a b", long_name.c_str()}) {
        PamHost host{vigild, "sshd"};
        host.set(PAM_RHOST, text);
        host.set(PAM_TTY, text);
        ck_assert_int_eq(host.account(), PAM_SUCCESS);
        ck_assert_str_eq(vigild->host, "?");
        ck_assert_str_eq(vigild->terminal, "?");
    }
    for (const char* const text : {"localhost", "UNKNOWN", "%n%s", "fe80::1%eth0"}) {
        PamHost host{vigild, "sshd"};
        host.set(PAM_RHOST, text);
        ck_assert_int_eq(host.account(), PAM_SUCCESS);
        ck_assert_str_eq(vigild->host, text);
    }
}
END_TEST

START_TEST(a_user_nobody_knows_is_refused_without_a_call) {
    FakeVigild vigild;
    const std::string long_name(65536, 'u');
    for (const char* const user : {"no-such-user", "..", "a/b", "a b", "\033", long_name.c_str()}) {
        for (const char* const service : {"sshd", "sudo"}) {
            PamHost host{vigild, service, user};
            ck_assert_int_eq(host.account(), PAM_USER_UNKNOWN);
        }
    }
    ck_assert_int_eq(vigild->connections, 0);
}
END_TEST

START_TEST(the_order_of_calls_may_be_any) {
    FakeVigild vigild;
    PamHost host{vigild, "sshd"};
    ck_assert_int_eq(host.setcred(), PAM_SUCCESS);
    ck_assert_int_eq(host.close(), PAM_SUCCESS);
    ck_assert_int_eq(host.open(), PAM_SUCCESS);
    ck_assert_int_eq(host.open(), PAM_SUCCESS);
    ck_assert_int_eq(host.account(), PAM_SUCCESS);
    ck_assert_int_eq(host.account(), PAM_SUCCESS);
    ck_assert_int_eq(host.close(), PAM_SUCCESS);
    ck_assert_int_eq(host.close(), PAM_SUCCESS);
}
END_TEST

int main() {
    return vigil::test::run(
        "login",
        {vigild_is_told_who_logs_in, a_refusal_carries_its_reason_escaped,
         what_is_no_login_is_left_alone, some_services_are_never_touched,
         auth_asks_nothing_at_a_step_up, a_session_is_confirmed_and_released,
         what_sudo_su_and_pkexec_start_is_told_of_and_nothing_is_said,
         without_a_rule_for_what_is_elevated_nobody_is_asked,
         the_line_for_what_is_elevated_is_for_no_login_and_the_other_for_nothing_else,
         the_limit_reaches_systemd_a_minute_later,
         the_limit_is_asked_for_when_account_was_another_process, no_limit_is_no_limit_for_systemd,
         a_child_of_sshds_monitor_speaks_for_the_monitor, a_host_that_is_none_is_passed_on_as_unfit,
         a_user_nobody_knows_is_refused_without_a_call, the_order_of_calls_may_be_any},
        {.seconds = 30});
}
