"""While somebody is asked and answers: no program's arguments or environment, no line of the journal and no core has what he
typed or was shown. Of what vigild keeps, and of its own core, test_factors.py."""

import base64
import contextlib
import re
import subprocess

import pytest
from people import enroll, let_sshd_take_all, one_line, person, recovery_codes
from story import Codes
from test_enrolment import SECRET, answer, inside_of
from test_factors import bytes_of
from vigilhost import PASSWORDS, wait_until

# For polkit's helper, too: whoever enrols the first of his factors by his password is asked by it.
RULE = ("version: 1\nstep_up:\n  - match: {services: [sudo, su, polkit-1], groups: [nopasswd]}\n"
        "    require: [{all: [password, totp]}, {all: [password, recovery]}]\n")
PLUGIN = "Plugin vigil_approval vigil_approval.so\n"
ROOT_PASSWORD = "root-pass-1"
RECOVERY = r"^    ((?:[a-z2-7]{4}-){3}[a-z2-7]{4})$"
FOLDER = "/root/watched"
# All processes' arguments and environments again and again, for what FOLDER/patterns has a line each of.
WATCHES = r"""
    my ($folder, $rounds, %told) = (shift, 0);
    $| = 1;
    until (-e "$folder/enough") {
        open(my $lines, "<", "$folder/patterns") or die;
        chomp(my @patterns = <$lines>);
        for my $path (glob "/proc/[0-9]*/{cmdline,environ}") {
            open(my $file, "<:raw", $path) or next;
            local $/;
            my $content = <$file> // next;
            for my $pattern (grep { $content =~ /$_/ } @patterns) {
                print "$path has $pattern: ", $content =~ tr/\0-\x1f/ /r, "\n" unless $told{"$path $pattern"}++;
            }
        }
        open(my $count, ">", "$folder/count") or die;
        print $count ++$rounds;
    }"""
MARK = "foundwhereitis"


class LocalCodes(Codes):
    """As computed elsewhere: on the host oathtool(1) would have the secret among its arguments."""

    def at(self, step):
        return subprocess.run(["oathtool", *self.kind, "--base32", f"--now=@{step * self.period}", self.secret], check=True,
                              capture_output=True, text=True).stdout.strip()


class Watch:
    def __init__(self, host):
        self.host, self.patterns, self.cursor = host, [], host.journal_cursor()
        host.run(f"rm -rf {FOLDER}; mkdir -m 0700 {FOLDER}")
        self.watches_for(MARK)
        self.process = subprocess.Popen(host.inner.command(["perl", "-e", WATCHES, FOLDER]), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, text=True, errors="replace", preexec_fn=host.inner.join)

    def watches_for(self, *secrets):
        for one in secrets:
            # Six digits are in many a longer number.
            self.patterns.append(rf"\b{one}\b" if one.isdigit() else re.escape(one))
            if re.fullmatch(r"[A-Z2-7]{26,}", one):
                self.patterns.append(bytes_of(one))
        # In one step, or half a file would be read.
        self.host.write(f"{FOLDER}/new", "".join(f"{one}\n" for one in self.patterns), "0600")
        self.host.run("mv", f"{FOLDER}/new", f"{FOLDER}/patterns")

    def looks(self):
        """At all of them as they are now, to the end."""
        def count():
            return int(self.host.run("cat", f"{FOLDER}/count", check=False).stdout or 0)
        before = count()
        wait_until(lambda: count() >= before + 2, 20, "it looks")

    def ends(self):
        self.host.run("touch", f"{FOLDER}/enough")
        return self.process.communicate(timeout=20)[0].splitlines()

    def in_journal(self):
        """Those of the secrets that are in it since the beginning."""
        said = self.host.run(f"journalctl --no-pager --all --output=export --after-cursor '{self.cursor}' | base64 -w0").stdout
        lines = base64.b64decode(said)
        return [one for one in self.patterns if re.search(one.encode(), lines)]


@contextlib.contextmanager
def watched(host):
    watch = Watch(host)
    try:
        yield watch
        # What is there is found.
        host.run("systemd-run", "--unit=marked", "--quiet", f"--setenv=TEST={MARK}", "sleep", "1000")
        host.run("logger", MARK)
        watch.looks()
        found = watch.ends()
    finally:
        host.run("systemctl", "stop", "marked.service", check=False)
        watch.process.kill()
        watch.process.wait()
    others = [line for line in found if f" has {MARK}: " not in line]
    assert len(found) > len(others) and others == []
    assert watch.in_journal() == [MARK]


@pytest.fixture(scope="module", autouse=True)
def rule(host):
    host.run("groupadd", "nopasswd")
    let_sshd_take_all(host)
    host.write("/etc/sudoers.d/tests", "%nopasswd ALL=(ALL:ALL) NOPASSWD: ALL\n", "0440")
    host.run("chpasswd", input=f"root:{ROOT_PASSWORD}\n")
    host.policy(RULE)


@pytest.fixture
def user(host):
    return person(host, "nopasswd")


def says(terminal, since, prompt, text):
    heard = terminal.wait_to_hear(prompt, 15, since)
    terminal.send(text + "\r")
    return since + heard.end()


HELD = "sh -c 'echo it runs $((40 + 2)); read -r line'"
WAYS = {"sudo by the module": ("", f"sudo {HELD}"), "sudo by the plugin": (PLUGIN, f"sudo {HELD}"),
        "su": ("", f'su -c "{HELD}"')}


@pytest.fixture(params=WAYS)
def command(request, host):
    options, words = WAYS[request.param]
    host.write("/etc/sudo.conf", options)
    yield words
    host.write("/etc/sudo.conf", "")


@pytest.mark.parametrize("factor", ["totp", "recovery"])
def test_an_answer_goes_to_no_other_program(host, user, command, factor):
    enrolled = enroll(host, user)
    codes = LocalCodes(host, enrolled.secret)
    codes.last = enrolled.last
    recovery, *_ = recovery_codes(host, user)
    inside = inside_of(host, user)
    code = codes.fresh() if factor == "totp" else recovery
    with watched(host) as watch:
        watch.watches_for(codes.secret, code, PASSWORDS[user], ROOT_PASSWORD)
        at = since = inside.start(command)
        if command.startswith("su "):
            at = says(inside.terminal, at, "^Password: ", ROOT_PASSWORD)
        at = says(inside.terminal, at, f"Password or code for {user}: ", PASSWORDS[user])
        inside.terminal.wait_to_hear(f"Code for {user}: ", 15, at)
        watch.looks()
        at = says(inside.terminal, at, f"Code for {user}: ", code)
        inside.terminal.wait_to_hear("^it runs 42", 15, at)
        watch.looks()
        inside.terminal.send("\r")
        assert inside.finish(since)[0] == 0


def test_what_an_enrolment_shows_and_is_told_goes_to_no_other_program(host, user):
    inside = inside_of(host, user)
    with watched(host) as watch:
        watch.watches_for(PASSWORDS[user])
        since = inside.start("vigilctl enroll totp")
        at = answer(inside, PASSWORDS[user], since)
        secret = inside.terminal.wait_to_hear(SECRET, 15, at)[1]
        codes = LocalCodes(host, secret)
        code = codes.fresh()
        watch.watches_for(secret, code)
        watch.looks()
        says(inside.terminal, at, "^Code: ", code)
        assert inside.finish(since)[0] == 0


def test_what_a_recovery_code_is_given_for_goes_to_no_other_program(host, user):
    first, *_ = recovery_codes(host, user)
    inside = inside_of(host, user)
    with watched(host) as watch:
        watch.watches_for(first, first.replace("-", ""), first.replace("-", "").upper())
        since = inside.start("vigilctl recovery-codes")
        inside.terminal.wait_to_hear("One of your recovery codes: ", 15, since)
        watch.looks()
        at = says(inside.terminal, since, "One of your recovery codes: ", first)
        new = inside.terminal.wait_to_hear(RECOVERY, 15, at)[1]
        watch.watches_for(new)
        watch.looks()
        assert inside.finish(since)[0] == 0


# Cores


@pytest.fixture
def inside(host, user):
    """A shell whose programs leave cores, as another program of its user's shows."""
    inside = inside_of(host, user)
    inside.run("ulimit -c unlimited")
    assert "core dumped" in by_segv(host, inside, inside.start("sleep 1000"), "sleep")
    return inside


def by_segv(host, inside, since, program):
    """What the shell says of its program that ends so."""
    terminal = re.search(r"^/dev/(pts/\d+)", inside.tty, re.MULTILINE)[1]
    pid, = wait_until(lambda: host.pids("-x", "-t", terminal, program), 5, "it runs")
    host.run("kill", "-SEGV", pid)
    status, said = inside.finish(since)
    assert status == 128 + 11
    return one_line(said, "Segmentation fault")


def test_who_asks_for_a_proof_leaves_no_core(host, user, command, inside):
    """By the kernel's rule for what is setuid, and sudo's own limit: nothing of vigil's inside them takes that away."""
    enroll(host, user)
    at = since = inside.start(command)
    if command.startswith("su "):
        at = says(inside.terminal, at, "^Password: ", ROOT_PASSWORD)
    at = says(inside.terminal, at, f"Password or code for {user}: ", PASSWORDS[user])
    inside.terminal.wait_to_hear(f"Code for {user}: ", 15, at)
    assert "core" not in by_segv(host, inside, since, command.split()[0])


def test_vigilctl_leaves_no_core(host, user, inside):
    first, *_ = recovery_codes(host, user)
    since = inside.start("vigilctl recovery-codes")
    inside.terminal.wait_to_hear("One of your recovery codes: ", 15, since)
    assert "core" not in by_segv(host, inside, since, "vigilctl")
    since = inside.start("vigilctl enroll totp")
    at = says(inside.terminal, since, "One of your recovery codes: ", first)
    inside.terminal.wait_to_hear(SECRET, 15, at)
    assert "core" not in by_segv(host, inside, since, "vigilctl")
