"""What a lock does not hold: `show`, the journal and the policy say and decide it."""

import datetime
import re
import struct

import pytest
from logins import LOCK_SCREEN, UNLOCK_PROMPT, Login, can_seal, notes_of_its_lock, unlock
from people import person
from vigilhost import wait_until

POLICY = """\
version: 1
mode: enforce
sessions:
  - name: ended if it cannot be locked wholly
    match: {{users: [bob]}}
    incomplete_lock: {bob}
  - name: locked as far as can be
    unlock: [password]
    idle_lock: {idle}
"""
LOCK_GAPS = "lock-gaps"


def put_policy(host, bob="end", idle="never"):
    host.policy(POLICY.format(bob=bob, idle=idle))


@pytest.fixture(autouse=True)
def cleanly(host, nobody_stays):
    put_policy(host)
    yield
    host.run("pkill", "-KILL", "-x", "sleep", check=False)


def reader_of(host, login):
    """A process of another session of the same user that has the login's terminal open."""
    other = Login(host, login.user)
    other.type(f"sleep 1000 <{login.path} &\r")
    return wait_until(lambda: host.pids("-x", "sleep"), 5, "sleep runs")[0]


def test_a_session_that_is_wholly_locked_shows_what_its_host_cannot_seal_and_nothing_else(host, alice):
    notes = notes_of_its_lock(host)
    alice.lock()
    assert (alice.show()["uncovered"], alice.show()["runs_on"]) == ([], notes)
    lines = [f"alice: wholly locked; note: {note} [{alice.id[:8]}]" for note in notes]
    wait_until(lambda: alice.told(LOCK_GAPS) == lines, 5, "the journal has the same")
    unlock(alice)
    assert alice.show()["runs_on"] == [] and alice.told(LOCK_GAPS) == lines


def test_a_connection_that_cannot_be_sealed_is_told_once_and_ends_no_session(host):
    """Where the policy has ended what is not wholly locked; a command without a terminal runs there, and gets no key."""
    control = host.one_connection()
    bob = Login(host, "bob", *control)
    bob.lock()
    command = host.ssh("bob", "-T", *control, command=["id -un; exec sleep 1000"])
    if can_seal(host):
        assert command.wait_closed(20) == 255
        assert not host.pids("-x", "sleep")
    else:
        command.wait_for("^bob$")
        assert host.pids("-x", "sleep")
    assert (bob.state(), bob.show()["uncovered"], bob.show()["runs_on"]) == ("locked", [], notes_of_its_lock(host))
    # What is typed is the prompt's, and nothing is told twice.
    bob.type("wrong\r")
    bob.screen.wait_for("Wrong")
    wait_until(lambda: bob.screen.wait_for(UNLOCK_PROMPT, 5), 6, "it asks again")
    if not can_seal(host):
        bob.screen.wait_for("Goes on: sleep")
    assert len(bob.told(LOCK_GAPS)) == len(notes_of_its_lock(host))
    host.run("pkill", "-KILL", "-x", "sleep", check=False)
    unlock(bob)
    assert bob.answers()


def test_a_reader_outside_is_named_for_as_long_as_it_is_there(host, alice):
    pid = reader_of(host, alice)
    alice.lock(prompt=LOCK_SCREEN)
    line = f"process {pid} (sleep) outside the session has {alice.path} open"
    told = "; ".join([line, *notes_of_its_lock(host)])
    wait_until(lambda: alice.told(LOCK_GAPS) == [f"alice: not wholly locked: {told} [{alice.id[:8]}]"], 5,
               "the journal names it")
    assert alice.show()["uncovered"] == [line]
    text = host.vigilctl("show", alice.id).stdout
    assert re.search(f"^not held +{re.escape(line)}$", text, re.MULTILINE)
    host.run("kill", pid)
    wait_until(lambda: alice.show()["uncovered"] == [], 5, "what is gone is not shown")
    host.vigilctl("unlock", alice.id, "--reason", "test")
    assert alice.answers()


def test_where_the_policy_says_so_it_is_ended_instead(host):
    bob = Login(host, "bob")
    pid = reader_of(host, bob)
    host.vigilctl("lock", bob.id)
    why = rf"could not be locked wholly: process {pid} \(sleep\) outside the session has {bob.path} open"
    bob.screen.wait_to_hear(why.replace(" ", r"\s+"), 10)
    bob.screen.wait_closed(10)
    wait_until(lambda: bob.state() == "gone", 10, "the session is over")
    assert re.search(why, bob.told("session-ending")[0])


def test_without_a_reader_such_a_session_is_locked_as_any_other(host):
    bob = Login(host, "bob")
    bob.lock()
    assert bob.state() == "locked"
    unlock(bob)
    assert bob.answers()


def test_a_policy_loaded_under_the_lock_counts(host):
    put_policy(host, bob="lock")
    bob = Login(host, "bob")
    reader_of(host, bob)
    bob.lock(prompt=LOCK_SCREEN)
    wait_until(lambda: bob.told(LOCK_GAPS), 5, "vigil knows of the reader")
    put_policy(host, bob="end")
    wait_until(lambda: bob.state() == "gone", 10, "the session is over")


def test_lingering_units_are_told_and_end_nothing(host):
    host.run("loginctl", "enable-linger", "bob")
    bob = Login(host, "bob")
    bob.type("systemd-run --user --unit=backup sleep 1000; systemd-run --user --scope --unit=run-away setsid -f sleep 1000 </dev/null &>/dev/null\r")
    wait_until(lambda: len(host.pids("-x", "sleep")) == 2, 10, "both run")
    try:
        bob.lock()
        assert bob.state() == "locked"
        assert bob.show()["uncovered"] == []
        assert set(bob.show()["runs_on"]) >= {"user unit backup.service runs on", "user unit run-away.scope runs on"}
        assert "note             user unit backup.service runs on" in host.vigilctl("show", bob.id).stdout
        wait_until(lambda: bob.told(LOCK_GAPS), 5, "the journal has it")
        assert "wholly locked; note: " in bob.told(LOCK_GAPS)[0]
        host.run("pkill", "-KILL", "-x", "sleep")
        wait_until(lambda: not {"user unit backup.service runs on", "user unit run-away.scope runs on"} & set(bob.show()["runs_on"]),
                   5, "what has ended is not shown")
        unlock(bob)
    finally:
        host.run("loginctl", "disable-linger", "bob")


def has_drawn(login):
    """A server that is still about its first drawing goes on with it over the prompt."""
    login.type("one line\r")
    login.screen.wait_for("^one line\none line$")


def test_a_tmux_server_of_an_older_session_is_named(host):
    older, newer = Login(host, "alice"), Login(host, "alice")
    older.type("tmux -f /dev/null new -d 'exec cat'\r")
    wait_until(lambda: host.pids("-x", "tmux: server"), 5, "the server runs")
    newer.type("tmux attach\r")
    has_drawn(newer)
    newer.lock(prompt=LOCK_SCREEN)
    wait_until(lambda: any("(tmux: server) outside the session has" in one for one in newer.show()["uncovered"]), 5,
               "the server is named")
    server = host.pids("-x", "tmux: server")[0]
    line = f"process {server} (tmux: server) outside the session has {newer.path} open"
    told = "; ".join([line, *notes_of_its_lock(host)])
    wait_until(lambda: newer.told(LOCK_GAPS) == [f"alice: not wholly locked: {told} [{newer.id[:8]}]"], 5, "the journal names it")
    # Its own session is held wholly: what runs behind the server is nobody's to reach.
    older.lock()
    assert older.show()["uncovered"] == []
    host.run("pkill", "-KILL", "-x", "tmux: server")


@pytest.mark.parametrize("columns", [80, 20])
def test_who_cannot_unlock_at_an_older_sessions_tmux_is_told_how_to_go_on(host, columns):
    older = Login(host, "alice")
    older.type("tmux -f /dev/null new -d 'echo in the pane; exec cat'\r")
    wait_until(lambda: host.run("pgrep", "-x", "tmux: server", check=False).stdout, 5, "the server runs")
    try:
        newer = Login(host, "alice")
        newer.resize(24, columns)
        newer.type("tmux attach\r")
        newer.screen.wait_for("^in the pane$")
        has_drawn(newer)
        newer.lock(prompt=LOCK_SCREEN)
        wait_until(lambda: "Close the connection and log in again: what runs in tmux is not lost." in
                   " ".join(newer.screen.text().split()), 5, f"it is told\n{newer.screen.text()}")
        print(newer.screen.text())
        assert "Password" not in newer.screen.text()
        newer.close()
        wait_until(lambda: newer.state() == "gone", 10, "the session is over")
        again = Login(host, "alice")
        again.type("tmux attach\r")
        again.screen.wait_for("^in the pane$")
    finally:
        host.run("pkill", "-KILL", "-x", "tmux: server")


PASSWORD_LIKE_THIS = {
    "usermod --lock {}": "The password of {} is locked on this host. Without another, ask an administrator to unlock this",
    "usermod --password * {}": "No password is set for {} on this host. Without one, ask an administrator to unlock this",
    "passwd --quiet --delete {}": "The password of {} is empty, which opens no lock. Without another, ask an administrator",
}


@pytest.mark.parametrize("done", PASSWORD_LIKE_THIS)
def test_who_has_no_password_to_type_is_told_so(host, done):
    carol = person(host)
    kept = host.run("getent", "shadow", carol).stdout.split(":")[1]
    host.run(*done.format(carol).split())
    login = Login(host, carol)
    login.lock()
    shown = " ".join(login.screen.text().split())
    print(login.screen.text())
    told = PASSWORD_LIKE_THIS[done].format(carol)
    assert told in shown
    host.run("usermod", "--password", kept, carol)
    login.type("wrong\r")
    login.screen.wait_gone(" ".join(told.split()[:3]))
    login.screen.wait_for(UNLOCK_PROMPT)
    unlock(login)


def test_a_scope_that_is_not_delegated_is_told(host):
    host.run("mv /usr/lib/systemd/system/session-.scope.d/50-vigil.conf /root/ && systemctl daemon-reload")
    try:
        alice, bob = Login(host, "alice"), Login(host, "bob")
        for login in (alice, bob):
            host.vigilctl("lock", login.id, check=False)
        alice.screen.wait_for(UNLOCK_PROMPT)
        assert "its scope is not delegated" in alice.show()["uncovered"][0]
        wait_until(lambda: bob.state() == "gone", 10, "bob's is ended")
        assert "its scope is not delegated" in bob.told("session-ending")[0]
        unlock(alice)
    finally:
        host.run("mv /root/50-vigil.conf /usr/lib/systemd/system/session-.scope.d/ && systemctl daemon-reload")


def without_scope(host, user):
    """logind is asked to make no session for this user."""
    host.run(f"sed -i '/pam_systemd.so/i session [success=1 default=ignore] pam_succeed_if.so quiet user = {user}' "
             "/etc/pam.d/common-session")


def test_a_session_without_a_scope_never_looks_locked(host):
    carol = person(host)
    without_scope(host, carol)
    login = Login(host, carol)
    assert login.show()["uncovered"] == ["logind has no session for it"]
    done = host.vigilctl("lock", login.id, check=False)
    assert done.returncode == 1 and "It cannot be locked: logind has no session for it." in done.stderr
    assert login.state() == "active" and login.answers()
    put_policy(host, idle="1s")
    wait_until(lambda: login.told("lock-failed"), 30, "it is told that idleness locks nothing")
    assert login.state() == "active"
    assert LOCK_SCREEN not in login.screen.text()


def test_a_session_without_a_scope_is_ended_where_the_policy_says_so(host):
    carol = person(host)
    without_scope(host, carol)
    host.policy("version: 1\nsessions:\n  - name: all\n    incomplete_lock: end\n    idle_lock: 1s\n")
    login = Login(host, carol)
    login.screen.wait_to_hear(r"could not be locked wholly:\s+logind\s+has\s+no\s+session\s+for\s+it", 30)
    login.screen.wait_closed(15)
    wait_until(lambda: login.state() == "gone", 10, "the session is over")


def zone(east, name):
    """A file for /etc/localtime, as tzfile(5) has it: so many seconds east, all the year."""
    sign, away = "-" if east >= 0 else "", abs(east)
    block = struct.pack(">4sc15x6L", b"TZif", b"2", 0, 0, 0, 0, 1, len(name) + 1) + \
        struct.pack(">lBB", east, 0, 0) + name.encode() + b"\0"
    return block + block + f"\n{name}{sign}{away // 3600}:{away // 60 % 60:02}\n".encode()


@pytest.mark.parametrize("east", [20700, -12600], ids=["east", "west"])
def test_the_hour_at_the_prompt_is_that_of_show(host, alice, tmp_path, east):
    (tmp_path / "zone").write_bytes(zone(east, "HERE"))
    host.run("mv /etc/localtime /root/localtime")
    try:
        host.put(tmp_path / "zone", "/etc/localtime")
        alice.lock()
        asked = alice.screen.wait_for(LOCK_SCREEN + r" (\d\d:\d\d)\b")[1]
        shown = re.search(r"^locked since +(\d\d:\d\d)$", host.vigilctl("show", alice.id).stdout, re.MULTILINE)[1]
        since = datetime.datetime.fromisoformat(alice.show()["locked_since"].replace("Z", "+00:00"))
        here = since.astimezone(datetime.timezone(datetime.timedelta(seconds=east)))
        assert asked == shown == f"{here:%H:%M}"
        unlock(alice)
    finally:
        host.run("rm -f /etc/localtime; mv /root/localtime /etc/localtime")


def test_what_outlives_its_login_is_in_no_session_and_held_by_no_lock(host, alice):
    """As mosh's server and the shell behind it: what SECURITY.md says of them is so."""
    alice.type("setsid bash -c 'while :; do echo $((++i)) >count; sleep 0.1; done' </dev/null >/dev/null 2>&1 &\r")
    scope = alice.scope()
    count = lambda: int(host.run("cat", "/home/alice/count", check=False).stdout or 0)  # noqa: E731
    try:
        wait_until(lambda: count() > 0, 5, "it counts")
        alice.type("exit\r")
        alice.screen.wait_closed(10)
        wait_until(lambda: alice.state() == "gone", 10, "the session is over")
        other = Login(host, "alice")
        host.vigilctl("lock", "--all")
        other.screen.wait_for(UNLOCK_PROMPT)
        host.restart_vigild()
        assert [one["id"] for one in host.vigil_sessions()] == [other.id]
        counted = count()
        wait_until(lambda: count() > counted + 2, 5, "it goes on")
        assert alice.exists(scope)
        unlock(other)
    finally:
        host.run("pkill", "-KILL", "-u", "alice", "-f", "echo.*count", check=False)
