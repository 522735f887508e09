"""
Functions that are called at the end of an interpreter, once each.

An interpreter ends in more than one way, and none of the hooks for it runs in all of them:

- `atexit` runs at the end of a program, also in a worker that `os.fork` made and that ends by `sys.exit`.
- A child of `multiprocessing` ends by `os._exit`. It calls the finalizers of `multiprocessing.util` before that, and
  nothing else.
- mod_wsgi publishes the end of a process to the functions that were given to `mod_wsgi.subscribe_shutdown`: in a
  process of Apache after the last request, in a daemon process before the requests under way are answered.
  A sub-interpreter that was created by a request may wait for the thread of that request from then on,
  and never gets as far as `atexit`; with ``WSGIDestroyInterpreter Off`` no interpreter does.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

#: Runs before `multiprocessing` ends children, pools (15) and queues (10), which components may use in their hooks.
_PRIORITY: Final = 100

#: Seconds between two looks at the requests that a daemon process of mod_wsgi still answers.
_PAUSE: Final = 0.02

#: The functions to call when mod_wsgi ends the process; it has no way to cancel a subscription.
_at_shutdown: Final[list[Callable[[], object]]] = []


def at_end(function: Callable[[], object]) -> contextlib.ExitStack:
    """
    Register *function* for every kind of end of this interpreter; closing the returned stack cancels that.

    *function* may be called more than once, and in a thread that Python did not start.
    """
    registrations = contextlib.ExitStack()
    atexit.register(function)
    registrations.callback(atexit.unregister, function)
    processes = sys.modules.get("multiprocessing.process")
    if processes is not None and processes.parent_process() is not None:
        from multiprocessing import util

        registrations.callback(util.Finalize(None, function, exitpriority=_PRIORITY).cancel)
    # The module exists only under Apache, which has loaded it from the beginning.
    subscribe = getattr(sys.modules.get("mod_wsgi"), "subscribe_shutdown", None)
    if subscribe is not None:
        _at_shutdown.append(function)
        registrations.callback(_at_shutdown.remove, function)
        _subscribe(subscribe)
    return registrations


@functools.cache
def _subscribe(subscribe: Callable[[Callable[..., None]], object]) -> None:
    """Make mod_wsgi call the functions in `_at_shutdown` after the last request of the process."""
    mod_wsgi: Any = sys.modules["mod_wsgi"]

    def call() -> None:
        for function in _at_shutdown.copy():
            function()

    def call_after_requests() -> None:
        # The threads of a daemon process accept requests until the function that mod_wsgi calls has returned. The only
        # thing to wait for is the dict of the active requests, which has to be polled.
        time.sleep(_PAUSE)
        while getattr(mod_wsgi, "active_requests", None):
            time.sleep(_PAUSE)
        call()

    def shut_down(event: str, /, **details: Any) -> None:
        if getattr(mod_wsgi, "process_group", ""):
            # Not a daemon thread: the end of the interpreter waits for it.
            threading.Thread(target=call_after_requests, name="mod_wsgi ends this process").start()
        else:
            call()

    subscribe(shut_down)


def doubt_about_end() -> str | None:
    """Return why the functions of `at_end` may not be called, and what to do about it; None if they are called."""
    if _at_shutdown or is_main_interpreter():
        return None
    return (
        "this is a sub-interpreter, whose exit functions may not be called, so STOP and EXIT may be skipped; "
        "run the application in the main interpreter of its process"
    )


def is_main_interpreter() -> bool:
    """Return whether the calling thread runs in the main interpreter; True if that cannot be found out."""
    for name in ("_interpreters", "_xxsubinterpreters"):  # since 3.13, and before
        with contextlib.suppress(ImportError):
            interpreters: Any = importlib.import_module(name)
            return bool(interpreters.get_current() == interpreters.get_main())
    return True
