"""The lock where something under it dies: the client, the prompt, vigild, its store."""

import collections
import re

import pytest
from logins import LOCK_SCREEN, UNLOCK_PROMPT, Login, unlock
from loops import counts, still
from vigilhost import PASSWORDS, wait_until

pytestmark = pytest.mark.usefixtures("opened_by_codes", "nothing_stays")


def nothing_stays_of(host, scope):
    wait_until(lambda: host.run("test", "-d", scope, check=False).returncode, 15, "the scope is gone")
    wait_until(lambda: not host.vigil_sessions(), 5, "vigil lists it no more")
    assert not host.pids("-fx", "sleep 1234")
    assert not host.run("systemctl list-units --all --no-legend 'vigil-lock-*'").stdout.strip()


def test_nothing_stays_frozen_when_the_client_goes_away(host):
    login = Login(host, "alice")
    login.type("sleep 1234 &\r")
    scope = login.scope()
    login.lock()
    login.close()
    nothing_stays_of(host, scope)


def test_nothing_stays_frozen_when_the_client_is_unplugged(host):
    """Nothing of what sshd sends is carried away any more, so that it hears nothing from the client, no end either."""
    config = "/etc/ssh/sshd_config.d/tests.conf"
    host.write(config, "ClientAliveInterval 1\nClientAliveCountMax 2\n")
    host.run("systemctl", "reload", "ssh.service")
    login = Login(host, "alice")
    login.type("sleep 1234 &\r")
    scope = login.scope()
    login.lock()
    host.run("ip rule add pref 1 sport 22 blackhole && ip rule add pref 2 lookup local && ip rule del pref 0")
    try:
        nothing_stays_of(host, scope)
        assert not login.screen.ended
    finally:
        host.run("ip rule add pref 0 lookup local && ip rule del pref 1 && ip rule del pref 2")
        host.run(f"rm {config} && systemctl reload ssh.service")


def test_a_prompt_that_is_killed_comes_back(host, alice):
    alice.lock()
    for _ in range(2):
        heard = alice.screen.mark()
        host.run("kill", "-9", host.run("pgrep", "-x", "vigil-lock").stdout.strip())
        alice.screen.wait_to_hear("Password", since=heard)
    assert alice.frozen()
    unlock(alice)
    assert alice.answers()


PROMPT = "/usr/libexec/vigil/vigil-lock"
OPTIONS, CALLS, PID = "/tmp/strace-options", "/tmp/calls-of-the-prompt", "/tmp/pid-of-the-prompt"
# The first prompt that finds options is traced, by a strace that is not its parent and so not in PID 1's way.
TRACED = f"""#!/bin/sh
mv {OPTIONS} {OPTIONS}.taken 2>&- && echo $$ >{PID} && exec strace -D -y -o {CALLS} $(cat {OPTIONS}.taken) {PROMPT}.itself "$@"
exec {PROMPT}.itself "$@"
"""
# It asks or tells vigild something, draws, looks up the user's password, ends.
STEP = re.compile(r'sendmsg\((?!.*AUTH EXTERNAL)|write\(\d+</dev/pts|openat\(.*"/etc/shadow"|exit_group\(')
# How often it looks whether the session stands still, which opens files too, differs each time.
ONLY = {"openat": ["-P", "/etc/shadow"]}
ANSWER = re.compile(r"read\(\d+</dev/pts/.*" + PASSWORDS["alice"])


@pytest.fixture
def traced_prompt(host):
    """What starts the trace of the next prompt."""
    def trace(*options):
        host.run("rm", "-f", CALLS)
        host.write(OPTIONS, " ".join(options))
    host.run("mv", PROMPT, PROMPT + ".itself")
    host.write(PROMPT, TRACED, "0755")
    yield trace
    host.run("mv", PROMPT + ".itself", PROMPT)


def steps_of_the_prompt(host, alice, trace):
    """Each as strace's name and number, how often it has drawn by then, and whether the answer has come and vigild knows."""
    trace("-s", "99", "-e", "trace=sendmsg,write,openat,read,exit_group")
    alice.lock()
    wait_until(lambda: "ScreenSeen" in host.read(CALLS), 10, "it has told what the terminal shows, before anything is typed")
    unlock(alice)
    wait_until(lambda: not host.pids("-F", PID), 10, "it has ended")
    counts, drawn, answered, told, steps = collections.Counter(), 0, False, False, []
    for call in host.read(CALLS).splitlines():
        name = call.partition("(")[0]
        counts[name] += name not in ONLY or ONLY[name][1] in call
        if STEP.match(call):
            steps.append((name, counts[name], drawn, answered, told))
        drawn += call.startswith("write") and "/dev/pts" in call
        answered = answered or bool(ANSWER.match(call))
        told = told or '\\0Unlocked\\0' in call
    return steps


def test_a_kill_of_the_prompt_at_any_step_keeps_the_lock_and_costs_one_answer_at_most(host, alice, traced_prompt):
    steps = steps_of_the_prompt(host, alice, traced_prompt)
    for name, number, drawn, answered, told in steps:
        step = f"{name} {number}"
        traced_prompt("-e", f"trace={name}", "-e", f"inject={name}:signal=SIGKILL:when={number}", *ONLY.get(name, []))
        since = alice.screen.mark()
        alice.lock()
        if answered:
            since = alice.screen.mark()
            alice.type(PASSWORDS["alice"] + "\r")
        wait_until(lambda: not host.pids("-F", PID), 15, f"{step}: it is killed")
        if not told:
            # Each of the two that were at it has asked.
            asked = 1 if answered else drawn + 1
            alice.screen.wait_to_hear(r"(Password(?: or code)?:[\s\S]*){%d}" % asked, since=since)
            assert alice.state() == "locked" and alice.frozen(), step
            alice.type(PASSWORDS["alice"] + "\r")
        wait_until(lambda: alice.state() == "active", 15, f"{step}: nobody types it once more")
        alice.screen.wait_gone(LOCK_SCREEN)
        assert alice.answers()
        # Or the next prompt draws for one row less, and once more when a key comes.
        wait_until(lambda: alice.size() == "24 80", 5, f"{step}: what makes programs draw anew is over")
    assert {("sendmsg", False), ("openat", True), ("write", True), ("exit_group", True)} <= {(step[0], step[3]) for step in steps}
    assert not alice.told("unlock-failed")


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
