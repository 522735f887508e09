"""Requests at the beginning and at the end of a transition."""

from __future__ import annotations

import signal
import threading

import pytest

from typedbus import MAIN, Bus, State
from typedbus.events import LIFECYCLE, LifecycleEvent, Moved


def test_a_request_after_the_last_start_hook_does_not_cancel_the_start() -> None:
    """start() returns, and the exit follows."""
    bus = Bus()
    states: list[State] = []

    @bus[LIFECYCLE].subscribe()
    def leave_at_once(event: LifecycleEvent, /) -> None:
        if isinstance(event, Moved):
            states.append(event.after)
            if event.after is State.STARTED:
                bus.request_exit()

    bus.start()
    bus.block()

    assert states == [
        State.STARTING,
        State.STARTED,
        State.STOPPING,
        State.STOPPED,
        State.EXITING,
        State.EXITED,
    ]


def test_an_exit_before_the_first_start_hook_calls_no_hook_twice() -> None:
    """A bus that has exited exits once, even if a start is cancelled before its first listener."""
    bus = Bus()
    bus.exit()
    exits: list[Moved] = []

    @bus[LIFECYCLE].subscribe()
    def note(event: LifecycleEvent, /) -> None:
        if isinstance(event, Moved) and event.after is State.EXITING:
            exits.append(event)

    bus.exit()
    bus.stop()

    assert exits == []
    assert bus.state is State.EXITED


def test_a_subscription_to_main_can_be_ended() -> None:
    """By the object that subscribe returned."""
    bus = Bus()

    with bus[MAIN].subscribe(lambda: None):
        assert len(bus[MAIN].subscriptions) == 1

    assert bus[MAIN].subscriptions == ()


@pytest.mark.parametrize("interval", [0, -1.0])
def test_an_interval_of_zero_is_refused(interval: float) -> None:
    """It would be a busy loop; the state of the bus does not change."""
    bus = Bus()

    with pytest.raises(ValueError, match=r"the interval of ticks is (0|-1\.0) s; pass a number greater than 0"):
        bus.block(interval=interval)

    assert bus.state is State.STOPPED


def test_an_interrupt_at_any_point_of_block_exits_the_bus() -> None:
    """This includes the points between two rounds of its loop."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    states: list[State] = []
    try:
        for _ in range(40):
            bus, ticked = Bus(), threading.Event()

            def interrupt(ticked: threading.Event = ticked) -> None:
                ticked.wait()
                signal.raise_signal(signal.SIGINT)

            thread = threading.Thread(target=interrupt)
            thread.start()
            bus[MAIN].subscribe(ticked.set)
            bus.start()
            with pytest.raises(KeyboardInterrupt):
                bus.block(interval=0.001)
            thread.join()
            states.append(bus.state)
    finally:
        signal.signal(signal.SIGINT, before)

    assert set(states) == {State.EXITED}
