"""
Finds leaks of a test: threads, tasks, runs, buses that have not exited, open scopes, listeners on a bus that outlives
it, and signal handlers.

The check runs between the fixtures of the test and the wider fixtures: those of a
class, a module or a session are set up before and torn down after it, and may
keep threads and listeners. A thread may end shortly after the test: a connection of
aiosqlite, for example, ends its thread when it is closed, and has no way to join it.

Tasks are looked for at the exit of each bus: pytest-asyncio, anyio and the bus itself
cancel the tasks of a loop when it ends, which is often before the end of the test.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
import traceback
import types
import weakref
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

import pytest

from typedbus._base.states import State
from typedbus._base.structured import StructuredError
from typedbus._bus.bus import Bus, parts_of
from typedbus._bus.event_loop import LOOP_WATCHERS
from typedbus._bus.forked import BUSES
from typedbus._channels.subscriptions import Subscription
from typedbus.pytest_plugin._runs import RunsLeft, paths_left

if TYPE_CHECKING:
    from typedbus._bus.asyncio_loop import AsyncioLoop
    from typedbus._bus.event_loop import EventLoop
    from typedbus._channels.watching import Watch
    from typedbus._container.container import Container
    from typedbus._container.scope import Scope

#: How long the threads of a test may take to end after it, in seconds.
_GRACE: Final = 1.0

Lasting: TypeAlias = "weakref.WeakKeyDictionary[Bus | Container, None]"

#: The buses and containers that may outlive the next test: from wider fixtures, or started by earlier tests.
LASTING: Final = pytest.StashKey[Lasting]()
#: The containers that the test has started; the test itself may have dropped them before the check looks.
CONTAINERS: Final = pytest.StashKey["list[Container]"]()


class ThreadsLeft(StructuredError, AssertionError):
    """
    Raised after a test that started threads which still run.

    Attributes:
        threads: The name of each thread, with its stack as text.
    """

    threads: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        stacks = "\n".join(f"thread {name!r} is at:\n{stack.rstrip()}" for name, stack in self.threads)
        return (
            f"the test left {len(self.threads)} thread(s) running; join each in the test, or in the stop() or exit() "
            f"of the component that started it, or pass it to bus.own(), so that the exit waits for it\n{stacks}"
        )


class TasksLeft(StructuredError, AssertionError):
    """
    Raised after a test whose components had created tasks that still ran when their bus exited.

    Attributes:
        tasks: The name of each task, or of its coroutine, with its stack as text.
    """

    tasks: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        stacks = "\n".join(f"task {name!r} is at:\n{stack.rstrip()}" for name, stack in self.tasks)
        return (
            f"the test left {len(self.tasks)} task(s) running; cancel and await each in the stop() or exit() of the "
            f"component that created it\n{stacks}"
        )


class BusesLeft(StructuredError, AssertionError):
    """
    Raised after a test that started buses with an event loop of their own, which have not exited.

    Attributes:
        buses: The name and the state of each bus.
    """

    buses: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        lines = "\n".join(f"bus {name!r} is {state}" for name, state in self.buses)
        return (
            f"the test left {len(self.buses)} event loop(s) running, in threads of buses that have not exited; start "
            "the container with the fixture typedbus_running or in a block, `with running(container):`, or call "
            f"bus.exit()\n{lines}"
        )


class ScopesLeft(StructuredError, AssertionError):
    """
    Raised after a test that opened scopes which are still open.

    Attributes:
        scopes: Each scope as text: its container, its age, its place in development mode, and its open objects.
    """

    scopes: tuple[str, ...]

    def __str__(self) -> str:
        lines = "\n".join(self.scopes)
        return (
            f"the test left {len(self.scopes)} scope(s) open; open each in a block, `with container.scope() as scope:`, "
            f"or with the fixture typedbus_scope\n{lines}"
        )


class ListenersLeft(StructuredError, AssertionError):
    """
    Raised after a test whose listeners and watchers are still on a bus that outlives it.

    Attributes:
        listeners: The name, the channel and the place of each listener and watcher.
    """

    listeners: tuple[tuple[str, str, str], ...]

    def __str__(self) -> str:
        lines = "\n".join(f"{name} on {channel!r} ({place})" for name, channel, place in self.listeners)
        return (
            f"the test left {len(self.listeners)} listener(s) or watcher(s) on a bus that outlives it; end each with a block, "
            f"`with bus[channel].subscribe(listener):` or `with bus.watch(watcher):`, or start a separate container in the test\n{lines}"
        )


class SignalsLeft(StructuredError, AssertionError):
    """
    Raised after a test that changed signal handlers and did not restore them.

    Attributes:
        signals: The name of each signal, its handler before the test, and its handler now.
    """

    signals: tuple[tuple[str, str, str], ...]

    def __str__(self) -> str:
        lines = "\n".join(f"{name} was {before}, and is {after}" for name, before, after in self.signals)
        return (
            f"the test left {len(self.signals)} signal handler(s) changed; restore the handler that signal.signal() "
            f"returned, or stop the component that changed it\n{lines}"
        )


@pytest.fixture
def typedbus_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test if it leaves threads, tasks, runs, buses or scopes, listeners on a bus that outlives it, or other signal handlers."""
    outliving = request.config.stash[LASTING]
    lasting = list(outliving)
    scopes_before = set(_open_scopes(lasting))
    containers: list[Container] = []
    request.node.stash[CONTAINERS] = containers
    listeners = set(_listening(lasting))
    threads = set(threading.enumerate())
    handlers = _handlers()
    tasks: list[tuple[str, str]] = []
    runs: set[str] = set()

    def watch(event_loop: EventLoop, loop: AsyncioLoop) -> None:
        from typedbus.pytest_plugin._tasks import tasks_left  # loaded only where there is an event loop

        runs_of_bus = paths_left(event_loop)
        runs.update(runs_of_bus)
        tasks.extend(tasks_left(event_loop, loop, runs_of_bus))

    LOOP_WATCHERS.append(watch)
    yield
    __tracebackhide__ = True
    LOOP_WATCHERS.remove(watch)
    leaks: list[BaseException] = []
    # The threads of a running bus may continue; those of a bus that has exited should have ended.
    running_buses = [parts_of(bus) for bus in _buses_of(lasting) if bus.state is not State.EXITED]
    allowed = threads.union(*(parts.main_loop.threads for parts in running_buses))
    allowed = allowed.union(*(parts.event_loop.threads for parts in running_buses))
    new = [thread for thread in threading.enumerate() if thread not in allowed]
    bus_of_thread = {thread: bus for bus in list(BUSES) for thread in parts_of(bus).event_loop.threads}
    buses = dict.fromkeys(bus_of_thread[thread] for thread in new if thread in bus_of_thread)
    if buses:
        leaks.append(BusesLeft(tuple((parts_of(bus).event_loop.name, bus.state.name) for bus in buses)))
    running = _stacks([thread for thread in new if thread not in bus_of_thread])
    leaks += _running_leaks(running, tasks, runs | paths_left())
    scopes = [scope for scope in _open_scopes([*lasting, *containers]) if scope not in scopes_before]
    del request.node.stash[CONTAINERS]
    if scopes:
        from typedbus._container.open_scopes import described

        leaks.append(ScopesLeft(tuple(described(scopes))))
    subscribed = [
        (listening.name, "all channels" if listening.channel is None else listening.channel.name, listening.place)
        for listening in _listening(lasting)
        if listening not in listeners
    ]
    if subscribed:
        leaks.append(ListenersLeft(tuple(subscribed)))
    handlers_now = _handlers()
    changed = [
        (name, _handler_name(handler), _handler_name(handlers_now[name]))
        for name, handler in handlers.items()
        if handlers_now[name] != handler
    ]
    if changed:
        leaks.append(SignalsLeft(tuple(changed)))
    raise_all("the test left several leaks", leaks)


class Everywhere:
    """Looks for leaks after every test, if the option `typedbus_leaks` is set."""

    @pytest.fixture(autouse=True)
    def _typedbus_leaks(self, typedbus_leaks: None) -> None:
        """Make every test use the fixture."""


def _running_leaks(
    threads: list[tuple[str, str]], tasks: list[tuple[str, str]], runs: Collection[str]
) -> Iterator[BaseException]:
    """Yield the leaks for *threads* and *tasks*, given as names and stacks; a name in *runs* is the path of a run."""
    if left := tuple(thread for thread in threads if thread[0] not in runs):
        yield ThreadsLeft(left)
    if left := tuple(task for task in tasks if task[0] not in runs):
        yield TasksLeft(left)
    if left := tuple(one for one in (*threads, *tasks) if one[0] in runs):
        yield RunsLeft(left)


def _stacks(threads: Collection[threading.Thread]) -> list[tuple[str, str]]:
    """Return the name and the stack of each of *threads* that is at work, and remains so for the period of grace."""
    end = time.monotonic() + _GRACE
    while True:
        frames = sys._current_frames()  # noqa: SLF001  # documented, and the only way to another thread's stack  # pyright: ignore[reportPrivateUsage]
        # A thread that was not started by `threading` stays in its list after its end.
        running = [
            (thread, frame)
            for thread in threads
            if (frame := frames.get(thread.ident or 0)) is not None and not _is_idle(thread, frame)
        ]
        if not running or time.monotonic() > end:
            return [(thread.name, "".join(traceback.format_stack(frame))) for thread, frame in running]
        del frames, running  # the frames hold the local variables of the threads
        time.sleep(0.005)


def _is_idle(thread: threading.Thread, frame: types.FrameType) -> bool:
    """Whether *thread* is a thread of a loop's default executor that waits for work; it ends with its event loop."""
    return thread.name.startswith(("asyncio_", "uvloop_")) and frame.f_code.co_name == "_worker"


def _buses_of(lasting: list[Bus | Container]) -> list[Bus]:
    """Return the buses in *lasting*, and those of its containers, without repetition."""
    buses: dict[Bus, None] = {}
    for value in lasting:
        if isinstance(value, Bus):
            buses[value] = None
            continue
        from typedbus._container.core import core_of  # loaded only where a container was created

        if (bus := core_of(value).bus) is not None:
            buses[bus] = None
    return list(buses)


def _open_scopes(containers: Sequence[Bus | Container]) -> list[Scope]:
    """Return the open scopes of *containers*, and of all containers that are attached to a bus."""
    if "typedbus._container.core" not in sys.modules:
        return []
    from typedbus._container.core import attached_to, core_of

    cores = {core: None for bus in list(BUSES) for core in attached_to(bus)}
    cores |= {core_of(container): None for container in containers if not isinstance(container, Bus)}
    return [scope for core in cores for scope in core.open_scopes]


def _listening(lasting: list[Bus | Container]) -> list[Subscription | Watch]:
    """Return the subscriptions and watches on the buses of *lasting*, except subscriptions of containers and components."""
    owners = {id(value) for value in lasting}
    registries = [parts_of(bus).registry for bus in _buses_of(lasting)]
    channels = [bound for registry in registries for bound in list(registry.bound.values())]
    subscriptions = [
        subscription
        for bound in channels
        for subscription in bound.subscriptions
        if subscription.node is None and id(getattr(subscription.listener, "__self__", None)) not in owners
    ]
    watches = dict.fromkeys(watch for registry in registries for watch in list(registry.watches))
    watches |= dict.fromkeys(watch for bound in channels for watch in bound.watches)
    return [*subscriptions, *watches]


def _handlers() -> dict[str, object]:
    """Return all signal handlers except that of SIGALRM, which pytest-timeout sets and removes after a failed test."""
    numbers = signal.valid_signals() - {getattr(signal, "SIGALRM", None)}
    return {getattr(number, "name", f"signal {number}"): signal.getsignal(number) for number in numbers}


def _handler_name(handler: object) -> str:
    return handler.name if isinstance(handler, signal.Handlers) else repr(handler)


def raise_all(message: str, errors: list[BaseException]) -> None:
    """Raise *errors*, if there are any: a single error unchanged, several in a group with *message*."""
    __tracebackhide__ = True
    if len(errors) > 1:
        raise BaseExceptionGroup(message, errors)
    if errors:
        raise errors[0]


for _error in (ThreadsLeft, TasksLeft, BusesLeft, ScopesLeft, ListenersLeft, SignalsLeft):
    _error.__module__ = "typedbus.pytest_plugin"
