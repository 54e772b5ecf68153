"""People for the tests of logins and codes: an account each, so that nothing one test did stands in another's way."""

import itertools
import re

from story import CODE_PROMPT, Codes
from terminal import Terminal
from vigilhost import PASSWORDS, wait_until

NUMBERS = itertools.count(1)
# What a session and a proof of before are seen by after whatever vigil itself goes through.
LOCK_AND_CODE = """\
version: 1
sessions:
  - name: until somebody locks it
    unlock: [password]
    max_duration: 3h
step_up:
  - match: {groups: [sudo], services: [sudo, su]}
    require: [totp]
    valid_for: 30m
"""
SHELL = r"^\w+@\S+:\S*[$#]"


def person(host, *groups):
    """A new account with alice's key and a password; its name."""
    name = f"user{next(NUMBERS)}"
    PASSWORDS[name] = f"{name}-pass-1"
    host.run("useradd", "-m", "-s", "/bin/bash", *(["-G", ",".join(groups)] if groups else []), name)
    host.run("chpasswd", input=f"{name}:{PASSWORDS[name]}\n")
    host.run(f"install -d -m 0700 -o {name} -g {name} /home/{name}/.ssh && "
             f"install -m 0600 -o {name} -g {name} /home/alice/.ssh/authorized_keys /home/{name}/.ssh/")
    return name


def let_sshd_take_all(host):
    """sshd does not refuse anybody of its own: not many at once, nor who was refused a moment ago."""
    options = "MaxStartups 200\nKbdInteractiveAuthentication yes\n"
    if "persourcepenalties" in host.run("/usr/sbin/sshd -T").stdout:
        options += "PerSourcePenalties no\n"
    host.write("/etc/ssh/sshd_config.d/tests.conf", options)
    host.run("systemctl", "reload", "ssh.service")


def enroll(host, user, digits=6, made_by="sha1"):
    """Root enrols a code for the user, who loses the ones there; the new codes."""
    for factor in host.vigilctl("factors", user, "--json"):
        host.vigilctl("forget", factor["id"])
    terminal = host.ssh("root", "-t", command=["vigilctl", "enroll", "totp", user, "--digits", str(digits), "--hash", made_by])
    secret = terminal.wait_to_hear(r"otpauth://totp/\S+[?&]secret=([A-Z2-7]+)", 15)[1]
    terminal.wait_to_hear(CODE_PROMPT, 5)
    codes = Codes(host, secret, digits, made_by)
    terminal.send(codes.fresh() + "\r")
    assert terminal.wait_closed(10) == 0, terminal.said()
    return codes


def recovery_codes(host, user):
    """Ten new ones, by root."""
    codes = re.findall(r"^    ((?:[a-z2-7]{4}-){3}[a-z2-7]{4})$", host.vigilctl("recovery-codes", user).stdout, re.MULTILINE)
    assert len(codes) == 10
    return codes


def at_console(host, *words):
    """login(1) on a console of its own, started by PID 1 as a getty is: a container's is what stands at /dev/console."""
    # The one of an earlier login is gone, and nothing can be mounted upon it.
    become_console = 'umount --lazy /dev/console 2>/dev/null; test -e /dev/console || : >/dev/console; ' \
        'mount --bind "$(tty)" /dev/console && exec login "$@"'
    return Terminal(host.inner.command(["systemd-run", "--pty", "--quiet", "--collect",
                                        "sh", "-c", become_console, "login", *words]))


class Shell:
    """A login's shell, command by command."""

    def __init__(self, terminal):
        self.terminal = terminal

    def start(self, command):
        """Types a command; for wait_to_hear(since=...)."""
        since = self.terminal.mark()
        self.terminal.send(f"{command}; echo \"status=\"$?\r")
        return since

    def finish(self, since, timeout=15):
        """(status, what was said) of the command that began there."""
        status = self.terminal.wait_to_hear(r"^status=(\d+)$", timeout, since)
        self.terminal.wait_to_hear(SHELL, 5, since + status.end())
        # What PAM told polkit's helper can come in the middle of what its agent writes.
        said = re.sub(r"polkit-agent-helper-1: pam_[^\r\n]*\r?\n", "", self.terminal.said()[since:since + status.start()])
        return int(status[1]), said

    def run(self, command, code=None, timeout=15):
        """Runs it; with a code, which it has to ask for once, giving it that."""
        since = self.start(command)
        if code is not None:
            self.terminal.wait_to_hear(CODE_PROMPT, timeout, since)
            self.terminal.send(code + "\r")
        return self.finish(since, timeout)

    def asks(self, command):
        """Runs it and gives up at the question for a code; what the question was, None where there was none."""
        since = self.start(command)
        heard = self.terminal.wait_to_hear(rf"{CODE_PROMPT}|^status=\d+$", 15, since)
        if heard[0].startswith("status="):
            self.finish(since)
            return None
        self.give_up(since + heard.end())
        return heard[0]

    def give_up(self, since):
        """Ctrl-C at a question; one between the prompt and the read is lost, and pressed again, as a person would."""
        def is_back():
            self.terminal.key("ctrl-c")
            try:
                return self.terminal.wait_to_hear(SHELL, 1, since)
            except AssertionError:
                return None
        wait_until(is_back, 10, "the shell is back after Ctrl-C")


def shell(host, user, *options):
    return Shell(host.login(user, *options))


def one_line(text, pattern):
    """The one line with the pattern in it."""
    lines = [line for line in text.splitlines() if re.search(pattern, line)]
    assert len(lines) == 1, f"{len(lines)} lines with {pattern!r} in:\n{text}"
    return lines[0]
