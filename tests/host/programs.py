"""Programs that have the whole screen, and what a person sees of it."""

import time

from vigilhost import SOURCE, wait_until

# What is typed to start it, what is seen then, a key, what is seen after it, and how it is left.
PROGRAMS = {
    "less": ("seq -f 'line %g' 500 >lines; less lines\r", r"^line 1\n", " ", r"^line 46$", "q"),
    "vim": ("seq -f 'line %g' 500 >lines; vi -u NONE lines\r", r"^line 1\n", "Gonew\x1b", r"^new$", ":q!\r"),
    "nano": ("seq -f 'line %g' 500 >lines; nano -Ix lines\r", r"^line 1\n", "new ", r"^new line 1$", "\x18n"),
    "mc": ("mc --nosubshell --nomouse\r", r"^.* 1Help .*10Quit", "typed", r"\$ typed\b", "\x15\x1b0"),
    "screen": ("screen -c /dev/null sh -c 'echo in the window; exec cat'\r", r"^in the window$",
               "typed\r", r"^typed\ntyped$", "\x04"),
    "tmux": ("tmux -f /dev/null new 'echo in the pane; exec cat'\r", r"^in the pane$", "typed\r", r"^typed\n+typed$", "\x04"),
    "ncurses": ("curses\r", r"made with ncurses", "x", r"typed x", "q"),
    # At terminals of their own, inside.
    "vim by sudo": ("seq -f 'line %g' 500 >lines; sudo vi -u NONE lines\r", r"^line 1\n", "Gonew\x1b", r"^new$", ":q!\r"),
    "vim in script": ("seq -f 'line %g' 500 >lines; script -q -c 'vi -u NONE lines' /dev/null\r", r"^line 1\n",
                      "Gonew\x1b", r"^new$", ":q!\r"),
    "vim by ssh": ("ssh -q -t -o StrictHostKeyChecking=no bob@localhost 'seq -f \"line %g\" 500 >lines; vi -u NONE lines'\r",
                   r"^line 1\n", "Gonew\x1b", r"^new$", ":q!\r"),
    "vim in tmux": ("tmux -f /dev/null new 'vi -u NONE'\r", r"^~$", "ia text\x1b", r"^a text$", ":q!\r"),
}


def put_on(host):
    """What they need on a host: alice may use sudo without a password, and has a key that lets her in as bob."""
    host.write("/etc/sudoers.d/tests", "alice ALL=(ALL:ALL) NOPASSWD: ALL\n", "0440")
    host.run("runuser", "-u", "alice", "--", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/home/alice/.ssh/id_ed25519")
    host.run("cat /home/alice/.ssh/id_ed25519.pub >>/home/bob/.ssh/authorized_keys")
    # What changes by itself: a hint, and how full the disk is.
    host.write("/etc/mc/mc.ini", "[Layout]\nmessage_visible=false\nfree_space=false\n")
    host.put(SOURCE / "build/tests/host/tools/curses", "/usr/local/bin/curses")


def end_servers(host):
    """They outlive the session by design."""
    host.run("pkill", "-KILL", "-u", "alice", "-f", "^(tmux|screen|SCREEN)", check=False)


def picture(login):
    """The screen as a person sees it, but for the last line, where a program's messages go when it draws anew."""
    line, column = login.screen.cursor()
    place = None if line == len(login.screen.lines()) - 1 else (line, column)
    return login.screen.lines()[:-1], place, login.screen.hides_cursor()


def steady_picture(login):
    """The same, once it has stayed as it is for a moment: a program is through with its drawing."""
    seen = [None, 0.0]

    def is_steady():
        if picture(login) != seen[0]:
            seen[:] = picture(login), time.monotonic()
        return time.monotonic() - seen[1] > 0.5
    wait_until(is_steady, 10, "it is drawn")
    return seen[0]
