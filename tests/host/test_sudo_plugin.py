"""sudo's plugin: each command is decided by what it is, whatever ticket or NOPASSWD says."""

import re

import pytest
from people import enroll, let_sshd_take_all, one_line, person, shell
from story import CODE_PROMPT
from vigilhost import wait_until

POLICY = """\
version: 1
step_up:
  - match: {services: [sudo], commands: ["/usr/bin/id -un", "/usr/local/bin/*", "sudoedit /etc/easy"]}
    require: none
  - match: {services: [sudo], commands: [/usr/bin/whoami, "sudoedit /etc/hard"]}
    require: [totp]
    valid_for: 10m
  - match: {services: [sudo], run_as: [root]}
    require: [totp]
"""
CONF = "/etc/sudo.conf"
LINE = "Plugin vigil_approval vigil_approval.so"


@pytest.fixture(scope="module", autouse=True)
def plugin(host):
    let_sshd_take_all(host)
    host.run("groupadd", "nopasswd")
    host.write("/etc/sudoers.d/tests", "Defaults use_pty\n%nopasswd ALL=(ALL:ALL) NOPASSWD: ALL\n", "0440")
    host.run(f"echo '{LINE}' >>{CONF}")
    host.policy(POLICY)


@pytest.fixture(scope="module")
def user(host, plugin):
    return person(host, "sudo", "nopasswd")


@pytest.fixture(scope="module")
def codes(host, user):
    return enroll(host, user)


@pytest.fixture
def inside(host, user, codes):
    opened = shell(host, user)
    yield opened
    opened.terminal.close()


def ran(result, word="root"):
    return result[0] == 0 and re.search(rf"^{word}$", result[1], re.MULTILINE)


def test_what_a_rule_lets_through_is_asked_for_by_nobody(inside):
    assert ran(inside.run("sudo id -un"))


def test_another_argument_is_another_command(inside, codes):
    assert inside.asks("sudo id -u") is not None
    assert ran(inside.run("sudo id -u", codes.fresh()), "0")


def test_one_proof_is_asked_for_and_not_two(inside, codes):
    result = inside.run("sudo -k whoami", codes.fresh())
    assert ran(result) and result[1].count("Code for") == 1
    assert ran(inside.run("sudo whoami")), "the proof stands"


@pytest.mark.parametrize("way", ["ln -sf /usr/bin/id /tmp/whatever; sudo /tmp/whatever -un",
                                 "cp /usr/bin/id id; sudo ./id -un",
                                 "cp /usr/bin/id id; sudo /usr/local/bin/../../../home/$USER/id -un",
                                 "ln -sf /bin/sh id; PATH=.:$PATH sudo ./id -c 'id -un'"])
def test_no_name_of_ones_own_is_that_of_the_command(inside, way):
    assert inside.asks(way) is not None


def test_a_link_of_roots_leads_to_the_command_itself(host, inside):
    host.run("mkdir -p /opt/links && ln -sf /usr/bin/id /opt/links/id && ln -sf /usr/bin/id /usr/local/bin/other")
    assert ran(inside.run("sudo /opt/links/id -un"))
    # Some programs do as they are called.
    assert inside.asks("sudo other -un") is not None


@pytest.mark.parametrize("way", ["sudo LD_PRELOAD=/tmp/evil.so id -un", "LD_PRELOAD=/tmp/evil.so sudo -E id -un",
                                 "sudo BASH_ENV=/tmp/evil id -un", "sudo PATH=/tmp:/usr/bin id -un",
                                 "sudo LC_ALL=/tmp/evil id -un", "sudo HOME=/tmp id -un", "sudo --preserve-env=X id -un"])
def test_an_environment_of_ones_own_makes_another_command(inside, way):
    inside.run("export X=1")
    assert inside.asks(way) is not None


def test_sudos_own_environment_and_what_it_keeps_change_nothing(inside):
    assert ran(inside.run("LANG=C.UTF-8 TZ=UTC DISPLAY=:1 TERM=vt220 sudo id -un"))
    assert ran(inside.run("sudo -H id -un")) and ran(inside.run("sudo LC_ALL=C id -un"))


def test_no_link_of_the_kernels_own_is_believed(host, inside):
    """/proc/self/cwd says /usr/bin: of another root, where id is his own."""
    inside.run("mkdir -p evil; cp /bin/sh evil/id; cp /bin/sleep evil/sleep")
    since = inside.start("unshare -Urm sh -c 'mount --bind evil /usr/bin && exec /usr/bin/sleep 60' & sleep 0.1")
    inside.finish(since)
    wait_until(lambda: host.pids("-x", "sleep"), 10, "the other root is made")
    assert inside.run("cd /proc/$!/root/usr/bin && readlink /proc/self/cwd")[1].count("/usr/bin") > 0
    assert inside.asks("sudo /proc/self/cwd/id -c 'id -un'") is not None
    assert inside.asks("sudo /proc/self/cwd/id -un") is not None
    inside.run("cd; kill %1")


def test_where_an_access_list_lets_another_write_nothing_is_settled(host, inside):
    host.run("mkdir -p /opt/listed && cp /usr/bin/id /opt/listed/id")
    host.policy(POLICY.replace('"/usr/bin/id -un"', '"/usr/bin/id -un", "/opt/listed/id -un"'))
    try:
        assert ran(inside.run("sudo /opt/listed/id -un"))
        # As setfacl(1) leaves it: the mask stands where the group's bits were.
        host.run("chmod g+w /opt/listed")
        assert inside.asks("sudo /opt/listed/id -un") is not None
    finally:
        host.policy(POLICY)


def test_what_cannot_be_followed_may_be_anything(host, inside):
    host.policy(POLICY.replace("/usr/bin/whoami", "/usr/bin/whoami, /usr/bin/true").replace("services: [sudo], run_as", "services: [none], run_as"))
    try:
        assert inside.asks("sudo true") is not None
        assert inside.asks("sudo /usr/bin/env true") is None
        assert inside.asks("ulimit -n 256; d=.; for i in $(seq 260); do d=$d/d; done; mkdir -p $d; "
                           "ln -sf /usr/bin/env $d/env; sudo $d/env true") is not None
    finally:
        host.policy(POLICY)


def test_a_login_shell_is_sudos_other_service(host, inside):
    host.policy(POLICY.replace("services: [sudo], run_as", "services: [sudo-i], run_as"))
    try:
        assert inside.asks("sudo env true") is None
        assert inside.asks("sudo -i env true") is not None
    finally:
        host.policy(POLICY)


@pytest.mark.parametrize("command", ["sudo -i id -un", "sudo -s id -un", "sudo -b env true", "sudo -g root env true", "sudo env id -un"])
def test_whatever_runs_a_command_is_the_command(inside, command):
    assert inside.asks(command) is not None


def test_another_user_is_another_rule(inside):
    assert inside.asks("sudo -u alice env true") is None


def test_an_edit_is_of_its_files(host, inside, codes):
    host.run("echo old >/etc/easy; echo old >/etc/hard")
    host.write("/usr/local/bin/edits", "#!/bin/sh\nfor f; do echo new >$f; done\n", "0755")
    assert inside.run("EDITOR=/usr/local/bin/edits sudo -e /etc/easy")[0] == 0
    assert inside.run("cd /etc; EDITOR=/usr/local/bin/edits sudoedit easy; cd")[0] == 0
    assert host.read("/etc/easy") == "new\n"
    assert inside.asks("EDITOR=/usr/local/bin/edits sudoedit /etc/easy /etc/hard") is not None
    assert host.read("/etc/hard") == "old\n"
    assert inside.run("EDITOR=/usr/local/bin/edits sudo -e /etc/hard", codes.fresh())[0] == 0
    assert host.read("/etc/hard") == "new\n"


def test_each_program_of_a_root_shell_is_a_command(host, user, inside, codes):
    host.write("/etc/sudoers.d/intercept", f"Defaults:{user} intercept\n", "0440")
    host.policy(POLICY.replace('"/usr/bin/id -un"', '"/usr/bin/id -un", "/usr/bin/dash ..."'))
    try:
        assert ran(inside.run("sudo dash -c 'id -un; id -un'"))
        since = inside.start("sudo dash -c 'id -un; id -u; whoami; cd /usr/bin; ./id -un; echo at the end'")
        for _ in range(2):
            since += inside.terminal.wait_to_hear(CODE_PROMPT, 15, since).end()
            inside.terminal.send(codes.fresh() + "\r")
        status, said = inside.finish(since)
        assert status == 0 and "at the end" in said and "Code for" not in said
    finally:
        host.policy(POLICY)
        host.run("rm", "/etc/sudoers.d/intercept")


@pytest.fixture
def roots_and_folders(host, user):
    """He may say in which root and folder a command runs; a program of root's and one of his have the same name."""
    host.write("/etc/sudoers.d/where", f"Defaults:{user} runchroot=*, runcwd=*\n", "0440")
    host.write("/usr/local/bin/mine", "#!/bin/sh\necho of roots\n", "0755")
    host.write(f"/home/{user}/mine", "#!/bin/sh\necho of his\n", "0755")
    for root in ("/srv/root", f"/home/{user}/root"):
        host.run(f"mkdir -p {root}/usr/bin && cp /usr/bin/id {root}/usr/bin/ && ln -sf usr/bin {root}/bin")
    host.run(f"chown -R {user}: /home/{user}")
    yield
    host.run("rm", "/etc/sudoers.d/where")


@pytest.mark.usefixtures("roots_and_folders")
def test_in_another_root_a_program_is_another(inside):
    assert inside.asks("sudo -R / id -un") is None, "he may say so"
    for root in ("/srv/root", "~/root", "/srv/../srv/root", "/srv"):
        assert "uid=0" not in (said := inside.run(f"sudo -n -R {root} /usr/bin/id -un")[1])
        assert root == "/srv" or "nobody is asked" in one_line(said, "vigil"), root


@pytest.mark.usefixtures("roots_and_folders")
def test_a_program_is_looked_for_where_it_will_run(inside):
    inside.run("cd /usr/local/bin")
    assert "of his" not in inside.run("sudo -n -D ~ ./mine")[1]
    assert ran(inside.run("sudo -n -D / /usr/local/bin/mine"), "of roots")
    inside.run("cd")
    assert "of his" not in inside.run("sudo -n -D /usr/local/bin ./mine")[1]
    assert "of his" not in inside.run("sudo -n -D . ./mine")[1]


@pytest.mark.usefixtures("roots_and_folders")
def test_a_file_is_edited_where_it_was_asked_about(host, inside):
    host.policy(POLICY.replace("sudoedit /etc/easy", "sudoedit /etc/easily/*"))
    host.write("/usr/local/bin/edits", "#!/bin/sh\nfor f; do echo new >$f; done\n", "0755")
    try:
        for start, there in (("easily", "hardly"), ("hardly", "easily"), ("hardly", "hardly"), ("easily", "easily")):
            for folder in ("easily", "hardly"):
                host.write(f"/etc/{folder}/file", "old\n")
            for name in ("file", f"../{start}/file", f"../{there}/file"):
                inside.run(f"cd /etc/{start}; EDITOR=/usr/local/bin/edits sudoedit -n -D /etc/{there} {name}; cd")
                assert host.read("/etc/hardly/file") == "old\n", (start, there, name)
        assert host.read("/etc/easily/file") == "new\n"
    finally:
        host.policy(POLICY)


@pytest.mark.parametrize("inner, asked", [
    ("id -un", False), ("exec id -un", False), ("/usr/bin/../bin/id -un", False), ("PATH=/bin id -un", False),
    ("exec -a id env true", True), ("exec -a /usr/bin/id /usr/bin/env true", True),
    ("ln -sf /usr/bin/id /opt/x; /opt/x -un", True), ("~/links/id -c true", True), ("PATH=~/links:$PATH id -c true", True),
    ("~/links/other -un", True), ("cd ~/links; ./id -c true", True), ("hash -p /usr/bin/env id; id true", True),
    ("id() { env true; }; id -un", True), ("env id -un", True), ("sudo -i id -un", True), ("sudo -n -i", True)])
def test_no_name_makes_a_program_of_a_root_shell_another(host, user, inside, inner, asked):
    host.write("/etc/sudoers.d/intercept", f"Defaults:{user} intercept\n", "0440")
    host.policy(POLICY.replace('"/usr/bin/id -un"', '"/usr/bin/id -un", "/usr/bin/bash ...", "/usr/bin/ln ..."'))
    inside.run("mkdir -p links; ln -sf /bin/sh links/id; ln -sf /usr/bin/id links/other")
    try:
        status, said = inside.run(f"sudo -n bash -c '{inner.replace('~', f'/home/{user}')}'")
        assert ("nobody is asked" in said) == asked and (asked or ran((status, said))), said
        assert not asked or not ran((status, said)), said
    finally:
        host.policy(POLICY)
        host.run("rm", "/etc/sudoers.d/intercept")


@pytest.fixture
def at_a_prompt(host, plugin):
    """(Somebody's codes, his shell): sudo looks at each program that a command of his starts."""
    name = person(host, "nopasswd")
    host.write("/etc/sudoers.d/intercept", f"Defaults:{name} intercept\n", "0440")
    opened = shell(host, name)
    yield enroll(host, name), opened
    opened.terminal.close()
    host.policy(POLICY)
    host.run("rm", "/etc/sudoers.d/intercept")


def becomes_root(inside, command, code=None):
    """Its shell is root's from then on, until `exit`."""
    since = inside.terminal.mark()
    inside.terminal.send(command + "\r")
    if code:
        inside.terminal.wait_to_hear(CODE_PROMPT, 15, since)
        inside.terminal.send(code + "\r")
    inside.terminal.wait_to_hear(r"^root@\S+:\S*#", 15, since)


def test_at_the_prompt_of_a_root_shell_each_program_is_asked_about(at_a_prompt):
    codes, inside = at_a_prompt
    becomes_root(inside, "sudo -s", codes.fresh())
    assert ran(inside.run("id -un")), "a rule lets it through"
    assert ran(inside.run("echo $((6 * 7))"), "42"), "the shell's own word is no program"
    status, said = inside.run("whoami; whoami; whoami", codes.fresh())
    assert status == 0 and said.count("Code for") == 1 and said.count("root\n") == 3, "the proof stands"
    since = inside.terminal.mark()
    assert inside.asks("id -u") is not None
    assert "bash: /usr/bin/id: Permission denied" in inside.terminal.said()[since:]
    assert ran(inside.run("id -un")), "the shell goes on"
    inside.terminal.send("exit\r")


def test_at_the_prompt_of_a_root_shell_with_nobody_to_ask_it_says_so_at_once(host, at_a_prompt):
    codes, inside = at_a_prompt
    host.policy(POLICY.replace('"/usr/bin/id -un"', '"/usr/bin/id -un", /usr/bin/bash'))
    assert ran(inside.run("sudo whoami", codes.fresh()))
    becomes_root(inside, "sudo -n -s")
    assert ran(inside.run("id -un")), "a rule lets it through"
    assert ran(inside.run("whoami")), "the proof stands"
    status, said = inside.run("id -u", timeout=5)
    assert status == 126 and not re.search("^0$", said, re.MULTILINE), said
    assert "rule 3 of step_up asks for a proof, and with -n nobody is asked" in one_line(said, "^vigil")
    inside.terminal.send("exit\r")


def test_with_nobody_to_ask_it_says_so_at_once(host, user, codes):
    opened = shell(host, user)
    status, said = opened.run("sudo -n env true")
    assert status != 0 and "vigil: rule 3 of step_up asks for a proof, and with -n nobody is asked: run it without -n" in said
    status, said = opened.run("setsid -w sudo env true </dev/null")
    assert status != 0 and "there is no terminal to ask at: run it from a terminal" in said


def test_no_vigild_no_yes_but_for_root(host, inside):
    host.run("systemctl stop vigild.socket vigild.service")
    try:
        status, said = inside.run("sudo id -un")
        assert status != 0 and "vigild cannot be asked" in said
        assert host.run("sudo id -un").stdout == "root\n"
    finally:
        host.run("systemctl start vigild.socket vigild.service")
    assert ran(inside.run("sudo id -un"))
