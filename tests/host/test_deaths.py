"""vigild is killed with -9 before each single thing that it does to lock and to unlock."""

import collections
import contextlib
import json
import re
import subprocess
from pathlib import Path

import pytest
from logins import LOCK_SCREEN, UNLOCK_PROMPT, Login, everybody_leaves
from vigilhost import PASSWORDS, wait_until

POLICY = """\
version: 1
mode: enforce
sessions:
  - name: until somebody locks it
    unlock: [password]
"""
# All that changes something outside of vigild, and more.
CALLS = ("write,pwrite64,ftruncate,ioctl,mkdir,mkdirat,rmdir,unlink,unlinkat,rename,renameat,renameat2,chmod,fchmod,fchmodat,"
         "chown,fchown,fchownat,sendmsg,sendto,kill,pidfd_send_signal")


@pytest.fixture(scope="module", autouse=True)
def policy(host):
    host.policy(POLICY)


@pytest.fixture
def alice(host):
    yield Login(host, "alice")
    everybody_leaves(host)


def pid_outside(host):
    """vigild's pid as this machine has it."""
    inside = host.vigild_pid()
    namespace = Path(f"/proc/{host.inner.init()}/ns/pid").readlink()
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            if f"\t{inside}\n" in status.read_text() and (status.parent / "ns/pid").readlink() == namespace \
                    and (status.parent / "comm").read_text() == "vigild\n":
                return status.parent.name
    raise AssertionError("vigild does not run")


class Traced:
    """vigild under strace."""

    def __init__(self, host, *options):
        self.host, self.before = host, host.vigild_pid()
        pid = pid_outside(host)
        self.strace = subprocess.Popen(["strace", "-qq", "-p", pid, *options], stdin=subprocess.DEVNULL)
        tracer = lambda: "TracerPid:\t0\n" not in Path(f"/proc/{pid}/status").read_text()  # noqa: E731
        wait_until(tracer, 10, "strace is at it")

    def ended(self):
        return self.strace.poll() is not None

    def leave(self):
        """Nobody traces vigild any more, and one runs; whether it is another."""
        if not self.ended():
            self.strace.terminate()
        self.strace.wait(10)
        wait_until(self.host.vigild_is_ready, 15, "vigild is there")
        return self.host.vigild_pid() != self.before


def steps_of(host, tmp_path, action):
    """What vigild does during the action, as (name of the call, which of that name)."""
    log = tmp_path / "calls"
    traced = Traced(host, "-o", str(log), "-e", f"trace={CALLS}")
    action()
    traced.leave()
    names = re.findall(r"^([a-z0-9_]+)\(", log.read_text(), re.MULTILINE)
    counts = collections.Counter(names)
    return [(name, number) for name in counts for number in range(1, counts[name] + 1)]


def death(host, step):
    """kill -9 before vigild takes that step; where it has several of them, before each of the kind."""
    name, number = step
    return Traced(host, "-o", "/dev/null", "-e", f"trace={name}", "-e", f"inject={name}:signal=SIGKILL:when={number}")


def settled(host, alice):
    """Once nothing is under way any more: active or locked, and the screen and the kernel agree."""
    wait_until(lambda: alice.state() in ("active", "locked"), 10, "it is one or the other")
    state = alice.state()
    if state == "locked":
        alice.screen.wait_for(UNLOCK_PROMPT, 10)
    else:
        alice.screen.wait_gone(LOCK_SCREEN, 10)
    wait_until(lambda: alice.frozen() == (state == "locked"), 10, "the kernel has it so too")
    return state


def is_listed_as(host, alice, state):
    """Also where vigild may be killed for being asked."""
    done = host.run("vigilctl", "show", alice.id, "--json", check=False)
    return done.returncode == 0 and json.loads(done.stdout)["state"] == state


def unlock_at_once(alice, step):
    alice.type(PASSWORDS["alice"] + "\r")
    wait_until(lambda: alice.state() == "active", 15, f"{step}: the first password unlocks")
    alice.screen.wait_gone(LOCK_SCREEN, 10)
    assert alice.answers()


def lock(host, alice):
    host.vigilctl("lock", alice.id)
    alice.screen.wait_for(UNLOCK_PROMPT, 10)


def test_a_kill_before_any_step_of_locking(host, alice, tmp_path):
    steps = steps_of(host, tmp_path, lambda: lock(host, alice))
    unlock_at_once(alice, "none")
    states = collections.Counter()
    for step in steps:
        killer = death(host, step)
        done = host.run("vigilctl", "lock", alice.id, check=False).returncode == 0
        killed = killer.leave()
        state = settled(host, alice)
        assert state == "locked" or not done, f"{step}: it was said to be locked"
        states[state, killed] += 1
        lock(host, alice)
        unlock_at_once(alice, step)
    assert {"pwrite64", "ioctl", "mkdir", "write", "sendmsg"} <= {name for name, _ in steps}, steps
    assert states["active", True] and states["locked", True] > len(steps) / 2, states


def test_a_kill_before_any_step_of_unlocking(host, alice, tmp_path):
    lock(host, alice)
    steps = steps_of(host, tmp_path, lambda: unlock_at_once(alice, "none"))
    kills = 0
    for step in steps:
        lock(host, alice)
        killer = death(host, step)
        alice.type(PASSWORDS["alice"] + "\r")
        wait_until(lambda: killer.ended() or is_listed_as(host, alice, "active"), 15, f"{step}: something comes of it")
        kills += killer.leave()
        wait_until(lambda: alice.state() == "active", 15, f"{step}: nobody types it twice")
        assert settled(host, alice) == "active"
        assert alice.answers()
    assert {"pwrite64", "ioctl", "rmdir", "write", "sendmsg"} <= {name for name, _ in steps}, steps
    assert kills > len(steps) / 2
