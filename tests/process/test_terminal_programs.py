"""Programs on pseudo-terminals: a start that fails or hangs is understood from the last lines and the status line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.terminals import Terminal

from typedbus import HookTimeout, OperatorError, RunFailed, StartCancelled, State
from typedbus.events import Failed
from typedbus.process._verdict import verdict

PROGRAM = """
import threading
from typedbus import *


class Part:
    def __init__(self, *needed: object) -> None: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Broken(Part):
    def start(self) -> None:
        raise OSError("connection refused")


class Hanging(Part):
    def start(self) -> None:
        while True:
            threading.Event().wait(0.05)


def run_site(last: type[Part], limits: Limits) -> int:
    parts = {f"part{number}": Component(Part) for number in range(8)}
    last_part = Component(last, *(part.provided for part in parts.values()))
    return run(type("Site", (Container,), {"bus": Component(Bus, limits=limits), **parts, "last": last_part}))
"""
BROKEN = f"{PROGRAM}raise SystemExit(run_site(Broken, Limits()))\n"


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Callable[[str], tuple[Terminal, subprocess.Popen[bytes]]]]:
    """Run a program, called site.py in the working directory, on a terminal with colours."""
    begun: list[tuple[Terminal, subprocess.Popen[bytes]]] = []
    forced = ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES")
    environment = {name: value for name, value in os.environ.items() if name not in forced} | {"TERM": "xterm-256color"}

    def play(program: str) -> tuple[Terminal, subprocess.Popen[bytes]]:
        (tmp_path / "site_of_parts.py").write_text(program, encoding="utf-8")
        terminal = Terminal(60, 120)
        tty = terminal.slave
        child = subprocess.Popen(
            [sys.executable, "site_of_parts.py"], cwd=tmp_path, env=environment, stdin=tty, stdout=tty, stderr=tty
        )
        begun.append((terminal, child))
        return terminal, child

    yield play
    for terminal, child in begun:
        child.kill()
        child.wait(20)
        terminal.close()


@pytest.mark.slow
def test_a_failed_start_ends_with_the_component_and_the_line_of_code(
    play: Callable[[str], tuple[Terminal, subprocess.Popen[bytes]]],
) -> None:
    """After the tracebacks, in red; the components that were stopped are counted in place of a line for each."""
    terminal, child = play(BROKEN)
    status = child.wait(20)
    terminal.reach('start: raise OSError("connection refused")')
    text_lines = terminal.screen().text_lines

    assert status == 1
    assert text_lines[-3:] == [
        "bus      EXITED",
        "failed   Site.last in start: OSError: connection refused",
        '         site_of_parts.py:16 in start: raise OSError("connection refused")',
    ]
    assert (
        "\x1b[1;31mfailed  \x1b[0m\x1b[31m Site.last in start: OSError: connection refused\x1b[0m" in terminal.written
    )
    assert "rolled back the start: 8 stopped" in text_lines
    assert not [line for line in text_lines if line.startswith("stopped")]
    assert any("Exception Group Traceback" in line for line in text_lines)


@pytest.mark.slow
def test_a_program_whose_working_directory_is_gone_ends_with_the_component(
    play: Callable[[str], tuple[Terminal, subprocess.Popen[bytes]]], tmp_path: Path
) -> None:
    """The line of code then has the whole path."""
    terminal, child = play(f"import shutil\nshutil.rmtree({str(tmp_path)!r})\n{BROKEN}")
    status = child.wait(20)
    terminal.reach("site_of_parts.py:18 in start")

    assert status == 1
    assert "failed   Site.last in start: OSError: connection refused" in terminal.screen().text_lines


def test_a_log_has_a_line_for_each_component_and_no_verdict(tmp_path: Path) -> None:
    """Where stderr is not a terminal, each step has its line, and the last one is about the bus."""
    (tmp_path / "site_of_parts.py").write_text(BROKEN, encoding="utf-8")

    ended = subprocess.run(
        [sys.executable, "site_of_parts.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )

    text_lines = ended.stderr.splitlines()
    assert len([line for line in text_lines if line.startswith("stopped  Site.part")]) == 8
    assert text_lines[-1] == "bus      EXITED"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limits", "status_line", "reason"),
    [
        ("hook=2.5", r"starting 8 of 9: 1\.\d s of 2\.5 s Site\.last", "its limit is 2.5 s"),
        (
            "start=3",
            r"starting 8 of 9, [012]\.\d s left of 3 s: 1\.\d s Site\.last",
            "the limit of the whole start is 3 s",
        ),
    ],
    ids=["hook", "start"],
)
def test_the_status_line_has_the_limit_that_ends_a_hanging_component(
    limits: str,
    status_line: str,
    reason: str,
    play: Callable[[str], tuple[Terminal, subprocess.Popen[bytes]]],
) -> None:
    """From half of the limit on it is yellow; the last lines have the limit and where the component hangs."""
    terminal, child = play(f"{PROGRAM}raise SystemExit(run_site(Hanging, Limits({limits})))\n")
    terminal.reach(" s Site.last")
    terminal.reach("\x1b[1;33mstarting 8 of 9")
    shown = terminal.screen().text_lines[-1]
    child.wait(20)
    terminal.reach("site_of_parts.py:22 in start")
    text_lines = terminal.screen().text_lines

    assert re.fullmatch(status_line, shown)
    assert re.fullmatch(rf"failed   Site\.last in start: given up after \d\.\d\d s, {reason}", text_lines[-2])
    assert text_lines[-1] == "         site_of_parts.py:22 in start: threading.Event().wait(0.05)"


def raised(make: Callable[[], object]) -> BaseException:
    """Return the error that *make* raises."""
    try:
        make()
    except BaseException as error:  # noqa: BLE001  # also requests to exit
        return error
    raise AssertionError


def exiting(text: object, cause: BaseException | None = None) -> SystemExit:
    """Return a request to exit with *text*, from *cause*."""
    error = SystemExit(text)
    error.__cause__ = cause
    return error


class PortTaken(OperatorError):
    """An error of an operator."""


FAILED = OSError("no")
OVERRUN = HookTimeout("Shop.web", "start", "shop.py:3", 2.0, 2.0, "hook", "", ())


@pytest.mark.parametrize(
    ("error", "texts"),
    [
        (FAILED, ["Shop.web in start: OSError: no"]),
        (ValueError("two\nlines"), ["ValueError: two"]),
        (
            ExceptionGroup("", [KeyError("x"), ExceptionGroup("", [FAILED])]),
            ["KeyError: 'x'", "Shop.web in start: OSError: no"],
        ),
        (
            ExceptionGroup("", [KeyError(n) for n in range(5)]),
            [*(f"KeyError: {n}" for n in range(3)), "2 more, listed above"],
        ),
        (PortTaken("port 80 is taken\nuse another"), ["port 80 is taken"]),
        (OVERRUN, ["given up after 2.00 s, its limit is 2 s"]),
        (exiting("no licence"), ["no licence"]),
        (exiting(3), []),
        (exiting(3, FAILED), ["Shop.web in start: OSError: no"]),
        (StartCancelled(State.EXITED), []),
    ],
    ids=["hook", "lines", "group", "many", "operator", "limit", "text", "exit", "cause", "cancelled"],
)
def test_each_failure_has_one_line(error: BaseException, texts: list[str]) -> None:
    """With its component, if a hook has failed; requests to exit are none, unless they have a text or a cause."""
    events = [Failed("Shop.web", "start", 0.1, FAILED)]

    assert [text for text, _ in verdict([error], events)] == texts


def test_a_failed_run_has_the_text_of_its_last_error() -> None:
    """Its place is in the code of the run."""
    failed = RunFailed("Shop.web.serve", 2, ())
    failed.__cause__ = raised(lambda: dict[str, int]()["key"])

    [(text, place)] = verdict([failed], [])

    assert text == "run Shop.web.serve: KeyError: 'key'"
    assert re.search(r"test_terminal_programs\.py:\d+ in <lambda>: failed", place)


def test_the_line_of_code_is_neither_in_the_standard_library_nor_in_an_installed_package() -> None:
    """It is the innermost one of the program."""
    [(_, place)] = verdict([raised(lambda: json.loads("{"))], [])

    assert re.search(r'test_terminal_programs\.py:\d+ in <lambda>: .*json\.loads\("\{"\)', place)


def test_an_error_without_code_of_the_program_has_no_line_of_code() -> None:
    """Nor one that was never raised."""
    assert verdict([OSError("no")], []) == [("OSError: no", "")]
