import os
import pathlib
import tempfile

import pytest

from daemon import NOBODY, Broker, Vigild, broker_config, eventually
from polkit import Polkit


def pytest_configure():
    # Not skipped: vigild answers root alone, and another uid is needed to be refused.
    if os.geteuid() != 0:
        raise pytest.UsageError("these tests run as root, by tests/bus/apart")


@pytest.fixture(name="folder")
def folder_fixture():
    # A second uid gets as far as the socket, so that it is the socket that refuses it. Not in pytest's own folder, which each
    # pytest that begins closes to others again.
    with tempfile.TemporaryDirectory(prefix="vigil-bus-") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture(name="vigild")
def vigild_fixture(folder):
    vigild = Vigild(folder)
    yield vigild
    vigild.close()


@pytest.fixture(name="make_broker")
def make_broker_fixture(folder):
    brokers = []

    def make(kind, vigild):
        brokers.append(Broker(folder, broker_config(kind)))
        vigild.bus_address = brokers[-1].address
        vigild.start()
        eventually(brokers[-1].owned)
        return brokers[-1]
    yield make
    for broker in brokers:
        broker.close()


@pytest.fixture(name="broker")
def broker_fixture(make_broker, vigild, request):
    """Open to everybody, so that who refuses is vigild; under the module's POLICY."""
    vigild.write_policy(request.module.POLICY)
    return make_broker("open", vigild)


@pytest.fixture(name="polkit")
def polkit_fixture(broker):
    polkit = Polkit(broker)
    yield polkit
    polkit.close()


@pytest.fixture(name="user")
def user_fixture(broker):
    with broker.connect(NOBODY) as user:
        yield user
