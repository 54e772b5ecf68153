"""The lock where the system bus's broker is away or stands still: it holds all the same, and is asked for as soon as it can be."""

import contextlib

import pytest
from logins import SHELL, UNLOCK_PROMPT, notes_of_its_lock, unlock
from loops import counts, still
from policies import limits, until_somebody_locks
from vigilhost import wait_until

pytestmark = pytest.mark.usefixtures("locked_by_hand", "nobody_stays")

# What it holds is asked for through PID 1, which has to come back to the broker as vigild has, and is asked again after 5 s.
BACK = 40


def its_back(host):
    """And with it logind, which does not come back to it by itself: it has ended, or goes on without."""
    host.run("systemctl start dbus.socket dbus.service; systemctl reset-failed; systemctl restart systemd-logind.service")
    wait_until(lambda: host.run("busctl", "status", "org.vigil1", check=False).returncode == 0, BACK, "vigild is back at it")


@contextlib.contextmanager
def away(host):
    host.run("systemctl stop dbus.socket dbus.service")
    try:
        yield
    finally:
        its_back(host)


@contextlib.contextmanager
def hangs(host):
    pid = host.run("systemctl", "show", "--property=MainPID", "--value", "dbus.service").stdout.strip()
    host.run("kill", "-STOP", pid)
    try:
        yield
    finally:
        host.run("kill", "-CONT", pid)


@pytest.fixture(params=[away, hangs])
def trouble(host, request):
    return request.param


def prompts(host):
    return host.pids("-x", "vigil-lock")


def test_a_lock_that_comes_due_meanwhile_holds_and_is_asked_for_afterwards(host, alice, trouble):
    count = counts(alice, "for ((n = 0; ; n++)); do echo $n >count; read -t 0.05 key && echo got a ''key; done", "count")
    with trouble(host):
        limits(host, idle_lock="1s", unlock="[password]")
        wait_until(alice.frozen, 20, "it is held")
        host.policy(until_somebody_locks())
        assert alice.state() == "locked" and not prompts(host)
        stood = still(count)
        alice.type("touch /tmp/away\r\x03")
        assert host.run("stat", "-c", "%U %a", alice.path).stdout.split() == ["root", "600"]
    alice.screen.wait_for(UNLOCK_PROMPT, BACK)
    wait_until(lambda: alice.show()["runs_on"] == notes_of_its_lock(host), BACK, "nobody is missing any more")
    assert alice.show()["uncovered"] == []
    assert still(count) == stood
    unlock(alice)
    wait_until(lambda: count() not in ("", stood), 5, "the loop goes on")
    alice.screen.key("ctrl-c")
    alice.screen.wait_for(SHELL)
    assert alice.answers()
    assert "got a key" not in alice.screen.said() and not alice.exists("/tmp/away")
    assert not alice.told("unlock-failed") and len(alice.told("session-locked")) == 1


def test_who_locks_meanwhile_is_told_that_nobody_asks_there_and_may_unlock(host, alice):
    with away(host):
        asked = host.vigilctl("lock", alice.id, check=False)
        assert asked.returncode == 1 and "held, but nobody asks there: there is no system bus" in asked.stderr
        assert alice.state() == "locked" and alice.frozen()
        assert any(one.startswith("held, but nobody asks there") for one in alice.show()["runs_on"])
        host.vigilctl("unlock", alice.id, "--reason", "there is no broker")
        assert alice.state() == "active" and alice.answers()
    assert not prompts(host) and alice.state() == "active"
    alice.lock()
    unlock(alice)
    assert alice.answers()


def test_a_prompt_that_is_killed_meanwhile_comes_back_and_takes_the_password(host, alice, trouble):
    alice.lock()
    with trouble(host):
        heard = alice.screen.mark()
        host.run("kill", "-9", *prompts(host))
        alice.screen.wait_to_hear("Password", since=heard)
        assert alice.frozen()
        unlock(alice)
        assert alice.answers()
        wait_until(lambda: not prompts(host), 10, "nobody asks any more")
    alice.lock()
    unlock(alice)
    assert alice.answers()


def test_a_broker_that_is_restarted_at_the_moment_of_a_lock_costs_no_second_try(host, alice):
    for _ in range(5):
        host.run(f"systemctl restart dbus.service & vigilctl lock {alice.id}; wait", check=False)
        its_back(host)
        host.vigilctl("lock", alice.id)  # where the broker took the first one with it
        wait_until(lambda: alice.state() == "locked" and alice.frozen(), 10, "it is held")
        alice.screen.wait_for(UNLOCK_PROMPT, BACK)
        unlock(alice)
        assert alice.answers()
    assert not alice.told("unlock-failed")
