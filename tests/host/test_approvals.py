"""Another person's yes: asked for at a terminal, answered at another."""

import re
import time

import pytest
from people import let_sshd_take_all, one_line, person, shell
from vigilhost import PASSWORDS, wait_until

POLICY = """\
version: 1
step_up:
  - match: {services: [sudo], commands: [/usr/bin/id]}
    require: [approval]
    approvers: {groups: [security]}
  - match: {services: [sudo], commands: [/usr/bin/tty]}
    require: [{all: [password, approval]}]
    approvers: {groups: [security]}
  - match: {services: [sudo], commands: [/usr/bin/whoami]}
    require: [approval]
    approvers: {groups: [others]}
"""


@pytest.fixture(scope="module", autouse=True)
def plugin(host):
    let_sshd_take_all(host)
    host.run("groupadd nopasswd; groupadd security; groupadd others")
    host.write("/etc/sudoers.d/tests", "%nopasswd ALL=(ALL:ALL) NOPASSWD: ALL\n", "0440")
    host.run("echo 'Plugin vigil_approval vigil_approval.so' >>/etc/sudo.conf")
    host.policy(POLICY)


@pytest.fixture(scope="module", autouse=True)
def left_alone(host, plugin):
    """(Whose, his shell, where his command began, the request, when it was made at the latest) of what nobody answers: it waits
    while the other tests run, and their approvers do not see it."""
    name = person(host, "nopasswd")
    inside = shell(host, name)
    return name, inside, *asking(inside, "sudo whoami"), time.monotonic()


@pytest.fixture
def user(host):
    return person(host, "nopasswd")


@pytest.fixture
def approver(host):
    return person(host, "security")


@pytest.fixture
def inside(host, user):
    opened = shell(host, user)
    yield opened
    opened.terminal.close()


def asking(inside, command="sudo id -u", reason="the disk is full"):
    """(where the command began, the request's id)"""
    since = inside.start(command)
    inside.terminal.wait_to_hear("Reason for the approval: ", 15, since)
    inside.terminal.send(reason + "\r")
    return since, inside.terminal.wait_to_hear(r"vigilctl approve ([0-9a-f]{8})", 10, since)[1]


def by(host, name, *words):
    return host.ssh_run(name, "vigilctl", *words)


def test_an_approver_sees_what_it_is_about_and_lets_it_run(host, user, approver, inside):
    inside.run("cd /var/tmp")
    since, request = asking(inside, "sudo id -u -- 'a b'")
    terminal = host.ssh(approver, "-t", command=["vigilctl", "approve", request])
    terminal.wait_to_hear(r"\[y/N\]", 15)
    seen = terminal.said()
    print(seen)
    for word in (user, host.run("hostname").stdout.strip(), "/usr/bin/id -u -- 'a b'", "/var/tmp", "the disk is full", "root", "pts/"):
        assert word in seen, word
    terminal.send("y\r")
    terminal.wait_to_hear(f"approved request {request} of {user}", 10)
    assert terminal.wait_closed() == 0
    said = inside.finish(since)[1]
    assert "Waiting 5 min for somebody else's" in said
    answered, = host.journal(VIGIL_EVENT="approval-answered", VIGIL_USER=user)
    assert f"was approved by {approver}" in answered["MESSAGE"]
    assert "No requests." in by(host, approver, "requests").stdout


def test_whom_he_became_is_seen(host, user, approver, inside):
    other = person(host, "nopasswd")
    since = inside.start(f"su - {other}")
    inside.terminal.wait_to_hear("Password: ", 10, since)
    inside.terminal.send(PASSWORDS[other] + "\r")
    inside.terminal.wait_to_hear(rf"^{other}@", 10, since)
    _, request = asking(inside)
    terminal = host.ssh(approver, "-t", command=["vigilctl", "approve", request])
    terminal.wait_to_hear(r"\[y/N\]", 15)
    print(terminal.said())
    assert re.search(rf"^user +{user}$", terminal.said(), re.MULTILINE)
    assert re.search(rf"^who became +{other}$", terminal.said(), re.MULTILINE)
    terminal.send("n\r")
    assert terminal.wait_closed() == 1
    inside.terminal.key("ctrl-c")


def test_it_counts_once(host, approver, inside):
    since, request = asking(inside)
    assert by(host, approver, "approve", "--yes", request).returncode == 0
    status, said = inside.finish(since)
    assert status == 0 and re.search(r"^0$", said, re.MULTILINE)
    asking(inside)
    inside.terminal.key("ctrl-c")


def test_a_no_comes_with_its_reason_and_the_next_request_waits(host, approver, inside):
    since, request = asking(inside)
    assert by(host, approver, "deny", request, "--reason", "'not before Monday'").returncode == 0
    status, said = inside.finish(since)
    assert status == 1 and f"denied by {approver}: not before Monday" in one_line(said, "denied by")
    since = inside.start("sudo id -u")
    inside.terminal.wait_to_hear("Reason for the approval: ", 15, since)
    inside.terminal.send("again\r")
    assert "was just denied: ask again in" in inside.finish(since)[1]


def test_nobody_else_answers_and_nobody_his_own(host, user, approver, inside):
    stranger = person(host)
    both = person(host, "nopasswd", "security")
    since, request = asking(inside)
    assert "No requests." in by(host, stranger, "requests").stdout
    for name in (stranger, user):
        done = by(host, name, "approve", "--yes", request)
        assert done.returncode == 1 and "request" in one_line(done.stderr, "vigilctl:")
    assert f"{user} (you)" in by(host, user, "requests").stdout
    unseen = by(host, approver, "approve", request)
    assert unseen.returncode == 1 and "no terminal to show the request at" in one_line(unseen.stderr, "vigilctl")
    # As root by his own sudo, and as an approver by su, it is the requester's own still.
    second = shell(host, user)
    assert "a request of his own" in second.run(f"sudo vigilctl approve --yes {request}")[1]
    start = second.start(f"su {approver} -c 'vigilctl approve --yes {request}'")
    second.terminal.wait_to_hear("Password: ", 10, start)
    second.terminal.send(PASSWORDS[approver] + "\r")
    assert "no such request" in second.finish(start)[1]
    second.terminal.close()
    assert by(host, both, "approve", "--yes", request).returncode == 0
    assert inside.finish(since)[0] == 0


def test_who_gives_up_takes_the_request_with_him(host, user, approver, inside):
    since, request = asking(inside)
    inside.give_up(since)
    assert inside.finish(since)[0] != 0
    wait_until(lambda: host.journal(VIGIL_EVENT="approval-lapsed", VIGIL_USER=user), 5, "the request is gone")
    done = by(host, approver, "approve", "--yes", request)
    assert done.returncode == 1 and "no such request" in one_line(done.stderr, "vigilctl:")


def test_three_at_one_time_and_no_more(host, user, approver):
    shells = [shell(host, user) for _ in range(4)]
    for one in shells[:3]:
        asking(one)
    since = shells[3].start("sudo id -u")
    shells[3].terminal.wait_to_hear("Reason for the approval: ", 15, since)
    shells[3].terminal.send("a fourth\r")
    assert "Too many requests wait" in shells[3].finish(since)[1]
    for one in shells:
        one.terminal.close()
    wait_until(lambda: "No requests." in by(host, approver, "requests").stdout, 10, "they went with their terminals")


def test_where_nobody_is_there_nobody_waits(host, user, inside):
    status, said = inside.run("sudo -n id -u")
    assert status == 1 and "rule 1 of step_up asks for a proof" in one_line(said, "vigil")
    done = host.ssh_run(user, "sudo", "id", "-u")
    assert done.returncode == 1 and "no terminal to ask at" in one_line(done.stderr, "vigil")


def test_an_approval_beside_another_proof(host, user, approver, inside):
    since = inside.start("sudo tty")
    inside.terminal.wait_to_hear(f"Password for {user}", 15, since)
    inside.terminal.send(PASSWORDS[user] + "\r")
    inside.terminal.wait_to_hear("Reason for the approval: ", 15, since)
    inside.terminal.send("\r")
    request = inside.terminal.wait_to_hear(r"vigilctl approve ([0-9a-f]{8})", 10, since)[1]
    assert by(host, approver, "approve", "--yes", request).returncode == 0
    assert inside.finish(since)[0] == 0


def test_who_is_blocked_gives_none_and_gets_none(host, user, approver, inside):
    theirs = shell(host, approver)
    since, request = asking(inside)
    host.vigilctl("block", approver, "--reason", "a test")
    assert "No requests." in theirs.run("vigilctl requests")[1]
    status, said = theirs.run(f"vigilctl approve --yes {request}")
    assert status == 1 and one_line(said, "vigilctl:")
    assert not host.journal(VIGIL_EVENT="approval-answered", VIGIL_USER=user)
    host.vigilctl("block", user, "--reason", "another")
    status, said = inside.finish(since)
    assert status == 1 and "Who asked is blocked." in said
    status, said = inside.run("sudo id -u")
    assert status == 1 and "another" in one_line(said, f"{user} is blocked on this host until")
    host.vigilctl("unblock", approver)
    assert "No requests." in theirs.run("vigilctl requests")[1]
    theirs.terminal.close()


def test_what_nobody_answers_is_gone_after_five_minutes(host, left_alone):
    name, inside, since, request, made = left_alone
    approver = person(host, "others")
    listed, = host.vigilctl("requests", "--json")
    assert request in by(host, approver, "requests").stdout and listed["id"].startswith(request)
    status, said = inside.finish(since, 310)
    assert 299 < time.monotonic() - made < 310
    assert status == 1 and "Nobody answered the request in 5 min." in said and not re.search("^root$", said, re.MULTILINE)
    assert "No requests." in by(host, approver, "requests").stdout and host.vigilctl("requests", "--json") == []
    done = by(host, approver, "approve", "--yes", request)
    assert done.returncode == 1 and "no such request" in one_line(done.stderr, "vigilctl:")
    lapsed, = host.journal(VIGIL_EVENT="approval-lapsed", VIGIL_USER=name)
    assert f"nobody answered request {request}" in lapsed["MESSAGE"]
    assert not host.journal(VIGIL_EVENT="approval-answered", VIGIL_USER=name)


# Behind it: what waits is over with vigild.
def test_vigild_dies_while_somebody_waits(host, approver, inside):
    since, request = asking(inside)
    host.run("systemctl", "kill", "-s", "KILL", "vigild.service")
    status, said = inside.finish(since, 30)
    assert status == 1 and "This request is over" in one_line(said, "^vigil")
    done = by(host, approver, "approve", "--yes", request)
    assert done.returncode == 1
