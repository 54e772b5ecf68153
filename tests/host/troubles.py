"""What can be wrong with vigild: each a context in which it is, and behind which it is not."""

import contextlib

STOP = "systemctl stop vigild.socket vigild.service"
START = "systemctl start vigild.socket vigild.service"


@contextlib.contextmanager
def gone(host):
    host.run(STOP)
    try:
        yield
    finally:
        host.run(START)


@contextlib.contextmanager
def stuck(host):
    pid = str(host.vigild_pid())
    host.run("kill", "-STOP", pid)
    try:
        yield
    finally:
        host.run("kill", "-CONT", pid)


@contextlib.contextmanager
def no_policy(host):
    """None that can be read, and no last good one."""
    before = host.read("/etc/vigil/policy.yaml")
    host.run(f"{STOP}; echo 'version: no' >/etc/vigil/policy.yaml; rm -f /var/lib/vigil/policy.last-good; {START}")
    try:
        yield
    finally:
        host.policy(before)


@contextlib.contextmanager
def no_key(host):
    host.run(f"{STOP}; cp /etc/credstore.encrypted/vigil.key /root/vigil.key; "
             f"echo nonsense >/etc/credstore.encrypted/vigil.key; {START}")
    try:
        yield
    finally:
        host.run(f"{STOP}; rm -f /etc/credstore.encrypted/vigil.key*; "
                 f"cp /root/vigil.key /etc/credstore.encrypted/vigil.key; {START}")


@contextlib.contextmanager
def no_factors(host):
    host.run(f"{STOP}; mkdir -p /root/kept; cp -a /var/lib/vigil/factors.db* /root/kept/; "
             f"rm -f /var/lib/vigil/factors.db-*; head -c 8192 /dev/urandom >/var/lib/vigil/factors.db; {START}")
    try:
        yield
    finally:
        host.run(f"{STOP}; rm -f /var/lib/vigil/factors.db*; cp -a /root/kept/. /var/lib/vigil/; rm -r /root/kept; "
                 f"{START}")


@contextlib.contextmanager
def no_state(host):
    host.run(f"{STOP}; rm -f /run/vigil/state.db-*; head -c 8192 /dev/urandom >/run/vigil/state.db; {START}")
    yield
