"""Enrolling, listing and keeping factors, through the real vigilctl; and that no secret is to be found anywhere."""

import base64
import re
import shutil
import subprocess
import time

import pytest
from conftest import new_host
from people import Shell, enroll, let_sshd_take_all, one_line, person, recovery_codes, shell
from story import CODE_PROMPT, Codes
from vigilhost import wait_until

RULE = "version: 1\nstep_up:\n  - match: {groups: [sudo], services: [sudo]}\n    require: [totp]\n"
ELSEWHERE, YET_ELSEWHERE = "127.0.0.2", "127.0.0.3"


@pytest.fixture(scope="module", autouse=True)
def rule(host):
    host.run("groupadd", "nopasswd")
    let_sshd_take_all(host)
    host.write("/etc/sudoers.d/tests", "%nopasswd ALL=(ALL:ALL) NOPASSWD: ALL\n", "0440")
    host.policy(RULE)


@pytest.fixture(scope="module", autouse=True)
def of_long_ago(host, rule):
    """(Who, his codes): the steps around the one that he enrolled with are past when the other tests are through."""
    name = person(host, "sudo", "nopasswd")
    return name, enroll(host, name)


@pytest.fixture
def user(host):
    return person(host, "sudo", "nopasswd")


def picture_of(qr, path):
    """What the terminal showed, as a picture: blocks are light, as on a dark terminal."""
    halves = {"█": "11", "▀": "10", "▄": "01", " ": "00"}
    width = max(len(line.rstrip()) for line in qr)
    rows = ["".join(halves[cell][half] for cell in line[:width].ljust(width)) for line in qr for half in (0, 1)]
    scale = 4
    pixels = b"".join(bytes(255 if bit == "1" else 0 for bit in row for _ in range(scale)) * scale for row in rows)
    path.write_bytes(b"P5 %d %d 255\n" % (len(rows[0]) * scale, len(rows) * scale) + pixels)


@pytest.mark.parametrize("locale", ["C.UTF-8", "C"])
def test_the_qr_code_is_whole_in_a_usual_window_and_is_the_uri(host, user, tmp_path, locale):
    terminal = host.ssh("root", "-t", command=["env", f"LC_ALL={locale}", "vigilctl", "enroll", "totp", user])
    terminal.wait_to_hear(CODE_PROMPT, 15)
    # What is on the screen, not what was said: the code, the URI, the secret and the question.
    shown = terminal.text()
    uri = re.search(r"otpauth://totp/\S+(\n\S+)?(?=\nSecret:)", shown)[0].replace("\n", "")
    picture_of(re.findall(r"^[█▀▄ ]{20,}$", shown, re.MULTILINE), tmp_path / "qr.pgm")
    decoder = shutil.which("zbarimg")
    assert decoder, "the test needs zbarimg, of the package zbar-tools"
    seen = subprocess.run([decoder, "--quiet", "--raw", tmp_path / "qr.pgm"], capture_output=True, text=True,
                          check=False)
    assert seen.stdout.strip() == uri
    terminal.key("ctrl-c")


@pytest.mark.parametrize("digits, made_by", [(8, "sha1"), (6, "sha256"), (8, "sha512")])
def test_an_authenticator_of_another_kind_counts_as_well(host, user, digits, made_by):
    codes = enroll(host, user, digits, made_by)
    kind = "totp" + ("-8" if digits == 8 else "") + ("" if made_by == "sha1" else f"-{made_by}")
    assert [one["kind"] for one in host.vigilctl("factors", user, "--json")] == [kind]
    print(host.vigilctl("factors", user).stdout)
    assert "root" in shell(host, user).run("sudo id -un", codes.fresh())[1]


def test_a_recovery_code_counts_once_where_the_policy_takes_it(host, user):
    enroll(host, user)
    shown = host.vigilctl("recovery-codes", user).stdout
    print(shown)
    first, second, *others = re.findall(r"^    ((?:[a-z2-7]{4}-){3}[a-z2-7]{4})$", shown, re.MULTILINE)
    assert len(others) == 8
    inside = shell(host, user)
    assert "does not take this factor" in inside.run("sudo id -un", first)[1]
    host.policy(RULE.replace("[totp]", "[totp, recovery]"))
    assert "root" in inside.run("sudo id -un", first)[1], "where it is not taken it is not used up"
    assert "root" in inside.run("sudo id -un", second.upper().replace("-", " "))[1]
    assert [one["name"] for one in host.vigilctl("factors", user, "--json") if one["kind"] == "recovery"] == ["8 codes left"]
    again = shell(host, user)
    since = again.start("sudo id -un")
    again.terminal.wait_to_hear(CODE_PROMPT, 15, since)
    again.terminal.send(second + "\r")
    again.terminal.wait_to_hear("That code is not right", 15, since)
    assert [one["name"] for one in host.vigilctl("factors", user, "--json") if one["kind"] == "recovery"] == ["8 codes left"]
    host.policy(RULE)


def test_who_has_an_authenticator_makes_recovery_codes_himself(host, user):
    codes = enroll(host, user)
    without = host.vigilctl("recovery-codes", user=user, check=False)
    assert without.returncode == 1 and "of a device that you have" in one_line(without.stderr, "vigilctl:")
    terminal = host.ssh(user, "-t", command=["vigilctl", "recovery-codes"])
    terminal.wait_to_hear("Code of a device that you have already: ", 10)
    terminal.send(codes.fresh() + "\r")
    terminal.wait_to_hear(r"^    ((?:[a-z2-7]{4}-){3}[a-z2-7]{4})$", 10)
    assert terminal.wait_closed() == 0, terminal.said()
    assert [one["name"] for one in host.vigilctl("factors", user, "--json") if one["kind"] == "recovery"] == ["10 codes left"]


def test_a_code_not_proved_is_not_active(host, user):
    terminal = host.ssh("root", "-t", command=["vigilctl", "enroll", "totp", user])
    secret = terminal.wait_to_hear(r"[?&]secret=([A-Z2-7]+)", 15)[1]
    for _ in range(3):
        since = terminal.mark()
        terminal.wait_to_hear(CODE_PROMPT, 5)
        terminal.send(Codes(host, secret).wrong() + "\r")
        terminal.wait_to_hear("vigilctl: ", 5, since)
    assert terminal.wait_closed() == 1
    assert not [one for one in host.vigilctl("factors", user, "--json") if one["active"]]
    assert "No one-time code" in shell(host, user).run("sudo id -un")[1]


def test_nobody_enrols_lists_or_forgets_for_others(host, user):
    enroll(host, user)
    factor = host.vigilctl("factors", user, "--json")[0]["id"]
    for words in (("enroll", "totp", user), ("factors", user), ("forget", factor)):
        done = host.vigilctl(*words, user="bob", check=False)
        assert done.returncode == 1 and "otpauth" not in done.stdout, done
        one_line(done.stderr, "vigilctl:")
    assert host.vigilctl("factors", user, "--json")[0]["id"] == factor


def test_the_first_code_takes_a_password_or_an_administrators_ticket(host, user):
    done = host.vigilctl("enroll", "totp", user=user, check=False)
    assert done.returncode == 1
    line = one_line(done.stderr, "vigilctl:")
    assert "administrator" in line and "password" in line


def test_a_second_device_takes_a_code_of_the_first(host, user):
    codes = enroll(host, user)
    without = host.vigilctl("enroll", "totp", user=user, check=False)
    assert without.returncode == 1 and "otpauth" not in without.stdout
    assert "of a device that you have" in one_line(without.stderr, "vigilctl:")
    terminal = host.ssh(user, "-t", command=["vigilctl", "enroll", "totp", "--name", "second"])
    terminal.wait_to_hear("Code of a device that you have already: ", 10)
    terminal.send(codes.fresh() + "\r")
    second = Codes(host, terminal.wait_to_hear(r"[?&]secret=([A-Z2-7]+)", 15)[1])
    terminal.wait_to_hear(CODE_PROMPT, 5)
    terminal.send(second.fresh() + "\r")
    assert terminal.wait_closed() == 0, terminal.said()
    assert [one["name"] for one in host.vigilctl("factors", user, "--json")] == ["authenticator", "second"]
    inside = shell(host, user)
    for device in (codes, second):
        assert "root" in inside.run("sudo id -un", device.fresh())[1]


# Not grep: that reads lines, and never finds what has the byte of a line's end in it.
HOLDING = r"""
    undef $/;
    my $pattern = shift;
    for my $path (@ARGV) {
        open(my $file, "<:raw", $path) or next;
        print "$path\n" if <$file> =~ /$pattern/;
    }"""


def places_of(host, pattern):
    """Where on the host these bytes are found: files of vigil's, the journal, what /proc shows of vigild."""
    pid = host.vigild_pid()
    host.run("journalctl --no-pager --all --output=export >/tmp/journal")
    found = host.run("find", "/var/lib/vigil", "/run/vigil", "/var/log", "/run/log", "/tmp/journal",
                     f"/proc/{pid}/environ", f"/proc/{pid}/cmdline", "-type", "f",
                     "-exec", "perl", "-e", HOLDING, pattern, "{}", "+").stdout.split()
    host.run("rm", "/tmp/journal")
    return found


def test_the_secret_is_found_nowhere(host, user):
    codes = enroll(host, user)
    assert "root" in shell(host, user).run("sudo id -un", codes.fresh())[1]
    raw = base64.b32decode(codes.secret + "=" * (-len(codes.secret) % 8))
    assert places_of(host, user), "what is there is found"
    assert places_of(host, codes.secret) == []
    assert places_of(host, "(?i)" + raw.hex()) == []
    assert places_of(host, bytes_of(codes.secret)) == []
    listed = host.vigilctl("factors", user).stdout + str(host.vigilctl("factors", user, "--json"))
    assert codes.secret not in listed and raw.hex() not in listed


# What vigild may write to, of its memory, into a file.
MEMORY = r"""
    awk '$2 ~ /^rw/ { split($1, at, "-"); print at[1], at[2] }' "/proc/$1/maps" | while read -r from to; do
        dd if="/proc/$1/mem" bs=4096 skip=$((0x$from / 4096)) count=$(((0x$to - 0x$from) / 4096)) 2>/dev/null
    done >/tmp/memory"""


def in_memory(host, *patterns):
    """Those of them that are found in vigild's memory."""
    host.run("bash", "-c", MEMORY, "memory", str(host.vigild_pid()))
    found = [each for each in patterns if host.run("perl", "-e", HOLDING, each, "/tmp/memory").stdout]
    host.run("rm", "/tmp/memory")
    return found


def bytes_of(secret):
    raw = base64.b32decode(secret + "=" * (-len(secret) % 8))
    return "".join(f"\\x{byte:02x}" for byte in raw)


def test_what_was_secret_is_wiped_from_vigilds_memory(host, user):
    codes = enroll(host, user)
    shown = host.vigilctl("recovery-codes", user).stdout
    recovery = re.findall(r"^    ((?:[a-z2-7]{4}-){3}[a-z2-7]{4})$", shown, re.MULTILINE)
    assert len(recovery) == 10
    inside = shell(host, user)
    assert "root" in inside.run("sudo id -un", codes.fresh())[1]
    host.policy(RULE.replace("[totp]", "[totp, recovery]"))
    assert "root" in shell(host, user).run("sudo id -un", recovery[0])[1]
    host.policy(RULE)
    assert in_memory(host, user), "what is there is found"
    secrets = [codes.secret, bytes_of(codes.secret), *recovery, *(bytes_of(one.replace("-", "").upper()) for one in recovery)]
    assert in_memory(host, *secrets) == []
    # The key does not go anywhere either, but for where vigild has it.
    key = "".join(f"\\x{byte}" for byte in host.run(
        "systemd-creds decrypt --name=vigil.key /etc/credstore.encrypted/vigil.key - | od -An -v -tx1").stdout.split())
    assert len(key) == 4 * 32
    assert in_memory(host, key), "bytes are found, too"
    assert places_of(host, key) == []


def ends_by_segv(host, unit):
    cursor = host.journal_cursor()
    host.run("systemctl", "kill", "--kill-whom=main", "--signal=SEGV", unit)
    said = lambda: [one["MESSAGE"] for one in host.journal(since=cursor) if unit in one["MESSAGE"] and "status=11" in one["MESSAGE"]]  # noqa: E731
    return wait_until(said, 10, f"{unit} has ended")[0]


def test_vigild_leaves_no_core(host, user):
    """Although its limit would let it; what another program does there shows that the limit is none."""
    codes = enroll(host, user)
    host.write("/etc/systemd/system/vigild.service.d/core.conf", "[Service]\nLimitCORE=infinity\n")
    host.run("systemctl daemon-reload; systemctl restart vigild.service")
    try:
        host.run("touch", "/tmp/before")
        host.run("systemd-run", "--unit=other", "--property=LimitCORE=infinity", "--property=WorkingDirectory=/tmp", "sleep", "1000")
        assert "code=dumped" in ends_by_segv(host, "other.service")
        assert "code=killed" in ends_by_segv(host, "vigild.service")
        cores = host.run("find", "/", "-xdev", "-name", "core*", "-type", "f", "-newer", "/tmp/before", "-size", "+0").stdout.split()
        assert [each for each in cores if not each.startswith(("/proc/", "/sys/", "/tmp/core"))] == []
    finally:
        host.run("rm -rf /etc/systemd/system/vigild.service.d/core.conf /tmp/core*; systemctl daemon-reload; systemctl restart vigild.service")
    wait_until(host.vigild_is_ready, 15, "vigild is there")
    assert "root" in shell(host, user).run("sudo id -un", codes.fresh())[1]


def test_the_files_are_roots_alone(host):
    for path in ("/var/lib/vigil", "/var/lib/vigil/factors.db", "/etc/credstore.encrypted/vigil.key"):
        mode, owner = host.run("stat", "-c", "%a %u", path).stdout.split()
        assert (int(mode, 8) & 0o077, owner) == (0, "0"), path


def test_neither_recovery_codes_nor_used_codes_are_found_anywhere(host, user):
    # Eight digits, and nothing has them by chance.
    codes = enroll(host, user, digits=8)
    used = [codes.at(codes.last), codes.fresh()]
    recovery = recovery_codes(host, user)
    inside = shell(host, user)
    assert "root" in inside.run("sudo -k id -un", used[1])[1]
    host.policy(RULE.replace("[totp]", "[totp, recovery]"))
    assert "root" in inside.run("sudo -k id -un", recovery[0])[1]
    host.policy(RULE)
    # As people have them, as they are compared, and what both stand for.
    wanted = [rf"\b{each}\b" for each in used] + [f"(?i:{form})" for each in recovery for form in (each, each.replace("-", ""))]
    wanted += [bytes_of(each.replace("-", "").upper()) for each in recovery]
    assert places_of(host, "|".join([*wanted, user])), "what is there is found"
    assert places_of(host, "|".join(wanted)) == []


@pytest.fixture
def second_host(request):
    with new_host(request, "second") as second:
        second.install()
        let_sshd_take_all(second)
        second.write("/etc/sudoers.d/tests", "%sudo ALL=(ALL:ALL) NOPASSWD: ALL\n", "0440")
        second.policy(RULE.replace("[totp]", "[totp, recovery]"))
        yield second


def read_key(host):
    return host.run("systemd-creds decrypt --name=vigil.key /etc/credstore.encrypted/vigil.key - | base64 -w0").stdout


def put_factors(host, database, key=None):
    """In place of its own, as from a backup: vigild is started with them."""
    host.run("systemctl stop vigild.service vigild.socket; rm -f /var/lib/vigil/factors.db*")
    host.run("base64 -d >/var/lib/vigil/factors.db && chmod 0600 /var/lib/vigil/factors.db", input=database)
    if key:
        host.run("base64 -d | systemd-creds encrypt --quiet --with-key=host --name=vigil.key - "
                 "/etc/credstore.encrypted/vigil.key", input=key)
    host.run("systemctl start vigild.socket vigild.service")


def test_a_database_copied_to_another_host_opens_with_its_own_key_alone(host, user, second_host):
    codes = enroll(host, user)
    recovery = recovery_codes(host, user)
    # The same number: what is sealed is of him, there as here.
    other = person(second_host, "sudo")
    second_host.run("usermod", "-u", host.run("id", "-u", user).stdout.strip(), other)
    theirs = enroll(second_host, other)
    inside = shell(second_host, other)
    assert "root" in inside.run("sudo id -un", theirs.fresh())[1]
    host.run("systemctl stop vigild.service vigild.socket")
    database = host.run("base64 -w0 /var/lib/vigil/factors.db").stdout
    host.run("systemctl start vigild.socket vigild.service")
    assert read_key(host) != read_key(second_host)

    put_factors(second_host, database)
    for code in (codes.fresh(), recovery[0]):
        assert inside.run(f"echo {code} | sudo -S id -un")[0] != 0
    one_line(inside.run("sudo id -un")[1], "code|vigil")
    done = second_host.vigilctl("factors", other, check=False)
    assert done.returncode != 0 and done.stdout == ""
    wanted = [codes.secret, bytes_of(codes.secret), *recovery, *(bytes_of(one.replace("-", "").upper()) for one in recovery)]
    assert places_of(second_host, "|".join(wanted)) == []

    put_factors(second_host, database, read_key(host))
    for code in (codes.fresh(), recovery[0]):
        assert "root" in inside.run(f"echo {code} | sudo -S id -un")[1]
    assert [one["name"] for one in second_host.vigilctl("factors", other, "--json")] == ["authenticator", "9 codes left"]


def test_the_fifth_wrong_code_in_a_row_is_an_alert(host, user):
    codes = enroll(host, user)
    inside = shell(host, user)
    for tries in (3, 2):
        since = inside.start("sudo id -un")
        for _ in range(tries):
            at = inside.terminal.wait_to_hear(CODE_PROMPT, 15, since).end()
            assert not host.journal(VIGIL_EVENT="codes-guessed", VIGIL_USER=user)
            inside.terminal.send(codes.wrong() + "\r")
            since += at
        inside.terminal.wait_to_hear(r"not right|try again in 30 s", 15, since)
        inside.finish(since)
    alert, = host.journal(VIGIL_EVENT="codes-guessed", VIGIL_USER=user)
    assert (alert["PRIORITY"], alert["VIGIL_SERVICE"]) == ("1", "sudo") and "5 wrong codes in a row" in alert["MESSAGE"]
    assert "Somebody guesses the one-time codes" in host.run("journalctl", "-x", "-o", "short", "VIGIL_EVENT=codes-guessed").stdout


def test_the_fifth_wrong_code_at_an_enrolment_is_an_alert_too(host, user):
    for tries in (3, 2):
        terminal = host.ssh("root", "-t", command=["vigilctl", "enroll", "totp", user])
        codes = Codes(host, terminal.wait_to_hear(r"[?&]secret=([A-Z2-7]+)", 15)[1])
        for _ in range(tries):
            since = terminal.mark()
            terminal.wait_to_hear(CODE_PROMPT, 5)
            assert not host.journal(VIGIL_EVENT="codes-guessed", VIGIL_USER=user)
            terminal.send(codes.wrong() + "\r")
            terminal.wait_to_hear("vigilctl: ", 5, since)
        terminal.key("ctrl-c")
    alert, = host.journal(VIGIL_EVENT="codes-guessed", VIGIL_USER=user)
    assert (alert["PRIORITY"], alert["VIGIL_SERVICE"]) == ("1", "vigilctl") and "5 wrong codes in a row" in alert["MESSAGE"]
    # Nobody waits for them.
    codes = enroll(host, user)
    assert "root" in shell(host, user).run("sudo id -un", codes.fresh())[1]


def guess(inside, codes, tries):
    since = inside.start("sudo id -un")
    for _ in range(tries):
        since += inside.terminal.wait_to_hear(CODE_PROMPT, 15, since).end()
        inside.terminal.send(codes.wrong() + "\r")
    inside.terminal.wait_to_hear(r"not right|try again in \d+ s", 15, since)
    return inside.finish(since)


def test_guesses_from_elsewhere_make_strangers_wait_and_not_the_person_at_his_place(host, user):
    codes = enroll(host, user)
    home, stranger = shell(host, user), Shell(host.login(user, source=ELSEWHERE))
    assert "root" in home.run("sudo id -un", codes.fresh())[1]
    for tries in (3, 2):
        guess(stranger, codes, tries)
    assert "try again in" in one_line(stranger.run("sudo id -un")[1], "again")
    other = Shell(host.login(user, source=YET_ELSEWHERE))
    assert "try again in" in one_line(other.run("sudo id -un")[1], "again")
    # Another terminal of his, where nothing is proved yet.
    again = shell(host, user)
    assert "root" in again.run("sudo id -un", codes.fresh())[1]
    host.run("systemctl", "kill", "--signal=KILL", "vigild.service")
    assert "try again in" in one_line(stranger.run("sudo id -un")[1], "again")


def test_a_code_counts_one_step_off_the_clock_and_never_backwards(host, of_long_ago):
    name, codes = of_long_ago
    inside = shell(host, name)

    def in_the_beginning_of_a_step():
        step, second = divmod(time.time(), codes.period)
        return step > codes.last + 2 and second < codes.period / 2 and int(step)
    now = wait_until(in_the_beginning_of_a_step, 4 * codes.period, "the step of the enrolment is more than two off")
    for step in (now - 2, now + 2):
        assert_refused(inside, codes.at(step))
    for step in (now - 1, now + 1):
        assert "root" in inside.run("sudo -k id -un", codes.at(step))[1]
    # It was not used, and is the one of this moment.
    assert_refused(inside, codes.at(now))
    assert int(time.time() / codes.period) == now, "all of it was in one step"


def assert_refused(inside, code):
    since = inside.start("sudo -k id -un")
    at = since + inside.terminal.wait_to_hear(CODE_PROMPT, 15, since).end()
    inside.terminal.send(code + "\r")
    inside.terminal.wait_to_hear("That code is not right", 15, at)
    inside.give_up(at)
