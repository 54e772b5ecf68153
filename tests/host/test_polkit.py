"""polkit's ways to root: whose code its helper asks for, where a proof counts, and what polkit keeps by itself."""

import contextlib
import re
import time

import pytest
from agents import enrolled, forwarded
from people import SHELL, enroll, let_sshd_take_all, one_line, person, recovery_codes, shell
from story import CODE_PROMPT
from troubles import gone
from vigilhost import PASSWORDS, SOURCE, wait_until

RULE = "version: 1\nstep_up:\n  - match: {groups: [sudo], services: [polkit-1], run_as: [root]}\n    require: [totp]\n"
LASTING = RULE + "    valid_for: 10m\n"
HELPER = "/usr/lib/polkit-1/polkit-agent-helper-1"
START = "systemctl restart some.service"
WHO_ASKS = "polkit.addAdminRule(function(action, subject) { return ['unix-user:' + subject.user]; });\n"
# Of itself polkit keeps systemd's answers at a console alone, and pkexec's nowhere.
KEEPS = ("polkit.addRule(function(action, subject) { if (/^org.freedesktop.(policykit.exec|systemd1.manage-units)$/.test(action.id)) "
         "return polkit.Result.AUTH_ADMIN_KEEP; });\n")
EACH_TIME = (SOURCE / "examples/polkit-each-time.rules").read_text(encoding="utf-8")


def polkit_rules(host, *rules):
    host.write("/etc/polkit-1/rules.d/10-tests.rules", "".join(rules))
    # PID 1 counts how often.
    host.run("systemctl reset-failed polkit.service; systemctl restart polkit.service")


@pytest.fixture(scope="module", autouse=True)
def services(host):
    let_sshd_take_all(host)
    host.write("/etc/systemd/system/some.service", "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n")
    host.run("systemctl", "daemon-reload")


@pytest.fixture(autouse=True)
def rules(host, services):
    host.policy(RULE)
    polkit_rules(host, WHO_ASKS)
    host.run("systemctl", "stop", "some.service")


@pytest.fixture
def user(host, rules):
    return person(host, "sudo")


class Agent:
    """polkit's agent on a terminal, as systemctl(1) starts it there for itself, or pkttyagent(1) for another terminal's shell."""

    def __init__(self, host, inside):
        self.host = host
        self.inside = inside
        self.terminal = inside.terminal
        self.path = re.search(r"^/dev/pts/\d+", inside.run("tty")[1], re.MULTILINE)[0]

    def serve(self, inside):
        """The other's commands. pkexec's own agent is of no use over ssh on Debian 12, with vigil or without: "No session for
        cookie"."""
        pid = re.search(r"^pid=(\d+)", inside.run("echo pid=$$")[1], re.MULTILINE)[1]
        # It closes that descriptor when polkit knows it.
        since = self.inside.start(f"rm -f known; mkfifo known; (cat known; echo polkit knows $((40 + 2))) & "
                                  f"pkttyagent --process {pid} --notify-fd 9 9>known")
        self.terminal.wait_to_hear("^polkit knows 42$", 10, since)

    def give(self, answer):
        # The agent throws away what is typed before the echo is off.
        wait_until(lambda: " -echo " in self.host.run("stty", "-a", "-F", self.path).stdout, 5, "an answer is waited for")
        self.terminal.send(answer + "\r")

    def give_password(self, user, since):
        """Where that of the asked begins."""
        asked = self.terminal.wait_to_hear("Password: ", 10, since)
        self.give(PASSWORDS[user])
        return since + asked.end()

    def give_code(self, code, since):
        asked = self.terminal.wait_to_hear(CODE_PROMPT, 10, since)
        self.give(code)
        return since + asked.end()

    def run(self, command, user, code=None):
        """A command that its own agent asks about, at this terminal; with a code, which it has to ask for."""
        since = self.inside.start(command)
        self.give_password(user, since)
        if code is not None:
            self.give_code(code, since)
        return self.inside.finish(since)

    def asks(self, command, user):
        """Whether it asks for a code, which is not given."""
        since = self.inside.start(command)
        self.give_password(user, since)
        heard = self.terminal.wait_to_hear(rf"{CODE_PROMPT}|^status=\d+$", 10, since)[0]
        if heard.startswith("status="):
            self.inside.finish(since)
            return None
        # Three times nothing end it.
        at = since
        for _ in range(3):
            at = self.give_code("", at)
        assert self.inside.finish(since)[0] != 0
        return heard


def agent(host, user, *options):
    return Agent(host, shell(host, user, *options))


def is_started(host):
    return host.run("systemctl", "is-active", "some.service", check=False).stdout.strip() == "active"


def kinds(host, user, event):
    return [one for one in host.journal(VIGIL_EVENT=event) if one.get("VIGIL_USER") == user]


# Who is asked

def test_systemctl_asks_for_a_code_behind_the_password(host, user):
    codes = enroll(host, user)
    one = agent(host, user)
    since = one.inside.start(START)
    at = one.give_password(user, since)
    one.terminal.wait_to_hear(f"Code for {user}: ", 10, since)
    at = one.give_code(codes.wrong(), at)
    one.terminal.wait_to_hear("That code is not right", 10, at)
    assert not is_started(host)
    one.give_code(codes.fresh(), at)
    assert one.inside.finish(since)[0] == 0 and is_started(host)
    # There is no PAM_TTY: vigild knows the login by the kernel's facts of the helper.
    session = host.vigil_sessions(user=user)[0]["id"]
    assert [one["VIGIL_SESSION"] for one in kinds(host, user, "step-up-granted")] == [session]


def test_three_wrong_codes_end_it(host, user):
    codes = enroll(host, user)
    one = agent(host, user)
    since = one.inside.start(START)
    at = one.give_password(user, since)
    for _ in range(3):
        at = one.give_code(codes.wrong(), at)
    status, said = one.inside.finish(since)
    assert status != 0 and said.count("That code is not right") == 3 and not is_started(host)
    assert "no right code in 3" in one_line(said, "vigil: ")


def test_without_a_factor_a_line_says_what_to_do(host, user):
    status, said = agent(host, user).run(START, user)
    assert status != 0 and "administrator" in one_line(said, "vigilctl enroll") and not is_started(host)


def test_whoever_no_rule_is_about_is_asked_for_no_code(host):
    user = person(host)
    status, said = agent(host, user).run(START, user)
    assert status == 0 and "Code" not in said and is_started(host)


def test_the_password_of_another_is_asked_for_with_his_code(host, user):
    """Alice may do it with an administrator's password, and no rule is about alice."""
    polkit_rules(host, WHO_ASKS.replace("subject.user", f"'{user}'"))
    codes = enroll(host, user)
    other = person(host)
    theirs = enroll(host, other)
    one = agent(host, other)
    since = one.inside.start(START)
    at = one.give_password(user, since)
    one.terminal.wait_to_hear(f"Code for {user}: ", 10, since)
    at = one.give_code(theirs.fresh(), at)
    one.terminal.wait_to_hear("That code is not right", 10, at)
    one.give_code(codes.fresh(), at)
    assert one.inside.finish(since)[0] == 0 and is_started(host)


def test_with_roots_password_the_person_of_the_login_is_asked(host, user):
    polkit_rules(host, WHO_ASKS.replace("subject.user", "'root'"))
    PASSWORDS["root"] = "root-pass-1"
    host.run("chpasswd", input=f"root:{PASSWORDS['root']}\n")
    codes = enroll(host, user)
    one = agent(host, user)
    since = one.inside.start(START)
    one.give_password("root", since)
    one.terminal.wait_to_hear(f"Code for {user}: ", 10, since)
    one.give_code(codes.fresh(), since)
    assert one.inside.finish(since)[0] == 0 and is_started(host)


def test_a_helper_of_roots_asks_for_the_code_of_whose_password_it_takes(host, user):
    """As a service, shut in, it is in no login: polkit 127 starts it so."""
    codes = enroll(host, user)
    shut_in = [f"--property={one}" for one in (
        "NoNewPrivileges=yes", "MemoryDenyWriteExecute=yes", "PrivateNetwork=yes", "ProtectSystem=strict", "DevicePolicy=strict",
        "RestrictAddressFamilies=AF_UNIX", "SystemCallFilter=@system-service", "LimitMEMLOCK=0", "ProtectControlGroups=yes")]

    def helper(code):
        # A cookie, and what the agent would send. polkit knows no such cookie: it hears of it only behind PAM's yes.
        return host.run("systemd-run", "--pipe", "--wait", "--quiet", *shut_in, HELPER, user, check=False,
                        input=f"0-0123456789abcdef0123456789abcdef-1-1\n{PASSWORDS[user]}\n{code}\n")
    done = helper(codes.wrong())
    assert f"PAM_PROMPT_ECHO_OFF Code for {user}: " in done.stdout and "cookie" not in done.stderr, done
    assert "No session for cookie" in helper(codes.fresh()).stderr


def test_without_vigild_it_is_refused(host, user):
    enroll(host, user)
    one = agent(host, user)
    host.run("systemctl stop vigild.socket vigild.service")
    try:
        status, said = one.run(START, user)
    finally:
        host.run("systemctl start vigild.socket vigild.service")
    assert status != 0 and "vigild cannot be asked" in said and not is_started(host)


@pytest.mark.parametrize("trouble", [contextlib.nullcontext, gone])
@pytest.mark.parametrize("command", [START, "pkexec id -un"])
@pytest.mark.parametrize("group", ["sudo", "users"])
def test_who_is_blocked_gets_nothing_and_is_told_why(host, group, command, trouble):
    """Also where no rule is about him."""
    user = person(host, group)
    enroll(host, user)
    one = agent(host, user)
    host.vigilctl("block", user, "--reason", "a test")
    with trouble(host):
        status, said = one.run(command, user)
    assert status != 0 and "root" not in said.splitlines() and not is_started(host)
    assert "until further notice: a test" in one_line(said, f"{user} is blocked on this host") and "Code" not in said


# pkexec, and what runs programs as units

def pkexec_asks(host, user, one, require, wrong, right):
    """By an agent of its own at this terminal: (status, what was said)."""
    host.policy(RULE.replace("[totp]", require))
    since = one.inside.start("pkexec id -un")
    at = one.give_password(user, since)
    for answer in (wrong, right):
        at += one.terminal.wait_to_hear(rf"(?:Code|Password) for {user}: ", 10, at).end()
        one.give(answer)
    return one.inside.finish(since)


def test_pkexec_takes_each_proof_at_its_own_terminal(request, host, user):
    """On Debian 12 polkit forgets whom it asked: vigil has said yes, and so the code is used up."""
    codes = enroll(host, user)
    first, *_ = recovery_codes(host, user)
    one = agent(host, user)
    for require, wrong, right in (("[totp]", codes.wrong(), codes.fresh()), ("[recovery]", "aaaa-aaaa-aaaa-aaaa", first),
                                  ("[password]", "wrong", PASSWORDS[user])):
        status, said = pkexec_asks(host, user, one, require, wrong, right)
        assert said.count("is not right") == 1, said
        if request.config.getoption("--suite") == "bookworm":
            assert status != 0 and "No session for cookie" in said and "root" not in said.splitlines(), said
        else:
            assert status == 0 and "root" in said.splitlines(), said
    granted = [one["MESSAGE"] for one in kinds(host, user, "step-up-granted")]
    assert [re.search(r"proved by (\w+)", one)[1] for one in granted] == ["totp", "recovery", "password"]


@pytest.mark.parametrize("command", ["pkexec id -un", START])
def test_where_a_key_alone_is_asked_for_a_line_says_why_it_is_none(host, user, new_agent, command):
    """polkit's helper has no agent of the person's, whatever is forwarded."""
    host.policy(RULE.replace("[totp]", "[key]"))
    keys = new_agent(counter=1)
    enrolled(host, keys, keys.key(), user)
    status, said = agent(host, user, *forwarded(keys)).run(command, user)
    assert status != 0 and "root" not in said.splitlines() and not is_started(host)
    assert "rule 1 of step_up asks for a proof" in one_line(said, "vigil: ")
    assert "polkit brings no ssh agent to ask for a security key: use sudo or su." in one_line(said, "vigil: ")


@pytest.fixture
def as_a_unit(host):
    """run0(1) of Debian 13; Debian 12 has it without the name."""
    has_it = host.run("which", "run0", check=False).returncode == 0
    return "run0 id -un" if has_it else "systemd-run --pty --quiet --collect id -un"


def test_run0_asks_for_a_code_behind_the_password(host, user, as_a_unit):
    codes = enroll(host, user)
    one = agent(host, user)
    since = one.inside.start(as_a_unit)
    at = one.give_password(user, since)
    at = one.give_code(codes.wrong(), at)
    one.terminal.wait_to_hear("That code is not right", 10, at)
    one.give_code(codes.fresh(), at)
    status, said = one.inside.finish(since)
    assert status == 0 and "root" in said.splitlines()
    done = host.ssh_run(user, as_a_unit, timeout=10)
    assert done.returncode != 0 and "nteractive authentication required" in done.stderr and not done.stdout, done


def test_run0_is_refused_without_a_factor_and_asked_by_a_rule_for_anybody_it_names(host, user, as_a_unit):
    host.policy(RULE.replace("run_as: [root]", "run_as: [alice]"))
    status, said = agent(host, user).run(as_a_unit, user)
    assert status != 0 and "root" not in said.splitlines()
    assert "administrator" in one_line(said, "vigilctl enroll")


def test_what_run0_starts_is_a_login_of_roots_own(host, user, as_a_unit):
    """With the limits of one; Debian 12 has no login there at all. None of it is part of who ran it, nor has its clock."""
    host.policy("version: 1\nsessions:\n  - {name: run0, match: {services: [systemd-run0]}, max_duration: 3s}\n"
                "elevated:\n  - {match: {run_as: [root]}, max_duration: 1h}\n" + LASTING.partition("\n")[2])
    codes = enroll(host, user)
    one = agent(host, user)
    since = one.inside.start(as_a_unit.replace("id -un", "sleep 86399"))
    one.give_code(codes.fresh(), one.give_password(user, since))
    pid, = wait_until(lambda: host.pids("-x", "-f", ".*/sleep 86399"), 10, "it runs")
    mine, = host.vigil_sessions(user=user)
    assert mine["elevated"] == [] and f"session-{mine['logind_session']}.scope" not in host.read(f"/proc/{pid}/cgroup")
    if as_a_unit.startswith("run0"):
        its, = host.vigil_sessions(user="root")
        assert (its["service"], its["rule"], its["elevated"]) == ("systemd-run0", "run0", [])
        assert its["terminals"] and its["terminals"] != mine["terminals"]
    else:
        assert host.vigil_sessions(user="root") == []
        host.run("kill", pid)
    one.inside.finish(since)
    wait_until(lambda: not host.pids("-x", "-f", ".*/sleep 86399"), 5, "it has ended")
    status, said = one.run(as_a_unit, user)
    assert status == 0 and "Code for" not in said and "root" in said.splitlines(), "the proof stands at this terminal"


# Where a proof counts

def test_a_proof_stays_at_its_terminal(host, user):
    host.policy(LASTING)
    codes = enroll(host, user)
    connection = host.one_connection()
    first, second = agent(host, user, *connection), agent(host, user, *connection)
    assert first.run(START, user, codes.fresh())[0] == 0
    status, said = first.run(START, user)
    assert status == 0 and "Code" not in said
    assert [one["terminal"] for one in host.vigilctl("grants", "--json")] == [first.path.removeprefix("/dev/")]
    assert second.asks(START, user), "another terminal of the session"
    assert agent(host, user).asks(START, user), "another login"
    status, said = first.run(START, user)
    assert status == 0 and "Code" not in said


def test_a_proof_for_the_session_is_none_of_another_login(host, user):
    host.policy(LASTING + "    scope: session\n")
    codes = enroll(host, user)
    connection = host.one_connection()
    first, second = agent(host, user, *connection), agent(host, user, *connection)
    assert first.run(START, user, codes.fresh())[0] == 0
    assert second.run(START, user)[0] == 0
    assert agent(host, user).asks(START, user), "another login"


def test_a_proof_is_bound_to_where_it_was_typed(host, user):
    """An agent in one login for what is started in another of the same person."""
    host.policy(LASTING + "    scope: session\n")
    codes = enroll(host, user)
    asking, answering = agent(host, user), agent(host, user)
    answering.serve(asking.inside)
    seen, since = answering.terminal.mark(), asking.inside.start("pkexec id -un")
    answering.give_password(user, seen)
    answering.give_code(codes.fresh(), seen)
    assert "root" in asking.inside.finish(since)[1].splitlines()
    answering.terminal.key("ctrl-c")
    answering.terminal.wait_to_hear(SHELL, 10, seen)
    grants = host.vigilctl("grants", "--json")
    sessions = {one["id"]: one["terminals"] for one in host.vigil_sessions(user=user)}
    assert [sessions[one["session"]] for one in grants] == [[answering.path.removeprefix("/dev/")]]
    assert asking.asks(START, user), "the proof is none of the login that asked"


def test_what_pkexec_starts_has_a_clock_that_begins_behind_the_proof(host, user):
    """And a proof that stands gives the next one no more of it."""
    host.policy("version: 1\nelevated:\n  - {match: {run_as: [root]}, max_duration: 3s}\n" + LASTING.partition("\n")[2])
    codes = enroll(host, user)
    asking, answering = agent(host, user), agent(host, user)
    answering.serve(asking.inside)

    def elevated():
        return [it for one in host.vigil_sessions(user=user) for it in one["elevated"]]
    for code in (codes.fresh(), None):
        seen, since = answering.terminal.mark(), asking.inside.start("pkexec sleep 86399")
        answering.give_password(user, seen)
        if code:
            answering.terminal.wait_to_hear(CODE_PROMPT, 10, seen)
            asked = time.monotonic()
            wait_until(lambda: elevated() or time.monotonic() > asked + 1, 5, "a moment passes")
            assert not elevated() and not host.pids("-x", "sleep"), "nothing has been started"
            answering.give(code)
        one, = wait_until(elevated, 10, "vigil lists what pkexec has started")
        begun = time.monotonic()
        assert (one["service"], one["run_as"], one["user"], one["limits"]["max_duration"]) == ("polkit-1", "root", user, 3)
        login, = (each for each in host.vigil_sessions(user=user) if each["elevated"])
        assert login["terminals"] == [asking.path.removeprefix("/dev/")]
        assert asking.inside.finish(since)[0] != 0 and time.monotonic() - begun > 1.5
        wait_until(lambda: not elevated(), 5, "nothing of it is listed")
        assert not host.pids("-x", "sleep")
        over, = host.journal(VIGIL_SESSION=one["id"], VIGIL_EVENT="elevated-over")
        assert "its limit of 3 s" in over["MESSAGE"]
        assert code or "Code for" not in answering.terminal.said()[seen:], "the proof stands"


@pytest.mark.parametrize("scope", ["terminal", "session"])
def test_without_a_terminal_a_proof_counts_once(host, user, scope):
    """As a desktop's agent has none: there is no telling who is at it from who is not."""
    host.policy(LASTING + f"    scope: {scope}\n")
    codes = enroll(host, user)
    inside = shell(host, user)

    def helper(code):
        return inside.run(rf"printf '%s\n' 0-0-1-1 {PASSWORDS[user]} {code} | setsid -w {HELPER} {user}")[1]
    assert "No session for cookie" in helper(codes.fresh()), "it is behind PAM's yes"
    said = helper(codes.wrong())
    if scope == "terminal":
        assert host.vigilctl("grants", "--json") == []
        assert "Code for" in said and "No session for cookie" not in said
    else:
        assert "Code for" not in said, "the session has proved it"


def test_a_proof_dies_with_a_lock(host, user):
    host.policy("version: 1\nsessions:\n  - {name: all, unlock: [password]}\n" + LASTING.partition("\n")[2])
    codes = enroll(host, user)
    one = agent(host, user)
    assert one.run(START, user, codes.fresh())[0] == 0
    session = host.vigil_sessions(user=user)[0]["id"]
    host.vigilctl("lock", session)
    one.terminal.wait_for("Password:", 10)
    host.vigilctl("unlock", session, "--reason", "a test")
    wait_until(lambda: host.vigil_sessions(id=session, state="active"), 5, "it is unlocked")
    assert one.asks(START, user)


# What polkit keeps by itself

def pkexec(asking, answering, user, codes):
    """Runs it, with a code where that is asked for; whether the agent was asked anything."""
    seen, since = answering.terminal.mark(), asking.inside.start("pkexec id -un")
    wait_until(lambda: "AUTHENTICATING" in answering.terminal.said()[seen:] or
               re.search(r"^status=\d+$", asking.terminal.said()[since:], re.MULTILINE), 10, "polkit decides")
    is_asked = "AUTHENTICATING" in answering.terminal.said()[seen:]
    if is_asked:
        answering.give_password(user, seen)
        answering.give_code(codes.fresh(), seen)
    said = asking.inside.finish(since)[1]
    assert "root" in said.splitlines(), said
    return is_asked


@pytest.mark.parametrize("kept", [True, False])
def test_what_polkit_keeps_it_asks_nobody_about(host, user, kept):
    """Not by PAM, so no rule counts: an action that a code is to be given for each time must not be kept."""
    # The first rule that answers decides.
    polkit_rules(host, WHO_ASKS, *([] if kept else [EACH_TIME]), KEEPS)
    codes = enroll(host, user)
    asking, answering = agent(host, user), agent(host, user)
    answering.serve(asking.inside)
    assert pkexec(asking, answering, user, codes)
    assert pkexec(asking, answering, user, codes) != kept


def test_what_polkit_keeps_is_of_one_process_and_survives_what_ends_a_proof(host, user):
    host.policy("version: 1\nsessions:\n  - {name: all, unlock: [password]}\n" + LASTING.partition("\n")[2])
    polkit_rules(host, WHO_ASKS, KEEPS)
    codes = enroll(host, user)
    asking, answering = agent(host, user), agent(host, user)
    answering.serve(asking.inside)
    assert pkexec(asking, answering, user, codes)
    session = next(one["id"] for one in host.vigil_sessions(user=user) if asking.path in [f"/dev/{it}" for it in one["terminals"]])
    host.vigilctl("revoke", "--user", user)
    host.vigilctl("lock", session)
    asking.terminal.wait_for("Password:", 10)
    host.vigilctl("unlock", session, "--reason", "a test")
    wait_until(lambda: host.vigil_sessions(id=session, state="active"), 5, "it is unlocked")
    assert not pkexec(asking, answering, user, codes), "polkit hears of none of it"
    other, its = agent(host, user), agent(host, user)
    its.serve(other.inside)
    assert pkexec(other, its, user, codes), "another login"
    # What is kept is in its memory. Its agent comes back to it, or pkexec is its own before.
    polkit_rules(host, WHO_ASKS, KEEPS)
    seen, since = answering.terminal.mark(), asking.inside.start("pkexec id -un")
    wait_until(lambda: "AUTHENTICATING" in answering.terminal.said()[seen:] + asking.terminal.said()[since:], 10, "it asks")


@pytest.mark.parametrize("kept", [True, False])
def test_what_polkit_keeps_for_systemctl_is_kept_for_that_process(host, user, kept):
    host.policy(LASTING)
    polkit_rules(host, WHO_ASKS, *([] if kept else [EACH_TIME]), KEEPS)
    codes = enroll(host, user)
    one = agent(host, user)
    assert one.run(START, user, codes.fresh())[0] == 0
    # Each asks for the password again, and by the rule for no code.
    assert one.run(START, user)[0] == 0
    # Two units are two questions of one process.
    host.run("cp /etc/systemd/system/some.service /etc/systemd/system/other.service && systemctl daemon-reload")
    since = one.inside.start("systemctl restart some.service other.service")
    at = one.give_password(user, since)
    if not kept:
        one.give_password(user, at)
    assert one.inside.finish(since)[0] == 0
    assert one.terminal.said()[since:].count("Password: ") == (1 if kept else 2)
