"""Security keys that nobody touches and agents that hang: Ctrl-C gives the prompt back, a deadline ends it, and nobody else waits."""

import re
import time

import pytest
from agents import enrolled, forwarded
from people import SHELL, let_sshd_take_all, one_line, person, shell
from vigilhost import wait_until

POLICY = """\
version: 1
step_up:
  - match: {users: [%s]}
    require: none
  - match: {services: [sudo, su], run_as: [root]}
    require: [key]
"""
PLUGIN = "Plugin vigil_approval vigil_approval.so\n"
WAYS = {"sudo, by PAM": "sudo id -u", "sudo, by its plugin": "sudo id -u", "su": "su -c 'id -u'"}
# As ARCHITECTURE.md has them, and what a command takes of its own.
LIST, TOUCH, OWN = 5, 30, 4


@pytest.fixture(scope="module", autouse=True)
def rules(host):
    let_sshd_take_all(host)
    host.run("groupadd", "nopasswd")
    host.write("/etc/sudoers.d/tests", "%nopasswd ALL=(ALL:ALL) NOPASSWD: ALL\n", "0440")
    host.run("chpasswd", input="root:root-pass-1\n")


@pytest.fixture(params=WAYS)
def way(host, request):
    host.write("/etc/sudo.conf", PLUGIN if "plugin" in request.param else "")
    yield request.param
    host.run("rm", "/etc/sudo.conf")


@pytest.fixture
def other(host):
    """Who is asked for nothing."""
    name = person(host, "nopasswd")
    host.policy(POLICY % name)
    return name


@pytest.fixture
def agent(new_agent):
    return new_agent(counter=1)


@pytest.fixture
def inside(host, other, agent):  # noqa: ARG001
    name = person(host, "nopasswd")
    enrolled(host, agent, agent.key(), name)
    opened = shell(host, name, *forwarded(agent))
    opened.user = name
    yield opened
    opened.terminal.close()


def started(inside, way):
    """Up to what vigil asks for; (since when the command's words count, when vigil begins to ask)."""
    since = inside.start(WAYS[way])
    if way == "su":
        inside.terminal.wait_to_hear("Password: ", 15, since)
        inside.terminal.send("root-pass-1\r")
    return since, time.monotonic()


def waits_for_a_touch(inside, agent, way):
    agent.leave()
    since, began = started(inside, way)
    inside.terminal.wait_to_hear("Touch the security key", 15, since)
    wait_until(agent.waits, 5, "the key waits to be touched")
    return since, began


def is_root(result):
    return result[0] == 0 and re.search("^0$", result[1], re.MULTILINE)


def works(inside, agent, way):
    agent.touch()
    since, _ = started(inside, way)
    return is_root(inside.finish(since))


def is_served(host, other):
    began = time.monotonic()
    done = host.ssh_run(other, "sudo id -u")
    return done.stdout == "0\n" and time.monotonic() - began < 5


def test_ctrl_c_gives_the_prompt_back_at_once_and_nobody_else_waits(host, inside, agent, other, way):
    since, _ = waits_for_a_touch(inside, agent, way)
    assert is_served(host, other)
    began = time.monotonic()
    inside.terminal.key("ctrl-c")
    inside.terminal.wait_to_hear(SHELL, 5, since)
    assert time.monotonic() - began < 2
    wait_until(lambda: not host.pids("-x", "sudo|su"), 5, "nothing is left of it")
    # It comes too late for what was given up.
    agent.touch()
    assert works(inside, agent, way)
    assert len(host.journal(VIGIL_EVENT="step-up-granted", VIGIL_USER=inside.user)) == 1


def test_a_key_that_nobody_touches_ends_it_in_time(host, inside, agent, other, way):
    since, began = waits_for_a_touch(inside, agent, way)
    assert is_served(host, other)
    status, said = inside.finish(since, TOUCH + OWN)
    assert TOUCH - OWN < time.monotonic() - began < TOUCH + OWN
    assert status == 1 and not re.search("^0$", said, re.MULTILINE)
    print(said)
    assert f"Nobody touched the security key in {TOUCH} s." in one_line(said, "^vigil: ")
    assert works(inside, agent, way)


@pytest.fixture
def still(inside):
    """An agent on the host stands still, in the place of the forwarded one: its socket."""
    status, said = inside.run('forwarded=$SSH_AUTH_SOCK; eval "$(ssh-agent)"; kill -STOP $SSH_AGENT_PID; echo "at $SSH_AUTH_SOCK"')
    assert status == 0
    yield re.search(r"^at (/\S+)", said, re.MULTILINE)[1]
    inside.run("kill -CONT $SSH_AGENT_PID; ssh-agent -k")


def test_an_agent_that_stands_still_ends_it_in_time(host, inside, agent, other, way, still):  # noqa: ARG001
    since, began = started(inside, way)
    assert is_served(host, other)
    status, said = inside.finish(since, LIST + OWN)
    assert LIST - 1 < time.monotonic() - began < LIST + OWN
    print(said)
    assert status == 1 and f"The ssh agent did not answer in {LIST} s." in one_line(said, "^vigil: ")
    inside.run("export SSH_AUTH_SOCK=$forwarded")
    assert works(inside, agent, way)


def test_ctrl_c_at_an_agent_that_stands_still(host, inside, agent, way, still):
    since, _ = started(inside, way)
    # The other end of each connection has the name too, also before it is accepted.
    wait_until(lambda: host.run("grep", "-c", f" {still}$", "/proc/net/unix").stdout == "2\n", 10, "the agent is asked")
    began = time.monotonic()
    inside.terminal.key("ctrl-c")
    inside.terminal.wait_to_hear(SHELL, 5, since)
    assert time.monotonic() - began < 2
    inside.run("export SSH_AUTH_SOCK=$forwarded")
    assert works(inside, agent, way)


def test_a_forwarded_agent_that_stands_still_ends_it_in_time(host, inside, agent, other, way):
    """ssh itself waits for it, so that nothing is seen at the terminal meanwhile."""
    with agent.stopped():
        since, began = started(inside, way)
        wait_until(lambda: host.pids("-x", "sudo|su"), 5, "it runs")
        assert is_served(host, other)
        wait_until(lambda: not host.pids("-x", "sudo|su"), LIST + OWN, "it is over")
        assert time.monotonic() - began < LIST + OWN
    status, said = inside.finish(since)
    assert status == 1 and f"The ssh agent did not answer in {LIST} s." in one_line(said, "^vigil: ")
    assert works(inside, agent, way)


def test_a_connection_that_drops_takes_with_it_what_waits(host, inside, agent, other, way):
    waits_for_a_touch(inside, agent, way)
    inside.terminal.close()
    wait_until(lambda: not host.pids("-x", "sudo|su"), 10, "nothing is left of it")
    wait_until(lambda: not host.vigil_sessions(user=inside.user), 10, "the session is over")
    assert is_served(host, other)
    agent.touch()
    again = shell(host, inside.user, *forwarded(agent))
    assert works(again, agent, way)
    again.terminal.close()
    assert len(host.journal(VIGIL_EVENT="step-up-granted", VIGIL_USER=inside.user)) == 1
