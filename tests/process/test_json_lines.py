"""The output of a site on stderr: as JSON, and when it is quiet."""

from __future__ import annotations

import datetime as dt
import enum
import json
import logging
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from typedbus import Bus
from typedbus.plugins.logs import JSONFormatter, Logging


class Bad:
    """Has no repr."""

    def __repr__(self) -> str:
        raise OSError("no repr")


class Level(enum.IntEnum):
    """An int with its own __str__."""

    HIGH = 3

    def __str__(self) -> str:
        raise OSError("no text")


def line_of(message: object = "hello", *args: object, **keys: Any) -> dict[str, Any]:
    """Return the line of a record, read again."""
    record = logging.LogRecord("shop", logging.INFO, "shop.py", 3, message, args, keys.pop("exc_info", None))
    vars(record).update(keys)
    text = JSONFormatter().format(record)
    assert "\n" not in text
    assert text.isascii()
    line: dict[str, Any] = json.loads(text, parse_constant=pytest.fail)
    return line


def test_a_line_has_the_documented_fields() -> None:
    """The time is that of the record, in UTC; other attributes are separate fields."""
    line = line_of("%d orders", 3, order=7)
    time = dt.datetime.fromisoformat(line.pop("time"))

    assert time.utcoffset() == dt.timedelta()
    assert abs(time - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)
    assert line == {"level": "INFO", "logger": "shop", "kind": "record", "message": "3 orders", "order": 7}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, None),
        (math.inf, None),
        (1.5, 1.5),
        (Level.HIGH, 3),
        ("a\nb\u2028\u20ac\0", "a\nb\u2028\u20ac\0"),
        ("\udcff", "\\udcff"),
        (b"a", "b'a'"),
        ((1, {2}), [1, [2]]),
        ({1: math.nan, "\udc80": (None, True)}, {"1": None, "\\udc80": [None, True]}),
        (Bad(), "<Bad whose repr raised OSError>"),
        ({Bad(): [Bad()]}, {"<Bad whose repr raised OSError>": ["<Bad whose repr raised OSError>"]}),
        (dt.timedelta(1), "datetime.timedelta(days=1)"),
    ],
    ids=lambda given: type(given).__name__,
)  # fmt: skip
def test_every_value_can_be_written(value: object, expected: object) -> None:
    """NaN and arbitrary objects become valid JSON, and each record is one line."""
    assert line_of(value=value)["value"] == expected


def test_recursive_and_very_long_values_are_written() -> None:
    """Neither depth nor the number of digits breaks a line."""
    circle: list[object] = []
    circle.append(circle)

    assert "[...]" in json.dumps(line_of(value=circle))
    assert line_of(value=10**5000)["value"].startswith("'0x")


def test_a_key_with_the_name_of_a_standard_field_is_renamed() -> None:
    """Data does not overwrite standard fields."""
    line = line_of(time=1, level="high", logger=2, exception="e")

    assert (line["time_"], line["level_"], line["logger_"], line["exception_"]) == (1, "high", 2, "e")
    assert line["level"] == "INFO"


@pytest.mark.parametrize(("message", "args"), [("%d", ("a",)), ("%s %s", ("a",)), ("%s", (Bad(),)), (Bad(), ())])
def test_a_message_that_cannot_be_formatted_is_written(message: object, args: tuple[object, ...]) -> None:
    """With the message, its arguments, and the reason."""
    assert "which do not fit" in line_of(message, *args)["message"]


def test_an_exception_is_written_as_its_traceback() -> None:
    """In one string."""
    try:
        raise OSError("disk full")
    except OSError as error:
        line = line_of(exc_info=(type(error), error, error.__traceback__))

    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("OSError: disk full")


def test_a_log_file_can_be_json(tmp_path: Path) -> None:
    """Each event with its data."""
    bus = Bus()
    logs = Logging(bus, logger="json_lines", file=tmp_path / "log", formatter=JSONFormatter())
    logs.start()
    bus.start()
    bus.exit()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]

    assert [line["kind"] for line in lines] == ["moved"] * 6
    assert (lines[0]["before"], lines[0]["after"]) == ("STOPPED", "STARTING")


SITE = """
import asyncio, logging, logging.config, os, signal, sys, threading, warnings
from typedbus import Bus, Component, Container, run

print("imported", file=sys.stderr) if "noise" in os.environ.get("SHOP", "") else None
if "basic" in os.environ.get("SHOP", ""):
    logging.basicConfig(level=logging.INFO)
if "force" in os.environ.get("SHOP", ""):
    logging.basicConfig(level=logging.INFO, force=True)
if "dict" in os.environ.get("SHOP", ""):
    handler = {"class": "logging.StreamHandler"}
    own = {"handlers": ["own"], "propagate": False, "level": "INFO"}
    logging.config.dictConfig({"version": 1, "handlers": {"own": handler}, "loggers": {"shop": own}})

class Part:
    def __init__(self, bus: Bus) -> None:
        self.bus = bus

    def start(self) -> None:
        log = logging.getLogger("shop")
        log.info("serves %s", "here", extra={"port": 80})
        if "late" in os.environ.get("SHOP", ""):
            log.addHandler(logging.StreamHandler())
        log.warning("careful")
        warnings.warn("old")
        thread = threading.Thread(target=lambda: 1 / 0, name="worker")
        thread.start()
        thread.join()
        if "fail" in os.environ.get("SHOP", ""):
            raise OSError("no\\nport")
        self.bus.log("a message", logging.INFO)

    def main(self) -> None:
        if "signal" in os.environ.get("SHOP", ""):
            os.kill(os.getpid(), signal.SIGTERM)
            if "twice" in os.environ["SHOP"]:
                os.kill(os.getpid(), signal.SIGTERM)
        self.bus.request_exit()

class Shop(Container):
    bus = Component(Bus)
    part = Component(Part, bus.provided)

class Bad(Container):
    bus = Component(Bus)
    part = Component(Part)

class Connection:
    def main(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    async def stop(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

class Async(Container):
    bus = Component(Bus)
    connection = Component(Connection)
"""


class Program:
    """A folder with a site, and the command that runs it."""

    def __init__(self, folder: Path) -> None:
        (folder / "shop.py").write_text(SITE)
        (folder / "raises.py").write_text("raise OSError('no module')")
        self.folder = folder

    def run(self, *arguments: str, shop: str = "", target: str = "shop:Shop") -> tuple[int, str]:
        """Return the status and the output on stderr."""
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
        done = subprocess.run(
            [sys.executable, "-m", "typedbus", "run", target, *arguments],
            cwd=self.folder,
            env={**environ, "SHOP": shop},
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        return done.returncode, done.stderr


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """Return a program."""
    yield Program(tmp_path)


def lines_of(text: str) -> list[dict[str, Any]]:
    """Return the lines of *text*, all of which are JSON."""
    lines = [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]
    for line in lines:
        assert list(line)[:5] == ["time", "level", "logger", "kind", "message"]
        assert dt.datetime.fromisoformat(line["time"]).utcoffset() is not None
    return lines


@pytest.mark.slow
@pytest.mark.parametrize("shop", ["", "basic", "force", "dict", "late"])
def test_all_of_stderr_is_json(program: Program, shop: str) -> None:
    """Events, messages, records, warnings and uncaught exceptions of threads; each once, with any handlers of the program."""
    status, text = program.run("--log-format", "json", shop=shop)
    lines = lines_of(text)
    messages = [line["message"] for line in lines]

    assert status == 0
    assert [line["after"] for line in lines if line["kind"] == "moved"] == [
        "STARTING", "STARTED", "STOPPING", "STOPPED", "EXITING", "EXITED",
    ]  # fmt: skip
    for message in ("serves here", "careful", "a message", "thread 'worker' died of an exception"):
        assert messages.count(message) == 1
    assert next(line for line in lines if line["message"] == "serves here")["port"] == 80
    assert any("UserWarning: old" in message for message in messages)
    assert next(line for line in lines if line["kind"] == "thread_died")["exception"].endswith("division by zero")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "status", "kind"),
    [
        (("shop:Shop", "fail"), 1, "failure"),
        (("shop:Bad", ""), 1, "error"),
        (("raises:Shop", ""), 2, "failure"),
        (("shop:Nothing", ""), 2, "error"),
        (("shop:Shop", "signal"), 0, "signal"),
        (("shop:Shop", "signal twice"), 128 + signal.SIGTERM, "signal"),
        (("shop:Async", "twice"), 128 + signal.SIGTERM, "signal"),
    ],
)
def test_errors_and_signals_are_json(program: Program, arguments: tuple[str, str], status: int, kind: str) -> None:
    """A failed start, faults, a module that raises, and the stacks after a forced end."""
    target, shop = arguments
    done, text = program.run("--log-format", "json", target=target, shop=shop)
    lines = lines_of(text)

    assert done == status
    assert kind in {line["kind"] for line in lines}
    if "fail" in shop:
        failed = next(line for line in lines if line["kind"] == "failed")
        assert (failed["component"], failed["hook"]) == ("Shop.part", "start")
    if "twice" in shop:
        assert "shop.py" in json.dumps(lines[-1]["stacks"])
    if "Async" in target:
        assert "asyncio.Event().wait()" in lines[-1]["stacks"]["async hook Async.connection.stop"]


@pytest.mark.slow
def test_the_log_file_is_json_as_well(program: Program) -> None:
    """It has the records of the bus once each, which stderr has as events."""
    status, text = program.run("--log-format", "json", "--log-file", "log", "--log-level", "warning")

    assert status == 0
    for lines in (lines_of(text), lines_of((program.folder / "log").read_text())):
        assert [line["message"] for line in lines].count("careful") == 1
        assert {line["level"] for line in lines} <= {"WARNING", "ERROR"}


@pytest.mark.slow
def test_a_quiet_run_without_problems_writes_nothing(program: Program) -> None:
    """No life cycle, no message below WARNING, and no line about the signal that ends it."""
    (program.folder / "calm.py").write_text(
        "import os, signal\nfrom typedbus import *\n"
        "class Part:\n"
        "    def __init__(self, bus: Bus) -> None: self.bus = bus\n"
        "    def main(self) -> None: self.bus.log('info'); os.kill(os.getpid(), signal.SIGTERM)\n"
        "class Shop(Container):\n    bus = Component(Bus)\n    part = Component(Part, bus.provided)\n"
    )

    assert program.run("--quiet", target="calm:Shop") == (0, "")
    assert program.run("--quiet", "--log-format", "json", target="calm:Shop") == (0, "")


@pytest.mark.slow
def test_a_quiet_run_writes_its_errors(program: Program) -> None:
    """The failed hook, its traceback, warnings, and the faults of a container."""
    status, text = program.run("--quiet", shop="fail")

    assert status == 1
    assert text.count("failed   Shop.part in start") == 1
    assert "OSError: no\nport" in text.replace("| ", "").replace("    ", "")
    assert "careful" in text
    assert "bus      " not in text
    assert program.run("--quiet", target="shop:Bad")[1].startswith("error: Bad cannot be wired")
