"""`vigilctl thaw --all`: the way back with no vigild, no bus and no store, and what a vigild makes of it."""

import pytest
from logins import LOCK_SCREEN, UNLOCK_PROMPT, Login, unlock
from vigilhost import wait_until

THAWED_BY_HAND = "ea85b274ce844beb972ff6a783ac3738"
pytestmark = pytest.mark.usefixtures("locked_by_hand")


@pytest.fixture(autouse=True)
def cleanly(host, nobody_stays):
    yield
    if host.run("systemctl", "is-active", "dbus.service", check=False).returncode != 0:
        # logind of systemd 257 does not find its way back to a bus that was away.
        host.run("systemctl start dbus.socket dbus.service; systemctl restart systemd-logind.service")
    host.run("systemctl unmask vigild.service; systemctl start vigild.socket vigild.service", check=False)
    wait_until(host.vigild_is_ready, 15, "vigild runs again")


def held(host):
    return host.run("find", "/sys/fs/cgroup", "-name", "vigil-lock").stdout.split()


def node(host, path):
    return host.run("stat", "-c", "%U:%G %a", path).stdout.strip()


def nothing_runs(host):
    """No vigild, none that PID 1 could start, no bus, no store."""
    host.run("systemctl mask vigild.service && systemctl stop vigild.service vigild.socket && "
             "systemctl stop dbus.socket dbus.service; rm -f /run/vigil/state.db*")
    assert host.vigild_pid() == 0


def test_without_vigild_bus_and_store_the_terminals_answer_again(host):
    alice, bob = Login(host, "alice"), Login(host, "bob")
    before = {login: (login.path, node(host, login.path)) for login in (alice, bob)}
    alice.type("vim -u NONE /tmp/notes 2>/dev/null || cat\r")
    for login in (alice, bob):
        host.vigilctl("lock", login.id)
        login.screen.wait_for(UNLOCK_PROMPT)
    nothing_runs(host)
    cursor = host.journal_cursor()
    done = host.run("vigilctl", "thaw", "--all", timeout=90)
    assert (done.returncode, done.stderr) == (0, "")
    for login in (alice, bob):
        path, mode = before[login]
        assert f"of {login.user}: " in done.stdout and path in done.stdout
        assert node(host, path) == mode
    assert held(host) == []
    bob.screen.wait_gone(LOCK_SCREEN)
    assert bob.answers()
    bob.screen.key("ctrl-c")
    alice.type("\x1b:q!\r\x03\r")
    assert alice.answers()
    told = host.journal(since=cursor, MESSAGE_ID=THAWED_BY_HAND)
    assert {one["VIGIL_USER"] for one in told} == {"alice", "bob"}
    assert all(one["PRIORITY"] == "4" and "without a proof" in one["MESSAGE"] for one in told)
    assert not host.run("systemctl", "list-units", "--no-legend", "--state=active", "vigil-lock-*").stdout.strip()
    # Once more there is nothing to do.
    again = host.run("vigilctl", "thaw", "--all")
    assert again.stdout == "Nothing is held.\n"


def test_a_vigild_that_comes_later_takes_it_for_an_operators_unlock(host, alice):
    alice.lock()
    host.run("systemctl mask vigild.service && systemctl stop vigild.service vigild.socket")
    host.run("vigilctl", "thaw", "--all", timeout=90)
    assert alice.answers()
    cursor = host.journal_cursor()
    host.run("systemctl unmask vigild.service && systemctl start vigild.socket vigild.service")
    wait_until(lambda: alice.state() == "active", 10, "vigild knows that it is unlocked")
    assert alice.answers() and held(host) == []
    assert [one["MESSAGE"] for one in host.journal(since=cursor, VIGIL_EVENT="session-unlocked")] == [
        f"alice: unlocked by root: thawed by hand [{alice.id[:8]}]"]
    # It is a lock like any other the next time, whatever is written on the scope.
    alice.lock()
    unlock(alice)


def test_while_vigild_answers_it_is_refused_but_for_force(host, alice):
    alice.lock()
    done = host.run("vigilctl", "thaw", "--all", check=False)
    assert done.returncode == 1 and "vigilctl unlock --all --reason" in done.stderr
    assert alice.frozen() and alice.state() == "locked"
    host.run("vigilctl", "thaw", "--all", "--force")
    assert alice.state() == "active"
    alice.screen.wait_gone(LOCK_SCREEN)
    assert alice.answers() and held(host) == []


def test_a_vigild_that_hangs_is_gone_around_and_does_not_lock_again(host, alice):
    alice.lock()
    pid = str(host.vigild_pid())
    host.run("kill", "-STOP", pid)
    try:
        done = host.run("vigilctl", "thaw", "--all", timeout=90)
        assert done.returncode == 0, done.stderr
        assert alice.answers()
    finally:
        host.run("kill", "-CONT", pid)
    # It finds the mark when it looks at the session again, as it does for each key.
    assert alice.answers()
    wait_until(lambda: alice.type("\r") or alice.state() == "active", 10, "vigild knows that it is unlocked")
    assert alice.answers() and held(host) == []


def test_only_root_thaws_and_only_all(host, alice):
    alice.lock()
    done = host.vigilctl("thaw", "--all", "--force", user="bob", check=False)
    assert done.returncode == 1 and "root alone" in done.stderr
    assert host.run("vigilctl", "thaw", check=False).returncode == 2
    assert alice.frozen()
    unlock(alice)


def test_a_cgroup_of_a_users_own_with_that_name_is_left_alone(host):
    host.run("loginctl", "enable-linger", "bob")
    uid = host.run("id", "-u", "bob").stdout.strip()
    own = f"/sys/fs/cgroup/user.slice/user-{uid}.slice/user@{uid}.service"
    as_bob = ["setpriv", f"--reuid={uid}", "--clear-groups"]
    # It is there before it is his.
    wait_until(lambda: host.run(*as_bob, "test", "-w", own, check=False).returncode == 0, 10, "bob's manager runs")
    host.run(*as_bob, "mkdir", own + "/vigil-lock")
    try:
        done = host.run("vigilctl", "thaw", "--all", "--force")
        assert done.stdout == "Nothing is held.\n"
    finally:
        host.run(f"rmdir {own}/vigil-lock; loginctl disable-linger bob")
