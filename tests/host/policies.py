"""Policies that several files of tests put in force."""


def until_somebody_locks(unlock="password"):
    """Nothing is locked or ended by itself."""
    return f"""\
version: 1
mode: enforce
sessions:
  - name: until somebody locks it
    unlock: [{unlock}]
"""


def limits(host, match="users: [alice]", **settings):
    """One rule, with these settings."""
    lines = "".join(f"    {name}: {value}\n" for name, value in settings.items())
    host.policy(f"version: 1\nmode: enforce\nsessions:\n  - name: the test\n    match: {{{match}}}\n{lines}")
