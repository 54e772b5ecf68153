"""One fresh host a test module, and who is on it; after a failure, what vigild said."""

import os
import re
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from vigilhost import Host  # noqa: E402  (first: it makes tools/lib known)
from agents import made_in  # noqa: E402
from common import ends_are_exceptions  # noqa: E402
from logins import Login, everybody_leaves  # noqa: E402
from policies import until_somebody_locks  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--suite", default="bookworm", help="the Debian release of the hosts")
    parser.addoption("--vm", action="store_true", help="virtual machines with Debian's own kernel, emulated: slow")
    parser.addoption("--pictures", help="a folder for pictures of virtual machines' screens, as docs/ has them")


def pytest_configure(config):
    ends_are_exceptions(lambda status: pytest.exit("terminated", status))


def pytest_ignore_collect(collection_path, config):
    """test_machine_*.py is about what a container has not got: Debian's kernel, a keyboard, suspend."""
    return True if collection_path.name.startswith("test_machine_") and not config.getoption("--vm") else None


def new_host(request, kind, **more):
    module = re.sub(r"[^a-z0-9]+", "-", request.module.__name__.removeprefix("test_").lower())
    option = request.config.getoption
    return Host(f"{kind}-{module[:20]}-{os.getpid()}", option("--suite"), option("--vm"), **more)


@pytest.fixture(scope="module")
def bare_host(request):
    """A host without vigil."""
    with new_host(request, "bare") as host:
        yield host


@pytest.fixture(scope="module")
def host(request):
    """A host with vigil installed and running, its policy the empty one."""
    with new_host(request, "host") as host:
        host.install()
        yield host


@pytest.fixture
def new_agent(tmp_path):
    """Makes an ssh agent that can hold security keys."""
    make, agents = made_in(tmp_path)
    yield make
    for agent in agents:
        agent.close()


@pytest.fixture(scope="module")
def locked_by_hand(host):
    """Sessions are locked when somebody asks for it, and opened by a password."""
    host.policy(until_somebody_locks())


@pytest.fixture(scope="module")
def opened_by_codes(host):
    """The same, but a code opens them too."""
    host.policy(until_somebody_locks("password, totp"))


@pytest.fixture
def nobody_stays(host):
    """Afterwards all who logged in over ssh are gone."""
    yield
    everybody_leaves(host)


@pytest.fixture
def nothing_stays(host, nobody_stays):
    """Nor is anything that they started: what a test that failed left would be in the way of the next ones."""
    yield
    host.run("pkill", "-KILL", "-x", "sleep|hand-over", check=False)


@pytest.fixture
def alice(host, nobody_stays):
    """Her login over ssh."""
    return Login(host, "alice")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    host = item.funcargs.get("host") if hasattr(item, "funcargs") else None
    if report.when == "call" and report.failed and host is not None:
        try:
            said = host.vigil_log()
        except (subprocess.SubprocessError, OSError) as error:  # it may be the host that failed
            said = f"cannot be read: {error}"
        report.sections.append(("the journal of vigild", said))
