"""Programs that have the whole screen: under the lock nothing of them is seen, afterwards they are as they were."""

import re
import time

import pytest
from logins import LOCK_SCREEN, Login, everybody_leaves, unlock
from vigilhost import wait_until

POLICY = """\
version: 1
mode: enforce
sessions:
  - name: until somebody locks it
    unlock: [password]
"""
SHELL = r"^alice@\S+\$$"


@pytest.fixture(scope="module", autouse=True)
def policy(host):
    host.policy(POLICY)


@pytest.fixture
def alice(host):
    yield Login(host, "alice")
    # The servers of these outlive the session by design, and would be foreign readers to the next one.
    host.run("pkill", "-KILL", "-u", "alice", "-f", "^(tmux|screen|SCREEN)", check=False)
    everybody_leaves(host)


def picture(login):
    """The screen as a person sees it, but for the last line, where a program's messages go when it draws anew."""
    line, column = login.screen.cursor()
    return login.screen.lines()[:-1], None if line == len(login.screen.lines()) - 1 else (line, column)


def steady_picture(login):
    """The same, once it has stayed as it is for a moment: a program is through with its drawing."""
    seen = [None, 0.0]

    def is_steady():
        if picture(login) != seen[0]:
            seen[:] = picture(login), time.monotonic()
        return time.monotonic() - seen[1] > 0.5
    wait_until(is_steady, 10, "it is drawn")
    return seen[0]


# What is typed to start it, what is seen then, a key, what is seen after it, and how it is left.
PROGRAMS = {
    "less": ("seq -f 'line %g' 500 >lines; less lines\r", r"^line 1\n", " ", r"^line 46$", "q"),
    "vim": ("seq -f 'line %g' 500 >lines; vi -u NONE lines\r", r"^line 1\n", "Gonew\x1b", r"^new$", ":q!\r"),
    "screen": ("screen -c /dev/null sh -c 'echo in the window; exec cat'\r", r"^in the window$",
               "typed\r", r"^typed\ntyped$", "\x04"),
    "tmux": ("tmux -f /dev/null new 'echo in the pane; exec cat'\r", r"^in the pane$", "typed\r", r"^typed\n+typed$", "\x04"),
    "vim in tmux": ("tmux -f /dev/null new 'vi -u NONE'\r", r"^~$", "ia text\x1b", r"^a text$", ":q!\r"),
}


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
    # What the shell had written is there again. screen clears it itself; less is taken for a shell, because it leaves the
    # terminal's output alone.
    if term == "xterm" and name not in ("less", "screen"):
        assert re.search("^on the shell$", alice.screen.text(), re.MULTILINE)
    assert host.read("/home/alice/after") == host.read("/home/alice/before")


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
    alice.type("stty raw -echo; echo raw and re''ady; head -c 6 >keys; stty sane; clear\r")
    alice.screen.wait_for("raw and ready")
    alice.type("a\x03")  # no signal there, a key
    wait_until(lambda: host.run("pgrep", "-x", "head", check=False).stdout, 10, "it reads")
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
