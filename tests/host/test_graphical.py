"""Graphical sessions: real logind sessions of type wayland, whose desktop answers to logind or does not."""

import itertools

import pytest
from vigilhost import SOURCE, wait_until

POLICY = """\
version: 1
mode: enforce
sessions:
  - name: ended if the desktop does not lock
    match: {users: [bob], classes: [graphical]}
    incomplete_lock: end
  - name: desktops
    match: {classes: [graphical]}
    idle_lock: IDLE
"""
NUMBERS = itertools.count(1)
SILENCE = "its desktop did not answer within 10 s"


@pytest.fixture(scope="module", autouse=True)
def tool(host):
    host.put(SOURCE / "build/tests/host/tools/desktop", "/usr/local/bin/desktop")
    host.write("/etc/pam.d/desktop", "auth required pam_permit.so\n@include common-account\n@include common-session\n")


@pytest.fixture(autouse=True)
def cleanly(host):
    host.policy(POLICY.replace("IDLE", "never"))
    yield
    host.run("systemctl stop 'desktop-*.service'", check=False)
    wait_until(lambda: not host.vigil_sessions(), 15, "vigil lists no session any more")


class Desktop:
    def __init__(self, host, user, manner="obeys"):
        self.host, self.user = host, user
        self.unit = f"desktop-{next(NUMBERS)}"
        host.run("systemd-run", "--quiet", "--collect", f"--unit={self.unit}",
                 f"--property=StandardOutput=file:/run/{self.unit}", "/usr/local/bin/desktop", user, manner)
        listed = wait_until(lambda: [one for one in host.vigil_sessions(user=user) if one["desktop"]], 20,
                            "vigil lists the desktop")
        self.id = listed[0]["id"]
        self.logind = listed[0]["logind_session"]
        # It listens once it has said its name.
        wait_until(lambda: self.logind in host.read(f"/run/{self.unit}").split(), 10,
                   "it listens")

    def show(self):
        return self.host.vigilctl("show", self.id, "--json")

    def state(self):
        return next((one["state"] for one in self.host.vigil_sessions(id=self.id)), "gone")

    def hint(self):
        return self.host.run("loginctl", "show-session", self.logind, "-p", "LockedHint", "--value").stdout.strip()

    def says(self, method, value):
        """What its user does there, as the desktop tells logind."""
        path = self.host.run("busctl", "call", "org.freedesktop.login1", "/org/freedesktop/login1",
                             "org.freedesktop.login1.Manager", "GetSession", "s", self.logind).stdout.split('"')[1]
        self.host.run("busctl", "call", "org.freedesktop.login1", path, "org.freedesktop.login1.Session", method, "b", value)

    def told(self, event):
        return [one["MESSAGE"].rpartition(" [")[0] for one in
                self.host.journal(VIGIL_SESSION=self.id, VIGIL_EVENT=event)]


def test_a_lock_is_logind_s_and_the_desktop_s_hint_is_the_answer(host):
    desktop = Desktop(host, "alice")
    assert host.run("loginctl", "show-session", desktop.logind, "-p", "Type", "--value").stdout.strip() == "wayland"
    assert desktop.show()["desktop"] == "unlocked"
    host.vigilctl("lock", desktop.id, "--reason", "end of shift")
    shown = desktop.show()
    assert (desktop.hint(), shown["state"], shown["desktop"]) == ("yes", "locked", "locked")
    assert shown["locked_by"] == "by root: end of shift" and shown["uncovered"] == []
    host.vigilctl("unlock", desktop.id, "--reason", "she forgot her password")
    assert (desktop.hint(), desktop.state()) == ("no", "active")
    assert desktop.told("session-unlocked") == ["alice: unlocked by root: she forgot her password"]


def test_its_own_authentication_unlocks_it(host):
    desktop = Desktop(host, "alice")
    host.vigilctl("lock", desktop.id)
    desktop.says("SetLockedHint", "false")
    wait_until(lambda: desktop.state() == "active", 5, "vigil hears of it")
    assert desktop.told("session-unlocked") == ["alice: unlocked by its desktop"]


def test_a_user_s_own_lock_is_shown(host):
    desktop = Desktop(host, "alice")
    desktop.says("SetLockedHint", "true")
    wait_until(lambda: desktop.show()["desktop"] == "locked", 5, "it is shown")
    assert desktop.state() == "active"
    # Locked by vigil too, it is in force at once.
    host.vigilctl("lock", desktop.id)
    assert desktop.state() == "locked"
    desktop.says("SetLockedHint", "false")
    wait_until(lambda: desktop.state() == "active", 5, "and opened by its user")


def test_a_desktop_that_does_not_answer_is_noted_and_not_called_locked(host):
    desktop = Desktop(host, "alice", "ignores")
    done = host.vigilctl("lock", desktop.id, check=False)
    assert done.returncode == 1 and f"It is not locked: {SILENCE}." in done.stderr
    shown = desktop.show()
    assert (shown["state"], shown["uncovered"]) == ("active", [f"not locked: {SILENCE}"])
    assert desktop.told("lock-failed") == [f"alice: not locked: {SILENCE}"]
    # A late answer puts that right.
    desktop.says("SetLockedHint", "true")
    wait_until(lambda: desktop.show()["uncovered"] == [], 5, "what is not true any more is not shown")


def test_a_desktop_that_does_not_answer_is_ended_where_the_policy_says_so(host):
    desktop = Desktop(host, "bob", "ignores")
    host.vigilctl("lock", desktop.id, check=False)
    wait_until(lambda: desktop.state() == "gone", 15, "it is ended")
    assert desktop.told("session-ending") == [f"bob: ended: it could not be locked wholly: not locked: {SILENCE}"]


def test_it_is_locked_when_it_says_that_nobody_was_there(host):
    desktop = Desktop(host, "alice")
    host.policy(POLICY.replace("IDLE", "3s"))
    # As long as somebody is there it stays open.
    assert desktop.show()["next"]["action"] == "lock"
    before = desktop.show()["next"]["at"]
    wait_until(lambda: desktop.show()["next"]["at"] > before, 15, "the lock is put off")
    assert desktop.state() == "active"
    desktop.says("SetIdleHint", "true")
    wait_until(lambda: desktop.state() == "locked", 20, "it is locked")
    assert desktop.hint() == "yes" and desktop.show()["locked_by"] == "idle for 3 s"


def test_a_lock_outlives_vigild_and_so_does_its_end(host):
    desktop = Desktop(host, "alice")
    host.vigilctl("lock", desktop.id)
    host.kill_vigild()
    assert (desktop.state(), desktop.hint()) == ("locked", "yes")
    # Its user came back while nobody watched.
    host.run("systemctl mask vigild.service && systemctl stop vigild.service")
    desktop.says("SetLockedHint", "false")
    host.run("systemctl unmask vigild.service && systemctl start vigild.service")
    wait_until(lambda: desktop.state() == "active", 10, "vigild reads it from the hint")
    assert desktop.told("session-unlocked") == ["alice: unlocked by its desktop"]
