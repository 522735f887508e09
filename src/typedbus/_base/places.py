"""The places of declarations in the source."""

from __future__ import annotations

import sys


def calling_place(depth: int = 1) -> str:
    """
    Return the file and line from which the calling function was called, for errors about what it declares.

    Args:
        depth: 2 for the caller of that caller, and so on.
    """
    frame = sys._getframe(depth + 1)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # faster than `inspect`
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
