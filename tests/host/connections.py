"""An ssh connection that lives on without a terminal, as with ControlPersist or a forward, and terminals over it."""

import subprocess

from logins import Login
from sessions import Session


class Connection(Session):
    """`ssh -N -M`: its client stays until it is closed, whatever becomes of the windows."""

    def __init__(self, host, user):
        super().__init__(host, user)
        path = host.control_path()
        self.options = ["-S", path]
        self.client = self.begin(lambda: subprocess.Popen(
            host.ssh_command(user, "-N", "-M", *self.options), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL), 15)

    def channel(self, *options, command=()):
        """Another of its channels, from the client's side."""
        return self.host.ssh(self.user, *options, *self.options, command=list(command))

    def open(self):
        """A window with a shell in it, as the login that it is."""
        return Window(self)

    def lives(self):
        return self.client.poll() is None

    def close(self):
        self.client.kill()
        self.client.wait()


class Window(Login):
    def __init__(self, connection):
        Session.__init__(self, connection.host, connection.user)
        self.id, self.listed, self.answered = connection.id, connection.listed, 0
        self.screen = connection.host.login(connection.user, *connection.options)
