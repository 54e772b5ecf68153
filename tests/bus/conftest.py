import os

import pytest

from daemon import Broker, Vigild, broker_config, eventually


def pytest_configure():
    # Not skipped: vigild answers root alone, and another uid is needed to be refused.
    if os.geteuid() != 0:
        raise pytest.UsageError("these tests run as root, by tests/bus/apart")


@pytest.fixture(name="folder")
def folder_fixture(tmp_path):
    # A second uid gets as far as the socket, so that it is the socket that refuses it.
    for each in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        each.chmod(0o755)
    return tmp_path


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
