"""What a session's programs read and write is work too, however little of a processor it takes and however quiet it is."""

import time

import programs
import pytest
from logins import Login
from policies import limits
from vigilhost import wait_until

# The limit of these tests. What works is looked at once in it; so the end comes after twice that at the latest.
LIMIT = 4
# How late a thing may be seen over ssh, on a busy machine.
SEEN = 3
SIZE = 400_000
# 20 kB/s each. What runs in the background is behind no terminal, as in a window of tmux that nobody looks at.
COPIES = {
    "from another machine": "scp -O -q -o StrictHostKeyChecking=no -l 160 bob@localhost:file copied",
    "by many short programs": "sh -c 'for n in $(seq 20); do head -c 20000 /dev/zero >>copied; sleep 1; done'",
    "by one that nobody waits for": "sh -c '(sh copying &)'",
}


@pytest.fixture(scope="module", autouse=True)
def files(host):
    programs.put_on(host)
    host.run(f"head -c {SIZE} /dev/urandom >/home/bob/file; chown bob /home/bob/file")
    host.write("/home/alice/copying", "while read -r line; do printf '%20000s' '' >>copied; sleep 1; done <lines\n")
    host.run("seq 20 >/home/alice/lines")


@pytest.fixture(autouse=True)
def cleanly(host, nobody_stays):
    yield
    programs.end_servers(host)
    host.run("pkill", "-KILL", "-u", "alice", "-x", "scp|sleep|tail|sh", check=False)
    host.run("rm", "-f", "/home/alice/copied")


def size(host):
    return int(host.run("stat", "-c", "%s", "/home/alice/copied").stdout)


@pytest.mark.parametrize("how", COPIES)
def test_a_slow_copy_behind_a_terminal_is_never_cut(host, how):
    limits(host, idle_terminate=f"{LIMIT}s")
    alice = Login(host, "alice")
    alice.type(f"setsid {COPIES[how]} </dev/null >/dev/null 2>&1 &\r")
    wait_until(lambda: alice.exists("/home/alice/copied"), 15, "it copies")
    began = time.monotonic()
    wait_until(lambda: alice.told("session-ending") or size(host) == SIZE, 60, "the copy is done")
    assert alice.told("session-ending") == []
    assert time.monotonic() - began > 3 * LIMIT
    alice.screen.wait_closed(2 * LIMIT + SEEN)
    assert f"it was idle for {LIMIT} s" in alice.told("session-ending")[0]


def test_what_looks_at_the_machine_again_and_again_works_until_it_is_gone(host):
    limits(host, idle_terminate=f"{LIMIT}s", activity="input+output+bytes")
    alice = Login(host, "alice")
    alice.type("tmux -f /dev/null new -d 'top -d 1'\r")
    wait_until(lambda: host.pids("-u", "alice", "-x", "top"), 10, "it runs where nobody sees it")
    until = time.monotonic() + 3 * LIMIT
    wait_until(lambda: time.monotonic() > until or alice.told("session-ending"), 3 * LIMIT + 5, "the time passes")
    assert alice.told("session-ending") == []
    host.run("pkill", "-KILL", "-u", "alice", "-x", "top")
    alice.screen.wait_closed(2 * LIMIT + SEEN)
    assert "it was idle" in alice.told("session-ending")[0]


def test_what_waits_is_ended_on_time(host):
    limits(host, idle_terminate="8s")
    alice = Login(host, "alice")
    alice.type("tail -f lines >/dev/null & setsid sh -c 'while sleep 60; do :; done' & "
               "tmux -f /dev/null new -d; tmux new-window 'vi -u NONE lines'\r")
    wait_until(lambda: len(host.pids("-u", "alice", "-f", "^(tail -f|sleep 60|vi -u|tmux)")) >= 4, 10, "all of it runs")
    alice.answers()
    quiet = time.monotonic()
    alice.screen.wait_closed(8 + SEEN)
    assert time.monotonic() - quiet >= 7
    assert "it was idle for 8 s" in alice.told("session-ending")[0]
