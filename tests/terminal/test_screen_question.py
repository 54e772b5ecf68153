"""The question to the terminal which screen it shows, and its answer among the keys."""

import time
from pathlib import Path

import pytest

from vigil_lock import DONE, FOR_EVER, QUESTION, told_of_the_cursor, told_of_the_screen


@pytest.mark.parametrize("begin", [b"\x1b[", b"\x9b", b"\xc2\x9b"], ids=repr)
@pytest.mark.parametrize("answer, told", [("1", "[alternate]"), ("2", "[main]"), ("0", "[unknown]")])
def test_a_terminal_is_asked_what_it_shows_before_it_is_drawn_on(host, answer, told, begin):
    vigild, terminal = host.vigild("--ask-screen"), host.terminal()
    terminal.prompt()
    assert terminal.raw_output.startswith(QUESTION) and terminal.raw_output.count(QUESTION) == 1
    terminal.type(begin + f"?1049;{answer}$y".encode())
    terminal.type("secret\r")
    assert terminal.ends() == DONE
    assert terminal.raw_output.count(QUESTION) == 1
    assert told_of_the_screen(vigild) == [told]


@pytest.mark.parametrize("answer, told", [("\x1b[?25;1$y", "[shown]"), ("\x1b[?25;2$y", "[hidden]"), ("", "[shown]")])
def test_a_terminal_is_asked_whether_its_cursor_is_hidden(host, answer, told):
    vigild, terminal = host.vigild("--ask-screen"), host.terminal()
    terminal.prompt()
    assert not terminal.screen.cursor.hidden
    terminal.type(answer + "\x1b[?1049;2$y")
    terminal.type("secret\r")
    assert terminal.ends() == DONE
    assert told_of_the_cursor(vigild) == [told]


def test_an_answer_about_the_cursor_alone_is_not_the_last(host):
    """The other one is still on its way, and is no more than the first of what comes next."""
    vigild, terminal = host.vigild("--ask-screen"), host.terminal()
    terminal.prompt()
    terminal.type("\x1b[?25;2$ysecret\r")
    terminal.see("Checking")
    assert terminal.process.poll() is None
    terminal.type("\x1b[?1049;1$y")
    assert terminal.ends() == DONE
    assert told_of_the_screen(vigild) == ["[alternate]"]
    assert told_of_the_cursor(vigild) == ["[hidden]"]


def test_an_answer_is_found_behind_what_was_typed_and_in_pieces(host):
    vigild, terminal = host.vigild("--ask-screen"), host.terminal()
    terminal.prompt()
    for piece in ("sec", "\x1b[?10", "49;", "1$", "yret"):
        terminal.type(piece)
        terminal.read(0.2)  # longer than a lone Escape is waited for
    terminal.type("\r")
    assert terminal.ends() == DONE
    assert told_of_the_screen(vigild) == ["[alternate]"]


def test_an_answer_under_way_is_not_left_to_what_comes_next(host):
    """A password that was typed ahead unlocks as soon as no answer can follow it."""
    vigild, terminal = host.vigild("--ask-screen"), host.terminal()
    terminal.prompt()
    terminal.type("secret\r")
    terminal.see("Checking")
    assert terminal.process.poll() is None
    terminal.type("\x1b[?1049;2$y")
    assert terminal.ends() == DONE
    calls = vigild.calls()
    assert [call.split()[0] for call in calls[-2:]] == ["ScreenSeen", "Unlocked"], calls


def test_a_terminal_that_answers_nothing_unlocks_too(host):
    vigild, terminal = host.vigild("--ask-screen"), host.terminal()
    terminal.prompt()
    terminal.type("secret\r")
    assert terminal.ends() == DONE
    assert told_of_the_screen(vigild) == []


def test_a_terminal_is_not_asked_when_vigild_does_not_say_so(host):
    host.vigild()
    terminal = host.terminal()
    terminal.prompt()
    assert b"$p" not in terminal.raw_output


def test_a_screen_that_was_drawn_on_already_is_not_asked(host):
    terminal = host.terminal()
    terminal.see("vigild is away; waiting for it.")
    vigild = host.vigild("--ask-screen")
    terminal.see("Password or code:", patience=8)
    assert b"$p" not in terminal.raw_output
    assert told_of_the_screen(vigild) == ["[unknown]"]


def test_an_answer_that_vigild_missed_is_told_before_the_yes(host):
    """By the answer vigild gives the terminal back."""
    vigild, terminal = host.vigild("--ask-screen"), host.terminal()
    terminal.prompt()
    terminal.type("secret\r")
    terminal.see("Checking")
    vigild.stop()
    terminal.type("\x1b[?1049;1$y")
    terminal.see("vigild is away; unlocking as soon as it is back.")
    vigild.options = ()
    vigild.start()
    assert terminal.ends() == DONE
    calls = vigild.calls()
    assert [call.split()[0] for call in calls[-2:]] == ["ScreenSeen", "Unlocked"], calls
    assert told_of_the_screen(vigild) == ["[alternate]"]


@pytest.mark.parametrize("answer, told", [("\x1b[?1049;1$y", "[alternate]"), ("", "[unknown]")])
def test_a_vigild_that_asks_once_more_is_answered(host, answer, told):
    """It has lost its store under the lock, and waits for what it is not told."""
    vigild, terminal = host.vigild("--ask-screen"), host.terminal()
    terminal.prompt()
    if answer:
        terminal.type(answer)
        while terminal.read(0.1):
            pass
    else:  # no answer is awaited any more
        while terminal.read(1.1):
            pass
    vigild.stop()
    before = len(vigild.heard)
    vigild.start()
    terminal.type("secret\r")
    assert terminal.ends() == DONE
    assert terminal.raw_output.count(QUESTION) == 1
    calls = vigild.calls()[before:]
    assert [call.split()[-2] for call in calls if call.startswith("ScreenSeen")] == [told], calls


def test_an_escape_alone_is_over_before_an_answer_is(host):
    """It is a key, and may not swallow the next one for as long as an answer is awaited."""
    def sleeps(terminal):
        lines = Path(f"/proc/{terminal.process.pid}/status").read_text(encoding="ascii").splitlines()
        return [int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches:")][0]

    def was_over():
        """False when the host was too busy to tell."""
        vigild, terminal = host.vigild("--ask-screen"), host.terminal()
        started = time.monotonic()
        terminal.prompt()
        while terminal.patience() != FOR_EVER:
            terminal.read(0.02)
        before = sleeps(terminal)
        terminal.type("\x1b")
        # It has read it, and has waited for what may follow: a tenth of a second.
        while sleeps(terminal) == before or terminal.patience() <= 100:
            assert time.monotonic() < started + 10, "it reads nothing"
            terminal.read(0.02)
        in_time = time.monotonic() < started + 1
        terminal.type("secret\r")
        assert terminal.ends() == DONE
        vigild.stop()
        return in_time
    assert any(was_over() for _ in range(5))
