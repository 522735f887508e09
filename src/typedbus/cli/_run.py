"""The command `run` and its options. Expensive imports are done when it is called."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs
import click

from typedbus._base.errors import LimitError
from typedbus._base.limits import Limits
from typedbus._os.stdio import strict
from typedbus.cli._options import (
    FAULTS,
    FILE,
    STDOUT,
    Command,
    Option,
    account,
    assignment,
    pidfile,
    targets_or_default,
    umask,
)
from typedbus.cli._writing import by_suffix, refuse_unwritable, status_after_output

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}

start = functools.partial(click.option, cls=Option, section="Start and stop")
settings = functools.partial(click.option, cls=Option, section="Settings")
process = functools.partial(click.option, cls=Option, section="Process")
observation = functools.partial(click.option, cls=Option, section="Observation")


@click.command(cls=Command)
@click.argument("targets", metavar="MODULE:NAME...", nargs=-1)
@start("--workers", type=click.IntRange(min=1), metavar="N", help="Start and stop up to N components concurrently.")
@start("--start-limit", type=float, metavar="S", help="Time limit for a start, in seconds.")
@start("--stop-limit", type=float, metavar="S", help="Time limit for a stop, in seconds.")
@start("--hook-limit", type=float, metavar="S", help="Time limit for each start, stop and exit hook, in seconds.")
@start("--exit-after-start", is_flag=True, help="Exit when the start is complete; for a trial run.")
@start("--autoreload", is_flag=True, help="Restart when a file of the program changes; for development.")
@start(
    "--watch",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="With --autoreload: also restart when this file, or a file in this folder, changes; repeatable.",
)
@settings(
    "--config",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Read settings from this TOML file; repeatable, later files override earlier ones.",
)
@settings(
    "--set",
    "assignments",
    multiple=True,
    type=assignment,
    metavar="KEY=VALUE",
    help="Set one setting, for example --set shop.port=8081; overrides the environment and files; repeatable.",
)
@pidfile(is_needed=False)
@process(
    "--daemon", is_flag=True, help="Run in the background; the command returns when the start has succeeded or failed."
)
@process(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With --daemon: append stdout and stderr to FILE; default: discard them.",
)
@process(
    "--user", type=account, metavar="U", help="Switch to this user, a name or an id, when ports and files are open."
)
@process(
    "--group", type=account, metavar="G", help="Switch to this group as well; default: the primary group of the user."
)
@process("--umask", type=umask, metavar="M", help="Set the file-creation mask (umask), in octal, for example 027.")
@observation(
    "--traceback", is_flag=True, help="Print the tracebacks of operator errors as well, such as a port in use."
)
@observation(
    "--report", type=FILE, metavar="FILE", help="Write a report on the duration of the start to FILE; - is stdout."
)
@observation(
    "--report-format",
    type=click.Choice(["table", "json", "trace"]),
    help="Default: by the suffix of FILE: .trace.json or .json; otherwise table.",
)
@observation(
    "--inspect",
    bare="127.0.0.1:0",
    metavar="[=ADDRESS]",
    help="Serve a page on which the process can be watched, and log its address; default: a free port of this machine.",
)
@observation(
    "--log-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Append the life cycle and all log records to FILE.",
)
@observation(
    "--log-level",
    type=click.Choice([*_LEVELS], case_sensitive=False),
    help="Lowest level that is logged; default: info. Without --log-file, the log goes to stderr.",
)
@observation(
    "--quiet", is_flag=True, help="Write only warnings and errors to stderr, not the life cycle or the progress."
)
@observation(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    help="json: one JSON object per line, on stderr and in --log-file; default: text.",
)
def run(
    targets: Sequence[str],
    *,
    workers: int | None,
    start_limit: float | None,
    stop_limit: float | None,
    hook_limit: float | None,
    exit_after_start: bool,
    autoreload: bool,
    watch: Sequence[Path],
    config: Sequence[Path],
    assignments: Sequence[tuple[str, str]],
    pidfile: Path | None,
    daemon: bool,
    output: Path | None,
    user: str | int | None,
    group: str | int | None,
    umask: int | None,
    traceback: bool,
    report: Path | None,
    report_format: str | None,
    inspect: str | None,
    log_file: Path | None,
    log_level: str | None,
    quiet: bool,
    log_format: str,
) -> int:
    """
    Run containers as a program, until their bus exits.

    Several containers share the bus of the first. The life cycle is printed on
    stderr. Ctrl-C or SIGTERM exits in order; a second one ends the process at
    once. SIGUSR1 calls the `graceful` methods of components, and SIGHUP restarts
    a daemon. Options that are not given keep the values of the containers.

    Settings are read before any component is constructed, and all errors in
    them are reported at once, with file and line.

    With --daemon the command returns when the start has succeeded or failed,
    with the matching exit status. `typedbus stop`, `restart`, `reload` and
    `status` find the process by its --pidfile.

    The report shows how long each component took to start. It is written when
    the start is complete, or has failed. The format trace is for Perfetto or
    chrome://tracing.

    \b
    Examples:
      typedbus run app.container:Shop --workers 4 --report start.trace.json
      typedbus run app.container:Shop app.audit:Audit --config site.toml
      typedbus run app.container:Shop --daemon --pidfile /run/shop/shop.pid

    \b
    Exit status:
      0    an orderly run, or a daemon that has started
      1    a container has faults, or a component did not start
      2    the command line or the settings are invalid; nothing was started
      70   a failure after the start, or stdout could not be written
      130  Ctrl-C before the start, or a second Ctrl-C
      A component may end the process with another status, by sys.exit.
    """  # noqa: D301  # click leaves the lines of such a paragraph as they are
    limits = _limits({"start": start_limit, "stop": stop_limit, "hook": hook_limit})
    targets = targets_or_default(targets)
    if report == STDOUT and daemon:
        raise click.UsageError("--report -: a daemon has no stdout; name a file")
    from typedbus.cli._process_options import ProcessOptions, attach_first, container_of_options, refuse_invalid

    options = ProcessOptions(
        pidfile=pidfile,
        is_daemon=daemon,
        output=output,
        user=user,
        group=group,
        umask=umask,
        is_autoreload=autoreload,
        log_file=log_file,
        log_level=None if log_level is None else _LEVELS[log_level],
        is_json=log_format == "json",
    )
    _refuse_relative([pidfile, output, log_file, report, *config])
    refuse_invalid(options)
    if report is not None:
        refuse_unwritable(report)
        # The program may change its working directory.
        report = report if report == STDOUT else report.absolute()
    from typedbus import process
    from typedbus._container.attachment import attached
    from typedbus._container.faults import InvalidContainer
    from typedbus.cli._listeners import request_exit_after_start, restart_on_changes, serve_page, write_report
    from typedbus.cli._settings import load_settings
    from typedbus.cli._target import load
    from typedbus.plugins import _restart_report
    from typedbus.process._messages import JSONMessages, Messages

    messages, writer = Messages(is_quiet=quiet), contextlib.ExitStack()
    if options.is_json:
        messages = JSONMessages(options.log_level or _LEVELS["warning" if quiet else "info"])
        writer.enter_context(messages.running())
    with writer:
        try:
            containers = [load(target, messages.failure) for target in targets]
            load_settings(containers, config, dict(assignments))
            bus = attached(containers, workers, None)
            serve_page(bus, containers, inspect)
            added = container_of_options(options, containers)
            restart_on_changes([added, *containers], bus, watch, config)
        except InvalidContainer as error:
            _restart_report.report(f"STATUS={error}")
            messages.error(str(error))
            return FAULTS
        except click.ClickException as error:
            if not options.is_json:
                raise
            _restart_report.report(f"STATUS={error.format_message()}")
            messages.error(error.format_message())
            return error.exit_code
        attach_first(added, containers, bus)
        bus.limits = attrs.evolve(bus.limits, **limits)
        if report is not None:
            shape = report_format or by_suffix(report, {".trace.json": "trace", ".json": "json"}) or "table"
            write_report(bus, report, shape)
        if exit_after_start:
            request_exit_after_start(bus)
        with strict():
            status = process.serve((*containers, added), messages=messages, tracebacks=traceback)
        return status_after_output(status, process.SOFTWARE)


def _refuse_relative(paths: Sequence[Path | None]) -> None:
    """Refuse relative paths if the working directory no longer exists."""
    try:
        Path.cwd()
    except FileNotFoundError:
        for path in paths:
            if path is not None and path != STDOUT and not path.is_absolute():
                raise click.UsageError(
                    f"{path} is relative to the working directory, which does not exist any more; give an absolute path"
                ) from None


def _limits(values: dict[str, float | None]) -> dict[str, float]:
    limits = {name: seconds for name, seconds in values.items() if seconds is not None}
    try:
        Limits(**limits)
    except LimitError as error:
        raise click.UsageError(str(error)) from None
    return limits
