"""The journal's catalog explains every kind of record that vigil writes, and no other."""

import os
import re
from pathlib import Path

SOURCE = Path(os.environ["VIGIL_SOURCE_ROOT"])


def kinds():
    text = (SOURCE / "daemon" / "audit" / "journal.cpp").read_text(encoding="utf-8")
    found = re.findall(r'"([a-z-]+)", "([0-9a-f]{32})"', text)
    assert len(found) > 10, "journal.cpp has its kinds in another shape"
    # What is told without vigild.
    rescue = re.findall(r'message_id = "([0-9a-f]{32})"', (SOURCE / "rescue" / "thaw.cpp").read_text(encoding="utf-8"))
    assert len(rescue) == 1
    return [message_id for _, message_id in found] + rescue


def entries():
    """{message id: (headers, text)}; an id given twice is an error."""
    text = (SOURCE / "systemd" / "vigil.catalog").read_text(encoding="utf-8")
    found = {}
    for entry in re.split(r"^-- ", text, flags=re.MULTILINE)[1:]:
        head, _, body = entry.partition("\n\n")
        message_id, *headers = head.splitlines()
        assert message_id not in found, message_id
        found[message_id] = (dict(line.split(": ", 1) for line in headers), body.strip())
    return found


def test_every_kind_has_an_id_of_its_own():
    assert len(set(kinds())) == len(kinds())


def test_every_kind_has_an_entry_and_every_entry_a_kind():
    assert set(entries()) == set(kinds())


def test_every_entry_says_what_happened_and_where_to_read_on():
    for message_id, (headers, body) in entries().items():
        assert headers["Subject"] and body, message_id
        assert headers["Defined-By"] == "vigil", message_id
        for page, section in re.findall(r"man:([\w-]+)\((\d)\)", headers["Documentation"]):
            assert (SOURCE / "docs" / "man" / f"{page}.{section}").exists(), message_id


def test_entries_name_fields_that_records_have():
    files = (SOURCE / "daemon" / "audit" / "journal.cpp", SOURCE / "rescue" / "thaw.cpp")
    written = {name for file in files for name in re.findall(r'"(VIGIL_\w+)"', file.read_text(encoding="utf-8"))}
    for message_id, (headers, body) in entries().items():
        assert set(re.findall(r"@(\w+)@", headers["Subject"] + body)) <= written, message_id
