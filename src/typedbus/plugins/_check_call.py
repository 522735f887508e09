"""One call of a check, in a thread or on the event loop of a bus, and its outcome."""

from __future__ import annotations

import asyncio
import traceback
import types
from concurrent import futures
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from typedbus._bus.loop_call import LoopCall

#: How long a check may take to end after it was cancelled, in seconds.
_GRACE: Final = 0.1


@attrs.frozen
class Check:
    """The result of a check: whether it passed, and a detail for people to read."""

    is_ok: bool
    detail: str = ""


@attrs.frozen
class Checked:
    """The outcome of one check in a probe: the name of the listener, its answer, and the seconds that it took."""

    name: str
    is_ok: bool
    detail: str
    seconds: float


@attrs.define(eq=False)
class CheckCall:
    """One call of a check, shared by all probes that begin before it returns."""

    name: str
    limit: float
    began: float
    #: When a probe no longer waits for it.
    due: float = attrs.field(init=False)
    answer: futures.Future[Checked] = attrs.field(init=False, factory=futures.Future)
    result: object = attrs.field(init=False, default=None)
    #: The task of an async check.
    task: LoopCall | None = attrs.field(init=False, default=None)
    _is_cancelled: bool = attrs.field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self.due = self.began + self.limit

    @property
    def is_lost(self) -> bool:
        """Whether it will never return, since its event loop is closed."""
        return self.task is not None and self.task.on.loop.is_closed()

    def cancel_if_due(self, now: float) -> None:
        """Cancel an async check that has reached its limit, and let it take a moment to end."""
        if self.task is not None and not self._is_cancelled and self.due <= now:
            self._is_cancelled, self.due = True, now + _GRACE
            self.task.cancel()

    def checked(self, error: BaseException | None, seconds: float) -> Checked:
        """Return the outcome of a check that has returned, or raised *error*, after *seconds*."""
        is_ok = False
        if self.task is not None and self.task.was_cancelled:
            detail = f"it was cancelled after {seconds:.2f} s; its limit is {self.limit:g} s"
        elif seconds > self.limit:
            detail = f"it took {seconds:.2f} s; its limit is {self.limit:g} s"
        elif isinstance(error, asyncio.CancelledError):
            detail = "it ended with CancelledError: other code cancelled its task, or a task or future that it awaited"
        elif error is not None:
            # `str` may fail for an error; this function does not.
            detail = "".join(traceback.format_exception_only(error)).rstrip()
        elif isinstance(self.result, Check):
            is_ok, detail = self.result.is_ok, self.result.detail
        elif isinstance(self.result, types.CoroutineType):
            self.result.close()
            detail = "it returned a coroutine, which is not awaited: declare the check itself with `async def`"
        else:
            detail = f"it returned {self.result!r}, which is not a Check"
        return Checked(self.name, is_ok, detail, seconds)

    def overrun(self, now: float) -> Checked:
        """Return the outcome of a check that a probe does not wait for any longer."""
        seconds, task = now - self.began, self.task
        detail = f"it has not returned after {seconds:.2f} s; its limit is {self.limit:g} s"
        if task is not None and task.was_cancelled:
            detail += "; it was cancelled, and continues"
        elif task is not None and not task.on.loop.is_running():
            detail += f"; {task.on.name} {task.on.why_dead() or 'does not run'}"
        elif task is not None:
            detail += f"; {task.on.name} is blocked, and is at:\n{task.stack_of_loop().rstrip()}"
        return Checked(self.name, is_ok=False, detail=detail, seconds=seconds)


Check.__module__ = Checked.__module__ = "typedbus.plugins.health"
