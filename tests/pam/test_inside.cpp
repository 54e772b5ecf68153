// The module as a guest: what it leaves behind in the program that loaded it.

#include "tests/pam/pam_host.hpp"
#include "tests/unit/test.hpp"

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <dlfcn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace vigil::test;

namespace {

long entries(const char* directory) {
    return std::distance(std::filesystem::directory_iterator{directory}, {});
}

void whole_login(FakeVigild& vigild, const char* service) {
    PamHost host{vigild, service};
    host.answers = {"123456"};
    host.authenticate();
    host.account();
    host.setcred();
    host.open();
    host.close();
}

/// While it lives one more descriptor can be opened, and that is all. With none at all libpam
/// itself refuses: it cannot reach the kernel's audit.
class FewDescriptors {
public:
    FewDescriptors() {
        const int last = ::dup(0);
        const int next = ::dup(0);
        ::close(last);
        ::close(next);
        ck_assert_int_eq(::getrlimit(RLIMIT_NOFILE, &before_), 0);
        const rlimit limit{.rlim_cur = static_cast<rlim_t>(next), .rlim_max = before_.rlim_max};
        ck_assert_int_eq(::setrlimit(RLIMIT_NOFILE, &limit), 0);
    }
    FewDescriptors(const FewDescriptors&) = delete;
    FewDescriptors& operator=(const FewDescriptors&) = delete;
    ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
    rlimit before_{};
};

} // namespace

START_TEST(no_thread_and_no_descriptor_stays) {
    FakeVigild vigild;
    vigild->ask_verdict = 2;
    whole_login(vigild, "sshd"); // syslog(3) opens its socket once
    const long descriptors = entries("/proc/self/fd");
    for (const char* const service : {"sshd", "sudo", "vigil-unlock", "cron"})
        whole_login(vigild, service);
    ck_assert_int_eq(entries("/proc/self/task"), 1);
    ck_assert_int_eq(entries("/proc/self/fd"), descriptors);
}
END_TEST

START_TEST(it_may_be_loaded_and_unloaded_again_and_again) {
    const char* const module = std::getenv("PAM_VIGIL_SO");
    for (int i = 0; i < 100; ++i) {
        void* const handle = ::dlopen(module, RTLD_NOW | RTLD_LOCAL);
        ck_assert_msg(handle != nullptr, "%s", ::dlerror());
        ck_assert_ptr_nonnull(::dlsym(handle, "pam_sm_acct_mgmt"));
        ck_assert_int_eq(::dlclose(handle), 0);
    }
}
END_TEST

START_TEST(many_threads_log_in_at_once) {
    FakeVigild vigild;
    std::atomic<int> yes = 0;
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 8; ++i)
            threads.emplace_back([&] {
                for (int n = 0; n < 5; ++n) {
                    PamHost host{vigild, "sshd"};
                    yes += host.account() == PAM_SUCCESS && host.open() == PAM_SUCCESS &&
                           host.close() == PAM_SUCCESS;
                }
            });
    }
    ck_assert_int_eq(yes, 40);
}
END_TEST

START_TEST(short_of_descriptors_the_table_holds) {
    FakeVigild vigild;
    std::filesystem::create_directory(vigild.directory() + "/blocked");
    PamHost login{vigild, "sshd"};
    PamHost sudo{vigild, "sudo"};
    PamHost lenient{vigild, "sudo", "root", "unavailable=allow"};
    PamHost lock{vigild, "vigil-unlock"};
    // Loaded now: what comes is about the module, not about libpam opening it.
    ck_assert_int_eq(login.account(), PAM_SUCCESS);
    ck_assert_int_eq(sudo.account(), PAM_SUCCESS);
    ck_assert_int_eq(lenient.account(), PAM_SUCCESS);
    ck_assert_int_eq(lock.authenticate(), PAM_AUTH_ERR);
    ck_assert_int_eq(setresuid(65534, 0, 0), 0); // as alice's sudo: root himself needs no step-up
    const FewDescriptors few;
    ck_assert_int_eq(login.account(), ignored);
    ck_assert_int_eq(sudo.account(), PAM_AUTHINFO_UNAVAIL);
    ck_assert_int_eq(lenient.account(),
                     PAM_AUTHINFO_UNAVAIL); // it is the caller who is short of them
    ck_assert_int_eq(lock.authenticate(), PAM_AUTHINFO_UNAVAIL);
    ck_assert_int_eq(login.open(), ignored);
    ck_assert_int_eq(login.setcred(), PAM_SUCCESS);
}
END_TEST

START_TEST(a_blocked_user_is_refused_short_of_descriptors) {
    FakeVigild vigild;
    std::filesystem::create_directory(vigild.directory() + "/blocked");
    PamHost login{vigild, "sshd"};
    ck_assert_int_eq(login.account(), PAM_SUCCESS);
    std::ofstream{vigild.directory() + "/blocked/0"} << "gone\n";
    const FewDescriptors few;
    ck_assert_int_eq(login.account(), PAM_PERM_DENIED);
}
END_TEST

START_TEST(a_connection_closed_in_our_face_is_no_sigpipe) {
    ck_assert(std::signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    FakeVigild vigild;
    vigild->mood = Mood::babbles;
    for (int i = 0; i < 20; ++i)
        ck_assert_int_eq(PamHost(vigild, "sshd").open(), ignored);
}
END_TEST

START_TEST(phases_may_run_in_different_processes) {
    FakeVigild vigild;
    vigild->max_seconds = 60;
    PamHost host{vigild, "sshd"};
    const pid_t child = ::fork();
    if (child == 0)
        ::_exit(host.authenticate() == PAM_SUCCESS && host.account() == PAM_SUCCESS ? 0 : 1);
    int status = -1;
    ck_assert_int_eq(::waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(host.open(), PAM_SUCCESS);
    ck_assert_int_eq(host.close(), PAM_SUCCESS);
    ck_assert_int_eq(vigild->confirmed, 1);
    ck_assert_int_eq(vigild->released, 1);
}
END_TEST

START_TEST(the_environment_says_nothing) {
    FakeVigild vigild;
    ::setenv("XDG_SESSION_ID", "42", 1);
    ::setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent", 1);
    ::setenv("SYSTEMD_LOG_LEVEL", "debug", 1);
    ck_assert_int_eq(PamHost(vigild, "sshd").account(), PAM_SUCCESS);
    ck_assert_str_eq(std::getenv("XDG_SESSION_ID"), "42");
}
END_TEST

int main() {
    return vigil::test::run("inside",
                            {no_thread_and_no_descriptor_stays,
                             it_may_be_loaded_and_unloaded_again_and_again,
                             many_threads_log_in_at_once, short_of_descriptors_the_table_holds,
                             a_blocked_user_is_refused_short_of_descriptors,
                             a_connection_closed_in_our_face_is_no_sigpipe,
                             phases_may_run_in_different_processes, the_environment_says_nothing},
                            {.seconds = 30});
}
