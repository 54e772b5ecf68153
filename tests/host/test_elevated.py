"""What sudo, su and pkexec start: a clock of its own in its login, and an end with all that belongs to it."""

import os
import re
import time

import pytest
import roots
from kills import Walk, death, steps_of
from logins import LOCK_SCREEN, UNLOCK_PROMPT, Login, unlock
from people import enroll
from programs import end_servers
from story import CODE_PROMPT
from vigilhost import Host, wait_until

# After an end that is due: the reason is read (0.2 s), programs save (2 s), what is left is killed.
ENDED = 6
ROOT_PASSWORD = "root-pass-1"
YES = "polkit.addRule(function(action, subject) { return polkit.Result.YES; });\n"
# What tells that it is there, whoever runs it: the mark is its argument.
MARK = "86399"
STUBBORN = f"sh -c 'trap \"\" HUP TERM INT; while :; do sleep {MARK}; done'"
WAYS = {
    "sudo": (f"sudo sleep {MARK}", "sudo"),
    "sudo -i": ("sudo -i", "sudo-i"),
    "sudo -s": ("sudo -s", "sudo"),
    "sudo in the background": (f"sudo -b sleep {MARK}", "sudo"),
    "sudo that waits": (f"sudo {STUBBORN}", "sudo"),
    "su": ("su", "su"),
    "su -": ("su -", "su-l"),
    "su with a command": (f"su -c 'sleep {MARK}'", "su"),
    "pkexec": (f"pkexec sleep {MARK}", "polkit-1"),
    "pkexec that waits": (f"pkexec {STUBBORN}", "polkit-1"),
    "sudo by its plugin": (f"sudo sleep {MARK}", "sudo"),
    "doas": (f"doas sleep {MARK}", "doas"),
}
PLUGIN = "Plugin vigil_approval vigil_approval.so\n"


@pytest.fixture(scope="module")
def host(request):
    option = request.config.getoption
    with Host(f"host-elevated-{os.getpid()}", option("--suite"), option("--vm"), packages=tuple(roots.WAYS_PACKAGES)) as host:
        host.install()
        yield host


@pytest.fixture(scope="module", autouse=True)
def ways(host):
    """Who may become root here, and how; no question of sudo's."""
    host.write("/etc/sudoers.d/tests", "alice ALL=(ALL:ALL) NOPASSWD: ALL\n", "0440")
    host.write("/etc/doas.conf", "permit nopass alice\n", "0400")
    host.run("chpasswd", input=f"root:{ROOT_PASSWORD}\n")
    host.write("/etc/polkit-1/rules.d/10-tests.rules", YES)
    host.run("systemctl", "restart", "polkit.service")


@pytest.fixture(autouse=True)
def cleanly(host, nobody_stays):
    yield
    end_servers(host)
    host.run("pkill", "-KILL", "-f", f"sleep {MARK}", check=False)


def rules(host, *elevated, sessions=""):
    """A rule each, as settings in YAML's short form."""
    lines = "".join(f"  - {{match: {{run_as: [root]}}, {one}}}\n" for one in elevated)
    host.policy("version: 1\nmode: enforce\n" + sessions + (f"elevated:\n{lines}" if elevated else ""))


def elevated(login):
    return login.now()["elevated"]


def begins(login, command, count=1):
    """Types it; the newest elevated session, once vigil lists so many."""
    login.type(command + "\r")
    if command.startswith("su ") or command == "su":
        login.screen.wait_to_hear("assword:", 10)
        login.type(ROOT_PASSWORD + "\r")
    return wait_until(lambda: len(elevated(login)) == count and elevated(login), 10, f"vigil lists {command}")[-1]


def cgroup(login, one):
    return f"{login.scope()}/vigil-elevated-{one['id']}"


def members(host, folder):
    """All that is in there and below."""
    return host.run(f"cat $(find {folder} -name cgroup.procs) /dev/null", check=False).stdout.split()


def is_sane(login):
    """Its shell answers, and what it starts finds the terminal as people have it."""
    assert login.answers()
    login.type("stty -a; echo they are tha''t\r")
    heard = login.screen.wait_to_hear(r"they are that", 5) and login.screen.said()
    settings = heard[heard.rindex("speed"):]
    assert {"icanon", "isig", "echo", "icrnl", "opost", "onlcr"} <= set(settings.split()), settings
    assert login.state() == "active"


def told(host, one, event):
    return [line["MESSAGE"] for line in host.journal(VIGIL_SESSION=one["id"], VIGIL_EVENT=event)]


def left(host):
    """What was started and runs; not sudo or su, which wait for it."""
    return host.pids("-f", f"^(sh|sleep) .*{MARK}|^sleep {MARK}")


def no_more(login):
    wait_until(lambda: not elevated(login), ENDED + 6, "nothing of it is listed")


# How it begins and ends


@pytest.mark.parametrize("way", WAYS)
def test_what_is_started_has_its_own_clock_and_ends_while_the_login_lives(host, way):
    rules(host, "max_duration: 4s, warn_before_end: [2s]")
    host.write("/etc/sudo.conf", PLUGIN if "plugin" in way else "")
    alice = Login(host, "alice")
    command, service = WAYS[way]
    one = begins(alice, command)
    assert (one["run_as"], one["service"], one["user"], one["state"]) == ("root", service, "alice", "active")
    assert one["next"]["action"] in ("warn", "terminate") and one["limits"]["max_duration"] == 4
    folder = cgroup(alice, one)
    assert members(host, folder), "all of it is in a cgroup of its own"
    no_more(alice)
    assert not alice.exists(folder)
    assert not left(host)
    assert "its limit of 4 s" in told(host, one, "elevated-over")[0]
    assert told(host, one, "elevated-opened") and told(host, one, "elevated-warned")
    assert re.search(rf"vigil: What {service} started as root ends in 2 s", alice.screen.said())
    assert re.search(rf"vigil: What {service} started as root ends now: it reached its limit of 4 s", alice.screen.said())
    is_sane(alice)


@pytest.mark.parametrize("way", ["sudo -s", "sudo by its plugin", "doas", "su"])
def test_behind_a_proof_its_clock_begins_with_it(host, way):
    """The time until somebody answers is none of it, and a proof that stands gives the next one no more of it."""
    host.policy("version: 1\nelevated:\n  - {match: {run_as: [root]}, max_duration: 2s}\n"
                "step_up:\n  - {match: {services: [sudo, su, doas]}, require: [totp], valid_for: 10m}\n")
    host.write("/etc/sudo.conf", PLUGIN if "plugin" in way else "")
    codes = enroll(host, "alice")
    alice = Login(host, "alice")
    command, service = WAYS[way]
    for code in (codes.fresh(), None):
        since = alice.screen.mark()
        alice.type(command + "\r")
        if way == "su":
            alice.screen.wait_to_hear("assword:", 10, since)
            alice.type(ROOT_PASSWORD + "\r")
        if code:
            alice.screen.wait_to_hear(CODE_PROMPT, 10, since)
            asked = time.monotonic()
            wait_until(lambda: elevated(alice) or time.monotonic() > asked + 1, 5, "a moment passes")
            assert not elevated(alice), "nothing has been started"
            alice.type(code + "\r")
            answered = time.monotonic()
        one, = wait_until(lambda: elevated(alice), 10, f"vigil lists {way}")
        assert (one["run_as"], one["service"], one["limits"]["max_duration"]) == ("root", service, 2)
        no_more(alice)
        assert not left(host) and "its limit of 2 s" in told(host, one, "elevated-over")[0]
        assert not code or time.monotonic() - answered >= 2
        assert code or "Code for" not in alice.screen.said()[since:], "the proof stands"
    is_sane(alice)


def test_without_a_terminal_of_its_own_pseudo_and_with_one(host):
    """sudo with use_pty, Debian 13's default, and without."""
    rules(host, "max_duration: 3s")
    for option in ("use_pty", "!use_pty"):
        host.write("/etc/sudoers.d/pty", f"Defaults {option}\n", "0440")
        alice = Login(host, "alice")
        one = begins(alice, f"sudo {STUBBORN}")
        no_more(alice)
        assert not left(host), option
        assert told(host, one, "elevated-over")
        is_sane(alice)
        alice.close()
    host.run("rm", "/etc/sudoers.d/pty")


def test_what_ends_by_itself_is_over_at_once(host):
    rules(host, "max_duration: 1h")
    alice = Login(host, "alice")
    one = begins(alice, "sudo -i")
    folder = cgroup(alice, one)
    alice.type("exit\r")
    wait_until(lambda: not elevated(alice), 3, "it is over")
    assert not alice.exists(folder)
    assert "it ended by itself" in told(host, one, "elevated-over")[0]
    assert alice.answers()


def test_a_program_that_leaves_the_terminal_raw_leaves_it_usable(host):
    rules(host, "max_duration: 3s")
    for before in ("sudo", "su -c"):
        alice = Login(host, "alice")
        inner = f"stty raw -echo; {STUBBORN}"
        quoted = "'" + inner.replace("'", "'\\''") + "'"
        one = begins(alice, f"{before} sh -c {quoted}" if before == "sudo" else f"su -c {quoted}")
        no_more(alice)
        assert told(host, one, "elevated-over")
        is_sane(alice)
        alice.close()


def test_one_in_another_has_its_own_clock_and_ends_with_the_outer(host):
    host.policy("version: 1\nelevated:\n"
                "  - {match: {run_as: [bob]}, max_duration: 4s}\n  - {match: {run_as: [root]}, max_duration: 1h}\n")
    alice = Login(host, "alice")
    outer = begins(alice, "sudo -i")
    inner = begins(alice, f"sudo -u bob {STUBBORN}", 2)
    assert inner["run_as"] == "bob" and alice.exists(f"{cgroup(alice, outer)}/vigil-elevated-{inner['id']}")
    wait_until(lambda: len(elevated(alice)) == 1, 4 + ENDED, "the inner one is over")
    assert elevated(alice)[0]["id"] == outer["id"]
    inner = begins(alice, f"sudo sh -c 'sleep {MARK}'", 2)
    host.vigilctl("terminate", outer["id"], "--reason", "test")
    no_more(alice)
    assert not left(host)
    is_sane(alice)


def test_it_ends_with_its_login(host):
    rules(host, "max_duration: 1h")
    alice = Login(host, "alice")
    one = begins(alice, f"sudo {STUBBORN}")
    host.vigilctl("terminate", alice.id, "--reason", "test")
    wait_until(lambda: not host.vigil_sessions(), ENDED + 6, "both are over")
    assert not left(host)
    assert told(host, one, "elevated-over")


def test_in_tmux_it_goes_on_when_the_login_is_over_and_keeps_its_clock(host):
    rules(host, "max_duration: 12s")
    alice = Login(host, "alice")
    alice.type("tmux -f /dev/null new\r")
    alice.screen.wait_for(r"\[0\]")
    one = begins(alice, f"sudo sleep {MARK}")
    alice.close()
    listed = wait_until(lambda: [s for s in host.vigil_sessions() if s["id"] == one["id"]], 8, "it stands alone")
    assert listed[0]["login"] == alice.id
    wait_until(lambda: not host.vigil_sessions(), 12 + ENDED, "and ends")
    assert not left(host)
    assert "its limit of 12 s" in told(host, one, "elevated-over")[0]


# Idleness


def test_a_quiet_one_is_warned_and_ended_and_a_key_puts_it_off(host):
    rules(host, "idle_terminate: 5s, idle_warn: 3s")
    alice = Login(host, "alice")
    one = begins(alice, "sudo -i")
    alice.screen.wait_to_hear("What sudo-i started as root ends in 3 s unless you press a key", 10)
    alice.type("\r")
    pressed = time.monotonic()
    alice.screen.wait_to_hear("ends now: it was idle for 5 s", 10)
    assert time.monotonic() - pressed >= 5
    no_more(alice)
    assert told(host, one, "elevated-warned")
    is_sane(alice)


def test_what_works_is_not_ended_for_being_quiet(host):
    rules(host, "idle_terminate: 3s")
    alice = Login(host, "alice")
    host.run("touch", "/tmp/goes-on")
    one = begins(alice, "sudo sh -c 'while test -e /tmp/goes-on; do :; done; sleep 86399'")
    until = time.monotonic() + 10
    wait_until(lambda: time.monotonic() > until or not elevated(alice), 15, "the time passes")
    assert elevated(alice) and not told(host, one, "elevated-ending")
    host.run("rm", "/tmp/goes-on")
    no_more(alice)
    assert "it was idle for 3 s" in told(host, one, "elevated-over")[0]


def test_work_of_the_login_beside_it_is_not_its_own(host):
    rules(host, "idle_terminate: 4s")
    alice = Login(host, "alice")
    alice.type("(while :; do :; done) & busy=$!\r")
    one = begins(alice, f"sudo sleep {MARK}")
    no_more(alice)
    assert "it was idle for 4 s" in told(host, one, "elevated-over")[0]
    alice.type("kill $busy\r")
    is_sane(alice)


# The lock of its login


def held(login, one):
    return f"{login.scope()}/vigil-lock/vigil-elevated-{one['id']}"


def test_the_lock_holds_it_and_gives_it_back_to_its_own_cgroup(host):
    rules(host, "max_duration: 1h, idle_terminate: 4s")
    alice = Login(host, "alice")
    one = begins(alice, f"sudo {STUBBORN}")
    before = set(members(host, cgroup(alice, one)))
    alice.lock()
    assert alice.frozen()
    inside = set(members(host, held(alice, one)))
    assert inside and inside <= before
    until = time.monotonic() + 6
    wait_until(lambda: time.monotonic() > until or not elevated(alice), 10, "the time passes")
    assert elevated(alice), "what a lock has paused is not idle"
    unlock(alice)
    assert set(members(host, cgroup(alice, one))) == before
    assert not alice.exists(held(alice, one))
    no_more(alice)
    is_sane(alice)


def test_it_ends_behind_the_lock_and_the_lock_stays(host):
    rules(host, "max_duration: 6s")
    alice = Login(host, "alice")
    one = begins(alice, f"sudo {STUBBORN}")
    alice.lock()
    wait_until(lambda: not elevated(alice), 6 + ENDED, "it is over")
    assert not left(host)
    assert alice.state() == "locked" and alice.frozen()
    alice.screen.wait_for(UNLOCK_PROMPT)
    assert "started as root" not in alice.screen.text()
    assert told(host, one, "elevated-over")
    unlock(alice)
    is_sane(alice)


def test_a_locked_login_ends_with_what_is_held_of_it(host):
    rules(host, "max_duration: 1h")
    alice = Login(host, "alice")
    begins(alice, f"sudo {STUBBORN}")
    alice.lock()
    host.vigilctl("terminate", alice.id, "--reason", "test")
    wait_until(lambda: not host.vigil_sessions(), ENDED + 6, "both are over")
    assert not left(host)


@pytest.mark.parametrize("locked", [False, True])
def test_a_storm_of_forks_ends_whole(host, locked):
    rules(host, "max_duration: 1h")
    alice = Login(host, "alice")
    storm = f"trap \"\" HUP TERM; while :; do (setsid sleep {MARK} &) ; sleep 0.01; done"
    one = begins(alice, f"sudo sh -c '{storm}'")
    wait_until(lambda: len(left(host)) > 50, 20, "it storms")
    if locked:
        alice.lock()
    host.vigilctl("terminate", one["id"], "--reason", "test")
    wait_until(lambda: not elevated(alice), ENDED + 6, "it is over")
    assert not left(host)
    if locked:
        alice.screen.wait_for(LOCK_SCREEN)
        unlock(alice)
    is_sane(alice)


# Who may do what with it


def test_its_own_user_ends_it_and_another_does_not(host):
    rules(host, "max_duration: 1h")
    alice = Login(host, "alice")
    one = begins(alice, f"sudo sleep {MARK}")
    assert host.vigilctl("terminate", one["id"], "--reason", "test", user="bob", check=False).returncode == 1
    assert host.vigilctl("lock", one["id"], check=False).returncode == 1
    assert host.vigilctl("show", one["id"], "--json")["login"] == alice.id
    shown = host.vigilctl("list").stdout.splitlines()
    below = next(at for at, line in enumerate(shown) if line.startswith(alice.id[:8])) + 1
    assert shown[below].startswith("  " + one["id"][:8]) and " root " in shown[below]
    host.vigilctl("terminate", one["id"], "--reason", "enough", user="alice")
    no_more(alice)
    assert "alice ended it: enough" in told(host, one, "elevated-over")[0]
    is_sane(alice)


def test_all_locks_and_ends_logins_alone(host):
    rules(host, "max_duration: 1h")
    alice = Login(host, "alice")
    begins(alice, f"sudo sleep {MARK}")
    assert host.vigilctl("lock", "--all").stdout.count("locked") == 1
    alice.screen.wait_for(UNLOCK_PROMPT)
    unlock(alice)
    assert len(elevated(alice)) == 1


# Where there is no clock


def test_no_rule_moves_nothing(host):
    rules(host)
    alice = Login(host, "alice")
    alice.type("sudo sh -c 'cat /proc/self/cgroup; echo ended $?'\r")
    alice.screen.wait_to_hear(r"ended 0", 10)
    assert "vigil-elevated" not in alice.screen.said() and not elevated(alice)


def test_observe_tells_and_moves_nothing(host):
    host.policy("version: 1\nmode: observe\nelevated:\n  - {max_duration: 2s}\n")
    alice = Login(host, "alice")
    alice.type("sudo sh -c 'cat /proc/self/cgroup; echo ended $?'\r")
    alice.screen.wait_to_hear(r"ended 0", 10)
    assert "vigil-elevated" not in alice.screen.said()
    assert "only observed" in alice.told("elevated-opened")[0]


def test_outside_of_every_login_it_is_as_if_there_were_no_rule(host):
    rules(host, "max_duration: 2s")
    done = host.run("systemd-run", "--pipe", "--wait", "--quiet", "--", "sudo", "sh", "-c", "sleep 4; cat /proc/self/cgroup")
    assert done.stdout.strip() and "vigil-elevated" not in done.stdout


def test_where_vigild_is_away_it_goes_on(host):
    """Where its PAM file lets anybody become somebody then."""
    rules(host, "max_duration: 2s")
    alice = Login(host, "alice")
    scope = alice.scope()
    host.run("sed", "-i.kept", "/pam_vigil.so/s/$/ unavailable=allow/", "/etc/pam.d/common-account")
    host.run("systemctl", "stop", "vigild.socket", "vigild.service")
    try:
        started = time.monotonic()
        alice.type("su -c 'echo it''s $(id -un)'\r")
        alice.screen.wait_to_hear("assword:", 10)
        alice.type(ROOT_PASSWORD + "\r")
        alice.screen.wait_to_hear("its root", 10)
        assert time.monotonic() - started < 5
        assert "vigil-elevated" not in host.run("find", scope).stdout
    finally:
        host.run("mv", "/etc/pam.d/common-account.kept", "/etc/pam.d/common-account")
        host.run("systemctl", "start", "vigild.socket", "vigild.service")


# What survives vigild


def test_its_clock_outlives_a_kill_of_vigild(host):
    rules(host, "max_duration: 8s")
    alice = Login(host, "alice")
    one = begins(alice, f"sudo {STUBBORN}")
    host.kill_vigild()
    assert [s["id"] for s in elevated(alice)] == [one["id"]]
    no_more(alice)
    assert not left(host)
    assert "its limit of 8 s" in told(host, one, "elevated-over")[0]
    is_sane(alice)


def test_what_ended_while_vigild_was_down_is_over(host):
    rules(host, "max_duration: 1h")
    alice = Login(host, "alice")
    one = begins(alice, "sudo -i")
    folder = cgroup(alice, one)
    host.run("systemctl", "stop", "vigild.socket", "vigild.service")
    alice.type("exit\r")
    wait_until(lambda: not members(host, folder), 5, "it has ended")
    host.run("systemctl", "start", "vigild.socket", "vigild.service")
    no_more(alice)
    assert not alice.exists(folder)
    assert alice.answers()


def test_a_kill_before_any_step_of_a_beginning(host):
    """It runs with a clock in the end, or the one that asked went on without vigild; never half."""
    rules(host, "max_duration: 1h")
    alice = Login(host, "alice")

    def begin_and_leave():
        alice.type(f"sudo sleep {MARK}\r")
        wait_until(lambda: left(host), 15, "it runs")

    def leave():
        alice.screen.key("ctrl-c")
        wait_until(lambda: not left(host), 5, "it has ended")
        no_more(alice)
    steps = steps_of(host, begin_and_leave)
    leave()
    walk = Walk(steps)
    for step in steps:
        killer = death(host, step)
        begin_and_leave()
        killed = killer.leave()
        runs = left(host)[0]
        where = host.read(f"/proc/{runs}/cgroup")
        listed = wait_until(lambda: alice.now(), 5, "vigil lists the login")["elevated"]
        assert ("vigil-elevated" in where) == bool(listed), f"{step}: {where} {listed}"
        walk.note(step, killed, "with" if listed else "without")
        leave()
    walk.was_whole("pwrite64", "mkdir", often="with")


def test_a_kill_before_any_step_of_an_end(host):
    rules(host, "max_duration: 1h")
    alice = Login(host, "alice")

    def ends(one):
        done = host.vigilctl("terminate", one["id"], "--reason", "test", check=False).returncode == 0
        wait_until(lambda: not done or not left(host), ENDED + 10, "it is over")
        return done
    steps = steps_of(host, lambda one=begins(alice, f"sudo {STUBBORN}"): ends(one))
    walk = Walk(steps)
    for step in steps:
        no_more(alice)
        one = begins(alice, f"sudo {STUBBORN}")
        killer = death(host, step)
        done = ends(one)
        walk.note(step, killer.leave(), "ended" if done else "not told")
        if not done and elevated(alice) and elevated(alice)[0]["state"] == "active":
            assert ends(one), step
        wait_until(lambda: not left(host), ENDED + 10, f"{step}: it is over")
    no_more(alice)
    walk.was_whole("pwrite64", "write", "rmdir")
    is_sane(alice)
