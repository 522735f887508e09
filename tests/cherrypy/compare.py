"""
CherryPy's own tests, run with its own bus and with ours, side by side.

Each file is run twice, in processes of its own, on copies of the installed
CherryPy (see copies.py), and every test is compared by its outcome. Some of
these tests depend on time, and some fail with the originals as well. So a file
in which something differs is run again, both ways: what differs each time is a
difference, what agrees once is named as unsteady. The status is 1 where there
is a difference, or where nothing was run.

The tests bind ports of fixed numbers, and leave daemons behind when they fail.
Where the system allows it, each run has a network and a table of processes of
its own, which end with it; elsewhere one run waits for the other, and nothing else
may use these ports.
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

#: Runs of a file that does not agree, the first included.
ROUNDS = 3
#: Seconds for a test, and for a file.
FOR_A_TEST, FOR_A_FILE = 120, 900
#: What these tests use; to load all that are installed takes longer than most of the tests.
PLUGINS = ("pytest_timeout", "pytest_services.plugin")
#: What they bind, whatever else does.
PORTS = (54583, 8081)
#: Lets 127.0.0.1 answer in a network of one's own, and waits there for orphans, as the first of its processes has to.
ALONE = """
import fcntl, os, socket, struct, sys
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh14x", b"lo", 0x49))
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
while True:
    ended, status = os.wait()
    if ended == child:
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
"""

Outcomes = dict[str, str]


def alone() -> list[str]:
    """Return what to put before a command so that it has a network and processes of its own; nothing if that cannot be."""
    unshare = shutil.which("unshare")
    rest = ["--net", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, "-c", ALONE]
    # Who is not root may have it in a name space of users, too.
    for users in ([], ["--user", "--map-current-user", "--keep-caps"]):
        if unshare is not None:
            command = [unshare, *users, *rest]
            tried = subprocess.run([*command, sys.executable, "-c", ""], capture_output=True, check=False)
            if tried.returncode == 0:
                return command
    for port in PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise SystemExit(f"CherryPy's tests need port {port}: {error}; end what uses it") from error
    return []


def run(file: str, folder: Path, before: list[str]) -> tuple[Outcomes, str]:
    """Run one *file* of tests on the copy in *folder*; return the outcome of each test, and all that was said."""
    result = folder / "result.xml"
    result.unlink(missing_ok=True)
    plugins = [f"-p{name}" for name in PLUGINS if importlib.util.find_spec(name.partition(".")[0])]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *plugins, "-q", f"--timeout={FOR_A_TEST}"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_ADDOPTS": "",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    try:
        ended = subprocess.run(
            [*before, *command, f"--junitxml={result}", f"cherrypy/test/{file}"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=FOR_A_FILE,
            check=False,
        )
        said, status = ended.stdout, f"status {ended.returncode}"
    except subprocess.TimeoutExpired as hung:
        said, status = str(hung.stdout), f"{FOR_A_FILE} seconds were not enough"
    if not result.exists():
        return {f"{file}: the run as a whole": "died"}, f"{said}\n{status}"
    outcomes: Outcomes = {}
    for test in ET.parse(result).iter("testcase"):
        told = [child.tag for child in test if child.tag in ("failure", "error", "skipped")]
        name = f"{file}::{test.get('classname', '').rpartition('.')[2]}.{test.get('name')}"
        outcomes[name] = {"failure": "failed", "error": "failed"}.get(told[0], told[0]) if told else "passed"
    return outcomes, said


def differing(originals: Outcomes, ours: Outcomes) -> dict[str, tuple[str, str]]:
    """Return the tests that do not have the same outcome, with both."""
    names = [*originals, *(name for name in ours if name not in originals)]
    pairs = {name: (originals.get(name, "not run"), ours.get(name, "not run")) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def told(counts: Counter[str]) -> str:
    """Return how many had which outcome."""
    return ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())) or "none"


def compare(files: list[str], folders: list[Path], *, verbose: bool) -> int:
    """Run *files* on both *folders*, print the table, and return the status."""
    before = alone()
    differences: dict[str, tuple[str, str]] = {}
    unsteady: dict[str, tuple[str, str]] = {}
    everything: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    failing: list[str] = []
    print(f"{'':32}{'with the originals':36}with ours", flush=True)
    # Without a network of its own each run has to wait for the other.
    with ThreadPoolExecutor(len(folders) if before else 1) as runs:
        for file in files:
            (originals, _), (ours, said) = runs.map(run, [file] * 2, folders, [before] * 2)
            left = differing(originals, ours)
            for _ in range(ROUNDS - 1):
                if left:
                    (originals, _), (ours, said) = runs.map(run, [file] * 2, folders, [before] * 2)
                    still = differing(originals, ours).keys() & left.keys()
                    unsteady |= {test: pair for test, pair in left.items() if test not in still}
                    left = {test: pair for test, pair in left.items() if test in still}
            print(f"{file:32}{told(Counter(originals.values())):36}{told(Counter(ours.values()))}", flush=True)
            if left and verbose:
                print(said)
            differences |= left
            everything[0].update(originals.values())
            everything[1].update(ours.values())
            failing += [test for test, outcome in originals.items() if outcome not in ("passed", "skipped")]
    print(f"{'all':32}{told(everything[0]):36}{told(everything[1])}")
    if failing:
        print("\nThese fail with the originals, and are compared all the same:", *failing, sep="\n  ")
    for title, tests in (("differed once, and not when they were run again", unsteady), ("differ", differences)):
        if tests:
            print(f"\nThese {title}:")
            for test, (with_originals, with_ours) in tests.items():
                print(f"  {test}: {with_originals} with the originals, {with_ours} with ours")
    if not everything[0]["passed"]:
        print("\nNothing passed with the originals, so that there was nothing to compare with.")
        return 1
    return 1 if differences else 0


def main() -> int:
    """Copy CherryPy, compare, and return the status."""
    parser = argparse.ArgumentParser(description="Run CherryPy's tests with its own bus and with typedbus.wspbus.")
    parser.add_argument("files", nargs="*", help="test_bus.py and the like; all unless given")
    parser.add_argument("-v", "--verbose", action="store_true", help="print what was said with ours where they differ")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cherrypy-") as name:
        folders = [Path(name, "originals"), Path(name, "ours")]
        for folder in folders:
            copy_into(folder, ours=folder.name == "ours")
        files = given.files or sorted(path.name for path in Path(folders[0], "cherrypy", "test").glob("test_*.py"))
        return compare(files, folders, verbose=given.verbose)


if __name__ == "__main__":
    raise SystemExit(main())
