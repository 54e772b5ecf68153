"""The lock at a serial line, which has one screen, outlives its sessions and hangs nobody up."""

import os
import re

import pytest
from logins import Login, unlock
from policies import until_somebody_locks
from terminal import Terminal
from vigilhost import PASSWORDS, Host, wait_until

LINE = "ttyS1"
GETTY = f"serial-getty@{LINE}.service"
SECRET = "the-plan-of-alice"


@pytest.fixture(scope="module")
def host(request):
    with Host(f"host-serial-{os.getpid()}", request.config.getoption("--suite"), vm=True) as host:
        host.install()
        host.policy(until_somebody_locks())
        yield host


class SerialLogin(Login):
    def begin(self, _log_in, timeout=20):
        self.host.run("systemctl", "start", GETTY)
        screen = Terminal(self.host.inner.serial_line(), silent=True)
        self.host.terminals.append(screen)
        wait_until(lambda: screen.send("\r") or re.search(r"login:\s*\Z", screen.text()), 20, "a login waits")

        def answer():
            screen.send("alice\r")
            screen.wait_for("assword:", 20)
            screen.send(PASSWORDS["alice"] + "\r")
            screen.wait_for(r"^alice@[^\s:]+:\S*[$#]", 20)
            return screen
        return super().begin(answer, timeout)

    def settings(self):
        return set(self.host.run("stty", "-a", "-F", f"/dev/{LINE}").stdout.split())

    def node(self):
        return self.host.run("stat", "-c", "%U %a", f"/dev/{LINE}").stdout.strip()


@pytest.fixture
def alice(host):
    login = SerialLogin(host, "alice")
    yield login
    login.terminate(20)
    login.close()


def test_it_is_locked_and_comes_back(host, alice):
    before = alice.node(), alice.settings()
    alice.type(f"echo {SECRET[:4]}''{SECRET[4:]}\r")
    alice.screen.wait_for(f"^{SECRET}")
    alice.lock()
    assert alice.frozen() and alice.node() == "root 600"
    assert SECRET not in alice.screen.text()
    alice.type("touch /tmp/through\r")
    alice.screen.wait_for(r"Wrong\.\s+Password", 20)
    assert alice.state() == "locked"
    unlock(alice)
    assert (alice.node(), alice.settings()) == before
    assert alice.answers() and not alice.exists("/tmp/through")


def test_after_a_session_that_ends_locked_it_is_roots_and_as_new(host, alice):
    alice.lock()
    host.run("systemctl", "mask", "--runtime", GETTY)
    try:
        alice.terminate(20)
        wait_until(lambda: alice.node() == "root 620", 10, "whoever comes next finds it open")
        assert {"icanon", "echo", "isig", "icrnl"} <= alice.settings()
        alice.close()
    finally:
        host.run("systemctl", "unmask", "--runtime", GETTY)
    alice = SerialLogin(host, "alice")
    assert alice.answers()
    alice.terminate(20)
