"""Another person's yes over the bus: it is for the request that he saw, and for nothing else of it."""

import hashlib

import pytest

from daemon import DAEMON, NOBODY, refused
from one_time_code import QUESTION, request

INVALID = "org.vigil1.Error.Invalid"
POLICY = ("version: 1\nstep_up:\n"
          "  - {match: {services: [sudo]}, require: [approval], approvers: {users: [daemon]}}\n")
# All that is shown but the command and its times.
FIELDS = ("id", "user", "runner", "host", "service", "terminal", "run_as", "directory", "reason")


@pytest.fixture(name="broker")
def broker_fixture(make_broker, vigild):
    vigild.write_policy(POLICY)
    return make_broker("shipped", vigild)


@pytest.fixture(name="approver")
def approver_fixture(broker):
    with broker.connect(DAEMON) as approver:
        yield approver


@pytest.fixture(name="seen")
def seen_fixture(vigild, approver):
    """What an approver is shown of a request of nobody's."""
    sudo = vigild.leader(NOBODY)
    purpose, login, _ = request()
    command = b"/usr/bin/id", b"id", b"/usr/bin/id", [b"-u", b"a b"], False, True, False, b"/home"
    id_, why, _ = vigild.call("RequestCommand", "h" + QUESTION + "ayayayaaybbbay" + "s", 0, purpose, login, "root", *command,
                              "the disk is full", fds=[sudo.pidfd], interface="org.vigil1.StepUp")
    assert id_, why
    seen, = approver.call("Requests")[0]
    assert seen["id"] == id_ and seen["command"] == ["/usr/bin/id", "-u", "a b"] and seen["reason"] == "the disk is full"
    return seen


def digest(seen):
    """As request_methods.cpp has it, of what was shown; in other words than vigild's."""
    def counted(text):
        return b"%d:%s" % (len(text.encode()), text.encode())
    of_fields = b"".join(counted(seen[field]) for field in FIELDS)
    of_words = b"%d:" % len(seen["command"]) + b"".join(map(counted, seen["command"]))
    return hashlib.sha256(b"vigil request " + of_fields + of_words).hexdigest()


ALTERED = {
    **{field: lambda seen, field=field: {field: seen[field] + "x"} for field in FIELDS},
    "less of it": lambda seen: {"command": seen["command"][:-1]},
    "more of it": lambda seen: {"command": [*seen["command"], ""]},
    "words apart": lambda seen: {"command": ["/usr/bin/id", "-u", "a", "b"]},
    "words turned round": lambda seen: {"command": ["/usr/bin/id", "a b", "-u"]},
    "another program": lambda seen: {"command": ["/usr/bin/ip", *seen["command"][1:]]},
    "from one field to the next": lambda seen: {"run_as": "roo", "directory": "t/home"},
}


@pytest.mark.parametrize("what", ALTERED)
def test_a_yes_to_what_was_altered_is_none(approver, seen, what):
    altered = digest(seen | ALTERED[what](seen))
    name, words = refused(approver.call, "Approve", "ss", seen["id"], altered)
    assert name == INVALID and "look again" in words
    assert refused(approver.call, "Deny", "sss", seen["id"], altered, "no")[0] == INVALID
    assert approver.call("Approve", "ss", seen["id"], digest(seen)) == []


@pytest.mark.parametrize("other", ["", "0" * 64, "x" * 5000])
def test_a_yes_says_what_it_is_to(approver, seen, other):
    assert refused(approver.call, "Approve", "ss", seen["id"], other)[0] == INVALID
    assert approver.call("Approve", "ss", seen["id"], seen["digest"]) == []
