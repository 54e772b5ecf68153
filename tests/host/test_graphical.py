"""Graphical sessions: real logind sessions of type wayland, whose desktop answers to logind or does not."""

import itertools

import desktops
import pytest
from desktops import Desktop
from kills import Walk, death, is_listed_as, steps_of
from vigilhost import wait_until

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
SILENCE = "its desktop did not answer within 10 s"


@pytest.fixture(scope="module", autouse=True)
def tool(host):
    desktops.put_on(host)


@pytest.fixture(autouse=True)
def cleanly(host):
    host.policy(POLICY.replace("IDLE", "never"))
    yield
    desktops.end(host)


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


# vigild killed with -9


def settled(desktop):
    """Once nothing is under way any more: what vigil says of it and what it says itself agree."""
    def agreed():
        seen = desktop.state(), desktop.hint()
        return seen[0] if seen in (("locked", "yes"), ("active", "no")) else None
    return wait_until(agreed, 15, "it is one or the other")


def ways_back(host, desktop):
    """By an operator and by its user, each with its steps: what does it, whether it is done then, a step."""
    def unlocks():
        return host.run("vigilctl", "unlock", desktop.id, "--reason", "test", check=False).returncode == 0

    def opens():
        desktop.says("SetLockedHint", "false")
        return True

    def is_seen_to_open():
        before = len(desktop.told("session-unlocked"))
        opens()
        wait_until(lambda: len(desktop.told("session-unlocked")) > before, 10, "it is told")
    host.vigilctl("lock", desktop.id)
    by_operator = steps_of(host, unlocks)
    host.vigilctl("lock", desktop.id)
    by_user = steps_of(host, is_seen_to_open)
    assert {"pwrite64", "sendmsg"} <= {step.name for step in by_operator} & {step.name for step in by_user}
    return [(unlocks, step) for step in by_operator] + [(opens, step) for step in by_user]


def test_a_kill_before_any_step_of_locking_and_unlocking(host):
    desktop = Desktop(host, "alice")
    locking = steps_of(host, lambda: host.vigilctl("lock", desktop.id))
    assert {"pwrite64", "sendmsg"} <= {step.name for step in locking}
    host.vigilctl("unlock", desktop.id, "--reason", "test")
    back = ways_back(host, desktop)
    way_there, way_back = Walk(locking), Walk([step for _, step in back])
    for step, (does, step_back) in itertools.zip_longest(locking, back, fillvalue=(None, None)):
        if step[0]:
            killer = death(host, step)
            done = host.run("vigilctl", "lock", desktop.id, check=False).returncode == 0
            killed = killer.leave()
            state = settled(desktop)
            assert state == "locked" or not done, f"{step}: it was said to be locked"
            way_there.note(step, killed, state)
        host.vigilctl("lock", desktop.id)
        assert settled(desktop) == "locked", step
        if does:
            killer = death(host, step_back)
            done = does()
            wait_until(lambda it=killer: it.ended() or is_listed_as(host, desktop, "active"), 15, f"{step_back}: it is seen")
            way_back.note(step_back, killer.leave())
            state = settled(desktop)
            assert state == "active" or not done, f"{step_back}: it was opened"
        host.vigilctl("unlock", desktop.id, "--reason", "test")
        assert settled(desktop) == "active", step_back
    way_there.was_whole("pwrite64", "sendmsg", states=["active"], often="locked", in_so_many=3)
    way_back.was_whole("pwrite64", "sendmsg")


def test_a_kill_before_any_step_until_what_does_not_lock_is_ended(host):
    def is_tried(desktop):
        host.vigilctl("lock", desktop.id, check=False)

    def is_ended(desktop):
        is_tried(desktop)
        wait_until(lambda: desktop.state() == "gone", 15, "it is ended")
    steps = steps_of(host, lambda one=Desktop(host, "bob", "fails"): is_ended(one), last="MESSAGE=bob: ended")
    walk = Walk(steps)
    for step in steps:
        desktop = Desktop(host, "bob", "fails")
        killer = death(host, step)
        is_tried(desktop)
        killed = killer.leave()
        # Active where nothing was written down yet.
        state = wait_until(lambda one=desktop: (now := one.state()) in ("active", "gone") and now, 15, f"{step}: it is over")
        walk.note(step, killed, state)
        if state == "active":
            is_ended(desktop)
        assert not desktop.told("session-locked") and not desktop.told("session-unlocked"), step
        # What was to be told when it was killed is lost; that it is over is told by the next one.
        assert "could not be locked wholly" in desktop.told("session-closed")[-1], step
    walk.was_whole("pwrite64", "sendmsg", states=["active"], often="gone", in_so_many=3)


def test_what_did_not_answer_yet_is_asked_again_by_the_next_vigild_and_ended_then(host):
    desktop = Desktop(host, "bob", "ignores")
    host.run("systemd-run", "--quiet", "--collect", "vigilctl", "lock", desktop.id)
    wait_until(lambda: desktop.state() == "locked", 5, "it is asked")
    host.kill_vigild()
    wait_until(lambda: desktop.state() == "gone", 20, "it is ended")
    assert desktop.told("session-ending") == [f"bob: ended: it could not be locked wholly: not locked: {SILENCE}"]
