"""Requests to the thread in `block`: their order, their failures, and requests that are not executed."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable

import pytest

from typedbus import (
    EXIT,
    GRACEFUL,
    LOG,
    START,
    STOP,
    Bus,
    ChannelFailures,
    Component,
    Container,
    StartCancelled,
    State,
    running,
)
from typedbus.events import MOVED, Moved

PATIENCE = 10


def serving(bus: Bus) -> threading.Thread:
    """Let a thread block on *bus*."""
    thread = threading.Thread(target=bus.block, daemon=True)
    thread.start()
    return thread


def logged(bus: Bus) -> list[tuple[str, int]]:
    """Return a list of the messages on `LOG` from now on."""
    lines: list[tuple[str, int]] = []
    bus[LOG].subscribe(lambda message, level: lines.append((message, level)))
    return lines


def test_an_action_is_called_by_the_thread_in_block() -> None:
    """A request returns at once; requests are executed in order."""
    bus = Bus()
    bus.start()
    thread = serving(bus)
    calls: list[tuple[int, threading.Thread]] = []
    over = threading.Event()

    for number in range(100):
        bus.request(lambda number=number: calls.append((number, threading.current_thread())))  # type: ignore[misc]  # its number
    bus.request(over.set)

    assert over.wait(PATIENCE)
    assert calls == [(number, thread) for number in range(100)]
    bus.request_exit()
    thread.join(PATIENCE)


def test_an_action_waits_for_a_thread_in_block() -> None:
    """A request before block is executed by it."""
    bus = Bus()
    calls: list[State] = []
    bus.request(lambda: calls.append(bus.state))
    bus.request(bus.request_exit)
    bus.start()
    assert calls == []

    bus.block()

    assert calls == [State.STARTED]


def test_an_action_that_raises_is_logged_and_the_bus_continues() -> None:
    """The log has the action's name and the traceback at the level ERROR; the next action is called."""
    bus = Bus()
    lines = logged(bus)
    bus.start()

    def fail() -> None:
        raise OSError("disk full")

    bus.request(fail)
    bus.request(bus.request_exit)
    bus.block()

    ((message, level),) = lines
    first, *_, last = message.splitlines()
    assert first.endswith(
        "test_an_action_that_raises_is_logged_and_the_bus_continues.<locals>.fail, which was requested, failed:"
    )
    assert last == "OSError: disk full"
    assert "in fail" in message
    assert level == 40


def test_sys_exit_in_an_action_exits_the_bus() -> None:
    """block raises it after an orderly exit; the actions behind it are called before."""
    bus = Bus()
    calls: list[str] = []
    bus[EXIT].subscribe(lambda: calls.append("exit"))
    bus.start()
    bus.request(lambda: sys.exit(3))
    bus.request(lambda: calls.append("action"))

    with pytest.raises(SystemExit) as raised:
        bus.block()

    assert raised.value.code == 3
    assert calls == ["action", "exit"]


def test_actions_requested_before_an_exit_are_called_before_it() -> None:
    """Actions and exits are executed in the order of the requests."""
    bus = Bus()
    calls: list[str] = []
    bus[STOP].subscribe(lambda: calls.append("stop"))
    bus.start()
    bus.request(lambda: calls.append("action"))
    bus.request_exit()

    bus.block()

    assert calls == ["action", "stop"]


def test_actions_that_request_actions_do_not_delay_an_exit() -> None:
    """Actions that were requested before the exit are called; later ones are named in a warning."""
    bus = Bus()
    lines = logged(bus)
    calls: list[int] = []

    def again() -> None:
        calls.append(len(calls))
        bus.request(again)
        if len(calls) == 3:
            bus.request_exit()

    bus.start()
    bus.request(again)
    bus.block()

    assert calls == [0, 1, 2, 3]
    assert [message.partition("<locals>.")[2] for message, _ in lines] == [
        "again was requested and is not called: the bus has exited"
    ]
    assert lines[0][1] == 30


def test_an_action_is_not_called_in_the_next_run() -> None:
    """A request after the exit is dropped."""
    bus = Bus()
    calls: list[str] = []
    bus[EXIT].subscribe(lambda: bus.request(lambda: calls.append("late")))
    bus.start()
    bus.request_exit()
    bus.block()

    bus.start()
    bus.request_exit()
    bus.block()

    assert calls == []


@pytest.mark.parametrize("when", ["before the exit", "in an exit hook", "when it has exited"])
def test_an_action_that_was_not_called_is_named_at_the_exit(when: str) -> None:
    """In one warning; it is not called in the next run."""
    bus = Bus()
    lines: list[tuple[str, int]] = []
    calls: list[str] = []

    def again() -> None:
        calls.append("again")

    if when == "in an exit hook":
        bus[EXIT].subscribe(lambda: bus.request(again))
    bus.start()
    bus[LOG].subscribe(lambda text, level, /: lines.append((text.rpartition(".")[2], level)))
    if when == "before the exit":
        bus.request(again)
    bus.exit()
    if when == "when it has exited":
        bus.request(again)
    named = list(lines)
    bus.start()
    bus.request_exit()
    bus.block()

    assert named == [("again was requested and is not called: the bus has exited", 30)]
    assert calls == []


def test_an_action_that_was_not_called_is_named_before_the_log_ends() -> None:
    """Before the bus has EXITED, while logging components listen."""
    bus = Bus()
    states: list[State] = []
    bus[LOG].subscribe(lambda text, level, /: states.append(bus.state))
    bus.start()
    bus.request(bus.graceful)

    bus.exit()

    assert states == [State.EXITING]


def test_an_action_waits_for_the_first_start() -> None:
    """The bus keeps it until then, through a stop as well."""
    bus = Bus()
    calls: list[State] = []
    bus.request(lambda: calls.append(bus.state))
    bus.start()
    bus.stop()
    bus.start()
    bus.request_exit()

    bus.block()

    assert calls == [State.STARTED]


def test_an_action_that_is_not_callable_is_refused() -> None:
    """A wrong request raises in the requesting thread, not in the thread in block."""
    with pytest.raises(TypeError, match="3 is not callable; pass a function that can be called without arguments"):
        Bus().request(3)  # type: ignore[arg-type]  # the mistake


def test_a_signal_handler_may_request_an_action() -> None:
    """A handler that interrupts the thread in block wakes it."""
    bus = Bus()
    calls: list[str] = []
    bus[MOVED].subscribe(raise_signal_when_started)

    def handle(number: int, frame: object) -> None:
        bus.request(lambda: calls.append("handled"))
        bus.request(bus.request_exit)

    before = signal.signal(signal.SIGUSR2, handle)
    try:
        bus.start()
        bus.block()
    finally:
        signal.signal(signal.SIGUSR2, before)

    assert calls == ["handled"]


def raise_signal_when_started(event: Moved, /) -> None:
    """Let a signal come as the bus has started."""
    if event.after is State.STARTED:
        signal.raise_signal(signal.SIGUSR2)


def test_an_action_may_stop_and_start_the_bus() -> None:
    """It runs outside of a transition."""
    bus = Bus()
    states: list[State] = []
    bus[MOVED].subscribe(lambda event: states.append(event.after))
    bus.request(bus.stop)
    bus.request(bus.start)
    bus.request(bus.request_exit)

    bus.start()
    bus.block()

    assert states[:6] == [State.STARTING, State.STARTED, State.STOPPING, State.STOPPED, State.STARTING, State.STARTED]
    assert states[-1] is State.EXITED


class Part:
    """Records the call of graceful, and may fail."""

    def __init__(self, name: str, notes: list[str], fails: bool, *needs: object) -> None:
        self.name, self.notes, self.fails = name, notes, fails

    def start(self) -> None:
        """Record the call."""
        self.notes.append(f"start {self.name}")

    def graceful(self) -> None:
        """Record the call, and fail if the part is declared to fail."""
        self.notes.append(f"graceful {self.name}")
        if self.fails:
            raise ValueError(self.name)


def test_graceful_follows_the_start_order_whatever_the_priorities() -> None:
    """A component is called after its dependencies; its priority counts only where the graph permits."""
    notes: list[str] = []

    class Shop(Container):
        bus = Component(Bus)
        database = Component(Part, "database", notes, False).on(START.calls(Part.start, priority=60))
        free = Component(Part, "free", notes, False).on(START.calls(Part.start, priority=10))
        orders = Component(Part, "orders", notes, False, database.provided).on(START.calls(Part.start, priority=5))

    with running(Shop()) as shop:
        began = [note.split()[1] for note in notes]
        notes.clear()
        shop.bus().graceful()

        assert [note.split()[1] for note in notes] == began
        assert began == ["free", "database", "orders"]


def test_graceful_calls_every_listener_and_raises_all_failures_together() -> None:
    """A listener that fails does not keep later listeners from being called."""
    notes: list[str] = []

    class Shop(Container):
        bus = Component(Bus)
        first = Component(Part, "first", notes, True)
        second = Component(Part, "second", notes, False, first.provided)
        third = Component(Part, "third", notes, True, second.provided)

    with running(Shop()) as shop:
        with pytest.raises(ChannelFailures) as failed:
            shop.bus().graceful()

        assert [note for note in notes if note.startswith("graceful")] == [
            "graceful first",
            "graceful second",
            "graceful third",
        ]
        assert [str(error) for error in failed.value.exceptions] == ["first", "third"]


@pytest.mark.parametrize("ask", [Bus.graceful, lambda bus: bus.publish(GRACEFUL)], ids=["graceful", "publish"])
def test_a_requested_graceful_that_fails_is_logged(ask: Callable[[Bus], object]) -> None:
    """Failures of a requested graceful are logged, and do not end the bus."""
    bus = Bus()
    lines = logged(bus)

    @bus[GRACEFUL].subscribe()
    def fail() -> None:
        raise OSError("no settings")

    bus.start()
    bus.request(lambda: ask(bus))
    bus.request(bus.request_exit)
    bus.block()

    assert [level for _, level in lines] == [40]
    assert "OSError: no settings" in lines[0][0]


def test_a_request_during_a_cancelled_start_is_not_carried_out_after_the_exit() -> None:
    """No graceful listener is called after the exit, even if another exit is requested."""
    bus = Bus()
    lines = logged(bus)
    calls: list[str] = []

    @bus[STOP].subscribe()
    def ask() -> None:
        bus.request(lambda: calls.append("late"))

    bus[START].subscribe(bus.request_exit)
    with pytest.raises(StartCancelled):
        bus.start()
    bus.request_exit()

    bus.block()

    assert calls == []
    assert len(lines) == 1
