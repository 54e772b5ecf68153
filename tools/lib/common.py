"""What the parts of tools/host share: where things are, processes by pid and start time, running programs."""

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
LIB = SOURCE / "tools" / "lib"
STATE = Path("/run/vigil-hosts")
CACHE = Path(os.environ.get("VIGIL_HOSTS_CACHE", "/var/cache/vigil-hosts"))
SUITES = ["bookworm", "trixie"]  # oldest first


class HostError(Exception):
    """Something a person has to know; printed as one line."""


def note(text):
    print(text, file=sys.stderr, flush=True)


def run(*command, **options):
    """Runs a program; its output is shown only when it fails. When this is interrupted, so is the program."""
    with subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
                          **options) as child:
        try:
            output = child.communicate()[0]
        except BaseException:
            os.killpg(child.pid, signal.SIGTERM)
            # Read to the end: the last one of its children to go closes the pipe.
            child.stdout.read()
            raise
    if child.returncode != 0:
        raise HostError(f"{' '.join(str(word) for word in command)}: exit {child.returncode}\n{output}")
    return output


@contextlib.contextmanager
def uninterrupted():
    """What is begun here is also written down before a signal can end this process."""
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def ends_are_exceptions(end=sys.exit):
    """SIGTERM and SIGHUP unwind the stack as ^C does, so that every `finally` here is kept. `end` raises what does."""
    def leave(number, _frame):
        end(128 + number)
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGHUP, leave)


@contextlib.contextmanager
def locked(path):
    """One process at a time; the lock goes with the process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def start_time(pid):
    """Field 22 of /proc/PID/stat, None where there is no such process (or only its remains)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat[stat.rindex(")") + 2:].split()
    return None if fields[0] in "ZX" else int(fields[19])


def identity(pid):
    """A process as it can be written down: a pid alone may be somebody else's tomorrow."""
    return [pid, start_time(pid)]


def is_alive(written):
    pid, start = written
    return start is not None and start_time(pid) == start


class Record:
    """The bookkeeping of one host: /run/vigil-hosts/NAME/host.json and the files beside it."""

    def __init__(self, name):
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,40}", name):
            raise HostError(f"{name!r} is no name for a host: small letters, digits and dashes")
        self.name = name
        self.directory = STATE / name
        self.file = self.directory / "host.json"

    def exists(self):
        return self.directory.is_dir()

    def claim(self):
        STATE.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self.directory.mkdir(mode=0o700)
        except FileExistsError:
            raise HostError(f"there is a host {self.name} already; tools/host off {self.name}") from None

    def write(self, **values):
        values = {**self.read(), **values}
        fresh = self.file.with_suffix(".new")
        fresh.write_text(json.dumps(values, indent=1), encoding="utf-8")
        fresh.rename(self.file)

    def read(self):
        try:
            return json.loads(self.file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}

    def forget(self):
        shutil.rmtree(self.directory, ignore_errors=True)


def records():
    """Every host that was booted and not taken away, by name."""
    if not STATE.is_dir():
        return []
    return [Record(entry.name) for entry in sorted(STATE.iterdir()) if entry.is_dir()]
