"""Security keys over the bus: enrolled by what they sign, and good for adding more."""

import base64
import os
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "sk"))

from daemon import DAEMON, NOBODY, eventually, refused  # noqa: E402
from one_time_code import (ACCEPTED, QUESTION, WRONG, Code, enrolled as code_enrolled, request)  # noqa: E402
from ssh_agent import ENROLL, MANAGE, SshAgent, challenge, string  # noqa: E402

DENIED, INVALID, NOT_FOUND = (f"org.vigil1.Error.{name}" for name in ("Denied", "Invalid", "NotFound"))
MIDDLEWARE = os.environ["VIGIL_SECURITY_KEY"]
COMMAND = "ayayayaaybbbay"
# path, name, the same in its own folder, arguments, whether it edits, is settled, is cut, and its folder; whom it runs as.
ID = {"path": b"/usr/bin/id", "named": b"id", "link": b"/usr/bin/id", "arguments": [b"-u", b"a b"], "edits": False, "settled": True, "cut": False,
      "directory": b"/home", "run_as": "root"}


@pytest.fixture(name="agent")
def agent_fixture(folder):
    agent = SshAgent(folder / "agent", MIDDLEWARE, counter=1)
    yield agent
    agent.close()


@pytest.fixture(name="host")
def host_fixture(vigild):
    return vigild.start()


def text(data):
    return base64.b64encode(data).decode()


def begin(call, user, proof="", name=""):
    """(id, what the key has to sign)"""
    id_, host, whose, nonce = call("EnrollKey", "sss", user, name, proof)
    assert len(bytes(nonce)) == 32
    return id_, challenge(ENROLL, host, whose, nonce)


def enrolled(call, agent, key, user, proof="", name=""):
    id_, asked = begin(call, user, proof, name)
    assert call("EnrollKeyFinish", "sss", id_, key.line, text(agent.sign(key, asked))) == []
    return id_


def proof_by(call, agent, key, purpose=MANAGE):
    host, user, nonce, keys = call("KeyChallenge", "s", "")
    assert key.fingerprint in keys
    return f"{text(key.blob)} {text(agent.sign(key, challenge(purpose, host, user, nonce)))}"


@pytest.mark.parametrize("kind", ["ed25519-sk", "ecdsa-sk"])
def test_a_key_counts_once_it_has_signed(host, agent, kind):
    key = agent.key(kind)
    id_, asked = begin(host.call, "nobody")
    assert [each[-1] for each in host.call("Factors", "s", "nobody")[0]] == [False]
    signature = text(agent.sign(key, asked))
    host.restart(signal.SIGKILL)
    assert host.call("EnrollKeyFinish", "sss", id_, key.line, signature) == []
    listed, = host.call("Factors", "s", "nobody")[0]
    assert listed[:5] == [id_, "nobody", NOBODY, "key", key.fingerprint] and listed[-1]
    assert refused(host.call, "EnrollKeyFinish", "sss", id_, key.line, signature)[0] == NOT_FOUND
    host.restart(signal.SIGKILL)
    assert host.call("KeyChallenge", "s", "nobody")[3] == [key.fingerprint]
    assert host.call("Forget", "ss", id_, "") == []
    assert host.call("Factors", "s", "nobody") == [[]]


def test_what_it_has_not_signed_enrols_nothing(host, agent):
    key, other = agent.key(), agent.key()
    id_, asked = begin(host.call, "nobody", name="blue")

    def finish(line, signature, factor=id_):
        return refused(host.call, "EnrollKeyFinish", "sss", factor, line, signature)[0]
    assert finish(key.line, text(agent.sign(other, asked))) == DENIED
    assert finish(other.line, text(agent.sign(key, asked))) == DENIED
    assert finish(key.line, text(agent.sign(key, asked + b"x"))) == DENIED
    assert finish(key.line, text(agent.sign(key, asked.replace(b"nobody", b"daemon")))) == DENIED
    right = text(agent.sign(key, asked))
    assert finish(key.line, right, "0011223344556677") == NOT_FOUND
    for line in ("", "nothing", key.line.replace("sk-ssh-ed25519", "ssh-ed25519"), key.line[:-60] + "!", "x" * 4000):
        assert finish(line, right) == INVALID, line
    for wrong in ("", "nothing", right[:-4], right + "AAAA", text(string(b"ssh-ed25519") + string(bytes(64)))):
        assert finish(key.line, wrong) == INVALID, wrong
    assert host.call("EnrollKeyFinish", "sss", id_, key.line, right) == []
    assert host.call("Factors", "s", "nobody")[0][0][4] == "blue"


def test_a_plain_key_is_refused_and_it_is_said_why(host, agent):
    id_, asked = begin(host.call, "nobody")
    plain, key = agent.key("ed25519"), agent.key()
    name, words = refused(host.call, "EnrollKeyFinish", "sss", id_, plain.line, text(agent.sign(key, asked)))
    assert name == INVALID and "without a touch" in words
    assert refused(host.call, "EnrollKeyFinish", "sss", id_, plain.line, text(agent.sign(plain, asked)))[0] == INVALID


@pytest.mark.parametrize("flags", [0, 4])
def test_a_key_that_nobody_touched_is_refused(host, folder, flags):
    agent = SshAgent(folder / "untouched", MIDDLEWARE, flags)
    key = agent.key()
    id_, asked = begin(host.call, "nobody")
    name, words = refused(host.call, "EnrollKeyFinish", "sss", id_, key.line, text(agent.sign(key, asked)))
    assert name == DENIED and "touched" in words
    agent.close()


def test_the_first_is_an_administrators_and_a_touch_adds_another(make_broker, vigild, agent):
    broker = make_broker("shipped", vigild)
    first, second = agent.key(), agent.key("ecdsa-sk")
    with broker.connect(NOBODY) as user, broker.connect(DAEMON) as other:
        name, words = refused(user.call, "EnrollKey", "sss", "", "", "")
        assert name == DENIED and "administrator" in words
        assert user.call("KeyChallenge", "s", "")[3] == []
        enrolled(vigild.call, agent, first, "nobody")
        assert "touch" in refused(user.call, "EnrollKey", "sss", "", "", "")[1]
        assert refused(user.call, "EnrollKey", "sss", "", "", "123456")[0] == DENIED
        proof = proof_by(user.call, agent, first)
        id_, asked = begin(user.call, "", proof)
        assert refused(user.call, "EnrollKey", "sss", "", "", proof)[0] == DENIED, "it is good once"
        signature = text(agent.sign(second, asked))
        assert refused(other.call, "EnrollKeyFinish", "sss", id_, second.line, signature)[0] == DENIED
        assert user.call("EnrollKeyFinish", "sss", id_, second.line, signature) == []
        assert [each[4] for each in user.call("Factors", "s", "")[0]] == [first.fingerprint, second.fingerprint]
        # And a device for codes, by the key that was just added.
        assert user.call("EnrollTotp", "ssss", "", "phone", "totp", proof_by(user.call, agent, second))[0]
        for whose in ("nobody", "root"):
            assert refused(other.call, "KeyChallenge", "s", whose)[0] == DENIED
            assert refused(other.call, "EnrollKey", "sss", whose, "", "")[0] == DENIED


def test_what_a_key_signed_for_another_purpose_or_person_is_no_proof(make_broker, vigild, agent):
    broker = make_broker("shipped", vigild)
    key, stranger = agent.key(), agent.key()
    with broker.connect(NOBODY) as user, broker.connect(DAEMON) as other:
        enrolled(vigild.call, agent, key, "nobody")
        enrolled(vigild.call, agent, stranger, "daemon")

        def denied(proof):
            return refused(user.call, "EnrollKey", "sss", "", "", proof)[0] == DENIED
        assert denied(proof_by(user.call, agent, key, ENROLL))
        assert denied(proof_by(other.call, agent, stranger)), "nothing was asked of nobody"
        user.call("KeyChallenge", "s", "")
        assert denied(proof_by(other.call, agent, stranger))
        agent.count(1)  # a copy of the key, which counts from where it was copied
        assert denied(proof_by(user.call, agent, key))
        assert "may be a copy" in vigild.words() and key.fingerprint in vigild.words()
        agent.count(100)
        assert user.call("EnrollKey", "sss", "", "", proof_by(user.call, agent, key))[0]


def test_who_has_codes_adds_a_key_by_one(make_broker, vigild, agent):
    broker = make_broker("shipped", vigild)
    with broker.connect(NOBODY) as user:
        code = code_enrolled(vigild, "nobody")
        assert isinstance(code, Code)
        enrolled(user.call, agent, agent.key(), "nobody", code.now())
        assert [each[3] for each in user.call("Factors", "s", "")[0]] == ["totp", "key"]


def test_a_key_is_nobodys_twice_and_factors_have_a_bound(host, agent):
    key = agent.key()
    enrolled(host.call, agent, key, "nobody")
    id_, asked = begin(host.call, "nobody")
    name, words = refused(host.call, "EnrollKeyFinish", "sss", id_, key.line, text(agent.sign(key, asked)))
    assert name == INVALID and "already" in words
    for _ in range(7):
        enrolled(host.call, agent, agent.key(), "nobody")
    assert refused(host.call, "EnrollKey", "sss", "nobody", "", "")[0] == "org.vigil1.Error.TooMany"


# A privileged command

BY_TOUCH = "version: 1\nstep_up:\n  - {match: {services: [sudo]}, require: [key]}\n"


class Touch:
    """A person with a key, whose sudo asks vigild."""

    def __init__(self, vigild, agent):
        vigild.write_policy(BY_TOUCH)
        self.vigild, self.agent, self.key = vigild.start(), agent, agent.key()
        enrolled(vigild.call, agent, self.key, "nobody")

    def ask(self, member, sudo, about, signature="", *more):
        purpose, login, _ = request()
        *command, run_as = about.values()
        return self.vigild.call(member, "h" + QUESTION + COMMAND + signature, 0, purpose, login, run_as, *command, *more,
                                fds=[sudo.pidfd], interface="org.vigil1.StepUp")

    def signed(self, sudo, about):
        """What sudo is to have signed, and the key's answer to it."""
        to_sign, keys = self.ask("ChallengeCommand", sudo, about)
        assert keys == [text(self.key.blob)]
        return f"{text(self.key.blob)} {text(self.agent.sign(self.key, base64.b64decode(to_sign)))}"

    def proves(self, sudo, about, answer):
        return self.ask("ProveCommand", sudo, about, "ssbay", "key", answer, False, os.urandom(16))[0]


@pytest.fixture(name="touch")
def touch_fixture(vigild, agent):
    return Touch(vigild, agent)


@pytest.mark.parametrize("other", [
    {"path": b"/usr/bin/ids"}, {"named": b"/bin/id"}, {"link": b"/bin/id"}, {"arguments": [b"-u"]}, {"arguments": [b"-u", b"a", b"b"]},
    {"arguments": [b"a b", b"-u"]}, {"path": b"", "named": b"", "link": b"", "arguments": []}, {"edits": True}, {"cut": True},
    {"directory": b"/"}, {"directory": b""}, {"run_as": "nobody"}, {"run_as": ""}], ids=str)
def test_a_touch_is_for_the_command_that_was_asked_about(touch, other):
    sudo = touch.vigild.leader(NOBODY)
    for asked, run in ((ID, ID | other), (ID | other, ID)):
        assert touch.proves(sudo, run, touch.signed(sudo, asked)) == WRONG
    assert touch.proves(sudo, ID | other, touch.signed(sudo, ID | other)) == ACCEPTED
    assert touch.proves(sudo, ID, touch.signed(sudo, ID)) == ACCEPTED


def test_a_touch_is_for_the_process_that_asked(touch):
    sudo, another = touch.vigild.leader(NOBODY), touch.vigild.leader(NOBODY)
    answer = touch.signed(sudo, ID)
    assert touch.proves(another, ID, answer) == WRONG
    touch.signed(another, ID)
    assert touch.proves(another, ID, answer) == WRONG
    assert touch.proves(sudo, ID, answer) == ACCEPTED


def test_a_touch_is_for_the_last_question_and_once(vigild, agent):
    agent.count(0)  # or the count alone would tell a second use
    touch = Touch(vigild, agent)
    sudo = touch.vigild.leader(NOBODY)
    older, newer = touch.signed(sudo, ID), touch.signed(sudo, ID)
    assert touch.proves(sudo, ID, older) == WRONG
    assert touch.proves(sudo, ID, newer) == WRONG, "one answer to a question"
    answer = touch.signed(sudo, ID)
    assert touch.proves(sudo, ID, answer) == ACCEPTED
    assert touch.proves(sudo, ID, answer) == WRONG
    touch.signed(sudo, ID)
    assert touch.proves(sudo, ID, answer) == WRONG
    answer = touch.signed(sudo, ID)
    touch.vigild.restart(signal.SIGKILL)
    assert touch.proves(sudo, ID, answer) == WRONG, "who asked before asks again"


# Of one terminal after the other it is the process's own, and goes on to the next at a signal.
MOVES = """
import fcntl, os, signal, sys, termios
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
signal.signal(signal.SIGHUP, signal.SIG_IGN)
os.setsid()
for path in sys.argv[1:]:
    terminal = os.open(path, os.O_RDWR)
    signal.sigwait([signal.SIGUSR1])
    fcntl.ioctl(terminal, termios.TIOCNOTTY)
"""


def test_a_touch_is_for_the_terminal_it_was_asked_at(touch):
    pairs = [os.openpty() for _ in range(2)]
    for _, terminal in pairs:
        os.fchown(terminal, NOBODY, -1)
    sudo = touch.vigild.leader(NOBODY, [sys.executable, "-c", MOVES, *(os.ttyname(terminal) for _, terminal in pairs)])

    def at(terminal):
        stat = Path(f"/proc/{sudo.process.pid}/stat").read_text()
        return int(stat.rpartition(")")[2].split()[4]) == terminal
    first, second = (os.fstat(terminal).st_rdev for _, terminal in pairs)
    eventually(lambda: at(first))
    assert touch.proves(sudo, ID, touch.signed(sudo, ID)) == ACCEPTED
    answer = touch.signed(sudo, ID)
    sudo.process.send_signal(signal.SIGUSR1)
    eventually(lambda: at(second))
    assert touch.proves(sudo, ID, answer) == WRONG
    assert touch.proves(sudo, ID, touch.signed(sudo, ID)) == ACCEPTED
    for end in sum(pairs, ()):
        os.close(end)
