"""The listeners that options of `typedbus run` subscribe to the bus."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from typedbus._base.errors import OperatorError
from typedbus._base.events import LifecycleEvent, Moved, RolledBack
from typedbus._base.states import State
from typedbus._bus.builtin import EXIT, LIFECYCLE, MOVED, ROLLED_BACK, RUNS, START, WARNING
from typedbus._bus.bus import Bus
from typedbus._container.container import Container
from typedbus._container.core import components_of
from typedbus._container.descriptions import class_of
from typedbus.cli._process_options import has_autoreload
from typedbus.cli._writing import write

#: Has the token of --inspect; a token on the command line could be read by every user of the machine.
INSPECT_TOKEN: Final = "TYPEDBUS_INSPECT_TOKEN"  # noqa: S105  # the name of a variable
#: Runs before the listener that reports the end of the start to a waiting parent process.
_FIRST: Final = -1


def request_exit_after_start(bus: Bus) -> None:
    """Request the exit of *bus* as soon as it has started."""

    @bus[MOVED].subscribe()
    def request_exit(event: Moved, /) -> None:
        if event.after is State.STARTED:
            bus.request_exit()


def restart_on_changes(
    containers: Sequence[Container], bus: Bus, watch: Sequence[Path], config: Sequence[Path]
) -> None:
    """
    Let the `Autoreload` of *containers* watch the paths of --watch, and the files of defaults and settings.

    Without an `Autoreload`, this does nothing.

    Raises:
        UsageError: --watch is given on the command line, and there is no `Autoreload`.
    """
    if not has_autoreload(containers):
        source = click.get_current_context().get_parameter_source("watch")
        if source is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError("--watch has no effect without --autoreload; add --autoreload")
        return
    from typedbus.cli._defaults import source_of_defaults
    from typedbus.plugins.autoreload import WATCHED
    from typedbus.plugins.autoreload._project import named_directory

    defaults = source_of_defaults()
    files = [*([] if defaults is None else [defaults]), *config]
    if not config and "typedbus.settings" in sys.modules:
        from typedbus.settings import Sources

        files += Sources.of_environment().files
    # The program may change its working directory.
    paths = [named_directory() / path for path in (*watch, *files)]
    missing = [path for path in watch if not path.exists()]

    @bus[WATCHED].subscribe()
    def watched_paths() -> Sequence[Path]:
        while missing:
            bus.log(
                f"--watch {missing.pop(0)}: it does not exist yet; the program restarts when it appears",
                WARNING,
            )
        return paths


def serve_page(bus: Bus, containers: Sequence[Container], address: str | None) -> None:
    """
    Let an inspector listen to *bus* from now on, and serve on *address* from the start until the exit.

    Without an address, this does nothing.

    Raises:
        UsageError: It cannot serve there safely, or *containers* have an inspector already.
    """
    if address is None:
        return
    from typedbus.inspector import PRIORITY, Inspector, TokenNeeded
    from typedbus.plugins.health import Health

    declared = [component for container in containers for component in components_of(container)]
    for component in declared:
        if issubclass(class_of(component) or object, Inspector):
            raise click.UsageError(
                f"--inspect: {component.path} ({component.place}) is already an Inspector; "
                "leave out the option, or remove the component"
            )
    # Each call returns the component, if it is enabled.
    probed: list[Any] = [component for component in declared if issubclass(class_of(component) or object, Health)]
    try:
        inspector = Inspector(
            bus, bind=address, token=os.environ.get(INSPECT_TOKEN) or None, health=probed[0] if probed else None
        )
    except OperatorError as error:
        hint = f"; give it in the environment variable {INSPECT_TOKEN}" if isinstance(error, TokenNeeded) else ""
        raise click.UsageError(f"--inspect: {error}{hint}") from None
    bus[START].subscribe(inspector.start, priority=PRIORITY)
    bus[EXIT].subscribe(inspector.close, priority=PRIORITY)


def write_report(bus: Bus, file: Path, shape: str) -> None:
    """Write a report on the start of *bus* to *file* as soon as the start has succeeded or failed."""
    from typedbus.report import Report

    report = Report(runs=lambda: bus.runs)
    render = {"json": report.json, "trace": report.trace, "table": report.table}[shape]

    def is_end_of_start(event: LifecycleEvent) -> bool:
        return isinstance(event, RolledBack) or event == Moved(State.STARTING, State.STARTED)

    def add(event: LifecycleEvent, /) -> None:
        if not is_end_of_start(event):
            report.record_event(event)

    def finish(event: LifecycleEvent, /) -> None:
        if is_end_of_start(event):
            report.record_event(event)
            write(render(), file)

    bus[LIFECYCLE].subscribe(add)
    bus[RUNS].subscribe(report.record_run)
    # The report exists when a process that waits for the start of a daemon is notified.
    bus[MOVED].subscribe(finish, priority=_FIRST)
    bus[ROLLED_BACK].subscribe(finish, priority=_FIRST)
