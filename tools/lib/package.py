"""tools/package: source archives and packages, built from what git knows of the checkout."""

import contextlib
import hashlib
import lzma
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import build
import roots
from common import SOURCE, HostError, ends_are_exceptions, locked, note, run

DIST = SOURCE / "dist"
CHANGELOG = SOURCE / "packaging" / "debian" / "changelog"
SPEC = SOURCE / "packaging" / "rpm" / "vigil.spec"
# Compiled into what is built, so that it does not tell where that was.
BUILD = Path("/tmp/vigil-package")
# Nothing of these is in a package: debian/rules builds none of the tests.
NOT_BUILT = ("tests/", "tools/", ".ci/")


def version():
    text = (SOURCE / "meson.build").read_text(encoding="utf-8")
    return re.search(r"^  version: '([0-9.]+)',$", text, re.MULTILINE)[1]


def release_time():
    """Seconds since 1970: when the newest entry of the changelog was made, which is the time of all files."""
    said = run("dpkg-parsechangelog", "-l", CHANGELOG, "-S", "Timestamp")
    return int(said)


def environment(**more):
    """Nothing of whoever builds gets into what is built."""
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", "TZ": "UTC",
            "DEB_BUILD_OPTIONS": f"parallel={os.cpu_count()} noautodbgsym", "SOURCE_DATE_EPOCH": str(release_time()), **more}


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


def copy_sources(folder):
    """What is there already and the same keeps its time, and what was made of it is not made anew."""
    known = set(files())
    for file in known:
        source, target = SOURCE / file, folder / file
        if not os.path.lexists(target) or digest_of(source) != digest_of(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            shutil.copy(source, target, follow_symlinks=False)
    built = [*folder.glob("obj-*"), folder / "debian"]
    for old in folder.rglob("*"):
        if str(old.relative_to(folder)) not in known and not old.is_dir() and not any(map(old.is_relative_to, built)):
            old.unlink()
    shutil.rmtree(folder / "debian", ignore_errors=True)
    shutil.copytree(folder / "packaging" / "debian", folder / "debian")
    return known


def digest_of(file):
    text = os.readlink(file).encode() if file.is_symlink() else file.read_bytes()
    return hashlib.sha256(f"{file.lstat().st_mode:o}\n".encode() + text).hexdigest()


def build_command(folder):
    return f"cd '{folder}' && dpkg-buildpackage --build=binary --no-pre-clean --unsigned-changes --unsigned-buildinfo"


@contextlib.contextmanager
def build_folder():
    """At a place that is always the same: where it was built is not told."""
    try:
        BUILD.mkdir(mode=0o700)
    except FileExistsError:
        raise HostError(f"{BUILD} is there: somebody builds, or was stopped; remove it then") from None
    try:
        yield
    finally:
        shutil.rmtree(BUILD)


def make_deb():
    with build_folder():
        folder = BUILD / f"vigil-{version()}"
        copy_sources(folder)
        run("/bin/bash", "-euc", build_command(folder), env=environment())
        return [Path(shutil.copy2(deb, DIST)) for deb in sorted(BUILD.glob("*.deb"))]


def build_what_has_changed(folder, build_all):
    """Of the checkout as it stands, below `folder`: build_all(sources) is called where it is not there yet."""
    sources = folder / f"vigil-{version()}"
    stamp = folder / "sources.sha256"
    with locked(folder / "lock"):
        known = copy_sources(sources)
        counts = sorted(file for file in known if not file.startswith(NOT_BUILT))
        told = hashlib.sha256("".join(f"{file} {digest_of(SOURCE / file)}\n" for file in counts).encode()).hexdigest()
        if not stamp.exists() or stamp.read_text(encoding="ascii") != told:
            note(f"Building in {folder}")
            stamp.unlink(missing_ok=True)
            build_all(sources)
            stamp.write_text(told, encoding="ascii")


def debs_for_hosts(suite):
    """The three of them, for hosts of this suite: nobody debugs there."""
    folder = SOURCE / ("build-debs" if build.builds_here(suite) else f"build-debs-{suite}")

    def build_all(sources):
        shell = ["/bin/bash", "-euc"]
        if build.builds_here(suite):
            run(build.PACKAGES, "build", "deb")
        else:
            shell = build.in_root(roots.build_root(suite), folder)
        run(*shell, build_command(sources), env=environment(DEB_CFLAGS_STRIP="-g", DEB_CXXFLAGS_STRIP="-g"))
    build_what_has_changed(folder, build_all)
    return sorted(folder.glob(f"*_{version()}_*.deb"))


def rpmbuild(top, *words, **defined):
    """A command line. This machine has none of the packages that the spec file names, which have other names here."""
    defined = {"_topdir": top, "_buildhost": "vigil", "use_source_date_epoch_as_buildtime": 1, "clamp_mtime_to_source_date_epoch": 1,
               "debug_package": "%{nil}", "_build_id_links": "none", **defined}
    return ["rpmbuild", "--nodeps", "--load", SPEC.parent / "macros.elsewhere",
            *(word for name, value in defined.items() for word in ("--define", f"{name} {value}")), *words]


def make_rpm():
    """The source package is for Fedora and its kin. What this machine makes of it shows what is in the others."""
    [archive] = make_source()
    with build_folder():
        for file in (archive, SPEC):
            copy = Path(shutil.copy(file, BUILD))
            os.utime(copy, (release_time(), release_time()))
        run(*rpmbuild(BUILD, "-ba", BUILD / SPEC.name, _sourcedir=BUILD), env=environment(CCACHE_DISABLE="1"))
        return [Path(shutil.copy2(rpm, DIST)) for rpm in sorted([*BUILD.glob("SRPMS/*.rpm"), *BUILD.glob("RPMS/*/*.rpm")])]


def rpms_in(top, sources):
    """Built of the sources where they are; what is compiled already stays. Nobody runs what comes of it, so it is not optimized."""
    run(*rpmbuild(top, "-bb", "--build-in-place", sources / SPEC.relative_to(SOURCE), optflags="-O0"), cwd=sources,
        env=environment(CCACHE_DISABLE="1"))
    return sorted(top.glob("RPMS/*/*.rpm"))


def rpms_for_tests():
    """They, and the sources beside them in which they were built."""
    folder = SOURCE / "build-rpms"
    top = folder / "top"

    def build_all(sources):
        shutil.rmtree(top, ignore_errors=True)
        rpms_in(top, sources)
    build_what_has_changed(folder, build_all)
    return sorted(top.glob("RPMS/*/*.rpm")), folder / f"vigil-{version()}"


KINDS = {"source": make_source, "deb": make_deb, "rpm": make_rpm}


def main():
    ends_are_exceptions()
    kinds = sys.argv[1:]
    if not kinds or set(kinds) - set(KINDS):
        raise HostError("usage: tools/package {deb|rpm|source}...")
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
