"""tools/host: makes, boots, enters and stops disposable Debian hosts."""

import argparse
import os
import subprocess
import sys
import time

import containers
import machines
import roots
from common import STATE, SUITES, HostError, ends_are_exceptions, records
from hosts import boot, find
from install import install as put_on

VERBS = """
  make                 make the cached Debian root (boot does it too)
  boot NAME            a new host; several may be up at a time
  install NAME         build vigil and put it on the host
  in NAME CMD...       run a command there, as root
  shell NAME           a login shell there, as root
  ssh NAME USER        log in there with the real ssh client
  off NAME...          stop hosts and take away all that they were
  list                 what is up
  clean [--cache]      stop every host; with --cache forget the roots as well
 with --vm also:
  key NAME KEY...      press keys at the machine's keyboard (QEMU's names: r, ret, ctrl-alt-f2)
  shot NAME FILE       a picture of its screen, FILE.png or FILE.ppm
"""


def arguments():
    parser = argparse.ArgumentParser(prog="tools/host", formatter_class=argparse.RawDescriptionHelpFormatter,
                                     description="Disposable Debian hosts to run vigil on.", epilog=VERBS)
    parser.add_argument("--vm", action="store_true", help="virtual machines with Debian's own kernel, emulated")
    parser.add_argument("--tpm", action="store_true", help="a virtual machine with a TPM, emulated too")
    parser.add_argument("--suite", choices=SUITES, default=SUITES[0])
    parser.add_argument("--owner", type=int, default=0, metavar="PID", help="the host is for this process alone")
    parser.add_argument("--cache", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("verb", metavar="VERB")
    parser.add_argument("rest", metavar="...", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    # Options are taken after the verb as well, but a command for the host keeps all its words.
    if given.verb not in ("in", "key"):
        given = parser.parse_args([*sys.argv[1:sys.argv.index(given.verb)], *options_first(given.rest, given.verb)])
    return parser, given


def options_first(rest, verb):
    options, words = [], []
    rest = list(rest)
    while rest:
        word = rest.pop(0)
        if word in ("--suite", "--owner") and rest:
            options += [word, rest.pop(0)]
        else:
            (options if word.startswith("--") else words).append(word)
    return [*options, verb, *words]


def enter(host, words):
    """Turns into a command on the host."""
    sys.stdout.flush()
    host.join()
    command = host.command(words)
    os.execvpe(command[0], command, containers.ENVIRONMENT)


def log_in(host, user):
    directory = host.record.directory
    command = host.outside_command([
        "ssh", "-F", "none", "-i", str(directory / "key"), "-o", f"UserKnownHostsFile={directory}/known_hosts",
        "-o", "StrictHostKeyChecking=accept-new", *host.ssh_options(), f"{user}@127.0.0.1"])
    os.execvp(command[0], command)


def show_list():
    for record in records():
        values = record.read()
        up = "up" if find(record.name).is_up() else "down"
        print(f"{record.name:<24} {values.get('kind', '?'):<10} {values.get('suite', '?'):<10} {up}")


def boot_and_tell(given):
    began = time.monotonic()
    host = boot(given.rest[0], given.suite, given.owner, given.vm or given.tpm, tpm=given.tpm)
    print(f"{host.record.read()['state']} after {time.monotonic() - began:.1f} s")


def install(name):
    began = time.monotonic()
    host = find(name)
    put_on(host, host.record.read()["suite"])
    print(f"installed after {time.monotonic() - began:.1f} s")


def main():
    parser, given = arguments()
    if os.geteuid() != 0:
        raise HostError("tools/host needs root")
    least = {"boot": 1, "install": 1, "in": 2, "shell": 1, "ssh": 2, "off": 1, "key": 2, "shot": 2}
    if len(given.rest) < least.get(given.verb, 0):
        parser.error(f"{given.verb} wants more words")
    match given.verb:
        case "make":
            print(machines.disk(given.suite) if given.vm else roots.host_root(given.suite))
        case "boot":
            boot_and_tell(given)
        case "install":
            install(given.rest[0])
        case "in":
            enter(find(given.rest[0]), given.rest[1:])
        case "shell":
            enter(find(given.rest[0]), ["/bin/bash", "-l"])
        case "ssh":
            log_in(find(given.rest[0]), given.rest[1])
        case "key":
            find(given.rest[0]).key(given.rest[1:])
        case "shot":
            find(given.rest[0]).shot(given.rest[1])
        case "off":
            for name in given.rest:
                find(name).off()
        case "list":
            show_list()
        case "clean":
            for record in records():
                find(record.name).off()
            if given.cache:
                roots.remove_all()
            if STATE.is_dir() and not records():
                STATE.rmdir()
        case _:
            parser.error(f"no verb {given.verb}")


if __name__ == "__main__":
    ends_are_exceptions()
    try:
        main()
    except HostError as error:
        sys.exit(f"tools/host: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"tools/host: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
