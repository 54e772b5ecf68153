"""The limits in time, each with a policy of seconds: what comes when, and what puts it off."""

import datetime
import re
import statistics
import time

import pytest
from logins import LOCK_SCREEN, UNLOCK_PROMPT, Login, unlock
from loops import ticks_on
from policies import limits
from sessions import Session
from vigilhost import wait_until

# What vigil may be late by against the true last input, and a key seen at rest is: a second.
ASKED = 1
# While somebody types it looks once a second: the second is used up, and the machine that runs the tests is busy.
LATE = ASKED + 0.5
# How late a thing may be seen over ssh.
SEEN = 2
pytestmark = pytest.mark.usefixtures("nobody_stays")


def after(login):
    """Seconds since the last key."""
    return time.monotonic() - login.screen.last_input


def times(host, login, event):
    """When vigild did it, by the journal: what ssh and the screen take is not in there."""
    records = host.journal(VIGIL_SESSION=login.id, VIGIL_EVENT=event)
    return [int(one["_SOURCE_REALTIME_TIMESTAMP"]) / 1e6 for one in records]


def late(host, login, event, limit):
    """By how much the last such event came after the limit was over since the last key; never less than 0."""
    last_key = time.time() - after(login)
    behind = times(host, login, event)[-1] - last_key - limit
    assert behind >= 0, f"{event} was {-behind:.3f} s early"
    return behind


def rest(login):
    """So that the next key is not one of many: it is seen when it is pressed."""
    wait_until(lambda: after(login) > 1.2, 2, "a second without a key")


def since(host, **wanted):
    text = host.vigil_sessions(**wanted)[0]["since"]
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


# Idle


def test_a_key_after_the_warning_puts_the_lock_off(host):
    limits(host, idle_lock="4s", idle_warn="2s")
    alice = Login(host, "alice")
    alice.answers()
    alice.screen.wait_to_hear(r"vigil: .*locked in 2 s unless you press a key", 4)
    assert late(host, alice, "session-warned", 2) <= LATE
    alice.type(" ")
    alice.screen.wait_for(UNLOCK_PROMPT, 8)
    # The look for the warning was a moment ago, and the next is a second later.
    assert late(host, alice, "session-locked", 4) <= LATE
    unlock(alice)
    # The unlock was input: no lock at once.
    assert alice.answers()


def test_a_lock_is_never_early_and_at_most_a_second_late(host):
    limits(host, idle_lock="2s")
    alice = Login(host, "alice")
    for _ in range(3):
        alice.answers()
        rest(alice)
        alice.type(" ")
        alice.screen.wait_for(UNLOCK_PROMPT, 6)
        assert late(host, alice, "session-locked", 2) <= ASKED
        unlock(alice)


def test_output_alone_does_not_put_the_lock_off(host):
    limits(host, idle_lock="3s")
    alice = Login(host, "alice")
    alice.type("while sleep 0.2; do echo working; done\r")
    alice.screen.wait_for(UNLOCK_PROMPT, 6)
    assert late(host, alice, "session-locked", 3) <= LATE
    unlock(alice)


def test_the_warning_tells_of_the_lock_once(host):
    limits(host, idle_lock="4s", idle_warn="2s")
    alice = Login(host, "alice")
    alice.screen.wait_for(UNLOCK_PROMPT, 8)
    assert alice.screen.said().count("locked in") == 1
    unlock(alice)


def test_an_idle_session_is_ended_with_the_reason_on_its_screen(host):
    limits(host, idle_terminate="3s", idle_warn="1s")
    alice = Login(host, "alice")
    alice.answers()
    alice.screen.wait_to_hear("This session ends in 1 s unless you press a key", 5)
    alice.screen.wait_closed(3 + SEEN)
    assert late(host, alice, "session-ending", 3) <= LATE
    assert re.search(r"vigil: This session ends now: .*idle", alice.screen.said())
    wait_until(lambda: alice.state() == "gone", 5, "it is gone")


def test_output_puts_the_end_of_an_idle_session_off(host):
    limits(host, idle_terminate="3s")
    alice = Login(host, "alice")
    alice.type("for n in 1 2 3 4 5; do sleep 1; echo working; done\r")
    started = time.monotonic()
    alice.screen.wait_closed(14)
    assert 8 <= time.monotonic() - started <= 8 + SEEN


def test_a_locked_session_that_stays_idle_is_ended(host):
    limits(host, idle_lock="2s", idle_terminate="5s")
    alice = Login(host, "alice")
    alice.answers()
    alice.screen.wait_for(UNLOCK_PROMPT, 5)
    scope = alice.scope()
    alice.screen.wait_closed(6)
    assert late(host, alice, "session-ending", 5) <= LATE
    wait_until(lambda: not alice.exists(scope), 5, "nothing is left of it")


def test_a_session_that_is_locked_by_hand_is_idle_since_its_last_key_and_not_since_the_last_look_at_it(host):
    limits(host, idle_terminate="6s")
    alice = Login(host, "alice")
    begin = time.monotonic()
    wait_until(lambda: time.monotonic() > begin + 3, 4, "half of the time")
    alice.answers()
    alice.lock()
    alice.screen.wait_closed(6 + SEEN)
    assert late(host, alice, "session-ending", 6) <= LATE


# The end


def test_warnings_before_the_end_come_at_their_times(host):
    limits(host, max_duration="7s", warn_before_end="[5s, 2s]")
    alice = Login(host, "alice")
    began = since(host, id=alice.id)
    for left in (5, 2):
        alice.screen.wait_to_hear(rf"vigil: This session ends in {left} s, at its limit of 7 s\. Save your work", 6)
        assert 7 - left <= time.time() - began <= 7 - left + SEEN
    alice.screen.wait_closed(5)
    assert 7 <= time.time() - began <= 7 + SEEN
    assert "vigil: This session ends now: it reached its limit of 7 s." in alice.screen.said()


def test_what_is_due_begins_within_50_ms(host):
    limits(host, max_duration="7s", warn_before_end="[6s, 5s, 4s, 3s, 2s, 1s]")
    before = time.time()
    alice = Login(host, "alice")
    began = times(host, alice, "session-opened")[0]
    alice.screen.wait_closed(7 + SEEN)
    done = times(host, alice, "session-warned") + times(host, alice, "session-ending")
    assert len(done) == 7, alice.screen.said()
    assert all(at >= before + due for due, at in enumerate(done, 1)), "something was early"
    # Most of them: a busy machine may keep vigild from its turn now and then.
    late_by = [at - began - due for due, at in enumerate(done, 1)]
    assert statistics.median(late_by) <= 0.05, late_by


def test_programs_that_ignore_every_signal_end_with_the_session(host):
    limits(host, max_duration="3s")
    alice = Login(host, "alice")
    scope = alice.scope()
    alice.type("trap '' TERM HUP INT; (trap '' TERM HUP; setsid sleep 4321) & sleep 4321\r")
    alice.screen.wait_closed(3 + 2 + SEEN + 2)
    wait_until(lambda: not alice.exists(scope), 5, "the scope is gone")
    assert not host.run("pgrep", "-fx", "sleep 4321", check=False).stdout
    wait_until(lambda: alice.state() == "gone", 5, "vigil lists it no more")


def test_a_locked_session_ends_at_its_limit(host):
    limits(host, max_duration="4s")
    alice = Login(host, "alice")
    alice.lock()
    scope = alice.scope()
    alice.screen.wait_closed(4 + SEEN + 2)
    wait_until(lambda: not alice.exists(scope), 5, "nothing stays frozen")


@pytest.mark.parametrize("by", ["key", "password", "keyboard-interactive"])
def test_systemd_is_told_of_the_limit_and_a_minute(host, by):
    host.write("/etc/ssh/sshd_config.d/asking.conf", "KbdInteractiveAuthentication yes\n")
    host.run("systemctl", "reload", "ssh.service")
    limits(host, max_duration="50s")
    alice = Login(host, "alice", by=by)
    name = alice.scope().rpartition("/")[2]
    shown = host.run("systemctl", "show", "--property=RuntimeMaxUSec", "--value", name).stdout.strip()
    assert shown == "1min 50s"


def monotonic(record):
    """Of a record in the journal: somebody may set the clock in the minute that a test takes."""
    return int(record["__MONOTONIC_TIMESTAMP"]) / 1e6


def test_systemd_ends_it_a_minute_later_if_vigild_cannot(host):
    limits(host, max_duration="5s")
    alice = Login(host, "alice")
    host.run("systemctl", "stop", "vigild.socket", "vigild.service")
    try:
        scope = alice.scope_of(alice.listed["logind_session"])
        alice.type("setsid sleep 4323 & nohup sleep 4324 & sleep 4325\r")
        wait_until(lambda: len(host.run("pgrep", "-fx", "sleep 432[345]", check=False).stdout.split()) == 3, 5,
                   "the programs run")
        alice.screen.wait_closed(5 + 60 + SEEN + 5)
        wait_until(lambda: not alice.exists(scope), 5, "the scope is gone")
        assert not host.run("pgrep", "-fx", "sleep 432[345]", check=False).stdout
        said = host.journal(_PID="1", UNIT=scope.rpartition("/")[2])
        began, over = said[0], next(one for one in said if "time limit" in one["MESSAGE"])
        assert 65 <= monotonic(over) - monotonic(began) + 0.1 <= 65 + SEEN, said
        assert not [one for one in host.sessions() if one["Name"] == "alice"]
    finally:
        host.run("systemctl", "start", "vigild.socket", "vigild.service")
    assert alice.state() == "gone"


# Each with a client's options, and what is asked for.
WITHOUT_TERMINAL = {"command": (["-T"], ["while :; do date +%N >tick; sleep 0.1; done"]), "no command": (["-N"], []),
                    "sftp": (["-s"], ["sftp"])}


@pytest.mark.parametrize("kind", WITHOUT_TERMINAL)
def test_a_session_without_a_terminal_is_never_locked(host, kind):
    """Neither idleness, nor a sleep, nor anybody does it; what is told then depends on whether he meant it."""
    limits(host, idle_lock="1s")
    options, command = WITHOUT_TERMINAL[kind]
    one = Session(host, "alice")
    client = one.begin(lambda: host.ssh("alice", *options, command=command))
    began = time.monotonic()
    bob = Login(host, "bob")
    wait_until(lambda: time.monotonic() - began > 3, 4, "three times the lock's time goes by")
    refused = host.vigilctl("lock", one.id, "--reason", "a test", check=False)
    assert refused.returncode == 1 and "no terminal" in refused.stderr
    for which in (["--user", "alice"], ["--all"]):
        done = host.vigilctl("lock", *which)
        assert f"left {one.id[:8]} of alice, which has no terminal\n" in done.stdout
    assert bob.state() == "locked" and f"locked {bob.id[:8]} of bob\n" in done.stdout
    host.run("systemctl", "start", "vigil-sleep.service")
    wait_until(lambda: one.state() == "active", 5, "it is as before")
    assert not one.told("session-locked") and not host.run("find", one.scope(), "-name", "vigil-*").stdout
    assert not client.ended and (kind != "command" or ticks_on(host, 3))


def test_a_session_without_a_terminal_is_never_idle_and_ends_at_its_limit(host):
    limits(host, idle_lock="1s", idle_terminate="2s", max_duration="5s")
    started = time.monotonic()
    done = host.ssh_run("alice", "sleep 60")
    took = time.monotonic() - started
    assert done.returncode != 0
    assert 5 <= took <= 5 + SEEN
    records = [one["MESSAGE"] for one in host.journal() if one.get("VIGIL_USER") == "alice"]
    assert "limit of 5 s" in records[-2] + records[-1]


# Deaths


def test_a_restart_keeps_the_start_the_limits_and_the_time_of_the_lock(host):
    limits(host, idle_lock="6s", max_duration="30m")
    alice = Login(host, "alice")
    alice.answers()
    before = alice.now()
    host.restart_vigild()
    host.kill_vigild()
    now = alice.now()
    for field in ("id", "since", "limits", "rule", "user", "leader_pid", "terminals"):
        assert now[field] == before[field], field
    alice.screen.wait_for(UNLOCK_PROMPT, 10)
    assert late(host, alice, "session-locked", 6) <= LATE, "PID 1 keeps who was watched"
    locked_since = alice.now()["locked_since"]
    host.restart_vigild()
    assert alice.state() == "locked" and alice.now()["locked_since"] == locked_since
    unlock(alice)


def test_a_vigild_that_hangs_is_killed_and_its_successor_knows_the_same_sessions(host):
    limits(host, max_duration="30m")
    drop_in = "/etc/systemd/system/vigild.service.d/tests.conf"
    host.write(drop_in, "[Service]\nWatchdogSec=2s\n")
    try:
        host.run("systemctl daemon-reload && systemctl restart vigild.service")
        alice, bob = Login(host, "alice"), Login(host, "bob")
        bob.lock()
        fields = ("id", "user", "leader_pid", "logind_session", "since", "state", "locked_since", "rule", "limits")

        def listed():
            return sorted([one[name] for name in fields] for one in host.vigil_sessions())
        before, pid, cursor = listed(), host.vigild_pid(), host.journal_cursor()
        assert len(before) == 2
        host.run("kill", "-STOP", str(pid))
        wait_until(lambda: host.vigild_pid() not in (0, pid) and host.vigild_is_ready(), 10, "PID 1 starts it again")
        assert [one for one in host.journal(since=cursor, _PID="1", UNIT="vigild.service")
                if "Watchdog timeout" in one["MESSAGE"]]
        assert listed() == before
        assert alice.answers() and bob.frozen()
        unlock(bob)
        # It is not killed again and again while it is well.
        pid, resting = host.vigild_pid(), time.monotonic()
        wait_until(lambda: time.monotonic() - resting > 5, 6, "two watchdogs' time")
        assert host.vigild_pid() == pid
    finally:
        host.run(f"rm {drop_in} && systemctl daemon-reload && systemctl restart vigild.service")


def test_a_login_of_a_time_without_vigild_is_adopted_and_locked(host):
    limits(host, idle_lock="5s")
    host.run("systemctl stop vigild.socket vigild.service; rm -f /run/vigil/state.db*")
    screen = host.login("alice")
    started = time.time()
    host.run("systemctl", "start", "vigild.socket", "vigild.service")
    listed = wait_until(lambda: host.vigil_sessions(user="alice"), 5, "vigil lists it")
    assert len(listed) == 1 and listed[0]["limits"]["idle_lock"] == 5
    assert abs(since(host, user="alice") - started) <= 2
    screen.wait_for(UNLOCK_PROMPT, 5 + 8 + SEEN)
    assert time.monotonic() - screen.last_input >= 5
    screen.wait_for(LOCK_SCREEN)


def test_a_session_known_before_the_state_was_lost_has_the_same_start(host):
    limits(host, max_duration="30m")
    alice = Login(host, "alice")
    before = since(host, id=alice.id)
    host.run("systemctl stop vigild.socket vigild.service; rm -f /run/vigil/state.db*")
    host.run("systemctl", "start", "vigild.socket", "vigild.service")
    listed = wait_until(lambda: host.vigil_sessions(user="alice"), 5, "vigil lists it")
    assert len(listed) == 1
    assert abs(since(host, user="alice") - before) <= 2


def test_a_logout_is_forgotten(host):
    limits(host, max_duration="30m")
    alice = Login(host, "alice")
    alice.type("exit\r")
    alice.screen.wait_closed(5)
    wait_until(lambda: alice.state() == "gone", 3, "it is gone")


def test_vigild_sleeps_while_nothing_is_due(host):
    limits(host, idle_lock="10m", idle_warn="1m", idle_terminate="1h", max_duration="8h", warn_before_end="[15m]")
    alice = Login(host, "alice")
    alice.answers()
    pid = host.vigild_pid()

    def switches():
        status = host.run("grep", "ctxt_switches", f"/proc/{pid}/status").stdout
        return [int(number) for number in re.findall(r"\d+", status)]

    def rests_for_5_s():
        before, end = switches(), time.monotonic() + 5
        wait_until(lambda: time.monotonic() > end, 6, "5 s")
        return switches() == before

    # The key just pressed is followed for a moment.
    wait_until(rests_for_5_s, 12, "5 s without a wakeup")
