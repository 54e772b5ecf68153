"""Hosts of both kinds by name, and those that nobody wants any more."""

import containers
import machines
from common import HostError, Record, is_alive, note, records


def find(name):
    """The host of that name, container or virtual machine."""
    record = Record(name)
    if not record.exists():
        raise HostError(f"there is no host {name}; tools/host list")
    return (machines.Machine if record.read().get("kind") == "vm" else containers.Container)(record)


def boot(name, suite, owner, vm=False, kernel="", packages=(), tpm=False):
    """A new host. owner is the pid of the process it is for, 0 where it shall stay until `off`. `kernel` is for a virtual
    machine's command line; `packages` it has beside those of every host; with `tpm` a virtual machine has one."""
    remove_orphans()
    if vm:
        return machines.Machine.boot(name, suite, owner, kernel, packages, tpm)
    return containers.Container.boot(name, suite, owner, packages)


def remove_orphans():
    """Takes away the hosts whose owner is gone, as after a kill -9 of the tests."""
    for record in records():
        owner = record.read().get("owner")
        if owner and not is_alive(owner):
            note(f"{record.name}: its owner is gone")
            find(record.name).off()
