"""Async checks: the loop that they run on, their limits, and probes on and off that loop."""

from __future__ import annotations

import asyncio
import contextvars
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import pytest

from typedbus import Bus, Component, Container, InvalidContainer, LoopError, State, on, running
from typedbus.plugins.health import ALIVE, READY, Check, Health, Probe

LONG = 60.0


@pytest.fixture
def bus() -> Iterator[Bus]:
    """Yield a bus that is STARTED."""
    bus = Bus()
    bus.start()
    yield bus
    bus.exit()


async def well() -> Check:
    await asyncio.sleep(0)
    return Check(True, "3 connections")


def sync_ill() -> Check:
    return Check(False, "no disk")


def in_loop(health: Health) -> Probe:
    """Probe on an event loop that is not that of the bus."""
    return asyncio.run(health.ready_async())


class Hanging:
    """An async check that hangs until it is cancelled, or longer."""

    def __init__(self, *, ignores: bool = False) -> None:
        self.calls = self.cancellations = 0
        self.ignores = ignores
        self.ended = asyncio.Event()

    async def check(self) -> Check:
        self.calls += 1
        while True:
            try:
                await self.ended.wait()
                return Check(True)
            except asyncio.CancelledError:
                self.cancellations += 1
                if not self.ignores:
                    raise


class Leaping:
    """A clock that stands still until a check was called, and is then ahead by *seconds*."""

    def __init__(self, hanging: Hanging, seconds: float) -> None:
        self.hanging, self.seconds = hanging, seconds

    def __call__(self) -> float:
        return self.seconds * self.hanging.calls


ways = pytest.mark.parametrize("ask", [Health.ready, in_loop])


@ways
def test_async_checks_are_found_by_mark_by_declaration_and_by_subscription(ask: Callable[[Health], Probe]) -> None:
    """They have their names and details, in running order with sync checks."""

    class Database:
        @on(READY)
        async def check(self) -> Check:
            return await well()

    class Bank:
        async def probe(self) -> Check:
            return await well()

    class Site(Container):
        bus = Component(Bus)
        database = Component(Database)
        bank = Component(Bank).on(READY.calls(Bank.probe))
        health = Component(Health, bus.provided, limit=LONG)

    with running(Site()) as site:
        site.bus()[READY].subscribe(well)
        site.bus()[READY].subscribe(sync_ill)

        probe = ask(site.health())

    assert [(one.name, one.is_ok, one.detail) for one in probe.checks] == [
        ("Site.database.check", True, "3 connections"),
        ("Site.bank.probe", True, "3 connections"),
        (f"{__name__}.well", True, "3 connections"),
        (f"{__name__}.sync_ill", False, "no disk"),
    ]


@ways
def test_an_async_check_runs_on_the_bus_s_own_loop(bus: Bus, ask: Callable[[Health], Probe]) -> None:
    """A loop that is created with the first such check, and ends with the exit of the bus."""
    loops: list[asyncio.AbstractEventLoop] = []

    async def note() -> Check:
        loops.append(asyncio.get_running_loop())
        return Check(threading.current_thread().name == "bus event loop")

    bus[READY].subscribe(note)

    assert ask(Health(bus, limit=LONG)).is_ok
    assert ask(Health(bus, limit=LONG)).is_ok
    bus.exit()
    assert (loops[0] is loops[1], loops[0].is_closed()) == (True, True)


def test_sync_checks_need_no_loop(bus: Bus) -> None:
    """No thread but that of the check exists."""
    bus[READY].subscribe(lambda: Check(True, ", ".join(thread.name for thread in threading.enumerate())))

    (checked,) = Health(bus, limit=LONG).ready().checks

    assert "event loop" not in checked.detail


def test_an_async_check_runs_on_the_loop_of_the_caller() -> None:
    """The loop that started the bus is free while a probe is awaited there."""
    loops: list[asyncio.AbstractEventLoop] = []
    may_end = asyncio.Event()

    async def note() -> Check:
        loops.append(asyncio.get_running_loop())
        await may_end.wait()
        return Check(True)

    async def release() -> None:
        may_end.set()

    async def main() -> tuple[Probe, Probe]:
        bus = Bus()
        bus[ALIVE].subscribe(note)
        await bus.start_async()
        health = Health(bus, limit=LONG)
        here, _, elsewhere = await asyncio.gather(health.alive_async(), release(), asyncio.to_thread(health.alive))
        await bus.exit_async()
        assert loops[0] is asyncio.get_running_loop()
        return here, elsewhere

    here, elsewhere = asyncio.run(main())

    assert (here.is_ok, elsewhere.is_ok) == (True, True)


@pytest.mark.parametrize("name", ["alive", "ready"])
def test_a_sync_probe_is_refused_on_the_loop_that_async_checks_need(name: str) -> None:
    """It would never end; the error names the async method. Sync checks alone are called."""

    async def main() -> None:
        bus = Bus()
        bus[ALIVE].subscribe(sync_ill)
        bus[READY].subscribe(sync_ill)
        await bus.start_async()
        health = Health(bus, limit=LONG)
        assert getattr(health, name)().checks[0].detail == "no disk"
        bus[ALIVE].subscribe(well)
        bus[READY].subscribe(well)
        with pytest.raises(LoopError) as refused:
            getattr(health, name)()
        assert str(refused.value) == (
            f"health.{name}(): it would block the event loop of this thread, on which async checks have to run; "
            f"write await health.{name}_async(), or call it in another thread"
        )
        assert len((await getattr(health, f"{name}_async")()).checks) == 2
        await bus.exit_async()

    asyncio.run(main())


@ways
def test_an_async_check_that_overruns_is_cancelled(bus: Bus, ask: Callable[[Health], Probe]) -> None:
    """It is named, other checks are not affected, and the next probe calls it again."""
    hanging = Hanging()
    bus[READY].subscribe(hanging.check)
    bus[READY].subscribe(sync_ill)
    health = Health(bus, limit=0.05, clock=Leaping(hanging, 2.5))

    hung, other = ask(health).checks

    assert (hung.name, hung.is_ok) == (f"{__name__}.Hanging.check", False)
    assert hung.detail == "it was cancelled after 2.50 s; its limit is 0.05 s"
    assert other.name == f"{__name__}.sync_ill"
    ask(health)
    assert hanging.calls == 2


@ways
def test_an_async_check_that_ignores_its_cancellation_is_called_once(bus: Bus, ask: Callable[[Health], Probe]) -> None:
    """It fails every probe until it ends, is cancelled once, and no probe waits for it."""
    hanging = Hanging(ignores=True)
    bus[READY].subscribe(hanging.check)
    # The clock stands still until the check has been called.
    health = Health(bus, limit=0.05, clock=lambda: time.monotonic() if hanging.calls else 0.0)

    first, second = (ask(health).checks[0] for _ in range(2))

    assert (
        first.detail
        == f"it has not returned after {first.seconds:.2f} s; its limit is 0.05 s; it was cancelled, and continues"
    )
    assert second.detail.endswith("; it was cancelled, and continues")

    async def end() -> None:
        hanging.ended.set()

    bus.run_on_loop(end()).result(LONG)
    assert (hanging.calls, hanging.cancellations) == (1, 1)


def test_a_blocked_loop_does_not_block_a_probe(bus: Bus) -> None:
    """The detail shows where the thread of the loop is."""
    released, blocked = threading.Event(), threading.Event()

    async def block_the_loop() -> None:
        blocked.set()
        released.wait()

    bus[READY].subscribe(well)
    blocking = bus.run_on_loop(block_the_loop())
    blocked.wait(LONG)
    try:
        (checked,) = Health(bus, limit=0.01).ready().checks
    finally:
        released.set()
        blocking.result(LONG)

    assert checked.name == f"{__name__}.well"
    assert "event loop'> is blocked, and is at:\n" in checked.detail
    assert "in block_the_loop\n    released.wait()" in checked.detail


def test_a_loop_that_was_closed_does_not_block_a_probe() -> None:
    """The check is not called, and the detail has the remedy."""
    bus = Bus()
    bus[READY].subscribe(well)
    asyncio.run(bus.start_async())

    (checked,) = Health(bus, limit=LONG).ready().checks

    assert checked.detail.startswith("it was not called: <")
    assert checked.detail.endswith("> was closed before the bus had exited; exit the bus before its event loop ends")
    bus.exit()


@ways
def test_a_loop_that_stands_still_does_not_block_a_probe(ask: Callable[[Health], Probe]) -> None:
    """A probe waits no longer than the limit; the check is called again once its loop was closed."""
    bus = Bus()
    hanging = Hanging()
    bus[READY].subscribe(hanging.check)
    health = Health(bus, limit=0.01)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(bus.start_async())

    (standing,) = ask(health).checks
    loop.close()
    (closed,) = ask(health).checks
    bus.exit()
    bus.start()
    hanging.ended.set()
    health.limit = LONG
    (again,) = ask(health).checks
    bus.exit()

    assert standing.detail.endswith("> does not run")
    assert closed.detail.endswith("exit the bus before its event loop ends")
    assert (again.is_ok, hanging.calls) == (True, 1)


class Mute:
    def __repr__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize(
    ("outcome", "detail"),
    [
        (OSError("no heat"), "OSError: no heat"),
        (SystemExit(3), "SystemExit: 3"),
        (
            asyncio.CancelledError(),
            "it ended with CancelledError: other code cancelled its task, or a task or future that it awaited",
        ),
        ("well", "it returned 'well', which is not a Check"),
        (Mute(), "ValueError: no text"),
    ],
    ids=["raises", "exits", "is cancelled", "returns no Check", "returns an object without repr"],
)
def test_an_async_check_that_fails_does_not_affect_other_checks(bus: Bus, outcome: object, detail: str) -> None:
    """The probe has its exception, or its result; the bus stays STARTED."""

    async def fails() -> Any:
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    bus[READY].subscribe(fails)
    bus[READY].subscribe(well)

    failed, other = Health(bus, limit=LONG).ready().checks

    assert (failed.is_ok, failed.detail, other.is_ok, bus.state) == (False, detail, True, State.STARTED)


def test_a_plain_check_that_returns_a_coroutine_has_failed(bus: Bus) -> None:
    """The detail has the remedy, and the coroutine is closed."""

    def forgets() -> Awaitable[Check]:
        return well()

    bus[READY].subscribe(forgets)

    (checked,) = Health(bus, limit=LONG).ready().checks

    assert checked.detail == "it returned a coroutine, which is not awaited: declare the check itself with `async def`"


def test_a_bus_that_cannot_create_its_loop_fails_async_checks_alone() -> None:
    """The detail is the error of the factory."""

    def factory() -> asyncio.AbstractEventLoop:
        raise OSError("no file descriptors")

    bus = Bus()
    bus.loop_factory = factory
    bus.start()
    bus[READY].subscribe(well)
    bus[READY].subscribe(lambda: Check(True))

    failed, other = Health(bus, limit=LONG).ready().checks

    assert ("no file descriptors" in failed.detail, other.is_ok) == (True, True)
    bus.exit()


def test_concurrent_probes_share_an_async_check(bus: Bus) -> None:
    """The check is called once, and sees the context variables of no probe."""
    variable = contextvars.ContextVar("variable", default="")
    values: list[str] = []
    may_end = asyncio.Event()

    async def note() -> Check:
        values.append(variable.get())
        await may_end.wait()
        return Check(True)

    async def release() -> None:
        may_end.set()

    async def ask_twice() -> list[Probe]:
        variable.set("of the probe")
        asking = [asyncio.create_task(health.ready_async()) for _ in range(2)]
        await asyncio.sleep(0)  # each has begun now
        bus.run_on_loop(release())
        return await asyncio.gather(*asking)

    bus[READY].subscribe(note)
    health = Health(bus, limit=LONG)

    first, second = asyncio.run(ask_twice())

    assert first.checks[0] is second.checks[0]
    assert values == [""]


def test_an_exit_of_the_bus_cancels_a_running_check(bus: Bus) -> None:
    """The probe is answered, and the process is not ready."""
    entered = threading.Event()

    async def hangs() -> Check:
        entered.set()
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]  # it never ends

    def exit_it() -> None:
        entered.wait(LONG)
        bus.exit()

    bus[READY].subscribe(hangs)
    exiting = threading.Thread(target=exit_it)
    exiting.start()

    probe = Health(bus, limit=LONG).ready()

    exiting.join()
    assert (probe.is_ok, probe.checks[0].detail[:28]) == (False, "it ended with CancelledError")


def test_asgi_answers_on_the_loop_of_the_bus() -> None:
    """A server that shares the loop with the bus probes async checks."""
    messages: list[dict[str, Any]] = []

    async def receive() -> Mapping[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    async def main() -> None:
        bus = Bus()
        bus[READY].subscribe(well)
        await bus.start_async()
        await Health(bus, limit=LONG).asgi({"type": "http", "method": "GET", "path": "/readyz"}, receive, send)
        await bus.exit_async()

    asyncio.run(main())

    assert messages[0]["status"] == 200
    assert json.loads(messages[1]["body"])["checks"][0]["detail"] == "3 connections"


def test_wsgi_answers_with_async_checks(bus: Bus) -> None:
    """A request in a thread waits for the loop of the bus."""
    bus[READY].subscribe(well)
    statuses: list[str] = []

    def respond(status: str, headers: list[tuple[str, str]], info: object = None) -> Callable[[bytes], object]:
        statuses.append(status)
        return print

    (body,) = Health(bus, limit=LONG).wsgi({"REQUEST_METHOD": "GET", "PATH_INFO": "/readyz"}, respond)

    assert (statuses, json.loads(body)["ok"]) == (["200 OK"], True)


class NeedsAnArgument:
    @on(READY)  # type: ignore[arg-type]  # it is wrong
    async def check(self, least: int) -> Check:
        return Check(least > 0)


class Generates:
    @on(READY)  # type: ignore[arg-type]  # it is wrong
    async def check(self) -> AsyncIterator[Check]:
        yield Check(True)


@pytest.mark.parametrize("cls", [NeedsAnArgument, Generates])
def test_validate_refuses_an_async_check_that_cannot_be_called(cls: type) -> None:
    """As any other listener with another signature."""

    class Site(Container):
        bus = Component(Bus)
        checks = Component(cls)

    with pytest.raises(InvalidContainer) as refused:
        Site().validate()

    assert "check" in str(refused.value.exceptions[0])
