"""vigild is killed with -9 before each single thing that it does to lock, to unlock and to end what is locked."""

import collections
import itertools

import pytest
from kills import Walk, death, is_listed_as, steps_of
from logins import LOCK_SCREEN, UNLOCK_PROMPT, Login, can_seal
from policies import limits, until_somebody_locks
from vigilhost import PASSWORDS, wait_until

pytestmark = pytest.mark.usefixtures("locked_by_hand")


class Two(Login):
    """With two terminals, over one connection."""

    def __init__(self, host):
        control = host.one_connection()
        super().__init__(host, "alice", *control)
        first = self.path
        self.second_screen = host.login("alice", *control)
        terminals = lambda: {"/dev/" + one for one in self.now()["terminals"]} - {first}  # noqa: E731
        self.second = wait_until(terminals, 5, "both are hers").pop()

    def answers(self):
        self.second_screen.send(f"echo oth''er {self.answered}\r")
        self.second_screen.wait_for(rf"^other {self.answered}$")
        return super().answers()


def screens(alice):
    return [alice.screen, alice.second_screen] if isinstance(alice, Two) else [alice.screen]


def settled(host, alice):
    """Once nothing is under way any more: active or locked, and the screen and the kernel agree."""
    wait_until(lambda: alice.state() in ("active", "locked"), 10, "it is one or the other")
    state = alice.state()
    for screen in screens(alice):
        if state == "locked":
            screen.wait_for(UNLOCK_PROMPT, 10)
        else:
            screen.wait_gone(LOCK_SCREEN, 10)
    wait_until(lambda: alice.frozen() == (state == "locked"), 10, "the kernel has it so too")
    wait_until(lambda: alice.sealed() == (state == "locked" and can_seal(host)), 10, "and its connection")
    return state


def unlock_at_once(alice, step):
    alice.type(PASSWORDS[alice.user] + "\r")
    wait_until(lambda: alice.state() == "active", 15, f"{step}: the first password unlocks")
    for screen in screens(alice):
        screen.wait_gone(LOCK_SCREEN, 10)
    assert alice.answers()


def lock(host, alice):
    host.vigilctl("lock", alice.id)
    for screen in screens(alice):
        screen.wait_for(UNLOCK_PROMPT, 10)


def is_killed_locking(host, alice, step, walk):
    killer = death(host, step)
    done = host.run("vigilctl", "lock", alice.id, check=False).returncode == 0
    for screen in screens(alice) if done else []:  # steps come until then
        screen.wait_for(UNLOCK_PROMPT, 10)
    killed = killer.leave()
    state = settled(host, alice)
    assert state == "locked" or not done, f"{step}: it was said to be locked"
    walk.note(step, killed, state)


def is_killed_unlocking(host, alice, step, walk):
    """At the password that is typed where she came last."""
    killer = death(host, step)
    screens(alice)[-1].send(PASSWORDS["alice"] + "\r")
    wait_until(lambda: killer.ended() or is_listed_as(host, alice, "active"), 15, f"{step}: something comes of it")
    walk.note(step, killer.leave())
    wait_until(lambda: alice.state() == "active", 15, f"{step}: nobody types it twice")
    assert settled(host, alice) == "active"
    assert alice.answers()


def test_a_kill_before_any_step_of_locking(host, alice):
    steps = steps_of(host, lambda: lock(host, alice))
    unlock_at_once(alice, "none")
    walk = Walk(steps)
    for step in steps:
        is_killed_locking(host, alice, step, walk)
        lock(host, alice)
        unlock_at_once(alice, step)
    walk.was_whole("pwrite64", "ioctl", "mkdir", "write", "sendmsg", states=["active"], often="locked")


def test_a_kill_while_several_are_locked_together_leaves_none_in_between(host, nobody_stays):
    """All steps are walked with one session. Here it is one of each kind, at which not all of them have come as far."""
    everybody = [Login(host, user) for user in ("alice", "alice", "bob", "bob")]
    lock_all = lambda: host.run("vigilctl", "lock", "--all", check=False).stdout  # noqa: E731
    steps = steps_of(host, lambda: [lock_all(), *(one.screen.wait_for(UNLOCK_PROMPT) for one in everybody)])
    for one in everybody:
        unlock_at_once(one, "none")
    kinds = collections.defaultdict(list)
    for step in steps:
        kinds[step.name, step.helper > 0].append(step)
    different = 0
    for step in (of_a_kind[len(of_a_kind) // 6] for of_a_kind in kinds.values()):
        killer = death(host, step)
        told = lock_all()
        killer.leave()
        states = [settled(host, one) for one in everybody]
        different += len(set(states)) > 1
        for one, state in zip(everybody, states):
            assert state == "locked" or one.id[:8] not in told, f"{step}: it was said to be locked"
            if state == "locked":
                unlock_at_once(one, step)
            assert one.answers()
    assert different, "each kill found all of them alike"


def test_a_kill_before_any_step_of_unlocking(host, alice):
    lock(host, alice)
    steps = steps_of(host, lambda: unlock_at_once(alice, "none"))
    walk = Walk(steps)
    for step in steps:
        lock(host, alice)
        is_killed_unlocking(host, alice, step, walk)
    walk.was_whole("pwrite64", "ioctl", "rmdir", "write", "sendmsg")


def test_a_kill_before_any_step_at_a_second_terminal(host, nobody_stays):
    """From the first of them to the last, both ways; what comes before and after is walked with one terminal."""
    alice = Two(host)
    at_second = {"first": alice.second + ">", "last": alice.second + ">"}
    locking = steps_of(host, lambda: lock(host, alice), **at_second)
    unlocking = steps_of(host, lambda: unlock_at_once(alice, "none"), **at_second)
    way_there, way_back = Walk(locking), Walk(unlocking)
    for there, back in itertools.zip_longest(locking, unlocking):
        if there:
            is_killed_locking(host, alice, there, way_there)
        if alice.state() != "locked":
            lock(host, alice)
        owners = host.run("stat", "-c", "%U", alice.path, alice.second).stdout.split()
        assert owners == ["root", "root"], there
        if back:
            is_killed_unlocking(host, alice, back, way_back)
        else:
            unlock_at_once(alice, there)
        owners = host.run("stat", "-c", "%U", alice.path, alice.second).stdout.split()
        assert owners == ["alice", "alice"], back
    way_there.was_whole("ioctl", "fchown", "fchmod", "pwrite64", "sendmsg", "mkdir", "write", often="locked")
    way_back.was_whole("ioctl", "fchown", "fchmod", "write", "rmdir")


def test_a_kill_before_any_step_of_an_operators_unlock(host, alice):
    def unlocks():
        return host.run("vigilctl", "unlock", alice.id, "--reason", "test", check=False).returncode == 0
    lock(host, alice)
    steps = steps_of(host, lambda: unlocks() and alice.screen.wait_gone(LOCK_SCREEN))
    walk = Walk(steps)
    for step in steps:
        if settled(host, alice) == "active":
            lock(host, alice)
        killer = death(host, step)
        done = unlocks()
        killed = killer.leave()
        state = settled(host, alice)
        assert state == "active" or not done, f"{step}: it was said to be unlocked"
        walk.note(step, killed, state)
        if state == "locked":
            unlock_at_once(alice, step)
        assert alice.answers()
    walk.was_whole("pwrite64", "ioctl", "rmdir", "write", "sendmsg", states=["locked"], often="active")


def test_a_kill_before_any_step_of_an_idle_lock(host, alice):
    """It comes all the same: at its time, or when the next vigild is sure that nobody was there for so long."""
    def is_left_alone():
        alice.type(" ")
        alice.screen.wait_for(UNLOCK_PROMPT, 30)
    limits(host, idle_lock="1s")
    try:
        steps = steps_of(host, is_left_alone)
        unlock_at_once(alice, "none")
        walk = Walk(steps)
        for step in steps:
            killer = death(host, step)
            is_left_alone()
            walk.note(step, killer.leave())
            assert settled(host, alice) == "locked", step
            unlock_at_once(alice, step)
        walk.was_whole("pwrite64", "ioctl", "mkdir", "write", "sendmsg")
    finally:
        host.policy(until_somebody_locks())


def test_a_kill_before_any_step_of_ending_a_locked_session(host, nobody_stays):
    def locked():
        alice = Login(host, "alice")
        lock(host, alice)
        return alice, alice.scope()

    def ends(alice, scope):
        done = host.run("vigilctl", "terminate", alice.id, "--reason", "test", check=False).returncode == 0
        wait_until(lambda: not done or not alice.exists(scope), 15, "it is over")
        return done
    steps = steps_of(host, lambda one=locked(): ends(*one))
    walk = Walk(steps)
    for step in steps:
        alice, scope = locked()
        killer = death(host, step)
        done = ends(alice, scope)
        killed = killer.leave()
        wait_until(lambda one=alice: one.state() in ("gone", "locked"), 15, f"{step}: it is one or the other")
        walk.note(step, killed, alice.state())
        if not done and alice.state() == "locked":
            assert settled(host, alice) == "locked" and ends(alice, scope), step
        alice.screen.wait_closed(15)
        wait_until(lambda one=alice: one.state() == "gone", 15, f"{step}: vigil lists it no more")
        wait_until(lambda at=scope, one=alice: not one.exists(at), 15, f"{step}: nothing of it is left")
        assert not host.pids("-x", "vigil-lock"), step
    walk.was_whole("pwrite64", "write", "sendmsg", states=["locked"], often="gone")
