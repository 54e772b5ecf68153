"""Who reads a terminal that is locked, or tries to: a process within the session, outside of it, or sent to guess."""

import pytest
from logins import LOCK_SCREEN, SHELL, UNLOCK_PROMPT, Login, unlock
from loops import counts, still
from people import enroll
from vigilhost import PASSWORDS, SOURCE, wait_until

pytestmark = pytest.mark.usefixtures("opened_by_codes", "nothing_stays")


def test_a_reader_without_the_terminal_as_its_own_is_frozen_too(host, alice):
    alice.type(f"setsid cat <{alice.path} >/tmp/stolen &\r")
    pid = wait_until(lambda: host.pids("-x", "cat"), 5, "cat runs")[0]
    alice.lock()
    assert host.read(f"/proc/{pid}/cgroup").strip().endswith("/vigil-lock")
    unlock(alice)
    host.run("kill", pid)
    assert PASSWORDS["alice"] not in host.read("/tmp/stolen")


def test_a_shell_that_left_the_session_but_not_its_terminal_stands_still_too(host, alice):
    alice.type("systemd-run --user --scope --quiet bash --norc\r")
    alice.type("PS1='outside> '; echo pid $$\r")
    pid = alice.screen.wait_for(r"^pid (\d+)$")[1]
    cgroup = lambda: host.read(f"/proc/{pid}/cgroup").strip()  # noqa: E731
    assert "/user@" in cgroup()
    count = counts(alice, "for ((n = 0; ; n++)); do echo $n >outside; read -t 0.05 key && echo got a ''key; done",
                   "outside")
    alice.lock()
    stood = still(count)
    alice.type("touch /tmp/outside\r")
    alice.screen.wait_for("Wrong")
    assert still(count) == stood
    alice.screen.wait_for(UNLOCK_PROMPT)
    unlock(alice)
    wait_until(lambda: count() not in ("", stood), 3, "the loop goes on")
    assert cgroup() == host.read(f"/proc/{alice.listed['leader_pid']}/cgroup").strip()
    alice.screen.key("ctrl-c")
    alice.screen.wait_for("^outside>$")
    assert alice.answers()
    assert "got a key" not in alice.screen.said() and not alice.exists("/tmp/outside")


@pytest.fixture
def faillock(host):
    """Three wrong passwords at whatever asks as Debian's login does, and the account is locked; what was counted so far."""
    host.run("cd /etc/pam.d && cp -p common-auth common-account /root/ && "
             "sed -i -e '0,/^auth/s//auth required pam_faillock.so preauth deny=3\\n&/' "
             "-e 's/^auth.*pam_deny.so.*/auth [default=die] pam_faillock.so authfail deny=3/' common-auth && "
             "echo account required pam_faillock.so >>common-account")
    yield lambda: host.run("faillock", "--user", "alice").stdout.splitlines()[2:]
    host.run("cp -p /root/common-auth /root/common-account /etc/pam.d/ && faillock --user alice --reset")


@pytest.mark.parametrize("factor", ["password", "code"])
def test_wrong_answers_make_this_lock_wait_and_nothing_else(host, alice, faillock, factor):
    codes = enroll(host, "alice")
    alice.lock()
    for wait in (1, 2, 4, 8, 16, 30) if factor == "password" else (1, 2, 4, 8, 16):
        alice.screen.wait_for(UNLOCK_PROMPT, 20)
        alice.type("000000\r" if factor == "code" else "not the password\r")
        alice.screen.wait_for(rf"Next try in {wait} s\.", 10)
    assert alice.show()["state"] == "locked"
    assert not faillock()
    # Another login, by password, whose own lock begins to count anew and takes a code at once. One wrong answer there counts.
    terminal = host.ssh("alice", by="password")
    terminal.wait_for("assword:")
    terminal.send("not the password\r")
    wait_until(lambda: len(faillock()) == 1, 10, "a login's wrong password is counted")
    terminal.close()
    other = Login(host, "alice", by="password")
    other.lock()
    other.type(codes.fresh() + "\r")
    wait_until(lambda: other.state() == "active", 15, "the code unlocks the other session")
    if factor == "password":
        # Half a minute is who guesses kept waiting, and not an operator.
        host.vigilctl("unlock", alice.id, "--reason", "she has remembered it")
    else:
        alice.screen.wait_for(UNLOCK_PROMPT, 20)
        unlock(alice)
    assert alice.answers()
    for device in host.vigilctl("factors", "alice", "--json"):
        host.vigilctl("forget", device["id"])


def test_no_password_is_taken_where_a_foreign_process_reads(host, alice):
    codes = enroll(host, "alice")
    other = Login(host, "alice")
    other.type(f"sleep 1000 <{alice.path} &\r")
    pid = wait_until(lambda: host.pids("-x", "sleep"), 5, "sleep runs")[0]
    alice.lock(prompt=r"^\s*Code:")
    warning = " ".join(line.strip() for line in alice.screen.lines())
    assert f"Process {pid} (sleep)" in warning and "Password" not in warning
    told = f"process {pid} (sleep) outside the session has {alice.path} open"
    assert told in alice.show()["uncovered"]
    assert told in host.vigilctl("show", alice.id).stdout
    alice.type(PASSWORDS["alice"] + "\r")
    alice.screen.wait_for("Only a code")
    assert alice.state() == "locked"
    alice.screen.wait_for(r"^\s*Code:")
    alice.type(codes.fresh() + "\r")
    wait_until(lambda: alice.state() == "active", 5, "the code unlocks")
    host.run("kill", pid)
    for factor in host.vigilctl("factors", "alice", "--json"):
        host.vigilctl("forget", factor["id"])


def test_a_process_that_another_session_thaws_is_held_again_when_its_terminal_is_used(host, alice):
    alice.type("echo pid $$\r")
    pid = alice.screen.wait_for(r"^pid (\d+)$")[1]
    cgroup = lambda: host.read(f"/proc/{pid}/cgroup").strip()  # noqa: E731
    other = Login(host, "alice")
    alice.lock()
    # PID 1 moves a process of the caller's into his own manager's cgroup.
    other.type("until busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 "
               "org.freedesktop.systemd1.Manager AttachProcessesToUnit ssau user@$UID.service /init.scope 1 "
               f"{pid} && grep -q user@ /proc/{pid}/cgroup; do :; done; echo mo''ved\r")
    other.screen.wait_for("^moved$")
    assert cgroup().endswith("/init.scope")
    alice.type("x")
    wait_until(lambda: cgroup().endswith("/vigil-lock"), 5, "the process is held again")
    assert alice.state() == "locked"
    host.vigilctl("unlock", alice.id, "--reason", "test")
    alice.screen.wait_gone(LOCK_SCREEN)


@pytest.mark.parametrize("outside", [False, True], ids=["in-the-session", "outside"])
def test_a_job_whose_first_thread_has_ended_is_held(host, alice, outside):
    host.put(SOURCE / "build/tests/host/tools/headless", "/tmp/headless")
    host.run("rm", "-f", "/home/alice/counter")
    count = counts(alice, ("systemd-run --user --scope --quiet " if outside else "") + "/tmp/headless counter", "counter")
    try:
        scope = alice.scope()
        for _ in range(2):
            alice.lock()
            stood = still(count)
            assert not alice.show()["uncovered"]
            unlock(alice)
            wait_until(lambda stood=stood: count() != stood, 5, "it goes on")
            assert not host.run("find", scope, "-name", "vigil-*").stdout
    finally:
        host.run("pkill", "-KILL", "-x", "headless")


def test_a_reader_through_dev_tty_is_seen(host, alice):
    alice.type("systemd-run --user --scope --quiet setsid sleep 1000 </dev/tty >/dev/null 2>&1 & clear\r")
    pid = wait_until(lambda: host.pids("-x", "sleep"), 5, "sleep runs")[0]
    alice.lock(prompt=rf"Process {pid} \(sleep\) outside this session reads this terminal$")
    host.vigilctl("unlock", alice.id, "--reason", "test")
    host.run("kill", pid)


def test_a_reader_that_comes_after_the_lock_is_noticed_before_a_password_counts(host, alice):
    host.put(SOURCE / "build/tests/host/tools/hand-over", "/tmp/hand-over")
    other = Login(host, "alice")
    other.type("/tmp/hand-over take /tmp/hand-over.socket\r")
    other.screen.wait_for("^listening$")
    alice.type("/tmp/hand-over give /tmp/hand-over.socket; clear\r")
    other.screen.wait_for("^connected$")
    alice.screen.wait_for(SHELL)
    pid = host.run("pgrep", "-x", "hand-over").stdout.strip()
    alice.lock()
    host.run("kill", "-USR1", pid)
    other.screen.wait_for("^taken$")
    alice.type(PASSWORDS["alice"] + "\r")
    alice.screen.wait_for(rf"Process {pid} \(hand-over\)")
    assert alice.state() == "locked"
    host.run("kill", "-USR1", pid)
    other.screen.wait_for(SHELL)
