"""Hosts as booted containers: a copy-on-write root, systemd as PID 1, its own network with loopback alone."""

import os
import signal
import subprocess
import time
from pathlib import Path

import roots
from common import LIB, HostError, Record, identity, is_alive, note, run, uninterrupted

BOOT_SECONDS = 60
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
               "LANG": "C.UTF-8", "TERM": os.environ.get("TERM", "dumb")}


class Container:
    kind = "container"

    def __init__(self, record):
        self.record = record
        self.name = record.name

    @classmethod
    def boot(cls, name, suite, owner, packages=()):
        """Boots a host and returns when its systemd says that the boot is over.

        owner is the pid of the process that the host is for; 0 where it shall stay until `off`. `packages` it
        has beside those of every host.
        """
        root = roots.host_root(suite, packages)
        record = Record(name)
        record.claim()
        host = cls(record)
        try:
            record.write(kind=cls.kind, suite=suite, owner=identity(owner) if owner else None)
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "vigil-hosts", "-f", record.directory / "key")
            host.start(root)
            host.wait_for_boot()
        except BaseException:
            host.off()
            raise
        return host

    def start(self, root):
        command = [str(LIB / "start-container"), str(root), str(self.record.directory), self.name]
        command = ["unshare", "--mount", "--propagation", "private", *command]
        if Path("/run/systemd/system").is_dir():
            command = ["systemd-run", "--quiet", "--scope", f"--unit=vigil-host-{self.name}",
                       "--slice=machine.slice", "--property=Delegate=yes", *command]
        with open(self.record.directory / "console.log", "wb") as log, uninterrupted():
            supervisor = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                          start_new_session=True, env=ENVIRONMENT, preexec_fn=take_signals)
            # Each program of the command turns into the next, so this is nspawn's pid in the end.
            self.record.write(supervisor=identity(supervisor.pid))
        deadline = time.monotonic() + BOOT_SECONDS
        while not (init := find_init(supervisor.pid)):
            if supervisor.poll() is not None or time.monotonic() > deadline:
                raise HostError(f"the host {self.name} does not start:\n{self.console()}")
            time.sleep(0.02)
        self.record.write(init=identity(init))

    def wait_for_boot(self):
        """Until systemd says so; the first questions come before it listens."""
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline and self.is_up():
            asked = subprocess.run(self.command(["systemctl", "is-system-running", "--wait"]),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   text=True, check=False, env=ENVIRONMENT, timeout=BOOT_SECONDS)
            state = asked.stdout.strip()
            if state in ("running", "degraded", "maintenance"):
                self.record.write(state=state)
                return
            time.sleep(0.05)
        raise HostError(f"the host {self.name} has not booted within {BOOT_SECONDS} s:\n{self.console()}")

    def is_up(self):
        return is_alive(self.record.read().get("init") or [0, None])

    def console(self):
        log = self.record.directory / "console.log"
        return "".join(log.read_text(errors="replace").splitlines(keepends=True)[-15:]) if log.exists() else ""

    def init(self):
        """The host's PID 1, as this machine numbers it."""
        values = self.record.read()
        if not is_alive(values.get("init") or [0, None]):
            raise HostError(f"the host {self.name} is not up")
        return values["init"][0]

    def command(self, words):
        """A command line that runs `words` as root on the host, in all its namespaces."""
        return ["nsenter", "--target", str(self.init()), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup",
                "--", *words]

    def outside_command(self, words):
        """A command line that runs a program of this machine in the host's network."""
        return ["nsenter", "--target", str(self.init()), "--net", "--", *words]

    def ssh_options(self):
        return ["-p", "22"]

    def join(self):
        """Puts this process below the host's cgroup, where a process of the host would be."""
        lines = Path(f"/proc/{self.init()}/cgroup").read_text(encoding="ascii").splitlines()
        path = next((line[3:] for line in lines if line.startswith("0::")), "/")
        entered = (cgroup_tree() / path.lstrip("/")).parent / "entered"
        entered.mkdir(exist_ok=True)
        (entered / "cgroup.procs").write_text("0", encoding="ascii")

    def off(self):
        """At once, and everything with it: what ran there has nothing to save."""
        supervisor = self.record.read().get("supervisor") or [0, None]
        # Before it has joined the host's cgroup the supervisor is alone; afterwards the cgroup has everything.
        self.kill_cgroup()
        if is_alive(supervisor):
            os.kill(supervisor[0], signal.SIGKILL)
        if not has_ended(supervisor, 10):
            note(f"process {supervisor[0]} of the host {self.name} does not end")
        self.kill_cgroup()
        self.remove_cgroup()
        self.record.forget()

    def cgroup(self):
        """The host's cgroup as this machine sees it."""
        tree = cgroup_tree()
        if Path("/run/systemd/system").is_dir():
            return tree / "machine.slice" / f"vigil-host-{self.name}.scope"
        return tree / "vigil-hosts" / self.name

    def kill_cgroup(self):
        try:
            (self.cgroup() / "cgroup.kill").write_text("1", encoding="ascii")
        except FileNotFoundError:
            pass

    def remove_cgroup(self):
        """Under systemd the scope goes by itself."""
        top = self.cgroup()
        deadline = time.monotonic() + 10
        while top.is_dir():
            for folder, _, _ in os.walk(top, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    if time.monotonic() > deadline:
                        note(f"{folder} still has processes")
                        return
            time.sleep(0.02)
        try:
            if top.parent.name == "vigil-hosts":
                top.parent.rmdir()
        except OSError:
            pass  # other hosts are up


def take_signals():
    """A host's processes do not inherit what uninterrupted() holds back."""
    signal.pthread_sigmask(signal.SIG_SETMASK, set())


def find_init(supervisor):
    """nspawn's child that is PID 1 in a namespace of its own, None while there is none."""
    try:
        children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text(encoding="ascii").split()
        for child in children:
            status = Path(f"/proc/{child}/status").read_text(encoding="utf-8", errors="replace")
            numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
            # Until it has turned into systemd it is still nspawn and sees this machine's files.
            if len(numbers) > 1 and numbers[-1] == "1" and os.readlink(f"/proc/{child}/exe").endswith("systemd"):
                return int(child)
    except (OSError, StopIteration):
        pass
    return None


def has_ended(written, seconds):
    """Waits for the end of a process that need not be a child of this one."""
    deadline = time.monotonic() + seconds
    while is_alive(written):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def cgroup_tree():
    """Where this machine has mounted the unified hierarchy."""
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        fields = line.split()
        if fields[fields.index("-") + 1] == "cgroup2":
            return Path(fields[4])
    raise HostError("this machine has not mounted the unified cgroup hierarchy (mount -t cgroup2 cgroup2 FOLDER)")
