"""Starts that hang and are cancelled by a stop, an exit or a signal."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from tests.doubles import ThreadCall

from typedbus import START, STOP, Bus, Component, Container, Limits, StartCancelled, State, TransitionFailures, on
from typedbus.events import FAILED, Failed
from typedbus.plugins.signals import Signals
from typedbus.servers._mount_errors import MountFailed
from typedbus.servers.asgi import ASGIServer, LifespanError
from typedbus.servers.mounts import MOUNT, ASGIMount, WSGIDispatcher
from typedbus.servers.serving import Server, ServerEnded, Serving
from typedbus.testing import FakeClock


@attrs.define(eq=False)
class Hanging:
    """An ASGI application whose lifespan hangs in one phase, and a record of its end."""

    phase: str
    is_hanging: threading.Event = attrs.field(factory=threading.Event)
    was_cancelled: threading.Event = attrs.field(factory=threading.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Run the lifespan up to *phase*."""
        while (message := await receive())["type"] != f"lifespan.{self.phase}":
            await send({"type": f"{message['type']}.complete"})
        self.is_hanging.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.was_cancelled.set()


@attrs.define(eq=False)
class NeverReady:
    """A server of the contract `Serves` that never accepts."""

    is_hanging: threading.Event = attrs.field(factory=threading.Event)
    was_cancelled: threading.Event = attrs.field(factory=threading.Event)

    def drain(self, seconds: float) -> None:
        """Return."""
        self.was_cancelled.set()

    def serve(self, listening: socket.socket, ready: Callable[[], None]) -> int:
        """Wait for the drain."""
        self.is_hanging.set()
        self.was_cancelled.wait()
        return 0


def asgi(bus: Bus) -> tuple[Hanging, Serving]:
    """Return an application that hangs in its startup, and its server."""
    app = Hanging("startup")
    return app, ASGIServer(bus, app, bind="127.0.0.1:0")


def own(bus: Bus) -> tuple[NeverReady, Serving]:
    """Return a server that never accepts, and its component."""
    server = NeverReady()
    return server, Server(bus, server, bind="127.0.0.1:0")


def mounts(bus: Bus) -> tuple[Hanging, WSGIDispatcher]:
    """Return an application that hangs in its startup, and the WSGI dispatcher that it is mounted in."""
    app = Hanging("startup")
    bus[MOUNT].subscribe(lambda: ASGIMount("/", app))
    return app, WSGIDispatcher(bus, bus[MOUNT])


KINDS = [asgi, own, mounts]


def subscribe(bus: Bus, component: Serving | WSGIDispatcher) -> None:
    """Subscribe *component* as a container does, after a part that starts at once."""
    bus[START].subscribe(component.start, priority=75)
    bus[STOP].subscribe(component.stop, priority=75)


def breaking_off(bus: Bus, app: Hanging | NeverReady, how: Callable[[], object]) -> threading.Thread:
    """Return a thread that waits until *app* hangs, and then calls *how*."""

    def wait_and_break_off() -> None:
        assert app.is_hanging.wait(20)
        how()

    thread = threading.Thread(target=wait_and_break_off)
    thread.start()
    return thread


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["request_exit", "stop", "exit"])
def test_a_hanging_start_can_be_cancelled(kind: Callable[[Bus], Any], how: str, workers: int) -> None:
    """The server ends, the started components are stopped, and the start counts as cancelled, not as failed."""
    bus = Bus(workers=workers)
    calls: list[str] = []
    bus[START].subscribe(lambda: calls.append("started"))
    bus[STOP].subscribe(lambda: calls.append("stopped"))
    failed: list[Failed] = []
    bus[FAILED].subscribe(failed.append)
    app, component = kind(bus)
    subscribe(bus, component)
    thread = breaking_off(bus, app, getattr(bus, how))

    with pytest.raises(StartCancelled):
        bus.start()

    thread.join(20)
    assert calls == ["started", "stopped"]
    assert app.was_cancelled.is_set()
    assert [type(event.error) for event in failed] == [StartCancelled]
    bus.exit()


def test_the_failure_of_another_component_cancels_a_hanging_start() -> None:
    """With several workers; it is the only failure of the start, which no longer waits for the server."""
    never_ready = NeverReady()

    class Other:
        @on(START, priority=75)
        def start(self) -> None:
            assert never_ready.is_hanging.wait(20)
            raise OSError("disk full")

    class Site(Container):
        bus = Component(Bus, workers=2)
        server = Component(Server, bus.provided, never_ready, bind="127.0.0.1:0")
        other = Component(Other)

    with pytest.raises(TransitionFailures) as failed:
        Site().attach().start()

    assert [type(error) for error in failed.value.exceptions] == [OSError]
    assert never_ready.was_cancelled.is_set()


@pytest.mark.parametrize("kind", KINDS)
def test_a_signal_cancels_a_hanging_start(kind: Callable[[Bus], Any]) -> None:
    """The handler interrupts the waiting thread, and may run while it holds the lock of the bus."""
    bus = Bus()
    app, component = kind(bus)
    subscribe(bus, component)
    signals = Signals(bus)
    signals.start()
    try:
        thread = breaking_off(bus, app, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(StartCancelled):
            bus.start()
        thread.join(20)
    finally:
        signals.exit()
    assert app.was_cancelled.is_set()
    bus.exit()


def test_a_server_started_directly_during_a_stop_is_not_cancelled() -> None:
    """Only a start of its own bus can be cancelled."""
    bus = Bus()
    app, server = own(bus)
    thread = breaking_off(bus, app, server.serves.was_cancelled.set)  # type: ignore[attr-defined]  # it is a Server

    @bus[STOP].subscribe()
    def start_the_server() -> None:
        with pytest.raises(ServerEnded):
            server.start()

    bus.start()

    bus.stop()

    thread.join(20)
    bus.exit()


def test_a_cancelled_start_of_another_bus_is_a_failure() -> None:
    """`StartCancelled` of a listener means a cancelled start only if this start was cancelled."""
    bus, inner = Bus(), Bus()
    inner[START].subscribe(inner.request_exit)
    bus[START].subscribe(inner.start)

    with pytest.raises(BaseExceptionGroup) as failed:
        bus.start()

    assert [type(error) for error in failed.value.exceptions] == [StartCancelled]


def test_a_start_that_waits_for_an_earlier_start_can_be_cancelled() -> None:
    """The earlier call was given up and may never return."""
    clock = FakeClock()
    bus = Bus(clock=clock, limits=Limits(hook=1))
    over, called = threading.Event(), threading.Event()

    class Part:
        def start(self) -> None:
            called.set()
            over.wait()

    part = Part()
    subscription = bus[START].subscribe(part.start)
    first = ThreadCall(bus.start)
    assert called.wait(20)
    clock.advance(1)
    assert isinstance(first.finished().error, BaseExceptionGroup)
    bus.limits = Limits()

    def break_off() -> None:
        bus.wait(State.STARTING, 20)
        bus.request_exit()

    thread = threading.Thread(target=break_off)
    thread.start()

    with pytest.raises(BaseExceptionGroup) as failed:
        bus.start()

    assert "before waiting was interrupted" in str(failed.value.exceptions[0])
    thread.join(20)
    over.set()
    subscription.cancel()


@pytest.mark.slow
def test_a_lifespan_that_hangs_in_its_shutdown_is_cancelled() -> None:
    """The error names the lifespan, and the time of the wait."""
    bus = Bus()
    app = Hanging("shutdown")
    server = ASGIServer(bus, app, bind="127.0.0.1:0", drain=0)
    subscribe(bus, server)
    bus.start()

    with pytest.raises(BaseExceptionGroup) as failed:
        bus.stop()

    (error,) = failed.value.exceptions
    assert isinstance(error, LifespanError)
    assert (
        str(error) == "the application failed in its lifespan shutdown: it did not end within 2.5 s, and was cancelled"
    )
    assert app.was_cancelled.is_set()


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_mounted_application_that_hangs_in_its_shutdown_is_cancelled() -> None:
    """The stop of the dispatcher ends, and its error names the path."""
    bus = Bus()
    app = Hanging("shutdown")
    bus[MOUNT].subscribe(lambda: ASGIMount("/", app))
    dispatcher = WSGIDispatcher(bus, bus[MOUNT])
    subscribe(bus, dispatcher)
    bus.start()

    with pytest.raises(BaseExceptionGroup) as failed:
        bus.stop()

    (error,) = failed.value.exceptions
    assert isinstance(error, MountFailed)
    assert app.was_cancelled.is_set()


FROZEN = """
import asyncio
from typedbus import Bus, Component, Container
from typedbus.servers.asgi import ASGIServer

async def app(scope, receive, send):
    await receive()
    print("it hangs", flush=True)
    await asyncio.sleep(1000)

class Database:
    def start(self):
        pass

    def stop(self):
        print("the database is stopped", flush=True)

class Site(Container):
    bus = Component(Bus)
    database = Component(Database)
    server = Component(ASGIServer, bus.provided, app, bind="127.0.0.1:0")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send SIGTERM there")
@pytest.mark.parametrize("options", [[], ["--workers", "3"]], ids=["one thread", "workers"])
def test_sigterm_ends_a_program_whose_lifespan_hangs(tmp_path: Path, options: list[str]) -> None:
    """The first SIGTERM suffices, and the started components are stopped."""
    (tmp_path / "frozen.py").write_text(FROZEN)
    command = [sys.executable, "-m", "typedbus", "run", "frozen:Site", *options]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "it hangs\n"
            child.send_signal(signal.SIGTERM)

            assert child.stdout.readline() == "the database is stopped\n"
            assert child.wait(60) == 0
        finally:
            child.kill()
