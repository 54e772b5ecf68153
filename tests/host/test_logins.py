"""Logins through the real sshd, login and PID 1: which are registered, which are refused, and what a refusal leaves."""

import subprocess

import pytest
from people import at_console, let_sshd_take_all, person, shell
from vigilhost import PASSWORDS, wait_until

OPEN = "version: 1\n"
CLOSED = """\
version: 1
sessions:
  - name: closed
    match: {users: [%s]}
    access: deny
    message: Not on working days.
"""
FULL = """\
version: 1
sessions:
  - name: a few
    match: {users: [%s]}
    max_sessions: {user: %d, when_reached: deny}
"""
KINDS = ["shell", "command", "no command", "sftp", "scp"]


@pytest.fixture(scope="module", autouse=True)
def sshd_takes_all(host):
    let_sshd_take_all(host)


@pytest.fixture
def user(host):
    host.policy(OPEN)
    return person(host)


def leads(host, user):
    """What vigil and logind each know of the user's sessions: (id at logind, leader)."""
    return (sorted((one["logind_session"], one["leader_pid"]) for one in host.vigil_sessions(user=user)),
            sorted((one["Id"], int(one["Leader"])) for one in host.sessions() if one["Name"] == user))


def wait_for_sessions(host, user, number):
    def agreed():
        vigil, logind = leads(host, user)
        return len(vigil) == number and vigil == logind
    try:
        wait_until(agreed, 10, f"vigil and logind both know {number} sessions")
    except AssertionError as error:
        raise AssertionError(f"{error}: {leads(host, user)}") from error


def client(host, kind, user):
    """A command line of the real clients that would get in, and stay in where that is its kind."""
    if kind in ("sftp", "scp"):
        words = host.ssh_command(user)
        words[words.index("ssh")] = kind
        words[words.index("-p")] = "-P"
        if kind == "sftp":
            return words
        return [*words[:-1], "/etc/hostname", f"{words[-1]}:/tmp/copied-by-{user}"]
    options, command = {"shell": (["-tt"], []), "command": (["-T"], ["echo got in"]),
                        "no command": (["-N"], [])}[kind]
    return host.ssh_command(user, *options, command=command)


def assert_refused(host, kind, user, reason, sessions):
    done = subprocess.run(client(host, kind, user), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace", check=False, timeout=10)
    said = done.stdout + done.stderr
    assert done.returncode != 0, said
    assert said.count(reason) == 1, said
    assert "got in" not in said
    wait_for_sessions(host, user, sessions)
    assert host.run("test", "-e", f"/tmp/copied-by-{user}", check=False).returncode != 0
    left = host.run("pgrep", "-fa", f"^sshd[-a-z]*: {user}", check=False).stdout.splitlines()
    assert len(left) == 2 * sessions, f"sshd's processes of the refused login stay: {left}"


@pytest.mark.parametrize("by", ["key", "password", "keyboard-interactive"])
def test_a_login_is_registered_once_and_released(host, user, by):
    terminal = host.login(user, by=by)
    wait_for_sessions(host, user, 1)
    one = host.vigil_sessions(user=user)[0]
    assert (one["service"], one["remote_host"], one["state"]) == ("sshd", "127.0.0.1", "active")
    assert one["uid"] == int(host.run("id", "-u", user).stdout)
    assert len(one["terminals"]) == 1
    events = [record["VIGIL_EVENT"] for record in host.journal(VIGIL_USER=user)]
    assert events == ["login-reserved", "session-opened"]
    # One id in both: the reservation of the account phase, which may have been another process, was found again.
    assert {record["VIGIL_SESSION"] for record in host.journal(VIGIL_USER=user)} == {one["id"]}
    terminal.send("exit\r")
    assert terminal.wait_closed() == 0
    wait_for_sessions(host, user, 0)
    closed = wait_until(lambda: host.journal(VIGIL_USER=user, VIGIL_EVENT="session-closed"), 5, "it is closed")
    assert len(closed) == 1


def test_a_wrong_password_leaves_nothing(host, user):
    terminal = host.ssh(user, "-o", "NumberOfPasswordPrompts=1", by="password")
    terminal.wait_for("assword:")
    terminal.send("wrong\r")
    assert terminal.wait_closed() == 255
    wait_for_sessions(host, user, 0)
    assert not host.journal(VIGIL_USER=user)


@pytest.mark.parametrize("kind", KINDS)
def test_a_refused_login_is_told_why_and_leaves_nothing(host, user, kind):
    host.policy(CLOSED % user)
    assert_refused(host, kind, user, "Not on working days.", 0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_login_too_many_is_told_why_and_leaves_nothing(host, user, kind):
    host.policy(FULL % (user, 1))
    first = shell(host, user)
    wait_for_sessions(host, user, 1)
    assert_refused(host, kind, user, "limit is 1", 1)
    assert first.run("echo still here")[0] == 0
    first.terminal.close()
    wait_for_sessions(host, user, 0)
    again = shell(host, user)
    wait_for_sessions(host, user, 1)
    again.terminal.close()


@pytest.mark.parametrize("by", ["password", "keyboard-interactive"])
def test_a_refusal_reaches_who_gave_a_password(host, user, by):
    host.policy(CLOSED % user)
    terminal = host.ssh(user, "-o", "NumberOfPasswordPrompts=1", by=by)
    terminal.wait_for("assword:")
    terminal.send(PASSWORDS[user] + "\r")
    assert terminal.wait_closed() == 255
    assert terminal.said().count("Not on working days.") == 1, terminal.said()
    wait_for_sessions(host, user, 0)


def test_a_login_at_the_console_is_registered(host, user):
    console = at_console(host)
    console.wait_for("login:")
    console.send(user + "\r")
    console.wait_for("assword:")
    console.send(PASSWORDS[user] + "\r")
    console.wait_for(rf"^{user}@")
    wait_for_sessions(host, user, 1)
    one = host.vigil_sessions(user=user)[0]
    assert (one["service"], one["remote_host"]) == ("login", "")
    assert len(one["terminals"]) == 1
    console.send("exit\r")
    console.wait_closed()
    wait_for_sessions(host, user, 0)


def test_root_at_the_console_gets_in_although_denied(host, user):
    host.policy(CLOSED % f"root, {user}")
    refused = host.ssh_run("root", "echo got in")
    assert refused.returncode != 0 and "Not on working days." in refused.stderr
    console = at_console(host, "-f", "root")
    console.wait_for(r"^root@")
    wait_for_sessions(host, "root", 1)
    console.close()
    other = at_console(host, "-f", user)
    other.wait_to_hear("Not on working days.")
    other.close()
    wait_for_sessions(host, "root", 0)
    assert len(host.journal(VIGIL_EVENT="login-let-in", VIGIL_USER="root")) == 1


def test_root_at_the_console_gets_in_although_blocked_and_without_vigild(host):
    host.run("mkdir", "-p", "-m", "755", "/run/vigil/blocked")
    host.write("/run/vigil/blocked/0", "out of office\n")
    host.run("systemctl", "stop", "vigild.socket", "vigild.service")
    try:
        refused = host.ssh_run("root", "echo got in")
        assert refused.returncode != 0 and "out of office" in refused.stderr
        console = at_console(host, "-f", "root")
        console.wait_for(r"^root@")
        console.close()
        said = host.run("journalctl", "--no-pager", "SYSLOG_IDENTIFIER=login").stdout
        assert "root at the console is let in although refused" in said
    finally:
        host.run("rm", "-r", "/run/vigil/blocked")
        host.run("systemctl", "start", "vigild.socket", "vigild.service")


def test_what_runs_in_a_session_is_no_login(host, user):
    inside = shell(host, user)
    wait_for_sessions(host, user, 1)
    terminal = inside.terminal
    for command, question in (("passwd", "urrent password:"), ("chsh -s /bin/sh", "assword:"),
                              (f"su {user} -c true", "assword:"), (f"su - {user} -c true", "assword:")):
        since = inside.start(command)
        terminal.wait_to_hear(question, 10, since)
        wait_for_sessions(host, user, 1)
        terminal.send(("wrong" if command == "passwd" else PASSWORDS[user]) + "\r")
        inside.finish(since)
    assert host.run("getent", "passwd", user).stdout.strip().endswith(":/bin/sh")
    wait_for_sessions(host, user, 1)
    assert not host.journal(VIGIL_USER=user, VIGIL_EVENT="session-closed")
    terminal.close()


@pytest.mark.parametrize("service", ["cron", "atd", "systemd-user", "runuser"])
def test_jobs_are_no_logins(host, user, service):
    host.policy(CLOSED % user)
    unit = f"job-{user}"
    host.run("systemd-run", f"--unit={unit}", f"--property=User={user}", f"--property=PAMName={service}", "sleep", "60")
    wait_until(lambda: host.run("pgrep", "-u", user, "-x", "sleep", check=False).stdout, 10, "the job runs")
    assert not host.vigil_sessions(user=user)
    assert not host.journal(VIGIL_USER=user)
    host.run("systemctl", "stop", unit)


def crowd(host, user, number):
    """That many logins at once; those that got in and stay, and those that were refused."""
    command = host.ssh_command(user, "-T", command=["echo got in; exec cat"])
    clients = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True) for _ in range(number)]
    # One line, or the end: each says which.
    inside = [one for one in clients if one.stdout.readline() == "got in\n"]
    return inside, [one for one in clients if one not in inside]


def leave(clients):
    for one in clients:
        one.stdin.close()
        one.wait(15)
        one.stdout.close()
        one.stderr.close()


def test_twenty_logins_at_once_are_all_registered(host, user):
    inside, refused = crowd(host, user, 20)
    assert not refused, refused[0].stderr.read()
    wait_for_sessions(host, user, 20)
    leave(inside)
    wait_for_sessions(host, user, 0)


def test_max_sessions_is_exact_when_twenty_come_at_once(host, user):
    host.policy(FULL % (user, 7))
    inside, refused = crowd(host, user, 20)
    assert (len(inside), len(refused)) == (7, 13)
    assert all("limit is 7" in one.stderr.read() for one in refused)
    wait_for_sessions(host, user, 7)
    leave(inside + refused)
    wait_for_sessions(host, user, 0)
