"""What a lock does not hold: `show`, the journal and the policy say and decide it."""

import re

import pytest
from logins import LOCK_SCREEN, UNLOCK_PROMPT, Login, everybody_leaves, unlock
from people import person
from vigilhost import wait_until

POLICY = """\
version: 1
mode: enforce
sessions:
  - name: ended if it cannot be locked wholly
    match: {{users: [bob]}}
    incomplete_lock: {bob}
  - name: locked as far as can be
    unlock: [password]
    idle_lock: {idle}
"""
LOCK_GAPS = "lock-gaps"


def put_policy(host, bob="end", idle="never"):
    host.policy(POLICY.format(bob=bob, idle=idle))


@pytest.fixture(autouse=True)
def cleanly(host):
    put_policy(host)
    yield
    host.run("pkill", "-KILL", "-x", "sleep", check=False)
    everybody_leaves(host)


def shown(host, login):
    return host.vigilctl("show", login.id, "--json")


def told(host, login, event):
    return [one["MESSAGE"] for one in host.journal(VIGIL_SESSION=login.id, VIGIL_EVENT=event)]


def reader_of(host, login):
    """A process of another session of the same user that has the login's terminal open."""
    other = Login(host, login.user)
    other.type(f"sleep 1000 <{login.path} &\r")
    return wait_until(lambda: host.run("pgrep", "-x", "sleep", check=False).stdout.split(), 5, "sleep runs")[0]


def test_a_session_that_is_wholly_locked_shows_nothing(host):
    alice = Login(host, "alice")
    alice.lock()
    assert (shown(host, alice)["uncovered"], shown(host, alice)["runs_on"]) == ([], [])
    assert told(host, alice, LOCK_GAPS) == []
    unlock(alice)


def test_a_reader_outside_is_named_for_as_long_as_it_is_there(host):
    alice = Login(host, "alice")
    pid = reader_of(host, alice)
    alice.lock(prompt=LOCK_SCREEN)
    line = f"process {pid} (sleep) outside the session has {alice.path} open"
    wait_until(lambda: told(host, alice, LOCK_GAPS) == [f"alice: not wholly locked: {line} [{alice.id[:8]}]"], 5,
               "the journal names it")
    assert shown(host, alice)["uncovered"] == [line]
    text = host.vigilctl("show", alice.id).stdout
    assert re.search(f"^not held +{re.escape(line)}$", text, re.MULTILINE)
    host.run("kill", pid)
    wait_until(lambda: shown(host, alice)["uncovered"] == [], 5, "what is gone is not shown")
    host.vigilctl("unlock", alice.id, "--reason", "test")
    assert alice.answers()


def test_where_the_policy_says_so_it_is_ended_instead(host):
    bob = Login(host, "bob")
    pid = reader_of(host, bob)
    host.vigilctl("lock", bob.id)
    why = rf"could not be locked wholly: process {pid} \(sleep\) outside the session has {bob.path} open"
    bob.screen.wait_to_hear(why.replace(" ", r"\s+"), 10)
    bob.screen.wait_closed(10)
    wait_until(lambda: bob.state() == "gone", 10, "the session is over")
    assert re.search(why, told(host, bob, "session-ending")[0])


def test_without_a_reader_such_a_session_is_locked_as_any_other(host):
    bob = Login(host, "bob")
    bob.lock()
    assert bob.state() == "locked"
    unlock(bob)
    assert bob.answers()


def test_a_policy_loaded_under_the_lock_counts(host):
    put_policy(host, bob="lock")
    bob = Login(host, "bob")
    reader_of(host, bob)
    bob.lock(prompt=LOCK_SCREEN)
    wait_until(lambda: told(host, bob, LOCK_GAPS), 5, "vigil knows of the reader")
    put_policy(host, bob="end")
    wait_until(lambda: bob.state() == "gone", 10, "the session is over")


def test_lingering_units_are_told_and_end_nothing(host):
    host.run("loginctl", "enable-linger", "bob")
    bob = Login(host, "bob")
    bob.type("systemd-run --user --unit=backup sleep 1000; systemd-run --user --scope --unit=run-away setsid -f sleep 1000 </dev/null &>/dev/null\r")
    wait_until(lambda: len(host.run("pgrep", "-x", "sleep", check=False).stdout.split()) == 2, 10, "both run")
    try:
        bob.lock()
        assert bob.state() == "locked"
        assert shown(host, bob)["uncovered"] == []
        assert set(shown(host, bob)["runs_on"]) >= {"user unit backup.service", "user unit run-away.scope"}
        assert "runs on          user unit backup.service" in host.vigilctl("show", bob.id).stdout
        wait_until(lambda: told(host, bob, LOCK_GAPS), 5, "the journal has it")
        assert "wholly locked; beside it: " in told(host, bob, LOCK_GAPS)[0]
        host.run("pkill", "-KILL", "-x", "sleep")
        wait_until(lambda: not {"user unit backup.service", "user unit run-away.scope"} & set(shown(host, bob)["runs_on"]),
                   5, "what has ended is not shown")
        unlock(bob)
    finally:
        host.run("loginctl", "disable-linger", "bob")


def test_a_tmux_server_of_an_older_session_is_named(host):
    older, newer = Login(host, "alice"), Login(host, "alice")
    older.type("tmux -f /dev/null new -d 'exec cat'\r")
    wait_until(lambda: host.run("pgrep", "-x", "tmux: server", check=False).stdout, 5, "the server runs")
    newer.type("tmux attach\r")
    newer.screen.wait_for(r"\[0\] 0:")
    newer.lock(prompt=LOCK_SCREEN)
    wait_until(lambda: any("(tmux: server) outside the session has" in one for one in shown(host, newer)["uncovered"]), 5,
               "the server is named")
    # Its own session is held wholly: what runs behind the server is nobody's to reach.
    older.lock()
    assert shown(host, older)["uncovered"] == []
    host.run("pkill", "-KILL", "-x", "tmux: server")


def test_a_scope_that_is_not_delegated_is_told(host):
    host.run("mv /usr/lib/systemd/system/session-.scope.d/50-vigil.conf /root/ && systemctl daemon-reload")
    try:
        alice, bob = Login(host, "alice"), Login(host, "bob")
        for login in (alice, bob):
            host.vigilctl("lock", login.id, check=False)
        alice.screen.wait_for(UNLOCK_PROMPT)
        assert "its scope is not delegated" in shown(host, alice)["uncovered"][0]
        wait_until(lambda: bob.state() == "gone", 10, "bob's is ended")
        assert "its scope is not delegated" in told(host, bob, "session-ending")[0]
        unlock(alice)
    finally:
        host.run("mv /root/50-vigil.conf /usr/lib/systemd/system/session-.scope.d/ && systemctl daemon-reload")


def without_scope(host, user):
    """logind is asked to make no session for this user."""
    host.run(f"sed -i '/pam_systemd.so/i session [success=1 default=ignore] pam_succeed_if.so quiet user = {user}' "
             "/etc/pam.d/common-session")


def test_a_session_without_a_scope_never_looks_locked(host):
    carol = person(host)
    without_scope(host, carol)
    login = Login(host, carol)
    assert shown(host, login)["uncovered"] == ["logind has no session for it"]
    done = host.vigilctl("lock", login.id, check=False)
    assert done.returncode == 1 and "It cannot be locked: logind has no session for it." in done.stderr
    assert login.state() == "active" and login.answers()
    put_policy(host, idle="1s")
    wait_until(lambda: told(host, login, "lock-failed"), 30, "it is told that idleness locks nothing")
    assert login.state() == "active"
    assert LOCK_SCREEN not in login.screen.text()


def test_a_session_without_a_scope_is_ended_where_the_policy_says_so(host):
    carol = person(host)
    without_scope(host, carol)
    host.policy("version: 1\nsessions:\n  - name: all\n    incomplete_lock: end\n    idle_lock: 1s\n")
    login = Login(host, carol)
    login.screen.wait_to_hear(r"could not be locked wholly:\s+logind\s+has\s+no\s+session\s+for\s+it", 30)
    login.screen.wait_closed(15)
    wait_until(lambda: login.state() == "gone", 10, "the session is over")
