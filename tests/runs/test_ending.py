"""How a stop waits for runs, and what happens to runs that do not end."""

import asyncio
import inspect
import threading
from collections.abc import Iterator

import pytest
from tests.doubles import LIMIT, ThreadCall
from tests.runs.shops import Events, Worker

from typedbus import (
    RUN,
    Bus,
    Component,
    Container,
    HookTimeout,
    LoopError,
    Resource,
    Restart,
    RunState,
    Stopping,
    TransitionFailures,
    on,
    running,
)
from typedbus.events import RunBroke, RunReady
from typedbus.testing import FakeClock
from typedbus.types import Inbox


class Consumer(Worker):
    """A component with a run that ends when a test orders it."""

    @on(RUN)
    def consume(self, stopping: Stopping) -> None:
        self.work(stopping)


def test_a_run_that_is_unsubscribed_goes_on_until_the_stop() -> None:
    """The stop ends it, and the next start does not begin it."""
    bus = Bus()
    begun = threading.Event()
    ended: list[bool] = []

    def consume(stopping: Stopping) -> None:
        begun.set()
        stopping.wait()
        ended.append(True)

    with bus[RUN].subscribe(consume):
        bus.start()
    assert begun.wait(LIMIT)
    assert [record.state for record in bus.runs.values()] == [RunState.RUNNING]

    bus.stop()
    assert ended == [True]
    bus.start()
    assert bus.runs == {}
    bus.exit()


def test_a_run_of_a_component_that_is_built_at_its_turn_never_runs_twice() -> None:
    """The stop drops its instance; the run of the next instance waits for the call that was left behind."""
    clock = FakeClock()
    users: list[Consumer] = []

    def connection() -> Iterator[str]:
        yield "connection"

    class User(Consumer):
        def __init__(self, connection: str) -> None:
            super().__init__()
            users.append(self)

    class Shop(Container):
        bus = Component(Bus, clock=clock)
        pool = Resource(connection)
        user = Component(User, pool.provided).within(2.0)

    shop = Shop()
    bus = shop.bus()
    bus.start()
    users[0].until_called()
    stop = ThreadCall(bus.stop)
    clock.advance(2.0)
    assert isinstance(stop.finished().error, TransitionFailures)
    assert {path: record.state for path, record in bus.runs.items()} == {"Shop.user": RunState.STOPPING}
    assert "step = self._steps.get(timeout=LIMIT)" in bus.runs["Shop.user"].stack()

    bus.start()
    assert len(users) == 2
    assert (bus.runs["Shop.user"].state, users[1].calls) == (RunState.WAITING, 0)
    users[0].end()
    users[1].until_called()
    users[1].end()
    bus.exit()


def test_the_argument_of_an_ended_call_cannot_make_the_next_call_ready() -> None:
    """A thread that the ended call has left behind may keep the argument."""
    clock = FakeClock()

    class Shop(Container):
        bus = Component(Bus, clock=clock)
        consumer = Component(Consumer).supervised(Restart(jitter=0))

    with running(Shop) as shop:
        events = Events(shop.bus())
        consumer = shop.consumer()
        consumer.until_called()
        earlier = consumer.stopping
        consumer.fail(OSError())
        events.until(RunBroke)
        clock.advance(0.5)
        consumer.until_called()
        earlier.ready()
        assert not any(isinstance(event, RunReady) for event in events.all)
        consumer.stopping.ready()
        consumer.stopping.ready()
        consumer.end()
    assert events.all.count(RunReady("Shop.consumer")) == 1


def test_a_run_on_a_closed_loop_fails_the_exit_with_a_loop_error() -> None:
    """The error names the run; its task never ends, and the next start does not wait for it."""

    class Feed:
        @on(RUN)
        async def follow(self, stopping: Stopping) -> None:
            await stopping.until_set()

    class Shop(Container):
        bus = Component(Bus)
        feed = Component(Feed)

    shop = Shop()
    bus = shop.bus()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(bus.start_async())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()

    with pytest.raises(TransitionFailures) as failed:
        bus.exit()

    (error,) = failed.value.exceptions
    assert isinstance(error, LoopError)
    assert "Shop.feed has not returned from run" in str(error)
    assert "was closed; exit the bus before its event loop ends" in str(error)
    assert [record.state for record in bus.runs.values()] == [RunState.FAILED]
    bus.start()
    assert [record.state for record in bus.runs.values()] == [RunState.RUNNING]
    bus.exit()


class InterruptingClock(FakeClock):
    """A clock whose next waits are interrupted, as by Ctrl-C."""

    def __init__(self) -> None:
        super().__init__()
        self.interrupts = 0

    def wait(self, inbox: Inbox, seconds: float) -> None:
        if self.interrupts:
            self.interrupts -= 1
            raise KeyboardInterrupt
        super().wait(inbox, seconds)


def test_a_second_interrupt_gives_up_the_runs_that_have_not_ended() -> None:
    """Every run is asked to end, and every component is stopped."""
    clock = InterruptingClock()
    stopped: list[str] = []

    class Stopped(Consumer):
        def stop(self) -> None:
            stopped.append("stop")

    class Shop(Container):
        bus = Component(Bus, clock=clock)
        one = Component(Stopped)
        two = Component(Stopped)

    shop = Shop()
    shop.bus().start()
    for component in (shop.one, shop.two):
        component().until_called()
    clock.interrupts = 2

    with pytest.raises(KeyboardInterrupt) as interrupted:
        shop.bus().stop()

    failures = interrupted.value.__cause__
    while isinstance(failures, KeyboardInterrupt):
        failures = failures.__cause__
    assert isinstance(failures, TransitionFailures)
    assert [type(error) for error in failures.exceptions] == [HookTimeout, HookTimeout]
    assert "and waiting was interrupted again" in str(failures.exceptions[0])
    assert stopped == ["stop", "stop"]
    for component in (shop.one, shop.two):
        assert component().stopping.is_set()
        component().end()
    shop.bus().exit()


def test_a_second_cancellation_gives_up_the_runs_that_have_not_ended() -> None:
    """The stop continues after the first cancellation, and leaves the run behind at the second."""

    class Shop(Container):
        bus = Component(Bus)
        consumer = Component(Consumer).within(600.0)

    shop = Shop()

    async def main() -> None:
        await shop.bus().start_async()
        await asyncio.to_thread(shop.consumer().until_called)
        stop = asyncio.create_task(shop.bus().stop_async())
        await asyncio.to_thread(shop.consumer().stopping.wait)
        stop.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        stop.cancel()
        with pytest.raises(asyncio.CancelledError) as cancelled:
            await stop
        failures = cancelled.value.__cause__
        assert isinstance(failures, TransitionFailures)
        assert isinstance(failures.exceptions[0], HookTimeout)
        shop.consumer().end()
        await shop.bus().exit_async()

    asyncio.run(main())


def test_an_awaited_run_that_is_never_ready_is_reported_with_its_own_stack() -> None:
    """The `HookTimeout` has the stack of the run and the place of its method."""

    class Server:
        @on(RUN, awaited=True, limit=0.5)
        def serve(self, stopping: Stopping) -> None:
            stopping.wait()  # for a client

    def connection() -> Iterator[str]:
        yield "connection"

    class User(Server):
        def __init__(self, connection: str) -> None: ...

    class Shop(Container):
        bus = Component(Bus)
        server = Component(Server)

    class Market(Container):
        bus = Component(Bus)
        pool = Resource(connection)
        server = Component(User, pool.provided)

    for container in (Shop, Market):
        with pytest.raises(TransitionFailures) as failed, running(container):
            pass
        (error,) = failed.value.exceptions
        assert isinstance(error, HookTimeout)
        assert error.path == f"{container.__name__}.server"
        assert error.place == f"{__file__}:{inspect.getsourcelines(Server.serve)[1]}"
        assert "stopping.wait()  # for a client" in error.stack


def test_a_run_ends_while_another_thread_begins_it() -> None:
    """A stop that coincides with the first call asks the run to end."""
    for _ in range(50):
        bus = Bus()
        ended = threading.Event()

        def consume(stopping: Stopping, ended: threading.Event = ended) -> None:
            assert stopping.wait(LIMIT)
            ended.set()

        bus[RUN].subscribe(consume)
        bus.start()
        bus.stop()
        began = [record.attempt for record in bus.runs.values()] == [1]
        assert ended.is_set() is began
        bus.exit()
