"""Hosted applications whose containers have runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, MutableMapping
from typing import Any

import pytest
from tests.consumer import Consumer
from tests.doubles import LIMIT
from tests.hosting.wsgi_client import Reply, page

from typedbus import Bus, Component, Container, Restart, RunFailed, RunState, Stopping, running
from typedbus.events import RunBroke, RunGaveUp
from typedbus.hosting import asgi, wsgi
from typedbus.plugins.health import Health
from typedbus.testing import RunRecorder

Message = MutableMapping[str, Any]


class Failing:
    """A call of a run that raises when the test allows it."""

    def __init__(self) -> None:
        self.may_fail = threading.Event()

    def __call__(self, stopping: Stopping) -> None:
        self.may_fail.wait()
        raise OSError("broker gone")


class Site(Container):
    bus = Component(Bus)
    failing = Component(Failing)
    consumer = Component(Consumer, failing.provided)
    health = Component(Health, bus.provided, limit=LIMIT)


class Tolerant(Site):
    consumer = Component(Consumer, Site.failing.provided).supervised(Restart("never", then="unready"))


class Patient(Site):
    consumer = Component(Consumer, Site.failing.provided).supervised(Restart(first=0.001, jitter=0.0))


def test_requests_are_refused_after_a_run_has_given_up(capfd: pytest.CaptureFixture[str]) -> None:
    """The bus exits, the error of the run goes to stderr, and every later request is answered with 503."""
    site, ended = Site(), threading.Event()
    app = wsgi.Hosted(page, site, ended=ended.set)
    first = Reply(app).status
    site.failing().may_fail.set()
    assert ended.wait(LIMIT)

    assert (first, Reply(app).status, Reply(app).status) == ("200 OK", *["503 Service Unavailable"] * 2)
    stderr = capfd.readouterr().err
    assert "OSError: broker gone" in stderr
    assert "RunFailed: run Site.consumer failed with OSError('broker gone')" in stderr


def test_connections_are_refused_after_a_run_has_given_up(capfd: pytest.CaptureFixture[str]) -> None:
    """An ASGI server refuses connections with 503, and its lifespan ends without an error."""

    async def app(scope: Message, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        assert scope["type"] == "lifespan"
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})

    async def scenario() -> list[Message]:
        site, ended, has_started, is_ending = Site(), threading.Event(), asyncio.Event(), asyncio.Event()
        hosted = asgi.Hosted(app, site, ended=ended.set)
        requests = iter(["lifespan.startup", "lifespan.shutdown"])
        sent: list[Message] = []

        async def receive() -> Message:
            kind = next(requests)
            if kind == "lifespan.shutdown":
                has_started.set()
                await is_ending.wait()
            return {"type": kind}

        async def send(message: Message) -> None:
            sent.append(message)

        lifespan = asyncio.create_task(hosted({"type": "lifespan", "state": {}}, receive, send))
        await has_started.wait()
        site.failing().may_fail.set()
        assert await asyncio.to_thread(ended.wait, LIMIT)
        await hosted({"type": "http"}, receive, send)
        is_ending.set()
        await lifespan
        return sent

    started, refused, body, stopped = asyncio.run(scenario())

    assert started["type"] == "lifespan.startup.complete"
    assert (refused["status"], body["body"]) == (503, b"Service Unavailable\n")
    assert stopped["type"] == "lifespan.shutdown.complete"
    assert "RunFailed: run Site.consumer failed" in capfd.readouterr().err


@pytest.mark.parametrize(("kind", "event"), [(Tolerant, RunGaveUp), (Patient, RunBroke)])
def test_requests_are_answered_while_the_bus_goes_on(kind: type[Site], event: type[RunGaveUp | RunBroke]) -> None:
    """Requests succeed if the run is called again or given up; a run that was given up makes the process unready."""
    site = kind()
    app = wsgi.Hosted(page, site)
    with RunRecorder(site.attach()) as events:
        app.start()
        site.failing().may_fail.set()
        events.wait(event)
    status = Reply(app).status
    failed = site.bus().runs[f"{kind.__name__}.consumer"].state is RunState.FAILED
    is_ready = site.health().ready().is_ok
    app.exit()

    assert status == "200 OK"
    assert failed == (kind is Tolerant)
    assert not (failed and is_ready)


def test_running_raises_the_error_of_a_run_at_the_end_of_its_block() -> None:
    """The `RunFailed` has the error of the run as its cause."""
    site = Site()
    with RunRecorder(site.attach()) as events, pytest.raises(RunFailed) as failed, running(site):
        site.failing().may_fail.set()
        events.wait(RunGaveUp)

    assert failed.value.path == "Site.consumer"
    assert isinstance(failed.value.__cause__, OSError)
