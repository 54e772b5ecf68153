"""The lock as the person at the keyboard meets it: keys typed, screens read."""

import re
import time

import pytest
from logins import LOCK_SCREEN, SHELL, UNLOCK_PROMPT, Login, unlock
from loops import arrives, counts, still, ticks_on
from programs import picture, steady_picture
from vigilhost import PASSWORDS, wait_until

pytestmark = pytest.mark.usefixtures("opened_by_codes", "nothing_stays")


# Locking and unlocking


def test_a_user_locks_and_unlocks_her_own_session(host, alice):
    alice.type("vigilctl lock\r")
    alice.screen.wait_for(UNLOCK_PROMPT)
    alice.screen.wait_for(LOCK_SCREEN + r".*by alice")
    assert alice.state() == "locked"
    unlock(alice)
    alice.screen.wait_gone(LOCK_SCREEN)
    assert alice.answers()


def test_root_locks_and_gives_the_screen_back_with_a_reason(host, alice):
    alice.type("echo before; false\r")
    alice.screen.wait_for("^before$")
    alice.lock()
    assert "before" not in alice.screen.text()
    host.vigilctl("unlock", alice.id, "--reason", "she is on the telephone")
    alice.screen.wait_gone(LOCK_SCREEN)
    assert alice.answers()
    assert any("she is on the telephone" in one["MESSAGE"] for one in host.journal(VIGIL_SESSION=alice.id))


def test_another_user_can_not_lock_or_unlock(host, alice):
    done = host.vigilctl("lock", alice.id, user="bob", check=False)
    assert done.returncode == 1 and alice.state() == "active"
    alice.lock()
    host.vigilctl("unlock", alice.id, "--reason", "mine", user="bob", check=False)
    host.vigilctl("unlock", alice.id, "--reason", "mine", user="alice", check=False)
    assert alice.state() == "locked"
    unlock(alice)


def test_the_terminal_belongs_to_root_while_it_is_locked(host, alice):
    node = lambda: host.run("stat", "-c", "%U:%G %a", alice.path).stdout.strip()  # noqa: E731
    before = node()
    alice.lock()
    assert node() == "root:tty 600"
    unlock(alice)
    assert node() == before


# Keys


def test_keys_at_the_prompt_reach_neither_the_job_nor_the_shell(host, alice):
    count = counts(alice, "trap 'echo sig''nalled' INT QUIT TSTP; for ((n = 0; ; n++)); do echo $n >count; "
                          "read -t 0.05 key && echo got a ''key; done", "count")
    alice.lock()
    stood = still(count)
    alice.screen.key("ctrl-c", "ctrl-z", "ctrl-s")
    alice.type("\x1ctouch /tmp/sneaked\r")
    alice.screen.wait_for("Wrong")
    alice.type("touch /tmp/sneaked\r\x03\x1a")
    assert still(count) == stood
    alice.screen.wait_for(UNLOCK_PROMPT)
    unlock(alice)
    wait_until(lambda: count() not in ("", stood), 3, "the loop goes on")
    heard = alice.screen.said()
    assert "signalled" not in heard and "got a key" not in heard
    alice.screen.key("ctrl-c")
    alice.screen.wait_for("signalled$")
    alice.screen.key("ctrl-z")
    alice.type("\x1c")
    assert not alice.exists("/tmp/sneaked")


def test_the_first_key_after_an_operators_unlock_is_the_sessions(host, alice):
    for _ in range(10):
        alice.lock()
        host.vigilctl("unlock", alice.id, "--reason", "test")
        assert alice.answers()


def test_what_is_typed_ahead_of_the_prompt_is_not_run(host, alice):
    alice.lock()
    arrives(alice, "touch /tmp/ahead")
    host.vigilctl("unlock", alice.id, "--reason", "test")
    alice.screen.wait_gone(LOCK_SCREEN)
    alice.type("\r")
    assert alice.answers()
    assert not alice.exists("/tmp/ahead")
    assert "ahead" not in alice.screen.text()


@pytest.mark.parametrize("sent", ["\x1b[200~{}\x1b[201~\r", "{}\r\x1b[O", "\u009b?2026;2$y{}\r"], ids=["paste", "focus", "8-bit"])
def test_a_password_opens_it_however_the_terminal_sends_it(host, alice, sent):
    alice.lock()
    alice.screen.wait_for(UNLOCK_PROMPT)
    alice.type(sent.format(PASSWORDS["alice"]))
    wait_until(lambda: alice.state() == "active", 15, "it is open")
    assert "Wrong" not in alice.screen.said()
    assert alice.answers()


def test_what_is_typed_right_behind_a_password_arrives_whole_or_not_at_all(host, alice):
    burst = "touch /tmp/burst; echo " + "".join(f"{n:02} " for n in range(20)) + "end"
    alice.type("while read -p 'line? ' -r line; do echo \"<$line>\"; done\r")
    alice.screen.wait_for(r"line\?$")
    for _ in range(3):
        alice.lock()
        alice.type(PASSWORDS["alice"] + "\r")
        for key in burst:
            time.sleep(0.01)  # as fast as a program types
            alice.type(key)
        # Where Enter and the next key came at once they were lines of a paste, and refused.
        wait_until(lambda: alice.state() == "active" or "Several lines" in alice.screen.text(), 15, "it is judged")
        if alice.state() != "active":
            alice.screen.wait_for(UNLOCK_PROMPT)
            unlock(alice)
        alice.screen.wait_gone(LOCK_SCREEN)
        since = alice.screen.mark()
        alice.type("\r")
        alice.screen.wait_to_hear(r"<.*>", since=since)
        assert set(re.findall(r"<(.*)>", alice.screen.said()[since:])) <= {"", burst}
    alice.screen.key("ctrl-c")


def test_the_prompt_is_seen_where_output_was_set_oddly(host, alice):
    alice.type("stty olcuc ocrnl -onlcr; cat; stty -olcuc -ocrnl onlcr\r")
    alice.type("shown\r")
    alice.screen.wait_for("SHOWN")
    alice.lock()
    assert "SHOWN" not in alice.screen.text()
    # Another process of hers has the terminal open, and can do so again.
    host.run(f"stty -F {alice.path} olcuc")
    alice.resize(24, 70)
    alice.type("\x15")
    alice.screen.wait_for(UNLOCK_PROMPT)
    unlock(alice)
    alice.type("\x04")
    assert alice.answers()


def test_what_runs_behind_tmux_goes_on(host, alice):
    alice.type("tmux new -d 'while :; do date +%N >tick; sleep 0.1; done'\r")
    wait_until(lambda: alice.exists("/home/alice/tick"), 20, "it works")
    alice.lock()
    assert ticks_on(host, 10)
    unlock(alice)
    alice.type("tmux kill-server\r")
    assert alice.answers()


def test_vim_comes_back_with_its_text_and_leaves_a_sane_screen(host, alice):
    alice.type("stty -g >before; clear; vi -u NONE\r")
    alice.screen.wait_for("^~$")
    alice.type("ia text in the editor")
    alice.screen.wait_for("^a text in the editor$")
    alice.lock()
    assert "a text" not in alice.screen.text()
    unlock(alice)
    alice.screen.wait_for("^a text in the editor$")
    alice.screen.wait_gone(LOCK_SCREEN)
    alice.type(" and more")
    alice.screen.wait_for("^a text in the editor and more$")
    alice.type("\x1b")
    alice.type(":q!\r")
    alice.screen.wait_for(SHELL)
    assert alice.answers()
    alice.type("stty -g >after\r")
    assert alice.answers()
    assert host.read("/home/alice/after") == host.read("/home/alice/before")


@pytest.mark.parametrize("start", ["PS1='here> ' exec bash --norc", "exec zsh -f"], ids=["bash", "zsh"])
def test_half_a_command_at_a_shells_prompt_is_there_as_before(alice, start):
    alice.type(start + "\r")
    alice.screen.wait_for(r"^(here>|\S+%)$")
    alice.type("PS1='here> '; clear\r")
    alice.screen.wait_for(r"\Ahere>$")
    alice.type("false; echo bef''ore\r")
    alice.screen.wait_for(r"^before\nhere>$")
    alice.type("echo hal")
    alice.screen.wait_for(r"^here> echo hal$")
    before = steady_picture(alice)
    alice.lock()
    assert "here>" not in alice.screen.text()
    alice.type("f$((1+2))\r")
    alice.screen.wait_for("Wrong")
    alice.screen.wait_for(UNLOCK_PROMPT)
    unlock(alice)
    wait_until(lambda: picture(alice) == before, 10, "it is as it was")
    alice.type("f$((1+1))\r")
    alice.screen.wait_for(r"^here> echo half\$\(\(1\+1\)\)\nhalf2\nhere>$")
    assert alice.answers()


def test_a_tmux_client_comes_back_with_its_window(host, alice):
    alice.type("tmux -f /dev/null new 'echo in the pane; exec cat'\r")
    alice.screen.wait_for("^in the pane$")
    alice.lock()
    assert "in the pane" not in alice.screen.text()
    alice.type("\x03")
    unlock(alice)
    alice.screen.wait_for("^in the pane$")
    alice.type("echoed\r")
    alice.screen.wait_for("^echoed\n+echoed$")
    alice.screen.key("ctrl-c")
    alice.screen.wait_for(r"\[exited\]")
    assert alice.answers()


def test_a_background_loop_stands_still_and_goes_on(host, alice):
    count = counts(alice, "(for ((n = 0; ; n++)); do echo $n >background; sleep 0.05; done) &", "background")
    alice.lock()
    stood = still(count)
    unlock(alice)
    wait_until(lambda: count() not in ("", stood), 3, "the loop goes on")
    alice.type("kill %1\r")


# What it looks like


@pytest.mark.parametrize("columns", [80, 20])
def test_the_screen_is_whole_in_any_window(host, alice, columns):
    alice.resize(24, columns)
    alice.lock(reason="fire drill in the whole building, leave by the nearest stairs")
    assert "fire drill in the whole building, leave by the nearest stairs" in re.sub(r"\s+", " ", alice.screen.text())
    print(alice.screen.text())
    unlock(alice)
    assert alice.answers()


@pytest.mark.parametrize("columns", [80, 20])
def test_a_dumb_terminal_is_asked_in_plain_lines(host, columns):
    alice = Login(host, "alice", term="dumb")
    alice.resize(24, columns)
    alice.type("echo the-''plan\r")
    alice.screen.wait_for("^the-plan$")
    mark = len(alice.screen.output)
    alice.lock()
    assert "the-plan" not in alice.screen.text()
    assert "User: alice" in alice.screen.text()
    alice.type("wrong\r")
    alice.screen.wait_for(r"Wrong\. Next try in\s1 s\.$")
    alice.screen.wait_for(r"^Wrong\.\n" + UNLOCK_PROMPT)
    print(alice.screen.text())
    alice.type(PASSWORDS["alice"] + "\r")
    wait_until(lambda: alice.state() == "active", 5, "the password unlocks")
    assert alice.answers()
    said = alice.screen.output[mark:]
    assert b"\x1b" not in said and PASSWORDS["alice"].encode() not in said


def test_a_dumb_terminal_is_told_of_its_end_without_sequences(host):
    alice = Login(host, "alice", term="dumb")
    mark = len(alice.screen.output)
    alice.lock()
    host.vigilctl("terminate", alice.id, "--reason", "test")
    alice.screen.wait_to_hear("This session ends now")
    alice.screen.wait_closed(10)
    assert b"\x1b" not in alice.screen.output[mark:]


def test_who_wants_no_colour_gets_none(host, alice):
    alice.type("export NO_COLOR=1; clear; exec bash\r")
    alice.screen.wait_for(SHELL)
    assert alice.answers()
    mark = len(alice.screen.output)
    alice.lock()
    alice.type("wrong\r")
    alice.screen.wait_for("Wrong")
    alice.screen.wait_for(UNLOCK_PROMPT)
    said = alice.screen.output[mark:]
    assert set(re.findall(rb"\x1b\[[0-9;:]*m", said)) == {b"\x1b[0m"}
    print(alice.screen.text())
    unlock(alice)


@pytest.mark.parametrize("user, words", [("alice", ["--all"]), ("alice", ["--user", "alice"]), ("alice", ["{id}"]),
                                         ("bob", ["{id}"])], ids=str)
def test_who_is_not_root_is_told_who_unlocks(host, alice, user, words):
    alice.lock()
    done = host.vigilctl("unlock", *[word.format(id=alice.id) for word in words], "--reason", "x", user=user, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == ("vigilctl: only root unlocks without a proof: open your session at its own terminal with your "
                           "password or code, or ask an administrator to run `vigilctl unlock`\n")
    assert alice.state() == "locked"
    unlock(alice)


def test_show_says_who_locked_and_unlocked_it_last(host, alice):
    at = alice.path

    def shown():
        return host.vigilctl("show", alice.id, "--json")

    def line(name):
        found = re.findall(rf"^{name} +(.*)$", host.vigilctl("show", alice.id).stdout, re.MULTILINE)
        return found[0] if found else None

    assert (shown()["last_lock"], shown()["last_unlock"], line("last unlock")) == (None, None, None)
    alice.lock(reason="lunch")
    assert shown()["last_lock"] == {"at": shown()["locked_since"], "by": "by root: lunch"}
    assert (line("last lock"), shown()["last_unlock"]) == (None, None)
    unlock(alice)
    by_password = f"by password at {at}"
    assert shown()["last_unlock"]["by"] == by_password
    assert re.fullmatch(rf"\d\d:\d\d {by_password}", line("last unlock"))
    assert re.fullmatch(r"\d\d:\d\d by root: lunch", line("last lock"))
    # A vigild that comes back knows it too.
    before = shown()["last_unlock"]
    host.kill_vigild()
    assert (shown()["last_unlock"], shown()["last_lock"]["by"]) == (before, "by root: lunch")
    alice.lock()
    assert shown()["last_unlock"] == before
    host.vigilctl("unlock", alice.id, "--reason", "she called \x1b[2J")
    wait_until(lambda: alice.state() == "active", 5, "it is unlocked")
    assert shown()["last_unlock"]["by"] == "by root: she called \x1b[2J"
    assert line("last unlock").endswith(r" by root: she called \x1b[2J")
    assert host.vigilctl("show", alice.id, "--json", user="alice")["last_unlock"]["by"].startswith("by root")
