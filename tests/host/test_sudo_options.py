"""sudo's options, each to its end with a code: decided by its plugin, and by PAM alone."""

import re

import pytest
from people import enroll, let_sshd_take_all, person, shell
from story import CODE_PROMPT
from vigilhost import wait_until

LINE = "Plugin vigil_approval vigil_approval.so"
POLICY = "version: 1\nstep_up:\n  - match: {services: [sudo]}\n    require: [totp]\n"


@pytest.fixture(scope="module", autouse=True)
def rule(host):
    let_sshd_take_all(host)
    host.run("groupadd", "nopasswd")
    host.write("/etc/sudoers.d/tests", "%nopasswd ALL=(ALL:ALL) NOPASSWD: ALL\n", "0440")
    host.policy(POLICY)


@pytest.fixture(params=["plugin", "PAM"])
def by(request, host):
    host.write("/etc/sudo.conf", LINE + "\n" if request.param == "plugin" else "")
    yield request.param
    host.run("rm", "/etc/sudo.conf")


@pytest.fixture
def user(host, by):
    return person(host, "nopasswd")


@pytest.fixture
def inside(host, user):
    opened = shell(host, user)
    yield opened
    opened.terminal.close()


@pytest.mark.parametrize("command, word", [
    ("sudo -i id -un", "root"), ("sudo -s id -un", "root"), ("sudo -k id -un", "root"), ("sudo -E -H id -un", "root"),
    ("sudo A=1 id -un", "root"), ("sudo -u alice id -un", "alice"), ("sudo -g games id -gn", "games"),
    ("sudo -u alice -g games id -gn", "games")])
def test_it_runs_what_it_is_told_to_behind_a_code(host, user, inside, command, word):
    codes = enroll(host, user)
    status, said = inside.run(command, codes.fresh())
    assert status == 0 and re.search(rf"^{word}$", said, re.MULTILINE), said
    assert len(re.findall(CODE_PROMPT, said)) == 1


def test_behind_a_code_it_goes_to_the_background(host, user, inside):
    codes = enroll(host, user)
    path = f"/tmp/of-{user}"
    assert inside.run(f"sudo -b sh -c 'id -un >{path}'", codes.fresh())[0] == 0
    wait_until(lambda: host.run("cat", path, check=False).stdout == "root\n", 5, "it has run")


def test_behind_a_code_files_are_edited(host, user, inside):
    codes = enroll(host, user)
    path = f"/etc/of-{user}"
    host.write(path, "old\n")
    since = inside.start(f"SUDO_EDITOR='sed -i s/old/new/' sudo -e {path}")
    inside.terminal.wait_to_hear(CODE_PROMPT, 15, since)
    assert host.read(path) == "old\n"
    inside.terminal.send(codes.fresh() + "\r")
    assert inside.finish(since)[0] == 0 and host.read(path) == "new\n"


def test_a_code_comes_from_standard_input(host, user, inside):
    codes = enroll(host, user)
    for code, wanted in ((codes.wrong(), False), (codes.fresh(), True)):
        # Nobody has pressed Return at the terminal: what is run begins behind the question.
        status, said = inside.run(f"echo {code} | sudo -S id -un")
        assert (status == 0) == wanted and bool(re.search(f"{CODE_PROMPT}root$", said, re.MULTILINE)) == wanted, said


def test_a_code_comes_from_a_program_that_asks(host, user, inside):
    codes = enroll(host, user)
    asker = f"/home/{user}/asker"
    for code, wanted in ((codes.wrong(), False), (codes.fresh(), True)):
        host.write(asker, f"#!/bin/sh\necho {code}\n", "0755")
        status, said = inside.run(f"SUDO_ASKPASS={asker} sudo -A id -un")
        assert (status == 0) == wanted and bool(re.search(r"^root$", said, re.MULTILINE)) == wanted, said


def test_of_a_hundred_uses_of_a_code_at_once_one_counts(host, user, inside):
    codes = enroll(host, user)
    inside.run("mkdir uses")
    uses = f"for i in $(seq 100); do echo {codes.fresh()} | sudo -S id -un >uses/$i 2>/dev/null & done; wait"
    status, said = inside.run(f"({uses}); cat uses/* | sort | uniq -c", timeout=120)
    assert status == 0 and re.search(r"^ +1 root$", said, re.MULTILINE), said
    granted = host.journal(VIGIL_EVENT="step-up-granted", VIGIL_USER=user)
    assert len(granted) == 1
