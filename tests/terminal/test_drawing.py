"""The screen as a person sees it, on dumb terminals too, and what is drawn again when."""

import fcntl
import os
import select
import signal
import struct
import termios
import time

import pytest

from vigil_lock import DONE, FOR_EVER, QUESTION, told_of_the_screen


def test_a_dumb_terminal_gets_lines_and_no_sequences(host, program):
    vigild = host.vigild("--ask-screen", "--shell", program("dumb"), "--wait", "2", "--warning", "a \x1b[2J b")
    terminal = host.terminal()
    terminal.see("Password or code:")
    terminal.prompt()
    for text in ("web1.example", "(idle for 15 min)", "User: alice"):
        terminal.see(text)
    terminal.type("wrong\r")
    terminal.see("Wrong. Next try in 2 s.")
    terminal.see("Wrong. Password or code:")
    terminal.prompt()
    terminal.type("secret\r")
    assert terminal.ends() == DONE
    assert b"\x1b" not in terminal.raw_output
    # Said once, however often it was drawn.
    for line in (b"User: alice", b"Next try in", b"Wrong.\r\n"):
        assert terminal.written().count(line) == 1, terminal.raw_output
    assert terminal.raw_output.count(b"Password or code: ") == 2
    assert told_of_the_screen(vigild) == ["[plain]"]


@pytest.mark.parametrize("shell, foreground, plain", [
    ("dumb", "", True), ("dumb", "dumb", True), ("dumb", "xterm", False), ("xterm", "dumb", False), ("", "dumb", False),
    ("dumber", "", False)])
def test_a_terminal_is_dumb_only_where_all_say_so(host, program, shell, foreground, plain):
    host.vigild("--shell", program(shell), "--foreground", program(foreground))
    terminal = host.terminal()
    terminal.see("Password or code:")
    assert (b"\x1b" not in terminal.raw_output) == plain


def test_a_process_that_is_gone_says_nothing_of_the_terminal(host):
    host.vigild("--shell", "4194304")
    terminal = host.terminal()
    terminal.see("Password or code:")
    assert b"\x1b[2J" in terminal.raw_output


def test_a_dumb_terminal_of_20_columns_is_served(host, program):
    host.vigild("--shell", program("dumb"), "--warning", "A process of another person holds this terminal open.")
    terminal = host.terminal(columns=20, rows=10)
    terminal.see("Password or code:")
    terminal.prompt()
    assert max(len(line) for line in terminal.written().decode().split("\r\n")) < 20
    terminal.type("secret\r")
    assert terminal.ends() == DONE


def test_a_cooked_terminal_is_silenced(host):
    host.vigild()
    terminal = host.terminal(raw=False)
    terminal.prompt()
    terminal.type("\x03sec\x03ret\r")
    # ^C was a key like any other, and no letter of it all was shown.
    assert terminal.ends() == DONE
    assert b"sec" not in terminal.raw_output and b"ret" not in terminal.raw_output


def test_output_that_somebody_stopped_goes_on_with_the_next_drawing(host):
    host.vigild()
    terminal = host.terminal()
    terminal.prompt()
    slave = os.open(terminal.path, os.O_RDWR | os.O_NOCTTY)
    termios.tcflow(slave, termios.TCOOFF)
    os.close(slave)
    terminal.type("wrong\r")
    terminal.see("Wrong.")


def test_a_new_size_is_drawn_with_the_next_key(host):
    host.vigild("--warning", "A process of another person holds this terminal open.")
    terminal = host.terminal(columns=20, rows=10)
    terminal.see("Password or code:")
    terminal.prompt()
    assert max(len(line) for line in terminal.text().splitlines()) <= 20
    terminal.resize(80, 24)
    terminal.screen.resize(24, 80)
    terminal.type("s")
    terminal.see("A process of another person holds this terminal open.")
    terminal.prompt()
    terminal.type("ecret\r")
    assert terminal.ends() == DONE


@pytest.mark.parametrize("left_in_force", [
    b"\x1b[1;5r", b"\x1b[20;24r", b"\x1b[8;12r\x1b[?6h", b"\x1b[3;6r\x1b[4h", b"\x1b%@\x1b)0\x0e", b"\x1b%@\x1b(0"], ids=repr)
def test_what_a_program_left_in_force_spoils_no_drawing(host, left_in_force):
    """A region that scrolls, with rows counted from its top; letters inserted, or taken for parts of frames."""
    host.vigild("--warning", "A process of another person holds this terminal open.")
    terminal = host.terminal()
    terminal.stream.feed(left_in_force)
    margins = terminal.screen.margins
    terminal.prompt()
    shown = [line.strip() for line in terminal.text().splitlines()]
    assert shown[0] == "web1.example" and shown[1].startswith("Locked since "), shown
    for text in ("User: alice", "A process of another person holds this terminal open.", "Password or code:"):
        assert shown.count(text) == 1, shown
    cursor = terminal.screen.cursor
    assert terminal.screen.display[cursor.y][:cursor.x].endswith("Password or code: ")
    assert terminal.screen.margins == margins, "the program's region is another"
    terminal.type("wrong\r")
    terminal.see("Wrong. Next try in")
    assert terminal.text().strip().startswith("web1.example\n")


def test_enter_alone_draws_what_others_have_written_over(host):
    """As wall(1) does."""
    host.vigild()
    terminal = host.terminal()
    terminal.prompt()
    slave = os.open(terminal.path, os.O_WRONLY | os.O_NOCTTY)
    os.write(slave, b"\x1b[2J\x1b[HBroadcast message from root")
    os.close(slave)
    terminal.see("Broadcast")
    terminal.type("\r")
    terminal.see("Password")
    assert "Broadcast" not in terminal.text()
    terminal.type("secret\r")
    assert terminal.ends() == DONE


def test_who_sets_the_terminal_back_after_a_key_has_wiped_the_screen_for_a_moment(host):
    """As a tmux server at another session's terminal does, which takes a key that the prompt has read for a hang-up."""
    host.vigild()
    terminal = host.terminal()
    terminal.prompt()
    slave = os.open(terminal.path, os.O_RDWR | os.O_NOCTTY)
    try:
        terminal.type("x")
        end = time.monotonic() + 5
        while terminal.patience() == FOR_EVER:
            assert time.monotonic() < end, "it reads no keys"
        settings = termios.tcgetattr(slave)
        settings[3] |= termios.ECHO | termios.ICANON
        termios.tcsetattr(slave, termios.TCSANOW, settings)
        os.write(slave, b"\x1b[2J\x1b[Hwiped")
        terminal.see("wiped")
        terminal.see("Password")
        assert not termios.tcgetattr(slave)[3] & (termios.ECHO | termios.ICANON)
    finally:
        os.close(slave)
    assert "wiped" not in terminal.text()
    terminal.type("\x15secret\r")
    assert terminal.ends() == DONE


def test_the_time_that_is_left_is_drawn_with_the_next_key(host):
    host.vigild("--ends-at", str(int((time.time() + 123) * 1e6)))
    terminal = host.terminal()
    terminal.see(", in 2 min.")
    terminal.prompt()
    drawn = len(terminal.raw_output)
    end = time.monotonic() + 10
    while ", in 1 min." not in terminal.text():
        assert time.monotonic() < end, terminal.text()
        assert len(terminal.raw_output) == drawn, "it is drawn again without a change"
        terminal.type("\x15")
        terminal.read(0.2)
        terminal.prompt()
    terminal.type("secret\r")
    assert terminal.ends() == DONE


def test_a_terminal_that_took_nothing_is_asked_and_drawn_as_soon_as_it_does(host):
    """A laptop that slept when the lock came: what it shows first must be the lock."""
    vigild, terminal = host.vigild("--ask-screen"), host.terminal(full=True)
    slave = os.open(terminal.path, os.O_RDWR | os.O_NOCTTY)
    try:
        # What is typed ahead is dropped in two places. What is read then is read behind a drawing that was given up.
        for _ in range(4):
            terminal.type("x")
            end = time.monotonic() + 10
            while fcntl.ioctl(slave, termios.FIONREAD, struct.pack("i", 0)) != struct.pack("i", 0):
                assert time.monotonic() < end, "it reads no keys"
    finally:
        os.close(slave)
    terminal.see("Password")
    assert "old" not in terminal.text()
    assert terminal.raw_output.count(QUESTION) == 1
    terminal.type("\x1b[?1049;1$y\x15")
    terminal.prompt()
    terminal.type("secret\r")
    assert terminal.ends() == DONE
    assert told_of_the_screen(vigild) == ["[alternate]"]


def test_a_reader_that_stalls_hangs_nothing(host):
    """Nobody reads the screen until it is full: vigil-lock goes on, and ends when told."""
    host.vigild()
    terminal = host.terminal()
    terminal.prompt()
    slave = os.open(terminal.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        # Room for a key as long as they are read, for a screen as long as it is not full.
        for turn in range(100_000):
            if not select.select([], [slave], [], 0)[1]:
                break
            terminal.resize(80 + turn % 2, 24)
            if select.select([], [terminal.master], [], 0.01)[1]:
                os.write(terminal.master, b"x")
        else:
            raise AssertionError("the screen is never full")
    finally:
        os.close(slave)
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.process.wait(timeout=3) == DONE
