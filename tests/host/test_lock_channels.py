"""The lock where a session has several terminals: the channels of one ssh connection."""

import concurrent.futures
import re
import threading
import time

import pytest
from logins import LOCK_SCREEN, UNLOCK_PROMPT, Login, can_seal, unlock
from vigilhost import PASSWORDS, wait_until

pytestmark = pytest.mark.usefixtures("opened_by_codes", "nothing_stays")


def groups_of_holders(host, terminal):
    """The cgroups of what has the terminal open, but for vigil itself and what is gone meanwhile."""
    found = host.run(f"find /proc/[0-9]*/fd -lname /dev/{terminal} 2>&-", check=False).stdout
    holders = {re.match("/proc/[0-9]+", path)[0] for path in found.splitlines()}
    read = f"for at in {' '.join(sorted(holders))}; do grep -qxE 'vigild|vigil-lock' $at/comm || grep ^0:: $at/cgroup; done 2>&-"
    return host.run(read, check=False).stdout.split() if holders else []


def meets_the_lock(host, channel):
    """A channel opened under the lock: it gets a prompt, or, where the host can seal a connection, it is refused at once."""
    if can_seal(host):
        assert channel.wait_closed(20) == 255
        return False
    channel.wait_for(UNLOCK_PROMPT)
    return True


def test_the_terminals_of_one_connection_lock_and_unlock_together(host):
    control = host.one_connection()
    first = Login(host, "alice", *control)
    second = host.login("alice", *control)
    listed = wait_until(lambda: [one for one in host.vigil_sessions(user="alice") if len(one["terminals"]) == 2],
                        5, "both are one session's")
    assert len(listed) == 1
    first.lock()
    second.wait_for(UNLOCK_PROMPT)

    terminals = [first.screen, second]
    third = host.ssh("alice", *control)
    if meets_the_lock(host, third):
        third.send("touch /tmp/third\r")
        third.wait_for("Wrong")
        # Each prompt waits after a wrong answer at any of them; this one was asked none.
        wait_until(lambda: third.wait_for(UNLOCK_PROMPT, 5), 6, "the third asks again")
        terminals.append(third)
    assert not host.run("test", "-e", "/tmp/third", check=False).returncode == 0

    second.send(PASSWORDS["alice"] + "\r")
    wait_until(lambda: first.state() == "active", 5, "unlocked")
    for number, terminal in enumerate(terminals):
        terminal.wait_gone(LOCK_SCREEN)
        terminal.send(f"\recho terminal {number} is b''ack\r")
        terminal.wait_for(f"^terminal {number} is back$")


def test_wrong_answers_at_two_terminals_count_together_also_for_the_next_vigild(host):
    control = host.one_connection()
    first = Login(host, "alice", *control)
    screens = [first.screen, host.login("alice", *control)]
    first.lock()
    for wait, screen in zip((1, 2, 4), screens * 2):
        screen.wait_for(UNLOCK_PROMPT)
        began = time.monotonic()
        screen.send("wrong\r")
        screen.wait_for(rf"Next try in {wait} s\.")
        if wait == 2:
            host.kill_vigild()
        if wait != 4:
            screen.wait_for(UNLOCK_PROMPT)
    assert first.told("unlock-failed") == [f"alice: wrong answer number {number} [{first.id[:8]}]" for number in (1, 2, 3)]
    # With yet another vigild, and where it was not typed: nothing is looked at before its time.
    host.kill_vigild()

    def opens():
        screens[1].wait_for(UNLOCK_PROMPT)
        screens[1].send(PASSWORDS["alice"] + "\r")
        screens[1].wait_gone(UNLOCK_PROMPT)
        wait_until(lambda: first.state() == "active" or "Next try" in screens[1].text(), 10, "something comes of it")
        return first.state() == "active"
    wait_until(opens, 15, "the password unlocks")
    assert time.monotonic() - began >= 4
    assert first.answers() and len(first.told("unlock-failed")) == 3


def test_a_terminal_that_was_given_up_under_the_lock_can_be_another_users(host):
    """Numbers of terminals are used again: what was written down of it is not for who has it next."""
    control = host.one_connection()
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
    control = host.one_connection()
    first = Login(host, "alice", *control)
    own = {first.path.removeprefix("/dev/")}
    first.lock()
    third = host.ssh("alice", "-tt", *control, command=["sleep 987; echo go''ne on"])
    if not meets_the_lock(host, third):
        unlock(first)
        assert first.answers() and not host.pids("-fx", "sleep 987")
        return
    # It may still be sshd's own process on its way to become the shell, with the terminal open and not yet its own.
    terminal = wait_until(lambda: set(first.now()["terminals"]) - own, 5, "vigil lists its terminal").pop()
    wait_until(lambda: (held := groups_of_holders(host, terminal)) and all(each.endswith("/vigil-lock") for each in held),
               5, "it is held")
    third.send("\x03")
    unlock(first)
    wait_until(lambda: host.pids("-fx", "sleep 987"), 5, "it goes on")
    assert "gone on" not in third.said() and not third.ended


class Typist:
    """Opens channels of a connection, one right behind the other, and types at each from its first byte on."""

    def __init__(self, host, control, count):
        self.host, self.control = host, control
        self.channels = []
        self.typed = [0] * count
        self.enough = threading.Event()
        self.thread = threading.Thread(target=self._type)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_error):
        self.enough.set()
        self.thread.join()

    def _type(self):
        while not self.enough.wait(0.005):
            if len(self.channels) < len(self.typed):
                self.channels.append(self.host.ssh("alice", "-tt", *self.control))
            for number, channel in enumerate(self.channels):
                if not channel.ended:
                    self.typed[number] += 1
                    channel.send(f"echo {number} {self.typed[number]} >>ran\r")


def lines_of(text):
    """(channel, line) of each that has run."""
    return [tuple(map(int, line.split())) for line in text.splitlines()]


def all_are_held(host, session, count):
    """Where channels are not refused: what was on its way when the lock came is found as it comes to its terminal."""
    terminals = wait_until(lambda: len(found := session.now()["terminals"]) == count and found, 20, "vigil lists them all")
    for terminal in terminals:
        wait_until(lambda at=terminal: (held := groups_of_holders(host, at)) and all(one.endswith("/vigil-lock") for one in held),
                   20, f"what is at {terminal} is held")


def test_a_channel_that_is_opened_in_the_moment_of_the_lock_runs_nothing_once_it_is_locked(host):
    """What was typed before may have run. The moment is searched for: who came too early opens them later the next time."""
    control, count = host.one_connection(), 5
    first = Login(host, "alice", *control)
    wait, step, early, late = 0.0, 0.03, 0, 0
    for _ in range(5):
        host.write("/home/alice/ran", "", "0666")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            locks = f"sleep {max(0, -wait)}; vigilctl lock {first.id} >/dev/null; cat /home/alice/ran"
            locking = pool.submit(host.run, locks)
            concurrent.futures.wait([locking], max(0, wait))
            with Typist(host, control, count) as typist:
                ran = locking.result().stdout
                there = len({number for number, _ in lines_of(ran)})
                wait_until(lambda it=typist: len(it.channels) == count, 20, "all are opened")
                for channel in typist.channels:
                    wait_until(lambda it=channel: it.ended or re.search(LOCK_SCREEN, it.text(), re.MULTILINE), 20,
                               f"it is refused or locked\n{channel.text()}")
                if not can_seal(host):
                    all_are_held(host, first, 1 + count)
                    ran = host.read("/home/alice/ran")  # SECURITY.md says what may have run until then
                typed = list(typist.typed)
                wait_until(lambda it=typist, since=typed: all(channel.ended or it.typed[number] > since[number] + 5
                                                              for number, channel in enumerate(it.channels)), 20, "she types on")
        assert first.state() == "locked" and host.read("/home/alice/ran") == ran
        host.vigilctl("unlock", first.id, "--reason", "test")
        for channel in [first.screen, *typist.channels]:
            if not channel.ended:
                channel.wait_gone(LOCK_SCREEN)
                channel.send("\x15\recho it is b''ack\r")
                channel.wait_for("^it is back$")
        # What its shell had read already and was about to do is the one thing left.
        behind = host.read("/home/alice/ran").removeprefix(ran)
        assert all(line <= typed[number] for number, line in lines_of(behind)), (typed, behind)
        for channel in typist.channels:
            channel.close()
        early, late = early + there, late + count - there
        if there in (0, count):
            wait += step if there else -step
            step *= 2
    assert early and late, f"all were on one side of the lock: {early}, {late}"


@pytest.mark.parametrize("when", ["vigild-runs", "vigild-is-away"])
def test_a_client_that_goes_away_ends_a_channel_that_was_just_being_opened(host, when):
    control = host.one_connection()
    first = Login(host, "alice", *control)
    first.lock()
    third = host.ssh("alice", "-tt", *control, command=["sleep 987"])
    meets_the_lock(host, third)
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
