"""
The async methods of a bus: they wait, on the event loop of the caller, for work that the bus does in other threads.

A transition runs in a daemon thread, because the loop must stay free for the async hooks.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import functools
import threading
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from typedbus._base.errors import LoopError, StartCancelled
from typedbus._base.states import State
from typedbus._bus.asyncio_loop import AsyncioLoop
from typedbus._bus.event_loop import AFTER_EXIT, is_on_any_loop
from typedbus._bus.machine import StateMachine
from typedbus._bus.waiting import Waiter, waiting
from typedbus._os.forks import notice

if TYPE_CHECKING:
    from typedbus._bus.transition import Transition

Result = TypeVar("Result")


async def bring_to(machine: StateMachine, goal: State, by: object = None) -> None:
    """
    Do the same as `StateMachine.bring_to`, in a daemon thread, with the async hooks on the running loop.

    If the caller is cancelled, a start that it began is called off; a stop or an exit goes on. Either way the
    same `CancelledError` is raised when the transition has ended. At each further cancellation the hooks that
    run are given up. A stop or an exit in a task that has been cancelled, such as at the end of its block, counts
    that cancellation as the first.
    """
    if goal is State.STARTED and machine.current is None and machine.state in (State.STOPPED, State.EXITED):
        machine.event_loop.lend("await bus.start_async()")
    elif goal is not State.STARTED:
        if goal is State.EXITED:
            _refuse_own_loop(machine)
        machine.event_loop.refuse_other_loop(f"await bus.{'stop' if goal is State.STOPPED else 'exit'}_async()")
    current, is_ours = machine.join(goal, set(), by)
    if current is None:
        return
    task = asyncio.current_task()
    before = 0 if goal is State.STARTED or task is None else task.cancelling()
    if current.is_partial:
        await _end_after_restart(machine, goal, before)
        return
    end = _Event(asyncio.get_running_loop())
    current.when_done(end.set)
    thread: threading.Thread | None = None
    if is_ours:
        run = functools.partial(contextvars.copy_context().run, machine.run, current)
        thread = threading.Thread(target=run, name=f"{machine.event_loop.name} to {goal.name}", daemon=True)
        del run  # it holds the transition, and so its outcome
        try:
            thread.start()
        except RuntimeError as error:
            machine.break_off(current, error)
            current.finish()
            raise

    cancelled = await end.wait(functools.partial(_cancel, machine, current) if is_ours else None, before)
    if thread is not None:
        # Setting the event was its last action; a caller that looks for leaks must not find it.
        thread.join()
    try:
        if cancelled is None:
            machine.raise_outcome(current, goal)
            return
        if goal is State.STARTED and current.has_started and current.outcome is None:
            # The start succeeded before it could be called off.
            await _stop(machine)
        if current.outcome is not None and not isinstance(current.outcome, StartCancelled):
            raise cancelled from current.outcome
        raise cancelled
    finally:
        # The traceback holds this frame.
        del current, cancelled


def _refuse_own_loop(machine: StateMachine) -> None:
    """Raise `LoopError` if the exit, which ends the bus's own event loop, would wait for the task of the caller there."""
    current = machine.current
    if not machine.event_loop.is_own_here or machine.state is State.EXITED:
        return
    if current is None or not (current.includes_caller() or machine.runs.includes_caller()):
        raise LoopError(
            "await bus.exit_async()",
            "this task runs on the event loop of the bus, which ends with the exit; call bus.request_exit()",
        )


def _cancel(machine: StateMachine, current: Transition, times: int) -> None:
    """Carry out a cancellation of the caller that has begun *current*; it has been cancelled so many *times*."""
    if times > 1:
        current.give_up()
        return
    with machine.registry.lock:
        current.call_off()


async def _end_after_restart(machine: StateMachine, goal: State, before: int) -> None:
    """Bring the bus to *goal*, STOPPED or EXITED, after a partial restart; *before* counts earlier cancellations."""

    def cancel(times: int) -> None:
        current = machine.current
        if times + before > 1 and current is not None:
            current.give_up()

    await in_thread(f"{machine.event_loop.name} to {goal.name}", functools.partial(machine.bring_to, goal), cancel)


async def _stop(machine: StateMachine) -> None:
    try:
        await bring_to(machine, State.STOPPED)
    except asyncio.CancelledError:
        return


async def wait(machine: StateMachine, states: State | Iterable[State], timeout: float | None) -> State | None:  # noqa: ASYNC109  # as `Bus.wait`
    """Do the same as `StateMachine.wait`, without blocking the loop."""
    reached = _Event(asyncio.get_running_loop())
    with waiting(machine, states, lambda wanted: _AsyncWaiter(wanted, reached)) as waiter:
        if waiter.reached is None:
            await asyncio.wait([reached.future], timeout=timeout)
        return waiter.reached


def submit(machine: StateMachine, coroutine: Coroutine[Any, Any, Result]) -> concurrent.futures.Future[Result]:
    """Run *coroutine* on the event loop of the bus, and return a future for its result; see `Bus.run_on_loop`."""
    action, reason = "bus.run_on_loop()", None
    if machine.event_loop.is_running_here:
        reason = "the caller runs on the event loop of the bus, and must not wait for it; await the coroutine"
    try:
        loop, context = _loop_for(machine, action, reason)
        return context.run(loop.submit, action, coroutine)
    except LoopError:
        coroutine.close()
        raise


def run(machine: StateMachine | None, action: str, function: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Await *function* on the event loop of the bus, and wait for the result in this thread; see `CoroutineRunner`."""
    notice()
    reason = None
    if is_on_any_loop():
        event_loop = None if machine is None else machine.event_loop
        is_other = event_loop is not None and event_loop.is_used and not event_loop.is_running_here
        call = "asyncio.to_thread(bus[channel].publish_from_thread, ...)" if is_other else "bus[channel].publish(...)"
        reason = f"it would block the event loop of this thread; write await {call} instead"
    loop, context = _loop_for(machine, action, reason)
    return context.run(loop.run, action, function)


def _loop_for(machine: StateMachine | None, action: str, reason: str | None) -> tuple[AsyncioLoop, contextvars.Context]:
    """
    Return the event loop of the bus, and the context from which a coroutine is handed over to it.

    Raises:
        LoopError: There is a *reason* to refuse *action*, or the bus has exited.
    """
    if reason is not None:
        raise LoopError(action, reason)
    if machine is None:
        raise LoopError(action, "the bus no longer exists; keep a reference to it")
    current = machine.current
    if machine.state is State.EXITED and current is None:
        raise LoopError(action, AFTER_EXIT)
    if current is not None and current.includes_caller():
        # A hook may wait for the coroutine, which must then not wait for the transition of that hook.
        return machine.event_loop.get(action), current.hook_context()
    return machine.event_loop.get(action), contextvars.copy_context()


async def block(machine: StateMachine, function: Callable[[], object], request_exit: Callable[[], object]) -> None:
    """Call *function*, which blocks until the exit of the bus, in a daemon thread; see `Bus.block_async`."""

    def cancel(times: int) -> None:
        current = machine.current
        if times == 1:
            request_exit()
        elif current is not None:
            current.give_up()

    await in_thread(f"{machine.event_loop.name} blocks", function, cancel)


async def in_thread(
    name: str, function: Callable[[], object], cancel: Callable[[int], object] = lambda times: None
) -> None:
    """
    Call *function* in a daemon thread, wait until it has returned, and raise its exception, if any.

    At each cancellation of the caller, *cancel* is called with the number of cancellations so far. The first
    `CancelledError` is raised when the function has returned.
    """
    end = _Event(asyncio.get_running_loop())
    raised: list[BaseException] = []

    def call() -> None:
        try:
            function()
        except BaseException as error:
            raised.append(error)
        finally:
            end.set()

    thread = threading.Thread(target=contextvars.copy_context().run, args=(call,), name=name, daemon=True)
    thread.start()
    cancelled = await end.wait(cancel)
    thread.join()
    try:
        if cancelled is not None:
            raise cancelled from (raised[0] if raised else None)
        if raised:
            raise raised[0]
    finally:
        raised.clear()
        del cancelled  # its traceback holds this frame


class _Event:
    """An event that any thread may set, and that a task of *loop* waits for."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._is_set = False
        self.future: asyncio.Future[None] = loop.create_future()

    def set(self) -> None:
        """Set the event; may be called several times."""
        self._is_set = True
        try:
            self._loop.call_soon_threadsafe(self._set)
        except RuntimeError:
            # The loop is closed, and no task waits on it.
            return

    def _set(self) -> None:
        if not self.future.done():
            self.future.set_result(None)

    async def wait(self, cancel: Callable[[int], object] | None, before: int = 0) -> asyncio.CancelledError | None:
        """
        Wait for the event.

        Args:
            cancel: Called at each cancellation of the caller, with the number of cancellations so far; the wait
                continues. With None a cancellation ends the wait.
            before: The number of cancellations before the wait.

        Returns:
            The first `CancelledError`, or None.
        """
        first: asyncio.CancelledError | None = None
        times = before
        try:
            while not self.future.done():
                try:
                    # Unlike a plain await, this does not cancel the future.
                    await asyncio.wait([self.future])
                except asyncio.CancelledError as error:
                    if cancel is None:
                        raise
                    first, times = first or error, times + 1
                    cancel(times)
                    if self._is_set:
                        # A Ctrl-C in `_set` raises `KeyboardInterrupt` there, and the future is never set.
                        break
            return first
        finally:
            # The traceback holds this frame.
            del first


class _AsyncWaiter(Waiter):
    """A task in `Bus.wait_async`."""

    __slots__ = ("_event",)

    def __init__(self, states: frozenset[State], event: _Event) -> None:
        super().__init__(states)
        self._event = event

    def wake(self) -> None:
        self._event.set()
