"""docs/step-up.md as it is written: its commands and policies, in their order, on a host that has nothing but vigil, to a
step-up that works and back again. What cannot be typed, as scanning a QR code, is done here."""

import re

import pytest
from people import SHELL, Shell, enroll, let_sshd_take_all
from story import Codes
from vigilhost import NO_RULES, PASSWORDS, SOURCE, wait_until

PAGE = (SOURCE / "docs/step-up.md").read_text(encoding="utf-8")
POLICY, SUDO_CONF = "/etc/vigil/policy.yaml", "/etc/sudo.conf"
QUESTION = r"(Password|Ticket|Code[a-z ]*|\[sudo\] password for alice): "
SECRET = r"otpauth://totp/\S+[?&]secret=([A-Z2-7]+)"


def blocks(section):
    """(language, text) of what stands between fences in a section, "Back again" or by its number."""
    text = re.search(rf"^## {section}.*\n((?:(?!## ).*\n)*)", PAGE, re.MULTILINE)[1]
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found, section
    return found


def commands(block):
    """(who, command, the lines that are shown below it) of a console."""
    for text in re.split(r"^(?=[$#] )", block, flags=re.MULTILINE)[1:]:
        first, *shown = text.splitlines()
        yield "root" if first[0] == "#" else "alice", first[2:], [line.strip() for line in shown]


class Reader:
    """alice with her telephone, and root beside her: whoever follows the page."""

    def __init__(self, host):
        self.host, self.codes, self.ticket = host, None, None
        self.log_in()

    def log_in(self):
        self.inside = Shell(self.host.login("alice"))
        self.tty = re.search(r"^/dev/pts/\d+", self.inside.run("tty")[1], re.MULTILINE)[0]

    def read(self, section):
        for language, text in blocks(section):
            print(f"--- {section} {language}\n{text}")
            if language == "yaml":
                self.put_in_force(text)
            elif language == "console":
                for who, command, shown in commands(text):
                    self.run_as_root(command) if who == "root" else self.run(command, shown)
            else:
                self.for_sudoers(text)

    def put_in_force(self, rules):
        self.host.write(POLICY, NO_RULES + rules)
        checked = self.run_as_root("vigilctl policy check")
        assert ": ok, " in checked and "warning" not in checked, checked
        self.run_as_root("vigilctl reload")

    def for_sudoers(self, text):
        self.host.write("/etc/sudoers.d/page", text, "0440")
        self.run_as_root("visudo --check")
        self.host.run("rm /etc/sudoers.d/page")

    def run_as_root(self, command):
        said = self.host.run(command).stdout
        if found := re.search(r"^    ((?:[0-9a-z]{5}-){3}[0-9a-z]{5})$", said, re.MULTILINE):
            self.ticket = found[1]
        return said

    def run(self, command, shown=()):
        """Answers what it asks; (what it said, its questions)."""
        terminal, since = self.inside.terminal, self.inside.start(command)
        at, asked = since, []
        while not (heard := terminal.wait_to_hear(rf"^status=\d+$|{QUESTION}", 15, at))[0].startswith("status="):
            asked.append(heard[1])
            at += heard.end()
            terminal.send(self.answer(heard[1], terminal.said()[since:]) + "\r")
        status, said = self.inside.finish(since)
        assert status == 0, said
        for line in shown:
            assert line in said, f"{line!r} is shown on the page, and not here:\n{said}"
        return said, asked

    def answer(self, question, said):
        if question == "Password":
            # Its agent throws away what is typed before the echo is off.
            wait_until(lambda: " -echo " in self.host.run("stty", "-a", "-F", self.tty).stdout, 5, "an answer is waited for")
        if "assword" in question:
            return PASSWORDS["alice"]
        if question == "Ticket":
            return self.ticket
        if question == "Code" and (secret := re.search(SECRET, said)):
            self.codes = Codes(self.host, secret[1])  # the telephone has scanned it
        return self.codes.fresh()


def test_the_page_leads_to_a_step_up_that_works_and_back(host):
    let_sshd_take_all(host)
    host.run(f"echo '# of before' >{SUDO_CONF}")
    reader = Reader(host)
    reader.read("1")
    assert [one["kind"] for one in host.vigilctl("factors", "alice", "--json")].count("totp") == 2, "by the password, and by a ticket"
    assert reader.run("sudo id -un")[1] == ["[sudo] password for alice"], "no rule asks for it yet"
    reader.log_in()
    reader.read("2")
    assert [one["user"] for one in host.vigilctl("grants", "--json")] == ["alice"]
    reader.read("3")
    assert "Code for alice" in reader.run("sudo visudo --check")[1]
    assert "Code for alice" in reader.run("sudo id -un")[1], "what was proved for another command"
    assert "Code for alice" in reader.run("sudo visudo --check")[1], "each time"
    assert reader.run("sudo id -un")[1] == [], "it counts for five minutes"

    reader.read("Back again")
    assert host.read(SUDO_CONF) == "# of before\n"
    host.write(POLICY, NO_RULES)
    reader.run_as_root("vigilctl reload")
    for factor in host.vigilctl("factors", "alice", "--json"):
        reader.run_as_root(f"vigilctl forget {factor['id']}")
    assert host.vigilctl("factors", "alice", "--json") == []
    reader.log_in()
    assert reader.run("sudo visudo --check")[1] == ["[sudo] password for alice"]


def test_the_page_leads_to_a_code_at_login_and_back(host):
    let_sshd_take_all(host)
    codes = enroll(host, "alice")
    (_, to_pam), (_, to_sshd), (_, line), (_, rules), (_, visit) = blocks("7")
    stack, settings = "/etc/pam.d/sshd", "/etc/ssh/sshd_config.d/10-vigil.conf"
    before = host.read(stack)
    host.run(to_pam.removeprefix("# "))
    host.write(settings, to_sshd)
    host.write(stack, line + before)
    host.run("sshd -t && systemctl reload ssh")
    host.write(POLICY, NO_RULES + rules)
    assert ": ok, " in host.vigilctl("policy", "check").stdout
    host.vigilctl("reload")
    found, = [one for one in host.run("vigilctl", "doctor", check=False).stdout.splitlines() if " login factors " in one]
    assert found.startswith("ok"), found

    first = host.ssh("alice", by="key, then keyboard-interactive")
    first.wait_to_hear(r"\(alice@\S+\) Code for alice: ", 10)
    first.send(codes.fresh() + "\r")
    first.wait_for(SHELL, 15)
    assert "Code for alice" in visit and Shell(first).run("vigilctl grants")[0] == 0
    again = host.ssh("alice", by="key, then keyboard-interactive")
    again.wait_for(SHELL, 15)
    assert "Code for" not in again.said(), "it is remembered where she came from"
    host.vigilctl("revoke", "--user", "alice")
    third = host.ssh("alice", by="key, then keyboard-interactive")
    third.wait_to_hear("Code for alice: ", 10)

    host.write(POLICY, NO_RULES)
    host.vigilctl("reload")
    host.write(stack, before)
    host.run(f"rm {settings} && sshd -t && systemctl reload ssh && pam-auth-update --package --remove vigil-login")
    assert "pam_vigil" not in host.read("/etc/pam.d/common-auth")
    assert "Code for" not in host.login("alice").said()


@pytest.mark.parametrize("section", ["2", "3", "4", "5", "7", "8"])
def test_each_policy_on_the_page_is_one(host, section):
    texts = [text for language, text in blocks(section) if language == "yaml"]
    assert texts
    for text in texts:
        host.write("/root/page.yaml", NO_RULES + text)
        assert ": ok, " in host.vigilctl("policy", "check", "/root/page.yaml").stdout


def test_the_pages_clock_is_seen_below_the_login(host):
    (_, rules), = blocks("8")
    host.write(POLICY, NO_RULES + rules)
    host.vigilctl("reload")
    login = host.login("alice")
    login.send("sudo -i\r")
    login.wait_to_hear("assword", 10)
    login.send(PASSWORDS["alice"] + "\r")
    login.wait_for("^root@", 15)
    shown = host.vigilctl("list").stdout
    assert re.search(r"^[0-9a-f]{8} +alice .*\n  [0-9a-f]{8} +root .* sudo-i .* end \d\d:\d\d$", shown, re.MULTILINE), shown
    elevated, = [started for one in host.vigilctl("list", "--json") for started in one["elevated"]]
    host.vigilctl("terminate", elevated["id"], "--reason", "a test")
    login.wait_for(SHELL, 15)
    host.write(POLICY, NO_RULES)
    host.vigilctl("reload")
