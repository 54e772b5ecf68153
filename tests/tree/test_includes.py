"""Who includes whom, and links whom: what the table of docs/ARCHITECTURE.md allows, and nothing else."""

import os
import re
from pathlib import Path

import pytest

SOURCE = Path(os.environ["VIGIL_SOURCE_ROOT"])
DEPENDENCIES = {"base_dep": "base", "base_storage_dep": "base", "base_pam_dep": "base", "wire_dep": "wire", "dialogue_dep": "wire", "policy_dep": "policy", "rescue_dep": "rescue"}
DEPENDENCIES |= {f"{name}_dep": f"daemon/{name}" for name in
                 ("core", "enforce", "store", "factors", "audit", "shell", "bus")}


def table():
    """{folder: the folders that it may include from}"""
    text = (SOURCE / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w/]+)/` \| ([^|]*) \|", text, re.MULTILINE)
    return {folder: {one.rstrip("/") for one in re.findall(r"`([\w/]+)`", allowed)} for folder, allowed in rows}


TABLE = table()


def sources(folder):
    """The folder's own: daemon/'s are main.cpp alone."""
    return sorted(file for file in (SOURCE / folder).iterdir() if file.suffix in (".cpp", ".hpp"))


def included(file):
    return re.findall(r'^#include "([^"]+)"', file.read_text(encoding="utf-8"), re.MULTILINE)


def linked(folder):
    """The folders whose libraries the folder's meson.build names."""
    names = re.findall(r"\b\w+_dep\b", (SOURCE / folder / "meson.build").read_text(encoding="utf-8"))
    return {DEPENDENCIES[name] for name in names if name in DEPENDENCIES} - {folder}


def reach(folder):
    found = linked(folder)
    for one in set(found):
        found |= reach(one)
    return found


def test_the_table_has_every_folder_that_has_code():
    folders = {str(file.parent.relative_to(SOURCE)) for top in
               ("base", "wire", "policy", "daemon", "rescue", "pam_module", "sudo_plugin", "terminal", "cli")
               for file in (SOURCE / top).rglob("*.cpp")}
    assert folders == set(TABLE)


def test_no_arrow_leads_back():
    def below(folder, path=()):
        assert folder not in path, f"a circle: {' -> '.join([*path, folder])}"
        for one in TABLE[folder]:
            below(one, (*path, folder))
    for folder in TABLE:
        below(folder)


@pytest.mark.parametrize("folder", TABLE)
def test_a_folder_includes_only_from_those_it_may_know(folder):
    wrong = [f"{file.relative_to(SOURCE)} includes {name}" for file in sources(folder) for name in included(file)
             if str(Path(name).parent) not in TABLE[folder] | {folder}]
    assert not wrong


@pytest.mark.parametrize("folder", TABLE)
def test_a_folder_links_those_it_may_know_and_all_it_includes_from(folder):
    assert linked(folder) <= TABLE[folder]
    needed = {str(Path(name).parent) for file in sources(folder) for name in included(file)} - {folder}
    assert needed <= reach(folder)


@pytest.mark.parametrize("folder", ["base", "wire", "pam_module", "sudo_plugin", "terminal", "cli", "policy", "daemon/core"])
def test_what_sshd_and_the_pure_parts_load_is_without_sqlite_and_openssl(folder):
    storage = {"base/sqlite.hpp", "base/openssl.hpp", "base/signatures.hpp"}
    allowed = {"sqlite.cpp", "openssl.cpp", "signatures.cpp"} if folder == "base" else set()
    assert [file.name for file in sources(folder) if storage & set(included(file)) and file.name not in allowed] == []
    assert folder == "base" or "base_storage_dep" not in (SOURCE / folder / "meson.build").read_text(encoding="utf-8")


@pytest.mark.parametrize("folder", ["policy", "daemon/core"])
def test_the_pure_parts_include_no_clock_bus_log_or_process(folder):
    """policy/load.cpp, which reads the files, is the one exception, and says so."""
    unwanted = {"base/clock.hpp", "base/log.hpp", "base/systemd.hpp", "base/bus_client.hpp", "base/directory.hpp"}
    wrong = {file.name for file in sources(folder) if unwanted & set(included(file))}
    assert wrong <= {"load.cpp"}
