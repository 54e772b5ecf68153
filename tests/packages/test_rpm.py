"""The rpms, built here and installed into an empty root, beside the debs: the same files, and scriptlets that are as careful."""

import gzip
import os
import re
import stat
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(os.environ["VIGIL_SOURCE_ROOT"])
sys.path.insert(0, str(SOURCE / "tools" / "lib"))

import build  # noqa: E402
import package  # noqa: E402

NAMES = {"vigil": "vigil", "libpam-vigil": "vigil-pam", "vigil-sudo": "vigil-sudo"}
MULTIARCH = subprocess.run(["/usr/bin/gcc", "-print-multiarch"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
LIB = "/usr/lib64"

# (in the debs, in the rpms, why)
DIFFERENCES = [
    (f"/usr/lib/{MULTIARCH}/security/pam_vigil.so", f"{LIB}/security/pam_vigil.so", "where PAM looks: Debian has a folder for each architecture"),
    *((f"/usr/share/pam-configs/{name}", None, "pam-auth-update's; Fedora has authselect")
      for name in ("vigil", "vigil-elevated", "vigil-login", "vigil-session")),
    (None, "/usr/libexec/vigil/authselect-profile", "authselect's; Debian has pam-auth-update"),
    (None, "/usr/lib/systemd/system-preset/50-vigil.preset", "which units are on is a preset's to say there, and a maintainer script's on Debian"),
    *((f"/usr/share/doc/vigil/{name}.gz", f"/usr/share/doc/vigil/{name}", "Debian compresses documents")
      for name in ("README.md", "SECURITY.md", "step-up.md")),
    ("/usr/share/doc/vigil/copyright", "/usr/share/licenses/vigil/LICENSE", "each has its folder of licences"),
    *((f"/usr/share/doc/{name}/copyright", None, "one of the packages has it there") for name in ("libpam-vigil", "vigil-sudo")),
    *((f"/usr/share/doc/{name}/changelog.gz", None, "an rpm has its changelog in its header") for name in NAMES),
    *((f"/usr/share/lintian/overrides/{name}", None, "lintian's") for name in ("vigil", "libpam-vigil")),
    (None, "/usr/share/licenses/vigil-selinux/LICENSE", "SELinux's package can be installed alone"),
    *((None, f"/usr/share/selinux/{name}", "the policy of SELinux, which Debian's hosts have not got by default")
      for name in ("packages/targeted/vigil.pp.bz2", "packages/targeted/vigil_permissive.cil", "devel/include/distributed/vigil.if")),
]
THERE = {deb: rpm for deb, rpm, _ in DIFFERENCES if deb and rpm}
# What is not the same to the bit though it is the same file: the folder of PAM's modules is in it.
NAMES_THE_MODULE = "/usr/lib/systemd/system/vigild.service"


@dataclass
class File:
    package: str
    mode: int
    owner: str
    link: str
    is_config: bool


# Of its own, wherever this machine's rpm has one.
DATABASE = ("--define", "_dbpath /var/lib/rpm")


def run(*words, **options):
    return subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, text=True, check=True, **options).stdout


@pytest.fixture(scope="module", name="debs")
def debs_fixture(tmp_path_factory):
    """{path: File}, and the root with all of them."""
    root, files = tmp_path_factory.mktemp("debs"), {}
    for deb in package.debs_for_hosts(build.machine_suite()):
        name = deb.name.partition("_")[0]
        shown = subprocess.run(["dpkg-deb", "--info", deb, "conffiles"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as listing, \
                tarfile.open(fileobj=listing.stdout, mode="r|") as archive:
            for member in archive:
                path = member.name[1:]
                if not member.isdir():
                    files[path] = File(NAMES[name], member.mode, f"{member.uname}:{member.gname}", member.linkname, path in shown.stdout.split())
                archive.extract(member, root)
    return files, root


@pytest.fixture(scope="module", name="built")
def built_fixture():
    return package.rpms_for_tests()


@pytest.fixture(scope="module", name="rpms")
def rpms_fixture(built):
    """{name: file}"""
    return {run("rpm", "-qp", "--qf", "%{NAME}", file): file for file in built[0]}


@pytest.fixture(scope="module", name="listed")
def listed_fixture(rpms):
    """{path: File} by what rpm says of them."""
    files = {}
    for name, file in rpms.items():
        lines = run("rpm", "-qp", "--qf", "[%{FILENAMES}\t%{FILEMODES}\t%{FILEUSERNAME}:%{FILEGROUPNAME}\t%{FILELINKTOS}\t%{FILEFLAGS:fflags}\n]", file)
        for line in lines.splitlines():
            path, mode, owner, link, flags = line.split("\t")
            if not stat.S_ISDIR(int(mode)):
                assert path not in files, f"{path} is in two"
                files[path] = File(name, stat.S_IMODE(int(mode)), owner, link, "c" in flags and "n" in flags)
    return files


@pytest.fixture(scope="module", name="root")
def root_fixture(rpms, tmp_path_factory):
    """An empty root with all of them, as rpm installs them."""
    root = tmp_path_factory.mktemp("root")
    run("rpm", *DATABASE, "--root", root, "--initdb")
    run("rpm", *DATABASE, "--root", root, "--install", "--nodeps", "--noscripts", "--notriggers", *rpms.values())
    return root


# The same content


def test_each_file_of_the_debs_is_in_the_rpms_at_its_place_and_no_other(debs, listed):
    alike = {THERE.get(path, path) for path in debs[0]} - {deb for deb, rpm, _ in DIFFERENCES if not rpm}
    there = set(listed) - {rpm for deb, rpm, _ in DIFFERENCES if not deb}
    assert there == alike


def test_each_difference_is_there(debs, listed):
    for deb, rpm, why in DIFFERENCES:
        assert (not deb or deb in debs[0]) and (not rpm or rpm in listed), why


def test_a_file_is_in_the_same_package_with_the_same_mode_owner_and_care(debs, listed):
    for path, file in debs[0].items():
        there = listed.get(THERE.get(path, path))
        if not there:
            continue
        if path.endswith("/pam_vigil.so"):
            # debhelper takes that from a library, and rpm looks for what only such a one needs.
            assert (file.mode, there.mode) == (0o644, 0o755)
        elif not file.link:
            assert there.mode == file.mode, path
        assert (there.package, there.owner, there.is_config) == (file.package, file.owner, file.is_config), path


def test_what_is_no_program_is_the_same_to_the_bit(debs, listed, root):
    compared = 0
    for path in debs[0]:
        there = THERE.get(path, path)
        if there not in listed or path.endswith("copyright"):
            continue
        one, other = Path(f"{debs[1]}{path}"), Path(f"{root}{there}")
        if one.is_symlink():
            assert one.resolve().relative_to(debs[1]) == other.resolve().relative_to(root)
            continue
        texts = [gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes() for file in (one, other)]
        if texts[0].startswith(b"\x7fELF"):
            assert texts[1].startswith(b"\x7fELF"), path
            continue
        if path == NAMES_THE_MODULE:
            texts[1] = texts[1].replace(LIB.encode(), f"/usr/lib/{MULTIARCH}".encode())
        assert texts[0] == texts[1], path
        compared += 1
    assert compared > 20


def test_they_have_one_version():
    changelog = run("dpkg-parsechangelog", "-l", package.CHANGELOG, "-S", "Version").strip()
    assert re.search(r"^Version: +(.*)$", package.SPEC.read_text(encoding="utf-8"), re.MULTILINE)[1] == package.version() == changelog


# What rpm makes of them


def test_they_install_into_an_empty_root_and_go_again(rpms, root):
    assert run("rpm", *DATABASE, "--root", root, "--verify", "--nodeps", *rpms) == ""
    assert sorted(run("rpm", *DATABASE, "--root", root, "-qa").split()) == sorted(file.name.removesuffix(".rpm") for file in rpms.values())
    copy = root.parent / "gone"
    run("cp", "-a", root, copy)
    run("rpm", *DATABASE, "--root", copy, "--erase", "--noscripts", "--notriggers", *rpms)
    left = [file for file in copy.rglob("*") if not file.is_dir() and "var/lib/rpm" not in str(file)]
    assert left == []


def test_rpm2cpio_gives_the_same_files(rpms, root, tmp_path):
    for name, file in rpms.items():
        folder = tmp_path / name
        folder.mkdir()
        with subprocess.Popen(["rpm2cpio", file], stdout=subprocess.PIPE) as archive:
            run("cpio", "--quiet", "-idm", cwd=folder, stdin=archive.stdout)
        for one in folder.rglob("*"):
            if one.is_file() and not one.is_symlink():
                assert one.read_bytes() == (root / one.relative_to(folder)).read_bytes()


def test_what_they_require(rpms):
    def required(name):
        # Of whatever architecture: NAME(x86-64).
        return {re.sub(r"^(vigil[a-z-]*)\([^)]*\)", r"\1", line) for line in run("rpm", "-qp", "--requires", rpms[name]).splitlines()}

    def libraries(name):
        return {re.sub(r"\.so.*", "", line) for line in required(name) if ".so." in line and not line.startswith("ld-linux")}
    version = f"{package.version()}-1"
    assert {"systemd >= 252", "dbus", "(vigil-selinux if selinux-policy-targeted)"} <= required("vigil")
    assert {f"vigil = {version}", "pam"} <= required("vigil-pam")
    assert {f"vigil-pam = {version}", "sudo >= 1.9.13"} <= required("vigil-sudo")
    # What sshd and sudo would load.
    assert libraries("vigil-pam") == libraries("vigil-sudo") == {"libc", "libpam"}
    assert not [line for line in required("vigil-selinux") if ".so" in line]


def test_the_same_sources_give_the_same_bytes(built, tmp_path):
    """What is compiled is taken as it is: the compiler's part the debs have a test of."""
    again = {file.name: file for file in package.rpms_in(tmp_path, built[1])}
    assert again.keys() == {file.name for file in built[0]}
    for file in built[0]:
        assert file.read_bytes() == again[file.name].read_bytes(), file.name


def test_rpmlint_has_nothing_to_say(rpms):
    done = subprocess.run(["rpmlint", "-c", package.SPEC.parent / "rpmlint.toml", package.SPEC, *rpms.values()], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0 and re.search(r"\b0 errors, 0 warnings", done.stdout), done.stdout


# Scriptlets


@pytest.fixture(name="scriptlet")
def scriptlet_fixture(rpms, tmp_path):
    """Runs one of them with vigil's and systemd's programs replaced by one that writes down how it was called."""
    calls = tmp_path / "calls"
    for name in ("before-removal", "authselect-profile", "systemctl", "busctl", "journalctl", "semodule", "selinuxenabled", "load_policy", "restorecon"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho "${{0##*/}} $*" >>{calls}\n[ ! -e {tmp_path}/fails-$(basename "$0") ]\n', encoding="utf-8")
        program.chmod(0o755)

    def call(package_name, which, count, fails=()):
        text = run("rpm", "-qp", "--qf", f"%{{{which}}}", rpms[package_name])
        assert text != "(none)", f"{package_name} has no {which}"
        calls.write_text("", encoding="utf-8")
        for name in fails:
            (tmp_path / f"fails-{name}").touch()
        for place, other in {"/usr/libexec/vigil/": f"{tmp_path}/", "/var/lib/vigil": f"{tmp_path}/lib", "/run/vigil": f"{tmp_path}/run",
                             "[ -d /run/systemd/system ]": "true"}.items():
            text = text.replace(place, other)
        done = subprocess.run(["/bin/sh", "-c", text, which, str(count)], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True,
                              text=True, check=False)
        return done.returncode, calls.read_text(encoding="utf-8").splitlines()
    return call


@pytest.mark.parametrize("name, first", [("vigil", "before-removal "), ("vigil-pam", "before-removal "), ("vigil-sudo", "before-removal sudo")])
def test_before_a_file_goes_for_good_vigil_is_taken_out_and_not_at_an_upgrade(scriptlet, name, first):
    status, calls = scriptlet(name, "PREUN", 0)
    assert (status, calls[0]) == (0, first)
    status, calls = scriptlet(name, "PREUN", 1)
    assert (status, calls) == (0, [])


@pytest.mark.parametrize("name", ["vigil", "vigil-pam", "vigil-sudo"])
def test_where_that_is_refused_the_files_stay(scriptlet, name):
    status, calls = scriptlet(name, "PREUN", 0, fails=["before-removal"])
    assert status != 0 and len(calls) == 1


def test_an_installation_starts_vigild_and_leaves_pam_and_sudo_alone(scriptlet, rpms, tmp_path):
    for name in ("vigil", "vigil-pam"):
        status, calls = scriptlet(name, "POSTIN", 1)
        assert status == 0 and not [call for call in calls if "authselect" in call]
    assert (tmp_path / "lib/observing").exists() and (tmp_path / "run/observing").exists(), "nothing is refused"
    assert calls[-1] == "systemctl -q start vigild.service"
    assert run("rpm", "-qp", "--qf", "%{POSTIN}", rpms["vigil-sudo"]) == "(none)"


def test_an_upgrade_restarts_vigild_alone_and_a_removal_unmasks_it(scriptlet, tmp_path):
    status, calls = scriptlet("vigil", "POSTUN", 1)
    assert status == 0 and calls[-1] == "systemctl try-restart vigild.service" and not [call for call in calls if "socket" in call]
    status, calls = scriptlet("vigil", "POSTUN", 0)
    assert status == 0 and calls == ["systemctl -q unmask --runtime vigild.socket vigild.service", "systemctl daemon-reload"]
    assert scriptlet("vigil", "POSTIN", 2) == (0, []) and not (tmp_path / "lib").exists()
    assert scriptlet("vigil-pam", "POSTIN", 2) == (0, []) and scriptlet("vigil-pam", "POSTUN", 1) == (0, [])


def test_the_packages_go_in_an_order_in_which_before_removal_is_there(rpms):
    for name in ("vigil-pam", "vigil-sudo"):
        lines = run("rpm", "-qp", "--qf", "[%{REQUIRENAME} %{REQUIREFLAGS:deptype}\n]", rpms[name]).splitlines()
        assert "vigil preun" in lines


# SELinux


def test_the_policy_has_vigils_domain_and_it_is_permissive(root):
    folder = root / "usr/share/selinux/packages/targeted"
    text = subprocess.run(["bzip2", "-dc", folder / "vigil.pp.bz2"], stdout=subprocess.PIPE, check=True).stdout
    for name in (b"vigild_t", b"vigild_exec_t", b"vigil_runtime_t", b"vigil_var_lib_t"):
        assert name in text
    assert "(typepermissive vigild_t)" in (folder / "vigil_permissive.cil").read_text(encoding="utf-8")


def test_the_policy_allows_the_capabilities_of_the_unit_and_no_other():
    policy = (SOURCE / "packaging/selinux/vigil.te").read_text(encoding="utf-8")
    allowed = re.search(r"^allow vigild_t self:capability \{ ([^}]*) \};$", policy, re.MULTILINE)[1].split()
    unit = (SOURCE / "systemd/vigild.service.in").read_text(encoding="utf-8")
    assert {f"CAP_{name.upper()}" for name in allowed} == set(re.search(r"^CapabilityBoundingSet=(.*)$", unit, re.MULTILINE)[1].split())


def test_the_policys_places_are_those_of_the_programs(listed):
    contexts = (SOURCE / "packaging/selinux/vigil.fc").read_text(encoding="utf-8")
    programs = re.findall(r"^(/usr/\S+)", contexts, re.MULTILINE)
    assert programs == ["/usr/libexec/vigil/vigild"] and set(programs) <= set(listed)
