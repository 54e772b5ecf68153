"""One fresh host a test module; after a failure, what vigild said."""

import os
import re
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from vigilhost import Host  # noqa: E402  (first: it makes tools/lib known)
from common import ends_are_exceptions  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--suite", default="bookworm", help="the Debian release of the hosts")
    parser.addoption("--vm", action="store_true", help="virtual machines with Debian's own kernel, emulated: slow")


def pytest_configure(config):
    ends_are_exceptions()


def pytest_ignore_collect(collection_path, config):
    """test_machine_*.py is about what a container has not got: Debian's kernel, a keyboard, suspend."""
    return True if collection_path.name.startswith("test_machine_") and not config.getoption("--vm") else None


def new_host(request, kind):
    module = re.sub(r"[^a-z0-9]+", "-", request.module.__name__.removeprefix("test_").lower())
    option = request.config.getoption
    return Host(f"{kind}-{module[:20]}-{os.getpid()}", option("--suite"), option("--vm"))


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


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    host = item.funcargs.get("host") if hasattr(item, "funcargs") else None
    if report.when == "call" and report.failed and host is not None:
        report.sections.append(("the journal of vigild", host.vigil_log()))
