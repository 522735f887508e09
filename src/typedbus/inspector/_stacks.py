"""The threads of the process and the tasks of the event loop of a bus, with their stacks."""

from __future__ import annotations

import sys
import threading
import traceback
import types
from collections.abc import Iterable
from typing import Final

from typedbus._bus.bus import Bus, parts_of

#: The most frames of a stack, the innermost ones.
_DEEPEST: Final = 100


def stacks(bus: Bus) -> list[dict[str, object]]:
    """
    Return the threads, then the tasks, each with its stack, outermost call first.

    The stacks are those of different moments. They have no values of variables.
    """
    parts = parts_of(bus)
    owned, of_loop = set(parts.main_loop.threads), parts.event_loop.threads
    frames = sys._current_frames()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    rows: list[dict[str, object]] = []
    for thread in threading.enumerate():
        owner = ""
        if thread is threading.main_thread():
            owner = "main"
        elif thread in of_loop:
            owner = "event loop"
        elif thread in owned:
            owner = "bus"
        frame = frames.get(thread.ident or 0)
        rows.append(
            {
                "kind": "thread",
                "name": thread.name,
                "ident": thread.ident,
                "daemon": thread.daemon,
                "owner": owner,
                "stack": [] if frame is None else _of_frames(reversed(list(traceback.walk_stack(frame)))),
            }
        )
    for task in parts.event_loop.tasks:
        lines = [(frame, frame.f_lineno) for frame in task.get_stack(limit=_DEEPEST)]
        rows.append(
            {
                "kind": "task",
                "name": task.get_name(),
                "ident": None,
                "daemon": False,
                "owner": "event loop",
                "stack": _of_frames(lines),
            }
        )
    return rows


def _of_frames(frames: Iterable[tuple[types.FrameType, int]]) -> list[dict[str, object]]:
    return [
        {"file": frame.f_code.co_filename, "line": line, "function": frame.f_code.co_qualname}
        for frame, line in list(frames)[-_DEEPEST:]
    ]
