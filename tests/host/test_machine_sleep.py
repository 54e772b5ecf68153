"""A machine that is suspended, or comes up again, with sessions that are or should be locked."""

import subprocess
import time

import pytest
from conftest import new_host
from logins import UNLOCK_PROMPT, Login, unlock
from policies import limits
from seat import Seat, is_asleep, nothing_stalled, wakes
from vigilhost import wait_until

TOLD = "locked: the machine was put to sleep"


@pytest.fixture
def host(request):
    """One for each test: QEMU's machine that has slept once wakes up at once from then on."""
    with new_host(request, "host") as host:
        host.install()
        yield host


@pytest.fixture(autouse=True)
def cleanly(nobody_stays):
    yield


def sleeps(host):
    host.run("systemctl --no-block suspend; true", check=False)
    is_asleep(host)


def the_locks_time_goes_by():
    """Its clock goes on while it sleeps; only this machine's can tell."""
    end = time.monotonic() + 25
    wait_until(lambda: time.monotonic() > end, 30, "time goes by")


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


def begins_cat(host):
    alice = Login(host, "alice")
    alice.type("cat >typed\r")
    wait_until(lambda: alice.exists("/home/alice/typed"), 10, "cat waits for a line")
    return alice


def cat_reads_what_is_typed_now(host, alice):
    # What was typed ahead of the prompt it drops; what comes in one piece with that, as a paste.
    wait_until(lambda: is_refused(alice, "an answer\r"), 60, "the prompt judges what is typed at it")
    assert alice.state() == "locked" and alice.frozen()
    host.vigilctl("unlock", alice.id, "--reason", "awake")
    alice.screen.wait_for("cat >typed", 20)
    alice.type("this line\r\x04")
    wait_until(lambda: host.read("/home/alice/typed") == "this line\n", 10, "cat read this line and no other")
    assert alice.answers()


def test_a_session_is_locked_before_the_machine_sleeps(host):
    limits(host, idle_lock="10m", unlock="[password]")
    alice = begins_cat(host)
    sleeps(host)
    alice.type("rm -rf typed\r")
    wakes(host)
    alice.screen.wait_for(UNLOCK_PROMPT, 40)
    assert TOLD in alice.told("session-locked")[0]
    cat_reads_what_is_typed_now(host, alice)


def begins_cat_at_console(host):
    """The seat, and the session there: whatever line comes to its program is in a file at once."""
    seat = Seat(host)
    alice = seat.logs_in_unseen("alice", 1)
    # What is typed before its shell asks may be dropped: readline takes each key, where login(1) took lines.
    wait_until(lambda: "-icanon" in host.run("stty", "-a", "-F", "/dev/tty1").stdout.split(), 60, "the shell asks")
    seat.types("cat >keys\n")
    wait_until(lambda: host.run("test", "-e", "/home/alice/keys", check=False).returncode == 0, 20, "cat waits for a line")
    return seat, alice


def who_types_on_is_heard_by_the_prompt_alone(host, seat, alice):
    """Keys that are pressed while the machine wakes may be lost; none comes to the program, also once it is open."""
    wait_until(lambda: seat.types("key\n") or alice.told("unlock-failed"), 60, "they were a wrong answer")
    assert host.read("/home/alice/keys") == ""
    seat.opens_it_after_a_sleep(alice, 1)
    seat.press("ctrl-d")
    seat.types("touch /tmp/opened\n")
    wait_until(lambda: host.run("test", "-e", "/tmp/opened", check=False).returncode == 0, 20, "keys are the shell's again")
    assert host.read("/home/alice/keys") == ""
    alice.terminate(30)


def test_keys_pressed_at_a_sleeping_console_run_nothing(host):
    limits(host, idle_lock="10m", unlock="[password]")
    seat, alice = begins_cat_at_console(host)
    sleeps(host)
    # No more than a keyboard keeps until it is asked.
    seat.types("key\n")
    wakes(host)
    seat.types("key\n")
    assert alice.state() == "locked"
    assert TOLD in alice.told("session-locked")[0]
    who_types_on_is_heard_by_the_prompt_alone(host, seat, alice)


def test_what_is_typed_after_a_sleep_that_was_not_locked_does_not_come_to_the_program(host):
    limits(host, idle_lock="20s", lock_on_sleep="no", unlock="[password]")
    alice = begins_cat(host)
    sleeps(host)
    the_locks_time_goes_by()
    alice.type("rm -rf typed\r")
    wakes(host)
    alice.screen.wait_for(UNLOCK_PROMPT, 40)
    assert TOLD not in alice.told("session-locked")[0]
    cat_reads_what_is_typed_now(host, alice)


def test_a_lock_that_comes_due_in_a_sleep_is_made_at_the_console_as_it_wakes(host):
    """A key may be faster, as vigil-policy(5) says of `lock_on_sleep: no`."""
    limits(host, idle_lock="20s", lock_on_sleep="no", unlock="[password]")
    seat, alice = begins_cat_at_console(host)
    sleeps(host)
    the_locks_time_goes_by()
    seat.machine.monitor("system_wakeup")
    wait_until(lambda: alice.state() == "locked", 60, "it is locked")
    assert TOLD not in alice.told("session-locked")[0]
    wait_until(lambda: seat.front() != 1, 20, "the lock console is in front")
    who_types_on_is_heard_by_the_prompt_alone(host, seat, alice)


def test_nothing_is_left_of_a_lock_after_a_reboot(host):
    limits(host, unlock="[password]")
    alice = Login(host, "alice")
    alice.lock()
    before, since = boot_id(host), host.journal_cursor()
    host.run("systemctl --no-block reboot; true", check=False)
    wait_until(lambda: boot_id(host) not in ("", before), 180, "it comes up again")
    wait_until(host.vigild_is_ready, 60, "vigild runs")
    nothing_stalled(host, since)
    assert host.vigil_sessions() == []
    assert not host.run("find", "/sys/fs/cgroup", "-name", "vigil-lock").stdout
    alice = Login(host, "alice")
    assert alice.answers()
    alice.lock()
    unlock(alice)
    assert alice.answers()
