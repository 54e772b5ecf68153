"""vigilctl against a small vigild on a socket: what it prints, its exit statuses, its errors."""

import json
import os
import re
import subprocess
import time

import pexpect
import pytest

CTL = os.environ["VIGILCTL"]
FAKE = os.environ["FAKE_VIGILD"]
ALICE, BOB = "abc00000000000000000000000000000", "abc00100000000000000000000000001"
FACTOR = "00112233445566778899aabbccddeeff"
DONE, REFUSED, USAGE, AWAY = 0, 1, 2, 3


class Host:
    def __init__(self, folder):
        self.folder, self.process, self.heard = folder, None, None
        self.socket = str(folder / "bus")

    def vigild(self, *options):
        self.process = subprocess.Popen([FAKE, self.socket, *options], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def stop(self):
        if self.process and self.heard is None:
            self.process.kill()
            self.heard = self.process.stdout.read().splitlines()
            self.process.wait()
            self.process.stdout.close()
        return self.heard

    def run(self, *arguments, text="", **environment):
        return subprocess.run([CTL, "--socket", self.socket, *arguments], input=text, capture_output=True, text=True,
                              check=False, timeout=30, start_new_session=True, env={"PATH": os.environ["PATH"], "TZ": "UTC", **environment})


@pytest.fixture(name="host")
def host_fixture(tmp_path):
    host = Host(tmp_path)
    yield host
    host.stop()


def one_line(done):
    assert done.stderr.count("\n") == 1 and done.stderr.endswith("\n"), done.stderr
    return done.stderr


def test_list_shows_a_table_that_fits(host):
    host.vigild()
    done = host.run("list")
    assert (done.returncode, done.stderr) == (DONE, "")
    lines = done.stdout.splitlines()
    assert lines[0].split()[:3] == ["ID", "USER", "STATE"]
    assert lines[1].split()[:3] == ["abc00000", "alice", "active"]
    assert lines[2].split()[:3] == ["abc00100", "bob", "locked"]
    for width in (20, 40, 80, 120):
        assert all(len(line) <= width for line in host.run("list", COLUMNS=str(width)).stdout.splitlines())
    assert "\x1b" not in done.stdout


def test_an_empty_list_says_so(host):
    host.vigild("--sessions", "0")
    assert host.run("list").stdout == "No sessions.\n"
    assert json.loads(host.run("list", "--json").stdout) == []


def test_json_is_the_contracts(host):
    host.vigild()
    first, second = json.loads(host.run("list", "--json").stdout)
    assert first == {
        "id": ALICE, "user": "alice", "uid": 1000, "service": "sshd", "terminals": ["pts/0"],
        "remote_host": "192.0.2.1", "logind_session": "7", "leader_pid": 4200, "since": "2026-11-21T12:00:00Z",
        "idle_seconds": 75, "state": "active", "locked_since": None, "rule": "every\x1b[31mone",
        "limits": {"idle_lock": 900, "idle_terminate": None, "max_duration": 43200},
        "next": {"action": "lock", "at": "2026-11-21T12:13:45Z"}, "locked_by": None, "last_lock": None, "last_unlock": None, "desktop": None, "uncovered": [], "runs_on": [],
        "login": None, "run_as": None, "elevated": []}
    assert second["next"] is None and second["locked_since"] == "2026-11-21T12:01:00Z"
    assert json.loads(host.run("show", "abc001", "--json").stdout) == second
    assert json.loads(host.run("status", "--json").stdout)["mode"] == "enforce"
    assert json.loads(host.run("factors", "--json").stdout)[0]["id"] == FACTOR


def test_status_tells_root_who_is_blocked(host):
    host.vigild()
    lines = [line.split(None, 1)[1] for line in host.run("status").stdout.splitlines() if line.startswith("blocked")]
    assert lines[0].startswith("alice (uid 1000) until ") and lines[0].endswith("by root: gone\\x1b[31m")
    assert lines[1] == "bob (uid 1001) until further notice, by root: an inquiry"
    first, second = json.loads(host.run("status", "--json").stdout)["blocked"]
    assert first == {"user": "alice", "uid": 1000, "reason": "gone\x1b[31m", "by": "root",
                     "since": "2026-11-21T12:00:00Z", "until": "2026-11-21T16:00:00Z"}
    assert second["until"] is None


def test_status_tells_others_nothing_of_blocks(host):
    host.vigild("--refuse", "Blocks")
    done = host.run("status")
    assert done.returncode == DONE and "blocked" not in done.stdout and not done.stderr
    assert json.loads(host.run("status", "--json").stdout)["blocked"] is None


def test_block_says_until_when_and_which_sessions_go_on(host):
    host.vigild()
    done = host.run("block", "alice", "--reason", "left the company")
    assert (done.returncode, done.stderr) == (DONE, "")
    assert done.stdout == ("blocked alice until `vigilctl unblock`\n"
                           "alice has 1 session, left as it is; to end it: vigilctl terminate --user alice --reason TEXT\n")
    done = host.run("block", "carol", "--for", "8h", "--reason", "x")
    assert re.fullmatch(r"blocked carol until [0-9: -]+\n", done.stdout)
    assert host.run("unblock", "alice").stdout == "unblocked alice\n"
    assert host.stop() == ["Block [alice] [left the company]", "List", "Block [carol] [x]", "List", "Unblock [alice]"]


@pytest.mark.parametrize("words", [["block", "alice"], ["block", "--reason", "x"], ["unblock"],
                                   ["block", "alice", "--reason", "x", "--for", "soon"],
                                   ["block", "alice", "--reason", "x", "--for", "0s"],
                                   ["block", "alice", "--reason", "x", "--for", "never"]])
def test_a_block_without_a_user_a_reason_or_a_time_is_a_mistake(host, words):
    host.vigild()
    done = host.run(*words)
    assert done.returncode == USAGE and "vigilctl" in one_line(done)
    assert host.stop() == []


def test_a_block_that_is_refused_says_why(host):
    host.vigild("--refuse", "Block,Unblock")
    for words in (["block", "alice", "--reason", "x"], ["unblock", "alice"]):
        done = host.run(*words)
        assert done.returncode == REFUSED and "only root may do that" in one_line(done) and not done.stdout


def test_show_escapes_what_comes_from_outside(host):
    host.vigild()
    done = host.run("show", ALICE)
    assert done.returncode == DONE and "every\\x1b[31mone" in done.stdout
    assert "\x1b" not in done.stdout


def test_ids_may_be_short_but_not_ambiguous(host):
    host.vigild()
    assert host.run("show", "abc000").returncode == DONE
    for id_, words in (("abc0", "more than one"), ("abc", "4 to 32 digits"), ("ffff", "no such session"),
                       ("f" * 32, "no such session"), ("pts/0", "4 to 32 digits")):
        done = host.run("show", id_)
        assert done.returncode == REFUSED and words in one_line(done)


def test_lock_unlock_and_terminate(host):
    host.vigild()
    assert host.run("lock", "abc000").stdout == "locked abc00000 of alice\n"
    assert host.run("lock", "--user", "bob", "--reason", "left").returncode == DONE
    assert host.run("unlock", "abc001", "--reason", "phone call").returncode == DONE
    assert host.run("terminate", "--all", "--reason", "maintenance").stdout.count("terminated") == 2
    acts = [call for call in host.stop() if not call.startswith(("List", "Show"))]
    assert acts[:3] == [f"Lock [{ALICE}] []", f"Lock [{BOB}] [left]", f"Unlock [{BOB}] [phone call]"]
    # Several are asked for at a time, in no order.
    assert sorted(acts[3:]) == [f"Terminate [{ALICE}] [maintenance]", f"Terminate [{BOB}] [maintenance]"]


def test_some_found_and_some_not_is_a_refusal_after_the_rest_is_done(host):
    host.vigild()
    done = host.run("lock", "ffff", "abc000")
    assert done.returncode == REFUSED and "locked abc00000" in done.stdout
    assert host.run("lock", "--user", "nobody").returncode == REFUSED
    assert host.run("lock").returncode == REFUSED  # tests run in no session that the fake knows


def test_a_session_without_a_terminal_is_no_failure_of_locking_all(host):
    host.vigild("--no-terminal", BOB)
    for which in (["--all"], ["--user", "bob"]):
        done = host.run("lock", *which)
        assert (done.returncode, done.stderr) == (DONE, "")
        assert "left abc00100 of bob, which has no terminal\n" in done.stdout
        assert ("locked abc00000 of alice" in done.stdout) == (which == ["--all"])
    done = host.run("lock", "abc001", "abc000")
    assert (done.returncode, done.stdout) == (REFUSED, "locked abc00000 of alice\n")
    assert one_line(done) == "vigilctl: abc00100 of bob: no terminal\n"


def test_what_is_refused_for_something_else_is_a_failure_of_locking_all(host):
    host.vigild("--refuse", "Lock")
    done = host.run("lock", "--all")
    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert done.stderr.count("only root may do that") == 2


def typed(host, command):
    """At a terminal of the first session's: what is written there, and the exit status."""
    with pexpect.spawn("sh", ["-c", f"read go; {command.format(ctl=CTL, socket=host.socket)}"], echo=False, encoding="utf-8",
                       timeout=30, env={"PATH": os.environ["PATH"]}) as shell:
        terminal = os.readlink(f"/proc/{shell.pid}/fd/0").removeprefix("/dev/")
        host.vigild("--terminal", terminal, "--sessions", "1")
        shell.sendline()
        shell.expect(pexpect.EOF)
        shell.close()
        return terminal, shell.before.replace("\r", ""), shell.exitstatus


def test_lock_for_oneself_is_for_the_terminal_where_it_is_typed(host):
    _, text, status = typed(host, "{ctl} --socket {socket} lock")
    assert (text, status) == ("locked abc00000 of alice\n", DONE)
    assert host.stop() == ["List", f"Lock [{ALICE}] []"]


def test_a_terminal_of_scripts_is_shown_at_another_one(host):
    terminal, text, status = typed(host, "script -eqc '{ctl} --socket {socket} lock' /dev/null")
    assert (text, status) == (f"locked abc00000 of alice, at {terminal}\n", DONE)


def test_a_terminal_that_may_be_shown_anywhere_is_no_place_to_lock(host):
    pty = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"
    _, text, status = typed(host, f"python3 -c '{pty}' {{ctl}} --socket {{socket}} lock")
    assert status == REFUSED and text.count("\n") == 1
    assert "cannot be told at which terminal you are" in text and "vigilctl list" in text and "vigilctl lock ID" in text
    assert host.stop() == ["List"]


@pytest.mark.parametrize("line, complaint", [
    ([], "vigilctl: a command is missing; see `vigilctl --help`"),
    (["frobnicate"], "vigilctl: there is no command `frobnicate`; see `vigilctl --help`"),
    (["show"], "vigilctl show: ID is required; see `vigilctl show --help`"),
    (["unlock", "abc000"], "vigilctl unlock: --reason is required; see `vigilctl unlock --help`"),
    (["terminate", "--reason", "x"],
     "vigilctl terminate: ID, --user or --all is required; see `vigilctl terminate --help`"),
    (["list", "extra"], "vigilctl list: `extra` was not expected; see `vigilctl list --help`"),
    (["list", "\x1b[2J"], "vigilctl list: `\\x1b[2J` was not expected; see `vigilctl list --help`"),
    (["lock", "--all", "abc000"], "vigilctl lock: ID excludes --all; see `vigilctl lock --help`"),
    (["lock", "--all", "--user", "bob"], "vigilctl lock: --user excludes --all; see `vigilctl lock --help`"),
    (["lock", "--for-sleep", "--all"], "vigilctl lock: --all excludes --for-sleep; see `vigilctl lock --help`"),
    (["unlock", "--for-sleep"], "vigilctl unlock: `--for-sleep` was not expected; see `vigilctl unlock --help`"),
    (["enroll"], "vigilctl enroll: a command is missing; see `vigilctl enroll --help`"),
    (["forget"], "vigilctl forget: FACTOR is required; see `vigilctl forget --help`"),
    (["policy", "chekc"], "vigilctl policy: there is no command `chekc`; see `vigilctl policy --help`"),
    (["list", "-x"], "vigilctl list: `-x` was not expected; see `vigilctl list --help`"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_a_mistake_in_the_command_line_gives_one_line(host, line, complaint):
    host.vigild()
    done = host.run(*line)
    assert (done.returncode, done.stdout, done.stderr) == (USAGE, "", complaint + "\n")
    assert host.stop() == []


def test_help_and_version(host):
    assert host.run("--help").returncode == DONE
    assert host.run("--version").stdout.startswith("vigilctl ")


def test_refusals_say_why(host):
    host.vigild("--refuse", "List,Terminate,Status,Forget,Factors,EnrollTotp")
    for line in (["list"], ["status"], ["forget", FACTOR], ["factors"], ["enroll", "totp"]):
        done = host.run(*line)
        assert done.returncode == REFUSED and one_line(done) == "vigilctl: only root may do that\n"
    done = host.run("terminate", ALICE, "--reason", "x")
    assert done.returncode == REFUSED and one_line(done) == "vigilctl: abc00000 of alice: only root may do that\n"


@pytest.mark.parametrize("line", [["list"], ["show", ALICE], ["lock", ALICE], ["status"], ["reload"], ["factors"],
                                  ["enroll", "totp"], ["forget", FACTOR]], ids=" ".join)
def test_vigild_away(host, line):
    done = host.run(*line)
    assert done.returncode == AWAY
    assert f"vigild does not answer on {host.socket}" in one_line(done) and "systemctl status vigild" in done.stderr


def test_vigild_killed_and_its_socket_left_behind(host):
    host.vigild()
    host.stop()
    done = host.run("list")
    assert done.returncode == AWAY and "refused" in one_line(done)


def test_vigild_that_never_answers(host):
    host.vigild("--hang", "List")
    begin = time.monotonic()
    done = host.run("list")
    assert done.returncode == AWAY and "timed out" in one_line(done)
    assert time.monotonic() - begin < 8


def doctors(host):
    done = host.run("doctor", "--json")
    return done.returncode, {one["check"]: one for one in json.loads(done.stdout)["checks"]}


def test_the_doctor_says_what_a_vigild_of_another_version_does_not(host):
    host.vigild()
    _, found = doctors(host)
    assert found["vigild"]["result"] == "ok" and found["sessions"]["found"] == "2 open, 1 locked"
    assert found["session"]["session"] == BOB
    assert not found["vigild's own"]["looked_at"] and "no such method" in found["vigild's own"]["found"]


@pytest.mark.parametrize("hang, check", [("Status", "vigild"), ("Examine", "vigild's own"), ("List", "sessions"),
                                         ("Show", "sessions")])
def test_the_doctor_waits_for_nobody(host, hang, check):
    host.vigild("--hang", hang)
    begin = time.monotonic()
    status, found = doctors(host)
    assert time.monotonic() - begin < 8
    assert found[check]["result"] == ("failure" if check == "vigild" else "ok" if hang == "Show" else "warning")
    assert status != DONE


def test_the_doctor_goes_on_after_a_lock_that_he_could_not_look_at(host):
    host.vigild("--hang", "Show", "--sessions", "3", "--uncovered", "a gap")
    checks = json.loads(host.run("doctor", "--json").stdout)["checks"]
    bobs, other = [one for one in checks if one["check"] == "session"]
    assert (bobs["session"], bobs["looked_at"]) == (BOB, False)
    assert bobs["found"].startswith("not looked at: abc00100 of bob: ") and "timed out" in bobs["found"]
    assert other["found"] == "abc00200 of bob: cannot be held: a gap"
    assert not any("too many" in one["found"] for one in checks)


def test_whom_vigild_does_not_let_unlock_is_told_once_who_may(host):
    host.vigild("--refuse", "Unlock")
    done = host.run("unlock", "--all", "--reason", "x")
    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert one_line(done).startswith("vigilctl: only root unlocks without a proof: ")
    assert f"Unlock [{ALICE}] [x]" in host.stop()  # it is vigild that says no


def test_a_user_without_rights_to_the_socket_is_told(host):
    host.vigild()
    host.folder.chmod(0o700)
    done = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", CTL, "--socket", host.socket, "list"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == REFUSED and "Permission denied" in one_line(done)


def test_reload(host):
    host.vigild()
    assert host.run("reload").returncode == DONE
    host.stop()
    host.heard = None
    host.vigild("--reload-error", "/etc/vigil/policy.yaml:3:1: unknown key")
    done = host.run("reload")
    assert done.returncode == REFUSED and "policy.yaml:3:1: unknown key" in one_line(done)
    assert "policy.yaml:3:1" in host.run("status").stdout


def test_enroll_without_a_terminal_reads_codes_from_stdin(host):
    host.vigild()
    done = host.run("enroll", "totp", "alice", "--name", "phone", text="123 456\n")
    assert done.returncode == DONE, done.stderr
    assert done.stdout.startswith("URI:    otpauth://totp/web1:alice?secret=MFRGGZDF\nSecret: MFRGGZDF\n")
    assert host.stop() == ["EnrollTotp [alice] [phone] [totp] []", f"EnrollFinish [{FACTOR}] [123456]"]


def test_a_ticket_is_read_from_stdin_and_no_argument(host):
    host.vigild()
    done = host.run("enroll", "totp", "--ticket", "alice", text="01234-56789-abcde fghjk\n123456\n")
    assert done.returncode == DONE, done.stderr
    assert host.stop()[0] == "EnrollTotp [alice] [authenticator] [totp] [01234-56789-abcdefghjk]"


@pytest.mark.parametrize("text", ["", "\n"])
def test_without_a_ticket_nothing_is_asked_for_instead(host, text):
    host.vigild()
    done = host.run("enroll", "totp", "--ticket", text=text)
    assert done.returncode == REFUSED and "no ticket was given" in one_line(done)
    assert host.stop() == []


@pytest.mark.parametrize("text,finishes", [("1\n2\n3\n4\n", 3), ("", 0), ("\n\n", 0), ("111111", 1)])
def test_an_enrolment_that_is_not_proved_is_none(host, text, finishes):
    host.vigild()
    done = host.run("enroll", "totp", text=text)
    assert done.returncode == REFUSED and "not active" in done.stderr
    assert len([call for call in host.stop() if call.startswith("EnrollFinish")]) == finishes


@pytest.mark.parametrize("drawn,environment", [
    ("\u2588", {"LC_ALL": "C.UTF-8"}), ("\u2588", {"LC_ALL": "C"}), ("\u2588", {"LC_ALL": "POSIX"}), ("\u2588", {}),
    ("A QR code cannot be shown here.", {"LC_ALL": "C.UTF-8", "TERM": "dumb"}),
    ("The window is too small for the QR code: it takes [0-9]+ columns and [0-9]+ rows.", {"LINES": "10"})])
def test_enroll_at_a_terminal_draws_a_code(host, drawn, environment):
    host.vigild()
    terminal = pexpect.spawn(CTL, ["--socket", host.socket, "enroll", "totp"], encoding="utf-8", dimensions=(24, 80),
                             timeout=10, env={"PATH": os.environ["PATH"], **environment})
    terminal.expect("Code: ")
    assert re.search(drawn, terminal.before) and ("\u2588" in terminal.before) == (drawn == "\u2588")
    assert "otpauth://" in terminal.before and "MFRGGZDF" in terminal.before
    assert "\x1b" not in terminal.before or environment.get("TERM") != "dumb"
    terminal.sendline("000000")
    terminal.expect("wrong code")
    terminal.expect("Code: ")
    terminal.sendline("123456")
    terminal.expect("Active")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == DONE


def test_forget(host):
    host.vigild()
    assert host.run("forget", FACTOR).returncode == DONE
    assert host.run("forget", "00").returncode == REFUSED


def test_policy_check_needs_no_vigild(host):
    good, bad = host.folder / "good.yaml", host.folder / "bad.yaml"
    good.write_text("version: 1\nsessions:\n  - name: everyone\n    idle_lock: 15m\n"
                    "step_up:\n  - match: {services: [sudo]}\n    require: [totp]\n    valid_for: 5m\n", encoding="utf-8")
    bad.write_text("version: 1\nsesions: []\n", encoding="utf-8")
    done = host.run("policy", "check", str(good))
    assert (done.returncode, done.stdout) == (DONE, f"{good}: ok, 1 session rule, 1 step-up rule\n"), done.stderr
    done = host.run("policy", "check", str(bad), str(good))
    assert done.returncode == REFUSED and one_line(done).startswith(f"{bad}:2:1: ")
    assert str(good) in done.stdout
    assert host.run("policy", "check", str(host.folder / "none.yaml")).returncode == REFUSED
    verdicts = json.loads(host.run("policy", "check", "--json", str(bad), str(good)).stdout)
    assert [verdict["ok"] for verdict in verdicts] == [False, True]


def test_a_full_disk_is_not_a_success(host):
    host.vigild()
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([CTL, "--socket", host.socket, "list"], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == REFUSED and b"No space left" in done.stderr


def test_colour_only_on_a_terminal_and_without_no_color(host):
    host.vigild()
    for environment, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        terminal = pexpect.spawn(CTL, ["--socket", host.socket, "list"], encoding="utf-8", dimensions=(24, 70),
                                 env={"PATH": os.environ["PATH"], **environment})
        terminal.expect(pexpect.EOF)
        assert ("\x1b[" in terminal.before) == coloured
        terminal.close()
