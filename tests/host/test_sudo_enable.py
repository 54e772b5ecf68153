"""`vigilctl sudo`: sudo asks vigil from a proved change on, and is what it was before after it."""

import json

import pytest
from kills import killed_at_each_step
from people import enroll, let_sshd_take_all, person, shell

CONF = "/etc/sudo.conf"
PLUGIN = "/usr/libexec/sudo/vigil_approval.so"
POLICY = """\
version: 1
step_up:
  - match: {services: [sudo], commands: [/usr/bin/whoami]}
    require: none
  - match: {groups: [nopasswd], services: [sudo], run_as: [root]}
    require: [totp]
"""
ON, OFF = "sudo asks vigil about each command.\n", "sudo does not ask vigil.\n"


@pytest.fixture(scope="module", autouse=True)
def sudoers(host):
    let_sshd_take_all(host)
    host.run("groupadd", "nopasswd")
    host.write("/etc/sudoers.d/tests", "%nopasswd ALL=(ALL:ALL) NOPASSWD: ALL\n", "0440")
    host.policy(POLICY)


@pytest.fixture(scope="module")
def user(host, sudoers):
    name = person(host, "sudo", "nopasswd")
    enroll(host, name)
    return name


@pytest.fixture(autouse=True)
def as_it_comes(host):
    kept = host.run("cat", CONF, check=False)
    yield
    host.run("systemctl", "start", "vigild.socket", "vigild.service")
    host.run("rm", "-f", CONF)
    if kept.returncode == 0:
        host.write(CONF, kept.stdout)


def conf(host):
    """Its text and mode; None where it is not there."""
    done = host.run("sh", "-c", f"stat -c '%a %U' {CONF} && cat {CONF}", check=False)
    return done.stdout if done.returncode == 0 else None


def refused(host, *words):
    done = host.vigilctl("sudo", *words, check=False)
    assert done.returncode == 1 and done.stdout == "", done
    print(done.stderr)
    return done.stderr


@pytest.mark.parametrize("before", [None, "", "Set disable_coredump false\n", "# no newline"])
def test_it_is_enabled_and_disabled_and_nothing_is_left(host, user, before):
    host.run("rm", "-f", CONF)
    if before is not None:
        host.write(CONF, before, "0640")
    there = conf(host)
    assert host.vigilctl("sudo", "status").stdout == OFF
    print(host.vigilctl("sudo", "enable").stdout)
    assert host.vigilctl("sudo", "status").stdout == ON
    assert host.vigilctl("sudo", "enable").stdout == "sudo asks vigil about each command already.\n"
    inside = shell(host, user)
    assert inside.run("sudo whoami")[0] == 0
    assert inside.asks("sudo id -u") is not None
    inside.terminal.close()
    assert host.vigilctl("sudo", "disable").stdout == "sudo does not ask vigil any more.\n"
    assert conf(host) == (None if before in (None, "") else there)
    assert host.vigilctl("sudo", "disable").stdout == host.vigilctl("sudo", "status").stdout == OFF


@pytest.mark.parametrize("verb", ["enable", "disable"])
@pytest.mark.parametrize("text", ["Set disable_coredump false\n", None])
def test_killed_at_any_step_sudo_runs_and_its_file_is_one_or_the_other(host, user, verb, text):
    host.run("rm", "-f", CONF)
    if text is not None:
        host.write(CONF, text, "0640")
    without = conf(host)
    host.vigilctl("sudo", "enable")
    with_it = conf(host)
    other = {"enable": "disable", "disable": "enable"}[verb]

    def after(step, killed):
        now = conf(host)
        assert now in (without, with_it), (step, now)
        assert host.run("sudo", "-n", "id", "-un", check=False).stdout == "root\n", step
        # The module, which does not know the command, asks; the plugin need not.
        done = host.ssh_run(user, "sudo -n whoami")
        assert done.stdout == "root\n" if now == with_it else "vigil: rule 2 of step_up asks" in done.stderr, (step, done)
        # The one after it does as it says, and leaves nothing beside it.
        host.vigilctl("sudo", verb)
        assert conf(host) == (with_it if verb == "enable" else without)
        host.vigilctl("sudo", other)
        assert conf(host) == (without if verb == "enable" else with_it)
        assert host.run(f"ls {CONF}?*", check=False).stdout == ""
        return now == with_it if killed else ""

    host.vigilctl("sudo", other)
    walk = killed_at_each_step(host, ["vigilctl", "sudo", verb], "vigilctl-sudo.lock", after)
    print(verb, text, walk.states, walk.missed)
    walk.was_whole("openat", states=(True, False))


def test_a_plugin_that_nobody_can_load_is_in_sudos_file_at_no_time(host):
    """Or a kill at the wrong moment would be the end of sudo."""
    before = conf(host)
    host.run(f"cp {PLUGIN} /tmp/kept && echo rubbish >{PLUGIN}")

    def after(step, _killed):
        assert conf(host) == before, step
        host.run("sudo", "-n", "true")
        return ""

    try:
        walk = killed_at_each_step(host, ["vigilctl", "sudo", "enable"], "vigilctl-sudo.lock", after)
        assert len(walk.died) > len(walk.missed)
    finally:
        host.run("install", "-m", "0644", "/tmp/kept", PLUGIN)


def test_a_plugin_that_sudo_cannot_load_is_not_enabled(host):
    before = conf(host)
    host.run(f"cp {PLUGIN} /tmp/kept && cp /usr/lib/*/security/pam_permit.so {PLUGIN}")
    try:
        said = refused(host, "enable")
        assert "sudo does not run with that: " in said and f"{CONF} is as it was" in said
        assert conf(host) == before
        host.run("sudo", "-n", "true")
        host.run(f"echo rubbish >{PLUGIN}")
        assert f"nobody can load {PLUGIN}: " in refused(host, "enable")
        assert conf(host) == before
        host.run("rm", PLUGIN)
        assert f"there is no {PLUGIN}" in refused(host, "enable")
    finally:
        host.run("install", "-m", "0644", "/tmp/kept", PLUGIN)


def test_what_breaks_later_is_said_and_can_be_disabled(host):
    before = conf(host)
    host.vigilctl("sudo", "enable")
    host.run(f"mv {PLUGIN} /tmp/kept")
    try:
        assert "sudo does not run: " in refused(host, "status")
        told = host.vigilctl("sudo", "status", "--json", check=False)
        assert told.returncode == 1 and json.loads(told.stdout)["loaded"] is None
        host.vigilctl("sudo", "disable")
        assert conf(host) == before
        host.run("sudo", "-n", "true")
    finally:
        host.run("mv", "/tmp/kept", PLUGIN)


def test_without_vigild_it_can_be_disabled_and_not_enabled(host):
    before = conf(host)
    host.vigilctl("sudo", "enable")
    host.run("systemctl mask --runtime vigild.service && systemctl stop vigild.socket vigild.service")
    try:
        host.run("sudo", "-n", "true")
        host.vigilctl("sudo", "disable")
        assert "vigild does not answer" in refused(host, "enable")
        assert conf(host) == before
    finally:
        host.run("systemctl", "unmask", "--runtime", "vigild.service")


def test_a_rule_that_is_on_root_too_is_no_reason_to_take_it_back(host):
    """PAM refuses him without the plugin, and the plugin with it: sudo is at work."""
    before = conf(host)
    host.policy(POLICY.replace("groups: [nopasswd], ", ""))
    try:
        host.vigilctl("sudo", "enable")
        assert host.run("sudo", "-n", "true", check=False).returncode != 0
        host.vigilctl("sudo", "disable")
        assert conf(host) == before
    finally:
        host.policy(POLICY)


def test_what_others_wrote_is_left_alone(host):
    for text, word in (("Plugin vigil_approval vigil_approval.so\n", "loads the plugin already"),
                       ("# vigil: end.\n", "has changed vigil's lines")):
        host.write(CONF, text)
        assert word in refused(host, "enable") and word in refused(host, "disable")
        assert host.read(CONF) == text
    host.run(f"mv {CONF} /etc/other.conf && ln -s /etc/other.conf {CONF}")
    assert "is no file but a link" in refused(host, "enable")
    host.run("rm", CONF)
    # Nobody but root changes it; anybody may ask.
    assert host.vigilctl("sudo", "status", user="alice").stdout == OFF
    done = host.vigilctl("sudo", "enable", user="alice", check=False)
    assert done.returncode == 1 and "root alone" in done.stderr
