"""A program in the shell's place lets its console go under the lock (TIOCNOTTY, ioctl_tty(2)). Debian 13's login(1) has left it
to the shell alone, so that no process tells then whose it is; Debian 12's has it still."""

import consoles
import pytest
from consoles import CONSOLES, host_at_consoles, logins_at_consoles
from policies import limits, until_somebody_locks
from test_console import moment
from vigilhost import wait_until

ONE, *_ = CONSOLES

# Opens so many terminals that vigild does not know of each whose it is, and looks at all that the user has locked.
PROGRAM = r"""
use strict; use warnings;
use constant { TIOCNOTTY => 0x5422, TIOCSCTTY => 0x540E, TIOCSPTLCK => 0x40045431, TIOCGPTN => 0x80045430 };
$SIG{HUP} = 'IGNORE';
until (-e '/tmp/go') { select undef, undef, undef, 0.05 }
ioctl(STDIN, TIOCNOTTY, 0) or die "letting it go: $!";
my @masters = map { open(my $master, '+<', '/dev/ptmx') or die $!; $master } 1 .. 40;
if (@ARGV) {
    my $number = pack('I', 0);
    ioctl($masters[0], TIOCSPTLCK, $number) or die $!;
    ioctl($masters[0], TIOCGPTN, $number) or die $!;
    open(my $own, '+<', '/dev/pts/' . unpack('I', $number)) or die $!; # its own from now on
}
open(my $done, '>', '/tmp/done') or die $!;
close $done;
sleep 1 while 1;
"""


@pytest.fixture(scope="module")
def host(request):
    with host_at_consoles("host-let-go", request.config.getoption("--suite")) as host:
        host.write("/usr/local/lib/lets_go.pl", PROGRAM)
        yield host


@pytest.fixture
def alice(host):
    with logins_at_consoles(host) as log_in:
        yield log_in("alice", ONE)


def takes_the_shells_place(host, taken=""):
    host.run("rm", "-f", "/tmp/go", "/tmp/done")
    consoles.type_text(f"exec perl /usr/local/lib/lets_go.pl {taken}\r")
    wait_until(lambda: host.pids("-f", "^perl /usr/local/lib/lets_go.pl"), 20, "it has the shell's place")


def lock_over_one_that_lets_go(host, alice, taken=""):
    """The lock console."""
    takes_the_shells_place(host, taken)
    alice.lock()
    consoles.asks()
    return alice.lock_console()


def unlocks(alice):
    alice.unlock()
    consoles.comes_to_front(ONE)
    wait_until(lambda: consoles.is_open(ONE), 10, "it shows and hears")


def let_go(host):
    host.run("touch", "/tmp/go")
    wait_until(lambda: host.run("test", "-e", "/tmp/done", check=False).returncode == 0, 20, "it has let it go")


@pytest.mark.parametrize("taken", ["", "another"])
def test_it_stays_locked_and_is_asked_for(host, alice, taken):
    at = lock_over_one_that_lets_go(host, alice, taken)

    def stays():
        assert alice.state() == "locked" and consoles.is_shut(ONE)
        assert not alice.told("terminals-closed") and not alice.told("lock-failed")
        consoles.switch(ONE)
        moment()
        assert consoles.front() == at == alice.lock_console()

    let_go(host)
    # An answer of vigild's is behind whatever it has heard of before.
    assert f"tty{ONE}" in host.vigilctl("show", alice.id).stdout
    stays()
    host.kill_vigild()
    stays()
    unlocks(alice)


@pytest.mark.parametrize("taken", ["", "another"])
def test_who_lets_it_go_before_the_lock_is_locked_all_the_same(host, alice, taken):
    takes_the_shells_place(host, taken)
    let_go(host)
    if taken:
        alice.lock()
    else:
        limits(host, idle_lock="3s", unlock="[password]")
    consoles.asks()
    try:
        assert alice.state() == "locked" and consoles.is_shut(ONE)
        assert consoles.front() == alice.lock_console()
        unlocks(alice)
    finally:
        host.policy(until_somebody_locks("password, totp"))


def test_it_is_known_for_locked_without_the_store(host, alice):
    at = lock_over_one_that_lets_go(host, alice)
    let_go(host)
    host.run("systemctl stop vigild.service vigild.socket && rm -f /run/vigil/state.db* && "
             "systemctl start vigild.socket vigild.service")
    assert alice.state() == "locked" and alice.lock_console() == at
    unlocks(alice)


def test_thaw_brings_it_back_without_vigild(host, alice):
    lock_console = lock_over_one_that_lets_go(host, alice)
    host.run("systemctl mask --runtime vigild.service && systemctl stop vigild.service vigild.socket")
    try:
        let_go(host)
        assert f"given back: /dev/tty{ONE}" in host.run("vigilctl", "thaw", "--all").stdout
        consoles.comes_to_front(ONE)
        assert consoles.is_open(ONE)
        wait_until(lambda: not consoles.in_use(lock_console), 5, "the lock console is free")
    finally:
        host.run("systemctl unmask --runtime vigild.service && systemctl start vigild.socket vigild.service")
