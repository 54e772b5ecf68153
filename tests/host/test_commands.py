"""Which rule a command comes to, by the words of vigil-policy(5): through the real sudo, its plugin on."""

import re

import pytest
from people import enroll, let_sshd_take_all, one_line, person, shell

POLICY = r"""
version: 1
step_up:
  - match:
      commands:
        - /usr/bin/basename one
        - /usr/bin/whoami ""
        - /usr/bin/echo a * ...
        - /usr/bin/ls -d /etc/*
        - [/usr/bin/dirname, two words/x]
        - /opt/tools/*
        - sudoedit /etc/edited/*
        - /usr/bin/true ?
    require: none
  - match: {run_as: [alice], commands: [/usr/bin/env]}
    require: [totp]
  - match: {run_as: [bob], commands: [/usr/bin/env]}
    require: none
  - match: {commands: [/opt/links/named, sudoedit /etc/edited/link]}
    require: [totp]
  - match: {services: [sudo]}
    require: [totp]
"""
RUNS, REST = None, 5
# What stands behind `sudo -n`, or as a whole with a {} for it; the rule that asks; what is run says.
CASES = [
    # A list of arguments, each alone.
    ("basename one", RUNS, "one"),
    ("basename one two", REST, None),
    ("basename", REST, None),
    ("basename 'one '", REST, None),
    (r"basename $'one\n'", REST, None),
    (r"basename $'\none'", REST, None),
    ("basename one ''", REST, None),
    ("basename -- one", REST, None),
    ("basename One", REST, None),
    # None at all.
    ("whoami", RUNS, "root"),
    ("whoami ''", REST, None),
    ("whoami --help", REST, None),
    # One of any kind, and any behind it.
    ("echo a b", RUNS, "a b"),
    ("echo a b -n /x ..", RUNS, "a b -n /x .."),
    ("echo a ''", RUNS, "a "),
    ("echo a 'b c'", RUNS, "a b c"),
    (r"echo a $'b\nc'", RUNS, "a b"),
    ("echo a", REST, None),
    ("echo 'a b'", REST, None),
    ("echo a -n", REST, None),
    ("echo a b/c", REST, None),
    ("echo a ..", REST, None),
    ("echo a .", REST, None),
    (r"echo $'a\n' b", REST, None),
    ("true x", RUNS, None),
    ("true xy", REST, None),
    ("true ''", REST, None),
    ("true -", REST, None),
    # One name in a folder, and none outside of it.
    ("ls -d /etc/hostname", RUNS, "/etc/hostname"),
    ("ls -d /etc/ssh/sshd_config", REST, None),
    ("ls -d /etc/../root", REST, None),
    ("ls -d /etc/..", REST, None),
    ("ls -d /etc//hostname", REST, None),
    ("ls -d /etc/hostname /root", REST, None),
    # Words with spaces in them.
    ("dirname 'two words/x'", RUNS, "two words"),
    ("dirname two words/x", REST, None),
    ("dirname 'two  words/x'", REST, None),
    ("dirname 'two words/x' ''", REST, None),
    ("dirname '\"two words/x\"'", REST, None),
    # The program's own path.
    ("/opt/tools/mine", RUNS, "mine"),
    ("/opt/tools/../tools/mine", RUNS, "mine"),
    ("cd /opt && {} tools/mine; cd", RUNS, "mine"),
    ("cd /opt/tools/deep && {} ../mine; cd", RUNS, "mine"),
    ("/opt/tools/deep/mine", REST, None),
    ("/opt/tools/../others/mine", REST, None),
    ("cd /opt/tools && {} ../others/mine; cd", REST, None),
    ("/opt/links/tools/mine", RUNS, "mine"),
    ("/opt/links/echo a b", RUNS, "a b"),
    ("/opt/links/other a b", REST, None),
    ("/opt/links/named a b", 4, None),
    ("ln -sf /usr/bin/echo echo; {} ./echo a b", REST, None),
    ("ln -sfn /opt/tools tools; {} tools/mine", REST, None),
    # Whom it runs as.
    ("-u alice env true", 2, None),
    ("-u bob env id -un", RUNS, "bob"),
    ("-u \\#$(id -u bob) env id -un", RUNS, "bob"),
    ("env id -un", REST, None),
    ("-u alice whoami", RUNS, "alice"),
    # Files to edit.
    ("-e /etc/edited/one", RUNS, None),
    ("cd /etc/edited && sudoedit -n one; cd", RUNS, None),
    # What is not there cannot be followed (sudoers(5): sudoedit_follow): it may become a link to anything.
    ("-e /etc/edited/new", 4, None),
    ("-e /etc/edited/deep/one", REST, None),
    ("-e /etc/edited/../passwd", REST, None),
    ("-e /etc/edited/one /etc/passwd", REST, None),
    ("-e /etc/edited/link", 4, None),
    ("-e /etc/edited/other-link", REST, None),
]


@pytest.fixture(scope="module")
def inside(host):
    let_sshd_take_all(host)
    host.run("groupadd", "nopasswd")
    host.write("/etc/sudoers.d/tests", "Defaults sudoedit_follow\n%nopasswd ALL=(ALL:ALL) NOPASSWD: ALL\n", "0440")
    for folder in ("tools", "tools/deep", "others"):
        host.write(f"/opt/{folder}/mine", "#!/bin/sh\necho mine\n", "0755")
    for name in ("echo", "other", "named"):
        host.run(f"mkdir -p /opt/links && ln -s /usr/bin/echo /opt/links/{name}")
    host.run("ln -s /opt/tools /opt/links/tools")
    for file in ("one", "deep/one"):
        host.write(f"/etc/edited/{file}", "text\n")
    host.run("ln -s /etc/passwd /etc/edited/link; ln -s /etc/passwd /etc/edited/other-link")
    host.write("/etc/sudo.conf", "Plugin vigil_approval vigil_approval.so\n")
    host.policy(POLICY)
    user = person(host, "nopasswd")
    enroll(host, user)
    opened = shell(host, user)
    opened.run("export SUDO_EDITOR=/usr/bin/true")
    yield opened
    opened.terminal.close()


@pytest.mark.parametrize("command, rule, says", CASES, ids=[command for command, *_ in CASES])
def test_a_command_comes_to_the_rule_that_names_it(inside, command, rule, says):
    """With -n nobody is asked, and the rule that would have asked is named."""
    status, said = inside.run(command.format("sudo -n") if "{}" in command or "sudoedit" in command else f"sudo -n {command}")
    if rule is RUNS:
        assert "step_up" not in said and status == 0, said
        assert not says or re.search(f"^{says}", said.split("\n", 1)[1], re.MULTILINE), said
    else:
        assert f"rule {rule} of step_up asks for a proof, and with -n nobody is asked" in one_line(said, "step_up")
