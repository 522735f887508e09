"""Restarts: an exit in order, after which something else takes the place of the process."""

from __future__ import annotations

import threading

import attrs
import pytest

from typedbus import EXIT, MAIN, START, STOP, Bus, RestartError, StartCancelled, State, StillRunning, TransitionFailures
from typedbus.events import MOVED


@attrs.define(eq=False)
class Noted:
    """Takes the place of the process by noting that it was asked to."""

    bus: Bus
    reason: str | None = None
    error: BaseException | None = None
    calls: list[tuple[State, BaseException | None]] = attrs.field(factory=list)

    def problem(self) -> str | None:
        """Return the reason."""
        return self.reason

    def replace(self, failed: BaseException | None, /) -> None:
        """Note the state and what failed."""
        self.calls.append((self.bus.state, failed))
        if self.error is not None:
            raise self.error


@pytest.fixture
def bus() -> Bus:
    """Return a bus that can be restarted."""
    made = Bus()
    made.replacement = Noted(made)
    return made


def calls(bus: Bus) -> list[tuple[State, BaseException | None]]:
    """Return how often the process was replaced, and after which failure."""
    assert isinstance(bus.replacement, Noted)
    return bus.replacement.calls


def test_a_restart_exits_in_order_and_then_replaces(bus: Bus) -> None:
    """Everything has ended when something else takes the process's place, and block returns."""
    heard: list[str] = []
    bus[STOP].subscribe(lambda: heard.append("stop"))
    bus[EXIT].subscribe(lambda: heard.append("exit"))
    bus.start()
    bus.restart()
    assert heard == []

    bus.block()

    assert heard == ["stop", "exit"]
    assert calls(bus) == [(State.EXITED, None)]


def test_an_exit_is_no_restart(bus: Bus) -> None:
    """A restart must be requested."""
    bus.start()
    bus.request_exit()

    bus.block()

    assert calls(bus) == []


def test_a_tick_may_restart(bus: Bus) -> None:
    """A listener in the very thread that blocks asks like anybody else."""
    bus[MAIN].subscribe(bus.restart)
    bus.start()

    bus.block(interval=0.001)

    assert calls(bus) == [(State.EXITED, None)]


def test_a_restart_breaks_a_start_off(bus: Bus) -> None:
    """Nothing more is started, what had started is stopped, and block replaces the process."""
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
def test_an_exit_that_comes_later_wins(bus: Bus, when: State) -> None:
    """An exit overrides an earlier request for a restart until the exit has ended."""
    bus[MOVED].subscribe(lambda event: bus.request_exit() if event.after is when else None)
    bus.start()
    bus.restart()

    bus.block()

    assert calls(bus) == []


def test_an_exit_that_came_before_wins(bus: Bus) -> None:
    """A restart that is requested during a requested exit changes nothing."""
    bus[STOP].subscribe(bus.restart)
    bus.start()
    bus.request_exit()

    bus.block()

    assert calls(bus) == []


def test_an_exit_that_is_called_wins(bus: Bus) -> None:
    """exit() is as plain a wish as request_exit()."""
    bus.start()
    bus.restart()
    bus.exit()

    bus.block()

    assert calls(bus) == []


def test_a_request_while_owned_threads_are_waited_for_wins(bus: Bus) -> None:
    """The exit is over, the process is not replaced yet: there is time."""

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


def test_what_failed_on_the_way_is_handed_over(bus: Bus) -> None:
    """A failing stop does not prevent the restart, and its error is kept."""

    def fail() -> None:
        raise OSError("disk full")

    bus[STOP].subscribe(fail)
    bus.start()
    bus.restart()

    bus.block()

    ((state, failed),) = calls(bus)
    assert state is State.EXITED
    assert isinstance(failed, TransitionFailures)


def test_a_thread_that_does_not_end_is_reported_and_left_behind(bus: Bus) -> None:
    """After its patience block hands over StillRunning as well."""
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


def test_several_problems_are_handed_over_together(bus: Bus) -> None:
    """As block would raise them."""

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


def test_a_failing_tick_after_a_restart_was_asked_for_does_not_undo_it(bus: Bus) -> None:
    """A failure is no wish to end: it is handed over with the rest."""
    bus.start()

    @bus[MAIN].subscribe()
    def tick() -> None:
        bus.restart()
        raise OSError("no heat")

    bus.block(interval=0.001)

    ((_, failed),) = calls(bus)
    assert isinstance(failed, ExceptionGroup)
    assert [str(error) for error in failed.exceptions] == ["no heat"]


def test_the_bus_says_whether_it_restarts(bus: Bus) -> None:
    """True from the request to the replacement, unless an exit is requested."""
    noted: list[bool] = []
    bus.subscribe(EXIT, lambda: noted.append(bus.is_restarting))
    bus[MOVED].subscribe(lambda event: noted.append(bus.is_restarting) if event.after is State.EXITED else None)
    bus.start()
    noted.append(bus.is_restarting)
    bus.restart()
    noted.append(bus.is_restarting)
    bus.block()
    noted.append(bus.is_restarting)
    assert noted == [False, True, True, True, False]

    bus.start()
    bus.restart()
    bus.request_exit()
    bus.block()
    assert noted[5:] == [False, False]


def test_a_restart_is_for_one_life(bus: Bus) -> None:
    """A bus that goes on after it, since its process was not replaced, exits plainly the next time."""
    for ask in (bus.restart, bus.request_exit, bus.restart):
        bus.start()
        ask()
        bus.block()

    assert len(calls(bus)) == 2


def test_a_late_exit_of_one_life_does_not_reach_the_next(bus: Bus) -> None:
    """exit() of a bus that has exited says nothing of its next life."""
    bus.start()
    bus.exit()
    bus.exit()
    bus.start()
    bus.restart()

    bus.block()

    assert len(calls(bus)) == 1


def test_a_restart_without_a_thread_in_block_is_cancelled_by_an_exit_and_a_start(bus: Bus) -> None:
    """It belonged to the life that is over."""
    bus.start()
    bus.restart()
    bus.exit()
    bus.start()
    bus.request_exit()

    bus.block()

    assert calls(bus) == []


def test_what_the_replacement_raises_is_raised_by_block(bus: Bus) -> None:
    """The process is still there, and so is what went wrong."""
    assert isinstance(bus.replacement, Noted)
    bus.replacement.error = RestartError("the system refused")
    bus.start()
    bus.restart()

    with pytest.raises(RestartError, match="this process cannot be restarted: the system refused"):
        bus.block()

    assert len(calls(bus)) == 1


def test_a_bus_without_a_replacement_refuses_at_once() -> None:
    """Without run() and without another replacement restart raises, and the bus goes on."""
    bus = Bus()
    bus.start()

    with pytest.raises(RestartError) as refused:
        bus.restart()

    assert str(refused.value) == (
        "this process cannot be restarted: bus.replacement is not set; run the container with run(), which sets it"
    )
    assert bus.state is State.STARTED
    assert not bus.is_exit_requested


def test_what_cannot_be_replaced_now_refuses_at_once(bus: Bus) -> None:
    """The reason of the replacement is the reason of the error, and the bus goes on."""
    assert isinstance(bus.replacement, Noted)
    bus.replacement.reason = "its directory is gone; put it back"
    bus.start()

    with pytest.raises(RestartError, match="its directory is gone; put it back") as refused:
        bus.restart()

    assert refused.value.reason == "its directory is gone; put it back"
    assert not bus.is_exit_requested


def test_a_bus_that_has_exited_is_not_restarted(bus: Bus) -> None:
    """A restart replaces the process at the end of the exit, which is over."""
    bus.start()
    bus.exit()

    with pytest.raises(RestartError, match="the bus has exited already; start the program again"):
        bus.restart()


def test_a_bus_that_blocks_in_another_thread_is_not_restarted(bus: Bus) -> None:
    """What replaces a process does so in the main thread; the error names the thread that blocks."""
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
