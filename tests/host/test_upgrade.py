"""vigild is exchanged under locked sessions, and state.db is of an older or of a newer one."""

import base64
import sqlite3

import pytest
from logins import UNLOCK_PROMPT, Login, unlock
from people import LOCK_AND_CODE, Shell, enroll, person
from vigilhost import wait_until

STOP = "systemctl stop vigild.socket vigild.service"
START = "systemctl start vigild.socket vigild.service"
STORE = "/run/vigil/state.db"

# What the first vigilds made, and gave number 1.
FIRST = """
CREATE TABLE session (
  id BLOB PRIMARY KEY, user TEXT NOT NULL, uid INTEGER NOT NULL, groups BLOB NOT NULL,
  service TEXT NOT NULL, remote BLOB, remote_unknown INTEGER NOT NULL,
  class INTEGER NOT NULL, pam_terminal TEXT NOT NULL,
  remote_host TEXT NOT NULL, leader_pid INTEGER NOT NULL, leader_start INTEGER NOT NULL,
  logind_session TEXT NOT NULL, cgroup TEXT NOT NULL, state INTEGER NOT NULL,
  since INTEGER NOT NULL, since_wall INTEGER NOT NULL, locked_since INTEGER NOT NULL,
  locked_since_wall INTEGER NOT NULL, locked_by TEXT NOT NULL, unlock_failures INTEGER NOT NULL,
  unlock_not_before INTEGER NOT NULL, ending_since INTEGER NOT NULL, end_reason TEXT NOT NULL,
  end_warnings_given INTEGER NOT NULL, adopted INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE grant_ (
  id BLOB PRIMARY KEY, uid INTEGER NOT NULL, session BLOB NOT NULL, terminal INTEGER NOT NULL,
  leader_pid INTEGER NOT NULL, leader_start INTEGER NOT NULL, purpose TEXT NOT NULL,
  expires INTEGER NOT NULL, uses_left INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX grant_session ON grant_ (session);
CREATE TABLE terminal (
  session BLOB NOT NULL, path TEXT NOT NULL, device INTEGER NOT NULL, settings BLOB NOT NULL,
  uid INTEGER NOT NULL, gid INTEGER NOT NULL, mode INTEGER NOT NULL,
  PRIMARY KEY (session, path)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER session_gone AFTER DELETE ON session BEGIN
  DELETE FROM grant_ WHERE session = old.id;
  DELETE FROM terminal WHERE session = old.id;
END;
PRAGMA user_version = 1;
"""
TABLES = ("session", "grant_", "terminal")


@pytest.fixture(scope="module", autouse=True)
def prepared(host):
    host.run("groupadd", "nopasswd")
    host.write("/etc/sudoers.d/tests", "%nopasswd ALL=(ALL:ALL) NOPASSWD: ALL\n", "0440")
    host.policy(LOCK_AND_CODE)


@pytest.fixture(autouse=True)
def cleanly(host, nobody_stays):
    yield
    host.run(START)


def columns(database, table, schema="main"):
    return [row[1] for row in database.execute(f"PRAGMA {schema}.table_info({table})")]


def change_store(host, tmp_path, change):
    """What vigild has written, changed while it is stopped."""
    # It has closed its database: nothing of it is in another file.
    assert host.run(f"ls {STORE}*").stdout.split() == [STORE]
    file = tmp_path / "state.db"
    file.write_bytes(base64.b64decode(host.run("base64", STORE).stdout))
    changed = change(file)
    host.run(f"base64 -d >{STORE} && chmod 0600 {STORE}", input=base64.b64encode(changed.read_bytes()).decode())


def older(file):
    """The same rows in the tables of the first vigilds."""
    old = file.with_name("older.db")
    database = sqlite3.connect(old, isolation_level=None)
    database.executescript(FIRST)
    database.execute("ATTACH ? AS new", (str(file),))
    for table in TABLES:
        kept = ", ".join(columns(database, table))
        database.execute(f"INSERT INTO main.{table} ({kept}) SELECT {kept} FROM new.{table}")
        assert len(columns(database, table, "new")) > len(columns(database, table)) or table == "grant_"
    database.close()
    return old


def newer(file):
    """Of a vigild that will call a column otherwise."""
    database = sqlite3.connect(file, isolation_level=None)
    database.execute("ALTER TABLE session RENAME COLUMN locked_by TO locked_how")
    database.execute("PRAGMA user_version = 99")
    database.close()
    return file


def exchange_store(host, tmp_path, change):
    """What the next vigild says as it starts."""
    host.run(STOP)
    change_store(host, tmp_path, change)
    cursor = host.journal_cursor()
    host.run(START)
    wait_until(host.vigild_is_ready, 15, "the next vigild runs")
    return [one["MESSAGE"] for one in host.journal(since=cursor, _COMM="vigild")]


@pytest.fixture
def working(host):
    """A login that has proved a code and may go on with sudo."""
    user = person(host, "sudo", "nopasswd")
    codes = enroll(host, user)
    login = Login(host, user)
    inside = Shell(login.screen)
    assert "root" in inside.run("sudo id -un", codes.fresh())[1].splitlines()
    return login, inside, codes


def lock_in_an_editor(host, alice):
    alice.type("vi -u NONE notes\r")
    alice.screen.wait_for(r'^"notes"')
    alice.type("iwhat she wrote\x1b")
    alice.screen.wait_for("^what she wrote")
    alice.lock()
    return host.run("stat", "-c", "%U:%G %a", alice.path).stdout


def leaves_the_editor(host, alice, mode):
    """Everything is as it was before the lock, also the terminal's own settings."""
    alice.screen.wait_for("^what she wrote")
    alice.type(":wq\r")
    wait_until(lambda: alice.exists("/home/alice/notes"), 5, "it is written")
    assert host.read("/home/alice/notes") == "what she wrote\n" and alice.answers()
    assert host.run("stat", "-c", "%U:%G %a", alice.path).stdout != mode


def ends_at(login):
    return login.now()["next"]


def test_locks_limits_and_grants_outlive_an_upgrade_from_the_oldest_store(host, alice, working, tmp_path):
    login, inside, _codes = working
    mode = lock_in_an_editor(host, alice)
    shown, ends = alice.show(), [ends_at(alice), ends_at(login)]
    said = exchange_store(host, tmp_path, older)
    assert not [line for line in said if "cannot" in line], said
    assert alice.state() == "locked" and alice.frozen()
    alice.screen.wait_for(UNLOCK_PROMPT)
    now = alice.show()
    assert (now["since"], now["locked_since"]) == (shown["since"], shown["locked_since"])
    assert [ends_at(alice), ends_at(login)] == ends
    assert inside.asks("sudo id -un") is None, "the grant is kept"
    unlock(alice)
    assert not alice.told("unlock-failed") and not host.vigilctl("status", "--json")["store_error"]
    leaves_the_editor(host, alice, mode)
    # What it is now is read again as it is.
    alice.lock()
    said = exchange_store(host, tmp_path, lambda file: file)
    assert not [line for line in said if "cannot" in line], said
    assert alice.state() == "locked" and alice.frozen()
    unlock(alice)
    assert alice.answers()


def test_a_downgrade_loses_no_lock_and_locks_nobody_out(host, alice, working, tmp_path):
    """What an older vigild cannot read it puts aside: locks are found in the kernel, sessions in logind, and codes are asked
    for anew. A terminal comes back as at a login, which for a shell is as it was."""
    login, inside, codes = working
    alice.lock()
    said = exchange_store(host, tmp_path, newer)
    assert len([line for line in said if "newer vigild (schema 99" in line]) == 1, said
    assert alice.exists(STORE + ".broken-1") and "newer vigild" in host.vigilctl("status", "--json")["store_error"]
    assert alice.state() == "locked" and alice.frozen()
    alice.screen.wait_for(UNLOCK_PROMPT)
    unlock(alice)
    assert not alice.told("unlock-failed")
    assert alice.answers()
    # Limits count from logind's own times.
    wait_until(lambda: host.vigil_sessions(user=login.user, state="active"), 10, "the other session is adopted")
    adopted = host.vigil_sessions(user=login.user)[0]
    assert adopted["rule"] == "until somebody locks it" and adopted["next"]["action"] == login.listed["next"]["action"]
    assert adopted["next"]["at"][:15] == login.listed["next"]["at"][:15], "within minutes"
    assert "root" in inside.run("sudo id -un", codes.fresh())[1].splitlines()
    # New logins and new locks are as ever.
    bob = Login(host, "bob")
    bob.lock()
    unlock(bob)
    assert bob.answers()
