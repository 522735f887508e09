"""The bus compared with a simple model, and under many threads."""

from __future__ import annotations

import contextlib
import enum
import functools
import random
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from typedbus import (
    EXIT,
    MAIN,
    START,
    STOP,
    Bus,
    Channel,
    ChannelFailures,
    Limits,
    StartCancelled,
    State,
    TransitionError,
    TransitionFailures,
)
from typedbus.events import (
    LIFECYCLE,
    ComponentExited,
    ComponentExiting,
    ComponentStarted,
    ComponentStarting,
    ComponentStopped,
    ComponentStopping,
    Failed,
    LifecycleEvent,
    ListenerFailed,
    Moved,
    RolledBack,
)

HOOKS: Final = {"start": START, "stop": STOP, "exit": EXIT}
EDGES: Final = {
    (State.STOPPED, State.STARTING),
    (State.EXITED, State.STARTING),
    (State.STARTING, State.STARTED),
    (State.STARTING, State.STOPPING),
    (State.STARTED, State.STOPPING),
    (State.STOPPING, State.STOPPED),
    (State.STOPPED, State.EXITING),
    (State.EXITING, State.EXITED),
}
counted = Channel[[int], int]("counted")


class Deed(enum.Enum):
    """The action of a life-cycle listener."""

    NOTHING = enum.auto()
    FAIL = enum.auto()
    LEAVE = enum.auto()
    START = enum.auto()
    STOP = enum.auto()
    EXIT = enum.auto()
    REQUEST = enum.auto()
    CANCEL = enum.auto()


class Part:
    """A participant of the life cycle: an object or, if plain, free functions."""

    def __init__(self, bus: Bus, calls: list[object], deeds: dict[str, Deed], *, plain: bool) -> None:
        self.bus = bus
        self.said = calls
        self.deeds = deeds
        self.plain = plain
        self.listeners: dict[str, Callable[[], None]] = {"start": self.start, "stop": self.stop, "exit": self.exit}
        if plain:
            self.listeners = {hook: functools.partial(self.act, hook) for hook in HOOKS}

    def start(self) -> None:
        self.act("start")

    def stop(self) -> None:
        self.act("stop")

    def exit(self) -> None:
        self.act("exit")

    def act(self, hook: str) -> None:
        self.said.append((hook, self))
        match self.deeds[hook]:
            case Deed.NOTHING:
                return
            case Deed.FAIL:
                raise ValueError
            case Deed.LEAVE:
                raise SystemExit(3)
            case Deed.START:
                self.bus.start()
            case Deed.STOP:
                self.bus.stop()
            case Deed.EXIT:
                self.bus.exit()
            case Deed.REQUEST:
                self.bus.request_exit()
            case Deed.CANCEL:
                self.bus[HOOKS[hook]].unsubscribe(self.listeners[hook])


class Model:
    """The specified behaviour of a bus, without threads, locks and channels."""

    def __init__(self) -> None:
        self.state = State.STOPPED
        self.requested = False
        self.goal = State.STOPPED
        self.said: list[object] = []
        # In order of subscription, each with its priority.
        self.listening: dict[str, dict[Part, int]] = {hook: {} for hook in HOOKS}
        self.started: set[Part] = set()
        self.failures = 0
        self.left = False

    def bring_to(self, goal: State) -> type[BaseException] | None:
        """Move to *goal* and return the exceptions."""
        if goal is State.STARTED and self.state not in (State.STOPPED, State.EXITED):
            return TransitionError
        if goal is not State.STARTED and self.state in (goal, State.EXITED):
            return None
        self.goal, self.failures, self.left = goal, 0, False
        while self.state is not self.goal:
            if self.state in (State.STARTING, State.STARTED):
                self.go_down()
            elif self.goal is State.STARTED:
                self.go_up()
            else:
                self.go_out()
        if self.left:
            return SystemExit
        if self.failures:
            return TransitionFailures
        return StartCancelled if goal is State.STARTED and self.goal is not goal else None

    def go_up(self) -> None:
        self.move(State.STARTING)
        for part in self.order("start"):
            if self.goal is State.STARTED and self.call(part, "start", ComponentStarted):
                self.started.add(part)
            elif self.goal is State.STARTED:
                self.goal = State.STOPPED
        if self.goal is State.STARTED:
            self.move(State.STARTED)

    def go_down(self) -> None:
        undone = [RolledBack] if self.state is State.STARTING else []
        self.move(State.STOPPING)
        starting = {part for part in self.listening["start"] if not part.plain}
        for part in reversed(self.order("stop")):
            if part.plain or part in self.started or part not in starting:
                self.call(part, "stop", ComponentStopped)
        self.started.clear()
        self.said.extend(undone)
        self.move(State.STOPPED)

    def go_out(self) -> None:
        self.move(State.EXITING)
        for part in reversed(self.order("exit")):
            self.call(part, "exit", ComponentExited)
        self.requested = False
        self.move(State.EXITED)

    def order(self, hook: str) -> list[Part]:
        listening = self.listening[hook]
        return sorted(listening, key=listening.__getitem__)

    def move(self, state: State) -> None:
        self.said.append(Moved(self.state, state))
        self.state = state

    def call(self, part: Part, hook: str, event: type[LifecycleEvent]) -> bool:
        begins: dict[type[LifecycleEvent], type[LifecycleEvent]]
        begins = {
            ComponentStarted: ComponentStarting,
            ComponentStopped: ComponentStopping,
            ComponentExited: ComponentExiting,
        }
        self.said += [begins[event], (hook, part)]
        returned = True
        match part.deeds[hook]:
            case Deed.FAIL:
                self.failures, returned = self.failures + 1, False
            case Deed.LEAVE:
                self.left, returned = True, False
            case Deed.START if self.goal is not State.STARTED:
                self.failures, returned = self.failures + 1, False
            case Deed.STOP if self.goal is State.STARTED:
                self.goal = State.STOPPED
            case Deed.EXIT | Deed.REQUEST as deed:
                self.goal = State.EXITED
                self.requested |= deed is Deed.REQUEST
            case Deed.CANCEL:
                self.listening[hook].pop(part, None)
            case _:
                pass
        self.said.append(event if returned else Failed)
        return returned


class BusAndModel(RuleBasedStateMachine):
    """Applies the same steps to a bus and to its model."""

    parts = Bundle("parts")

    def __init__(self, bus: Bus | None = None) -> None:
        super().__init__()
        self.bus = bus or Bus()
        self.model = Model()
        self.said: list[object] = []
        self.bus[LIFECYCLE].subscribe(self.look)
        # Those that listen to a channel without a life: priority and whether they fail.
        self.counting: dict[Callable[[int], int], tuple[int, bool]] = {}

    def look(self, event: LifecycleEvent) -> None:
        self.said.append(event if isinstance(event, Moved) else type(event))

    @rule(
        target=parts, deeds=st.fixed_dictionaries({hook: st.sampled_from(Deed) for hook in HOOKS}), plain=st.booleans()
    )
    def make(self, deeds: dict[str, Deed], plain: bool) -> Part:
        return Part(self.bus, self.said, deeds, plain=plain)

    @rule(target=parts, priority=st.integers(0, 3))
    def make_useful(self, priority: int) -> Part:
        part = Part(self.bus, self.said, dict.fromkeys(HOOKS, Deed.NOTHING), plain=False)
        for hook in HOOKS:
            self.subscribe(part, hook, priority)
        return part

    @rule(part=parts, hook=st.sampled_from(list(HOOKS)), priority=st.integers(0, 3))
    def subscribe(self, part: Part, hook: str, priority: int) -> None:
        self.bus[HOOKS[hook]].subscribe(part.listeners[hook], priority=priority)
        self.model.listening[hook][part] = priority

    @rule(part=parts, hook=st.sampled_from(list(HOOKS)))
    def unsubscribe(self, part: Part, hook: str) -> None:
        self.bus[HOOKS[hook]].unsubscribe(part.listeners[hook])
        self.model.listening[hook].pop(part, None)

    @rule(goal=st.sampled_from([State.STARTED, State.STOPPED, State.EXITED]))
    def bring(self, goal: State) -> None:
        verbs = {State.STARTED: self.bus.start, State.STOPPED: self.bus.stop, State.EXITED: self.bus.exit}
        self.compare(verbs[goal], self.model.bring_to(goal))

    @precondition(lambda self: self.model.state is not State.EXITED)
    @rule()
    def request(self) -> None:
        self.bus.request_exit()
        self.model.requested = True

    @precondition(lambda self: self.model.requested or self.model.state is State.EXITED)
    @rule()
    def block(self) -> None:
        raised = self.model.bring_to(State.EXITED) if self.model.requested else None
        self.model.requested = False
        self.compare(self.bus.block, raised)

    def compare(self, call: Callable[[], None], expected: type[BaseException] | None) -> None:
        raised: BaseException | None = None
        try:
            call()
        except (TransitionError, TransitionFailures, StartCancelled, SystemExit) as error:
            raised = error
        assert (raised and type(raised)) == expected
        if isinstance(raised, TransitionFailures):
            assert (len(raised.failures), raised.state) == (self.model.failures, self.model.state)

    @rule(priority=st.integers(0, 3), fails=st.booleans())
    def count(self, priority: int, fails: bool) -> None:
        def answer(number: int) -> int:
            return number // 0 if fails else number + priority

        self.bus[counted].subscribe(answer, priority=priority)
        self.counting[answer] = (priority, fails)

    @rule(number=st.integers(0, 100))
    def publish(self, number: int) -> None:
        ordered = sorted(self.counting.values(), key=lambda each: each[0])
        results = [number + priority for priority, fails in ordered if not fails]
        if len(results) == len(ordered):
            assert self.bus[counted].publish(number) == results
            return
        self.model.said += [ListenerFailed] * (len(ordered) - len(results))
        with pytest.raises(ChannelFailures) as raised:
            self.bus[counted].publish(number)
        assert raised.value.results == tuple(results)
        assert len(raised.value.failures) == len(ordered) - len(results)

    @invariant()
    def agree(self) -> None:
        assert self.said == self.model.said
        assert self.bus.state is self.model.state


class BusInThreadsAndModel(BusAndModel):
    """The same, with hooks in their own threads; listeners without a component keep their order."""

    def __init__(self) -> None:
        super().__init__(Bus(workers=3, limits=Limits(hook=60)))


TestBusAndModel = pytest.mark.slow(BusAndModel.TestCase)
TestBusInThreadsAndModel = pytest.mark.slow(BusInThreadsAndModel.TestCase)
TestBusAndModel.settings = TestBusInThreadsAndModel.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None, database=None
)


class Watch:
    """Observes a bus under several threads, and records violations."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.wrong: list[str] = []
        self.state = State.STOPPED
        self.busy = threading.Lock()
        self.machines = [Machine(self, number) for number in range(4)]
        bus[LIFECYCLE].subscribe(self.look)

    def look(self, event: LifecycleEvent) -> None:
        if not isinstance(event, Moved):
            return
        if event.before is not self.state or (event.before, event.after) not in EDGES:
            self.wrong.append(f"{event} where the bus was {self.state}")
        self.state = event.after
        running = [machine.number for machine in self.machines if machine.running]
        if event.after in (State.STOPPED, State.EXITED) and running:
            self.wrong.append(f"{running} were never stopped")

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Record a violation if two listeners of transitions run at the same time."""
        first = self.busy.acquire(blocking=False)
        if not first:
            self.wrong.append("two transitions overlap")
        try:
            yield
        finally:
            if first:
                self.busy.release()


class Machine:
    """Must be started before it is stopped, and stopped once."""

    def __init__(self, watch: Watch, number: int) -> None:
        self.watch = watch
        self.number = number
        self.running = False
        self.chance = random.Random(number)
        watch.bus[START].subscribe(self.start)
        watch.bus[STOP].subscribe(self.stop)

    def start(self) -> None:
        with self.watch.alone():
            if self.running:
                self.watch.wrong.append(f"{self.number} is started twice")
            self.act()
            self.running = True

    def stop(self) -> None:
        with self.watch.alone():
            if not self.running:
                self.watch.wrong.append(f"{self.number} is stopped and was not started")
            self.running = False
            self.act()

    def act(self) -> None:
        """Make trouble now and then."""
        bus, chance = self.watch.bus, self.chance.random()
        if chance < 0.03:
            raise ValueError(self.number)
        if chance < 0.05:
            self.chance.choice([bus.stop, bus.exit, bus.request_exit])()


def walk(bus: Bus, seed: int, steps: int) -> None:
    """Apply *steps* random calls to *bus*; documented exceptions are accepted."""
    chance = random.Random(seed)

    def answer(number: int) -> int:
        return number

    def idle() -> None:
        return

    def publish() -> None:
        results = bus[counted].publish(7)
        assert results == [7] * len(results)

    deeds: list[tuple[int, Callable[[], object]]] = [
        (20, bus.start),
        (15, bus.stop),
        (10, bus.exit),
        (2, bus.request_exit),
        (2, lambda: bus.request_exit(ValueError(seed))),
        (20, publish),
        (6, lambda: bus[counted].subscribe(answer)),
        (5, lambda: bus[counted].unsubscribe(answer)),
        (5, lambda: bus[chance.choice([START, STOP, EXIT])].subscribe(idle, priority=chance.randrange(100))),
        (2, lambda: bus[MAIN].subscribe(idle, priority=chance.randrange(100))),
        (5, lambda: bus[chance.choice([START, STOP, EXIT])].unsubscribe(idle)),
        (2, lambda: bus[MAIN].unsubscribe(idle)),
        (5, lambda: bus.wait(chance.choice(list(State)), timeout=chance.choice([0, 1e-6, 1e-4]))),
    ]
    for deed in chance.choices([deed for _, deed in deeds], [weight for weight, _ in deeds], k=steps):
        with contextlib.suppress(TransitionError, TransitionFailures, StartCancelled):
            deed()


def serve(bus: Bus, over: threading.Event) -> None:
    """Block on *bus* repeatedly; its exceptions are causes and failures."""
    while not over.is_set():
        with contextlib.suppress(TransitionFailures, ValueError, ExceptionGroup):
            bus.block(interval=1e-4)
        bus.wait(State.STARTED, timeout=1e-3)


@pytest.fixture
def restless() -> Iterator[None]:
    """Make the interpreter switch threads as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_the_bus_is_consistent_under_many_threads(seed: int, restless: None) -> None:
    """25,000 steps of eight threads, while two more block: states in order, one transition at a time, each stop once."""
    bus, over = Bus(), threading.Event()
    watch = Watch(bus)
    raised: list[BaseException] = []

    def watched(call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as error:
            raised.append(error)

    calls = [functools.partial(walk, bus, 8 * seed + number, 3200) for number in range(8)]
    walking = [threading.Thread(target=watched, args=[call], daemon=True) for call in calls]
    serving = [threading.Thread(target=watched, args=[functools.partial(serve, bus, over)], daemon=True) for _ in "ab"]
    for thread in walking + serving:
        thread.start()
    end_in_time(walking)
    over.set()
    with contextlib.suppress(TransitionFailures):
        bus.exit()
    end_in_time(serving)

    assert watch.wrong == []
    assert raised == []
    assert bus.state is State.EXITED


def end_in_time(threads: list[threading.Thread]) -> None:
    """Wait for *threads*; if they do not end, report their stacks."""
    deadline = time.monotonic() + 30
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    if any(thread.is_alive() for thread in threads):
        stacks = ["".join(traceback.format_stack(frame)) for frame in sys._current_frames().values()]
        pytest.fail("\n".join(stacks))
