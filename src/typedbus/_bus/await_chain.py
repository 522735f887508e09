"""The stack of a suspended task: the chain of coroutines and async generators that await each other."""

from __future__ import annotations

import gc
import types
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import asyncio

#: A chain is cut off after this many steps: tasks may wait for each other in a circle.
_MAX_STEPS: Final = 200


def stack_of_task(task: asyncio.Task[Any], *, without: types.CodeType) -> str:
    """
    Return the frames of *task* as text, outermost first; "" if the task has ended.

    `Task.get_stack` returns the outermost frame alone. If the task waits for another
    task, the frames of that task follow. In the thread of the task's event loop the
    result is exact; in another thread the task may continue meanwhile, and frames may be missing.

    Args:
        task: The task.
        without: The code of a frame to leave out.
    """
    import traceback  # only needed for reports

    frames = [(frame, frame.f_lineno or 0) for frame in _frames_of(task) if frame.f_code is not without]
    return "".join(traceback.StackSummary.extract(iter(frames)).format())


def _frames_of(task: asyncio.Task[Any]) -> Iterator[types.FrameType]:
    awaited: object = task
    for _ in range(_MAX_STEPS):
        frame, awaited = _step(awaited)
        if frame is not None:
            yield frame
        if awaited is None:
            return


def _step(awaited: Any) -> tuple[types.FrameType | None, object]:
    """Return the frame of *awaited*, if it has one, and the object that it awaits, or None."""
    for prefix, name in (("cr", "cr_await"), ("gi", "gi_yieldfrom"), ("ag", "ag_await")):
        if hasattr(awaited, name):
            return getattr(awaited, f"{prefix}_frame"), getattr(awaited, name)
    if hasattr(awaited, "get_coro"):
        return None, awaited.get_coro()
    # The awaitables of an async generator, of the __await__ of a coroutine and of a future have no attribute for the
    # object behind them; the garbage collector knows it.
    for behind in gc.get_referents(awaited):
        if isinstance(behind, (types.AsyncGeneratorType, types.CoroutineType, types.GeneratorType)):
            return None, behind
        if hasattr(behind, "get_coro"):
            return None, behind
    return None, None
