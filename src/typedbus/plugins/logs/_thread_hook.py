"""The exceptions that end threads, for the log."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable


class ThreadHook:
    """
    Passes the exceptions that end threads to *log* and then to the previous hook, until `end`.

    *log* is held weakly: a `Logging` whose bus never exits can be freed.
    """

    def __init__(self, log: Callable[[threading.ExceptHookArgs], None]) -> None:
        self._log = weakref.WeakMethod(log)
        self.is_over = False
        self.previous = threading.excepthook
        threading.excepthook = self

    def __call__(self, death: threading.ExceptHookArgs, /) -> None:
        log = None if self.is_over or issubclass(death.exc_type, SystemExit) else self._log()
        try:
            if log is not None:
                log(death)
        finally:
            del log
            self.previous(death)

    @property
    def is_printed(self) -> bool:
        """Whether the chain of `ThreadHook` ends in the interpreter's hook, which prints the exception on stderr."""
        hook = self.previous
        while isinstance(hook, ThreadHook):
            hook = hook.previous
        return hook is threading.__excepthook__

    def end(self) -> None:
        """Remove the hook; while other hooks are installed above it, it stays there and only passes exceptions on."""
        self.is_over = True
        while isinstance(hook := threading.excepthook, ThreadHook) and hook.is_over:
            threading.excepthook = hook.previous
