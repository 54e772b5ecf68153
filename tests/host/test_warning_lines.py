"""The line that warns of an idle lock goes from a program's screen with the key that puts the lock off."""

import re

import programs
import pytest
from logins import SHELL, Login
from policies import limits, until_somebody_locks
from programs import PROGRAMS, picture, steady_picture
from vigilhost import wait_until

WARNING = r"vigil: This session is locked in"
# A key that changes nothing there; in vim Escape. Ctrl-T: less does not know it. Up, at the top.
KEYS = {"less": "\x14", "nano": "\x1b[A", "mc": "\x1bOA", "screen": "\x15", "tmux": "\x15", "ncurses": "\x14"}


@pytest.fixture(scope="module", autouse=True)
def whole_screen_programs(host):
    programs.put_on(host)


@pytest.fixture(autouse=True)
def nobody_is_warned_yet(host, nobody_stays):
    host.policy(until_somebody_locks())
    yield
    programs.end_servers(host)


def warn(host, login):
    """From here on: what was started before has had all the time that it needed."""
    heard = login.screen.mark()
    limits(host, idle_lock="63s", idle_warn="60s")
    login.screen.wait_to_hear(WARNING, 10, since=heard)


def has_its_size(host, login):
    """Each of its terminals."""
    return all(host.run("stty", "-F", "/dev/" + name, "size").stdout.strip() == "24 80" for name in login.now()["terminals"])


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_line_goes_with_a_key(host, alice, name):
    start, seen, key, seen_then, end = PROGRAMS[name]
    alice.type(f"export TERM=xterm; clear; {start}")
    alice.screen.wait_for(seen)
    before = steady_picture(alice)
    warn(host, alice)
    alice.screen.wait_for(WARNING)
    alice.type(KEYS.get(name, "\x1b"))
    wait_until(lambda: picture(alice) == before, 10, "it is as it was")
    assert not re.search(WARNING, alice.screen.text())
    wait_until(lambda: has_its_size(host, alice), 5, "it has its size")
    alice.type(key)
    alice.screen.wait_for(seen_then)
    alice.type(end)
    alice.screen.wait_for(SHELL)
    assert alice.answers()


def test_the_line_goes_from_top_which_turns_no_setting_off(host, alice):
    alice.type("export TERM=xterm; top -d 1000\r")
    alice.screen.wait_for("^top - .*load average")
    warn(host, alice)
    alice.screen.wait_for(WARNING)
    alice.type(" ")
    alice.screen.wait_gone(WARNING)
    alice.screen.wait_for("^top - .*load average")


def warned_beside_a_program(host, prepare):
    """A login, prepared, and another terminal of its session, where a program has the screen; both were warned."""
    control = host.one_connection()
    alice = Login(host, "alice", *control)
    other = host.login("alice", *control)
    wait_until(lambda: len(alice.now()["terminals"]) == 2, 5, "both are one session's")
    other.send("export TERM=xterm; clear; curses\r")
    other.wait_for("made with ncurses")
    prepare(alice)
    warn(host, alice)
    other.wait_for(WARNING)
    return alice, other


def test_a_shell_at_its_prompt_hears_of_nothing(host):
    def prepare(alice):
        alice.type("clear; trap 'echo winch''ed' WINCH\r")
        assert alice.answers()
    alice, other = warned_beside_a_program(host, prepare)
    alice.type("echo half of")
    other.wait_gone(WARNING)
    alice.type(" a line\r")
    alice.screen.wait_for("^half of a line$")
    assert alice.answers()
    assert "winched" not in alice.screen.said()
    assert re.search(WARNING, alice.screen.text())


def test_a_line_that_is_typed_at_a_shell_further_in_is_not_harmed(host):
    def prepare(alice):
        alice.type("clear; ssh -q -o StrictHostKeyChecking=no bob@localhost\r")
        alice.screen.wait_for(r"^bob@\S+\$$")
        alice.type("echo half ")
        alice.screen.wait_for("echo half$")
    alice, other = warned_beside_a_program(host, prepare)
    alice.type("of a ")
    other.wait_gone(WARNING)
    alice.type("line\r")
    alice.screen.wait_for("^half of a line$")
    wait_until(lambda: has_its_size(host, alice), 5, "it has its size")


def test_a_program_in_raw_mode_that_knows_nothing_of_sizes_gets_its_keys(host):
    def prepare(alice):
        alice.type("clear; stty raw -echo; echo raw and re''ady; head -c 3 >keys; stty sane; clear\r")
        alice.screen.wait_for("raw and ready")
        wait_until(lambda: host.pids("-x", "head"), 10, "it reads")
    alice, other = warned_beside_a_program(host, prepare)
    alice.type("a")
    other.wait_gone(WARNING)
    alice.type("\x03b")
    alice.screen.wait_for(SHELL)
    assert host.read("/home/alice/keys") == "a\x03b"
    wait_until(lambda: has_its_size(host, alice), 5, "it has its size")
