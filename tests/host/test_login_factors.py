"""A proof at login: who is asked, what counts, and one refusal at once for whoever cannot be asked."""

import contextlib
import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from people import SHELL, at_console, enroll, person, recovery_codes
from story import CODE_PROMPT
from troubles import gone, no_factors, no_key, no_policy, no_state, stuck
from vigilhost import PASSWORDS, SOURCE, Host, wait_until

RULES = """\
version: 1
sessions:
  - name: robots
    match: {groups: [robots]}
    login_factors: none
  - name: a code for people
    match: {groups: [people], services: [sshd, login]}
    login_factors: [totp, recovery]
"""
REMEMBERS = RULES + "    remember_source: 8h\n"
REFUSED = 'rule "a code for people" asks for a proof at login'
AFTER_KEY = "auth [success=done ignore=ignore default=die] pam_vigil.so after_key"
ELSEWHERE = "127.0.0.9"
# How ansible calls ssh.
ANSIBLE = ["-o", "KbdInteractiveAuthentication=no", "-o", "PasswordAuthentication=no",
           "-o", "PreferredAuthentications=gssapi-with-mic,gssapi-keyex,hostbased,publickey"]
# Nobody waits longer than this for a refusal.
AT_ONCE = 10
TRANSFERS = ["sftp", "scp", "rsync", "git"]


@pytest.fixture(scope="module")
def host(request):
    """sshd asks for a code behind a key, and behind a password; robots come by their keys alone."""
    option = request.config.getoption
    with Host(f"host-at-login-{os.getpid()}", option("--suite"), option("--vm"), packages=("git", "rsync")) as host:
        host.install()
        host.run("groupadd people && groupadd robots && groupadd keyed && groupadd doubly")
        options = "MaxStartups 200\nKbdInteractiveAuthentication yes\n"
        if "persourcepenalties" in host.run("/usr/sbin/sshd -T").stdout:
            options += "PerSourcePenalties no\n"
        # Of them sshd wants more than a key. By a group: each change of its files would take a reload, in which nobody is heard.
        options += "Match Group doubly\nAuthenticationMethods publickey,password\n"
        options += "Match Group keyed\nAuthenticationMethods publickey,keyboard-interactive:pam keyboard-interactive:pam\n"
        host.write("/etc/ssh/sshd_config.d/tests.conf", options)
        host.run("systemctl", "reload", "ssh.service")
        host.run("DEBIAN_FRONTEND=noninteractive pam-auth-update --enable vigil-login")
        host.run("sed", "-i", f"0,/^@include common-auth/s//{AFTER_KEY}\\n&/", "/etc/pam.d/sshd")
        yield host


def behind_a_key(host, user):
    """sshd asks this user for a code behind the key."""
    host.run("usermod", "-aG", "keyed", user)


@pytest.fixture
def user(host):
    """Whom the policy asks for a code."""
    host.policy(RULES)
    name = person(host, "people")
    behind_a_key(host, name)
    return name


KEY = "key, then keyboard-interactive"


def test_a_code_is_asked_for_behind_the_key_and_never_shown(host, user):
    codes = enroll(host, user)
    terminal = host.ssh(user, by=KEY)
    terminal.wait_to_hear(f"Code for {user}: ", 10)
    code = codes.fresh()
    terminal.send(code + "\r")
    terminal.wait_for(SHELL, 15)
    assert code not in terminal.said() and "assword" not in terminal.said()
    assert len(re.findall(CODE_PROMPT, terminal.said())) == 1


def test_a_code_is_asked_for_behind_the_password_too(host, user):
    codes = enroll(host, user)
    terminal = host.ssh(user, by="keyboard-interactive")
    terminal.wait_to_hear("assword:", 10)
    terminal.send(PASSWORDS[user] + "\r")
    terminal.wait_to_hear(f"Code for {user}: ", 10)
    terminal.send(codes.fresh() + "\r")
    terminal.wait_for(SHELL, 15)


def refused(terminal, line):
    """It ends by itself, and said so once."""
    assert terminal.wait_closed(AT_ONCE) != 0, terminal.said()
    assert terminal.said().count(line) == 1, terminal.said()


def test_wrong_and_used_codes_let_nobody_in_and_make_wait(host, user):
    codes = enroll(host, user)
    code = codes.fresh()
    first = host.ssh(user, by=KEY)
    first.wait_to_hear(CODE_PROMPT, 10)
    first.send(code + "\r")
    first.wait_for(SHELL, 15)
    for answers in ([code, codes.wrong(), codes.wrong()], [codes.wrong()] * 2):
        terminal = host.ssh(user, by=KEY)
        since = 0
        for answer in answers:
            since = terminal.wait_to_hear(CODE_PROMPT, 10, since).end() + since
            terminal.send(answer + "\r")
        terminal.wait_to_hear("not right|Too many wrong", 10, since)
        if len(answers) == 3:
            refused(terminal, "no right code in 3")
    refused(host.ssh(user, by=KEY), "Too many wrong answers: try again in")
    assert len(host.vigil_sessions(user=user)) == 1


def test_the_fifth_wrong_code_in_a_row_is_an_alert(host, user):
    codes = enroll(host, user)
    for tries in (3, 2):
        terminal = host.ssh(user, by=KEY)
        since = 0
        for _ in range(tries):
            since += terminal.wait_to_hear(CODE_PROMPT, 10, since).end()
            assert not host.journal(VIGIL_EVENT="codes-guessed", VIGIL_USER=user)
            terminal.send(codes.wrong() + "\r")
        terminal.wait_to_hear("not right|Too many wrong", 10, since)
    alert, = host.journal(VIGIL_EVENT="codes-guessed", VIGIL_USER=user)
    assert (alert["PRIORITY"], alert["VIGIL_SERVICE"]) == ("1", "sshd") and "5 wrong codes in a row" in alert["MESSAGE"]


def test_who_guesses_elsewhere_makes_nobody_wait_at_his_own_place(host, user):
    codes = enroll(host, user)
    mine = host.ssh(user, by=KEY)
    mine.wait_to_hear(CODE_PROMPT, 10)
    mine.send(codes.fresh() + "\r")
    mine.wait_for(SHELL, 15)
    for tries in (3, 2):
        terminal = host.ssh(user, by=KEY, source=ELSEWHERE)
        since = 0
        for _ in range(tries):
            since = terminal.wait_to_hear(CODE_PROMPT, 10, since).end() + since
            terminal.send(codes.wrong() + "\r")
        terminal.wait_to_hear("not right|Too many wrong", 10, since)
        terminal.close()
    refused(host.ssh(user, by=KEY, source=ELSEWHERE), "Too many wrong answers: try again in")
    again = host.ssh(user, by=KEY)
    again.wait_to_hear(CODE_PROMPT, 10)
    again.send(codes.fresh() + "\r")
    again.wait_for(SHELL, 15)


def test_a_recovery_code_does_as_well(host, user):
    enroll(host, user)
    code, *_ = recovery_codes(host, user)
    terminal = host.ssh(user, by=KEY)
    terminal.wait_to_hear(CODE_PROMPT, 10)
    terminal.send(code + "\r")
    terminal.wait_for(SHELL, 15)


def test_without_a_factor_a_line_says_what_to_do(host, user):
    refused(host.ssh(user, by=KEY), f"No one-time code is enrolled for {user}: an administrator enrols it")


@pytest.mark.parametrize("trouble", [contextlib.nullcontext, gone, stuck])
@pytest.mark.parametrize("by", [KEY, "keyboard-interactive"])
def test_who_is_blocked_is_told_so_and_asked_for_no_code(host, user, by, trouble):
    enroll(host, user)
    host.vigilctl("block", user, "--reason", "a test")
    with trouble(host):
        terminal = host.ssh(user, by=by)
        if by != KEY:
            terminal.wait_to_hear("assword:", 10)
            terminal.send(PASSWORDS[user] + "\r")
        refused(terminal, f"vigil: {user} is blocked on this host until further notice: a test")
    assert not re.search(CODE_PROMPT, terminal.said())


# Whoever cannot be asked

class Client:
    """The programs of this machine that come by ssh, with nobody in front of them."""

    def __init__(self, host, tmp_path):
        self.host = host
        self.folder = tmp_path

    def run(self, program, user, *options, by="key", source=None):
        ssh = self.folder / "ssh"
        command = self.host.ssh_command(user, *options, by=by, source=source)[:-1]
        ssh.write_text(f"#!/bin/sh\nexec {shlex.join(command)} \"$@\"\n", encoding="ascii")
        ssh.chmod(0o755)
        there, here = f"{user}@127.0.0.1", str(self.folder / program)
        words = {"command": [str(ssh), there, "true"],
                 "sftp": ["sftp", "-S", str(ssh), f"{there}:.bashrc", here],
                 "scp": ["scp", "-S", str(ssh), f"{there}:.bashrc", here],
                 "rsync": ["rsync", "-e", str(ssh), f"{there}:.bashrc", here],
                 "git": ["git", "ls-remote", f"{there}:here.git"]}[program]
        # No terminal, and no window either.
        nobody = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "SSH_ASKPASS")}
        return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                              timeout=AT_ONCE * 2, start_new_session=True,
                              env={**nobody, "GIT_SSH": str(ssh), "GIT_SSH_VARIANT": "simple"})


@pytest.fixture
def client(host, tmp_path):
    return Client(host, tmp_path)


def with_a_repository(host, name):
    host.run(f"setpriv --reuid={name} --regid={name} --init-groups git init -q --bare /home/{name}/here.git")
    return name


@pytest.fixture
def unasked(host):
    """Whom the policy asks for a code, and sshd does not."""
    host.policy(RULES)
    name = with_a_repository(host, person(host, "people"))
    enroll(host, name)
    return name


PROGRAMS = ["command", *TRANSFERS]


@pytest.mark.parametrize("options", [[], ["-o", "BatchMode=yes"], ANSIBLE], ids=["plain", "batch", "ansible"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_key_alone_is_refused_at_once_in_one_line(unasked, client, program, options):
    done = client.run(program, unasked, *options)
    assert done.returncode != 0
    assert (done.stdout + done.stderr).count(REFUSED) == 1, done.stdout + done.stderr
    assert "keyboard-interactive" in done.stderr


def test_the_method_password_is_refused_at_once_in_one_line(host, unasked):
    terminal = host.ssh(unasked, by="password")
    terminal.wait_to_hear("assword:", 10)
    terminal.send(PASSWORDS[unasked] + "\r")
    refused(terminal, REFUSED)
    # The password was given to nobody as a code.
    assert not host.journal(VIGIL_EVENT="step-up-refused", VIGIL_USER=unasked)


def test_behind_a_key_the_method_password_takes_no_wrong_one(host):
    """The line `after_key` stands in front of what judges passwords."""
    host.policy(RULES)
    name = person(host, "doubly")
    terminal = host.ssh(name, by="key, then password")
    at = terminal.wait_to_hear("assword:", 10).end()
    terminal.send("wrong\r")
    # Not the prompt before, which is at the terminal still: ssh throws away what is typed before the next.
    at += terminal.wait_to_hear("Permission denied[^$]*assword:", 15, at).end()
    terminal.send(PASSWORDS[name] + "\r")
    terminal.wait_to_hear(SHELL, 15, at)


@pytest.mark.parametrize("program", PROGRAMS)
def test_where_nobody_answers_it_is_refused_at_once_in_one_line(host, unasked, client, program):
    behind_a_key(host, unasked)
    done = client.run(program, unasked, by=KEY)
    assert done.returncode != 0
    assert (done.stdout + done.stderr).count(f"{REFUSED}, and no answer was given") == 1, done.stdout + done.stderr


@pytest.mark.parametrize("options", [["-o", "BatchMode=yes"], ANSIBLE], ids=["batch", "ansible"])
def test_a_client_that_takes_no_questions_ends_at_once(host, unasked, client, options):
    behind_a_key(host, unasked)
    done = client.run("command", unasked, *options, by=KEY)
    assert done.returncode == 255 and "Permission denied (keyboard-interactive)" in done.stderr, done


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_rule_lets_robots_in(host, client, program):
    host.policy(RULES)
    robot = with_a_repository(host, person(host, "people", "robots"))
    for options in (["-o", "BatchMode=yes"], ANSIBLE):
        done = client.run(program, robot, *options)
        assert done.returncode == 0, done.stderr


def test_su_and_sudo_are_no_logins(host, user):
    assert host.ssh_run("root", f"su - {user} -c 'id -un'").stdout.strip() == user


def test_nobody_is_asked_where_it_is_only_observed(host, user, client):
    host.policy(RULES + "mode: observe\n")
    assert client.run("command", user, by=KEY).returncode == 0
    assert [one for one in host.journal(VIGIL_EVENT="step-up-asked", VIGIL_USER=user) if "only observed" in one["MESSAGE"]]


# The same source again

@pytest.fixture
def remembered(host):
    """Who has given a code once, behind the key; with a repository."""
    host.policy(REMEMBERS)
    name = with_a_repository(host, person(host, "people"))
    behind_a_key(host, name)
    host.codes = enroll(host, name)
    terminal = host.ssh(name, by=KEY)
    terminal.wait_to_hear(CODE_PROMPT, 10)
    terminal.send(host.codes.fresh() + "\r")
    terminal.wait_for(SHELL, 15)
    return name


def is_asked(client, user, **how):
    done = client.run("command", user, by=KEY, **how)
    assert (done.returncode != 0) == (f"{REFUSED}, and no answer was given" in done.stderr), done.stderr
    return done.returncode != 0


def test_the_same_source_is_not_asked_again(host, remembered, client):
    for program in PROGRAMS:
        done = client.run(program, remembered, by=KEY)
        assert done.returncode == 0, f"{program}: {done.stderr}"
    host.kill_vigild()
    assert not is_asked(client, remembered)
    grants = host.vigilctl("grants", user=remembered).stdout
    key = subprocess.run(["ssh-keygen", "-l", "-f", str(host.directory / "key")], capture_output=True, text=True, check=True)
    assert f"login from 127.0.0.1 with key {key.stdout.split()[1]}" in grants
    listed = [one for one in host.vigilctl("grants", "--json") if one["user"] == remembered]
    assert [(one["kind"], one["source"], one["session"]) for one in listed] == [("login", "127.0.0.1", None)]


def test_another_address_and_another_key_are_asked(host, remembered, client):
    assert is_asked(client, remembered, source=ELSEWHERE)
    other = client.folder / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    host.run(f"cat >>/home/{remembered}/.ssh/authorized_keys", input=Path(f"{other}.pub").read_text(encoding="ascii"))
    done = client.run("command", remembered, "-o", "PreferredAuthentications=publickey,keyboard-interactive",
                      "-i", str(other), by="none")
    assert f"{REFUSED}, and no answer was given" in done.stderr
    assert not is_asked(client, remembered)


def test_behind_a_password_it_is_the_password_that_is_remembered(host, remembered, client):
    since = None
    for code in (host.codes.fresh(), None):
        terminal = host.ssh(remembered, by="keyboard-interactive")
        terminal.wait_to_hear("assword:", 10)
        terminal.send(PASSWORDS[remembered] + "\r")
        if code:
            terminal.wait_to_hear(CODE_PROMPT, 10)
            terminal.send(code + "\r")
        terminal.wait_for(SHELL, 15)
        since = terminal.said()
    assert "Code for" not in since
    shown = host.vigilctl("grants", user=remembered).stdout
    assert "login from 127.0.0.1 with the password, until" in shown and "with key SHA256:" in shown


@pytest.mark.parametrize("what", ["revoke", "forget", "policy"])
def test_a_source_is_forgotten(host, remembered, client, what):
    assert not is_asked(client, remembered)
    if what == "revoke":
        host.vigilctl("revoke", "--user", remembered)
    elif what == "forget":
        enroll(host, remembered)
    else:
        host.policy(RULES)
    assert is_asked(client, remembered)
    assert not [one for one in host.vigilctl("grants", "--json") if one["user"] == remembered]


# At the console, and without vigild

def test_at_a_console_the_code_is_asked_for_behind_the_password(host, user):
    codes = enroll(host, user)
    terminal = at_console(host, user)
    try:
        terminal.wait_to_hear("assword:", 15)
        terminal.send(PASSWORDS[user] + "\r")
        terminal.wait_to_hear(f"Code for {user}: ", 15)
        code = codes.fresh()
        terminal.send(code + "\r")
        terminal.wait_for(SHELL, 15)
        assert code not in terminal.said() and PASSWORDS[user] not in terminal.said()
    finally:
        terminal.close()


def at_a_console_gives(host, user, *answers):
    """Behind the password, question by question, to the shell."""
    terminal = at_console(host, user)
    try:
        since = 0
        for prompt, answer in (("assword:", PASSWORDS[user]), *((f"Code for {user}: ", one) for one in answers)):
            since += terminal.wait_to_hear(prompt, 15, since).end()
            terminal.send(answer + "\r")
        terminal.wait_for(SHELL, 15)
        assert not [one for one in answers if one in terminal.said()]
    finally:
        terminal.close()


def test_at_a_console_a_recovery_code_does_as_well_once(host, user):
    enroll(host, user)
    first, second, *_ = recovery_codes(host, user)
    at_a_console_gives(host, user, first)
    at_a_console_gives(host, user, first, second)
    refused_codes = host.journal(VIGIL_EVENT="step-up-refused", VIGIL_USER=user)
    assert len(refused_codes) == 1, "the first one was used up"


def test_at_a_console_both_are_asked_for_where_the_rule_wants_both(host, user):
    host.policy(RULES.replace("[totp, recovery]", "{all: [totp, recovery]}"))
    codes = enroll(host, user)
    recovery, *_ = recovery_codes(host, user)
    at_a_console_gives(host, user, recovery, codes.fresh())
    granted = host.journal(VIGIL_EVENT="step-up-granted", VIGIL_USER=user)
    assert [one["VIGIL_SERVICE"] for one in granted] == ["login"]


def test_without_vigild_nobody_but_root_at_a_console_is_let_in(host, user):
    host.run("echo root:root-pass-1 | chpasswd")
    host.run("systemctl", "mask", "--runtime", "--now", "vigild.socket", "vigild.service")
    try:
        refused(host.ssh(user, by=KEY), "vigild cannot be asked whether this login needs a proof")
        terminal = at_console(host, user)
        try:
            at = terminal.wait_to_hear("assword:", 15).end()
            terminal.send(PASSWORDS[user] + "\r")
            terminal.wait_to_hear("vigild cannot be asked whether this login needs a proof", 15, at)
            assert not re.search(SHELL, terminal.said()[at:])
        finally:
            terminal.close()
        terminal = at_console(host, "root")
        try:
            terminal.wait_to_hear("assword:", 15)
            terminal.send("root-pass-1\r")
            terminal.wait_for(r"^root@\S+:\S*#", 15)
        finally:
            terminal.close()
    finally:
        host.run("systemctl", "unmask", "--runtime", "vigild.socket", "vigild.service")
        host.run("systemctl", "start", "vigild.socket", "vigild.service")


@pytest.mark.parametrize("trouble, line", [(gone, "systemctl status vigild"), (stuck, "systemctl status vigild"),
                                           (no_policy, "vigilctl status"), (no_key, "vigilctl status"),
                                           (no_factors, "vigilctl status")])
def test_whom_a_rule_asks_is_refused_in_a_line_where_vigil_cannot_judge(host, user, trouble, line):
    codes = enroll(host, user)
    with trouble(host):
        terminal = host.ssh(user, by=KEY)
        refused(terminal, line)
        assert "Code for" not in terminal.said()
        # Who is asked for nothing: a key alone is no question of PAM's.
        assert host.ssh_run("root", "id", "-un").stdout == "root\n"
    again = host.ssh(user, by=KEY)
    again.wait_to_hear(f"Code for {user}: ", 10)
    again.send(codes.fresh() + "\r")
    again.wait_for(SHELL, 15)


@contextlib.contextmanager
def where_unavailable(host, word):
    host.run("sed", "-i.kept", f"/pam_vigil.so/s/$/ {word}/", "/etc/pam.d/common-account")
    try:
        yield
    finally:
        host.run("mv", "/etc/pam.d/common-account.kept", "/etc/pam.d/common-account")


NOT_JUDGED = "a rule asks for a proof at login, and vigild cannot be asked about it. See: systemctl status vigild"


@pytest.mark.parametrize("word", ["", "unavailable=deny", "unavailable=allow"])
@pytest.mark.parametrize("trouble", [gone, stuck, no_policy])
def test_a_key_alone_is_refused_as_well_where_vigil_cannot_judge(host, unasked, client, trouble, word):
    """sshd comes to no auth phase by it. Root mends it; who is asked for nothing is let in as ever."""
    robot, other = with_a_repository(host, person(host, "people", "robots")), person(host)
    answers = trouble is no_policy  # vigild does
    let_in = {name for name in (robot, other) if answers or "deny" not in word}
    if trouble is gone and "allow" in word:
        let_in.add(unasked)
    with where_unavailable(host, word), trouble(host):
        for name in (unasked, robot, other):
            done = client.run("command", name)
            assert (done.returncode == 0) == (name in let_in), (name, done)
            if name == unasked and name not in let_in:
                line = "vigil has no policy it can read: see `vigilctl status`." if answers else NOT_JUDGED
                assert (done.stdout + done.stderr).count(f"vigil: {line}") == 1, done
        assert (host.ssh_run("root", "true", timeout=AT_ONCE).returncode == 0) == (answers or "deny" not in word)
    assert REFUSED in client.run("command", unasked).stderr, "vigild is asked again"


@pytest.mark.parametrize("trouble", [gone, stuck])
def test_a_login_at_a_console_that_asks_for_nothing_is_refused_as_well(host, user, trouble):
    """`login -f`, as getty has it for who is to be in at once."""
    enroll(host, user)
    with trouble(host):
        terminal = at_console(host, "-f", user)
        try:
            terminal.wait_to_hear(NOT_JUDGED, 15)
            assert not re.search(SHELL, terminal.said())
        finally:
            terminal.close()
        terminal = at_console(host, "-f", "root")
        try:
            terminal.wait_for(r"^root@\S+:\S*#", 15)
        finally:
            terminal.close()


def test_where_it_is_only_observed_nobody_is_kept_out_with_vigild_away(host, unasked, client):
    host.policy(RULES + "mode: observe\n")
    with gone(host):
        assert client.run("command", unasked).returncode == 0


def test_where_the_state_is_lost_a_source_is_asked_anew_and_a_used_code_is_used(host, remembered, client):
    """At a console, which is never remembered, as ever."""
    assert not is_asked(client, remembered)
    used = host.codes.at(host.codes.last)
    with no_state(host):
        assert is_asked(client, remembered)
        at_a_console_gives(host, remembered, used, host.codes.fresh())
    assert len(host.journal(VIGIL_EVENT="step-up-refused", VIGIL_USER=remembered)) == 1, "the used code"


def test_a_broken_policy_leaves_what_the_last_good_one_asks_for(host, user):
    codes = enroll(host, user)
    host.write("/etc/vigil/policy.yaml", "version: 1\nsessions: [{name: x, login_factor: none}]\n")
    for again in ("reload", "restart"):
        cursor = host.journal_cursor()
        host.run("systemctl", again, "vigild.service")
        wait_until(lambda: [one for one in host.journal(since=cursor) if "login_factor" in str(one.get("MESSAGE"))], 10,
                   "the journal names the mistake")
        terminal = host.ssh(user, by=KEY)
        terminal.wait_to_hear(f"Code for {user}: ", 10)
    terminal.send(codes.fresh() + "\r")
    terminal.wait_for(SHELL, 15)


def test_root_at_a_console_is_not_asked(host):
    host.policy(RULES.replace("groups: [people]", "users: [root]"))
    host.run("echo root:root-pass-1 | chpasswd")
    terminal = at_console(host, "root")
    try:
        terminal.wait_to_hear("assword:", 15)
        terminal.send("root-pass-1\r")
        terminal.wait_for(r"^root@\S+:\S*#", 15)
        assert "Code for" not in terminal.said()
    finally:
        terminal.close()
        host.policy(RULES)


# Whoever tries and tries

def sizes(host):
    """KiB that vigild has in memory, and that its factors have on the disk."""
    memory = re.search(r"^VmRSS:\s+(\d+) kB", host.read(f"/proc/{host.vigild_pid()}/status"), re.MULTILINE)[1]
    return int(memory), int(host.run("du", "-ckL", "/var/lib/vigil").stdout.split()[-2])


def test_ten_thousand_failed_logins_cost_next_to_nothing_and_keep_nobody_out(host, user):
    """Half of them by names that nobody has, half by people's, whose passwords are already stolen; each from another place. Of
    PAM's modules vigil's alone: pam_unix(8) takes longer than all of it."""
    host.put(SOURCE / "build/tests/host/tools/failing-logins", "/usr/local/bin/failing-logins")
    host.write("/etc/pam.d/guesses", "auth required pam_vigil.so\naccount include common-account\n")
    host.policy(RULES.replace("[sshd, login]", "[sshd, login, guesses]"))
    codes = enroll(host, user)
    recovery_codes(host, user)
    others = [person(host, "people") for _ in range(3)]
    for other in others:
        enroll(host, other)
    mine = host.ssh(user, by=KEY)
    mine.wait_to_hear(CODE_PROMPT, 10)
    mine.send(codes.fresh() + "\r")
    mine.wait_for(SHELL, 15)
    pid, before = host.vigild_pid(), sizes(host)
    # The guesses last: for half a minute nobody elsewhere is heard.
    for whom in ([], [user, *others]):
        some = " ".join(["failing-logins 2500 guesses aaaa-aaaa-aaaa-aaaa", *whom])
        assert host.run(f"{some} & {some}; wait").stdout == "0\n0\n", "nobody was let in"
    after = sizes(host)
    print(before, after)
    assert host.vigild_pid() == pid, "the same vigild"
    # To look at a recovery code takes 8 MiB for a moment.
    assert after[0] - before[0] < 12 * 1024 and after[1] - before[1] < 1024
    refused(host.ssh(user, by=KEY, source=ELSEWHERE), "Too many wrong answers: try again in")
    again = host.ssh(user, by=KEY)
    again.wait_to_hear(CODE_PROMPT, 10)
    again.send(codes.fresh() + "\r")
    again.wait_for(SHELL, 15)
    assert len(host.vigil_sessions(user=user)) == 2


# What the doctor says

def finding(host):
    told = host.run("vigilctl", "doctor", "--json", check=False).stdout
    return next(one for one in json.loads(told)["checks"] if one["check"] == "login factors")


def test_the_doctor_says_what_is_missing(host):
    host.policy("version: 1\n")
    assert finding(host)["result"] == "ok"
    host.policy(RULES)
    found = finding(host)
    assert found["result"] == "warning" and "sshd takes a key alone" in found["found"]
    assert "AuthenticationMethods publickey,keyboard-interactive:pam" in found["mend"]
    host.run("DEBIAN_FRONTEND=noninteractive pam-auth-update --package --remove vigil-login")
    try:
        host.policy(RULES.replace("sshd, login", "login"))
        found = finding(host)
        assert found["result"] == "failure" and "stack login has no auth line" in found["found"]
    finally:
        host.run("DEBIAN_FRONTEND=noninteractive pam-auth-update --enable vigil-login")
    assert finding(host)["result"] == "ok"
