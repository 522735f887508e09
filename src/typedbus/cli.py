"""
The command line: `typedbus check`, `typedbus graph` and `typedbus run`, on click.

Each command imports what it needs when it is called, so that `--help` and the
shell's completion wait for neither the container library nor the user's code.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Final

import attrs
import click

from typedbus._events import LifecycleEvent, Moved, RolledBack
from typedbus._failures import LimitError
from typedbus._faults import InvalidContainer
from typedbus._registry import LIFECYCLE
from typedbus._states import State
from typedbus._turns import Limits

OK: Final = 0
FAULTS: Final = 1
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells have it
STDOUT: Final = Path("-")
_FILE: Final = click.Path(dir_okay=False, writable=True, allow_dash=True, path_type=Path)


def main() -> int:
    """Carry out the command line and return the exit status: that of the command, 2 if it is wrong, 130 after Ctrl-C."""
    try:
        status: int = commands.main(standalone_mode=False)
    except click.ClickException as wrong:
        wrong.show()
        return wrong.exit_code
    except click.Abort:
        return INTERRUPTED
    return status


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="typedbus", prog_name="typedbus", message="%(prog)s %(version)s")
def commands() -> None:
    """
    Check, draw and run containers of typedbus.

    A container is given as MODULE:NAME: the module as Python imports it, and
    the class, or an instance of it, as the module has it. Modules are looked
    for in the working directory first.

    \b
    For a class Shop in the file app/container.py:
      typedbus check app.container:Shop
      typedbus graph app.container:Shop --output shop.svg
      typedbus run app.container:Shop

    \b
    Exit status:
      0    all is well
      1    the container has faults, or did not start
      2    the command line is wrong, or the container cannot be loaded
      130  ended by Ctrl-C
    """  # noqa: D301  # click leaves the lines of such a paragraph as they are


@commands.command()
@click.argument("target", metavar="MODULE:NAME")
@click.option(
    "--format",
    "shape",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="For people, for programs, or for the annotations of GitHub.",
)
def check(target: str, shape: str) -> int:
    """
    Tell every fault of a container, before anything is built.

    The module is imported and the wiring is looked at; no constructor of a
    component runs. Each fault has the component, its file and line, what is
    wrong and what to do.

    \b
    Example:
      typedbus check app.container:Shop --format github

    \b
    Exit status:
      0  the container is valid
      1  it has faults
      2  it cannot be loaded
    """  # noqa: D301  # click leaves the lines of such a paragraph as they are
    from typedbus._target import faults_of, load
    from typedbus._telling import annotation, lines, record, show

    with contextlib.redirect_stdout(sys.stderr):
        container = load(target)
        faults = faults_of(container, target)
    name = type(container).__name__
    if faults:
        verdict = f"{name} cannot be wired: {_count(len(faults), 'fault')}, nothing was built"
    else:
        verdict = f"{name} is valid: {_count(len(container._live()[0]), 'component')}"
    match shape:
        case "json":
            _write(json.dumps({"container": name, "faults": [record(fault) for fault in faults]}, indent=2) + "\n")
        case "github":
            click.echo(verdict, err=True)
            _write("".join(map(annotation, faults)))
        case _ if sys.stdout.isatty():
            show(verdict, faults)
        case _:
            _write("".join([f"{verdict}\n", *map(lines, faults)]))
    return FAULTS if faults else OK


@commands.command()
@click.argument("target", metavar="MODULE:NAME")
@click.option(
    "--format",
    "shape",
    type=click.Choice(["mermaid", "dot", "svg", "json"]),
    help="Unless given, by the suffix of FILE: .dot, .svg, .json, else mermaid.",
)
@click.option("--output", type=_FILE, default=STDOUT, metavar="FILE", help="Where to; stdout unless given.")
def graph(target: str, shape: str | None, output: Path) -> int:
    """
    Draw a container: its components, what they need, and who listens to what.

    Nothing is built. A container that has faults is drawn, too, with the faults
    in colour; svg needs the extra typedbus[graph].

    \b
    Examples:
      typedbus graph app.container:Shop --output shop.svg
      typedbus graph app.container:Shop --format dot | dot -Tpng > shop.png

    \b
    Exit status:
      0  the container is drawn, and valid
      1  it is drawn, and has faults
      2  it cannot be loaded or drawn, or FILE cannot be written
    """  # noqa: D301  # click leaves the lines of such a paragraph as they are
    from typedbus._target import faults_of, load
    from typedbus.graph import Graph, NoDrawing

    with contextlib.redirect_stdout(sys.stderr):
        container = load(target)
        faults = faults_of(container, target)
        drawn = Graph.of(container)
        try:
            match shape or _by_suffix(output, {".dot": "dot", ".gv": "dot", ".svg": "svg", ".json": "json"}):
                case "dot":
                    text = drawn.dot()
                case "svg":
                    text = drawn.svg()
                case "json":
                    text = drawn.json()
                case _:
                    text = drawn.mermaid()
        except NoDrawing as unavailable:
            raise click.UsageError(str(unavailable)) from None
    try:
        _write(text, output)
    except OSError as error:
        raise click.UsageError(f"cannot write {output}: {error.strerror}") from None
    if faults:
        told = f"`typedbus check {target}` tells them"
        click.echo(f"{type(container).__name__} has {_count(len(faults), 'fault')}: {told}", err=True)
    return FAULTS if faults else OK


@commands.command()
@click.argument("target", metavar="MODULE:NAME")
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Start up to N components side by side.")
@click.option("--report", type=_FILE, metavar="FILE", help="Write there what the start took; - is stdout.")
@click.option(
    "--report-format",
    type=click.Choice(["table", "json", "trace"]),
    help="Unless given, by the suffix of FILE: .trace.json, .json, else table.",
)
@click.option("--start-limit", type=float, metavar="S", help="Seconds that a start may take.")
@click.option("--stop-limit", type=float, metavar="S", help="Seconds that a stop may take.")
@click.option("--hook-limit", type=float, metavar="S", help="Seconds that each start, stop and exit hook may take.")
def run(
    target: str,
    *,
    workers: int | None,
    report: Path | None,
    report_format: str | None,
    start_limit: float | None,
    stop_limit: float | None,
    hook_limit: float | None,
) -> int:
    """
    Run a container as the program of this process, until its bus exits.

    What happens is told on stderr. Ctrl-C, or SIGTERM, exits in order; a second
    one ends the process at once. What is not given here stays as the
    container's bus has it.

    The report tells what the start took, component by component. It is written
    when the start is over, also after one that failed. The format trace is for
    Perfetto or chrome://tracing.

    \b
    Example:
      typedbus run app.container:Shop --workers 4 --report start.trace.json

    \b
    Exit status:
      0   an orderly run
      1   the container has faults, or did not start
      2   it cannot be loaded, or FILE cannot be written
      70  something failed after the start
      A component may end the process with another, by sys.exit.
    """  # noqa: D301  # click leaves the lines of such a paragraph as they are
    from typedbus import process
    from typedbus._target import load
    from typedbus.report import Report

    given = {"start": start_limit, "stop": stop_limit, "hook": hook_limit}
    limits = {name: seconds for name, seconds in given.items() if seconds is not None}
    try:
        Limits(**limits)
    except LimitError as wrong:
        raise click.UsageError(str(wrong)) from None
    if report is not None:
        _refuse_unwritable(report)
        # The program may change its working directory.
        report = report if report == STDOUT else report.absolute()
    container = load(target)
    try:
        container.validate()
        bus = container.attach()
    except InvalidContainer:
        return process.run(container)  # which tells the faults
    if report is not None:
        heard = Report()
        render = {"json": heard.json, "trace": heard.trace, "table": heard.table}[
            report_format or _by_suffix(report, {".trace.json": "trace", ".json": "json"}) or "table"
        ]

        def tell(event: LifecycleEvent, /) -> None:
            if isinstance(event, RolledBack) or event == Moved(State.STARTING, State.STARTED):
                _write(render(), report)

        bus[LIFECYCLE].subscribe(heard.hear)
        bus[LIFECYCLE].subscribe(tell)
    return process.run(container, workers=workers, limits=attrs.evolve(bus.limits, **limits) if limits else None)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _by_suffix(file: Path, formats: dict[str, str]) -> str | None:
    return next((shape for suffix, shape in formats.items() if file.name.endswith(suffix)), None)


def _refuse_unwritable(file: Path) -> None:
    """Raise what would be raised by a write when it is too late, as far as that can be known."""
    if file != STDOUT and (file.is_file() or not file.exists()):
        try:
            tempfile.TemporaryFile(dir=file.resolve().parent).close()
        except OSError as error:
            raise click.UsageError(f"cannot write {file}: {error.strerror}") from None


def _write(text: str, file: Path = STDOUT) -> None:
    """
    Write *text* to *file*, which others see as it was or whole, or to stdout, in UTF-8.

    A reader of stdout that has left is no failure.

    Raises:
        OSError: The file cannot be written; it is as it was.
    """
    if file == STDOUT:
        with contextlib.suppress(BrokenPipeError):
            click.echo(text.encode(), nl=False)
        return
    if file.exists() and not file.is_file():
        file.write_text(text, encoding="utf-8")  # a device or a pipe takes what comes, and cannot be replaced
        return
    target = file.resolve()
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
