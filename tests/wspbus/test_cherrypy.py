"""
CherryPy's tests of its bus, its plugins and its states pass with typedbus.wspbus.

`make test-cherrypy` runs the others, and lists all differences from the originals.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("CherryPy's tests start processes that are signalled and become daemons", allow_module_level=True)

SCRIPTS = Path(__file__).parents[1] / "cherrypy"


def check_that_all_pass(count: int, *files: str) -> None:
    """
    Check that the *count* tests in *files* pass with the originals and with ours.

    One of them counts the ticks of 50 milliseconds. So a comparison without a difference, in which a test failed, is
    repeated: on a busy machine the test fails with the originals now and then.
    """
    command = [sys.executable, str(SCRIPTS / "compare.py"), "--verbose", *files]
    output = ""
    for _ in range(3):
        ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        output = ended.stdout
        assert ended.returncode == 0, output
        if re.search(rf"(?m)^all +{count} passed +{count} passed$", output):
            return
    raise AssertionError(output)


@pytest.mark.slow
def test_cherrypys_tests_of_the_bus_and_the_plugins_have_the_same_outcomes() -> None:
    """All of them pass with the originals and with ours."""
    check_that_all_pass(13, "test_bus.py", "test_plugins.py")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_cherrypys_tests_of_the_states_have_the_same_outcomes() -> None:
    """They start a server, daemons, signals and reloads in child processes."""
    check_that_all_pass(14, "test_states.py")


@pytest.mark.slow
def test_child_processes_and_replaced_processes_use_the_same_copy(tmp_path: Path) -> None:
    """The path is inherited."""
    subprocess.run([sys.executable, SCRIPTS / "copies.py", tmp_path], check=True)
    program = """if True:
        import os, subprocess, sys
        from cherrypy.process import bus, plugins, servers, wspbus
        print(bus is wspbus.bus, *(module.__name__ for module in (wspbus, plugins, servers)), flush=True)
        if sys.argv[1] == "begin":
            subprocess.run([sys.executable, *sys.orig_argv[1:-1], "execute"], check=True)
        elif sys.argv[1] == "execute":
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:-1], "end"])
    """

    outputs = {
        name: subprocess.run(
            [sys.executable, "-c", program, "begin"],
            env={**os.environ, "PYTHONPATH": str(tmp_path / name)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for name in ("originals", "ours")
    }

    assert outputs == {
        "originals": "True cherrypy.process.wspbus cherrypy.process.plugins cherrypy.process.servers\n" * 3,
        "ours": "True typedbus.wspbus typedbus.wspbus.plugins typedbus.wspbus.servers\n" * 3,
    }


@pytest.mark.slow
@pytest.mark.exhaustive
def test_differences_are_listed_and_the_status_is_1(tmp_path: Path) -> None:
    """Further runs confirm a difference; a test that differs in one run alone, or in another way, is listed as unsteady."""
    (tmp_path / "cherrypy" / "test").mkdir(parents=True)
    (tmp_path / "cherrypy" / "process").mkdir()
    (tmp_path / "cherrypy" / "__init__.py").touch()
    (tmp_path / "cherrypy" / "process" / "wspbus.py").touch()
    (tmp_path / "cherrypy" / "test" / "test_some.py").write_text(
        """if True:
        import os
        import pytest
        from pathlib import Path
        with_ours = Path.cwd().name == "ours"
        runs = Path("runs")
        runs.write_text(runs.read_text() + "." if runs.exists() else ".")

        def test_alike(): ...
        def test_failing(): assert False
        def test_skipped(): pytest.skip("for a reason")
        def test_differing(): assert not with_ours, "seen with ours"
        def test_unsteady(): assert not with_ours or len(runs.read_text()) > 1
        def test_alternating(): assert with_ours is (len(runs.read_text()) == 2)
        """,
        encoding="utf-8",
    )
    command = [sys.executable, str(SCRIPTS / "compare.py"), "--verbose"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert ended.returncode == 1, ended.stderr
    table, _, lists = ended.stdout.partition("\n\nThese fail")
    assert re.search(r"(?m)^test_some.py +1 failed, 4 passed, 1 skipped +3 failed, 2 passed, 1 skipped$", table)
    assert "seen with ours" in table
    assert lists.splitlines() == [
        " with the originals, and are compared nevertheless:",
        "  test_some.py::test_some.test_failing",
        "",
        "These differed, and not in the same way in each run:",
        "  test_some.py::test_some.test_unsteady: passed with the originals, failed with ours",
        "  test_some.py::test_some.test_alternating: passed with the originals, failed with ours",
        "",
        "These differ:",
        "  test_some.py::test_some.test_differing: passed with the originals, failed with ours",
    ]


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("source", ["def test_failing(): assert False", "import nothing_like_it"])
def test_the_status_is_1_if_no_test_passes_with_the_originals(tmp_path: Path, source: str) -> None:
    """There is nothing to compare with."""
    (tmp_path / "cherrypy" / "test").mkdir(parents=True)
    (tmp_path / "cherrypy" / "process").mkdir()
    (tmp_path / "cherrypy" / "__init__.py").touch()
    (tmp_path / "cherrypy" / "test" / "test_some.py").write_text(source, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    ended = subprocess.run(
        [sys.executable, SCRIPTS / "compare.py"], env=environment, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 1
    assert "No test passed with the originals" in ended.stdout
