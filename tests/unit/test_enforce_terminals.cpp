#include "base/clock.hpp"
#include "base/console.hpp"
#include "daemon/enforce/console.hpp"
#include "daemon/enforce/prompt.hpp"
#include "tests/unit/pty.hpp"

#include <thread>

#include <fcntl.h>
#include <sys/ioctl.h>

using namespace vigil;
using test::Pty;

namespace {

core::SavedTerminal saved(const Pty& pty) {
    const auto state = enforce::save({}, pty.terminal, {});
    CHECK_OK(state);
    return *state;
}

START_TEST(a_taken_terminal_has_no_echo_and_no_signals_and_belongs_to_root) {
    const Pty pty;
    CHECK_OK(enforce::take(saved(pty), {}));
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
    CHECK_OK(enforce::take(state, {}));
    pty.type("rm -rf x\r");
    CHECK_OK(enforce::give_back(state, {}));
    ck_assert_uint_eq(pty.settings().c_lflag, before.c_lflag);
    ck_assert_uint_eq(pty.settings().c_iflag, before.c_iflag);
    ck_assert_uint_eq(pty.node().st_mode & 0777, 0620);
    int waiting = -1;
    ck_assert_int_eq(::ioctl(pty.slave.get(), FIONREAD, &waiting), 0);
    ck_assert_int_eq(waiting, 0);
}
END_TEST

/// What is written to a terminal that is given back.
std::string written_back(core::Screen screen, bool translates_newlines,
                         core::Cursor cursor = core::Cursor::shown) {
    const Pty pty;
    termios settings = pty.settings();
    if (!translates_newlines)
        settings.c_oflag &= ~tcflag_t{ONLCR};
    ck_assert_int_eq(::tcsetattr(pty.slave.get(), TCSANOW, &settings), 0);
    auto state = saved(pty);
    state.screen = screen;
    state.cursor = cursor;
    CHECK_OK(enforce::take(state, {}));
    CHECK_OK(enforce::give_back(state, {}));
    char text[128] = {};
    ck_assert_int_gt(::read(pty.master.get(), text, sizeof text - 1), 0);
    return text;
}

START_TEST(a_cursor_that_was_hidden_is_hidden_again) {
    for (const auto screen : {core::Screen::main, core::Screen::alternate, core::Screen::asked})
        ck_assert(written_back(screen, true, core::Cursor::hidden).ends_with("\x1b[?25l"));
    const auto plain = written_back(core::Screen::plain, true, core::Cursor::hidden);
    ck_assert(plain.find('\x1b') == std::string::npos);
}
END_TEST

START_TEST(a_terminal_goes_back_to_the_screen_that_it_said_it_showed) {
    for (const bool translates : {true, false}) {
        ck_assert(written_back(core::Screen::main, translates).ends_with("\x1b[?1049l\x1b[?25h"));
        ck_assert(written_back(core::Screen::alternate, translates).find("\x1b[?1049h\x1b[2J") !=
                  std::string::npos);
    }
    // Where it said nothing, its settings tell.
    for (const auto screen : {core::Screen::unasked, core::Screen::asked, core::Screen::unknown}) {
        ck_assert(written_back(screen, true).find("\x1b[?1049l") != std::string::npos);
        ck_assert(written_back(screen, false).find("\x1b[?1049h") != std::string::npos);
    }
}
END_TEST

START_TEST(giving_back_twice_leaves_what_was_changed_since) {
    const Pty pty;
    ck_assert_int_eq(::fchmod(pty.slave.get(), 0620), 0);
    const auto state = saved(pty);
    CHECK_OK(enforce::take(state, {}));
    CHECK_OK(enforce::give_back(state, {}));
    termios changed = pty.settings();
    changed.c_lflag &= ~tcflag_t{ECHO};
    ck_assert_int_eq(::tcsetattr(pty.slave.get(), TCSANOW, &changed), 0);
    CHECK_OK(enforce::give_back(state, {}));
    ck_assert_uint_eq(pty.settings().c_lflag & ECHO, 0);
}
END_TEST

START_TEST(settings_changed_between_take_and_freeze_are_the_ones_to_give_back) {
    const Pty pty;
    const auto state = saved(pty);
    CHECK_OK(enforce::take(state, {}));
    const auto same = enforce::retake(state, {});
    CHECK_OK(same);
    ck_assert(!same->has_value());

    termios changed = pty.settings();
    changed.c_lflag |= ISIG;
    ck_assert_int_eq(::tcsetattr(pty.slave.get(), TCSANOW, &changed), 0);
    const auto other = enforce::retake(state, {});
    CHECK_OK(other);
    ck_assert(other->has_value());
    ck_assert_uint_eq(pty.settings().c_lflag & ISIG, 0);
    auto newer = state;
    newer.settings = **other;
    CHECK_OK(enforce::give_back(newer, {}));
    ck_assert_uint_eq(pty.settings().c_lflag & (ISIG | ECHO), ISIG);
}
END_TEST

/// Whether its programs can write to it now.
bool takes_output(const Pty& pty) {
    ck_assert_int_eq(::fcntl(pty.slave.get(), F_SETFL, O_NONBLOCK), 0);
    return ::write(pty.slave.get(), "x", 1) == 1;
}

/// What is typed comes to the terminal a moment later.
void type_ctrl_s(const Pty& pty) {
    pty.type("\x13");
    while (takes_output(pty))
        std::this_thread::yield();
}

START_TEST(output_that_a_program_stopped_goes_on_under_the_lock_and_after_it) {
    const Pty pty;
    const auto state = saved(pty);
    ck_assert_int_eq(::tcflow(pty.slave.get(), TCOOFF), 0);
    ck_assert(!takes_output(pty));
    CHECK_OK(enforce::take(state, {}));
    ck_assert(takes_output(pty));
    ck_assert_int_eq(::tcflow(pty.slave.get(), TCOOFF), 0);
    CHECK_OK(enforce::retake(state, {}));
    ck_assert(takes_output(pty));
    ck_assert_int_eq(::tcflow(pty.slave.get(), TCOOFF), 0);
    CHECK_OK(enforce::give_back(state, {}));
    ck_assert(takes_output(pty));
}
END_TEST

START_TEST(output_that_ctrl_s_stopped_goes_on_with_the_lock) {
    const Pty pty;
    const auto state = saved(pty);
    type_ctrl_s(pty);
    CHECK_OK(enforce::take(state, {}));
    ck_assert(takes_output(pty));
    CHECK_OK(enforce::give_back(state, {}));
    ck_assert(takes_output(pty));
    type_ctrl_s(pty);
}
END_TEST

START_TEST(a_terminal_that_is_gone_is_given_back_without_an_error_and_not_taken) {
    Pty pty;
    const auto state = saved(pty);
    pty.slave.reset();
    pty.master.reset();
    CHECK_OK(enforce::give_back(state, {}));
    CHECK_ERROR(enforce::take(state, {}), ENOENT);
}
END_TEST

START_TEST(another_device_under_the_same_path_is_left_alone) {
    const Pty pty;
    auto state = saved(pty);
    state.device += 1;
    const auto before = pty.node().st_mode;
    CHECK_ERROR(enforce::take(state, {}), ENOENT);
    CHECK_OK(enforce::give_back(state, {}));
    ck_assert_uint_eq(pty.node().st_mode, before);
}
END_TEST

START_TEST(paths_outside_dev_are_refused) {
    CHECK_ERROR(enforce::save({}, {.path = "/etc/passwd", .device = 1}, {}), EINVAL);
    CHECK_ERROR(enforce::save({}, {.path = "/dev/../etc/passwd", .device = 1}, {}), EINVAL);
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
    CHECK_TEXT(enforce::console(13).path, "/dev/tty13");
    ck_assert_uint_eq(base::virtual_console(enforce::console(13).device), 13);
    const Pty pty;
    ck_assert(!enforce::is_shut(pty.terminal));
}
END_TEST

} // namespace

int main() {
    return vigil::test::run("terminals",
                            {a_taken_terminal_has_no_echo_and_no_signals_and_belongs_to_root,
                             what_was_typed_ahead_is_gone_when_a_terminal_is_given_back,
                             a_cursor_that_was_hidden_is_hidden_again,
                             a_terminal_goes_back_to_the_screen_that_it_said_it_showed,
                             giving_back_twice_leaves_what_was_changed_since,
                             settings_changed_between_take_and_freeze_are_the_ones_to_give_back,
                             output_that_a_program_stopped_goes_on_under_the_lock_and_after_it,
                             output_that_ctrl_s_stopped_goes_on_with_the_lock,
                             a_terminal_that_is_gone_is_given_back_without_an_error_and_not_taken,
                             another_device_under_the_same_path_is_left_alone,
                             paths_outside_dev_are_refused, a_line_is_escaped_and_never_waited_for,
                             latest_input_is_never_before_the_input_and_never_later_than_now,
                             virtual_consoles_are_told_from_other_terminals,
                             a_prompts_unit_names_its_session_and_terminal});
}
