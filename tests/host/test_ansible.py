"""Ansible as it is: with a rule of its own it does its work, and without one it is refused at once, in vigil's words."""

import os
import time

import pytest
from people import enroll, person
from vigilhost import Host

RULES = """\
version: 1
sessions:
  - {name: robots, match: {groups: [robots]}, login_factors: none}
  - {name: a code for people, match: {groups: [people], services: [sshd]}, login_factors: [totp]}
step_up:
  - {match: {groups: [robots], services: [sudo]}, require: none}
  - {match: {services: [sudo]}, require: [totp]}
"""
KEY = "/root/.ssh/robot"
# Nobody waits longer than this for a refusal; Ansible takes seconds to begin.
AT_ONCE = 20


@pytest.fixture(scope="module")
def host(request):
    option = request.config.getoption
    with Host(f"host-ansible-{os.getpid()}", option("--suite"), option("--vm"), packages=("ansible-core",)) as host:
        host.install()
        host.run("groupadd robots && groupadd people && install -d -m 0700 /root/.ssh")
        host.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", KEY)
        host.write("/etc/ssh/sshd_config.d/tests.conf",
                   "KbdInteractiveAuthentication yes\nMatch Group people\nAuthenticationMethods publickey,keyboard-interactive:pam\n")
        host.run("systemctl", "reload", "ssh.service")
        host.run("DEBIAN_FRONTEND=noninteractive pam-auth-update --enable vigil-login")
        host.policy(RULES)
        yield host


@pytest.fixture(params=["PAM", "plugin"])
def asked_by(request, host):
    if request.param == "plugin":
        host.vigilctl("sudo", "enable")
        yield request.param
        host.vigilctl("sudo", "disable")
    else:
        yield request.param


def somebody(host, *groups):
    name = person(host, *groups)
    host.write(f"/etc/sudoers.d/{name}", f"{name} ALL=(ALL:ALL) NOPASSWD: ALL\n", "0440")
    host.run(f"cat {KEY}.pub >>/home/{name}/.ssh/authorized_keys")
    return name


def ansible(host, user, *words, pipelining=False):
    """(what came of it, the seconds that it took)"""
    began = time.monotonic()
    done = host.run("env", "ANSIBLE_HOST_KEY_CHECKING=False", f"ANSIBLE_PIPELINING={pipelining}", "LC_ALL=C.UTF-8",
                    "ansible", "all", "-i", "127.0.0.1,", "-u", user, "--private-key", KEY, "-m", "command", "-a", "id -un", *words,
                    check=False, timeout=60)
    print(done.stdout, done.stderr)
    return done, time.monotonic() - began


@pytest.mark.parametrize("pipelining", [False, True])
def test_with_a_rule_of_its_own_it_becomes_root(host, asked_by, pipelining):  # noqa: ARG001
    done, _ = ansible(host, somebody(host, "robots"), "--become", pipelining=pipelining)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "root"


@pytest.mark.parametrize("pipelining", [False, True])
def test_without_one_it_is_refused_at_once(host, asked_by, pipelining):
    user = somebody(host)
    enroll(host, user)
    done, took = ansible(host, user, "--become", pipelining=pipelining)
    assert done.returncode != 0 and took < AT_ONCE
    # sudo ends with a line of its own where PAM has said no, and of what it said Ansible shows that alone.
    assert ("vigil: rule 2 of step_up asks for a proof, and with -n nobody is asked" if asked_by == "plugin" else
            "Missing sudo password") in done.stdout


def test_who_is_asked_at_login_is_refused_at_once(host):
    done, took = ansible(host, somebody(host, "people"))
    assert done.returncode != 0 and took < AT_ONCE
    assert "UNREACHABLE" in done.stdout and "Permission denied (keyboard-interactive)" in done.stdout
