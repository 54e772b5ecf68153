"""A login from its account phase to its end, across every end of vigild."""

import contextlib
import os
import signal
import stat
import subprocess

import pytest

from daemon import LOGIN, NEVER, NOBODY, NOT_A_LOGIN, REFUSED, RESERVED, eventually, login, refused

LIMITED = """version: 1
sessions:
  - name: contractors
    match: {users: [daemon]}
    access: deny
    message: Contractors log in on working days.
  - name: everyone
    max_duration: 1h
    idle_lock: 5m
    max_sessions: {user: 2, when_reached: deny}
"""


@pytest.fixture(name="limited")
def limited_fixture(vigild):
    vigild.write_policy(LIMITED)
    return vigild.start()


def test_a_login_is_reserved_prepared_confirmed_and_released(limited):
    leader = limited.leader()
    assert limited.reserve(leader) == [RESERVED, "", 3600]
    [reserved] = limited.sessions().values()
    assert (reserved["state"], reserved["leader_pid"]) == ("reserved", leader.process.pid)
    assert limited.call("Prepare", "h", 0, fds=[leader.pidfd]) == [3600]
    id_ = limited.confirm(leader, login(terminal="pts/9"))
    session = limited.sessions()[id_]
    assert (session["state"], session["user"], session["rule"]) == ("active", "nobody", "everyone")
    assert (session["max_duration"], session["idle_lock"], session["idle_terminate"]) == (3600, 300, NEVER)
    assert limited.call("Show", "s", id_)[0]["leader_pid"] == leader.process.pid
    assert limited.call("Release", "h", 0, fds=[leader.pidfd]) == []
    assert limited.sessions() == {}


@pytest.mark.parametrize("confirmed", [False, True])
def test_the_end_of_its_leader_is_the_end_of_a_login(limited, confirmed):
    limited.answers_logins()  # the first write opens the store's log, to stay
    fds = limited.fds()
    leader = limited.leader()
    limited.reserve(leader)
    if confirmed:
        limited.confirm(leader)
    leader.end()
    eventually(lambda: limited.sessions() == {})
    eventually(lambda: limited.fds() <= fds)


def test_a_leader_that_ended_while_vigild_was_away_is_seen_at_its_start(limited):
    leader, _ = limited.open()
    other, kept = limited.open()
    limited.stop(signal.SIGKILL)
    leader.end()
    limited.start()
    assert list(limited.sessions()) == [kept]
    assert other.process.poll() is None


def test_a_repeated_question_is_about_the_same_login(limited):
    leader = limited.leader()
    for _ in range(5):
        assert limited.reserve(leader)[0] == RESERVED
    assert len(limited.sessions()) == 1
    first = limited.confirm(leader)
    assert limited.confirm(leader) == first
    assert limited.reserve(leader)[0] == NOT_A_LOGIN


def test_max_sessions_counts_those_of_a_user_alone(limited):
    first, _ = limited.open()
    limited.open()
    third = limited.leader()
    verdict, reason, _ = limited.reserve(third)
    assert verdict == REFUSED and "2 sessions" in reason and "everyone" in reason
    assert limited.reserve(third, login("games", 5))[0] == RESERVED
    first.end()
    eventually(lambda: len(limited.sessions()) == 2)
    assert limited.reserve(limited.leader())[0] == RESERVED


def test_max_sessions_counts_across_a_kill(limited):
    limited.open()
    limited.open()
    limited.restart(signal.SIGKILL)
    assert limited.reserve(limited.leader())[0] == REFUSED


def test_the_policys_no_comes_with_its_words(limited):
    assert limited.reserve(limited.leader(), login("daemon", 1)) == [
        REFUSED, "Contractors log in on working days.", NEVER]
    assert limited.sessions() == {}


def at_terminal(vigild, terminal, uid=0):
    """A leader whose controlling terminal it is."""
    leader = vigild.leader(uid, ["setsid", "--ctty", "sleep", "infinity"], terminal)

    def sits():
        with open(f"/proc/{leader.process.pid}/stat", encoding="ascii") as file:
            return int(file.read().rsplit(")", 1)[1].split()[4]) == os.fstat(terminal).st_rdev
    eventually(sits)
    return leader


@pytest.fixture(name="terminals")
def terminals_fixture():
    """A console, as a container has one (the tests have their own mounts), and a terminal that is none."""
    console, other = os.openpty(), os.openpty()
    with contextlib.suppress(FileExistsError):  # as every machine has it; a container may have none
        os.mknod("/dev/console", stat.S_IFCHR | 0o600, os.makedev(5, 1))
    subprocess.run(["mount", "--bind", os.ttyname(console[1]), "/dev/console"], check=True)
    yield console[1], other[1]
    subprocess.run(["umount", "/dev/console"], check=True)
    for each in (*console, *other):
        os.close(each)


def test_root_at_the_console_is_let_in(vigild, terminals):
    vigild.write_policy("version: 1\nsessions:\n  - {name: nobody at all, access: deny}\n")
    vigild.start()
    console, other = terminals
    root = login("root", 0, service="login", terminal="tty1", remote="")
    assert vigild.reserve(vigild.leader(), login("root", 0))[0] == REFUSED
    assert vigild.reserve(vigild.leader(), root)[0] == REFUSED
    assert vigild.reserve(at_terminal(vigild, other), root)[0] == REFUSED
    assert vigild.reserve(at_terminal(vigild, console), root)[0] == RESERVED


def test_who_is_not_root_or_not_here_is_not_root_at_the_console(vigild, terminals):
    vigild.write_policy("version: 1\nsessions:\n  - {name: nobody at all, access: deny}\n")
    vigild.start()
    leader = at_terminal(vigild, terminals[0])
    assert vigild.reserve(leader, login("root", 0, service="login"))[0] == REFUSED  # from 192.0.2.7
    assert vigild.reserve(leader, login("nobody", NOBODY, service="login", remote=""))[0] == REFUSED


def test_a_users_process_is_not_root_at_the_console(vigild, terminals):
    vigild.write_policy("version: 1\nsessions:\n  - {name: nobody at all, access: deny}\n")
    vigild.start()
    leader = at_terminal(vigild, terminals[0], NOBODY)
    assert vigild.reserve(leader, login("root", 0, service="login", remote=""))[0] == REFUSED


def test_a_login_confirmed_but_never_reserved_is_watched(limited):
    leader = limited.leader()
    id_ = limited.confirm(leader)
    assert limited.sessions()[id_]["max_duration"] == 3600
    leader.end()
    eventually(lambda: limited.sessions() == {})


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_changes_no_session(limited, how):
    limited.open(login(terminal="pts/1", groups=["one", "two"]))
    limited.reserve(limited.leader(), login("games", 5))
    before = limited.sessions()
    limited.restart(how)
    after = limited.sessions()
    for session in (*before.values(), *after.values()):
        session.pop("next_at")
    assert after == before


def test_kill_right_after_each_answer_loses_nothing(limited):
    leader = limited.leader()
    since = None
    for step in ("reserve", "prepare", "confirm", "confirm again", "release", "release again"):
        with limited.connect() as client:
            if step == "prepare":
                assert client.call("Prepare", "h", 0, fds=[leader.pidfd]) == [3600]
            elif step.startswith("release"):
                client.call("Release", "h", 0, fds=[leader.pidfd])
            else:
                client.call(step.split()[0].capitalize(), "h" + LOGIN, 0, login(), fds=[leader.pidfd])
            limited.stop(signal.SIGKILL)
        limited.start()
        sessions = list(limited.sessions().values())
        if step.startswith("release"):
            assert sessions == []
            continue
        assert [each["state"] for each in sessions] == ["active" if "confirm" in step else "reserved"], step
        if "confirm" in step:
            assert sessions[0]["since"] == (since or sessions[0]["since"])
            since = sessions[0]["since"]


def test_kill_at_any_moment_leaves_each_login_whole(limited):
    """Whatever was answered is there after the kill; what was not is there wholly or not at all."""
    limited.write_policy("version: 1\n")
    limited.restart()
    answered = 0
    for _ in range(15):
        with limited.connect() as client:
            serials = []
            for _ in range(4):
                leader = limited.leader()
                serials.append(client.send("Confirm", "h" + LOGIN, 0, login(), fds=[leader.pidfd]))
            client.finish(serials[answered % 4])
            limited.stop(signal.SIGKILL)
            ids = []
            try:
                while True:
                    client.read_message()
            except (EOFError, ConnectionError):
                ids = [values[0] for _, _, values in client.replies.values()]
        limited.start()
        sessions = limited.sessions()
        assert set(ids) <= set(sessions)
        assert all(each["state"] == "active" and each["uid"] == NOBODY for each in sessions.values())
        answered += 1
    pids = [each["leader_pid"] for each in limited.sessions().values()]
    assert len(pids) == len(set(pids)) >= 15


def test_a_second_vigild_leaves_the_firsts_sessions_alone(limited):
    _, id_ = limited.open()
    second = type(limited).__new__(type(limited))
    second.__dict__.update(limited.__dict__)
    try:
        with pytest.raises(AssertionError):
            second.start()
        assert second.process.returncode not in (0, None)
    finally:
        second.process.kill()
        second.process.wait()
    assert "another" in limited.words()
    assert id_ in limited.sessions()
    limited.answers_logins()
    assert id_ in limited.restart(signal.SIGKILL).sessions()


def test_what_is_not_there_is_said_to_root(limited):
    for id_, name in (("f" * 32, "NotFound"), ("../../etc/passwd", "Invalid"), ("", "Invalid"), ("0" * 33, "Invalid")):
        assert refused(limited.call, "Show", "s", id_)[0] == f"org.vigil1.Error.{name}"
        assert refused(limited.call, "Terminate", "ss", id_, "")[0] == f"org.vigil1.Error.{name}"


# What sudo and its like start; a login of logind's is needed for more (tests/host/test_elevated.py).

@pytest.mark.parametrize("rules", ["", "elevated:\n  - {max_duration: 1h}\n"])
def test_what_is_started_in_no_login_has_no_clock(vigild, rules):
    vigild.write_policy("version: 1\n" + rules)
    vigild.start()
    for leader in (vigild.leader(), vigild.open()[0]):
        assert vigild.call("Elevated", "hss", 0, "sudo", "root", fds=[leader.pidfd]) == [""]
    assert len(vigild.sessions()) == 1
    assert vigild.status()["sessions"] == 1


def test_what_is_asked_wrongly_about_what_is_started_is_refused(vigild):
    vigild.write_policy("version: 1\nelevated:\n  - {max_duration: 1h}\n")
    vigild.start()
    leader = vigild.leader()
    for service, run_as in (("s" * 65, "root"), ("sudo", "r" * 257)):
        assert refused(vigild.call, "Elevated", "hss", 0, service, run_as, fds=[leader.pidfd])[0] == "org.vigil1.Error.Invalid"
    leader.end()
    assert refused(vigild.call, "Elevated", "hss", 0, "sudo", "root", fds=[leader.pidfd])[0] == "org.vigil1.Error.Invalid"
    vigild.answers_logins()
