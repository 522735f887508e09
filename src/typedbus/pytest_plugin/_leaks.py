"""
Finds leaks of a test: threads, listeners on a bus that outlives it, signal handlers.

The check runs between the fixtures of the test and the wider fixtures: those of a
class, a module or a session are set up before and torn down after it, and may
keep threads and listeners. There is no grace period: a thread that is about to
end is one that the test did not wait for, and whether it is found is a matter of luck.
"""

from __future__ import annotations

import signal
import sys
import threading
import traceback
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, TypeAlias

import pytest

from typedbus._base.states import State
from typedbus._base.structured import StructuredError
from typedbus._bus.bus import Bus
from typedbus._bus.registry import ASSEMBLE
from typedbus._channels.bound import Subscription

if TYPE_CHECKING:
    from typedbus._container.container import Container

Lasting: TypeAlias = "weakref.WeakKeyDictionary[Bus | Container, None]"

#: The buses and containers that may outlive the next test: from wider fixtures, or started by earlier tests.
LASTING: Final = pytest.StashKey[Lasting]()


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
            f"of the component that began it, or give it to bus.own(), whose threads are waited for\n{stacks}"
        )


class ListenersLeft(StructuredError, AssertionError):
    """
    Raised after a test whose listeners are still subscribed to a bus that outlives it.

    Attributes:
        listeners: The name, the channel and the place of each listener.
    """

    listeners: tuple[tuple[str, str, str], ...]

    def __str__(self) -> str:
        lines = "\n".join(f"{name} on {channel!r} ({place})" for name, channel, place in self.listeners)
        return (
            f"the test left {len(self.listeners)} listener(s) on a bus that outlives it; end each with the test, "
            f"`with bus[channel].subscribe(listener):`, or give the test a container of its own\n{lines}"
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
            f"the test left {len(self.signals)} signal(s) to another handler than before; keep what signal.signal() "
            f"returns and put it back, or stop the component that took it\n{lines}"
        )


@pytest.fixture
def typedbus_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test if it leaves threads, listeners on a bus that outlives it, or other signal handlers."""
    known = request.config.stash[LASTING]
    lasting = list(known)
    listeners = set(_listening(lasting))
    threads = set(threading.enumerate())
    handlers = _handlers()
    yield
    __tracebackhide__ = True
    problems: list[BaseException] = []
    # The threads of a running bus may go on; those of a bus that has exited should have ended.
    buses = [bus for one in lasting if (bus := _bus_of(one)) is not None and bus.state is not State.EXITED]
    kept = threads.union(*(bus._owned for bus in buses))
    new = [thread for thread in threading.enumerate() if thread not in kept]
    frames = sys._current_frames()
    # A thread that was not started by `threading` stays in its list after its end.
    running = [
        (thread.name, "".join(traceback.format_stack(frames[thread.ident]))) for thread in new if thread.ident in frames
    ]
    if running:
        problems.append(ThreadsLeft(tuple(running)))
    left = [
        (subscription.name, subscription.channel.name, subscription.place)
        for subscription in _listening(lasting)
        if subscription not in listeners
    ]
    if left:
        problems.append(ListenersLeft(tuple(left)))
    now = _handlers()
    changed = [(name, _named(had), _named(now[name])) for name, had in handlers.items() if now[name] != had]
    if changed:
        problems.append(SignalsLeft(tuple(changed)))
    raise_all("the test left several things behind", problems)


class Everywhere:
    """Looks for leaks after every test, if the option `typedbus_leaks` is set."""

    @pytest.fixture(autouse=True)
    def _typedbus_leaks(self, typedbus_leaks: None) -> None:
        """Make every test use the fixture."""


def _bus_of(one: Bus | Container) -> Bus | None:
    if isinstance(one, Bus):
        return one
    from typedbus._container.core import core_of  # loaded only where a container was created

    return core_of(one).bus


def _listening(lasting: list[Bus | Container]) -> list[Subscription]:
    """Return the subscriptions on the buses of *lasting*, except those of containers and their components."""
    buses = dict.fromkeys(bus for one in lasting if (bus := _bus_of(one)) is not None)
    owners = {id(one) for one in lasting}
    return [
        each
        for bus in buses
        for bound in list(bus._bound.values())
        if bound.channel is not ASSEMBLE
        for each in bound.subscriptions
        if each.node is None and id(getattr(each.listener, "__self__", None)) not in owners
    ]


def _handlers() -> dict[str, object]:
    """Return all signal handlers but that of SIGALRM, which pytest-timeout sets and removes after a failed test."""
    numbers = signal.valid_signals() - {getattr(signal, "SIGALRM", None)}
    return {getattr(number, "name", f"signal {number}"): signal.getsignal(number) for number in numbers}


def _named(handler: object) -> str:
    return handler.name if isinstance(handler, signal.Handlers) else repr(handler)


def raise_all(what: str, problems: list[BaseException]) -> None:
    """Raise *problems*, if there are any: a single one as it is, several in a group."""
    __tracebackhide__ = True
    if len(problems) > 1:
        raise BaseExceptionGroup(what, problems)
    if problems:
        raise problems[0]


for _raised in (ThreadsLeft, ListenersLeft, SignalsLeft):
    _raised.__module__ = "typedbus.pytest_plugin"
