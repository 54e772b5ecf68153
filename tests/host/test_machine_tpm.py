"""A machine with a TPM: the key of the factors is that TPM's, and the disk in another machine is worth nothing."""

import pytest
from conftest import new_host
from people import enroll, let_sshd_take_all, one_line, person, shell
from vigilhost import wait_until

RULE = "version: 1\nstep_up:\n  - match: {groups: [sudo], services: [sudo]}\n    require: [totp]\n"
# Of systemd-creds(1), what a credential begins with that takes both, the host's key and the TPM.
HOST_AND_TPM = "93a8940948744490" "90caf2fc93cab553"


@pytest.fixture(scope="module")
def host(request):
    with new_host(request, "host", tpm=True) as host:
        host.install()
        let_sshd_take_all(host)
        host.write("/etc/sudoers.d/tests", "%sudo ALL=(ALL:ALL) NOPASSWD: ALL\n", "0440")
        host.policy(RULE)
        yield host


def sealed_to(host, name):
    return host.run(f"base64 -d /etc/credstore.encrypted/{name} | head -c 16 | od -An -v -tx1 | tr -d ' \\n'").stdout


def starts_again(host, **how):
    host.inner.switch_off()
    host.inner.start_again(**how)
    wait_until(host.vigild_is_ready, 30, "vigild is there")


def test_the_disk_opens_with_its_own_tpm_alone(host):
    assert host.run("systemd-creds", "has-tpm2", check=False).stdout.startswith(("yes", "partial"))
    assert sealed_to(host, "vigil.key") == HOST_AND_TPM
    user = person(host, "sudo")
    codes = enroll(host, user)
    assert "root" in shell(host, user).run("sudo id -un", codes.fresh())[1]
    print(host.vigilctl("rekey").stdout)
    assert sealed_to(host, "vigil.key.2") == HOST_AND_TPM

    starts_again(host)
    print(host.run("systemd-analyze", "blame", check=False).stdout[:600])
    assert "root" in shell(host, user).run("sudo id -un", codes.fresh())[1]

    starts_again(host, another_tpm=True)
    status = host.vigilctl("status").stdout
    print(status)
    assert "there is no key that opens" in one_line(status, "key")
    assert host.vigilctl("factors", check=False).returncode == 1
    inside = shell(host, user)  # a login is let in
    result = inside.run("sudo id -un")
    print(result[1])
    assert result[0] != 0 and "cannot check" in one_line(result[1], "vigil")
    assert host.run("ls", "/etc/credstore.encrypted").stdout.split() == ["vigil.key.2.unreadable"]

    host.inner.record.write(tpm=1)
    starts_again(host)
    assert "root" in shell(host, user).run("sudo id -un", codes.fresh())[1]
