"""The lock where the system bus's broker is away or hangs, and where PID 1, which starts the prompts, begins anew or takes no
calls: it holds all the same, and is asked for as soon as it can be."""

import contextlib

import pytest
from logins import SHELL, UNLOCK_PROMPT, notes_of_its_lock, unlock
from loops import counts, still
from policies import limits, until_somebody_locks
from vigilhost import wait_until

pytestmark = pytest.mark.usefixtures("locked_by_hand", "nobody_stays")

# What failed is tried again after 5 s.
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
def no_way_to_pid1(host):
    """Its own socket is not there."""
    host.run("mv", "/run/systemd/private", "/run/systemd/moved")
    try:
        yield
    finally:
        host.run("mv", "/run/systemd/moved", "/run/systemd/private")


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


def begins_to_count(alice):
    return counts(alice, "for ((n = 0; ; n++)); do echo $n >count; read -t 0.05 key && echo got a ''key; done", "count")


def goes_on(alice, count, stood):
    """As if nothing had been, and no answer was typed twice."""
    wait_until(lambda: count() not in ("", stood), 5, "the loop goes on")
    alice.screen.key("ctrl-c")
    alice.screen.wait_for(SHELL)
    assert alice.answers()
    assert "got a key" not in alice.screen.said() and not alice.exists("/tmp/away")
    assert not alice.told("unlock-failed") and len(alice.told("session-locked")) == 1


def test_a_lock_that_comes_due_without_a_broker_is_asked_for_and_opened_without_it(host, alice, trouble):
    count = begins_to_count(alice)
    with trouble(host):
        limits(host, idle_lock="1s", unlock="[password]")
        alice.screen.wait_for(UNLOCK_PROMPT, 20)
        host.policy(until_somebody_locks())
        assert alice.state() == "locked" and alice.frozen() and "count" not in alice.screen.text()
        assert (alice.show()["uncovered"], alice.show()["runs_on"]) == ([], notes_of_its_lock(host))
        unlock(alice)
        goes_on(alice, count, count())
        wait_until(lambda: not prompts(host), 10, "nobody asks any more")
    alice.lock()
    unlock(alice)
    assert alice.answers()


def test_a_lock_that_nobody_can_ask_for_holds_and_is_asked_for_as_soon_as_it_can_be(host, alice):
    count = begins_to_count(alice)
    with no_way_to_pid1(host):
        asked = host.vigilctl("lock", alice.id, check=False)
        assert asked.returncode == 1 and "held, but nobody asks there: connecting to PID 1: No such file" in asked.stderr
        assert alice.state() == "locked" and alice.frozen()
        assert any(one.startswith("held, but nobody asks there") for one in alice.show()["runs_on"])
        stood = still(count)
        alice.type("touch /tmp/away\r\x03")
    alice.screen.wait_for(UNLOCK_PROMPT, BACK)
    wait_until(lambda: alice.show()["runs_on"] == notes_of_its_lock(host), BACK, "somebody asks there")
    assert still(count) == stood
    unlock(alice)
    goes_on(alice, count, stood)


def test_who_has_locked_what_nobody_can_ask_for_may_unlock_it(host, alice):
    with no_way_to_pid1(host):
        assert host.vigilctl("lock", alice.id, check=False).returncode == 1
        host.vigilctl("unlock", alice.id, "--reason", "nobody asks")
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


def connections_to_pid1(host):
    """Vigild's own, which is alone in its network."""
    shown = host.run("cat", f"/proc/{host.vigild_pid()}/net/unix").stdout.splitlines()
    return [line for line in shown if line.endswith(" /run/systemd/private")]


def test_pid1_may_begin_anew_between_two_locks_and_is_left_alone_meanwhile(host, alice):
    for _ in range(3):
        alice.lock()
        wait_until(lambda: not connections_to_pid1(host), 10, "vigild has let go of PID 1")
        unlock(alice)
        assert alice.answers()
        wait_until(lambda: not connections_to_pid1(host), 10, "vigild has let go of PID 1")
        host.run("systemctl", "daemon-reexec")
    assert not alice.told("unlock-failed")


def test_a_lock_while_pid1_begins_anew_is_asked_for(host, alice):
    for _ in range(5):
        host.run(f"systemctl daemon-reexec & vigilctl lock {alice.id}; wait", check=False)
        alice.screen.wait_for(UNLOCK_PROMPT, BACK)
        assert alice.state() == "locked" and alice.frozen()
        unlock(alice)
        assert alice.answers()
    assert not alice.told("unlock-failed")
