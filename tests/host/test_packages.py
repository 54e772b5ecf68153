"""The packages on a host that never had vigil: put there by apt, upgraded, broken, removed and purged; and people log in, become
root and leave after each step."""

import re
import subprocess

import pytest
import roots
from install import FOLDER, NAMES, put_debs
from logins import LOCK_SCREEN, Login, unlock
from people import LOCK_AND_CODE, at_console, enroll, one_line, person, shell
from troubles import START, STOP
from vigilhost import Host, wait_until

APT = "DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends"
LINES = r"^[^#]*pam_vigil\.so"
# What a host writes by itself, whatever is installed there; and what sealed the key, which is systemd's.
OF_ANY_HOST = r"^/(proc|sys|dev|run|tmp|root|home|var/(cache|log|tmp|mail|lib/(apt|dpkg|systemd|pam|private|AccountsService|polkit-1)))(/|$)"


@pytest.fixture(scope="module")
def host(request):
    option = request.config.getoption
    with Host(f"host-packages-{request.config.getoption('--suite')}", option("--suite"), option("--vm"),
              packages=tuple(roots.WAYS_PACKAGES)) as host:
        host.run("groupadd", "nopasswd")
        host.write("/etc/sudoers.d/tests", "%nopasswd ALL=(ALL:ALL) NOPASSWD: ALL\n", "0440")
        # polkit lets them without a question, so that what PAM says of it is all there is.
        host.write("/etc/polkit-1/rules.d/10-tests.rules",
                   "polkit.addRule(function(action, subject) { return polkit.Result.YES; });\n")
        host.run("systemctl", "restart", "polkit.service")
        put_debs(host.inner, host.suite)
        yield host


@pytest.fixture
def user(host):
    return person(host, "sudo", "nopasswd")


@pytest.fixture(autouse=True)
def purged(host):
    """Each test begins where nothing was ever installed, and whatever it left is taken away."""
    yield
    for terminal in host.terminals:
        terminal.close()
    host.terminals.clear()
    host.run(f"{APT} purge {' '.join(NAMES)}", check=False, timeout=120)


def apt_install(host, *names, check=True):
    debs = " ".join(f"{FOLDER}/{name}_*.deb" for name in names or NAMES)
    return host.run(f"{APT} install {debs}", check=check, timeout=120)


def files(host):
    """Each with its kind, mode and owner; as lines."""
    listed = host.run("find / -xdev -printf '%p %y %m %u:%g %l\\n' | sort", timeout=60).stdout.splitlines()
    return [line for line in listed if not re.match(OF_ANY_HOST, line)]


def pam_files(host, but=""):
    return host.run(f"cd /etc/pam.d && grep -r --exclude='{but}' . | sort").stdout


def root_gets_in(host):
    """Over ssh and at a console, and su and sudo work for root."""
    done = host.ssh_run("root", "su -c 'echo su too' alice; sudo -n echo sudo too", timeout=30)
    assert done.stdout == "su too\nsudo too\n", done
    console = at_console(host, "-f", "root")
    console.wait_for("^root@")
    console.close()


def works_without_a_code(host, user):
    """Logins, sudo and su as on a host without vigil."""
    root_gets_in(host)
    inside = shell(host, user)
    inside.terminal.close()
    done = host.ssh_run(user, "sudo -n id -un; pkexec --disable-internal-agent id -un", timeout=30)
    assert done.stdout == "root\nroot\n", done
    console = at_console(host, "-f", user)
    console.wait_for(f"^{user}@")
    console.close()


# From nothing and back


def test_what_is_installed_only_watches_and_is_gone_without_a_trace(host, user):
    pam, everything = pam_files(host), files(host)
    done = apt_install(host)
    assert not re.search(r"warning|error|fail", done.stderr, re.IGNORECASE), done.stderr
    assert host.vigild_is_ready() and re.search(LINES, host.read("/etc/pam.d/common-account"), re.MULTILINE)
    for service in ("cron", "atd", "systemd-user"):
        assert "pam_vigil" not in host.run(f"cat /etc/pam.d/{service}", check=False).stdout
    works_without_a_code(host, user)
    inside = shell(host, user)
    assert [one["state"] for one in host.vigil_sessions(user=user)] == ["active"]
    inside.terminal.close()

    host.run(f"{APT} remove vigil")
    assert pam_files(host, but="vigil-*") == pam
    assert host.run("ls /var/lib/vigil").stdout.split(), "what was enrolled is kept"
    works_without_a_code(host, user)
    host.run(f"{APT} purge {' '.join(NAMES)}")
    assert pam_files(host) == pam
    assert files(host) == everything
    works_without_a_code(host, user)


ONLY_OBSERVES = "vigil only observes on this host: nothing of this is enforced"


def test_what_is_fresh_tells_what_it_would_do_and_does_none_of_it(host, user):
    apt_install(host)
    assert host.vigilctl("status", "--json")["mode"] == "observe"
    inside = shell(host, user)
    for words in (["list"], ["grants"], ["factors"], ["requests"], ["show", host.vigil_sessions(user=user)[0]["id"]]):
        assert ONLY_OBSERVES in host.vigilctl(*words).stdout, words
    cursor = host.journal_cursor()
    assert "root" in inside.run("sudo -n id -un")[1].splitlines()
    wait_until(lambda: [one for one in host.journal(since=cursor, VIGIL_USER=user) if "only observed" in one["MESSAGE"]], 10,
               "what would have been is told")
    assert ": ok, " in host.vigilctl("policy", "check").stdout
    inside.terminal.close()


def test_what_only_observes_refuses_nobody_with_vigild_away(host, user):
    apt_install(host)
    host.run(STOP)
    works_without_a_code(host, user)
    # As after a boot at which it does not come up.
    host.run("rm /run/vigil/observing && systemd-tmpfiles --create --boot vigil.conf")
    works_without_a_code(host, user)
    host.run(START)
    host.policy(LOCK_AND_CODE)
    assert host.run("ls /run/vigil /var/lib/vigil").stdout.split().count("observing") == 0
    host.run(STOP)
    assert host.ssh_run(user, "sudo -n id -un").returncode != 0
    host.run(START)


def test_a_vigild_that_never_came_up_refuses_nobody(host, user):
    host.write("/etc/systemd/system/vigild.service.d/tests.conf", "[Service]\nExecStart=\nExecStart=/bin/false\n")
    try:
        apt_install(host)
        assert not host.vigild_is_ready()
        works_without_a_code(host, user)
    finally:
        host.run("rm -r /etc/systemd/system/vigild.service.d && systemctl daemon-reload")


def test_it_comes_back_with_what_was_enrolled(host, user):
    apt_install(host)
    host.policy(LOCK_AND_CODE)
    codes = enroll(host, user)
    host.run(f"{APT} remove vigil")
    apt_install(host)
    assert "root" in shell(host, user).run("sudo id -un", codes.fresh())[1].splitlines()


# Upgrades


def newer(host, *names):
    """The same under a later version."""
    for name in names:
        host.run(f"cd /root && rm -rf newer && dpkg-deb -R {FOLDER}/{name}_*.deb newer && "
                 "sed -i 's/^Version: .*/&+newer/; s/(= \\([^)]*\\))/(= \\1+newer)/' newer/DEBIAN/control && "
                 f"dpkg-deb -b newer {name}+newer.deb", timeout=60)
    return " ".join(f"/root/{name}+newer.deb" for name in names)


def test_an_upgrade_loses_no_session_lock_proof_or_limit(host, user):
    apt_install(host)
    host.policy(LOCK_AND_CODE)
    codes = enroll(host, user)
    inside = shell(host, user)
    assert "root" in inside.run("sudo id -un", codes.fresh())[1].splitlines()
    alice = Login(host, "alice")
    alice.type("vi -n -u NONE notes\r")
    alice.screen.wait_for("^~$")
    alice.lock()
    before, pid = {one["id"]: one for one in host.vigil_sessions()}, host.vigild_pid()
    host.run(f"{APT} install {newer(host, *NAMES)}", timeout=120)
    assert host.vigild_pid() != pid and "+newer" in host.run("dpkg-query -W vigil").stdout
    after = {one["id"]: one for one in host.vigil_sessions()}
    assert after.keys() == before.keys()
    for name, session in after.items():
        assert (session["state"], session["since"]) == (before[name]["state"], before[name]["since"])
    assert alice.frozen() and re.search(LOCK_SCREEN, alice.screen.text(), re.MULTILINE)
    assert "root" in inside.run("sudo -n id -un")[1].splitlines(), "the proof stands"
    unlock(alice)
    alice.screen.wait_for("^~$")


def test_while_its_files_are_exchanged_logins_wait_or_go_on(host, user):
    apt_install(host)
    debs = newer(host, *NAMES)
    upgrade = subprocess.Popen(host.inner.command(["/bin/bash", "-c", f"{APT} install {debs} && touch /root/upgraded"]),
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=host.inner.join)
    logins = 0
    while upgrade.poll() is None:
        done = host.ssh_run(user, "sudo -n id -un", timeout=30)
        assert done.stdout == "root\n", done
        logins += 1
    assert upgrade.returncode == 0 and logins > 1
    host.run("rm", "/root/upgraded")


# What goes wrong


def test_a_module_that_does_not_load_leaves_pam_as_it_was(host, user):
    pam = pam_files(host)
    host.run(f"cd /root && rm -rf broken && dpkg-deb -R {FOLDER}/libpam-vigil_*.deb broken && "
             "for module in broken/usr/lib/*/security/pam_vigil.so; do head -c 1000 $module >short && cp short $module; done && "
             "dpkg-deb -b broken libpam-vigil-broken.deb")
    done = host.run(f"{APT} install {FOLDER}/vigil_*.deb /root/libpam-vigil-broken.deb", check=False, timeout=120)
    assert done.returncode != 0
    assert "PAM is without vigil" in one_line(done.stdout + done.stderr, "^libpam-vigil: ")
    assert pam_files(host, but="vigil-*") == pam
    works_without_a_code(host, user)


def test_with_vigild_broken_root_gets_in_and_people_go_on(host, user):
    apt_install(host)
    host.run("mv /usr/libexec/vigil/vigild /root/vigild && systemctl kill -s KILL vigild.service")
    try:
        root_gets_in(host)
        host.run(STOP)
        root_gets_in(host)
        login = host.login("alice")
        login.close()
    finally:
        host.run(f"mv /root/vigild /usr/libexec/vigil/vigild; {START}")


def test_removal_that_is_refused_leaves_all_as_it_is(host, user):
    apt_install(host)
    host.policy(LOCK_AND_CODE)
    host.run("cp -a /etc/pam.d/su /root/su && echo 'account required pam_vigil.so' >>/etc/pam.d/su")
    pid = host.vigild_pid()
    done = host.run(f"{APT} remove vigil", check=False, timeout=120)
    host.run("mv /root/su /etc/pam.d/su")
    assert done.returncode != 0 and "take them out of: /etc/pam.d/su" in done.stdout + done.stderr
    assert host.vigild_pid() == pid and host.vigild_is_ready()
    assert shell(host, user).run("sudo -n id -un")[0] != 0, "a code is asked for as before"


def test_sudos_plugin_goes_with_its_package_alone(host, user):
    apt_install(host)
    host.policy(LOCK_AND_CODE)
    codes = enroll(host, user)
    host.vigilctl("sudo", "enable")
    host.run(f"{APT} remove vigil-sudo")
    assert "vigil" not in host.run("cat /etc/sudo.conf", check=False).stdout
    assert "root" in shell(host, user).run("sudo id -un", codes.fresh())[1].splitlines(), "PAM asks as before"
    wait_until(host.vigild_is_ready, 5, "vigild stays")


def test_the_module_alone_goes_and_comes_back(host, user):
    apt_install(host)
    host.policy(LOCK_AND_CODE)
    codes = enroll(host, user)
    host.run(f"{APT} remove libpam-vigil")
    assert not host.vigild_pid(), "what it locked nobody could unlock"
    works_without_a_code(host, user)
    apt_install(host, "libpam-vigil")
    assert host.vigild_is_ready()
    assert "root" in shell(host, user).run("sudo id -un", codes.fresh())[1].splitlines()


def test_vigil_without_its_module_does_not_start_and_does_once_it_is_there(host, user):
    apt_install(host, "vigil")
    assert not host.vigild_pid()
    host.run("vigilctl list", check=False, timeout=60)
    works_without_a_code(host, user)
    apt_install(host, "libpam-vigil")
    assert host.vigild_is_ready()


def test_packages_that_were_never_configured_leave_nobody_outside(host, user):
    """dpkg does not run their prerm."""
    apt_install(host)
    host.policy(LOCK_AND_CODE)
    enroll(host, user)
    host.vigilctl("sudo", "enable")
    host.run(f"dpkg --force-depends --unpack {newer(host, 'libpam-vigil', 'vigil-sudo')}")
    host.run("dpkg --force-depends --remove libpam-vigil vigil-sudo")
    assert "vigil" not in host.run("cat /etc/sudo.conf", check=False).stdout
    assert not re.search(LINES, host.read("/etc/pam.d/common-account"), re.MULTILINE)
    works_without_a_code(host, user)


def test_the_line_that_asks_at_logins_comes_back_with_the_packages(host, user):
    apt_install(host)
    host.run("DEBIAN_FRONTEND=noninteractive pam-auth-update --enable vigil-login")
    assert re.search(LINES, host.read("/etc/pam.d/common-auth"), re.MULTILINE)
    host.run(f"{APT} remove vigil")
    assert not re.search(LINES, host.read("/etc/pam.d/common-auth"), re.MULTILINE)
    apt_install(host)
    assert re.search(LINES, host.read("/etc/pam.d/common-auth"), re.MULTILINE)
