"""A program on a terminal, read as a person reads it: the screen, not the bytes."""

import copy
import os
import re
import threading
import time

import pexpect
import pyte

KEYS = {"enter": "\r", "tab": "\t", "escape": "\x1b", "backspace": "\x7f", "up": "\x1b[A", "down": "\x1b[B",
        "right": "\x1b[C", "left": "\x1b[D"}


# Waits are so many times as long as they say. A machine that is emulated is slow, and it is not its speed that is tested.
patience = 1


class Screen(pyte.Screen):
    """With the second screen that xterm has (ctlseqs: 1049), as every terminal of today; pyte knows none."""

    first = None
    SECOND = 1049
    # Asked whether that is set, or whether the cursor is shown (ctlseqs: DECRQM), it answers as xterm does; pyte passes the
    # questions over.
    QUESTION = re.compile(rb"\x1b\[\?(25|1049)\$p")

    def answer(self, mode):
        is_set = self.first is not None if mode == self.SECOND else not self.cursor.hidden
        return b"\x1b[?%d;%d$y" % (mode, 1 if is_set else 2)

    def restore_cursor(self):
        """Whether it is hidden is not saved with it (ctlseqs: DECSC); pyte does so."""
        hidden = self.cursor.hidden
        super().restore_cursor()
        self.cursor.hidden = hidden

    def set_mode(self, *modes, **kind):
        super().set_mode(*modes, **kind)
        if kind.get("private") and self.SECOND in modes and self.first is None:
            self.first = (copy.deepcopy(self.buffer), copy.copy(self.cursor))
            self.erase_in_display(2)

    def reset_mode(self, *modes, **kind):
        super().reset_mode(*modes, **kind)
        if kind.get("private") and self.SECOND in modes and self.first is not None:
            hidden = self.cursor.hidden
            self.buffer, self.cursor = self.first
            self.cursor.hidden = hidden
            self.first = None
            self.dirty.update(range(self.lines))


    def select_graphic_rendition(self, *attributes, private=False):
        """xterm has a private one, for its keyboard; pyte fails at it."""
        if not private:
            super().select_graphic_rendition(*attributes)


class Terminal:
    """Started at once; a thread keeps the screen up to date, so that a text's time of arrival is its own."""

    def __init__(self, command, rows=24, columns=80, term="linux", silent=False):
        """`silent`: it answers no question, as the Linux console. `term` is what it says of itself."""
        self.silent = silent
        self.unread = b""
        self.screen = Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.output = b""
        self.ended = False
        self.last_input = time.monotonic()
        self.changed = threading.Condition()
        # `linux` is what pyte is.
        self.child = pexpect.spawn(command[0], command[1:], dimensions=(rows, columns), timeout=None,
                                   env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TERM": term, "LANG": "C.UTF-8"})
        self.child.delaybeforesend = None
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        while True:
            # Not pexpect's own read, which also waits for the child: two threads would, and the second finds none.
            try:
                piece = os.read(self.child.child_fd, 65536)
            except OSError:
                piece = b""
            with self.changed:
                if piece:
                    self.output += piece
                    self._show(piece)
                else:
                    self.ended = True
                self.changed.notify_all()
            if not piece:
                return

    def _show(self, piece):
        """Draws it and answers the questions in it, each with what is true where it stands."""
        text, self.unread = self.unread + piece, b""
        while question := self.screen.QUESTION.search(text):
            self.stream.feed(text[:question.start()])
            text = text[question.end():]
            if not self.silent:
                os.write(self.child.child_fd, self.screen.answer(int(question[1])))
        # A question may come in two pieces: what may be the beginning of one waits for the rest.
        begun = re.search(rb"\x1b(\[(\?(\d{1,4}\$?)?)?)?\Z", text)
        whole = begun.start() if begun else len(text)
        self.stream.feed(text[:whole])
        self.unread = text[whole:]

    # Input

    def send(self, text):
        """Types the text; end it with \\r where a person would press Enter."""
        self.last_input = time.monotonic()
        self.child.send(text)

    def key(self, *names):
        """Presses keys: enter, tab, up, ..., or ctrl-a to ctrl-z."""
        for name in names:
            control = re.fullmatch(r"ctrl-([a-z])", name)
            self.send(chr(ord(control[1]) - 96) if control else KEYS[name])

    def resize(self, rows, columns):
        with self.changed:
            self.screen.resize(rows, columns)
        self.child.setwinsize(rows, columns)

    # What is to be seen

    def lines(self):
        with self.changed:
            return [line.rstrip() for line in self.screen.display]

    def text(self):
        """The screen as text."""
        return "\n".join(self.lines()).rstrip()

    def cursor(self):
        """Its line and column, from 0."""
        with self.changed:
            return self.screen.cursor.y, self.screen.cursor.x

    def hides_cursor(self):
        with self.changed:
            return self.screen.cursor.hidden

    def said(self):
        """Everything that ever arrived, without escape sequences: also what is gone from the screen."""
        with self.changed:
            raw = self.output.decode("utf-8", "replace")
        plain = re.sub(r"\x1b(\[[0-9;?>$]*[A-Za-z]|\][^\x07\x1b]*(\x07|\x1b\\)|[()][0AB]|[=>78cM])", "", raw)
        # A carriage return begins a line as a newline does: readline sends one behind each command.
        return re.sub(r"\r+\n?", "\n", plain)

    def mark(self):
        """For wait_to_hear(): only what arrives from now on."""
        return len(self.said())

    def _wait(self, look, timeout, what):
        deadline = time.monotonic() + patience * timeout
        # Nothing arrives between a look and its wait, which would then hear of the next piece alone.
        with self.changed:
            while not (found := look()):
                if self.ended or not self.changed.wait(deadline - time.monotonic()):
                    break
            # The last piece may have come with the end.
            if found or (found := look()):
                return found
            ended = self.ended
        raise AssertionError(f"{what}: {'the program ended' if ended else f'not within {timeout} s'}\n"
                             f"--- the screen:\n{self.text()}\n--- its last output:\n{self.said()[-1500:]}\n---")

    def wait_for(self, pattern, timeout=10):
        """Waits until the screen shows the regular expression; the match."""
        def look():
            return re.search(pattern, self.text(), re.MULTILINE)
        return self._wait(look, timeout, f"no {pattern!r} on the screen")

    def comes_to_show(self, pattern, timeout):
        """The same for who tries again: None where it does not come."""
        try:
            return self.wait_for(pattern, timeout)
        except AssertionError:
            return None

    def wait_gone(self, pattern, timeout=10):
        """Waits until the screen no longer shows the regular expression."""
        def look():
            return not re.search(pattern, self.text(), re.MULTILINE)
        self._wait(look, timeout, f"{pattern!r} stays on the screen")

    def wait_to_hear(self, pattern, timeout=10, since=0):
        """Waits until the regular expression has arrived at all, though it may be gone from the screen."""
        return self._wait(lambda: re.search(pattern, self.said()[since:], re.MULTILINE), timeout, f"no {pattern!r}")

    def wait_closed(self, timeout=10):
        """Waits for the end of the program; its exit status."""
        self._wait(lambda: self.ended, timeout, "it goes on")
        self.child.wait()
        return self.child.exitstatus

    def close(self):
        """Hangs up, as when a person closes the window."""
        # The reader holds the descriptor: the child has to end first, or its number is reused under it.
        if self.child.isalive():
            self.child.kill(1)
            self.reader.join(2)
            if self.reader.is_alive():
                self.child.kill(9)
                self.reader.join(5)
        self.child.close(force=True)
