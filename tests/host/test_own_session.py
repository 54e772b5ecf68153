"""`vigilctl lock` by who leaves: the terminal where it is typed is locked, whatever lies between, or none is."""

import pytest
from logins import LOCK_SCREEN, SHELL, Login, unlock
from vigilhost import wait_until

pytestmark = pytest.mark.usefixtures("nobody_stays")

REFUSED = "it cannot be told at which terminal you are"


@pytest.fixture(autouse=True)
def no_server_stays(host, nobody_stays):
    host.policy("version: 1\n")
    yield
    host.run("pkill", "-KILL", "-u", "alice", "-f", "^(tmux|screen|SCREEN)", check=False)


def attached(login, command="tmux attach"):
    """In the pane its shell answers, and the server draws no more."""
    login.type(command + "\r")
    login.screen.wait_for(r"\[\d+\] 0:bash\*")
    assert login.answers()


def starts_server(host, login):
    login.type("tmux -f /dev/null new -d\r")
    wait_until(lambda: host.pids("-x", "tmux: server"), 10, "the server runs")


def said(login):
    """What vigilctl wrote, the exit status last."""
    read = lambda: login.host.run("cat", f"/home/{login.user}/said", check=False).stdout  # noqa: E731
    return wait_until(lambda: (text := read()).endswith("done\n") and text, 15, "vigilctl has answered")


def types(login, command):
    login.host.run("rm", "-f", f"/home/{login.user}/said")
    login.type(f"{{ {command}; echo $? done; }} >said 2>&1\r")


def leaves(login, command="vigilctl lock"):
    types(login, command)
    return said(login)


def name(login):
    return f"{login.id[:8]} of {login.user}"


def pts(login):
    return login.path.removeprefix("/dev/")


def test_in_an_older_logins_tmux_the_terminal_is_locked_at_which_it_is_typed(host):
    older, newer = Login(host, "alice"), Login(host, "alice")
    starts_server(host, older)
    attached(newer)
    assert leaves(newer) == f"locked {name(newer)}, at {pts(newer)}\n0 done\n"
    newer.screen.wait_for(LOCK_SCREEN)
    assert (newer.state(), older.state()) == ("locked", "active")
    assert older.answers()


def test_in_a_tmux_whose_login_is_over_too(host):
    older = Login(host, "alice")
    starts_server(host, older)
    older.close()
    wait_until(lambda: older.state() == "gone", 15, "its login is over")
    bystander, newer = Login(host, "alice"), Login(host, "alice")
    attached(newer)
    assert leaves(newer) == f"locked {name(newer)}, at {pts(newer)}\n0 done\n"
    newer.screen.wait_for(LOCK_SCREEN)
    assert (newer.state(), bystander.state()) == ("locked", "active")


def test_all_terminals_that_show_it_are_locked_and_named(host):
    one, other = Login(host, "alice"), Login(host, "alice")
    starts_server(host, one)
    attached(one)
    attached(other)
    text = leaves(other)
    assert sorted(text.splitlines()) == sorted(
        [f"locked {name(login)}, at {pts(login)}" for login in (one, other)] + ["0 done"])
    assert (one.state(), other.state()) == ("locked", "locked")


def test_a_tmux_client_that_is_stopped_is_nobodys_place(host):
    older, newer = Login(host, "alice"), Login(host, "alice")
    starts_server(host, older)
    attached(older)
    # What is typed while tmux still greets its terminal it may take for the terminal's answer.
    wait_until(lambda: older.type("\x02\x1a") or older.screen.comes_to_show("Stopped", 2), 10, "the client is stopped")
    assert older.answers()
    attached(newer)
    assert leaves(newer) == f"locked {name(newer)}, at {pts(newer)}\n0 done\n"
    assert older.state() == "active"


def test_in_a_tmux_that_nobody_sees_it_is_refused(host):
    alice = Login(host, "alice")
    host.run("rm", "-f", "/home/alice/said")
    alice.type("tmux -f /dev/null new -d 'while pgrep -x \"tmux: client\"; do :; done; "
               "{ vigilctl lock; echo $? done; } >said 2>&1'\r")
    text = said(alice)
    assert text.count("\n") == 2 and text.endswith("\n1 done\n")
    assert REFUSED in text and "vigilctl lock ID" in text and "vigilctl list" in text
    assert alice.state() == "active"


def test_in_screen_it_is_refused(host):
    older, newer = Login(host, "alice"), Login(host, "alice")
    older.type("screen -dm\r")
    wait_until(lambda: host.pids("-f", "^SCREEN"), 10, "it runs")
    newer.type("screen -r\r")
    newer.screen.wait_for(SHELL)
    wait_until(lambda: host.pids("-f", "^screen -r"), 10, "it is attached")
    text = leaves(newer)
    assert REFUSED in text and "vigilctl lock ID" in text and "vigilctl list" in text and text.endswith("\n1 done\n")
    assert (newer.state(), older.state()) == ("active", "active")


def test_who_is_at_sudos_or_scripts_terminal_is_at_that_of_the_login(host):
    host.write("/etc/sudoers.d/own", "Defaults use_pty\nalice ALL=(ALL) NOPASSWD: ALL\n", "0440")
    try:
        alice = Login(host, "alice")
        for command in ("sudo vigilctl lock", "script -qc 'vigilctl lock' /dev/null"):
            types(alice, command)
            alice.screen.wait_for(LOCK_SCREEN)
            # It stood still with the rest of the session.
            unlock(alice)
            assert said(alice).replace("\r", "") == f"locked {name(alice)}, at {pts(alice)}\n0 done\n"
        starts_server(host, Login(host, "alice"))
        attached(alice)
        assert leaves(alice, "sudo vigilctl lock") == f"locked {name(alice)}, at {pts(alice)}\n0 done\n"
    finally:
        host.run("rm", "/etc/sudoers.d/own")


def test_the_second_terminal_of_a_connection_is_the_logins(host):
    path = host.control_path()
    first = Login(host, "alice", "-M", "-S", path)
    second = host.ssh("alice", "-t", "-S", path)
    second.wait_for(SHELL, 15)
    second.send("vigilctl lock\r")
    first.screen.wait_for(LOCK_SCREEN)
    second.wait_for(LOCK_SCREEN)
    assert first.state() == "locked"


def test_the_session_in_which_all_are_locked_is_the_last_of_them(host):
    """vigilctl stands still with it."""
    oldest, others = Login(host, "alice"), [Login(host, "alice"), Login(host, "alice")]
    oldest.type("vigilctl lock --user alice\r")
    for one in [*others, oldest]:
        one.screen.wait_for(LOCK_SCREEN)
        unlock(one)
    assert oldest.answers()
    for one in [*others, oldest]:
        oldest.screen.wait_for(f"^locked {name(one)}$")
