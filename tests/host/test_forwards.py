"""Forwards of a locked connection, which no lock holds: the doctor names them, and what he says takes them away."""

import contextlib
import socket
import subprocess

import pytest
from doctors import NO_FORWARDS, Found
from logins import Login
from vigilhost import wait_until

EXAMPLE, DROP_IN = NO_FORWARDS
ALLOWED = "forwards of a locked connection go on, and its client can make new ones: sshd has {}, Match blocks aside"
REACHED = (b"OK ", b"SSH-")
FAKE = "/root/sshd"


@pytest.fixture(autouse=True)
def cleanly(host, locked_by_hand, nobody_stays):
    yield
    host.run("rm", "-f", DROP_IN)


class Connection:
    """Alice's; who has its client can use it for more than its terminal."""

    def __init__(self, host):
        self.host = host
        self.path = host.control_path()
        self.login = Login(host, "alice", "-o", "ControlMaster=yes", "-o", f"ControlPath={self.path}")

    def said_by(self, remote, greeting=b""):
        """What answers at the other end of a forward that is made now; nothing where sshd refuses it."""
        here = self.host.control_path()
        made = subprocess.run(self.host.ssh_command("alice", "-o", f"ControlPath={self.path}", "-O", "forward",
                                                    "-L", f"{here}:{remote}"),
                              capture_output=True, text=True, check=False, timeout=60)
        assert made.returncode == 0, made.stderr
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as end:
            end.settimeout(60)
            end.connect(here)
            try:
                end.sendall(greeting)
                return end.recv(100)
            except (BrokenPipeError, ConnectionResetError):
                return b""

    def reached(self):
        """What answers somebody at the client: alice's service manager, which starts what she asks for, and a port of the host's
        own."""
        uid = self.host.run("id", "-u", "alice").stdout.strip()
        manager = self.said_by(f"/run/user/{uid}/systemd/private", f"\0AUTH EXTERNAL {uid.encode().hex()}\r\n".encode())
        return manager[:3], self.said_by("127.0.0.1:22")[:4]


def forwards(host, within=()):
    return Found(host, within=within)["forwards"]


def test_what_the_doctor_says_takes_them_away(host):
    before = Connection(host)
    before.login.lock()
    assert before.reached() == REACHED
    found = forwards(host)
    assert (found["result"], found["looked_at"]) == ("warning", True)
    assert found["found"] == ALLOWED.format("AllowTcpForwarding yes, AllowStreamLocalForwarding yes")
    assert found["mend"] == f"cp {EXAMPLE} {DROP_IN} && systemctl reload sshd"
    cursor = host.journal_cursor()
    host.run("/bin/sh", "-c", found["mend"])
    host.run("sshd", "-t")
    wait_until(lambda: any("listening on 0.0.0.0" in one["MESSAGE"] for one in host.journal(since=cursor, _COMM="sshd")), 10,
               "sshd has read it")
    found = forwards(host)
    assert (found["result"], found["mend"]) == ("ok", None)
    after = Connection(host)
    after.login.lock()
    assert after.reached() == (b"", b"")
    # As the example says of a connection that was there before.
    assert before.reached() == REACHED


@pytest.mark.parametrize("settings, allowed", [
    ("AllowTcpForwarding no", "AllowStreamLocalForwarding yes"),
    ("AllowTcpForwarding local\nAllowStreamLocalForwarding no", "AllowTcpForwarding local"),
    ("DisableForwarding yes", None),
    ("Match User alice\nDisableForwarding yes", "AllowTcpForwarding yes, AllowStreamLocalForwarding yes"),
])
def test_they_are_told_as_sshd_has_them(host, settings, allowed):
    host.write(DROP_IN, settings + "\n")
    found = forwards(host)
    assert found["result"] == ("warning" if allowed else "ok")
    if allowed:
        assert found["found"] == ALLOWED.format(allowed)


@pytest.mark.parametrize("script, mode, words", [
    ("echo Usage: sshd", "755", "/usr/sbin/sshd -T does not say what it allows"),
    ("exit 255", "755", "/usr/sbin/sshd: exit status 255"),
    ("exec sleep 1000", "755", "/usr/sbin/sshd: it takes too long"),
    ("exec yes", "755", "/usr/sbin/sshd: it says more than 65536 bytes"),
    ("exit 0", "644", "/usr/sbin/sshd: Permission denied"),
], ids=["another program", "it fails", "it hangs", "it goes on and on", "no program"])
def test_an_sshd_that_says_nothing_is_one_line(host, script, mode, words):
    host.write(FAKE, f"#!/bin/sh\n{script}\n", mode)
    found = forwards(host, ("unshare", "--mount", "sh", "-c", f'mount --bind {FAKE} /usr/sbin/sshd && exec "$@"', "sh"))
    assert (found["result"], found["looked_at"], found["found"]) == ("warning", False, f"not looked at: {words}")
    assert found["mend"] == "see what is wrong: /usr/sbin/sshd -T"
    wait_until(lambda: not host.pids("-x", "sleep|yes"), 10, "nothing of it is left")


def test_what_sshd_says_of_its_configuration_is_told(host):
    host.write(DROP_IN, "AllowForwards no\n")
    assert forwards(host)["found"].startswith(f"not looked at: /usr/sbin/sshd: {DROP_IN}: line 1: Bad configuration option")


def test_without_sshd_there_are_none(host):
    found = forwards(host, ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /usr/sbin && exec "$@"', "sh"))
    assert (found["result"], found["found"]) == ("ok", "no sshd is there, whose forwards no lock would hold")
