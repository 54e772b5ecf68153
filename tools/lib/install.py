"""vigil on a host, as its packages put it there and take it away."""

import subprocess
from pathlib import Path

from common import run
from package import debs_for_hosts

NAMES = ["vigil", "libpam-vigil", "vigil-sudo"]
FOLDER = "/var/cache/vigil-debs"
# What a test has deleted comes back. What is written is nobody's to lose on a host that is thrown away.
INSTALL = f"DEBIAN_FRONTEND=noninteractive dpkg --force-confmiss --force-unsafe-io --install {FOLDER}/*.deb"
REMOVE = f"DEBIAN_FRONTEND=noninteractive dpkg --purge {' '.join(reversed(NAMES))}"
BEFORE_REMOVING = "/usr/libexec/vigil/before-removal"


def put_debs(host, suite):
    """As files, in FOLDER there."""
    for deb in debs_for_hosts(suite):
        subprocess.run(host.command(["/bin/sh", "-c", f"mkdir -p {FOLDER} && cat >{FOLDER}/{deb.name}"]),
                       input=Path(deb).read_bytes(), check=True)


def install(host, suite):
    """On a host that has what they depend on."""
    put_debs(host, suite)
    run(*host.command(["/bin/sh", "-c", INSTALL]))
