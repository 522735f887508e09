"""Starts that return after their limit: the component is stopped, and does not start twice at once."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterator

import pytest
from tests.doubles import ThreadCall

from typedbus import (
    LOG,
    START,
    STOP,
    Bus,
    Component,
    Container,
    HookTimeout,
    Limits,
    StartPending,
    State,
    TransitionFailures,
    on,
)
from typedbus._bus.bus import parts_of
from typedbus._bus.hook_worker import HookWorker
from typedbus.events import COMPONENT_STARTING, ComponentStarting
from typedbus.plugins.monitor import BackgroundTask, Monitor
from typedbus.testing import FakeClock

PATIENCE = 10


class Gate:
    """Hooks wait here until the test opens it."""

    def __init__(self) -> None:
        self.is_open = threading.Event()
        self.arrived = threading.Semaphore(0)
        self.error: BaseException | None = None

    def go_through(self) -> None:
        """Wait for the gate, and raise its error, if it has one."""
        self.arrived.release()
        assert self.is_open.wait(PATIENCE)
        if self.error is not None:
            raise self.error


class Scene:
    """The shared objects of a test: the clock, the gate, and the recorded calls with their threads."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.gate = Gate()
        self.notes: list[str] = []
        self.threads: list[threading.Thread] = []
        self.changed = threading.Condition()

    def note(self, what: str) -> None:
        """Note *what*."""
        with self.changed:
            self.notes.append(what)
            self.threads.append(threading.current_thread())
            self.changed.notify_all()

    def await_note(self, what: str) -> None:
        """Return when *what* has been recorded."""
        with self.changed:
            assert self.changed.wait_for(lambda: what in self.notes, PATIENCE), self.notes

    def await_end(self, bus: Bus) -> None:
        """Return when each overdue start of *bus* has ended."""
        for late in list(parts_of(bus).machine.abandoned):
            assert late.is_over.wait(PATIENCE)

    def overrun(self, bus: Bus) -> TransitionFailures:
        """Start *bus*, advance the clock by a second when a hook waits at the gate, and return the exception."""
        return self._overrun(bus.start, self.gate.arrived.acquire)

    def overrun_again(self, bus: Bus) -> TransitionFailures:
        """Start *bus*, advance the clock by a second while its start waits for the overdue hook, and return the exception."""
        begun = threading.Semaphore(0)

        def look(event: ComponentStarting) -> None:
            if event.path != "Shop.before":
                begun.release()

        with bus[COMPONENT_STARTING].subscribe(look):
            return self._overrun(bus.start, begun.acquire)

    def _overrun(self, call: Callable[[], None], begun: Callable[..., bool]) -> TransitionFailures:
        caller = ThreadCall(call)
        assert begun(timeout=PATIENCE)
        self.clock.advance(1)
        error = caller.finished().error
        assert isinstance(error, TransitionFailures)
        return error


@pytest.fixture
def scene() -> Iterator[Scene]:
    """Yield a scene whose gate opens at the end of the test."""
    scene = Scene()
    yield scene
    scene.gate.is_open.set()


class Poller:
    """Its first start is late; records its hooks, with the number of the object."""

    def __init__(self, scene: Scene, bus: Bus, *needs: object) -> None:
        self.scene, self.bus = scene, bus
        self.number = len([note for note in scene.notes if note.startswith("build")]) + 1
        scene.note(f"build {self.number}")

    def note(self, hook: str) -> None:
        self.scene.note(f"{hook} {self.number}")

    def start(self) -> None:
        self.note("start")
        if not self.scene.gate.is_open.is_set():
            self.scene.gate.go_through()
            self.note("started late")

    def stop(self) -> None:
        self.note("stop")

    def exit(self) -> None:
        self.note("exit")


class Before:
    """A dependency of the poller."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def start(self) -> None:
        self.scene.note("start before")

    def stop(self) -> None:
        self.scene.note("stop before")


def shop(scene: Scene, kind: type[Poller] = Poller, *, workers: int = 1) -> Container:
    """Return a container whose poller is of *kind*, with a limit of a second for each hook."""

    class Shop(Container):
        bus = Component(Bus, clock=scene.clock, limits=Limits(hook=1), workers=workers)
        before = Component(Before, scene)
        poller = Component(kind, scene, bus.provided, before.provided)

    return Shop()


@pytest.mark.parametrize("workers", [1, 3])
def test_a_component_whose_start_returns_late_is_stopped(scene: Scene, workers: int) -> None:
    """Its stop is called in the thread of the start, and a warning on LOG names both."""
    bus = shop(scene, workers=workers).attach()
    lines: list[tuple[str, int]] = []
    bus[LOG].subscribe(lambda text, level, /: lines.append((text, level)))

    failed = scene.overrun(bus)
    rolled_back = list(scene.notes)
    scene.gate.is_open.set()
    scene.await_note("stop 1")
    scene.await_end(bus)

    assert [type(error) for error in failed.exceptions] == [HookTimeout]
    assert rolled_back == ["build 1", "start before", "start 1", "stop before"]
    assert scene.notes[4:] == ["started late 1", "stop 1"]
    assert scene.threads[4] is scene.threads[5]
    assert lines == [
        (
            "Shop.poller.start returned after 1.00 s; it had been given up; now it is undone by Shop.poller.stop",
            30,
        )
    ]
    bus.start()
    bus.stop()
    assert scene.notes[6:] == ["start before", "start 1", "stop 1", "stop before"]


def test_a_component_whose_start_fails_late_is_not_stopped(scene: Scene) -> None:
    """The next start may follow at once."""
    bus = shop(scene).attach()
    scene.gate.error = OSError("no network")
    lines: list[str] = []
    bus[LOG].subscribe(lambda text, level, /: lines.append(text))
    scene.overrun(bus)

    scene.gate.is_open.set()
    scene.await_end(bus)
    bus.start()

    assert "stop 1" not in scene.notes
    assert lines == ["Shop.poller.start ended with OSError('no network') after 1.00 s; it had been given up"]
    assert bus.state is State.STARTED
    bus.exit()


@pytest.mark.parametrize("error", [OSError("no stop"), SystemExit(3)], ids=repr)
def test_a_failing_stop_after_a_late_start_is_logged(scene: Scene, error: BaseException) -> None:
    """As an error with its traceback; the next start may follow."""

    class Stubborn(Poller):
        def stop(self) -> None:
            super().stop()
            raise error

    bus = shop(scene, Stubborn).attach()
    lines: list[tuple[str, int]] = []
    bus[LOG].subscribe(lambda text, level, /: lines.append((text, level)))
    scene.overrun(bus)
    scene.gate.is_open.set()
    scene.await_note("stop 1")
    scene.await_end(bus)
    bus.start()

    text, level = lines[1]
    assert text.startswith("Shop.poller.stop failed after the late start:\nTraceback")
    assert level == 40
    assert bus.state is State.STARTED


@pytest.mark.parametrize("workers", [1, 3])
def test_a_start_during_a_late_start_fails_and_names_it(scene: Scene, workers: int) -> None:
    """It waits for the limit of the hook, and does not call it."""
    bus = shop(scene, workers=workers).attach()
    scene.overrun(bus)

    failed = scene.overrun_again(bus)

    [pending] = failed.exceptions
    assert isinstance(pending, StartPending)
    assert (pending.path, pending.seconds, pending.limit, pending.scope) == ("Shop.poller", 2, 1, "hook")
    assert pending.place == f"{__file__}:{Poller.start.__code__.co_firstlineno}"
    assert "go_through" in pending.stack
    assert str(pending).startswith(
        f"Shop.poller cannot start: its start ({pending.place}) that was called 2.00 s ago, and was given up, "
        "has not been undone within 1 s, the limit of the hook; "
    )
    assert scene.notes.count("start 1") == 1
    assert bus.state is State.STOPPED

    scene.gate.is_open.set()
    scene.await_end(bus)
    bus.start()
    assert scene.notes[-2:] == ["start before", "start 1"]
    assert scene.notes.count("start 1") == 2


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("limit", [None, 60])
def test_a_start_waits_for_the_stop_after_a_late_start(scene: Scene, workers: int, limit: float | None) -> None:
    """Up to its limit, or without bound if it has no limit."""
    bus = shop(scene, workers=workers).attach()
    scene.overrun(bus)
    bus.limits = Limits(hook=limit)
    starting = threading.Thread(target=bus.start)
    del scene.notes[:]
    starting.start()
    scene.await_note("start before")

    scene.gate.is_open.set()
    starting.join(PATIENCE)

    assert scene.notes == ["start before", "started late 1", "stop 1", "start 1"]
    assert bus.state is State.STARTED


def test_an_inline_start_waits_for_a_late_start(scene: Scene) -> None:
    """In the thread of the transition, up to its limit."""

    class Inline(Poller):
        @on(START, inline=True)
        def begin(self) -> None:
            self.note("begin")

    bus = Bus(clock=scene.clock, limits=Limits(hook=1))
    poller = Inline(scene, bus)
    with bus[START].subscribe(poller.start):
        scene.overrun(bus)
    bus[START].subscribe(poller.begin)
    bus.limits = Limits(hook=0.01)

    with pytest.raises(TransitionFailures) as failed:
        bus.start()
    scene.gate.is_open.set()
    scene.await_end(bus)
    bus.start()

    assert [type(error) for error in failed.value.exceptions] == [StartPending]
    assert scene.notes.count("begin 1") == 1


def test_an_exit_during_a_late_start_is_left_to_its_thread(scene: Scene) -> None:
    """The component is stopped before its exit; the bus does not wait for it, and other components exit in their turn."""
    bus = shop(scene).attach()
    lines: list[str] = []
    bus[LOG].subscribe(lambda text, level, /: lines.append(text))
    scene.overrun(bus)
    bus.exit()
    state, exited = bus.state, list(scene.notes)

    scene.gate.is_open.set()
    scene.await_note("exit 1")
    scene.await_end(bus)

    assert state is State.EXITED
    assert "exit 1" not in exited
    assert scene.notes[-3:] == ["started late 1", "stop 1", "exit 1"]
    assert lines[0] == "Shop.poller.exit is not called until Shop.poller.start, which had been given up, has returned"


def test_a_component_whose_start_fails_late_exits_after_the_bus(scene: Scene) -> None:
    """Its exit hook releases what the constructor acquired; it is not stopped."""
    bus = shop(scene).attach()
    scene.gate.error = OSError("no network")
    scene.overrun(bus)
    bus.exit()

    scene.gate.is_open.set()
    scene.await_note("exit 1")

    assert "stop 1" not in scene.notes


@pytest.mark.parametrize("error", [None, OSError("no network")], ids=["returns", "fails"])
def test_a_component_with_two_start_hooks_is_stopped_once_after_the_late_one(
    scene: Scene, error: Exception | None
) -> None:
    """No stop runs concurrently with a start."""

    class Twice(Poller):
        def start(self) -> None:
            self.note("open")

        @on(START, priority=60)
        def begin(self) -> None:
            super().start()

    bus = shop(scene, Twice).attach()
    scene.gate.error = error
    scene.overrun(bus)
    rolled_back = list(scene.notes)
    bus.exit()

    scene.gate.is_open.set()
    scene.await_note("exit 1")
    scene.await_end(bus)

    assert "open 1" in rolled_back
    assert "stop 1" not in rolled_back
    assert scene.notes[-2:] == ["stop 1", "exit 1"]
    assert scene.notes.count("stop 1") == 1


def test_the_next_run_waits_for_a_late_start_of_the_previous_run(scene: Scene) -> None:
    """Its component is another object."""
    bus = shop(scene).attach()
    scene.overrun(bus)
    bus.exit()
    failed = scene.overrun_again(bus)

    scene.gate.is_open.set()
    scene.await_end(bus)
    bus.start()

    assert [type(error) for error in failed.exceptions] == [StartPending]
    late = ["started late 1", "stop 1", "exit 1"]
    assert [note for note in scene.notes if note in {*late, "start 2"}] == [*late, "start 2"]
    bus.exit()


def test_the_stop_after_a_late_start_may_exit_the_bus(scene: Scene) -> None:
    """Its thread does not belong to a transition any more."""

    class Ending(Poller):
        def stop(self) -> None:
            super().stop()
            self.bus.exit()

    bus = shop(scene, Ending).attach()
    scene.overrun(bus)

    scene.gate.is_open.set()
    scene.await_note("exit 1")

    assert scene.notes[-3:] == ["started late 1", "stop 1", "exit 1"]


def test_a_late_start_without_a_container_is_stopped(scene: Scene) -> None:
    """This applies to methods; a plain function is not stopped, but never runs twice at once."""
    bus = Bus(clock=scene.clock, limits=Limits(hook=1))
    poller = Poller(scene, bus)
    subscription = bus[START].subscribe(poller.start)
    bus[STOP].subscribe(poller.stop)
    scene.overrun(bus)
    pending = scene.overrun_again(bus)
    scene.gate.is_open.set()
    scene.await_note("stop 1")
    scene.await_end(bus)
    subscription.cancel()
    scene.gate.is_open.clear()

    @bus[START].subscribe()
    def plain() -> None:
        scene.note("plain")
        scene.gate.go_through()

    scene.overrun(bus)
    again = scene.overrun_again(bus)

    assert [type(failed.exceptions[0]) for failed in (pending, again)] == [StartPending, StartPending]
    assert scene.notes.count("plain") == 1


@pytest.mark.parametrize("kind", ["task", "monitor"])
def test_a_monitor_and_a_task_that_start_late_are_stopped(scene: Scene, kind: str) -> None:
    """Their threads end."""
    bus = Bus(clock=scene.clock, limits=Limits(hook=1))

    class LateTask(BackgroundTask):
        def start(self) -> None:
            scene.gate.go_through()
            super().start()
            scene.note("started")

    class LateMonitor(Monitor):
        def start(self) -> None:
            scene.gate.go_through()
            super().start()
            scene.note("started")

    part = (
        LateTask(bus, lambda stopping: stopping.wait(PATIENCE))
        if kind == "task"
        else LateMonitor(bus, lambda: None, every=60)
    )
    bus[START].subscribe(part.start)
    bus[STOP].subscribe(part.stop)
    scene.overrun(bus)

    scene.gate.is_open.set()
    scene.await_end(bus)

    assert scene.notes == ["started"]
    for thread in list(parts_of(bus).main_loop.threads):
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_sys_exit_in_a_log_listener_does_not_block_the_next_start(scene: Scene) -> None:
    """The next start may follow when the thread of the late start has ended, for whatever reason."""
    bus = shop(scene).attach()
    scene.overrun(bus)

    [late] = parts_of(bus).machine.abandoned

    def leave(text: str, level: int, /) -> None:
        raise SystemExit

    with bus[LOG].subscribe(leave):
        scene.gate.is_open.set()
        scene.await_end(bus)
        assert isinstance(late.runner, HookWorker)
        late.runner.thread.join(PATIENCE)
    bus.start()

    assert bus.state is State.STARTED


def test_a_start_that_never_returns_does_not_block_the_exit(scene: Scene) -> None:
    """It runs in a daemon thread."""
    bus = shop(scene).attach()
    scene.overrun(bus)
    [late] = parts_of(bus).machine.abandoned

    bus.exit()

    assert bus.state is State.EXITED
    assert isinstance(late.runner, HookWorker)
    assert late.runner.thread.daemon
    assert late.runner.thread.is_alive()


def test_a_fork_forgets_late_starts(scene: Scene) -> None:
    """Their threads exist only in the parent."""
    bus = shop(scene).attach()
    scene.overrun(bus)

    bus.detach()

    assert parts_of(bus).machine.abandoned == []


def test_a_pending_start_survives_pickling() -> None:
    """All of its attributes are kept."""
    error = StartPending("Shop.poller", "shop.py:7", 2.0, None, "interrupt", "in connect\n")

    copied = pickle.loads(pickle.dumps(error))

    assert vars(copied) == vars(error)
    assert "has not been undone before waiting was interrupted" in str(copied)
