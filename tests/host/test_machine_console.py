"""The lock at virtual consoles with a real keyboard and a real screen: what the kernel's keyboard does by itself."""

import time

import pytest
from policies import until_somebody_locks
from seat import DARK, Seat, is_asleep, nothing_stalled, wakes
from vigilhost import wait_until

# Alice fills her screen with light: what else is to be seen while she is locked is dark, as the lock screen is.
BRIGHT = 200_000
LIGHT = "clear; tput rev; yes '' | head -n 23 | sed 's/$/                                                                               /'"


@pytest.fixture(scope="module", autouse=True)
def policy(host):
    host.policy(until_somebody_locks("password, totp"))
    # Also what Debian leaves out: nothing of it may get past the lock.
    host.run("sysctl", "--quiet", "kernel.sysrq=1")
    host.write("/usr/local/bin/counts", "#!/bin/sh\nwhile :; do date +%s%N >/tmp/now; sleep 0.1; done\n", "0755")
    host.write("/usr/local/bin/light", f"#!/bin/sh\n{LIGHT}\ntput sgr0\n", "0755")


@pytest.fixture
def seat(host):
    return Seat(host)


@pytest.fixture
def alice(host, seat):
    """At tty1, with her light on; her session."""
    session = seat.logs_in("alice", 1)
    seat.types("light\n")
    wait_until(lambda: seat.light() > BRIGHT, 20, "her screen is full of light")
    yield session
    session.terminate(30)
    seat.comes_to_front(1)


def lock(host, seat, session):
    host.vigilctl("lock", session.id, "--reason", "a test")
    wait_until(lambda: seat.light() < DARK, 10, "the light is out")
    seat.reads("Password")
    return seat.front()


def unlock(host, seat, session):
    seat.reads("Password")
    seat.types("alice-pass-1\n")
    wait_until(lambda: session.state() == "active", 30, "the password unlocks, the first time")
    seat.comes_to_front(1)
    wait_until(lambda: seat.light() > BRIGHT, 20, "the light is on")
    seat.answers()


def test_what_she_left_goes_on_and_a_wrong_answer_is_told(host, seat, alice, pytestconfig):
    folder = pytestconfig.getoption("--pictures")
    shot = lambda name: folder and host.inner.shot(f"{folder}/{name}.png")  # noqa: E731
    seat.types("counts\n")
    reads = lambda: host.run("cat", "/tmp/now", check=False).stdout  # noqa: E731
    before = wait_until(reads, 10, "it counts")
    lock(host, seat, alice)
    shot("lock-console")
    wait_until(lambda: reads() not in ("", before), 10, "it goes on behind the lock")
    seat.types("not it\n")
    seat.reads(r"Wrong\. Next try in 1 s\.")
    shot("lock-console-wrong")
    seat.reads(r"^\s*Password:\s*$")
    seat.types("alice-pass-1\n")
    wait_until(lambda: alice.state() == "active", 30, "the password unlocks")
    seat.comes_to_front(1)
    seat.press("ctrl-c")
    seat.answers()


def test_no_key_for_switching_leads_away(host, seat, alice):
    lock_console = lock(host, seat, alice)
    for keys in ("ctrl-alt-f1", "ctrl-alt-f2", "ctrl-alt-f12", "alt-f1", "alt-left", "alt-right", "print"):
        seat.stays_dark_and_at(lock_console, keys)
    seat.stays_dark_and_at(lock_console, "ctrl-c", "ctrl-z", "ctrl-backslash", "ctrl-s", "ctrl-alt-pause", "shift-pgup")
    unlock(host, seat, alice)
    for number in (2, 1):
        seat.press(f"ctrl-alt-f{number}")
        seat.comes_to_front(number)


def test_the_magic_keys_open_nothing(host, seat, alice):
    lock_console = lock(host, seat, alice)
    unit = f"vigil-lock-{alice.id}-tty1.service"
    prompt = lambda: int(host.run("systemctl", "show", "--property=MainPID", "--value", unit).stdout)  # noqa: E731
    before, vigild = prompt(), host.vigild_pid()
    # k kills whoever has the console open, r gives it a usual keyboard, v asks for another screen.
    seat.press("alt-sysrq-k")
    seat.press("ctrl-alt-f1")
    wait_until(lambda: prompt() not in (0, before), 20, "a new prompt asks")
    assert seat.front() == lock_console and host.vigild_pid() == vigild
    for key in ("alt-sysrq-r", "alt-sysrq-v"):
        seat.stays_dark_and_at(lock_console, key, "ctrl-alt-f1")
    unlock(host, seat, alice)


@pytest.mark.parametrize("key", ["e", "i", "f"], ids=["terminate", "kill", "oom-kill"])
def test_the_magic_keys_that_kill_show_nothing_and_run_nothing(host, seat, key):
    """e and i end all processes but PID 1, f the biggest one."""
    session = seat.logs_in("alice", 1)
    seat.types("light\n")
    wait_until(lambda: seat.light() > BRIGHT, 20, "her screen is full of light")
    lock(host, seat, session)
    seat.press(f"alt-sysrq-{key}")
    seat.types("touch /tmp/typed\n")

    def is_up():
        assert seat.light() < DARK
        return host.run("true", check=False).returncode == 0 and host.vigild_is_ready()
    wait_until(is_up, 60, "the machine answers again")
    state = wait_until(lambda: (now := session.state()) in ("gone", "locked") and now, 30, "it is over, or locked as before")
    assert state == "gone" or key == "f"
    if state == "locked":
        seat.reads("Password")
        host.vigilctl("terminate", session.id, "--reason", "test")
        wait_until(lambda: session.state() == "gone", 30, "it is over")
    wait_until(lambda: seat.front() == 1 or seat.press("ctrl-alt-f1"), 30, "switching is free")
    seat.is_asked_for_a_name(60)
    assert seat.light() < DARK
    assert host.run("test", "-e", "/tmp/typed", check=False).returncode == 1


def test_who_comes_by_another_console_sees_the_lock_alone(host, seat, alice):
    bob = seat.logs_in("bob", 2)
    host.vigilctl("lock", alice.id, "--reason", "a test")
    seat.answers()
    for _ in range(3):
        seat.press("ctrl-alt-f1")
        # From the first picture on: the screen was out before he came.
        end_of_look = time.monotonic() + 1
        while time.monotonic() < end_of_look:
            assert seat.light() < DARK
        seat.reads("User: alice")
        seat.press("ctrl-alt-f2")
        seat.comes_to_front(2)
    seat.answers()
    bob.terminate(30)
    seat.press("ctrl-alt-f1")
    unlock(host, seat, alice)


def test_f1_leads_to_a_login_and_the_locked_console_stays_shut_without_vigild(host, seat, alice):
    lock_console = lock(host, seat, alice)
    host.run("systemctl stop vigild.socket vigild.service && systemctl mask --runtime vigild.service")
    try:
        seat.press("x", "ret")
        seat.reads("vigild is away")
        wait_until(lambda: seat.press("f1") or seat.front() != lock_console, 20, "F1 leads to another console")
        seat.is_asked_for_a_name()
        seat.press("ctrl-alt-f1")
        seat.comes_to_front(1)
        assert seat.light() == 0
        seat.types("touch /tmp/typed\n")
        seat.press("ctrl-alt-f2")
        assert seat.light() == 0
    finally:
        host.run("systemctl unmask --runtime vigild.service && systemctl start vigild.socket vigild.service")
    seat.comes_to_front(lock_console)
    assert host.run("test", "-e", "/tmp/typed", check=False).returncode == 1
    unlock(host, seat, alice)


def test_ctrl_alt_del_ends_the_session_and_shows_nothing_of_it(host, seat):
    session = seat.logs_in("alice", 1)
    seat.types("light\n")
    wait_until(lambda: seat.light() > BRIGHT, 20, "her screen is full of light")
    lock(host, seat, session)
    boot, before = host.read("/proc/sys/kernel/random/boot_id"), host.journal_cursor()
    seat.press("ctrl-alt-delete")

    def is_new():
        assert seat.light() < DARK
        asked = host.run("cat", "/proc/sys/kernel/random/boot_id", check=False)
        return asked.returncode == 0 and asked.stdout != boot
    wait_until(is_new, 120, "the machine is there again")
    wait_until(host.vigild_is_ready, 60, "vigild runs")
    nothing_stalled(host, before)
    assert session.state() == "gone"
    seat.logs_in("alice", 1).terminate(30)
    seat.press("ctrl-alt-f2")
    seat.comes_to_front(2)


def test_a_machine_that_slept_wakes_up_at_the_lock(host, seat, alice):
    """The kernel goes to a console of its own to sleep, and would wait for ever where a program says no. QEMU's screen is
    lost with it, locked or not, so what is asked is not to be read; this test is the last."""
    lock_console = lock(host, seat, alice)
    host.run("systemd-run", "--quiet", "sh", "-c", "echo mem >/sys/power/state")
    is_asleep(host)
    wakes(host)
    seat.stays_dark_and_at(lock_console, "ctrl-alt-f1")
    seat.types("alice-pass-1\n")
    wait_until(lambda: alice.state() == "active", 30, "the password unlocks, the first time")
    seat.comes_to_front(1)
