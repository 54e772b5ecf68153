"""tools/package: source archives and packages, built from what git knows of the checkout."""

import contextlib
import lzma
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from common import SOURCE, HostError, ends_are_exceptions, note, run

DIST = SOURCE / "dist"
CHANGELOG = SOURCE / "packaging" / "debian" / "changelog"
# Compiled into what is built, so that it does not tell where that was.
BUILD = Path("/tmp/vigil-package")
# Nothing of whoever builds gets into what is built.
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", "TZ": "UTC",
               "DEB_BUILD_OPTIONS": f"parallel={os.cpu_count()} noautodbgsym"}


def version():
    text = (SOURCE / "meson.build").read_text(encoding="utf-8")
    return re.search(r"^  version: '([0-9.]+)',$", text, re.MULTILINE)[1]


def release_time():
    """Seconds since 1970: when the newest entry of the changelog was made, which is the time of all files."""
    said = run("dpkg-parsechangelog", "-l", CHANGELOG, "-S", "Timestamp")
    return int(said)


def files():
    """What git knows, and what it would take if asked."""
    listed = subprocess.run(["git", "-C", SOURCE, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            stdout=subprocess.PIPE, check=True)
    names = sorted({name for name in listed.stdout.decode().split("\0") if name})
    return [name for name in names if os.path.lexists(SOURCE / name)]


def make_source():
    name = f"vigil-{version()}"
    target = DIST / f"{name}.tar.xz"
    when = release_time()

    def plain(member):
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        member.mtime = when
        member.mode = 0o755 if member.mode & 0o100 else 0o644
        return member
    with lzma.open(target, "wb", preset=6) as packed, tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for file in files():
            archive.add(SOURCE / file, f"{name}/{file}", recursive=False, filter=plain)
    return [target]


@contextlib.contextmanager
def build_folder():
    """The sources at a place that is always the same, which nobody else has."""
    try:
        BUILD.mkdir(mode=0o700)
    except FileExistsError:
        raise HostError(f"{BUILD} is there: somebody builds, or was stopped; remove it then") from None
    try:
        folder = BUILD / f"vigil-{version()}"
        for file in files():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(SOURCE / file, folder / file, follow_symlinks=False)
        yield folder
    finally:
        shutil.rmtree(BUILD)


def make_deb():
    with build_folder() as folder:
        shutil.copytree(folder / "packaging" / "debian", folder / "debian")
        run("dpkg-buildpackage", "--build=binary", "--unsigned-changes", "--unsigned-buildinfo", cwd=folder,
            env={**ENVIRONMENT, "SOURCE_DATE_EPOCH": str(release_time())})
        made = sorted(BUILD.glob("*.deb"))
        return [Path(shutil.copy2(deb, DIST)) for deb in made]


KINDS = {"source": make_source, "deb": make_deb}


def main():
    ends_are_exceptions()
    kinds = sys.argv[1:]
    if not kinds or set(kinds) - set(KINDS):
        raise HostError("usage: tools/package {deb|source}...")
    DIST.mkdir(exist_ok=True)
    for kind in kinds:
        note(f"Making: {kind}")
        for made in KINDS[kind]():
            print(made.relative_to(SOURCE))


if __name__ == "__main__":
    try:
        main()
    except HostError as error:
        sys.exit(f"tools/package: {error}")
