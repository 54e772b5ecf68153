"""The second factor as sudo and su ask for it: who is asked, whose code counts, and what a proof carries to."""

import re

import pytest
from people import enroll, let_sshd_take_all, one_line, person, shell
from story import CODE_PROMPT
from vigilhost import PASSWORDS, wait_until

RULE = """\
version: 1
step_up:
  - match: {groups: [exempt], services: [sudo, su]}
    require: none
  - match: {groups: [sudo], services: [sudo, su]}
    require: [totp]
"""
LASTING = RULE + "    valid_for: 10m\n    scope: terminal\n"
EVERYBODY = "version: 1\nstep_up:\n  - match: {services: [sudo, su]}\n    require: [totp]\n"


@pytest.fixture(scope="module", autouse=True)
def no_password(host):
    host.run("groupadd", "exempt")
    host.run("groupadd", "nopasswd")
    let_sshd_take_all(host)
    host.write("/etc/sudoers.d/tests", "%nopasswd ALL=(ALL:ALL) NOPASSWD: ALL\n", "0440")


@pytest.fixture
def user(host):
    """Whom sudo asks for no password, and vigil for a code each time."""
    host.policy(RULE)
    return person(host, "sudo", "nopasswd")


def assert_ran(result, as_user="root"):
    assert result[0] == 0 and re.search(rf"^{as_user}$", result[1], re.MULTILINE), result


def assert_refused(result):
    assert result[0] != 0 and not re.search(r"^root$", result[1], re.MULTILINE), result


# Who is asked

def test_a_fresh_ticket_does_not_skip_the_code(host):
    host.policy(RULE)
    user = person(host, "sudo")
    codes = enroll(host, user)
    inside = shell(host, user)
    since = inside.start("sudo id -un")
    inside.terminal.wait_to_hear("password for", 10, since)
    inside.terminal.send(PASSWORDS[user] + "\r")
    inside.terminal.wait_to_hear(CODE_PROMPT, 10, since)
    inside.terminal.send(codes.fresh() + "\r")
    assert_ran(inside.finish(since))
    since = inside.terminal.mark()
    assert inside.asks("sudo id -un") == f"Code for {user}: "
    assert "password for" not in inside.terminal.said()[since:], "the ticket is fresh"


@pytest.mark.parametrize("command", ["sudo id -un", "sudo -i id -un", "sudo -s id -un"])
def test_nopasswd_does_not_skip_the_code(host, user, command):
    codes = enroll(host, user)
    assert_ran(shell(host, user).run(command, codes.fresh()))


def test_su_asks_for_ones_own_code(host, user):
    codes = enroll(host, user)
    inside = shell(host, user)
    for command in ("su", "su -"):
        since = inside.start(f"{command} alice -c 'id -un'")
        inside.terminal.wait_to_hear("assword:", 10, since)
        inside.terminal.send(PASSWORDS["alice"] + "\r")
        inside.terminal.wait_to_hear(f"Code for {user}: ", 10, since)
        inside.terminal.send(codes.fresh() + "\r")
        assert_ran(inside.finish(since), "alice")


def test_sudo_after_su_asks_for_the_code_of_who_logged_in(host, user):
    other = person(host, "sudo", "nopasswd")
    theirs, mine = enroll(host, other), enroll(host, user)
    host.policy(RULE.replace("services: [sudo, su]", "services: [sudo]"))
    inside = shell(host, user)
    since = inside.start(f"su - {other}")
    inside.terminal.wait_to_hear("assword:", 10, since)
    inside.terminal.send(PASSWORDS[other] + "\r")
    inside.terminal.wait_to_hear(rf"^{other}@", 10, since)
    since = inside.start("sudo id -un")
    inside.terminal.wait_to_hear(CODE_PROMPT, 10, since)
    inside.terminal.send(theirs.fresh() + "\r")
    inside.terminal.wait_to_hear("not right", 10, since)
    inside.terminal.wait_to_hear(rf"not right[^$]*{CODE_PROMPT}", 10, since)
    inside.terminal.send(mine.fresh() + "\r")
    assert_ran(inside.finish(since))


def test_after_su_what_both_rules_ask_for_is_asked_each_time(host, user):
    other = person(host, "nopasswd")
    mine = enroll(host, user)
    host.policy(f"""\
version: 1
step_up:
  - {{match: {{users: [{other}], services: [sudo]}}, require: [password], valid_for: 10m}}
  - {{match: {{users: [{user}], services: [sudo]}}, require: [totp], valid_for: 10m}}
""")
    inside = shell(host, user)
    assert_ran(inside.run("sudo id -un", mine.fresh()))
    assert_ran(inside.run("sudo id -un"))
    since = inside.start(f"su - {other}")
    inside.terminal.wait_to_hear("assword:", 10, since)
    inside.terminal.send(PASSWORDS[other] + "\r")
    inside.terminal.wait_to_hear(rf"^{other}@", 10, since)
    for _ in range(2):
        since = inside.start("sudo id -un")
        since += inside.terminal.wait_to_hear(f"Password or code for {user}: ", 10, since).end()
        inside.terminal.send(mine.fresh() + "\r")
        inside.terminal.wait_to_hear(f"Password for {user}: ", 10, since)
        inside.terminal.send(PASSWORDS[user] + "\r")
        assert_ran(inside.finish(since))
    since = inside.start("sudo -n id -un")
    assert_refused(inside.finish(since))
    assert "rules 2 and 1 of step_up ask for proofs" in inside.terminal.said()[since:]


@pytest.mark.parametrize("words", [("sudo id -un",), ("sudo -n id -un",), ("sudo -i id -un",),
                                   ("setsid -w sudo id -un </dev/null",)])
def test_without_a_terminal_sudo_refuses_at_once_with_a_line(host, user, words):
    enroll(host, user)
    done = host.ssh_run(user, *words, timeout=10)
    assert done.returncode != 0 and "root" not in done.stdout
    said = one_line(done.stdout + done.stderr, "vigil")
    why = "with -n nobody is asked: run it without -n, from" if "-n" in words[0] else "there is no terminal to ask at: run it from"
    assert f"rule 2 of step_up asks for a proof, and {why} a terminal" in said


def test_sudo_n_at_a_terminal_refuses_at_once_with_a_line(host, user):
    enroll(host, user)
    result = shell(host, user).run("sudo -n id -un")
    assert_refused(result)
    assert "with -n nobody is asked" in one_line(result[1], "vigil: rule 2 of step_up asks for a proof")


def test_the_first_rule_decides(host, user):
    host.run("usermod", "-aG", "exempt", user)
    assert_ran(shell(host, user).run("sudo id -un"))


def test_without_a_factor_a_line_says_what_to_do(host, user):
    result = shell(host, user).run("sudo id -un")
    assert_refused(result)
    assert "administrator" in one_line(result[1], "vigilctl enroll")


def test_root_is_asked_for_nothing_by_a_rule_for_others(host, user):
    done = host.ssh_run("root", f"su - {user} -c 'id -un'; sudo -u {user} id -un")
    assert done.stdout.split() == [user, user], done


# Whose code, and how often

def test_three_wrong_codes_end_it(host, user):
    codes = enroll(host, user)
    inside = shell(host, user)
    since = inside.start("sudo id -un")
    for number in range(3):
        wait_until(lambda: len(re.findall(CODE_PROMPT, inside.terminal.said()[since:])) == number + 1, 10,
                   f"question {number + 1}")
        inside.terminal.send(codes.wrong() + "\r")
    result = inside.finish(since)
    assert_refused(result)
    assert result[1].count("not right") == 3
    assert "locked" not in result[1], f"sudo's own words mislead:\n{result[1]}"


def test_a_code_is_accepted_once(host, user):
    codes = enroll(host, user)
    inside = shell(host, user)
    code = codes.fresh()
    assert_ran(inside.run("sudo id -un", code))
    since = inside.start("sudo id -un")
    inside.terminal.wait_to_hear(CODE_PROMPT, 10, since)
    inside.terminal.send(code + "\r")
    inside.terminal.wait_to_hear("not right", 10, since)
    inside.terminal.key("ctrl-c")


def test_a_code_of_somebody_else_is_refused(host, user):
    enroll(host, user)
    codes = enroll(host, person(host, "sudo"))
    inside = shell(host, user)
    since = inside.start("sudo id -un")
    inside.terminal.wait_to_hear(CODE_PROMPT, 10, since)
    inside.terminal.send(codes.fresh() + "\r")
    inside.terminal.wait_to_hear("not right", 10, since)
    inside.terminal.key("ctrl-c")


def test_wrong_codes_have_to_wait_also_after_a_restart(host, user):
    codes = enroll(host, user)
    inside = shell(host, user)
    for wrongs in (3, 2):
        since = inside.start("sudo id -un")
        for number in range(wrongs):
            wait_until(lambda: len(re.findall(CODE_PROMPT, inside.terminal.said()[since:])) == number + 1, 10,
                       f"question {number + 1}")
            inside.terminal.send(codes.wrong() + "\r")
        result = inside.finish(since)
    assert re.search(r"try again in \d+ s", one_line(result[1], "Too many")), result
    host.restart_vigild()
    result = inside.run("sudo id -un")
    assert_refused(result)
    assert re.search(r"try again in \d+ s", one_line(result[1], "Too many")), result
    # It is the person who waits, nobody else.
    other = person(host, "sudo", "nopasswd")
    assert_ran(shell(host, other).run("sudo id -un", enroll(host, other).fresh()))


# What a grant carries to

@pytest.fixture
def proved(host):
    """(user, codes, shell) after a code that holds for ten minutes at this terminal."""
    host.policy(LASTING)
    user = person(host, "sudo", "nopasswd")
    codes = enroll(host, user)
    inside = shell(host, user)
    assert_ran(inside.run("sudo id -un", codes.fresh()))
    assert_ran(inside.run("sudo id -un"))
    return user, codes, inside


def test_a_grant_stays_at_its_terminal(host, proved):
    user, _, inside = proved
    assert shell(host, user).asks("sudo id -un"), "another session"
    # A terminal of its own within the session.
    since = inside.start("script -qc 'sudo id -un' /dev/null")
    inside.terminal.wait_to_hear(CODE_PROMPT, 10, since)
    inside.terminal.key("ctrl-c")


def test_a_grant_stays_at_its_terminal_of_one_connection(host):
    host.policy(LASTING)
    user = person(host, "sudo", "nopasswd")
    codes = enroll(host, user)
    control = host.one_connection()
    first, second = shell(host, user, *control), shell(host, user, *control)
    assert_ran(first.run("sudo id -un", codes.fresh()))
    assert second.asks("sudo id -un")
    assert_ran(first.run("sudo id -un"))


def test_a_grant_for_the_session_holds_at_all_its_terminals(host):
    host.policy(LASTING.replace("scope: terminal", "scope: session"))
    user = person(host, "sudo", "nopasswd")
    codes = enroll(host, user)
    control = host.one_connection()
    first, second = shell(host, user, *control), shell(host, user, *control)
    assert_ran(first.run("sudo id -un", codes.fresh()))
    assert_ran(second.run("sudo id -un"))
    assert shell(host, user).asks("sudo id -un"), "another session"


def test_a_grant_survives_a_restart(host, proved):
    _, _, inside = proved
    host.kill_vigild()
    assert_ran(inside.run("sudo id -un"))


def test_a_grant_dies_with_a_lock(host, proved):
    user, _, inside = proved
    one = host.vigil_sessions(user=user)[0]["id"]
    host.vigilctl("lock", one)
    inside.terminal.wait_for("Password or code:|Password:", 10)
    host.vigilctl("unlock", one, "--reason", "a test")
    wait_until(lambda: host.vigil_sessions(id=one, state="active"), 5, "it is unlocked")
    assert inside.asks("sudo id -un")


def test_a_grant_dies_with_the_factor(host, proved):
    user, _, inside = proved
    host.vigilctl("forget", host.vigilctl("factors", user, "--json")[0]["id"])
    result = inside.run("sudo id -un")
    assert_refused(result)
    assert "No one-time code" in result[1]


def test_a_grant_dies_with_its_rule_and_not_with_a_reload(host, proved):
    _, _, inside = proved
    host.policy(LASTING + "  - match: {users: [nobody]}\n    require: none\n")
    assert_ran(inside.run("sudo id -un"))
    # Another one before it may be about anybody; nor is what was taken back once there again.
    host.policy(LASTING.replace("step_up:\n", "step_up:\n  - match: {users: [nobody]}\n    require: none\n"))
    assert inside.asks("sudo id -un")
    host.policy(LASTING)
    assert inside.asks("sudo id -un")


def test_a_grant_dies_with_the_logout(host, proved):
    user, _, inside = proved
    inside.terminal.send("exit\r")
    inside.terminal.wait_closed()
    assert shell(host, user).asks("sudo id -un")


def test_a_grant_passes_with_its_time(host):
    host.policy(LASTING.replace("10m", "3s"))
    user = person(host, "sudo", "nopasswd")
    inside = shell(host, user)
    assert_ran(inside.run("sudo id -un", enroll(host, user).fresh()))
    assert_ran(inside.run("sudo id -un"))
    wait_until(lambda: inside.asks("sudo id -un"), 6, "the grant is over")


def test_a_grant_has_so_many_uses(host):
    host.policy(LASTING + "    uses: 2\n")
    user = person(host, "sudo", "nopasswd")
    inside = shell(host, user)
    assert_ran(inside.run("sudo id -un", enroll(host, user).fresh()))
    assert_ran(inside.run("sudo id -un"))
    assert inside.asks("sudo id -un")


def test_a_service_that_asks_nobody_is_told_by_the_policys_check(host):
    host.write("/etc/pam.d/ftp", "account required pam_permit.so\n")
    host.policy(RULE.replace("groups: [sudo], services: [sudo, su]", "services: [sudo, sudo-i, su, su-l, polkit-1, ftp, sudoo]"))
    try:
        done = host.vigilctl("policy", "check")
        assert "rule 2 of step_up names the service ftp, whose PAM stack has no account line" in one_line(done.stdout, r"\bftp\b")
        assert "the service sudoo, which PAM has no stack of here" in one_line(done.stdout, "sudoo")
        assert done.stdout.count("warning: ") == 2 == len(host.vigilctl("policy", "check", "--json")[0]["warnings"])
        # A draft may be for another host.
        host.run("cp /etc/vigil/policy.yaml /root/draft.yaml")
        assert "warning" not in host.vigilctl("policy", "check", "/root/draft.yaml").stdout
    finally:
        host.run("rm -f /etc/pam.d/ftp /root/draft.yaml")
