"""The host itself and the eyes and hands of the tests, before any test of vigil leans on them."""

import time

import pytest
from vigilhost import PASSWORDS, wait_until
from terminal import Terminal


def test_the_host_boots_without_a_failed_unit(bare_host):
    assert bare_host.run("systemctl", "is-system-running").stdout.strip() == "running"


def test_the_host_has_a_pure_cgroup_v2_tree(bare_host):
    assert bare_host.run("stat", "-f", "-c", "%T", "/sys/fs/cgroup").stdout.strip() == "cgroup2fs"


def test_the_host_has_loopback_alone(bare_host):
    links = bare_host.run("ip", "-brief", "link").stdout.splitlines()
    assert [line.split()[0] for line in links] == ["lo"]


def test_a_failing_command_is_a_failure_with_its_output(bare_host):
    with pytest.raises(AssertionError, match="no such thing"):
        bare_host.run("echo no such thing; exit 3")


@pytest.mark.parametrize("by", ["key", "password"])
def test_ssh_logs_in(bare_host, by):
    session = bare_host.login("alice", by=by)
    session.send("echo I am $(id -un)\r")
    session.wait_for("^I am alice$")
    session.send("exit 7\r")
    assert session.wait_closed() == 7


def test_ssh_refuses_a_wrong_password(bare_host):
    session = bare_host.ssh("alice", "-o", "NumberOfPasswordPrompts=1", by="password")
    session.wait_for("assword:")
    session.send("wrong\r")
    assert session.wait_closed() == 255
    assert "Permission denied" in session.said()


def test_ssh_runs_a_command_without_a_terminal(bare_host):
    done = bare_host.ssh_run("bob", "cat; tty; exit 4", input="one line\n")
    assert (done.returncode, done.stdout) == (4, "one line\nnot a tty\n")


def test_logind_lists_the_session(bare_host):
    with_none = len(bare_host.sessions())
    session = bare_host.login("alice")
    seen = bare_host.sessions()
    assert len(seen) == with_none + 1
    assert [(one["Name"], one["Remote"], one["Service"]) for one in seen if one["State"] == "active"][-1:] == [
        ("alice", "yes", "sshd")]
    session.close()
    wait_until(lambda: len(bare_host.sessions()) == with_none, 10, "the session ends with its client")


def test_one_connection_carries_two_terminals(bare_host):
    control = bare_host.one_connection()
    first = bare_host.login("bob", *control)
    second = bare_host.login("bob", *control)
    for terminal in (first, second):
        terminal.send("tty; echo session=$XDG_SESSION_ID\r")
    numbers = [terminal.wait_for(r"^session=(\S+)$")[1] for terminal in (first, second)]
    terminals = [terminal.wait_for(r"^/dev/pts/(\d+)$")[1] for terminal in (first, second)]
    assert numbers[0] == numbers[1]
    assert terminals[0] != terminals[1]
    second.close()
    first.close()


def test_sudo_asks_for_the_password_and_takes_it(bare_host):
    session = bare_host.login("alice")
    session.send("sudo -k; sudo id -un\r")
    session.wait_for("password for alice:")
    session.send(PASSWORDS["alice"] + "\r")
    session.wait_for("^root$")
    session.close()


def test_a_user_outside_the_group_sudo_is_refused(bare_host):
    session = bare_host.login("bob")
    session.send("sudo id -un\r")
    session.wait_for("password for bob:")
    session.send(PASSWORDS["bob"] + "\r")
    session.wait_for("not in the sudoers file")
    session.close()


def test_the_screen_shows_what_tput_draws(bare_host):
    session = bare_host.login("alice", rows=20, columns=60)
    session.send("clear; tput cup 9 30; printf 'in the middle'; tput cup 15 0\r")
    session.wait_for("in the middle$")
    assert session.lines()[9] == " " * 30 + "in the middle"
    session.close()


def test_the_screen_shows_what_vim_draws_and_its_keys_work(bare_host):
    session = bare_host.login("alice")
    session.send("vi -u NONE /tmp/written\r")
    session.wait_for("^~$")
    session.send("ifirst line")
    session.key("enter")
    session.send("second line")
    session.key("escape", "up")
    session.send("x:wq\r")  # the cursor went up to the last letter there
    session.wait_for(r"alice@.*\$ $|alice@.*\$$")
    assert bare_host.read("/tmp/written") == "first lin\nsecond line\n"
    session.close()


def test_a_time_is_known_to_a_fraction_of_a_second(bare_host):
    session = bare_host.login("alice")
    session.send("sleep 0.5; echo awa''ke\r")
    session.wait_for("^awake$")
    assert 0.4 < time.monotonic() - session.last_input < 2
    session.close()


def test_what_arrives_while_the_screen_is_looked_at_is_seen():
    class Slow(Terminal):
        """As on a busy machine: the text arrives between the first look and the wait for more."""

        before = None

        def text(self):
            if self.before is not None:
                return super().text()
            self.before = super().text()
            self.send("x")
            arrives = time.monotonic() + 1
            while b"x" not in self.output and time.monotonic() < arrives:
                time.sleep(0.01)
            return self.before
    echo = Slow(["/bin/cat"])
    began = time.monotonic()
    echo.wait_for("^x$")
    assert time.monotonic() - began < 5, "not by the last look of all"
    echo.close()


def test_the_journal_is_read_by_field(bare_host):
    cursor = bare_host.journal_cursor()
    bare_host.run("logger", "--journald",
                  input="MESSAGE_ID=0123456789abcdef0123456789abcdef\nMESSAGE=seen\nVIGIL_TEST=1\n")
    records = wait_until(
        lambda: bare_host.journal(since=cursor, MESSAGE_ID="0123456789abcdef0123456789abcdef"), 5, "the record")
    assert [(one["MESSAGE"], one["VIGIL_TEST"]) for one in records] == [("seen", "1")]


def test_waiting_for_what_never_comes_says_what_it_was():
    with pytest.raises(AssertionError, match="the sun rises"):
        wait_until(lambda: False, 0.1, "the sun rises")
