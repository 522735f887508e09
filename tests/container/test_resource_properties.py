"""Properties of resources, over graphs of resources and components with failures that Hypothesis generates."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from typedbus import Bus, Component, Container, Resource, State, TransitionFailures
from typedbus.types import Exits, Starts, Stops

#: The kinds of parts: components, and two forms of resources.
KINDS = ("component", "sync", "async")


@attrs.frozen
class Part:
    """The declaration of a part, and the steps in which it fails."""

    kind: str
    needs: list[int]
    failing: frozenset[str]


@attrs.define(eq=False)
class Opened:
    """The object of a resource."""

    number: int


@st.composite
def programs(draw: st.DrawFn, *failures: str) -> list[Part]:
    """Draw parts, each of which needs parts before it and fails in at most one of *failures*."""
    parts = []
    for number in range(draw(st.integers(1, 8))):
        needs = draw(st.lists(st.integers(0, number - 1), max_size=3)) if number else []
        failing = draw(st.frozensets(st.sampled_from(failures), max_size=1)) if failures else frozenset[str]()
        parts.append(Part(draw(st.sampled_from(KINDS)), needs, failing))
    return parts


class Log:
    """The steps of the parts, in the order in which they ended."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts
        self.steps: list[tuple[str, int]] = []
        self.is_failing = True

    def add(self, step: str, number: int) -> None:
        """Record *step*, or fail if the part fails there."""
        if self.is_failing and step in self.parts[number].failing:
            raise OSError(f"{step} {number}")
        self.steps.append((step, number))

    def take(self) -> list[tuple[str, int]]:
        """Return the steps, and forget them."""
        steps, self.steps = self.steps, []
        return steps


class User(Starts, Stops, Exits):
    """A component with hooks."""

    def __init__(self, log: Log, number: int, needs: list[object]) -> None:
        self.log, self.number = log, number
        log.add("build", number)

    def start(self) -> None:
        self.log.add("start", self.number)

    def stop(self) -> None:
        self.log.add("stop", self.number)

    def exit(self) -> None:
        self.log.add("exit", self.number)


def generated(log: Log, number: int, needs: list[object]) -> Iterator[Opened]:
    """Open and close."""
    log.add("open", number)
    yield Opened(number)
    log.add("close", number)


async def generated_async(log: Log, number: int, needs: list[object]) -> AsyncIterator[Opened]:
    """Open and close."""
    log.add("open", number)
    yield Opened(number)
    log.add("close", number)


def container_of(log: Log) -> Any:
    """Return a container of the parts of *log*, declared in the reverse order."""
    components: list[Component[Any]] = []
    for number, part in enumerate(log.parts):
        needs = [components[need].provided for need in part.needs]
        if part.kind == "component":
            components.append(Component(User, log, number, needs))
        elif part.kind == "sync":
            components.append(Resource(generated, log, number, needs))
        else:
            components.append(Resource(generated_async, log, number, needs))
    declared: dict[str, object] = {f"p{number}": component for number, component in reversed([*enumerate(components)])}
    container: type[Container] = type("Shop", (Container,), {"bus": Component(Bus), **declared})
    return container()


def below(parts: Sequence[Part], number: int) -> set[int]:
    """Return the parts that the part *number* needs, directly or through others."""
    reached: set[int] = set()
    pending = list(parts[number].needs)
    while pending:
        need = pending.pop()
        if need not in reached:
            reached.add(need)
            pending.extend(parts[need].needs)
    return reached


def is_deferred(parts: Sequence[Part], number: int) -> bool:
    """Whether a start builds the part *number* at its turn."""
    return any(parts[one].kind != "component" for one in {number, *below(parts, number)})


def check_order(parts: Sequence[Part], up: list[tuple[str, int]], down: list[tuple[str, int]]) -> None:
    """Check that each part begins after the parts that it needs, and ends before them."""
    for number in range(len(parts)):
        for need in below(parts, number):
            first = [step for step, (_, one) in enumerate(up) if one == number]
            before = [step for step, (what, one) in enumerate(up) if one == need and what in ("open", "start", "build")]
            # A component that needs no resource is built before the start.
            if first and is_deferred(parts, need):
                assert max(before) < min(first), (up, number, need)
            last = [step for step, (what, one) in enumerate(down) if one == number and what != "exit"]
            after = [step for step, (what, one) in enumerate(down) if one == need and what in ("close", "stop")]
            assert not last or not after or max(last) < min(after), (down, number, need)


fast = settings(deadline=None, max_examples=30)


@pytest.mark.slow
@fast
@given(programs(), st.sampled_from([1, 3]))
def test_parts_begin_after_what_they_need_and_end_before_it(parts: list[Part], workers: int) -> None:
    """In a start, a start after a stop, and a start after an exit; everything that is opened is closed."""
    log = Log(parts)
    shop = container_of(log)
    bus = shop.attach()
    bus.workers = workers
    runs: list[tuple[list[tuple[str, int]], list[tuple[str, int]]]] = []
    for ends in (bus.stop, bus.exit, bus.exit):
        bus.start()
        up = log.take()
        ends()
        runs.append((up, log.take()))

    for up, down in runs:
        check_order(parts, up, down)
        assert sorted(number for step, number in up if step == "open") == sorted(
            number for step, number in down if step == "close"
        )
    built = [[number for step, number in up if step == "build"] for up, _ in runs]
    users = [number for number, part in enumerate(parts) if part.kind == "component"]
    assert sorted(built[0]) == sorted(built[2]) == users
    assert sorted(built[1]) == [number for number in users if is_deferred(parts, number)]
    if workers == 1:
        assert runs[0][0] == runs[2][0]


@pytest.mark.slow
@fast
@given(programs("build", "start", "open"), st.sampled_from([1, 3]))
def test_a_failed_start_closes_exactly_what_it_has_opened(parts: list[Part], workers: int) -> None:
    """In any order of failures; the next start, without failures, is complete."""
    log = Log(parts)
    shop = container_of(log)
    bus = shop.attach()
    bus.workers = workers
    with contextlib.suppress(TransitionFailures):
        bus.start()
    bus.exit()
    steps = log.take()

    assert bus.state is State.EXITED
    for first, last in (("open", "close"), ("start", "stop")):
        begun = [number for step, number in steps if step == first]
        ended = [number for step, number in steps if step == last]
        assert sorted(begun) == sorted(ended)
    assert sorted(number for step, number in steps if step == "build") == sorted(
        number for step, number in steps if step == "exit"
    )
    opened = [number for step, number in steps if step == "open"]
    for number in opened:
        assert all(need in opened for need in below(parts, number) if parts[need].kind != "component")

    log.is_failing = False
    bus.start()
    assert sorted(number for step, number in log.take() if step in ("open", "start")) == list(range(len(parts)))
    bus.exit()


@pytest.mark.slow
@fast
@given(programs("stop", "exit", "close"), st.sampled_from([1, 3]))
def test_a_failure_of_a_stop_keeps_nothing_else_open(parts: list[Part], workers: int) -> None:
    """Each step of the stop is called, whichever fail."""
    log = Log(parts)
    shop = container_of(log)
    bus = shop.attach()
    bus.workers = workers
    bus.start()
    log.take()
    with contextlib.suppress(TransitionFailures):
        bus.exit()
    steps = log.take()

    expected = [
        (step, number)
        for number, part in enumerate(parts)
        for step in (("stop", "exit") if part.kind == "component" else ("close",))
        if step not in part.failing
    ]
    assert sorted(steps) == sorted(expected)
    check_order(parts, [], steps)
