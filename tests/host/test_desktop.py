"""A real desktop: an X server whose screen is a file, xss-lock, which logind asks, and i3lock, which covers the screen."""

import base64
import os
import struct

import pytest
import roots
from policies import until_somebody_locks
from sessions import Session
from vigilhost import PASSWORDS, Host, wait_until

# The screen is a file (Xvfb(1): -fbdir), in the format of xwd: 25 numbers, a name, colours, then rows of 32 bits a dot.
START = """\
#!/bin/sh
set -eu
rm -rf screen started && mkdir screen
Xvfb -screen 0 320x240x24 -fbdir screen -extension GLX -nolisten tcp -displayfd 3 3>screen/display &
until [ -s screen/display ]; do sleep 0.05; done
export DISPLAY=":$(cat screen/display)"
exec xss-lock -- sh -c 'touch started && exec "$@"' locker "$@"
"""
LOCKER = ["i3lock", "--nofork", "--color=2040f0"]
COVERED = b"\xf0\x40\x20"


@pytest.fixture(scope="module")
def host(request):
    option = request.config.getoption
    with Host(f"host-desktop-{os.getpid()}", option("--suite"), option("--vm"), packages=tuple(roots.DESKTOP_PACKAGES)) as host:
        host.install()
        host.write("/usr/local/bin/start-desktop", START, "0755")
        host.write("/etc/pam.d/desktop", "auth required pam_permit.so\n@include common-account\n@include common-session\n")
        host.policy(until_somebody_locks())
        yield host


@pytest.fixture(autouse=True)
def nobody_is_there(host):
    yield
    host.run("systemctl", "stop", "desktop.service", check=False)
    wait_until(lambda: not host.vigil_sessions(), 15, "vigil lists no session any more")


class Desktop(Session):
    """Alice's, begun as a display manager that asks no password begins it."""

    def __init__(self, host, *locker):
        super().__init__(host, "alice")
        self.begin(lambda: host.run(
            "systemd-run", "--quiet", "--collect", "--unit=desktop", "--property=PAMName=desktop", "--uid=alice",
            "--setenv=XDG_SESSION_TYPE=x11", "--setenv=XDG_SESSION_CLASS=user", "--working-directory=/home/alice",
            "/usr/local/bin/start-desktop", *(locker or LOCKER)), 20)
        self.logind = wait_until(lambda: self.now()["logind_session"], 20, "its session is opened")
        self.comes_up(locker)

    def comes_up(self, locker):
        """Until it listens to logind, which only a lock can show."""
        asks = lambda what: self.host.run("loginctl", what, self.logind)  # noqa: E731
        started = lambda: self.host.run("test", "-e", "/home/alice/started", check=False).returncode == 0  # noqa: E731
        wait_until(lambda: asks("lock-session") and started(), 20, "it listens")
        if not locker:
            wait_until(lambda: self.property("LockedHint") == "yes", 10, "it says that it is locked")
        asks("unlock-session")
        wait_until(lambda: self.property("LockedHint") == "no" and not self.host.pids("-x", "i3lock"), 10, "it is open")

    def property(self, name):
        return self.host.run("loginctl", "show-session", self.logind, "-p", name, "--value").stdout.strip()

    def is_covered(self):
        """Each dot at the upper and the lower edge; in the middle i3lock draws a ring for each key."""
        picture = base64.b64decode(self.host.run("base64", "--wrap=0", "/home/alice/screen/Xvfb_screen0").stdout)
        header = struct.unpack(">25I", picture[:100])
        size, width, height, line = header[0] + header[19] * 12, header[4], header[5], header[12]
        edges = [*range(height // 12), *range(height - height // 12, height)]
        rows = [picture[size + line * row:][:4 * width] for row in edges]
        return all(row[at:at + 3] == COVERED for row in rows for at in range(0, 4 * width, 4))

    def hands(self, *words):
        """Keys, for whoever has the keyboard."""
        display = self.host.read("/home/alice/screen/display").strip()
        self.host.run("setpriv", "--reuid=alice", "--regid=alice", "--init-groups", "env", f"DISPLAY=:{display}",
                      "xdotool", *words)

    def types(self, text):
        self.hands("type", text)
        self.hands("key", "Return")

    def told(self, event):
        """Without the session's id behind it."""
        return [message.rpartition(" [")[0] for message in super().told(event)]


def test_a_lock_covers_the_screen_and_her_password_alone_opens_it(host):
    desktop = Desktop(host)
    assert desktop.property("Type") == "x11" and desktop.show()["desktop"] == "unlocked"
    assert not desktop.is_covered()
    host.vigilctl("lock", desktop.id)
    # Not sooner is it said to be locked.
    assert desktop.is_covered()
    assert (desktop.property("LockedHint"), desktop.state(), desktop.show()["desktop"]) == ("yes", "locked", "locked")
    since = host.journal_cursor()
    desktop.types("wrong")
    wait_until(lambda: [one for one in host.journal(since=since) if "authentication failure" in one["MESSAGE"]], 10,
               "i3lock has asked PAM")
    assert desktop.is_covered() and desktop.state() == "locked"
    desktop.types(PASSWORDS["alice"])
    wait_until(lambda: desktop.state() == "active", 15, "vigil hears of it")
    assert not desktop.is_covered() and desktop.property("LockedHint") == "no"
    assert desktop.told("session-unlocked") == ["alice: unlocked by its desktop"]


def test_an_operator_opens_it(host):
    desktop = Desktop(host)
    host.vigilctl("lock", desktop.id)
    host.vigilctl("unlock", desktop.id, "--reason", "she forgot her password")
    assert (desktop.property("LockedHint"), desktop.state()) == ("no", "active")
    assert not desktop.is_covered()
    assert desktop.told("session-unlocked") == ["alice: unlocked by root: she forgot her password"]


def test_a_locker_that_is_killed_leaves_it_open_and_that_is_told(host):
    desktop = Desktop(host)
    host.vigilctl("lock", desktop.id)
    host.run("pkill", "-KILL", "-x", "i3lock")
    wait_until(lambda: desktop.state() == "active", 5, "vigil hears of it")
    assert not desktop.is_covered()
    assert desktop.told("session-unlocked") == ["alice: unlocked by its desktop"]


def test_a_locker_that_does_not_start_has_locked_nothing(host):
    """xss-lock says that it is locked before the locker is there, and takes that back."""
    desktop = Desktop(host, "false")
    done = host.vigilctl("lock", desktop.id, check=False)
    assert done.returncode == 1 and done.stderr.endswith("It is not locked: its desktop did not stay locked.\n")
    assert desktop.state() == "active" and not desktop.is_covered()
    assert desktop.show()["uncovered"] == ["not locked: its desktop did not stay locked"]
    assert desktop.told("lock-failed") == ["alice: not locked: its desktop did not stay locked"]
    assert not desktop.told("session-locked")


def test_a_desktop_that_hangs_is_not_called_locked_before_it_is(host):
    desktop = Desktop(host)
    host.run("pkill", "-STOP", "-x", "xss-lock")
    done = host.vigilctl("lock", desktop.id, check=False)
    assert done.returncode == 1 and "It is not locked: its desktop did not answer within 10 s." in done.stderr
    assert desktop.state() == "active" and not desktop.is_covered()
    # It has the wish still, and comes to it.
    host.run("pkill", "-CONT", "-x", "xss-lock")
    wait_until(desktop.is_covered, 10, "it is covered")
    wait_until(lambda: desktop.show()["desktop"] == "locked" and not desktop.show()["uncovered"], 5, "vigil hears of it")
