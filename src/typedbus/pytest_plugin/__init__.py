"""
What pytest gets of typedbus: containers that run for a test, and what a test left behind.

pytest loads this module at the beginning of every run wherever typedbus is
installed, for suites too that never start a container. So it imports what
`import typedbus` does and no more, and the container library comes with the
first test that starts one.

`_leaks` looks at what a test left. Whatever it finds is an error of the
teardown, told without the frames of this package.
"""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

import attrs
import pytest

from typedbus._base.errors import LimitError, NoContainer
from typedbus._base.exports import export
from typedbus._base.limits import Limits
from typedbus._bus.bus import Bus
from typedbus._bus.wakeup import outlived
from typedbus.pytest_plugin._leaks import (
    LASTING,
    Everywhere,
    Lasting,
    ListenersLeft,
    SignalsLeft,
    ThreadsLeft,
    raise_all,
    typedbus_leaks,
)

if TYPE_CHECKING:
    from typedbus._container.container import Container

__all__ = (
    "LimitsMarkError",
    "ListenersLeft",
    "NoContainer",
    "RunningFixture",
    "SignalsLeft",
    "ThreadsLeft",
    "typedbus_leaks",
    "typedbus_running",
)

C = TypeVar("C", bound="Container")
T = TypeVar("T")

MARK: Final = "typedbus_limits"
#: How long threads that a bus owns may take to end after its exit, in seconds; as long as `Bus.block` gives them.
PATIENCE: Final = 5.0


class LimitsMarkError(ValueError):
    """
    Raised where tests are collected, for a mark `typedbus_limits` that sets no limits.

    Attributes:
        test: The test that is marked, as pytest calls it.
        reason: What is wrong with the mark, and what to do.
    """

    def __init__(self, test: str, reason: str) -> None:
        super().__init__(test, reason)
        self.test = test
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.test} is marked {MARK}, but {self.reason}"


class RunningFixture:
    """
    Starts containers for one test, which has it of the fixture `typedbus_running`.

    ``shop = typedbus_running(Shop())``. What it has started is exited after the
    test, the last first, whatever failed; a bus that the test has stopped or
    exited itself is fine. If a component requested the exit with a cause, as a
    `BackgroundTask` does whose function failed, the cause is an error of the
    teardown. For the thread of the test alone.
    """

    def __init__(self, limits: Limits | None, lasting: Lasting) -> None:
        self._limits = limits
        self._lasting = lasting
        self._entered: list[contextlib.ExitStack] = []

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

        A bus that there was before has its own workers and limits again after the test.

        Args:
            container: The one that declares the bus, or its class.
            others: Containers that listen and publish on it as well, or their classes.
            workers: How many components may start, or stop, side by side; unless given, what the bus says.
            limits: How long hooks, a start and a stop may take; unless given, what the mark `typedbus_limits` says,
                and without one what the bus says.

        Raises:
            NoContainer: One of them is neither a container nor the class of one.
            InvalidContainer: Before anything is built, with the faults of all of them.
            LimitError: *workers* is no whole number from 1 up.
            TransitionError: The bus is running already, which is then left alone.
            TransitionFailures: The container did not start; what had started was stopped and has exited.
        """
        from typedbus._container.running import container_of

        first, *guests = [container_of(one) for one in (container, *others)]
        for one in (first, *guests):
            self._lasting[one] = None
        self.enter(_started(first, guests, workers, self._limits if limits is None else limits))
        shown: Any = first
        return shown  # type: ignore[no-any-return]  # it is *container*, or an instance of it

    def enter(self, context: contextlib.AbstractContextManager[T]) -> T:
        """
        Enter *context*, and leave it after the test, when what was entered and started later has been left and exited.

        For an override, which has to last until its container has exited:
        ``typedbus_running.enter(shop.override(Shop.bank).by(fake))``.
        """
        held = contextlib.ExitStack()
        entered = held.enter_context(context)
        self._entered.append(held)
        return entered

    def _end(self) -> None:
        """Leave and exit everything, the last first; then raise what failed."""
        __tracebackhide__ = True
        problems: list[BaseException] = []
        while self._entered:
            try:
                self._entered.pop().close()
            except BaseException as failed:
                problems.append(failed)
        raise_all("what the test had started did not end well", problems)


@contextlib.contextmanager
def _started(
    container: Container, others: Sequence[Container], workers: int | None, limits: Limits | None
) -> Generator[None, None, None]:
    """Let containers run for a block, wait for the threads of their bus, and leave it as it was."""
    from typedbus._container.running import running

    __tracebackhide__ = True
    before = container._bus
    own = None if before is None else (before.workers, before.limits)
    attendant = None
    problems: list[BaseException] = []
    try:
        with running(container, *others, workers=workers, limits=limits):
            yield
            attendant = container.attach()._doorbell.attendant
    except BaseException as failed:
        problems.append(failed)
    if before is not None and own is not None:
        before.workers, before.limits = own
    bus = container._bus
    if bus is not None:
        # Threads that still run after that are named by `typedbus_leaks`.
        outlived([*bus._owned, *([] if attendant is None else [attendant])], PATIENCE)
        # A thread of the bus may have failed after the exit, while it ended.
        problems.extend(bus._take_causes(problems))
    raise_all("the bus has exited, with problems", problems)


@pytest.fixture
def typedbus_running(request: pytest.FixtureRequest, typedbus_leaks: None) -> Iterator[RunningFixture]:
    """Start the containers that the test gives it, exit them after the test, the last first, and look for leaks."""
    runs = RunningFixture(_limits_of(request.node), request.config.stash[LASTING])
    yield runs
    __tracebackhide__ = True
    runs._end()


def _limits_of(node: pytest.Item) -> Limits | None:
    """
    Return what the nearest mark `typedbus_limits` of *node* says, if there is one.

    Raises:
        LimitsMarkError: It does not say what can be a limit.
    """
    __tracebackhide__ = True
    mark = node.get_closest_marker(MARK)
    if mark is None:
        return None
    names = [field.name for field in attrs.fields(Limits)]
    unknown = [name for name in mark.kwargs if name not in names]
    if mark.args or unknown:
        what = f"{mark.args[0]!r} has no name" if mark.args else f"there is no limit {unknown[0]!r}"
        raise LimitsMarkError(node.nodeid, f"{what}: give seconds for {', '.join(names)}, by name")
    try:
        return Limits(**mark.kwargs)
    except LimitError as wrong:
        raise LimitsMarkError(node.nodeid, str(wrong)) from None


def pytest_addoption(parser: pytest.Parser) -> None:
    """Tell pytest of the option."""
    parser.addini("typedbus_leaks", "look after every test for what it left behind", type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest of the mark, and look after every test if that is asked for."""
    config.addinivalue_line(
        "markers",
        f"{MARK}(hook=None, start=None, stop=None, rollback=None, exit=None): "
        "seconds that parts of a life may take, for what typedbus_running starts",
    )
    config.stash[LASTING] = weakref.WeakKeyDictionary()
    if config.getini("typedbus_leaks"):
        config.pluginmanager.register(Everywhere(), "typedbus-leaks")


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem() -> Generator[None, object, object]:
    """Refuse tests with a mark that is wrong."""
    __tracebackhide__ = True
    made = yield
    for item in made if isinstance(made, list) else ():
        if isinstance(item, pytest.Item):
            _limits_of(item)
    return made


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
) -> Generator[None, Any, Any]:
    """Keep in mind the buses and containers that outlive a test."""
    value = yield
    if fixturedef.scope != "function":
        # What a mock or a proxy says of its class is not asked for: that may import, connect or fail.
        kind = type(value)
        loaded = sys.modules.get("typedbus._container.container")
        if issubclass(kind, Bus) or (loaded is not None and issubclass(kind, loaded.Container)):
            request.config.stash[LASTING][value] = None
    return value


export(globals())
