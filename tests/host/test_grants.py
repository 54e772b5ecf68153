"""Proofs that count for a while: what is listed of them and to whom, and who takes them back."""

import pytest
from agents import enrolled
from people import enroll, let_sshd_take_all, one_line, person, recovery_codes, shell
from story import CODE_PROMPT, Codes
from test_enrolment import answer, inside_of
from vigilhost import PASSWORDS, wait_until

POLICY = """\
version: 1
step_up:
  - match: {services: [su]}
    require: none
  - match: {services: [sudo], groups: [whole]}
    require: [totp]
    valid_for: 10m
    scope: session
    uses: 3
  - match: {services: [sudo]}
    require: [totp]
    valid_for: 10m
"""


LINE = "Plugin vigil_approval vigil_approval.so"


@pytest.fixture(scope="module", autouse=True)
def rules(host):
    for group in ("nopasswd", "whole"):
        host.run("groupadd", group)
    let_sshd_take_all(host)
    host.write("/etc/sudoers.d/tests", "%nopasswd ALL=(ALL:ALL) NOPASSWD: ALL\n", "0440")
    host.policy(POLICY)


@pytest.fixture(params=["PAM", "plugin"])
def by(request, host):
    """Which of them asks for sudo."""
    host.write("/etc/sudo.conf", LINE + "\n" if request.param == "plugin" else "")
    yield request.param
    host.run("rm", "/etc/sudo.conf")


def proved(host, *groups):
    """Somebody who has proved himself at a terminal: (his name, his shell, his codes)."""
    user = person(host, "nopasswd", *groups)
    codes = enroll(host, user)
    inside = shell(host, user)
    assert "root" in inside.run("sudo id -un", codes.fresh())[1]
    return user, inside, codes


def of(host, user):
    return [one for one in host.vigilctl("grants", "--json") if one["user"] == user]


def needs_no_proof(inside):
    return inside.asks("sudo id -un") is None


def test_a_grant_is_listed_with_what_it_is_good_for(host):
    user, inside, _ = proved(host)
    grant, = of(host, user)
    session, = host.vigil_sessions(user=user)
    assert (grant["session"], grant["terminal"], grant["rule"]) == (session["id"], session["terminals"][0], 3)
    assert grant["uses_left"] is None and grant["run_as"] is None
    shown = inside.run("vigilctl grants")[1]
    print(shown)
    assert one_line(shown, grant["id"][:8]).split()[3:6] == [session["terminals"][0], "3", "anybody"]
    assert needs_no_proof(inside)


@pytest.mark.usefixtures("by")
def test_a_grant_of_the_session_spans_its_terminals_and_its_uses_are_counted(host):
    user, inside, _ = proved(host, "whole")
    assert (of(host, user)[0]["terminal"], of(host, user)[0]["uses_left"]) == (None, 2)
    assert needs_no_proof(inside) and of(host, user)[0]["uses_left"] == 1
    assert needs_no_proof(inside) and not of(host, user)
    assert not needs_no_proof(inside)


def test_its_owner_takes_it_back(host):
    user, inside, codes = proved(host)
    assert inside.run(f"vigilctl revoke {of(host, user)[0]['id'][:6]}")[0] == 0
    assert not of(host, user) and not needs_no_proof(inside)
    assert host.journal(VIGIL_EVENT="grant-revoked")[-1]["MESSAGE"].startswith(f"{user}: ")
    assert "root" in inside.run("sudo id -un", codes.fresh())[1]
    status, said = inside.run(f"vigilctl revoke --user {user}")
    assert status == 0 and "revoked " in said and not needs_no_proof(inside)


def test_an_operator_takes_all_of_a_user_back(host):
    user, inside, _ = proved(host)
    assert f"of {user}" in host.vigilctl("revoke", "--user", user).stdout
    assert not needs_no_proof(inside)
    done = host.vigilctl("revoke", "--user", user, check=False)
    assert done.returncode == 1 and "no grants of this user" in one_line(done.stderr, "vigilctl:")


def test_others_neither_see_nor_revoke_it(host):
    user, inside, _ = proved(host)
    grant = of(host, user)[0]["id"]
    assert host.vigilctl("grants", user="bob").stdout == "No grants.\n"
    for words in ((grant,), (grant[:8],), ("--user", user), ("f" * 32,)):
        done = host.vigilctl("revoke", *words, user="bob", check=False)
        assert done.returncode == 1 and grant not in done.stdout, done
    call = ["busctl", "call", "org.vigil1", "/org/vigil1", "org.vigil1.Manager", "Revoke", "s"]
    done = host.run("runuser", "-u", "bob", "--", *call, grant, check=False)
    assert done.returncode != 0 and "not yours" in done.stderr
    assert needs_no_proof(inside)


def test_a_lock_and_a_logout_take_it_back(host):
    user, inside, _ = proved(host)
    session, = host.vigil_sessions(user=user)
    host.vigilctl("lock", session["id"])
    assert not of(host, user)
    host.vigilctl("unlock", session["id"], "--reason", "a test")
    wait_until(lambda: host.vigil_sessions(user=user)[0]["state"] == "active", 10, "it is open again")
    assert not needs_no_proof(inside)
    user, inside, _ = proved(host)
    inside.terminal.close()
    wait_until(lambda: not host.vigil_sessions(user=user), 10, "the session is over")
    assert not of(host, user)


def another_device(host, user):
    terminal = host.ssh("root", "-t", command=["vigilctl", "enroll", "totp", user, "--name", "second"])
    codes = Codes(host, terminal.wait_to_hear(r"[?&]secret=([A-Z2-7]+)", 15)[1])
    terminal.wait_to_hear(CODE_PROMPT, 5)
    assert of(host, user), "what is not proved yet is no change"
    terminal.send(codes.fresh() + "\r")
    assert terminal.wait_closed() == 0, terminal.said()


CHANGES = {
    "a second device": lambda host, user, new_agent: another_device(host, user),
    "a security key": lambda host, user, new_agent: enrolled(host, agent := new_agent(), agent.key(), user),
    "recovery codes": lambda host, user, new_agent: recovery_codes(host, user),
    "recovery codes in place of others": lambda host, user, new_agent: recovery_codes(host, user),
    "one device less": lambda host, user, new_agent: host.vigilctl("forget", host.vigilctl("factors", user, "--json")[1]["id"]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_the_factors_takes_it_back(host, new_agent, change):
    user, inside, codes = proved(host)
    if change in ("one device less", "recovery codes in place of others"):
        CHANGES["a second device" if change == "one device less" else "recovery codes"](host, user, new_agent)
        assert "root" in inside.run("sudo id -un", codes.fresh())[1]
    assert len(of(host, user)) == 1 and needs_no_proof(inside)
    CHANGES[change](host, user, new_agent)
    assert not of(host, user) and not needs_no_proof(inside)
    assert "the factors changed" in host.journal(VIGIL_EVENT="grant-revoked")[-1]["MESSAGE"]


RULE_OF_POLKIT = "polkit.addRule(function(action, subject) { if (action.id == 'org.vigil1.manage-grants' && " \
    "subject.isInGroup('operators')) return polkit.Result.YES; });\n"


@pytest.fixture
def operators(host):
    """bob is one, by polkit's word; carol is nobody in particular."""
    host.run("groupadd -f operators && usermod -aG operators bob")
    host.write("/etc/polkit-1/rules.d/10-operators.rules", RULE_OF_POLKIT)
    host.run("systemctl reset-failed polkit.service; systemctl restart polkit.service")
    yield person(host)
    host.run("rm /etc/polkit-1/rules.d/10-operators.rules; gpasswd -d bob operators")


def test_whom_polkit_lets_is_an_operator(host, operators):
    user, inside, _ = proved(host)
    grant = of(host, user)[0]["id"]
    assert host.vigilctl("grants", user="bob").stdout == "No grants.\n"
    assert grant in [one["id"] for one in host.vigilctl("grants", "--all", "--json", user="bob")]
    done = host.vigilctl("grants", "--all", user=operators, check=False)
    assert done.returncode == 1 and done.stdout == "" and "whom polkit lets" in one_line(done.stderr, "vigilctl:")
    for words in ((grant,), (grant[:8],), ("--user", user)):
        done = host.vigilctl("revoke", *words, user=operators, check=False)
        assert done.returncode == 1 and "none of yours" in one_line(done.stderr, "vigilctl:")
    assert needs_no_proof(inside)
    assert host.vigilctl("revoke", grant[:8], user="bob").stdout == f"revoked {grant[:8]} of {user}\n"
    assert not of(host, user) and not needs_no_proof(inside)
    assert host.journal(VIGIL_EVENT="grant-revoked")[-1]["MESSAGE"].startswith(f"{user}: by bob ")


def test_an_administrators_password_is_asked_for_once(host):
    """At the terminal where he types: that one vigilctl lists and revokes, and polkit keeps the answer for it alone."""
    user, inside, codes = proved(host)
    operator = person(host, "sudo")
    host.write("/etc/polkit-1/rules.d/10-operators.rules",
               f"polkit.addAdminRule(function(action, subject) {{ return ['unix-user:{operator}']; }});\n")
    host.run("systemctl reset-failed polkit.service; systemctl restart polkit.service")
    theirs = inside_of(host, operator)
    since = theirs.start(f"vigilctl revoke --user {user}")
    answer(theirs, PASSWORDS[operator], since)
    status, said = theirs.finish(since)
    assert status == 0 and said.count("Password: ") == 1 and f"of {user}" in one_line(said, "^revoked")
    assert not needs_no_proof(inside)
    assert "root" in inside.run("sudo id -un", codes.fresh())[1]
    since = theirs.start(f"vigilctl revoke --user {user}")
    theirs.terminal.wait_to_hear("Password: ", 15, since)
    theirs.give_up(since)
    assert needs_no_proof(inside)
    host.run("rm", "/etc/polkit-1/rules.d/10-operators.rules")
