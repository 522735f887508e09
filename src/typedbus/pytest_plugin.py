"""
What pytest gets of typedbus: containers that run for a test, and what a test left behind.

pytest loads this module at the beginning of every run wherever typedbus is
installed, for suites too that never start a container. So it imports what
`import typedbus` does and no more, and the container library comes with the
first test that starts one.

What a test left is looked for between its own fixtures and the wider ones:
those of a class, a module or a session are set up before and torn down after,
and what they began is theirs. Nobody is given time to end, but for the threads
that a bus waits for by itself, in `Bus.block`: one that is about to end is one
that the test did not wait for, and whether it is seen is then a matter of luck.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import traceback
import weakref
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

import attrs
import pytest

from typedbus._bound import Subscription
from typedbus._bus import Bus
from typedbus._doorbell import outlived
from typedbus._failures import LimitError
from typedbus._states import State
from typedbus._turns import Limits

if TYPE_CHECKING:
    from typedbus._container import Container

__all__ = ("LimitsMarkError", "ListenersLeft", "RunningFixture", "SignalsLeft", "ThreadsLeft")

C = TypeVar("C", bound="Container")
T = TypeVar("T")
Lasting: TypeAlias = "weakref.WeakKeyDictionary[Bus | Container, None]"

MARK: Final = "typedbus_limits"
#: How long threads that a bus owns may take to end after its exit, in seconds; as long as `Bus.block` gives them.
PATIENCE: Final = 5.0
#: What may outlive the next test: what wider fixtures gave, and what earlier tests started.
_lasting: Final = pytest.StashKey[Lasting]()


class ThreadsLeft(AssertionError):
    """
    Raised after a test that began threads which still run.

    Attributes:
        threads: The name of each, with its stack as text.
    """

    def __init__(self, threads: Sequence[tuple[str, str]]) -> None:
        super().__init__(threads)
        self.threads: tuple[tuple[str, str], ...] = tuple(threads)

    def __str__(self) -> str:
        stacks = "\n".join(f"thread {name!r} is at:\n{stack.rstrip()}" for name, stack in self.threads)
        return (
            f"the test left {len(self.threads)} thread(s) running; join each in the test, or in the stop() or exit() "
            f"of the component that began it, or give it to bus.own(), whose threads are waited for\n{stacks}"
        )


class ListenersLeft(AssertionError):
    """
    Raised after a test whose listeners are still subscribed to a bus that outlives it.

    Attributes:
        listeners: The name, the channel and the place of each.
    """

    def __init__(self, listeners: Sequence[tuple[str, str, str]]) -> None:
        super().__init__(listeners)
        self.listeners: tuple[tuple[str, str, str], ...] = tuple(listeners)

    def __str__(self) -> str:
        lines = "\n".join(f"{name} on {channel!r} ({place})" for name, channel, place in self.listeners)
        return (
            f"the test left {len(self.listeners)} listener(s) on a bus that outlives it; end each with the test, "
            f"`with bus[channel].subscribe(listener):`, or give the test a container of its own\n{lines}"
        )


class SignalsLeft(AssertionError):
    """
    Raised after a test that left signals to somebody else than it found there.

    Attributes:
        signals: The name of each, who had it before, and who has it now.
    """

    def __init__(self, signals: Sequence[tuple[str, str, str]]) -> None:
        super().__init__(signals)
        self.signals: tuple[tuple[str, str, str], ...] = tuple(signals)

    def __str__(self) -> str:
        lines = "\n".join(f"{name} was {before}, and is {after}" for name, before, after in self.signals)
        return (
            f"the test left {len(self.signals)} signal(s) to another handler than before; keep what signal.signal() "
            f"returns and put it back, or stop the component that took it\n{lines}"
        )


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
    exited itself is fine. For the thread of the test alone.
    """

    def __init__(self, limits: Limits | None, lasting: Lasting) -> None:
        self._limits = limits
        self._lasting = lasting
        self._entered: list[contextlib.ExitStack] = []

    def __call__(
        self, container: C, /, *others: Container, workers: int | None = None, limits: Limits | None = None
    ) -> C:
        """
        Start *container* and *others*, as `running` does, and return the first.

        A bus that there was before has its own workers and limits again after the test.

        Args:
            container: The one that declares the bus.
            others: Containers that listen and publish on it as well.
            workers: How many components may start, or stop, side by side; unless given, what the bus says.
            limits: How long hooks, a start and a stop may take; unless given, what the mark `typedbus_limits` says,
                and without one what the bus says.

        Raises:
            InvalidContainer: Before anything is built, with the faults of all of them.
            LimitError: *workers* is no whole number from 1 up.
            TransitionError: The bus is running already, which is then left alone.
            TransitionFailures: The container did not start; what had started was stopped and has exited.
        """
        self._lasting.update(dict.fromkeys((container, *others)))
        self.enter(_started(container, others, workers, self._limits if limits is None else limits))
        return container

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
        _raise("what the test had started did not end well", problems)


@contextlib.contextmanager
def _started(
    container: Container, others: Sequence[Container], workers: int | None, limits: Limits | None
) -> Generator[None, None, None]:
    """Let containers run for a block, wait for the threads of their bus, and leave it as it was."""
    from typedbus._running import running

    __tracebackhide__ = True
    before = container._bus
    own = None if before is None else (before.workers, before.limits)
    attendant = None
    try:
        with running(container, *others, workers=workers, limits=limits):
            yield
            attendant = container.attach()._doorbell.attendant
    finally:
        if before is not None and own is not None:
            before.workers, before.limits = own
        bus = container._bus
        if bus is not None:
            # Who runs on after that is named by `typedbus_leaks`.
            outlived([*bus._owned, *([] if attendant is None else [attendant])], PATIENCE)


def _raise(what: str, problems: list[BaseException]) -> None:
    """Raise *problems*, if there are any: one as it is, several in a group."""
    __tracebackhide__ = True
    if len(problems) > 1:
        raise BaseExceptionGroup(what, problems)
    if problems:
        raise problems[0]


@pytest.fixture
def typedbus_running(request: pytest.FixtureRequest, typedbus_leaks: None) -> Iterator[RunningFixture]:
    """Start the containers that the test gives it, exit them after the test, the last first, and look for leaks."""
    runs = RunningFixture(_limits_of(request.node), request.config.stash[_lasting])
    yield runs
    __tracebackhide__ = True
    runs._end()


@pytest.fixture
def typedbus_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test if it leaves threads, listeners on a bus that outlives it, or signals to somebody else."""
    known = request.config.stash[_lasting]
    lasting = list(known)
    listeners = set(_listening(lasting))
    threads = set(threading.enumerate())
    handlers = _handlers()
    yield
    __tracebackhide__ = True
    problems: list[BaseException] = []
    # A bus that goes on has threads that go on; one that has exited was waited for, or not, as all others.
    buses = [bus for one in lasting if (bus := _bus_of(one)) is not None and bus.state is not State.EXITED]
    kept = threads.union(*(bus._owned for bus in buses))
    new = [thread for thread in threading.enumerate() if thread not in kept]
    frames = sys._current_frames()
    # A thread that was not begun by `threading` stays in its list after its end.
    running = [
        (thread.name, "".join(traceback.format_stack(frames[thread.ident]))) for thread in new if thread.ident in frames
    ]
    if running:
        problems.append(ThreadsLeft(running))
    left = [
        (subscription.name, subscription.channel.name, subscription.place)
        for subscription in _listening(lasting)
        if subscription not in listeners
    ]
    if left:
        problems.append(ListenersLeft(left))
    now = _handlers()
    changed = [(name, _named(had), _named(now[name])) for name, had in handlers.items() if now[name] != had]
    if changed:
        problems.append(SignalsLeft(changed))
    _raise("the test left several things behind", problems)


class _Everywhere:
    """Looks for leaks after every test, where the option `typedbus_leaks` says so."""

    @pytest.fixture(autouse=True)
    def _typedbus_leaks(self, typedbus_leaks: None) -> None:
        """Have every test use the fixture."""


def _bus_of(one: Bus | Container) -> Bus | None:
    return one if isinstance(one, Bus) else one._bus


def _listening(lasting: list[Bus | Container]) -> list[Subscription]:
    """Return who listens on the buses of *lasting*, but for what comes and goes with a container: itself, its components."""
    buses = dict.fromkeys(bus for one in lasting if (bus := _bus_of(one)) is not None)
    owners = {id(one) for one in lasting}
    return [
        each
        for bus in buses
        for bound in list(bus._bound.values())
        for each in bound.subscriptions
        if each.turn is None and id(getattr(each.listener, "__self__", None)) not in owners
    ]


def _handlers() -> dict[str, object]:
    """Return who has each signal but SIGALRM: pytest-timeout takes that, and lets go of it when a test has failed."""
    numbers = signal.valid_signals() - {getattr(signal, "SIGALRM", None)}
    return {getattr(number, "name", f"signal {number}"): signal.getsignal(number) for number in numbers}


def _named(handler: object) -> str:
    return handler.name if isinstance(handler, signal.Handlers) else repr(handler)


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
    config.stash[_lasting] = weakref.WeakKeyDictionary()
    if config.getini("typedbus_leaks"):
        config.pluginmanager.register(_Everywhere(), "typedbus-leaks")


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
) -> Generator[None, object, object]:
    """Keep in mind the buses and containers that outlive a test."""
    value = yield
    if fixturedef.scope != "function":
        if isinstance(value, Bus):
            request.config.stash[_lasting][value] = None
        # Nobody has a container before that module is there.
        elif "typedbus._container" in sys.modules:
            from typedbus._container import Container

            if isinstance(value, Container):
                request.config.stash[_lasting][value] = None
    return value
