"""In which order a lock takes a terminal and gives it back, and what becomes of a line that is half typed at that moment.

In canonical mode the kernel keeps such a line from its reader until Enter. The lock turns that mode off, so that the reader
gets what there is; what it has not read when it stands still is thrown away, so that it never is a command.
"""

import contextlib
import re
import threading

import pytest
from kills import Traced, calls_of
from logins import LOCK_SCREEN, UNLOCK_PROMPT, Login, unlock
from loops import arrives, moved
from vigilhost import PASSWORDS, wait_until

pytestmark = pytest.mark.usefixtures("locked_by_hand", "nothing_stays")


def places(calls, *wanted):
    """Where in the calls each of these stands, for one of them at least."""
    found = [[at for at, call in enumerate(calls) if all(part in call for part in one)] for one in wanted]
    assert all(found), (found, calls)
    return found


def test_keys_mean_nothing_before_the_programs_stand_still_and_are_lost_before_they_go_on(host, alice):
    terminal = f"<{alice.path}>"
    freezer = "vigil-lock/cgroup.freeze>"
    locking = calls_of(host, alice.lock)
    owner, mode, settings, freeze = places(locking, ("fchown(", terminal, ", 0, -1"), ("fchmod(", terminal, "0600"),
                                           ("ioctl(", terminal, "TCSETS"), ("write(", freezer, '"1"'))
    assert owner[0] < mode[0] < settings[0] < freeze[0]
    assert re.search("c_iflag=0?, .*c_lflag=0?,", locking[settings[0]]), "no signal by a key, no echo, no line"

    unlocking = calls_of(host, lambda: unlock(alice))
    flushes, settings, mode, thaw = places(unlocking, ("ioctl(", terminal, "TCFLSH, TCIFLUSH"), ("ioctl(", terminal, "TCSETS"),
                                           ("fchmod(", terminal, "0620"), ("write(", freezer, '"0"'))
    assert flushes[0] < settings[0] < flushes[-1] < mode[0] < thaw[0], "nothing typed before is read as a line"
    assert alice.answers()


@contextlib.contextmanager
def stopped_before_the_freeze(host, alice):
    """Her lock, with vigild standing still where the terminal is taken and nothing is frozen yet; where it will be frozen."""
    freezer = alice.scope() + "/vigil-lock/cgroup.freeze"
    stopper = Traced(host, "-o", "/dev/null", "-e", "trace=mkdir", "-e", "inject=mkdir:signal=SIGSTOP:when=1")
    locking = threading.Thread(target=host.vigilctl, args=("lock", alice.id))
    locking.start()
    try:
        yield freezer
    finally:
        host.run("kill", "-CONT", str(stopper.before))
        locking.join()
    assert not stopper.leave(), "vigild is the same"


@pytest.fixture
def secret(host, alice):
    """`read -s` and half of a line at its terminal; the pid of the shell that reads."""
    alice.type("read -s -p 'secret? ' secret; echo \"<$secret>\"\r")
    alice.screen.wait_for(r"secret\?$")
    arrives(alice, "abc")
    shell, = host.pids("-u", "alice", "-x", "bash")
    return shell


def types_the_rest(alice):
    since = alice.screen.mark()
    alice.type("def\r")
    found = alice.screen.wait_to_hear(r"<(.*)>", since=since)[1]
    assert alice.screen.said()[since:].count("def") == 1, "the letters are not shown"
    assert alice.answers()
    return found


def test_half_a_line_that_its_reader_gets_to_read_is_kept(host, alice, secret):
    before = moved(host, secret, "rchar")
    with stopped_before_the_freeze(host, alice) as freezer:
        wait_until(lambda: moved(host, secret, "rchar") >= before + 3, 10, "the shell reads what was typed")
        assert host.run("cat", freezer, check=False).stdout.strip() != "1"
    alice.screen.wait_for(UNLOCK_PROMPT)
    unlock(alice)
    assert types_the_rest(alice) == "abcdef"


@pytest.mark.parametrize("term", ["linux", "dumb"])
def test_a_line_that_its_reader_does_not_get_to_read_is_neither_run_nor_an_answer(host, term):
    """It is typed when the terminal is taken, and nothing is frozen yet."""
    alice = Login(host, "alice", term=term)
    shell, = host.pids("-u", "alice", "-x", "bash")
    owner = ["stat", "-c", "%U", alice.path]
    host.run("kill", "-STOP", shell)
    wait_until(lambda: host.run("ps", "-o", "stat=", "-p", shell).stdout.startswith("T"), 5, "it is stopped")
    with stopped_before_the_freeze(host, alice):
        wait_until(lambda: host.run(*owner).stdout.strip() == "root", 10, "it is taken")
        arrives(alice, "touch sneaked\r")
    alice.screen.wait_for(UNLOCK_PROMPT)
    host.run("kill", "-CONT", shell)
    alice.type(PASSWORDS["alice"] + "\r")
    wait_until(lambda: alice.state() == "active", 15, "nothing stands in front of the password")
    if term != "dumb":
        alice.screen.wait_gone(LOCK_SCREEN)
    assert alice.answers()
    assert not alice.exists("/home/alice/sneaked") and not alice.told("unlock-failed")
    assert "sneaked" not in alice.screen.said()


def test_half_a_line_that_its_reader_does_not_get_to_read_is_lost_whole(host, alice, secret):
    host.run("kill", "-STOP", secret)
    wait_until(lambda: host.run("ps", "-o", "stat=", "-p", secret).stdout.startswith("T"), 5, "it is stopped")
    alice.lock()
    host.run("kill", "-CONT", secret)
    unlock(alice)
    assert types_the_rest(alice) == "def"
