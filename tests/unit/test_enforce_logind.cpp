#include "base/c_string.hpp"
#include "daemon/enforce/logind.hpp"
#include "tests/unit/test.hpp"

#include <cerrno>

#include <systemd/sd-login.h>
#include <unistd.h>

using namespace vigil;

namespace {

constexpr const char* slices = "/user.slice/user-1000.slice";

START_TEST(a_session_is_the_scope_behind_the_slices) {
    for (const auto& [cgroup, id] : {std::pair{"/session-3.scope", "3"},
                                     {"/user.slice/user-1000.slice/session-c12.scope", "c12"},
                                     {"/user.slice/session-3.scope/vigil-held", "3"},
                                     {"/user.slice/session-3.scope/session-4.scope", "3"},
                                     {"/user.slice/session-3.scope/a.slice/b", "3"}}) {
        const auto found = enforce::session_in_cgroup(cgroup);
        ck_assert_msg(found.has_value(), "%s", cgroup);
        CHECK_TEXT(*found, id);
    }
}
END_TEST

START_TEST(what_a_user_makes_further_below_is_none) {
    const std::string own = std::string{slices} + "/user@1000.service";
    for (const std::string& cgroup :
         {std::string{}, std::string{"/"}, std::string{slices}, own, own + "/session-3.scope",
          own + "/app.slice/session-3.scope", std::string{"session-3.scope"},
          std::string{"/session-.scope"}, std::string{"/session-3.service"},
          std::string{"/session-3.scope (deleted)"}, std::string{"/xsession-3.scope"},
          std::string{"/session-3/4.scope"}, std::string{"/session-..scope"},
          std::string{"/session-a b.scope"}, std::string{"//session-3.scope"},
          "/session-" + std::string(65, 'a') + ".scope"})
        ck_assert_msg(!enforce::session_in_cgroup(cgroup), "%s", cgroup.c_str());
}
END_TEST

START_TEST(it_says_of_a_process_what_libsystemd_says) {
    for (const pid_t pid : {pid_t{1}, ::getpid(), ::getppid()}) {
        char* text = nullptr;
        const int r = ::sd_pid_get_session(pid, &text);
        const base::CString owner{text};
        const auto found = enforce::logind_session_of(pid);
        ck_assert_int_eq(found.has_value(), r >= 0);
        if (found)
            CHECK_TEXT(*found, text);
    }
}
END_TEST

START_TEST(a_process_that_is_gone_is_in_none) {
    CHECK_ERROR(enforce::logind_session_of(INT32_MAX), ESRCH);
}
END_TEST

} // namespace

int main() {
    return vigil::test::run("logind", {a_session_is_the_scope_behind_the_slices,
                                       what_a_user_makes_further_below_is_none,
                                       it_says_of_a_process_what_libsystemd_says,
                                       a_process_that_is_gone_is_in_none});
}
