"""Who is on the terminal; afterwards nobody is."""

import subprocess

import pytest

from vigil_lock import Terminal, Vigild


@pytest.fixture(name="host")
def host_fixture(tmp_path):
    made = []

    class Host:
        folder = tmp_path

        def vigild(self, *options):
            made.append(Vigild(str(tmp_path / "bus"), *options))
            return made[-1]

        def terminal(self, **how):
            made.append(Terminal(tmp_path, **how))
            return made[-1]

    yield Host()
    for thing in reversed(made):
        thing.stop() if isinstance(thing, Vigild) else thing.close()


@pytest.fixture(name="program")
def program_fixture():
    """A process with this TERM; its pid."""
    made = []

    def program(term):
        made.append(subprocess.Popen(["/bin/sleep", "1000"], env={"A": "TERM=x", "TERM": term, "Z": "1"} if term else {}))
        return str(made[-1].pid)

    yield program
    for one in made:
        one.kill()
        one.wait()
