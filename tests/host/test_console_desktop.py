"""A console that a program has taken, as X does that somebody starts at a prompt, and a compositor: it draws there, has the
keyboard off, and decides about switching. See consoles.py."""

import time

import consoles
import pytest
from consoles import (CONSOLES, K_OFF, KD_GRAPHICS, KDGETMODE, KDGKBMODE, Console, host_at_consoles,
                      logins_at_consoles)
from policies import limits, until_somebody_locks
from vigilhost import SOURCE, wait_until

ONE, TWO, *_ = CONSOLES
SILENCE = "its desktop did not answer within 10 s"
NOT_HELD = f"not held: a program has taken the console: {SILENCE}"

# Reads evdev in place of its terminal, as X does: of keys nobody at the terminal hears.
PROGRAM = r"""
use strict; use warnings;
use constant { VT_SETMODE => 0x5602, VT_RELDISP => 0x5605, KDSETMODE => 0x4B3A, KDSKBMODE => 0x4B45 };
$SIG{USR1} = sub { ioctl(STDIN, VT_RELDISP, 1) };
$SIG{USR2} = sub { ioctl(STDIN, VT_RELDISP, 2) };
my $on = 1;
$SIG{TERM} = sub { $on = 0 };
my ($asked, $unasked) = (pack("CCsss", 1, 0, 10, 12, 0), pack("CCsss", 0, 0, 0, 0, 0));
ioctl(STDIN, VT_SETMODE, $asked) or die "switching: $!";
ioctl(STDIN, KDSKBMODE, 4) or die "keyboard: $!";
ioctl(STDIN, KDSETMODE, 1) or die "screen: $!";
for (my $frame = 1; $on; ++$frame) {
    open(my $file, '>', '/tmp/frames.new') or die $!;
    print $file $frame;
    close $file;
    rename('/tmp/frames.new', '/tmp/frames') or die $!;
    select undef, undef, undef, 0.05;
}
ioctl(STDIN, VT_SETMODE, $unasked) or die "switching: $!";
ioctl(STDIN, KDSETMODE, 0) or die "screen: $!";
ioctl(STDIN, KDSKBMODE, 3) or die "keyboard: $!";
"""


@pytest.fixture(scope="module")
def host(request):
    with host_at_consoles("host-startx", request.config.getoption("--suite")) as host:
        host.write("/usr/local/lib/program.pl", PROGRAM)
        host.put(SOURCE / "build/tests/host/tools/desktop", "/usr/local/bin/desktop")
        yield host


class Program:
    """What has alice's console, in the foreground of her shell."""

    def __init__(self, host, alice):
        self.host, self.alice = host, alice

    def start(self):
        self.host.run("rm", "-f", "/tmp/frames")
        consoles.type_text("perl /usr/local/lib/program.pl\r")
        wait_until(lambda: self.frame() > 1, 20, "it draws")

    def listen(self):
        """A locker of its own, which obeys logind."""
        self.host.run("rm", "-f", "/tmp/listens")
        consoles.type_text("desktop - obeys >/tmp/listens & disown\r")
        wait_until(lambda: self.host.run("cat", "/tmp/listens", check=False).stdout.split(), 20, "it listens")

    def frame(self):
        return int(self.host.run("cat", "/tmp/frames", check=False).stdout or 0)

    def is_there(self):
        """It draws on, its picture is what is in front, and switching is for it to decide."""
        assert not self.alice.frozen() and self.alice.prompt() == 0
        assert self.has_the_console()
        drawn = self.frame()
        wait_until(lambda: self.frame() > drawn, 10, "it goes on")
        for number in (TWO, ONE):
            consoles.switch(number)
            consoles.comes_to_front(number, 10)
        assert self.has_the_console()

    @staticmethod
    def has_the_console():
        with Console(ONE) as console:
            return console.read(KDGETMODE) == KD_GRAPHICS and console.read(KDGKBMODE) == K_OFF

    def give_back(self):
        self.host.run("pkill", "-TERM", "-f", "^perl /usr/local/lib/program.pl", check=False)


@pytest.fixture
def alice(host):
    with logins_at_consoles(host) as log_in:
        yield log_in("alice", ONE)


@pytest.fixture
def program(host, alice):
    there = Program(host, alice)
    there.start()
    yield there
    there.give_back()
    host.policy(until_somebody_locks("password, totp"))


@pytest.fixture
def locker(host, alice):
    """The same, with something there that locks it at logind's word."""
    there = Program(host, alice)
    there.listen()
    there.start()
    yield there
    there.give_back()


def hint(host, alice):
    logind = alice.listed["logind_session"]
    return host.run("loginctl", "show-session", logind, "-p", "LockedHint", "--value").stdout.strip()


def test_it_is_not_frozen_and_that_it_is_not_held_is_said(host, alice, program):
    program.is_there()
    done = host.vigilctl("lock", alice.id, "--reason", "a test", check=False)
    assert done.returncode == 1 and f"It is not locked: {SILENCE}." in done.stderr
    program.is_there()
    assert alice.state() == "active" and alice.show()["uncovered"] == [NOT_HELD]
    assert NOT_HELD in alice.told("lock-failed")[-1] and not alice.told("session-locked")
    # Given back, it is a console like any other.
    program.give_back()
    alice.can_be_typed_at()
    alice.lock()
    consoles.asks()
    assert consoles.front() == alice.lock_console() and consoles.is_shut(ONE)
    alice.unlock()
    alice.answers()


def test_it_is_ended_where_the_policy_says_so(host, alice, program):
    limits(host, incomplete_lock="end", unlock="[password]")
    began = time.monotonic()
    host.vigilctl("lock", alice.id, "--reason", "a test", check=False)
    wait_until(lambda: alice.state() in ("ending", "gone"), 20, "it is ended")
    assert time.monotonic() - began >= 10
    wait_until(lambda: alice.state() == "gone", 20, "it is over")
    assert NOT_HELD in alice.told("session-ending")[-1]


def test_what_locks_itself_is_locked_and_what_it_leaves_behind_too(host, alice, locker):
    host.vigilctl("lock", alice.id, "--reason", "a test")
    assert (alice.state(), alice.show()["desktop"], hint(host, alice)) == ("locked", "locked", "yes")
    locker.is_there()
    host.vigilctl("unlock", alice.id, "--reason", "a test")
    assert (alice.state(), hint(host, alice)) == ("active", "no")
    host.vigilctl("lock", alice.id, "--reason", "a test")
    assert alice.state() == "locked"
    # Its locker is gone with it, and a shell would be there for everybody.
    locker.give_back()
    consoles.asks(20)
    assert consoles.front() == alice.lock_console() and consoles.is_shut(ONE)
    wait_until(lambda: hint(host, alice) == "no", 10, "nothing is left of what it said")
    assert alice.state() == "locked" and not alice.frozen()
    alice.unlock()
    alice.answers()


def test_what_is_locked_stays_so_whoever_takes_its_console_behind_it(host, alice):
    program = Program(host, alice)
    host.run("rm", "-f", "/tmp/go", "/tmp/frames")
    consoles.type_text("(until test -e /tmp/go; do sleep 0.1; done; exec perl /usr/local/lib/program.pl) & disown\r")
    alice.answers()
    alice.lock()
    consoles.asks()
    at = alice.lock_console()
    try:
        host.run("touch", "/tmp/go")
        wait_until(lambda: program.frame() > 1, 20, "it draws")
        host.kill_vigild()
        wait_until(lambda: alice.told("lock-failed"), 20, "it has looked")
        assert f"a program decides about switching at /dev/tty{ONE}" in alice.told("lock-failed")[-1]
        assert alice.state() == "locked" and not alice.frozen()
        assert consoles.front() == at == alice.lock_console()
        alice.unlock()
        consoles.comes_to_front(ONE)
        program.is_there()
    finally:
        program.give_back()


def test_it_is_not_locked_under_the_hands_of_who_uses_it(host, alice, program):
    idle = 5
    limits(host, idle_lock=f"{idle}s", unlock="[password]")
    end = time.monotonic() + 3 * idle
    wait_until(lambda: time.monotonic() > end, 4 * idle, "it was used for a while")
    assert alice.state() == "active" and not alice.told("session-locked") and not alice.told("lock-failed")
    program.is_there()
    # At the prompt it is the terminal's keys again.
    program.give_back()
    consoles.asks(4 * idle)
    assert consoles.front() == alice.lock_console()
    alice.unlock()
    alice.can_be_typed_at()


def test_vigild_comes_back_to_what_locked_itself(host, alice, locker):
    host.vigilctl("lock", alice.id, "--reason", "a test")
    host.kill_vigild()
    assert alice.state() == "locked"
    locker.is_there()
    assert alice.state() == "locked" and hint(host, alice) == "yes"
    # There was nobody to see that it went.
    host.run("systemctl", "stop", "vigild.socket", "vigild.service")
    locker.give_back()
    host.run("systemctl", "start", "vigild.socket", "vigild.service")
    consoles.asks(20)
    assert alice.state() == "locked" and consoles.is_shut(ONE)
    wait_until(lambda: hint(host, alice) == "no", 10, "nothing is left of what it said")
    alice.unlock()
    alice.answers()
