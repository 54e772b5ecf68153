"""A user who keeps his terminal busy with a file system of his own (FUSE), so that whoever sets it waits: he waits alone."""

import pytest
from logins import LOCK_SCREEN, UNLOCK_PROMPT, Login, unlock
from loops import counts, still
from vigilhost import SOURCE, wait_until

pytestmark = pytest.mark.usefixtures("locked_by_hand", "nobody_stays")


@pytest.fixture(autouse=True)
def program(host):
    """It keeps a terminal's settings by reading more than the kernel passes on at once."""
    host.run("modprobe fuse; [ -e /dev/fuse ] || mknod /dev/fuse c 10 229; chmod 0666 /dev/fuse")
    host.put(SOURCE / "build/tests/host/tools/busy", "/tmp/busy")
    yield
    host.run("pkill", "-KILL", "-x", "busy-server", check=False)


@pytest.fixture
def busy(host, alice):
    """Her terminal is."""
    alice.type("/tmp/busy /tmp/busy-file\r")
    wait_until(lambda: host.pids("-x", "busy-server"), 10, "it has its file")
    alice.type("x" * 200 + "\r")
    alice.screen.wait_for("^busy$")


def test_it_costs_nobody_else_a_lock_or_a_login_and_is_locked_when_it_is_free(host, alice, busy):
    bob, pid = Login(host, "bob"), host.vigild_pid()
    asked = host.vigilctl("lock", alice.id, check=False)
    assert asked.returncode == 1 and f"taking {alice.path}" in asked.stderr
    assert alice.frozen()
    bob.lock()
    unlock(bob)
    assert Login(host, "bob").answers()
    assert host.vigild_pid() == pid
    host.run("pkill", "-KILL", "-x", "busy-server")
    wait_until(lambda: alice.show()["state"] == "locked" and not alice.show()["uncovered"], 30, "it is tried again")
    alice.screen.wait_for(UNLOCK_PROMPT)
    unlock(alice)
    assert alice.answers()


def test_an_unlock_that_cannot_give_it_back_lets_the_session_go_on_and_is_not_asked_for_twice(host):
    """A process of another login of hers has the terminal open since before the lock, and keeps it when it has its keys."""
    # An answer of the terminal's would be what it reads first, and not enough.
    alice, other, bob = Login(host, "alice", silent=True), Login(host, "alice"), Login(host, "bob")
    # A shell that waits for its jobs would set the terminal, and wait for that.
    count = counts(alice, "(for ((n = 0; ; n++)); do echo $n >count; sleep 0.05; done) &", "count")
    other.type(f"/tmp/busy /tmp/busy-file <{alice.path}\r")
    wait_until(lambda: host.pids("-x", "busy-server"), 10, "it has its file")
    node = lambda: host.run("stat", "-c", "%U %a", alice.path).stdout.split()  # noqa: E731
    before = node()
    alice.lock(prompt=LOCK_SCREEN)
    stood = still(count)
    alice.type("x" * 200)
    other.screen.wait_for("^busy$")
    asked = host.vigilctl("unlock", alice.id, "--reason", "she called", check=False)
    assert asked.returncode == 1 and "it is tried again" in asked.stderr
    wait_until(lambda: count() not in ("", stood), 5, "nothing stays frozen")
    assert alice.state() == "locked" and not alice.frozen() and node() == ["root", "600"]
    bob.lock()
    unlock(bob)
    host.run("pkill", "-KILL", "-x", "busy-server")
    wait_until(lambda: alice.state() == "active", 30, "nobody asks for it again")
    alice.screen.wait_gone(LOCK_SCREEN)
    assert node() == before
    # What busy has not read by then may be the shell's, which goes on since the unlock.
    alice.type("\x15")
    assert alice.answers() and bob.answers()
    assert len(alice.told("session-unlocked")) == 1 and "she called" in alice.told("session-unlocked")[0]
    alice.type("kill %1\r")


def test_nobody_is_asked_while_a_program_has_not_stopped_but_not_kept_out_by_one_that_never_does(host, alice):
    """One that waits for a key when it is to stop, and gets no processor, takes the first that comes. So does one in the kernel."""
    alice.type("yes | /tmp/busy /tmp/busy-file &\r")
    alice.screen.wait_for("busy$", 20)
    before = alice.screen.mark()
    host.vigilctl("lock", alice.id)
    alice.screen.wait_for(UNLOCK_PROMPT, 20)
    said = alice.screen.said()[before:]
    assert said.index("One moment: a program has not stopped yet.") < said.index("Password")
    unlock(alice)
    assert not alice.told("unlock-failed")
    host.run("pkill", "-KILL", "-x", "busy-server")
    assert alice.answers()
