"""tools/test: builds, runs the meson suites and the host tests, and adds up what they say."""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import xml.etree.ElementTree
from pathlib import Path

from build import OPTIONS, build_environment
from common import SOURCE, SUITES, HostError, ends_are_exceptions, locked, note

MESON_SUITES = ["unit", "pam", "bus", "packages"]
ON_HOSTS = ["host", "machine"]
HOST_TESTS = SOURCE / "tests" / "host"
# In containers these run as well, but with the kernel, and so the controllers and the clocks, of the machine around them.
ON_MACHINES_TOO = ["test_lock.py", "test_lock_channels.py", "test_lock_faults.py", "test_last_terminal.py", "test_truth.py",
                   "test_deaths.py", "test_limits.py", "test_thaw.py"]
CI = os.environ.get("CI") == "true"
BUILD = SOURCE / "build"


class Count:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.reasons = []

    def add(self, passed, failed, skipped, reasons=()):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped
        self.reasons += reasons

    def say(self):
        """What failed comes last: of a long run's output it is the end that people are shown."""
        for reason in self.reasons:
            print(f"FAILED {reason}")
        print(self, flush=True)

    def good(self):
        return self.passed > 0 and self.failed == 0 and not (CI and self.skipped)

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def compile_everything():
    """False where it does not compile: then nothing below means anything."""
    werror = "true" if CI else "false"
    with locked(BUILD / "tools.lock"):
        if not (BUILD / "build.ninja").exists():
            steps = [["meson", "setup", *OPTIONS, f"-Dwerror={werror}", BUILD, SOURCE]]
        elif CI:
            steps = [["meson", "configure", f"-Dwerror={werror}", BUILD]]
        else:
            steps = []
        for step in [*steps, ["ninja", "-C", BUILD, "all", "meson-test-prereq"]]:
            done = subprocess.run(step, env=build_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
            if done.returncode != 0:
                print(done.stdout)
                return False
    return True


def meson_suite(suite, count):
    note(f"== {suite}")
    logs = BUILD / "meson-logs"
    log = logs / "testlog.json"
    for old in (log, *logs.glob("*.xml")):
        old.unlink(missing_ok=True)
    subprocess.run(["meson", "test", "-C", BUILD, "--no-rebuild", "--suite", suite, "--print-errorlogs"], check=False,
                   env={**build_environment(), "CK_VERBOSITY": "normal"}, stdin=subprocess.DEVNULL)
    records = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []
    if not records:
        count.add(0, 1, 0, [f"{suite}: the suite has no tests"])
    for record in records:
        passed, failed, skipped = count_program(record)
        count.add(passed, failed, skipped, [f"{suite}: {record['name']}"] if failed else [])


def count_program(record):
    """(passed, failed, skipped) of one test program: its own numbers where it has any, else one test."""
    output = record.get("stdout", "")
    good = record["result"] in ("OK", "EXPECTEDFAIL")
    for word in record.get("command", []):
        if word.startswith("--junitxml="):
            return count_report(Path(word.partition("=")[2]), good)
    check = re.findall(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)", output, re.MULTILINE)
    tap = re.findall(r"^(ok|not ok)\b[^#\n]*(# *SKIP)?", output, re.MULTILINE | re.IGNORECASE)
    if check:
        total = sum(int(numbers[0]) for numbers in check)
        failed = sum(int(numbers[1]) + int(numbers[2]) for numbers in check)
        # A program that ends badly after good tests (a sanitizer's report, say) has failed too.
        return total - failed, failed or (0 if good else 1), 0
    if tap:
        skipped = sum(1 for _, skip in tap if skip)
        failed = sum(1 for word, skip in tap if word.lower() == "not ok" and not skip)
        return len(tap) - failed - skipped, failed or (0 if good else 1), skipped
    if record["result"] == "SKIP":
        return 0, 0, 1
    return (1, 0, 0) if good else (0, 1, 0)


def count_report(report, good):
    """(passed, failed, skipped) of a run of pytest, by its own report; without one it did not get to its end."""
    if not report.exists():
        return 0, 1, 0
    numbers = xml.etree.ElementTree.parse(report).getroot().find("testsuite").attrib
    bad = int(numbers["failures"]) + int(numbers["errors"])
    skipped = int(numbers["skipped"])
    # An error in a fixture's end comes on top of the test's own result, and a bad end may be of no test at all.
    return max(0, int(numbers["tests"]) - bad - skipped), bad or (0 if good else 1), skipped


def failed_in(report, good):
    """A line for each test that failed in a run of pytest, by its report."""
    if not report.exists():
        return [f"{report.stem}: did not get to its end"]
    lines = [f"{report.stem}::{case.get('name')} - {(bad.get('message') or '').partition(chr(10))[0][:200]}"
            for case in xml.etree.ElementTree.parse(report).getroot().iter("testcase") for bad in case if bad.tag in ("failure", "error")]
    return lines or ([] if good else [f"{report.stem}: ended badly"])


def pass_on(name, output):
    with output:
        for line in output:
            print(f"{name}: {line}", end="", flush=True)


def machine_tests(suites, chosen, count):
    """What only a virtual machine shows. One release after the other: an emulated machine takes both cores."""
    files = [*sorted(HOST_TESTS.glob("test_machine_*.py")), *(HOST_TESTS / name for name in ON_MACHINES_TOO)]
    for suite in suites:
        host_tests([suite], True, chosen, count, files)


class HostRuns:
    """The files of host tests on each release, a few side by side: tests wait for most of the time, for a host, a deadline, a login."""

    # With three of them two cores are busy for half of the time, which a deadline of a second bears.
    AT_ONCE = 3
    SMALL_AND_LONG = ("test_approvals.py", "test_quiet_work.py", "test_story.py")

    def __init__(self, folder, options, chosen):
        self.folder, self.options, self.chosen = folder, options, chosen
        self.changed = threading.Condition()
        self.waiting = []
        self.running = {}
        self.done = []
        self.stopped = False

    def run(self, suites, files, at_once=AT_ONCE):
        """(report, whether it ended well) of each."""
        # The longest first, so that none is left to run alone: as a rule they are the largest.
        files = sorted(files, key=lambda file: (file.name not in self.SMALL_AND_LONG, -file.stat().st_size))
        self.waiting = [(suite, file) for file in files for suite in suites]
        workers = [threading.Thread(target=self._work) for _ in range(at_once)]
        for worker in workers:
            worker.start()
        try:
            for worker in workers:
                worker.join()
        except BaseException:
            # They take their hosts down.
            with self.changed:
                self.stopped = True
                self.waiting.clear()
                self.changed.notify_all()
                for process in self.running.values():
                    if process:
                        process.terminate()
            for worker in workers:
                worker.join()
            raise
        return self.done

    def _take(self):
        """The next one, whose file runs on no other release: the machine's consoles, for one, are there only once."""
        with self.changed:
            while self.waiting:
                busy = {file for _, file in self.running}
                for job in self.waiting:
                    if job[1] not in busy:
                        self.waiting.remove(job)
                        self.running[job] = None
                        return job
                self.changed.wait()
            return None

    def _start(self, suite, file):
        return subprocess.Popen(
            ["/usr/bin/python3", "-B", "-u", "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--suite={suite}",
             f"--junitxml={self._report(suite, file)}", *(["-k", self.chosen] if self.chosen else []), *self.options, file],
            env=build_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace")

    def _report(self, suite, file):
        return Path(self.folder) / f"{suite}-{file.stem}.xml"

    def _work(self):
        while job := self._take():
            good = False
            try:
                process = self._start(*job)
                with self.changed:
                    self.running[job] = process
                    if self.stopped:
                        process.terminate()
                pass_on(f"{job[0]} {job[1].stem}", process.stdout)
                # 5 is pytest's "no test was chosen", as -k may mean it.
                good = process.wait() in (0, 5)
            finally:
                # Whatever became of it, the others go on, and it is counted.
                with self.changed:
                    del self.running[job]
                    self.done.append((self._report(*job), good))
                    self.changed.notify_all()


def host_tests(suites, vm, chosen, count, files=None):
    note(f"== host, on {' and '.join(suites)}{', virtual machines' if vm else ''}")
    if files is None:
        files = [file for file in HOST_TESTS.glob("test_*.py") if vm or not file.name.startswith("test_machine_")]
    with tempfile.TemporaryDirectory() as folder:
        runs = HostRuns(folder, ["--vm"] if vm else [], chosen)
        # An emulated machine takes both cores.
        for report, good in runs.run(suites, files, **({"at_once": 1} if vm else {})):
            count.add(*count_report(report, good), failed_in(report, good))


def main():
    parser = argparse.ArgumentParser(prog="tools/test", description="Builds vigil and tests it.")
    parser.add_argument("what", nargs="*", metavar="PART", help="unit, pam, bus, packages, host, all of these (the default), or machine: what only virtual machines show")
    parser.add_argument("--suite", choices=SUITES, help="host tests on this release alone")
    parser.add_argument("--vm", action="store_true",
                        help="host tests on virtual machines with Debian's own kernel, emulated: slow, so choose some with -k")
    parser.add_argument("-k", dest="chosen", metavar="EXPRESSION", help="of the host tests, these (as pytest has it)")
    given = parser.parse_intermixed_args()
    parts = MESON_SUITES + ["host"] if not given.what or "all" in given.what else given.what
    for part in parts:
        if part not in MESON_SUITES + ON_HOSTS:
            parser.error(f"no part {part!r}")
    if set(ON_HOSTS) & set(parts) and os.geteuid() != 0:
        raise HostError("the host tests need root")

    # Under emulation one release takes long enough.
    both = [given.suite] if given.suite else SUITES
    suites = both[:1] if given.vm else both
    count = Count()
    if compile_everything():
        for part in parts:
            if part == "host":
                host_tests(suites, given.vm, given.chosen, count)
            elif part == "machine":
                machine_tests(both, given.chosen, count)
            else:
                meson_suite(part, count)
    else:
        count.add(0, 1, 0, ["it does not compile"])
    sys.stdout.flush()
    count.say()
    return 0 if count.good() else 1


if __name__ == "__main__":
    ends_are_exceptions()
    try:
        sys.exit(main())
    except HostError as error:
        sys.exit(f"tools/test: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
