#!/usr/bin/python3 -B
"""What a lock costs on a booted host: tests/bench/bench_lock.py [SESSIONS], as root, after `ninja -C build`.

From the decision to the prompt on the screen, with 1 and with 100 processes at the terminal. The clock runs from the start of
`vigilctl lock` to the prompt's arrival through ssh; what such a call takes that is refused at once is measured in turns with it
and taken off. Then how late a lock that comes by itself is held, by the journal. Then the wakeups in half a minute of vigild and of all prompts, with SESSIONS (50) sessions locked.
"""

import statistics
import sys
import time
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(SOURCE / "tests" / "host"), str(SOURCE / "tools" / "lib")]

from logins import UNLOCK_PROMPT, Login, unlock  # noqa: E402
from people import let_sshd_take_all, person  # noqa: E402
from vigilhost import Host, wait_until  # noqa: E402

ROUNDS = 40
SESSIONS_OF_ONE = 50
IDLE, QUIET = 5, 2.5
IDLE_POLICY = f"version: 1\nmode: enforce\nsessions:\n  - {{name: all, idle_lock: {IDLE}s, unlock: [password]}}\n"
IDLE_ROUNDS = 10
POLICY = "version: 1\nmode: enforce\nsessions:\n  - {name: all, unlock: [password]}\n"


def timed_call(host, identity):
    """Starts `vigilctl lock`; when it began and, once it is through, how long it took, in seconds."""
    script = f"date +%s.%N; vigilctl lock {identity} >/dev/null 2>&1; date +%s.%N"
    shown = host.run("/bin/bash", "-c", script).stdout.split()
    return float(shown[0]), float(shown[1]) - float(shown[0])


class Arrivals:
    """When each piece of a login's output came."""

    def __init__(self, login):
        self.pieces = []
        feed = login.screen.stream.feed

        def note(piece):
            self.pieces.append((time.clock_gettime(time.CLOCK_REALTIME), piece))
            feed(piece)
        login.screen.stream.feed = note

    def of(self, text):
        return next(when for when, piece in self.pieces if text in piece)


def lock_times(host, login):
    arrivals = Arrivals(login)
    to_prompt, refused = [], []
    for _ in range(ROUNDS):
        refused.append(timed_call(host, "0" * 32)[1] * 1000)
        arrivals.pieces.clear()
        began, _ = timed_call(host, login.id)
        login.screen.wait_for(UNLOCK_PROMPT)
        to_prompt.append((arrivals.of(b"Password") - began) * 1000)
        host.vigilctl("unlock", login.id, "--reason", "bench")
        login.screen.wait_gone(UNLOCK_PROMPT)
    middle, off = statistics.median(to_prompt), statistics.median(refused)
    worst = sorted(to_prompt)[int(len(to_prompt) * 0.95)]
    return middle - off, worst - off, off


def lateness(host, login):
    """In ms behind its deadline, which is counted from the last key. One that comes within a second of another is noted up to
    a second late (daemon/enforce/activity.hpp), so there is none before it."""
    late = []
    for _ in range(IDLE_ROUNDS):
        time.sleep(QUIET)
        since = host.journal_cursor()
        typed = time.clock_gettime(time.CLOCK_REALTIME)
        login.type("\r")
        login.screen.wait_for(UNLOCK_PROMPT)
        begun = int(host.journal(since, VIGIL_EVENT="session-locked")[0]["_SOURCE_REALTIME_TIMESTAMP"]) / 1e6
        late.append((begun - typed - IDLE) * 1000)
        unlock(login)
    return statistics.median(late), max(late)


def switches(host, pids):
    names = " ".join(f"/proc/{pid}/status" for pid in pids)
    shown = host.run("/bin/sh", "-c", f"cat {names} | grep ^voluntary").stdout.split("\n")
    return sum(int(line.split()[1]) for line in shown if line)


def at_rest(host, pids):
    """The wakeups so far, once what the locking itself brings is over: the prompts' questions, looks at all processes."""
    before = None
    while (now := switches(host, pids)) != before:
        before = now
        time.sleep(5)
    return before


def main():
    sessions = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    with Host("bench-lock") as host:
        host.install()
        let_sshd_take_all(host)
        host.policy(POLICY)
        alice = Login(host, "alice")
        for count in (1, 100):
            if count > 1:
                alice.type(f"for ((i = 1; i < {count}; i++)); do sleep 1000 & done; clear\r")
                wait_until(lambda: host.run("pgrep", "-c", "-x", "sleep", check=False).stdout.strip() == "99", 20, "all run")
            middle, worst, off = lock_times(host, alice)
            print(f"{count:4} processes: {middle:.1f} ms from the decision to the prompt, 95 % within {worst:.1f} ms "
                  f"(a refused call: {off:.1f} ms)")
        host.policy(IDLE_POLICY)
        print("an idle lock holds {:.1f} ms behind its deadline, at the worst {:.1f} ms".format(*lateness(host, alice)))
        host.policy(POLICY)
        users = ["alice", *(person(host) for _ in range(sessions // SESSIONS_OF_ONE))]
        for wave in range(0, sessions - 1, 10):
            for number in range(wave, min(wave + 10, sessions - 1)):
                host.ssh(users[number % len(users)])
            wanted = min(sessions, wave + 11)
            wait_until(lambda n=wanted: len(host.vigil_sessions(state="active")) == n, 60, "they are in")
        began = time.monotonic()
        host.run("vigilctl", "lock", "--all", timeout=600)
        print(f"{sessions:4} sessions are locked at once in {time.monotonic() - began:.1f} s")
        wait_until(lambda: len(host.vigil_sessions(state="locked")) == sessions, 60, "all are locked")
        pids = host.run("pgrep", "-x", "vigild|vigil-lock").stdout.split()
        before = at_rest(host, pids)
        time.sleep(30)
        print(f"{sessions:4} sessions locked: {switches(host, pids) - before} wakeups of vigild and {len(pids) - 1} prompts in 30 s")


main()
