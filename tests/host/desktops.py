"""A stand-in for a desktop: a real logind session of type wayland, which answers to logind as it is told to."""

import itertools

from sessions import Session
from vigilhost import SOURCE, wait_until

NUMBERS = itertools.count(1)


def put_on(host):
    host.put(SOURCE / "build/tests/host/tools/desktop", "/usr/local/bin/desktop")
    host.write("/etc/pam.d/desktop", "auth required pam_permit.so\n@include common-account\n@include common-session\n")


def end(host):
    host.run("systemctl stop 'desktop-*.service'", check=False)
    wait_until(lambda: not [one for one in host.vigil_sessions() if one["desktop"]], 15, "vigil lists no desktop any more")


class Desktop(Session):
    def __init__(self, host, user, manner="obeys"):
        super().__init__(host, user)
        self.unit = f"desktop-{next(NUMBERS)}"
        host.run("systemd-run", "--quiet", "--collect", f"--unit={self.unit}",
                 f"--property=StandardOutput=file:/run/{self.unit}", "/usr/local/bin/desktop", user, manner)
        listed = wait_until(lambda: [one for one in host.vigil_sessions(user=user) if one["desktop"]], 20,
                            "vigil lists the desktop")
        self.id = listed[0]["id"]
        self.logind = listed[0]["logind_session"]
        # It listens once it has said its name.
        wait_until(lambda: self.logind in host.read(f"/run/{self.unit}").split(), 10,
                   "it listens")

    def hint(self):
        return self.host.run("loginctl", "show-session", self.logind, "-p", "LockedHint", "--value").stdout.strip()

    def says(self, method, value):
        """What its user does there, as the desktop tells logind."""
        path = self.host.run("busctl", "call", "org.freedesktop.login1", "/org/freedesktop/login1",
                             "org.freedesktop.login1.Manager", "GetSession", "s", self.logind).stdout.split('"')[1]
        self.host.run("busctl", "call", "org.freedesktop.login1", path, "org.freedesktop.login1.Session", method, "b", value)

    def told(self, event):
        """Without the session's id behind it."""
        return [message.rpartition(" [")[0] for message in super().told(event)]
