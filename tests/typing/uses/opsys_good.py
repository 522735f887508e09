"""Valid settings of the process and the user of a site."""

from pathlib import Path
from typing import assert_type

from typedbus import START, Bus, Component, Container
from typedbus.plugins.daemon import Daemon
from typedbus.plugins.pidfile import AlreadyRunning, PIDFile, PIDFileError, read
from typedbus.plugins.privileges import Privileges


class Site(Container):
    bus = Component(Bus)
    daemon = Component(Daemon, bus.provided, stdout="out.log", stderr=Path("err.log"))
    pidfile = Component(PIDFile, bus.provided, path="site.pid")
    other = Component(PIDFile, bus.provided, path=Path("other.pid"), patience=1)
    privileges = Component(Privileges, bus.provided, user="www-data", groups=["audio", 5], umask=0o027)


def on_a_bare_bus(bus: Bus) -> None:
    pidfile = PIDFile(bus, path="site.pid")
    bus.subscribe(START, pidfile.start, priority=20)
    bus[START].subscribe(Daemon(bus).start, priority=10)
    bus[START].subscribe(Privileges(bus, user=1000, group="users").start, priority=80)
    assert_type(pidfile.path, Path)
    assert_type(Daemon(bus).stderr, Path)


def requests(path: Path) -> None:
    assert_type(read(path), int | None)
    assert_type(read("site.pid"), int | None)
    assert_type(AlreadyRunning(path, None).pid, int | None)
    assert_type(PIDFileError(2, path).path, Path)
