"""What the documents say is so: their policies parse, what they name is there, and all there is they name."""

import os
import re
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(os.environ["VIGIL_SOURCE_ROOT"])
VIGILCTL = os.environ["VIGILCTL"]
PAGES = sorted(SOURCE.glob("*.md")) + sorted(SOURCE.glob("docs/*.md"))


def text_of(path):
    return (SOURCE / path).read_text(encoding="utf-8")


def policies():
    yield "README.md", re.search(r"^```yaml\n(.*?)^```", text_of("README.md"), re.MULTILINE | re.DOTALL)[1]
    for number, rules in enumerate(re.findall(r"^```yaml\n(.*?)^```", text_of("docs/step-up.md"), re.MULTILINE | re.DOTALL), 1):
        yield f"docs/step-up.md {number}", "version: 1\n" + rules
    page = "docs/man/vigil-policy.5"
    yield page, re.search(r"^\.Bd -literal[^\n]*\n(version: 1\n.*?)^\.Ed", text_of(page), re.MULTILINE | re.DOTALL)[1]


@pytest.mark.parametrize("name, policy", policies(), ids=lambda value: value if len(value) < 50 else "")
def test_a_policy_that_is_shown_is_a_good_one(name, policy, tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text(policy, encoding="utf-8")
    done = subprocess.run([VIGILCTL, "policy", "check", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"


def test_the_manual_has_every_key_of_the_policy():
    files = ("parse.cpp", "session_rule.cpp", "step_up_rule.cpp", "ways.hpp")
    keys = {key for file in files for key in re.findall(r'\{\{?"([a-z_]+)",\s*(?:\[|read_)', text_of(f"policy/{file}"))}
    assert {"version", "users", "idle_lock", "max_sessions", "commands", "valid_for"} <= keys, "they have another shape"
    page = text_of("docs/man/vigil-policy.5")
    named = {name for line in re.findall(r"^\.It Ic (.*)$", page, re.MULTILINE) for name in re.findall(r"\w+", line)}
    assert named == keys


def commands():
    def below(*words):
        shown = subprocess.run([VIGILCTL, *words, "--help"], capture_output=True, text=True, check=True).stdout
        _, _, listed = shown.partition("Subcommands:")
        names = re.findall(r"^  (\S+)", listed, re.MULTILINE)
        return [one for name in names for one in below(*words, name)] if names else [" ".join(words)]
    return below()


def test_the_manual_has_every_command_of_vigilctl_and_no_other():
    found = commands()
    assert "enroll totp" in found
    listed = text_of("docs/man/vigilctl.1").partition(".Ss Options")[0]
    named = re.findall(r"^\.It Cm ([a-z -]+?)(?: (?:Oo|Op|Fl|Ar) .*)?$", listed, re.MULTILINE)
    assert sorted(named) == sorted(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_path_that_is_named_is_there(page):
    text = page.read_text(encoding="utf-8")
    tops = "base|wire|policy|daemon|pam_module|terminal|cli|systemd|packaging|examples|docs|tools|tests"
    for path in re.findall(rf"`((?:{tops})/[\w./-]+)", text):
        assert (SOURCE / path.rstrip("./")).exists(), path


def test_the_readme_begins_with_two_commands_that_are_there():
    commands_shown = re.search(r"^```console\n(.*?)^```", text_of("README.md"), re.MULTILINE | re.DOTALL)[1].splitlines()
    assert commands_shown == ["$ sudo tools/try", "$ sudo tools/test"]
    assert all(os.access(SOURCE / command.split()[-1], os.X_OK) for command in commands_shown)
