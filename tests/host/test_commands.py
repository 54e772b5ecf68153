"""Which rule a command comes to, by the words of vigil-policy(5): through the real sudo, its plugin on."""

import re
import shlex

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
        - /usr/bin/printf %s ...
        - /usr/bin/expr ? + ?
        - /usr/bin/stat -c %n /srv/*/in/f?le*
        - [/usr/bin/cat, '']
        - [/usr/bin/wc, '[ab]', '$x', 'a"b', "it's", '']
        - [/usr/bin/seq, 'two words', '*']
        - /usr/bin/yes é? *ä*
        - /usr/bin/nl a*b*c
        - /usr/bin/od *.log
        - /usr/bin/pr -* --w?rd=*
        - /usr/bin/tac ./*
        - /usr/bin/tail * * *
        - /usr/bin/who
        - /opt/t?ols2/*/run-*
        - /opt/*ls3/a.?
    require: none
  - match: {run_as: [alice], commands: [/usr/bin/env]}
    require: [totp]
  - match: {run_as: [bob], commands: [/usr/bin/env]}
    require: none
  - match: {commands: [/opt/links/named, sudoedit /etc/edited/link, /opt/asks/*, /usr/bin/uniq x *, sudoedit /etc/asked/*]}
    require: [totp]
  - match: {services: [sudo]}
    require: [totp]
"""
RUNS, NAMED, REST = None, 4, 5
# By sudo itself, whatever a rule says.
REFUSED = "refused"
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
    ("cd /opt && {} tools/mine", RUNS, "mine"),
    ("cd /opt/tools/deep && {} ../mine", RUNS, "mine"),
    ("/opt/tools/deep/mine", REST, None),
    ("/opt/tools/../others/mine", REST, None),
    ("cd /opt/tools && {} ../others/mine", REST, None),
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
    ("cd /etc/edited && sudoedit -n one", RUNS, None),
    # What is not there cannot be followed (sudoers(5): sudoedit_follow): it may become a link to anything.
    ("-e /etc/edited/new", 4, None),
    ("-e /etc/edited/deep/one", REST, None),
    ("-e /etc/edited/../passwd", REST, None),
    ("-e /etc/edited/one /etc/passwd", REST, None),
    ("-e /etc/edited/link", 4, None),
    ("-e /etc/edited/other-link", REST, None),
]
# More of them, by what they begin with: what becomes of each, and how it goes on.
MORE = [
    # Any arguments: of a list with `...` none is left out, and the first ones stand.
    ("printf", RUNS, ["%s", "%s a", "%s a b", "%s ''", "%s -- -x", "%s /etc/shadow ..", "%s $'a\\nb' c", "%s '*' '?'"]),
    ("printf", REST, ["a", "'%s '", "' %s'", "-- %s", "%d 1", "%S a", "%ss a", "'%s a'", "''"]),
    # One character each.
    ("expr", RUNS, ["1 + 2", "9 + 9", "5 + 0"]),
    ("expr", REST, ["1 + 22", "11 + 2", "1 - 2", "1 '*' 2", "1 + ''", "'' + 1", "1 +", "+ 1", "1 + 2 ''", "1 + 2 + 3", "- + 1",
                    "/ + 1", "1 + /", ". + 1", "1 ' +' 2", "$'1\\n' + 2"]),
    # A name in the middle of a path, and one that is partly said.
    ("stat -c %n", RUNS, ["/srv/one/in/file", "/srv/two/in/file", "/srv/one/in/fole", "/srv/one/in/file-2", "/srv/one/in/fèle",
                          "/srv/..a/in/file", "'/srv/a b/in/file'"]),
    ("stat -c %n", REST, ["/srv/in/file", "/srv//in/file", "/srv/../in/file", "/srv/./in/file", "/srv/one/two/in/file",
                          "/srv/one/in/../../../etc/passwd", "/srv/one/in/fle", "/srv/one/in/feele", "/srv/one/in/file/more",
                          "/srv/one/in/file-2/..", "/srv/one/in/f/le", "/srv/one/in//file", "/srv/one/in/", "/srv/one/in",
                          "srv/one/in/file", "/srv/one/in/file /srv/one/in/file", "/srv/one/in/file ''", "/SRV/one/in/file",
                          "./srv/one/in/file", "/srv/one/IN/file", "' /srv/one/in/file'", "'/srv/one/in/ file'"]),
    ("stat", REST, ["/srv/one/in/file", "-c %n", "-c '' /srv/one/in/file", "-c%n /srv/one/in/file",
                    "--format=%n /srv/one/in/file", "-c %n -- /srv/one/in/file", "-L -c %n /srv/one/in/file"]),
    # An empty argument, and no other.
    ("cat", REST, ["", "' '", "'' ''", "-", "/etc/shadow", "$'\\n'", "-- ''"]),
    # What is a shell's stands for itself in a list.
    ("wc", REST, ["a '$x' 'a\"b' \"it's\" ''", "b '$x' 'a\"b' \"it's\" ''", "'[ab]' '' 'a\"b' \"it's\" ''",
                  "'[ab]' '$x' ab \"it's\" ''", "'[ab]' '$x' 'a\"b' its ''", "'[ab]' '$x' 'a\"b' \"it's\"", "'[' '$x' 'a\"b' \"it's\" ''"]),
    ("seq", REST, ["two words x", "'two words'", "'two words' -1", "'two words' a/b", "'two words' ..", "'two words' a b",
                   "'two  words' x", "$'two\\twords' x", "'Two words' x", "'two words '  x"]),
    # Characters of more than a byte; a byte that is none.
    ("timeout 0.05 yes", REST, ["éa xäx"]),
    ("yes", REST, ["é ä", "éab ä", "ea ä", "éa a", "éa", "éa ä ä", "é/ ä", "éa ä/", "éa /ä", "éa -ä", "$'\\xc3a' ä", "éa $'\\xc3'"]),
    # Several runs of characters; an empty one is one, too.
    ("nl", REST, ["abd", "ab", "ac", "acb", "xabc", "a/bc", "ab/c", "abc/", "aBc", "-abc", "abc abc", "abc ''", "./abc", "a"]),
    ("od", REST, ["a.log/", "/a.log", "a/b.log", "-a.log", "-.log", "--.log", "a.logs", "a.LOG", "..log/x", "a.log b.log", "'a.log '",
                  "../a.log", "./a.log", "a.log ''", "''", "log"]),
    # The first character of an option has to be said.
    ("pr", REST, ["--word=x", "x --word=x", "-x word=x", "-x -word=x", "-x --word", "-x --wword=x", "-x --word=/x", "-/ --word=x",
                  "-x --word=a/b", "-x --wrd=x", "-x", "''  --word=x", "--x --w-rd=x y"]),
    ("tac", REST, ["a", "/a", "././a", "./a/b", "./..", "./.", ".//a", "../a", ". /a", "./a ./b", "''", "--", "-./a"]),
    ("tail", REST, ["a b", "a b c d", "-n 1 x", "a -n 1", "a b -1", "a/b c d", "a b /", ". b c", "a .. c", "a b -", "a"]),
    # Asked for by name, by path and by arguments.
    ("/opt/asks/", NAMED, ["one", "one x", "link", "deep/../one", "./one", "/one"]),
    ("/opt/asks/deep/", REST, ["one", "../deep/one"]),
    ("/opt/to-asks/", NAMED, ["one", "link"]),
    ("", NAMED, ["/opt/links/to-one", "/opt/asks/../asks/one", "uniq x y", "uniq x ''"]),
    # A link that is named is so by each way to its folder.
    ("/opt/", NAMED, ["links/named a", "links/../links/named a", "links//./named a", "to-links/named a", "to-links/../links/named a"]),
    ("cd /opt && {} ", NAMED, ["links/named a", "./to-links/named a"]),
    ("uniq", REST, ["", "x", "y x", "x -d", "x y z", "'x y'", "x y/z", "X y", "x .."]),
    # The program's path: folders with a pattern, and no further down.
    ("/opt/", RUNS, ["tools2/a/run-x", "t_ols2/a/run-", "tools2/b/run-y one", "tools2/../tools2/a/run-x", "tools2//a/run-x",
                     "./tools2/a/run-x", "tools3/a.b", "ls3/a.c"]),
    ("/opt/", REST, ["tools2/run-x", "tools2/a/b/run-x", "tools2/a/walk", "toools2/a/run-x", "tools3/a.bc", "tools3/a.", "tools3/b.b",
                     "tools3/deep/a.b", "tools2/a/link-x"]),
    ("cd /opt/tools2/a && {} ", RUNS, ["./run-x", "../a/run-x", "../../tools2/a/run-x", "././/run-x"]),
    ("cd /opt/tools2/a && {} ", REST, ["./walk", "b/run-x", "../run-x", "../../others/mine", "./link-x"]),
    ("cd /opt/links/tools && {} ", RUNS, ["./mine", "../tools/mine"]),
    ("cd /opt/links/tools && {} ", REST, ["./deep/mine", "deep/../../others/mine"]),
    # His own names for programs.
    ("", REST, ["~/bin/basename one", "/tmp/of-his/basename one", "/tmp/of-his/link one",
                "/tmp/of-his/bin/basename one", "/usr/bin/../../tmp/of-his/basename one"]),
    ("cd /tmp/of-his && {} ", REST, ["./basename one", "../of-his/basename one", "bin/basename one"]),
    # What cannot be followed may be any.
    ("", NAMED, ["/proc/self/root/usr/bin/basename one"]),
    ("cd /proc/self/root/usr/bin && {} ", NAMED, ["/proc/self/cwd/basename one"]),
    ("", RUNS, ["/usr/bin/basename one", "/usr/bin/../bin/basename one", "/usr//bin/./basename one", "/bin/basename one",
                "/opt/links/bin/basename one"]),
    ("cd /usr && {} ", RUNS, ["bin/basename one", "./bin/basename one", "../usr/bin/basename one"]),
    ("PATH=~/bin:/tmp/of-his:$PATH {} ", RUNS, ["basename one", "whoami", "-- basename one"]),
    ("cd ~/bin && PATH=.:$PATH {} ", RUNS, ["basename one"]),
    ("cd ~/bin && PATH=.:$PATH {} ", REST, ["./basename one"]),
    # Its name and its environment.
    ("", REST, ["PATH=/tmp:/usr/bin basename one", "LD_PRELOAD=/tmp/x basename one", "LD_LIBRARY_PATH=/tmp basename one",
                "LANG=/tmp/x basename one", "HOME=/tmp basename one", "X= basename one", "IFS=x basename one"]),
    ("", RUNS, ["LANG=C basename one", "LC_ALL=C.UTF-8 TZ=UTC basename one", "-H basename one", "-n basename one", "-- basename one"]),
    # What runs a command is the command.
    ("", REST, ["-s basename one", "sh -c 'basename one'", "env basename one", "nice basename one", "/usr/bin/sudo basename one",
                "find / -maxdepth 0 -exec basename one \\;", "sh -c 'exec -a basename id' one",
                "bash -c 'exec -a one basename one'"]),
    # Whom it runs as.
    ("", RUNS, ["-u bob -- env true", "-u bob -g bob env true", "-g root basename one", "-u bob basename one",
                "-u bob -g games basename one", "-u nobody basename one", "-u '#0' basename one", "-ubob env true",
                "--user=bob env true", "-u root whoami"]),
    ("", 2, ["-u alice -g alice env true", "--user=alice env true", "-u \\#$(id -u alice) env true"]),
    # With a group that is not his own somebody may be anybody to what asks, and is nobody to what does not.
    ("", 2, ["-u bob -g games env true", "-u alice -g bob env true", "-g games env true", "-u bob -g root env true"]),
    ("", REST, ["-u root env true", "-u '#0' env true", "-u nobody env true", "-u bob -s env true", "-u bob id"]),
    ("", REFUSED, ["-u '#-1' basename one", "-u '#4294967295' basename one", "-u '#99999' basename one", "-u nosuch basename one",
                   "-g nosuch basename one", "-g '#-1' basename one", "-u '' basename one", "-u alice,bob basename one", "-u '#' whoami"]),
    # sudo's own no stays one.
    ("", REFUSED, ["who", "/usr/bin/who", "/bin/who", "nosuch", "./nosuch", "/opt/tools", "/opt/tools/", "/etc/hostname", "''",
                   "-R / basename one", "-R /srv whoami", "-D /nosuch basename one",
                   "-u bob env2"]),
    # Files to edit.
    ("-e ", RUNS, ["/etc/edited/../edited/one", "/etc/edited/./one", "/etc//edited/one", "-- /etc/edited/one", "/opt/links/edited/one"]),
    ("cd /etc/edited/deep && sudoedit -n ", RUNS, ["../one", "/etc/edited/one", "../../edited/one"]),
    ("cd /etc/edited && sudoedit -n ", REST, ["deep/one", "../passwd", "one ../passwd", "/etc/passwd one", "one deep/one"]),
    ("-e ", NAMED, ["/etc/asked/one", "/etc/edited/one /etc/asked/one", "/etc/asked/one /etc/passwd", "/etc/asked/new",
                    "/etc/asked/../asked/one", "/etc/edited/one /etc/edited/link", "/etc/edited/to-asked", "/nosuch/one"]),
    ("-e ", REST, ["/etc/asked/deep/one", "/etc/asked/../passwd", "/etc/edited/deep/../../passwd", "/etc/edited/deep/../deep/one",
                   "/etc/edited", "/etc/edited/deep/", "''"]),
    ("-u alice -e ", RUNS, ["/etc/edited/one"]),
]
CASES += [(start + end if start.endswith(("/", " ")) or not start else f"{start} {end}", rule, None)
          for start, rule, ends in MORE for end in ends]


@pytest.fixture(scope="module")
def inside(host):
    let_sshd_take_all(host)
    host.run("groupadd", "nopasswd")
    host.write("/etc/sudoers.d/tests", "Defaults sudoedit_follow\n"
               "%nopasswd ALL=(ALL:ALL) NOPASSWD: ALL, !/usr/bin/who\n", "0440")
    for file in ("tools/mine", "tools/deep/mine", "others/mine", "tools2/a/run-x", "tools2/b/run-y", "t_ols2/a/run-", "tools2/run-x",
                 "tools2/a/b/run-x", "tools2/a/walk", "toools2/a/run-x", "tools3/a.b", "tools3/a.bc", "tools3/a.", "tools3/b.b",
                 "tools3/deep/a.b", "ls3/a.c", "asks/one", "asks/deep/one"):
        host.write(f"/opt/{file}", "#!/bin/sh\necho mine\n", "0755")
    host.run("ln -s run-x /opt/tools2/a/link-x; ln -s /opt/tools/mine /opt/asks/link; ln -s /opt/asks /opt/to-asks; "
             "ln -s /opt/links /opt/to-links")
    for name in ("echo", "other", "named"):
        host.run(f"mkdir -p /opt/links && ln -s /usr/bin/echo /opt/links/{name}")
    host.run("cd /opt/links && ln -s /opt/tools tools && ln -s /opt/asks/one to-one && ln -s /usr/bin bin && ln -s /etc/edited edited")
    for folder in ("one", "two", "one/two", "a b", "..a"):
        for file in ("file", "fole", "file-2", "fèle", "fle", "feele", "f/le", "file-2d/x"):
            host.write(f"/srv/{folder}/in/{file}", "")
    host.write("/srv/in/file", "")
    for file in ("one", "deep/one"):
        host.write(f"/etc/edited/{file}", "text\n")
        host.write(f"/etc/asked/{file}", "text\n")
    host.run("cd /etc/edited && ln -s /etc/passwd link && ln -s /etc/passwd other-link && ln -s /etc/asked/one to-asked")
    host.write("/etc/sudo.conf", "Plugin vigil_approval vigil_approval.so\n")
    host.policy(POLICY)
    user = person(host, "nopasswd")
    enroll(host, user)
    opened = shell(host, user)
    host.run(f"mkdir -p /tmp/of-his /home/{user}/bin && ln -s /usr/bin /tmp/of-his/bin && ln -s /usr/bin/basename /tmp/of-his/link")
    for file in (f"/home/{user}/bin/basename", f"/home/{user}/bin/whoami", "/tmp/of-his/basename"):
        host.write(file, "#!/bin/sh\necho of his own\n", "0755")
    host.run(f"chown -R {user}: /home/{user}/bin /tmp/of-his")
    opened.run("export SUDO_EDITOR=/usr/bin/true")
    yield opened
    opened.terminal.close()


@pytest.fixture(scope="module")
def outcomes(host, inside):
    """(Exit status, what was said) of each, all of them by one line at his terminal."""
    lines = []
    for number, (command, *_) in enumerate(CASES):
        whole = command.format("sudo -n") if "{}" in command or "sudoedit" in command else f"sudo -n {command}"
        lines.append(f"echo case {number}; (cd; eval {shlex.quote(whole)}) 2>&1; s=$?; echo; echo status $s\n")
    host.write("/tmp/cases", "".join(lines))
    inside.run(". /tmp/cases >/tmp/said </dev/null", timeout=120)
    said = host.read("/tmp/said")
    found = re.findall(r"^case \d+\n(.*?)^status (\d+)$", said, re.MULTILINE | re.DOTALL)
    assert len(found) == len(CASES)
    return [(int(status), text) for text, status in found]


@pytest.mark.parametrize("number", range(len(CASES)), ids=[command for command, *_ in CASES])
def test_a_command_comes_to_the_rule_that_names_it(outcomes, number):
    """With -n nobody is asked, and the rule that would have asked is named."""
    (command, rule, says), (status, said) = CASES[number], outcomes[number]
    if rule is RUNS:
        assert "step_up" not in said and status == 0 and "of his own" not in said, said
        assert not says or re.search(f"^{says}", said, re.MULTILINE), said
    elif rule is REFUSED:
        assert "step_up" not in said and status == 1 and re.search("^(sudo|usage|Sorry)", said, re.MULTILINE), said
    else:
        assert status == 1 and f"rule {rule} of step_up asks for a proof, and with -n nobody is asked" in one_line(said, "step_up")
