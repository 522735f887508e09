"""
Finds leaks of a test: threads, listeners on a bus that outlives it, signal handlers.

The check runs between the fixtures of the test and the wider fixtures: those of a
class, a module or a session are set up before and torn down after it, and may
keep threads and listeners. There is no grace period: if the test did not wait for
a thread, it is chance whether the thread still runs when the check looks.
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
from typedbus._bus.bus import Bus, parts_of
from typedbus._channels.subscriptions import Subscription

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
            f"of the component that started it, or pass it to bus.own(), so that the exit waits for it\n{stacks}"
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
            f"the test left {len(self.listeners)} listener(s) on a bus that outlives it; subscribe each in a block, "
            f"`with bus[channel].subscribe(listener):`, or start a separate container in the test\n{lines}"
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
    """Fail the test if it leaves threads, listeners on a bus that outlives it, or other signal handlers."""
    outliving = request.config.stash[LASTING]
    lasting = list(outliving)
    listeners = set(_listening(lasting))
    threads = set(threading.enumerate())
    handlers = _handlers()
    yield
    __tracebackhide__ = True
    leaks: list[BaseException] = []
    # The threads of a running bus may continue; those of a bus that has exited should have ended.
    running_buses = [bus for bus in _buses_of(lasting) if bus.state is not State.EXITED]
    allowed = threads.union(*(parts_of(bus).loop.threads for bus in running_buses))
    new = [thread for thread in threading.enumerate() if thread not in allowed]
    frames = sys._current_frames()  # noqa: SLF001  # documented, and the only way to another thread's stack  # pyright: ignore[reportPrivateUsage]
    # A thread that was not started by `threading` stays in its list after its end.
    running = [
        (thread.name, "".join(traceback.format_stack(frames[thread.ident]))) for thread in new if thread.ident in frames
    ]
    if running:
        leaks.append(ThreadsLeft(tuple(running)))
    subscribed = [
        (subscription.name, subscription.channel.name, subscription.place)
        for subscription in _listening(lasting)
        if subscription not in listeners
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


def _listening(lasting: list[Bus | Container]) -> list[Subscription]:
    """Return the subscriptions on the buses of *lasting*, except those of containers and their components."""
    owners = {id(value) for value in lasting}
    return [
        subscription
        for bus in _buses_of(lasting)
        for bound in list(parts_of(bus).registry.bound.values())
        for subscription in bound.subscriptions
        if subscription.node is None and id(getattr(subscription.listener, "__self__", None)) not in owners
    ]


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


for _error in (ThreadsLeft, ListenersLeft, SignalsLeft):
    _error.__module__ = "typedbus.pytest_plugin"
