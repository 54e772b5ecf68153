"""How vigil is built by these tools, and where."""

import os
import re
from pathlib import Path

from common import SOURCE, SUITES

PACKAGES = str(SOURCE / "tools" / "lib" / "packages")


def machine_suite():
    text = Path("/etc/os-release").read_text(encoding="utf-8")
    name = re.search(r"^VERSION_CODENAME=(\w+)", text, re.MULTILINE)
    return name[1] if name else ""


# For who waits for it: without -g, and several files of a library at a time, so that the standard library's headers are
# read once for all of them. That is half of the time. (Whoever works on vigil sets up a build folder with neither.)
OPTIONS = ["-Ddebug=false", "-Dunity=on", "-Dunity_size=8"]


def builds_here(suite):
    """Whether what this machine builds runs on the suite: it may be as old or older, not newer."""
    mine = machine_suite()
    return mine in SUITES and SUITES.index(mine) <= SUITES.index(suite)


def build_environment():
    """Debian's own tools, whatever else this machine has first in its PATH."""
    return {**os.environ, "PATH": "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"}


def in_root(root, folder):
    """A command line that runs a shell script in a copy-on-write build root, where `folder` is as here."""
    script = r"""
        set -euo pipefail
        root=$1 folder=$2
        work=/run/vigil-build-root
        mkdir -p "$work"
        mount -t tmpfs build-root "$work"
        mkdir "$work"/{upper,work,root}
        mount -t overlay -o "lowerdir=$root,upperdir=$work/upper,workdir=$work/work" overlay "$work/root"
        for shared in "$folder" /proc /dev; do
            mkdir -p "$work/root$shared"
            mount --rbind "$shared" "$work/root$shared"
        done
        exec chroot "$work/root" /bin/bash -euc "$3"
    """
    return ["unshare", "--mount", "--propagation", "private", "bash", "-c", script, "_", root, folder]
