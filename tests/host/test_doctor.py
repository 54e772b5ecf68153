"""vigilctl doctor: a good host is found good, and each thing that is missing is found, told and mended."""

import time

import pytest
from doctors import DONE, FAILURE, NO_FORWARDS, OF_MACHINE, WARNING, Found
from logins import LOCK_SCREEN, Login, everybody_leaves, notes_of_its_lock, unlock
from vigilhost import wait_until

DROP_IN = "/usr/lib/systemd/system/session-.scope.d/50-vigil.conf"
STACK = "/etc/pam.d/vigil-unlock"
PROGRAM = "/usr/libexec/vigil/vigil-lock"
VIGILDS = ["cgroup write", "pidfd", "prompts", "console"]
# A host without cgroup v2, for who is started in it.
NO_CGROUPS = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"', "sh")
POLICY = "version: 1\nmode: enforce\nsessions:\n  - name: by hand\n    unlock: [password]\n"


@pytest.fixture(scope="module", autouse=True)
def forwards_nothing(host):
    """As Debian's sshd does not by itself: test_forwards.py."""
    host.run("cp", *NO_FORWARDS)
    host.run("chpasswd", input="root:root-pass-1\n")


@pytest.fixture(autouse=True)
def cleanly(host):
    host.policy(POLICY)
    yield
    host.run("pkill", "-KILL", "-x", "sleep", check=False)
    everybody_leaves(host)


def of_machine(host):
    """What the lines about the machine around have to say here."""
    pids = "pids" in host.read("/sys/fs/cgroup/cgroup.controllers").split()
    typing, tracing = (host.run("cat", f"/proc/sys/{name}", check=False).stdout.strip()
                       for name in ("dev/tty/legacy_tiocsti", "kernel/yama/ptrace_scope"))
    right = host.run("timedatectl", "show", "--property=NTPSynchronized", "--value").stdout.strip() == "yes"
    console = host.run("ls /dev/tty1 /dev/ttyS0 /dev/hvc0", check=False).stdout != ""
    return {"pids": "ok" if pids else "warning", "tiocsti": "ok" if typing == "0" else "warning",
            "ptrace": "ok" if tracing not in ("", "0") else "warning", "clock": "ok" if right else "warning",
            "way back": "ok" if console else "warning"}


def test_a_good_host_is_found_good(host):
    alice = Login(host, "alice")
    found = Found(host)
    assert found.bad() == []
    machine = of_machine(host)
    assert machine.keys() == set(OF_MACHINE) and {name: found.result(name) for name in machine} == machine
    assert found.status == (WARNING if "warning" in machine.values() else DONE)
    assert [one["check"] for one in found.checks] == [
        "pam", "sshd", "sudo", "way back", "key", "clock", "cgroup v2", "freezer", "pids", "drop-in", "scopes", "tiocsti", "ptrace", "unlock stack", "vigil-lock", "mosh", "forwards",
        "login factors", "rekey", "vigild", *VIGILDS, "sessions"]
    assert all(one["looked_at"] for one in found.checks)
    assert found["scopes"]["found"] == "PID 1 leaves those of all 1 open sessions to vigil"
    assert found["sessions"]["found"] == "1 open, 0 locked"
    alice.lock()
    found = Found(host)
    assert found.bad() == []
    notes = "".join(f"; note: {note}" for note in notes_of_its_lock(host))
    assert [one["found"] for one in found.of(alice)] == [f"{alice.id[:8]} of alice: locked, and all of it is held{notes}"]
    unlock(alice)


def test_the_lines_are_for_people(host):
    done = host.vigilctl("doctor", check=False)
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["ok", "pam", "asks", "vigil", "for", "sshd,", "login,", "su,", "sudo,", "polkit-1"]
    assert lines[-1].split(" ok, ")[0].isdigit() and lines[-1].endswith(" 0 failures")
    assert done.stderr == ""
    # Each that is not ok has what mends it below.
    for line, below in zip(lines, lines[1:]):
        if line.startswith(("warning", "failure")):
            assert below.strip().startswith("mend: ")


def test_the_drop_in_is_missed(host):
    host.run(f"mv {DROP_IN} /root/ && systemctl daemon-reload")
    try:
        alice = Login(host, "alice")
        found = Found(host)
        assert found.status == FAILURE
        assert found.result("drop-in") == "failure" and "daemon-reload" in found["drop-in"]["mend"]
        name = host.vigilctl("show", alice.id, "--json")["logind_session"]
        assert found["scopes"]["found"].startswith(f"PID 1 may undo a lock of logind's session {name}:")
        # One that says no counts as none, whatever the other says.
        host.run(f"mv /root/50-vigil.conf {DROP_IN}")
        assert Found(host).result("drop-in") == "ok"
        host.write("/etc/systemd/system/session-.scope.d/60-local.conf", "[Scope]\nDelegate=no\n")
        assert "/etc/systemd/system/session-.scope.d/60-local.conf" in Found(host)["drop-in"]["found"]
    finally:
        host.run(f"rm -rf /etc/systemd/system/session-.scope.d; mv /root/50-vigil.conf {DROP_IN} 2>/dev/null; "
                 "systemctl daemon-reload")
    # What is mended counts for whoever comes next.
    newer = Login(host, "bob")
    assert Found(host).result("drop-in") == "ok"
    # Whether a reload of PID 1 mends the older ones as well is a matter of its version.
    alice.close()
    wait_until(lambda: Found(host).result("scopes") == "ok", 10, "the old session is over")
    assert newer.answers()


@pytest.mark.parametrize("path", ["/usr/bin/mosh-server", "/usr/local/bin/mosh-server"])
def test_a_way_in_that_no_lock_holds_is_told(host, path):
    host.write(path, "#!/bin/sh\n", "0755")
    try:
        found = Found(host)
        assert (found.status, found.result("mosh")) == (WARNING, "warning") and found["mosh"]["found"].startswith(f"{path} is there")
        assert found.bad() == [found["mosh"]]
    finally:
        host.run("rm", path)
    assert Found(host).result("mosh") == "ok"


def test_a_pid1_that_takes_no_calls_is_told_and_mended(host):
    host.run("rm", "/run/systemd/private")
    found = Found(host)
    assert (found.status, found.result("prompts")) == (FAILURE, "failure")
    assert "connecting to PID 1: No such file" in found["prompts"]["found"] and found.bad() == [found["prompts"]]
    host.run(found["prompts"]["mend"])
    wait_until(lambda: Found(host).result("prompts") == "ok", 20, "PID 1 takes calls")


def test_a_vigild_that_does_not_run_is_not_started(host):
    host.run("systemctl stop vigild.service vigild.socket")
    try:
        found = Found(host)
        assert found.status == FAILURE
        assert (found.result("vigild"), found["vigild"]["mend"]) == ("failure", "systemctl start vigild")
        for check in ("vigild's own", "sessions"):
            assert (found.result(check), found[check]["looked_at"]) == ("warning", False)
        assert found.result("unlock stack") == "ok"
        assert host.vigild_pid() == 0
        assert Found(host, "alice").result("vigild") == "failure"
        assert host.vigild_pid() == 0
    finally:
        host.run("systemctl start vigild.socket vigild.service")


def test_what_a_host_without_cgroups_hides_is_not_guessed(host):
    found = Found(host, within=NO_CGROUPS)
    assert found.result("cgroup v2") == "failure"
    for check in ("freezer", "pids", "scopes", "vigild", "vigild's own", "sessions"):
        assert (found.result(check), found[check]["looked_at"]) == ("warning", False)
    assert not any(each["found"].startswith("it does not run") for each in found.checks)
    # Who cannot tell whether vigild runs does nothing behind its back.
    done = host.run(*NO_CGROUPS, "vigilctl", "thaw", "--all", check=False)
    assert (done.returncode, done.stdout) == (FAILURE, "")
    assert done.stderr.startswith("vigilctl: whether vigild runs cannot be told: no cgroup v2 hierarchy")


@pytest.mark.parametrize("user", [None, "alice"])
def test_a_vigild_that_is_silent_is_not_waited_for(host, user):
    pid = host.vigild_pid()
    host.run("kill", "-STOP", str(pid))
    try:
        began = time.monotonic()
        found = Found(host, user)
        assert time.monotonic() - began < 10
        assert found["vigild"]["found"].startswith("it runs and does not answer")
        assert (found.status, found.result("vigild")) == (FAILURE, "failure")
        assert not found["sessions"]["looked_at"]
        host.run("sh", "-c", found["vigild"]["mend"].partition(":")[0])
        wait_until(lambda: host.vigild_pid() not in (0, pid) and host.vigild_is_ready(), 15, "what it says mends it")
    finally:
        host.run("kill", "-CONT", str(pid), check=False)
    assert Found(host).result("vigild") == "ok"


def test_a_vigild_that_only_observes_is_told(host):
    host.policy("version: 1\nmode: observe\n")
    assert "only observes" in Found(host)["vigild"]["found"]
    host.write("/etc/vigil/policy.yaml", "version: 1\nmode: perhaps\n")
    host.vigilctl("reload", check=False)
    assert Found(host).result("vigild") == "failure"


@pytest.mark.parametrize("spoil, path, words", [
    (f"mv {STACK} /root/spoiled", STACK, "is not there"),
    (f"cp -p {STACK} /root/spoiled && chmod 666 {STACK}", STACK, "can be written by others"),
    (f"cp -p {STACK} /root/spoiled && sed -i s/pam_unix.so/pam_nix.so/ {STACK}", STACK, "pam_nix.so: No such file"),
    (f"cp -p {STACK} /root/spoiled && sed -i /^auth/d {STACK}", STACK, "no auth line"),
    (f"cp -p {STACK} /root/spoiled && echo auth include vigil-nowhere >>{STACK}", STACK, "vigil-nowhere, which is not there"),
    (f"cp -p {STACK} /root/spoiled && echo @include vigil-unlock >>{STACK}", STACK, "over and over"),
    (f"mv {STACK} /root/spoiled && mkfifo {STACK}", STACK, "is no file"),
    (f"mv {PROGRAM} /root/spoiled", PROGRAM, "is not there"),
    (f"cp -p {PROGRAM} /root/spoiled && chmod 777 {PROGRAM}", PROGRAM, "can be written by others"),
    (f"cp -p {PROGRAM} /root/spoiled && chmod 644 {PROGRAM}", PROGRAM, "is no program"),
], ids=["no stack", "a stack of everybody's", "no module", "an empty stack", "no file that is included", "a stack that includes itself", "a fifo", "no program", "a program of everybody's",
        "no right to run it"])
def test_what_a_prompt_needs_is_missed(host, spoil, path, words):
    host.run(f"true; {spoil}")
    try:
        found = Found(host)
    finally:
        host.run("mv", "-f", "/root/spoiled", path)
    (bad,) = found.bad()
    assert bad["check"] == ("unlock stack" if path == STACK else "vigil-lock")
    assert bad["result"] == "failure" and words in bad["found"] and bad["mend"]
    assert found.status == FAILURE
    assert Found(host).bad() == []


@pytest.mark.parametrize("lines", ["@include common-auth", "auth include common-auth", "auth substack vigil-inner"])
def test_a_stack_may_ask_by_what_it_includes(host, lines):
    host.run(f"mv {STACK} /root/spoiled")
    try:
        host.write(STACK, lines + "\naccount required pam_permit.so\n")
        host.write("/etc/pam.d/vigil-inner", "@include common-auth\n")
        assert Found(host).bad() == []
    finally:
        host.run(f"mv -f /root/spoiled {STACK}; rm -f /etc/pam.d/vigil-inner")
    assert Found(host).bad() == []


def test_what_mends_no_file_is_another(host):
    host.run(f"mv {PROGRAM} /root/spoiled && mkdir {PROGRAM}")
    try:
        mend = Found(host)["vigil-lock"]["mend"]
    finally:
        host.run(f"rmdir {PROGRAM} && mv /root/spoiled {PROGRAM}")
    assert "install" in mend and "chown" not in mend and "chmod" not in mend


def test_a_drop_in_is_read_as_systemd_reads_it(host):
    folder = "/etc/systemd/system/session-.scope.d"
    try:
        for text, result in (("Delegate=No", "failure"), ("Delegate=OFF", "failure"), ("Delegate=no\nDelegate=", "ok")):
            host.write(f"{folder}/60-local.conf", f"[Scope]\n{text}\n")
            assert Found(host).result("drop-in") == result
    finally:
        host.run("rm", "-rf", folder)


def test_what_a_lock_leaves_free_is_told(host):
    alice, other = Login(host, "alice"), Login(host, "alice")
    other.type(f"sleep 1000 <{alice.path} &\r")
    pid = wait_until(lambda: host.run("pgrep", "-x", "sleep", check=False).stdout.split(), 5, "sleep runs")[0]
    assert Found(host).bad() == []
    alice.lock(prompt=LOCK_SCREEN)
    line = f"{alice.id[:8]} of alice: locked, but not held: process {pid} (sleep) outside the session has {alice.path} open"
    for user in (None, "alice"):
        (gap,) = Found(host, user).of(alice)
        assert (gap["result"], gap["found"]) == ("warning", line)
        assert gap["mend"] == f"vigilctl terminate --reason TEXT {alice.id[:8]}"
    assert Found(host, "bob").of(alice) == []
    host.run("kill", pid)
    wait_until(lambda: [one["result"] for one in Found(host).of(alice)] == ["ok"], 5, "what is gone is not told")
    unlock(alice)


def test_what_a_lingering_user_runs_on_with_is_a_note(host):
    host.run("loginctl", "enable-linger", "alice")
    alice = Login(host, "alice")
    try:
        alice.type("systemd-run --user --unit=backup sleep 1000; systemd-run --user --scope --unit=run-away "
                   "setsid -f sleep 1000 </dev/null &>/dev/null\r")
        wait_until(lambda: len(host.pids("-x", "sleep")) == 2, 10, "both run")
        alice.lock()
        for user in (None, "alice"):
            (line,) = Found(host, user).of(alice)
            assert (line["result"], line["mend"]) == ("ok", None)
            told, _, notes = line["found"].partition("; note: ")
            assert told == f"{alice.id[:8]} of alice: locked, and all of it is held"
            assert set(notes.split("; ")) >= {"user unit backup.service runs on", "user unit run-away.scope runs on"}
        host.run("pkill", "-KILL", "-x", "sleep")
        wait_until(lambda: not any(unit in Found(host).of(alice)[0]["found"] for unit in ("backup", "run-away")), 10,
                   "what has ended is not told")
        unlock(alice)
        wait_until(lambda: Found(host).of(alice) == [], 5, "nothing is told of what is open")
    finally:
        host.run("loginctl", "disable-linger", "alice")


def test_a_tmux_server_of_an_older_session_is_told_and_what_mends_it(host):
    older, newer = Login(host, "alice"), Login(host, "alice")
    try:
        older.type("tmux -f /dev/null new -d 'exec cat'\r")
        pid = wait_until(lambda: host.pids("-x", "tmux: server"), 10, "the server runs")[0]
        newer.type("tmux attach\r")
        newer.type("one line\r")
        newer.screen.wait_for("^one line\none line$")
        assert Found(host).bad() == []
        newer.lock(prompt=LOCK_SCREEN)
        older.lock()
        found = Found(host)
        (gap,) = found.of(newer)
        assert (gap["result"], gap["mend"]) == ("warning", f"vigilctl terminate --reason TEXT {newer.id[:8]}")
        assert gap["found"] == (f"{newer.id[:8]} of alice: locked, but not held: process {pid} (tmux: server) outside the session "
                                f"has {newer.path} open")
        # The session that the server began in is held: nobody is at the server's own terminals.
        assert [one["result"] for one in found.of(older)] == ["ok"]
        assert found.bad() == [gap] and found.status == WARNING
        host.run("/bin/sh", "-c", gap["mend"].replace("TEXT", "test"))
        wait_until(lambda: newer.state() == "gone" and Found(host).bad() == [], 15, "what it says mends it")
        unlock(older)
        assert older.answers()
    finally:
        host.run("pkill", "-KILL", "-x", "tmux: server", check=False)


def test_a_user_is_told_what_he_may_see_and_what_nobody_looked_at(host):
    alice, bob = Login(host, "alice"), Login(host, "bob")
    bob.lock()
    found = Found(host, "alice")
    assert found["vigild's own"] == {
        "check": "vigild's own", "result": "warning", "looked_at": False,
        "found": "not looked at: vigild tells root alone", "mend": "sudo vigilctl doctor", "session": None}
    assert found["forwards"]["found"] == "not looked at: sshd tells root alone"
    assert [one["check"] for one in found.bad()] == ["sshd", "sudo", "key", "forwards", "login factors", "rekey", "vigild's own"]
    assert found["sessions"]["found"] == "1 open of yours, 0 locked"
    assert found.status == WARNING
    assert alice.answers()
    unlock(bob)
