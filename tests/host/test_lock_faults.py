"""What befalls a locked session from outside: it stays locked, or it ends, and nothing stays frozen or waits for 90 s."""

import contextlib
import os
import re
import signal
import time

import pytest
from logins import LOCK_SCREEN, SHELL, UNLOCK_PROMPT, Login, unlock
from people import enroll
from policies import until_somebody_locks
from vigilhost import PASSWORDS, Host, wait_until

# systemd waits 90 s for what it cannot stop; anything near that is a stall.
NO_STALL = 30
pytestmark = pytest.mark.usefixtures("locked_by_hand")


@pytest.fixture(autouse=True)
def vigild_runs(host, nobody_stays):
    yield
    host.run("systemctl unmask --runtime vigild.socket vigild.service; systemctl start vigild.socket vigild.service")


def vigild_goes_for_good(host):
    host.run("systemctl mask --runtime vigild.socket vigild.service; systemctl stop vigild.socket vigild.service")
    assert host.vigild_pid() == 0


def frozen_groups(host):
    return host.run("find", "/sys/fs/cgroup", "-name", "vigil-lock", "-type", "d", check=False).stdout.split()


# Who ends it


@pytest.mark.parametrize("how", ["loginctl terminate-session {session}", "loginctl terminate-user alice",
                                 "systemctl stop session-{session}.scope", "systemctl kill -s KILL session-{session}.scope",
                                 "kill {leader}"])
def test_a_locked_session_that_is_ended_is_gone_at_once(host, alice, how):
    alice.lock()
    scope = alice.scope()
    shown = alice.show()
    host.run(how.format(session=shown["logind_session"], leader=shown["leader_pid"]), timeout=NO_STALL)
    alice.screen.wait_closed(NO_STALL)
    wait_until(lambda: alice.now() is None, NO_STALL, "vigil lists it no more")
    wait_until(lambda: not alice.exists(scope), NO_STALL, "its cgroup is gone")
    assert not frozen_groups(host)


def test_what_stands_still_ends_with_its_session_where_vigild_is_gone_for_good(host, alice):
    alice.type("sleep 1234 &\r")
    alice.lock()
    scope = alice.scope()
    vigild_goes_for_good(host)
    alice.close()
    wait_until(lambda: not host.pids("-u", "alice", "-x", "bash|sleep|sshd"), NO_STALL, "nothing of it is left")
    wait_until(lambda: not alice.exists(scope), NO_STALL, "its cgroup is gone")
    wait_until(lambda: not host.pids("-x", "vigil-lock"), NO_STALL, "its prompt is gone")


def test_a_prompt_that_vigild_never_answered_ends_what_stands_still_all_the_same(host, alice):
    alice.type("sleep 1234 &\r")
    alice.lock()
    scope = alice.scope()
    vigild_goes_for_good(host)
    first = host.pids("-x", "vigil-lock")
    heard = alice.screen.mark()
    host.run("kill", "-9", *first)
    alice.screen.wait_to_hear("vigild is away", since=heard)
    assert host.pids("-x", "vigil-lock") not in ([], first)
    alice.close()
    wait_until(lambda: not alice.exists(scope), NO_STALL, "its cgroup is gone")
    assert not host.pids("-u", "alice", "-x", "bash|sleep|sshd")
    wait_until(lambda: not host.pids("-x", "vigil-lock"), NO_STALL, "its prompt is gone")


def test_locked_sessions_that_are_ended_where_vigild_is_gone_for_good_leave_nothing_behind(host, alice):
    bob = Login(host, "bob")
    alice.type("sleep 1234 & nohup setsid sleep 1234 &\r")
    wait_until(lambda: len(host.pids("-fx", "sleep 1234")) == 2, 5, "both run")
    for login in (alice, bob):
        login.lock()
    scopes = [login.scope() for login in (alice, bob)]
    vigild_goes_for_good(host)
    host.run("systemctl", "stop", "--no-block", scopes[0].rpartition("/")[2])
    host.run("loginctl", "terminate-session", bob.listed["logind_session"])
    for login, scope in zip((alice, bob), scopes):
        login.screen.wait_closed(NO_STALL)
        wait_until(lambda at=scope, of=login: not of.exists(at), NO_STALL, "its cgroup is gone")
    assert not frozen_groups(host) and not host.pids("-fx", "sleep 1234")
    wait_until(lambda: not host.pids("-x", "vigil-lock"), NO_STALL, "nobody asks any more")


def test_a_terminal_that_is_closed_where_vigild_is_gone_for_good_ends_nothing_of_a_session_that_goes_on(host):
    control = host.one_connection()
    first = Login(host, "alice", *control)
    second = host.login("alice", *control)
    second.send("sleep 1234 &\r")
    first.lock()
    second.wait_for(UNLOCK_PROMPT)
    scope = first.scope()
    vigild_goes_for_good(host)
    second.close()
    wait_until(lambda: any("waiting for the session's end" in one["MESSAGE"] for one in host.journal(_COMM="vigil-lock")),
               10, "its prompt looks on")
    assert host.pids("-x", "sleep") and "frozen 1" in host.read(scope + "/vigil-lock/cgroup.events")
    host.run("systemctl unmask --runtime vigild.socket vigild.service; systemctl start vigild.socket vigild.service")
    unlock(first)
    assert first.answers()
    wait_until(lambda: not host.pids("-x", "vigil-lock"), 10, "no prompt is left")


@pytest.mark.parametrize("vigild", ["runs", "is-gone"])
def test_a_host_with_fifty_locked_sessions_shuts_down_at_once(request, vigild):
    option = request.config.getoption
    with Host(f"host-shutdown-{os.getpid()}", option("--suite"), option("--vm")) as host:
        host.install()
        host.policy(until_somebody_locks())
        for wave in range(5):
            for _ in range(10):
                host.ssh("alice")
            wait_until(lambda n=10 * (wave + 1): len(host.vigil_sessions(user="alice", state="active")) == n, 30, "they are in")
        host.vigilctl("lock", "--all")
        wait_until(lambda: len(host.vigil_sessions(state="locked")) == 50, 30, "all are locked")
        # A prompt that does not run yet sees no session's end.
        sees = "for pid in $(pgrep -x vigil-lock); do readlink /proc/$pid/fd/* | grep -m1 pidfd; done; true"
        wait_until(lambda: host.run(sees).stdout.count("pidfd") == 50, 60, "each prompt knows its session")
        if vigild == "is-gone":
            vigild_goes_for_good(host)
        # Its answer may go down with the host.
        with contextlib.suppress(Exception):
            host.run("systemctl", "--no-block", "poweroff", check=False)
        wait_until(lambda: not host.inner.is_up(), NO_STALL, "it is down")


# vigild


def test_a_lock_stays_while_vigild_is_stopped_and_opens_when_it_is_back(host, alice):
    alice.lock()
    group = frozen_groups(host)[0]
    host.run("systemctl stop vigild.socket vigild.service")
    alice.type(PASSWORDS["alice"] + "\r")
    alice.screen.wait_for("vigild")
    assert host.read(f"{group}/cgroup.freeze").strip() == "1"
    host.run("systemctl start vigild.socket vigild.service")
    wait_until(lambda: alice.state() == "active", 15, "the password that was typed meanwhile opens it")
    assert alice.answers()


def test_a_lock_outlives_an_upgrade_of_vigild(host, alice):
    alice.lock()
    before = host.vigild_pid()
    # As a package does it: the new file under the old name, then a restart.
    host.run("cd /usr/libexec/vigil && for one in vigild vigil-lock; do cp $one $one.new && mv $one.new $one; done")
    host.run("systemctl daemon-reload; systemctl restart vigild.service")
    assert host.vigild_pid() not in (0, before)
    assert alice.state() == "locked" and alice.frozen()
    unlock(alice)
    assert alice.answers()


@pytest.mark.parametrize("seconds", [0, 5], ids=["a-moment", "longer-than-anybody-waits-for-it"])
def test_a_password_typed_while_vigild_hangs_is_not_lost(host, alice, seconds):
    alice.lock()
    pid = str(host.vigild_pid())
    host.run("kill", "-STOP", pid)
    try:
        alice.type(PASSWORDS["alice"] + "\r")
        typed = time.monotonic()
        wait_until(lambda: time.monotonic() - typed >= seconds, seconds + 5, "it hangs for so long")
    finally:
        host.run("kill", "-CONT", pid)
    wait_until(lambda: alice.state() == "active", 20, f"nobody types it twice\n{alice.screen.text()}")
    alice.screen.wait_gone(LOCK_SCREEN)
    assert alice.answers() and not alice.told("unlock-failed")
    assert host.vigild_pid() == int(pid)


def test_a_policy_that_breaks_under_the_lock_changes_nothing(host, alice):
    alice.lock()
    host.write("/etc/vigil/policy.yaml", "version: 1\nsessions: [{name: x, unlock: [totp], idle_lok: 5m}]\n")
    try:
        for again in ("reload", "restart"):
            cursor = host.journal_cursor()
            host.run("systemctl", again, "vigild.service")
            wait_until(lambda since=cursor: [one for one in host.journal(since=since) if "idle_lok" in str(one.get("MESSAGE"))],
                       10, "the journal names the mistake")
            assert alice.state() == "locked" and alice.frozen()
        alice.screen.wait_for(UNLOCK_PROMPT)
        unlock(alice)
        assert alice.answers()
    finally:
        host.policy(until_somebody_locks())


def lose_the_factors(host):
    host.run("systemctl stop vigild.socket vigild.service; rm /var/lib/vigil/factors.db*; "
             "systemctl start vigild.socket vigild.service")


def test_a_lock_whose_factors_are_lost_takes_the_password(host, alice):
    codes = enroll(host, "alice")
    host.policy(until_somebody_locks("password, totp"))
    try:
        alice.lock()
        lose_the_factors(host)
        assert alice.state() == "locked" and alice.frozen()
        alice.type(codes.fresh() + "\r")
        alice.screen.wait_for("Wrong")
        alice.screen.wait_for(UNLOCK_PROMPT)
        unlock(alice)
        assert alice.answers()
    finally:
        host.policy(until_somebody_locks())


def test_a_lock_that_takes_codes_alone_waits_for_an_administrator_when_they_are_lost(host, alice):
    codes = enroll(host, "alice")
    host.policy(until_somebody_locks("totp"))
    try:
        alice.lock(prompt=r"^\s*Code:")
        lose_the_factors(host)
        alice.type(codes.fresh() + "\r")
        alice.screen.wait_for("Only an administrator can unlock this")
        alice.type(PASSWORDS["alice"] + "\r")
        assert alice.state() == "locked" and alice.frozen()
        host.vigilctl("unlock", alice.id, "--reason", "her codes are lost")
        alice.screen.wait_gone(LOCK_SCREEN)
        assert alice.answers()
    finally:
        host.policy(until_somebody_locks())


# What the session does meanwhile


def test_a_thousand_processes_that_are_just_being_started_stand_still(host, alice):
    """They come from a loop that forks as fast as it can, so that the lock meets it in the middle."""
    alice.type("i=0; while test ! -e enough && ((i++ < 6000)); do sleep 600 & done; disown -a; clear; echo all st''arted\r")
    host.run(f"until [ $(pgrep -u alice -x -c sleep) -ge 1000 ]; do sleep 0.01; done; exec vigilctl lock {alice.id}", timeout=60)
    group = alice.scope() + "/vigil-lock"
    assert "frozen 1" in host.read(f"{group}/cgroup.events")
    held = host.read(f"{group}/cgroup.procs").split()
    terminal = alice.path.removeprefix("/dev/")
    at_it = host.run("ps", "-t", terminal, "-o", "pid=", check=False).stdout.split()
    assert len(at_it) >= 1000 and set(at_it) <= set(held)
    assert "all started" not in alice.screen.said(), "the loop is not at its end"
    assert alice.show()["uncovered"] == []
    alice.screen.wait_for(UNLOCK_PROMPT, 20)
    host.run("touch", "/home/alice/enough")
    unlock(alice)
    alice.screen.wait_for("^all started$", 60)
    # But for the shell itself, which may have been about to fork another. The last are still called as it is.
    wait_until(lambda: len(host.pids("-u", "alice", "-x", "sleep")) >= len(at_it) - 1, 30, "all of them run")
    host.run("pkill", "-u", "alice", "-x", "sleep")
    assert alice.answers()


STORM = """\
# 250 at a time, each for a moment: it leads a session of its own, forks the one that goes on, and ends.
open(my $forks, '>>', 'forks');
# The first adopts them all, and nobody has to wait for them: prctl(PR_SET_CHILD_SUBREAPER), on amd64.
syscall(157, 36, 1, 0, 0, 0) == 0 or die;
$SIG{CHLD} = 'IGNORE';
for (1 .. 250) {
    next if fork;
    while (1) {
        fork and exit;
        syscall(112); # setsid()
        fork and exit;
        syswrite $forks, '.';
        select undef, undef, undef, rand 1;
    }
}
sleep 1 while 1;
"""


def test_what_forks_twice_and_leaves_its_session_at_the_moment_of_the_lock_stands_still(host, alice):
    """It has the terminal open all the while. Of these there are never more than five hundred."""
    host.write("/home/alice/storm", STORM)
    forks, scope = "/home/alice/forks", alice.scope()
    size = lambda: int(host.run("stat", "-c", "%s", forks).stdout)  # noqa: E731
    try:
        alice.type("perl storm &\r")
        wait_until(lambda: alice.exists(forks) and size() > 500, 30, "they fork")
        before, after = host.run(f"stat -c %s {forks}; vigilctl lock {alice.id} >/dev/null; stat -c %s {forks}").stdout.split()
        assert int(after) > int(before), "none of them forked in that moment"
        alice.screen.wait_for(UNLOCK_PROMPT, 20)
        wait_until(lambda: "frozen 1" in host.read(f"{scope}/vigil-lock/cgroup.events"), 10, "what is held stands still")
        stood = size()
        held, there = host.read(f"{scope}/vigil-lock/cgroup.procs").split(), host.pids("-u", "alice", "-x", "perl")
        assert len(there) > 200 and set(there) <= set(held)
        assert alice.show()["uncovered"] == [] and size() == stood
        unlock(alice)
        wait_until(lambda: size() > stood, 20, "they go on")
    finally:
        host.run(f"echo 1 >{scope}/cgroup.kill")


def test_two_hundred_locks_lose_nothing(host, alice):
    """Neither of what is typed, nor of a program that counts without a pause; another keeps the host busy."""
    host.run("systemd-run", "--unit=busy", "--quiet", "/bin/sh", "-c", "while :; do :; done")
    try:
        alice.type("for ((n = 0; ; n++)); do echo $n; done >numbers & clear; echo be''gins; tee typed\r")
        alice.screen.wait_for("^begins$")
        for number in range(200):
            alice.type(f"line {number}\r")
            alice.screen.wait_for(f"^line {number}\nline {number}$")
            alice.lock()
            assert f"line {number}" not in alice.screen.lines()
            unlock(alice)
        alice.type("\x04")
        alice.screen.wait_for(SHELL)
        assert alice.answers()
        alice.type("kill %1; wait; echo sto''pped\r")
        alice.screen.wait_for("^stopped$")
        assert host.read("/home/alice/typed") == "".join(f"line {number}\n" for number in range(200))
        assert host.run("awk '$1 != NR - 1 {print NR; exit 1}' /home/alice/numbers", check=False).returncode == 0
        assert int(host.run("wc", "-l", "/home/alice/numbers").stdout.split()[0]) > 200
    finally:
        host.run("systemctl", "stop", "busy.service")


# Lines in pieces, so that most locks meet it in the middle of one.
TALKER = """\
$SIG{INT} = sub { $enough = 1 };
my $text = '';
until ($enough) {
    $text .= 'number ' . ++$number . "\\n" while length $text < 100;
    my $written = syswrite STDOUT, $text, 7;
    substr($text, 0, $written, '') if defined $written;
    select undef, undef, undef, 0.001;
}
syswrite STDOUT, $text;
"""
# What is drawn there, from the prompt's first question to its screen's end.
LOCKED = re.compile(rb"\x1b7\x1b\[\?25\$p.*?\x1b\[\?1049l\x1b\[\?25h", re.DOTALL)


def test_fifty_locks_in_the_middle_of_output_lose_double_and_tear_no_line(host, alice):
    host.write("/home/alice/talker", TALKER)
    alice.type("clear; echo be''gins; perl talker; echo; echo en''ds\r")
    alice.screen.wait_for(r"^number \d+$")
    for _ in range(50):
        alice.lock()
        assert "number" not in alice.screen.text()
        alice.type("wr\x15")
        unlock(alice)
        shown = alice.screen.text()
        wait_until(lambda seen=shown: alice.screen.text() != seen, 5, "it goes on")
    alice.screen.key("ctrl-c")
    alice.screen.wait_for("^ends$")
    assert alice.answers()
    heard = alice.screen.output
    heard = heard[heard.index(b"begins"):heard.index(b"ends")]
    locks = list(LOCKED.finditer(heard))
    assert len(locks) == 50 and not [lock for lock in locks if b"number" in lock[0]]
    assert [lock for lock in locks if not heard[:lock.start()].endswith(b"\n")], "none came in the middle of a line"
    lines = LOCKED.sub(b"", heard).replace(b"^C", b"").split()
    numbers = range(1, len(lines) // 2 + 1)
    assert b" ".join(lines) == b" ".join([b"begins", *(b"number %d" % number for number in numbers)])


def test_a_client_that_slept_when_the_lock_came_shows_the_lock_first(host, alice):
    alice.type("yes secret\r")
    alice.screen.wait_for("^secret$")
    client = alice.screen.child.pid
    os.kill(client, signal.SIGSTOP)
    try:
        pid = host.pids("-x", "yes")[0]
        wait_until(lambda: host.read(f"/proc/{pid}/wchan").strip() not in ("", "0"), 20, "nothing more fits")
        host.vigilctl("lock", alice.id)
        wait_until(lambda: host.pids("-x", "vigil-lock"), 20, "its prompt is there")
    finally:
        os.kill(client, signal.SIGCONT)
    # Behind all that lay on the way, which a screen on a busy machine takes long to read.
    alice.screen.wait_for(UNLOCK_PROMPT, 60)
    assert "secret" not in alice.screen.text()
    unlock(alice)
    alice.type("\x03")
    alice.screen.wait_for(SHELL, 60)
    assert alice.answers()


def test_a_pasted_megabyte_at_the_prompt_is_nobodys(host, alice):
    alice.type("cat >pasted\r")
    alice.lock()
    alice.type("\x1b[200~" + "x" * 1000 + "\r" + "touch /tmp/pasted\r" * 60000 + "\x1b[201~")
    # It is not sent at once: the prompt takes it as fast as it can.
    alice.screen.wait_for(UNLOCK_PROMPT, 60)
    alice.type("\x15")
    wait_until(lambda: "Wrong" not in alice.screen.text(), 60, "what was pasted is over")
    unlock(alice)
    alice.type("this line\r\x04")
    wait_until(lambda: host.read("/home/alice/pasted") == "this line\n", 10, "cat read what was typed afterwards, and no more")
    assert alice.answers() and not alice.exists("/tmp/pasted") and not alice.told("unlock-failed")
