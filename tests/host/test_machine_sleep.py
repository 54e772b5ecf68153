"""A machine that is suspended, or comes up again, with sessions that are or should be locked."""

import subprocess
import time

import pytest
from logins import UNLOCK_PROMPT, Login, unlock
from vigilhost import wait_until

POLICY = """\
version: 1
mode: enforce
sessions:
  - name: soon
    idle_lock: 20s
    unlock: [password]
"""


@pytest.fixture(autouse=True)
def policy(host, nobody_stays):
    host.policy(POLICY)


def status(host):
    return host.inner.monitor("info status")[0]


def boot_id(host):
    """"" while it cannot be asked."""
    try:
        return host.run("cat", "/proc/sys/kernel/random/boot_id", check=False, timeout=10).stdout
    except subprocess.TimeoutExpired:
        return ""


def is_refused(login, answer):
    login.type(answer)
    try:
        return login.screen.wait_for("Wrong", 5)
    except AssertionError:
        return None


def test_what_is_typed_after_a_suspend_does_not_come_to_the_program(host):
    alice = Login(host, "alice")
    alice.type("cat >typed\r")
    wait_until(lambda: alice.exists("/home/alice/typed"), 10, "cat waits for a line")
    host.run("systemctl --no-block suspend; true", check=False)
    wait_until(lambda: "suspended" in status(host), 40, "it sleeps")
    # Beyond the lock's time. Its clock goes on; only this machine's can tell.
    end = time.monotonic() + 25
    wait_until(lambda: time.monotonic() > end, 30, "time goes by")
    alice.type("rm -rf typed\r")
    host.inner.monitor("system_wakeup")
    alice.screen.wait_for(UNLOCK_PROMPT, 40)
    # What was typed ahead of the prompt it drops; what comes in one piece with that, as a paste.
    wait_until(lambda: is_refused(alice, "an answer\r"), 60, "the prompt judges what is typed at it")
    assert alice.state() == "locked" and alice.frozen()
    host.vigilctl("unlock", alice.id, "--reason", "awake")
    alice.screen.wait_for("cat >typed", 20)
    alice.type("this line\r\x04")
    wait_until(lambda: host.read("/home/alice/typed") == "this line\n", 10, "cat read this line and no other")
    assert alice.answers()


def test_nothing_is_left_of_a_lock_after_a_reboot(host):
    alice = Login(host, "alice")
    alice.lock()
    before = boot_id(host)
    host.run("systemctl --no-block reboot; true", check=False)
    wait_until(lambda: boot_id(host) not in ("", before), 180, "it comes up again")
    wait_until(host.vigild_is_ready, 60, "vigild runs")
    assert host.vigil_sessions() == []
    assert not host.run("find", "/sys/fs/cgroup", "-name", "vigil-lock").stdout
    alice = Login(host, "alice")
    assert alice.answers()
    alice.lock()
    unlock(alice)
    assert alice.answers()
