"""Restarts: an orderly exit, after which another program replaces the process."""

from __future__ import annotations

import asyncio
import threading

import attrs
import pytest

from typedbus import EXIT, MAIN, START, STOP, Bus, RestartError, StartCancelled, State, StillRunning, TransitionFailures
from typedbus.events import MOVED


@attrs.define(eq=False)
class Replacement:
    """A replacement of the process that records its calls."""

    bus: Bus
    reason: str | None = None
    error: BaseException | None = None
    calls: list[tuple[State, BaseException | None]] = attrs.field(factory=list)

    def problem(self) -> str | None:
        """Return the reason."""
        return self.reason

    def replace(self, failed: BaseException | None, /) -> None:
        """Record the state and the failure."""
        self.calls.append((self.bus.state, failed))
        if self.error is not None:
            raise self.error


@pytest.fixture
def bus() -> Bus:
    """Return a bus that can be restarted."""
    bus = Bus()
    bus.replacement = Replacement(bus)
    return bus


def calls(bus: Bus) -> list[tuple[State, BaseException | None]]:
    """Return the failures that the calls of the replacement got."""
    assert isinstance(bus.replacement, Replacement)
    return bus.replacement.calls


def test_a_restart_exits_in_order_and_then_replaces(bus: Bus) -> None:
    """The replacement is called when the bus has exited, and block returns."""
    heard: list[str] = []
    bus[STOP].subscribe(lambda: heard.append("stop"))
    bus[EXIT].subscribe(lambda: heard.append("exit"))
    bus.start()
    bus.restart()
    assert heard == []

    bus.block()

    assert heard == ["stop", "exit"]
    assert calls(bus) == [(State.EXITED, None)]


def test_an_exit_does_not_restart(bus: Bus) -> None:
    """A restart must be requested."""
    bus.start()
    bus.request_exit()

    bus.block()

    assert calls(bus) == []


def test_a_listener_of_main_may_restart(bus: Bus) -> None:
    """It runs in the thread in block."""
    bus[MAIN].subscribe(bus.restart)
    bus.start()

    bus.block(interval=0.001)

    assert calls(bus) == [(State.EXITED, None)]


def test_a_restart_cancels_a_start(bus: Bus) -> None:
    """The started components are stopped, and block replaces the process."""
    heard: list[str] = []
    bus[START].subscribe(bus.restart)
    bus[START].subscribe(lambda: heard.append("never"))
    with pytest.raises(StartCancelled):
        bus.start()
    assert calls(bus) == []

    bus.block()

    assert calls(bus) == [(State.EXITED, None)]
    assert heard == []


@pytest.mark.parametrize("when", [State.STOPPING, State.STOPPED, State.EXITING, State.EXITED])
def test_a_later_exit_overrides_a_restart(bus: Bus, when: State) -> None:
    """Until the exit has ended."""
    bus[MOVED].subscribe(lambda event: bus.request_exit() if event.after is when else None)
    bus.start()
    bus.restart()

    bus.block()

    assert calls(bus) == []


def test_an_earlier_exit_overrides_a_restart(bus: Bus) -> None:
    """A restart during a requested exit has no effect."""
    bus[STOP].subscribe(bus.restart)
    bus.start()
    bus.request_exit()

    bus.block()

    assert calls(bus) == []


def test_a_direct_exit_overrides_a_restart(bus: Bus) -> None:
    """exit() counts like request_exit()."""
    bus.start()
    bus.restart()
    bus.exit()

    bus.block()

    assert calls(bus) == []


def test_an_awaited_exit_overrides_a_restart(bus: Bus) -> None:
    """As a direct exit does."""
    bus.start()
    bus.restart()

    asyncio.run(bus.exit_async())
    bus.block()

    assert not bus.is_restarting
    assert calls(bus) == []


def test_an_exit_during_the_wait_for_owned_threads_overrides_a_restart(bus: Bus) -> None:
    """The process has not been replaced yet."""

    def ask_late() -> None:
        bus.wait(State.EXITED)
        bus.request_exit()

    thread = threading.Thread(target=ask_late)
    bus.own(thread)
    thread.start()
    bus.start()
    bus.restart()

    bus.block()

    assert calls(bus) == []


@pytest.mark.parametrize("leaving", [SystemExit(3), KeyboardInterrupt()], ids=["sys.exit", "interrupt"])
def test_a_system_exit_during_the_exit_overrides_the_restart(bus: Bus, leaving: BaseException) -> None:
    """sys.exit in a listener of STOP ends the process with its status."""

    def leave() -> None:
        raise leaving

    bus[STOP].subscribe(leave)
    bus.start()
    bus.restart()

    with pytest.raises(type(leaving)):
        bus.block()

    assert calls(bus) == []


def test_the_replacement_gets_the_failure_of_the_exit(bus: Bus) -> None:
    """A failing stop does not prevent the restart."""

    def fail() -> None:
        raise OSError("disk full")

    bus[STOP].subscribe(fail)
    bus.start()
    bus.restart()

    bus.block()

    ((state, failed),) = calls(bus)
    assert state is State.EXITED
    assert isinstance(failed, TransitionFailures)


def test_a_thread_that_does_not_end_is_reported_to_the_replacement(bus: Bus) -> None:
    """The failure includes StillRunning."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait, daemon=True)
    thread.start()
    bus.own(thread)
    bus.start()
    bus.restart()

    bus.block(patience=0.01)

    ((_, failed),) = calls(bus)
    assert isinstance(failed, StillRunning)
    over.set()
    thread.join(10)


def test_the_replacement_gets_several_failures_in_a_group(bus: Bus) -> None:
    """The group is that which block would raise."""

    def fail() -> None:
        raise OSError("disk full")

    bus[STOP].subscribe(fail)
    bus[MAIN].subscribe(bus.restart)
    bus[MAIN].subscribe(fail)
    bus.start()

    bus.block(interval=0.001)

    ((_, failed),) = calls(bus)
    assert isinstance(failed, BaseExceptionGroup)
    assert [type(error).__name__ for error in failed.exceptions] == ["ChannelFailures", "TransitionFailures"]


def test_a_failing_tick_does_not_cancel_a_requested_restart(bus: Bus) -> None:
    """The replacement gets the failure with the others."""
    bus.start()

    @bus[MAIN].subscribe()
    def tick() -> None:
        bus.restart()
        raise OSError("no heat")

    bus.block(interval=0.001)

    ((_, failed),) = calls(bus)
    assert isinstance(failed, ExceptionGroup)
    assert [str(error) for error in failed.exceptions] == ["no heat"]


def test_is_restarting_is_true_until_the_replacement(bus: Bus) -> None:
    """It becomes false if an exit is requested."""
    values: list[bool] = []
    bus.subscribe(EXIT, lambda: values.append(bus.is_restarting))
    bus[MOVED].subscribe(lambda event: values.append(bus.is_restarting) if event.after is State.EXITED else None)
    bus.start()
    values.append(bus.is_restarting)
    bus.restart()
    values.append(bus.is_restarting)
    bus.block()
    values.append(bus.is_restarting)
    assert values == [False, True, True, True, False]

    bus.start()
    bus.restart()
    bus.request_exit()
    bus.block()
    assert values[5:] == [False, False]


def test_a_restart_applies_to_one_run(bus: Bus) -> None:
    """If the process was not replaced, the next exit does not restart."""
    for ask in (bus.restart, bus.request_exit, bus.restart):
        bus.start()
        ask()
        bus.block()

    assert len(calls(bus)) == 2


def test_an_exit_after_the_exit_does_not_affect_the_next_run(bus: Bus) -> None:
    """exit() of a bus that has exited does not override a later restart."""
    bus.start()
    bus.exit()
    bus.exit()
    bus.start()
    bus.restart()

    bus.block()

    assert len(calls(bus)) == 1


def test_a_restart_without_a_thread_in_block_is_cancelled_by_an_exit_and_a_start(bus: Bus) -> None:
    """It belonged to the previous run."""
    bus.start()
    bus.restart()
    bus.exit()
    bus.start()
    bus.request_exit()

    bus.block()

    assert calls(bus) == []


def test_block_raises_the_failure_of_the_replacement(bus: Bus) -> None:
    """Together with earlier failures."""
    assert isinstance(bus.replacement, Replacement)
    bus.replacement.error = RestartError("the system refused")
    bus.start()
    bus.restart()

    with pytest.raises(RestartError, match="this process cannot be restarted: the system refused"):
        bus.block()

    assert len(calls(bus)) == 1


def test_a_restart_without_a_replacement_is_refused() -> None:
    """The bus continues."""
    bus = Bus()
    bus.start()

    with pytest.raises(RestartError) as refused:
        bus.restart()

    assert str(refused.value) == (
        "this process cannot be restarted: bus.replacement is not set; run the container with run(), which sets it"
    )
    assert bus.state is State.STARTED
    assert not bus.is_exit_requested


def test_a_restart_that_the_replacement_refuses_is_refused(bus: Bus) -> None:
    """The error has the reason of the replacement, and the bus continues."""
    assert isinstance(bus.replacement, Replacement)
    bus.replacement.reason = "its directory is gone; put it back"
    bus.start()

    with pytest.raises(RestartError, match="its directory is gone; put it back") as refused:
        bus.restart()

    assert refused.value.reason == "its directory is gone; put it back"
    assert not bus.is_exit_requested


def test_a_restart_of_a_bus_that_has_exited_is_refused(bus: Bus) -> None:
    """The process is replaced at the end of the exit, which is over."""
    bus.start()
    bus.exit()

    with pytest.raises(RestartError, match="the bus has exited already; start the program again"):
        bus.restart()


def test_a_restart_of_a_bus_in_block_in_another_thread_is_refused(bus: Bus) -> None:
    """Processes are replaced in the main thread; the error names the thread in block."""
    ticked = threading.Event()
    bus[MAIN].subscribe(ticked.set)
    bus.start()
    thread = threading.Thread(target=bus.block, name="elsewhere", daemon=True)
    thread.start()
    assert ticked.wait(10)

    with pytest.raises(RestartError, match="the bus blocks in thread 'elsewhere'; call block\\(\\) in the main thread"):
        bus.restart()

    bus.request_exit()
    thread.join(10)
    assert not thread.is_alive()
