"""Invalid runs and policies; a marked line is an error for both checkers."""

from typing import assert_never

from typedbus import RUN, RUNS, START, AsyncChannel, Bus, Channel, Component, Listeners, Restart, Stopping, on
from typedbus.events import RunBegan, RunBroke, RunEnded, RunEvent, RunReady

order_placed = Channel[[int], None]("order_placed")
order_stored = AsyncChannel[[int], None]("order_stored")
listeners = Listeners()


class Consumer:
    @on(RUN)  # E
    def takes_no_argument(self) -> None: ...

    @on(RUN)  # E
    def takes_another_argument(self, stopping: str) -> None: ...

    @on(RUN)  # E
    def takes_two_arguments(self, stopping: Stopping, broker: str) -> None: ...

    @on(RUN)  # E
    def returns_a_result(self, stopping: Stopping) -> int:
        return 1

    @on(RUN)  # E
    async def is_async_without_an_argument(self) -> None: ...

    @on(RUN)
    def consume(self, stopping: Stopping) -> None: ...


def policies_are_for_runs() -> None:
    on(START, awaited=True)  # E
    on(order_placed, restart=Restart())  # E
    on(order_stored, restart=Restart())  # E
    on(RUN, restart="always")  # E
    on(RUN, awaited="yes")  # E
    listeners.on(RUN, awaited=True)  # E


def wrong_policies() -> None:
    Restart("sometimes")  # E
    Restart(then="restart")  # E
    Restart(takes="siblings")  # E
    Restart(most="5")  # E
    Restart(fatal=OSError)  # E
    Restart(fatal=(KeyboardInterrupt,))  # E
    Restart(attempts=5)  # E
    Component(Consumer).supervised("always")  # E
    Component(Consumer).supervised()  # E
    Restart().most = 3  # E


def wrong_uses_of_stopping(stopping: Stopping) -> None:
    stopping.wait("1")  # E
    stopping.is_ready = True  # E
    stopping.ready(True)  # E


def records_are_read_only(bus: Bus) -> None:
    bus.runs["Shop.consumer"].attempt = 1  # E
    bus.runs = {}  # E


def wrong_listeners(bus: Bus, consumer: Consumer) -> None:
    bus[RUN].subscribe(consumer.consume)
    bus[RUN].subscribe(bus.run_on_loop)  # E
    bus[RUNS].subscribe(consumer.consume)  # E


def an_event_is_forgotten(event: RunEvent) -> None:
    match event:
        case RunBegan() | RunReady() | RunEnded() | RunBroke():
            pass
        case _:
            assert_never(event)  # E
