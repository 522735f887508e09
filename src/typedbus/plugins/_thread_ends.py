"""Waiting for the ends of threads of components."""

from __future__ import annotations

import threading

from typedbus._base.structured import StructuredError
from typedbus._bus.hook_worker import stack_of_thread


class NotEnded(StructuredError, TimeoutError):
    """
    Raised by the stop of a component whose thread did not end within its patience.

    The thread continues, and ends when its current call returns.

    Attributes:
        name: The name of the thread.
        patience: How long the stop waited, in seconds.
        stack: The stack of the thread, as text.
    """

    name: str
    patience: float
    stack: str

    def __str__(self) -> str:
        return (
            f"{self.name} still runs {self.patience:g} s after it was asked to stop; "
            f"make it return sooner, or set a longer patience; its thread is at:\n{self.stack.rstrip()}"
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


def join(thread: threading.Thread, patience: float) -> None:
    """
    Wait for the end of *thread*, unless it is the calling thread.

    Raises:
        NotEnded: It still runs after *patience* seconds.
    """
    if thread is threading.current_thread():
        return
    thread.join(min(patience, threading.TIMEOUT_MAX))
    if not thread.is_alive():
        return
    # The thread may have ended since the check above.
    if stack := stack_of_thread(thread.ident):
        raise NotEnded(thread.name, patience, stack)
