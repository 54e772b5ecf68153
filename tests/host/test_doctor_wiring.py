"""vigilctl doctor on whether the host asks vigil at all, and on the way in when it should not have."""

import pytest
import roots
from doctors import FAILURE, Found
from people import shell
from vigilhost import Host

SUDO = "sudo is asked about by PAM alone"


@pytest.fixture(scope="module")
def host(request):
    option = request.config.getoption
    with Host(f"host-wiring-{option('--suite')}", option("--suite"), option("--vm"), packages=tuple(roots.WAYS_PACKAGES)) as host:
        host.install()
        host.run("chpasswd", input="root:root-pass-1\n")
        yield host


def told(host, check, result, *words):
    """What mends it."""
    found = Found(host)
    assert found.result(check) == result, found[check]
    for word in words:
        assert word in found[check]["found"], found[check]
    if result == "failure":
        assert found.status == FAILURE
    return found[check]["mend"]


def test_a_host_that_asks_is_found_so(host):
    assert told(host, "pam", "ok", "asks vigil for sshd, login, su, sudo, polkit-1") is None
    told(host, "sshd", "ok", "UsePAM yes")
    told(host, "sudo", "ok" if host.suite == "trixie" else Found(host).result("sudo"), SUDO)
    told(host, "key", "ok", "/etc/credstore.encrypted/vigil.key")


def test_a_pam_that_asks_nobody_is_told_and_mended(host):
    host.run("DEBIAN_FRONTEND=noninteractive pam-auth-update --package --remove vigil vigil-session vigil-elevated")
    mend = told(host, "pam", "failure", "no login is registered")
    host.run(f"DEBIAN_FRONTEND=noninteractive {mend}")
    told(host, "pam", "ok")
    inside = shell(host, "alice")
    assert host.vigil_sessions(user="alice")
    inside.terminal.close()


@pytest.mark.parametrize("edit, words", [
    ("/pam_vigil.so prepare/d", "prepare` stands before"),
    ("/pam_vigil.so *$/d", "no session line registers"),
    ("/pam_systemd.so/d", "no pam_systemd.so"),
    ("/pam_systemd.so/{h;d};${p;x}", "before pam_systemd.so has made its session")])
def test_lines_in_another_order_are_told(host, edit, words):
    host.run("cp -a /etc/pam.d/common-session /root/")
    host.run("sed", "-i", edit, "/etc/pam.d/common-session")
    try:
        told(host, "pam", "failure", "sshd: ", words)
    finally:
        host.run("mv /root/common-session /etc/pam.d/")
    told(host, "pam", "ok")


def test_a_service_of_its_own_is_named(host):
    host.run("cp -a /etc/pam.d/su /root/ && sed -i 's/^@include.common-account/account required pam_unix.so/' /etc/pam.d/su")
    try:
        told(host, "pam", "warning", "su does not ask vigil")
    finally:
        host.run("mv /root/su /etc/pam.d/")


def test_an_sshd_without_pam_is_told(host):
    host.write("/etc/ssh/sshd_config.d/00-tests.conf", "UsePAM no\n")
    try:
        told(host, "sshd", "failure", "UsePAM no")
    finally:
        host.run("rm", "/etc/ssh/sshd_config.d/00-tests.conf")
    told(host, "sshd", "ok")


def test_a_sudo_that_runs_for_nobody_is_told_and_mended(host):
    host.vigilctl("sudo", "enable")
    told(host, "sudo", Found(host).result("sudo"), "sudo asks about each command")
    host.run("mv /usr/libexec/sudo/vigil_approval.so /root/")
    try:
        mend = told(host, "sudo", "failure", "sudo runs for nobody")
        assert host.run("sudo", "-n", "true", check=False).returncode != 0
        host.run(mend, check=False)
        told(host, "sudo", Found(host).result("sudo"), SUDO)
    finally:
        host.run("mv /root/vigil_approval.so /usr/libexec/sudo/")
    host.run("sudo", "-n", "true")


@pytest.mark.parametrize("line, result", [("Defaults use_pty", "ok"), ("Defaults !use_pty", "warning"), ("Defaults:bob !use_pty", "ok")])
def test_commands_that_have_their_users_terminal_are_told(host, line, result):
    host.write("/etc/sudoers.d/10-tests", ("" if result == "warning" else "Defaults use_pty\n") + line + "\n", "0440")
    try:
        told(host, "sudo", result, SUDO)
    finally:
        host.run("rm", "/etc/sudoers.d/10-tests")


def test_a_root_that_nobody_can_be_is_told(host):
    host.run("passwd", "-l", "root")
    try:
        told(host, "way back", "warning")
        assert "passwd root" in Found(host)["way back"]["mend"]
    finally:
        host.run("passwd", "-u", "root")


def test_a_key_that_is_gone_or_does_not_open_is_told(host):
    key = "/etc/credstore.encrypted/vigil.key"
    host.run("mv", key, "/root/vigil.key")
    try:
        told(host, "key", "failure", "nobody can enrol")
        host.run("cp", "/root/vigil.key", f"{key}.unreadable")
        told(host, "key", "failure", "does not open")
        host.run(f"rm {key}.unreadable; install -m 0644 /root/vigil.key {key}")
        host.run(told(host, "key", "warning", "not root's alone"))
        told(host, "key", "ok")
    finally:
        host.run(f"rm -f {key}*; mv /root/vigil.key {key}")
    told(host, "key", "ok")
