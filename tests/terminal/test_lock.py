"""vigil-lock on a real terminal: the screen as a person sees it, a real libpam, a vigild that can go away."""

import fcntl
import os
import pty
import resource
import select
import signal
import socket
import struct
import subprocess
import termios
import time
from pathlib import Path

import pyte
import pytest

LOCK = os.environ["VIGIL_LOCK"]
FAKE = os.environ["FAKE_VIGILD"]
MODULE = os.environ["PAM_ANSWER"]
SESSION = "abc00000000000000000000000000000"
DONE = 10


class Vigild:
    def __init__(self, path, *options):
        self.path, self.options = path, options
        self.heard = []
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen([FAKE, self.path, *self.options], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def stop(self):
        if self.process.stdout.closed:
            return
        self.process.kill()
        self.heard += self.process.stdout.read().splitlines()
        self.process.wait()
        self.process.stdout.close()

    def calls(self):
        """All it was asked; ends it."""
        self.stop()
        return self.heard


class Terminal:
    """A pty with vigil-lock on it, as vigild leaves a terminal: raw, without signals and echo."""

    def __init__(self, folder, columns=80, rows=24, raw=True, stack="password=secret code=123456", account=""):
        self.master, slave = pty.openpty()
        self.path = os.ttyname(slave)
        self.resize(columns, rows)
        if raw:
            settings = termios.tcgetattr(slave)
            settings[0] = settings[1] = 0
            settings[3] = 0
            termios.tcsetattr(slave, termios.TCSANOW, settings)
        os.close(slave)
        (folder / "pam").mkdir(exist_ok=True)
        (folder / "pam" / "vigil-unlock").write_text(
            f"auth required {MODULE} {stack}\naccount required {MODULE} {account}\n", encoding="utf-8")
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.raw_output = b""
        self.process = subprocess.Popen(
            [LOCK, SESSION, self.path, "--socket", str(folder / "bus"), "--pam-directory", str(folder / "pam")],
            stdin=subprocess.DEVNULL, env={}, start_new_session=True)

    def resize(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        data = text.encode() if isinstance(text, str) else text
        while data:
            data = data[os.write(self.master, data[:1024]):]

    def read(self, patience):
        if not select.select([self.master], [], [], patience)[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return False
        self.raw_output += data
        # pyte has no alternate screen: what is left is what vigil-lock drew.
        self.stream.feed(data)
        return bool(data)

    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.display).strip("\n")

    def see(self, text, patience=5.0):
        end = time.monotonic() + patience
        while text not in " ".join(self.text().split()):
            left = end - time.monotonic()
            assert left > 0, f"{text!r} is not on the screen:\n{self.text()}"
            self.read(min(left, 0.2))

    def prompt(self):
        """Waits until an answer is read: the prompt is drawn after the input was flushed."""
        self.see(":")
        while self.read(0.1):
            pass

    def ends(self, patience=5):
        end = time.monotonic() + patience
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.05)
        while self.read(0.05):
            pass
        return self.process.wait(timeout=0.1)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.master >= 0:
            os.close(self.master)


@pytest.fixture(name="host")
def host_fixture(tmp_path):
    made = []

    class Host:
        folder = tmp_path

        def vigild(self, *options):
            made.append(Vigild(str(tmp_path / "bus"), *options))
            return made[-1]

        def terminal(self, **how):
            made.append(Terminal(tmp_path, **how))
            return made[-1]

    yield Host()
    for thing in reversed(made):
        thing.stop() if isinstance(thing, Vigild) else thing.close()


def test_a_password_unlocks(host):
    vigild, terminal = host.vigild(), host.terminal()
    terminal.see("Password or code:")
    for text in ("web1.example", "(idle for 15 min)", "User: alice", "This session ends at"):
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
    terminal.see("Only a code of 6 digits is taken here.")
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


@pytest.mark.parametrize("keys", [
    b"\x03", b"\x1c", b"\x1a", b"\x13", b"\x04", b"\x00", b"\r\r", b"\x1b[A\x1bOP", b"\x1b[M !!",
    b"\x1b[200~secret\r\x1b[201~", b"one\rsecret\r", b"p" * (1 << 20) + b"\r", b"x" * 600 + b"\r",
], ids=lambda keys: repr(keys[:12]))
def test_hostile_keys_do_nothing(host, keys):
    vigild, terminal = host.vigild(), host.terminal()
    terminal.prompt()
    feeder = os.fork()
    if feeder == 0:  # a full terminal blocks who writes, and we have to read meanwhile
        terminal.type(keys)
        os._exit(0)
    while os.waitpid(feeder, os.WNOHANG) == (0, 0):
        terminal.read(0.02)
    while terminal.read(0.4):
        pass
    assert terminal.process.poll() is None
    terminal.type("\x15secret\r")
    assert terminal.ends() == DONE
    heard = vigild.calls()
    assert not [call for call in heard if call.startswith("UnlockFailed")]
    assert heard[-1].startswith("Unlocked")


def test_a_cooked_terminal_is_silenced(host):
    host.vigild()
    terminal = host.terminal(raw=False)
    terminal.prompt()
    terminal.type("\x03sec\x03ret\r")
    # ^C was a key like any other, and no letter of it all was shown.
    assert terminal.ends() == DONE
    assert b"sec" not in terminal.raw_output and b"ret" not in terminal.raw_output


def test_it_leaves_where_nothing_is_locked(host):
    host.vigild("--open")
    assert host.terminal().ends() == DONE


def test_it_leaves_where_the_session_is_gone(host):
    host.vigild("--missing", "LockInfo")
    assert host.terminal().ends() == DONE


def hang_up_on_the_next_caller(path):
    """A try that fails, for certain."""
    os.unlink(path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        listener.settimeout(5)
        listener.accept()[0].close()
    os.unlink(path)


def test_vigild_killed_before_the_yes_is_told(host):
    vigild, terminal = host.vigild("--hang", "Unlocked"), host.terminal()
    terminal.prompt()
    terminal.type("secret\r")
    terminal.see("vigild is away; unlocking as soon as it is back.")
    assert terminal.process.poll() is None
    vigild.stop()
    hang_up_on_the_next_caller(vigild.path)
    vigild.options = ()
    vigild.start()
    assert terminal.ends() == DONE  # nobody typed again
    assert vigild.calls()[-1] == f"Unlocked [{SESSION}] [{terminal.path}] [password]"


def test_vigild_away_at_the_start_and_back_later(host):
    terminal = host.terminal()
    terminal.see("vigild is away; waiting for it.")
    terminal.type("secret\r")
    host.vigild()
    terminal.see("Password or code:", patience=8)
    terminal.prompt()
    assert terminal.process.poll() is None
    terminal.type("secret\r")
    assert terminal.ends() == DONE


def test_an_unlock_that_vigild_refuses_stays_locked(host):
    host.vigild("--refuse", "Unlocked")
    terminal = host.terminal()
    terminal.prompt()
    terminal.type("secret\r")
    terminal.see("vigild refuses: only root may do that")
    assert terminal.process.poll() is None


def test_sigterm_ends_it_without_another_byte(host):
    host.vigild()
    terminal = host.terminal()
    terminal.prompt()
    drawn = len(terminal.raw_output)
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.ends() == DONE
    assert len(terminal.raw_output) == drawn


def test_other_signals_do_nothing(host):
    host.vigild()
    terminal = host.terminal()
    terminal.prompt()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGPIPE):
        terminal.process.send_signal(number)
    terminal.type("secret\r")
    assert terminal.ends() == DONE


def test_a_hang_up_ends_it(host):
    host.vigild()
    terminal = host.terminal()
    terminal.prompt()
    os.close(terminal.master)
    terminal.master = -1
    assert terminal.process.wait(timeout=5) == DONE


def test_a_terminal_that_is_gone_needs_no_prompt(host):
    host.vigild()
    line = [LOCK, SESSION, "/dev/pts/99999", "--socket", str(host.folder / "bus")]
    assert subprocess.run(line, check=False).returncode == DONE
    assert subprocess.run([LOCK, SESSION, "/dev/null"], check=False).returncode == 1
    assert subprocess.run([LOCK, SESSION, "/etc/passwd"], check=False).returncode == 1
    assert subprocess.run([LOCK, SESSION], check=False).returncode == 2


def test_at_rest_it_costs_no_wakeup_and_dumps_no_core(host):
    host.vigild()
    terminal = host.terminal()
    terminal.prompt()
    status = Path(f"/proc/{terminal.process.pid}/status")

    def switches():
        return [line for line in status.read_text(encoding="ascii").splitlines() if "ctxt_switches" in line]

    before = switches()
    assert not select.select([terminal.master], [], [], 2)[0], "it drew something"
    assert switches() == before
    limits = Path(f"/proc/{terminal.process.pid}/limits").read_text(encoding="ascii")
    assert [line for line in limits.splitlines() if line.startswith("Max core file size")][0].split()[4] == "0"
    assert resource.prlimit(terminal.process.pid, resource.RLIMIT_CORE) == (0, 0)


def test_a_new_size_is_drawn_with_the_next_key(host):
    host.vigild("--warning", "A process of another person holds this terminal open.")
    terminal = host.terminal(columns=20, rows=10)
    terminal.see("Password or code:")
    terminal.prompt()
    assert max(len(line) for line in terminal.text().splitlines()) <= 20
    terminal.resize(80, 24)
    terminal.screen.resize(24, 80)
    terminal.type("s")
    terminal.see("A process of another person holds this terminal open.")
    terminal.prompt()
    terminal.type("ecret\r")
    assert terminal.ends() == DONE


def test_a_reader_that_stalls_hangs_nothing(host):
    """Nobody reads the screen until it is full: vigil-lock goes on, and ends when told."""
    host.vigild()
    terminal = host.terminal()
    terminal.prompt()
    slave = os.open(terminal.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        # Room for a key as long as they are read, for a screen as long as it is not full.
        for turn in range(100_000):
            if not select.select([], [slave], [], 0)[1]:
                break
            terminal.resize(80 + turn % 2, 24)
            if select.select([], [terminal.master], [], 0.01)[1]:
                os.write(terminal.master, b"x")
        else:
            raise AssertionError("the screen is never full")
    finally:
        os.close(slave)
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.process.wait(timeout=3) == DONE
