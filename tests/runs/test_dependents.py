"""Runs whose failure restarts their component and its dependents: `Restart(takes="dependents")`."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Generator

import attrs
import pytest
from tests.doubles import LIMIT, ThreadCall
from tests.processes import until
from tests.runs.shops import Events, no_threads_left  # noqa: F401  # pyright: ignore[reportUnusedImport]  # a fixture

from typedbus import (
    RUN,
    RUNS,
    Bus,
    Component,
    Container,
    Limits,
    Resource,
    Restart,
    RestartPolicyError,
    RunFailed,
    RunState,
    State,
    Stopping,
    on,
)
from typedbus._bus.bus import parts_of
from typedbus.events import RunBegan, RunBroke, RunEnded, RunEvent, RunGaveUp
from typedbus.testing import FakeClock

pytestmark = pytest.mark.usefixtures("no_threads_left")

TAKES = Restart(takes="dependents", first=1.0, jitter=0)


@attrs.define(eq=False)
class Scene:
    """The actions that a test gives to its components, and the record of their hooks and runs."""

    notes: list[str] = attrs.field(factory=list)
    #: The functions that hooks call, by the notes of the hooks.
    acts: dict[str, Callable[[], object]] = attrs.field(factory=dict)
    #: By name, the arguments of the runs that are called.
    running: dict[str, Stopping] = attrs.field(factory=dict)
    errors: dict[str, BaseException] = attrs.field(factory=dict)
    #: By name, how many runs of it are called at present, and the most so far.
    counts: Counter[str] = attrs.field(factory=Counter)
    most: Counter[str] = attrs.field(factory=Counter)
    changed: threading.Condition = attrs.field(factory=threading.Condition)

    def note(self, note: str) -> None:
        """Record *note*, and call the function in `acts` for it."""
        with self.changed:
            self.notes.append(note)
            self.changed.notify_all()
        act = self.acts.get(note)
        if act is not None:
            act()

    def enter(self, name: str, stopping: Stopping) -> None:
        """Record that the run of *name* is called."""
        with self.changed:
            self.counts[name] += 1
            self.most[name] = max(self.most[name], self.counts[name])
            self.running[name] = stopping
            self.changed.notify_all()

    def leave(self, name: str) -> None:
        """Record that the run of *name* ends, and raise its error, if the test has set one."""
        with self.changed:
            self.counts[name] -= 1
            del self.running[name]
            self.changed.notify_all()
        error = self.errors.pop(name, None)
        if error is not None:
            raise error

    def fail(self, name: str, error: BaseException | None = None) -> None:
        """Let the run of *name* raise *error*."""
        self.until(name)
        self.errors[name] = error or OSError(f"no {name}")
        self.running[name].set()

    def until(self, *names: str) -> None:
        """Return when the runs of *names* are called."""
        with self.changed:
            assert self.changed.wait_for(lambda: set(names) <= set(self.running), LIMIT), self.running

    def until_noted(self, note: str, times: int = 1) -> None:
        """Return when *note* has been recorded so many *times*."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.notes.count(note) >= times, LIMIT), self.notes

    def until_over(self, name: str) -> None:
        """Return when the run of *name* is not called."""
        with self.changed:
            assert self.changed.wait_for(lambda: name not in self.running, LIMIT)


class Part:
    """A component with a run in a thread."""

    def __init__(self, scene: Scene, name: str, *needs: object) -> None:
        self.scene = scene
        self.name = name

    def start(self) -> None:
        self.scene.note(f"+{self.name}")

    def stop(self) -> None:
        self.scene.note(f"-{self.name}")

    @on(RUN)
    def work(self, stopping: Stopping) -> None:
        """Wait for the stop, or the failure."""
        self.scene.enter(self.name, stopping)
        stopping.wait()
        self.scene.leave(self.name)


class AsyncPart:
    """A component with a run that is a task."""

    def __init__(self, scene: Scene, name: str, *needs: object) -> None:
        self.scene = scene
        self.name = name

    async def start(self) -> None:
        self.scene.note(f"+{self.name}")

    async def stop(self) -> None:
        self.scene.note(f"-{self.name}")

    @on(RUN)
    async def work(self, stopping: Stopping) -> None:
        """Wait for the stop, or the failure."""
        self.scene.enter(self.name, stopping)
        await stopping.until_set()
        self.scene.leave(self.name)


@attrs.define(eq=False)
class Shop:
    """A site that runs: a pool that a worker needs, which a page needs, and a shelf."""

    scene: Scene
    bus: Bus
    events: Events
    clock: FakeClock

    def state(self, name: str) -> RunState:
        """Return the state of a run."""
        return self.bus.runs[f"Site.{name}"].state

    def fail(self, name: str, times: int = 1) -> None:
        """Let the run of *name* fail, and return when its component has stopped."""
        self.scene.fail(name)
        self.scene.until_noted(f"-{name}", times)


@contextlib.contextmanager
def started(
    *,
    kind: type[Part | AsyncPart] = Part,
    workers: int = 1,
    policies: dict[str, Restart] | None = None,
    limits: Limits | None = None,
) -> Generator[Shop]:
    """Yield a shop that has started; it exits at the end."""
    scene, clock = Scene(), FakeClock()
    policy = {"pool": TAKES} if policies is None else policies
    bus = Bus(clock=clock, workers=workers, limits=limits)

    class Site(Container):
        pool = Component(kind, scene, "pool")
        worker = Component(kind, scene, "worker", pool.provided)
        page = Component(kind, scene, "page", worker.provided)
        shelf = Component(kind, scene, "shelf")

    site = Site()
    for name, restart in policy.items():
        getattr(site, name).supervised(restart)
    events = Events(bus)
    site.attach(bus)
    bus.start()
    scene.until("pool", "worker", "page", "shelf")
    scene.notes.clear()
    try:
        yield Shop(scene, bus, events, clock)
    finally:
        scene.acts.clear()
        bus.exit()
    assert scene.running == {}
    assert set(scene.most.values()) == {1}


DOWN, UP = ["-page", "-worker", "-pool"], ["+pool", "+worker", "+page"]


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("kind", [Part, AsyncPart])
def test_a_dead_pool_takes_its_dependents_along(kind: type[Part | AsyncPart], workers: int) -> None:
    """Dependents stop before the pool and start after it; all three runs are called again; the shelf keeps running."""
    with started(kind=kind, workers=workers) as shop:
        shelf = shop.scene.running["shelf"]
        shop.fail("pool")
        shop.clock.advance(1.0)
        shop.events.until(RunBegan, 7)
        shop.scene.until("pool", "worker", "page")
        assert shop.scene.notes == [*DOWN, *UP]
        assert shop.scene.running["shelf"] is shelf
        assert shop.bus.state is State.STARTED
        begun = [event.path for event in shop.events.all if isinstance(event, RunBegan)][4:]
        assert sorted(begun) == ["Site.page", "Site.pool", "Site.worker"]


def test_the_failed_run_is_not_ready_until_its_component_has_started_again() -> None:
    """Its record is WAITING during the pause; then it counts one restart, and the record of a dependent none."""
    with started() as shop:
        shop.fail("pool")
        record = shop.bus.runs["Site.pool"]
        assert (record.state, record.is_ready, record.next_at) == (RunState.WAITING, False, 1.0)
        shop.clock.advance(1.0)
        shop.scene.until("pool", "page")
        record = shop.bus.runs["Site.pool"]
        assert (record.state, record.is_ready) == (RunState.RUNNING, True)
        assert (record.attempt, record.restarts, record.last_error) == (2, 1, "OSError('no pool')")
        assert shop.bus.runs["Site.page"].restarts == 0


def test_the_event_and_the_line_of_a_failure_come_before_the_restart() -> None:
    """The event and the line are the same as for a run that restarts alone; a second line names the components."""
    with started() as shop:
        shop.fail("pool")
        broke = shop.events.until(RunBroke)
        assert isinstance(broke, RunBroke)
        assert (broke.path, broke.attempt, broke.delay) == ("Site.pool", 1, 1.0)
        assert any(
            line.startswith("run Site.pool broke after 0.0 s: OSError('no pool'); again in 1.0 s (1 of 5 in 60 s)")
            for line in shop.events.lines
        )
        assert shop.events.lines.count("Site.pool restarts with Site.page, Site.worker") == 1


def test_too_many_failures_exit_the_bus() -> None:
    """Restarts of the component do not reset the window."""
    with started(policies={"pool": Restart(takes="dependents", most=2, first=1.0, jitter=0)}) as shop:
        block = ThreadCall(shop.bus.block)
        for number, pause in enumerate((1.0, 2.0)):
            shop.fail("pool", number + 1)
            shop.clock.advance(pause)
            shop.scene.until("pool", "worker", "page")
        shop.scene.fail("pool")
        gave_up = shop.events.until(RunGaveUp)
        assert isinstance(gave_up, RunGaveUp)
        assert (gave_up.path, gave_up.attempts) == ("Site.pool", 3)
        error = block.finished().error
        assert isinstance(error, RunFailed)
        assert (error.path, error.attempts, len(error.errors)) == ("Site.pool", 3, 3)
        assert shop.scene.notes[-4:] == ["-shelf", *DOWN]


def test_a_start_that_fails_counts_as_a_failure_of_the_run() -> None:
    """The started components stop again, and the next attempt follows the next pause."""
    with started() as shop:
        errors: list[BaseException] = [OSError("no start")]

        def fail() -> None:
            if errors:
                raise errors.pop()

        shop.scene.acts["+worker"] = fail
        shop.fail("pool")
        shop.clock.advance(1.0)
        second = shop.events.until(RunBroke, 2)
        assert isinstance(second, RunBroke)
        assert (second.path, repr(second.error), second.delay) == ("Site.pool", "OSError('no start')", 2.0)
        shop.scene.until_noted("-pool", 2)
        assert shop.bus.runs["Site.pool"].last_error == "OSError('no start')"
        shop.clock.advance(2.0)
        shop.scene.until("pool", "worker", "page")
        assert shop.scene.notes == [*DOWN, "+pool", "+worker", "-pool", *UP]
        assert shop.events.lines.count("Site.pool restarts with Site.page, Site.worker") == 1


def test_a_part_that_is_given_up_stays_stopped() -> None:
    """With ``then="unready"`` the bus continues without the components, and the run is FAILED."""
    with started(policies={"pool": Restart(takes="dependents", most=1, first=1.0, jitter=0, then="unready")}) as shop:

        def fail() -> None:
            raise OSError("no start")

        shop.scene.acts["+page"] = fail
        shop.fail("pool")
        shop.clock.advance(1.0)
        gave_up = shop.events.until(RunGaveUp)
        assert isinstance(gave_up, RunGaveUp)
        assert gave_up.path == "Site.pool"
        shop.scene.until_noted("-pool", 2)
        assert shop.scene.notes == [*DOWN, *UP, "-worker", "-pool"]
        assert (shop.bus.state, shop.state("pool"), shop.state("shelf")) == (
            State.STARTED,
            RunState.FAILED,
            RunState.RUNNING,
        )
        shop.bus.stop()
        assert shop.scene.notes[-1] == "-shelf"
        shop.scene.acts.clear()
        shop.bus.start()
        shop.scene.until("pool", "worker", "page", "shelf")


def test_a_stop_hook_that_fails_does_not_prevent_the_restart() -> None:
    """The failure is logged with its traceback."""
    with started() as shop:

        def fail() -> None:
            raise OSError("no stop")

        shop.scene.acts["-worker"] = fail
        shop.fail("pool")
        shop.clock.advance(1.0)
        shop.scene.until("pool", "worker", "page")
        assert any(
            "the restart of Site.pool continues after Site.worker.stop has failed" in line for line in shop.events.lines
        )
        shop.scene.acts.clear()


def test_a_start_that_raises_system_exit_exits_the_bus() -> None:
    """`block` raises the `SystemExit` of the hook, as after every start."""
    with started() as shop:
        block = ThreadCall(shop.bus.block)

        def leave() -> None:
            raise SystemExit(3)

        shop.scene.acts["+worker"] = leave
        shop.fail("pool")
        shop.clock.advance(1.0)
        error = block.finished().error
        assert isinstance(error, SystemExit)
        assert error.code == 3
        assert shop.scene.notes == [*DOWN, "+pool", "+worker", "-pool", "-shelf"]


# Requests during a restart.

ASKED: dict[str, Callable[[Bus], object]] = {
    "stop": Bus.stop,
    "exit": Bus.exit,
    "stop_async": lambda bus: asyncio.run(bus.stop_async()),
    "exit_async": lambda bus: asyncio.run(bus.exit_async()),
}


@pytest.mark.parametrize("ask", ASKED)
@pytest.mark.parametrize("step", [*DOWN, "pause", *UP, "begin"])
def test_a_stop_at_any_step_ends_every_run_once(step: str, ask: str) -> None:
    """No run is called afterwards, and each component is stopped as often as it has started."""
    with started() as shop:
        calls: list[ThreadCall] = []
        machine = parts_of(shop.bus).machine

        def interfere() -> None:
            calls.append(ThreadCall(lambda: ASKED[ask](shop.bus)))
            while machine.current is not None and machine.current.goal is State.STARTED:
                threading.Event().wait(0.001)

        shop.scene.acts[step] = interfere
        shop.fail("pool") if step in ("pause", "begin", *UP) else shop.scene.fail("pool")
        if step == "pause":
            calls.append(ThreadCall(lambda: ASKED[ask](shop.bus)))
        elif step in ("begin", *UP):
            shop.clock.advance(1.0)
        if step == "begin":
            shop.scene.until("pool")
            calls.append(ThreadCall(lambda: ASKED[ask](shop.bus)))
        elif step != "pause":
            shop.scene.until_noted(step)
        while not calls:
            threading.Event().wait(0.001)
        assert calls[0].finished().error is None
        assert shop.bus.state is (State.EXITED if "exit" in ask else State.STOPPED)
        assert shop.scene.running == {}
        notes = Counter(shop.scene.notes)
        assert {
            name: notes[f"-{name}"] - notes[f"+{name}"] for name in ("pool", "worker", "page", "shelf")
        } == dict.fromkeys(("pool", "worker", "page", "shelf"), 1)
        assert shop.state("pool") in (RunState.ENDED, RunState.FAILED)


@attrs.define
class Replaced:
    """A replacement of the process that only records its calls."""

    errors: list[BaseException | None] = attrs.field(factory=list)

    def problem(self) -> str | None:
        return None

    def replace(self, error: BaseException | None) -> None:
        self.errors.append(error)


@pytest.mark.parametrize("step", [*DOWN, *UP])
def test_a_restart_of_the_process_ends_a_partial_restart(step: str) -> None:
    """The thread in `block` exits the bus, and replaces the process."""
    with started() as shop:
        replaced = shop.bus.replacement = Replaced()
        threads: list[threading.Thread] = []

        def interfere() -> None:
            shop.scene.acts.clear()
            shop.scene.acts["-shelf"] = lambda: threads.append(threading.current_thread())
            shop.bus.restart()

        shop.scene.acts[step] = interfere

        def fail() -> None:
            shop.scene.fail("pool")
            if step in UP:
                shop.scene.until_noted("-pool")
                shop.clock.advance(1.0)

        call = ThreadCall(fail)
        shop.bus.block()
        call.finished()
        assert replaced.errors == [None]
        assert threads == [threading.current_thread()]
        assert shop.scene.running == {}
        shop.bus.replacement = None


def test_a_hook_of_a_part_may_stop_the_bus() -> None:
    """The thread of the failed run carries out the stop, which does not wait for that run."""
    with started() as shop:
        shop.scene.acts["-worker"] = shop.bus.stop
        shop.scene.fail("pool")
        assert shop.bus.wait(State.STOPPED, LIMIT) is State.STOPPED
        assert shop.scene.notes == ["-page", "-worker", "-shelf", "-pool"]
        assert shop.state("pool") is RunState.ENDED


# Several failures.


@pytest.mark.parametrize("order", [["pool", "worker"], ["worker", "pool"]])
def test_two_runs_that_fail_at_once_restart_once(order: list[str]) -> None:
    """The restart of the pool includes the worker, whichever of the two fails first."""
    both = {"pool": TAKES, "worker": TAKES}
    with started(policies=both) as shop:
        first, second = order
        shop.scene.acts["-page"] = lambda: shop.scene.fail(second) if second in shop.scene.running else None
        shop.scene.fail(first)
        shop.events.until(RunBroke)
        shop.scene.until_noted("-pool")
        shop.clock.advance(1.0)
        shop.events.until(RunBegan, 7)
        shop.scene.until("pool", "worker", "page", "shelf")
        assert shop.scene.notes == [*DOWN, *UP]


def test_a_run_that_is_ended_while_it_reports_its_failure_restarts_nothing() -> None:
    """The restart of the pool, which has ended the run, includes its component."""
    with started(policies={"pool": TAKES, "worker": TAKES}) as shop:

        def report(event: RunEvent) -> None:
            if isinstance(event, RunBroke) and event.path == "Site.worker":
                shop.scene.fail("pool")
                until(lambda: shop.state("worker") is RunState.STOPPING)

        shop.bus[RUNS].subscribe(report)
        shop.scene.fail("worker")
        shop.scene.until_noted("-pool")
        shop.clock.advance(1.0)
        shop.events.until(RunBegan, 7)
        until(lambda: not parts_of(shop.bus).machine.restarts)
        assert shop.scene.notes == [*DOWN, *UP]


def test_a_run_that_waits_for_its_restart_is_taken_along() -> None:
    """The restart of the pool includes the worker, so that the waiting restart of the worker is dropped."""
    with started(policies={"pool": TAKES, "worker": TAKES}) as shop:
        machine = parts_of(shop.bus).machine

        def end(event: RunEvent) -> None:
            if isinstance(event, RunEnded) and event.path == "Site.page":
                subscription.cancel()
                shop.scene.fail("worker")
                until(lambda: len(machine.restarts) == 2)

        subscription = shop.bus[RUNS].subscribe(end)
        shop.fail("pool")
        shop.clock.advance(1.0)
        shop.events.until(RunBegan, 7)
        until(lambda: not machine.restarts)
        shop.scene.until("pool", "worker", "page")
        assert shop.scene.notes == [*DOWN, *UP]


def test_a_run_of_a_part_that_was_given_up_does_not_begin_with_another() -> None:
    """Its component stays stopped, and the run FAILED, when another component restarts."""
    page = Restart(takes="dependents", most=1, first=1.0, jitter=0, then="unready")
    with started(policies={"page": page, "shelf": TAKES}) as shop:

        def fail() -> None:
            raise OSError("no start")

        shop.scene.acts["+page"] = fail
        shop.fail("page")
        shop.clock.advance(1.0)
        shop.events.until(RunGaveUp)
        until(lambda: not parts_of(shop.bus).machine.restarts)
        shop.fail("shelf")
        shop.clock.advance(1.0)
        shop.scene.until("shelf")
        until(lambda: not parts_of(shop.bus).machine.restarts)
        assert shop.state("page") is RunState.FAILED
        assert "page" not in shop.scene.running


def test_a_run_that_fails_when_it_is_asked_to_end_does_not_prevent_the_restart() -> None:
    """The error of the worker's run is logged, and the run is called again with the others."""
    with started() as shop:
        shop.scene.errors["worker"] = ValueError("not in order")
        shop.fail("pool")
        shop.clock.advance(1.0)
        shop.scene.until("pool", "worker", "page")
        assert shop.scene.notes == [*DOWN, *UP]
        assert any("ValueError('not in order')" in line for line in shop.events.lines)


def test_a_run_that_raises_system_exit_when_it_is_asked_to_end_exits_the_bus() -> None:
    """No hook of the restart is called; the exit stops all components."""
    with started() as shop:
        block = ThreadCall(shop.bus.block)
        shop.scene.errors["worker"] = SystemExit(3)
        shop.scene.fail("pool")
        error = block.finished().error
        assert isinstance(error, SystemExit)
        assert shop.scene.notes == ["-shelf", *DOWN]


def test_restarts_of_parts_without_a_common_component_follow_each_other() -> None:
    """The second restart begins after the pause and the start of the first."""
    with started(policies={"page": TAKES, "shelf": TAKES}) as shop:
        shop.fail("page")
        shop.scene.fail("shelf")
        shop.events.until(RunBroke, 2)
        shop.clock.advance(1.0)
        shop.scene.until_noted("-shelf")
        shop.clock.advance(1.0)
        shop.scene.until("pool", "worker", "page", "shelf")
        assert shop.scene.notes == ["-page", "+page", "-shelf", "+shelf"]


# Kinds of runs.


class Twin(Part):
    """A component with two runs."""

    @on(RUN)
    def watch(self, stopping: Stopping) -> None:
        """Wait for the stop."""
        self.scene.enter(f"{self.name} watch", stopping)
        stopping.wait()
        self.scene.leave(f"{self.name} watch")


def test_the_other_runs_of_the_component_are_called_again() -> None:
    """All runs of the component end before its hooks of `STOP`, and begin again after its hooks of `START`."""
    scene, bus = Scene(), Bus()

    class Site(Container):
        pool = Component(Twin, scene, "pool").supervised(Restart(takes="dependents", first=0.01))

    Site().attach(bus)
    events = Events(bus)
    bus.start()
    scene.until("pool", "pool watch")
    scene.fail("pool watch")
    events.until(RunBegan, 4)
    scene.until("pool", "pool watch")
    assert scene.notes == ["+pool", "-pool", "+pool"]
    assert {path: record.attempt for path, record in bus.runs.items()} == {"Site.pool.work": 2, "Site.pool.watch": 2}
    bus.exit()
    assert set(scene.most.values()) == {1}


class Awaited(Part):
    """A component whose start waits for its run."""

    @on(RUN, awaited=True)
    def work(self, stopping: Stopping) -> None:
        """Become ready, and wait for the stop."""
        self.scene.note(f"run {self.name}")
        stopping.ready()
        super().work(stopping)


def test_awaited_runs_are_called_at_their_turn() -> None:
    """A restart waits for them as the first start does; a failure before the run is ready is a failure of the start."""
    scene, bus = Scene(), Bus()
    errors: list[BaseException] = [OSError("not ready")]

    def fail() -> None:
        if errors:
            raise errors.pop()

    class Site(Container):
        pool = Component(Awaited, scene, "pool").supervised(Restart(takes="dependents", first=0.01))
        worker = Component(Awaited, scene, "worker", pool.provided)

    Site().attach(bus)
    events = Events(bus)
    bus.start()
    up = ["+pool", "run pool", "+worker", "run worker"]
    assert scene.notes == up
    scene.notes.clear()
    scene.acts["run worker"] = fail
    scene.fail("pool")
    second = events.until(RunBroke, 2)
    assert isinstance(second, RunBroke)
    assert (second.path, repr(second.error)) == ("Site.pool", "OSError('not ready')")
    events.until(RunBegan, 6)
    scene.until("pool", "worker")
    assert scene.notes == ["-worker", "-pool", *up, "-worker", "-pool", *up]
    assert not [event for event in events.all if isinstance(event, RunGaveUp)]
    bus.exit()
    assert set(scene.most.values()) == {1}


def test_a_user_of_a_resource_keeps_its_failures_although_it_is_built_again() -> None:
    """`Bus.runs` has its run all the time, and too many failures exit the bus."""
    scene, clock = Scene(), FakeClock()
    bus = Bus(clock=clock)

    def opened() -> Generator[object]:
        scene.note("open")
        yield object()
        scene.note("close")

    class Site(Container):
        file = Resource(opened)
        reader = Component(Part, scene, "reader", file.provided).supervised(
            Restart(takes="dependents", first=1.0, jitter=0, most=1)
        )

    Site().attach(bus)
    bus.start()
    scene.fail("reader")
    scene.until_noted("-reader")
    until(lambda: parts_of(bus).machine.current is not None and len(scene.notes) == 3)
    assert bus.runs["Site.reader"].state is RunState.WAITING
    clock.advance(1.0)
    scene.until("reader")
    assert bus.runs["Site.reader"].attempt == 2
    scene.fail("reader")
    with pytest.raises(RunFailed):
        bus.block()
    assert scene.notes == ["open", "+reader", "-reader", "+reader", "-reader", "close"]


def test_a_run_that_does_not_end_is_left_behind_and_called_once_at_a_time() -> None:
    """The restart continues without the run, whose next call begins when the earlier one has ended."""
    opened, entered = threading.Event(), threading.Event()
    scene, bus = Scene(), Bus(limits=Limits(hook=0.5))

    class Hanging(Part):
        @on(RUN)
        def work(self, stopping: Stopping) -> None:
            self.scene.enter(self.name, stopping)
            stopping.wait()
            entered.set()
            assert opened.wait(LIMIT)
            self.scene.leave(self.name)

    class Site(Container):
        pool = Component(Part, scene, "pool").supervised(Restart(takes="dependents", first=0.01))
        worker = Component(Hanging, scene, "worker", pool.provided)

    Site().attach(bus)
    events = Events(bus)
    bus.start()
    scene.until("pool", "worker")
    scene.fail("pool")
    assert entered.wait(LIMIT)
    scene.until_noted("+worker", 2)
    assert any("the restart of Site.pool continues although a run has not ended" in line for line in events.lines)
    opened.set()
    events.until(RunBegan, 4)
    scene.until("pool", "worker")
    assert scene.most["worker"] == 1
    bus.exit()


def test_async_hooks_and_runs_restart_on_the_loop_of_the_caller() -> None:
    """A thread carries out the restart, so that the loop can run the hooks."""
    scene, bus = Scene(), Bus()

    class Site(Container):
        pool = Component(AsyncPart, scene, "pool").supervised(Restart(takes="dependents", first=0.01))
        worker = Component(AsyncPart, scene, "worker", pool.provided)

    async def main() -> None:
        Site().attach(bus)
        await bus.start_async()
        await asyncio.to_thread(scene.fail, "pool")
        await asyncio.to_thread(scene.until_noted, "+worker", 2)
        await asyncio.to_thread(scene.until, "pool", "worker")
        await bus.exit_async()

    asyncio.run(main())
    assert scene.notes == ["+pool", "+worker", "-worker", "-pool", "+pool", "+worker", "-worker", "-pool"]
    assert scene.most == {"pool": 1, "worker": 1}


def test_an_unknown_depth_is_refused() -> None:
    """`Restart` raises `RestartPolicyError` for it."""
    with pytest.raises(RestartPolicyError, match="takes='all' is not one of 'itself', 'dependents'"):
        Restart(takes="all")  # type: ignore[arg-type]
