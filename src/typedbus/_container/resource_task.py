"""Opening and closing an async resource in one task: context variables and cancel scopes require that."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Awaitable, Callable
from typing import Any, Final

from typedbus._bus.bus import Bus
from typedbus._bus.transition import join_transition
from typedbus._container.entering import closing_failure, entered_async
from typedbus._container.forms import Form
from typedbus._container.resource import Resource

_NOT_CALLED: Final = object()


class ResourceTask:
    """
    Opens *resource* once, and closes it, in a task of its own on the running event loop.

    If the task ends before it is asked to close the resource, as when a task group of the resource fails, the exit of
    *bus* is requested with the failure as its cause.
    """

    def __init__(self, resource: Resource[Any], bus: Bus) -> None:
        self._resource = resource
        self._bus = bus
        self._task: asyncio.Task[None] | None = None
        self._opened = asyncio.Event()
        self._closing = asyncio.Event()
        self._ended = asyncio.Event()
        self._instance: object = None
        self._is_open = False
        self._failure: BaseException | None = None
        #: The context of the hook that closes the resource.
        self._context: contextvars.Context | None = None

    async def open(self, result: object = _NOT_CALLED, form: Form = Form.UNKNOWN) -> object:
        """
        Return the object that the resource provides.

        Args:
            result: The result of the declared callable, if it has been called.
            form: The form of that result.
        """
        name = f"{self._resource.path} is open"
        self._task = asyncio.get_running_loop().create_task(self._keep(result, form), name=name)
        self._task.add_done_callback(self._end)
        await self._until(self._opened)
        if not self._is_open:
            # Cancelled before its first step, the task has no failure.
            self._raise(self._failure or asyncio.CancelledError())
        return self._instance

    async def close(self) -> None:
        """Close the object; raise the failure of that."""
        self._context = contextvars.copy_context()
        self._closing.set()
        await self._until(self._ended)
        if self._failure is not None:
            self._raise(self._failure)

    async def _keep(self, result: Any, form: Form) -> None:
        resource = self._resource
        try:
            if result is _NOT_CALLED:
                result, form = resource.make(), resource.form
            resource.check_result(result, form)
            close: Callable[[BaseException | None], Awaitable[BaseException | None]] | None = None
            if form is Form.COROUTINE:
                self._instance = await result
            else:
                self._instance, closing = await entered_async(result, form, resource)
                close = functools.partial(closing, result)
        except GeneratorExit:
            raise
        except BaseException as error:
            # `SystemExit` would end the event loop: the hook raises it.
            self._failure = error
            return
        self._is_open = True
        self._opened.set()
        if close is not None:
            await self._close(close)

    async def _close(self, close: Callable[[BaseException | None], Awaitable[BaseException | None]]) -> None:
        """Wait until the resource must be closed, and close it."""
        error: BaseException | None = None
        try:
            await self._closing.wait()
        except asyncio.CancelledError as cancelled:
            error = cancelled
        if self._context is not None:
            join_transition(self._context)
        failure = await close(error)
        if failure is not None:
            failure = closing_failure(failure, self._resource)
        if self._closing.is_set():
            self._failure = failure
            return
        reason = "it was closed before the stop of the bus, because its task was cancelled"
        self._bus.request_exit(failure or self._resource.error(reason))

    def _end(self, _: asyncio.Task[None]) -> None:
        self._opened.set()
        self._ended.set()

    async def _until(self, event: asyncio.Event) -> None:
        """Wait for *event*, and pass each cancellation of the caller on to the task, unless the event has come."""
        while not event.is_set():
            try:
                await event.wait()
            except asyncio.CancelledError:
                # A resource that has just been opened is closed by the rollback, without an exception.
                if not event.is_set():
                    assert self._task is not None
                    self._task.cancel()

    def _raise(self, failure: BaseException) -> None:
        self._failure = None
        try:
            raise failure
        finally:
            del failure  # its traceback holds this frame
