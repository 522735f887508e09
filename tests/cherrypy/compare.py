"""
Runs CherryPy's own tests with its own bus and with typedbus.wspbus, and compares the outcomes.

Each file runs twice, in processes of its own, with copies of the installed
CherryPy (see copies.py), and the outcomes of each test are compared. Some of
these tests depend on time, and some fail with the originals as well. So a file
with a difference runs again, both ways: a test that differs in the same way in each
run is a difference, any other that differs is listed as unsteady. The status is 1 if there
is a difference, or if no test has run.

The tests bind ports of fixed numbers, and leave daemons behind when they fail.
If the system allows it, each run has a network and a table of processes of
its own, which end with it; otherwise one run waits for the other, and no other
program may use these ports.
"""

import argparse
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree as ET

from copies import copy_into

#: The maximum number of runs of a file with a difference.
ROUNDS = 3
#: Seconds for a test, and for a file.
TEST_LIMIT, FILE_LIMIT = 120, 900
#: The pytest plugins of these tests; to load all installed ones takes longer than most of the tests.
PLUGINS = ("pytest_timeout", "pytest_services.plugin")
#: The ports that these tests bind.
PORTS = (54583, 8081)
#: Brings up 127.0.0.1 in a new network, and waits for orphans, as the first process of a process table must.
FIRST_PROCESS = """
import fcntl, os, socket, struct, sys
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh14x", b"lo", 0x49))
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
while True:
    ended, status = os.wait()
    if ended == child:
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
"""

Outcomes = dict[str, str]


def isolation() -> list[str]:
    """Return the command prefix that isolates the network and the processes of a command; empty if it is not possible."""
    unshare = shutil.which("unshare")
    rest = ["--net", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, "-c", FIRST_PROCESS]
    # A user other than root may be allowed to do this in a name space of users.
    for users in ([], ["--user", "--map-current-user", "--keep-caps"]):
        if unshare is not None:
            command = [unshare, *users, *rest]
            attempt = subprocess.run([*command, sys.executable, "-c", ""], capture_output=True, check=False)
            if attempt.returncode == 0:
                return command
    for port in PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise SystemExit(
                    f"CherryPy's tests need port {port}: {error}; stop the program that uses it"
                ) from error
    return []


def run(file: str, folder: Path, prefix: list[str]) -> tuple[Outcomes, str]:
    """Run one *file* of tests with the copy in *folder*; return the outcome of each test, and the output."""
    result = folder / "result.xml"
    result.unlink(missing_ok=True)
    plugins = [f"-p{name}" for name in PLUGINS if importlib.util.find_spec(name.partition(".")[0])]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *plugins, "-q", f"--timeout={TEST_LIMIT}"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_ADDOPTS": "",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    try:
        ended = subprocess.run(
            [*prefix, *command, f"--junitxml={result}", f"cherrypy/test/{file}"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=FILE_LIMIT,
            check=False,
        )
        output, status = ended.stdout, f"status {ended.returncode}"
    except subprocess.TimeoutExpired as timeout:
        output, status = str(timeout.stdout), f"{FILE_LIMIT} seconds were not enough"
    if not result.exists():
        return {f"{file}: the run as a whole": "died"}, f"{output}\n{status}"
    outcomes: Outcomes = {}
    for test in ET.parse(result).iter("testcase"):
        tags = [child.tag for child in test if child.tag in ("failure", "error", "skipped")]
        name = f"{file}::{test.get('classname', '').rpartition('.')[2]}.{test.get('name')}"
        outcomes[name] = {"failure": "failed", "error": "failed"}.get(tags[0], tags[0]) if tags else "passed"
    return outcomes, output


def differing(originals: Outcomes, ours: Outcomes) -> dict[str, tuple[str, str]]:
    """Return the tests with different outcomes, and both outcomes."""
    names = [*originals, *(name for name in ours if name not in originals)]
    pairs = {name: (originals.get(name, "not run"), ours.get(name, "not run")) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def summary(counts: Counter[str]) -> str:
    """Return the number of tests with each outcome, as text."""
    return ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())) or "none"


def compare(files: list[str], folders: list[Path], *, verbose: bool) -> int:
    """Run *files* on both *folders*, print the table, and return the status."""
    prefix = isolation()
    differences: dict[str, tuple[str, str]] = {}
    unsteady: dict[str, tuple[str, str]] = {}
    totals: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    failing: list[str] = []
    print(f"{'':32}{'with the originals':36}with ours", flush=True)
    # Without a network of its own each run must wait for the other.
    with ThreadPoolExecutor(len(folders) if prefix else 1) as runs:
        for file in files:
            (originals, _), (ours, output) = runs.map(run, [file] * 2, folders, [prefix] * 2)
            different = differing(originals, ours)
            for _ in range(ROUNDS - 1):
                if different:
                    (originals, _), (ours, output) = runs.map(run, [file] * 2, folders, [prefix] * 2)
                    again = differing(originals, ours)
                    confirmed = {test for test, pair in different.items() if again.get(test) == pair}
                    unsteady |= {test: pair for test, pair in different.items() if test not in confirmed}
                    different = {test: pair for test, pair in different.items() if test in confirmed}
            print(f"{file:32}{summary(Counter(originals.values())):36}{summary(Counter(ours.values()))}", flush=True)
            if different and verbose:
                print(output)
            differences |= different
            totals[0].update(originals.values())
            totals[1].update(ours.values())
            failing += [test for test, outcome in originals.items() if outcome not in ("passed", "skipped")]
    print(f"{'all':32}{summary(totals[0]):36}{summary(totals[1])}")
    if failing:
        print("\nThese fail with the originals, and are compared nevertheless:", *failing, sep="\n  ")
    for title, tests in (("differed, and not in the same way in each run", unsteady), ("differ", differences)):
        if tests:
            print(f"\nThese {title}:")
            for test, (with_originals, with_ours) in tests.items():
                print(f"  {test}: {with_originals} with the originals, {with_ours} with ours")
    if not totals[0]["passed"]:
        print("\nNo test passed with the originals, so there is nothing to compare with.")
        return 1
    return 1 if differences else 0


def main() -> int:
    """Copy CherryPy, compare, and return the status."""
    parser = argparse.ArgumentParser(description="Run CherryPy's tests with its own bus and with typedbus.wspbus.")
    parser.add_argument("files", nargs="*", help="files such as test_bus.py (default: all)")
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="print the output with typedbus for files with differences"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cherrypy-") as name:
        folders = [Path(name, "originals"), Path(name, "ours")]
        for folder in folders:
            copy_into(folder, ours=folder.name == "ours")
        files = options.files or sorted(path.name for path in Path(folders[0], "cherrypy", "test").glob("test_*.py"))
        return compare(files, folders, verbose=options.verbose)


if __name__ == "__main__":
    raise SystemExit(main())
