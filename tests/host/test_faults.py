"""The fail table on a real host: vigild gone, stuck or with nothing it can read; and who gets in and who does not."""

import os
import re
import subprocess
import time

import pytest
import roots
from people import SHELL, at_console, enroll, let_sshd_take_all, one_line, person, recovery_codes, shell
from story import CODE_PROMPT
from troubles import START, STOP, gone, no_factors, no_key, no_policy, no_state, stuck
from vigilhost import PASSWORDS, Host, wait_until

RULE = """\
version: 1
sessions:
  - name: one
    match: {users: [%s]}
    max_sessions: {user: 1, when_reached: deny}
step_up:
  - match: {groups: [sudo], services: [sudo, su, doas, polkit-1]}
    require: [totp, recovery]
"""
WHO_ASKS = "polkit.addAdminRule(function(action, subject) { return ['unix-user:' + subject.user]; });\n"


@pytest.fixture(scope="module")
def host(request):
    option = request.config.getoption
    with Host(f"host-faults-{os.getpid()}", option("--suite"), option("--vm"), packages=tuple(roots.WAYS_PACKAGES)) as host:
        host.install()
        let_sshd_take_all(host)
        host.run("groupadd", "nopasswd")
        host.write("/etc/sudoers.d/tests", "%nopasswd ALL=(ALL:ALL) NOPASSWD: ALL\n", "0440")
        host.write("/etc/doas.conf", "permit nopass :nopasswd\n", "0400")
        host.write("/etc/polkit-1/rules.d/10-tests.rules", WHO_ASKS)
        host.write("/etc/systemd/system/some.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n")
        host.run("systemctl daemon-reload; systemctl restart polkit.service")
        PASSWORDS["root"] = "root-pass-1"
        host.run("chpasswd", input=f"root:{PASSWORDS['root']}\n")
        yield host


@pytest.fixture
def user(host):
    """In sudo, with a code, and allowed one session."""
    name = person(host, "sudo", "nopasswd")
    host.policy(RULE % name)
    return name


def took(work):
    began = time.monotonic()
    work()
    return time.monotonic() - began


def root_gets_in(host):
    done = host.ssh_run("root", "su -c 'echo su too' alice; sudo -n echo sudo too", timeout=20)
    assert done.stdout == "su too\nsudo too\n", done


PLUGIN = "Plugin vigil_approval vigil_approval.so\n"
# What is typed, and whose password comes first.
WAYS = {"sudo, by PAM": ("sudo id -un", None),
        "sudo, by its plugin": ("sudo id -un", None),
        "doas": ("doas id -un", None),
        "su": ("su -c 'id -un'", "root"),
        "polkit": ("systemctl restart some.service && id -un root", "one's own")}


def tried(host, user, inside, way, code=None):
    host.write("/etc/sudo.conf", PLUGIN if "plugin" in way else "")
    path = re.search(r"^/dev/pts/\d+", inside.run("tty")[1], re.MULTILINE)[0]
    command, whose = WAYS[way]
    since = at = inside.start(command)
    password = [("Password: ", PASSWORDS.get(whose, PASSWORDS[user]))] if whose else []
    for prompt, answer in password + ([(CODE_PROMPT, code)] if code else []):
        at += inside.terminal.wait_to_hear(prompt, 10, at).end()
        # polkit's agent throws away what is typed before the echo is off.
        wait_until(lambda: " -echo " in host.run("stty", "-a", "-F", path).stdout, 5, "an answer is waited for")
        inside.terminal.send(answer + "\r")
    result = inside.finish(since)
    host.run("rm", "/etc/sudo.conf")
    return result


# How long a login may take there and back, and whether each way to root is refused

@pytest.mark.parametrize("trouble, line", [(gone, "systemctl status vigild"), (stuck, "systemctl status vigild"),
                                           (no_policy, "vigilctl status"), (no_key, "vigil"), (no_factors, "vigil")])
def test_logins_go_on_and_commands_are_refused_with_a_line(host, user, trouble, line):
    enroll(host, user)
    codes = recovery_codes(host, user)
    with trouble(host):
        assert took(lambda: root_gets_in(host)) < 15
        terminals = []
        assert took(lambda: terminals.append(shell(host, user))) < 12
        inside = terminals[0]
        for way in WAYS:
            result = tried(host, user, inside, way)
            assert result[0] != 0 and "root" not in result[1].splitlines(), (way, result)
            assert line in one_line(result[1], "^(Error: )?vigil"), (way, result)
    wait_until(lambda: host.vigil_sessions(user=user, state="active"), 15, "vigil knows the session afterwards")
    for way, code in zip(WAYS, codes, strict=False):
        assert "root" in tried(host, user, inside, way, code)[1].splitlines(), way
    inside.terminal.close()


@pytest.mark.parametrize("by", ["key", "password", "keyboard-interactive"])
def test_a_login_waits_two_seconds_in_all_for_a_vigild_that_hangs(host, user, by):
    with stuck(host):
        begin = time.monotonic()
        terminal = host.ssh(user, by=by)
        if by != "key":
            terminal.wait_for("assword:")
            begin = time.monotonic()
            terminal.send(PASSWORDS[user] + "\r")
        terminal.wait_for(SHELL, 15)
        assert time.monotonic() - begin < 4.5  # a login takes time of its own
    terminal.close()


@pytest.mark.parametrize("asks", ["the module", "the plugin", "both"])
def test_a_command_waits_two_seconds_in_all_for_a_vigild_that_hangs(host, asks):
    """And is refused then. What it takes of its own is what it takes with a vigild that answers."""
    host.policy("version: 1\n")
    name = person(host, "nopasswd")
    inside = shell(host, name)

    def milliseconds():
        status, said = inside.run("since=$(date +%s%3N); sudo id -un; status=$?; echo took=$(($(date +%s%3N) - since)); (exit $status)")
        return status, int(re.search(r"^took=(\d+)$", said, re.MULTILINE)[1]), said

    host.run("cp /etc/pam.d/sudo /etc/pam.d/sudo.kept")
    if asks == "the plugin":
        host.write("/etc/pam.d/sudo", "".join(f"{phase} required pam_permit.so\n" for phase in ("auth", "account", "session")))
    host.write("/etc/sudo.conf", "" if asks == "the module" else PLUGIN)
    try:
        answered = [milliseconds() for _ in range(3)]
        with stuck(host):
            unanswered = [milliseconds() for _ in range(3)]
    finally:
        host.run("mv /etc/pam.d/sudo.kept /etc/pam.d/sudo; rm /etc/sudo.conf")
    inside.terminal.close()
    assert all(status == 0 and "root" in said.splitlines() for status, _, said in answered), answered
    assert all(status != 0 and "systemctl status vigild" in one_line(said, "^vigil") for status, _, said in unanswered), unanswered
    waited = min(took for _, took, _ in unanswered) - min(took for _, took, _ in answered)
    print(asks, answered, unanswered)
    assert 1800 < waited < 2300, (answered, unanswered)


@pytest.mark.parametrize("trouble", [gone, stuck])
def test_limits_are_not_held_where_nobody_can_be_asked(host, user, trouble):
    first = shell(host, user)
    with trouble(host):
        second = shell(host, user)
    wait_until(lambda: len(host.vigil_sessions(user=user, state="active")) == 2, 15, "both are watched afterwards")
    assert host.ssh_run(user, "true").returncode != 0, "the limit holds again"
    first.terminal.close()
    second.terminal.close()


@pytest.mark.parametrize("name", ["root", "bob"])
@pytest.mark.parametrize("console", [False, True], ids=["ssh", "console"])
def test_who_logs_in_while_vigild_is_away_is_watched_afterwards(host, user, name, console):
    with gone(host):
        terminal = at_console(host, "-f", name) if console else host.login(name)
        terminal.wait_for(rf"^{name}@")
    assert len(host.vigil_sessions(user=name, state="active")) == 1
    terminal.close()
    wait_until(lambda: not host.vigil_sessions(user=name), 10, "the session is over")


@pytest.fixture(name="by_plugin_or_pam", params=["", PLUGIN], ids=["PAM", "plugin"])
def by_plugin_or_pam_fixture(host, request):
    host.write("/etc/sudo.conf", request.param)
    yield
    host.run("rm", "/etc/sudo.conf")


@pytest.mark.usefixtures("by_plugin_or_pam")
def test_a_broken_policy_leaves_the_last_good_one(host, user):
    codes = enroll(host, user)
    host.write("/etc/vigil/policy.yaml", "version: 1\nsessions: [{name: x, idle_lok: 5m}]\n")
    for again in (["systemctl", "reload", "vigild.service"], ["systemctl", "restart", "vigild.service"]):
        cursor = host.journal_cursor()
        host.run(*again)
        wait_until(lambda: [one for one in host.journal(since=cursor) if "idle_lok" in str(one.get("MESSAGE"))], 10,
                   "the journal names the mistake")
        inside = shell(host, user)
        assert host.ssh_run(user, "true").returncode != 0, "the limit of the last good policy"
        assert inside.asks("sudo id -un")
        inside.terminal.close()
        wait_until(lambda: not host.vigil_sessions(user=user), 10, "the session is over")
    root_gets_in(host)
    assert host.vigilctl("policy", "check", check=False).returncode == 1
    assert "root" in shell(host, user).run("sudo id -un", codes.fresh())[1].splitlines()


@pytest.mark.usefixtures("by_plugin_or_pam")
def test_a_broken_state_is_put_aside_and_the_sessions_are_adopted(host, user):
    codes = enroll(host, user)
    inside = shell(host, user)
    with no_state(host):
        wait_until(lambda: host.vigil_sessions(user=user, state="active"), 10, "the session is adopted")
        assert host.ssh_run(user, "true").returncode != 0, "the limit holds"
        assert "root" in inside.run("sudo id -un", codes.fresh())[1].splitlines()
        root_gets_in(host)
    inside.terminal.close()


@pytest.mark.parametrize("trouble", [no_policy, no_key, no_factors, no_state])
def test_a_blocked_user_is_refused_whatever_is_broken(host, user, trouble):
    """With vigild gone or stuck: test_block.py."""
    enroll(host, user)
    inside = shell(host, user)
    host.vigilctl("block", user, "--reason", "Ask the security office.")
    with trouble(host):
        done = host.ssh_run(user, "echo got in", timeout=15)
        assert done.returncode != 0 and "got in" not in done.stdout
        assert "security office" in one_line(done.stderr, "is blocked on this host")
        for way in WAYS:
            result = tried(host, user, inside, way)
            assert result[0] != 0 and "root" not in result[1].splitlines(), (way, result)
            assert "security office" in one_line(result[1], "is blocked on this host"), (way, result)
        root_gets_in(host)
    host.vigilctl("unblock", user)
    inside.terminal.close()


@pytest.mark.parametrize("word, logs_in, sudo_runs", [("deny", False, False), ("allow", True, True)])
def test_the_pam_file_says_what_happens_where_nobody_can_be_asked(host, user, word, logs_in, sudo_runs):
    enroll(host, user)
    inside = shell(host, user)
    host.run("sed", "-i.kept", f"/pam_vigil.so/s/$/ unavailable={word}/", "/etc/pam.d/common-account")
    try:
        with gone(host):
            assert (host.ssh_run(user, "true", timeout=15).returncode == 0) == logs_in
            assert (inside.run("sudo id -un")[0] == 0) == sudo_runs
    finally:
        host.run("mv", "/etc/pam.d/common-account.kept", "/etc/pam.d/common-account")
    inside.terminal.close()


def test_a_word_on_the_kernels_command_line_makes_vigil_only_watch(host, user):
    host.policy(f"version: 1\nsessions:\n  - {{name: one, match: {{users: [{user}]}}, idle_lock: 1s}}\n"
                "step_up:\n  - {match: {services: [sudo]}, require: [totp]}\n")
    # vigild has a /proc of its own, so it is there that the line is put in the place of the kernel's.
    drop_in = "/etc/systemd/system/vigild.service.d/tests.conf"
    host.write("/etc/tests-cmdline", "vigil.mode=observe " + host.read("/proc/cmdline"))
    host.write(drop_in, "[Service]\nBindReadOnlyPaths=/etc/tests-cmdline:/proc/cmdline\n")
    try:
        host.run("systemctl daemon-reload && systemctl restart vigild.service")
        assert host.vigilctl("status", "--json")["mode"] == "observe"
        assert "observe" in one_line(host.vigilctl("status").stdout, "^mode")
        told, = host.journal(VIGIL_EVENT="break-glass")
        assert told["PRIORITY"] == "1" and "vigil.mode=observe" in told["MESSAGE"]
        inside = shell(host, user)
        wait_until(lambda: [one for one in host.journal(VIGIL_USER=user, VIGIL_EVENT="session-locked")
                            if "only observed: would be locked" in one["MESSAGE"]], 10, "the lock is due")
        assert host.vigil_sessions(user=user)[0]["state"] == "active"
        assert "root" in inside.run("sudo id -un")[1].splitlines(), "a code is asked for elsewhere"
    finally:
        host.run(f"rm {drop_in} && systemctl daemon-reload && systemctl restart vigild.service")
    assert host.vigilctl("status", "--json")["mode"] == "enforce"
    wait_until(lambda: host.vigil_sessions(user=user, state="locked"), 10, "it is locked after all")
    inside.terminal.close()
    wait_until(lambda: not host.vigil_sessions(user=user), 10, "the session is over")


def test_the_kernels_word_lets_in_where_vigild_does_not_come_up(host, user):
    host.policy("version: 1\nstep_up:\n  - {match: {services: [sudo]}, require: [totp]}\n")
    host.write("/etc/tests-cmdline", "vigil.mode=observe " + host.read("/proc/cmdline"))
    sudo = f"setpriv --reuid={user} --regid={user} --init-groups sudo -n id -un"
    host.run(STOP)
    try:
        assert host.run(sudo, check=False).returncode != 0
        # A sudo that sees the line in the place of the kernel's.
        booted = host.run(f"unshare --mount sh -c 'mount --bind /etc/tests-cmdline /proc/cmdline && {sudo}'")
        assert booted.stdout == "root\n"
    finally:
        host.run(START)


def test_a_lock_outlasts_vigild(host, user):
    inside = shell(host, user)
    one = host.vigil_sessions(user=user)[0]["id"]
    host.vigilctl("lock", one)
    inside.terminal.wait_for("Password", 10)
    with gone(host):
        root_gets_in(host)
    wait_until(lambda: host.vigil_sessions(id=one, state="locked"), 10, "it is locked still")
    inside.terminal.wait_for("Password", 15)
    inside.terminal.send(PASSWORDS[user] + "\r")
    wait_until(lambda: host.vigil_sessions(id=one, state="active"), 20, "the password opens it again")
    assert inside.run("echo back")[0] == 0
    inside.terminal.close()


def test_nothing_opens_a_lock_before_vigild_is_back(host, user):
    inside = shell(host, user)
    one = host.vigil_sessions(user=user)[0]["id"]
    inside.terminal.send("while sleep 0.1; do date +%N >tick; done\r")
    tick = f"/home/{user}/tick"
    wait_until(lambda: host.run("test", "-s", tick, check=False).returncode == 0, 5, "the loop runs")
    host.vigilctl("lock", one)
    inside.terminal.wait_for("Password", 10)
    with gone(host):
        before = host.read(tick)
        inside.terminal.send(PASSWORDS[user] + "\r")
        inside.terminal.wait_for("vigild is away", 10)
        root_gets_in(host)
        assert host.read(tick) == before, "the loop stands still"
    # What was typed was right, and is taken as soon as there is somebody to take it.
    wait_until(lambda: host.vigil_sessions(id=one, state="active"), 20, "it is open")
    wait_until(lambda: host.read(tick) not in ("", before), 5, "the loop goes on")
    inside.terminal.close()


def test_a_logout_is_quick_where_vigild_is_stuck(host, user):
    inside = shell(host, user)
    with stuck(host):
        inside.terminal.send("exit\r")
        assert inside.terminal.wait_closed(15) == 0
    wait_until(lambda: not host.vigil_sessions(user=user), 10, "the session is over")


def test_twenty_logins_during_a_restart_are_all_registered(host):
    host.policy("version: 1\n")
    user = person(host)
    command = host.ssh_command(user, "-T", command=["echo got in; exec cat"])
    with subprocess.Popen(host.inner.command(["systemctl", "restart", "vigild.service"])) as restart:
        clients = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                    text=True) for _ in range(20)]
        assert restart.wait() == 0
    said = [one.stdout.readline() for one in clients]
    assert said == ["got in\n"] * 20
    wait_until(lambda: len(host.vigil_sessions(user=user, state="active")) == 20, 15, "all are registered")
    for one in clients:
        one.stdin.close()
        one.wait(15)
        one.stdout.close()
        one.stderr.close()
    wait_until(lambda: not host.vigil_sessions(user=user), 15, "all are released")


# Last: nothing on the host is sure to work without its broker.
def test_without_a_broker_a_login_is_registered(host, user):
    host.run("systemctl stop dbus.socket dbus.service")
    try:
        done = host.ssh_run(user, "echo got in", timeout=40)
        assert done.stdout == "got in\n", done
        assert [one["VIGIL_EVENT"] for one in host.journal(VIGIL_USER=user)][:2] == ["login-reserved", "session-opened"]
    finally:
        host.run("systemctl start dbus.socket dbus.service")
