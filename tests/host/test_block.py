"""A blocked user on a real host: what he is refused and told, with vigild and without, and what becomes of what he has."""

import contextlib
import re

import pytest
from logins import LOCK_SCREEN, Login, unlock
from people import enroll, let_sshd_take_all, one_line, person, shell
from test_faults import gone, stuck
from vigilhost import PASSWORDS, wait_until

POLICY = """\
version: 1
sessions:
  - name: everyone
    unlock: [password]
step_up:
  - match: {services: [sudo], groups: [coded]}
    require: [totp]
    valid_for: 10m
"""
REASON = "Ask the security office."


@contextlib.contextmanager
def nothing(_host):
    yield


@pytest.fixture(scope="module", autouse=True)
def prepared(host):
    for group in ("nopasswd", "coded"):
        host.run("groupadd", group)
    host.write("/etc/sudoers.d/tests", "%nopasswd ALL=(ALL:ALL) NOPASSWD: ALL\n", "0440")
    let_sshd_take_all(host)
    host.policy(POLICY)


@pytest.fixture
def user(host):
    name = person(host, "nopasswd")
    yield name
    host.vigilctl("unblock", name, check=False)


def block(host, user, *more):
    return host.vigilctl("block", user, "--reason", REASON, *more).stdout


def told(text, user):
    """The one line that says it, wherever it stands."""
    line = one_line(text, rf"{user} is blocked on this host until ")
    assert REASON in line
    return line


def is_refused(host, user):
    done = host.ssh_run(user, "echo got in", timeout=20)
    assert done.returncode != 0 and "got in" not in done.stdout, done
    return told(done.stderr, user)


def gets_in(host, user):
    return host.ssh_run(user, "echo got in", timeout=20).stdout == "got in\n"


def mark_of(host, user):
    return f"/run/vigil/blocked/{host.run('id', '-u', user).stdout.strip()}"


@pytest.mark.parametrize("trouble", [nothing, gone, stuck])
def test_no_login_and_no_sudo_whatever_else_holds(host, user, trouble):
    inside = shell(host, user)
    assert inside.run("sudo id -un")[1].strip().endswith("root")
    block(host, user)
    with trouble(host):
        is_refused(host, user)
        status, said = inside.run("sudo id -un")
        assert status != 0
        told(said, user)
        assert gets_in(host, "bob")
        root = host.ssh_run("root", f"su -c 'echo as him' {user}", timeout=20)
        assert root.stdout == "as him\n", "root may become him"
    host.vigilctl("unblock", user)
    assert gets_in(host, user) and inside.run("sudo id -un")[0] == 0
    inside.terminal.close()


@pytest.mark.parametrize("trouble", [nothing, gone])
def test_nor_with_unavailable_allow(host, user, trouble):
    inside = shell(host, user)
    block(host, user)
    host.run("sed", "-i.kept", "/pam_vigil.so/s/$/ unavailable=allow/", "/etc/pam.d/common-account")
    try:
        with trouble(host):
            is_refused(host, user)
            told(inside.run("sudo id -un")[1], user)
    finally:
        host.run("mv", "/etc/pam.d/common-account.kept", "/etc/pam.d/common-account")
    inside.terminal.close()


@pytest.mark.parametrize("trouble", [nothing, gone])
def test_who_has_become_root_is_known_by_his_login(host, user, trouble):
    inside = shell(host, user)
    inside.terminal.send("sudo -s\r")
    inside.terminal.wait_for(r"^root@")
    block(host, user)
    with trouble(host):
        for command in ("su -c id bob", "sudo id"):
            since = inside.terminal.mark()
            inside.terminal.send(f"{command}; echo \"status=\"$?\r")
            ended = inside.terminal.wait_to_hear(r"^status=(\d+)$", 20, since)
            assert ended[1] != "0"
            told(inside.terminal.said()[since:], user)
    inside.terminal.close()


def test_nobody_else_becomes_him(host, user):
    block(host, user)
    bob = shell(host, "bob")
    since = bob.start(f"su -c 'echo as him' {user}")
    bob.terminal.wait_to_hear("Password:", 10, since)
    bob.terminal.send(PASSWORDS[user] + "\r")
    status, said = bob.finish(since)
    assert status != 0 and "as him" not in said.splitlines()
    told(said, user)
    bob.terminal.close()


def test_his_proofs_are_gone_and_his_sessions_are_not(host):
    user = person(host, "nopasswd", "coded")
    codes = enroll(host, user)
    inside = shell(host, user)
    assert "root" in inside.run("sudo id -un", codes.fresh())[1]
    assert [one for one in host.vigilctl("grants", "--json") if one["user"] == user]
    said = block(host, user)
    assert said.splitlines()[0] == f"blocked {user} until `vigilctl unblock`"
    assert "1 session, left as it is" in said and f"vigilctl terminate --user {user}" in said
    assert not [one for one in host.vigilctl("grants", "--json") if one["user"] == user]
    assert inside.run("echo still here")[0] == 0
    told(inside.run("sudo id -un")[1], user)
    host.vigilctl("unblock", user)
    assert inside.asks("sudo id -un")
    inside.terminal.close()


def test_locked_stays_locked(host, user):
    login = Login(host, user)
    login.lock()
    block(host, user)
    login.type(PASSWORDS[user] + "\r")
    login.screen.wait_for(f"{user} is blocked on this host until", 15)
    assert login.state() == "locked" and login.screen.wait_for(LOCK_SCREEN)
    done = host.vigilctl("unlock", login.id, "--reason", "a test", check=False)
    assert done.returncode == 1
    told(done.stderr, user)
    assert login.state() == "locked"
    host.vigilctl("unblock", user)
    # The wrong answers, as the prompt counts them, have their wait.
    wait_until(lambda: login.screen.text().count("assword"), 15, "it asks again")
    unlock(login)
    login.close()


@pytest.mark.parametrize("trouble", [nothing, gone])
def test_its_time_runs_out(host, user, trouble):
    block(host, user, "--for", "12s")
    with trouble(host):
        assert re.search(r"until \d{4}-\d\d-\d\d \d\d:\d\d: ", is_refused(host, user))
        wait_until(lambda: gets_in(host, user), 30, "the time of the block is over")
    wait_until(lambda: host.run("test", "-e", mark_of(host, user), check=False).returncode != 0, 10, "the mark is gone")
    assert host.journal(VIGIL_EVENT="block-expired", VIGIL_USER=user)


@pytest.mark.parametrize("how", ["restart_vigild", "kill_vigild"])
def test_a_restart_of_vigild_keeps_it(host, user, how):
    block(host, user)
    getattr(host, how)()
    host.vigild_is_ready()
    is_refused(host, user)
    assert [one["user"] for one in host.vigilctl("status", "--json")["blocked"]] == [user]


def test_a_boot_without_its_state_keeps_it(host, user):
    """What a reboot takes away is /run/vigil."""
    block(host, user)
    host.run("systemctl stop vigild.socket vigild.service; rm -rf /run/vigil/state.db* /run/vigil/blocked; "
             "systemctl start vigild.socket vigild.service")
    is_refused(host, user)
    assert host.run("test", "-e", mark_of(host, user), check=False).returncode == 0


def test_a_boot_keeps_it_before_vigild_has_come_up(host, user):
    """As systemd-tmpfiles-setup.service does it."""
    block(host, user, "--for", "8h")
    with gone(host):
        host.run("rm -rf /run/vigil/state.db* /run/vigil/blocked; systemd-tmpfiles --create /usr/lib/tmpfiles.d/vigil.conf; "
                 "test ! -e /run/vigil/blocked; systemd-tmpfiles --create --boot /usr/lib/tmpfiles.d/vigil.conf")
        is_refused(host, user)
        assert gets_in(host, "bob")
    is_refused(host, user)
    assert host.run("stat", "-c", "%a %U", "/run/vigil/blocked", mark_of(host, user)).stdout == "755 root\n600 root\n"
    host.vigilctl("unblock", user)
    assert gets_in(host, user)


@pytest.mark.parametrize("instead", ["echo in the way >{}", "ln -s /nowhere {}"])
def test_where_no_mark_can_be_looked_for_root_alone_gets_in_and_a_start_mends_it(host, user, instead):
    folder = "/run/vigil/blocked"
    inside = shell(host, user)
    with gone(host):
        host.run(f"rm -rf {folder}; {instead.format(folder)}")
        said = host.ssh_run(user, "echo got in", timeout=20)
        assert said.returncode != 0 and "See: systemctl status vigild" in one_line(said.stderr, "cannot be told who is blocked")
        assert folder in said.stderr
        status, said = inside.run("sudo id -un")
        assert status != 0 and folder in one_line(said, "cannot be told who is blocked")
        assert gets_in(host, "root")
        assert host.ssh_run("root", f"su -c 'echo as him' {user}", timeout=20).stdout == "as him\n"
    block(host, user)
    with gone(host):
        is_refused(host, user)
        assert gets_in(host, "bob")
    inside.terminal.close()


@pytest.mark.parametrize("trouble", [nothing, gone])
@pytest.mark.parametrize("by", ["PAM", "plugin"])
def test_sudo_that_takes_roots_password_is_no_way(host, user, by, trouble):
    PASSWORDS["root"] = "root-pass-1"
    host.run("chpasswd", input=f"root:{PASSWORDS['root']}\n")
    # Without its account phase what is left of PAM is the password.
    without = ", !pam_acct_mgmt" if by == "plugin" else ""
    host.write("/etc/sudoers.d/to-the-target", f"Defaults:{user} targetpw{without}\n{user} ALL=(ALL:ALL) ALL\n", "0440")
    host.write("/etc/sudo.conf", "Plugin vigil_approval vigil_approval.so\n" if by == "plugin" else "")
    inside = shell(host, user)

    def tried():
        since = inside.start("sudo -k id -un")
        inside.terminal.wait_to_hear("assword.*:", 10, since)
        inside.terminal.send(PASSWORDS["root"] + "\r")
        return inside.finish(since)
    try:
        status, said = tried()
        assert status == 0 and "root" in said.splitlines(), said
        block(host, user)
        with trouble(host):
            status, said = tried()
        assert status != 0 and "root" not in said.splitlines()
        told(said, user)
    finally:
        host.run("rm", "/etc/sudoers.d/to-the-target", "/etc/sudo.conf")
    inside.terminal.close()


def test_operators_see_who_is_blocked_and_the_journal_has_it(host, user):
    block(host, user)
    line = one_line(host.vigilctl("status").stdout, "^blocked")
    assert user in line and "until further notice" in line and REASON in line
    assert REASON not in host.vigilctl("status", user="bob").stdout
    is_refused(host, user)
    assert REASON in host.journal(VIGIL_EVENT="login-refused", VIGIL_USER=user)[-1]["MESSAGE"]
    assert host.journal(VIGIL_EVENT="user-blocked", VIGIL_USER=user)[-1]["VIGIL_REASON"] == REASON
    host.vigilctl("unblock", user)
    assert host.journal(VIGIL_EVENT="user-unblocked", VIGIL_USER=user)
    assert host.vigilctl("unblock", user, check=False).returncode == 1


def test_root_and_whoever_is_not_root_block_nobody(host, user):
    done = host.vigilctl("block", "root", "--reason", "x", check=False)
    assert done.returncode == 1 and "Root cannot be blocked" in one_line(done.stderr, "vigilctl")
    for words in (("block", user, "--reason", "x"), ("unblock", user)):
        done = host.vigilctl(*words, user="bob", check=False)
        assert done.returncode == 1 and one_line(done.stderr, "vigilctl")
    assert gets_in(host, user)
