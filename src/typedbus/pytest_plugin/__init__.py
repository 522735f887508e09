"""
The pytest plugin of typedbus: runs containers for a test, opens scopes for it, and finds leaks.

pytest loads this module at the beginning of every run wherever typedbus is
installed, even for suites that never start a container. So it imports no more
than `import typedbus` does; the container library is imported by the first test
that starts a container.

`_leaks` looks for leaks after a test. It reports each as an error of the
teardown, without the frames of this package.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import weakref
from collections.abc import AsyncGenerator, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

import attrs
import pytest

from typedbus._base.errors import LimitError, LoopError, NoContainer
from typedbus._base.exports import export
from typedbus._base.limits import Limits
from typedbus._base.structured import StructuredError
from typedbus._bus.bus import Bus, parts_of
from typedbus._bus.wakeup import outlived
from typedbus.pytest_plugin._leaks import (
    CONTAINERS,
    LASTING,
    BusesLeft,
    Everywhere,
    Lasting,
    ListenersLeft,
    ScopesLeft,
    SignalsLeft,
    TasksLeft,
    ThreadsLeft,
    raise_all,
    typedbus_leaks,
)
from typedbus.pytest_plugin._runs import MAY_BREAK, MayBreakMarkError, RunsBroke, RunsLeft, RunWatch, may_break_of
from typedbus.pytest_plugin._scopes import EndOfTest, ScopeFixture

if TYPE_CHECKING:
    from typedbus._container.container import Container

__all__ = (
    "BusesLeft",
    "EndOfTest",
    "LimitsMarkError",
    "ListenersLeft",
    "MayBreakMarkError",
    "NoContainer",
    "RunningFixture",
    "RunsBroke",
    "RunsLeft",
    "ScopeFixture",
    "ScopesLeft",
    "SignalsLeft",
    "TasksLeft",
    "ThreadsLeft",
    "typedbus_leaks",
    "typedbus_running",
    "typedbus_scope",
)

C = TypeVar("C", bound="Container")
T = TypeVar("T")

MARK: Final = "typedbus_limits"
#: How long threads that a bus owns may take to end after its exit, in seconds; as long as `Bus.block` gives them.
PATIENCE: Final = 5.0


class LimitsMarkError(StructuredError, ValueError):
    """
    Raised during test collection for an invalid mark `typedbus_limits`.

    Attributes:
        test: The pytest node id of the marked test.
        reason: What is wrong with the mark, and how to correct it.
    """

    test: str
    reason: str

    def __str__(self) -> str:
        return f"{self.test} is marked {MARK}, but {self.reason}"


class RunningFixture:
    """
    Starts containers for one test: the value of the fixture `typedbus_running`.

    ``shop = typedbus_running(Shop())``. The buses that it has started exit after the
    test, in reverse order, whatever failed; the test may also stop or exit a bus
    itself. If a component requested the exit with a cause, as a `BackgroundTask`
    does whose function failed, the cause is an error of the teardown. A run that
    failed is a `RunsBroke`, also if it was called again, unless the test has the
    mark `typedbus_may_break`. Only for the thread of the test.
    """

    def __init__(
        self,
        limits: Limits | None,
        may_break: tuple[str, ...] | None,
        lasting: Lasting,
        containers: list[Container],
        stacks: list[contextlib.ExitStack],
    ) -> None:
        self._limits = limits
        self._may_break = may_break
        self._lasting = lasting
        self._containers = containers
        self._stacks = stacks

    @overload
    def __call__(
        self,
        container: C,
        /,
        *others: Container | type[Container],
        workers: int | None = None,
        limits: Limits | None = None,
    ) -> C: ...

    @overload
    def __call__(
        self,
        container: type[C],
        /,
        *others: Container | type[Container],
        workers: int | None = None,
        limits: Limits | None = None,
    ) -> C: ...

    def __call__(
        self,
        container: C | type[C],
        /,
        *others: Container | type[Container],
        workers: int | None = None,
        limits: Limits | None = None,
    ) -> C:
        """
        Start *container* and *others*, or instances of them, as `running` does, and return the first.

        A bus that already existed gets its own workers and limits back after the test.

        Args:
            container: The container that declares the bus, or its class.
            others: Containers that share this bus, or their classes.
            workers: How many components may start, or stop, concurrently; by default the setting of the bus.
            limits: How long hooks, a start and a stop may take; by default those of the mark `typedbus_limits`,
                and without a mark those of the bus.

        Raises:
            NoContainer: An argument is neither a container nor a container class.
            InvalidContainer: A container has faults; raised with all of them, before any component is constructed.
            LimitError: *workers* is not a whole number from 1 up.
            TransitionError: The bus is already running; it is left unchanged.
            TransitionFailures: The start failed; the components that had started were stopped and have exited.
            LoopError: The caller runs on an event loop, and there are async hooks; use `on_loop`.
        """
        first, *guests = self._instances(container, *others)
        try:
            limits = self._limits if limits is None else limits
            self.enter(_started(first, guests, workers, limits, RunWatch(self._may_break)))
        except LoopError:
            raise LoopError(
                "typedbus_running(...)",
                "it would block the event loop of the test, on which async hooks have to run; "
                "write `async with typedbus_running.on_loop(...)`",
            ) from None
        result: Any = first
        return result  # type: ignore[no-any-return]  # it is *container*, or an instance of it

    @overload
    def on_loop(
        self,
        container: C,
        /,
        *others: Container | type[Container],
        workers: int | None = None,
        limits: Limits | None = None,
    ) -> contextlib.AbstractAsyncContextManager[C]: ...

    @overload
    def on_loop(
        self,
        container: type[C],
        /,
        *others: Container | type[Container],
        workers: int | None = None,
        limits: Limits | None = None,
    ) -> contextlib.AbstractAsyncContextManager[C]: ...

    @contextlib.asynccontextmanager
    async def on_loop(
        self,
        container: C | type[C],
        /,
        *others: Container | type[Container],
        workers: int | None = None,
        limits: Limits | None = None,
    ) -> AsyncGenerator[C, None]:
        """
        Run containers for a block, on the event loop of the caller: for async tests and async fixtures.

        ``async with typedbus_running.on_loop(Shop()) as shop:``. The bus exits at the end of the block, because the
        loop may end before the fixture. Arguments, limits and errors are those of ``typedbus_running(...)``.
        """
        from typedbus._container.running import Running

        __tracebackhide__ = True
        first, *guests = self._instances(container, *others)
        limits, runs = self._limits if limits is None else limits, RunWatch(self._may_break)
        with _settled(first, runs) as blocking:
            async with Running((first, *guests), workers, limits, runs.begin):
                try:
                    result: Any = first
                    yield result
                finally:
                    blocking.extend(_blocking(first))

    def _instances(self, *containers: object) -> list[Container]:
        """Return *containers*, or instances of them; their buses may outlive the test."""
        from typedbus._container.attachment import container_of

        instances = [container_of(container) for container in containers]
        self._lasting.update(dict.fromkeys(instances))
        self._containers.extend(instances)
        return instances

    def enter(self, context: contextlib.AbstractContextManager[T]) -> T:
        """
        Enter *context*, and leave it after the test, once everything entered or started later has been left or exited.

        Use it for an override, which must last until its container has exited:
        ``typedbus_running.enter(shop.override(Shop.bank).by(fake))``.
        """
        stack = contextlib.ExitStack()
        value = stack.enter_context(context)
        self._stacks.append(stack)
        return value


def _close_all(stacks: list[contextlib.ExitStack]) -> None:
    """Close *stacks*, the last one first, including those that are added meanwhile; then raise the failures."""
    __tracebackhide__ = True
    failures: list[BaseException] = []
    while stacks:
        try:
            stacks.pop().close()
        except RunsBroke as error:
            # Its traceback would show the context managers above, and no code of the test.
            failures.append(error.with_traceback(None))
        except BaseException as error:
            failures.append(error)
    raise_all("the containers and contexts of the test failed at their end", failures)


@contextlib.contextmanager
def _started(
    container: Container, others: Sequence[Container], workers: int | None, limits: Limits | None, runs: RunWatch
) -> Generator[None, None, None]:
    """Run containers for a block."""
    from typedbus._container.running import Running

    __tracebackhide__ = True
    block: Running[Container] = Running((container, *others), workers, limits, runs.begin)
    with _settled(container, runs) as blocking, block:
        yield
        blocking.extend(_blocking(container))


@contextlib.contextmanager
def _settled(container: Container, runs: RunWatch) -> Generator[list[threading.Thread], None, None]:
    """
    At the end of a block that runs *container*, wait for the threads of its bus, and restore its workers and limits.

    Then raise the problems of the block, including the failures that *runs* has recorded.

    Yields:
        A list, to which the block adds the thread in `Bus.block`.
    """
    from typedbus._container.core import core_of

    __tracebackhide__ = True
    core = core_of(container)
    existing_bus = core.bus
    options = None if existing_bus is None else (existing_bus.workers, existing_bus.limits)
    blocking: list[threading.Thread] = []
    failures: list[BaseException] = []
    try:
        yield blocking
    except BaseException as error:
        failures.append(error)
    if existing_bus is not None and options is not None:
        existing_bus.workers, existing_bus.limits = options
    bus = core.bus
    if bus is not None:
        # `typedbus_leaks` reports the threads that still run after that.
        outlived([*parts_of(bus).main_loop.threads, *blocking], PATIENCE)
        # A thread of the bus may have failed after the exit.
        failures.extend(parts_of(bus).main_loop.take_causes(failures))
    runs.end()
    problems = runs.problems(failures)
    if len(problems) == 1 and problems[0] not in failures:
        # `from` hides the context, which is the group that the problem was taken from.
        raise problems[0] from problems[0].__cause__
    raise_all("the bus has exited, with problems", problems)


def _blocking(container: Container) -> list[threading.Thread]:
    """Return the thread in `Bus.block`, if there is one; it is known until the bus has exited."""
    attendant = parts_of(container.attach()).requests.wakeup.attendant
    return [] if attendant is None else [attendant]


@pytest.fixture
def typedbus_running(request: pytest.FixtureRequest, typedbus_leaks: None) -> Iterator[RunningFixture]:
    """Start containers for the test, exit them after it in reverse order, and look for leaks."""
    stacks: list[contextlib.ExitStack] = []
    lasting, containers = request.config.stash[LASTING], request.node.stash[CONTAINERS]
    yield RunningFixture(_limits_of(request.node), may_break_of(request.node), lasting, containers, stacks)
    __tracebackhide__ = True
    _close_all(stacks)


@pytest.fixture
def typedbus_scope(typedbus_running: RunningFixture) -> ScopeFixture:
    """Open scopes of containers for the test, and roll them back after it."""
    return ScopeFixture(typedbus_running.enter)


def _limits_of(node: pytest.Item) -> Limits | None:
    """
    Return the limits of the nearest mark `typedbus_limits` of *node*, or None.

    Raises:
        LimitsMarkError: The arguments of the mark are not valid limits.
    """
    __tracebackhide__ = True
    mark = node.get_closest_marker(MARK)
    if mark is None:
        return None
    names = [field.name for field in attrs.fields(Limits)]
    unknown = [name for name in mark.kwargs if name not in names]
    if mark.args or unknown:
        problem = f"{mark.args[0]!r} has no name" if mark.args else f"there is no limit {unknown[0]!r}"
        raise LimitsMarkError(node.nodeid, f"{problem}: give seconds for {', '.join(names)}, by name")
    try:
        return Limits(**mark.kwargs)
    except LimitError as error:
        raise LimitsMarkError(node.nodeid, str(error)) from None


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the option with pytest."""
    parser.addini(
        "typedbus_leaks",
        "look for leaks after every test: threads, tasks, runs, buses, scopes, listeners and signal handlers",
        type="bool",
        default=False,
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks with pytest, and the leak check of every test if the option is set."""
    config.addinivalue_line(
        "markers",
        f"{MARK}(hook=None, start=None, stop=None, rollback=None, exit=None): "
        "time limits, in seconds, for the containers that typedbus_running starts in this test",
    )
    config.addinivalue_line(
        "markers",
        f"{MAY_BREAK}(*paths): the runs at these paths, or all runs without a path, may break in this test, "
        "in containers that typedbus_running starts",
    )
    config.stash[LASTING] = weakref.WeakKeyDictionary()
    if config.getini("typedbus_leaks"):
        config.pluginmanager.register(Everywhere(), "typedbus-leaks")


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem() -> Generator[None, object, object]:
    """Refuse tests with an invalid mark."""
    __tracebackhide__ = True
    items = yield
    for item in items if isinstance(items, list) else ():
        if isinstance(item, pytest.Item):
            _limits_of(item)
            may_break_of(item)
    return items


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
) -> Generator[None, Any, Any]:
    """Record the buses and containers that outlive a test."""
    value = yield
    if fixturedef.scope != "function":
        # Not `__class__`, which a mock or a proxy may define: reading it may import, connect or fail.
        cls = type(value)
        module = sys.modules.get("typedbus._container.container")
        if issubclass(cls, Bus) or (module is not None and issubclass(cls, module.Container)):
            request.config.stash[LASTING][value] = None
    return value


export(globals())
