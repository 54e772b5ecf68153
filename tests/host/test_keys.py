"""Security keys through ssh agents: a forwarded one of whoever logs in, and one on the host, of its own release of OpenSSH."""

import re

import pytest
from agents import MIDDLEWARE, enrolled, forwarded
from people import enroll, let_sshd_take_all, one_line, person, shell

TOUCH = "Touch the security key:"


@pytest.fixture(scope="module", autouse=True)
def rule(host):
    host.run("groupadd", "nopasswd")
    let_sshd_take_all(host)
    host.write("/etc/sudoers.d/tests", "%nopasswd ALL=(ALL:ALL) NOPASSWD: SETENV: ALL\n", "0440")
    host.put(MIDDLEWARE, "/usr/local/lib/security_key.so")


@pytest.fixture
def user(host):
    return person(host, "nopasswd")


def keys_of(host, user):
    return [one["name"] for one in host.vigilctl("factors", user, "--json") if one["kind"] == "key" and one["active"]]


@pytest.mark.parametrize("kind", ["ed25519-sk", "ecdsa-sk"])
def test_an_operator_enrols_a_key_of_his_agents_for_a_user_lists_and_forgets_it(host, user, new_agent, kind):
    agent = new_agent(counter=1)
    key = agent.key(kind, "on \x1b[31mmy\u202e ring")
    terminal = host.ssh("root", "-t", *forwarded(agent), command=["vigilctl", "enroll", "key", user])
    terminal.wait_to_hear(TOUCH, 15)
    terminal.wait_to_hear("Active: ", 15)
    assert terminal.wait_closed() == 0
    print(terminal.said())
    assert key.fingerprint in terminal.said() and "\\x1b[31mmy" in terminal.said()
    listed, = host.vigilctl("factors", user, "--json")
    assert (listed["kind"], listed["name"], listed["active"]) == ("key", key.fingerprint, True)
    assert "key" in host.vigilctl("factors", user).stdout
    assert host.vigilctl("forget", listed["id"]).returncode == 0
    assert host.vigilctl("factors", user, "--json") == []


def test_a_user_adds_another_by_a_touch_of_the_one_he_has(host, user, new_agent):
    agent = new_agent(counter=1)
    first, second = agent.key(), agent.key("ecdsa-sk")
    without = host.ssh_run(user, "vigilctl", "enroll", "key", "--key", first.fingerprint, options=forwarded(agent))
    assert without.returncode == 1 and "administrator" in one_line(without.stderr, "vigilctl:")
    enrolled(host, agent, first, user)
    terminal = host.ssh(user, "-t", *forwarded(agent), command=["vigilctl", "enroll", "key", "--name", "blue"])
    terminal.wait_to_hear(r"2  SHA256:", 15)
    terminal.wait_to_hear(r"Which one\? \[1-2\]", 5)
    terminal.send("2\r")
    terminal.wait_to_hear("Touch the security key that you have already: " + first.fingerprint.replace("+", r"\+"), 10)
    terminal.wait_to_hear("Active: " + second.fingerprint.replace("+", r"\+"), 10)
    assert terminal.wait_closed() == 0
    assert keys_of(host, user) == [first.fingerprint, "blue"]
    # A device for codes, too; its own code is asked for behind the touch.
    more = host.ssh_run(user, "vigilctl", "enroll", "totp", options=forwarded(agent))
    assert "Touch the security key that you have already" in more.stderr and "otpauth://" in more.stdout


def test_a_key_of_another_agent_proves_nothing(host, user, new_agent):
    hers, his = new_agent(), new_agent()
    first, other = hers.key(), his.key()
    enrolled(host, hers, first, user)
    done = host.ssh_run(user, "vigilctl", "enroll", "key", "--key", other.fingerprint, options=forwarded(his))
    assert done.returncode == 1 and "none of the security keys that count" in done.stderr, done
    # Nor is what another agent has chosen by its fingerprint.
    done = host.ssh_run("root", "vigilctl", "enroll", "key", "--key", first.fingerprint, user, options=forwarded(his))
    assert done.returncode == 1 and "no security key" in one_line(done.stderr, "vigilctl:")
    assert keys_of(host, user) == [first.fingerprint]


def test_plain_keys_are_not_taken_and_it_is_said_why(host, user, new_agent):
    agent = new_agent()
    agent.key("ed25519")
    agent.key("rsa")
    done = host.ssh_run("root", "vigilctl", "enroll", "key", user, options=forwarded(agent))
    assert done.returncode == 1 and "the 2 that it has are plain" in one_line(done.stderr, "vigilctl:")
    assert host.vigilctl("factors", user, "--json") == []


def test_without_an_agent_or_a_key_that_is_said(host, user, new_agent):
    agent = new_agent()
    done = host.ssh_run("root", "vigilctl", "enroll", "key", user, options=forwarded(agent))
    assert done.returncode == 1 and "has no key of a security key" in one_line(done.stderr, "vigilctl:")
    agent.key()
    agent.key()
    done = host.ssh_run("root", "vigilctl", "enroll", "key", user, options=forwarded(agent))
    assert done.returncode == 1 and "say which with --key" in one_line(done.stderr, "vigilctl:")
    for options, words in (([], "SSH_AUTH_SOCK is not set"), (["SSH_AUTH_SOCK=/nowhere/agent"], "where SSH_AUTH_SOCK says"),
                           (["SSH_AUTH_SOCK=/run/vigil/bus"], "did not answer in time")):
        done = host.ssh_run("root", "env", *options, "vigilctl", "enroll", "key", user)
        assert done.returncode == 1
        one_line(done.stderr, words)
    assert host.vigilctl("factors", user, "--json") == []


@pytest.mark.parametrize("flags", [0, 4])
def test_a_key_that_signs_untouched_is_refused(host, user, new_agent, flags):
    agent = new_agent(flags=flags)
    agent.key()
    done = host.ssh_run("root", "vigilctl", "enroll", "key", user, options=forwarded(agent))
    assert done.returncode == 1 and "without being touched" in one_line(done.stderr, "vigilctl: the key")
    assert keys_of(host, user) == []


def test_roots_vigilctl_goes_to_nobodys_agent_but_his_whose_login_it_is(host, user, new_agent):
    """The agent's folder is closed to others: with a capability left, or as the wrong person, root's vigilctl would get in
    or would not."""
    inside = shell(host, user)
    for command in ("export SSH_SK_PROVIDER=/usr/local/lib/security_key.so",
                    "ssh-keygen -q -t ed25519-sk -N '' -f key", "eval $(ssh-agent -P $SSH_SK_PROVIDER)",
                    "ssh-add -S $SSH_SK_PROVIDER key"):
        assert inside.run(command)[0] == 0
    status, said = inside.run("sudo --preserve-env=SSH_AUTH_SOCK vigilctl enroll key $USER")
    assert status == 0, said
    fingerprint = re.search(r"SHA256:\S+", inside.run("ssh-keygen -l -f key.pub")[1])[0]
    assert keys_of(host, user) == [fingerprint]
    socket = re.search(r"/tmp/ssh-\w+/agent\.\d+|/home/\S+agent\S+", inside.run("env | grep SSH_AUTH")[1])[0]
    done = host.ssh_run("root", "env", f"SSH_AUTH_SOCK={socket}", "vigilctl", "enroll", "key", user)
    assert done.returncode == 1 and "does not let you" in one_line(done.stderr, "vigilctl:")
    inside.run("ssh-agent -k")


def test_who_has_codes_adds_a_key_by_one(host, user, new_agent):
    codes = enroll(host, user)
    agent = new_agent()
    key = agent.key()
    terminal = host.ssh(user, "-t", *forwarded(agent), command=["vigilctl", "enroll", "key"])
    terminal.wait_to_hear("Code of a device that you have already: ", 10)
    terminal.send(codes.fresh() + "\r")
    terminal.wait_to_hear("Active: ", 10)
    assert terminal.wait_closed() == 0
    assert keys_of(host, user) == [key.fingerprint]
