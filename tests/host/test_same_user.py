"""A thief at another login of the same user, which nobody locked: what he may do to a locked session is end it."""

import re

import pytest
from logins import LOCK_SCREEN, MANAGER, SHELL, Login, unlock
from people import Shell, enroll
from vigilhost import PASSWORDS, wait_until

pytestmark = pytest.mark.usefixtures("opened_by_codes")

REFUSED = r"Permission denied|Operation not permitted|Access denied|[Ii]nteractive authentication required|" \
    r"cannot read symbolic link|Inappropriate ioctl"
LOGIN, LOGIN_PATH = "org.freedesktop.login1", "/org/freedesktop/login1"


def perl(ask):
    """What no program does: a system call of amd64's, or an ioctl of stdin's, by number."""
    return f"perl -e '$x = \"x\"; $own = pack(\"i\", $$); {ask} or die \"$!\\n\"'"


ATTACH = perl("syscall(101, 16, $ARGV[0] + 0, 0, 0) == 0")
PIDFD_GETFD = perl("syscall(438, syscall(434, $ARGV[0] + 0, 0), 0, 0) >= 0")
TIOCSTI = perl("ioctl(STDIN, 0x5412, $x)")
TIOCSPGRP = perl("ioctl(STDIN, 0x5410, $own)")
TIOCEXCL = perl("ioctl(STDIN, 0x540c, 0)")
TCOOFF = perl("ioctl(STDIN, 0x540a, 0)")
TIOCSCTTY = "setsid -w " + perl("ioctl(STDIN, 0x540e, 1)")


@pytest.fixture
def thief(host, alice):
    """He comes after alice."""
    return Shell(Login(host, "alice").screen)


def each_is_refused(thief, attacks):
    for attack in attacks:
        status, said = thief.run(attack)
        assert status != 0 and re.search(REFUSED, said), f"not refused: {attack}\n{said}"


def test_what_is_frozen_is_thawed_by_nobody_but_vigil(host, alice, thief):
    """By PID 1, by the files of the cgroup, or by a cgroup of his own."""
    alice.type("for ((n = 0; ; n++)); do echo $n >counter; sleep 0.1; done\r")
    wait_until(lambda: alice.exists("/home/alice/counter") and host.read("/home/alice/counter").strip(), 10, "it counts")
    alice.lock()
    stood = host.read("/home/alice/counter")
    scope, held = alice.scope(), alice.scope() + "/vigil-lock"
    unit, frozen = scope.rpartition("/")[2], host.read(held + "/cgroup.procs").split()
    own = "/sys/fs/cgroup/user.slice/user-$UID.slice/user@$UID.service"
    assert frozen and thief.run(f"mkdir {own}/mine")[0] == 0
    each_is_refused(thief, [
        *(f"{MANAGER} {method} s {unit}" for method in ("ThawUnit", "FreezeUnit")),
        f"{MANAGER} KillUnit ssi {unit} all 18",
        f"{MANAGER} SetUnitProperties 'sba(sv)' {unit} true 0",
        f"{MANAGER} AttachProcessesToUnit ssau {unit} '' 1 {frozen[0]}",
        f"systemctl --no-ask-password stop vigil-lock-{alice.id}-pts-{alice.path.rpartition('/')[2]}.service",
        "systemctl --no-ask-password stop vigild.service",
        f"echo 0 >{held}/cgroup.freeze", f"echo 1 >{held}/cgroup.kill", f"rmdir {held}", f"mkdir {scope}/mine",
        *(f"(echo {pid} >{to}/cgroup.procs)" for pid in frozen for to in (scope, own + "/mine", own + "/init.scope")),
        f"(echo $BASHPID >{held}/cgroup.procs)",
    ])
    # What he may, and what changes nothing: it comes to the programs after the unlock.
    assert thief.run(f"kill -CONT {' '.join(frozen)}")[0] == 0
    assert host.read(held + "/cgroup.procs").split() == frozen and "frozen 1" in host.read(held + "/cgroup.events")
    assert host.read("/home/alice/counter") == stood and alice.state() == "locked"
    unlock(alice)
    wait_until(lambda: host.read("/home/alice/counter") not in ("", stood), 5, "it counts again")
    alice.screen.key("ctrl-c")
    assert alice.answers()


def test_logind_is_told_in_vain_that_a_locked_terminal_is_open(host, alice, thief):
    """Of a desktop it would be heard."""
    alice.lock()
    session = alice.show()["logind_session"]
    each_is_refused(thief, ["loginctl --no-ask-password unlock-sessions"])
    assert thief.run(f"loginctl --no-ask-password unlock-session {session}")[0] == 0
    path = host.run(f"busctl call {LOGIN} {LOGIN_PATH} {LOGIN}.Manager GetSession s {session}").stdout.split('"')[1]
    assert thief.run(f"busctl call {LOGIN} {path} {LOGIN}.Session SetLockedHint b false")[0] == 0
    host.run("loginctl", "unlock-session", session)
    assert alice.state() == "locked" and alice.frozen()
    unlock(alice)
    assert alice.answers()


def test_the_prompt_and_who_carries_its_keys_are_not_his_to_look_into(host, alice, thief):
    alice.lock()
    prompt = host.pids("-x", "vigil-lock")
    sshd = host.pids("-f", rf"^sshd.*: alice@{alice.path.removeprefix('/dev/')}$")
    assert len(prompt) == len(sshd) == 1
    for pid in prompt + sshd:
        each_is_refused(thief, [f"ls /proc/{pid}/fd", f"cat /proc/{pid}/environ", f"readlink -v /proc/{pid}/exe",
                                f"head -c 1 /proc/{pid}/mem", f"{ATTACH} {pid}", f"{PIDFD_GETFD} {pid}"])
    each_is_refused(thief, [f"kill -{signal} {prompt[0]}" for signal in ("KILL", "STOP", "CONT", "WINCH")])
    assert host.pids("-x", "vigil-lock") == prompt and alice.state() == "locked"
    unlock(alice)
    assert alice.answers()


def test_the_locked_terminal_is_opened_by_nobody_new(host, alice, thief):
    alice.type("echo pid $$\r")
    shell = alice.screen.wait_for(r"^pid (\d+)$")[1]
    alice.lock()
    each_is_refused(thief, [f"head -c 1 <{alice.path}", f"echo over >{alice.path}", f"{TIOCSTI} <{alice.path}",
                            f"chmod 666 {alice.path}", f"head -c 1 /proc/{shell}/fd/0", f"{TIOCSTI} </proc/{shell}/fd/0",
                            f"head -c 1 </proc/{shell}/root{alice.path}"])
    # The lock took a password all the while: nobody reads with it.
    assert alice.show()["uncovered"] == []
    unlock(alice)
    alice.screen.wait_for(SHELL)
    assert alice.answers() and "over" not in alice.screen.said()


def test_who_had_it_open_before_types_nothing_and_learns_no_password(host, alice, thief):
    codes = enroll(host, "alice")
    assert thief.run(f"exec 9<>{alice.path}")[0] == 0
    alice.lock(prompt=r"^\s*Code:")
    each_is_refused(thief, [f"{ask} <&9" for ask in (TIOCSTI, TIOCSPGRP, TIOCSCTTY)])
    assert alice.state() == "locked" and "Password" not in alice.screen.text()
    alice.type(codes.fresh() + "\r")
    wait_until(lambda: alice.state() == "active", 15, "the first code unlocks")
    alice.screen.wait_gone(LOCK_SCREEN)
    assert alice.answers()


def test_who_has_pid_1_take_a_process_out_of_the_lock_again_and_again_gets_no_password(host, alice, thief):
    """It is at her terminal and reads; the prompt says so at her first key."""
    alice.type("cat >stolen\r")
    pid = wait_until(lambda: host.pids("-x", "cat"), 5, "it reads")[0]
    alice.lock()
    thief.start(f"while :; do {MANAGER} AttachProcessesToUnit ssau user@$UID.service /init.scope 1 {pid}; done")
    wait_until(lambda: not host.read(f"/proc/{pid}/cgroup").strip().endswith("/vigil-lock"), 10, "it is moved")
    alice.type(PASSWORDS["alice"][0])
    alice.screen.wait_for(rf"{pid} \(cat\) was taken out of the lock")
    alice.screen.wait_for(r"^\s*Code:|administrator")
    assert any(f"{pid} (cat) was taken out" in one for one in alice.show()["uncovered"])
    assert alice.state() == "locked"
    host.vigilctl("unlock", alice.id, "--reason", "test")
    wait_until(lambda: alice.state() == "active", 10, "an operator can unlock it")


def test_a_terminal_that_a_program_has_to_itself_is_locked_and_unlocked(host, alice):
    alice.type(f"{TIOCEXCL}; echo it is i''ts own\r")
    alice.screen.wait_for("^it is its own$")
    alice.lock()
    assert alice.show()["uncovered"] == []
    unlock(alice)
    assert alice.answers()


@pytest.mark.parametrize("ask", [TIOCEXCL, TCOOFF], ids=["TIOCEXCL", "TCOOFF"])
def test_who_had_it_open_before_keeps_nobody_from_unlocking(host, alice, thief, ask):
    codes = enroll(host, "alice")
    assert thief.run(f"exec 9<>{alice.path}")[0] == 0
    alice.lock(prompt=r"^\s*Code:")
    assert thief.run(f"{ask} <&9")[0] == 0
    alice.type(codes.fresh() + "\r")
    wait_until(lambda: alice.state() == "active", 15, "the first code unlocks")
    alice.screen.wait_gone(LOCK_SCREEN)
    assert alice.answers()


def test_settings_that_keep_answers_from_arriving_keep_no_operator_from_unlocking(host, alice, thief):
    assert thief.run(f"exec 9<>{alice.path}")[0] == 0
    alice.lock(prompt=r"administrator|^\s*Code:")
    assert thief.run("stty icanon isig echo <&9")[0] == 0
    host.vigilctl("unlock", alice.id, "--reason", "test")
    wait_until(lambda: alice.state() == "active", 10, "an operator can unlock it")
    alice.screen.wait_gone(LOCK_SCREEN)
    assert alice.answers()


def test_who_has_it_to_himself_again_and_again_keeps_nobody_from_locking_or_unlocking(host, alice, thief):
    codes = enroll(host, "alice")
    assert thief.run(f"exec 9<>{alice.path}")[0] == 0
    assert thief.run("perl -e 'ioctl(STDIN, 0x540c, 0) while 1' <&9 & again=$!")[0] == 0
    alice.lock(prompt=r"^\s*Code:")
    assert alice.frozen()
    alice.type(codes.fresh() + "\r")
    wait_until(lambda: alice.state() == "active", 15, "the first code unlocks")
    assert thief.run("kill $again")[0] == 0
    assert alice.answers()
