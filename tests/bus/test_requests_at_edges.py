"""Requests that come at the edge of a transition."""

from __future__ import annotations

import signal
import threading

import pytest

from typedbus import MAIN, Bus, State
from typedbus.events import LIFECYCLE, LifecycleEvent, Moved


def test_a_request_that_comes_when_the_bus_has_started_does_not_undo_the_start() -> None:
    """start() returns, since everything had started; the exit follows it."""
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


def test_an_exit_that_comes_before_a_start_has_begun_leaves_nothing_to_do() -> None:
    """A bus that has exited exits once, also if a start of it is called off before its first listener."""
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


def test_a_subscription_to_main_is_one_like_any_other() -> None:
    """It can be ended by what subscribe returned."""
    bus = Bus()

    with bus[MAIN].subscribe(lambda: None):
        assert len(bus[MAIN].subscriptions) == 1

    assert bus[MAIN].subscriptions == ()


@pytest.mark.parametrize("interval", [0, -1.0])
def test_ticks_need_an_interval(interval: float) -> None:
    """None at all would be a loop that never rests: block refuses it and leaves the bus alone."""
    bus = Bus()

    with pytest.raises(ValueError, match=r"the interval of ticks is (0|-1\.0) s; pass a number greater than 0"):
        bus.block(interval=interval)

    assert bus.state is State.STOPPED


def test_an_interrupt_in_any_moment_of_block_exits_the_bus() -> None:
    """Also between two rounds of its loop: it never leaves a bus behind that is STARTED."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    left: list[State] = []
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
            left.append(bus.state)
    finally:
        signal.signal(signal.SIGINT, before)

    assert set(left) == {State.EXITED}
