"""The type of ASGI applications, and their lifespan under uvicorn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Protocol

from typedbus._base.structured import StructuredError

if TYPE_CHECKING:
    import asyncio


class ASGIApp(Protocol):
    """
    An ASGI application.

    Its parameters are `Any`, since frameworks annotate them with different types:
    mappings, dicts of known keys, or their own classes.
    """

    def __call__(self, scope: Any, receive: Any, send: Any, /) -> Awaitable[None]:
        """Answer one connection, or go through the lifespan of the server."""
        ...


class LifespanError(StructuredError, RuntimeError):
    """
    Raised by start, or by stop, if the application reports that its startup, or its shutdown, failed.

    Attributes:
        phase: ``startup`` or ``shutdown``.
        message: The message of the application.
    """

    phase: str
    message: str

    def __str__(self) -> str:
        reason = self.message.strip() or "it gave no message"
        return f"the application failed in its lifespan {self.phase}: {reason}"


class Lifespan:
    """Wraps an application, and keeps the messages and the exception of its lifespan; uvicorn only logs them."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        #: The task that the application is called in.
        self.task: asyncio.Task[Any] | None = None
        self.is_up = False
        self.message = ""
        self.error: BaseException | None = None

    async def __call__(
        self, scope: MutableMapping[str, Any], receive: object, send: Callable[[Any], Awaitable[None]]
    ) -> None:
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
            return

        async def record(message: MutableMapping[str, Any]) -> None:
            self.is_up = self.is_up or message["type"] == "lifespan.startup.complete"
            self.message = message.get("message", "")
            await send(message)

        import asyncio  # a WSGI site does not need it

        self.task = asyncio.current_task()
        try:
            await self.app(scope, receive, record)
        except BaseException as error:
            self.error = error
            raise

    async def end(self, shutdown: Awaitable[None], seconds: float, unwinding: float) -> None:
        """
        Wait at most *seconds* for *shutdown*, in which the server lets the application shut down.

        Then the application is cancelled, and has *unwinding* seconds to clean up.

        Raises:
            LifespanError: It was cancelled.
        """
        import asyncio  # as above

        ending = asyncio.ensure_future(shutdown)
        await asyncio.wait([ending], timeout=seconds)
        if ending.done():
            return ending.result()
        failure = await self.cancel(unwinding)
        ending.cancel()
        raise LifespanError("shutdown", f"it did not end within {seconds:.1f} s, and was cancelled") from failure

    async def cancel(self, unwinding: float) -> BaseException | None:
        """
        Cancel the application, unless it has ended or was cancelled; it has *unwinding* seconds to clean up.

        Returns:
            The exception that it raised in place of the cancellation, or None.
        """
        import asyncio  # as above

        if self.task is None or self.task.done() or self.task.cancelling():
            return None
        self.task.cancel()
        await asyncio.wait([self.task], timeout=unwinding)
        return None if isinstance(self.error, asyncio.CancelledError) else self.error

    def failure(self, phase: str) -> LifespanError:
        """Return the error to raise, with the exception of the application as its cause."""
        error = LifespanError(phase, self.message or ("" if self.error is None else repr(self.error)))
        error.__cause__ = self.error
        return error


# Tracebacks and pickles name the module from which users import.
ASGIApp.__module__ = LifespanError.__module__ = "typedbus.servers.asgi"
