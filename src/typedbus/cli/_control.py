"""The commands for a running process, found by its PID file: `stop`, `restart`, `reload` and `status`."""

from __future__ import annotations

import functools
import signal
from datetime import datetime
from pathlib import Path
from typing import Final

import click

from typedbus.cli._options import FAULTS, OK, UNKNOWN, Command, InvalidInput, Option, pidfile
from typedbus.cli._writing import status_after_output

#: Exit statuses of init scripts for a service, from the Linux Standard Base.
DEAD: Final = 1
NOT_RUNNING: Final = 3
#: Seconds to wait for a process that must end at once.
_AT_ONCE: Final = 5.0

timeout = functools.partial(
    click.option,
    "--timeout",
    cls=Option,
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="S",
)


@click.command(cls=Command)
@pidfile(is_needed=True)
@timeout(help="How long to wait for the end, in seconds.")
@click.option("--kill", cls=Option, is_flag=True, help="If the process has not ended in time, end it at once.")
def stop(*, pidfile: Path, timeout: float, kill: bool) -> int:
    """
    Stop a process in order, and wait until it has ended.

    This sends SIGTERM to the process that holds the PID file. With --kill, a
    process that has not ended in time gets a second SIGTERM, which ends a
    typedbus program at once and writes the stack of every thread. A second
    `stop` has the same effect. A restart in progress is replaced by the stop.
    If no process holds the file, there is nothing to do, and the status is 0.

    \b
    Example:
      typedbus stop --pidfile /run/shop/shop.pid --timeout 30 --kill

    \b
    Exit status:
      0  no process holds the file any more
      1  the process still runs, or belongs to another user
      2  the command line is wrong, or FILE is not a PID file
      4  FILE is held, but its process cannot be identified; nothing was sent
    """  # noqa: D301  # click leaves the lines of such a paragraph as they are
    from typedbus.cli._holder import holder_of

    with holder_of(pidfile) as holder:
        if holder is None:
            click.echo(f"nothing to stop: {_no_holder(pidfile)}", err=True)
            return OK
        holder.send(signal.SIGTERM)
        if not holder.ends_within(timeout):
            click.echo(f"{holder} still runs, {timeout:g} s after SIGTERM", err=True)
            if not kill:
                click.echo("use --kill to end it at once, with a second SIGTERM", err=True)
                return FAULTS
            holder.send(signal.SIGTERM)
            if not holder.ends_within(_AT_ONCE):
                click.echo(f"a second SIGTERM did not end it either: use kill -KILL {holder.pid}", err=True)
                return FAULTS
        click.echo(f"process {holder.pid} has ended", err=True)
    return OK


@click.command(cls=Command)
@pidfile(is_needed=True)
@timeout(help="How long to wait for the stop and the start together, in seconds.")
def restart(*, pidfile: Path, timeout: float) -> int:
    """
    Restart a daemon, and wait until it has started again.

    This sends SIGHUP to the process that holds the PID file. The process stops
    in order, and runs the same command line again under the same pid. Only for
    daemons on Linux, started for example by `typedbus run --daemon`. SIGHUP
    would end any other process, so it is not sent: restart such a process by
    the program that started it. If the process refuses to restart, the reason
    is reported at once.

    \b
    Example:
      typedbus restart --pidfile /run/shop/shop.pid

    \b
    Exit status:
      0  the process has started again
      1  it has not started again in time, or is not a daemon, or no process holds the file
      2  the command line is wrong, or FILE is not a PID file
      4  FILE is held, but its process cannot be identified; nothing was sent
    """  # noqa: D301  # click leaves the lines of such a paragraph as they are
    from typedbus.cli._holder import holder_of, restarted

    with holder_of(pidfile) as holder:
        if holder is None:
            raise click.ClickException(f"nothing to restart: {_no_holder(pidfile)}")
        click.echo(restarted(holder, timeout), err=True)
    return OK


@click.command(cls=Command)
@pidfile(is_needed=True)
def reload(*, pidfile: Path) -> int:
    """
    Ask a process to reload, for example to reopen its log file.

    This sends SIGUSR1 to the process that holds the PID file. The process calls
    the `graceful` methods of its components, and reopens a log file that was
    moved away. The command does not wait; the process logs failures.

    \b
    Example:
      mv shop.log shop.log.1 && typedbus reload --pidfile /run/shop/shop.pid

    \b
    Exit status:
      0  the signal was sent
      1  no process holds the file, or the process has no handler for SIGUSR1
      2  the command line is wrong, or FILE is not a PID file
      4  FILE is held, but its process cannot be identified; nothing was sent
    """  # noqa: D301  # click leaves the lines of such a paragraph as they are
    from typedbus.cli._holder import holder_of

    if not hasattr(signal, "SIGUSR1"):
        raise click.UsageError("this system has no SIGUSR1")
    with holder_of(pidfile) as holder:
        if holder is None:
            raise click.ClickException(f"nothing to reload: {_no_holder(pidfile)}")
        holder.refuse_unless_caught(signal.SIGUSR1)
        holder.send(signal.SIGUSR1)
        click.echo(f"process {holder.pid} was asked to reload", err=True)
    return OK


@click.command(cls=Command)
@pidfile(is_needed=True)
def status(*, pidfile: Path) -> int:
    """
    Report whether a process runs, its pid, and since when.

    The process is the holder of the PID file, also while it restarts. The exit
    statuses are those of init scripts (Linux Standard Base).

    \b
    Example:
      typedbus status --pidfile /run/shop/shop.pid

    \b
    Exit status:
      0  the process runs
      1  no process runs, and the last one has left the file behind
      2  the command line is wrong
      3  no process runs
      4  unknown: FILE is not a PID file, cannot be read, or its process cannot be identified
    """  # noqa: D301  # click leaves the lines of such a paragraph as they are
    from typedbus.cli._holder import UnknownProcess, holder_of

    try:
        with holder_of(pidfile) as holder:
            if holder is not None:
                since = datetime.fromtimestamp(pidfile.stat().st_mtime).astimezone()
                click.echo(f"running: {holder}, since {since:%Y-%m-%d %H:%M:%S %z}")
                # The exit status is the answer even if the text cannot be written.
                return status_after_output(OK, OK)
            stale_pid = pidfile.read_text().strip() if pidfile.exists() else ""
    except UnknownProcess as error:
        click.echo(error.message)
        return UNKNOWN
    except (InvalidInput, OSError) as error:
        click.echo(f"unknown: {error}")
        return UNKNOWN
    if stale_pid:
        click.echo(f"not running: process {stale_pid} has left {pidfile} behind")
        return DEAD
    click.echo(f"not running: {_no_holder(pidfile)}")
    return NOT_RUNNING


def _no_holder(pidfile: Path) -> str:
    """Return the message that no process holds *pidfile*, and whether its path is a dangling link."""
    return f"no process holds {pidfile}{'' if pidfile.exists() else ', which does not exist'}"
