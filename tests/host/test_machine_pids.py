"""The lock where the pids controller is: nothing is started over a connection whose session is locked."""

import pytest
from logins import LOCK_SCREEN, Login, everybody_leaves, unlock
from vigilhost import wait_until

POLICY = """\
version: 1
mode: enforce
sessions:
  - name: until somebody locks it
    unlock: [password]
"""


@pytest.fixture(scope="module", autouse=True)
def policy(host):
    host.policy(POLICY)


@pytest.fixture(autouse=True)
def cleanly(host):
    yield
    everybody_leaves(host)


class Shared:
    """A login whose connection carries more channels."""

    def __init__(self, host, user):
        self.host, self.user = host, user
        self.control = ["-o", "ControlMaster=auto", "-o", f"ControlPath={host.control_path()}"]
        self.login = Login(host, user, *self.control)

    def channel(self, *options, command=()):
        return self.host.ssh(self.user, *options, *self.control, command=list(command))


@pytest.mark.parametrize("user", ["alice", "root"])
@pytest.mark.parametrize("kind", ["command", "command with a terminal", "shell", "sftp"])
def test_no_channel_starts_anything_under_a_lock(host, user, kind):
    shared = Shared(host, user)
    shared.login.lock()
    before = processes(host, shared)
    options, command = {"command": ([], ["touch /tmp/ran"]), "command with a terminal": (["-tt"], ["touch /tmp/ran"]),
                        "shell": ([], []), "sftp": (["-s"], ["sftp"])}[kind]
    channel = shared.channel(*options, command=command)
    wait_until(lambda: channel.ended, 20, "sshd refuses it")
    assert not shared.login.exists("/tmp/ran")
    assert processes(host, shared) == before
    host.vigilctl("unlock", shared.login.id, "--reason", "test")
    shared.login.screen.wait_gone(LOCK_SCREEN)
    channel = shared.channel(command=["echo r''an"])
    channel.wait_for("^ran$")
    assert shared.login.answers()


def processes(host, shared):
    return host.run(f"find {shared.login.scope()} -name cgroup.procs -exec cat {{}} +").stdout.split()


def test_what_runs_behind_tmux_starts_what_it_likes(host):
    alice = Login(host, "alice")
    alice.type("tmux new -d 'while :; do date +%N >tick; sleep 0.1; done'\r")
    wait_until(lambda: alice.exists("/home/alice/tick"), 20, "it works")
    alice.lock()
    read = lambda: host.read("/home/alice/tick").strip()  # noqa: E731
    seen = set()
    wait_until(lambda: len(seen.add(read()) or seen - {""}) > 3, 20, "it goes on, with a new process each time")
    unlock(alice)
    assert alice.answers()


def test_nothing_of_the_lock_is_left_in_the_cgroup(host):
    shared = Shared(host, "alice")
    scope = shared.login.scope()
    for _ in range(2):
        shared.login.lock()
        assert host.read(f"{scope}/vigil-connection/pids.max").strip() == "0"
        host.run("systemctl kill --signal=KILL vigild.service")
        unlock(shared.login)
        assert host.run("find", scope, "-mindepth", "1", "-type", "d").stdout == ""
        assert host.read(f"{scope}/cgroup.subtree_control").strip() == ""
        assert shared.login.answers()


def test_a_client_that_goes_away_ends_its_sealed_session(host):
    shared = Shared(host, "alice")
    shared.login.lock()
    shared.login.close()
    wait_until(lambda: not host.vigil_sessions(user="alice"), 20, "it is over")
