"""Who may change somebody's factors: by a password at the first time, by a ticket, by a factor he has, and as an operator."""

import contextlib
import re
import signal
import sqlite3

import pytest

from daemon import DAEMON, NOBODY, eventually, login, refused
from one_time_code import ALLOWED, DENIED, NOT_NOW, PROVE, WRONG, Code, ask, enrolled

INVALID = "org.vigil1.Error.Invalid"
REFUSED, TOO_MANY = "org.vigil1.Error.Denied", "org.vigil1.Error.TooMany"
RULE = "  - {match: {services: [sudo, polkit-1]}, require: [totp]}\n"
POLICY = f"version: 1\nstep_up:\n{RULE}"
FIRST, MANAGE = "org.vigil1.enroll-first", "org.vigil1.manage-factors"
ENROLL = "EnrollTotp", "ssss", "", "phone", "totp"
MOST_FACTORS = 8
TICKET = re.compile(r"(?:[0-9a-hjkmnp-tv-z]{5}-){3}[0-9a-hjkmnp-tv-z]{5}")


@pytest.fixture(name="sudo")
def sudo_fixture(vigild):
    return vigild.leader(NOBODY)


def asker(service):
    return 0, login("nobody", NOBODY, service=service, terminal="pts/0", remote=""), ""


# The first time

def test_the_first_is_enrolled_by_the_password(vigild, user, polkit):
    code = enrolled(vigild, "nobody", call=user.call)
    assert [asked[:2] for asked in polkit.asked] == [("system-bus-name", FIRST)]
    assert code.id in vigild.call("Factors", "s", "nobody")[0][0]
    # The second by the first, and polkit is not asked.
    assert "of a device that you have" in refused(user.call, *ENROLL, "")[1]
    assert user.call(*ENROLL, code.now())[0]
    assert len(polkit.asked) == 1


def test_so_is_a_security_key(user, polkit):
    assert len(user.call("EnrollKey", "sss", "", "", "")) == 4
    assert [asked[1] for asked in polkit.asked] == [FIRST]
    assert "no factor" in refused(user.call, "RenewRecoveryCodes", "ss", "", "")[1]
    assert len(polkit.asked) == 1, "a password does for a first factor alone"


@pytest.mark.parametrize("says, words", [
    ("no", "not the password"), ("nobody to ask", "at a terminal"), ("given up", "No password was given"),
    ("error", "polkit does not answer"), ("nonsense", "not the password")])
def test_whatever_polkit_says_but_yes_enrols_nothing_and_is_told_in_a_line(vigild, user, polkit, says, words):
    polkit.says = says
    name, text = refused(user.call, *ENROLL, "")
    assert name == REFUSED and words in text and "\n" not in text
    assert vigild.call("Factors", "s", "nobody") == [[]]


def test_without_polkit_a_line_says_what_else_there_is(user):
    name, text = refused(user.call, *ENROLL, "")
    assert name == REFUSED and "polkit does not answer" in text and "--ticket" in text


def test_who_had_a_factor_is_not_asked_for_a_password(vigild, user, polkit):
    code = enrolled(vigild, "nobody")
    vigild.call("Forget", "ss", code.id, "")
    for _ in range(2):
        name, text = refused(user.call, *ENROLL, "")
        assert name == REFUSED and "enroll ticket nobody" in text
        vigild.restart(signal.SIGKILL)
        eventually(lambda: "org.vigil1" in str(refused(user.call, *ENROLL, "")[0]))
    assert polkit.asked == []


def test_who_enrols_meanwhile_needs_more_than_the_password(vigild, user, polkit):
    polkit.meanwhile = lambda: enrolled(vigild, "nobody")
    assert refused(user.call, *ENROLL, "")[0] == REFUSED
    assert len(vigild.call("Factors", "s", "nobody")[0]) == 1


def test_polkit_that_is_silent_is_asked_so_often_and_holds_nobody_else_up(vigild, broker, user, polkit):
    polkit.says = "nothing"
    waiting = [user.send(*ENROLL, "") for _ in range(3)]
    eventually(lambda: len(polkit.asked) == 3)
    assert refused(user.call, *ENROLL, "")[0] == TOO_MANY
    vigild.answers_logins()
    with broker.connect(DAEMON) as other:
        other.send(*ENROLL, "")
        eventually(lambda: len(polkit.asked) == 4)
    assert len(waiting) == 3 and vigild.call("Factors", "s", "") == [[]]


def test_a_broker_that_ends_takes_the_question_along(vigild, broker, user, polkit):
    polkit.says = "nothing"
    user.send(*ENROLL, "")
    assert polkit.came.wait(10)
    broker.process.kill()
    broker.process.wait()
    vigild.answers_logins()
    assert vigild.call("Factors", "s", "") == [[]]


def test_polkits_own_helper_is_let_through_once_for_it(vigild, user, polkit):
    """The stack by which polkit asks for the password has vigil in it."""
    helper, verdicts = vigild.leader(NOBODY), []
    assert ask(vigild, helper, asker("polkit-1"))[0] == DENIED
    polkit.meanwhile = lambda: verdicts.extend(
        [ask(vigild, helper, asker("sudo"))[0], ask(vigild, helper, asker("polkit-1"))[0], ask(vigild, helper, asker("polkit-1"))[0]])
    user.call(*ENROLL, "")
    assert verdicts == [DENIED, ALLOWED, DENIED]
    assert ask(vigild, helper, asker("polkit-1"))[0] == DENIED


# Tickets

def test_a_ticket_enrols_once_and_is_in_no_word(vigild, user, polkit):
    ticket, = vigild.call("MakeTicket", "st", "nobody", 3600)
    assert TICKET.fullmatch(ticket)
    assert user.call(*ENROLL, ticket.upper().replace("-", ""))[0]
    name, text = refused(user.call, *ENROLL, ticket)
    assert name == REFUSED and "no ticket of yours" in text
    assert polkit.asked == []
    assert ticket not in vigild.words() and "used" in vigild.words() and "for 1 h, by root" in vigild.words()


@pytest.mark.parametrize("words", [("x" * 65, "totp"), ("phone", "totp-9")], ids=["name", "kind"])
def test_a_ticket_is_not_spent_on_what_cannot_be(vigild, user, words):
    ticket, = vigild.call("MakeTicket", "st", "nobody", 3600)
    assert refused(user.call, "EnrollTotp", "ssss", "", *words, ticket)[0] == INVALID
    assert user.call(*ENROLL, ticket)[0]


def test_nor_is_a_recovery_code_where_there_is_no_room(vigild, user):
    codes = vigild.call("RenewRecoveryCodes", "ss", "nobody", "")[0].splitlines()
    for _ in range(MOST_FACTORS - 1):
        enrolled(vigild, "nobody")
    assert refused(user.call, *ENROLL, codes[0])[0] == TOO_MANY
    # New codes need none: they take the place of these.
    new = user.call("RenewRecoveryCodes", "ss", "", codes[0])[0].splitlines()
    assert len(new) == 10


def test_a_ticket_outlives_a_kill_and_is_its_owners(vigild, broker, user):
    ticket, = vigild.call("MakeTicket", "st", "nobody", 3600)
    vigild.restart(signal.SIGKILL)
    eventually(broker.owned)
    with broker.connect(DAEMON) as other:
        assert refused(other.call, *ENROLL, ticket)[0] == REFUSED
    assert user.call(*ENROLL, ticket)[0]


def test_a_ticket_does_in_place_of_a_factor_that_is_lost(vigild, user):
    enrolled(vigild, "nobody")
    ticket, = vigild.call("MakeTicket", "st", "nobody", 3600)
    assert user.call(*ENROLL, ticket)[0]


def test_wrong_tickets_have_to_wait_and_are_an_alert(vigild, user):
    ticket, = vigild.call("MakeTicket", "st", "nobody", 3600)
    for _ in range(5):
        assert refused(user.call, *ENROLL, "00000-00000-00000-00000")[0] == REFUSED
    assert "Too many wrong answers" in refused(user.call, *ENROLL, ticket)[1]
    assert "5 wrong codes in a row" in vigild.words()


def test_a_ticket_that_nobody_used_is_told_once(vigild):
    vigild.start()
    vigild.call("MakeTicket", "st", "nobody", 3600)
    vigild.stop()
    with contextlib.closing(sqlite3.connect(vigild.state / "factors.db")) as database, database:
        database.execute("UPDATE ticket SET expires = made")
    vigild.start()
    assert vigild.words().count("nobody: never used; it was made by root") == 1
    vigild.restart()
    assert vigild.words().count("never used") == 1


# Operators

def test_polkit_says_who_is_an_operator(vigild, user, polkit):
    ticket, = user.call("MakeTicket", "st", "daemon", 3600)
    assert TICKET.fullmatch(ticket)
    id_, _, secret = user.call("EnrollTotp", "ssss", "daemon", "phone", "totp", "")
    assert vigild.call("EnrollFinish", "ss", id_, Code(secret).now(-1)) == []
    assert user.call("Forget", "ss", id_, "") == []
    assert [asked[:2] for asked in polkit.asked] == [("system-bus-name", MANAGE)] * 3
    assert "by nobody" in vigild.words()


@pytest.mark.parametrize("says", ["no", "nobody to ask", "given up", "error"])
def test_who_is_none_learns_nothing(vigild, user, polkit, says):
    polkit.says = says
    there = enrolled(vigild, "daemon").id
    lines = {refused(user.call, "Forget", "ss", id_, "") for id_ in (there, "f" * 16)}
    lines |= {refused(user.call, "EnrollTotp", "ssss", whose, "phone", "totp", "") for whose in ("daemon", "no-such-user")}
    lines |= {refused(user.call, "MakeTicket", "st", whose, 3600) for whose in ("daemon", "no-such-user", "nobody")}
    assert lines == {(REFUSED, "There is no such thing, or it is not yours.")}


# Forgetting

def test_ones_own_are_forgotten_by_a_proof_but_for_the_last(vigild, user, polkit):
    polkit.says = "no"
    first, second = enrolled(vigild, "nobody"), enrolled(vigild, "nobody")
    assert refused(user.call, "Forget", "ss", first.id, "")[0] == REFUSED
    assert refused(user.call, "Forget", "ss", first.id, "000000")[0] == REFUSED
    assert user.call("Forget", "ss", first.id, second.now()) == []
    name, text = refused(user.call, "Forget", "ss", second.id, second.now(1))
    assert name == REFUSED and "the last factor" in text and second.id in text
    assert [asked[1] for asked in polkit.asked] == [MANAGE]
    polkit.says = "yes"
    assert user.call("Forget", "ss", second.id, "") == []
    assert vigild.call("Factors", "s", "nobody") == [[]]


def test_a_recovery_code_proves_who_has_lost_his_device(vigild, user):
    enrolled(vigild, "nobody")
    codes = vigild.call("RenewRecoveryCodes", "ss", "nobody", "")[0].splitlines()
    assert user.call(*ENROLL, codes[0])[0]
    assert refused(user.call, *ENROLL, codes[0])[0] == REFUSED


# Time to enrol

def test_there_is_time_to_enrol_and_then_there_is_none(vigild, sudo):
    vigild.write_policy("version: 1\nstep_up:\n  - {match: {services: [sudo]}, require: [totp], enroll_within: 1h}\n")
    vigild.start()
    verdict, text, factors, _, _ = ask(vigild, sudo)
    assert verdict == ALLOWED and factors == ["totp"] and "vigilctl enroll totp" in text
    vigild.restart(signal.SIGKILL)
    again = ask(vigild, sudo)
    assert again[0] == ALLOWED and again[1][:30] == text[:30]
    code = enrolled(vigild, "nobody")
    assert ask(vigild, sudo)[0] == PROVE
    vigild.call("Forget", "ss", code.id, "")
    assert ask(vigild, sudo)[0] == DENIED, "forgetting gives no time"


def test_time_runs_out(vigild, sudo):
    vigild.write_policy("version: 1\nstep_up:\n  - {match: {services: [sudo]}, require: [totp], enroll_within: 2s}\n")
    vigild.start()
    assert ask(vigild, sudo)[0] == ALLOWED
    eventually(lambda: ask(vigild, sudo)[0] == DENIED)
    vigild.restart(signal.SIGKILL)
    assert ask(vigild, sudo)[0] == DENIED


def test_without_a_database_there_is_no_time(vigild, sudo):
    vigild.write_policy("version: 1\nstep_up:\n  - {match: {services: [sudo]}, require: [totp], enroll_within: 1h}\n")
    (vigild.credentials / "vigil.key").unlink()
    vigild.start()
    assert ask(vigild, sudo)[0] == DENIED


# Guessing

def vouch(vigild, leader, is_right, attempt):
    return vigild.call("Prove", "hu(suassss)sssbay", 0, *asker("sudo"), "password", "", is_right, attempt, fds=[leader.pidfd],
                       interface="org.vigil1.StepUp")


def test_wrong_passwords_wait_as_wrong_codes_do(vigild, sudo):
    vigild.write_policy("version: 1\nstep_up:\n  - {match: {services: [sudo]}, require: [password]}\n")
    vigild.start()
    for number in range(5):
        last = vouch(vigild, sudo, False, bytes([number] * 16))
        assert last[0] == WRONG
    assert last[3] > 0 and "5 wrong codes in a row" in vigild.words()
    assert vouch(vigild, sudo, True, bytes([9] * 16))[0] == NOT_NOW
    vigild.restart(signal.SIGKILL)
    assert vouch(vigild, sudo, True, bytes([10] * 16))[0] == NOT_NOW
    assert ask(vigild, sudo)[4] > 0


def test_a_refused_command_is_named_in_the_journal(vigild, sudo):
    vigild.write_policy(POLICY)
    vigild.start()
    command = b"/usr/bin/passwd", b"/usr/bin/passwd", b"/usr/bin/passwd", [b"root"], False, True, False, b"/"
    vigild.call("AskCommand", "hu(suassss)sayayayaaybbbay", 0, *asker("sudo"), *command, fds=[sudo.pidfd],
                interface="org.vigil1.StepUp")
    assert "(/usr/bin/passwd root)" in vigild.words()
