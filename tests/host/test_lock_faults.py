"""What befalls a locked session from outside: it stays locked, or it ends, and nothing stays frozen or waits for 90 s."""

import contextlib
import os

import pytest
from logins import LOCK_SCREEN, UNLOCK_PROMPT, Login, everybody_leaves, unlock
from vigilhost import PASSWORDS, Host, wait_until

POLICY = """\
version: 1
mode: enforce
sessions:
  - name: until somebody locks it
    unlock: [password]
"""
# systemd waits 90 s for what it cannot stop; anything near that is a stall.
NO_STALL = 30


@pytest.fixture(scope="module", autouse=True)
def policy(host):
    host.policy(POLICY)


@pytest.fixture
def alice(host):
    yield Login(host, "alice")
    host.run("systemctl start vigild.socket vigild.service")
    everybody_leaves(host)


def frozen_groups(host):
    return host.run("find", "/sys/fs/cgroup", "-name", "vigil-lock", "-type", "d", check=False).stdout.split()


def all_sessions_are_over(host):
    """Also while the host goes down, when nothing on it can be asked any more."""
    if host.inner.kind == "vm":
        return not host.inner.is_up()
    return not any(name.startswith("session-") for _, names, _ in os.walk(host.inner.cgroup()) for name in names)


# Who ends it


@pytest.mark.parametrize("how", ["loginctl terminate-session {session}", "loginctl terminate-user alice",
                                 "systemctl stop session-{session}.scope", "systemctl kill -s KILL session-{session}.scope",
                                 "kill {leader}"])
def test_a_locked_session_that_is_ended_is_gone_at_once(host, alice, how):
    alice.lock()
    scope = alice.scope()
    shown = host.vigilctl("show", alice.id, "--json")
    host.run(how.format(session=shown["logind_session"], leader=shown["leader_pid"]), timeout=NO_STALL)
    alice.screen.wait_closed(NO_STALL)
    wait_until(lambda: alice.now() is None, NO_STALL, "vigil lists it no more")
    wait_until(lambda: not alice.exists(scope), NO_STALL, "its cgroup is gone")
    assert not frozen_groups(host)


def test_a_host_with_fifty_locked_sessions_shuts_down_at_once(request):
    option = request.config.getoption
    with Host(f"host-shutdown-{request.session.testscollected}", option("--suite"), option("--vm")) as host:
        host.install()
        host.policy(POLICY)
        for wave in range(5):
            for _ in range(10):
                host.ssh("alice")
            wait_until(lambda n=10 * (wave + 1): len(host.vigil_sessions(user="alice", state="active")) == n, 30, "they are in")
        host.vigilctl("lock", "--all")
        wait_until(lambda: len(host.vigil_sessions(state="locked")) == 50, 30, "all are locked")
        assert not all_sessions_are_over(host)
        # Its answer may go down with the host.
        with contextlib.suppress(Exception):
            host.run("systemctl", "--no-block", "poweroff", check=False)
        wait_until(lambda: all_sessions_are_over(host), NO_STALL, "no session is left")


# vigild


def test_a_lock_stays_while_vigild_is_stopped_and_opens_when_it_is_back(host, alice):
    alice.lock()
    group = frozen_groups(host)[0]
    host.run("systemctl stop vigild.socket vigild.service")
    alice.type(PASSWORDS["alice"] + "\r")
    alice.screen.wait_for("vigild")
    assert host.read(f"{group}/cgroup.freeze").strip() == "1"
    host.run("systemctl start vigild.socket vigild.service")
    wait_until(lambda: alice.state() == "active", 15, "the password that was typed meanwhile opens it")
    assert alice.answers()


def test_a_lock_outlives_an_upgrade_of_vigild(host, alice):
    alice.lock()
    before = host.vigild_pid()
    # As a package does it: the new file under the old name, then a restart.
    host.run("cd /usr/libexec/vigil && for one in vigild vigil-lock; do cp $one $one.new && mv $one.new $one; done")
    host.run("systemctl daemon-reload; systemctl restart vigild.service")
    assert host.vigild_pid() not in (0, before)
    assert alice.state() == "locked" and alice.frozen()
    unlock(alice)
    assert alice.answers()


# What the session does meanwhile


def test_a_thousand_processes_that_are_just_being_started_stand_still(host, alice):
    """They come from a loop that forks as fast as it can, so that the lock meets it in the middle."""
    alice.type("for ((i = 0; i < 1000; i++)); do sleep 600 & done; disown -a; clear; echo all st''arted\r")
    tasks = lambda: len(host.run("pgrep", "-u", "alice", "-x", "sleep", check=False).stdout.split())  # noqa: E731
    wait_until(lambda: tasks() > 200, 30, "the storm has begun")
    host.vigilctl("lock", alice.id)
    alice.screen.wait_for(UNLOCK_PROMPT, 20)
    group = alice.scope() + "/vigil-lock"
    assert "frozen 1" in host.read(f"{group}/cgroup.events")
    held = host.read(f"{group}/cgroup.procs").split()
    terminal = alice.path.removeprefix("/dev/")
    at_it = host.run("ps", "-t", terminal, "-o", "pid=", check=False).stdout.split()
    assert len(at_it) > 200 and set(at_it) <= set(held)
    unlock(alice)
    alice.screen.wait_for("^all started$", 60)
    assert tasks() == 1000
    host.run("pkill", "-u", "alice", "-x", "sleep")
    assert alice.answers()


def test_two_hundred_locks_lose_nothing(host, alice):
    """Of a program that counts without a pause, beside another that keeps the host busy."""
    host.run("systemd-run", "--unit=busy", "--quiet", "/bin/sh", "-c", "while :; do :; done")
    try:
        alice.type("for ((n = 0; ; n++)); do echo $n; done >numbers &\r")
        for _ in range(200):
            host.vigilctl("lock", alice.id)
            host.vigilctl("unlock", alice.id, "--reason", "test")
        alice.screen.wait_gone(LOCK_SCREEN)
        assert alice.answers()
        alice.type("kill %1; wait; echo sto''pped\r")
        alice.screen.wait_for("^stopped$")
        assert host.run("awk '$1 != NR - 1 {print NR; exit 1}' /home/alice/numbers", check=False).returncode == 0
        assert int(host.run("wc", "-l", "/home/alice/numbers").stdout.split()[0]) > 200
    finally:
        host.run("systemctl", "stop", "busy.service")


def test_a_pasted_megabyte_at_the_prompt_is_nobodys(host, alice):
    alice.type("cat >pasted\r")
    alice.lock()
    alice.type("\x1b[200~" + "x" * 1000 + "\r" + "touch /tmp/pasted\r" * 60000 + "\x1b[201~")
    # It is not sent at once: the prompt takes it as fast as it can.
    alice.screen.wait_for(UNLOCK_PROMPT, 60)
    alice.type("\x15")
    wait_until(lambda: "Wrong" not in alice.screen.text(), 60, "what was pasted is over")
    unlock(alice)
    alice.type("this line\r\x04")
    wait_until(lambda: host.read("/home/alice/pasted") == "this line\n", 10, "cat read what was typed afterwards, and no more")
    assert alice.answers() and not alice.exists("/tmp/pasted")
