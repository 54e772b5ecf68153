"""A proof at a terminal, and who has its number next in the same session."""

import pytest
from people import enroll, let_sshd_take_all, person, shell
from vigilhost import wait_until

LASTING = """\
version: 1
step_up:
  - match: {groups: [sudo], services: [sudo, su]}
    require: [totp]
    valid_for: 10m
    scope: terminal
"""


@pytest.mark.parametrize("conf", ["", "Plugin vigil_approval vigil_approval.so\n"], ids=["PAM", "plugin"])
def test_a_grant_ends_with_its_terminal(host, conf):
    """A job of the same login waits for the window with the proof to be closed, and opens terminals until it has its number."""
    host.run("groupadd", "--force", "nopasswd")
    let_sshd_take_all(host)
    host.write("/etc/sudo.conf", conf)
    host.write("/etc/sudoers.d/tests", "%nopasswd ALL=(ALL:ALL) NOPASSWD: ALL\n", "0440")
    host.policy(LASTING)
    user = person(host, "sudo", "nopasswd")
    codes = enroll(host, user)
    control = host.one_connection()
    first, second = shell(host, user, *control), shell(host, user, *control)
    path = second.run("tty")[1].strip().splitlines()[-1]
    assert second.run("sudo id -un", codes.fresh())[0] == 0
    assert second.asks("sudo id -un") is None
    assert first.asks("sudo id -un") is not None
    second.terminal.close()
    wait_until(lambda: host.run("test", "-e", path, check=False).returncode, 10, "its window is closed")
    status, said = first.run("script -qec 'tty; sudo id -un </dev/tty' /dev/null </dev/null")
    assert path in said
    assert "root" not in said, said
