"""vigilctl rekey: a new key for all that is sealed; and kill -9 of all that has a part in it, before each of its steps."""

import base64
import itertools

import pytest
from kills import Traced
from people import enroll, let_sshd_take_all, one_line, person, shell
from vigilhost import wait_until

STORE = "/etc/credstore.encrypted"
RULE = "version: 1\nstep_up:\n  - match: {groups: [sudo], services: [sudo]}\n    require: [totp]\n"
RESTART = "systemctl restart vigild.service"


@pytest.fixture(scope="module", autouse=True)
def rule(host):
    let_sshd_take_all(host)
    host.write("/etc/sudoers.d/tests", "%sudo ALL=(ALL:ALL) NOPASSWD: ALL\n", "0440")
    host.policy(RULE)


@pytest.fixture(scope="module")
def user(host):
    return person(host, "sudo")


@pytest.fixture(scope="module")
def codes(host, user):
    return enroll(host, user)


def keys(host):
    return sorted(host.run("ls", "-A", STORE).stdout.split())


def opens(host):
    """A vigild that starts now opens its database."""
    host.run(RESTART)
    wait_until(host.vigild_is_ready, 15, "vigild is there")
    return host.vigilctl("factors", check=False).returncode == 0


def test_all_is_sealed_under_a_new_key(host, user, codes):
    host.run(f"{RESTART}; mkdir -p /root/before; cp -a {STORE}/. /root/before/")
    before = keys(host)
    assert before == ["vigil.key"]
    said = host.vigilctl("rekey").stdout
    print(said)
    assert said == "1 secret is sealed under the new key vigil.key.2, and vigil.key is gone.\n"
    assert keys(host) == ["vigil.key.2"]
    record, = host.journal(VIGIL_EVENT="factors-rekeyed")
    assert record["VIGIL_USER"] == "root" and record["PRIORITY"] == "5" and "1 secret" in record["MESSAGE"]
    inside = shell(host, user)
    assert "root" in inside.run("sudo id -un", codes.fresh())[1]
    assert opens(host)
    assert "root" in inside.run("sudo id -un", codes.fresh())[1]
    # What the key of before opens is gone with it.
    host.run(f"mv {STORE}/vigil.key.2 /root/ && cp -a /root/before/vigil.key {STORE}/")
    assert not opens(host)
    assert "another key" in host.vigilctl("status").stdout
    host.run(f"rm {STORE}/vigil.key && mv /root/vigil.key.2 {STORE}/")
    assert opens(host)
    assert host.vigilctl("rekey").stdout.endswith("under the new key vigil.key, and vigil.key.2 is gone.\n")
    assert keys(host) == ["vigil.key"] and opens(host)


def test_the_key_is_in_no_argument_and_no_environment(host, codes):
    """Of no program that has a part in it."""
    host.vigilctl("rekey")
    host.run("strace", "-f", "-qq", "-v", "-xx", "-s", "10000", "-o", "/tmp/calls", "-e", "trace=execve", "vigilctl", "rekey")
    assert keys(host) == ["vigil.key"]
    key = bytes.fromhex(host.run(f"systemd-creds decrypt --name=vigil.key {STORE}/vigil.key - | od -An -v -tx1").stdout)
    assert len(key) == 32
    calls = host.read("/tmp/calls")
    shown = lambda text: "".join(f"\\x{byte:02x}" for byte in text)  # noqa: E731
    assert calls.count(shown(b"--name=vigil.key")) == 3, "what is there is found"
    for form in (key, key.hex().encode(), base64.b64encode(key)):
        assert shown(form) not in calls


def test_several_at_once_leave_one_key_that_opens(host, user, codes):
    done = host.run("for i in 1 2 3 4 5 6; do vigilctl rekey & done; wait", check=False)
    print(done.stdout + done.stderr)
    said = (done.stdout + done.stderr).splitlines()
    assert len(said) == 6 and all("is gone" in line or "another rekey is under way" in line for line in said)
    assert len(keys(host)) == 1 and opens(host)
    if keys(host) != ["vigil.key"]:
        host.vigilctl("rekey")


def test_it_is_roots_alone(host, user, codes):
    done = host.vigilctl("rekey", user=user, check=False)
    assert done.returncode == 1 and "root" in one_line(done.stderr, "vigilctl:")
    assert keys(host) == ["vigil.key"]


@pytest.mark.parametrize("away, back, says, status", [
    ("systemctl kill --signal=STOP vigild.service", "systemctl kill --signal=CONT vigild.service", "vigild does not answer", 3),
    ("mv /usr/bin/systemd-creds /root/", "mv /root/systemd-creds /usr/bin/", "systemd-creds is not here", 1),
    (f"mkdir -p /root/kept; cp -a {STORE}/vigil.key /root/kept/; mount -t tmpfs -o size=4k,mode=700 none {STORE}; "
     f"cp -a /root/kept/vigil.key {STORE}/", f"umount {STORE}", "No space left", 1),
], ids=["vigild hangs", "without systemd-creds", "full disk"])
def test_where_it_cannot_be_done_it_says_so_and_changes_nothing(host, codes, away, back, says, status):
    host.run(away)
    try:
        done = host.vigilctl("rekey", check=False)
        print(done.stderr)
        assert done.returncode == status and says in one_line(done.stderr, "vigilctl:")
        assert keys(host) == ["vigil.key"]
    finally:
        host.run(back)
    assert opens(host)


def test_the_disk_of_the_database_is_full(host, codes):
    host.run("systemctl stop vigild.service vigild.socket; mkdir -p /root/state; cp -a /var/lib/vigil/. /root/state/; "
             "mount -t tmpfs -o size=1m,mode=700 none /var/lib/vigil; cp -a /root/state/. /var/lib/vigil/; "
             "systemctl start vigild.socket vigild.service")
    try:
        host.run("dd if=/dev/zero of=/var/lib/vigil/fill bs=4k", check=False)
        done = host.vigilctl("rekey", check=False)
        assert done.returncode == 1 and "both keys are kept" in one_line(done.stderr, "vigilctl:")
        assert keys(host) == ["vigil.key", "vigil.key.2"]
        host.run("rm", "/var/lib/vigil/fill")
        assert opens(host)
        assert any("a rekey was not finished, vigil.key is in use" in one["MESSAGE"]
                   for one in host.journal(_SYSTEMD_UNIT="vigild.service"))
        host.vigilctl("rekey")
        assert keys(host) == ["vigil.key.2"] and opens(host)
        host.vigilctl("rekey")
    finally:
        host.run("systemctl stop vigild.service vigild.socket; cp -a /var/lib/vigil/. /root/state/; umount /var/lib/vigil; "
                 "cp -a /root/state/. /var/lib/vigil/; systemctl start vigild.socket vigild.service")
    assert keys(host) == ["vigil.key"] and opens(host)


# What vigilctl, vigil-key and what they run change things with.
CALLS = ("write", "renameat2", "rename", "unlinkat", "unlink", "fsync", "sendmsg", "memfd_create", "execve")


def test_a_kill_of_vigilctl_or_a_program_of_its_at_any_step_leaves_what_opens(host, user, codes):
    states, kills = set(), 0
    for call in CALLS:
        for number in itertools.count(1):
            done = host.run("strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}",
                            "-e", f"inject={call}:signal=SIGKILL:when={number}", "vigilctl", "rekey", check=False)
            states.add(tuple(name for name in keys(host) if not name.startswith(".")))
            assert opens(host), (call, number, done.stderr)
            if done.returncode == 0:
                break
            kills += 1
            assert number < 100, call
    assert kills > 8
    assert {("vigil.key", "vigil.key.2")} <= states, states
    # And it goes on from there.
    host.vigilctl("rekey")
    assert len(keys(host)) == 1
    assert "root" in shell(host, user).run("sudo id -un", codes.fresh())[1]


def test_a_kill_of_vigild_at_any_step_leaves_what_opens(host, user, codes):
    in_use, kills = set(), 0
    for call in ("pwrite64", "fdatasync", "fsync", "ftruncate", "sendmsg"):
        for number in range(1, 40):
            traced = Traced(host, "-o", "/dev/null", "-e", f"trace={call}",
                            "-e", f"inject={call}:signal=SIGKILL:when={number}")
            done = host.vigilctl("rekey", check=False)
            killed = traced.leave()
            assert killed or done.returncode == 0, done.stderr
            assert opens(host), (call, number, done.stderr)
            if not killed:
                break
            kills += 1
            if done.returncode != 0:
                assert "both keys are kept" in done.stderr or done.returncode == 3, done.stderr
            # Which of the two it was by then is in what the next one says.
            said = [one["MESSAGE"] for one in host.journal(_SYSTEMD_UNIT="vigild.service") if "rekey was not" in one["MESSAGE"]]
            in_use |= {(tuple(keys(host)), said[-1])} if said else set()
            host.vigilctl("rekey")
            assert len(keys(host)) == 1
    assert kills > 5 and len(in_use) > 1, in_use
    assert "root" in shell(host, user).run("sudo id -un", codes.fresh())[1]
