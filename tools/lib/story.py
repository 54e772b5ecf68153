"""The story of one login, played with the real ssh client: each step is done, looked at, and told in a line."""

import re
import time

from vigilhost import MESSAGE_IDS, PASSWORDS, wait_until

LOCK_SCREEN = r"^\s*Locked since"
UNLOCK_PROMPT = r"^\s*Password or code:"
LETTER = "Dear bank, my number is 4711."
CODE_PROMPT = r"\bCode(?: for \w+)?: "
CODE_REFUSED = r"^.*\bcode\b.*\b(not|wrong|used)\b.*$"
SHELL_PROMPT = r"alice@\S+\$ "

POLICY = """\
version: 1
mode: enforce
sessions:
  - name: the story
    match: {{users: [alice], services: [sshd]}}
    idle_warn: {idle_warn}s
    idle_lock: {idle_lock}s
    max_duration: {max_duration}s
    warn_before_end: [5s]
    max_sessions: {{user: 2, when_reached: deny}}
    unlock: [password, totp]
step_up:
  - match: {{users: [alice], services: [sudo, su], run_as: [root]}}
    require: [totp]
    valid_for: 10m
    scope: terminal
"""


class StepFailed(Exception):
    """A step did not hold; the story ends there, because the next ones lean on it."""


class Codes:
    """The codes of one TOTP secret as a person's telephone shows them; each is used once."""

    period = 30

    def __init__(self, host, secret, digits=6, made_by="sha1"):
        self.host = host
        self.kind = [f"--totp={made_by}", f"--digits={digits}"]
        self.secret = secret
        self.last = 0

    def at(self, step):
        shown = self.host.run("oathtool", *self.kind, "--base32", f"--now=@{step * self.period}", self.secret)
        return shown.stdout.strip()

    def fresh(self):
        """A code that was not used and is accepted now, be it the one before or after: so nobody waits long."""
        def step():
            now = time.time()
            # The step before this one is about to leave the window at the end of the period.
            oldest = int(now / self.period) - (1 if now % self.period < self.period - 5 else 0)
            wanted = max(self.last + 1, oldest)
            return wanted if wanted <= int(now / self.period) + 1 else 0
        self.last = wait_until(step, self.period + 5, "the time of a code that was not used")
        return self.at(self.last)

    def wrong(self):
        """Six digits that are the code of no step near now."""
        now = int(time.time() / self.period)
        near = {self.at(step) for step in range(now - 2, now + 3)}
        return next(digits for digits in ("000000", "111111", "222222", "333333", "444444", "555555")
                    if digits not in near)


class Story:
    idle_warn = 5
    idle_lock = 15

    def __init__(self, host, kill9=False, tell=print):
        self.host = host
        self.kill9 = kill9
        self.tell = tell
        # Each kill -9 takes a moment, and the whole story has to fit into one session.
        self.max_duration = 90 if kill9 else 45
        self.codes = self.session = self.second = self.id = None
        self.used_code = ""
        self.started = self.prompted = 0.0

    steps = ["policy_is_in_force", "root_enrols_alice", "alice_logs_in", "alice_is_registered",
             "sudo_asks_for_a_code", "sudo_asks_once", "a_used_code_is_refused", "a_wrong_code_is_refused",
             "a_third_login_is_refused", "a_warning_comes_first", "the_session_is_locked",
             "what_ran_stands_still", "a_wrong_password_is_refused", "the_right_password_unlocks",
             "the_limit_ends_the_session", "the_journal_knows_why"]

    def play(self):
        """Plays all steps in order; raises StepFailed at the first that does not hold."""
        for number, name in enumerate(self.steps):
            if self.kill9 and number > 0:
                self.host.kill_vigild()
            try:
                seen = getattr(self, name)()
            except AssertionError as error:
                self.tell(f"[failed] {name.replace('_', ' ')}: {error}")
                raise StepFailed(name) from error
            self.tell(f"[ok] {seen}")

    # Before the login

    def policy_is_in_force(self):
        text = POLICY.format(idle_warn=self.idle_warn, idle_lock=self.idle_lock, max_duration=self.max_duration)
        self.host.policy(text)
        self.host.vigilctl("policy", "check")
        return f"the policy is in force: locked after {self.idle_lock} s, ended after {self.max_duration} s"

    def root_enrols_alice(self):
        terminal = self.host.ssh("root", "-t", command=["vigilctl", "enroll", "totp", "alice"])
        uri = terminal.wait_to_hear(r"otpauth://totp/\S+", 10)[0]
        self.codes = Codes(self.host, re.search(r"[?&]secret=([A-Z2-7]+)", uri)[1])
        terminal.wait_to_hear(CODE_PROMPT, 5)
        terminal.send(self.codes.fresh() + "\r")
        status = terminal.wait_closed(10)
        assert status == 0, f"vigilctl enroll: exit {status}\n{terminal.said()}"
        assert "totp" in str(self.host.vigilctl("factors", "alice", "--json")), "vigilctl factors lists no totp"
        return "root enrolled a TOTP for alice, and a first code proved it"

    # A login

    def alice_logs_in(self):
        self.started = time.monotonic()
        self.session = self.host.login("alice")
        self.prompted = time.monotonic()
        return f"alice logged in over ssh, with her shell's prompt after {self.prompted - self.started:.2f} s"

    def alice_is_registered(self):
        listed = wait_until(lambda: self.host.vigil_sessions(user="alice"), 2, "vigilctl list shows alice")
        assert len(listed) == 1, f"one session, not {listed}"
        one = listed[0]
        self.id = one["id"]
        assert re.fullmatch(r"[0-9a-f]{32}", self.id), one
        assert (one["service"], one["state"]) == ("sshd", "active"), one
        assert len(one["terminals"]) == 1, one
        assert one["limits"]["idle_lock"] == self.idle_lock, one
        shown = self.host.vigilctl("show", self.id, "--json")
        assert shown["rule"] == "the story", shown
        return f"vigilctl lists her: session {self.id[:8]}… on {one['terminals'][0]}, rule `{shown['rule']}`"

    # sudo

    def _sudo(self, terminal):
        """sudo up to the question for a code; with the password, where this terminal has not given it."""
        since = terminal.mark()
        terminal.send("sudo id -un\r")
        asked = terminal.wait_to_hear(rf"password for alice:|{CODE_PROMPT}", 10, since)
        if "password" in asked[0]:
            terminal.send(PASSWORDS["alice"] + "\r")
            terminal.wait_to_hear(CODE_PROMPT, 10, since)
        return since

    def sudo_asks_for_a_code(self):
        since = self._sudo(self.session)
        self.used_code = self.codes.fresh()
        self.session.send(self.used_code + "\r")
        self.session.wait_to_hear(r"^root\r?$", 10, since)
        # sudo throws away what is typed before it has given the terminal back.
        self.session.wait_for(rf"{SHELL_PROMPT.rstrip()}$", 10)
        return "sudo asked for a code and ran the command with the right one"

    def sudo_asks_once(self):
        since = self.session.mark()
        began = time.monotonic()
        self.session.send("sudo id -un\r")
        self.session.wait_to_hear(r"^root\r?$", 5, since)
        self.session.wait_for(rf"{SHELL_PROMPT.rstrip()}$", 10)
        assert not re.search(CODE_PROMPT, self.session.said()[since:]), "sudo asked again"
        return f"sudo asked nothing the second time ({(time.monotonic() - began) * 1000:.0f} ms)"

    def _give_up(self, terminal):
        # sudo loses a Ctrl-C that comes between its prompt and its read: press it as a person would, again.
        def is_back():
            terminal.key("ctrl-c")
            try:
                return terminal.wait_for(rf"{SHELL_PROMPT.rstrip()}$", 1)
            except AssertionError:
                return None
        wait_until(is_back, 10, "the shell is back after Ctrl-C")

    def _refused(self, terminal, code):
        since = self._sudo(terminal)
        terminal.send(code + "\r")
        refusal = terminal.wait_to_hear(CODE_REFUSED, 10, since)
        # It may ask for another try, or have given up.
        if "Code" in terminal.wait_to_hear(rf"{CODE_PROMPT}|{SHELL_PROMPT}", 10, since + refusal.end())[0]:
            self._give_up(terminal)
        terminal.wait_for(rf"{SHELL_PROMPT.rstrip()}$", 10)
        heard = terminal.said()[since:]
        assert not re.search(r"^root\r?$", heard, re.MULTILINE), f"sudo ran the command:\n{heard}"
        return refusal[0].strip()

    def a_used_code_is_refused(self):
        self.second = self.host.login("alice")
        return f"a code that was used is refused on another terminal: {self._refused(self.second, self.used_code)}"

    def a_wrong_code_is_refused(self):
        return f"a wrong code is refused: {self._refused(self.second, self.codes.wrong())}"

    def a_third_login_is_refused(self):
        third = self.host.ssh("alice")
        status = third.wait_closed(10)
        heard = third.said()
        assert status != 0, "the third login was let in"
        reason = re.search(r"(?i)^.*\bsessions?\b.*$", heard, re.MULTILINE)
        assert reason, f"no reason was shown:\n{heard}"
        self.second.close()
        return f"a third login was refused: {reason[0].strip()}"

    # Left alone

    def a_warning_comes_first(self):
        # What is there when the person goes away: a job, and an editor with a letter nobody else shall read.
        self.session.send("(for ((n = 0; ; n++)); do echo $n >count; sleep 0.1; done) & vi -u NONE\r")
        self.session.wait_for(r"^~$")
        self.session.send(f"i{LETTER}")
        self.session.wait_for(f"^{LETTER}$")
        since = self.session.mark()
        warning = self.session.wait_to_hear(r"^.*\blocked in\b.*$", self.idle_lock, since)
        after = time.monotonic() - self.session.last_input
        due = self.idle_lock - self.idle_warn
        assert due <= after <= due + 1.5, f"the warning was due after {due} s and came after {after:.1f} s"
        return f"warned after {after:.1f} s without input: {warning[0].strip()}"

    def the_session_is_locked(self):
        self.session.wait_for(UNLOCK_PROMPT, self.idle_lock + 5)
        after = time.monotonic() - self.session.last_input
        self.session.wait_for(LOCK_SCREEN, 2)
        assert self.idle_lock <= after <= self.idle_lock + 1.5, f"locked after {after:.1f} s"
        self._state("locked")
        assert LETTER not in self.session.text(), "her letter is to be seen"
        return f"locked after {after:.1f} s without input; of the letter in her editor nothing is seen"

    def _state(self, wanted):
        wait_until(lambda: self.host.vigil_sessions(id=self.id, state=wanted), 3, f"vigilctl lists it as {wanted}")

    def _count(self):
        return self.host.read("/home/alice/count").strip()

    def _stands_still(self):
        before = self._count()
        end = time.monotonic() + 0.8
        wait_until(lambda: time.monotonic() > end or self._count() != before, 2, "a moment")
        assert self._count() == before, "the loop goes on behind the lock"
        return before

    def what_ran_stands_still(self):
        return f"the job in the background stands still at {self._stands_still()}"

    def a_wrong_password_is_refused(self):
        since = self.session.mark()
        self.session.send("not-her-password\r")
        answer = self.session.wait_to_hear(r"Wrong\. [^.]*\.", 10, since)
        self._state("locked")
        self._stands_still()
        return f"a wrong password is refused: {answer[0]}"

    def the_right_password_unlocks(self):
        before = self._count()
        # For a few seconds after a wrong answer there is no prompt.
        self.session.wait_for(UNLOCK_PROMPT, 15)
        self.session.send(PASSWORDS["alice"] + "\r")
        self._state("active")
        wait_until(lambda: self._count() not in ("", before), 3, "the loop goes on")
        self.session.wait_for(f"^{LETTER}$", 5)
        self.session.send(" Yours, alice")
        self.session.wait_for(f"^{LETTER} Yours, alice$", 5)
        self.session.send("\x1b")
        self.session.send(":q!\r")
        self.session.wait_for(rf"{SHELL_PROMPT.rstrip()}$", 5)
        self.session.send("kill %1; clear; echo back $((6 * 7))\r")
        self.session.wait_for(r"^back 42$", 5)
        self.session.wait_gone(LOCK_SCREEN, 2)
        return f"the right password unlocked: the editor is as she left it, the job goes on from {before}"

    # The end

    def the_limit_ends_the_session(self):
        # Somebody types all the time: it is the limit that ends the session, not idleness.
        def typing():
            if not self.session.ended and time.monotonic() - self.session.last_input > 3:
                self.session.send(" ")
            return self.session.ended
        left = self.max_duration - (time.monotonic() - self.started)
        assert left > 0, f"the story took longer than the {self.max_duration} s of the session"
        wait_until(typing, left + 5, "the session ends")
        ended = time.monotonic()
        assert ended - self.started >= self.max_duration, f"ended {ended - self.started:.1f} s after the start of ssh"
        assert ended - self.prompted <= self.max_duration + 2.5, f"ended after {ended - self.prompted:.1f} s"
        reasons = re.findall(r"^.*\bends now\b.*$", self.session.said(), re.MULTILINE)
        assert reasons, f"no reason was shown:\n{self.session.said()[-1500:]}"
        wait_until(lambda: not [one for one in self.host.sessions() if one["Name"] == "alice"], 5,
                   "logind has no session of alice")
        assert not self.host.vigil_sessions(user="alice"), "vigilctl still lists alice"
        return f"ended after {ended - self.prompted:.1f} s: {reasons[-1].strip()}"

    def the_journal_knows_why(self):
        records = self.host.journal(VIGIL_SESSION=self.id, MESSAGE_ID=MESSAGE_IDS["session-ending"])
        assert len(records) == 1, f"not one record of the end, but {records}"
        assert records[0]["VIGIL_USER"] == "alice" and records[0]["VIGIL_RULE"] == "the story", records[0]
        assert self.limit_text() in records[0]["MESSAGE"], records[0]["MESSAGE"]
        return f"the journal knows why: {records[0]['MESSAGE']}"

    def limit_text(self):
        minutes, seconds = divmod(self.max_duration, 60)
        return " ".join(f"{value} {unit}" for value, unit in ((minutes, "min"), (seconds, "s")) if value)
