#include "base/clock.hpp"
#include "daemon/enforce/console.hpp"
#include "daemon/enforce/prompt.hpp"
#include "tests/unit/pty.hpp"

#include <sys/ioctl.h>
#include <sys/sysmacros.h>

using namespace vigil;
using test::Pty;

namespace {

core::SavedTerminal saved(const Pty& pty) {
    const auto state = enforce::save({}, pty.terminal);
    CHECK_OK(state);
    return *state;
}

START_TEST(a_taken_terminal_has_no_echo_and_no_signals_and_belongs_to_root) {
    const Pty pty;
    CHECK_OK(enforce::take(saved(pty)));
    const termios now = pty.settings();
    ck_assert_uint_eq(now.c_lflag & (ISIG | ECHO | ICANON | IEXTEN), 0);
    ck_assert_uint_eq(now.c_iflag & (IXON | ICRNL | BRKINT), 0);
    ck_assert_uint_eq(pty.node().st_uid, 0);
    ck_assert_uint_eq(pty.node().st_mode & 0777, 0600);
}
END_TEST

START_TEST(what_was_typed_ahead_is_gone_when_a_terminal_is_given_back) {
    const Pty pty;
    ck_assert_int_eq(::fchmod(pty.slave.get(), 0620), 0);
    const termios before = pty.settings();
    const auto state = saved(pty);
    CHECK_OK(enforce::take(state));
    pty.type("rm -rf x\r");
    CHECK_OK(enforce::give_back(state));
    ck_assert_uint_eq(pty.settings().c_lflag, before.c_lflag);
    ck_assert_uint_eq(pty.settings().c_iflag, before.c_iflag);
    ck_assert_uint_eq(pty.node().st_mode & 0777, 0620);
    int waiting = -1;
    ck_assert_int_eq(::ioctl(pty.slave.get(), FIONREAD, &waiting), 0);
    ck_assert_int_eq(waiting, 0);
}
END_TEST

START_TEST(giving_back_twice_leaves_what_was_changed_since) {
    const Pty pty;
    ck_assert_int_eq(::fchmod(pty.slave.get(), 0620), 0);
    const auto state = saved(pty);
    CHECK_OK(enforce::take(state));
    CHECK_OK(enforce::give_back(state));
    termios changed = pty.settings();
    changed.c_lflag &= ~tcflag_t{ECHO};
    ck_assert_int_eq(::tcsetattr(pty.slave.get(), TCSANOW, &changed), 0);
    CHECK_OK(enforce::give_back(state));
    ck_assert_uint_eq(pty.settings().c_lflag & ECHO, 0);
}
END_TEST

START_TEST(settings_changed_between_take_and_freeze_are_the_ones_to_give_back) {
    const Pty pty;
    const auto state = saved(pty);
    CHECK_OK(enforce::take(state));
    const auto same = enforce::retake(state);
    CHECK_OK(same);
    ck_assert(!same->has_value());

    termios changed = pty.settings();
    changed.c_lflag |= ISIG;
    ck_assert_int_eq(::tcsetattr(pty.slave.get(), TCSANOW, &changed), 0);
    const auto other = enforce::retake(state);
    CHECK_OK(other);
    ck_assert(other->has_value());
    ck_assert_uint_eq(pty.settings().c_lflag & ISIG, 0);
    auto newer = state;
    newer.settings = **other;
    CHECK_OK(enforce::give_back(newer));
    ck_assert_uint_eq(pty.settings().c_lflag & (ISIG | ECHO), ISIG);
}
END_TEST

START_TEST(a_terminal_that_is_gone_is_given_back_without_an_error_and_not_taken) {
    Pty pty;
    const auto state = saved(pty);
    pty.slave.reset();
    pty.master.reset();
    CHECK_OK(enforce::give_back(state));
    CHECK_ERROR(enforce::take(state), ENOENT);
}
END_TEST

START_TEST(another_device_under_the_same_path_is_left_alone) {
    const Pty pty;
    auto state = saved(pty);
    state.device += 1;
    const auto before = pty.node().st_mode;
    CHECK_ERROR(enforce::take(state), ENOENT);
    CHECK_OK(enforce::give_back(state));
    ck_assert_uint_eq(pty.node().st_mode, before);
}
END_TEST

START_TEST(paths_outside_dev_are_refused) {
    CHECK_ERROR(enforce::save({}, {.path = "/etc/passwd", .device = 1}), EINVAL);
    CHECK_ERROR(enforce::save({}, {.path = "/dev/../etc/passwd", .device = 1}), EINVAL);
}
END_TEST

START_TEST(a_line_is_escaped_and_never_waited_for) {
    const Pty pty;
    CHECK_OK(enforce::say(pty.terminal, "go \x1b[2J now"));
    char text[64] = {};
    ck_assert_int_gt(::read(pty.master.get(), text, sizeof text - 1), 0);
    ck_assert(std::string_view{text}.find(0x1b) == std::string_view::npos);
    // Nobody reads the master: this would hang if it waited.
    for (int i = 0; i < 2000; ++i)
        CHECK_OK(enforce::say(pty.terminal, "a line that nobody reads, again and again and again"));
}
END_TEST

START_TEST(latest_input_is_never_before_the_input_and_never_later_than_now) {
    const Pty pty;
    const BootTime typed = base::read_boot_time();
    pty.type("x\n");
    char key = 0;
    ck_assert_int_eq(::read(pty.slave.get(), &key, 1), 1);
    const Now now = base::read_clocks();
    const BootTime seen = enforce::latest_input(pty.terminal, now);
    ck_assert(seen >= typed);
    ck_assert(seen <= now.boot);
}
END_TEST

START_TEST(a_prompts_unit_names_its_session_and_terminal) {
    CHECK_TEXT(enforce::prompt_unit({}, "/dev/pts/3"),
               "vigil-lock-00000000000000000000000000000000-pts-3.service");
    CHECK_TEXT(enforce::prompt_unit({}, "/dev/a/../%n"),
               "vigil-lock-00000000000000000000000000000000-a-----n.service");
}
END_TEST

START_TEST(virtual_consoles_are_told_from_other_terminals) {
    ck_assert_uint_eq(enforce::console_number(makedev(4, 1)), 1);
    ck_assert_uint_eq(enforce::console_number(makedev(4, 63)), 63);
    ck_assert_uint_eq(enforce::console_number(makedev(4, 0)), 0);  // whichever is in front
    ck_assert_uint_eq(enforce::console_number(makedev(4, 64)), 0); // ttyS0
    ck_assert_uint_eq(enforce::console_number(makedev(136, 1)), 0);
    CHECK_TEXT(enforce::console(13).path, "/dev/tty13");
    ck_assert_uint_eq(enforce::console_number(enforce::console(13).device), 13);
    ck_assert_uint_eq(enforce::console_number("/dev/tty13"), 13);
    for (const char* other : {"/dev/tty", "/dev/tty64", "/dev/ttyS0", "/dev/tty1x", "tty1", ""})
        ck_assert_uint_eq(enforce::console_number(std::string_view{other}), 0);
    const Pty pty;
    ck_assert(!enforce::is_shut(pty.terminal));
}
END_TEST

} // namespace

int main() {
    Suite* suite = suite_create("terminals");
    TCase* terminals = tcase_create("terminals");
    tcase_add_test(terminals, a_taken_terminal_has_no_echo_and_no_signals_and_belongs_to_root);
    tcase_add_test(terminals, what_was_typed_ahead_is_gone_when_a_terminal_is_given_back);
    tcase_add_test(terminals, giving_back_twice_leaves_what_was_changed_since);
    tcase_add_test(terminals, settings_changed_between_take_and_freeze_are_the_ones_to_give_back);
    tcase_add_test(terminals, a_terminal_that_is_gone_is_given_back_without_an_error_and_not_taken);
    tcase_add_test(terminals, another_device_under_the_same_path_is_left_alone);
    tcase_add_test(terminals, paths_outside_dev_are_refused);
    tcase_add_test(terminals, a_line_is_escaped_and_never_waited_for);
    tcase_add_test(terminals, latest_input_is_never_before_the_input_and_never_later_than_now);
    tcase_add_test(terminals, virtual_consoles_are_told_from_other_terminals);
    tcase_add_test(terminals, a_prompts_unit_names_its_session_and_terminal);
    suite_add_tcase(suite, terminals);
    return test::run(suite);
}
