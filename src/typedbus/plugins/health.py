"""
Whether the process is alive and ready, as its components and its bus say.

Who asks is a balancer or an orchestrator, several times a minute and from
outside, and acts on no answer as on a bad one. So an answer has to come in
time, whatever a check does, and has to name who keeps it from being a good one.

A thread cannot be interrupted, but it can be left behind. Each check runs in a
thread of its own and is waited for as long as it may take; one that hangs is
named, and is not called again while it does, so that a process has at the most
one thread for each of its checks. A pool would be smaller and could be filled by
those that hang: then all would fail for one.

The bus is never asked to wait for a check, nor a check for the bus. Checks are
called while the bus is STARTED and at no other time: before and after that a
component has not got what it would look at.
"""

from __future__ import annotations

import asyncio
import functools
import json
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent import futures
from typing import Final, TypeAlias
from wsgiref.types import StartResponse, WSGIEnvironment

import attrs

from typedbus._base.errors import LimitError
from typedbus._base.limits import checked
from typedbus._base.states import State
from typedbus._base.sync import new_lock
from typedbus._bus.bus import Bus
from typedbus._channels.bound import Subscription
from typedbus._channels.channel import Channel
from typedbus._os.exhausted import OutOfThreads, start_thread

__all__ = ("ALIVE", "READY", "Check", "CheckLimitError", "Checked", "Health", "Probe")


@attrs.frozen
class Check:
    """What a check answers: whether all is well, and what people should know of it."""

    is_ok: bool
    detail: str = ""


ALIVE = Channel[[], Check]("alive")
"""Asked whether the process should go on; where a check fails, it had better be started anew."""

READY = Channel[[], Check]("ready")
"""Asked whether the process can serve; where a check fails, requests should go elsewhere for a while."""


@attrs.frozen
class Checked:
    """What became of one check in a probe: of which listener, what it answered, and after how many seconds."""

    name: str
    is_ok: bool
    detail: str
    seconds: float


@attrs.frozen
class Probe:
    """
    The outcome of one probe.

    Attributes:
        is_ok: Whether the bus and every check are well.
        state: Where the bus was.
        reason: Why the bus itself is not ready, as after a stop; else empty. No check is called then.
        checks: In running order.
    """

    is_ok: bool
    state: State
    reason: str
    checks: tuple[Checked, ...]


class CheckLimitError(LimitError):
    """Raised by `Health` for a time limit that no check could keep, or none at all."""

    def __str__(self) -> str:
        return f"a check cannot be given {self.given!r} seconds: give Health(limit=...) a number above 0"


def _limit(health: Health, field: attrs.Attribute[float], value: float) -> None:
    try:
        checked(field.name, value)
    except LimitError as error:
        raise CheckLimitError(error.name, error.given) from None


Scope: TypeAlias = Mapping[str, object]
Receive: TypeAlias = Callable[[], Awaitable[Mapping[str, object]]]
Send: TypeAlias = Callable[[dict[str, object]], Awaitable[None]]


@attrs.define(eq=False)
class Health:
    """
    Asks the listeners of `ALIVE` and `READY`, and tells what they say: to Python, over WSGI and over ASGI.

    A component takes part with a marked method: ``@on(READY) def check(self) -> Check``.
    The checks of a probe run side by side. One that raises, answers with something
    else than a `Check` or does not return within its limit has failed, alone; so
    has one for which the system starts no thread. One
    that runs already, for another probe, is not called twice but shared; one that
    hangs fails each further probe at once, until it ends.

    A process is ready from STARTED on, until a stop or an exit begins or is asked
    for, as long as every check is well. It is alive unless a check says otherwise
    or the bus has EXITED.

    It lives as long as somebody refers to it, has no part in the life cycle, and
    may be asked from any thread and any event loop.

    Args:
        bus: Whose state, and whose listeners.
        limit: How long a check may take, in seconds, if its mark gives no limit.
        clock: Where seconds are taken from.

    Raises:
        CheckLimitError: *limit* is no number above 0.
    """

    bus: Bus
    limit: float = attrs.field(default=1.0, kw_only=True, validator=_limit)
    clock: Callable[[], float] = attrs.field(default=time.monotonic, kw_only=True)
    _lock: threading.Lock = attrs.field(init=False, factory=new_lock)
    #: The checks that have not returned yet, hung ones among them.
    _running: dict[Subscription, _Run] = attrs.field(init=False, factory=dict)

    def alive(self) -> Probe:
        """Probe `ALIVE`, in the time that the slowest check may take."""
        return self._probe(ALIVE)

    def ready(self) -> Probe:
        """Probe `READY`, in the time that the slowest check may take."""
        return self._probe(READY)

    async def alive_async(self) -> Probe:
        """Same as `alive`, without holding up the event loop."""
        return await self._probe_async(ALIVE)

    async def ready_async(self) -> Probe:
        """Same as `ready`, without holding up the event loop."""
        return await self._probe_async(READY)

    def wsgi(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer ``/livez`` and ``/readyz``, as a WSGI application of its own or mounted in another one."""
        channel, method = _PATHS.get(environ.get("PATH_INFO", "")), environ["REQUEST_METHOD"]
        probe = None if channel is None or method not in _METHODS else self._probe(channel)
        status, headers, body = _response(channel, method, probe)
        start_response(f"{status} {_PHRASES[status]}", headers)
        return [body]

    @property
    def asgi(self) -> Callable[[Scope, Receive, Send], Coroutine[object, object, None]]:
        """What answers ``/livez`` and ``/readyz``, as an ASGI application of its own or mounted in another one."""

        # A function, since servers tell the versions of ASGI apart by that and take a method for the old one.
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            while scope["type"] == "lifespan":
                stage = (await receive())["type"]
                await send({"type": f"{stage}.complete"})
                if stage == "lifespan.shutdown":
                    return
            if scope["type"] != "http":
                await send({"type": "websocket.close", "code": 1000})
                return
            # Where it is mounted, servers differ in whether the path begins with that.
            path = str(scope["path"]).removeprefix(str(scope.get("root_path", "")))
            channel, method = _PATHS.get(path), str(scope["method"])
            probe = None if channel is None or method not in _METHODS else await self._probe_async(channel)
            status, headers, body = _response(channel, method, probe)
            raw = [(name.lower().encode("ascii"), value.encode("ascii")) for name, value in headers]
            await send({"type": "http.response.start", "status": status, "headers": raw})
            await send({"type": "http.response.body", "body": body})

        return answer

    def _probe(self, channel: Channel[[], Check]) -> Probe:
        reason, runs = self._begin(channel)
        while (awaited := self._awaited(runs))[0]:
            futures.wait(*awaited)
        return self._outcome(channel, reason, runs)

    async def _probe_async(self, channel: Channel[[], Check]) -> Probe:
        reason, runs = self._begin(channel)
        while (awaited := self._awaited(runs))[0]:
            await asyncio.wait(map(asyncio.wrap_future, awaited[0]), timeout=awaited[1])
        return self._outcome(channel, reason, runs)

    def _reason(self) -> str:
        """Return why the bus is not ready, or nothing."""
        if self.bus.state is not State.STARTED:
            return f"the bus is {self.bus.state.name}"
        return "the bus was asked to exit" if self.bus._exit_requested else ""

    def _begin(self, channel: Channel[[], Check]) -> tuple[str, list[_Run]]:
        """Return why no check is to be called, or call those that do not run yet and return all that do."""
        runs: list[_Run] = []
        reason = self._reason()
        for subscription in () if reason else self.bus[channel].subscriptions:
            with self._lock:
                run = self._running.get(subscription)
                if run is None:
                    limit = self.limit if subscription.limit is None else subscription.limit
                    run = _Run(subscription.name, limit, self.clock())
                    # It waits for the lock before it takes the run out again.
                    call, name = functools.partial(self._call, subscription, run), f"check {run.name}"
                    try:
                        start_thread(threading.Thread(target=call, name=name, daemon=True))
                    except OutOfThreads as error:
                        run.answer.set_result(Checked(run.name, is_ok=False, detail=str(error), seconds=0.0))
                    else:
                        self._running[subscription] = run
            runs.append(run)
        return reason, runs

    def _call(self, subscription: Subscription, run: _Run) -> None:
        is_ok = False
        try:
            answer: object = subscription.listener()
            if isinstance(answer, Check):
                is_ok, detail = answer.is_ok, answer.detail
            else:
                detail = f"it answered {answer!r}, which is no Check"
        except BaseException as error:
            # One that calls sys.exit() has failed as well. Not every error can be made a text.
            detail = "".join(traceback.format_exception_only(error)).rstrip()
        seconds = self.clock() - run.began
        if seconds > run.limit:
            is_ok, detail = False, f"it took {seconds:.2f} s; its limit is {run.limit:g} s"
        with self._lock:
            del self._running[subscription]
        run.answer.set_result(Checked(run.name, is_ok, detail, seconds))

    def _awaited(self, runs: Sequence[_Run]) -> tuple[list[futures.Future[Checked]], float]:
        """Return the answers that may still come in time, and how many seconds the first of them has left."""
        now = self.clock()
        awaited = [run for run in runs if not run.answer.done() and run.began + run.limit > now]
        return [run.answer for run in awaited], min((run.began + run.limit - now for run in awaited), default=0.0)

    def _outcome(self, channel: Channel[[], Check], reason: str, runs: Sequence[_Run]) -> Probe:
        # A stop may have begun meanwhile; that a start has come to its end meanwhile, nobody has asked the checks.
        state, reason, now = self.bus.state, reason or self._reason(), self.clock()
        checks = tuple(run.answer.result() if run.answer.done() else run.overrun(now) for run in runs)
        is_well = not reason if channel is READY else state is not State.EXITED
        return Probe(is_well and all(one.is_ok for one in checks), state, reason, checks)


@attrs.define(eq=False)
class _Run:
    """One call of a check, for all the probes that come before it returns."""

    name: str
    limit: float
    began: float
    answer: futures.Future[Checked] = attrs.field(init=False, factory=futures.Future)

    def overrun(self, now: float) -> Checked:
        detail = f"it has not returned after {now - self.began:.2f} s; its limit is {self.limit:g} s"
        return Checked(self.name, is_ok=False, detail=detail, seconds=now - self.began)


_PATHS: Final = {"/livez": ALIVE, "/readyz": READY}
_METHODS: Final = ("GET", "HEAD")
_PHRASES: Final = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


def _response(
    channel: Channel[[], Check] | None, method: str, probe: Probe | None
) -> tuple[int, list[tuple[str, str]], bytes]:
    headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    status, told = 404, dict[str, object](error=f"there are {' and '.join(_PATHS)}")
    if channel is not None and probe is None:
        status, told = 405, {"error": f"{method} asks for nothing here; use GET"}
        headers.append(("Allow", ", ".join(_METHODS)))
    elif probe is not None:
        checks = [
            {"name": one.name, "ok": one.is_ok, "detail": one.detail, "seconds": round(one.seconds, 6)}
            for one in probe.checks
        ]
        status = 200 if probe.is_ok else 503
        told = {"ok": probe.is_ok, "state": probe.state.name, "reason": probe.reason, "checks": checks}
    body = json.dumps(told, indent=2, default=str).encode("ascii") + b"\n"
    headers.append(("Content-Length", str(len(body))))
    return status, headers, b"" if method == "HEAD" else body
