"""Security keys over the bus: enrolled by what they sign, and good for adding more."""

import base64
import os
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "sk"))

from daemon import DAEMON, NOBODY, refused  # noqa: E402
from one_time_code import Code, enrolled as code_enrolled  # noqa: E402
from ssh_agent import ENROLL, MANAGE, SshAgent, challenge, string  # noqa: E402

DENIED, INVALID, NOT_FOUND = (f"org.vigil1.Error.{name}" for name in ("Denied", "Invalid", "NotFound"))
MIDDLEWARE = os.environ["VIGIL_SECURITY_KEY"]


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
