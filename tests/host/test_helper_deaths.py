"""What vigild asks or tells a terminal is done by a helper of its: that one is killed with -9 before each thing that it does."""

import pytest
from kills import Held, steps_of
from logins import LOCK_SCREEN, UNLOCK_PROMPT, unlock
from vigilhost import PASSWORDS, wait_until

pytestmark = pytest.mark.usefixtures("locked_by_hand", "nothing_stays")


def node(host, alice):
    return host.run("stat", "-c", "%U %a", alice.path).stdout.split()


def settings(host, alice):
    return host.run("stty", "-F", alice.path, "-a").stdout.split()


def helpers_steps(host, action):
    return [step for step in steps_of(host, action) if step.helper]


def test_a_lock_whose_helper_is_killed_at_any_step_is_tried_again_and_holds(host, alice):
    steps = helpers_steps(host, alice.lock)
    unlock(alice)
    before = node(host, alice)
    for step in steps:
        killer = Held(host, step, "helper")
        host.vigilctl("lock", alice.id, check=False)
        assert killer.has_killed(), step
        assert not killer.leave(), f"{step}: vigild is the same"
        alice.screen.wait_for(UNLOCK_PROMPT)
        wait_until(lambda: node(host, alice) == ["root", "600"], 15, f"{step}: it is taken at the latest by the next attempt")
        wait_until(lambda: {"-isig", "-icanon", "-echo"} <= set(settings(host, alice)), 15, f"{step}: keys mean nothing")
        assert alice.frozen(), step
        unlock(alice)
        assert node(host, alice) == before, step
        assert "isig" in settings(host, alice), step
        assert alice.answers()
    assert {"fchown", "fchmod", "ioctl"} <= {step.name for step in steps}, steps


def test_an_unlock_whose_helper_is_killed_at_any_step_needs_no_second_password(host, alice):
    before = node(host, alice)
    alice.lock()
    steps = helpers_steps(host, lambda: unlock(alice))
    for step in steps:
        alice.lock()
        killer = Held(host, step, "helper")
        alice.type(PASSWORDS["alice"] + "\r")
        wait_until(killer.has_killed, 15, f"{step}: it comes to that")
        assert not killer.leave(), f"{step}: vigild is the same"
        wait_until(lambda: alice.state() == "active", 15, f"{step}: nobody types it twice")
        alice.screen.wait_gone(LOCK_SCREEN)
        wait_until(lambda: node(host, alice) == before, 15, f"{step}: it is hers again")
        assert alice.answers()
    assert {"fchown", "fchmod", "ioctl", "write"} <= {step.name for step in steps}, steps
