"""How a host reports errors that have no caller: on the standard error of the server."""

from __future__ import annotations

import sys
import traceback

from typedbus._base.errors import LoopError
from typedbus._base.failures import TransitionFailures
from typedbus._container.faults import InvalidContainer


def text_of(error: BaseException) -> str:
    """Return the text to report for *error*: the faults of a container, the hooks of a lost loop, or the traceback."""
    if isinstance(error, InvalidContainer):
        return f"error: {error}"
    if isinstance(error, TransitionFailures) and all(isinstance(each, LoopError) for each in error.exceptions):
        # Each text names its hook and the place, and the tracebacks show code of the library only.
        return "\n".join(f"error: {hook}" for hook in error.exceptions)
    return "".join(traceback.format_exception(error)).rstrip()


def report(error: BaseException) -> None:
    """Write *error* to the standard error of the server, which is usually part of its log."""
    print(text_of(error), file=sys.stderr, flush=True)
