"""More than a code: the password once more, two proofs one after the other, a touch of a security key in a forwarded agent."""

import re

import pytest
from agents import MIDDLEWARE, enrolled, forwarded
from people import enroll, let_sshd_take_all, one_line, person, shell
from vigilhost import PASSWORDS

POLICY = """\
version: 1
step_up:
  - match: {services: [sudo], commands: [/usr/bin/id]}
    require: {all: [password, totp]}
    valid_for: 10m
  - match: {services: [sudo], commands: [/usr/bin/whoami]}
    require: [password]
  - match: {services: [sudo], commands: [/usr/bin/tty]}
    require: [recovery, {all: [password, totp]}]
  - match: {services: [sudo], commands: [/usr/bin/uname]}
    require: [key]
    key: verified
  - match: {services: [sudo], commands: [/usr/bin/hostname]}
    require: [key, totp]
  - match: {services: [sudo, su], run_as: [root]}
    require: [key]
"""


@pytest.fixture(scope="module", autouse=True)
def plugin(host):
    let_sshd_take_all(host)
    host.run("groupadd", "nopasswd")
    host.write("/etc/sudoers.d/tests", "%nopasswd ALL=(ALL:ALL) NOPASSWD: ALL\n", "0440")
    host.put(MIDDLEWARE, "/usr/local/lib/security_key.so")
    host.run("echo 'Plugin vigil_approval vigil_approval.so' >>/etc/sudo.conf")
    host.run("chpasswd", input="root:root-pass-1\n")
    host.policy(POLICY)


@pytest.fixture
def user(host):
    return person(host, "nopasswd")


@pytest.fixture
def inside(host, user):
    opened = shell(host, user)
    yield opened
    opened.terminal.close()


def with_agent(host, user, agent):
    return shell(host, user, *forwarded(agent))


def says(inside, since, prompt, answer):
    heard = inside.terminal.wait_to_hear(prompt, 15, since)
    inside.terminal.send(answer + "\r")
    return since + heard.end()


def test_the_password_is_asked_for_once_more_whatever_sudo_says(user, inside):
    since = inside.start("sudo whoami")
    at = says(inside, since, f"Password for {user}: ", "wrong")
    at = says(inside, at, f"That password is not right.[^$]*Password for {user}: ", PASSWORDS[user])
    status, said = inside.finish(since)
    assert status == 0 and re.search(r"^root$", said, re.MULTILINE)
    assert PASSWORDS[user] not in said


def test_both_are_asked_for_one_after_the_other_and_the_proof_of_both_stands(host, user, inside):
    codes = enroll(host, user)
    since = inside.start("sudo id -u")
    at = says(inside, since, f"Password or code for {user}: ", PASSWORDS[user])
    says(inside, at, f"Code for {user}: ", codes.fresh())
    status, said = inside.finish(since)
    assert status == 0 and re.search(r"^0$", said, re.MULTILINE)
    assert inside.run("sudo id -u")[0] == 0, "no question"
    granted = host.journal(VIGIL_EVENT="step-up-granted", VIGIL_USER=user)
    assert "proved by password and totp" in granted[-1]["MESSAGE"]


def test_half_of_it_is_good_for_nothing(host, user, inside):
    codes = enroll(host, user)
    since = inside.start("sudo id -u")
    at = says(inside, since, f"Password or code for {user}: ", codes.fresh())
    inside.terminal.wait_to_hear(f"Password for {user}: ", 10, at)
    inside.give_up(at)
    assert inside.finish(since)[0] != 0
    since = inside.start("sudo id -u")
    inside.terminal.wait_to_hear(f"Password or code for {user}: ", 10, since)
    inside.give_up(since)
    assert inside.finish(since)[0] != 0
    assert not host.journal(VIGIL_EVENT="step-up-granted", VIGIL_USER=user)


def test_who_has_no_code_is_told_so_where_only_all_would_do(user, inside):
    status, said = inside.run("sudo id -u")
    assert status == 1 and f"No one-time code is enrolled for {user}" in one_line(said, "vigil")


def test_a_touch_of_a_key_in_the_forwarded_agent_is_enough(host, user, new_agent):
    agent = new_agent(counter=1)
    key = agent.key()
    agent.key("ecdsa-sk")  # another, which counts for nothing
    enrolled(host, agent, key, user)
    inside = with_agent(host, user, agent)
    status, said = inside.run("sudo date +%Y")
    assert status == 0 and f"Touch the security key {key.fingerprint} for {user}" in said
    status, said = inside.run("sudo hostname")
    assert status == 0 and "Touch the security key" in said and "Code" not in said
    inside.terminal.close()
    assert "proved by key" in host.journal(VIGIL_EVENT="step-up-granted", VIGIL_USER=user)[-1]["MESSAGE"]


def test_su_takes_a_touch_by_the_module(host, user, new_agent):
    agent = new_agent(counter=1)
    key = agent.key("ecdsa-sk")
    enrolled(host, agent, key, user)
    inside = with_agent(host, user, agent)
    since = inside.start("su -c 'id -u'")
    says(inside, since, "Password: ", "root-pass-1")
    status, said = inside.finish(since)
    inside.terminal.close()
    assert status == 0 and f"Touch the security key {key.fingerprint}" in said and re.search(r"^0$", said, re.MULTILINE)


def test_without_the_key_the_other_ways_are_left_and_told_where_there_are_none(host, user, inside, new_agent):
    agent = new_agent(counter=1)
    enrolled(host, agent, agent.key(), user)
    codes = enroll(host, user)
    enrolled(host, agent, agent.key(), user)  # the codes came in place of the first
    assert inside.run("sudo hostname", codes.fresh())[0] == 0
    status, said = inside.run("sudo date")
    assert status == 1 and "There is no ssh agent" in one_line(said, "^vigil: rule") and "`ssh -A`" in one_line(said, "^vigil: rule")
    without = new_agent(counter=1)
    without.key()
    other = with_agent(host, user, without)
    status, said = other.run("sudo date")
    assert status == 1 and f"No security key of {user} is in the ssh agent: " in one_line(said, "^vigil: rule")
    assert "`ssh-add`" in one_line(said, "^vigil: rule")
    other.terminal.close()


@pytest.mark.parametrize("flags, word", [(0, "The security key was not touched."), (1, "A key with a PIN is asked for here")])
def test_what_the_key_does_not_say_is_not_taken(host, user, new_agent, flags, word):
    right = new_agent(counter=1, flags=5)
    key = right.key()
    enrolled(host, right, key, user)
    inside = with_agent(host, user, right)
    assert inside.run("sudo uname")[0] == 0
    inside.terminal.close()
    # The same key, which now says less.
    other = new_agent(counter=100, flags=flags)
    other.run("ssh-add", "-q", "-S", str(MIDDLEWARE), str(key.file))
    inside = with_agent(host, user, other)
    status, said = inside.run("sudo uname")
    inside.terminal.close()
    assert status == 1 and "Linux" not in said and word in said


@pytest.mark.parametrize("kind", ["ed25519-sk", "ecdsa-sk"])
def test_a_key_with_a_pin_signs_where_its_owner_types_it(host, user, new_agent, kind):
    """ssh-agent asks for it by SSH_ASKPASS, where the key is, and vigil hears of it by the signature alone."""
    agent = new_agent(counter=1, pin="2468")
    key, other = (agent.key(kind, None, "-O", "verify-required") for _ in range(2))
    enrolled(host, agent, key, user)
    before = len(agent.asked())
    inside = with_agent(host, user, agent)
    status, said = inside.run("sudo uname")
    assert status == 0 and "Linux" in said
    asked = agent.asked()[before:]
    assert len(asked) == 1 and key.fingerprint in asked[0] and "2468" not in said
    agent.types("1357")
    status, said = inside.run("sudo uname")
    assert status == 1 and "Linux" not in said and "its PIN was not right or not typed" in one_line(said, "^vigil")
    assert len(agent.asked()) == before + 2
    done = host.ssh_run("root", "vigilctl", "enroll", "key", "--key", other.fingerprint, user, options=forwarded(agent))
    assert done.returncode == 1 and "its PIN was not right or not typed" in one_line(done.stderr, "^vigilctl:")
    # Where there is another way, that is said before it is asked for.
    codes = enroll(host, user)
    agent.types("2468")
    enrolled(host, agent, other, user)
    agent.types("")
    status, said = inside.run("sudo hostname", codes.fresh())
    assert status == 0 and said.index("its PIN was not right or not typed") < said.index("Code for")
    inside.terminal.close()


def test_a_signature_by_an_agent_that_is_not_there_any_more_holds_nobody(host, user, new_agent):
    agent = new_agent(counter=1)
    enrolled(host, agent, agent.key(), user)
    inside = with_agent(host, user, agent)
    inside.run("export SSH_AUTH_SOCK=/tmp/none-$$")
    status, said = inside.run("sudo date")
    inside.terminal.close()
    assert status == 1 and "There is no ssh agent" in one_line(said, "vigil: rule")
