"""The lock where the pids controller is: nothing is started over a connection whose session is locked."""

import pytest
from connections import Connection
from logins import LOCK_SCREEN, MANAGER, Login, unlock
from people import Shell
from vigilhost import wait_until

pytestmark = pytest.mark.usefixtures("locked_by_hand", "nobody_stays")


class Shared:
    """A login whose connection carries more channels."""

    def __init__(self, host, user):
        self.host, self.user = host, user
        self.control = host.one_connection()
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


def test_sshds_process_that_was_moved_out_is_sealed_again_at_the_next_key(host):
    """By another login of the user, who may have PID 1 move whatever has his uid."""
    shared = Shared(host, "alice")
    thief = Shell(Login(host, "alice").screen)
    shared.login.lock()
    sealed = shared.login.scope() + "/vigil-connection/cgroup.procs"
    terminal = shared.login.path.removeprefix("/dev/")
    (sshd,) = host.pids("-f", f"^sshd.*: alice@{terminal}$")
    assert str(sshd) in host.read(sealed).split()
    moved, said = thief.run(f"{MANAGER} AttachProcessesToUnit ssau user@$UID.service /init.scope 1 {sshd}")
    assert moved == 0 and str(sshd) not in host.read(sealed).split(), said
    shared.login.type("\r")
    wait_until(lambda: str(sshd) in host.read(sealed).split(), 20, "it is sealed again")
    channel = shared.channel(command=["touch /tmp/ran"])
    wait_until(lambda: channel.ended, 20, "sshd refuses it")
    assert not shared.login.exists("/tmp/ran")
    unlock(shared.login)
    assert shared.login.answers()
    assert host.run("find", shared.login.scope(), "-mindepth", "1", "-type", "d").stdout == ""


def test_a_connection_whose_last_terminal_is_closed_stays_sealed_and_says_the_way_out(host):
    connection = Connection(host, "alice")
    try:
        window = connection.open()
        window.type("sleep 1234 &\r")
        wait_until(lambda: host.pids("-fx", "sleep 1234"), 20, "the job runs")
        window.lock()
        window.close()
        wait_until(lambda: not host.pids("-fx", "sleep 1234"), 60, "what stood still there is ended")
        wait_until(lambda: connection.told("terminals-closed"), 20, "the journal has it")
        shown = connection.show()
        assert (shown["state"], shown["terminals"], shown["uncovered"]) == ("locked", [], [])
        (note,) = shown["runs_on"]
        assert "none can be opened over its connection: close that, or end the session (vigilctl terminate)" in note
        channel = connection.channel("-T", command=["touch /tmp/ran"])
        wait_until(lambda: channel.ended, 60, "sshd refuses it")
        assert window.sealed() and window.frozen() and not window.exists("/tmp/ran")
        host.kill_vigild()
        wait_until(lambda: connection.show()["runs_on"] == [note], 20, "the next vigild says so too")
        assert connection.lives() and connection.state() == "locked" and window.sealed()
        host.vigilctl("terminate", connection.id, "--reason", "the way out")
        wait_until(lambda: not connection.lives(), 60, "its connection is closed")
    finally:
        connection.close()


def processes(host, shared):
    return host.run(f"find {shared.login.scope()} -name cgroup.procs -exec cat {{}} +").stdout.split()


def test_what_runs_behind_tmux_starts_what_it_likes(host, alice):
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
        host.kill_vigild()
        unlock(shared.login)
        assert host.run("find", scope, "-mindepth", "1", "-type", "d").stdout == ""
        assert host.read(f"{scope}/cgroup.subtree_control").strip() == ""
        assert shared.login.answers()


# It leaves the session for a scope of the user's manager, and has all capabilities in a namespace of its own.
CONTAINED = "systemd-run --quiet --user --scope unshare -r sleep {} &\r"
OWNED = "/home/alice/owned"


@pytest.fixture
def confined_manager(host, alice):
    """It has one processor of the two: a job's move back from there changes what it may run on, which the kernel allows only who
    has CAP_SYS_NICE in the job's namespace of users. Debian 12's asks for it at any move."""
    manager = f"user@{host.run('id', '-u', alice.user).stdout.strip()}.service"
    host.run("systemctl", "set-property", "--runtime", manager, "AllowedCPUs=0")
    yield
    host.run("systemctl", "revert", manager)


@pytest.mark.usefixtures("confined_manager")
def test_a_job_in_a_user_namespace_and_scope_stands_still(host, alice):
    alice.type(CONTAINED.format(987))
    (job,) = wait_until(lambda: host.pids("-fx", "sleep 987"), 20, "it runs")
    alice.lock()
    assert str(job) in host.read(alice.scope() + "/vigil-lock/cgroup.procs").split()
    unlock(alice)
    assert alice.answers()


@pytest.mark.usefixtures("confined_manager")
def test_one_process_that_cannot_be_moved_leaves_the_rest_held_and_is_named(host, alice):
    drop_in = "/run/systemd/system/vigild.service.d/test.conf"
    host.run("mkdir", "-p", drop_in.rpartition("/")[0])
    host.write(drop_in, "[Service]\nCapabilityBoundingSet=~CAP_SYS_NICE\n")
    host.run("systemctl daemon-reload && systemctl restart vigild.service")
    try:
        alice.type(CONTAINED.format(988))
        (job,) = wait_until(lambda: host.pids("-fx", "sleep 988"), 20, "it runs")
        told = host.vigilctl("lock", alice.id, check=False)
        assert told.returncode == 1 and f"process {job} (sleep)" in told.stderr, told.stderr
        alice.screen.wait_for("Only an administrator|Password")
        held = host.read(alice.scope() + "/vigil-lock/cgroup.procs").split()
        assert alice.frozen() and str(job) not in held and held
        alice.type(f"id >{OWNED}\r\r")
        alice.type(f"id >{OWNED}\r\r")
        assert any(f"process {job} (sleep)" in one for one in alice.show()["uncovered"])
        host.run("kill", str(job))
        wait_until(lambda: not alice.show()["uncovered"], 20, "all of it is held")
        host.vigilctl("unlock", alice.id, "--reason", "test")
        alice.screen.wait_gone(LOCK_SCREEN)
        assert alice.answers() and not alice.exists(OWNED)
    finally:
        host.run("rm", drop_in)
        host.run("systemctl daemon-reload && systemctl restart vigild.service")


def test_a_client_that_goes_away_ends_its_sealed_session(host):
    shared = Shared(host, "alice")
    shared.login.lock()
    shared.login.close()
    wait_until(lambda: not host.vigil_sessions(user="alice"), 20, "it is over")
