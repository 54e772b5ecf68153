"""packaging/rpm/authselect-profile: vigil's lines in stacks of authselect's, with a stand-in for authselect beside this file."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(os.environ["VIGIL_SOURCE_ROOT"])
PROGRAM = SOURCE / "packaging" / "rpm" / "authselect-profile"
HERE = Path(__file__).resolve().parent

STACK = """\
auth        sufficient   pam_unix.so
auth        required     pam_deny.so

account     required     pam_access.so   {include if "with-access"}
account     required     pam_unix.so
account     sufficient   pam_localuser.so
account     required     pam_permit.so

password    required     pam_unix.so

session     required     pam_limits.so
-session    optional     pam_systemd.so
session     [success=1 default=ignore] pam_succeed_if.so service in crond quiet
session     required     pam_unix.so
"""
INCLUDES = "auth required pam_env.so\naccount include system-auth\npassword include system-auth\nsession\tinclude system-auth\n"
BY_FINGER = '{continue if "with-finger"}\n' + STACK
ACCOUNT = "account     [success=ok ignore=ignore new_authtok_reqd=ok default=die] pam_vigil.so"


class Machine:
    def __init__(self, root):
        self.root = root
        self.made = root / "etc/authselect"
        self.profile = self.made / "custom/vigil"
        (self.made / "custom").mkdir(parents=True)
        (root / "usr/lib64/security").mkdir(parents=True)
        # Any library that loads.
        libc = next(line.split()[2] for line in subprocess.run(["ldd", "/bin/sh"], stdout=subprocess.PIPE, text=True, check=True)
                    .stdout.splitlines() if "libc.so" in line)
        shutil.copy(libc, root / "usr/lib64/security/pam_vigil.so")
        self.base = self.add_profile("directory")
        self.authselect("select", "directory", "with-access")

    def add_profile(self, name):
        folder = self.root / "usr/share/authselect/default" / name
        folder.mkdir(parents=True)
        for file, text in {"README": f"{name}\n", "system-auth": STACK, "password-auth": STACK, "fingerprint-auth": BY_FINGER,
                           "switchable-auth": INCLUDES, "postlogin": "session optional pam_umask.so\n",
                           "nsswitch.conf": "passwd: files\n"}.items():
            (folder / file).write_text(text, encoding="utf-8")
        return folder

    def _run(self, program, *words):
        return subprocess.run([program, *words], env={"PATH": f"{HERE}:/usr/bin:/bin:/usr/sbin:/sbin", "VIGIL_AUTHSELECT_ROOT": str(self.root)},
                              capture_output=True, text=True, check=False)

    def authselect(self, *words):
        return self._run(HERE / "authselect", *words)

    def __call__(self, *words):
        return self._run(PROGRAM, *words)

    def in_force(self):
        return self.authselect("current", "--raw").stdout.strip()

    def stack(self, name="system-auth"):
        return (self.made / name).read_text(encoding="utf-8").splitlines()

    def everything(self):
        return {file.relative_to(self.made): os.readlink(file) if file.is_symlink() else file.read_text(encoding="utf-8")
                for file in sorted(self.made.rglob("*")) if not file.is_dir()}


@pytest.fixture(name="machine")
def machine_fixture(tmp_path):
    return Machine(tmp_path)


@pytest.fixture(name="wired")
def wired_fixture(machine):
    done = machine("enable")
    assert done.returncode == 0, done.stderr
    return machine


def of_type(lines, kind):
    return [line for line in lines if line.lstrip("-").startswith(kind)]


def refused(machine, command, word):
    before = machine.everything()
    done = machine(command)
    assert done.returncode == 1 and word in done.stderr and len(done.stderr.splitlines()) == 1
    assert machine.everything() == before


def test_the_lines_stand_where_nothing_ends_the_stack_before_them(wired):
    for name in ("system-auth", "password-auth"):
        lines = wired.stack(name)
        assert of_type(lines, "account")[0] == ACCOUNT
        words = [" ".join(line.split()[1:]) for line in of_type(lines, "session")]
        assert words[0] == "optional pam_vigil.so prepare"
        assert words[-2:] == ["optional pam_vigil.so", "optional pam_vigil.so elevated"]
        assert "optional pam_systemd.so" in words[1:-2]
        assert not [line for line in of_type(lines, "auth") + of_type(lines, "password") if "vigil" in line]
    assert wired("is-enabled").returncode == 0


def test_nothing_else_is_changed_and_features_stay(machine):
    before = {name: machine.stack(name) for name in ("system-auth", "switchable-auth", "postlogin", "nsswitch.conf")}
    assert machine("enable").returncode == 0
    assert machine.in_force() == "custom/vigil with-access"
    for name, lines in before.items():
        assert [line for line in machine.stack(name) if "pam_vigil" not in line] == lines
    own = {file.name for file in machine.profile.iterdir() if not file.is_symlink()}
    assert own == {"system-auth", "password-auth", "fingerprint-auth"}, "all else is followed"


def test_a_stack_of_a_feature_has_them_with_the_feature_alone(wired):
    assert wired.stack("fingerprint-auth") == []
    wired.authselect("select", "custom/vigil", "with-finger")
    assert of_type(wired.stack("fingerprint-auth"), "account")[0] == ACCOUNT


def test_disable_gives_back_what_was_before(machine):
    before = machine.everything()
    assert machine("enable").returncode == 0
    machine.authselect("select", "custom/vigil", "with-access", "with-finger")
    machine.authselect("select", "custom/vigil", "with-access")
    assert machine("disable").returncode == 0
    assert machine.everything() == before and not machine.profile.exists()
    assert machine("is-enabled").returncode == 1
    assert machine("disable").returncode == 0, "done already"


def test_refresh_follows_the_profile_below(wired):
    (wired.base / "system-auth").write_text(STACK.replace("pam_limits.so", "pam_other.so"), encoding="utf-8")
    (wired.base / "smartcard-auth").write_text(STACK, encoding="utf-8")
    (wired.base / "postlogin").unlink()
    assert wired("refresh").returncode == 0
    assert any("pam_other.so" in line for line in wired.stack())
    assert ACCOUNT in wired.stack() and ACCOUNT in wired.stack("smartcard-auth")
    assert not (wired.profile / "postlogin").is_symlink()


def test_refresh_and_disable_leave_another_profile_alone(wired):
    wired.authselect("select", "directory")
    before = {name: text for name, text in wired.everything().items() if not str(name).startswith("custom")}
    assert wired("refresh").returncode == 0 and wired("disable").returncode == 0
    assert wired.everything() == before


def test_a_profile_below_that_got_another_name(wired):
    """authselect's own update turns the links."""
    other = wired.add_profile("local")
    for file in wired.profile.iterdir():
        if file.is_symlink():
            file.unlink()
            file.symlink_to(other / file.name)
    shutil.rmtree(wired.base)
    assert wired("refresh").returncode == 0 and wired("disable").returncode == 0
    assert wired.in_force() == "local with-access"


def test_a_custom_profile_and_a_vendors_are_as_good(machine):
    machine.base.rename(machine.made / "custom/ours")
    machine.authselect("select", "custom/ours")
    assert machine("enable").returncode == 0 and machine("disable").returncode == 0
    assert machine.in_force() == "custom/ours"
    vendor = machine.root / "usr/share/authselect/vendor"
    vendor.mkdir()
    machine.add_profile("both").rename(vendor / "both")
    machine.add_profile("both")
    machine.authselect("select", "both")
    assert machine("enable").returncode == 0
    assert os.readlink(machine.profile / "README") == str(vendor / "both/README")


def test_files_that_were_changed_by_hand_are_left_alone(machine):
    with (machine.made / "system-auth").open("a", encoding="utf-8") as file:
        file.write("# by hand\n")
    refused(machine, "enable", "not authselect's")


def test_without_a_configuration_of_authselects_nothing_is_done(machine):
    (machine.made / "authselect.conf").unlink()
    refused(machine, "enable", "not authselect's")


def test_a_module_that_does_not_load_is_put_nowhere(machine):
    (machine.root / "usr/lib64/security/pam_vigil.so").write_bytes(b"\x7fELF")
    refused(machine, "enable", "does not load")


def test_a_profile_that_authselect_does_not_take_leaves_the_one_before(machine):
    (machine.base / "system-auth").write_text(STACK + "# broken\n", encoding="utf-8")
    refused(machine, "enable", "stays in force")


@pytest.mark.parametrize("text", [
    STACK.replace("account     required     pam_unix.so", "account     required \\\n  pam_unix.so"),
    STACK + "session optional pam_vigil.so\n",
    STACK.replace("session", "# session"),
], ids=["a line that goes on", "lines of its own", "no session"])
def test_a_stack_that_is_not_understood_is_left_alone(machine, text):
    (machine.base / "password-auth").write_text(text, encoding="utf-8")
    refused(machine, "enable", "password-auth")
