#!/usr/bin/python3 -B
"""What a step-up costs on a booted host: tests/bench/bench_step_up.py [SUITE], as root, after `ninja -C build`.

`sudo -n true` without a password: without vigil, with vigil's module and with the module and sudo's plugin, both with a proof that
stands; and, for what nobody can do without, with pam_debug(8) in the lines of vigil's, and with a plugin that does nothing as well.
In blocks by turns at one terminal, from the fork to the end.

The same with no rule for a proof: without the module's line for what is elevated, with it and no rule, and with a rule.

A code: in a login session of each of PEOPLE persons, the PAM stack of pam_google_authenticator(8) and that of pam_vigil(8), by turns in a process each, from pam_start(3) to
pam_end(3). A code counts once, so each person gives two.
"""

import base64
import re
import secrets
import statistics
import sys
import time
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(SOURCE / "tests" / "host"), str(SOURCE / "tools" / "lib")]

import roots  # noqa: E402
from people import enroll, let_sshd_take_all, person, shell  # noqa: E402
from story import Codes  # noqa: E402
from vigilhost import Host  # noqa: E402

ROUNDS, BLOCK = 40, 10
PEOPLE = 20
CLIENT = "/usr/local/bin/step-up-client"
POLICY = """\
version: 1
step_up:
  - match: {groups: [sudo], services: [sudo]}
    require: [totp]
    valid_for: 10h
  - match: {services: [doas]}
    require: [totp]
"""
NO_CLOCK = "version: 1\n"
CLOCK = NO_CLOCK + "elevated:\n  - {max_duration: 1h, idle_terminate: 10m}\n"
PLUGIN = "Plugin vigil_approval vigil_approval.so\n"
EMPTY_PLUGIN = "Plugin empty_approval empty_approval.so\n"
# As `google-authenticator -t -d -r 3 -R 30 -w 3` writes it.
GOOGLES = '{}\n" RATE_LIMIT 3 30\n" WINDOW_SIZE 3\n" DISALLOW_REUSE\n" TOTP_AUTH\n'
GOOGLE, VIGIL = "google", "doas"


def told(what, times, before=None):
    """Of microseconds; in milliseconds."""
    middle, worst = (statistics.quantiles(times, n=100)[percent - 1] / 1000 for percent in (50, 95))
    ratio = "" if before in (None, times) else f", {middle / (statistics.median(before) / 1000):.3f} times the first"
    print(f"{what}: p50 {middle:.2f} ms, p95 {worst:.2f} ms of {len(times)}{ratio}")


def measure_sudo(host):
    user = person(host, "sudo")
    codes = enroll(host, user)
    host.write("/etc/sudoers.d/bench", f"{user} ALL=(ALL:ALL) NOPASSWD: ALL\n", "0440")
    # libpam loads the modules of all files that are included, those of `other` too.
    host.run("for stack in with without empty; do cp -a /etc/pam.d /etc/pam.$stack; done; "
             "sed -i /pam_vigil.so/d /etc/pam.without/* && sed -i 's/pam_vigil.so.*/pam_debug.so/' /etc/pam.empty/*")
    ways = {"sudo without vigil": ("without", ""), "with an empty module": ("empty", ""),
            "with an empty module and an empty plugin": ("empty", EMPTY_PLUGIN), "with the module": ("with", ""),
            "with module and plugin": ("with", PLUGIN)}

    def use(way):
        stack, conf = ways[way]
        host.write("/etc/sudo.conf", conf)
        host.run(f"cp -a /etc/pam.{stack}/* /etc/pam.d/")
    inside = shell(host, user)
    for way in ("with the module", "with module and plugin"):
        use(way)
        assert inside.run("sudo true", codes.fresh(), timeout=40)[0] == 0
    times = {way: [] for way in ways}
    for number in range(ROUNDS):
        for way in sorted(ways, reverse=number % 2 == 1):
            use(way)
            status, said = inside.run(f"{CLIENT} commands {BLOCK} sudo -n true", timeout=60)
            assert status == 0, said
            times[way] += [int(line) for line in said.splitlines() if line.isdigit()]
    use("with the module")
    for way in ways:
        assert len(times[way]) == ROUNDS * BLOCK
        told(way, times[way], times["sudo without vigil"])


def measure_elevated(host):
    user = person(host)
    host.write("/etc/sudoers.d/bench", f"{user} ALL=(ALL:ALL) NOPASSWD: ALL\n", "0440")
    host.run("cp -a /etc/pam.d /etc/pam.line && cp -a /etc/pam.d /etc/pam.plain && sed -i '/pam_vigil.so elevated/d' /etc/pam.plain/*")
    ways = {"without the line for what is elevated": ("plain", NO_CLOCK), "with it and no rule": ("line", NO_CLOCK),
            "with a clock of its own": ("line", CLOCK)}
    inside = shell(host, user)
    times = {way: [] for way in ways}
    for number in range(ROUNDS):
        for way in sorted(ways, reverse=number % 2 == 1):
            stack, policy = ways[way]
            host.policy(policy)
            host.run(f"cp -a /etc/pam.{stack}/* /etc/pam.d/")
            status, said = inside.run(f"{CLIENT} commands {BLOCK} sudo -n true", timeout=60)
            assert status == 0, said
            times[way] += [int(line) for line in said.splitlines() if line.isdigit()]
    for way in ways:
        assert len(times[way]) == ROUNDS * BLOCK
        told("sudo " + way, times[way], times["without the line for what is elevated"])


def measure_codes(host):
    host.write(f"/etc/pam.d/{GOOGLE}", "auth required pam_google_authenticator.so secret=/var/lib/google/${USER} user=root\n"
               "account required pam_permit.so\n")
    host.write(f"/etc/pam.d/{VIGIL}", "auth required pam_permit.so\naccount required pam_vigil.so\n")
    host.write("/etc/sudoers.d/codes", f"ALL ALL=(root) NOPASSWD: {CLIENT}\n", "0440")
    people = []
    for _ in range(PEOPLE):
        user = person(host)
        secret = base64.b32encode(secrets.token_bytes(20)).decode()
        host.write(f"/var/lib/google/{user}", GOOGLES.format(secret), "0600")
        people.append((user, host.run("id", "-u", user).stdout.strip(), shell(host, user),
                       {GOOGLE: Codes(host, secret), VIGIL: enroll(host, user)}))
    # All of them have used older ones by then, and there is time to give what is made now.
    time.sleep(Codes.period - time.time() % Codes.period)
    step = int(time.time() / Codes.period)
    said = []
    for later in (0, 1):
        for number, (user, uid, inside, codes) in enumerate(people):
            lines = [f"{service} {user} {uid} {codes[service].at(step + later)}"
                     for service in ((GOOGLE, VIGIL) if (number + later) % 2 else (VIGIL, GOOGLE))]
            status, text = inside.run(f"sudo -n {CLIENT} codes " + " ".join(lines), timeout=60)
            assert status == 0, text
            said += re.findall(rf"^({GOOGLE}|{VIGIL}) (\d+)\r?$", text, re.MULTILINE)
    times = {service: [int(took) for name, took in said if name == service]
             for service in (GOOGLE, VIGIL)}
    told("a code to pam_google_authenticator", times[GOOGLE])
    told("a code to pam_vigil", times[VIGIL], times[GOOGLE])


def main():
    suite = sys.argv[1] if len(sys.argv) > 1 else "bookworm"
    with Host("bench-step-up", suite, packages=tuple(roots.CODES_PACKAGES)) as host:
        host.install()
        let_sshd_take_all(host)
        host.put(SOURCE / "build/tests/bench/step_up_client", CLIENT)
        host.put(SOURCE / "build/tests/bench/empty_approval.so", "/usr/libexec/sudo/empty_approval.so")
        host.policy(POLICY)
        measure_sudo(host)
        measure_codes(host)
        measure_elevated(host)


if __name__ == "__main__":
    main()
