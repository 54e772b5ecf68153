"""All the ways to become somebody else: which of them ask, which do not and why, and what they say where nobody is there."""

import os
import re
import time

import pytest
import roots
import vigilhost
from people import enroll, let_sshd_take_all, one_line, person, shell
from story import CODE_PROMPT
from vigilhost import PASSWORDS, Host, wait_until

POLICY = """\
version: 1
step_up:
  - match: {groups: [sudo], services: [sudo, su, doas, polkit-1]}
    require: [totp]
"""
# Of everybody, root too.
OF_ALL = "version: 1\nstep_up:\n  - match: {services: [sudo, su, doas, polkit-1, runuser, cron, atd]}\n    require: [totp]\n"
WHO_ASKS = "polkit.addAdminRule(function(action, subject) { return ['unix-user:' + subject.user]; });\n"
LINE = "Plugin vigil_approval vigil_approval.so"
# What an answer may take that asks nobody, with the login before it.
AT_ONCE = 3


@pytest.fixture(scope="module")
def host(request):
    option = request.config.getoption
    with Host(f"host-other-ways-{os.getpid()}", option("--suite"), option("--vm"), packages=tuple(roots.WAYS_PACKAGES)) as host:
        host.install()
        let_sshd_take_all(host)
        host.run("groupadd nopasswd; groupadd persist")
        host.write("/etc/sudoers.d/tests", "Defaults use_pty\n%nopasswd ALL=(ALL:ALL) NOPASSWD: ALL\n", "0440")
        host.write("/etc/doas.conf", "permit persist :persist\npermit nopass :nopasswd\n", "0400")
        host.write("/etc/polkit-1/rules.d/10-tests.rules", WHO_ASKS)
        host.write("/etc/systemd/system/some.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n")
        host.run("systemctl daemon-reload; systemctl restart polkit.service")
        yield host


@pytest.fixture(autouse=True)
def policy(host):
    host.policy(POLICY)


@pytest.fixture
def user(host, policy):
    """Whom sudo and doas ask for no password."""
    return person(host, "sudo", "nopasswd")


def ran(result, as_user="root"):
    return result[0] == 0 and re.search(rf"^{as_user}$", result[1], re.MULTILINE)


# Who is asked

@pytest.mark.parametrize(("way", "password"), [
    ("sudo -u alice id -un", False), ("doas -u alice id -un", False),
    ("su alice -c 'id -un'", True), ("su - alice -c 'id -un'", True)])
def test_asked_for_a_code_once(host, user, way, password):
    """And not for a wrong one; without sudo's plugin as with it."""
    codes = enroll(host, user)
    for plugin in ("", LINE):
        host.write("/etc/sudo.conf", plugin + "\n")
        try:
            inside = shell(host, user)
            since = inside.start(way)
            if password:
                inside.terminal.wait_to_hear("assword:", 10, since)
                inside.terminal.send(PASSWORDS["alice"] + "\r")
            inside.terminal.wait_to_hear(f"Code for {user}: ", 10, since)
            inside.terminal.send(codes.wrong() + "\r")
            inside.terminal.wait_to_hear(rf"not right[^$]*{CODE_PROMPT}", 10, since)
            inside.terminal.send(codes.fresh() + "\r")
            result = inside.finish(since)
        finally:
            host.run("rm", "/etc/sudo.conf")
        assert ran(result, "alice") and result[1].count("Code for") == 2


def test_doas_own_ticket_does_not_skip_the_code(host, policy):
    user = person(host, "sudo", "persist")
    codes = enroll(host, user)
    inside = shell(host, user)
    since = inside.start("doas id -un")
    inside.terminal.wait_to_hear("assword:", 10, since)
    inside.terminal.send(PASSWORDS[user] + "\r")
    inside.terminal.wait_to_hear(CODE_PROMPT, 10, since)
    inside.terminal.send(codes.fresh() + "\r")
    assert ran(inside.finish(since))
    since = inside.terminal.mark()
    assert inside.asks("doas id -un") == f"Code for {user}: "
    assert "assword" not in inside.terminal.said()[since:], "the ticket is fresh"
    assert ran(inside.run("doas id -un", codes.fresh()))


def test_a_rule_for_root_is_none_for_another_but_where_pam_cannot_know(host, user):
    """su says whom it is for; of sudo and doas PAM knows who asks alone, so a rule that asks for something counts."""
    host.policy(POLICY.replace("polkit-1]}", "polkit-1], run_as: [root]}"))
    enroll(host, user)
    inside = shell(host, user)
    since = inside.start("su alice -c 'id -un'")
    inside.terminal.wait_to_hear("assword:", 10, since)
    inside.terminal.send(PASSWORDS["alice"] + "\r")
    assert ran(inside.finish(since), "alice")
    assert inside.asks("doas -u alice id -un")
    assert inside.asks("sudo -u alice id -un")


def test_a_proof_of_one_rule_counts_for_all_the_ways_that_it_names(host, user):
    host.policy(POLICY + "    valid_for: 10m\n")
    inside = shell(host, user)
    assert ran(inside.run("sudo id -un", enroll(host, user).fresh()))
    assert ran(inside.run("doas id -un"))
    assert shell(host, user).asks("doas id -un"), "another login"


# Who is not

def test_root_becomes_anybody_as_a_program_does(host, policy):
    """runuser(1) is root's alone, and is how services start what is not root's. su and sudo of root's are asked by rules that are
    about him."""
    host.policy(OF_ALL)
    done = host.ssh_run("root", "runuser -u alice -- id -un; runuser -l alice -c 'id -un'; su alice -c 'id -un'; sudo -u alice id -un")
    assert done.stdout.split() == ["alice", "alice"], done
    assert len(re.findall("No one-time code is enrolled for root", done.stdout + done.stderr)) == 2
    host.policy(POLICY)
    done = host.ssh_run("root", "su alice -c 'id -un'; sudo -u alice id -un; doas -u alice id -un")
    assert done.stdout.split() == ["alice", "alice"], done
    # doas has a rule of its own for nobody but whom its file names.
    assert "Operation not permitted" in done.stderr


def test_nobody_but_root_runs_runuser(host, user):
    status, said = shell(host, user).run("/usr/sbin/runuser -u alice -- id -un")
    assert status != 0 and "non-root" in said


def results(host, user, name):
    """What a job has written of its ways, once it is through."""
    path = f"/home/{user}/{name}"
    wait_until(lambda: "through" in host.run("cat", path, check=False).stdout, 20, f"{name} has run")
    return host.read(path)


JOB = "(id -un; sudo id -un; doas id -un; echo through) >~/{} 2>&1"


def assert_job_was_refused(said, user):
    """It runs as whose it is, which nobody is asked about, and becomes root as little as he does."""
    assert said.splitlines()[0] == user and "root" not in said.split()
    assert said.count("vigil: rule 1 of step_up asks for a proof, and there is no terminal to ask at") == 2, said


def test_a_job_of_crons_starts_and_asks_nobody(host, user):
    enroll(host, user)
    host.run("crontab", "-u", user, "-", input=f"@reboot {JOB.format('cron')}\n")
    host.run("rm -f /run/crond.reboot /var/run/crond.reboot; systemctl restart cron.service")
    assert_job_was_refused(results(host, user, "cron"), user)


def test_a_job_of_ats_starts_and_asks_nobody(host, user):
    enroll(host, user)
    assert shell(host, user).run(f"echo '{JOB.format('at')}' | at now")[0] == 0
    assert_job_was_refused(results(host, user, "at"), user)


# With nobody to ask

def test_a_script_gives_su_its_code_behind_the_password(host, user):
    codes = enroll(host, user)
    done = host.ssh_run(user, f"printf '%s\\n' alice-pass-1 {codes.fresh()} | su alice -c 'id -un'")
    assert done.stdout == "alice\n", done


NO_TERMINAL = "vigil: rule 1 of step_up asks for a proof, and there is no terminal to ask at: run it from a terminal"
NOT_ASKED = "vigil: rule 1 of step_up asks for a proof, and with -n nobody is asked: run it without -n, from a terminal"
AUTOMATION = [
    # command, with a terminal, the line
    ("sudo id -un", False, NO_TERMINAL),
    ("sudo -n id -un", False, NOT_ASKED),
    ("sudo -n id -un", True, NOT_ASKED),
    ("sudo -i -n id -un", True, NOT_ASKED),
    ("doas id -un", False, NO_TERMINAL),
    ("doas -n id -un", False, NOT_ASKED),
    ("doas -n id -un", True, NOT_ASKED),
    ("doas -u root -n id -un", True, NOT_ASKED),
    ("setsid -w doas id -un </dev/null", True, NO_TERMINAL),
    # su reads what it asks for from where a script's lines come from: a code could be the next.
    ("echo alice-pass-1 | su alice -c 'id -un; echo root'", False, NO_TERMINAL),
    # These are the programs' own: PAM's account phase is not come to, and so no rule.
    ("su alice -c 'echo root' </dev/null", False, "Authentication failure"),
    ("pkexec id -un", False, "No such device or address"),
    ("systemctl --no-ask-password restart some.service && echo root", False, "Interactive authentication required"),
    ("systemctl --no-ask-password restart some.service && echo root", True, "Interactive authentication required"),
    ("systemctl restart some.service && echo root", False, "Interactive authentication required"),
]


@pytest.mark.parametrize(("command", "terminal", "line", "plugin"), [
    (*way, plugin) for way in AUTOMATION for plugin in (False, True) if way[0].startswith("sudo") or not plugin])
def test_with_nobody_to_ask_the_answer_comes_at_once_in_a_line(host, user, command, terminal, line, plugin):
    enroll(host, user)
    host.write("/etc/sudo.conf", f"{LINE}\n" if plugin else "")
    began = time.monotonic()
    if terminal:
        inside = shell(host, user)
        began = time.monotonic()
        status, said = inside.run(command, timeout=10)
    else:
        done = host.ssh_run(user, command, timeout=10)
        status, said = done.returncode, done.stdout + done.stderr
    took = time.monotonic() - began
    assert status != 0 and "root" not in said.splitlines() and line in one_line(said, re.escape(line)), said
    assert took < vigilhost.terminal.patience * AT_ONCE, f"{took:.1f} s"
