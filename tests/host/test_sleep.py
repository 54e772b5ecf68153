"""What is done before a machine sleeps, without the sleep: that is the virtual machine's (test_machine_sleep)."""

import contextlib
import time

import desktops
import pytest
from connections import Connection
from logins import UNLOCK_PROMPT, Login, unlock
from loops import ticks_on
from policies import limits
from vigilhost import wait_until

TOLD = "locked: the machine was put to sleep"
# How late a thing may be seen on a busy machine.
SEEN = 20


@pytest.fixture(autouse=True)
def cleanly(nobody_stays):
    yield


def before_the_sleep(host):
    """What sleep.target waits for; how that ended."""
    host.run("systemctl", "start", "vigil-sleep.service", check=False)
    return host.run("systemctl", "show", "--property=Result", "--value", "vigil-sleep.service").stdout.strip()


@pytest.fixture(scope="module")
def desktops_program(host):
    desktops.put_on(host)


@pytest.fixture
def desktop(host, desktops_program):
    yield desktops.Desktop(host, "bob")
    desktops.end(host)


def test_all_is_held_when_the_machine_may_sleep(host, desktop):
    limits(host, match="users: [alice, bob]", idle_lock="10m", unlock="[password]")
    logins = [Login(host, user) for user in ("alice", "alice", "bob")]
    for login in logins:
        assert login.answers()
    assert before_the_sleep(host) == "success"
    assert [(login.state(), login.frozen()) for login in logins] == [("locked", True)] * 3
    assert (desktop.state(), desktop.hint()) == ("locked", "yes")
    assert [TOLD in text for text in desktop.told("session-locked")] == [True]
    for login in logins:
        assert [TOLD in text for text in login.told("session-locked")] == [True]
        login.screen.wait_for(r"Locked since .* \(the machine was put to sleep\)")
        login.screen.wait_for(UNLOCK_PROMPT)
        unlock(login)
        assert login.answers()


def test_what_the_policy_leaves_open_stays_open(host):
    limits(host, idle_lock="10m", lock_on_sleep="no")
    alice = Login(host, "alice")
    assert before_the_sleep(host) == "success"
    assert alice.state() == "active" and alice.answers()
    limits(host, max_duration="10m")
    assert before_the_sleep(host) == "success"
    assert alice.state() == "active" and alice.answers()


def test_what_has_lost_its_terminal_since_vigil_looked_last_goes_on(host):
    """Nobody could be asked there after the sleep, and what runs on over its connection is no reason to end it."""
    limits(host, idle_lock="10m")
    with contextlib.closing(Connection(host, "alice")) as connection:
        window = connection.open()
        assert window.answers()
        command = connection.channel("-T", command=["while :; do date +%N >tick; sleep 0.1; done"])
        assert ticks_on(host, 3)
        terminal = window.path
        window.close()
        wait_until(lambda: not window.exists(terminal), SEEN, "it is closed")
        assert connection.now()["terminals"] == [terminal.removeprefix("/dev/")]
        assert before_the_sleep(host) == "success"
        wait_until(lambda: connection.state() == "active" and not connection.now()["terminals"], SEEN, "it is as before")
        assert not connection.told("session-locked")
        assert not host.run("find", connection.scope(), "-name", "vigil-*").stdout
        assert not command.ended and ticks_on(host, 3) and connection.lives()


def test_a_sleep_waits_for_it_and_for_nothing_that_hangs(host):
    """It is no more than a wish of sleep.target's, bounded in time."""
    wants, after = (host.run("systemctl", "show", f"--property={name}", "--value", "sleep.target").stdout.split()
                    for name in ("Wants", "After"))
    assert "vigil-sleep.service" in wants and "vigil-sleep.service" in after
    pid = host.vigild_pid()
    host.run("kill", "-STOP", str(pid))
    try:
        since = time.monotonic()
        assert before_the_sleep(host) in ("timeout", "exit-code")
        assert time.monotonic() - since < 15
    finally:
        host.run("kill", "-CONT", str(pid))


def test_nobody_but_root_locks_everybody(host):
    limits(host, idle_lock="10m")
    alice = Login(host, "alice")
    done = host.vigilctl("lock", "--for-sleep", user="bob", check=False)
    assert done.returncode == 1 and "That is for root alone." in done.stderr
    assert alice.state() == "active"
