"""The lock where the system bus's broker is away or hangs: it holds all the same, and is asked for as soon as it can be."""

import contextlib

import pytest
from logins import MANAGER, SHELL, UNLOCK_PROMPT, notes_of_its_lock, unlock
from loops import counts, still
from policies import limits, until_somebody_locks
from vigilhost import wait_until

pytestmark = pytest.mark.usefixtures("locked_by_hand", "nobody_stays")

# Both vigild and PID 1 have to come back to the broker, and what failed is tried again after 5 s.
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
def away_and_no_way_to_pid1(host):
    """Nor is its own socket there, over which prompts are started without a broker."""
    host.restart_vigild()  # it keeps the way that it once had
    since = host.journal_cursor()
    try:
        # The service goes with its socket. systemctl itself would come over the one that is moved.
        host.run(f"mv /run/systemd/private /run/systemd/moved && {MANAGER} StopUnit ss dbus.socket replace")
        wait_until(lambda: any("the system bus is away" in str(one["MESSAGE"]) for one in host.journal(since=since)), 20,
                   "vigild knows that it is away")
        yield
    finally:
        host.run("mv", "/run/systemd/moved", "/run/systemd/private")
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


def test_a_lock_that_comes_due_without_a_broker_is_asked_for_and_opened_without_it(host, alice):
    count = begins_to_count(alice)
    with away(host):
        limits(host, idle_lock="1s", unlock="[password]")
        alice.screen.wait_for(UNLOCK_PROMPT, 20)
        host.policy(until_somebody_locks())
        assert alice.state() == "locked" and alice.frozen() and "count" not in alice.screen.text()
        assert (alice.show()["uncovered"], alice.show()["runs_on"]) == ([], notes_of_its_lock(host))
        unlock(alice)
        goes_on(alice, count, count())
    wait_until(lambda: not prompts(host), 10, "nobody asks any more")


def test_a_lock_that_comes_due_while_the_broker_hangs_holds_and_is_asked_for_afterwards(host, alice):
    count, freezer = begins_to_count(alice), alice.scope() + "/vigil-lock/cgroup.freeze"
    with hangs(host):
        limits(host, idle_lock="1s", unlock="[password]")
        wait_until(lambda: host.run("cat", freezer, check=False).stdout.strip() == "1", 20, "it is held")
        host.policy(until_somebody_locks())
        assert not prompts(host)
        stood = still(count)
        alice.type("touch /tmp/away\r\x03")
        assert host.run("stat", "-c", "%U %a", alice.path).stdout.split() == ["root", "600"]
    alice.screen.wait_for(UNLOCK_PROMPT, BACK)
    assert alice.state() == "locked" and still(count) == stood
    unlock(alice)
    goes_on(alice, count, stood)


def test_a_lock_that_nobody_can_ask_for_holds_and_is_asked_for_when_the_broker_is_back(host, alice):
    count = begins_to_count(alice)
    with away_and_no_way_to_pid1(host):
        asked = host.vigilctl("lock", alice.id, check=False)
        assert asked.returncode == 1 and "held, but nobody asks there: there is no system bus" in asked.stderr
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
    with away_and_no_way_to_pid1(host):
        assert host.vigilctl("lock", alice.id, check=False).returncode == 1
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
