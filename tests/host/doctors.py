"""What vigilctl doctor says."""

import json

DONE, FAILURE, WARNING = 0, 1, 4
# What has sshd forward nothing, and where it goes.
NO_FORWARDS = "/usr/share/vigil/examples/sshd-no-forwards.conf", "/etc/ssh/sshd_config.d/10-no-forwards.conf"

# Its kernel, its clock, its consoles.
OF_MACHINE = ("pids", "tiocsti", "ptrace", "clock", "way back")


class Found:
    """What the doctor said, by what was looked at."""

    def __init__(self, host, user=None, within=()):
        shown = host.run(*(["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else within),
                         "sh", "-c", 'vigilctl doctor --json; echo "$?"').stdout
        text, _, status = shown.rstrip().rpartition("\n")
        self.whole = json.loads(text)
        self.status = int(status)
        self.checks = self.whole["checks"]

    def __getitem__(self, check):
        found = [one for one in self.checks if one["check"] == check]
        assert found, f"no {check} in {self.checks}"
        return found[0]

    def result(self, check):
        return self[check]["result"]

    def bad(self):
        """What is not ok, but for what the machine around has or has not."""
        return [one for one in self.checks if one["result"] != "ok" and one["check"] not in OF_MACHINE]

    def of(self, login):
        return [one for one in self.checks if one["session"] == login.id]
