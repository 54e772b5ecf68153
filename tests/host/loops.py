"""Loops that a test types, which go on or stand still."""

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


def ticks_on(host, times):
    """A loop that writes the time into alice's `tick` is seen to go round so often."""
    seen = set()
    read = lambda: host.run("cat", "/home/alice/tick", check=False).stdout.strip()  # noqa: E731
    return wait_until(lambda: len(seen.add(read()) or seen - {""}) > times, 20,
                      "it goes on")
