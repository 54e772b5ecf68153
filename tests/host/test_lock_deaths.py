"""The lock where something under it dies: the client, the prompt, vigild, its store."""

import pytest
from logins import LOCK_SCREEN, UNLOCK_PROMPT, Login, unlock
from loops import counts, still
from vigilhost import PASSWORDS, wait_until

pytestmark = pytest.mark.usefixtures("opened_by_codes", "nothing_stays")


def test_nothing_stays_frozen_when_the_client_goes_away(host):
    login = Login(host, "alice")
    login.type("sleep 1234 &\r")
    scope = login.scope()
    login.lock()
    login.close()
    wait_until(lambda: host.run("test", "-d", scope, check=False).returncode, 5, "the scope is gone")
    wait_until(lambda: not host.vigil_sessions(), 5, "vigil lists it no more")
    assert not host.pids("-fx", "sleep 1234")
    assert not host.run("systemctl list-units --all --no-legend 'vigil-lock-*'").stdout.strip()


def test_a_prompt_that_is_killed_comes_back(host, alice):
    alice.lock()
    for _ in range(2):
        heard = alice.screen.mark()
        host.run("kill", "-9", host.run("pgrep", "-x", "vigil-lock").stdout.strip())
        alice.screen.wait_to_hear("Password", since=heard)
    assert alice.frozen()
    unlock(alice)
    assert alice.answers()


def test_a_kill_of_vigild_keeps_the_lock_and_the_first_password_opens_it(host, alice):
    alice.lock()
    fields = lambda: {key: host.vigil_sessions(id=alice.id)[0][key] for key in ("locked_since", "terminals", "rule")}  # noqa: E731
    before = fields()
    host.kill_vigild()
    assert alice.state() == "locked" and alice.frozen()
    assert fields() == before
    alice.screen.wait_for(UNLOCK_PROMPT)
    unlock(alice)
    assert alice.answers()


def test_a_password_typed_while_vigild_is_away_unlocks_when_it_is_back(host, alice):
    alice.lock()
    freezer = alice.scope() + "/vigil-lock/cgroup.freeze"  # vigilctl would start vigild
    host.run("systemctl", "stop", "vigild.socket", "vigild.service")
    alice.type(PASSWORDS["alice"] + "\r")
    alice.screen.wait_for("vigild is away")
    assert host.read(freezer).strip() == "1"
    host.run("systemctl", "start", "vigild.socket", "vigild.service")
    wait_until(lambda: alice.state() == "active", 20, "the password unlocks")
    alice.screen.wait_gone(LOCK_SCREEN)
    assert alice.answers()


def test_a_lock_outlives_the_loss_of_the_store(host, alice):
    count = counts(alice, "for ((n = 0; n < 10000; n++)); do echo $n >counter; sleep 0.1; done", "counter")
    alice.lock()
    host.run("systemctl", "stop", "vigild.socket", "vigild.service")
    host.run("head -c 65536 /dev/urandom >/run/vigil/state.db; rm -f /run/vigil/state.db-*")
    host.run("systemctl", "start", "vigild.socket", "vigild.service")
    wait_until(lambda: alice.state() == "locked", 5, "it is found locked")
    alice.screen.wait_for(UNLOCK_PROMPT)
    stood = still(count)
    assert host.run("pgrep", "-c", "-x", "vigil-lock").stdout.strip() == "1"
    unlock(alice)
    wait_until(lambda: count() not in ("", stood), 3, "the loop goes on")
    alice.screen.key("ctrl-c")
    assert alice.answers()
    assert host.run("stat", "-c", "%U %a", alice.path).stdout.split() == ["alice", "620"]


def test_a_kill_at_the_moment_of_locking_leaves_it_open_or_locked_with_a_prompt(host, alice):
    seen = set()
    for milliseconds in (0, 4, 8, 11, 13, 15, 17, 20, 25, 40):
        pid = host.vigild_pid()
        host.run(f"vigilctl lock {alice.id} & sleep {milliseconds / 1000}; kill -9 {pid}; wait", check=False)
        wait_until(lambda: host.vigild_pid() not in (0, pid) and host.vigild_is_ready(), 15, "vigild is back")
        state = alice.state()
        seen.add(state)
        if state == "locked":
            alice.screen.wait_for(UNLOCK_PROMPT, 5)
            assert alice.frozen()
            unlock(alice)
        alice.screen.wait_gone(LOCK_SCREEN, 5)
        assert not alice.frozen()
        assert alice.answers()
    assert "locked" in seen, "every kill came too early to tell anything"
