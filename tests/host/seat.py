"""A virtual machine's keyboard and screen, and who sits at them."""

import contextlib
import re
import time

from sessions import Session
from vigilhost import PASSWORDS, wait_until

# The light of a screen behind a lock, at the most: the lock screen is dark.
DARK = 80_000


class Seat:
    """Whoever sits at the machine."""

    def __init__(self, host):
        self.host, self.machine = host, host.inner

    def front(self):
        return int(self.host.read("/sys/class/tty/tty0/active").strip().removeprefix("tty"))

    def comes_to_front(self, number):
        wait_until(lambda: self.front() == number, 20, f"tty{number} is in front")

    def press(self, *keys):
        self.machine.key(keys)

    def types(self, text):
        self.machine.type_text(text)

    def text(self):
        lines = self.host.run("fold", "-w", "80", "/dev/vcs").stdout.splitlines()
        return "\n".join(line.rstrip() for line in lines)

    def reads(self, pattern, timeout=30):
        return wait_until(lambda: re.search(pattern, self.text(), re.MULTILINE), timeout, f"{pattern!r} is on the screen")

    def light(self):
        return self.machine.picture().lit()

    def stays_dark_and_at(self, number, *keys):
        """Presses them, and looks at the screen for as long as something could come of it."""
        self.press(*keys)
        end = time.monotonic() + 1
        while time.monotonic() < end:
            assert self.light() < DARK
        assert self.front() == number

    def is_asked_for_a_name(self, timeout=30):
        """Where the kernel has written something behind the question he presses Enter, and is asked again."""
        with contextlib.suppress(AssertionError):
            return self.reads(r"login:\s*\Z", 2)
        self.press("ret")
        return self.reads(r"login:\s*\Z", timeout)

    def logs_in(self, user, number):
        self.press(f"ctrl-alt-f{number}")
        self.comes_to_front(number)
        self.is_asked_for_a_name()

        def types_them():
            self.types(user + "\n")
            self.reads(r"assword:\s*\Z")
            self.types(PASSWORDS[user] + "\n")
            self.reads(r"[$#]\s*\Z")
        session = Session(self.host, user)
        session.begin(types_them, 20)
        return session

    def logs_in_unseen(self, user, number):
        """Where the screen is lost."""
        self.press(f"ctrl-alt-f{number}")
        self.comes_to_front(number)
        running = lambda name: self.host.pids("-x", "-t", f"tty{number}", name)  # noqa: E731

        def types_them():
            wait_until(lambda: running("agetty"), 20, "a login waits")
            self.types(user + "\n")
            # Echo is off once login(1) waits for the answer; what comes sooner it throws away.
            settings = lambda: self.host.run("stty", "-a", "-F", f"/dev/tty{number}").stdout.split()  # noqa: E731
            wait_until(lambda: running("login") and "-echo" in settings(), 20, "the password is asked for")
            self.types(PASSWORDS[user] + "\n")
        session = Session(self.host, user)
        session.begin(types_them, 30)
        return session

    def answers(self):
        self.types("clear\n")
        self.reads(r"\A\S+\$\s*\Z")
        self.types("echo ans''wer\n")
        self.reads("^answer$")

    def opens_it_after_a_sleep(self, session, number):
        """At the latest once the wrong answer that was typed to sleeping ears has been judged."""
        def opens():
            self.types(PASSWORDS[session.user] + "\n")
            with contextlib.suppress(AssertionError):
                wait_until(lambda: session.state() == "active", 5, "the password unlocks")
            return session.state() == "active"
        wait_until(opens, 60, "the password unlocks")
        self.comes_to_front(number)


def nothing_stalled(host, since):
    """As it went down, from that place in the journal on: PID 1 says of what it has to kill that it timed out."""
    said = host.run("journalctl", "--boot=-1", "--after-cursor", since, "--no-pager", "--output=cat").stdout.splitlines()
    assert [line for line in said if line.startswith("Stopped target")], said
    assert not [line for line in said if "timed out" in line], said


def is_asleep(host):
    wait_until(lambda: "suspended" in host.inner.monitor("info status")[0], 60, "it sleeps")


def wakes(host):
    host.inner.monitor("system_wakeup")
    wait_until(lambda: "running" in host.inner.monitor("info status")[0], 60, "it is awake")
