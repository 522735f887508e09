"""The event loop that belongs to a bus: how it is created, runs and ends."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable
from typing import Final

from typedbus._base.errors import LoopError
from typedbus._base.failures import describe, place_of
from typedbus._bus.loop_call import stack_of

PATIENCE: Final = 5.0
"""How many seconds each step at the end of the loop may take."""


def loop_from(factory: Callable[[], asyncio.AbstractEventLoop]) -> asyncio.AbstractEventLoop:
    """Return the loop that *factory* creates; raise `LoopError` if it creates none."""
    try:
        loop: object = factory()
    except Exception as error:
        raise LoopError(_name_of(factory), f"it raised {error!r}") from error
    if not isinstance(loop, asyncio.AbstractEventLoop):
        if isinstance(loop, types.CoroutineType):
            loop.close()
        problem = f"it returned {loop!r}, which is not an event loop"
    elif loop.is_closed():
        problem = "it returned an event loop that is closed"
    elif loop.is_running():
        problem = "it returned an event loop that runs already"
    else:
        return loop
    raise LoopError(_name_of(factory), f"{problem}; return a new event loop, as uvloop.new_event_loop() does")


def _name_of(factory: Callable[[], object]) -> str:
    return f"loop_factory {describe(factory)} ({place_of(factory)})"


def run_until_stopped(loop: asyncio.AbstractEventLoop) -> None:
    """Run *loop* until it is stopped by `AsyncioLoop.stop`, and close it."""
    asyncio.set_event_loop(loop)
    while True:
        try:
            loop.run_forever()
        except (SystemExit, KeyboardInterrupt):
            # A task other than a hook has raised it; asyncio has stored it in the task.
            continue
        break
    loop.close()


async def finish(loop: asyncio.AbstractEventLoop, messages: list[str]) -> None:
    """Cancel the tasks of *loop* and close its async generators, and add a message for each task that still ran."""
    current = asyncio.current_task()
    tasks = [task for task in asyncio.all_tasks() if task is not current]
    for task in tasks:
        stack = stack_of(task)
        messages.append(
            f"task {task.get_name()!r} still ran when the bus exited, and was cancelled; it was at:\n{stack}"
        )
        task.cancel()
    if tasks:
        ended, remaining = await asyncio.wait(tasks, timeout=PATIENCE)
        for task in ended:
            if not task.cancelled() and (error := task.exception()) is not None:
                loop.call_exception_handler(
                    {"message": "a task raised while the event loop of a bus ended", "exception": error, "task": task}
                )
        for task in remaining:
            stack = stack_of(task)
            messages.append(
                f"task {task.get_name()!r} ignored its cancellation, and is left behind; it is at:\n{stack}"
            )
    try:
        await asyncio.wait_for(loop.shutdown_asyncgens(), PATIENCE)
    except TimeoutError:
        messages.append("an async generator did not close, and is left behind")
