"""Hosts as virtual machines, for what a container cannot show: Debian's own kernel, consoles, suspend, reboot.

They run under emulation, so that they need nothing of the machine. Two ports of the machine's loopback lead in: one to the
host's sshd, and one to an sshd without PAM, through which root runs commands there without being a login that vigil sees.
"""

import hashlib
import os
import re
import shlex
import signal
import socket
import subprocess
import time
from pathlib import Path

import roots
from common import LIB, HostError, Record, identity, is_alive, locked, note, run, uninterrupted
from containers import has_ended, take_signals
from picture import Picture

BOOT_SECONDS = 180
# QEMU's names of the keys that are not their own letter, on the keyboard that Debian takes for granted.
KEYS = {" ": "spc", "\n": "ret", "-": "minus", "=": "equal", "/": "slash", ".": "dot", ",": "comma", ";": "semicolon",
        "'": "apostrophe", "\\": "backslash", "[": "bracket_left", "]": "bracket_right", ">": "shift-dot"}

# Over a sleep the kernel keeps what the firmware asks for, and with QEMU's puts it back over what it needs itself: without this
# one of Debian 13 dies of a double fault in one of three wakings.
KERNEL = "root=/dev/vda rw quiet acpi_sleep=nonvs"

DISK = r"""
    set -euo pipefail
    root=$1 made=$2
    work=/run/vigil-build-root
    mkdir -p "$work"
    mount -t tmpfs disk-root "$work"
    mkdir "$work"/{upper,work,root}
    mount -t overlay -o "lowerdir=$root,upperdir=$work/upper,workdir=$work/work" overlay "$work/root"
    root=$work/root
    echo '/dev/vda / ext4 defaults 0 1' >"$root/etc/fstab"
    printf '[Match]\nName=en*\n[Network]\nDHCP=yes\nKeepConfiguration=yes\n' >"$root/etc/systemd/network/80-en.network"
    cat >"$root/etc/systemd/system/vigil-hosts.service" <<'UNIT'
[Unit]
Description=Commands from outside
After=network.target
[Service]
ExecStart=/usr/sbin/sshd -D -p 2222 -o UsePAM=no -o PidFile=none -o MaxSessions=100 -o MaxStartups=100
RuntimeDirectory=sshd
RuntimeDirectoryPreserve=yes
Restart=always
[Install]
WantedBy=multi-user.target
UNIT
    systemctl -q --root="$root" enable systemd-networkd vigil-hosts
    install -d -m 0700 "$root/root/.ssh"
    cp "$made/key.pub" "$root/root/.ssh/authorized_keys"
    cp "$root"/boot/vmlinuz-* "$made/vmlinuz"
    cp "$root"/boot/initrd.img-* "$made/initrd"
    mke2fs -q -t ext4 -d "$root" "$made/disk.img" 3G
"""


def disk(suite, packages=()):
    """The folder with a suite's disk, kernel and key, made from its root when it is not there."""
    root = roots.machine_root(suite, packages)
    recipe = hashlib.sha256(DISK.encode()).hexdigest()[:6]
    made = root.with_name(f'{root.name.replace("machine-", "disk-")}-{recipe}')
    with locked(made.with_name(made.name + ".lock")):
        if not made.is_dir():
            note(f"Making a disk: {made}")
            fresh = made.with_name(made.name + ".part")
            roots.remove_tree(fresh)
            try:
                fresh.mkdir()
                run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "vigil-hosts", "-f", fresh / "key")
                run("unshare", "--mount", "--propagation", "private", "bash", "-c", DISK, "_", root, fresh)
                fresh.rename(made)
            finally:
                roots.remove_tree(fresh)
    return made


class Machine:
    kind = "vm"

    def __init__(self, record):
        self.record = record
        self.name = record.name

    @classmethod
    def boot(cls, name, suite, owner, kernel="", packages=(), tpm=False):
        """`kernel` is for its command line. One with a TPM keeps its disk until it is off() for good."""
        made = disk(suite, [*packages, *(roots.TPM_PACKAGES if tpm else ())])
        record = Record(name)
        record.claim()
        machine = cls(record)
        try:
            record.write(kind=cls.kind, suite=suite, owner=identity(owner) if owner else None)
            for file in ("key", "key.pub"):
                (record.directory / file).write_bytes((made / file).read_bytes())
                (record.directory / file).chmod(0o600)
            if tpm:
                machine.keep_disk(made)
            machine.start(made, kernel)
            machine.wait_for_boot()
            run(*machine.command(["/bin/bash", "-c", (LIB / "first-boot").read_text(encoding="utf-8"), "first-boot",
                                  name, (made / "key.pub").read_text(encoding="ascii").strip()]))
            run(*machine.command(["hostname", name]))
        except BaseException:
            machine.off()
            raise
        return machine

    def keep_disk(self, made):
        """A copy of it, which is there after the machine was switched off; and a TPM."""
        kept = made.with_name(f"{self.name}.img")
        self.record.write(kept=str(kept), tpm=1)
        run("cp", "--sparse=always", "--reflink=auto", made / "disk.img", kept)

    def start_tpm(self):
        """The arguments of QEMU's that lead to it. It is another with each number: what it knows is in a folder of its own,
        and it ends with QEMU."""
        record = self.record.read()
        folder = self.record.directory / f"tpm-{record['tpm']}"
        folder.mkdir(mode=0o700, exist_ok=True)
        line = folder / "line"
        line.unlink(missing_ok=True)
        with uninterrupted():
            swtpm = subprocess.Popen(["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={folder}", "--terminate",
                                      "--ctrl", f"type=unixio,path={line}"], stdin=subprocess.DEVNULL,
                                     start_new_session=True, preexec_fn=take_signals)
            self.record.write(swtpm=identity(swtpm.pid))
        deadline = time.monotonic() + 10
        while not line.exists():
            if swtpm.poll() is not None or time.monotonic() > deadline:
                raise HostError("swtpm does not start")
            time.sleep(0.05)
        return ["-chardev", f"socket,id=tpm-line,path={line}", "-tpmdev", "emulator,id=tpm,chardev=tpm-line",
                "-device", "tpm-crb,tpmdev=tpm"]

    def switch_off(self):
        """As its button does; one with a TPM can be started again."""
        subprocess.run(self.command(["systemctl", "poweroff"]), stdin=subprocess.DEVNULL, check=False)
        if not has_ended(self.record.read()["init"], BOOT_SECONDS):
            raise HostError(f"the machine {self.name} does not switch itself off")
        (self.record.directory / "control").unlink(missing_ok=True)

    def start_again(self, another_tpm=False):
        """What is on its disk stays; with another TPM everything else does, too."""
        record = self.record.read()
        if another_tpm:
            self.record.write(tpm=record["tpm"] + 1)
        self.start(disk(record["suite"], roots.TPM_PACKAGES), "")
        self.wait_for_boot()
        run(*self.command(["hostname", self.name]))

    def start(self, made, kernel):
        port, inside = free_port(), free_port()
        folder = self.record.directory
        kept = self.record.read().get("kept")
        # snapshot=on: what is written goes into a nameless file that ends with the process.
        drive = f"file={kept},snapshot=off" if kept else f"file={made / 'disk.img'},snapshot=on"
        command = ["qemu-system-x86_64", "-machine", "q35", "-global", "ICH9-LPC.disable_s3=0",
                   "-accel", "tcg,thread=multi", "-smp", "2", "-m", "2048",
                   "-kernel", made / "vmlinuz", "-initrd", made / "initrd", "-append", f"{KERNEL} {kernel}",
                   "-drive", f"{drive},if=virtio,format=raw",
                   "-netdev", f"user,id=n,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22,"
                              f"hostfwd=tcp:127.0.0.1:{inside}-:2222",
                   "-device", "virtio-net-pci,netdev=n", "-display", "none", "-vga", "std",
                   "-serial", f"file:{folder / 'console.log'}",
                   "-serial", f"unix:{folder / 'line'},server,nowait",
                   "-monitor", f"unix:{folder / 'monitor'},server,nowait", *(self.start_tpm() if kept else ())]
        with open(folder / "qemu.log", "wb") as log, uninterrupted():
            qemu = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                    start_new_session=True, preexec_fn=take_signals)
            self.record.write(init=identity(qemu.pid), port=port, inside=inside)

    def wait_for_boot(self):
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline and self.is_up():
            asked = subprocess.run(self.command(["systemctl", "is-system-running", "--wait"]), text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   check=False)
            state = asked.stdout.strip()
            if state in ("running", "degraded", "maintenance"):
                self.record.write(state=state)
                return
            time.sleep(0.5)
        log = (self.record.directory / "qemu.log").read_text(errors="replace")
        raise HostError(f"the machine {self.name} has not booted within {BOOT_SECONDS} s\n{log}")

    def is_up(self):
        return is_alive(self.record.read().get("init") or [0, None])

    def ssh_options(self):
        return ["-p", str(self.record.read()["port"])]

    def outside_command(self, words):
        """Its sshd answers on this machine's own loopback."""
        return list(words)

    def command(self, words):
        """A command line that runs `words` as root on the machine."""
        folder = self.record.directory
        terminal = ["-t"] if os.isatty(0) else []
        return ["ssh", "-F", "none", "-i", str(folder / "key"), "-o", "BatchMode=yes", "-o", "ConnectTimeout=5",
                "-o", f"UserKnownHostsFile={folder}/known_hosts", "-o", "StrictHostKeyChecking=accept-new",
                "-o", "LogLevel=ERROR", "-o", "ControlMaster=auto", "-o", f"ControlPath={folder}/control",
                "-o", "ControlPersist=yes", *terminal, "-p", str(self.record.read()["inside"]), "root@127.0.0.1", "--",
                shlex.join(words)]

    def join(self):
        """A command over ssh is inside already."""

    def monitor(self, *commands):
        """What QEMU says to each."""
        answers = []
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(5)
            line.connect(str(self.record.directory / "monitor"))
            read_prompt(line)
            for command in commands:
                line.sendall(command.encode() + b"\n")
                answers.append(read_prompt(line))
        return answers

    def serial_line(self):
        """A command line that is whoever sits at the far end of ttyS1. Nobody hangs up when it ends: it has no modem."""
        return ["socat", "STDIO,raw,echo=0", f"UNIX-CONNECT:{self.record.directory / 'line'}"]

    def key(self, keys):
        for key in keys:
            self.monitor(f"sendkey {key}")
            time.sleep(0.2)  # QEMU holds a key for 100 ms before it lets it go

    def type_text(self, text):
        """At the machine's keyboard: small letters, digits and what KEYS has."""
        if unknown := [letter for letter in text if letter not in KEYS and not re.fullmatch("[a-z0-9]", letter)]:
            raise HostError(f"no key is known for {''.join(unknown)}")
        self.monitor(*(f"sendkey {KEYS.get(letter, letter)} 30" for letter in text))
        time.sleep(0.06 * len(text))  # QEMU presses one after the other, and says that it has before

    def picture(self):
        """What its screen shows now."""
        file = self.record.directory / "screen.ppm"
        self.monitor(f"screendump {file}")
        return Picture.read(file)

    def shot(self, file):
        if str(file).endswith(".png"):
            self.picture().write_png(file)
        else:
            self.monitor(f"screendump {Path(file).resolve()}")

    def off(self):
        record = self.record.read()
        for written in (record.get("init") or [0, None], record.get("swtpm") or [0, None]):
            if is_alive(written):
                os.kill(written[0], signal.SIGKILL)
                has_ended(written, 20)
        if "kept" in record:
            Path(record["kept"]).unlink(missing_ok=True)
        self.record.forget()


def read_prompt(line):
    answer = b""
    while not answer.endswith(b"(qemu) "):
        piece = line.recv(4096)
        if not piece:
            raise HostError("the machine's monitor has gone away")
        answer += piece
    return answer.decode(errors="replace")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
