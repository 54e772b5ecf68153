"""The last terminal of a connection is closed under the lock, and the connection stays."""

import pytest
from connections import Connection
from logins import LOCK_SCREEN, UNLOCK_PROMPT, can_seal, notes_of_its_lock
from policies import limits, until_somebody_locks
from vigilhost import PASSWORDS, wait_until

pytestmark = pytest.mark.usefixtures("nothing_stays")

CLOSED = "its last terminal is closed, and what stood still there was ended"
JOB = "sleep 1234"
# How late a thing may be seen on a busy machine.
SEEN = 20


@pytest.fixture
def connection(host):
    host.policy(until_somebody_locks())
    made = Connection(host, "alice")
    yield made
    made.close()


def locked_window(connection):
    """With a job that stands still at it."""
    window = connection.open()
    window.type(f"{JOB} &\r")
    wait_until(lambda: connection.host.pids("-fx", JOB), SEEN, "the job runs")
    window.lock()
    assert window.frozen()
    return window


def is_left_locked(connection):
    host = connection.host
    wait_until(lambda: not host.pids("-fx", JOB), SEEN, "what stood still at it is ended")
    wait_until(lambda: not connection.now()["terminals"], SEEN, "vigil lists no terminal")
    assert connection.state() == "locked" and connection.lives()
    assert host.pids("-u", "alice", "-x", "bash") == []
    shown = connection.show()
    assert shown["uncovered"] == []
    (note,) = [one for one in shown["runs_on"] if one.startswith(CLOSED)]
    assert ("vigilctl terminate" if can_seal(host) else "who opens another over its connection is asked there") in note
    return note


def test_what_stood_still_there_is_ended_and_the_rest_stays_locked(host, connection):
    window = locked_window(connection)
    assert connection.show()["runs_on"] == notes_of_its_lock(host)
    window.close()
    note = is_left_locked(connection)
    wait_until(lambda: connection.told("terminals-closed"), SEEN, "the journal has it")
    assert [one.endswith(f"{note} [{connection.id[:8]}]") for one in connection.told("terminals-closed")] == [True]
    assert not connection.told("lock-failed") and not connection.told("session-unlocked")
    assert not host.run("systemctl list-units --all --no-legend 'vigil-lock-*'").stdout.strip()


def test_a_terminal_that_is_opened_then_meets_the_prompt(host, connection):
    locked_window(connection).close()
    is_left_locked(connection)
    again = connection.channel()
    if can_seal(host):
        assert again.wait_closed(SEEN) == 255
        host.vigilctl("terminate", connection.id, "--reason", "the way out")
        wait_until(lambda: not connection.lives(), SEEN, "its connection is closed")
        return
    again.wait_for(UNLOCK_PROMPT, SEEN)
    again.send(PASSWORDS["alice"] + "\r")
    wait_until(lambda: connection.state() == "active", SEEN, "the password unlocks")
    again.wait_gone(LOCK_SCREEN)
    again.send("\recho it is b''ack\r")
    again.wait_for("^it is back$")


def test_another_window_that_stays_keeps_what_stood_still_at_the_closed_one(host, connection):
    closing = connection.open()
    window = locked_window(connection)
    closing.screen.wait_for(UNLOCK_PROMPT)
    closing.close()
    wait_until(lambda: len(connection.now()["terminals"]) == 1, SEEN, "one is left")
    assert window.frozen() and host.pids("-fx", JOB) and not connection.told("terminals-closed")
    window.close()
    is_left_locked(connection)


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_vigild_that_comes_back_finds_it_out(host, connection, how):
    window = locked_window(connection)
    terminal = window.path
    if how == "stopped":
        host.run("systemctl stop vigild.socket vigild.service")
        window.close()
        wait_until(lambda: host.run("test", "-e", terminal, check=False).returncode, SEEN, "its terminal is gone")
        host.run("systemctl start vigild.socket vigild.service")
    else:
        window.close()
        host.kill_vigild()
    is_left_locked(connection)
    host.kill_vigild()
    is_left_locked(connection)


def test_who_has_its_number_before_vigild_hears_of_it_hides_nothing(host, connection):
    other = Connection(host, "bob")
    try:
        window = connection.open()
        # It has the terminal, and no file of it that would keep its number.
        window.type(f"nohup {JOB} </dev/null >/dev/null 2>&1 &\r")
        wait_until(lambda: host.pids("-fx", JOB), SEEN, "the job runs")
        window.lock()
        path = window.path
        host.run("systemctl kill --signal=STOP vigild.service")
        try:
            host.run("pkill", "-KILL", "-u", "alice", "-x", "bash")
            wait_until(lambda: not window.exists(path), SEEN, "its terminal is gone")
            host.run("pkill", "-KILL", "-x", "vigil-lock", check=False)
            next_one = other.open()
            wait_until(lambda: host.run("stat", "-c", "%U", path, check=False).stdout.strip() == "bob", SEEN,
                       "another has its number")
        finally:
            host.run("systemctl kill --signal=CONT vigild.service")
        is_left_locked(connection)
        wait_until(lambda: connection.told("terminals-closed"), SEEN, "the journal has it")
        assert next_one.path == path and other.state() == "active"
    finally:
        other.close()


def test_its_user_does_not_get_it_back_by_locking_it_once_more(host, connection):
    locked_window(connection).close()
    is_left_locked(connection)
    for _ in range(3):
        host.vigilctl("lock", connection.id, user="alice")
        assert connection.state() == "locked"
    is_left_locked(connection)


def test_it_ends_for_idleness_and_says_when(host):
    limits(host, idle_terminate="15s", unlock="[password]")
    connection = Connection(host, "alice")
    try:
        locked_window(connection).close()
        is_left_locked(connection)
        assert connection.show()["next"]["action"] == "terminate"
        wait_until(lambda: connection.state() == "gone", 15 + SEEN, "it is ended")
        wait_until(lambda: not connection.lives(), SEEN, "with its connection")
        assert len(ended := connection.told("session-ending")) == 1 and "idle for 15 s" in ended[0], ended
    finally:
        connection.close()
