"""Builds vigil for a suite and makes the installed tree that is copied into a host."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import roots
from common import SOURCE, SUITES, locked, note, run


# Ninja's names of what is installed: whoever tries vigil waits for no test to be built.
INSTALLED = str(SOURCE / "tools" / "lib" / "installed-targets")
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


def install_tree(suite, tree):
    """Builds what is not built and installs it below the folder `tree`."""
    if builds_here(suite):
        folder, shell = SOURCE / "build", ["/bin/bash", "-euc"]
    else:
        folder, shell = SOURCE / f"build-{suite}", in_root(roots.build_root(suite), tree)
    with locked(folder / "tools.lock"):
        tree.mkdir(parents=True, exist_ok=True)
        if not (folder / "build.ninja").exists():
            if builds_here(suite):
                run(PACKAGES, "build")
            note(f"Building in {folder}")
            run(*shell, f"meson setup {' '.join(OPTIONS)} {werror()} '{folder}' '{SOURCE}'", env=build_environment())
        # First what says what there is to build: the folder may be older than the sources.
        run(*shell, f"ninja -C '{folder}' build.ninja && ninja -C '{folder}' $({INSTALLED} '{folder}') && meson install -C '{folder}' --no-rebuild --destdir '{tree}'",
            env=build_environment())


def werror():
    return "-Dwerror=true" if os.environ.get("CI") == "true" else ""


def build_environment():
    """Debian's own tools, whatever else this machine has first in its PATH."""
    return {**os.environ, "PATH": "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"}


def in_root(root, tree):
    """A command line that runs a shell script in a copy-on-write build root, with the same paths as here."""
    script = r"""
        set -euo pipefail
        root=$1 source=$2 tree=$3
        work=/run/vigil-build-root
        mkdir -p "$work"
        mount -t tmpfs build-root "$work"
        mkdir "$work"/{upper,work,root}
        mount -t overlay -o "lowerdir=$root,upperdir=$work/upper,workdir=$work/work" overlay "$work/root"
        for folder in "$source" "$tree" /proc /dev; do
            mkdir -p "$work/root$folder"
            mount --rbind "$folder" "$work/root$folder"
        done
        exec chroot "$work/root" /bin/bash -euc "$4"
    """
    tree.mkdir(parents=True, exist_ok=True)
    return ["unshare", "--mount", "--propagation", "private", "bash", "-c", script, "_", root, SOURCE, tree]


def copy_into(host, tree):
    """Unpacks the tree on the host; folders that are links there (/lib, /bin) stay links."""
    packed = subprocess.Popen(["tar", "-C", tree, "--owner=root", "--group=root", "-c", "."], stdout=subprocess.PIPE)
    subprocess.run(host.command(["tar", "-C", "/", "--keep-directory-symlink", "--no-overwrite-dir", "-x"]),
                   stdin=packed.stdout, check=True)
    packed.stdout.close()
    if packed.wait() != 0:
        raise subprocess.CalledProcessError(packed.returncode, "tar")


# What the package's postinst does, in its order: everything is unpacked before anything is enabled.
AFTER_UNPACKING = r"""
    set -eu
    ldconfig
    systemd-sysusers
    systemctl -q unmask --runtime vigild.socket vigild.service
    systemctl daemon-reload
    for file in /usr/lib/tmpfiles.d/vigil*.conf; do
        [ ! -e "$file" ] || systemd-tmpfiles --create "$file"
    done
    journalctl --update-catalog
    busctl call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig >/dev/null
    units=
    for unit in vigild.service vigild.socket; do
        [ ! -e "/usr/lib/systemd/system/$unit" ] || units="$units $unit"
    done
    if [ -n "$units" ]; then
        systemctl -q enable $units vigil-sleep.service
        systemctl restart $units
    fi
    # A module that PAM does not find would lock everybody out.
    for module in /usr/lib/*/security/pam_unix.so; do
        [ -e "${module%/*}/pam_vigil.so" ]
    done
    if [ -e /usr/share/pam-configs/vigil ]; then
        DEBIAN_FRONTEND=noninteractive pam-auth-update --package
    fi
"""


def install(host, suite):
    tree = host.record.directory / "tree"
    try:
        install_tree(suite, tree)
        copy_into(host, tree)
    finally:
        shutil.rmtree(tree, ignore_errors=True)
    run(*host.command(["/bin/sh", "-c", AFTER_UNPACKING]))


# What the package's prerm does and, when the files are gone, its postrm.
BEFORE_REMOVING = "/usr/libexec/vigil/before-removal"
AFTER_REMOVING = """
    systemctl -q unmask --runtime vigild.socket vigild.service
    systemctl daemon-reload
    systemctl -q disable vigild.socket vigild.service vigil-sleep.service 2>/dev/null || :
    ldconfig
"""


def installed_files(suite):
    """The paths on a host of all that is installed there."""
    folder = SOURCE / "build" if builds_here(suite) else SOURCE / f"build-{suite}"
    listed = subprocess.run(["meson", "introspect", "--installed", folder], stdout=subprocess.PIPE, check=True,
                            env=build_environment())
    return sorted(json.loads(listed.stdout).values())
