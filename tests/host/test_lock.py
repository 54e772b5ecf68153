"""The lock as the person at the keyboard and the thief behind him meet it: keys typed, screens read."""

import re
import time

import pytest
from logins import LOCK_SCREEN, UNLOCK_PROMPT, Login, enrol_totp, everybody_leaves, unlock
from vigilhost import PASSWORDS, SOURCE, wait_until

POLICY = """\
version: 1
mode: enforce
sessions:
  - name: until somebody locks it
    match: {users: [alice, bob]}
    unlock: [password, totp]
"""
SHELL = r"^alice@\S+\$$"


@pytest.fixture(scope="module", autouse=True)
def policy(host):
    host.policy(POLICY)


@pytest.fixture(autouse=True)
def cleanly(host):
    yield
    # What a test that failed left behind would be in the way of the next ones.
    host.run("pkill", "-KILL", "-x", "sleep|hand-over", check=False)
    everybody_leaves(host)


@pytest.fixture
def alice(host):
    return Login(host, "alice")


def still(read):
    """What read() returns, after a moment in which it would have changed."""
    before = read()
    end = time.monotonic() + 0.5
    wait_until(lambda: time.monotonic() > end or read() != before, 2, "a moment")
    assert read() == before
    return before


def groups_of_holders(host, terminal):
    """The cgroups of what has the terminal open, but for vigil itself and what is gone meanwhile."""
    found = host.run(f"find /proc/[0-9]*/fd -lname /dev/{terminal} 2>&-", check=False).stdout
    holders = {re.match("/proc/[0-9]+", path)[0] for path in found.splitlines()}
    read = f"for at in {' '.join(sorted(holders))}; do grep -qxE 'vigild|vigil-lock' $at/comm || grep ^0:: $at/cgroup; done 2>&-"
    return host.run(read, check=False).stdout.split() if holders else []


# Locking and unlocking


def test_a_user_locks_and_unlocks_her_own_session(host, alice):
    alice.type("vigilctl lock\r")
    alice.screen.wait_for(UNLOCK_PROMPT)
    alice.screen.wait_for(LOCK_SCREEN + r".*by alice")
    assert alice.state() == "locked"
    unlock(alice)
    alice.screen.wait_gone(LOCK_SCREEN)
    assert alice.answers()


def test_root_locks_and_gives_the_screen_back_with_a_reason(host, alice):
    alice.type("echo before; false\r")
    alice.screen.wait_for("^before$")
    alice.lock()
    assert "before" not in alice.screen.text()
    host.vigilctl("unlock", alice.id, "--reason", "she is on the telephone")
    alice.screen.wait_gone(LOCK_SCREEN)
    assert alice.answers()
    assert any("she is on the telephone" in one["MESSAGE"] for one in host.journal(VIGIL_SESSION=alice.id))


def test_another_user_can_not_lock_or_unlock(host, alice):
    done = host.vigilctl("lock", alice.id, user="bob", check=False)
    assert done.returncode == 1 and alice.state() == "active"
    alice.lock()
    host.vigilctl("unlock", alice.id, "--reason", "mine", user="bob", check=False)
    host.vigilctl("unlock", alice.id, "--reason", "mine", user="alice", check=False)
    assert alice.state() == "locked"
    unlock(alice)


def test_the_terminal_belongs_to_root_while_it_is_locked(host, alice):
    node = lambda: host.run("stat", "-c", "%U:%G %a", alice.path).stdout.strip()  # noqa: E731
    before = node()
    alice.lock()
    assert node() == "root:tty 600"
    unlock(alice)
    assert node() == before


# Keys


def test_keys_at_the_prompt_reach_neither_the_job_nor_the_shell(host, alice):
    alice.type("trap 'echo sig''nalled' INT QUIT TSTP; for ((n = 0; ; n++)); do echo $n >count; "
               "read -t 0.05 key && echo got a ''key; done\r")
    count = lambda: host.read("/home/alice/count").strip()  # noqa: E731
    wait_until(lambda: alice.exists("/home/alice/count") and count() > "0", 5, "the loop runs")
    alice.lock()
    stood = still(count)
    alice.screen.key("ctrl-c", "ctrl-z", "ctrl-s")
    alice.type("\x1ctouch /tmp/sneaked\r")
    alice.screen.wait_for("Wrong")
    alice.type("touch /tmp/sneaked\r\x03\x1a")
    assert still(count) == stood
    alice.screen.wait_for(UNLOCK_PROMPT)
    unlock(alice)
    wait_until(lambda: count() not in ("", stood), 3, "the loop goes on")
    heard = alice.screen.said()
    assert "signalled" not in heard and "got a key" not in heard
    alice.screen.key("ctrl-c")
    alice.screen.wait_for("signalled$")
    alice.screen.key("ctrl-z")
    alice.type("\x1c")
    assert not alice.exists("/tmp/sneaked")


def test_the_first_key_after_an_operators_unlock_is_the_sessions(host, alice):
    for _ in range(10):
        alice.lock()
        host.vigilctl("unlock", alice.id, "--reason", "test")
        assert alice.answers()


def test_what_is_typed_ahead_of_the_prompt_is_not_run(host, alice):
    alice.lock()
    alice.type("touch /tmp/ahead")
    host.vigilctl("unlock", alice.id, "--reason", "test")
    alice.screen.wait_gone(LOCK_SCREEN)
    alice.type("\r")
    assert alice.answers()
    assert not alice.exists("/tmp/ahead")
    assert "ahead" not in alice.screen.text()


def test_a_secret_being_typed_goes_on_where_it_was(host, alice):
    alice.type("read -s -p 'secret? ' secret; echo \"<$secret>\"\r")
    alice.screen.wait_for(r"secret\?$")
    alice.type("abc")
    alice.lock()
    unlock(alice)
    alice.type("def\r")
    alice.screen.wait_to_hear(r"<(abc)?def>$")
    assert alice.answers()


def test_vim_comes_back_with_its_text_and_leaves_a_sane_screen(host, alice):
    alice.type("stty -g >before; clear; vi -u NONE\r")
    alice.screen.wait_for("^~$")
    alice.type("ia text in the editor")
    alice.screen.wait_for("^a text in the editor$")
    alice.lock()
    assert "a text" not in alice.screen.text()
    unlock(alice)
    alice.screen.wait_for("^a text in the editor$")
    alice.screen.wait_gone(LOCK_SCREEN)
    alice.type(" and more")
    alice.screen.wait_for("^a text in the editor and more$")
    alice.type("\x1b")
    alice.type(":q!\r")
    alice.screen.wait_for(SHELL)
    assert alice.answers()
    alice.type("stty -g >after\r")
    assert alice.answers()
    assert host.read("/home/alice/after") == host.read("/home/alice/before")


def test_a_tmux_client_comes_back_with_its_window(host, alice):
    alice.type("tmux -f /dev/null new 'echo in the pane; exec cat'\r")
    alice.screen.wait_for("^in the pane$")
    alice.lock()
    assert "in the pane" not in alice.screen.text()
    alice.type("\x03")
    unlock(alice)
    alice.screen.wait_for("^in the pane$")
    alice.type("echoed\r")
    alice.screen.wait_for("^echoed\n+echoed$")
    alice.screen.key("ctrl-c")
    alice.screen.wait_for(r"\[exited\]")
    assert alice.answers()


def test_a_background_loop_stands_still_and_goes_on(host, alice):
    alice.type("(for ((n = 0; ; n++)); do echo $n >background; sleep 0.05; done) &\r")
    count = lambda: host.read("/home/alice/background").strip()  # noqa: E731
    wait_until(lambda: alice.exists("/home/alice/background") and count() > "0", 5, "the loop runs")
    alice.lock()
    stood = still(count)
    unlock(alice)
    wait_until(lambda: count() not in ("", stood), 3, "the loop goes on")
    alice.type("kill %1\r")


# Thieves


def test_a_reader_without_the_terminal_as_its_own_is_frozen_too(host, alice):
    alice.type(f"setsid cat <{alice.path} >/tmp/stolen &\r")
    pid = wait_until(lambda: host.run("pgrep", "-x", "cat", check=False).stdout.split(), 5, "cat runs")[0]
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
    alice.type("for ((n = 0; ; n++)); do echo $n >outside; read -t 0.05 key && echo got a ''key; done\r")
    count = lambda: host.read("/home/alice/outside").strip()  # noqa: E731
    wait_until(lambda: alice.exists("/home/alice/outside") and count() > "0", 5, "the loop runs")
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


def test_no_password_is_taken_where_a_foreign_process_reads(host, alice):
    codes = enrol_totp(host, "alice")
    other = Login(host, "alice")
    other.type(f"sleep 1000 <{alice.path} &\r")
    pid = wait_until(lambda: host.run("pgrep", "-x", "sleep", check=False).stdout.split(), 5, "sleep runs")[0]
    alice.lock(prompt=r"^\s*Code:")
    warning = " ".join(line.strip() for line in alice.screen.lines())
    assert f"Process {pid} (sleep)" in warning and "Password" not in warning
    told = f"process {pid} (sleep) outside the session has {alice.path} open"
    assert told in host.vigilctl("show", alice.id, "--json")["uncovered"]
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


def test_a_reader_through_dev_tty_is_seen(host, alice):
    alice.type("systemd-run --user --scope --quiet setsid sleep 1000 </dev/tty >/dev/null 2>&1 & clear\r")
    pid = wait_until(lambda: host.run("pgrep", "-x", "sleep", check=False).stdout.split(), 5, "sleep runs")[0]
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


# Several terminals


def test_the_terminals_of_one_connection_lock_and_unlock_together(host):
    control = ["-o", "ControlMaster=auto", "-o", f"ControlPath={host.control_path()}"]
    first = Login(host, "alice", *control)
    second = host.login("alice", *control)
    listed = wait_until(lambda: [one for one in host.vigil_sessions(user="alice") if len(one["terminals"]) == 2],
                        5, "both are one session's")
    assert len(listed) == 1
    first.lock()
    second.wait_for(UNLOCK_PROMPT)

    third = host.ssh("alice", *control)
    third.wait_for(UNLOCK_PROMPT)
    third.send("touch /tmp/third\r")
    third.wait_for("Wrong")
    assert not host.run("test", "-e", "/tmp/third", check=False).returncode == 0

    # Each prompt waits after a wrong answer at any of them; this one was asked none.
    wait_until(lambda: third.wait_for(UNLOCK_PROMPT, 5), 6, "the third asks again")
    second.send(PASSWORDS["alice"] + "\r")
    wait_until(lambda: first.state() == "active", 5, "unlocked")
    for number, terminal in enumerate((first.screen, second, third)):
        terminal.wait_gone(LOCK_SCREEN)
        terminal.send(f"\recho terminal {number} is b''ack\r")
        terminal.wait_for(f"^terminal {number} is back$")


def test_a_terminal_that_was_given_up_under_the_lock_can_be_another_users(host):
    """Numbers of terminals are used again: what was written down of it is not for who has it next."""
    control = ["-o", "ControlMaster=auto", "-o", f"ControlPath={host.control_path()}"]
    first = Login(host, "alice", *control)
    own = {first.path.removeprefix("/dev/")}
    second = host.login("alice", *control)
    terminal = wait_until(lambda: set(first.now()["terminals"]) - own, 5, "the second is the session's too").pop()
    path = "/dev/" + terminal
    first.lock()
    second.wait_for(UNLOCK_PROMPT)
    host.run("pkill", "-KILL", "-t", terminal)  # as another login of hers could
    second.close()
    wait_until(lambda: host.run("test", "-e", path, check=False).returncode, 5, "it is given up")
    other = Login(host, "bob")
    assert other.path == path
    other.lock()
    first.close()
    wait_until(lambda: not host.vigil_sessions(user="alice"), 8, "hers is over")
    assert host.run("stat", "-c", "%U %a", path).stdout.split() == ["root", "600"]
    assert other.state() == "locked" and other.frozen()
    unlock(other)
    assert other.answers()
    assert host.run("stat", "-c", "%U", path).stdout.strip() == "bob"


def test_a_command_with_a_terminal_over_the_locked_connection_is_frozen_and_meets_the_prompt(host):
    control = ["-o", "ControlMaster=auto", "-o", f"ControlPath={host.control_path()}"]
    first = Login(host, "alice", *control)
    own = {first.path.removeprefix("/dev/")}
    first.lock()
    third = host.ssh("alice", "-tt", *control, command=["sleep 987; echo go''ne on"])
    third.wait_for(UNLOCK_PROMPT)
    # It may still be sshd's own process on its way to become the shell, with the terminal open and not yet its own.
    terminal = wait_until(lambda: set(first.now()["terminals"]) - own, 5, "vigil lists its terminal").pop()
    wait_until(lambda: (held := groups_of_holders(host, terminal)) and all(each.endswith("/vigil-lock") for each in held),
               5, "it is held")
    third.send("\x03")
    unlock(first)
    wait_until(lambda: host.run("pgrep", "-fx", "sleep 987", check=False).stdout, 5, "it goes on")
    assert "gone on" not in third.said() and not third.ended


@pytest.mark.parametrize("when", ["vigild-runs", "vigild-is-away"])
def test_a_client_that_goes_away_ends_a_channel_that_was_just_being_opened(host, when):
    control = ["-o", "ControlMaster=auto", "-o", f"ControlPath={host.control_path()}"]
    first = Login(host, "alice", *control)
    first.lock()
    third = host.ssh("alice", "-tt", *control, command=["sleep 987"])
    third.wait_for(UNLOCK_PROMPT)
    if when == "vigild-is-away":
        host.run("systemctl stop vigild.socket vigild.service")
    third.close()
    first.close()
    wait_until(lambda: host.run("pgrep", "-f", "^sshd.*: alice@", check=False).stdout.strip() == "" or
               "vigil-lock" in host.run("cat /proc/$(pgrep -f '^sshd.*: alice@')/cgroup", check=False).stdout,
               5, "nothing of its sshd runs")
    host.run("systemctl start vigild.socket vigild.service")
    wait_until(lambda: not host.vigil_sessions(), 5, "vigil lists it no more")
    assert host.run("pgrep", "-u", "alice", "-x", "bash|sleep|sshd", check=False).stdout == ""


# Deaths


def test_nothing_stays_frozen_when_the_client_goes_away(host):
    login = Login(host, "alice")
    login.type("sleep 1234 &\r")
    scope = login.scope()
    login.lock()
    login.close()
    wait_until(lambda: host.run("test", "-d", scope, check=False).returncode, 5, "the scope is gone")
    wait_until(lambda: not host.vigil_sessions(), 5, "vigil lists it no more")
    assert not host.run("pgrep", "-fx", "sleep 1234", check=False).stdout
    assert not host.run("systemctl list-units --all --no-legend 'vigil-lock-*'").stdout.strip()


def test_a_prompt_that_is_killed_comes_back(host, alice):
    alice.lock()
    for _ in range(2):
        pid = host.run("pgrep", "-x", "vigil-lock").stdout.strip()
        host.run("kill", "-9", pid)
        new = wait_until(lambda: host.run("pgrep", "-x", "vigil-lock", check=False).stdout.strip() not in ("", pid),
                         5, "another prompt")
        assert new
    assert alice.frozen()
    alice.screen.wait_for(UNLOCK_PROMPT)
    unlock(alice)
    assert alice.answers()


def test_a_kill_of_vigild_keeps_the_lock_and_the_first_password_opens_it(host, alice):
    alice.lock()
    fields = lambda: {key: host.vigil_sessions(id=alice.id)[0][key] for key in ("locked_since", "terminals", "rule")}  # noqa: E731
    before = fields()
    host.kill_vigild()
    assert alice.state() == "locked" and alice.frozen()
    assert fields() == before
    alice.screen.wait_for(UNLOCK_PROMPT)
    unlock(alice)
    assert alice.answers()


def test_a_password_typed_while_vigild_is_away_unlocks_when_it_is_back(host, alice):
    alice.lock()
    freezer = alice.scope() + "/vigil-lock/cgroup.freeze"  # vigilctl would start vigild
    host.run("systemctl", "stop", "vigild.socket", "vigild.service")
    alice.type(PASSWORDS["alice"] + "\r")
    alice.screen.wait_for("vigild is away")
    assert host.read(freezer).strip() == "1"
    host.run("systemctl", "start", "vigild.socket", "vigild.service")
    wait_until(lambda: alice.state() == "active", 20, "the password unlocks")
    alice.screen.wait_gone(LOCK_SCREEN)
    assert alice.answers()


def test_a_lock_outlives_the_loss_of_the_store(host, alice):
    alice.type("for ((n = 0; n < 10000; n++)); do echo $n >counter; sleep 0.1; done\r")
    count = lambda: host.read("/home/alice/counter").strip()  # noqa: E731
    wait_until(lambda: alice.exists("/home/alice/counter") and count() > "0", 5, "the loop runs")
    alice.lock()
    host.run("systemctl", "stop", "vigild.socket", "vigild.service")
    host.run("head -c 65536 /dev/urandom >/run/vigil/state.db; rm -f /run/vigil/state.db-*")
    host.run("systemctl", "start", "vigild.socket", "vigild.service")
    wait_until(lambda: alice.state() == "locked", 5, "it is found locked")
    alice.screen.wait_for(UNLOCK_PROMPT)
    stood = still(count)
    assert host.run("pgrep", "-c", "-x", "vigil-lock").stdout.strip() == "1"
    unlock(alice)
    wait_until(lambda: count() not in ("", stood), 3, "the loop goes on")
    alice.screen.key("ctrl-c")
    assert alice.answers()
    assert host.run("stat", "-c", "%U %a", alice.path).stdout.split() == ["alice", "620"]


def test_a_kill_at_the_moment_of_locking_leaves_it_open_or_locked_with_a_prompt(host, alice):
    seen = set()
    for milliseconds in (0, 4, 8, 11, 13, 15, 17, 20, 25, 40):
        pid = host.vigild_pid()
        host.run(f"vigilctl lock {alice.id} & sleep {milliseconds / 1000}; kill -9 {pid}; wait", check=False)
        wait_until(lambda: host.vigild_pid() not in (0, pid) and host.vigild_is_ready(), 15, "vigild is back")
        state = alice.state()
        seen.add(state)
        if state == "locked":
            alice.screen.wait_for(UNLOCK_PROMPT, 5)
            assert alice.frozen()
            unlock(alice)
        alice.screen.wait_gone(LOCK_SCREEN, 5)
        assert not alice.frozen()
        assert alice.answers()
    assert "locked" in seen, "every kill came too early to tell anything"


# What it looks like


@pytest.mark.parametrize("columns", [80, 20])
def test_the_screen_is_whole_in_any_window(host, alice, columns):
    alice.screen.resize(24, columns)
    wait_until(lambda: host.run("stty", "-F", alice.path, "size").stdout.strip() == f"24 {columns}", 5, "the new size")
    alice.lock(reason="fire drill in the whole building, leave by the nearest stairs")
    assert "fire drill in the whole building, leave by the nearest stairs" in re.sub(r"\s+", " ", alice.screen.text())
    print(alice.screen.text())
    unlock(alice)
    assert alice.answers()
