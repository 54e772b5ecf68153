"""vigil-lock on a terminal of a test's, and a vigild that can go away."""

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from pathlib import Path

import pyte

LOCK = os.environ["VIGIL_LOCK"]
FAKE = os.environ["FAKE_VIGILD"]
MODULE = os.environ["PAM_ANSWER"]
SESSION = "abc00000000000000000000000000000"
DONE = 10
# Of Terminal.patience(): -1.
FOR_EVER = 0xffffffff
# What the terminal shows: whether its cursor, and the main screen or the alternate one.
QUESTION = b"\x1b7\x1b[?25$p\x1b8\x1b7\x1b[?1049$p\x1b8"


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

    def listen(self, patience):
        """All it was asked until now, or a moment later if there is nothing new."""
        if select.select([self.process.stdout], [], [], patience)[0]:
            self.heard += os.read(self.process.stdout.fileno(), 65536).decode().splitlines()
        return self.heard

    def calls(self):
        """All it was asked; ends it."""
        self.stop()
        return self.heard


class Terminal:
    """A pty with vigil-lock on it, as vigild leaves a terminal: raw, without signals and echo, lines end with \\r\\n."""

    def __init__(self, folder, columns=80, rows=24, raw=True, stack="password=secret code=123456", account="",
                 full=False):
        self.master, slave = pty.openpty()
        self.path = os.ttyname(slave)
        self.resize(columns, rows)
        if raw:
            settings = termios.tcgetattr(slave)
            settings[0] = settings[3] = 0
            settings[1] = termios.OPOST | termios.ONLCR
            termios.tcsetattr(slave, termios.TCSANOW, settings)
        if full:
            os.set_blocking(slave, False)
            with contextlib.suppress(BlockingIOError):
                while os.write(slave, b"old\r\n"):
                    pass
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

    def written(self):
        """What vigil-lock wrote, before the terminal put its \\r in front of each \\n."""
        return self.raw_output.replace(b"\r\n", b"\n")

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

    def patience(self):
        """How many milliseconds it waits for a key, by poll(2)'s third argument; 0 while it is at work."""
        call = Path(f"/proc/{self.process.pid}/syscall").read_text(encoding="ascii").split()
        return int(call[3], 16) if len(call) > 3 else 0

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


def told_of_the_screen(vigild):
    """Each time: the screen."""
    return [call.split()[-2] for call in vigild.calls() if call.startswith("ScreenSeen")]


def told_of_the_cursor(vigild):
    return [call.split()[-1] for call in vigild.calls() if call.startswith("ScreenSeen")]
