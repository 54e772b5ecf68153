// What a login may cost in time when vigild does not answer: all its phases together.

#include "tests/pam/console.hpp"
#include "tests/pam/pam_host.hpp"
#include "tests/unit/test.hpp"

#include <cstdlib>

#include <sys/wait.h>
#include <unistd.h>

using namespace vigil::test;
using std::chrono_literals::operator""ms;

namespace {

struct Codes {
    int account = -1;
    int open = -1;
    int close = -1;
};

/// As Debian's common-session has it: one line before pam_systemd, one after.
std::chrono::milliseconds log_in_and_out(FakeVigild& vigild, Codes& codes) {
    PamHost host{vigild, "sshd", "root", "", Lines::prepare_first};
    return time_of([&] {
        codes.account = host.account();
        codes.open = host.open();
        codes.close = host.close();
    });
}

} // namespace

START_TEST(a_login_waits_once_for_a_vigild_that_hangs) {
    leave_the_terminal(); // a session of its own, as sshd's monitor has
    FakeVigild vigild;
    vigild->mood = _i == 0 ? Mood::silent : Mood::mute;
    Codes codes;
    const auto took = log_in_and_out(vigild, codes);
    ck_assert_msg(took < 2500ms, "it took %ld ms", static_cast<long>(took.count()));
    ck_assert_msg(took >= 1900ms, "it took only %ld ms", static_cast<long>(took.count()));
    ck_assert_int_eq(codes.account, ignored);
    ck_assert_int_eq(codes.open, ignored);
    ck_assert_int_eq(codes.close, ignored);
    ck_assert_int_eq(vigild->connections, 1);
}
END_TEST

/// As sshd does it with keyboard-interactive.
START_TEST(a_login_in_two_processes_waits_no_longer) {
    leave_the_terminal();
    FakeVigild vigild;
    vigild->mood = Mood::mute;
    PamHost host{vigild, "sshd", "root", "", Lines::prepare_first};
    int status = -1;
    const auto took = time_of([&] {
        const pid_t child = ::fork();
        if (child == 0)
            ::_exit(host.account() == ignored ? 0 : 1);
        ck_assert_int_eq(::waitpid(child, &status, 0), child);
        ck_assert_int_eq(host.open(), ignored);
        ck_assert_int_eq(host.close(), ignored);
    });
    ck_assert_int_eq(status, 0);
    ck_assert_msg(took < 2500ms, "it took %ld ms", static_cast<long>(took.count()));
    ck_assert_msg(took >= 1900ms, "it took only %ld ms", static_cast<long>(took.count()));
    ck_assert_int_eq(vigild->connections, 2);
}
END_TEST

START_TEST(nobody_listening_costs_next_to_nothing) {
    FakeVigild vigild;
    if (_i == 0)
        vigild.stop();
    else
        vigild.remove();
    Codes codes;
    const auto took = log_in_and_out(vigild, codes);
    ck_assert_msg(took < 600ms, "it took %ld ms", static_cast<long>(took.count()));
    ck_assert_int_eq(codes.account, ignored);
    ck_assert_int_eq(codes.open, ignored);
    ck_assert_int_eq(codes.close, ignored);
}
END_TEST

START_TEST(the_next_login_asks_again) {
    FakeVigild vigild;
    vigild->mood = Mood::mute;
    Codes codes;
    (void)log_in_and_out(vigild, codes);
    FakeVigild other;
    (void)log_in_and_out(other, codes);
    ck_assert_int_eq(codes.account, PAM_SUCCESS);
    ck_assert_int_eq(codes.open, PAM_SUCCESS);
    ck_assert_int_eq(other->released, 1);
}
END_TEST

START_TEST(a_locked_terminal_may_ask_for_as_long_as_it_is_locked) {
    FakeVigild vigild;
    vigild->mood = Mood::mute;
    PamHost host{vigild, "vigil-unlock"};
    ck_assert_int_eq(host.authenticate(), PAM_AUTHINFO_UNAVAIL);
    const auto took = time_of([&] { ck_assert_int_eq(host.authenticate(), PAM_AUTHINFO_UNAVAIL); });
    ck_assert(took >= 1900ms);
}
END_TEST

int main() {
    return vigil::test::run("time",
                            {{a_login_waits_once_for_a_vigild_that_hangs, 0, 2},
                             a_login_in_two_processes_waits_no_longer,
                             {nobody_listening_costs_next_to_nothing, 0, 2},
                             the_next_login_asks_again,
                             a_locked_terminal_may_ask_for_as_long_as_it_is_locked},
                            {.seconds = 30});
}
