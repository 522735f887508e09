"""Async resources: opened and closed in one task, on the event loop of the bus."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import anyio
import pytest
from tests.doubles import LIMIT, ConstructionRecorder

from typedbus import (
    LOG,
    Bus,
    Component,
    Container,
    HookTimeout,
    InvalidContainer,
    LoopError,
    NotOpen,
    Resource,
    ResourceError,
    State,
    TransitionFailures,
    running,
)
from typedbus.faults import BuildFault


class Connection:
    """What the resources of this module open, with the task and the loop in which it was opened."""

    def __init__(self, notes: list[str], name: str) -> None:
        self.notes = notes
        self.name = name
        self.task = asyncio.current_task()
        self.loop = asyncio.get_running_loop()

    def close(self) -> None:
        assert asyncio.get_running_loop() is self.loop
        self.notes.append(f"close {self.name}")

    async def aclose(self) -> None:
        self.close()


async def generated(notes: list[str], name: str = "resource", *needs: object) -> AsyncIterator[Connection]:
    """Open a connection, and close it in the same task."""
    await asyncio.sleep(0)
    notes.append(f"open {name}")
    connection = Connection(notes, name)
    yield connection
    assert asyncio.current_task() is connection.task
    connection.close()


@contextlib.asynccontextmanager
async def managed(notes: list[str], name: str = "resource") -> AsyncGenerator[Connection, None]:
    """Open a connection, and close it in the same task."""
    async for connection in generated(notes, name):
        yield connection


class Manager:
    """Opens a connection, and closes it in the same task; its sync methods refuse, as those of aiohttp.ClientSession."""

    def __init__(self, notes: list[str], name: str = "resource") -> None:
        self.loop = asyncio.get_running_loop()
        self.notes = notes
        self.name = name

    def __enter__(self) -> None:
        raise TypeError("use async with")

    def __exit__(self, *exception: object) -> None:
        """Never called."""

    async def __aenter__(self) -> Connection:
        self.notes.append(f"open {self.name}")
        self.connection = Connection(self.notes, self.name)
        return self.connection

    async def __aexit__(self, *exception: object) -> None:
        assert exception == (None, None, None)
        assert asyncio.current_task() is self.connection.task
        self.connection.close()


async def connected(notes: list[str], name: str = "resource") -> Connection:
    """Open a connection, which another function closes."""
    notes.append(f"open {name}")
    return Connection(notes, name)


FORMS = pytest.mark.parametrize(
    "declare",
    [
        lambda notes: Resource(generated, notes),
        lambda notes: Resource(managed, notes),
        lambda notes: Resource(Manager, notes),
        lambda notes: Resource(connected, notes).closed_by(Connection.close),
        lambda notes: Resource(connected, notes).closed_by(Connection.aclose),
        lambda notes: Resource(lambda: managed(notes)),
        lambda notes: Resource(lambda: generated(notes)),
        lambda notes: Resource(lambda: connected(notes)).closed_by(Connection.aclose),
    ],
    ids=[
        "generator", "contextmanager", "class", "function", "function and async function",
        "manager without annotation", "generator without annotation", "function without annotation",
    ],
)  # fmt: skip


class One(Container):
    """A container of a bus alone."""

    bus = Component(Bus)


def shop_of(**parts: object) -> Any:
    """Return a container `Shop` with *parts* as its declarations."""
    container_class: Callable[[], One] = type("Shop", (One,), parts)
    return container_class()


def failures_of_start(shop: Any) -> list[Exception]:
    """Start *shop*, which fails, and return the failures; the bus has exited."""
    with pytest.raises(TransitionFailures) as caught, running(shop):
        raise AssertionError
    return list(caught.value.exceptions)


@FORMS
def test_a_resource_is_opened_and_closed_on_the_loop_of_the_bus(declare: Callable[[list[str]], object]) -> None:
    """Its users are built in between."""
    notes: list[str] = []
    resource: Any = declare(notes)
    shop = shop_of(resource=resource, user=Component(ConstructionRecorder, notes, "user", resource.provided))

    with running(shop):
        assert type(shop.resource()) is Connection
        assert notes == ["open resource", "build user", "start user"]
        shop.bus().stop()
        assert notes[3:] == ["stop user", "exit user", "close resource"]
        with pytest.raises(NotOpen):
            shop.resource()
        shop.bus().start()
        assert notes[6:] == ["open resource", "build user", "start user"]


@FORMS
def test_with_async_with_it_is_opened_on_the_loop_of_the_caller(declare: Callable[[list[str]], object]) -> None:
    """As async hooks run there."""
    notes: list[str] = []
    resource: Any = declare(notes)
    shop = shop_of(resource=resource)

    async def main() -> None:
        async with running(shop):
            assert shop.resource().loop is asyncio.get_running_loop()

    if resource.form.is_async:
        asyncio.run(main())
        assert notes == ["open resource", "close resource"]


def test_a_sync_start_in_a_coroutine_is_refused() -> None:
    """It would block the loop on which the resource must be opened."""

    async def main() -> None:
        with running(shop_of(resource=Resource(generated, []))):
            raise AssertionError

    with pytest.raises(LoopError, match="async with running"):
        asyncio.run(main())


def test_context_variables_are_reset_where_they_were_set() -> None:
    """Both happen in one task."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    values: list[str] = []

    async def setting() -> AsyncIterator[None]:
        token = variable.set("set")
        yield
        values.append(variable.get())
        variable.reset(token)
        values.append(variable.get())

    with running(shop_of(resource=Resource(setting))):
        pass

    assert values == ["set", "unset"]


def test_a_task_group_of_anyio_lives_as_long_as_the_resource() -> None:
    """Its cancel scope is left in the task that entered it."""
    notes: list[str] = []

    @contextlib.asynccontextmanager
    async def group() -> AsyncGenerator[anyio.abc.TaskGroup, None]:
        async with anyio.create_task_group() as tasks:
            yield tasks
            tasks.cancel_scope.cancel()

    async def work(started: asyncio.Event) -> None:
        notes.append("work")
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            notes.append("cancelled")

    async def main() -> None:
        async with running(shop_of(tasks=Resource(group))) as shop:
            started = asyncio.Event()
            shop.tasks().start_soon(work, started)
            await started.wait()

    asyncio.run(main())

    assert notes == ["work", "cancelled"]


def test_the_failure_of_a_task_group_requests_the_exit_of_the_bus() -> None:
    """It is the cause of the exit, and not a failure of the stop as well."""
    failed = asyncio.Event()

    @contextlib.asynccontextmanager
    async def group() -> AsyncGenerator[asyncio.TaskGroup, None]:
        async with asyncio.TaskGroup() as tasks:
            yield tasks

    async def fail() -> None:
        failed.set()
        raise OSError("connection lost")

    async def main() -> None:
        async with running(shop_of(tasks=Resource(group))) as shop:
            shop.tasks().create_task(fail())
            await asyncio.wait_for(shop.bus().block_async(), LIMIT)

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(main())

    assert failed.is_set()
    assert caught.group_contains(OSError, match="connection lost")
    assert not caught.group_contains(TransitionFailures)


def test_a_resource_whose_task_ends_without_a_failure_requests_the_exit() -> None:
    """Nothing is open after that."""

    async def scoped() -> AsyncIterator[anyio.CancelScope]:
        with anyio.CancelScope() as scope:
            yield scope

    async def main() -> None:
        async with running(shop_of(resource=Resource(scoped))) as shop:
            shop.resource().cancel()
            await asyncio.wait_for(shop.bus().block_async(), LIMIT)

    with pytest.raises(ResourceError, match=r"Shop\.resource .*it was closed before the stop"):
        asyncio.run(main())


def test_a_failure_while_it_is_opened_is_the_failure_of_the_start() -> None:
    """The resources that are open are closed in the reverse order."""
    notes: list[str] = []

    async def failing(first: Connection) -> AsyncIterator[Connection]:
        if first.name:
            raise OSError("no network")
        yield first

    first = Resource(generated, notes, "first")
    shop = shop_of(first=first, failing=Resource(failing, first.provided))

    (error,) = failures_of_start(shop)

    assert str(error) == "no network"
    place = shop.failing.place
    assert error.__notes__ == [
        f"raised while Shop.failing was opened ({place})",
        "raised by Shop.failing.open on channel 'start'",
    ]
    assert notes == ["open first", "close first"]


def test_a_failure_while_it_is_closed_is_a_failure_of_the_stop() -> None:
    """The other resources are closed."""
    notes: list[str] = []

    async def failing(first: Connection) -> AsyncIterator[Connection]:
        yield first
        raise OSError("no close")

    first = Resource(generated, notes, "first")
    shop = shop_of(first=first, failing=Resource(failing, first.provided))
    bus = shop.attach()
    bus.start()
    with pytest.raises(TransitionFailures) as caught:
        bus.exit()

    (failure,) = caught.value.failures
    assert (failure.name, failure.channel, str(failure.error)) == ("Shop.failing.close", "stop", "no close")
    assert notes == ["open first", "close first"]


def test_an_async_generator_must_yield_once() -> None:
    """The error names the resource and its place."""

    async def never() -> AsyncIterator[None]:
        if notes is None:
            yield

    notes: list[str] | None = []

    async def twice() -> AsyncIterator[None]:
        yield
        yield

    (error,) = failures_of_start(shop_of(resource=Resource(never)))
    assert isinstance(error, ResourceError)
    assert "ends without a yield" in error.reason

    shop = shop_of(resource=Resource(twice))
    bus = shop.attach()
    bus.start()
    with pytest.raises(TransitionFailures) as caught:
        bus.exit()
    (error,) = caught.value.exceptions
    assert isinstance(error, ResourceError)
    assert "it yields twice" in error.reason


def test_the_end_of_the_interpreter_is_requested_by_a_resource() -> None:
    """`SystemExit` ends the start, and not the event loop of the caller."""

    async def leaving() -> AsyncIterator[None]:
        if notes is not None:
            raise SystemExit(3)
        yield

    notes: list[str] | None = []

    async def main() -> str:
        with pytest.raises(SystemExit):
            async with running(shop_of(resource=Resource(leaving))):
                raise AssertionError
        return "the loop runs"

    assert asyncio.run(main()) == "the loop runs"


def test_a_function_that_only_opens_needs_a_function_that_closes() -> None:
    """`validate()` reports it."""
    with pytest.raises(InvalidContainer) as caught:
        shop_of(resource=Resource(connected, [])).validate()

    (fault,) = caught.value.exceptions
    assert isinstance(fault, BuildFault)
    assert "connected is async and only opens" in fault.problem
    assert "closed_by" in fault.remedy


def test_a_result_that_only_opens_needs_a_function_that_closes() -> None:
    """If only the result of the function shows that it is a coroutine."""
    (error,) = failures_of_start(shop_of(resource=Resource(lambda: connected([]))))
    assert isinstance(error, ResourceError)
    assert "add closed_by(...)" in error.reason

    declared: Any = Resource(lambda: generated([]))
    (error,) = failures_of_start(shop_of(resource=declared.closed_by(print)))
    assert isinstance(error, ResourceError)
    assert "closes its object itself" in error.reason


@pytest.mark.slow
def test_a_resource_that_overruns_while_it_is_opened_is_cancelled() -> None:
    """Nothing is left to close."""
    notes: list[str] = []

    async def late() -> AsyncIterator[None]:
        try:
            await asyncio.sleep(LIMIT)
        except asyncio.CancelledError:
            notes.append("cancelled")
            raise
        yield

    (error,) = failures_of_start(shop_of(resource=Resource(late).within(0.5)))

    assert isinstance(error, HookTimeout)
    assert (error.path, error.outcome) == ("Shop.resource", "cancelled")
    assert notes == ["cancelled"]


@pytest.mark.slow
def test_a_resource_that_is_opened_in_spite_of_its_cancellation_is_closed_at_once() -> None:
    """The log has a line about it."""
    notes: list[str] = []
    messages: list[str] = []
    closed = threading.Event()

    async def stubborn() -> AsyncIterator[None]:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(LIMIT)
        notes.append("open")
        yield
        notes.append("close")
        closed.set()

    bus = shop_of(resource=Resource(stubborn).within(0.5)).attach()
    bus[LOG].subscribe(lambda message, level: messages.append(message))

    with pytest.raises(TransitionFailures) as caught:
        bus.start()

    (error,) = caught.value.exceptions
    assert isinstance(error, HookTimeout)
    assert closed.wait(LIMIT)
    # An exit would not wait for the resource, and would end its event loop.
    bus.exit()
    assert notes == ["open", "close"]
    assert any("Shop.resource.close" in message for message in messages)


@pytest.mark.slow
def test_a_resource_that_is_opened_when_its_opening_is_cancelled_is_closed_without_an_exception() -> None:
    """The cancellation arrives after the resource was opened, and before the start continues."""
    notes: list[str] = []

    async def connection() -> AsyncIterator[str]:
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            # Called when the resource has been opened: this step of its task goes on until then.
            asyncio.get_running_loop().call_soon(task.cancel)
        try:
            yield "connection"
        except BaseException as error:
            notes.append(repr(error))
            raise
        notes.append("closed")

    class Shop(Container):
        bus = Component(Bus)
        resource = Resource(connection)

    with running(Shop) as shop:
        assert shop.resource() == "connection"
        assert notes == []

    assert notes == ["closed"]


def test_a_resource_that_overruns_while_it_is_closed_is_cancelled() -> None:
    """The other resources are closed."""
    notes: list[str] = []

    async def slow(first: Connection) -> AsyncIterator[None]:
        yield
        try:
            await asyncio.sleep(LIMIT)
        finally:
            notes.append("cancelled")

    first = Resource(generated, notes, "first")
    shop = shop_of(first=first, slow=Resource(slow, first.provided).within(0.5))
    bus = shop.attach()
    bus.start()
    with pytest.raises(TransitionFailures) as caught:
        bus.exit()

    (error,) = caught.value.exceptions
    assert isinstance(error, HookTimeout)
    assert (error.path, error.hook) == ("Shop.slow", "stop")
    assert notes == ["open first", "cancelled", "close first"]


def test_resources_that_do_not_need_each_other_are_opened_side_by_side() -> None:
    """On one loop, with several workers."""
    waiting: list[asyncio.Event] = []

    async def meeting() -> AsyncIterator[None]:
        own = asyncio.Event()
        waiting.append(own)
        if len(waiting) == 8:
            for event in waiting:
                event.set()
        await asyncio.wait_for(own.wait(), LIMIT)
        yield

    with running(shop_of(**{f"r{number}": Resource(meeting) for number in range(8)}), workers=8) as shop:
        assert shop.bus().state is State.STARTED


def test_a_cancelled_start_cancels_the_opening() -> None:
    """The caller gets its own `CancelledError`, and what was open is closed."""
    notes: list[str] = []
    reached = asyncio.Event()

    async def waiting(first: Connection) -> AsyncIterator[None]:
        reached.set()
        await asyncio.sleep(LIMIT)
        yield

    first = Resource(generated, notes, "first")
    shop = shop_of(first=first, second=Resource(waiting, first.provided))

    async def run() -> None:
        async with running(shop):
            raise AssertionError

    async def main() -> None:
        task = asyncio.create_task(run())
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())

    assert notes == ["open first", "close first"]


def test_an_exit_may_be_requested_while_a_resource_is_closed() -> None:
    """The stop that closes it does not wait for itself."""

    async def stopping(bus: Bus) -> AsyncIterator[None]:
        yield
        await asyncio.wait_for(bus.exit_async(), LIMIT)

    with running(shop_of(resource=Resource(stopping, One.bus.provided))) as shop:
        bus = shop.bus()
    assert bus.state is State.EXITED


def test_sync_and_async_resources_need_each_other() -> None:
    """Each is opened after what it needs, in threads and on the loop."""
    notes: list[str] = []

    def threaded(name: str, *needs: object) -> Iterator[str]:
        notes.append(f"open {name}")
        yield threading.current_thread().name
        notes.append(f"close {name}")

    first = Resource(threaded, "first")
    second = Resource(generated, notes, "second", first.provided)
    third = Resource(threaded, "third", second.provided)

    with running(shop_of(third=third, second=second, first=first)):
        assert notes == ["open first", "open second", "open third"]
    assert notes[3:] == ["close third", "close second", "close first"]


def test_a_hook_of_a_subclass_may_be_async() -> None:
    """Also if the annotation names a class whose hook is not."""
    notes: list[str] = []

    class Plain:
        def start(self) -> Awaitable[None] | None:
            notes.append("plain")
            return None

    class Special(Plain):
        async def start(self) -> None:
            await asyncio.sleep(0)
            notes.append("special")

    def make(first: Connection) -> Plain:
        return Special()

    first = Resource(generated, notes, "first")
    with running(shop_of(first=first, part=Component(make, first.provided))):
        assert notes == ["open first", "special"]
