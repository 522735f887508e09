"""The tasks that the components of a bus leave on its event loop. Imported only where there is an event loop."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import re
import sys
from collections.abc import Collection
from concurrent import futures
from typing import Any, Final

from typedbus._bus.asyncio_loop import AsyncioLoop
from typedbus._bus.event_loop import EventLoop
from typedbus._bus.loop_call import stack_of
from typedbus._bus.transition import is_of_hook

#: How long a loop may take to list its tasks, in seconds; a loop that is blocked or ends meanwhile never does.
_PATIENCE: Final = 1.0


def tasks_left(event_loop: EventLoop, loop: AsyncioLoop, runs: Collection[str]) -> list[tuple[str, str]]:
    """
    Return the name and the stack of each task that the components of a bus have left.

    Args:
        event_loop: The event loop of the bus.
        loop: The loop behind it. If it belongs to the bus, so do all tasks; otherwise, those that hooks have created.
        runs: The names of the tasks of runs that were left behind.
    """
    if not loop.is_used or loop.why_dead() is not None:
        return []
    tasks = _list_tasks(event_loop, runs, is_own=loop.is_own)
    try:
        listing = asyncio.run_coroutine_threadsafe(tasks, loop.loop)
    except RuntimeError:
        tasks.close()
        return []
    try:
        return listing.result(_PATIENCE)
    except (futures.TimeoutError, futures.CancelledError):
        listing.cancel()
        return []


async def _list_tasks(event_loop: EventLoop, runs: Collection[str], *, is_own: bool) -> list[tuple[str, str]]:
    current = asyncio.current_task()
    return sorted(
        (_name_of(task), stack_of(task))
        for task in asyncio.all_tasks()
        if task is not current and (is_own or task.get_name() in runs or is_of_hook(_context_of(task), event_loop))
    )


def _name_of(task: asyncio.Task[Any]) -> str:
    """Return the name that *task* was given, or else that of its coroutine."""
    name = task.get_name()
    return getattr(task.get_coro(), "__qualname__", name) if re.fullmatch(r"Task-\d+", name) else name


def _context_of(task: asyncio.Task[Any]) -> contextvars.Context:
    if sys.version_info >= (3, 12):
        return task.get_context()
    contexts = [held for held in gc.get_referents(task) if isinstance(held, contextvars.Context)]
    return contexts[0] if contexts else contextvars.Context()
