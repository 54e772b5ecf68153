"""The machine's virtual consoles, given to a container: what is in front, what is on the screen, keys (ioctl_vt(2)).

A key that is typed here goes to the console in front, and is lost where that one's keyboard is off, as with a real
keyboard. What the kernel's keyboard does by itself (Ctrl-Alt-F2, SysRq) only a virtual machine can show.
"""

import contextlib
import fcntl
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

from policies import until_somebody_locks
from sessions import Session
from vigilhost import PASSWORDS, Host, wait_until

KDSETMODE, KDGETMODE, KDGKBMODE, KDSKBMODE = 0x4B3A, 0x4B3B, 0x4B44, 0x4B45
VT_SETMODE, VT_GETSTATE, VT_RELDISP, VT_ACTIVATE, VT_DISALLOCATE = 0x5602, 0x5603, 0x5605, 0x5606, 0x5608
VT_LOCKSWITCH, VT_UNLOCKSWITCH, TIOCSTI = 0x560B, 0x560C, 0x5412
KD_TEXT, KD_GRAPHICS, K_UNICODE, K_OFF = 0, 1, 3, 4
AUTO, OURS = struct.pack("bbhhh", 0, 0, 0, 0, 0), struct.pack("bbhhh", 1, 0, 0, 0, 0)
LAST = 63
# Those that tests log in at, beside the last one. Nothing of the machine's own is there.
CONSOLES = range(20, 24)
# Where lock consoles stand, and where logins are offered.
OTHERS = range(2, 16)


class Console:
    """One console, open for a moment: the secure attention key would kill whoever has it open."""

    def __init__(self, number):
        self.number = number

    def __enter__(self):
        self.fd = os.open(f"/dev/tty{self.number}", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        return self

    def __exit__(self, *_error):
        os.close(self.fd)

    def read(self, request):
        answer = bytearray(4)
        fcntl.ioctl(self.fd, request, answer)
        return struct.unpack("i", answer)[0]

    def do(self, request, value):
        fcntl.ioctl(self.fd, request, value)


def front():
    return int(Path("/sys/class/tty/tty0/active").read_text(encoding="ascii").strip().removeprefix("tty"))


def in_use(number):
    """Whether a program has it open; of 1 to 15."""
    with Console(1) as console:
        state = bytearray(6)
        fcntl.ioctl(console.fd, VT_GETSTATE, state)
    return bool(struct.unpack("HHH", state)[2] & (1 << number))


def is_shut(number):
    with Console(number) as console:
        return console.read(KDGETMODE) == KD_GRAPHICS and console.read(KDGKBMODE) == K_OFF


def is_open(number):
    with Console(number) as console:
        return console.read(KDGETMODE) == KD_TEXT and console.read(KDGKBMODE) == K_UNICODE


def switch(number):
    """As chvt(1) does it, which has no answer: the switch may be held."""
    with Console(1) as console:
        console.do(VT_ACTIVATE, number)


def screen(number=None):
    """What is to be seen: of the console in front, or what another one would show."""
    number = number or front()
    with Console(number) as console:
        if console.read(KDGETMODE) != KD_TEXT:
            return ""
    return contents(number)


def contents(number):
    """What a console has in its memory, shown or not."""
    size = Path(f"/dev/vcsa{number}").read_bytes()[:2]
    text = Path(f"/dev/vcs{number}").read_bytes().decode("latin-1")
    return "\n".join(text[at:at + size[1]].rstrip() for at in range(0, len(text), size[1]))


def type_text(text):
    """At the keyboard: for the console in front."""
    with Console(front()) as console:
        if console.read(KDGKBMODE) != K_OFF:
            for byte in text.encode():
                console.do(TIOCSTI, bytes([byte]))


def sees(pattern, timeout=10):
    """Waits until somebody at the screen sees it."""
    return wait_until(lambda: re.search(pattern, screen(), re.MULTILINE), timeout, f"{pattern!r} is on\n{screen()}\n")


def asks(timeout=10):
    """Waits for the lock screen: login(1) asks for a password too."""
    sees(r"^\s*Locked since[\s\S]*^\s*Password", timeout)


def comes_to_front(number, timeout=5):
    wait_until(lambda: front() == number, timeout, f"tty{number} is in front")


def go_to(number):
    """As a person does it, who presses the keys again: another program's switch at the same moment takes this one's place."""
    wait_until(lambda: switch(number) or front() == number, 5, f"tty{number} is in front")


def put_back(before):
    """All consoles that tests use as the kernel makes them, and this one in front."""
    with Console(1) as console:
        console.do(VT_UNLOCKSWITCH, 1)
    try:
        wait_until(lambda: leads_to(before), 10, f"tty{before} is in front")
    finally:
        as_the_kernel_makes_them()


def leads_to(number):
    """Asks for that console in place of the one in front, as the program there that says yes: only a program can lead
    away from graphics. Whether it is in front now."""
    now = front()
    if now != number:
        with Console(now) as console:
            console.do(VT_SETMODE, OURS)
            console.do(VT_ACTIVATE, number)
            with contextlib.suppress(AssertionError):  # another program led elsewhere meanwhile
                wait_until(lambda: agrees(console), 0.5, "the kernel asks")
            console.do(VT_SETMODE, AUTO)
    return front() == number


def agrees(console):
    """To a switch that the kernel asks about; whether it has asked."""
    try:
        console.do(VT_RELDISP, 1)
    except OSError:
        return False
    return True


def as_the_kernel_makes_them():
    for number in [*OTHERS, *CONSOLES, LAST]:
        with Console(number) as console:
            console.do(VT_SETMODE, AUTO)
            console.do(KDSETMODE, KD_TEXT)
            console.do(KDSKBMODE, K_UNICODE)
        with Console(1) as console:
            try:
                console.do(VT_DISALLOCATE, number)
            except OSError:
                pass  # a container that is just being ended has it


class Keeper:
    """The consoles are this test run's until it is closed or dies."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, "-B", Path(__file__).with_name("console_keeper.py")],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        assert self.process.stdout.readline() == b"ready\n"

    def close(self):
        self.process.communicate(timeout=30)


def give_to(host):
    """Makes the machine's consoles those of a container, which has none of its own."""
    nodes = ["tty0 4 0", *(f"tty{n} 4 {n}\nvcsa{n} 7 {128 + n}" for n in range(1, LAST + 1))]
    script = "umask 0157; while read name major minor; do test -e /dev/$name || mknod /dev/$name c $major $minor; done"
    # From outside: a container may not make nodes.
    subprocess.run(["nsenter", "--target", str(host.inner.init()), "--mount", "--", "/bin/sh", "-c", script],
                   input="\n".join(nodes) + "\n", text=True, check=True)
    host.write("/etc/systemd/logind.conf.d/tests.conf", "[Login]\nNAutoVTs=0\nReserveVT=0\n")
    host.run("systemctl", "restart", "systemd-logind.service")


@contextlib.contextmanager
def host_at_consoles(name, suite):
    """A container also where the others are virtual machines: those have a keyboard (test_machine_console.py)."""
    keeper = Keeper()
    try:
        with Host(f"{name}-{os.getpid()}", suite) as host:
            host.install()
            host.policy(until_somebody_locks("password, totp"))
            give_to(host)
            yield host
    finally:
        keeper.close()


@contextlib.contextmanager
def logins_at_consoles(host):
    """What logs somebody in; all are logged out at its end."""
    there = []

    def log_in(user, number):
        # First, so that also what failed half way is taken away.
        there.append(ConsoleLogin(host, user, number))
        there[-1].log_in()
        return there[-1]
    try:
        yield log_in
    finally:
        with Console(1) as console:
            console.do(VT_UNLOCKSWITCH, 1)
        for login in there:
            login.off()


def give_name(user):
    """At a login prompt. What is typed while getty sets its terminal up, with an older prompt still on the screen, is lost:
    then it is typed again, as a person would."""
    for patience in (3, 3, 10):
        sees(r"login:\s*$")
        type_text(user + "\r")
        try:
            sees(r"assword:\s*$", patience)
            return
        except AssertionError:
            if patience == 10:
                raise


class ConsoleLogin(Session):
    """A login by getty and login(1) at a console."""

    def __init__(self, host, user, number):
        super().__init__(host, user)
        self.number = number
        self.answered = 0

    def log_in(self):
        self.begin(self.pass_getty)

    def pass_getty(self):
        self.host.run("systemctl", "start", f"getty@tty{self.number}.service")
        go_to(self.number)
        give_name(self.user)
        type_text(PASSWORDS[self.user] + "\r")
        sees(rf"^{self.user}@[^\s:]+:\S*[$#]")

    def is_in_front(self):
        return front() == self.number

    def lock(self):
        self.host.vigilctl("lock", self.id, "--reason", "a test")
        assert self.state() == "locked"

    def can_be_typed_at(self):
        """In front, with its keyboard on: the one comes a moment before the other."""
        comes_to_front(self.number)
        wait_until(lambda: is_open(self.number), 5, "its keyboard is on")

    def answers(self):
        """What is typed at the keyboard is run by its shell."""
        self.can_be_typed_at()
        self.answered += 1
        type_text(f"echo ans''wer {self.answered}\r")
        sees(rf"^answer {self.answered}$")

    def unlock(self):
        """At the lock console, which is in front."""
        asks()
        type_text(PASSWORDS[self.user] + "\r")
        wait_until(lambda: self.state() == "active", 10, f"the password unlocks\n{screen()}")

    def prompt(self):
        """The pid of its prompt, 0 while there is none."""
        unit = f"vigil-lock-{self.id}-tty{self.number}.service"
        return int(self.host.run("systemctl", "show", "--property=MainPID", "--value", unit).stdout.strip() or 0)

    def lock_console(self):
        """Where its prompt asks, by what that has open."""
        pid = self.prompt()
        opened = self.host.run("sh", "-c", f"ls -l /proc/{pid}/fd", check=False).stdout
        found = re.search(r"-> /dev/tty(\d+)", opened)
        return int(found[1]) if found else 0

    def frozen(self):
        return bool(self.host.run("find", "/sys/fs/cgroup", "-path", "*vigil-lock/cgroup.freeze").stdout.strip())

    def off(self):
        """Logs out, whatever state it is in."""
        if self.id:
            self.terminate(15)
        self.host.run("systemctl", "stop", f"getty@tty{self.number}.service")
