"""Somebody types all the time as the lock comes: a program has read the first part of it, and the rest is nobody's."""

import sys
import threading

import pytest
from logins import LOCK_SCREEN, SHELL, UNLOCK_PROMPT, unlock
from vigilhost import SOURCE, wait_until

sys.path.append(str(SOURCE / "tests" / "terminal"))
from hostile_keys import HOSTILE  # noqa: E402  (the line above makes it known)

pytestmark = pytest.mark.usefixtures("locked_by_hand", "nothing_stays")


class Typist:
    """Types what is next a key after the other, as fast as a program does, until she sees the lock."""

    def __init__(self, login, text):
        self.login, self.text, self.typed = login, text, 0
        self.sees = threading.Event()
        self.hand = threading.Thread(target=self._type)
        self.hand.start()
        wait_until(lambda: self.typed > 100, 10, "she types")

    def _type(self):
        while self.typed < len(self.text) and not self.sees.wait(0.002):
            self.login.type(self.text[self.typed])
            self.typed += 1

    def stops_at(self, pattern):
        try:
            self.login.screen.wait_for(pattern, 20)
        finally:
            self.sees.set()
            self.hand.join()
        assert self.typed < len(self.text), "all of it was typed before"
        return self.text[:self.typed]


def test_what_was_read_by_then_is_all_that_is_ever_read_of_it(host, alice):
    read = lambda: host.read("/home/alice/keys")  # noqa: E731
    alice.type("stty -icanon -echo; clear; echo beg''ins; cat >keys\r")
    alice.screen.wait_for("^begins$")
    wait_until(lambda: host.pids("-x", "cat"), 5, "it reads")
    before = ""
    for number in range(10):
        typist = Typist(alice, "".join(f"{number}:{n:04} " for n in range(4000)))
        host.vigilctl("lock", alice.id)
        typed = typist.stops_at(LOCK_SCREEN)
        alice.type("\x15")
        unlock(alice)
        first, last = read(), f"<{number}>"
        assert first.startswith(before) and typed.startswith(first[len(before):]), first[-50:]
        alice.type(last)
        wait_until(lambda seen=first: read() != seen, 5, "what is typed afterwards is read")
        wait_until(lambda end=last: read().endswith(end), 5, "to its end")
        before = first + last
        assert read() == before
    alice.screen.key("ctrl-c")
    alice.screen.wait_for(SHELL)
    alice.type("stty sane\r")
    assert alice.answers()
    assert not alice.told("unlock-failed")


def test_commands_that_are_typed_all_the_time_are_run_up_to_the_lock_and_not_behind_it(host, alice):
    for number in range(5):
        host.run("rm", "-f", "/home/alice/ran")
        typist = Typist(alice, "".join(f"echo {n:04} >>ran\r" for n in range(1000)))
        host.vigilctl("lock", alice.id)
        typist.stops_at(LOCK_SCREEN)
        # What was typed until it was seen may have been an answer, which costs time.
        alice.type("\x15")
        alice.screen.wait_for(UNLOCK_PROMPT, 20)
        alice.type("\x15")
        ran = host.run("cat", "/home/alice/ran", check=False).stdout
        host.vigilctl("unlock", alice.id, "--reason", f"the test, {number}")
        alice.screen.wait_gone(LOCK_SCREEN)
        alice.type("\x15")
        assert alice.answers()
        now = host.read("/home/alice/ran")
        # One may have stood still half-way.
        assert now.startswith(ran) and now.count("\n") - ran.count("\n") <= 1
        assert now == "".join(f"{n:04}\n" for n in range(now.count("\n")))


def is_judged(alice):
    """All that was sent. While there is more to come, a line is a part of it; then this one is too long by itself."""
    def judges():
        alice.type("x" * 600 + "\r")
        return alice.screen.comes_to_show("Too long", 1)  # and nothing is typed meanwhile, which ends a paste
    wait_until(judges, 60, "what comes behind the keys is judged by itself")


def test_hostile_keys_and_other_sizes_do_nothing_over_ssh_either(host, alice):
    alice.type("cat >keys\r")
    wait_until(lambda: alice.exists("/home/alice/keys"), 5, "it reads")
    alice.lock()
    for keys in HOSTILE:
        alice.type(keys)
    for rows, columns in ((2, 10), (60, 200), (24, 80)):
        alice.resize(rows, columns)
        alice.type("x\x15")
    is_judged(alice)
    assert alice.state() == "locked" and alice.frozen()
    alice.type("\x15")
    unlock(alice)
    assert not alice.told("unlock-failed")
    alice.type("this line\r\x04")
    alice.screen.wait_for(SHELL)
    assert host.read("/home/alice/keys") == "this line\n" and alice.answers()
