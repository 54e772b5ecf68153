"""Debian roots from mmdebstrap, cached by suite and list of packages."""

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

from common import CACHE, SUITES, HostError, locked, note, run

# What a host has before vigil: what a server has, what vigil links, and what the tests use.
HOST_PACKAGES = """
    systemd systemd-sysv dbus libpam-systemd openssh-server openssh-client sudo login passwd procps iproute2
    polkitd pkexec tmux libpam-runtime libyaml-0-2 libsqlite3-0 libqrencode4 libpam0g libsystemd0
    oathtool vim-tiny nano mc less screen zsh ncurses-bin strace
""".split()
OPENSSL = {"bookworm": "libssl3", "trixie": "libssl3t64"}
KERNEL_PACKAGES = ["linux-image-cloud-amd64", "initramfs-tools"]
# Beside them, where a host is to have a desktop: a screen in a file, a locker that logind is told of, and hands for its keys.
DESKTOP_PACKAGES = ["xvfb", "xss-lock", "i3lock", "xdotool"]
# Other ways to become root than sudo and su, and ways to run something with nobody there.
WAYS_PACKAGES = ["opendoas", "cron", "at"]
# Another module that asks for one-time codes, to measure vigil's beside.
CODES_PACKAGES = ["libpam-google-authenticator"]

# What systemd opens a TPM with.
TPM_PACKAGES = ["libtss2-esys-3.0.2-0", "libtss2-rc0", "libtss2-tcti-device0"]


def host_root(suite, more=()):
    """`more` are packages beside those of every host."""
    return root("host", suite, HOST_PACKAGES + [OPENSSL[suite], *more])


def machine_root(suite, more=()):
    """The same with Debian's kernel, for virtual machines."""
    return root("machine", suite, HOST_PACKAGES + [OPENSSL[suite], *KERNEL_PACKAGES, *more])


def build_root(suite):
    """A root to build vigil in, for hosts older than this machine."""
    listing = (Path(__file__).parent / "packages").read_text(encoding="utf-8")
    packages = [re.search(rf"^{part}=\((.*?)\)", listing, re.DOTALL | re.MULTILINE)[1] for part in ("build", "deb")]
    return root("build", suite, " ".join(packages).split())


def root(kind, suite, packages):
    """The folder of a root, made when it is not there yet."""
    if suite not in SUITES:
        raise HostError(f"no suite {suite!r}: one of {', '.join(SUITES)}")
    key = hashlib.sha256(" ".join([kind, suite, *sorted(packages)]).encode()).hexdigest()[:12]
    made = CACHE / f"{kind}-{suite}-{key}"
    with locked(CACHE / f"{made.name}.lock"):
        if not made.is_dir():
            make(made, suite, packages)
    return made


def make(made, suite, packages):
    note(f"Making a Debian root: {made}")
    fresh = made.with_name(made.name + ".part")
    remove_tree(fresh)
    options = [f"--aptopt={line}" for line in apt_options()]
    try:
        # In namespaces of its own: when this is killed, nothing stays mounted and nothing goes on writing.
        run("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc",
            "mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--format=directory",
            "--dpkgopt=force-unsafe-io", "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-exclude=/usr/share/man/*", *options, "--include=" + ",".join(packages),
            suite, fresh, *sources(suite))
        # The machine's own name and name servers have no business on a host.
        (fresh / "etc/hostname").unlink(missing_ok=True)
        (fresh / "etc/resolv.conf").unlink(missing_ok=True)
        fresh.rename(made)
    finally:
        remove_tree(fresh)


def remove_tree(path):
    if path.is_symlink() or path.exists():
        shutil.rmtree(path)


def apt_options():
    """How this machine reaches its mirrors: proxies, time-outs, checks of dates."""
    dump = subprocess.run(["apt-config", "dump"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return [line for line in dump.splitlines()
            if re.match(r"Acquire::(https?::|Check-|Retries)", line) and not line.endswith(' "";')]


def sources(suite):
    """This machine's apt sources for Debian, as lines for another suite."""
    found = []
    for uri, named in configured():
        match = re.fullmatch(rf"({'|'.join(SUITES)}|stable)(-security|-updates)?", named)
        if match:
            line = f"deb {uri} {suite}{match[2] or ''} main"
            if line not in found:
                found.append(line)
    if not any(line.endswith(f" {suite} main") for line in found):
        raise HostError("no Debian mirror in /etc/apt/sources.list or /etc/apt/sources.list.d")
    return found


def configured():
    """(URI, suite) of every source, from both formats."""
    apt = Path("/etc/apt")
    for file in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]:
        if file.exists():
            for line in file.read_text(encoding="utf-8").splitlines():
                match = re.match(r"\s*deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)", line)
                if match:
                    yield match[1], match[2]
    for file in sorted((apt / "sources.list.d").glob("*.sources")):
        for paragraph in re.split(r"\n\s*\n", file.read_text(encoding="utf-8")):
            fields = dict(re.findall(r"^(URIs|Suites|Types|Enabled):\s*(.*)$", paragraph, re.MULTILINE))
            if "deb" in fields.get("Types", "").split() and fields.get("Enabled", "yes") != "no":
                for uri in fields.get("URIs", "").split():
                    for named in fields.get("Suites", "").split():
                        yield uri, named


def remove_all():
    """Everything cached here: the next boot makes it again."""
    if CACHE.is_dir():
        for entry in CACHE.iterdir():
            if entry.is_dir():
                remove_tree(entry)
            else:
                entry.unlink()
