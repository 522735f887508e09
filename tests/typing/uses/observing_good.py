"""Valid uses of logging, systemd and health."""

import logging
import os
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, assert_type
from wsgiref.types import WSGIApplication

from typedbus import LOG, START, Bus, Component, Container, on
from typedbus.events import LIFECYCLE
from typedbus.plugins.health import ALIVE, READY, Check, Checked, Health, Probe
from typedbus.plugins.logs import LogFileError, Logging
from typedbus.plugins.systemd import Systemd, SystemdError, activated

# As frameworks write it.
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApplication = Callable[[Scope, Receive, Send], Awaitable[None]]


class Database:
    @on(READY, limit=0.5)
    @on(ALIVE)
    def check(self) -> Check:
        return Check(True)

    @on(READY)
    def disk(self, least: int = 10) -> Check:
        return Check(is_ok=least > 0, detail="full")

    @on(READY, limit=0.5)
    @on(ALIVE)
    async def connections(self, least: int = 1) -> Check:
        return Check(is_ok=least > 0)


class Plain:
    def check(self) -> Check:
        return Check(False, "no")

    async def check_later(self) -> Check:
        return Check(True)

    def check_by_callback(self) -> Awaitable[Check]:
        return self.check_later()


def serve(wsgi: WSGIApplication, asgi: ASGIApplication) -> None: ...


class Site(Container):
    bus = Component(Bus)
    logs = Component(
        Logging,
        bus.provided,
        logger="site",
        console=True,
        file=Path("site.log"),
        level=logging.DEBUG,
        formatter=logging.Formatter(),
    )
    bare = Component(Logging, bus.provided)
    systemd = Component(Systemd, bus.provided)
    strange = Component(Systemd, bus.provided, environ=os.environ, clock=lambda: 1)
    database = Component(Database)
    plain = Component(Plain).on(READY.calls(Plain.check, limit=2.0))
    later = Component(Plain).on(READY.calls(Plain.check_later, limit=2.0), ALIVE.calls(Plain.check_by_callback))
    health = Component(Health, bus.provided, limit=2)
    server = Component(serve, health.provided.wsgi, asgi=health.provided.asgi)


def without_a_container(bus: Bus) -> None:
    logs = Logging(bus, file="site.log")
    bus[START].subscribe(logs.start, priority=15)
    bus[LIFECYCLE].subscribe(logs.log_event)
    bus[LOG].subscribe(logs.log_message)
    bus[READY].subscribe(lambda: Check(True))
    bus[READY].subscribe(Database().connections)
    bus[ALIVE].subscribe(Plain().check_later, priority=10)
    assert_type(bus[READY].publish(), list[Awaitable[Check] | Check])

    @bus[READY].subscribe()
    async def later() -> Check:
        return Check(True)

    assert_type(activated(), list[socket.socket])
    assert_type(activated("web", environ={}), list[socket.socket])


async def ask(health: Health, database: Database) -> None:
    # A mark keeps the type of the method.
    assert_type(database.check(), Check)
    assert_type(await database.connections(), Check)
    probe = health.ready()
    assert_type(probe, Probe)
    assert_type(await health.alive_async(), Probe)
    assert_type(health.last_ready, Probe | None)
    assert_type(probe.checks, tuple[Checked, ...])
    assert_type(probe.checks[0].seconds, float)
    serve(health.wsgi, health.asgi)


def description_of(error: LogFileError | SystemdError) -> str:
    return error.variable if isinstance(error, SystemdError) else str(error.filename)
