"""What vigild's unit leaves it: no more than it needs, and a number that only goes down."""

import re

import pytest

# Of the kernel's bits (capability.h). Why each: systemd/vigild.service.in.
CAPABILITIES = {"CHOWN": 0, "DAC_OVERRIDE": 1, "DAC_READ_SEARCH": 2, "FOWNER": 3, "KILL": 5, "SYS_PTRACE": 19, "SYS_NICE": 23,
                "SYS_TTY_CONFIG": 26}
# It is root's, has the terminals' nodes and the cgroups to write, and takes descriptors out of processes.
EXPOSURE = 2.2


def test_it_is_exposed_no_more_than_it_was(host):
    said = host.run("systemd-analyze", "security", "--no-pager", "vigild.service").stdout
    print(said)
    assert float(re.search(r"exposure level for vigild\.service: ([0-9.]+)", said)[1]) <= EXPOSURE


@pytest.mark.parametrize("kind", ["CapBnd", "CapPrm", "CapEff"])
def test_it_has_these_capabilities_and_no_other(host, kind):
    pid = host.run("systemctl", "show", "--value", "-p", "MainPID", "vigild.service").stdout.strip()
    has = int(re.search(rf"^{kind}:\s+(\w+)", host.read(f"/proc/{pid}/status"), re.MULTILINE)[1], 16)
    assert {bit for bit in range(64) if has >> bit & 1} == set(CAPABILITIES.values())
