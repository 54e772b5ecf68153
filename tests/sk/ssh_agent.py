"""A real ssh-agent with security keys that have no hardware (middleware.cpp), and what is said to it, in Python."""

import base64
import contextlib
import os
import signal
import socket
import struct
import subprocess
from pathlib import Path

ENROLL, MANAGE = 1, 2


def string(data):
    return struct.pack(">I", len(data)) + data


def challenge(purpose, host, user, nonce):
    """As wire/challenge.hpp has it, of a change of factors."""
    fields = (host.encode(), user.encode(), b"", b"", b"", b"", bytes(nonce))
    return b"vigil-challenge-1\n" + bytes([purpose]) + b"".join(map(string, fields))


class Key:
    def __init__(self, file):
        self.file = file
        self.line = Path(f"{file}.pub").read_text().strip()
        self.blob = base64.b64decode(self.line.split()[1])
        said = subprocess.run(["ssh-keygen", "-l", "-f", f"{file}.pub"], check=True, capture_output=True, text=True)
        self.fingerprint = said.stdout.split()[1]


# ssh-agent runs it to ask for a PIN, and to say that it waits for a touch.
ASKPASS = """#!/bin/sh
test "$SSH_ASKPASS_PROMPT" != none || exit 0
echo "$1" >>{folder}/asked
cat {folder}/typed
"""


class SshAgent:
    """flags: of each signature, 1 a touch, 4 a PIN; counter: the first signature's, 0 for keys that do not count; pin: of keys
    that were made to ask for one, which whoever sits at the agent types."""

    def __init__(self, folder, middleware, flags=1, counter=None, pin=None):
        self.folder, self.middleware = Path(folder), str(middleware)
        self.folder.mkdir(exist_ok=True)
        self.path = self.folder / "agent"
        self.environment = {"PATH": os.environ["PATH"], "SSH_SK_PROVIDER": self.middleware, "VIGIL_SK_FLAGS": str(flags)}
        if counter is not None:
            self.counter = self.folder / "counter"
            self.count(counter)
            self.environment["VIGIL_SK_COUNTER"] = str(self.counter)
        self.untouched = self.folder / "untouched"
        self.environment["VIGIL_SK_UNTOUCHED"] = str(self.untouched)
        if pin is not None:
            self.types(pin)
            askpass = self.folder / "askpass"
            askpass.write_text(ASKPASS.format(folder=self.folder))
            askpass.chmod(0o755)
            self.environment |= {"VIGIL_SK_PIN": pin, "SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force"}
        self.process = subprocess.Popen(["ssh-agent", "-D", "-P", self.middleware, "-a", str(self.path)],
                                        env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self.process.stdout.readline(), "it says where it listens once it does"
        self.environment["SSH_AUTH_SOCK"] = str(self.path)
        self.made = 0

    def count(self, number):
        self.counter.write_text(str(number))

    def types(self, pin):
        (self.folder / "typed").write_text(f"{pin}\n")

    def leave(self):
        """Nobody touches its keys from now on."""
        self.untouched.touch()

    def waits(self):
        """How many signatures wait for a touch, or have waited."""
        return self.untouched.stat().st_size

    def touch(self):
        """Somebody does, and what has waited is signed."""
        self.untouched.unlink(missing_ok=True)

    @contextlib.contextmanager
    def stopped(self):
        """It takes a connection, and does not answer."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def asked(self):
        """The questions for a PIN until now."""
        asked = self.folder / "asked"
        return asked.read_text().splitlines() if asked.exists() else []

    def key(self, kind="ed25519-sk", comment=None, *options):
        """A new one, which the agent has from then on."""
        self.made += 1
        file = self.folder / f"key-{self.made}"
        self.run("ssh-keygen", "-q", "-t", kind, "-N", "", "-C", comment or f"comment {self.made}", *options, "-f", str(file))
        self.run("ssh-add", "-q", *(["-S", self.middleware] if kind.endswith("-sk") else []), str(file))
        return Key(file)

    def run(self, *words):
        done = subprocess.run(words, env=self.environment, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done

    def sign(self, key, data):
        """What its answer to a request for a signature has in it."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.path))
            client.sendall(string(b"\x0d" + string(key.blob) + string(data) + struct.pack(">I", 0)))
            with client.makefile("rb") as answer:
                content = answer.read(struct.unpack(">I", answer.read(4))[0])
        assert content[0] == 14, "it signs"
        return content[5:]

    def close(self):
        self.touch()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        self.process.stdout.close()
