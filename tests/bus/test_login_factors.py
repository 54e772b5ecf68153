"""The proof that a login needs, from the question to the reservation."""

import os
import signal

import pytest

from daemon import REFUSED, RESERVED, login, refused
from one_time_code import (ACCEPTED, ALLOWED, DENIED, NOT_APPLICABLE, NOT_NOW, PROVE, QUESTION, WRONG, enrolled)

POLICY = """version: 1
sessions:
  - name: robots
    match: {users: [daemon]}
    login_factors: none
  - name: a code
    login_factors: [totp]
    remember_source: 8h
"""
KEY = "SHA256:mNDM/UzAYfg40thIrMmezGB9Z9t+T3HZGdbUTfe3cLs"
LOGIN = 2


@pytest.fixture(name="host")
def host_fixture(vigild):
    vigild.write_policy(POLICY)
    return vigild.start()


def ask(host, leader, who=None, after=KEY):
    return host.call("AskLogin", "h" + QUESTION + "s", 0, LOGIN, who or login(), "", after, fds=[leader.pidfd],
                     interface="org.vigil1.StepUp")


def prove(host, leader, code, who=None, after=KEY, attempt=None):
    return host.call("ProveLogin", "h" + QUESTION + "sssbay", 0, LOGIN, who or login(), "", after, "totp", code, False,
                     attempt or os.urandom(16), fds=[leader.pidfd], interface="org.vigil1.StepUp")


def test_a_login_needs_its_proof(host):
    leader = host.leader()
    assert ask(host, leader)[0] == DENIED  # nothing to prove with
    code = enrolled(host, "nobody")
    verdict, text, factors, person, wait = ask(host, leader)
    assert (verdict, factors, person, wait) == (PROVE, ["totp"], "nobody", 0)
    assert text == 'rule "a code" asks for a proof at login'
    assert host.reserve(leader)[0] == REFUSED
    assert prove(host, leader, "000000")[0] == WRONG
    assert host.reserve(leader)[0] == REFUSED
    assert prove(host, leader, code.now())[0] == ACCEPTED
    assert host.reserve(host.leader())[0] == REFUSED  # another's
    assert host.reserve(leader)[0] == RESERVED
    host.confirm(leader)


def test_without_any_policy_who_was_asked_before_is_not_let_in_past_it(host):
    host.stop()
    host.write_policy("version: no\n")
    (host.state / "policy.last-good").unlink()
    host.start()
    verdict, why = host.reserve(host.leader())[:2]
    assert (verdict, why) == (REFUSED, "vigil has no policy it can read: see `vigilctl status`.")
    assert host.reserve(host.leader(), login("daemon", 1))[0] == RESERVED
    assert host.reserve(host.leader(), login("root", 0))[0] == RESERVED
    assert host.reserve(host.leader(), login(service="gdm-password"))[0] == RESERVED
    host.write_policy("version: 1\n")
    host.call("Reload")
    assert host.reserve(host.leader())[0] == RESERVED


def test_who_is_not_to_be_asked_is_let_in(host):
    leader, robot = host.leader(), login("daemon", 1)
    assert ask(host, leader, robot)[0] == NOT_APPLICABLE
    assert host.reserve(leader, robot)[0] == RESERVED


def test_a_hundred_logins_with_one_code(host):
    code = enrolled(host, "nobody").now()
    leaders = [host.leader() for _ in range(100)]
    clients = [host.connect() for _ in leaders]
    serials = [client.send("ProveLogin", "h" + QUESTION + "sssbay", 0, LOGIN, login(), "", KEY, "totp", code, False,
                           os.urandom(16), fds=[leader.pidfd], interface="org.vigil1.StepUp")
               for client, leader in zip(clients, leaders)]
    verdicts = [client.finish(serial)[0] for client, serial in zip(clients, serials)]
    assert verdicts.count(ACCEPTED) == 1
    for client in clients:
        client.socket.close()
    assert [host.reserve(leader)[0] for leader in leaders].count(RESERVED) == 1


def test_a_repeated_attempt_has_the_same_outcome(host):
    code, attempt, leader = enrolled(host, "nobody").now(), os.urandom(16), host.leader()
    for _ in range(3):
        assert prove(host, leader, code, attempt=attempt)[0] == ACCEPTED
    assert len(host.call("Grants")[0]) == 1
    assert prove(host, leader, code)[0] == WRONG


def test_a_source_is_remembered_across_a_kill_and_goes_with_the_factor(host):
    code = enrolled(host, "nobody")
    first = host.leader()
    assert prove(host, first, code.now())[0] == ACCEPTED
    host.restart(signal.SIGKILL)
    assert host.reserve(first)[0] == REFUSED  # it has to ask anew, and is not asked for anything
    assert ask(host, first)[0] == ALLOWED
    assert host.reserve(first)[0] == RESERVED
    second = host.leader()
    for who, after in [(login(remote="192.0.2.8"), KEY), (login(remote="a-name.example"), KEY), (login(remote=""), KEY),
                       (login(), "password"), (login(), "")]:
        assert ask(host, second, who, after)[0] == PROVE
    [grant] = host.call("Grants")[0]
    assert (grant["source"], grant["after"], grant["session"]) == ("192.0.2.7", KEY, "")
    host.call("Forget", "ss", code.id, "")
    enrolled(host, "nobody")
    assert ask(host, second)[0] == PROVE
    assert host.call("Grants")[0] == []
    host.restart(signal.SIGKILL)
    assert ask(host, second)[0] == PROVE


def test_wrong_codes_make_wait_as_any_others(host):
    enrolled(host, "nobody")
    leader = host.leader()
    for _ in range(10):
        last = prove(host, leader, "000000")
    assert last[0] == NOT_NOW and last[3] > 0
    assert ask(host, leader)[4] > 0
    host.restart(signal.SIGKILL)
    assert ask(host, leader)[4] > 0


@pytest.mark.parametrize("purpose, member, rest", [(0, "AskLogin", (KEY,)), (1, "AskLogin", (KEY,)), (LOGIN, "Ask", ()),
                                                  (LOGIN, "AskLogin", ("x" * 65,)), (3, "AskLogin", (KEY,))])
def test_a_question_has_the_method_of_its_kind(host, purpose, member, rest):
    leader = host.leader()
    name, _ = refused(host.call, member, "h" + QUESTION + "s" * len(rest), 0, purpose, login(), "", *rest, fds=[leader.pidfd],
                      interface="org.vigil1.StepUp")
    assert name == "org.vigil1.Error.Invalid"


def test_a_login_as_root_from_elsewhere_is_asked(host):
    code = enrolled(host, "root")
    leader, root = host.leader(), login("root", 0)
    assert ask(host, leader, root)[0] == PROVE
    assert host.reserve(leader, root)[0] == REFUSED
    assert prove(host, leader, code.now(), root)[0] == ACCEPTED
    assert host.reserve(leader, root)[0] == RESERVED
