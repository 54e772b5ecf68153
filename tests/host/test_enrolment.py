"""Enrolling from the first factor to the last: by the password that polkit asks for, by a ticket, in time, and forgetting."""

import re
import shutil
import subprocess

import pytest
from agents import forwarded
from people import enroll, let_sshd_take_all, one_line, person, shell
from story import Codes
from test_factors import picture_of
from test_keys import keys_of
from vigilhost import PASSWORDS, wait_until

# For polkit's helper, too: the password for a first enrolment is asked for by a stack that has vigil in it.
RULE = "version: 1\nstep_up:\n  - match: {groups: [nopasswd], services: [sudo, polkit-1]}\n    require: [totp]\n"
TICKET = r"^    ((?:[0-9a-z]{5}-){3}[0-9a-z]{5})$"
AUTHENTICATING = "AUTHENTICATING FOR org.vigil1.enroll-first"
SECRET = r"[?&]secret=([A-Z2-7]+)"


@pytest.fixture(scope="module", autouse=True)
def rule(host):
    host.run("groupadd", "nopasswd")
    let_sshd_take_all(host)
    host.write("/etc/sudoers.d/tests", "%nopasswd ALL=(ALL:ALL) NOPASSWD: ALL\n", "0440")


@pytest.fixture(autouse=True)
def rules(host, rule):
    host.policy(RULE)


@pytest.fixture
def user(host):
    return person(host, "nopasswd")


def kinds(host, user, event):
    return [one["MESSAGE"] for one in host.journal(VIGIL_EVENT=event) if one.get("VIGIL_USER") == user]


def answer(inside, text, since, question="Password: "):
    """The agent throws away what is typed before the echo is off."""
    heard = inside.terminal.wait_to_hear(question, 15, since)
    terminal = re.search(r"^/dev/pts/\d+", inside.tty, re.MULTILINE)[0]
    wait_until(lambda: " -echo " in inside.terminal_host.run("stty", "-a", "-F", terminal).stdout, 5, "an answer is waited for")
    inside.terminal.send(text + "\r")
    return since + heard.end()


def inside_of(host, user, *options):
    inside = shell(host, user, *options)
    inside.terminal_host, inside.tty = host, inside.run("tty")[1]
    return inside


def prove(host, inside, since):
    """The code of what is shown, at its own question."""
    secret = inside.terminal.wait_to_hear(SECRET, 15, since)[1]
    codes = Codes(host, secret)
    inside.terminal.wait_to_hear(r"^Code: ", 5, since)
    inside.terminal.send(codes.fresh() + "\r")
    return codes


def test_the_first_is_enrolled_by_the_password_and_its_qr_code_is_whole(host, user, tmp_path):
    inside = inside_of(host, user)
    assert "vigilctl enroll totp" in one_line(inside.run("sudo id -un")[1], "No one-time code")
    inside.terminal.send("clear\r")
    since = inside.start("vigilctl enroll totp")
    inside.terminal.wait_to_hear(AUTHENTICATING, 15, since)
    answer(inside, PASSWORDS[user], since)
    secret = inside.terminal.wait_to_hear(SECRET, 15, since)[1]
    inside.terminal.wait_to_hear(r"^Code: ", 5, since)
    shown = inside.terminal.text()
    picture_of(re.findall(r"^[█▀▄ ]{20,}$", shown, re.MULTILINE), tmp_path / "qr.pgm")
    seen = subprocess.run([shutil.which("zbarimg"), "--quiet", "--raw", tmp_path / "qr.pgm"], capture_output=True, text=True,
                          check=False).stdout
    assert f"secret={secret}" in seen and f":{user}@" in seen
    codes = Codes(host, secret)
    inside.terminal.send(codes.fresh() + "\r")
    status, said = inside.finish(since)
    print(said)
    assert status == 0 and PASSWORDS[user] not in said
    assert "root" in inside.run("sudo id -un", codes.fresh())[1]
    assert len(kinds(host, user, "factor-enrolled")) == 1
    assert any("to enrol a first factor" in line for line in kinds(host, user, "step-up-granted"))


def test_so_is_a_security_key(host, user, new_agent):  # noqa: F811
    agent = new_agent(counter=1)
    key = agent.key()
    inside = inside_of(host, user, *forwarded(agent))
    since = inside.start("vigilctl enroll key")
    answer(inside, PASSWORDS[user], since)
    inside.terminal.wait_to_hear("Touch the security key:", 15, since)
    status, said = inside.finish(since)
    assert status == 0 and "Active: " + key.fingerprint in said
    assert keys_of(host, user) == [key.fingerprint]


def test_a_wrong_password_enrols_nothing_and_is_told_in_a_line(host, user):
    inside = inside_of(host, user)
    since = inside.start("vigilctl enroll totp")
    answer(inside, "no password", since)
    status, said = inside.finish(since, 30)
    print(said)
    assert status == 1 and "otpauth" not in said
    one_line(said, "vigilctl: That was not the password of " + user)
    assert host.vigilctl("factors", user, "--json") == []


def test_ctrl_c_at_the_password_gives_up_and_leaves_the_terminal_as_it_was(host, user):
    inside = inside_of(host, user)
    since = inside.start("vigilctl enroll totp")
    inside.terminal.wait_to_hear("Password: ", 15, since)
    path = re.search(r"^/dev/pts/\d+", inside.tty, re.MULTILINE)[0]
    wait_until(lambda: " -echo " in host.run("stty", "-a", "-F", path).stdout, 5, "an answer is waited for")
    inside.terminal.key("ctrl-c")
    wait_until(lambda: host.pids("-x", "vigilctl", "-u", user) == [], 15, "vigilctl has ended")
    wait_until(lambda: host.pids("-x", "pkttyagent", "-u", user) == [], 15, "so has the agent")
    inside.terminal.send("\r")
    assert "-echo " not in inside.run("stty -a")[1]
    assert "otpauth" not in inside.terminal.said() and host.vigilctl("factors", user, "--json") == []


def test_where_nobody_can_be_asked_a_line_says_what_else_there_is(host, user):
    done = host.vigilctl("enroll", "totp", user=user, check=False)
    assert done.returncode == 1 and "otpauth" not in done.stdout
    line = one_line(done.stderr, "vigilctl:")
    print(line)
    assert "terminal" in line and "--ticket" in line
    host.run("systemctl mask --runtime --now polkit.service")
    try:
        done = host.vigilctl("enroll", "totp", user=user, check=False)
        assert done.returncode == 1 and "polkit does not answer" in one_line(done.stderr, "vigilctl:")
    finally:
        host.run("systemctl unmask --runtime polkit.service")


def test_a_ticket_enrols_once_and_is_found_nowhere(host, user):
    made = host.vigilctl("enroll", "ticket", user, "--for", "1h").stdout
    print(made)
    ticket = re.search(TICKET, made, re.MULTILINE)[1]
    inside = inside_of(host, user)
    since = inside.start("vigilctl enroll totp --ticket")
    inside.terminal.wait_to_hear("Ticket: ", 10, since)
    inside.terminal.send(ticket.upper() + "\r")
    codes = prove(host, inside, since)
    assert inside.finish(since)[0] == 0
    assert "root" in inside.run("sudo id -un", codes.fresh())[1]
    since = inside.start("vigilctl enroll totp --ticket")
    inside.terminal.wait_to_hear("Ticket: ", 10, since)
    inside.terminal.send(ticket + "\r")
    status, said = inside.finish(since)
    assert status == 1 and "no ticket of yours" in one_line(said, "vigilctl:")
    assert [len(kinds(host, user, event)) for event in ("ticket-made", "ticket-used")] == [1, 1]
    journal = host.run("journalctl", "--no-pager", "--all", "--output=export").stdout
    kept = host.run("grep", "-rla", ticket, "/var/lib/vigil", "/run/vigil", check=False).stdout
    assert ticket not in journal and kept == ""


def test_a_ticket_is_an_operators_to_make(host, user):
    done = host.vigilctl("enroll", "ticket", user, user=user, check=False)
    assert done.returncode == 1 and done.stdout == ""
    one_line(done.stderr, "vigilctl: There is no such thing, or it is not yours.")
    assert host.vigilctl("enroll", "ticket", user, "--for", "never", check=False).returncode == 2
    assert host.vigilctl("enroll", "ticket", user, "--for", "31d", check=False).returncode == 1


def test_the_last_factor_is_an_operators_to_forget(host, user):
    codes = enroll(host, user)
    first = host.vigilctl("factors", user, "--json")[0]["id"]
    done = host.vigilctl("forget", first, user=user, check=False)
    assert done.returncode == 1
    assert "the last factor that counts for you" in one_line(done.stderr, "vigilctl:")
    inside = inside_of(host, user)
    since = inside.start("vigilctl enroll totp --name second")
    inside.terminal.wait_to_hear("Code of a device that you have already: ", 10, since)
    inside.terminal.send(codes.fresh() + "\r")
    second = prove(host, inside, since)
    assert inside.finish(since)[0] == 0
    since = inside.start(f"vigilctl forget {first}")
    inside.terminal.wait_to_hear("Code of a device that you have already: ", 10, since)
    inside.terminal.send(second.fresh() + "\r")
    status, said = inside.finish(since)
    assert status == 0 and f"forgotten {first}" in said
    assert [one["name"] for one in host.vigilctl("factors", user, "--json")] == ["second"]
    last = host.vigilctl("factors", user, "--json")[0]["id"]
    assert host.vigilctl("forget", last).returncode == 0
    # The password does for the first time alone.
    done = host.vigilctl("enroll", "totp", user=user, check=False)
    assert "enroll ticket" in one_line(done.stderr, "vigilctl:")


def test_there_is_time_to_enrol_and_then_there_is_none(host, user):
    host.policy(RULE.replace("[totp]", "[totp]\n    enroll_within: 7d"))
    inside = inside_of(host, user)
    status, said = inside.run("sudo id -un")
    print(said)
    line = one_line(said, r"vigil: from 20\d\d-\d\d-\d\d \d\d:\d\d on this takes a second factor")
    assert status == 0 and "root" in said and "vigilctl enroll totp" in line
    # As if the time were over: it counts from the first time, whatever the policy says since.
    host.policy(RULE.replace("[totp]", "[totp]\n    enroll_within: 1s"))
    wait_until(lambda: inside.run("sudo id -un")[0] != 0, 10, "the time is over")
    host.kill_vigild()
    assert "No one-time code" in inside.run("sudo id -un")[1]


def test_so_it_is_with_sudos_plugin_and_a_command_that_is_refused_is_named(host, user):
    host.policy(RULE.replace("[totp]", "[totp]\n    enroll_within: 7d"))
    host.vigilctl("sudo", "enable")
    try:
        inside = inside_of(host, user)
        status, said = inside.run("sudo id -un")
        assert status == 0 and "on this takes a second factor" in one_line(said, "vigil: from 20")
        host.policy(RULE)
        assert inside.run("sudo id -gn")[0] != 0
        assert any("(/usr/bin/id -gn)" in line for line in kinds(host, user, "step-up-refused"))
    finally:
        host.vigilctl("sudo", "disable")


def test_a_rekey_that_was_stopped_is_told(host):
    host.run("cp -a /etc/credstore.encrypted/vigil.key /etc/credstore.encrypted/vigil.key.2")
    try:
        assert "a rekey was not finished" in host.vigilctl("status").stderr
        assert "a rekey was not finished" in host.vigilctl("doctor", check=False).stdout
    finally:
        host.run("rm /etc/credstore.encrypted/vigil.key.2")
    assert "rekey" not in host.vigilctl("status").stderr
