"""A user who keeps his terminal busy with a file system of his own (FUSE), so that whoever sets it waits: he waits alone."""

import pytest
from logins import UNLOCK_PROMPT, Login, unlock
from vigilhost import SOURCE, wait_until

pytestmark = pytest.mark.usefixtures("locked_by_hand", "nobody_stays")


@pytest.fixture
def busy(host, alice):
    """Her terminal's settings are kept by a program that reads more than the kernel passes on at once."""
    host.run("modprobe fuse; [ -e /dev/fuse ] || mknod /dev/fuse c 10 229; chmod 0666 /dev/fuse")
    host.put(SOURCE / "build/tests/host/tools/busy", "/tmp/busy")
    alice.type("/tmp/busy /tmp/busy-file\r")
    wait_until(lambda: host.pids("-x", "busy-server"), 10, "it has its file")
    alice.type("x" * 200 + "\r")
    alice.screen.wait_for("^busy$")
    yield
    host.run("pkill", "-KILL", "-x", "busy-server", check=False)


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
