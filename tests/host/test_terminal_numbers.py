"""Numbers of terminals are used again: nothing is done to who has one next, whatever vigil was about to do there."""

import concurrent.futures

import pytest
from connections import Connection
from logins import Login
from policies import until_somebody_locks
from vigilhost import SOURCE, wait_until

pytestmark = pytest.mark.usefixtures("nothing_stays")

# Takes no SIGTERM and has no terminal: it keeps the session ending for 2 s after sshd has closed its terminal.
STUBBORN = "setsid sh -c 'trap \"\" TERM HUP; while :; do sleep 1; done' </dev/null >/dev/null 2>&1 &\r"
SECRET = "roots-secret"


def owner_and_mode(host, path):
    return host.run("stat", "-c", "%U %a", path, check=False).stdout.split()


def is_gone(host, path):
    return host.run("test", "-e", path, check=False).returncode


@pytest.fixture
def given_up(host):
    """A session of alice's that ends, by her own will, and the number of a terminal that it had under a lock."""
    host.policy(until_somebody_locks())
    alice = Login(host, "alice")
    alice.type(STUBBORN)
    assert alice.answers()
    path = alice.path
    alice.lock()
    host.vigilctl("terminate", alice.id, "--reason", "a test", user="alice")
    wait_until(lambda: is_gone(host, path), 5, "her terminal is closed")
    return alice, path


def test_a_terminal_of_roots_stays_roots(host, given_up):
    alice, path = given_up
    host.run("systemd-run -q --unit=roots script -qc 'sleep 20' /dev/null")
    try:
        wait_until(lambda: not is_gone(host, path), 5, "root has it next")
        before, settings = owner_and_mode(host, path), host.run("stty", "-F", path, "-a").stdout
        assert before[0] == "root" and alice.state() == "ending"
        wait_until(lambda: alice.state() == "gone", 20, "hers is over")
        assert owner_and_mode(host, path) == before
        assert host.run("stty", "-F", path, "-a").stdout == settings
    finally:
        host.run("systemctl stop roots", check=False)


def test_what_somebody_types_at_sudos_own_terminal_is_not_read_by_who_had_its_number(host):
    """Bob administers the host: his sudo has a terminal of its own (use_pty), which is root's."""
    host.write("/etc/sudoers.d/bob", "Defaults use_pty\nbob ALL=(ALL) NOPASSWD: ALL\n", "0440")
    host.policy(until_somebody_locks())
    bob, thief, alice = Login(host, "bob"), Login(host, "alice"), Login(host, "alice")
    alice.type(STUBBORN)
    assert alice.answers()
    path = alice.path
    alice.lock()
    thief.type(f"vigilctl terminate {alice.id} --reason mine\r")
    wait_until(lambda: is_gone(host, path), 5, "her terminal is closed")
    bob.type("sudo -i\r")
    bob.screen.wait_for("^root@")
    assert not is_gone(host, path) and owner_and_mode(host, path)[0] == "root"
    wait_until(lambda: alice.state() == "gone", 20, "hers is over")
    thief.type(f"cat {path} | tee stolen\r")
    thief.screen.wait_for("cat ")
    bob.type("read -s password\r")
    for _ in range(10):
        bob.type(SECRET + "\r")
    wait_until(lambda: "denied" in thief.screen.text() or SECRET in host.run("cat /home/alice/stolen", check=False).stdout,
               10, "the thief has something or nothing")
    assert SECRET not in host.read("/home/alice/stolen")


def test_a_terminal_of_roots_stays_roots_where_vigild_was_away_meanwhile(host):
    host.policy(until_somebody_locks())
    alice = Login(host, "alice")
    path = alice.path
    alice.lock()
    host.run("systemctl stop vigild.socket vigild.service")
    alice.screen.child.kill(9)
    # For as long as a prompt has it open its number is not free.
    wait_until(lambda: is_gone(host, path) and not host.pids("-x", "vigil-lock"), 10, "her terminal is closed")
    host.run("systemd-run -q --unit=roots script -qc 'sleep 20' /dev/null")
    try:
        wait_until(lambda: not is_gone(host, path), 5, "root has it next")
        before = owner_and_mode(host, path)
        host.run("systemctl start vigild.socket vigild.service")
        wait_until(lambda: not host.vigil_sessions(user="alice"), 10, "hers is over")
        assert owner_and_mode(host, path) == before and before[0] == "root"
    finally:
        host.run("systemctl stop roots", check=False)


@pytest.fixture
def busy_program(host):
    host.run("modprobe fuse; [ -e /dev/fuse ] || mknod /dev/fuse c 10 229; chmod 0666 /dev/fuse")
    host.put(SOURCE / "build/tests/host/tools/busy", "/tmp/busy")
    yield
    host.run("pkill", "-KILL", "-x", "busy-server", check=False)


def test_who_gets_the_number_while_a_lock_is_being_made_is_not_held_for_it(host, busy_program):
    """A terminal that is kept busy makes the lock take a second; another of the connection is closed meanwhile."""
    host.policy(until_somebody_locks())
    bob, connection = Login(host, "bob"), Connection(host, "alice")
    try:
        slow, closed = connection.open(), connection.open()
        number = wait_until(lambda: len(found := connection.now()["terminals"]) == 2 and found[-1], 5, "it has both")
        path = "/dev/" + number
        slow.type("/tmp/busy /tmp/busy-file\r")
        wait_until(lambda: host.pids("-x", "busy-server"), 10, "it has its file")
        slow.type("x" * 200 + "\r")
        slow.screen.wait_for("^busy$")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            locking = pool.submit(host.vigilctl, "lock", connection.id, "--reason", "mine", user="alice", check=False)
            # A child is at the terminal that is kept busy, so all of hers were found.
            wait_until(lambda: host.pids("-x", "vigild-aside"), 10, "the lock is being made")
            closed.screen.child.kill(9)
            wait_until(lambda: is_gone(host, path), 5, "it is closed")
            bob.type("script -qc 'sleep 456' /dev/null\r")
            wait_until(lambda: host.pids("-u", "bob", "-fx", "sleep 456"), 5, "bob has it")
            (job,) = host.pids("-u", "bob", "-fx", "sleep 456")
            assert not is_gone(host, path) and not locking.done()
        assert "vigil-lock" not in host.read(f"/proc/{job}/cgroup")
        host.run("pkill", "-KILL", "-x", "busy-server")
        slow.screen.child.kill(9)
        wait_until(lambda: not connection.now()["terminals"], 30, "her last terminal is closed")
        assert host.pids("-u", "bob", "-fx", "sleep 456") == [job]
    finally:
        connection.close()
