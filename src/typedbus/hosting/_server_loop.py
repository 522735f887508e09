"""
The event loop of a server: it waits for the threads of a host, and runs the async hooks of the bus.

Async hooks need asyncio. A server that runs on trio, as hypercorn can, hosts containers without async hooks.
"""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections.abc import Callable
from concurrent import futures
from typing import Any, Protocol

from typedbus._base.coroutines import is_async_callable
from typedbus._base.structured import computed
from typedbus._bus.asyncio_loop import AsyncioLoop
from typedbus._bus.bus import Bus, parts_of
from typedbus._bus.hook_worker import raised_by
from typedbus._container.container import Container
from typedbus._container.core import analysis_of, components_of
from typedbus._container.faults import Fault
from typedbus._container.hooks import PHASED
from typedbus._os.exhausted import OutOfThreads, start_thread


class AsyncHookFault(Fault):
    """
    A component of a hosted container has async hooks, and the server runs on trio.

    Attributes:
        hooks: The names of their channels.
    """

    problem: str = computed()
    remedy: str = computed()
    hooks: tuple[str, ...]

    def __post_init__(self) -> None:
        names = ", ".join(self.hooks)
        self.problem = f"it has async hooks ({names}), which need an asyncio event loop, but the server runs on trio"
        self.remedy = "run the server on asyncio (hypercorn --worker-class asyncio), or make the hooks plain functions"


class ServerLoop(Protocol):
    """The event loop of a server."""

    def faults(self, container: Container, /) -> list[Fault]:
        """Return a fault for each hook of *container* that this loop cannot run."""
        ...

    def lend_to(self, bus: Bus, action: str, /) -> None:
        """
        Make this loop run the async hooks of *bus* until its exit; may be called in any thread.

        Args:
            bus: The bus, which has not been started.
            action: The beginning of the text of the error.

        Raises:
            LoopError: The components of the bus were built for another loop.
        """

    def doubt_about(self, bus: Bus, /) -> str | None:
        """Return why requests on this loop may fail if they use the async components of *bus*, which is started."""

    async def call(
        self, function: Callable[[], None], /, abandon: Callable[[futures.Future[BaseException | None]], object]
    ) -> BaseException | None:
        """
        Call *function* in a daemon thread, and return the exception that it raises, or None.

        If the caller is cancelled, the function goes on, and the cancellation is raised at once. Before that, *abandon*
        receives a future, whose result will be the exception or None.
        """
        ...


def running_loop() -> ServerLoop:
    """Return the event loop that runs in this thread."""
    try:
        loop = AsyncioLoop.running()
    except RuntimeError:
        return _Trio()
    return _Asyncio(loop)


class _Asyncio:
    def __init__(self, loop: AsyncioLoop) -> None:
        self._loop = loop

    def faults(self, container: Container, /) -> list[Fault]:
        return []

    def lend_to(self, bus: Bus, action: str, /) -> None:
        parts_of(bus).event_loop.lend(action, self._loop)

    def doubt_about(self, bus: Bus, /) -> str | None:
        other = parts_of(bus).event_loop.used_instead_of(self._loop)
        return None if other is None else _doubt(other, self._loop.name)

    async def call(
        self, function: Callable[[], None], /, abandon: Callable[[futures.Future[BaseException | None]], object]
    ) -> BaseException | None:
        outcome: futures.Future[BaseException | None] = futures.Future()
        # A running call cannot be cancelled, even if the server no longer waits for it.
        outcome.set_running_or_notify_cancel()
        thread = threading.Thread(
            target=lambda: outcome.set_result(raised_by(function)), name=f"lifespan {function.__name__}", daemon=True
        )
        try:
            start_thread(thread)
        except OutOfThreads as error:
            return error
        try:
            return await asyncio.wrap_future(outcome)
        except asyncio.CancelledError:
            abandon(outcome)
            raise


class _Trio:
    def faults(self, container: Container, /) -> list[Fault]:
        analysis = analysis_of(container)
        faults: list[Fault] = []
        for component in components_of(container):
            _, hooks = analysis.listening(component)
            names = [hook.channel.name for hook in hooks if hook.channel in PHASED and is_async_callable(hook.method)]
            if names and component.is_enabled():
                faults.append(AsyncHookFault(component.path, component.place, tuple(names)))
        return faults

    def lend_to(self, bus: Bus, action: str, /) -> None:
        pass

    def doubt_about(self, bus: Bus, /) -> str | None:
        other = parts_of(bus).event_loop.used_instead_of(None)
        return None if other is None else _doubt(other, "trio")

    async def call(
        self, function: Callable[[], None], /, abandon: Callable[[futures.Future[BaseException | None]], object]
    ) -> BaseException | None:
        trio: Any = importlib.import_module("trio")
        outcome: futures.Future[BaseException | None] = futures.Future()
        try:
            await trio.to_thread.run_sync(lambda: outcome.set_result(raised_by(function)), abandon_on_cancel=True)
        except trio.Cancelled:
            abandon(outcome)
            raise
        return outcome.result()


def _doubt(used: AsyncioLoop, name: str) -> str:
    return (
        f"the async hooks of the bus ran on {used.name}, and requests run on {name}: a lock or a connection that belongs "
        "to one event loop does not work on another; start the bus on the loop of the server, by its lifespan or with "
        "async with running(...)"
    )
