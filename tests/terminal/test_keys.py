"""Keys, pastes, and what a terminal sends by itself."""

import os

import pytest

from hostile_keys import HOSTILE
from vigil_lock import DONE


@pytest.mark.parametrize("keys", HOSTILE, ids=lambda keys: repr(keys[:12]))
def test_hostile_keys_do_nothing(host, keys):
    vigild, terminal = host.vigild(), host.terminal()
    terminal.prompt()
    feeder = os.fork()
    if feeder == 0:  # a full terminal blocks who writes, and we have to read meanwhile
        terminal.type(keys)
        os._exit(0)
    while os.waitpid(feeder, os.WNOHANG) == (0, 0):
        terminal.read(0.02)
    while terminal.read(0.4):
        pass
    assert terminal.process.poll() is None
    terminal.type("\x15secret\r")
    assert terminal.ends() == DONE
    heard = vigild.calls()
    assert not [call for call in heard if call.startswith("UnlockFailed")]
    assert heard[-1].startswith("Unlocked")


def unlocks_at_the_first_try(terminal, vigild):
    assert terminal.ends() == DONE, terminal.text()
    heard = vigild.calls()
    assert heard[-1].startswith("Unlocked") and not [call for call in heard if call.startswith("UnlockFailed")], heard


@pytest.mark.parametrize("report", [
    b"\x9b?2026;2$y", b"\xc2\x9b?2026;2$y", b"\x90" b"1$r0m\x9c", b"\x9d" b"11;rgb:0/0/0\x9c", b"\x1b[M \xc2\x80\xc2\x9b", b"\x1b[O",
], ids=repr)
@pytest.mark.parametrize("keys", ["{report}secret\r", "secret{report}\r", "secret\r{report}", "secret\r{report}\r\n{report}"])
def test_what_a_terminal_sends_by_itself_is_no_part_of_an_answer(host, keys, report):
    vigild, terminal = host.vigild(), host.terminal()
    terminal.prompt()
    terminal.type(keys.encode().replace(b"{report}", report))
    unlocks_at_the_first_try(terminal, vigild)


@pytest.mark.parametrize("keys", [
    b"\x1b[200~secret\x1b[201~", b"\x1b[200~secret\r\x1b[201~", b"sec\x1b[200~ret\r\n\x1b[201~", b"\x9b200~secret\x9b201~",
    b"\x1b[200~one\rtwo\x1b[201~secret"], ids=repr)
@pytest.mark.parametrize("pieces", [True, False])
def test_a_password_is_pasted_and_a_person_presses_enter(host, keys, pieces):
    vigild, terminal = host.vigild(), host.terminal()
    terminal.prompt()
    if pieces:
        terminal.type(keys)
        assert not terminal.read(0.3) or b"\rtwo" in keys, "it takes the paste for an answer"
        while terminal.read(0.1):
            pass
        assert terminal.process.poll() is None
        terminal.type("\r")
    else:
        terminal.type(keys + b"\r")
    unlocks_at_the_first_try(terminal, vigild)


@pytest.mark.parametrize("keys", [
    b"\x1bOq\x1bOr\x1bOs\x1bOt\x1bOu\x1bOv\x1bOM", b"".join(b"\x1b[%du" % key for key in b"secret") + b"\r",
    b"".join(b"\x1b[27;1;%d~" % key for key in b"secret") + b"\r"], ids=["keypad", "CSI u", "other keys"])
def test_keys_that_a_program_asked_for_in_another_way_are_typed(host, keys):
    vigild, terminal = host.vigild(), host.terminal()
    terminal.prompt()
    for at in range(0, len(keys), 5):  # also cut inside of one
        terminal.type(keys[at:at + 5])
    unlocks_at_the_first_try(terminal, vigild)


@pytest.mark.parametrize("keys", [
    b"secret\rls\r", b"secret\r\x1b[Ols\r", b"\x1b[200~secret\rls\r\x1b[201~\r", b"\x1b[200~secret\tx\x1b[201~",
    b"\x1b[200~" + b"x" * 513 + b"\r\x1b[201~\r"], ids=lambda keys: repr(keys[:24]))
def test_several_lines_at_once_do_nothing_but_say_so(host, keys):
    vigild, terminal = host.vigild(), host.terminal()
    terminal.prompt()
    terminal.type(keys)
    terminal.see("Several lines at once are not taken. Password or code:")
    while terminal.read(0.4):
        pass
    assert terminal.process.poll() is None
    terminal.type("secret\r")
    unlocks_at_the_first_try(terminal, vigild)


def test_a_paste_that_began_while_nothing_was_asked_is_dropped_whole(host):
    vigild, terminal = host.vigild("--wait", "2"), host.terminal()
    terminal.prompt()
    terminal.type("wrong\r")
    terminal.see("Next try in 2 s.")
    terminal.type("\x1b[200~one\r")
    terminal.see("Wrong. Password or code:")
    terminal.prompt()
    for line in ("two\r", "three\r"):
        terminal.type(line)
        assert not terminal.read(0.3), "it takes it for an answer"
    terminal.type("\x1b[201~secret\r")
    assert terminal.ends() == DONE
    assert len([call for call in vigild.calls() if call.startswith("UnlockFailed")]) == 1
