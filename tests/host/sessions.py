"""A session as vigil knows it, however its user came in."""

from vigilhost import wait_until


class Session:
    """Of one user; begin() or whoever makes it says which."""

    def __init__(self, host, user):
        self.host = host
        self.user = user
        self.id = None
        self.listed = None

    def begin(self, log_in, timeout=5):
        """Does what begins it, and waits until vigil lists it as open; what log_in() returned."""
        known = {one["id"] for one in self.host.vigil_sessions()}
        done = log_in()
        new = wait_until(lambda: [one for one in self.host.vigil_sessions(user=self.user)
                                  if one["id"] not in known and one["state"] != "reserved"],
                         timeout, "vigil lists the login")
        self.listed = new[0]
        self.id = new[0]["id"]
        return done

    def now(self):
        """As vigil lists it at this moment; None when it is gone."""
        return next(iter(self.host.vigil_sessions(id=self.id)), None)

    def state(self):
        listed = self.now()
        return listed["state"] if listed else "gone"

    def show(self):
        return self.host.vigilctl("show", self.id, "--json")

    def scope(self):
        """The folder of the session's cgroup."""
        return self.scope_of(self.show()["logind_session"])

    def scope_of(self, name):
        """The same, without vigild, by logind's name of the session."""
        found = self.host.run("find", "/sys/fs/cgroup", "-name", f"session-{name}.scope").stdout.split()
        return found[0]

    def told(self, event):
        """What the journal has of one kind of event, oldest first."""
        return [one["MESSAGE"] for one in self.host.journal(VIGIL_SESSION=self.id, VIGIL_EVENT=event)]

    def terminate(self, timeout):
        """Whatever state it is in."""
        self.host.vigilctl("terminate", self.id, "--reason", "the test is over", check=False)
        wait_until(lambda: self.state() == "gone", timeout, "the session is over")
