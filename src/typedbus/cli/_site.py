"""
What the options of `typedbus run` declare beside the containers of a site.

They are components like any others, in a container of their own on the bus of
the site, so that an option does just what the same component does in a program.
Two of a kind would hold one file, or fork twice: where the site declares one
itself, the option for it is refused. Signals and word to systemd need no option,
and there the site's own one takes their place.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import NoneType
from typing import Any

import attrs
import click

from typedbus._bus.bus import Bus
from typedbus._bus.registry import ASSEMBLE
from typedbus._container.component import Component
from typedbus._container.container import Container
from typedbus._container.validation.arguments import class_of
from typedbus.plugins.daemon import Daemon
from typedbus.plugins.logs import JSONFormatter, Logging
from typedbus.plugins.pidfile import PIDFile
from typedbus.plugins.privileges import Privileges
from typedbus.plugins.signals import Signals
from typedbus.plugins.systemd import Systemd


@attrs.frozen(kw_only=True)
class Options:
    """What was said of the process; None, and False, is nothing."""

    pidfile: Path | None = None
    is_daemon: bool = False
    output: Path | None = None
    user: str | int | None = None
    group: str | int | None = None
    umask: int | None = None
    is_autoreload: bool = False
    log_file: Path | None = None
    log_level: int | None = None
    is_json: bool = False

    def declared(self) -> dict[type, tuple[str, dict[str, Any]]]:
        """Return which components they declare: for each class the option, and the arguments."""
        found: dict[type, tuple[str, dict[str, Any]]] = {}
        if self.is_daemon:
            streams = {} if self.output is None else {"stdout": self.output, "stderr": self.output}
            found[Daemon] = "--daemon", streams
        # With JSON on stderr, `JSONMessages` writes there.
        if self.log_file is not None or (self.log_level is not None and not self.is_json):
            option = "--log-file" if self.log_file is not None else "--log-level"
            # The root, since a log is of the whole program.
            log: dict[str, Any] = {"logger": "", "file": self.log_file, "console": self.log_file is None}
            if self.is_json:
                log["formatter"] = JSONFormatter()
            found[Logging] = option, log if self.log_level is None else {**log, "level": self.log_level}
        if self.pidfile is not None:
            found[PIDFile] = "--pidfile", {"path": self.pidfile}
        account = {"user": self.user, "group": self.group, "umask": self.umask}
        given = {name: value for name, value in account.items() if value is not None}
        if given:
            found[Privileges] = f"--{next(iter(given))}", given
        if self.is_autoreload:
            from typedbus.plugins.autoreload import Autoreload  # it needs a library of its own

            found[Autoreload] = "--autoreload", {}
        return found


def check(options: Options) -> None:
    """
    Refuse what can be known to be wrong before a module is imported.

    Raises:
        UsageError: Options that do not go together, an account that nobody knows, or what this system has not.
    """
    if options.is_daemon and options.is_autoreload:
        raise click.UsageError(
            "--autoreload is for work in a terminal, and a daemon has none; `typedbus restart` restarts a daemon"
        )
    if options.output is not None and not options.is_daemon:
        raise click.UsageError("--output is where a daemon writes; without --daemon redirect stdout and stderr")
    try:
        declared = options.declared()
        for cls in (Daemon, PIDFile, Privileges):
            if cls in declared:
                cls(Bus(), **declared[cls][1])
    except (ImportError, LookupError, NotImplementedError) as wrong:
        raise click.UsageError(str(wrong)) from None


def beside(containers: Sequence[Container], options: Options) -> Container:
    """
    Return a container of what *options* declare, for the bus of *containers*, which are valid.

    Raises:
        UsageError: One of *containers* declares the same itself.
    """
    theirs: dict[type, Component[object]] = {}
    for container in containers:
        for component in container._live()[0]:
            for cls in (class_of(component) or object).__mro__:
                theirs.setdefault(cls, component)
    bus = Component(Bus)
    members: dict[str, Any] = {"bus": bus}
    if Signals not in theirs:
        members["signals"] = Component(Signals, bus.provided)
    if Systemd not in theirs and os.environ.get("NOTIFY_SOCKET"):
        members["systemd"] = Component(Systemd, bus.provided)
    for cls, (option, arguments) in options.declared().items():
        if cls in theirs:
            own = theirs[cls]
            raise click.UsageError(
                f"{option}: {own.path} ({own.place}) is a {cls.__name__} already; "
                "leave the option out, or take the component away"
            )
        members[cls.__name__.lower()] = Component(cls, bus.provided, **arguments)
    declared: type[Container] = type("CommandLine", (Container,), {"__module__": __name__, **members})
    return declared()


def has_autoreload(containers: Sequence[Container]) -> bool:
    """Whether an `Autoreload` takes part in *containers*."""
    loaded = sys.modules.get("typedbus.plugins.autoreload")
    cls: type = getattr(loaded, "Autoreload", NoneType)
    return any(
        cls in (class_of(component) or object).__mro__ for container in containers for component in container._live()[0]
    )


def attach_first(beside: Container, containers: Sequence[Container], bus: Bus) -> None:
    """
    Attach *beside* to *bus* before *containers*, which the bus has already and `run` attaches again.

    What is built first hears of the building of all others, and of what fails there.
    """
    for container in containers:
        bus[ASSEMBLE].unsubscribe(container._assemble)
    beside.attach(bus)
