"""vigil is removed while sessions are locked: at the keys and screens nothing is lost, and nothing of vigil's is left.

First what makes it refuse, then what removes it; each test finds it installed."""

import contextlib
import os

import consoles
import install
import pytest
from consoles import CONSOLES, VT_UNLOCKSWITCH, Console, ConsoleLogin, Keeper
from logins import LOCK_SCREEN, UNLOCK_PROMPT, Login, unlock
from people import Shell, person
from vigilhost import Host, wait_until

POLICY = """\
version: 1
sessions:
  - name: until somebody locks it
    unlock: [password]
step_up:
  - match: {groups: [sudo], services: [sudo]}
    require: [totp]
"""
START = "systemctl unmask --runtime vigild.socket vigild.service; systemctl start vigild.socket vigild.service"
SECRET = "the-plan-of-bob"
ONE, TWO, *_ = CONSOLES


@pytest.fixture(scope="module")
def host(request):
    """A container also where the others are virtual machines, as in test_console.py."""
    keeper = Keeper()
    try:
        with Host(f"host-removal-{os.getpid()}", request.config.getoption("--suite")) as host:
            consoles.give_to(host)
            host.run("groupadd", "nopasswd")
            host.write("/etc/sudoers.d/tests", "%nopasswd ALL=(ALL:ALL) NOPASSWD: ALL\n", "0440")
            yield host
    finally:
        keeper.close()


@pytest.fixture(autouse=True)
def installed(host):
    if not is_there(host, "/usr/libexec/vigil/vigild"):
        host.install()
        host.policy(POLICY)
    yield
    for terminal in host.terminals:
        terminal.close()
    host.terminals.clear()
    wait_until(lambda: not host.pids("-x", "-u", "alice,root", "bash"), 15, "everybody has left")


@pytest.fixture
def user(host):
    """Whose sudo asks for a code that he has not got, as long as vigil is there."""
    return person(host, "sudo", "nopasswd")


@pytest.fixture
def bob(host, installed):
    """At a console with something on it."""
    login = ConsoleLogin(host, "bob", ONE)
    try:
        login.log_in()
        consoles.type_text(f"clear; echo {SECRET[:4]}''{SECRET[4:]}\r")
        consoles.sees(f"^{SECRET}$")
        yield login
    finally:
        with Console(1) as console:
            console.do(VT_UNLOCKSWITCH, 1)
        host.run("loginctl", "terminate-user", "bob", check=False)
        host.run("systemctl", "stop", f"getty@tty{ONE}.service")


def is_there(host, path):
    return host.run("test", "-e", path, check=False).returncode == 0


def before_removal(host, status=0):
    done = host.run(install.BEFORE_REMOVING, check=False, timeout=120)
    assert done.returncode == status, done
    return done


def pam_files(host):
    return host.run("grep -rl pam_vigil /etc/pam.d", check=False).stdout.split()


def in_run(host):
    """What there is of vigil's in /run."""
    return sorted(host.run("find", "/run", "-name", "*vigil*").stdout.split())


def edits(login):
    """Alice, who is writing something down."""
    login.type("vi -n -u NONE notes\r")
    login.screen.wait_for("^~$")
    login.type("iwhat she wrote\x1b")
    login.screen.wait_for("^what she wrote")


def goes_on_editing(login):
    login.screen.wait_for("^what she wrote")
    assert LOCK_SCREEN not in login.screen.text()
    login.type(":wq! /tmp/notes\r")
    wait_until(lambda: is_there(login.host, "/tmp/notes"), 5, "it is written")
    assert login.host.run("cat /tmp/notes; rm /tmp/notes").stdout == "what she wrote\n" and login.answers()


def works_with_vigil(host, alice):
    """She is locked as if nothing had been tried, and unlocks."""
    assert alice.state() == "locked" and alice.frozen()
    unlock(alice)
    goes_on_editing(alice)


def works_without_vigil(host, user):
    """Logins, by key and by password, and sudo, which asks no code."""
    for by in ("key", "password"):
        login = host.login(user, by=by)
        status, said = Shell(login).run("sudo id -un")
        assert status == 0 and "root" in said.splitlines(), said
        login.close()
    done = host.ssh_run("root", "su -c 'echo su too' alice")
    assert done.stdout == "su too\n", done


# What makes it refuse


def test_a_line_that_others_wrote_is_named_and_nothing_is_changed(host):
    """Without its module it would let nobody in."""
    alice = Login(host, "alice")
    edits(alice)
    alice.lock()
    before, pid = pam_files(host), host.vigild_pid()
    host.run("cp -a /etc/pam.d/su /root/su && echo 'account required pam_vigil.so' >>/etc/pam.d/su && "
             "echo '#account required pam_vigil.so' >/etc/pam.d/vigil-comment && cp /etc/pam.d/su /etc/pam.d/su.dpkg-old")
    try:
        done = before_removal(host, 1)
        assert "take them out of: /etc/pam.d/su \n" in done.stderr and "vigil-comment" not in done.stderr
    finally:
        host.run("mv /root/su /etc/pam.d/su; rm /etc/pam.d/vigil-comment /etc/pam.d/su.dpkg-old")
    assert pam_files(host) == before and host.vigild_pid() == pid
    works_with_vigil(host, alice)


def test_lines_that_pam_auth_update_does_not_take_out_are_named_and_nothing_is_changed(host):
    """It leaves alone what was changed by hand."""
    pid = host.vigild_pid()
    host.run("cp -a /etc/pam.d /var/lib/pam /root/ && "
             "sed -i '/pam_vigil.so/i account optional pam_warn.so' /etc/pam.d/common-account && cp -a /etc/pam.d /root/changed")
    try:
        done = before_removal(host, 1)
        assert done.stderr.endswith("take its lines out of: /etc/pam.d/common-account /etc/pam.d/common-session "
                                    "/etc/pam.d/common-session-noninteractive \n")
        assert host.run("diff", "-r", "/root/changed", "/etc/pam.d").stdout == ""
        # As it says.
        host.run("sed -i /pam_vigil.so/d /etc/pam.d/common-*")
        assert host.vigild_pid() == pid
        before_removal(host)
        assert host.vigild_pid() == 0
    finally:
        host.run("rm -r /etc/pam.d /var/lib/pam /root/changed; mv /root/pam.d /etc/; mv /root/pam /var/lib/")
        host.run(START)
    wait_until(host.vigild_is_ready, 15, "vigild is back")


@contextlib.contextmanager
def other_vigilctl(host, script):
    host.run("mv /usr/bin/vigilctl /root/")
    host.write("/usr/bin/vigilctl", f"#!/bin/sh\n{script}\n", "0755")
    try:
        yield
    finally:
        host.run("mv /root/vigilctl /usr/bin/")


def test_what_cannot_be_given_back_keeps_vigil_there(host, user):
    alice = Login(host, "alice")
    edits(alice)
    alice.lock()
    before = pam_files(host)
    with other_vigilctl(host, "exit 1"):
        assert "not all that is locked could be given back" in before_removal(host, 1).stderr
    wait_until(host.vigild_is_ready, 15, "vigild is back")
    assert pam_files(host) == before
    works_with_vigil(host, alice)
    status, said = Shell(host.login(user)).run("sudo id -un")
    assert status != 0 and "root" not in said.splitlines()


def test_sudo_asks_again_where_vigil_stays_and_runs_where_it_goes(host, user):
    host.vigilctl("sudo", "enable")
    try:
        with other_vigilctl(host, 'case $1 in thaw) exit 1 ;; esac; exec /root/vigilctl "$@"'):
            assert "not all that is locked" in before_removal(host, 1).stderr
        assert host.vigilctl("sudo", "status").stdout.startswith("sudo asks vigil")
        with other_vigilctl(host, "exit 1"):
            assert "sudo still loads vigil_approval.so" in before_removal(host, 1).stderr
        assert host.vigild_is_ready()
        before_removal(host)
        assert "vigil" not in host.run("cat", "/etc/sudo.conf", check=False).stdout
        works_without_vigil(host, user)
    finally:
        host.run("vigilctl sudo disable", check=False)
        host.run("DEBIAN_FRONTEND=noninteractive pam-auth-update --package")
        host.run(START)
    wait_until(host.vigild_is_ready, 15, "vigild is back")


def test_the_line_that_asks_at_logins_comes_back_where_vigil_stays_and_goes_with_it(host, user):
    host.run("DEBIAN_FRONTEND=noninteractive pam-auth-update --enable vigil-login")
    try:
        before = pam_files(host)
        assert "pam_vigil.so" in host.read("/etc/pam.d/common-auth")
        with other_vigilctl(host, 'case $1 in thaw) exit 1 ;; esac; exec /root/vigilctl "$@"'):
            assert "not all that is locked" in before_removal(host, 1).stderr
        assert pam_files(host) == before
        before_removal(host)
        assert "pam_vigil.so" not in host.read("/etc/pam.d/common-auth")
        works_without_vigil(host, user)
    finally:
        host.run("DEBIAN_FRONTEND=noninteractive pam-auth-update --package --remove vigil-login")
        host.run("DEBIAN_FRONTEND=noninteractive pam-auth-update --package")
        host.run(START)
    wait_until(host.vigild_is_ready, 15, "vigild is back")


def test_one_that_is_interrupted_puts_all_back(host):
    alice = Login(host, "alice")
    edits(alice)
    alice.lock()
    before = pam_files(host)
    # Whoever asks for the removal gives it up in the middle. Not by SIGINT: what was started in the background ignores it.
    with other_vigilctl(host, f"pkill -TERM -o -f {install.BEFORE_REMOVING}"):
        assert "it was interrupted" in before_removal(host, 1).stderr
    wait_until(host.vigild_is_ready, 15, "vigild is back")
    assert pam_files(host) == before and not is_there(host, "/run/systemd/system/vigild.service")
    works_with_vigil(host, alice)


# What removes it


@pytest.mark.parametrize("vigild", ["runs", "hangs", "is-dead"])
def test_locked_sessions_come_back_and_nothing_of_vigil_is_left(host, user, bob, vigild):
    alice = Login(host, "alice")
    edits(alice)
    alice.lock()
    bob.lock()
    consoles.asks()
    assert SECRET not in consoles.screen()
    if vigild == "hangs":
        host.run("kill", "-STOP", str(host.vigild_pid()))
    elif vigild == "is-dead":
        host.run("systemctl mask --runtime vigild.service; systemctl kill -s KILL vigild.service; "
                 "systemctl stop vigild.service vigild.socket")
    before_removal(host)
    assert not host.pids("-x", "vigild|vigil-lock")
    # Somebody asks meanwhile: the bus starts none.
    host.run("vigilctl", "list", check=False)
    assert not host.pids("-x", "vigild")
    assert before_removal(host).stdout == "Nothing is held.\n", "once more"
    goes_on_editing(alice)
    consoles.comes_to_front(ONE)
    consoles.sees(f"^{SECRET}$")
    bob.answers()
    consoles.go_to(TWO)
    consoles.go_to(ONE)

    host.remove()
    assert in_run(host) == [] and pam_files(host) == []
    assert not host.run("find /sys/fs/cgroup -name '*vigil*'").stdout
    assert not host.run("systemctl --all --no-legend list-units '*vigil*'").stdout.strip()
    assert alice.answers()
    bob.answers()
    works_without_vigil(host, user)
    # They end as sessions do.
    alice.close()
    consoles.type_text("exit\r")
    wait_until(lambda: not [one for one in host.sessions() if one["Name"] in ("alice", "bob")], 15, "they are over")


# Files that are just deleted


def kill_vigild_for_good(host):
    """It cannot be started any more, since its file is gone."""
    host.run("systemctl kill -s KILL vigild.service; systemctl stop vigild.service vigild.socket", check=False)


def test_where_programs_were_deleted_root_logs_in_and_a_copy_of_vigilctl_frees_all(host, user):
    alice = Login(host, "alice")
    edits(alice)
    alice.lock()
    host.run("cp /usr/bin/vigilctl /root/")
    host.delete_files(but=["/pam_vigil.so"])
    kill_vigild_for_good(host)
    done = host.ssh_run("root", "/root/vigilctl thaw --all; rm /root/vigilctl")
    assert "thawed session" in done.stdout and "of alice" in done.stdout, done
    goes_on_editing(alice)
    host.run("DEBIAN_FRONTEND=noninteractive pam-auth-update --package; rm -rf /run/vigil")
    assert pam_files(host) == []
    works_without_vigil(host, user)


# As vigild(8) has it.
BY_HAND = r"""
find /sys/fs/cgroup -type d -name vigil-lock -printf '%h\n' | while read scope; do
    echo 0 >$scope/vigil-lock/cgroup.freeze
    [ ! -e $scope/vigil-connection ] || echo max >$scope/vigil-connection/pids.max
done
systemctl stop 'vigil-lock-*.service'
"""


def test_without_a_copy_root_frees_them_by_hand(host):
    alice = Login(host, "alice")
    alice.lock()
    path = alice.path
    host.delete_files(but=["/pam_vigil.so"])
    kill_vigild_for_good(host)
    host.write("/root/by-hand", BY_HAND)
    done = host.ssh_run("root", f"sh /root/by-hand && stty -F {path} sane && chown alice {path} && chmod 620 {path}")
    assert done.returncode == 0, done
    # Nobody wipes the lock screen.
    alice.type("reset\r")
    alice.screen.wait_gone(UNLOCK_PROMPT)
    assert alice.answers() and not host.pids("-x", "vigil-lock")
    host.run("DEBIAN_FRONTEND=noninteractive pam-auth-update --package; rm -rf /run/vigil")


def test_where_the_module_was_deleted_too_root_who_is_in_lets_everybody_in_again(host, user):
    """Nobody else gets in: a file of PAM names a module that is not there."""
    inside = Shell(host.login("root"))
    host.delete_files()
    kill_vigild_for_good(host)
    assert host.ssh_run(user, "echo got in").stdout == ""
    assert inside.run("DEBIAN_FRONTEND=noninteractive pam-auth-update --package")[0] == 0
    assert pam_files(host) == []
    works_without_vigil(host, user)
    host.run("rm -rf /run/vigil")
