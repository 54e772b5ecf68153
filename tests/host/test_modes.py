"""From a policy that only observes to one that is enforced: rehearsed first, confirmed by whoever still gets in, and given up by
itself where nobody does."""

import pytest
from logins import LOCK_SCREEN, UNLOCK_PROMPT, Login
from people import one_line, person, shell
from vigilhost import wait_until

POLICY = """\
# What we have agreed on.
version: 1
mode: observe   # until everybody has a code
sessions:
  - {name: alice, match: {users: [alice]}, idle_lock: 2s, unlock: [password]}
step_up:
  - {match: {users: [%s], services: [sudo]}, require: [totp]}
"""
FILE = "/etc/vigil/policy.yaml"


@pytest.fixture
def user(host):
    name = person(host, "sudo")
    host.write("/etc/sudoers.d/tests", f"{name} ALL=(ALL:ALL) NOPASSWD: ALL\n", "0440")
    return name


@pytest.fixture(autouse=True)
def observing(host, user, nobody_stays):
    host.policy(POLICY % user)
    assert mode(host) == "observe"


def mode(host):
    return host.vigilctl("status", "--json")["mode"]


def test_without_a_way_back_in_it_goes_on_observing(host, user):
    done = host.vigilctl("enforce", check=False)
    assert done.returncode == 1 and "no console here" in one_line(done.stdout, "way back")
    assert "goes on observing" in done.stderr and mode(host) == "observe"
    assert host.read(FILE) == POLICY % user


def test_with_pam_not_wired_it_goes_on_observing(host):
    host.run("DEBIAN_FRONTEND=noninteractive pam-auth-update --package --remove vigil vigil-session vigil-elevated")
    try:
        done = host.vigilctl("enforce", check=False)
        assert done.returncode == 1 and "no login is registered" in one_line(done.stdout, "^failure +pam")
    finally:
        host.run("DEBIAN_FRONTEND=noninteractive pam-auth-update --package")


def test_it_enforces_and_the_file_says_so_and_nothing_else(host, user):
    assert "From now on vigil enforces" in host.vigilctl("enforce", "--anyway").stdout
    assert mode(host) == "enforce"
    assert host.read(FILE) == (POLICY % user).replace("observe ", "enforce ")
    assert shell(host, user).run("sudo -n id -un")[0] != 0
    assert "already" in host.vigilctl("enforce").stdout


@pytest.mark.parametrize("edit, words", [("s/^mode:.*//", "no line of"), ("s/^mode:.*/mode: [/", None)])
def test_a_file_that_is_not_to_be_changed_stays_as_it_is(host, user, edit, words):
    host.run("sed", "-i", edit, FILE)
    before = host.read(FILE)
    done = host.vigilctl("enforce", "--anyway", check=False)
    assert done.returncode == 1 and (words is None or words in done.stderr) and host.read(FILE) == before
    assert mode(host) == "observe"


def test_a_rehearsal_that_a_new_login_confirms_goes_on(host, user):
    older = shell(host, "root")
    status, said = older.run("vigilctl rehearse --for 5m")
    assert status == 0 and "vigilctl enforce" in said
    assert "rehearsed until" in one_line(host.vigilctl("status").stdout, "^mode")
    assert shell(host, user).run("sudo -n id -un")[0] != 0
    status, said = older.run("vigilctl enforce --anyway")
    assert status == 1 and "log in anew" in said and host.read(FILE) == POLICY % user
    status, said = shell(host, "root").run("vigilctl enforce --anyway")
    assert status == 0, said
    assert mode(host) == "enforce" and host.vigilctl("status", "--json")["rehearsed_until"] is None


def test_what_was_edited_meanwhile_is_not_put_in_force(host, user):
    host.vigilctl("rehearse", "--for", "5m")
    inside = shell(host, "root")
    host.run(f"echo '# one more line' >>{FILE}")
    status, said = inside.run("vigilctl enforce --anyway")
    assert status == 1 and "have changed since" in said and mode(host) == "enforce"
    host.vigilctl("reload")
    status, said = inside.run("vigilctl enforce --anyway")
    assert status == 1 and "log in anew" in said
    status, said = shell(host, "root").run("vigilctl enforce --anyway")
    assert status == 0 and "one more line" in host.read(FILE), said


def test_the_file_stays_its_owners(host, user):
    host.run(f"chown root:adm {FILE} && chmod 640 {FILE}")
    host.vigilctl("enforce", "--anyway")
    assert host.run("stat", "-c", "%U %G %a", FILE).stdout == "root adm 640\n"
    host.run(f"chown root:root {FILE} && chmod 644 {FILE}")


def test_the_doctor_sees_a_mark_that_stayed(host, user):
    host.vigilctl("enforce", "--anyway")
    host.run("touch /var/lib/vigil/observing")
    found = one_line(host.run("vigilctl", "doctor", check=False).stdout, r"^\S+ +vigild ")
    assert found.startswith("failure") and "/var/lib/vigil/observing is there" in found
    host.run("rm /var/lib/vigil/observing")


def test_one_that_nobody_confirms_gives_back_what_it_locked(host, user):
    host.vigilctl("rehearse", "--for", "1m")
    alice = Login(host, "alice")
    alice.screen.wait_for(UNLOCK_PROMPT, 20)
    assert mode(host) == "enforce"
    wait_until(lambda: mode(host) == "observe", 70, "it is over by itself")
    alice.screen.wait_gone(LOCK_SCREEN)
    assert alice.answers() and alice.state() == "active"
    assert shell(host, user).run("sudo -n id -un")[1].split()[-1:] == ["root"]
    assert "nobody has confirmed it" in host.journal(VIGIL_EVENT="rehearsal-over")[-1]["MESSAGE"]


def test_a_restart_of_vigild_ends_it(host):
    host.vigilctl("rehearse", "--for", "5m")
    host.run("systemctl", "restart", "vigild.service")
    assert mode(host) == "observe"


@pytest.mark.parametrize("time", ["10s", "2d", "never", "soon"])
def test_it_takes_as_long_as_a_login_and_no_longer_than_a_day(host, time):
    done = host.vigilctl("rehearse", "--for", time, check=False)
    assert done.returncode != 0 and len(done.stderr.splitlines()) == 1 and mode(host) == "observe"
