"""The lock at virtual consoles: real ones of this machine, typed at and looked at; see consoles.py."""

import contextlib
import os
import time

import consoles
import pytest
from consoles import (CONSOLES, K_OFF, K_UNICODE, KD_GRAPHICS, KD_TEXT, KDSETMODE, KDSKBMODE, VT_LOCKSWITCH, Console,
                      host_at_consoles, logins_at_consoles)
from kills import Walk, death, is_listed_as, steps_of
from people import one_line
from policies import limits, until_somebody_locks
from vigilhost import PASSWORDS, wait_until

ONE, TWO, *_ = CONSOLES
SECRET = "the-plan-of-alice"
F1 = "\x1b[[A"


@pytest.fixture(scope="module")
def host(request):
    with host_at_consoles("host-console", request.config.getoption("--suite")) as host:
        yield host


@pytest.fixture
def logins(host):
    with logins_at_consoles(host) as log_in:
        yield log_in


@pytest.fixture
def alice(logins):
    """At a console with something on it."""
    login = logins("alice", ONE)
    consoles.type_text(f"echo {SECRET[:4]}''{SECRET[4:]}\r")
    consoles.sees(f"^{SECRET}$")
    return login


def moment():
    """Long enough for what must not happen to have happened."""
    end = time.monotonic() + 0.3
    wait_until(lambda: time.monotonic() > end, 2, "a moment")


def count(host):
    return int(host.run("cat", "/tmp/count", check=False).stdout or 0)


def test_a_locked_console_is_asked_for_at_another_one_and_its_programs_go_on(host, alice):
    consoles.type_text("while :; do echo $((++i)) >/tmp/count; read -t 0.05 <> <(:); done &\r")
    wait_until(lambda: count(host) > 0, 5, "the loop counts")
    consoles.type_text(f"echo {SECRET[:4]}''{SECRET[4:]}\r")
    before = wait_until(lambda: consoles.sees(f"^{SECRET}$") and consoles.contents(ONE), 5, "it is on the screen")
    alice.lock()
    consoles.asks()
    assert consoles.front() == alice.lock_console()
    assert "User: alice" in consoles.screen() and SECRET not in consoles.screen()
    consoles.sees(r"^\s*Goes on: bash$")
    assert "Paused" not in consoles.screen()
    assert consoles.is_shut(ONE) and not alice.frozen()
    counted = count(host)
    wait_until(lambda: count(host) > counted + 2, 5, "the loop goes on")
    assert host.vigil_sessions(id=alice.id)[0]["uncovered"] == []

    lock_console = alice.lock_console()
    alice.unlock()
    consoles.comes_to_front(ONE)
    assert consoles.is_open(ONE) and SECRET in consoles.screen()
    assert consoles.screen().splitlines()[:5] == before.splitlines()[:5]
    wait_until(lambda: not consoles.in_use(lock_console), 5, "the lock console is free")
    alice.answers()
    for number in (TWO, ONE):
        consoles.switch(number)
        consoles.comes_to_front(number)


def test_the_last_console_that_there_can_be_is_locked_and_unlocked(logins):
    alice = logins("alice", consoles.LAST)
    alice.lock()
    consoles.asks()
    lock_console = consoles.front()
    assert lock_console == alice.lock_console() and consoles.is_shut(consoles.LAST) and not alice.frozen()
    consoles.switch(consoles.LAST)
    moment()
    assert consoles.front() == lock_console
    alice.unlock()
    alice.answers()


def test_typing_holds_an_idle_lock_off_and_silence_brings_it(host, alice):
    idle = 8
    limits(host, idle_lock=f"{idle}s", idle_warn="4s", unlock="[password]")
    try:
        typed = began = time.monotonic()
        while typed < began + idle + 3:
            moment()
            typed = time.monotonic()
            consoles.type_text(" ")
        assert alice.state() == "active" and not alice.told("session-locked")
        wait_until(lambda: alice.told("session-warned"), 20, "it is warned")
        consoles.sees("locked in ")
        wait_until(lambda: alice.state() == "locked", 20, "it is locked")
        assert time.monotonic() - typed >= idle
        consoles.asks()
        assert consoles.front() == alice.lock_console() and SECRET not in consoles.screen()
    finally:
        host.policy(until_somebody_locks("password, totp"))
    alice.unlock()
    alice.can_be_typed_at()
    # Of the line that was typed, and into which the warning came, the shell would draw the rest.
    consoles.type_text("\x03")
    alice.answers()


def test_its_user_locks_it_by_a_command(alice):
    consoles.type_text("vigilctl lock\r")
    consoles.asks()
    assert alice.state() == "locked" and consoles.front() == alice.lock_console()
    assert "locked: by alice" in alice.told("session-locked")[-1]
    alice.unlock()
    consoles.comes_to_front(ONE)
    alice.answers()


def test_who_is_alone_at_the_seat_finds_switching_held_and_no_key_gets_through(host, alice):
    alice.lock()
    consoles.asks()
    at = consoles.front()
    for number in (ONE, TWO, 1):
        consoles.switch(number)
        moment()
        assert consoles.front() == at
    consoles.type_text("\x03\x1a\x1c\x13\x04touch /tmp/typed\r")
    consoles.sees("Next try")
    assert host.run("test", "-e", "/tmp/typed", check=False).returncode == 1
    alice.unlock()
    consoles.comes_to_front(ONE)
    alice.answers()


def test_who_is_at_another_console_is_not_in_the_way_of_a_lock_nor_it_in_his(alice, logins):
    bob = logins("bob", TWO)
    alice.lock()
    wait_until(lambda: alice.lock_console() != 0, 5, "it is asked for")
    assert bob.is_in_front() and consoles.is_shut(ONE)
    bob.answers()
    # He looks at alice's console: the lock is there, and hers is not, not for a moment.
    for _ in range(3):
        consoles.switch(ONE)
        seen = set()
        wait_until(lambda: seen.add(consoles.screen()) or consoles.front() == alice.lock_console(), 5,
                   "the lock console is in front")
        assert not any(SECRET in screen for screen in seen)
        consoles.switch(TWO)
        consoles.comes_to_front(TWO)
    bob.answers()
    # Both are locked: each is asked at his own, and switching leads from one to the other.
    bob.lock()
    consoles.comes_to_front(bob.lock_console())
    assert bob.lock_console() != alice.lock_console()
    consoles.switch(ONE)
    consoles.comes_to_front(alice.lock_console())
    alice.unlock()
    consoles.comes_to_front(ONE)
    alice.answers()
    consoles.switch(TWO)
    consoles.comes_to_front(bob.lock_console())
    bob.unlock()
    consoles.comes_to_front(TWO)


def test_an_unlock_from_elsewhere_leaves_the_one_in_front_alone(host, alice, logins):
    bob = logins("bob", TWO)
    alice.lock()
    host.vigilctl("unlock", alice.id, "--reason", "a test")
    assert bob.is_in_front() and consoles.is_open(ONE)
    bob.answers()
    consoles.switch(ONE)
    consoles.comes_to_front(ONE)
    alice.answers()


def test_root_gets_in_at_the_lock_console_with_or_without_vigild(host, alice):
    alice.lock()
    host.run("chpasswd", input="root:root-pass-1\n")
    for away in (False, True):
        consoles.sees("Password|vigild is away")
        if away:
            host.run("systemctl", "stop", "vigild.socket", "vigild.service")
            host.run("systemctl", "mask", "--runtime", "vigild.service", "vigild.socket")
            consoles.type_text("x\r")
            consoles.sees("vigild is away")
        at = consoles.front()
        wait_until(lambda: consoles.front() != at or consoles.type_text(F1), 10, "F1 leads away")
        consoles.give_name("root")
        consoles.type_text("root-pass-1\r")
        consoles.sees(r"^root@\S+#")
        consoles.type_text("exit\r")
        consoles.sees(r"login:\s*$")
        # What was locked is not to be seen, whether vigild is there or not.
        consoles.switch(ONE)
        consoles.comes_to_front(ONE if away else alice.lock_console())
        assert SECRET not in consoles.screen()
    consoles.type_text("echo typed >/tmp/typed\r")
    host.run("systemctl", "unmask", "--runtime", "vigild.service", "vigild.socket")
    host.run("systemctl", "start", "vigild.socket", "vigild.service")
    consoles.comes_to_front(alice.lock_console())
    alice.unlock()
    consoles.comes_to_front(ONE)
    alice.answers()
    assert host.run("test", "-e", "/tmp/typed", check=False).returncode == 1
    # The second time it was the same login that waited.
    assert one_line(host.run("systemctl", "list-units", "getty@tty*", "--plain", "--no-legend").stdout,
                    rf"getty@tty(?!{ONE}\.)")


def test_somebody_else_does_not_wait_with_who_typed_a_wrong_answer(host, alice):
    alice.lock()
    consoles.asks()
    at = consoles.front()
    consoles.type_text("wrong\r")
    consoles.sees("Next try in")
    consoles.type_text(F1)
    wait_until(lambda: consoles.front() != at, 10, "F1 leads away")
    consoles.sees(r"login:\s*$")
    consoles.switch(ONE)
    consoles.comes_to_front(at)
    alice.unlock()


def test_whatever_a_free_console_was_left_like_the_lock_is_seen_and_hears_there(host, alice):
    alice.lock()
    at = alice.lock_console()
    consoles.asks()
    alice.unlock()
    with Console(at) as console:
        console.do(KDSKBMODE, K_OFF)
        console.do(KDSETMODE, KD_GRAPHICS)
    alice.lock()
    assert alice.lock_console() == at and consoles.is_open(at)
    consoles.asks()
    alice.unlock()


def test_a_console_that_hears_nothing_does_after_the_next_lock(host, alice):
    """A program that began under a lock has put back what it found."""
    with Console(ONE) as console:
        console.do(KDSKBMODE, K_OFF)
    alice.lock()
    consoles.asks()
    alice.unlock()
    consoles.comes_to_front(ONE)
    assert consoles.is_open(ONE)
    alice.answers()


# Holds on to its console, and lets go of it after some seconds.
CLINGS = r"""
use strict; use warnings;
use constant { VT_SETMODE => 0x5602, VT_RELDISP => 0x5605, VT_ACTIVATE => 0x5606 };
$SIG{USR1} = $SIG{USR2} = 'IGNORE';
open(my $done, '>', '/tmp/clings') or die $!;
select undef, undef, undef, 0.05 until -e '/tmp/go';
my ($number, $refusal, $end) = ($ARGV[0] + 0, 0, time + 4);
my ($own, $kernels) = (pack('CCsss', 1, 0, 10, 12, 0), pack('CCsss', 0, 0, 0, 0, 0));
my $first = fork;
fork;
while (time < $end) {
    ioctl(STDIN, VT_SETMODE, $own);
    ioctl(STDIN, VT_ACTIVATE, $number);
    ioctl(STDIN, VT_RELDISP, $refusal);
}
exit unless $first;
1 while wait != -1;
ioctl(STDIN, VT_SETMODE, $kernels);
unlink '/tmp/clings';
"""


def test_a_program_that_clings_to_its_locked_console_keeps_nobody_there(host, logins):
    alice, bob = logins("alice", ONE), logins("bob", TWO)
    host.write("/usr/local/lib/clings.pl", CLINGS)
    for _ in range(3):
        consoles.switch(ONE)
        consoles.comes_to_front(ONE)
        consoles.type_text(f"perl /usr/local/lib/clings.pl {ONE} <&0 &\r")
        wait_until(lambda: host.run("test", "-e", "/tmp/clings", check=False).returncode == 0, 10, "it clings")
        consoles.switch(TWO)
        consoles.comes_to_front(TWO)
        host.vigilctl("lock", alice.id)
        host.run("touch", "/tmp/go")
        wait_until(lambda: host.run("test", "-e", "/tmp/clings", check=False).returncode == 1, 20, "it has let go")
        host.run("rm", "/tmp/go")
        wait_until(lambda: consoles.switch(TWO) or consoles.front() == TWO, 10, "bob comes to his own")
        assert bob.is_in_front() and alice.state() == "locked"
        host.vigilctl("unlock", alice.id, "--reason", "a test")
        wait_until(lambda: consoles.is_open(ONE), 10, "it shows and hears")


def test_a_prompt_that_is_killed_comes_back_and_switching_stays_held(host, alice):
    alice.lock()
    consoles.asks()
    at, first = consoles.front(), alice.prompt()
    # What is seen from now on is another prompt's.
    host.run("sh", "-c", rf"printf '\033[H\033[J' >/dev/tty{at}")
    host.run("kill", "-9", str(first))
    consoles.switch(TWO)
    wait_until(lambda: alice.prompt() not in (0, first), 10, "a new prompt is there")
    wait_until(lambda: alice.lock_console() == at, 5, "it asks at the same console")
    assert consoles.front() == at
    alice.unlock()
    consoles.comes_to_front(ONE)


def settled(alice):
    """Once nothing is under way any more: active or locked, and what is seen and the kernel agree."""
    wait_until(lambda: alice.state() in ("active", "locked"), 10, "it is one or the other")
    if alice.state() == "active":
        consoles.comes_to_front(ONE)
        wait_until(lambda: consoles.is_open(ONE), 10, "it shows and hears")
        return "active"
    wait_until(lambda: consoles.is_shut(ONE), 10, "it is shut")
    consoles.asks()
    assert consoles.front() == alice.lock_console()
    consoles.switch(TWO)
    moment()
    assert consoles.front() == alice.lock_console()
    return "locked"


def test_a_kill_before_any_step_of_locking(host, alice):
    steps = steps_of(host, alice.lock)
    consoles.asks()
    alice.unlock()
    walk = Walk(steps)
    for step in steps:
        killer = death(host, step)
        done = host.run("vigilctl", "lock", alice.id, "--reason", "a test", check=False).returncode == 0
        if done:  # steps come until then
            consoles.asks()
        killed = killer.leave()
        state = settled(alice)
        assert state == "locked" or not done, f"{step}: it was said to be locked"
        walk.note(step, killed, state)
        alice.lock()
        alice.unlock()
        assert settled(alice) == "active", step
        alice.answers()
    walk.was_whole("pwrite64", "ioctl", "fchmod", "sendmsg", states=["active"], often="locked")


def test_a_kill_before_any_step_of_unlocking(host, alice):
    alice.lock()
    steps = steps_of(host, alice.unlock)
    walk = Walk(steps)
    for step in steps:
        alice.lock()
        consoles.asks()
        killer = death(host, step)
        consoles.type_text(PASSWORDS["alice"] + "\r")
        wait_until(lambda: killer.ended() or is_listed_as(host, alice, "active"), 15, f"{step}: something comes of it")
        walk.note(step, killer.leave())
        wait_until(lambda: alice.state() == "active", 15, f"{step}: nobody types it twice")
        assert settled(alice) == "active", step
        alice.answers()
    walk.was_whole("pwrite64", "ioctl", "sendmsg")


def test_a_lost_store_loses_no_lock(host, alice):
    alice.lock()
    consoles.asks()
    at = consoles.front()
    # Both before vigild is back: it has the file open.
    host.run("systemctl stop vigild.service && rm -f /run/vigil/state.db* && echo broken >/run/vigil/state.db && "
             "systemctl start vigild.service")
    wait_until(lambda: alice.state() == "locked", 10, "it is locked, under the same id")
    assert consoles.front() == at and consoles.is_shut(ONE)
    alice.unlock()
    consoles.comes_to_front(ONE)
    assert consoles.is_open(ONE)
    alice.answers()


def test_thaw_brings_a_console_back_without_vigild_and_its_store(host, alice):
    alice.lock()
    consoles.asks()
    lock_console = consoles.front()
    host.run("systemctl mask --runtime vigild.service && systemctl stop vigild.service vigild.socket && "
             "rm -f /run/vigil/state.db*")
    said = host.run("vigilctl", "thaw", "--all").stdout
    assert "of alice" in said and f"given back: /dev/tty{ONE}" in said
    consoles.comes_to_front(ONE)
    assert consoles.is_open(ONE)
    wait_until(lambda: not consoles.in_use(lock_console), 5, "the lock console is free")
    alice.answers()
    consoles.switch(TWO)
    consoles.comes_to_front(TWO)
    host.run("systemctl unmask --runtime vigild.service && systemctl start vigild.socket vigild.service")
    wait_until(lambda: host.vigil_sessions(user="alice"), 10, "it is adopted")
    alice.id = host.vigil_sessions(user="alice")[0]["id"]
    assert alice.state() == "active" and consoles.front() == TWO


def test_the_end_of_a_locked_session_leaves_a_console_to_log_in_at(host, alice):
    alice.lock()
    consoles.asks()
    lock_console = consoles.front()
    host.vigilctl("terminate", alice.id, "--reason", "a test")
    consoles.comes_to_front(ONE, 15)
    consoles.sees(r"login:\s*$", 15)
    assert SECRET not in consoles.screen() and consoles.is_open(ONE)
    wait_until(lambda: not consoles.in_use(lock_console), 5, "the lock console is free")
    consoles.switch(TWO)
    consoles.comes_to_front(TWO)


@pytest.mark.parametrize("last", ["login: ", SECRET], ids=["a login waits", "none yet"])
def test_a_session_that_ended_without_vigild_leaves_nothing_on_a_console_opened_by_others(host, alice, last):
    """PID 1 opens a console for its next login; of tty1 alone, which no test has, it then does not wipe what stands there."""
    alice.lock()
    consoles.asks()
    host.run("systemctl stop vigild.socket vigild.service")
    host.run("systemctl", "stop", f"getty@tty{ONE}.service")
    with Console(ONE) as console:
        console.do(KDSKBMODE, K_UNICODE)
        console.do(KDSETMODE, KD_TEXT)
        os.write(console.fd, f"\033[H\033[2J{SECRET}\r\n{SECRET}\r\n{last}".encode())
    host.run("systemctl start vigild.socket vigild.service")
    consoles.comes_to_front(ONE, 15)
    assert SECRET not in consoles.screen()
    assert consoles.screen().split() == last.replace(SECRET, "").split()


@contextlib.contextmanager
def no_free_console():
    taken = [os.open(f"/dev/tty{number}", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
             for number in range(1, consoles.LAST + 1)]
    try:
        yield
    finally:
        for number, one in enumerate(taken, 1):
            os.close(one)
            if number not in (1, ONE):
                with Console(1) as console:
                    try:
                        console.do(consoles.VT_DISALLOCATE, number)
                    except OSError:
                        pass  # somebody else's


def test_without_a_free_console_it_is_locked_at_its_own_and_that_is_said(host, alice):
    with no_free_console():
        alice.lock()
        consoles.asks()
        assert alice.is_in_front() and alice.frozen()
        said = f"there was no lock console for /dev/tty{ONE}, so what runs there stands still"
        assert said in host.vigilctl("show", alice.id).stdout
        assert "no lock console, so what runs there stands still: all consoles are in use" in host.vigil_log()
    # Now there are free ones, and it stays as it is until the unlock.
    alice.unlock()
    alice.answers()


def test_a_console_that_was_locked_at_its_own_is_roots_after_the_session(host, alice):
    """It outlives its session, and getty is not always there to put it right."""
    with no_free_console():
        alice.lock()
        consoles.asks()
    host.run("systemctl", "mask", "--runtime", f"getty@tty{ONE}.service")
    try:
        alice.terminate(20)
        assert host.run("stat", "-c", "%U", f"/dev/tty{ONE}").stdout == "root\n"
        settings = host.run("stty", "-F", f"/dev/tty{ONE}", "-a").stdout.split()
        assert {"icanon", "echo", "isig"} <= set(settings)
    finally:
        host.run("systemctl", "unmask", "--runtime", f"getty@tty{ONE}.service")


def test_what_another_program_held_is_not_in_the_way(alice):
    with Console(1) as console:
        console.do(VT_LOCKSWITCH, 1)
    alice.lock()
    consoles.asks()
    alice.unlock()
    consoles.comes_to_front(ONE)
    alice.answers()


def test_a_console_that_a_program_has_to_itself_is_locked_and_unlocked(alice):
    consoles.type_text("perl -e 'ioctl(STDIN, 0x540c, 0) or die'; clear; echo it is i''ts own\r")  # TIOCEXCL
    consoles.sees("^it is its own$")
    alice.lock()
    consoles.asks()
    assert consoles.is_shut(ONE) and not alice.frozen()
    alice.unlock()
    consoles.comes_to_front(ONE)
    alice.answers()
