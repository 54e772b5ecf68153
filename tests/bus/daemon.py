"""The real vigild on folders of its own, brokers of its own, and processes that stand for logins."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

from dbus_wire import Connection, BusError

VIGILD = os.environ["VIGILD"]
SHIPPED_CONFIG = os.environ["BUS_CONFIG"]
LOGIN = "(suassss)"
NOBODY, DAEMON, GAMES = 65534, 1, 5
REFUSED, RESERVED, NOT_A_LOGIN = 0, 1, 2
NEVER = 2**64 - 1


def eventually(what, patience=10):
    end = time.monotonic() + patience
    while not what():
        assert time.monotonic() < end, "it did not come to this"
        time.sleep(0.01)


def login(user="nobody", uid=NOBODY, *, groups=(), service="sshd", terminal="ssh", remote="192.0.2.7"):
    return [user, uid, list(groups), service, terminal, remote]


class Leader:
    """A process a login hangs on, or a sudo that a user runs."""

    def __init__(self, uid=0, command=("sleep", "infinity"), stdin=None):
        self.process = subprocess.Popen(command, user=uid, group=uid, extra_groups=[], stdin=stdin)
        self.pidfd = os.pidfd_open(self.process.pid)

    def end(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        self.end()
        os.close(self.pidfd)


class Vigild:
    def __init__(self, folder, policy="version: 1\n"):
        self.folder, self.process, self.bus_address, self.leaders = folder, None, None, []
        self.runtime, self.state, self.etc = folder / "run", folder / "lib", folder / "etc"
        self.credentials = folder / "credentials"
        for each in (self.runtime, self.state, self.etc, self.credentials):
            each.mkdir()
        self.policy, self.socket, self.log = self.etc / "policy.yaml", self.runtime / "bus", folder / "log"
        self.database = self.runtime / "state.db"
        self.write_policy(policy)
        (self.credentials / "vigil.key").write_bytes(bytes(range(32)))
        self.log.touch()

    def write_policy(self, text):
        self.policy.write_text(text)
        self.policy.chmod(0o644)

    def command(self):
        return [VIGILD, "--policy", self.policy, "--runtime", self.runtime, "--state", self.state,
                *([] if self.bus_address else ["--no-system-bus"])]

    def start(self, command=None, pass_fds=()):
        """Returns once it is READY."""
        environment = {"PATH": os.environ["PATH"], "CREDENTIALS_DIRECTORY": str(self.credentials)}
        if self.bus_address:
            environment["DBUS_SYSTEM_BUS_ADDRESS"] = self.bus_address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified, self.log.open("ab") as log:
            name = f"\0vigil-test-{os.getpid()}-{time.monotonic_ns()}"
            notified.bind(name)
            notified.settimeout(0.05)
            environment["NOTIFY_SOCKET"] = "@" + name[1:]
            self.process = subprocess.Popen(command or self.command(), stderr=log, env=environment, pass_fds=pass_fds)
            end = time.monotonic() + 20
            while True:
                with contextlib.suppress(TimeoutError):
                    if b"READY=1" in notified.recv(4096):
                        return self
                assert self.process.poll() is None, self.words()
                assert time.monotonic() < end, self.words()

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        return self.process.wait(20)

    def restart(self, how=signal.SIGTERM):
        self.stop(how)
        return self.start()

    def words(self):
        return self.log.read_text(errors="replace")

    def connect(self, **options):
        return Connection(str(self.socket), **options).greet()

    def fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def call(self, member, signature="", *values, **options):
        with self.connect() as client:
            return client.call(member, signature, *values, **options)

    def leader(self, uid=0, *how):
        self.leaders.append(Leader(uid, *how))
        return self.leaders[-1]

    def reserve(self, leader, who=None):
        return self.call("Reserve", "h" + LOGIN, 0, who or login(), fds=[leader.pidfd])

    def confirm(self, leader, who=None):
        return self.call("Confirm", "h" + LOGIN, 0, who or login(), fds=[leader.pidfd])[0]

    def open(self, who=None):
        leader = self.leader(NOBODY)
        assert self.reserve(leader, who)[0] == RESERVED
        return leader, self.confirm(leader, who)

    def sessions(self):
        return {each["id"]: each for each in self.call("List")[0]}

    def status(self):
        return self.call("Status")[0]

    def answers_logins(self):
        leader = self.leader()
        before = len(self.sessions())
        assert self.reserve(leader)[0] == RESERVED
        id_ = self.confirm(leader)
        assert self.sessions()[id_]["state"] == "active"
        self.call("Release", "h", 0, fds=[leader.pidfd])
        assert len(self.sessions()) == before

    def close(self):
        for leader in self.leaders:
            leader.close()
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        sys.stderr.write(self.words())  # shown by pytest where a test fails


# As a distribution's system.conf has it.
CLOSED = """
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/><allow receive_type="method_return"/>
    <allow receive_type="error"/><allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
  </policy>
  <include>{}</include>
"""
# Nothing but vigild's own table stands between a caller and a method.
OPEN = """
  <policy context="default">
    <allow user="*"/><allow own="*"/><allow send_destination="*"/>
    <allow receive_type="method_call"/><allow receive_type="method_return"/>
    <allow receive_type="error"/><allow receive_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
  </policy>
"""


class Broker:
    def __init__(self, folder, policy):
        self.socket = str(folder / "broker")
        self.config = folder / "broker.conf"
        self.config.write_text(f"""<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={self.socket}</listen>{policy}</busconfig>""")
        self.address = f"unix:path={self.socket}"
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(["dbus-daemon", f"--config-file={self.config}", "--nofork", "--print-address"],
                                        stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline()

    def connect(self, uid=0, **options):
        return Connection(self.socket, uid=uid, destination="org.vigil1", **options).greet()

    def owned(self):
        with self.connect() as client:
            return client.call("NameHasOwner", "s", "org.vigil1", interface="org.freedesktop.DBus",
                               destination="org.freedesktop.DBus", path="/org/freedesktop/DBus")[0]

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def refused(call, *arguments, **options):
    """The error's name and words."""
    try:
        answer = call(*arguments, **options)
    except BusError as error:
        return error.name, error.text
    raise AssertionError(f"it was done: {answer}")


def broker_config(kind):
    return OPEN if kind == "open" else CLOSED.format(SHIPPED_CONFIG)
