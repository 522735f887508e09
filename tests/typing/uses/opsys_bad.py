"""Invalid settings of the process and the user of a site; a marked line is an error for both checkers."""

from pathlib import Path

from typedbus import LOG, START, Bus, Component, Container
from typedbus.plugins.daemon import Daemon
from typedbus.plugins.pidfile import PIDFile, read
from typedbus.plugins.privileges import Privileges


class Site(Container):
    bus = Component(Bus)
    nowhere = Component(PIDFile, bus.provided)  # E
    by_position = Component(PIDFile, bus.provided, "site.pid")  # E
    unwired = Component(PIDFile, bus, path="site.pid")  # E
    by_number = Component(PIDFile, bus.provided, path=3)  # E
    misspelt = Component(Daemon, bus.provided, stdrr="err.log")  # E
    to_a_number = Component(Daemon, bus.provided, stderr=2)  # E
    as_bytes = Component(Privileges, bus.provided, user=b"www-data")  # E
    as_a_float = Component(Privileges, bus.provided, group=1.5)  # E
    as_a_text = Component(Privileges, bus.provided, umask="027")  # E
    in_one_group = Component(Privileges, bus.provided, groups=5)  # E


def on_a_bare_bus(bus: Bus) -> None:
    PIDFile(path="site.pid")  # E
    Daemon()  # E
    Privileges(bus, "www-data")  # E
    bus[LOG].subscribe(PIDFile(bus, path="site.pid").start)  # E
    bus[START].subscribe(PIDFile(bus, path="site.pid"))  # E


def refused_requests(bus: Bus, path: Path) -> None:
    read()  # E
    read(None)  # E
    _pid: int = read(path)  # E
    Daemon(bus, fork=5)  # E
    Privileges(bus, setuid=lambda: None)  # E
