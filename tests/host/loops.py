"""Loops that a test types, which go on or stand still, and what else tells how far something has come."""

import re
import time

from vigilhost import wait_until


def counts(login, loop, file):
    """Types a loop that counts in a file of the user's; once it runs, what reads it."""
    def count():
        return login.host.read(f"/home/{login.user}/{file}").strip()
    login.type(loop + "\r")
    wait_until(lambda: login.exists(f"/home/{login.user}/{file}") and count() > "0", 5, "the loop runs")
    return count


def still(read):
    """What read() returns, after a moment in which it would have changed."""
    before = read()
    end = time.monotonic() + 0.5
    wait_until(lambda: time.monotonic() > end or read() != before, 2, "a moment")
    after = read()
    assert after == before, f"{before!r} became {after!r}"
    return before


def moved(host, pid, what):
    """How many bytes it has read or written so far (proc(5): rchar, wchar)."""
    return int(re.search(rf"^{what}: (\d+)$", host.read(f"/proc/{pid}/io"), re.MULTILINE)[1])


def arrives(login, text):
    """Types it, and waits until sshd has passed it on; for the only login of its user, also without vigild."""
    sshd, = login.host.pids("-f", f"^sshd.*: {login.user}@pts")
    before = moved(login.host, sshd, "wchar")
    login.type(text)
    wait_until(lambda: moved(login.host, sshd, "wchar") >= before + len(text), 10, "sshd has passed it on")


def ticks_on(host, times):
    """A loop that writes the time into alice's `tick` is seen to go round so often."""
    seen = set()
    read = lambda: host.run("cat", "/home/alice/tick", check=False).stdout.strip()  # noqa: E731
    return wait_until(lambda: len(seen.add(read()) or seen - {""}) > times, 20,
                      "it goes on")
