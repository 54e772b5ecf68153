"""Broken files: vigild starts, says so in a line, and does what the fail table says."""

import contextlib
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys

import pytest

from daemon import NEVER, RESERVED, eventually, login, refused
from one_time_code import Code, ask, enrolled, prove, ALLOWED, DENIED, PROVE

STEP_UP = """version: 1
sessions:
  - {name: everyone, max_duration: 1h}
step_up:
  - {match: {services: [sudo]}, require: [totp]}
"""
# As systemd does it (sd_listen_fds(3)).
HAND_OVER = """import os, sys
os.dup2(int(sys.argv[1]), 3, inheritable=True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])"""
BROKEN = "version: 1\nsessions:\n  - {name: everyone, max_duratoin: 2h}\n"


def truncated(database):
    database.write_bytes(database.read_bytes()[:3000])


def scribbled(database):
    raw = bytearray(database.read_bytes())
    raw[100:] = bytes(byte ^ 0x5A for byte in raw[100:])
    database.write_bytes(raw)


def no_database(database):
    database.write_bytes(b"these are not the rows you look for\n" * 400)


def sql(database, statement):
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute(statement)
    connection.close()


def newer(database):
    sql(database, "PRAGMA user_version = 99")


def other_tables(database):
    sql(database, "DROP TABLE session")


def senseless_row(database):
    sql(database, "UPDATE session SET state = 77")


def senseless_id(database):
    sql(database, "UPDATE session SET id = x'00'")


def directory(database):
    database.unlink()
    database.mkdir()


def link(database):
    database.rename(database.with_name("elsewhere"))
    database.symlink_to("elsewhere")


@pytest.mark.parametrize("harm", [truncated, scribbled, no_database, newer, other_tables, senseless_row, senseless_id,
                                  directory, link])
def test_a_store_that_cannot_be_read_is_put_aside_and_logins_go_on(vigild, harm):
    vigild.write_policy(STEP_UP)
    vigild.start()
    vigild.open()
    vigild.stop()
    harm(vigild.database)
    vigild.start()
    assert vigild.words().count("cannot be used") == 1 and "state.db.broken-1" in vigild.words()
    status = vigild.status()
    assert status["degraded"] and "state.db" in status["store_error"]
    _, id_ = vigild.open()
    assert id_ in vigild.restart(signal.SIGKILL).sessions()  # the new one keeps what is put in
    assert not vigild.status()["degraded"]


def test_an_empty_store_is_a_new_one(vigild):
    vigild.database.touch()
    vigild.start().answers_logins()
    assert not vigild.status()["degraded"]


def test_a_read_only_runtime_directory_costs_the_memory_and_no_login(vigild):
    """With the socket from systemd, as it is installed."""
    vigild.write_policy(STEP_UP)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(vigild.socket))
        listening.listen(16)
        read_only = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
        vigild.start(["unshare", "--mount", "sh", "-c", read_only, vigild.runtime, sys.executable, "-c", HAND_OVER,
                      str(listening.fileno()), *vigild.command()], pass_fds=[listening.fileno()])
        vigild.answers_logins()
        assert vigild.words().count("no state can be kept") == 1
        status = vigild.status()
        assert status["degraded"] and status["store_error"]


def test_factors_that_cannot_be_read_refuse_step_up_and_nothing_else(vigild):
    vigild.write_policy(STEP_UP)
    vigild.start()
    leader, _ = vigild.open()
    code = enrolled(vigild, "nobody")
    vigild.stop()
    scribbled(vigild.state / "factors.db")
    vigild.start()
    assert vigild.words().count("step-up is refused") == 1
    assert ask(vigild, leader)[0] != ALLOWED
    assert prove(vigild, leader, code.now())[0] != 1
    status = vigild.status()
    assert status["degraded"] and status["factors_error"]
    assert vigild.reserve(vigild.leader()) == [RESERVED, "", 3600]
    assert refused(vigild.call, "EnrollTotp", "ssss", "nobody", "", "totp", "")[0].startswith("org.vigil1.Error.")


@pytest.mark.parametrize("key", ["another", "none", "short", "a directory"])
def test_another_key_refuses_step_up_and_nothing_else(vigild, key):
    vigild.write_policy(STEP_UP)
    vigild.start()
    leader, _ = vigild.open()
    code = enrolled(vigild, "nobody")
    vigild.stop()
    file = vigild.credentials / "vigil.key"
    file.unlink()
    if key == "another":
        file.write_bytes(bytes(32))
    elif key == "short":
        file.write_bytes(bytes(31))
    elif key == "a directory":
        file.mkdir()
    vigild.start()
    asked = ask(vigild, leader)
    assert asked[0] != ALLOWED and asked[1] == "vigil cannot check codes now; see `vigilctl status`."
    assert prove(vigild, leader, code.now())[0] != 1
    status = vigild.status()
    assert status["degraded"] and status["factors_error"] and not status["store_error"]
    vigild.answers_logins()


@pytest.mark.parametrize("text, words", [
    (BROKEN, "policy.yaml:3:"), (None, "policy.yaml"), ("\0", "policy.yaml"), ("version: 1\n" + "#" * 300_000, "policy.yaml")],
    ids=["a typing mistake", "not there", "a NUL", "too long"])
def test_a_policy_broken_at_start_without_a_last_good_one(vigild, text, words):
    if text is None:
        vigild.policy.unlink()
    else:
        vigild.write_policy(text)
    vigild.start()
    assert vigild.words().count("the policy is broken") == 1 and words in vigild.words()
    status = vigild.status()
    assert status["degraded"] and words in status["policy_error"]
    assert vigild.reserve(vigild.leader()) == [RESERVED, "", NEVER]
    leader, _ = vigild.open(login("games", 5))
    assert ask(vigild, leader)[0] == DENIED
    vigild.write_policy(STEP_UP)
    assert vigild.call("Reload") == [""]
    assert not vigild.status()["degraded"]
    assert vigild.reserve(vigild.leader()) == [RESERVED, "", 3600]


def test_a_policy_broken_at_start_leaves_the_last_good_one(vigild):
    vigild.write_policy(STEP_UP)
    vigild.start()
    vigild.stop()
    vigild.write_policy(BROKEN)
    vigild.start()
    assert "policy.yaml:3:" in vigild.status()["policy_error"] and vigild.status()["degraded"]
    leader, _ = vigild.open()
    enrolled(vigild, "nobody")
    assert vigild.call("Prepare", "h", 0, fds=[leader.pidfd]) == [3600]
    assert ask(vigild, leader)[0] == PROVE


@pytest.mark.parametrize("harm", ["cut", "garbage", "a directory"])
def test_a_last_good_policy_that_is_broken_too(vigild, harm):
    vigild.write_policy(STEP_UP)
    vigild.start()
    vigild.stop()
    vigild.write_policy(BROKEN)
    kept = vigild.state / "policy.last-good"
    raw = kept.read_bytes()
    kept.unlink()
    if harm == "a directory":
        kept.mkdir()
    else:
        kept.write_bytes(raw[:-20] if harm == "cut" else b"9999999999999999999999\n\n\n" * 50)
    vigild.start()
    assert "no last good policy either" in vigild.words()
    vigild.answers_logins()


@pytest.mark.parametrize("how", ["Reload", "SIGHUP"])
def test_a_policy_broken_at_reload_leaves_the_old_one(vigild, how):
    vigild.write_policy(STEP_UP)
    vigild.start()
    leader, id_ = vigild.open()
    vigild.write_policy(BROKEN)
    if how == "Reload":
        assert "policy.yaml:3:22" in vigild.call("Reload")[0]
    else:
        vigild.process.send_signal(signal.SIGHUP)
        eventually(lambda: vigild.status()["policy_error"])
        assert "the old one stays" in vigild.words()
    status = vigild.status()
    assert "policy.yaml:3:22" in status["policy_error"] and status["degraded"]
    assert vigild.sessions()[id_]["max_duration"] == 3600
    assert vigild.reserve(vigild.leader()) == [RESERVED, "", 3600]
    assert ask(vigild, leader)[0] != ALLOWED
    vigild.write_policy(STEP_UP.replace("1h", "2h"))
    assert vigild.call("Reload") == [""]
    assert vigild.sessions()[id_]["max_duration"] == 7200
    assert not vigild.status()["degraded"]


def test_a_policy_others_may_write_is_none(vigild):
    vigild.policy.chmod(0o666)
    vigild.start()
    assert vigild.status()["degraded"] and "policy.yaml" in vigild.status()["policy_error"]


def test_state_folders_that_are_gone_stop_no_login(vigild):
    shutil.rmtree(vigild.state)
    vigild.start().answers_logins()
    assert vigild.status()["factors_error"]


def test_a_store_that_can_be_written_again_is_sound_again(vigild):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "none", vigild.runtime], check=True)
    try:
        vigild.start().answers_logins()
        filler = vigild.runtime / "filler"
        with filler.open("wb", buffering=0) as full, contextlib.suppress(OSError):
            while full.write(b"x" * 4096):
                pass

        def degraded():
            vigild.reserve(vigild.leader())
            return vigild.status()["degraded"]
        eventually(degraded)
        assert vigild.words().count("the state cannot be written") == 1
        filler.unlink()
        eventually(lambda: not degraded())
        assert not vigild.status()["store_error"]
        assert vigild.words().count("the state can be written again") == 1
        vigild.stop()
    finally:
        subprocess.run(["umount", "--lazy", vigild.runtime], check=True)
