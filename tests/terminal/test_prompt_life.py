"""How long a prompt lives: vigild that goes away, signals, terminals that are gone."""

import os
import resource
import select
import signal
import socket
import subprocess
import termios
import time
from pathlib import Path

from vigil_lock import DONE, LOCK, SESSION


def test_it_leaves_where_nothing_is_locked(host):
    host.vigild("--open")
    assert host.terminal().ends() == DONE


def test_it_leaves_where_the_session_is_gone(host):
    host.vigild("--missing", "LockInfo")
    assert host.terminal().ends() == DONE


def hang_up_on_the_next_caller(path):
    """A try that fails, for certain."""
    os.unlink(path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        listener.settimeout(5)
        listener.accept()[0].close()
    os.unlink(path)


def test_vigild_killed_before_the_yes_is_told(host):
    vigild, terminal = host.vigild("--hang", "Unlocked"), host.terminal()
    terminal.prompt()
    terminal.type("secret\r")
    terminal.see("vigild is away; unlocking as soon as it is back.")
    assert terminal.process.poll() is None
    vigild.stop()
    hang_up_on_the_next_caller(vigild.path)
    vigild.options = ()
    vigild.start()
    assert terminal.ends() == DONE  # nobody typed again
    assert vigild.calls()[-1] == f"Unlocked [{SESSION}] [{terminal.path}] [password]"


def test_vigild_away_at_the_start_and_back_later(host):
    terminal = host.terminal()
    terminal.see("vigild is away; waiting for it.")
    terminal.type("secret\r")
    host.vigild()
    terminal.see("Password or code:", patience=8)
    terminal.prompt()
    assert terminal.process.poll() is None
    terminal.type("secret\r")
    assert terminal.ends() == DONE


def test_an_unlock_that_vigild_refuses_stays_locked(host):
    host.vigild("--refuse", "Unlocked")
    terminal = host.terminal()
    terminal.prompt()
    terminal.type("secret\r")
    terminal.see("vigild refuses: only root may do that")
    assert terminal.process.poll() is None


def test_sigterm_ends_it_without_another_byte(host):
    host.vigild()
    terminal = host.terminal()
    terminal.prompt()
    drawn = len(terminal.raw_output)
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.ends() == DONE
    assert len(terminal.raw_output) == drawn


def test_other_signals_do_nothing(host):
    host.vigild()
    terminal = host.terminal()
    terminal.prompt()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGPIPE):
        terminal.process.send_signal(number)
    terminal.type("secret\r")
    assert terminal.ends() == DONE


def test_a_hang_up_ends_it(host):
    host.vigild()
    terminal = host.terminal()
    terminal.prompt()
    os.close(terminal.master)
    terminal.master = -1
    assert terminal.process.wait(timeout=5) == DONE


def test_an_end_of_file_that_another_program_made_of_a_key_is_no_hang_up(host):
    vigild, terminal = host.vigild(), host.terminal()
    terminal.prompt()
    other = os.open(terminal.path, os.O_RDWR | os.O_NOCTTY)
    settings = termios.tcgetattr(other)
    settings[3] |= termios.ICANON
    settings[6][termios.VEOF] = b"\x04"
    termios.tcsetattr(other, termios.TCSANOW, settings)
    terminal.type("\x04")
    end = time.monotonic() + 5
    while termios.tcgetattr(other)[3] & termios.ICANON:
        assert time.monotonic() < end and terminal.process.poll() is None, "it has ended, or left the terminal so"
        terminal.read(0.05)
    os.close(other)
    terminal.type("secret\r")
    assert terminal.ends() == DONE
    assert any(call.startswith("Unlocked") for call in vigild.calls())


def test_a_terminal_that_is_gone_needs_no_prompt(host):
    host.vigild()
    line = [LOCK, SESSION, "/dev/pts/99999", "--socket", str(host.folder / "bus")]
    assert subprocess.run(line, check=False).returncode == DONE
    assert subprocess.run([LOCK, SESSION, "/dev/null"], check=False).returncode == 1
    assert subprocess.run([LOCK, SESSION, "/etc/passwd"], check=False).returncode == 1
    assert subprocess.run([LOCK, SESSION], check=False).returncode == 2


def test_at_rest_it_costs_no_wakeup_and_dumps_no_core(host):
    host.vigild()
    terminal = host.terminal()
    terminal.prompt()
    status = Path(f"/proc/{terminal.process.pid}/status")

    def switches():
        return [line for line in status.read_text(encoding="ascii").splitlines() if "ctxt_switches" in line]

    before = switches()
    assert not select.select([terminal.master], [], [], 2)[0], "it drew something"
    assert switches() == before
    limits = Path(f"/proc/{terminal.process.pid}/limits").read_text(encoding="ascii")
    assert [line for line in limits.splitlines() if line.startswith("Max core file size")][0].split()[4] == "0"
    assert resource.prlimit(terminal.process.pid, resource.RLIMIT_CORE) == (0, 0)
