"""Calls in worker threads of an event loop, which lose no exception."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


async def call_in_thread(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """
    Call *function* in a worker thread of the running event loop, in a copy of the context, and await its result.

    A cancellation ends the await, and the thread goes on. If *function* raises after that, the exception handler of the
    loop gets the exception, as that of a task which is never awaited: by default it goes to the logger ``asyncio``.
    """
    import asyncio  # a program that awaits this has loaded both
    from concurrent import futures

    loop = asyncio.get_running_loop()
    outcome: futures.Future[R] = futures.Future()
    # The frames of the worker thread, which the traceback of an exception holds, must not hold the future in turn.
    handed_over = [outcome]

    def call() -> None:
        outcome = handed_over.pop()
        try:
            outcome.set_result(function(*args, **kwargs))
        except BaseException as error:
            outcome.set_exception(error)
        finally:
            del outcome

    def report(done: futures.Future[R]) -> None:
        error = done.exception()
        if error is not None:
            name = getattr(function, "__qualname__", repr(function))
            context = {"message": f"{name} failed after its caller was cancelled", "exception": error}
            try:
                loop.call_soon_threadsafe(loop.call_exception_handler, context)
            except RuntimeError:  # the loop is closed
                loop.call_exception_handler(context)

    try:
        try:
            await asyncio.to_thread(call)
        except asyncio.CancelledError:
            outcome.add_done_callback(report)
            raise
        return outcome.result()
    finally:
        del outcome
