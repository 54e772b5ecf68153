"""What a person answers the prompt, by a real libpam."""

import fcntl
import os
import signal
import struct
import termios
import threading
import time

import pytest

from vigil_lock import DONE, FOR_EVER, SESSION


def test_a_password_unlocks(host):
    vigild, terminal = host.vigild(), host.terminal()
    terminal.see("Password or code:")
    for text in ("web1.example", "(idle for 15 min)", "User: alice", "Ends at"):
        terminal.see(text)
    terminal.prompt()
    terminal.type("secret\r")
    assert terminal.ends() == DONE
    # vigild has put the screen back before it answers; what came now would be drawn over.
    assert b"\x1b[?1049l" not in terminal.raw_output
    assert b"secret" not in terminal.raw_output
    assert f"Unlocked [{SESSION}] [{terminal.path}] [password]" in vigild.calls()


def test_a_code_is_reported_as_one(host):
    vigild, terminal = host.vigild("--factors", "totp"), host.terminal()
    terminal.see("Code:")
    terminal.prompt()
    terminal.type("123456\r")
    assert terminal.ends() == DONE
    assert f"Unlocked [{SESSION}] [{terminal.path}] [totp]" in vigild.calls()


def test_a_password_is_not_taken_where_only_a_code_is(host):
    vigild, terminal = host.vigild("--factors", "totp", "--warning", "cat (42) of bob holds this terminal."), \
        host.terminal(stack="password=secret password=654321 code=123456")
    terminal.see("cat (42) of bob")
    terminal.prompt()
    terminal.type("secret\r")
    terminal.see("Only a code, of 6 or 8 digits, is taken here.")
    terminal.prompt()
    terminal.type("654321\r")  # a password that looks like a code
    terminal.see("Only a code is taken here. Next try")
    assert terminal.process.poll() is None
    heard = vigild.calls()
    assert not [call for call in heard if call.startswith("Unlocked")]
    assert [call for call in heard if call.startswith("UnlockFailed")]


def test_a_wrong_answer_counts_down_and_what_is_typed_meanwhile_is_lost(host):
    vigild, terminal = host.vigild("--wait", "2"), host.terminal()
    terminal.prompt()
    terminal.type("wrong\r")
    terminal.see("Wrong. Next try in 2 s.")
    terminal.type("secret\r")
    terminal.see("Next try in 1 s.")
    terminal.see("Password or code:")
    terminal.prompt()
    assert terminal.process.poll() is None
    terminal.type("secret\r")
    assert terminal.ends() == DONE
    assert len([call for call in vigild.calls() if call.startswith("UnlockFailed")]) == 1


def wait_until(held):
    end = time.monotonic() + 5
    while not held():
        assert time.monotonic() < end


class Burst:
    """Keys right behind a good password, of which the first is there before the password is found good."""

    def __init__(self, host, first="t"):
        self.vigild, self.terminal = host.vigild(), host.terminal()
        self.terminal.prompt()
        self.slave = os.open(self.terminal.path, os.O_RDWR | os.O_NOCTTY)
        self.vigild.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: self.terminal.patience() == FOR_EVER)
        self.terminal.type("secret\r")
        wait_until(lambda: self.terminal.patience() != FOR_EVER and not self.unread())
        self.started = time.monotonic()
        self.key(first)
        self.vigild.process.send_signal(signal.SIGCONT)

    def unread(self):
        return struct.unpack("i", fcntl.ioctl(self.slave, termios.FIONREAD, struct.pack("i", 0)))[0]

    def key(self, key):
        self.terminal.type(key)
        self.last_key = time.monotonic()

    def unlocked(self, patience):
        return any(call.startswith("Unlocked") for call in self.vigild.listen(patience))

    def ends(self):
        assert self.terminal.ends() == DONE
        unread = self.unread()
        os.close(self.slave)
        return unread


@pytest.mark.parametrize("first", ["t", "\x03", "\x1b[A", "\x1b[200~t", "t\ru"], ids=repr)
def test_what_is_typed_right_behind_a_password_is_lost_whole(host, first):
    """vigild throws away what has come when it gives the terminal back: the rest of it would run in the shell."""
    burst = Burst(host, first)
    for key in "ouch /tmp/h; echo ABCDEFGHIJKLMNOPQRSTUVWXYZ\r":
        if burst.unlocked(0.01):
            break
        burst.key(key)
    wait_until(lambda: burst.unlocked(0.05))
    assert time.monotonic() - burst.last_key >= 0.15, "it unlocks in the midst of what is typed"
    assert burst.ends() == 0


def test_who_never_stops_typing_is_let_in_all_the_same(host):
    burst = Burst(host)
    while not burst.unlocked(0.01):
        burst.key("x")
        assert burst.last_key - burst.started < 10, "it waits for ever"
    burst.ends()


def test_bytes_that_never_pause_keep_nobody_out(host):
    burst, stopped = Burst(host), threading.Event()

    def flood():
        while not stopped.is_set():
            os.write(burst.terminal.master, b"x" * 256)
    os.set_blocking(burst.terminal.master, True)
    flooding = threading.Thread(target=flood)
    flooding.start()
    try:
        while not burst.unlocked(0.01):
            assert time.monotonic() - burst.started < 10, "it waits for ever"
    finally:
        stopped.set()
        termios.tcflush(burst.slave, termios.TCIFLUSH)  # what is written finds room
        flooding.join()
    burst.ends()


def test_an_expired_account_stays_locked_and_says_so(host):
    vigild, terminal = host.vigild(), host.terminal(account="expired")
    terminal.prompt()
    terminal.type("secret\r")
    terminal.see("Your account has expired.")
    assert not [call for call in vigild.calls() if call.startswith("Unlocked")]


def test_a_missing_stack_stays_locked(host):
    vigild, terminal = host.vigild(), host.terminal()
    terminal.prompt()
    (host.folder / "pam" / "vigil-unlock").unlink()
    terminal.type("secret\r")
    terminal.see("Next try in")
    assert terminal.process.poll() is None
    assert not [call for call in vigild.calls() if call.startswith("Unlocked")]
