"""Each proof by each way to root: sudo with its plugin and without, doas, su, and what polkit asks about."""

import os
import re

import pytest
import roots
from agents import MIDDLEWARE, enrolled, forwarded
from people import enroll, let_sshd_take_all, person, recovery_codes, shell
from vigilhost import PASSWORDS, Host, wait_until

LINE = "Plugin vigil_approval vigil_approval.so"
WHO_ASKS = "polkit.addAdminRule(function(action, subject) { return ['unix-user:' + subject.user]; });\n"
# What is typed, whose password comes first, and which service asks.
WAYS = {"sudo, by its plugin": ("sudo id -un", None, "sudo"),
        "sudo, by PAM": ("sudo id -un", None, "sudo"),
        "doas": ("doas id -un", None, "doas"),
        "su": ("su -c 'id -un'", "root", "su"),
        "polkit": ("systemctl restart some.service && id -un root", "one's own", "polkit-1")}


def rule(require):
    approvers = "    approvers: {groups: [security]}\n" if "approval" in require else ""
    return f"version: 1\nstep_up:\n  - match: {{services: [sudo, doas, su, polkit-1]}}\n    require: {require}\n{approvers}"


@pytest.fixture(scope="module")
def host(request):
    option = request.config.getoption
    with Host(f"host-every-way-{os.getpid()}", option("--suite"), option("--vm"), packages=tuple(roots.WAYS_PACKAGES)) as host:
        host.install()
        let_sshd_take_all(host)
        host.run("groupadd nopasswd; groupadd security")
        host.write("/etc/sudoers.d/tests", "%nopasswd ALL=(ALL:ALL) NOPASSWD: SETENV: ALL\n", "0440")
        host.write("/etc/doas.conf", "permit nopass :nopasswd\n", "0400")
        host.write("/etc/polkit-1/rules.d/10-tests.rules", WHO_ASKS)
        host.write("/etc/systemd/system/some.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n")
        host.run("systemctl daemon-reload; systemctl restart polkit.service")
        PASSWORDS["root"] = "root-pass-1"
        host.run("chpasswd", input=f"root:{PASSWORDS['root']}\n")
        host.put(MIDDLEWARE, "/usr/local/lib/security_key.so")
        yield host


@pytest.fixture(params=WAYS)
def way(request, host):
    host.write("/etc/sudo.conf", LINE + "\n" if request.param == "sudo, by its plugin" else "")
    yield request.param
    host.run("rm", "/etc/sudo.conf")


@pytest.fixture
def user(host):
    return person(host, "nopasswd")


class Asked:
    """One of the ways, begun at a shell: what it asks and is answered, up to its end."""

    def __init__(self, host, user, way, *options, inside=None):
        self.host, self.user = host, user
        command, whose, self.service = WAYS[way]
        self.inside = inside or shell(host, user, *options)
        self.path = re.search(r"^/dev/pts/\d+", self.inside.run("tty")[1], re.MULTILINE)[0]
        self.since = self.at = self.inside.start(command)
        if whose:
            self.answer("Password: ", PASSWORDS[user if whose == "one's own" else whose])

    def answer(self, prompt, text, echo=False):
        heard = self.inside.terminal.wait_to_hear(prompt, 15, self.at)
        # polkit's agent throws away what is typed before the echo is off.
        if not echo:
            wait_until(lambda: " -echo " in self.host.run("stty", "-a", "-F", self.path).stdout, 5, "an answer is waited for")
        self.inside.terminal.send(text + "\r")
        self.at += heard.end()

    def has_run(self, by):
        status, said = self.inside.finish(self.since)
        self.inside.terminal.close()
        assert status == 0 and re.search(r"^root$", said, re.MULTILINE), said
        granted = self.host.journal(VIGIL_EVENT="step-up-granted", VIGIL_USER=self.user)
        assert [one["VIGIL_SERVICE"] for one in granted] == [self.service]
        assert f"proved by {by}" in granted[0]["MESSAGE"]
        return said


def test_the_password_once_more(host, user, way):
    host.policy(rule("[password]"))
    asked = Asked(host, user, way)
    asked.answer(f"Password for {user}: ", "wrong")
    asked.answer(f"not right[^$]*Password for {user}: ", PASSWORDS[user])
    asked.has_run("password")


def test_a_recovery_code(host, user, way):
    host.policy(rule("[recovery]"))
    enroll(host, user)
    code, *_ = recovery_codes(host, user)
    asked = Asked(host, user, way)
    asked.answer(f"Code for {user}: ", code)
    assert code not in asked.has_run("recovery")


def test_the_password_and_a_code(host, user, way):
    host.policy(rule("{all: [password, totp]}"))
    codes = enroll(host, user)
    asked = Asked(host, user, way)
    asked.answer(f"Password or code for {user}: ", codes.fresh())
    asked.answer(f"Password for {user}: ", PASSWORDS[user])
    asked.has_run("totp and password")


def test_another_persons_yes(host, user, way):
    host.policy(rule("[approval]"))
    approver = person(host, "security")
    asked = Asked(host, user, way)
    asked.answer("Reason for the approval: ", "the disk is full", echo=True)
    request = asked.inside.terminal.wait_to_hear(r"vigilctl approve ([0-9a-f]{8})", 15, asked.at)[1]
    assert "the disk is full" in host.ssh_run(approver, "vigilctl", "requests").stdout
    done = host.ssh_run(approver, "vigilctl", "approve", "--yes", request)
    assert done.returncode == 0, done
    asked.has_run("approval")


@pytest.mark.parametrize("kind", ["ed25519-sk", "ecdsa-sk"])
def test_a_touch_of_a_key_in_the_forwarded_agent(host, user, way, new_agent, kind):
    """polkit's helper has no agent of the person's: there the code is left."""
    host.policy(rule("[key, totp]"))
    codes = enroll(host, user)
    agent = new_agent(counter=1)
    key = agent.key(kind)
    enrolled(host, agent, key, user)
    asked = Asked(host, user, way, *forwarded(agent))
    if way == "polkit":
        asked.answer(f"Code for {user}: ", codes.fresh())
        asked.has_run("totp")
    else:
        assert f"Touch the security key {key.fingerprint} for {user}" in asked.has_run("key")


@pytest.mark.parametrize("way", [one for one in WAYS if one != "polkit"], indirect=True)
def test_a_touch_and_a_pin_of_a_key_in_an_agent_on_the_host(host, user, way):
    host.policy("version: 1\n")
    inside = shell(host, user)
    for command in ("export SSH_SK_PROVIDER=/usr/local/lib/security_key.so", "echo 1 >count", "export VIGIL_SK_COUNTER=~/count",
                    "export VIGIL_SK_FLAGS=5", "ssh-keygen -q -t ed25519-sk -N '' -f key",
                    "eval $(ssh-agent -P $SSH_SK_PROVIDER)", "ssh-add -S $SSH_SK_PROVIDER key",
                    "sudo --preserve-env=SSH_AUTH_SOCK vigilctl enroll key $USER"):
        status, said = inside.run(command)
        assert status == 0, said
    host.policy(rule("[key]") + "    key: verified\n")
    said = Asked(host, user, way, inside=inside).has_run("key")
    assert f"for {user}; Ctrl-C gives up" in said
