"""What has no terminal beside a limit for idleness: a copy in progress is never cut, what nobody works at is ended."""

import shlex
import subprocess
import time

import pytest
from policies import limits
from sessions import Session
from vigilhost import wait_until

# The limit of these tests. What works is looked at once in it; so the end comes after twice that at the latest.
LIMIT = 4
# How late a thing may be seen over ssh, on a busy machine.
SEEN = 3
SIZE = 320_000
pytestmark = pytest.mark.usefixtures("nobody_stays")


class Transfer(Session):
    """A program of this machine's that moves a file over ssh, and the session that it is in."""

    def __init__(self, host, words, **streams):
        super().__init__(host, "alice")
        self.process = self.begin(lambda: subprocess.Popen(words, stderr=subprocess.DEVNULL, **streams), 10)
        self.began = time.monotonic()

    def is_over(self):
        return self.process.poll() is not None

    def close(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def transfers():
    started = []
    yield started
    for one in started:
        one.close()


def ssh_as_program(host, tmp_path):
    """For -S of scp(1) and sftp(1): the client with all its options."""
    by = tmp_path / "ssh"
    by.write_text(f"#!/bin/sh\nexec {shlex.join(host.ssh_command('alice')[:-1])} \"$@\"\n", encoding="ascii")
    by.chmod(0o755)
    return str(by)


def done_in_its_time(transfer):
    """All of it came, and it took longer than an idle one would have been left."""
    wait_until(transfer.is_over, 60, "the copy is done")
    assert transfer.process.returncode == 0 and transfer.told("session-ending") == []
    assert time.monotonic() - transfer.began > 3 * LIMIT


def test_a_download_by_sftp_is_never_cut(host, transfers, tmp_path):
    limits(host, "classes: [transfer, command]", idle_terminate=f"{LIMIT}s")
    host.run(f"head -c {SIZE} /dev/zero >/home/alice/file")
    # 20 kB/s, and one piece under way at a time.
    words = ["sftp", "-S", ssh_as_program(host, tmp_path), "-l", "160", "-R", "1", "-B", "4096",
             "alice@127.0.0.1:file", str(tmp_path / "copied")]
    transfers.append(Transfer(host, words, stdout=subprocess.DEVNULL))
    done_in_its_time(transfers[0])
    assert (tmp_path / "copied").stat().st_size == SIZE


@pytest.mark.parametrize("name", ["rsync", "cat"])
def test_what_writes_into_its_connection_is_never_cut(host, transfers, name):
    """By its name vigil takes the one for a transfer and the other for a command."""
    limits(host, "classes: [transfer, command]", idle_terminate=f"{LIMIT}s")
    slowly = "#!/bin/sh\nfor n in $(seq 80); do head -c 4000 /dev/zero; sleep 0.2; done\n"
    host.write(f"/home/alice/{name}", slowly, "0755")
    transfers.append(Transfer(host, host.ssh_command("alice", "-T", command=[f"exec ./{name}"]), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE))
    assert len(transfers[0].process.stdout.read()) == SIZE
    done_in_its_time(transfers[0])


def test_a_command_that_waits_is_ended_where_the_policy_names_commands(host, transfers):
    limits(host, "classes: [command]", idle_terminate=f"{LIMIT}s")
    transfers.append(Transfer(host, host.ssh_command("alice", "-T", command=["sleep 4321"]), stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL))
    # An sftp beside it, as quiet, is of another class.
    transfers.append(Transfer(host, host.ssh_command("alice", "-s", command=["sftp"]), stdin=subprocess.PIPE,
                              stdout=subprocess.DEVNULL))
    command, other = transfers
    wait_until(command.is_over, 2 * LIMIT + SEEN, "its connection is closed")
    assert time.monotonic() - command.began >= LIMIT
    assert f"it was idle for {LIMIT} s" in command.told("session-ending")[0]
    wait_until(lambda: not host.pids("-fx", "sleep 4321"), 5, "it is ended, too")
    assert other.state() == "active" and not other.is_over()


def test_a_command_that_works_is_not_ended_where_the_policy_names_commands(host, transfers):
    limits(host, "classes: [command]", idle_terminate=f"{LIMIT}s")
    host.write("/home/alice/works", f"end=$((SECONDS + {4 * LIMIT})); while [ $SECONDS -lt $end ]; do :; done; echo done\n")
    transfers.append(Transfer(host, host.ssh_command("alice", "-T", command=["bash works"]), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE))
    assert transfers[0].process.stdout.read() == b"done\n"
    done_in_its_time(transfers[0])
