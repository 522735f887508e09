"""
The lifespans of several ASGI applications, inside the single lifespan of the server.

Each application has its own task, message queue and state. If one fails to start, the site does not start, and the
applications before it are shut down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, Final

from typedbus.servers._lifespan import ASGIApp
from typedbus.servers._mount_errors import MountFailed

#: How long an application may take to return after the last message of its lifespan, in seconds.
_UNWINDING: Final = 1.0
#: How long an application may take to shut down, in seconds.
_SHUTDOWN: Final = 10.0


class _Lifespan:
    """The lifespan of one application."""

    def __init__(self, path: str, app: ASGIApp, scope: Mapping[str, Any]) -> None:
        self._path = path
        self._inbox: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self._reply: asyncio.Future[MutableMapping[str, Any]] | None = None
        self._has_received = False
        self._is_foreign = False
        self._is_up = False
        self._task = asyncio.ensure_future(self._run(app, scope))

    async def startup(self) -> None:
        """
        Start the application; one that does not take part in the lifespan counts as started.

        Raises:
            MountFailed: It reports a failure, or raises after it has called *receive*.
        """
        try:
            self._is_up = await self._request("startup")
        except BaseException:
            await self.cancel()
            raise

    async def shutdown(self) -> None:
        """
        Shut the application down, unless its startup did not complete.

        Raises:
            MountFailed: It reports a failure, has raised since its startup, or did not end in time and was cancelled.
        """
        if self._is_up:
            self._is_up = False
            problem = ""
            try:
                await asyncio.wait_for(self._request("shutdown"), _SHUTDOWN)
                await asyncio.wait([self._task], timeout=_UNWINDING)
            except TimeoutError:
                problem = f"it did not end within {_SHUTDOWN:g} s, and was cancelled"
            finally:
                await self.cancel()
            error = self._error()
            if problem or error is not None:
                raise MountFailed(self._path, "shutdown", problem or repr(error)) from error

    async def cancel(self) -> None:
        """Cancel the task, and wait up to a second for its end."""
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=_UNWINDING)

    def _error(self) -> BaseException | None:
        """Return the exception of the application, unless it runs or was cancelled."""
        return self._task.exception() if self._task.done() and not self._task.cancelled() else None

    async def _request(self, phase: str) -> bool:
        """Send the message of *phase*, and return whether the application has confirmed it."""
        reply = self._reply = asyncio.get_running_loop().create_future()
        self._inbox.put_nowait({"type": f"lifespan.{phase}"})
        await asyncio.wait([self._task, reply], return_when=asyncio.FIRST_COMPLETED)
        cancelled = self._task.done() and self._task.cancelled()
        error = self._error()
        message = reply.result() if reply.done() else None
        if message is not None and message["type"] == f"lifespan.{phase}.complete":
            return True
        if message is not None:
            raise MountFailed(self._path, phase, message.get("message", "")) from error
        # An application that raises because of the type of the scope, or answers it like a request, has no lifespan.
        takes_part = phase == "shutdown" or (self._has_received and not self._is_foreign)
        if takes_part and cancelled:
            raise MountFailed(self._path, phase, "its task was cancelled")
        if takes_part and error is not None:
            raise MountFailed(self._path, phase, repr(error)) from error
        return False

    async def _run(self, app: ASGIApp, scope: Mapping[str, Any]) -> None:
        await app(scope, self._receive, self._send)

    async def _receive(self) -> dict[str, str]:
        self._has_received = True
        return await self._inbox.get()

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        kind = message["type"]
        if kind.rpartition(".")[0] not in {"lifespan.startup", "lifespan.shutdown"}:
            self._is_foreign = True
            raise RuntimeError(f"{kind!r} is not a message of the lifespan")
        if self._reply is not None and not self._reply.done():
            self._reply.set_result(message)


class Lifespans:
    """
    The lifespans of mounted applications, from `startup` to `shutdown`; all methods run in one event loop.

    Attributes:
        states: The state of each application, by path; its lifespan fills it.
        starting: The path of the application whose startup was begun last.
    """

    def __init__(self, apps: Sequence[tuple[str, ASGIApp]], scope: Mapping[str, Any]) -> None:
        self._apps = apps
        self._scope = scope
        self._begun: list[_Lifespan] = []
        self.starting = ""
        self.states: dict[str, dict[str, Any]] = {path: {} for path, _ in apps}

    async def startup(self) -> None:
        """
        Start the applications in order; if one fails, shut down those before it, in reverse.

        Raises:
            MountFailed: An application failed.
            ExceptionGroup: An application failed, and one before it failed to shut down.
        """
        try:
            for path, app in self._apps:
                self.starting = path
                # If the server does not support state, requests would not receive it.
                state = {"state": self.states[path]} if "state" in self._scope else {}
                lifespan = _Lifespan(path, app, {**self._scope, "type": "lifespan", **state})
                self._begun.append(lifespan)
                await lifespan.startup()
        except MountFailed as failure:
            _raise([failure, *await self._shut_down()])

    async def shutdown(self) -> None:
        """
        Shut all applications down, in reverse order.

        Raises:
            MountFailed: An application failed.
            ExceptionGroup: Several applications failed.
        """
        _raise(await self._shut_down())

    async def cancel(self) -> None:
        """Cancel the lifespans that have not been shut down."""
        while self._begun:
            await self._begun.pop().cancel()

    async def _shut_down(self) -> list[MountFailed]:
        failures = []
        while self._begun:
            try:
                await self._begun.pop().shutdown()
            except MountFailed as failure:
                failures.append(failure)
        return failures


def _raise(failures: Sequence[MountFailed]) -> None:
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise ExceptionGroup("several mounted applications failed in their lifespan", failures)


def text_of(failure: Exception) -> str:
    """Return the text of an exception of `Lifespans`, one line for each application."""
    return "\n".join(map(str, failure.exceptions)) if isinstance(failure, ExceptionGroup) else str(failure)
