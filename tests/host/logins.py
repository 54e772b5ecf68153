"""A login that vigil knows, with what tests do to it again and again."""

from sessions import Session
from story import LOCK_SCREEN
from vigilhost import PASSWORDS, wait_until

__all__ = ["LOCK_SCREEN", "MANAGER", "SHELL", "UNLOCK_PROMPT", "Login", "can_seal", "everybody_leaves",
           "notes_of_its_lock", "unlock"]

# Alice's, with nothing typed.
SHELL = r"^alice@\S+\$$"
# What any user may ask of PID 1 is asked by this and the method's name.
MANAGER = "busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager"
UNLOCK_PROMPT = r"^\s*Password(?: or code)?:"


class Login(Session):
    """A terminal over ssh and the session it is in."""

    def __init__(self, host, user, *options, by="key", **terminal):
        super().__init__(host, user)
        self.screen = self.begin(lambda: host.login(user, *options, by=by, **terminal))
        self.answered = 0

    @property
    def path(self):
        terminals = wait_until(lambda: self.host.vigil_sessions(id=self.id)[0]["terminals"], 5, "it has a terminal")
        return "/dev/" + terminals[0]

    def resize(self, rows, columns):
        """Until the programs there can know."""
        self.screen.resize(rows, columns)
        wait_until(lambda: self.size() == f"{rows} {columns}", 5, "the new size")

    def size(self):
        """As stty(1) says it."""
        return self.host.run("stty", "-F", self.path, "size").stdout.strip()

    def type(self, text):
        self.screen.send(text)

    def lock(self, prompt=UNLOCK_PROMPT, reason=None):
        self.host.vigilctl("lock", self.id, *(["--reason", reason] if reason else []))
        self.screen.wait_for(prompt)

    def answers(self):
        """The shell runs what is typed. Where it is drawing its own line anew, the answer may follow in the same."""
        self.answered += 1
        self.type(f"echo ans''wer {self.answered}\r")
        return self.screen.wait_for(rf"answer {self.answered}$")

    def exists(self, path):
        return self.host.run("test", "-e", path, check=False).returncode == 0

    def frozen(self):
        shown = self.host.run("cat", self.scope() + "/vigil-lock/cgroup.freeze", check=False).stdout
        return shown.strip() == "1"

    def sealed(self):
        """Its connection can start nothing."""
        shown = self.host.run("cat", self.scope() + "/vigil-connection/pids.max", check=False).stdout
        return shown.strip() == "0"

    def close(self):
        self.screen.close()


def can_seal(host):
    """Whether it has the pids controller, with which a locked connection starts nothing: Debian's kernel, so a virtual machine;
    a container only where the machine's kernel has it."""
    return "pids" in host.read("/sys/fs/cgroup/cgroup.controllers").split()


def notes_of_its_lock(host):
    """What `show` says of any locked ssh session here, with nothing beside it."""
    return [] if can_seal(host) else ["its connection could start a command without a terminal (no pids controller)"]


def unlock(login):
    login.type(PASSWORDS[login.user] + "\r")
    wait_until(lambda: login.state() == "active", 15, f"the password unlocks\n{login.screen.text()}")
    login.screen.wait_gone(LOCK_SCREEN)


def everybody_leaves(host):
    for terminal in host.terminals:
        terminal.close()
    host.terminals.clear()
    wait_until(lambda: not host.vigil_sessions(), 8, "vigil lists no session any more")
