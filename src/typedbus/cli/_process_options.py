"""
The components that the options of `typedbus run` add to the containers of a site.

They are ordinary components, in a separate container on the bus of the site, so
that an option does exactly what the same component does in a program. Two
components of one class would hold the same file, or fork twice: if the site
declares such a component itself, the option is refused. `Signals` and `Systemd`
are added without an option, and left out if the site declares its own.
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
from typedbus._container.component import Component
from typedbus._container.container import Container
from typedbus._container.core import components_of, core_of
from typedbus._container.descriptions import class_of
from typedbus.plugins.daemon import Daemon
from typedbus.plugins.logs import JSONFormatter, Logging
from typedbus.plugins.pidfile import PIDFile
from typedbus.plugins.privileges import Privileges
from typedbus.plugins.signals import Signals
from typedbus.plugins.systemd import Systemd


@attrs.frozen(kw_only=True)
class ProcessOptions:
    """Process options from the command line; None or False means not given."""

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

    def components(self) -> dict[type, tuple[str, dict[str, Any]]]:
        """Return the components that the options add: for each class the option, and the arguments."""
        components: dict[type, tuple[str, dict[str, Any]]] = {}
        if self.is_daemon:
            streams = {} if self.output is None else {"stdout": self.output, "stderr": self.output}
            components[Daemon] = "--daemon", streams
        # With JSON on stderr, `JSONMessages` writes the log.
        if self.log_file is not None or (self.log_level is not None and not self.is_json):
            option = "--log-file" if self.log_file is not None else "--log-level"
            # The root logger, for the log of the whole program.
            log: dict[str, Any] = {"logger": "", "file": self.log_file, "console": self.log_file is None}
            if self.is_json:
                log["formatter"] = JSONFormatter()
            components[Logging] = option, log if self.log_level is None else {**log, "level": self.log_level}
        if self.pidfile is not None:
            components[PIDFile] = "--pidfile", {"path": self.pidfile}
        account = {"user": self.user, "group": self.group, "umask": self.umask}
        privileges = {name: value for name, value in account.items() if value is not None}
        if privileges:
            components[Privileges] = f"--{next(iter(privileges))}", privileges
        if self.is_autoreload:
            from typedbus.plugins.autoreload import Autoreload  # it needs an optional library

            components[Autoreload] = "--autoreload", {}
        return components


def refuse_invalid(options: ProcessOptions) -> None:
    """
    Refuse wrong options that can be detected before a module is imported.

    Raises:
        UsageError: The options contradict each other, or need an unknown account or something this system lacks.
    """
    if options.is_daemon and options.is_autoreload:
        raise click.UsageError("--autoreload does not work with --daemon; restart a daemon with `typedbus restart`")
    if options.output is not None and not options.is_daemon:
        raise click.UsageError("--output needs --daemon; without it, redirect stdout and stderr")
    try:
        components = options.components()
        for cls in (Daemon, PIDFile, Privileges):
            if cls in components:
                cls(Bus(), **components[cls][1])
    except (ImportError, LookupError, NotImplementedError) as error:
        raise click.UsageError(str(error)) from None


def container_of_options(options: ProcessOptions, containers: Sequence[Container]) -> Container:
    """
    Return a container with the components of *options*, for the bus of *containers*, which are valid.

    Raises:
        UsageError: One of *containers* already declares such a component.
    """
    declared: dict[type, Component[object]] = {}
    for container in containers:
        for component in components_of(container):
            for cls in (class_of(component) or object).__mro__:
                declared.setdefault(cls, component)
    bus = Component(Bus)
    members: dict[str, Any] = {"bus": bus}
    if Signals not in declared:
        members["signals"] = Component(Signals, bus.provided)
    if Systemd not in declared and os.environ.get("NOTIFY_SOCKET"):
        members["systemd"] = Component(Systemd, bus.provided)
    for cls, (option, arguments) in options.components().items():
        if cls in declared:
            component = declared[cls]
            raise click.UsageError(
                f"{option}: {component.path} ({component.place}) is already a {cls.__name__}; "
                "leave out the option, or remove the component"
            )
        members[cls.__name__.lower()] = Component(cls, bus.provided, **arguments)
    container_class: type[Container] = type("CommandLine", (Container,), {"__module__": __name__, **members})
    return container_class()


def has_autoreload(containers: Sequence[Container]) -> bool:
    """Whether *containers* have an enabled `Autoreload`."""
    module = sys.modules.get("typedbus.plugins.autoreload")
    cls: type = getattr(module, "Autoreload", NoneType)
    return any(
        cls in (class_of(component) or object).__mro__
        for container in containers
        for component in components_of(container)
    )


def attach_first(added: Container, containers: Sequence[Container], bus: Bus) -> None:
    """
    Attach *added* to *bus* before *containers*, which are attached already and which `run` attaches again.

    Its components (logging, for example) are then already subscribed while the others are constructed or fail.
    """
    for container in containers:
        core_of(container).withdraw()
    added.attach(bus)
