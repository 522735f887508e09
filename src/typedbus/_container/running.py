"""Containers that run for the length of a block, on one bus."""

from __future__ import annotations

import contextlib
import types
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from typing import Any, overload

from typing_extensions import TypeVar

from typedbus._base.errors import LoopError, TransitionError
from typedbus._base.failures import chain_failure
from typedbus._base.limits import Limits
from typedbus._base.states import State
from typedbus._bus.bus import Bus, parts_of
from typedbus._bus.event_loop import would_block
from typedbus._bus.hook_worker import raised_by
from typedbus._bus.machine import StateMachine
from typedbus._container.attachment import container_of, sharing
from typedbus._container.container import Container

C = TypeVar("C", bound=Container)


class Running(contextlib.AbstractContextManager[C, None], contextlib.AbstractAsyncContextManager[C, None]):
    """
    The result of `running`: starts containers at the beginning of a ``with`` or ``async with`` block, exits at its end.

    Each block is a run of its own, so the object may be used for several blocks, one after the other.

    Args:
        containers: As in `running`.
        workers: As in `running`.
        limits: As in `running`.
        attached: Called with the bus before each start, if given.
    """

    def __init__(
        self,
        containers: Sequence[Container | type[Container]],
        workers: int | None,
        limits: Limits | None,
        attached: Callable[[Bus], object] | None = None,
    ) -> None:
        self._containers = containers
        self._workers = workers
        self._limits = limits
        self._attached = attached
        self._block: contextlib.AbstractContextManager[C, bool | None] | None = None
        self._async_block: contextlib.AbstractAsyncContextManager[C, bool | None] | None = None

    def __enter__(self) -> C:
        """Start the containers in this thread, and return the first."""
        block = self._run()
        first = block.__enter__()
        self._block = block
        return first

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None, /
    ) -> None:
        """Exit the bus; see `running`."""
        block, self._block = self._block, None
        assert block is not None
        block.__exit__(kind, error, trace)

    async def __aenter__(self) -> C:
        """Start the containers, with their async hooks on the event loop of the caller, and return the first."""
        block = self._run_async()
        first = await block.__aenter__()
        self._async_block = block
        return first

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None, /
    ) -> None:
        """Exit the bus; see `running`."""
        block, self._async_block = self._async_block, None
        assert block is not None
        await block.__aexit__(kind, error, trace)

    @contextlib.contextmanager
    def _run(self) -> Generator[C, None, None]:
        instances = [container_of(container) for container in self._containers]
        first: Any = instances[0]
        with sharing(instances, self._workers, self._limits) as bus:
            machine = startable(bus)
            if self._attached is not None:
                self._attached(bus)
            starter, is_ours = object(), False
            try:
                try:
                    machine.bring_to(State.STARTED, by=starter)
                except LoopError:
                    raise would_block("with running(...)", "async hooks", "`async with running(...)`") from None
                finally:
                    is_ours = machine.started_by is starter
                if not is_ours:
                    # Other code began the start since the check above, and will end it.
                    raise TransitionError(bus.state, State.STARTING)  # noqa: TRY301  # passed on without an exit
                yield first
            except BaseException as error:
                if is_ours:
                    exit_after(bus, error)
                raise
            exit_after(bus)

    @contextlib.asynccontextmanager
    async def _run_async(self) -> AsyncGenerator[C, None]:
        # The same as `_run`, with each transition awaited.
        from typedbus._bus.async_methods import bring_to  # asyncio is slow to import

        instances = [container_of(container) for container in self._containers]
        first: Any = instances[0]
        with sharing(instances, self._workers, self._limits) as bus:
            machine = startable(bus)
            if self._attached is not None:
                self._attached(bus)
            starter, is_ours = object(), False
            try:
                try:
                    await bring_to(machine, State.STARTED, by=starter)
                finally:
                    is_ours = machine.started_by is starter
                if not is_ours:
                    raise TransitionError(bus.state, State.STARTING)  # noqa: TRY301  # as in `_run`
                yield first
            except BaseException as error:
                if is_ours:
                    await exit_after_async(bus, error)
                raise
            await exit_after_async(bus)


# With a single signature, C | type[C], mypy would join the members of a union.
@overload
def running(
    container: C, /, *others: Container | type[Container], workers: int | None = None, limits: Limits | None = None
) -> Running[C]: ...


@overload
def running(
    container: type[C],
    /,
    *others: Container | type[Container],
    workers: int | None = None,
    limits: Limits | None = None,
) -> Running[C]: ...


def running(
    container: C | type[C],
    /,
    *others: Container | type[Container],
    workers: int | None = None,
    limits: Limits | None = None,
) -> Running[C]:
    """
    Start *container* and *others* for a ``with`` or ``async with`` block, and always exit their bus at its end.

    The block gets the first container. A class is instantiated first, as by `run`:
    ``with running(Shop) as shop:``.

    With ``async with``, async hooks run on the event loop of the caller, which stays free during
    the start and the exit. Other hooks run in another thread, as in `Bus.start_async`. With
    ``with``, hooks run in this thread, and async hooks on an event loop of the bus's own.

    For tests, and for programs that control their own process: it handles no
    signals and does not block. If a component requested the exit with a cause, as
    a `BackgroundTask` does when its function fails, the cause is raised after the
    exit, at the end of the block. Several containers share the bus of the first,
    which the others do not override; each starts after the containers before it,
    as far as priorities allow. At the end the others leave the bus: all of their
    subscriptions there end, and they can be passed again, with any bus. The first stays
    attached to its bus after the exit, until another container runs on that bus.

    If the caller of ``async with`` is cancelled, in the start, the block or the exit, the bus exits
    to the end, and then the same `CancelledError` is raised; other errors are its cause.

    Args:
        container: The container that declares the bus, or its class.
        others: Containers that also listen and publish on this bus, or their classes.
        workers: How many components may start or stop in parallel; by default the setting of the bus.
        limits: How long hooks, a start and a stop may take; by default the setting of the bus.

    Raises:
        NoContainer: An argument is neither a container nor a container class.
        InvalidContainer: Before anything is built, with the faults of all of them.
        LimitError: *workers* is not a whole number from 1 up.
        LoopError: ``with`` in a coroutine would block the event loop, and there are async hooks; or
            the components were built for another event loop.
        TransitionError: The bus is already running; it is left unchanged.
        TransitionFailures: The container did not start, or did not end well.
        StartCancelled: A stop or an exit was requested during the start; raised from its cause.
        BaseException: The cause that `request_exit` was given, unless `Bus.block` has raised it already.
        BaseExceptionGroup: Several of these, in this order: the exception of the start or the block, the causes, and
            the failure of the exit. An exception that another one carries, for example as its cause, is not repeated.
    """
    return Running((container, *others), workers, limits)


def startable(bus: Bus) -> StateMachine:
    """Return the state machine of *bus*; raise `TransitionError` if other code runs the bus."""
    if bus.state not in (State.STOPPED, State.EXITED):
        raise TransitionError(bus.state, State.STARTING)
    return parts_of(bus).machine


def exit_after(bus: Bus, raised: BaseException | None = None) -> None:
    """
    Exit *bus*, and raise the causes of the exit and its failure, if any.

    Args:
        bus: The bus whose start or block is over.
        raised: The exception of the start or the block. If nothing must be added to it, this returns, and the caller raises it.

    Raises:
        BaseException: The cause of the exit, or its failure; a group if there are several, *raised* first.
    """
    parts_of(bus).requests.interrupts += isinstance(raised, KeyboardInterrupt)
    failed = raised_by(bus.exit)
    raise_problems(bus, raised, failed, leaving=failed)


async def exit_after_async(bus: Bus, raised: BaseException | None = None) -> None:
    """Do the same as `exit_after`, on the event loop of the caller; a `CancelledError` is raised without a group."""
    import asyncio  # the caller has imported it

    failed: BaseException | None = None
    try:
        await bus.exit_async()
    except BaseException as error:
        failed = error
    raise_problems(bus, raised, failed, leaving=raised if isinstance(raised, asyncio.CancelledError) else failed)


def raise_problems(
    bus: Bus, raised: BaseException | None, failed: BaseException | None, *, leaving: BaseException | None
) -> None:
    """
    Raise the causes of the exit of *bus*, with *raised* before and *failed* after them; a group if there are several.

    If *leaving*, which is *raised* or *failed*, is not an `Exception`, it is raised with the others as its cause.
    The caller raises *raised* where it is raised without a group.
    """
    if isinstance(leaving, Exception):
        leaving = None
    problems = [error for error in (raised, failed) if error is not None]
    first = 0 if raised is None else 1
    problems[first:first] = parts_of(bus).main_loop.take_causes(problems)
    others = [problem for problem in problems if problem is not leaving]
    group = BaseExceptionGroup("the bus has exited, with problems", others) if len(others) > 1 else None
    if leaving is not None:
        for problem in [group] if group is not None else others:
            chain_failure(leaving, problem)
        if leaving is not raised:
            raise leaving
        return
    if group is not None:
        raise group from None
    if raised is None and problems:
        raise problems[0]


# `typedbus.testing` offers it as well, and may be imported before `typedbus.running` is used for the first time.
running.__module__ = "typedbus"
