"""What a real journal has of a session's life: a record a thing that happens, found by its fields, explained by the catalog."""

import re

import pytest
from logins import LOCK_SCREEN, UNLOCK_PROMPT, Login, unlock
from people import enroll, shell
from vigilhost import SOURCE, wait_until

RULES = """\
version: 1
sessions:
  - name: the test
    match: {users: [alice]}
    max_duration: 1h
    warn_before_end: [59m58s]
    max_sessions: {user: 1}
step_up:
  - match: {services: [sudo]}
    require: [totp]
    valid_for: 5m
"""


pytestmark = pytest.mark.usefixtures("nobody_stays")


def message_ids():
    text = (SOURCE / "daemon" / "audit" / "journal.cpp").read_text(encoding="utf-8")
    return dict(re.findall(r'"([a-z-]+)", "([0-9a-f]{32})"', text))


def records(host, **fields):
    return host.journal(SYSLOG_IDENTIFIER="vigild", **fields)


def test_every_step_of_a_session_is_a_record_with_its_fields(host):
    host.policy(RULES)
    codes = enroll(host, "alice")
    alice = Login(host, "alice")
    host.ssh("alice").wait_closed(10)
    alice.screen.wait_to_hear("This session ends in", 5)
    alice.lock(reason="lunch")
    alice.type("wrong\r")
    alice.screen.wait_for("Wrong.", 5)
    alice.screen.wait_for(UNLOCK_PROMPT, 10)
    unlock(alice)
    alice.type("sudo true\r")
    alice.screen.wait_for("password for alice:")
    alice.type("alice-pass-1\r")
    alice.screen.wait_for("Code for alice:")
    alice.type("000\r")
    alice.screen.wait_for("not right")
    alice.type(codes.fresh() + "\r")
    wait_until(lambda: records(host, VIGIL_EVENT="step-up-granted"), 10, "the code is taken")
    host.vigilctl("lock", alice.id)
    host.vigilctl("terminate", "--reason", "the end of the test", alice.id)
    wait_until(lambda: records(host, VIGIL_EVENT="session-closed", VIGIL_SESSION=alice.id), 10, "it is over")

    happened = ["login-reserved", "session-opened", "session-warned", "session-locked", "unlock-failed",
                "session-unlocked", "step-up-refused", "step-up-granted", "grant-revoked", "session-ending",
                "session-closed"]
    ids = message_ids()
    for event in happened:
        found = records(host, VIGIL_EVENT=event, VIGIL_SESSION=alice.id)
        assert found, f"no record of {event}"
        for one in found:
            assert one["MESSAGE_ID"] == ids[event]
            assert (one["VIGIL_USER"], one["VIGIL_UID"]) == ("alice", "1000")
            assert one["VIGIL_SERVICE"] == ("sudo" if event.startswith("step-up") else "sshd")
            assert one["PRIORITY"] in "3456"
            assert alice.id[:8] in one["MESSAGE"]
    (refused,) = records(host, VIGIL_EVENT="login-refused")
    assert refused["VIGIL_RULE"] == "the test" and "the limit is 1" in refused["MESSAGE"]
    assert records(host, MESSAGE_ID=ids["policy-loaded"], VIGIL_EVENT="policy-loaded")
    assert "the end of the test" in records(host, VIGIL_EVENT="session-ending", VIGIL_SESSION=alice.id)[0]["MESSAGE"]


def test_a_reason_with_escapes_is_a_line_of_text_in_the_journal(host):
    host.policy("version: 1\n")
    alice = Login(host, "alice")
    alice.lock(reason="\x1b[2Jgone\nVIGIL_USER=root")
    (locked,) = records(host, VIGIL_EVENT="session-locked", VIGIL_SESSION=alice.id)
    assert locked["VIGIL_REASON"] == "\\x1b[2Jgone\\x0aVIGIL_USER=root"
    assert "\\x1b[2Jgone\\x0aVIGIL_USER=root" in locked["MESSAGE"]
    assert locked["VIGIL_USER"] == "alice"
    unlock(alice)


def test_of_an_operator_it_is_said_whose_login_he_works_from(host):
    """All of them are root."""
    host.policy("version: 1\n")
    host.write("/etc/sudoers.d/operators", "bob ALL=(ALL:ALL) NOPASSWD: ALL\n", "0440")
    # Each to its end: what is typed before it sudo may still read, for the command.
    alice, bob = Login(host, "alice"), shell(host, "bob")
    for ways in ("sudo", "sudo -i", "sudo su -c"):
        for order in ("lock", "unlock"):
            words = f"vigilctl {order} {alice.id} --reason drill"
            done = bob.run(f"{ways} '{words}'" if ways.endswith("-c") else f"{ways} {words}")
            assert done[0] == 0, done
            wait_until(lambda o=order: alice.state() == ("locked" if o == "lock" else "active"), 10, f"{ways} {order}")
    assert set(alice.told("session-locked")) == {f"alice: locked: by root (login of bob): drill [{alice.id[:8]}]"}
    assert set(alice.told("session-unlocked")) == {f"alice: unlocked by root (login of bob): drill [{alice.id[:8]}]"}
    alice.lock()
    assert alice.told("session-locked")[-1] == f"alice: locked: by root [{alice.id[:8]}]"
    unlock(alice)
    assert bob.run(f"sudo vigilctl lock {alice.id}")[0] == 0
    alice.screen.wait_for(r"Locked since \S+ \(by root \(login of bob\)\)")
    assert bob.run(f"sudo vigilctl terminate {alice.id} --reason drill")[0] == 0
    wait_until(lambda: alice.state() == "gone", 10, "it is over")
    assert alice.told("session-ending") == [f"alice: ended: root (login of bob) ended it: drill [{alice.id[:8]}]"]
    host.run("rm", "/etc/sudoers.d/operators")


def test_an_operators_reason_is_a_field_of_its_own(host):
    host.policy("version: 1\n")
    alice = Login(host, "alice")

    def reasons(event):
        return [one.get("VIGIL_REASON") for one in records(host, VIGIL_EVENT=event, VIGIL_SESSION=alice.id)]

    alice.lock(reason="lunch")
    host.vigilctl("unlock", alice.id, "--reason", "she called, ticket 77")
    alice.screen.wait_gone(LOCK_SCREEN)
    alice.lock()
    unlock(alice)
    # What is not an operator's has none.
    assert reasons("session-locked") == ["lunch", None]
    assert reasons("session-unlocked") == ["she called, ticket 77", None]
    assert "VIGIL_REASON=lunch" in host.run("journalctl", "--output=export", "--no-pager", "VIGIL_REASON=lunch").stdout
    long = host.vigilctl("terminate", alice.id, "--reason", "x" * 1025, check=False)
    assert long.returncode == 1 and "The reason is too long: at most 1024 bytes." in long.stderr
    worst = "\x1b" * 1024
    host.vigilctl("terminate", alice.id, "--reason", worst)
    assert reasons("session-ending") == ["\\x1b" * 1024]
    wait_until(lambda: alice.state() == "gone", 10, "it is over")


def test_the_catalog_explains_every_kind(host):
    listed = host.run("journalctl", "--no-pager", "--list-catalog").stdout
    for message_id in message_ids().values():
        assert re.search(rf"^{message_id} vigil: ", listed, re.MULTILINE)
    person = shell(host, "alice")
    person.terminal.close()
    shown = host.run("journalctl", "--no-pager", "--catalog", "--identifier=vigild").stdout
    assert re.search(r"Subject: Session [0-9a-f]{32} of alice is open", shown)
