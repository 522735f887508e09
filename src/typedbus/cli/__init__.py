"""
The command line `typedbus`, on click.

Each command does its imports when it is called, so that `--help` and shell
completion wait for neither the container library nor the user's code.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from typedbus.cli._channels import channels
from typedbus.cli._control import reload, restart, status, stop
from typedbus.cli._options import FAULTS, FILE, OK, STDOUT, Command, assignment, targets_or_default
from typedbus.cli._run import run
from typedbus.cli._writing import by_suffix, status_after_output, write

if TYPE_CHECKING:
    from typedbus.graph._model import Direction
    from typedbus.graph._selection import Follow

UNWRITABLE: Final = 2
INTERRUPTED: Final = 130  # 128 + SIGINT, the convention of shells


def main() -> int:
    """
    Run the command line and return the exit status.

    This is the status of the command, 2 if the command line is wrong or the output
    cannot be written, and 130 after Ctrl-C.
    """
    if "TYPEDBUS_AUTORELOAD" in os.environ:
        # A process that was restarted by a file change waits for the next change if it fails, whatever the error.
        with contextlib.suppress(ImportError):
            import typedbus.plugins.autoreload  # noqa: F401  # pyright: ignore[reportUnusedImport]
    try:
        status: int = commands.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        status = error.exit_code
        from typedbus.plugins._restart_report import report  # imported only after a failure

        report(f"STATUS={error.format_message()}")
    except click.Abort:
        status = INTERRUPTED
    return status_after_output(status, UNWRITABLE)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="typedbus", prog_name="typedbus", message="%(prog)s %(version)s")
def commands() -> None:
    """
    Check, draw and run containers, and control running processes.

    Name a container as MODULE:NAME: the module as Python imports it, and a
    container class, or an instance, in that module. Modules are searched for in
    the working directory first. Default options can be set in typedbus.toml, or
    in [tool.typedbus] of pyproject.toml.

    \b
    For a class Shop in the file app/container.py:
      typedbus check app.container:Shop
      typedbus graph app.container:Shop --output shop.svg
      typedbus channels app.container:Shop
      typedbus run app.container:Shop
      typedbus run app.container:Shop --daemon --pidfile shop.pid
      typedbus stop --pidfile shop.pid

    \b
    Exit status; the --help of each command has the details:
      0    success
      1    the container has faults or did not start, or the request failed
      2    the command line or the settings are invalid; nothing was done
      70   a failure after the start
      130  ended by Ctrl-C
    """  # noqa: D301  # click leaves the lines of such a paragraph as they are


@commands.command(cls=Command)
@click.argument("targets", metavar="MODULE:NAME...", nargs=-1)
@click.option(
    "--format",
    "shape",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="text for people, json for programs, github for annotations in a GitHub workflow.",
)
@click.option(
    "--config",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Read settings from this TOML file, and apply conditions and choices by them; "
    "repeatable, later files override earlier ones.",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    type=assignment,
    metavar="KEY=VALUE",
    help="Set one setting, for example --set shop.port=8081; overrides the environment and files; repeatable.",
)
def check(targets: Sequence[str], *, shape: str, config: Sequence[Path], assignments: Sequence[tuple[str, str]]) -> int:
    """
    Validate a container, and report all of its faults.

    The module is imported and its declarations are checked; no component is
    constructed. Each fault names the component, its file and line, what is wrong
    and what to do. Several containers are validated together, on the bus of the
    first, as `run` starts them. The runs of a valid container are listed with
    their restart policies.

    With --config or --set, settings are loaded as `run` loads them. Components
    that they disable, and branches of a choice that they do not select, are
    then not checked. Without these options, every component is checked.

    \b
    Examples:
      typedbus check app.container:Shop --format github
      typedbus check app.container:Shop --config site.toml

    \b
    Exit status:
      0  the container is valid
      1  it has faults
      2  it cannot be loaded, the settings are invalid, or stdout cannot be written
    """  # noqa: D301  # click leaves the lines of such a paragraph as they are
    from typedbus._container.core import components_of, core_of, run_on_first, scoped_of
    from typedbus.cli._fault_formats import annotation, lines, record, show
    from typedbus.cli._run_formats import run_line, run_record, runs_of
    from typedbus.cli._settings import load_settings
    from typedbus.cli._target import faults_of, load

    with contextlib.redirect_stdout(sys.stderr):
        targets = targets_or_default(targets)
        containers = [load(target) for target in targets]
        run_on_first([core_of(container) for container in containers])
        if config or assignments:
            load_settings(containers, config, dict(assignments))
        faults = [
            fault
            for container, target in zip(containers, targets, strict=True)
            for fault in faults_of(container, target)
        ]
    name = ", ".join(type(container).__name__ for container in containers)
    runs = [] if faults else [run for container in containers for run in runs_of(container)]
    if faults:
        verdict = f"{name} cannot be wired: {_count(len(faults), 'fault')}, nothing was built"
    else:
        number = sum(len(components_of(container)) for container in containers)
        scoped = sum(len(scoped_of(container)) for container in containers)
        verdict = f"{name} is valid: {_count(number, 'component')}"
        verdict += f", {_count(scoped, 'scoped object')}" if scoped else ""
        verdict += f", {_count(len(runs), 'run')}" if runs else ""
    match shape:
        case "json":
            data = {"container": name, "faults": list(map(record, faults)), "runs": list(map(run_record, runs))}
            write(json.dumps(data, indent=2) + "\n")
        case "github":
            click.echo(verdict, err=True)
            write("".join(map(annotation, faults)))
        case _ if sys.stdout.isatty():
            show(verdict, faults, list(map(run_line, runs)))
        case _:
            write("".join([f"{verdict}\n", *map(lines, faults), *(f"{run_line(run)}\n" for run in runs)]))
    return FAULTS if faults else OK


@commands.command(cls=Command)
@click.argument("target", metavar="MODULE:NAME", required=False)
@click.option(
    "--format",
    "shape",
    type=click.Choice(["mermaid", "dot", "svg", "json"]),
    help="Default: by the suffix of FILE: .dot, .svg or .json; otherwise mermaid.",
)
@click.option("--output", type=FILE, default=STDOUT, metavar="FILE", help="Write the drawing to FILE; default: stdout.")
@click.option(
    "--focus", metavar="COMPONENT", help="Draw only this component and its neighbours, as in --focus Shop.orders."
)
@click.option(
    "--depth",
    type=click.IntRange(min=0),
    metavar="N",
    help="With --focus, draw components up to N steps away; default: 1.",
)
@click.option(
    "--follow",
    type=click.Choice(["needs", "users", "both"]),
    help="With --focus, draw what the component needs, what uses it, or both; default: both.",
)
@click.option(
    "--direction",
    type=click.Choice(["right", "down"]),
    default="right",
    show_default=True,
    help="Where the dependencies of a component are drawn.",
)
@click.option(
    "--group",
    type=click.Choice(["container", "package"]),
    default="container",
    show_default=True,
    help="Draw a frame for each nested container, or for each Python package.",
)
def graph(
    target: str | None,
    *,
    shape: str | None,
    output: Path,
    focus: str | None,
    depth: int | None,
    follow: Follow | None,
    direction: Direction,
    group: str,
) -> int:
    """
    Draw a container: components, dependencies and channels.

    No component is constructed. A container with faults is drawn as well, with
    the faults in colour. The format svg needs the extra typedbus[graph].

    \b
    Examples:
      typedbus graph app.container:Shop --output shop.svg
      typedbus graph app.container:Shop --format dot | dot -Tpng > shop.png
      typedbus graph app.container:Shop --focus orders --depth 2 --direction down

    \b
    Exit status:
      0  the container is drawn, and valid
      1  it is drawn, and has faults
      2  it cannot be loaded or drawn, or FILE cannot be written
    """  # noqa: D301  # click leaves the lines of such a paragraph as they are
    from typedbus.cli._target import faults_of, load
    from typedbus.graph import Graph, NoDrawing, UnknownComponent

    if focus is None and (depth is not None or follow is not None):
        raise click.UsageError("--depth and --follow have no effect without --focus; add --focus COMPONENT")
    with contextlib.redirect_stdout(sys.stderr):
        target, *_ = targets_or_default(() if target is None else (target,))
        container = load(target)
        faults = faults_of(container, target)
        picture = Graph.of(container)
        try:
            if focus is not None:
                picture = picture.around(focus, depth=1 if depth is None else depth, follow=follow or "both")
            if group == "package":
                picture = picture.by_package()
            match shape or by_suffix(output, {".dot": "dot", ".gv": "dot", ".svg": "svg", ".json": "json"}):
                case "dot":
                    text = picture.dot(direction=direction)
                case "svg":
                    text = picture.svg(direction=direction)
                case "json":
                    text = picture.json()
                case _:
                    text = picture.mermaid(direction=direction)
        except (NoDrawing, UnknownComponent) as error:
            raise click.UsageError(str(error)) from None
    try:
        write(text, output)
    except OSError as error:
        raise click.UsageError(f"cannot write {output}: {error.strerror}") from None
    if faults:
        hint = f"run `typedbus check {target}` to list them"
        click.echo(f"{type(container).__name__} has {_count(len(faults), 'fault')}: {hint}", err=True)
    return FAULTS if faults else OK


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


for _command in (channels, run, stop, restart, reload, status):
    commands.add_command(_command)
