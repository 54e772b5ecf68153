"""The second clock: what works is not ended for being quiet. And sessions that have no terminal."""

import re
import shlex
import subprocess
import time

import pytest
from logins import LOCK_SCREEN, UNLOCK_PROMPT, Login, unlock
from policies import limits
from sessions import Session
from vigilhost import wait_until

# The limit of these tests. What works is looked at once in it; so the end comes after twice that at the latest.
LIMIT = 4
# How late a thing may be seen over ssh, on a busy machine.
SEEN = 3
GOES_ON = "/tmp/goes-on"


@pytest.fixture(autouse=True)
def cleanly(host, nobody_stays):
    host.run("touch", GOES_ON)
    yield
    host.run("rm", "-f", GOES_ON)


@pytest.fixture
def clients(host):
    started = []
    yield started
    for client in started:
        client.close()


def stays(session, seconds):
    """It lives on for so long, which nothing but the time can show."""
    until = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > until or session.told("session-ending"), seconds + 5, "the time passes")
    assert not session.told("session-ending")


class Client(Session):
    """A client of ssh's that has no terminal, and the session it is in."""

    def __init__(self, host, words, user="alice"):
        super().__init__(host, user)
        self.process = self.begin(lambda: subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                                           stderr=subprocess.DEVNULL), 10)
        self.began = time.monotonic()

    def is_over(self):
        return self.process.poll() is not None

    def wait_ended(self, timeout):
        wait_until(self.is_over, timeout, "the client's connection is closed")
        messages = self.told("session-ending")
        assert len(messages) == 1 and "idle for" in messages[0], messages

    def close(self):
        self.process.kill()
        self.process.stdin.close()
        self.process.wait()


def test_a_quiet_compile_is_locked_and_not_ended_until_it_is_idle(host):
    limits(host, idle_lock="2s", idle_terminate=f"{LIMIT}s")
    alice = Login(host, "alice")
    # As behind tmux: at another terminal than the one that is locked, or at none.
    alice.type(f"(setsid sh -c 'while test -e {GOES_ON}; do :; done' </dev/null >/dev/null 2>&1 &)\r")
    alice.screen.wait_for(UNLOCK_PROMPT, 8)
    stays(alice, 3 * LIMIT)
    alice.screen.wait_for(LOCK_SCREEN)
    host.run("rm", GOES_ON)
    alice.screen.wait_closed(2 * LIMIT + SEEN)
    assert f"it was idle for {LIMIT} s" in alice.told("session-ending")[0]


def test_a_quiet_program_in_the_foreground_is_not_ended_and_a_frozen_one_is(host):
    limits(host, idle_terminate=f"{LIMIT}s")
    alice = Login(host, "alice")
    alice.type(f"while test -e {GOES_ON}; do :; done\r")
    stays(alice, 3 * LIMIT)
    # Held it uses no processor, and so its work is idle.
    alice.lock()
    alice.screen.wait_closed(2 * LIMIT + SEEN)
    assert "it was idle" in alice.told("session-ending")[0]


def test_who_counts_input_and_output_alone_ends_a_quiet_compile(host):
    limits(host, idle_terminate=f"{LIMIT}s", activity="input+output")
    alice = Login(host, "alice")
    alice.type("while :; do :; done\r")
    alice.screen.wait_closed(LIMIT + SEEN)
    assert "it was idle" in alice.told("session-ending")[0]


def test_a_key_press_cancels_an_end_that_was_warned_of(host):
    limits(host, idle_terminate="6s", idle_warn="3s")
    alice = Login(host, "alice")
    alice.answers()
    for _ in range(2):
        since = alice.screen.mark()
        alice.screen.wait_to_hear("ends in 3 s unless you press a key", 6, since)
        alice.type(" ")
    stays(alice, 2)
    alice.screen.wait_closed(6 + SEEN)


def test_a_warning_is_not_given_to_what_works(host):
    limits(host, idle_terminate=f"{LIMIT}s", idle_warn="2s")
    alice = Login(host, "alice")
    alice.type(f"while test -e {GOES_ON}; do :; done\r")
    stays(alice, 2 * LIMIT)
    assert "unless you press a key" not in alice.screen.said()
    host.run("rm", GOES_ON)
    alice.screen.wait_to_hear("ends in 2 s unless you press a key", 2 * LIMIT + SEEN)


def test_a_lock_that_is_refused_without_a_terminal_leaves_nothing_behind(host, clients):
    session = Client(host, [*host.ssh_command("alice"), f"while test -e {GOES_ON}; do sleep 0.1; done"])
    clients.append(session)
    done = host.vigilctl("lock", session.id, check=False)
    assert done.returncode == 1 and "nothing to lock" in done.stderr
    wait_until(lambda: session.state() == "active", 5, "it is given back")
    shown = session.show()
    assert (shown["last_lock"], shown["last_unlock"]) == (None, None)
    assert not session.told("session-locked") and not session.told("session-unlocked")
    host.run("rm", GOES_ON)
    wait_until(session.is_over, 10, "it went on")


def test_a_slow_copy_is_never_cut_and_an_idle_one_is_ended(host, clients, tmp_path):
    limits(host, "classes: [transfer]", idle_terminate=f"{LIMIT}s")
    (tmp_path / "file").write_bytes(b"x" * 320_000)
    words = host.ssh_command("alice")
    by = tmp_path / "ssh"
    by.write_text(f"#!/bin/sh\nexec {shlex.join(words[:-1])} \"$@\"\n", encoding="ascii")
    by.chmod(0o755)
    # 20 kB/s, by scp's own protocol: by sftp's as much would be under way at once.
    copy = Client(host, ["scp", "-O", "-l", "160", "-S", str(by), str(tmp_path / "file"), "alice@127.0.0.1:copied"])
    clients.append(copy)
    wait_until(copy.is_over, 40, "the copy is done")
    assert copy.process.returncode == 0
    assert time.monotonic() - copy.began > 3 * LIMIT
    assert host.run("stat", "-c", "%s", "/home/alice/copied").stdout.strip() == "320000"
    idle = Client(host, host.ssh_command("alice", "-s", command=["sftp"]))
    clients.append(idle)
    idle.wait_ended(2 * LIMIT + SEEN)


def test_an_idle_forward_is_ended_whatever_its_keepalives_say_and_a_command_is_not(host, clients):
    limits(host, "classes: [forward]", idle_terminate=f"{LIMIT}s")
    forward = Client(host, host.ssh_command("alice", "-N", "-o", "ServerAliveInterval=1"))
    clients.append(forward)
    command = Client(host, host.ssh_command("alice", "-T", command=["sleep", "60"]))
    clients.append(command)
    forward.wait_ended(2 * LIMIT + SEEN)
    stays(command, LIMIT)
    assert not command.is_over()


def test_a_forward_that_carries_bytes_is_not_ended(host, clients):
    limits(host, "users: [alice], classes: [forward]", idle_terminate=f"{LIMIT}s")
    # The way through a bastion: alice's connection carries bob's.
    jump = shlex.join(host.ssh_command("alice", "-W", "127.0.0.1:22"))
    slowly = f"while test -e {GOES_ON}; do head -c 2000 /dev/zero; sleep 0.2; done; sleep 60"
    words = host.ssh_command("bob", "-T", "-o", f"ProxyCommand={jump}", command=[slowly])
    through = Client(host, words)
    clients.append(through)
    stays(through, 3 * LIMIT)
    host.run("rm", GOES_ON)
    through.wait_ended(2 * LIMIT + SEEN)


def test_a_connection_that_loses_its_last_terminal_is_judged_by_what_is_left(host, clients):
    limits(host, "classes: [forward]", idle_terminate=f"{LIMIT}s")
    path = host.control_path()
    master = Client(host, host.ssh_command("alice", "-N", "-M", "-S", path))
    clients.append(master)
    channel = host.ssh("alice", "-t", "-S", path)
    channel.wait_for(r"^alice@[^\s:]+:\S*[$#]", 15)
    # With a terminal it is interactive, and no rule is about that.
    stays(master, 2 * LIMIT)
    assert not master.is_over()


def test_the_prompt_says_what_is_paused(host):
    host.policy("version: 1\n")
    alice = Login(host, "alice")
    alice.lock()
    assert "Paused" not in alice.screen.text()
    unlock(alice)
    # Who locks it himself has not paused what he does so with.
    for command in ("vigilctl lock", "sh -c 'sleep 0; vigilctl lock; exit'"):
        alice.type(f"{command}\r")
        alice.screen.wait_for(UNLOCK_PROMPT)
        assert "vigilctl" not in alice.screen.text() and ("Paused: sh" in alice.screen.text()) == command.startswith("sh")
        unlock(alice)
    alice.type("sleep 1001 & (exec -a x cp /bin/sleep $'/tmp/a\\eb'); $'/tmp/a\\eb' 1002\r")
    wait_until(lambda: len(host.pids("-fx", ".*100[12]")) == 2, 5, "both run")
    alice.lock()
    paused = alice.screen.wait_for(r"Paused: (.*)")[1]
    assert re.fullmatch(r"a\\x1bb, \d+ s; sleep, \d+ s", paused.strip(), re.IGNORECASE), paused
    alice.screen.resize(24, 20)
    alice.type("x\x15")
    alice.screen.wait_for(r"Paused:")
    alice.screen.wait_for(UNLOCK_PROMPT)
    unlock(alice)


@pytest.mark.parametrize("columns", [80, 20])
def test_the_prompt_says_what_goes_on_behind_tmux(host, columns):
    host.policy("version: 1\n")
    alice = Login(host, "alice")
    alice.resize(24, columns)
    try:
        alice.type("cp /bin/sleep /tmp/copying; sleep 1001 & tmux -f /dev/null new -d 'exec /tmp/copying 1002'\r")
        wait_until(lambda: host.pids("-f", "^sleep 1001$") and host.pids("-x", "copying"), 10, "both run")
        alice.lock()
        print(alice.screen.text())
        shown = " ".join(alice.screen.text().split())
        assert re.search(r"Paused: sleep, \d+ s Goes on: copying; tmux: server Password:", shown), shown
        host.run("pkill", "-KILL", "-x", "tmux: server|copying")
        wait_until(lambda: not host.pids("-x", "tmux: server|copying"), 10, "they are gone")
        alice.type("wrong\r")
        alice.screen.wait_gone("Goes on")
        alice.screen.wait_for(UNLOCK_PROMPT)
        unlock(alice)
        assert alice.answers()
    finally:
        host.run("pkill", "-KILL", "-x", "tmux: server|copying", check=False)


@pytest.mark.parametrize("first", ["max_duration: 130m", "idle_terminate: 130m, max_duration: 150m"], ids=["its-limit", "idleness"])
def test_the_prompt_says_when_the_session_ends_and_how_long_that_is(host, first):
    host.policy(f"version: 1\nsessions:\n  - {{name: all, {first}}}\n")
    alice = Login(host, "alice")
    alice.lock()
    ends = alice.screen.wait_for(r"^ *Ends at (\d{4}-\d\d-\d\d )?(\d\d:\d\d), in 2 h 9 min\.$")
    print(alice.screen.text())
    # Beyond midnight it has its day.
    since = alice.screen.wait_for(r"Locked since (\d\d:\d\d) ")[1]
    assert bool(ends[1]) == (ends[2] < since)
    unlock(alice)
    host.policy("version: 1\n")
    alice.lock()
    assert "Ends at" not in alice.screen.text()
    unlock(alice)


def test_an_unlocked_session_has_its_whole_time_again(host):
    limits(host, idle_lock="2s", idle_terminate="6s")
    alice = Login(host, "alice")
    alice.screen.wait_for(UNLOCK_PROMPT, 8)
    unlock(alice)
    unlocked = time.monotonic()
    alice.screen.wait_closed(6 + SEEN + 2)
    assert time.monotonic() - unlocked >= 5.5
