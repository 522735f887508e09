"""How a host reports errors that have no caller: on the standard error of the server."""

from __future__ import annotations

import sys
import traceback

from typedbus._container.faults import InvalidContainer


def text_of(error: BaseException) -> str:
    """Return the text to report for *error*: all faults of a container, or the traceback."""
    if isinstance(error, InvalidContainer):
        return f"error: {error}"
    return "".join(traceback.format_exception(error)).rstrip()


def report(error: BaseException) -> None:
    """Write *error* to the standard error of the server, which is usually part of its log."""
    print(text_of(error), file=sys.stderr, flush=True)
