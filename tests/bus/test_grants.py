"""Whose proofs that still count are seen and revoked: one's own, and as an operator, which polkit says, everybody's."""

import os

import pytest

from daemon import DAEMON, NOBODY, eventually, login, refused
from one_time_code import ACCEPTED, QUESTION, enrolled

# A login that is remembered is a grant that needs no session of logind's.
POLICY = "version: 1\nsessions:\n  - {name: a code, login_factors: [totp], remember_source: 8h}\n"
ACTION = "org.vigil1.manage-grants"
REFUSED, NOT_FOUND, TOO_MANY = (f"org.vigil1.Error.{name}" for name in ("Denied", "NotFound", "TooMany"))
NOT_YOURS = REFUSED, "There is no such thing, or it is not yours."
LOGIN, ELSEWHERE = 2, "f" * 32


def granted(vigild, name="daemon", uid=DAEMON):
    """The id of a proof that counts from now on."""
    code, leader = enrolled(vigild, name), vigild.leader(uid)
    assert vigild.call("ProveLogin", "h" + QUESTION + "sssbay", 0, LOGIN, login(name, uid), "", "password", "totp", code.now(),
                       False, os.urandom(16), fds=[leader.pidfd], interface="org.vigil1.StepUp")[0] == ACCEPTED
    grant, = [one["id"] for one in vigild.call("Grants")[0] if one["user"] == name]
    return grant


def ids(grants):
    return [grant["id"] for grant in grants[0]]


def test_whom_polkit_lets_sees_and_revokes_everybodys(vigild, user, polkit):
    daemons, own = granted(vigild), granted(vigild, "nobody", NOBODY)
    assert ids(user.call("AllGrants")) == [daemons, own]
    assert ids(user.call("Grants")) == [own], "the others are asked for by name"
    assert user.call("Revoke", "s", daemons) == []
    assert ids(vigild.call("AllGrants")) == [own]
    assert [asked[:2] for asked in polkit.asked] == [("system-bus-name", ACTION)] * 2
    assert "by nobody" in vigild.words()
    assert refused(user.call, "Revoke", "s", ELSEWHERE)[0] == NOT_FOUND


@pytest.mark.parametrize("says", ["no", "nobody to ask", "given up", "error", "nonsense"])
def test_whom_it_does_not_let_learns_nothing(vigild, user, polkit, says):
    polkit.says = says
    daemons = granted(vigild)
    name, words = refused(user.call, "AllGrants")
    assert name == REFUSED and "polkit" in words
    assert {refused(user.call, "Revoke", "s", id_) for id_ in (daemons, ELSEWHERE, "no id")} == {NOT_YOURS}
    assert ids(vigild.call("Grants")) == [daemons]


def test_without_polkit_others_are_roots_and_ones_own_are_ones_own(vigild, user):
    daemons, own = granted(vigild), granted(vigild, "nobody", NOBODY)
    assert refused(user.call, "AllGrants")[0] == REFUSED
    assert refused(user.call, "Revoke", "s", daemons) == NOT_YOURS
    assert ids(user.call("Grants")) == [own] and user.call("Revoke", "s", own) == []
    assert vigild.call("Revoke", "s", daemons) == []


def test_a_slow_polkit_holds_nobody_up(vigild, broker, user, polkit):
    daemons, own = granted(vigild), granted(vigild, "nobody", NOBODY)
    polkit.says = "nothing"
    for member, arguments in (("AllGrants", ()), ("Revoke", ("s", daemons)), ("Revoke", ("s", ELSEWHERE))):
        user.send(member, *arguments)
    eventually(lambda: len(polkit.asked) == 3)
    assert refused(user.call, "AllGrants")[0] == TOO_MANY
    with broker.connect(NOBODY) as again:
        assert ids(again.call("Grants")) == [own] and again.call("Revoke", "s", own) == []
    assert ids(vigild.call("Grants")) == [daemons]


def test_a_grant_that_ends_while_polkit_is_asked_is_not_found(vigild, user, polkit):
    daemons = granted(vigild)
    polkit.meanwhile = lambda: vigild.call("Revoke", "s", daemons)
    assert refused(user.call, "Revoke", "s", daemons)[0] == NOT_FOUND
