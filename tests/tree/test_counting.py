"""How tools/test counts: what pytest says of each of its tests is in the last line, and a skipped one is red under CI."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

LIB = Path(os.environ["VIGIL_SOURCE_ROOT"]) / "tools" / "lib"


@pytest.fixture(name="tool")
def tool_fixture(monkeypatch):
    monkeypatch.syspath_prepend(str(LIB))
    # By its path: the standard library has a `test` too.
    spec = importlib.util.spec_from_file_location("vigil_tools_test", LIB / "test.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def record_of(folder, text):
    """What meson's log says of a program of pytest with this text."""
    module, report = folder / "test_it.py", folder / "report.xml"
    module.write_text(text, encoding="utf-8")
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", str(module)]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=False)
    return {"command": command, "stdout": done.stdout, "result": "OK" if done.returncode == 0 else "FAIL"}


def counted(tool, record):
    count = tool.Count()
    count.add(*tool.count_program(record))
    return count


SKIPS = """
import pytest
def test_one(): pass
def test_two(): pytest.skip("no such thing here")
"""


@pytest.mark.parametrize("ci, good", [(True, False), (False, True)])
def test_a_skip_inside_a_program_of_pytest_is_counted_and_is_red_under_ci(tool, tmp_path, monkeypatch, ci, good):
    monkeypatch.setattr(tool, "CI", ci)
    count = counted(tool, record_of(tmp_path, SKIPS))
    assert str(count) == "1 passed, 0 failed, 1 skipped"
    assert count.good() is good


def test_a_module_that_skips_as_a_whole_is_red(tool, tmp_path):
    count = counted(tool, record_of(tmp_path, "import pytest\npytest.importorskip('no_such_module')\n"))
    assert (count.passed, count.skipped) == (0, 1)
    assert not count.good()


@pytest.mark.parametrize("text, numbers", [
    ("def test_one(): pass\ndef test_two(): pass\n", (2, 0, 0)),
    ("def test_one(): pass\ndef test_two(): assert False\n", (1, 1, 0)),
    ("def test_one(missing): pass\n", (0, 1, 0)),
    ("this is no Python\n", (0, 1, 0)),
    ("", (0, 1, 0)),
    ("import os\ndef test_one(): pass\ndef test_two(): os._exit(0)\n", (0, 1, 0)),
], ids=["good", "bad", "broken fixture", "broken module", "no tests", "gone before its end"])
def test_a_program_of_pytest_counts_by_its_own_numbers(tool, tmp_path, text, numbers):
    assert tool.count_program(record_of(tmp_path, text)) == numbers


@pytest.mark.parametrize("output, result, numbers", [
    ("100%: Checks: 12, Failures: 0, Errors: 0\n", "OK", (12, 0, 0)),
    ("50%: Checks: 4, Failures: 1, Errors: 1\n", "FAIL", (2, 2, 0)),
    # A sanitizer's report after good tests.
    ("100%: Checks: 4, Failures: 0, Errors: 0\n", "FAIL", (4, 1, 0)),
    ("ok 1 one\nok 2 two # SKIP\nnot ok 3 three\n", "FAIL", (1, 1, 1)),
    ("", "OK", (1, 0, 0)),
    ("", "TIMEOUT", (0, 1, 0)),
    ("", "SKIP", (0, 0, 1)),
])
def test_other_programs_count_by_what_they_print(tool, output, result, numbers):
    assert tool.count_program({"command": ["a-test"], "stdout": output, "result": result}) == numbers


def test_nothing_that_passed_is_not_good(tool):
    assert not tool.Count().good()


@pytest.mark.parametrize("text, lines", [
    ("def test_one(): assert 1 == 2\ndef test_two(): pass\n", ["report::test_one - assert 1 == 2"]),
    ("def test_one(): pass\n", []),
    ("import os\ndef test_one(): os._exit(0)\n", ["report: did not get to its end"]),
])
def test_what_failed_is_named_before_the_numbers(tool, tmp_path, capsys, text, lines):
    record = record_of(tmp_path, text)
    report, good = tmp_path / "report.xml", record["result"] == "OK"
    count = tool.Count()
    count.add(*tool.count_report(report, good), tool.failed_in(report, good))
    count.say()
    assert capsys.readouterr().out.splitlines() == [*(f"FAILED {line}" for line in lines), str(count)]
