"""Step-up by TOTP, over the bus."""

import os
import signal
import subprocess

import pytest

from daemon import DAEMON, NOBODY, refused
from one_time_code import (ACCEPTED, ALLOWED, Code, DENIED, NOT_APPLICABLE, NOT_NOW, PROVE, WRONG, ask, enrolled, prove,
                           request)

POLICY = "version: 1\nstep_up:\n  - {match: {services: [sudo]}, require: [totp], valid_for: 5m}\n"


@pytest.fixture(name="host")
def host_fixture(vigild):
    vigild.write_policy(POLICY)
    return vigild.start()


@pytest.fixture(name="sudo")
def sudo_fixture(vigild):
    """Its real uid is nobody's, and it is in no session."""
    return vigild.leader(NOBODY)


def test_the_codes_are_oathtools(host):
    _, _, secret = host.call("EnrollTotp", "ssss", "nobody", "phone", "totp", "")
    done = subprocess.run(["oathtool", "--totp", "-b", "--now", "2026-11-21 12:00:00 UTC", secret], check=True,
                          capture_output=True, text=True)
    assert Code(secret).at(1795262400 // 30) == done.stdout.strip()


def test_a_code_is_asked_for_and_taken_once(host, sudo):
    assert ask(host, sudo)[0] == DENIED  # nothing to prove with
    code = enrolled(host, "nobody")
    verdict, _, factors, person, wait = ask(host, sudo)
    assert (verdict, factors, person, wait) == (PROVE, ["totp"], "nobody", 0)
    shown = code.now()
    assert prove(host, sudo, shown)[0] == ACCEPTED
    assert prove(host, sudo, shown)[0] == WRONG
    assert host.restart(signal.SIGKILL)
    assert prove(host, sudo, shown)[0] in (WRONG, NOT_NOW)


def test_no_session_no_grant_that_could_outlive_it(host, sudo):
    code = enrolled(host, "nobody")
    assert prove(host, sudo, code.now())[0] == ACCEPTED
    assert ask(host, sudo)[0] == PROVE
    assert host.status()["grants"] == 0


@pytest.mark.parametrize("kill", [False, True])
def test_a_repeated_attempt_has_the_same_outcome(host, sudo, kill):
    code, attempt = enrolled(host, "nobody"), os.urandom(16)
    shown = code.now()
    for _ in range(3):
        assert prove(host, sudo, shown, attempt)[0] == ACCEPTED
        if kill:
            host.restart(signal.SIGKILL)
    assert prove(host, sudo, shown)[0] == WRONG


def test_a_repeated_wrong_attempt_counts_once(host, sudo):
    enrolled(host, "nobody")
    attempt = os.urandom(16)
    answers = [prove(host, sudo, "000000", attempt) for _ in range(20)]
    assert all(each[0] == WRONG for each in answers)
    assert ask(host, sudo)[4] == 0


def test_guessing_is_slowed_down_across_a_kill(host, sudo):
    code = enrolled(host, "nobody")
    for _ in range(10):
        last = prove(host, sudo, "000000")
    assert last[0] == NOT_NOW and last[3] > 0
    host.restart(signal.SIGKILL)
    assert prove(host, sudo, code.now())[0] == NOT_NOW
    assert ask(host, sudo)[4] > 0


@pytest.mark.parametrize("answer", ["", "12345", "1234567", "x" * 512, "'; --", "12 34 56", "\x1b[2J", "٠٠٠٠٠٠"])
def test_what_is_no_code_is_wrong(host, sudo, answer):
    enrolled(host, "nobody")
    assert prove(host, sudo, answer)[0] == WRONG


def test_a_hundred_identical_codes_at_once(host, sudo):
    code = enrolled(host, "nobody").now()
    clients = [host.connect() for _ in range(100)]
    serials = [client.send("Prove", "hu(suassss)sssbay", 0, *request(), "totp", code, False, os.urandom(16),
                           fds=[sudo.pidfd], interface="org.vigil1.StepUp") for client in clients]
    verdicts = [client.finish(serial)[0] for client, serial in zip(clients, serials)]
    assert verdicts.count(ACCEPTED) == 1
    for client in clients:
        client.socket.close()


def test_who_asks_is_the_process_and_not_the_message(host, sudo):
    code, daemon = enrolled(host, "daemon"), host.leader(DAEMON)
    shown = code.now()
    assert prove(host, sudo, shown, who=request("daemon", DAEMON))[0] != ACCEPTED
    assert prove(host, daemon, shown)[0] == ACCEPTED


def test_what_the_policy_does_not_name_is_not_its_to_decide(host, sudo):
    purpose, login, run_as = request()
    login[3] = "passwd"
    assert ask(host, sudo, (purpose, login, run_as))[0] == NOT_APPLICABLE


@pytest.mark.parametrize("factor", ["password", "key", "recovery", "", "TOTP", "totp\n"])
def test_another_factor_than_asked_for_proves_nothing(host, sudo, factor):
    code = enrolled(host, "nobody")
    assert prove(host, sudo, code.now(), factor=factor)[0] != ACCEPTED
    assert prove(host, sudo, code.now())[0] == ACCEPTED  # and the code was not used up


def test_an_enrolment_counts_once_it_is_proved(host, sudo):
    id_, _, secret = host.call("EnrollTotp", "ssss", "nobody", "phone", "totp", "")
    code = Code(secret)
    assert ask(host, sudo)[0] == DENIED
    assert prove(host, sudo, code.now())[0] != ACCEPTED
    assert refused(host.call, "EnrollFinish", "ss", id_, "000000")[0].startswith("org.vigil1.Error.")
    host.restart(signal.SIGKILL)
    assert host.call("EnrollFinish", "ss", id_, code.now(-1)) == []
    assert prove(host, sudo, code.now())[0] == ACCEPTED


def test_own_enrolment_needs_the_code_one_has(make_broker, vigild):
    vigild.write_policy(POLICY)
    broker = make_broker("shipped", vigild)
    with broker.connect(NOBODY) as user, broker.connect(DAEMON) as other:
        denied = "org.vigil1.Error.Denied"
        name, words = refused(user.call, "EnrollTotp", "ssss", "", "phone", "totp", "")
        assert name == denied and "administrator" in words
        code = enrolled(vigild, "nobody")
        assert refused(user.call, "EnrollTotp", "ssss", "", "phone", "totp", "000000")[0] == denied
        id_, _, secret = user.call("EnrollTotp", "ssss", "nobody", "second", "totp", code.now())
        assert refused(other.call, "EnrollFinish", "ss", id_, Code(secret).now(-1))[0] == denied
        assert user.call("EnrollFinish", "ss", id_, Code(secret).now(-1)) == []
        assert [each[1:5] for each in user.call("Factors", "s", "")[0]] == [
            ["nobody", NOBODY, "totp", "phone"], ["nobody", NOBODY, "totp", "second"]]
        assert other.call("Factors", "s", "") == [[]]
        assert refused(user.call, "Forget", "ss", id_, "")[0] == denied


def test_forgetting_is_at_once(host, sudo):
    code = enrolled(host, "nobody")
    assert host.call("Forget", "ss", code.id, "") == []
    assert ask(host, sudo)[0] == DENIED
    assert prove(host, sudo, code.now())[0] != ACCEPTED
    assert refused(host.call, "Forget", "ss", code.id, "")[0] == "org.vigil1.Error.NotFound"


def test_who_has_ended_is_denied_though_his_number_is_not_free_yet(host, sudo):
    """What is read of him then could as well be read of whoever gets his number next."""
    enrolled(host, "nobody")
    sudo.process.kill()
    os.waitid(os.P_PID, sudo.process.pid, os.WEXITED | os.WNOWAIT)
    assert refused(ask, host, sudo)[0] == "org.vigil1.Error.Denied"
    assert refused(prove, host, sudo, "123456")[0] == "org.vigil1.Error.Denied"


def test_a_step_up_by_a_uid_nobody_knows_is_denied(host):
    """The same is seen where a directory does not answer: a rule for a group must not fall away."""
    stranger = host.leader(4242)
    name, words = refused(ask, host, stranger)
    assert name == "org.vigil1.Error.Denied" and "cannot tell who asks" in words


def memory(bytes_):
    fd = os.memfd_create("key")
    os.write(fd, bytes_)
    return fd


def test_all_is_sealed_under_another_key_and_counts_on(host, sudo):
    code = enrolled(host, "nobody")
    new = bytes(reversed(range(32)))
    assert host.call("FactorsKey") == ["vigil.key"]
    assert "1 secret is sealed" in host.call("Rekey", "hs", 0, "vigil.key.2", fds=[memory(new)])[0]
    assert host.call("FactorsKey") == ["vigil.key.2"]
    shown = code.now()
    assert prove(host, sudo, shown)[0] == ACCEPTED
    # Both are there: the one that opens is taken.
    (host.credentials / "vigil.key.2").write_bytes(new)
    host.restart(signal.SIGKILL)
    assert host.call("FactorsKey") == ["vigil.key.2"]
    assert prove(host, sudo, shown)[0] == WRONG
    (host.credentials / "vigil.key").unlink()
    host.restart(signal.SIGKILL)
    assert not host.status().get("factors_error")
    # And one that is none does not stand in its way.
    (host.credentials / "vigil.key").write_bytes(b"short")
    host.restart(signal.SIGKILL)
    assert host.call("FactorsKey") == ["vigil.key.2"]


@pytest.mark.parametrize("key, name", [
    (lambda: memory(bytes(31)), "vigil.key.2"), (lambda: memory(bytes(33)), "vigil.key.2"), (lambda: memory(b""), "vigil.key.2"),
    (lambda: memory(bytes(range(32))), "vigil.key.2"), (lambda: memory(bytes(32)), "vigil.key"),
    (lambda: memory(bytes(32)), "vigil.key.3"), (lambda: memory(bytes(32)), "../vigil.key.2"),
    (lambda: os.open("/dev/zero", os.O_RDONLY), "vigil.key.2"), (lambda: os.pipe()[0], "vigil.key.2")],
    ids=["short", "long", "empty", "the one in use", "the name in use", "another name", "a path", "endless", "a pipe"])
def test_what_is_no_new_key_changes_nothing(host, sudo, key, name):
    code = enrolled(host, "nobody")
    assert refused(host.call, "Rekey", "hs", 0, name, fds=[key()])[0] == "org.vigil1.Error.Invalid"
    assert host.call("FactorsKey") == ["vigil.key"]
    assert prove(host, sudo, code.now())[0] == ACCEPTED
