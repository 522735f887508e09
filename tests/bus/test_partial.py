"""Partial restarts: a component and its dependents stop and start, while the bus stays STARTED."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterator

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.doubles import LIMIT, HookRecorder, ThreadCall, until_waiting
from tests.processes import until

from typedbus import (
    LOG,
    START,
    STOP,
    Bus,
    Channel,
    Component,
    Container,
    HookTimeout,
    Limits,
    Publishes,
    Resource,
    StartCancelled,
    State,
    TransitionError,
    TransitionFailures,
    on,
)
from typedbus._base.limits import StartNode
from typedbus._bus.bus import parts_of
from typedbus._bus.partial import PartialOutcome, PartialRestart, part_of
from typedbus.events import (
    LIFECYCLE,
    MOVED,
    ComponentStarted,
    ComponentStarting,
    ComponentStopped,
    ComponentStopping,
    LifecycleEvent,
    Moved,
)
from typedbus.testing import FakeClock

RESTARTED, DROPPED = PartialOutcome.RESTARTED, PartialOutcome.DROPPED
BROKEN_OFF, GAVE_UP = PartialOutcome.BROKEN_OFF, PartialOutcome.GAVE_UP


@attrs.define
class Runs:
    """The runs of a part: it records their ends and begins, and returns the next of *delays* for each failure."""

    notes: list[str]
    delays: list[float] = attrs.field(factory=list)
    failures: list[BaseException] = attrs.field(factory=list)

    def end(self, nodes: Collection[StartNode], /) -> None:
        self.notes.append(f"end {len(nodes)} runs")

    def begin(self, nodes: Collection[StartNode], /) -> None:
        self.notes.append(f"begin {len(nodes)} runs")

    def failed(self, error: BaseException, /) -> float | None:
        self.failures.append(error)
        return self.delays.pop(0) if self.delays else None


class Part(HookRecorder):
    """A component that records its hooks, and calls the functions in *acts* from them, by the notes of the hooks."""

    def __init__(self, notes: list[str], name: str, acts: dict[str, Callable[[], object]], *needs: object) -> None:
        super().__init__(notes, name)
        self.acts = acts

    def record(self, hook: str) -> None:
        super().record(hook)
        act = self.acts.get(f"{hook} {self.name}")
        if act is not None:
            act()


@attrs.define
class Shop:
    """A started site: a page needs a worker, which needs a pool; a shelf needs nothing."""

    bus: Bus
    notes: list[str]
    acts: dict[str, Callable[[], object]]
    runs: Runs
    log: list[str]

    def restart(self, path: str = "Site.pool") -> PartialRestart:
        """Return a restart of the component at *path*."""
        return PartialRestart(parts_of(self.bus).machine, node_of(self.bus, path), self.runs)


def node_of(bus: Bus, path: str) -> StartNode:
    """Return the start node of the component at *path*."""
    nodes = [hook.node for hook in bus[START].subscriptions if hook.path == path]
    assert nodes[0] is not None
    return nodes[0]


@contextlib.contextmanager
def started(
    *, clock: FakeClock | None = None, workers: int = 1, limits: Limits | None = None, delays: Collection[float] = ()
) -> Generator[Shop]:
    """Yield a shop, which exits at the end; its notes begin after its start."""
    notes: list[str] = []
    acts: dict[str, Callable[[], object]] = {}
    bus = Bus(clock=clock, workers=workers, limits=limits)

    class Site(Container):
        pool = Component(Part, notes, "pool", acts)
        worker = Component(Part, notes, "worker", acts, pool.provided)
        page = Component(Part, notes, "page", acts, worker.provided)
        shelf = Component(Part, notes, "shelf", acts)

    log: list[str] = []
    bus[LOG].subscribe(lambda message, level: log.append(message))
    Site().attach(bus)
    bus.start()
    notes.clear()
    yield Shop(bus, notes, acts, Runs(notes, list(delays)), log)
    acts.clear()
    bus.exit()


def in_turn(*calls: Callable[[], object]) -> Callable[[], None]:
    """Return a function that makes *calls* one after another."""

    def act() -> None:
        for call in calls:
            call()

    return act


STOPS = ["stop page", "stop worker", "stop pool"]
STARTS = ["start pool", "start worker", "start page"]
WHOLE = ["end 3 runs", *STOPS, *STARTS, "begin 3 runs"]


def standing(notes: list[str]) -> set[str]:
    """
    Return the components that have started, according to *notes* that follow a whole start.

    Fail if one starts twice, stops twice, or starts or stops out of order.
    """
    needs = {"pool": set[str](), "worker": {"pool"}, "page": {"worker"}, "shelf": set[str]()}
    running_now = set(needs)
    for note in notes:
        hook, _, name = note.partition(" ")
        if hook == "start":
            assert name not in running_now, notes
            assert needs[name] <= running_now, notes
            running_now.add(name)
        elif hook == "stop":
            assert name in running_now, notes
            assert not any(name in needs[user] for user in running_now), notes
            running_now.remove(name)
    return running_now


@pytest.mark.parametrize("workers", [1, 4])
def test_a_restart_stops_the_dependents_first_and_starts_them_last(workers: int) -> None:
    """The runs end before the first hook of STOP and begin after the last of START; a sibling is left alone."""
    with started(workers=workers) as shop:
        assert shop.restart().carry_out(0.0) is RESTARTED
        assert shop.notes == WHOLE


def test_a_restart_visits_the_dependents_only() -> None:
    """The components that it needs, and their runs, are left alone."""
    with started() as shop:
        assert shop.restart("Site.worker").carry_out(0.0) is RESTARTED
        assert shop.notes == ["end 2 runs", *STOPS[:2], *STARTS[1:], "begin 2 runs"]


def test_the_bus_stays_started_during_a_restart() -> None:
    """The state does not change; the transition has the component that is restarted."""
    seen: list[tuple[State, str]] = []
    with started() as shop:
        machine = parts_of(shop.bus).machine

        def look() -> None:
            current = machine.current
            assert current is not None
            assert current.restarted is not None
            seen.append((shop.bus.state, current.restarted.path))

        shop.acts.update(dict.fromkeys([*STOPS, *STARTS], look))
        shop.restart().carry_out(0.0)

        assert seen == [(State.STARTED, "Site.pool")] * 6
        assert machine.current is None


def test_a_restart_publishes_the_events_of_its_components() -> None:
    """The events of its hooks are those of a stop and a start; there is no `Moved` event."""
    events: list[LifecycleEvent] = []
    with started() as shop:
        shop.bus[LIFECYCLE].subscribe(events.append)
        shop.restart("Site.page").carry_out(0.0)
        kinds = [ComponentStopping, ComponentStopped, ComponentStarting, ComponentStarted]
        assert [type(event) for event in events] == kinds


def test_a_stop_after_a_restart_stops_all_components() -> None:
    """The restarted components stop in their usual order."""
    with started() as shop:
        shop.restart().carry_out(0.0)
        shop.bus.stop()
        assert shop.notes == [*WHOLE, "stop shelf", *STOPS]


def test_a_component_restarts_any_number_of_times() -> None:
    """Each restart calls the same hooks, and the list of started hooks does not grow."""
    with started() as shop:
        for _ in range(3):
            assert shop.restart().carry_out(0.0) is RESTARTED
        assert shop.notes == WHOLE * 3
        assert len(parts_of(shop.bus).machine.started.hooks) == 4


def test_a_restart_pauses_on_the_clock_of_the_bus() -> None:
    """The components start after the pause."""
    clock = FakeClock()
    with started(clock=clock) as shop:
        call = ThreadCall(lambda: shop.restart().carry_out(2.0))
        clock.advance(1.9)
        assert shop.notes == ["end 3 runs", *STOPS]
        clock.advance(0.2)
        assert call.finished().result is RESTARTED
        assert shop.notes == WHOLE


# Requests of other threads and of the hooks.

Ask = Callable[[Bus], object]
ASKED: dict[str, tuple[Ask, State]] = {
    "stop": (Bus.stop, State.STOPPED),
    "exit": (Bus.exit, State.EXITED),
    "stop_async": (lambda bus: asyncio.run(bus.stop_async()), State.STOPPED),
}


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("request_name", ASKED)
@pytest.mark.parametrize("hook", [*STOPS, *STARTS])
def test_a_stop_during_a_hook_breaks_the_restart_off(hook: str, request_name: str, workers: int) -> None:
    """No further hook of the restart is called; the thread that requests the stop stops the started components."""
    ask, reached = ASKED[request_name]
    threads: dict[str, int] = {}
    with started(workers=workers) as shop:
        calls: list[ThreadCall] = []

        def interfere() -> None:
            calls.append(ThreadCall(lambda: ask(shop.bus)))
            machine = parts_of(shop.bus).machine
            until(lambda: machine.current is not None and machine.current.goal is not State.STARTED)
            shop.acts.clear()
            shop.acts["stop shelf"] = lambda: threads.update(shelf=threading.get_ident())

        shop.acts[hook] = interfere
        outcome = shop.restart().carry_out(0.0)
        calls[0].finished()

        assert (outcome, calls[0].error, shop.bus.state) == (BROKEN_OFF, None, reached)
        assert standing([note for note in shop.notes if " " in note]) == set()
        assert shop.notes[shop.notes.index(hook) + 1] in ("stop shelf", *(STOPS if workers > 1 else ())), shop.notes
        assert "begin 3 runs" not in shop.notes
        if workers == 1 and request_name != "stop_async":
            assert threads == {"shelf": calls[0].ident}


@pytest.mark.parametrize("hook", [*STOPS, *STARTS])
@pytest.mark.parametrize("ask", [Bus.stop, Bus.exit])
def test_a_hook_may_request_the_stop(hook: str, ask: Ask) -> None:
    """The call returns at once, and the thread of the restart carries out the stop after the hook."""
    with started() as shop:
        shop.acts[hook] = in_turn(
            shop.acts.clear, lambda: ask(shop.bus), lambda: shop.notes.append(f"asked-in {shop.bus.state.name}")
        )
        assert shop.restart().carry_out(0.0) is BROKEN_OFF
        assert shop.bus.state is (State.STOPPED if ask is Bus.stop else State.EXITED)
        assert "asked-in STARTED" in shop.notes
        assert standing(shop.notes) == set()


def test_a_failure_of_a_stop_that_a_hook_has_requested_is_logged() -> None:
    """No caller could receive the exception: the hook has returned."""
    with started() as shop:
        shop.acts["stop page"] = shop.bus.stop
        shop.acts["stop shelf"] = failing("no shelf")
        assert shop.restart().carry_out(0.0) is BROKEN_OFF
        (line,) = shop.log
        assert line.startswith("the restart of Site.pool was followed by a stop that failed:\n")
        assert "no shelf" in line


def test_system_exit_in_a_stop_that_a_hook_has_requested_is_passed_to_the_runs() -> None:
    """No caller could receive the `SystemExit`: the hook has returned."""

    def leave() -> None:
        raise SystemExit(3)

    with started() as shop:
        shop.acts["stop page"] = shop.bus.stop
        shop.acts["stop shelf"] = leave
        assert shop.restart().carry_out(0.0) is BROKEN_OFF
        assert [type(error) for error in shop.runs.failures] == [SystemExit]
        assert standing(shop.notes) == set()


@pytest.mark.parametrize("hook", [*STOPS, *STARTS])
def test_a_requested_exit_is_carried_out_by_the_thread_in_block(hook: str) -> None:
    """The restart ends after the hook, and `block` stops the started components."""
    threads: list[int] = []
    with started() as shop:
        block = ThreadCall(shop.bus.block)
        shop.acts["stop shelf"] = lambda: threads.append(threading.get_ident())
        shop.acts[hook] = in_turn(lambda: shop.acts.pop(hook), shop.bus.request_exit)
        assert shop.restart().carry_out(0.0) is BROKEN_OFF
        assert block.finished().error is None
        assert shop.bus.state is State.EXITED
        assert standing(shop.notes) == set()
        assert threads == [block.ident]


@pytest.mark.parametrize("hook", [*STOPS, *STARTS])
def test_a_start_during_a_restart_is_refused_except_to_its_hooks(hook: str) -> None:
    """Another thread gets a `TransitionError`; a call from a hook returns at once, as in the first start."""
    errors: list[BaseException | None] = []
    with started() as shop:
        shop.acts[hook] = in_turn(shop.bus.start, lambda: errors.append(ThreadCall(shop.bus.start).finished().error))
        assert shop.restart().carry_out(0.0) is RESTARTED
        (error,) = errors
        assert isinstance(error, TransitionError)
        assert shop.notes == WHOLE


def test_a_stop_ends_the_pause() -> None:
    """No component starts again, and the stop does not wait for the end of the pause."""
    clock = FakeClock()
    with started(clock=clock) as shop:
        call = ThreadCall(lambda: shop.restart().carry_out(10.0))
        clock.advance(1.0)
        shop.bus.stop()
        assert call.finished().result is BROKEN_OFF
        assert shop.notes == ["end 3 runs", *STOPS, "stop shelf"]


def test_a_waiting_start_hook_is_woken_by_a_stop() -> None:
    """A hook that waits within `StateMachine.waking`, as the hook of a server does, does not delay the stop."""
    with started() as shop:
        machine = parts_of(shop.bus).machine
        entered, woken = threading.Event(), threading.Event()

        def wait() -> None:
            with machine.waking(woken.set):
                entered.set()
                assert woken.wait(LIMIT)
            raise StartCancelled(State.STOPPED)

        shop.acts["start worker"] = wait
        call = ThreadCall(lambda: shop.restart().carry_out(0.0))
        assert entered.wait(LIMIT)
        shop.bus.stop()
        assert call.finished().result is BROKEN_OFF
        assert (shop.runs.failures, shop.log) == ([], [])
        assert standing([note for note in shop.notes if note != "start worker"]) == set()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="the system cannot send a signal to a thread")
def test_an_interrupted_stop_is_carried_out_by_the_restart() -> None:
    """If its caller stops waiting, as after Ctrl-C, the thread of the restart stops the bus."""
    opened, entered = threading.Event(), threading.Event()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with started() as shop:
            machine = parts_of(shop.bus).machine

            def interrupt() -> None:
                until(lambda: machine.current is not None and machine.current.successors > 0)
                until_waiting(threading.main_thread())
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

            shop.acts["stop worker"] = in_turn(entered.set, lambda: opened.wait(LIMIT))
            restart = ThreadCall(lambda: shop.restart().carry_out(0.0))
            assert entered.wait(LIMIT)
            interrupts = ThreadCall(interrupt)
            with pytest.raises(KeyboardInterrupt):
                shop.bus.stop()
            interrupts.finished()
            opened.set()
            assert restart.finished().result is BROKEN_OFF
            assert shop.bus.state is State.STOPPED
            assert standing(shop.notes) == set()
    finally:
        opened.set()
        signal.signal(signal.SIGINT, before)


# Failures.


def failing(text: str, *, times: int = 1000) -> Callable[[], None]:
    """Return a function that fails *times* times."""
    left = [times]

    def fails() -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise OSError(text)

    return fails


def test_a_failing_stop_is_logged_and_does_not_prevent_the_restart() -> None:
    """The failure is not counted as one of the run, and the hook is not called again."""
    with started() as shop:
        shop.acts["stop worker"] = failing("no stop")
        assert shop.restart().carry_out(0.0) is RESTARTED
        assert shop.notes == WHOLE
        assert shop.runs.failures == []
        (line,) = shop.log
        assert line.startswith("the restart of Site.pool continues after Site.worker.stop has failed:\nTraceback")
        assert "no stop" in line


@pytest.mark.parametrize("workers", [1, 4])
def test_a_failing_start_counts_as_a_failure_of_the_run(workers: int) -> None:
    """The started components stop again, and all components start after the next pause."""
    clock = FakeClock()
    with started(clock=clock, workers=workers, delays=[3.0]) as shop:
        shop.acts["start worker"] = failing("no start", times=1)
        call = ThreadCall(lambda: shop.restart().carry_out(1.0))
        clock.advance(1.0)
        clock.advance(2.9)
        before = ["end 3 runs", *STOPS, "start pool", "start worker", "end 3 runs", "stop pool"]
        assert shop.notes == before
        clock.advance(0.1)
        assert call.finished().result is RESTARTED
        assert shop.notes == [*before, *STARTS, "begin 3 runs"]
        (error,) = shop.runs.failures
        assert isinstance(error, OSError)
        assert error.__notes__ == ["raised by Site.worker.start on channel 'start'"]


def test_a_restart_gives_up_when_there_is_no_further_attempt() -> None:
    """The components stay stopped, the others keep running, and a stop calls no hook twice."""
    with started() as shop:
        shop.acts["start page"] = failing("no start")
        assert shop.restart().carry_out(0.0) is GAVE_UP
        assert shop.bus.state is State.STARTED
        assert standing(without_failed(shop.notes)) == {"shelf"}
        shop.bus.stop()
        assert standing(without_failed(shop.notes)) == set()


def without_failed(notes: list[str]) -> list[str]:
    """Return *notes* without starts of the page, which have failed."""
    return [note for note in notes if note != "start page"]


def test_a_part_that_was_given_up_starts_with_the_next_start() -> None:
    """A start after a stop starts all components."""
    with started() as shop:
        shop.acts["start page"] = failing("no start", times=1)
        assert shop.restart().carry_out(0.0) is GAVE_UP
        shop.bus.stop()
        shop.notes.clear()
        shop.bus.start()
        assert shop.notes == [*STARTS, "start shelf"]


@pytest.mark.parametrize("hook", ["stop worker", "start worker"])
def test_system_exit_of_a_hook_is_passed_to_the_runs(hook: str) -> None:
    """The runs exit the bus with it; it is not logged as a failure."""

    def leave() -> None:
        raise SystemExit(3)

    with started() as shop:
        shop.acts[hook] = leave
        assert shop.restart().carry_out(0.0) is GAVE_UP
        (error,) = shop.runs.failures
        assert isinstance(error, SystemExit)
        assert shop.log == []
        before = ["end 3 runs", *STOPS]
        after = ["start pool", "start worker", "end 3 runs", "stop pool"]
        assert shop.notes == (before if hook == "stop worker" else before + after)


def test_an_error_of_a_start_is_logged_if_a_stop_breaks_the_restart_off() -> None:
    """The runs do not get the error: there is no further attempt."""
    with started() as shop:
        shop.acts["start worker"] = in_turn(shop.bus.stop, failing("no start"))
        assert shop.restart().carry_out(0.0) is BROKEN_OFF
        (line,) = shop.log
        assert line.startswith("the restart of Site.pool was broken off after an error:\nTraceback")
        assert shop.runs.failures == []


def test_several_starts_that_fail_at_once_are_a_group() -> None:
    """The run has one failure, an `ExceptionGroup` with the errors of both workers."""
    barrier = threading.Barrier(2)
    bus = Bus(workers=2)

    class Pool:
        def start(self) -> None:
            """It only has users."""

    class User:
        is_first = True

        def __init__(self, pool: Pool) -> None:
            pass

        def start(self) -> None:
            if not self.is_first:
                barrier.wait(LIMIT)
                raise OSError("no start")
            self.is_first = False

    class Site(Container):
        pool = Component(Pool)
        one = Component(User, pool.provided)
        two = Component(User, pool.provided)

    Site().attach(bus)
    bus.start()
    runs = Runs([])
    assert PartialRestart(parts_of(bus).machine, node_of(bus, "Site.pool"), runs).carry_out(0.0) is GAVE_UP
    (error,) = runs.failures
    assert isinstance(error, ExceptionGroup)
    assert len(error.exceptions) == 2
    bus.exit()


# Limits.


def test_a_start_that_overruns_counts_as_a_failure() -> None:
    """Its thread is left behind; the next attempt waits until the late start has returned and has been undone."""
    opened = threading.Event()
    clock = FakeClock()
    with started(clock=clock, limits=Limits(hook=5.0), delays=[0.0]) as shop:
        late = threading.Event()

        def hang() -> None:
            if not late.is_set():
                late.set()
                assert opened.wait(LIMIT)

        shop.acts["start worker"] = hang
        call = ThreadCall(lambda: shop.restart().carry_out(0.0))
        assert late.wait(LIMIT)
        clock.advance(5.0)
        until(lambda: bool(shop.runs.failures))
        opened.set()
        assert call.finished().result is RESTARTED
        (error,) = shop.runs.failures
        assert isinstance(error, HookTimeout)
        assert shop.notes.count("start worker") == shop.notes.count("stop worker") == 2


def test_a_stop_that_overruns_does_not_prevent_the_restart() -> None:
    """The overrun is logged with the stack of the hook."""
    opened, entered = threading.Event(), threading.Event()
    clock = FakeClock()
    with started(clock=clock, limits=Limits(hook=5.0)) as shop:
        shop.acts["stop worker"] = in_turn(entered.set, lambda: opened.wait(LIMIT), shop.acts.clear)
        call = ThreadCall(lambda: shop.restart().carry_out(0.0))
        assert entered.wait(LIMIT)
        clock.advance(5.0)
        assert call.finished().result is RESTARTED
        (line,) = shop.log
        assert "continues after Site.worker.stop has failed" in line
        assert "opened.wait" in line
        opened.set()


# Several restarts.


def test_one_restart_waits_for_another() -> None:
    """The second restart begins when the first has ended."""
    opened, entered = threading.Event(), threading.Event()
    with started() as shop:
        shop.acts["stop page"] = in_turn(shop.acts.clear, entered.set, lambda: opened.wait(LIMIT))
        first = ThreadCall(lambda: shop.restart().carry_out(0.0))
        assert entered.wait(LIMIT)
        second = ThreadCall(lambda: shop.restart("Site.shelf").carry_out(0.0)).waiting()
        opened.set()
        assert first.finished().result is RESTARTED
        assert second.finished().result is RESTARTED
        assert shop.notes == [*WHOLE, "end 1 runs", "stop shelf", "start shelf", "begin 1 runs"]


def test_a_restart_that_is_withdrawn_while_it_waits_is_dropped() -> None:
    """It calls no hook, and does not wait for the restart under way."""
    opened, entered = threading.Event(), threading.Event()
    with started() as shop:
        shop.acts["stop page"] = in_turn(shop.acts.clear, entered.set, lambda: opened.wait(LIMIT))
        first = ThreadCall(lambda: shop.restart().carry_out(0.0))
        assert entered.wait(LIMIT)
        restart = shop.restart("Site.worker")
        second = ThreadCall(lambda: restart.carry_out(0.0)).waiting()
        restart.withdraw()
        assert second.finished().result is DROPPED
        assert first.is_alive()
        opened.set()
        assert first.finished().result is RESTARTED
        assert shop.notes == WHOLE


@pytest.mark.parametrize("ask", [Bus.stop, Bus.exit])
def test_a_restart_on_a_bus_that_is_not_started_is_dropped(ask: Ask) -> None:
    """It calls no hook."""
    with started() as shop:
        restart = shop.restart()
        ask(shop.bus)
        shop.notes.clear()
        assert restart.carry_out(0.0) is DROPPED
        assert shop.notes == []


def test_a_restart_during_a_stop_is_dropped_at_once() -> None:
    """Its thread does not wait for the stop, which may wait for that thread."""
    with started() as shop:
        calls: list[ThreadCall] = []
        restart = shop.restart()
        shop.acts["stop page"] = lambda: calls.append(ThreadCall(lambda: restart.carry_out(0.0)).finished())
        shop.bus.stop()
        assert calls[0].result is DROPPED
        assert shop.notes == ["stop shelf", *STOPS]


def test_a_restart_waits_for_the_end_of_the_start() -> None:
    """A run may fail before the call that starts the bus has returned."""
    calls: list[ThreadCall] = []
    with started() as shop:
        shop.bus.stop()

        def look(event: Moved) -> None:
            if event.after is State.STARTED:
                shop.notes.clear()
                calls.append(ThreadCall(lambda: shop.restart().carry_out(0.0)).waiting())

        with shop.bus[MOVED].subscribe(look):
            shop.bus.start()
        assert calls[0].finished().result is RESTARTED
        assert shop.notes == WHOLE


def test_no_restart_begins_before_the_stop_that_breaks_another_off() -> None:
    """The components that the first restart has stopped would be missing."""
    with started() as shop:
        calls: list[ThreadCall] = []

        def interfere() -> None:
            calls.append(ThreadCall(lambda: shop.restart("Site.shelf").carry_out(0.0)).waiting())
            shop.bus.request_exit()

        shop.acts["stop pool"] = interfere
        assert shop.restart().carry_out(0.0) is BROKEN_OFF
        assert calls[0].finished().result is DROPPED
        assert shop.restart("Site.shelf").carry_out(0.0) is DROPPED
        assert shop.notes == ["end 3 runs", *STOPS]


def test_a_component_whose_dependency_was_given_up_does_not_start_with_another_one() -> None:
    """It starts again only with the next start of the bus."""
    notes: list[str] = []
    acts: dict[str, Callable[[], object]] = {}

    class Site(Container):
        bus = Component(Bus)
        pool = Component(Part, notes, "pool", acts)
        cache = Component(Part, notes, "cache", acts)
        page = Component(Part, notes, "page", acts, pool.provided, cache.provided)

    bus = Site().attach()
    bus.start()
    acts["start pool"] = failing("no pool", times=1)
    machine, runs = parts_of(bus).machine, Runs(notes)
    assert PartialRestart(machine, node_of(bus, "Site.pool"), runs).carry_out(0.0) is GAVE_UP
    notes.clear()
    assert PartialRestart(machine, node_of(bus, "Site.cache"), runs).carry_out(0.0) is RESTARTED
    assert notes == ["end 2 runs", "stop cache", "start cache", "begin 1 runs"]
    notes.clear()
    bus.stop()
    assert notes == ["stop cache"]
    bus.start()
    assert notes[1:] == ["start pool", "start cache", "start page"]
    bus.exit()


@pytest.mark.parametrize("when", ["before the pause", "during the pause"])
def test_the_restart_of_a_dependency_takes_over_the_restart_of_a_component(when: str) -> None:
    """The component starts in the restart of the dependency, and every hook is called once."""
    clock = FakeClock()
    with started(clock=clock) as shop:
        calls: list[ThreadCall] = []

        def fail_pool() -> None:
            calls.append(ThreadCall(lambda: shop.restart("Site.pool").carry_out(0.0)).waiting())

        if when == "before the pause":
            shop.acts["stop worker"] = fail_pool
        call = ThreadCall(lambda: shop.restart("Site.worker").carry_out(5.0))
        if when == "during the pause":
            clock.advance(1.0)
            fail_pool_at_once = ThreadCall(lambda: shop.restart("Site.pool").carry_out(0.0))
            calls.append(fail_pool_at_once)
        assert call.finished().result is PartialOutcome.TAKEN_OVER
        assert calls[0].finished().result is RESTARTED
        assert shop.notes == ["end 2 runs", *STOPS[:2], "end 3 runs", STOPS[2], *STARTS, "begin 3 runs"]
        assert shop.log == []


def test_a_part_that_was_taken_over_does_not_start_with_another_dependency() -> None:
    """It stays stopped although the restart that has taken it over was dropped."""
    notes: list[str] = []
    acts: dict[str, Callable[[], object]] = {}

    class Site(Container):
        pool = Component(Part, notes, "pool", acts)
        worker = Component(Part, notes, "worker", acts, pool.provided)
        cache = Component(Part, notes, "cache", acts)
        page = Component(Part, notes, "page", acts, worker.provided, cache.provided)

    bus = Bus()
    Site().attach(bus)
    bus.start()
    machine = parts_of(bus).machine
    pool, worker, cache = (
        PartialRestart(machine, node_of(bus, f"Site.{name}"), Runs(notes)) for name in ("pool", "worker", "cache")
    )
    calls: list[ThreadCall] = []

    def fail_pool() -> None:
        assert machine.current is not None
        machine.current.when_done(pool.withdraw)  # before the turn of the pool comes
        calls.append(ThreadCall(lambda: pool.carry_out(0.0)).waiting())

    acts["stop page"] = fail_pool
    assert worker.carry_out(0.0) is PartialOutcome.TAKEN_OVER
    assert calls[0].finished().result is DROPPED
    notes.clear()
    assert cache.carry_out(0.0) is RESTARTED
    assert notes == ["end 2 runs", "stop cache", "start cache", "begin 1 runs"]
    bus.exit()


def test_a_restart_that_has_ended_takes_nothing_over() -> None:
    """The next restart is carried out although the thread of the first has not returned."""
    opened, entered = threading.Event(), threading.Event()
    with started() as shop:
        machine = parts_of(shop.bus).machine

        def hold_at_the_end() -> None:
            assert machine.current is not None
            machine.current.when_done(in_turn(entered.set, lambda: opened.wait(LIMIT)))

        shop.acts["stop page"] = in_turn(shop.acts.clear, hold_at_the_end)
        first = ThreadCall(lambda: shop.restart("Site.pool").carry_out(0.0))
        assert entered.wait(LIMIT)
        assert shop.restart("Site.worker").carry_out(0.0) is RESTARTED
        assert first.is_alive()
        opened.set()
        assert first.finished().result is RESTARTED


def test_a_start_that_fails_while_the_restart_of_a_dependency_waits_is_not_a_failure_of_the_run() -> None:
    """The restart of the dependency takes over, and the error is logged."""
    with started() as shop:
        calls: list[ThreadCall] = []
        fail = failing("no start", times=1)

        def fail_with_pool() -> None:
            if not calls:
                calls.append(ThreadCall(lambda: shop.restart("Site.pool").carry_out(0.0)).waiting())
            fail()

        shop.acts["start page"] = fail_with_pool
        assert shop.restart("Site.worker").carry_out(0.0) is PartialOutcome.TAKEN_OVER
        assert calls[0].finished().result is RESTARTED
        assert shop.runs.failures == []
        (line,) = shop.log
        assert line.startswith(
            "the restart of Site.worker is left to the restart of a component that it needs, after an error:"
        )


def test_a_component_that_was_given_up_starts_with_its_dependency() -> None:
    """The restart of the dependency starts it, and later restarts include it."""
    with started() as shop:
        shop.acts["start worker"] = failing("no start", times=1)
        assert shop.restart("Site.worker").carry_out(0.0) is GAVE_UP
        shop.notes.clear()
        assert shop.restart("Site.pool").carry_out(0.0) is RESTARTED
        assert shop.notes == ["end 3 runs", STOPS[2], *STARTS, "begin 3 runs"]
        shop.notes.clear()
        assert shop.restart("Site.page").carry_out(0.0) is RESTARTED
        assert shop.notes == ["end 1 runs", STOPS[0], STARTS[2], "begin 1 runs"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_forked_child_has_no_restart_under_way() -> None:
    """`detach` discards the restart in the child; in the parent the restart continues."""
    with started() as shop:
        machine = parts_of(shop.bus).machine
        children: list[int] = []

        def fork() -> None:
            child = os.fork()
            if not child:
                shop.bus.detach()
                is_detached = shop.bus.state is State.EXITED and machine.restarts == [] and machine.current is None
                os._exit(0 if is_detached else 1)
            children.append(child)

        shop.acts["stop worker"] = fork
        assert shop.restart().carry_out(0.0) is RESTARTED
        assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0
        assert shop.notes == WHOLE


# The components of a restart.


def test_the_part_of_a_component_has_its_direct_and_indirect_dependents() -> None:
    """Neither a publisher behind a gate nor a sibling is included."""
    pool = StartNode("pool", ())
    between = StartNode("between", (pool,))
    page = StartNode("page", (between,))
    gate = StartNode("", (pool,))
    publisher = StartNode("publisher", (gate,))
    sibling = StartNode("sibling", ())
    assert part_of(pool, [page, publisher, sibling, pool]) == {pool, between, page}
    assert part_of(page, [page, publisher, sibling, pool]) == {page}


stock_low = Channel[[str], None]("stock_low")


class Ledger(HookRecorder):
    @on(stock_low)
    def note_low(self, sku: str) -> None:
        """Make publishers start after this component."""


class Buyer(HookRecorder):
    def __init__(self, notes: list[str], name: str, low: Publishes[Callable[[str], None]]) -> None:
        super().__init__(notes, name)


def test_a_publisher_is_not_restarted_with_a_listener() -> None:
    """The publisher starts after the listener, but does not need it."""
    notes: list[str] = []

    class Site(Container):
        bus = Component(Bus)
        ledger = Component(Ledger, notes, "ledger")
        buyer = Component(Buyer, notes, "buyer", bus.provided[stock_low])

    bus = Site().attach()
    bus.start()
    assert notes == ["start ledger", "start buyer"]
    notes.clear()
    assert PartialRestart(parts_of(bus).machine, node_of(bus, "Site.ledger"), Runs([])).carry_out(0.0) is RESTARTED
    assert notes == ["stop ledger", "start ledger"]
    bus.exit()


def test_a_resource_opens_again_and_its_users_are_built_again() -> None:
    """Each of their hooks is called once in each restart, as in a stop and a start."""
    notes: list[str] = []

    def open_file() -> Iterator[object]:
        notes.append("open")
        yield object()
        notes.append("close")

    def read(file: object) -> object:
        return HookRecorder(notes, "reader")

    class Page(HookRecorder):
        def __init__(self, reader: object) -> None:
            super().__init__(notes, "page")

    class Site(Container):
        bus = Component(Bus)
        file = Resource(open_file)
        reader = Component(read, file.provided)
        page = Component(Page, reader.provided)

    bus = Site().attach()
    bus.start()
    up = ["open", "start reader", "start page"]
    down = ["stop page", "exit page", "stop reader", "exit reader", "close"]
    assert notes == up
    for _ in range(2):
        notes.clear()
        assert PartialRestart(parts_of(bus).machine, node_of(bus, "Site.file"), Runs([])).carry_out(0.0) is RESTARTED
        assert notes == [*down, *up]
    notes.clear()
    bus.stop()
    assert notes == down
    bus.exit()


def test_a_component_that_only_stops_is_stopped_once() -> None:
    """A stop that breaks off the restart does not call its hooks again."""
    notes: list[str] = []

    class Pool:
        def __init__(self) -> None:
            self.bus: Bus | None = None

        def stop(self) -> None:
            notes.append("stop pool")

        @on(STOP)
        def close(self) -> None:
            notes.append("close pool")
            if self.bus is not None:
                self.bus.stop()

    class Site(Container):
        bus = Component(Bus)
        pool = Component(Pool)

    site = Site()
    bus = site.attach()
    bus.start()
    restart = PartialRestart(parts_of(bus).machine, node_of(bus, "Site.pool"), Runs([]))
    assert restart.carry_out(0.0) is RESTARTED
    assert sorted(notes) == ["close pool", "stop pool"]
    notes.clear()
    site.pool().bus = bus
    assert restart.carry_out(0.0) is BROKEN_OFF
    assert sorted(notes) == ["close pool", "stop pool"]
    bus.exit()


# Interrupts and cancellations.


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="the system cannot send a signal to a thread")
def test_a_second_interrupt_gives_up_the_hook_of_a_restart() -> None:
    """The main thread, in `block`, does not wait for the hook any longer."""
    opened, entered = threading.Event(), threading.Event()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with started(limits=Limits(hook=3600.0)) as shop:
            machine = parts_of(shop.bus).machine

            def interrupt() -> None:
                until(lambda: parts_of(shop.bus).requests.wakeup.attendant is not None)
                until_waiting(threading.main_thread())
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                until(lambda: machine.current is not None and machine.current.successors > 0)
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

            shop.acts["stop worker"] = in_turn(entered.set, lambda: opened.wait(LIMIT))
            restart = ThreadCall(lambda: shop.restart().carry_out(0.0))
            assert entered.wait(LIMIT)
            interrupts = ThreadCall(interrupt)
            with pytest.raises(BaseExceptionGroup) as raised:
                shop.bus.block()
            opened.set()
            assert {type(error) for error in raised.value.exceptions} == {KeyboardInterrupt}
            assert restart.finished().result is BROKEN_OFF
            assert interrupts.finished().error is None
            assert shop.bus.state is State.EXITED
            assert "continues after Site.worker.stop has failed" in shop.log[0]
            assert standing(shop.notes) == set()
    finally:
        opened.set()
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("times", [1, 2])
def test_a_cancelled_stop_continues_after_the_restart(times: int) -> None:
    """A second cancellation gives up the hook that is running."""
    opened, entered = threading.Event(), threading.Event()
    with started(limits=Limits(hook=3600.0)) as shop:
        machine = parts_of(shop.bus).machine
        shop.acts["stop worker"] = in_turn(entered.set, lambda: opened.wait(LIMIT))
        restart = ThreadCall(lambda: shop.restart().carry_out(0.0))
        assert entered.wait(LIMIT)

        async def main() -> None:
            task = asyncio.create_task(shop.bus.stop_async())
            await asyncio.to_thread(until, lambda: machine.current is not None and machine.current.successors > 1)
            for _ in range(times):
                task.cancel()
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            if times == 1:
                opened.set()
            await task

        with pytest.raises(asyncio.CancelledError):
            asyncio.run(main())
        assert shop.bus.state is State.STOPPED
        assert restart.finished().result is BROKEN_OFF
        assert len(shop.log) == times - 1
        opened.set()


# Everything at once.

ACTIONS: dict[str, Callable[[Bus], object]] = {
    "stop": Bus.stop,
    "exit": Bus.exit,
    "stop_async": lambda bus: asyncio.run(bus.stop_async()),
    "request_exit": Bus.request_exit,
}


@st.composite
def graphs(draw: st.DrawFn) -> list[set[int]]:
    """Return the needs of each component, as numbers of other components."""
    size = draw(st.integers(2, 5))
    return [draw(st.sets(st.integers(0, number - 1))) if number else set() for number in range(size)]


@attrs.define
class Checked:
    """Components that record their hooks, and carry out actions in some of them."""

    needs: list[set[int]]
    #: By hook, component and the number of the call: a name in `ACTIONS`, "fail" or "restart".
    actions: dict[tuple[str, int, int], str]
    #: Whether hooks call the bus themselves, instead of another thread.
    is_direct: bool
    calls: list[ThreadCall] = attrs.field(factory=list)
    notes: list[str] = attrs.field(factory=list)
    up: set[int] = attrs.field(factory=set)
    wrong: list[str] = attrs.field(factory=list)
    counts: Counter[tuple[str, int]] = attrs.field(factory=Counter)
    lock: threading.Lock = attrs.field(factory=threading.Lock)
    bus: Bus = attrs.field(factory=Bus)

    def hook(self, hook: str, number: int) -> None:
        """Record a call of *hook*, and carry out its action."""
        with self.lock:
            self.counts[hook, number] += 1
            action = self.actions.get((hook, number, self.counts[hook, number]), "")
            self.notes.append(f"{hook} {number} {action}")
            users = {user for user in self.up if number in self.needs[user]}
            is_in_order = number not in self.up and self.needs[number] <= self.up
            if hook == "stop":
                is_in_order = number in self.up and not users
                self.up.discard(number)
            if not is_in_order:
                self.wrong.append(self.notes[-1])
        if action == "restart":
            self.calls.append(ThreadCall(lambda: self.restart(number)))
        elif action in ACTIONS and self.is_direct and action != "stop_async":
            ACTIONS[action](self.bus)
        elif action in ACTIONS:
            self.calls.append(ThreadCall(lambda: ACTIONS[action](self.bus)))
        elif action == "fail":
            raise OSError(hook)
        if hook == "start":
            with self.lock:
                self.up.add(number)

    def restart(self, number: int) -> PartialOutcome:
        """Restart component *number* and its dependents."""
        node = node_of(self.bus, f"Site.part{number}")
        return PartialRestart(parts_of(self.bus).machine, node, Runs([], [0.0])).carry_out(0.0)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(data=st.data(), needs=graphs(), workers=st.integers(1, 3), is_direct=st.booleans())
def test_whatever_happens_at_a_hook_each_component_stops_once(
    data: st.DataObject, needs: list[set[int]], workers: int, is_direct: bool
) -> None:
    """Components start after their dependencies and stop after their dependents, and all are stopped in the end."""
    places = st.tuples(st.sampled_from(["start", "stop"]), st.integers(0, len(needs) - 1), st.integers(1, 3))
    actions = data.draw(st.dictionaries(places, st.sampled_from(["fail", "restart", *ACTIONS]), max_size=5))
    roots = data.draw(st.lists(st.integers(0, len(needs) - 1), min_size=1, max_size=3))
    scene = Checked(needs, {}, is_direct)
    scene.bus.workers = workers

    class Piece:
        def __init__(self, number: int, *needs: object) -> None:
            self.number = number

        def start(self) -> None:
            scene.hook("start", self.number)

        def stop(self) -> None:
            scene.hook("stop", self.number)

    parts: dict[str, Component[Piece]] = {}
    for number, needed in enumerate(needs):
        parts[f"part{number}"] = Component(Piece, number, *(parts[f"part{need}"].provided for need in needed))
    site: type[Container] = type("Site", (Container,), dict(parts))
    site().attach(scene.bus)
    scene.bus.start()
    scene.counts.clear()
    scene.actions = actions

    scene.calls.extend([ThreadCall(lambda root=root: scene.restart(root)) for root in roots])  # type: ignore[misc]
    for call in scene.calls:
        # Calls may add further ones.
        call.finished()
    while scene.bus.state is not State.EXITED:
        with contextlib.suppress(TransitionFailures):
            scene.bus.exit()
    for call in scene.calls:
        assert call.finished().error is None or isinstance(call.error, TransitionFailures | IndexError)

    assert scene.wrong == [], scene.notes
    assert scene.up == set(), scene.notes
    assert parts_of(scene.bus).machine.current is None
