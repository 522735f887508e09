"""Concurrent starts and stops with several workers, along the graph of dependencies."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from typedbus import START, STOP, Bus, Component, Container, State, TransitionFailures, running
from typedbus._base.clock import SystemClock
from typedbus._bus.bus import parts_of
from typedbus.events import (
    COMPONENT_STARTED,
    COMPONENT_STARTING,
    LIFECYCLE,
    MOVED,
    ComponentStarted,
    ComponentStarting,
    LifecycleEvent,
    RolledBack,
)

PATIENCE = 10


class Plain:
    """Has no hooks, but dependencies."""

    def __init__(self, *needs: object) -> None:
        self.needs = needs


class Meeting:
    """Its hooks wait until a given number of them run at once."""

    def __init__(self, barrier: threading.Barrier, *needs: object) -> None:
        self.barrier = barrier

    def start(self) -> None:
        """Wait for the others."""
        self.barrier.wait(PATIENCE)

    def stop(self) -> None:
        """Wait for the others."""
        self.barrier.wait(PATIENCE)


@attrs.define
class Log:
    """Records the beginnings and ends of hooks, in order, from any thread."""

    lines: list[tuple[str, int]] = attrs.field(factory=list)
    lock: threading.Lock = attrs.field(factory=threading.Lock)

    def note(self, what: str, number: int) -> None:
        """Add a line."""
        with self.lock:
            self.lines.append((what, number))

    def broken(self, needs: dict[int, set[int]], *, backwards: bool) -> list[str]:
        """Return the dependencies that a hook did not wait for."""
        hook = "stop" if backwards else "start"
        at = {line: place for place, line in enumerate(self.lines)}
        wrong = []
        for number, needed in needs.items():
            for other in needed:
                first, then = (number, other) if backwards else (other, number)
                ended, began = at.get((f"{hook} ended", first)), at.get((f"{hook} began", then))
                if began is not None and (ended is None or ended > began):
                    wrong.append(f"{hook} of {then} began before that of {first} had ended")
        return wrong


class Part:
    """Records when its hooks begin and end."""

    def __init__(self, log: Log, number: int, fails: bool, *needs: object) -> None:
        self.log, self.number, self.fails = log, number, fails

    def start(self) -> None:
        """Record the call; fail if the part is declared to fail."""
        self.log.note("start began", self.number)
        if self.fails:
            raise ValueError(self.number)
        self.log.note("start ended", self.number)

    def stop(self) -> None:
        """Record the call."""
        self.log.note("stop began", self.number)
        self.log.note("stop ended", self.number)


def made(bus: Component[Bus] | None = None, /, **members: Component[Any]) -> Any:
    """Return a container of *members*."""
    make: Callable[[], Container] = type("Shop", (Container,), {"bus": bus or Component(Bus), **members})
    return make()


@st.composite
def graphs(draw: st.DrawFn) -> tuple[dict[int, set[int]], dict[int, str], list[int]]:
    """Draw the dependencies, the kind and the priority of each component."""
    count = draw(st.integers(1, 14))
    needs = {
        number: set(draw(st.lists(st.integers(0, number - 1), max_size=3))) if number else set()
        for number in range(count)
    }
    kinds = {number: draw(st.sampled_from(["part", "part", "part", "plain", "failing"])) for number in range(count)}
    return needs, kinds, draw(st.lists(st.sampled_from([10, 50, 50]), min_size=count, max_size=count))


def through(needs: dict[int, set[int]]) -> dict[int, set[int]]:
    """Return the direct and indirect dependencies of each component."""
    far: dict[int, set[int]] = {}
    for number, needed in needs.items():
        far[number] = set().union(needed, *(far[other] for other in needed))
    return far


@pytest.mark.slow
@settings(max_examples=200, deadline=None, database=None)
@given(graph=graphs(), workers=st.integers(2, 6), works=st.booleans())
def test_a_hook_waits_for_its_dependencies(
    graph: tuple[dict[int, set[int]], dict[int, str], list[int]], workers: int, works: bool
) -> None:
    """A start comes after those of dependencies, a stop before them, also through components without hooks; only started components are stopped."""
    needs, kinds, priorities = graph
    log = Log()
    members: dict[str, Component[Any]] = {}
    for number, needed in needs.items():
        others = [members[f"c{other}"].provided for other in sorted(needed)]
        if kinds[number] == "plain":
            members[f"c{number}"] = Component(Plain, *others)
            continue
        fails = kinds[number] == "failing" and not works
        members[f"c{number}"] = Component(Part, log, number, fails, *others).on(
            START.calls(Part.start, priority=priorities[number])
        )
    shop = made(**members)
    hooked = {number for number, kind in kinds.items() if kind != "plain"}
    far = {number: needed & hooked for number, needed in through(needs).items() if number in hooked}

    try:
        with running(shop, workers=workers):
            assert {number for what, number in log.lines if what == "start ended"} == hooked
    except TransitionFailures as failed:
        assert not works
        assert {type(error) for error in failed.exceptions} == {ValueError}

    started = {number for what, number in log.lines if what == "start ended"}
    stopping = {number: needed for number, needed in far.items() if number in started}
    assert log.broken(far, backwards=False) == []
    assert log.broken(stopping, backwards=True) == []
    assert sorted(started) == sorted(number for what, number in log.lines if what == "stop ended")


@pytest.mark.parametrize("workers", [3, 8])
def test_independent_components_start_and_stop_concurrently(workers: int) -> None:
    """As many at once as there are workers: these wait for each other, and would deadlock one by one."""
    barrier = threading.Barrier(3)
    shop = made(**{f"p{number}": Component(Meeting, barrier) for number in range(3)})

    with running(shop, workers=workers) as instance:
        assert instance.bus().state is State.STARTED


def test_a_branch_does_not_wait_for_another_branch() -> None:
    """The third of a chain starts while the first of another branch is still starting."""
    reached = threading.Event()

    class Waits:
        def start(self) -> None:
            assert reached.wait(PATIENCE)

    class Reaches:
        def __init__(self, *needs: object) -> None: ...

        def start(self) -> None:
            reached.set()

    class Steps:
        def __init__(self, *needs: object) -> None: ...

        def start(self) -> None: ...

    first = Component(Steps)
    second = Component(Steps, first.provided)
    shop = made(slow=Component(Waits), first=first, second=second, third=Component(Reaches, second.provided))

    with running(shop, workers=2) as instance:
        assert instance.bus().state is State.STARTED


def test_the_number_of_workers_bounds_concurrent_hooks() -> None:
    """The others wait for the end of one of them."""
    inside: list[int] = []
    most: list[int] = []
    lock = threading.Lock()
    barrier = threading.Barrier(2)

    class Counted:
        def start(self) -> None:
            with lock:
                inside.append(1)
                most.append(len(inside))
            barrier.wait(PATIENCE)
            with lock:
                inside.pop()

    with running(made(**{f"p{number}": Component(Counted) for number in range(6)}), workers=2):
        pass

    assert max(most) == 2


def test_the_hooks_of_one_component_never_run_concurrently() -> None:
    """They are called one after the other, in order."""
    calls: list[str] = []
    reached = threading.Event()

    class Several:
        def start(self) -> None:
            # The other would be begun now, if it were.
            assert not reached.wait(0.05)
            calls.append("start")

        def serve(self) -> None:
            reached.set()
            calls.append("serve")

    with running(made(it=Component(Several).on(START.calls(Several.serve))), workers=4):
        pass

    assert calls == ["start", "serve"]


def test_a_priority_begins_after_all_lower_priorities() -> None:
    """Priorities are phases for components without dependencies, too."""
    log = Log()

    def part(number: int, priority: int) -> Component[Part]:
        return Component(Part, log, number, False).on(START.calls(Part.start, priority=priority))

    shop = made(**{f"p{number}": part(number, 90 - 10 * (number // 3)) for number in range(9)})
    with running(shop, workers=9):
        pass

    later = {number: {other for other in range(9) if other // 3 > number // 3} for number in range(9)}
    assert log.broken(later, backwards=False) == []
    assert log.broken(later, backwards=True) == []


def test_a_listener_without_a_component_runs_alone_in_its_turn() -> None:
    """It has no place in the graph, so all earlier hooks have ended."""
    log = Log()
    bus = Component(Bus)
    shop = made(bus, **{f"p{number}": Component(Part, log, number, False) for number in range(6)})
    shop.attach()[START].subscribe(lambda: log.note("by hand", -1), priority=50)
    shop.bus()[START].subscribe(lambda: log.note("last", -1), priority=60)

    with running(shop, workers=6):
        assert log.lines[0] == ("by hand", -1)
        assert log.lines[-1] == ("last", -1)
        assert len(log.lines) == 14


def test_a_failing_hook_lets_running_hooks_end_and_rolls_them_back() -> None:
    """No further hook begins; started components are stopped, and all failures are raised."""
    stops: list[str] = []
    failing = threading.Event()

    class Fails:
        def start(self) -> None:
            failing.set()
            raise ValueError("no port")

    class Lasts:
        def start(self) -> None:
            assert failing.wait(PATIENCE)

        def stop(self) -> None:
            stops.append("lasts")

    class Never:
        def __init__(self, *needs: object) -> None: ...

        def start(self) -> None:
            stops.append("never")

    lasts = Component(Lasts)
    shop = made(lasts=lasts, fails=Component(Fails), never=Component(Never, lasts.provided))
    events: list[LifecycleEvent] = []
    bus: Bus = shop.attach()
    bus[LIFECYCLE].subscribe(events.append)
    bus.workers = 2

    with pytest.raises(TransitionFailures) as failed:
        bus.start()

    assert [str(error) for error in failed.value.exceptions] == ["no port"]
    assert stops == ["lasts"]
    assert [event.paths for event in events if isinstance(event, RolledBack)] == [("Shop.lasts",)]


def test_events_are_published_in_the_thread_of_the_transition() -> None:
    """They are published one after the other, so that their listeners need no lock."""
    threads: set[int] = set()
    events: list[LifecycleEvent] = []

    def hear(event: LifecycleEvent, /) -> None:
        threads.add(threading.get_ident())
        events.append(event)

    barrier = threading.Barrier(3)
    shop = made(**{f"p{number}": Component(Meeting, barrier) for number in range(3)})
    shop.attach()[LIFECYCLE].subscribe(hear)
    with running(shop, workers=3):
        starts = [event for event in events if isinstance(event, ComponentStarting | ComponentStarted)]

    assert threads == {threading.get_ident()}
    assert [type(event) for event in starts] == [ComponentStarting] * 3 + [ComponentStarted] * 3


def test_a_stop_during_a_concurrent_start_follows_the_running_hooks() -> None:
    """It is requested from another thread."""
    barrier = threading.Barrier(3)
    stops: list[str] = []

    class Late:
        def __init__(self, *needs: object) -> None: ...

        def start(self) -> None:
            stops.append("never")

    parts = {f"p{number}": Component(Meeting, barrier) for number in range(2)}
    shop = made(**parts, late=Component(Late, parts["p0"].provided))
    bus: Bus = shop.attach()
    bus.workers = 2
    raised: list[BaseException] = []

    def start() -> None:
        try:
            bus.start()
        except RuntimeError as error:
            raised.append(error)

    both = threading.Semaphore(0)
    bus[COMPONENT_STARTING].subscribe(lambda event: both.release())
    starting = threading.Thread(target=start)
    starting.start()
    assert both.acquire(timeout=PATIENCE)
    assert both.acquire(timeout=PATIENCE)
    stopping = threading.Thread(target=bus.stop)
    stopping.start()
    # The goal has moved as soon as the bus has taken the request.
    while (current := parts_of(bus).machine.current) is not None and current.goal is State.STARTED:
        pass
    barrier.wait(PATIENCE)
    meeting = threading.Thread(target=barrier.wait)
    meeting.start()
    for thread in (starting, stopping, meeting):
        thread.join(PATIENCE)

    assert [type(error).__name__ for error in raised] == ["StartCancelled"]
    assert stops == []
    assert bus.state is State.STOPPED


def test_waiting_for_hooks_does_not_poll() -> None:
    """The thread of the transition sleeps until a hook has ended, and does not read the clock."""
    looked: list[float] = []
    inside, leave = threading.Event(), threading.Event()

    class Looking(SystemClock):
        def now(self) -> float:
            looked.append(super().now())
            return looked[-1]

    class Waits:
        def start(self) -> None:
            inside.set()
            assert leave.wait(PATIENCE)

    shop = made(Component(Bus, clock=Looking(), workers=2), it=Component(Waits))
    starting = threading.Thread(target=shop.attach().start)
    starting.start()
    assert inside.wait(PATIENCE)
    before = len(looked)
    assert not leave.wait(0.05)
    leave.set()
    starting.join(PATIENCE)

    assert len(looked) - before < 10
    assert shop.bus().state is State.STARTED


def test_a_worker_thread_belongs_to_one_phase_of_a_transition() -> None:
    """Another thread may reuse its identifier, and must not be mistaken for a hook."""
    barrier = threading.Barrier(2)
    idents: list[set[int]] = []
    shop = made(a=Component(Meeting, barrier), b=Component(Meeting, barrier))
    bus: Bus = shop.attach()
    machine = parts_of(bus).machine
    bus[MOVED].subscribe(lambda moved: idents.append(set(machine.current.threads) if machine.current else set()))

    with running(shop, workers=2):
        assert idents[-1] == {threading.get_ident()}


def test_the_default_is_one_worker_in_the_order_of_the_graph() -> None:
    """All hooks are called in one thread."""
    threads: list[int] = []

    class Here:
        def start(self) -> None:
            threads.append(threading.get_ident())

    with running(made(a=Component(Here), b=Component(Here))) as shop:
        assert shop.bus().workers == 1

    assert threads == [threading.get_ident()] * 2
    assert STOP.name == "stop"


def test_a_component_without_a_start_hook_needs_no_thread_to_start() -> None:
    """Its turn in the start order takes no time."""
    counts: list[int] = []

    class Stops:
        def stop(self) -> None: ...

    shop = made(a=Component(Stops), b=Component(Stops).within(60))
    before = set(threading.enumerate())
    shop.attach()[COMPONENT_STARTED].subscribe(lambda event: counts.append(len(set(threading.enumerate()) - before)))

    with running(shop, workers=4):
        assert counts == [0, 0]
