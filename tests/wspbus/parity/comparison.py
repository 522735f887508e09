"""Runs one program with CherryPy's own bus and with typedbus.wspbus, and compares what the two runs show."""

from __future__ import annotations

import difflib
import os
import re
import select
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

PRELUDE: Final = """
import os, signal, sys, threading
from cherrypy.process import plugins, servers, wspbus
from cherrypy.process.wspbus import states

signal.signal(signal.SIGINT, signal.default_int_handler)
# End each process that hangs, daemons included.
signal.alarm(60)
os.register_at_fork(after_in_child=lambda: signal.alarm(60))
bus = wspbus.Bus()


def show(*values):
    os.write(1, (" ".join(map(str, values)) + "\\n").encode())


bus.subscribe("log", lambda msg, level: show(level, msg))
"""
#: Patterns of text that differs between two runs, or between two tracebacks, and their replacements.
NORMALIZED: Final = (
    (r"(?m)^(?:  \+ Exception Group )?Traceback \(most recent call last\):\n(?:[ +|].*\n)+", "Traceback\n"),
    (r"(?m)^Traceback\n(?:\S.*\n)?\n(?:The above|During handling) .*\n\n(?=Traceback)", ""),
    (r"(?m)^raised by .* on channel .*\n", ""),  # the note of a failure, which names the listener again
    (r"(?m)^.*?:\d+: (\w*Warning: .*)\n  .*", r"\1"),
    (r"(?:cherrypy\.process|typedbus\.wspbus)(?:\.\w+)*\.(?=[A-Z])", ""),
    (r"(.* Forking twice\.\n)(.* Forking once\.\n)", r"\2\1"),  # two processes, at the same time
    (r"0x[0-9a-f]+", "0x0"),
    (r"\b(PID:?|started|started daemon) \d+", r"\1 1"),
)
#: Seconds for a program and the processes that it leaves, which end by themselves earlier.
PATIENCE: Final = 90

RunBoth: TypeAlias = Callable[..., tuple[str, str]]


def copy_originals_and_ours(folder: Path) -> tuple[Path, Path]:
    """Copy CherryPy's process package into *folder*: unchanged, and with typedbus.wspbus in its place."""
    script = Path(__file__).parents[2] / "cherrypy" / "copies.py"
    subprocess.run([sys.executable, script, folder], check=True)
    copies = folder / "originals", folder / "ours"
    for copy in copies:
        # The rest of CherryPy is not used, and takes long to import.
        (copy / "cherrypy" / "__init__.py").write_text("", encoding="utf-8")
    return copies


class Comparison:
    """
    Runs a program with each of two copies of CherryPy's process package, at the same time.

    Args:
        copies: The folders of the two copies.
        folder: An empty folder, in which each program gets a working directory.
    """

    def __init__(self, copies: tuple[Path, Path], folder: Path) -> None:
        self._copies = copies
        self._folder = folder
        self._running: list[tuple[subprocess.Popen[str], int]] = []

    def __call__(
        self,
        *source: str,
        python: Sequence[str] = (),
        command: Sequence[str] = ("script.py",),
        args: Sequence[str] = (),
    ) -> tuple[str, str]:
        """
        Run *source* twice, and return the normalized output of the original and of ours.

        Args:
            source: The parts of the program, after `PRELUDE`.
            python: Options of the interpreter.
            command: The arguments of the interpreter that run the program.
            args: Arguments of the program.
        """
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        for copy in self._copies:
            folder = self._folder / copy.name
            folder.mkdir()
            (folder / "script.py").write_text("".join(map(textwrap.dedent, [PRELUDE, *source])), encoding="utf-8")
            reading_end, writing_end = os.pipe()
            program = subprocess.Popen(
                [sys.executable, *python, *command, *args],
                cwd=folder,
                env={**environment, "PYTHONPATH": str(copy)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                pass_fds=[writing_end],
                umask=0o22,
            )
            os.close(writing_end)
            self._running.append((program, reading_end))
        original, ours = (
            _output(program, end, self._folder / copy.name)
            for copy, (program, end) in zip(self._copies, self._running, strict=True)
        )
        return original, ours

    def close(self) -> None:
        """Kill the programs."""
        for program, end in self._running:
            program.kill()
            program.communicate()
            os.close(end)


def _output(program: subprocess.Popen[str], end: int, folder: Path) -> str:
    """Return the output, the errors and the status of *program*, without text that differs between two runs."""
    out, err = program.communicate(timeout=PATIENCE)
    # Daemons have the other end as well, so it is closed when all processes have ended.
    assert select.select([end], [], [], PATIENCE)[0]
    for stream in ("out", "err"):
        if (folder / stream).exists():
            out += f"in {stream}:\n" + (folder / stream).read_text(encoding="utf-8")
    texts = [out, err, f"status {program.returncode}\n"]
    for number, text in enumerate(texts):
        for pattern, replacement in NORMALIZED:
            text = re.sub(pattern, replacement, text)
        texts[number] = text.replace(str(folder), "HERE").replace(sys.executable, "PYTHON")
    texts[1] = textwrap.indent(texts[1], "! ")
    return lines("".join(texts))


def lines(text: str) -> str:
    """Return *text* without indentation and empty lines."""
    return "".join(f"{line.rstrip()}\n" for line in textwrap.dedent(text).splitlines() if line.strip())


def diff(original: str, ours: str) -> str:
    """Return the lines of the original that ours lacks, marked by -, and the lines that only ours has, by +."""
    return "".join(line for line in difflib.ndiff(original.splitlines(True), ours.splitlines(True)) if line[0] in "-+")
