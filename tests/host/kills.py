"""kill -9 for vigild at any step of what it or one of its helpers does, and for the helper, by strace(1)."""

import collections
import json
import re
import subprocess
import typing

from vigilhost import wait_until

# All that changes something outside of vigild, and more.
CALLS = ("write,pwrite64,ftruncate,ioctl,mkdir,mkdirat,rmdir,unlink,unlinkat,rename,renameat,renameat2,chmod,fchmod,fchmodat,"
         "chown,fchown,fchownat,sendmsg,sendto,kill,pidfd_send_signal")
# What a program that is not there all the time does besides.
OPENS = "openat,fsync,flock,clone,clone3,vfork,fork,pidfd_open,waitid,wait4"
# Of these, what only looks, and a helper's answer: a kill before it leaves what a kill before the next call leaves.
LOOKS = re.compile(r"ioctl\([^,]+, (TCGETS|TIOCGPTN|TIOCGSID|TIOCGDEV|TIOCGWINSZ)\b")
ANSWERS = re.compile(r"sendmsg\(|write\(\d+<pipe:")
# A line of `strace -f`: the pid, the call.
LINE = re.compile(r"^(\d+) +([a-z0-9_]+\(.*)", re.MULTILINE)
# So long a helper stands before its step. vigild gives it up after 1 s; one step comes after two such waits at most.
HELD = "400ms"
HELD_LOG = "/tmp/held"
# One step in so many is missed at the most: those behind the answer come when they come.
MAY_MISS = 4
# Kills whoever it is as the helper comes to the step: strace writes down a call before it keeps it waiting.
AT_THE_STEP = r"""
    while [ -e "$6" ]; do
        pid=$(awk -v own="$1" -v name="$2(" -v number="$3" -v nth="$4" '
            $1 != own && index($2, name) == 1 && ++seen[$1] == number && ++found == nth { print $1; exit }' "$6")
        [ -z "$pid" ] || exec kill -9 "$([ "$5" = helper ] && echo "$pid" || echo "$1")"
        sleep 0.01
    done
    exit 1"""


class Step(typing.NamedTuple):
    """A call that vigild takes itself, or one of its helpers."""

    name: str
    number: int  # which of that name of the process's own
    helper: int = 0  # which of the helpers that take so many of them, from 1; 0: vigild itself


class Traced:
    """vigild under strace, which runs on the host too."""

    def __init__(self, host, *options):
        self.host, self.before = host, host.vigild_pid()
        self.strace = subprocess.Popen(host.inner.command(["strace", "-qq", "-p", str(self.before), *options]),
                                       stdin=subprocess.DEVNULL, preexec_fn=host.inner.join)
        status = f"/proc/{self.before}/status"
        is_traced = lambda: host.run("grep", "-q", r"TracerPid:\s[1-9]", status, check=False).returncode == 0  # noqa: E731
        wait_until(lambda: self.ended() or is_traced(), 30, "strace is at it")

    def ended(self):
        return self.strace.poll() is not None

    def leave(self):
        """Nobody traces vigild any more, and one runs; whether it is another."""
        if not self.ended():
            self.host.run("pkill", "-x", "strace", check=False)
        self.strace.wait(10)
        wait_until(self.host.vigild_is_ready, 15, "vigild is there")
        return self.host.vigild_pid() != self.before


class Held(Traced):
    """The same, until a helper comes to that step; then vigild is killed, or the helper."""

    def __init__(self, host, step, whom="vigild"):
        host.run("rm", "-f", HELD_LOG)
        super().__init__(host, "-f", "-o", HELD_LOG, "-e", f"trace={step.name}",
                         "-e", f"inject={step.name}:delay_enter={HELD}:when={step.number}")
        words = ["bash", "-c", AT_THE_STEP, "at-the-step", self.before, step.name, step.number, step.helper, whom, HELD_LOG]
        self.killer = subprocess.Popen(host.inner.command([str(word) for word in words]), stdin=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL, preexec_fn=host.inner.join)

    def has_killed(self):
        return self.killer.poll() == 0

    def leave(self):
        self.host.run("rm", HELD_LOG)
        self.killer.wait(10)
        return super().leave()


def lines_of(host, action):
    """What vigild and its helpers do during the action, as (whether it is a helper, its pid, strace's text)."""
    log = "/tmp/calls"
    traced = Traced(host, "-f", "-y", "-s", "100", "-o", log, "-e", f"trace={CALLS}")
    action()
    traced.leave()
    return [(pid != str(traced.before), pid, call) for pid, call in LINE.findall(host.read(log))]


def calls_of(host, action):
    """The same, a line of strace's each."""
    return [call for _, _, call in lines_of(host, action)]


def steps_of(host, action, first="", last=""):
    """What of it is a step: from the first call that has `first` in its line to the last one that has `last`."""
    lines, counts, helpers, steps = lines_of(host, action), collections.Counter(), collections.Counter(), []
    having = lambda text: [at for at, line in enumerate(lines) if text in line[2]]  # noqa: E731
    begin, end = having(first)[0], having(last)[-1]
    for at, (is_helper, pid, call) in enumerate(lines):
        name = call.partition("(")[0]
        counts[pid, name] += 1
        number = counts[pid, name]
        helpers[name, number] += is_helper
        if begin <= at <= end and not LOOKS.match(call) and not (is_helper and ANSWERS.match(call)):
            steps.append(Step(name, number, helpers[name, number] if is_helper else 0))
    return steps


def death(host, step):
    """kill -9 before vigild takes that step, or while a helper of its stands before it; where vigild has several of them,
    before each of the kind."""
    if step.helper:
        return Held(host, step)
    for _ in range(5):
        killer = Traced(host, "-o", "/dev/null", "-e", f"trace={step.name}",
                        "-e", f"inject={step.name}:signal=SIGKILL:when={step.number}")
        if not killer.ended():
            return killer
        killer.leave()  # it was still busy with what came before
    raise AssertionError(f"vigild does not come to rest before {step}")


class Walk:
    """What came of a kill before each of the steps."""

    def __init__(self, steps):
        self.steps, self.states = steps, collections.Counter()
        self.died, self.missed = [], []

    def note(self, step, killed, state=""):
        (self.died if killed else self.missed).append(step)
        self.states[state] += killed

    def was_whole(self, *calls, states=(), often=None, in_so_many=2):
        """Each of these states came of some kill, and one of them `often`: of more than one step in so many. A kill came before
        some of each of these calls, and of each kind that there are several of. A few of many may be missed: not each run has
        as many steps as the one that they were counted in, and one that there was but one of may have come by chance there."""
        kinds = lambda steps: collections.Counter((step.name, step.helper > 0) for step in steps)  # noqa: E731
        several = {kind for kind, number in kinds(self.steps).items() if number >= MAY_MISS}
        assert all(self.states[state] for state in states), self.states
        assert often is None or self.states[often] > len(self.steps) / in_so_many, self.states
        assert set(calls) <= {step.name for step in self.died}, self.missed
        assert several <= set(kinds(self.died)), self.missed
        assert len(self.missed) <= len(self.steps) / MAY_MISS, self.missed


def killed_at_each_step(host, command, first, after):
    """The command is run to be counted, then once for each call of its own from the first one that has `first` in its line,
    and killed before that; `after(step, killed)` looks at what came of it, and puts all back as it was."""
    log = "/tmp/calls"
    traced = lambda *options: host.run("strace", "-qq", *options, *command, check=False)  # noqa: E731
    assert traced("-o", log, "-e", f"trace={CALLS},{OPENS}").returncode in (0, 1)
    after(None, False)
    counts, steps, begun = collections.Counter(), [], False
    for call in re.findall(r"^([a-z0-9_]+\(.*)", host.read(log), re.MULTILINE):
        name = call.partition("(")[0]
        counts[name] += 1
        begun = begun or first in call
        if begun:
            steps.append(Step(name, counts[name]))
    walk = Walk(steps)
    for step in steps:
        done = traced("-o", "/dev/null", "-e", f"trace={step.name}",
                      "-e", f"inject={step.name}:signal=SIGKILL:when={step.number}")
        killed = done.returncode not in (0, 1)
        walk.note(step, killed, after(step, killed))
    return walk


def is_listed_as(host, alice, state):
    """Also where vigild may be killed for being asked."""
    done = host.run("vigilctl", "show", alice.id, "--json", check=False)
    return done.returncode == 0 and json.loads(done.stdout)["state"] == state
