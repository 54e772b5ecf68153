"""tools/try: vigil on a disposable host, by hand or unattended."""

import argparse
import contextlib
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import build
from common import SOURCE, SUITES, HostError, ends_are_exceptions, note
from package import debs_for_hosts

sys.path.insert(0, str(SOURCE / "tests" / "host"))

from story import Story, StepFailed  # noqa: E402  (both need the line above)
from vigilhost import PASSWORDS, Host  # noqa: E402

BY_HAND_POLICY = """\
version: 1
mode: enforce
sessions:
  - name: a short visit
    match: {users: [alice]}
    idle_warn: 10s
    idle_lock: 30s
    max_duration: 10m
    warn_before_end: [1m]
    max_sessions: {user: 2, when_reached: deny}
    unlock: [password, totp]
step_up:
  - match: {users: [alice], services: [sudo, su], run_as: [root]}
    require: [totp]
    valid_for: 5m
    scope: terminal
"""

ENROL = """
1. root enrols a TOTP for alice.
   Watch: a QR code for a telephone, and the same as a URI.
   Type:  the code that your telephone shows. Without a telephone: copy the URI's secret, run in another
          terminal `{tool} in {name} oathtool --totp -b SECRET`, and type what that prints.
"""

VISIT = """
2. You are alice on a host with vigil. Her password is `{password}`.
   a. Type `sudo id`, the password, and a code that was not used yet (a new one comes every 30 s).
      Watch: the code is asked for after the password. Type `sudo id` again: nothing is asked.
   b. Type `sudo -k; sudo id` with a wrong code, in a second login: `{tool} ssh {name} alice`.
      Watch: the refusal, with its reason. A third login is refused at once: the policy has 2.
   c. Open an editor (`vi letter`), write a line, and touch nothing for 30 s.
      Watch: a warning after 20 s, the lock after 30 s; nothing of your letter is seen. Only the password (or a code)
      gives the terminal back, with the editor as you left it. Try the same with `while sleep 1; do date; done`, with tmux ...
   d. As root, in another terminal: `{tool} in {name} vigilctl list`, `... vigilctl lock --user alice`,
      `... pkill -9 vigild`. Watch: a locked terminal stays locked, with vigild dead and with vigild back.
   e. Stay for 10 minutes, or leave with `exit`.
"""


def by_hand(host):
    tool = "sudo tools/host"
    host.policy(BY_HAND_POLICY)
    print(ENROL.format(tool=tool, name=host.name))
    input("Press Enter to begin. ")
    subprocess.run(host.ssh_command("root", "-t", command=["vigilctl", "enroll", "totp", "alice"]), check=False)
    print(VISIT.format(tool=tool, name=host.name, password=PASSWORDS["alice"]))
    input("Press Enter to log in. ")
    subprocess.run(host.ssh_command("alice", "-t"), check=False)
    print("\n3. What vigild wrote to the journal about it:\n")
    print(host.vigil_log())
    return 0


def shell(host):
    host.policy(BY_HAND_POLICY)
    print(f"A root shell on the host {host.name}; `exit` takes the host away.\n"
          f"Log in there from another terminal: sudo tools/host ssh {host.name} alice (password {PASSWORDS['alice']})")
    subprocess.run(host.inner.command(["/bin/bash", "-l"]), check=False)
    return 0


def auto(host, kill9):
    try:
        Story(host, kill9=kill9, tell=lambda line: print(line, flush=True)).play()
    except StepFailed:
        note("--- the journal of vigild:")
        note(host.vigil_log()[-6000:])
        return 1
    return 0


def compile_programs(suite):
    with contextlib.suppress(HostError, OSError, KeyboardInterrupt):
        debs_for_hosts(suite)


@contextlib.contextmanager
def compiling_ahead(suite):
    """The programs are compiled while the host is made, each on a core; install() then finds them there, or says why not."""
    if not build.builds_here(suite):
        yield
        return
    process = multiprocessing.get_context("fork").Process(target=compile_programs, args=(suite,))
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def main():
    parser = argparse.ArgumentParser(prog="tools/try", description="vigil on a disposable host, step by step.")
    parser.add_argument("--auto", action="store_true", help="play the whole story unattended, one line a step")
    parser.add_argument("--kill9", action="store_true", help="with --auto: kill -9 of vigild between every two steps")
    parser.add_argument("--shell", action="store_true", help="a root shell on such a host")
    # The machine's own where it can be: what is built here runs there, and no second compiler has to be fetched.
    own = build.machine_suite()
    parser.add_argument("--suite", choices=SUITES, default=own if own in SUITES else SUITES[0],
                        help="the Debian release of the host (%(default)s)")
    parser.add_argument("--vm", action="store_true", help="on a virtual machine with Debian's own kernel")
    given = parser.parse_args()
    if os.geteuid() != 0:
        raise HostError("tools/try needs root")
    if not given.auto and not sys.stdin.isatty():
        raise HostError("tools/try needs a terminal; tools/try --auto does not")

    began = time.monotonic()
    with compiling_ahead(given.suite), Host(f"try-{os.getpid()}", given.suite, vm=given.vm) as host:
        host.install()
        print(f"[ok] a Debian host ({given.suite}{', virtual machine' if given.vm else ''}) with vigil is up "
              f"after {time.monotonic() - began:.1f} s", flush=True)
        if given.auto:
            return auto(host, given.kill9)
        return shell(host) if given.shell else by_hand(host)


if __name__ == "__main__":
    ends_are_exceptions()
    try:
        sys.exit(main())
    except (HostError, AssertionError) as error:
        sys.exit(f"tools/try: {error}")
    except (KeyboardInterrupt, EOFError):
        sys.exit(130)
