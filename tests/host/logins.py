"""A login that vigil knows, with what tests do to it again and again."""

import re

from story import CODE_PROMPT, LOCK_SCREEN, Codes
from vigilhost import PASSWORDS, wait_until

__all__ = ["LOCK_SCREEN", "UNLOCK_PROMPT", "Login", "enrol_totp", "everybody_leaves", "unlock"]

UNLOCK_PROMPT = r"^\s*Password(?: or code)?:"


class Login:
    """A terminal over ssh and the session it is in."""

    def __init__(self, host, user, *options, by="key", **size):
        self.host = host
        self.user = user
        known = {one["id"] for one in host.vigil_sessions()}
        self.screen = host.login(user, *options, by=by, **size)
        new = wait_until(lambda: [one for one in host.vigil_sessions(user=user) if one["id"] not in known], 5,
                         "vigil lists the login")
        self.id = new[0]["id"]
        self.listed = new[0]
        self.answered = 0

    @property
    def path(self):
        terminals = wait_until(lambda: self.host.vigil_sessions(id=self.id)[0]["terminals"], 5, "it has a terminal")
        return "/dev/" + terminals[0]

    def now(self):
        """As vigil lists it at this moment; None when it is gone."""
        return next(iter(self.host.vigil_sessions(id=self.id)), None)

    def state(self):
        listed = self.now()
        return listed["state"] if listed else "gone"

    def type(self, text):
        self.screen.send(text)

    def lock(self, prompt=UNLOCK_PROMPT, reason=None):
        self.host.vigilctl("lock", self.id, *(["--reason", reason] if reason else []))
        self.screen.wait_for(prompt)

    def answers(self):
        """The shell runs what is typed."""
        self.answered += 1
        self.type(f"echo ans''wer {self.answered}\r")
        return self.screen.wait_for(rf"^answer {self.answered}$")

    def exists(self, path):
        return self.host.run("test", "-e", path, check=False).returncode == 0

    def scope(self):
        """The folder of the session's cgroup."""
        return self.scope_of(self.host.vigilctl("show", self.id, "--json")["logind_session"])

    def scope_of(self, name):
        """The same, without vigild, by logind's name of the session."""
        found = self.host.run("find", "/sys/fs/cgroup", "-name", f"session-{name}.scope").stdout.split()
        return found[0]

    def frozen(self):
        shown = self.host.run("cat", self.scope() + "/vigil-lock/cgroup.freeze", check=False).stdout
        return shown.strip() == "1"

    def close(self):
        self.screen.close()


def unlock(login):
    login.type(PASSWORDS[login.user] + "\r")
    wait_until(lambda: login.state() == "active", 5, f"the password unlocks\n{login.screen.text()}")
    login.screen.wait_gone(LOCK_SCREEN)


def everybody_leaves(host):
    for terminal in host.terminals:
        terminal.close()
    host.terminals.clear()
    wait_until(lambda: not host.vigil_sessions(), 8, "vigil lists no session any more")


def enrol_totp(host, user):
    terminal = host.ssh("root", "-t", command=["vigilctl", "enroll", "totp", user])
    uri = terminal.wait_to_hear(r"otpauth://totp/\S+", 10)[0]
    codes = Codes(host, re.search(r"[?&]secret=([A-Z2-7]+)", uri)[1])
    terminal.wait_to_hear(CODE_PROMPT, 5)
    terminal.send(codes.fresh() + "\r")
    assert terminal.wait_closed(10) == 0, terminal.said()
    return codes
