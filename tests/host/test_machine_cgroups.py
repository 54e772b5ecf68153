"""A host that was started without cgroup v2, as systemd still can: nothing can be held still there, and that is said."""

import json
import os

import pytest
from logins import LOCK_SCREEN, Login
from policies import limits, until_somebody_locks
from vigilhost import Host, wait_until

# systemd 256 and newer asks twice.
LEGACY = "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1 SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"
REASON = "its processes are in no scope of cgroup v2"


@pytest.fixture(scope="module")
def host(request):
    with Host(f"host-cgroups-{os.getpid()}", request.config.getoption("--suite"), vm=True, kernel=LEGACY) as host:
        host.install()
        assert "cgroup2" not in host.read("/proc/mounts")
        yield host


def test_nothing_is_locked_and_everybody_is_told(host):
    host.policy(until_somebody_locks())
    alice = Login(host, "alice")
    assert alice.show()["uncovered"] == [REASON]
    done = host.vigilctl("lock", alice.id, check=False)
    assert (done.returncode, done.stdout) == (1, "") and done.stderr.endswith(f"It cannot be locked: {REASON}.\n")
    assert alice.state() == "active" and alice.answers()
    said = json.loads(host.vigilctl("doctor", "--json", check=False).stdout)
    found = {one["check"]: one for one in said["checks"]}
    assert found["cgroup v2"]["result"] == "failure"
    assert [found[check]["looked_at"] for check in ("freezer", "pids", "scopes")] == [False] * 3
    limits(host, idle_lock="5s", unlock="[password]")
    wait_until(lambda: alice.told("lock-failed"), 60, "it is told that idleness locks nothing")
    assert alice.told("lock-failed")[0].startswith(f"alice: it cannot be locked: {REASON}")
    assert LOCK_SCREEN not in alice.screen.text() and alice.answers()


def test_where_the_policy_says_so_it_is_ended(host):
    limits(host, idle_lock="5s", incomplete_lock="end", unlock="[password]")
    alice = Login(host, "alice")
    wait_until(lambda: alice.screen.ended, 60, "she is logged out")
    assert alice.told("session-ending") and REASON in alice.told("session-ending")[0]
    wait_until(lambda: alice.state() == "gone", 30, "the session is over")
