"""Programs that have the whole screen: under the lock nothing of them is seen, afterwards they are as they were."""

import re
import threading

import programs
import pytest
from logins import LOCK_SCREEN, SHELL, UNLOCK_PROMPT, Login, unlock
from programs import PROGRAMS, picture, steady_picture
from vigilhost import wait_until

pytestmark = pytest.mark.usefixtures("locked_by_hand")


@pytest.fixture(autouse=True)
def no_servers(host, nobody_stays):
    """They outlive the session by design, and would be foreign readers to the next one."""
    yield
    programs.end_servers(host)


@pytest.fixture
def silent(host, nobody_stays):
    """At a terminal that answers no questions."""
    return Login(host, "alice", silent=True)


@pytest.fixture(scope="module", autouse=True)
def whole_screen_programs(host, locked_by_hand):
    programs.put_on(host)


@pytest.mark.parametrize("term", ["linux", "xterm"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_comes_back_as_it_was(host, alice, name, term):
    start, seen, key, seen_then, end = PROGRAMS[name]
    alice.type(f"export TERM={term}; stty -g >before; clear; echo on the sh''ell\r")
    alice.screen.wait_for("^on the shell$")
    alice.type(start)
    alice.screen.wait_for(seen)
    before = steady_picture(alice)
    alice.lock()
    assert not {line for line in before[0] if line.strip(" ~")} & set(alice.screen.lines())
    unlock(alice)
    wait_until(lambda: picture(alice) == before, 10, "it is as it was")
    alice.type(key)
    alice.screen.wait_for(seen_then)
    alice.type(end)
    alice.screen.wait_for(SHELL)
    alice.type("stty -g >after\r")
    assert alice.answers()
    # What the shell had written is there again. screen clears it itself.
    if term == "xterm" and name != "screen":
        assert re.search("^on the shell$", alice.screen.text(), re.MULTILINE)
    assert host.read("/home/alice/after") == host.read("/home/alice/before")


LESS = "export TERM=xterm; clear; echo on the sh''ell; seq -f 'line %g' 500 >lines; less lines\r"


def less_is_left(login):
    """Where it had a screen of its own, what the shell had written is there again."""
    login.type("q")
    login.screen.wait_for(SHELL)
    assert login.answers()
    return re.search("^on the shell$", login.screen.text(), re.MULTILINE)


HIDE_CURSOR = r"printf '\033[?25l'; "


@pytest.mark.parametrize("program, seen", [("cat", "^on the shell$"), ("top", "^top - .*load average")], ids=["cat", "top"])
def test_a_cursor_that_a_program_has_hidden_is_hidden_again(alice, program, seen):
    alice.type(f"clear; echo on the sh''ell; {HIDE_CURSOR if program == 'cat' else ''}{program}\r")
    alice.screen.wait_for(seen)
    wait_until(alice.screen.hides_cursor, 5, "it hides the cursor")
    alice.lock()
    assert not alice.screen.hides_cursor()
    unlock(alice)
    alice.screen.wait_for(seen)
    wait_until(alice.screen.hides_cursor, 5, "the cursor is hidden again")
    alice.type("q\x03")
    alice.screen.wait_for(SHELL)
    assert alice.answers()


def test_where_the_terminal_does_not_tell_of_it_the_cursor_is_shown(silent):
    silent.type(f"clear; echo on the sh''ell; {HIDE_CURSOR}cat\r")
    wait_until(silent.screen.hides_cursor, 5, "it hides the cursor")
    silent.lock()
    unlock(silent)
    silent.screen.wait_for("^on the shell$")
    assert not silent.screen.hides_cursor()


@pytest.mark.parametrize("victim", ["vigil-lock", "vigild", "both"])
def test_what_a_terminal_has_answered_outlives_a_kill(host, alice, victim):
    alice.type(HIDE_CURSOR + LESS)
    alice.screen.wait_for("^line 23$")
    before = steady_picture(alice)
    assert alice.screen.hides_cursor()
    alice.lock()
    if victim != "vigild":
        heard = alice.screen.mark()
        host.run("kill", "-9", host.run("pgrep", "-x", "vigil-lock").stdout.strip())
        alice.screen.wait_to_hear("Password", since=heard)
    if victim != "vigil-lock":
        host.kill_vigild()
    alice.type("x\x15")
    alice.screen.wait_for(UNLOCK_PROMPT)
    unlock(alice)
    wait_until(lambda: picture(alice) == before, 10, "it is as it was")
    assert less_is_left(alice)


def test_a_terminal_that_does_not_answer_is_locked_and_unlocked_as_any_other(host, silent):
    silent.type("stty -g >before\r")
    silent.type(LESS)
    silent.screen.wait_for("^line 23$")
    before = steady_picture(silent)
    silent.lock()
    assert "line" not in silent.screen.text()
    unlock(silent)
    # On the shell's screen, because less leaves the terminal's settings as a shell does; nothing else of it is lost.
    wait_until(lambda: picture(silent) == before, 10, "it is as it was")
    less_is_left(silent)
    silent.type("stty -g >after\r")
    assert silent.answers()
    assert host.read("/home/alice/after") == host.read("/home/alice/before")


@pytest.mark.parametrize("pieces", [["\x1b[?1049;2$y"], ["\x1b[?104", "9;2$y"]], ids=["whole", "split"])
def test_an_answer_that_comes_behind_an_operators_unlock_is_not_typed_into_the_shell(host, silent, pieces):
    def was_unlocked_behind_its_back():
        """The answer comes when the unlock is under way: false when the host was too busy for that."""
        silent.lock()
        unlocking = threading.Thread(target=host.vigilctl, args=("unlock", silent.id, "--reason", "test"))
        unlocking.start()
        wait_until(lambda: host.pids("-x", "vigilctl") or not unlocking.is_alive(), 10, "it is asked for")
        for piece in pieces:
            under_way = unlocking.is_alive()
            silent.type(piece)
        unlocking.join()
        silent.screen.wait_gone(LOCK_SCREEN)
        return under_way
    assert any(was_unlocked_behind_its_back() for _ in range(5))
    assert silent.answers()
    assert "1049" not in silent.screen.said() and "2$y" not in silent.screen.said()


def test_lies_of_a_terminal_harm_its_own_drawing_alone(host, silent):
    silent.type("clear; echo on the sh''ell\r")
    silent.screen.wait_for("^on the shell$")
    silent.lock()
    silent.type("\x1b[?1049;1$y" * 50 + "\x1b[?1049;" + "9" * 5000 + "$y\x15")
    unlock(silent)
    silent.type("\x15")
    assert silent.answers()


def test_top_goes_on(alice):
    alice.type("top -d 0.3\r")
    alice.screen.wait_for("^top - .*load average")
    alice.lock()
    assert "load average" not in alice.screen.text()
    alice.type("q\x15")
    unlock(alice)
    alice.screen.wait_for("^top - .*load average")
    alice.screen.wait_for("PID USER")
    # It was not ended by what was typed at the prompt, and draws anew.
    shown = alice.screen.text()
    wait_until(lambda: "load average" in alice.screen.text() and alice.screen.text() != shown, 10, "it draws anew")
    alice.type("q")
    alice.screen.wait_for(SHELL)
    assert alice.answers()


def test_a_program_in_raw_mode_gets_its_keys_as_they_are(host, alice):
    alice.type("rm -f keys; stty raw -echo; echo raw and re''ady; head -c 2 >keys; head -c 4 >>keys; stty sane; clear\r")
    alice.screen.wait_for("raw and ready")
    alice.type("a\x03")  # no signal there, a key
    # What is not read by then is typed ahead, and lost with the lock.
    wait_until(lambda: host.run("cat", "/home/alice/keys", check=False).stdout == "a\x03" and host.pids("-x", "head"), 10,
               "it has read them")
    alice.lock()
    alice.type("\x03\x1a\x04")
    unlock(alice)
    alice.type("\x1a\x11\x04b")
    alice.screen.wait_for(SHELL)
    assert alice.answers()
    assert host.read("/home/alice/keys") == "a\x03\x1a\x11\x04b"


def test_a_resize_under_the_lock_reaches_the_program(alice):
    alice.type("seq -f 'line %g' 500 >lines; less lines\r")
    alice.screen.wait_for(r"^line 23$")
    alice.lock()
    alice.screen.resize(40, 100)
    unlock(alice)
    alice.screen.wait_for(r"^line 39$")
    assert LOCK_SCREEN not in alice.screen.text()
    alice.type("q")
    alice.screen.wait_for(SHELL)
    assert alice.answers()


def test_a_file_that_is_locked_by_what_stands_still_is_waited_for_and_got_after_the_unlock(host, alice):
    other = Login(host, "alice")
    alice.type("flock database cat\r")
    wait_until(lambda: host.pids("-x", "cat"), 5, "it is held")
    alice.lock()
    other.type("flock database echo g''ot it\r")
    wait_until(lambda: len(host.pids("-x", "flock")) == 2, 5, "the other waits")
    alice.type("\x04\x15")
    assert host.run("flock", "--timeout", "2", "/home/alice/database", "true", check=False).returncode == 1
    unlock(alice)
    assert "got it" not in other.screen.said()
    alice.type("\x04")
    other.screen.wait_for("^got it$")
    assert alice.answers() and other.answers()
