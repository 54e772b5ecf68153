"""Blocked users on the real daemon: who may block, what is refused, and what a restart, a reboot or a lost store leaves."""

import signal
import stat
import time

import pytest

from daemon import GAMES, NOBODY, REFUSED, RESERVED, eventually, login, refused
from one_time_code import DENIED, NOT_NOW, ask, enrolled, prove, request
from test_store import scribbled

REASON = "left the company"
STEP_UP = """version: 1
step_up:
  - {match: {services: [su]}, require: none}
  - {match: {services: [sudo]}, require: [totp], valid_for: 10m, scope: session}
"""
GAMER = login("games", GAMES)


def block(vigild, user="nobody", reason=REASON, seconds=0):
    vigild.call("Block", "sst", user, reason, seconds)


def unblock(vigild, user="nobody"):
    vigild.call("Unblock", "s", user)


def blocks(vigild):
    return {one["user"]: one for one in vigild.call("Blocks")[0]}


def answer(vigild, who=None):
    """(verdict, reason) of a new login."""
    return vigild.reserve(vigild.leader(NOBODY), who)[:2]


def mark(vigild, uid=NOBODY):
    return vigild.runtime / "blocked" / str(uid)


@pytest.fixture(name="running")
def running_fixture(vigild):
    vigild.write_policy(STEP_UP)
    return vigild.start()


def test_a_login_is_refused_with_the_reason_until_he_is_unblocked(running):
    block(running)
    assert answer(running) == [REFUSED, f"nobody is blocked on this host until further notice: {REASON}"]
    assert answer(running, GAMER)[0] == RESERVED
    unblock(running)
    assert answer(running)[0] == RESERVED
    assert refused(unblock, running)[1] == "nobody is not blocked."


def test_his_number_unblocks_too(running):
    block(running)
    unblock(running, str(NOBODY))
    assert not blocks(running)


def test_the_list_has_all_of_it(running):
    before = time.time()
    block(running, seconds=3600)
    block(running, "games", "an inquiry")
    one, other = blocks(running)["nobody"], blocks(running)["games"]
    assert (one["uid"], one["reason"], one["by"]) == (NOBODY, REASON, "root")
    assert before - 1 <= one["since"] / 1e6 <= time.time() + 1
    assert one["until"] / 1e6 == pytest.approx(one["since"] / 1e6 + 3600, abs=2)
    assert other["until"] == 0
    block(running, reason="another", seconds=60)
    assert len(blocks(running)) == 2 and blocks(running)["nobody"]["reason"] == "another"


@pytest.mark.parametrize("words, why", [
    (("root", REASON, 0), "Root cannot be blocked"),
    (("no-such-user", REASON, 0), "There is no user no-such-user here."),
    (("", REASON, 0), "Block takes a user"),
    (("nobody", "", 0), "needs a reason"),
    (("nobody", "x" * 201, 0), "too long: at most 200 bytes"),
    (("nobody", "two\nlines", 0), "one line of text"),
    (("nobody", "\x1b[2J", 0), "one line of text"),
    (("nobody", REASON, 2**63), "lasts at most"),
    (("nobody", REASON, 2**64 - 1), "lasts at most")])
def test_what_cannot_be_is_refused_with_a_line(running, words, why):
    said = refused(running.call, "Block", "sst", *words)[1]
    assert why in said and "\n" not in said
    assert not blocks(running)


def test_step_up_is_refused_where_a_rule_asks_and_where_it_does_not(running):
    leader, _ = running.open()
    code = enrolled(running, "nobody")
    block(running)
    for service in ("sudo", "su"):
        purpose, who, run_as = request()
        who[3] = service
        verdict, text, *_ = ask(running, leader, (purpose, who, run_as))
        assert (verdict, REASON in text) == (DENIED, True)
    assert prove(running, leader, code.now())[:2] == [NOT_NOW, f"nobody is blocked on this host until further notice: {REASON}"]


def test_nobody_but_root_becomes_him_by_su(running):
    block(running)
    as_su = (0, login("nobody", NOBODY, service="su", terminal="pts/0", remote=""), "nobody")
    assert ask(running, running.leader(GAMES), as_su)[0] == DENIED
    assert ask(running, running.leader(0), as_su)[0] != DENIED


def test_a_restart_keeps_it_with_its_end(running):
    block(running, seconds=3600)
    block(running, "games")
    before = blocks(running)
    for how in (signal.SIGTERM, signal.SIGKILL):
        running.restart(how)
        after = blocks(running)
        assert after.keys() == before.keys() and answer(running)[0] == REFUSED
        assert after["nobody"]["until"] == pytest.approx(before["nobody"]["until"], abs=1e6)


def test_it_ends_at_its_time_and_so_does_the_mark(running):
    block(running, seconds=1)
    assert answer(running)[0] == REFUSED and mark(running).exists()
    eventually(lambda: not mark(running).exists())
    assert answer(running)[0] == RESERVED and not blocks(running)
    block(running, seconds=1)
    end = int(mark(running).read_text(encoding="utf-8").split("\nuntil ")[1]) / 1e6
    running.stop()
    eventually(lambda: time.clock_gettime(time.CLOCK_BOOTTIME) > end)
    running.start()
    eventually(lambda: not mark(running).exists())
    assert answer(running)[0] == RESERVED


def test_the_mark_is_there_before_the_answer_and_made_anew_at_a_start(running):
    block(running, seconds=3600)
    one, folder = mark(running).stat(), mark(running).parent.stat()
    assert stat.S_IMODE(one.st_mode) == 0o600 and stat.S_IMODE(folder.st_mode) == 0o755
    line, end = mark(running).read_text().splitlines()
    assert line.startswith("nobody is blocked on this host until ") and line.endswith(REASON)
    assert end.startswith("until ") and int(end[6:]) / 1e6 == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME) + 3600, abs=5)
    mark(running).unlink()
    mark(running, 0).write_text("not vigild's\n")
    mark(running, GAMES).symlink_to("/nowhere")
    running.restart()
    assert mark(running).read_text().splitlines() == [line, end]
    assert [each.name for each in mark(running).parent.iterdir()] == [str(NOBODY)]
    unblock(running)
    assert not any(mark(running).parent.iterdir())


@pytest.mark.parametrize("loss", ["reboot", "broken"])
def test_a_reboot_and_a_lost_store_leave_it(running, loss):
    block(running, seconds=3600)
    block(running, "games", "an inquiry")
    before = blocks(running)
    running.stop()
    if loss == "broken":
        scribbled(running.database)
    else:
        for each in running.runtime.glob("state.db*"):
            each.unlink()
        for each in mark(running).parent.iterdir():
            each.unlink()
    running.start()
    after = blocks(running)
    assert after["games"] == before["games"] and after["nobody"]["reason"] == REASON
    assert after["nobody"]["until"] == pytest.approx(before["nobody"]["until"], abs=2e6)
    assert answer(running)[0] == REFUSED and mark(running).exists()
    unblock(running)
    running.restart()
    assert blocks(running).keys() == {"games"}


def test_what_cannot_be_written_down_is_said(running):
    (running.state / "blocked").write_text("in the way\n")
    name, said = refused(block, running)
    assert name == "org.vigil1.Error.Broken" and "could not be written down" in said
    assert answer(running)[0] == REFUSED


def test_a_broken_policy_blocks_all_the_same(vigild):
    vigild.write_policy("version: 1\nnonsense: true\n")
    vigild.start()
    block(vigild)
    assert answer(vigild)[0] == REFUSED
    verdict, text, *_ = ask(vigild, vigild.leader(NOBODY))
    assert verdict == DENIED and REASON in text


def test_where_vigil_only_observes_nobody_is_blocked(running):
    block(running)
    running.write_policy(STEP_UP + "mode: observe\n")
    running.call("Reload")
    assert answer(running)[0] == RESERVED and not mark(running).exists()
    assert "only observes" in refused(block, running, "games")[1]
    running.restart()
    assert not mark(running).exists() and blocks(running)
    running.write_policy(STEP_UP)
    running.call("Reload")
    assert answer(running)[0] == REFUSED and mark(running).exists()
