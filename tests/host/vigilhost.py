"""A disposable host as tests and tools/try see it: boot it, run things on it, log in over ssh, read the screen."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tools" / "lib"))

import containers  # noqa: E402  (tools/lib is found by the line above)
import hosts  # noqa: E402
import install  # noqa: E402
import terminal  # noqa: E402
from terminal import Terminal  # noqa: E402

# The kinds of records in the journal that tests look for: published names, which never change.
NO_RULES = "version: 1\nmode: enforce\n"
MESSAGE_IDS = {
    "session-ending": "dc9bfa3bb9f54b0595b9a62556df37cc",
    "policy-loaded": "5d1b1b04d5bd4cc5a965062b6f4f2688",
}
VM_PATIENCE = 4
PASSWORDS = {"alice": "alice-pass-1", "bob": "bob-pass-1"}


def wait_until(predicate, timeout, what):
    """What the predicate returns, once it is true; otherwise a failure that says what was waited for."""
    deadline = time.monotonic() + terminal.patience * timeout
    while not (value := predicate()):
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout} s: {what} (the last answer was {value!r})")
        time.sleep(0.05)
    return value


class Host:
    """One host. Use it as a context manager, or call off()."""

    def __init__(self, name, suite="bookworm", vm=False, kernel="", packages=(), tpm=False):
        self.name = name
        self.suite = suite
        if vm:
            terminal.patience = VM_PATIENCE
        self.inner = hosts.boot(name, suite, os.getpid(), vm, kernel, packages, tpm)
        self.directory = self.inner.record.directory
        self.terminals = []
        self.connections = 0

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.off()

    def off(self):
        for terminal in self.terminals:
            terminal.close()
        self.inner.off()

    def install(self):
        """Builds vigil and puts it on the host, started, with a policy that asks nothing and is enforced."""
        install.install(self.inner, self.suite)
        self.policy(NO_RULES)

    def delete_files(self, but=()):
        """All that install() has put there, as if nobody had thought of anything."""
        listed = self.run("dpkg", "-L", *install.NAMES).stdout.splitlines()
        gone = [file for file in listed if not file.endswith(tuple(but))]
        # Folders and the doubled names of the PAM module's are none of its files.
        self.run("xargs", "-d", "\\n", "rm", "-f", input="\n".join(gone), check=False)

    def remove(self):
        """As a package does it that is removed."""
        self.run(install.REMOVE)

    # Commands

    def run(self, *words, input=None, check=True, timeout=60):
        """Runs a command as root; stdout and stderr as text. A string alone goes to the shell."""
        if len(words) == 1 and " " in words[0]:
            words = ("/bin/bash", "-c", words[0])
        done = subprocess.run(self.inner.command(words), input=input or "", capture_output=True, text=True,
                              errors="replace", check=False, timeout=timeout, env=containers.ENVIRONMENT,
                              preexec_fn=self.inner.join)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def pids(self, *words):
        """What pgrep(1) finds, as text."""
        return self.run("pgrep", *words, check=False).stdout.split()

    def write(self, path, text, mode="0644"):
        self.run("/bin/sh", "-c", 'mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1"', "sh", path, mode,
                 input=text)

    def put(self, file, path):
        """Copies a file of this machine to the host, as a program."""
        subprocess.run(self.inner.command(["/bin/sh", "-c", 'cat >"$1" && chmod 0755 "$1"', "sh", path]),
                       input=Path(file).read_bytes(), check=True, preexec_fn=self.inner.join)

    def read(self, path):
        return self.run("cat", path).stdout

    # Logins

    def ssh_command(self, user, *options, command=(), by="key", source=None):
        """The command line of the real ssh client, in the host's network."""
        ways = {"key": ["-o", "PreferredAuthentications=publickey", "-i", str(self.directory / "key")],
                "key, then password": ["-o", "PreferredAuthentications=publickey,password", "-i", str(self.directory / "key")],
                "key, then keyboard-interactive": ["-o", "PreferredAuthentications=publickey,keyboard-interactive",
                                                   "-i", str(self.directory / "key")],
                "password": ["-o", "PreferredAuthentications=password", "-o", "PubkeyAuthentication=no"],
                "keyboard-interactive": ["-o", "PreferredAuthentications=keyboard-interactive",
                                         "-o", "PubkeyAuthentication=no"],
                "none": []}
        bind = ["-b", source] if source else []
        return self.inner.outside_command([
            "ssh", "-F", "none", "-o", "IdentitiesOnly=yes", "-o", f"UserKnownHostsFile={self.directory}/known_hosts",
            "-o", "StrictHostKeyChecking=no", *ways[by], *bind, *options,
            *self.inner.ssh_options(), f"{user}@127.0.0.1", *command])

    def ssh(self, user, *options, command=(), by="key", source=None, **terminal):
        """A login with a terminal; returns at once, so wait for the prompt or for a refusal."""
        command_line = self.ssh_command(user, *options, command=command, by=by, source=source)
        self.terminals.append(Terminal(command_line, **terminal))
        return self.terminals[-1]

    def login(self, user, *options, by="key", source=None, **how):
        """ssh() up to the shell's prompt."""
        terminal = self.ssh(user, *options, by=by, source=source, **how)
        if by != "key":
            terminal.wait_for("assword:", 10)
            terminal.send(PASSWORDS[user] + "\r")
        terminal.wait_for(rf"^{user}@[^\s:]+:\S*[$#]", 15)
        return terminal

    def ssh_run(self, user, *command, options=(), by="key", input=None, timeout=30):
        """`ssh host command`, without a terminal."""
        return subprocess.run(self.ssh_command(user, "-T", *options, command=command, by=by), input=input,
                              capture_output=True, text=True, errors="replace", check=False, timeout=timeout)

    def control_path(self):
        """A new name for ControlMaster's socket."""
        self.connections += 1
        return str(self.directory / f"control-{self.connections}")

    def one_connection(self):
        """Options of ssh: all logins that have them share the connection of the first."""
        return ["-o", "ControlMaster=auto", "-o", f"ControlPath={self.control_path()}"]

    # What the host knows

    def journal(self, since=None, **fields):
        """The journal's records as dictionaries, oldest first: journal(MESSAGE_ID=..., _SYSTEMD_UNIT=...)."""
        after = ["--after-cursor", since] if since else []
        done = self.run("journalctl", "--no-pager", "--output=json", "--all", *after, check=False)
        records = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        # Chosen here: journalctl leaves out the first match when it is given a cursor as well.
        return [one for one in records if all(one.get(name) == value for name, value in fields.items())]

    def journal_cursor(self):
        """Where the journal ends now, for journal(since=...)."""
        shown = self.run("journalctl", "--no-pager", "--lines=1", "--show-cursor", "--quiet").stdout
        return shown.rpartition("-- cursor: ")[2].strip()

    def vigil_log(self):
        return self.run("journalctl", "--no-pager", "--output=short-precise", "--unit=vigild.service",
                        check=False).stdout

    def sessions(self):
        """logind's sessions of people: dictionaries with Id, Name, Leader, State, Remote, Scope."""
        found = []
        for line in self.run("loginctl", "--no-legend", "list-sessions").stdout.splitlines():
            shown = self.run("loginctl", "show-session", line.split()[0], check=False).stdout
            values = dict(field.partition("=")[::2] for field in shown.splitlines())
            # Since systemd 256 root's are of a class of their own.
            if values.get("Class") in ("user", "user-early"):
                found.append(values)
        return found

    # vigil

    def vigilctl(self, *words, user=None, check=True, input=None):
        """Runs vigilctl as root or, with user, as that user; with --json among the words, the parsed answer."""
        as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
        done = self.run(*as_user, "vigilctl", *words, check=check, input=input)
        return json.loads(done.stdout) if "--json" in words and done.returncode == 0 else done

    def vigil_sessions(self, **wanted):
        """What vigil lists, reduced to the sessions with these values: vigil_sessions(user="alice")."""
        listed = self.vigilctl("list", "--json")
        listed = listed["sessions"] if isinstance(listed, dict) else listed
        return [one for one in listed if all(one.get(name) == value for name, value in wanted.items())]

    def vigild_pid(self):
        """vigild's pid on the host, 0 while it does not run."""
        shown = self.run("systemctl", "show", "--property=MainPID", "--value", "vigild.service").stdout
        return int(shown.strip() or 0)

    def vigild_is_ready(self):
        return self.run("systemctl", "is-active", "vigild.service", check=False).stdout.strip() == "active"

    def restart_vigild(self):
        self.run("systemctl", "restart", "vigild.service")

    def kill_vigild(self):
        """kill -9, and back when its unit has started it anew."""
        before = self.vigild_pid()
        if before:
            self.run("kill", "-9", str(before))
        wait_until(lambda: self.vigild_pid() not in (0, before) and self.vigild_is_ready(), 15,
                   "vigild runs again after kill -9")

    def policy(self, text):
        """Puts a policy in force."""
        self.write("/etc/vigil/policy.yaml", text)
        cursor = self.journal_cursor()
        self.run("systemctl", "reload-or-restart", "vigild.service")
        wait_until(lambda: self.journal(since=cursor, MESSAGE_ID=MESSAGE_IDS["policy-loaded"]), 10,
                   "vigild has loaded the policy")
        wait_until(self.vigild_is_ready, 10, "vigild runs with the new policy")
