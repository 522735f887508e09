"""
Liveness and readiness of the process, from the checks of its components and the state of its bus.

The caller is a load balancer or an orchestrator. It probes several times a minute
from outside, and treats a missing answer as a failure. So an answer must come in
time, whatever a check does, and must name each check that fails.

A thread cannot be interrupted, but it can be abandoned. Each check runs in its own
thread, and a probe waits for it up to its limit. A check that hangs is reported by
name and is not called again until it returns, so a process has at most one thread
for each check. A thread pool would be smaller, but hanging checks could fill it:
then every check would fail.

The bus never waits for a check, nor a check for the bus. Checks are called only
while the bus is STARTED: before and after that, components do not have the
resources that their checks inspect.
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
from typedbus._base.limits import checked_limit
from typedbus._base.states import State
from typedbus._base.sync import new_lock
from typedbus._bus.bus import Bus
from typedbus._channels.channel import Channel
from typedbus._channels.subscriptions import Subscription
from typedbus._os.exhausted import OutOfThreads, start_thread

__all__ = ("ALIVE", "READY", "Check", "CheckLimitError", "Checked", "Health", "Probe")


@attrs.frozen
class Check:
    """The result of a check: whether it passed, and a detail for people to read."""

    is_ok: bool
    detail: str = ""


ALIVE = Channel[[], Check]("alive")
"""Published to ask whether the process should continue; if a check fails, it should be started again."""

READY = Channel[[], Check]("ready")
"""Published to ask whether the process can serve; if a check fails, requests should go elsewhere for a while."""


@attrs.frozen
class Checked:
    """The outcome of one check in a probe: the name of the listener, its answer, and the seconds that it took."""

    name: str
    is_ok: bool
    detail: str
    seconds: float


@attrs.frozen
class Probe:
    """
    The outcome of one probe.

    Attributes:
        is_ok: Whether the bus and every check passed.
        state: The state of the bus.
        reason: Why the bus itself is not ready, for example after a stop; else empty. No check is called then.
        checks: In running order.
    """

    is_ok: bool
    state: State
    reason: str
    checks: tuple[Checked, ...]


class CheckLimitError(LimitError):
    """Raised by `Health` for a time limit that is not a number, or that no check could keep."""

    def __str__(self) -> str:
        return f"{self.given!r} is not a time limit for checks; give Health(limit=...) a number of seconds above 0"


def _limit(health: Health, field: attrs.Attribute[float], value: float) -> None:
    try:
        checked_limit(field.name, value)
    except LimitError as error:
        raise CheckLimitError(error.name, error.given) from None


Scope: TypeAlias = Mapping[str, object]
Receive: TypeAlias = Callable[[], Awaitable[Mapping[str, object]]]
Send: TypeAlias = Callable[[dict[str, object]], Awaitable[None]]


@attrs.define(eq=False)
class Health:
    """
    Calls the listeners of `ALIVE` and `READY`, and reports their results: to Python, over WSGI and over ASGI.

    A component contributes a check with a marked method: ``@on(READY) def check(self) -> Check``.
    The checks of a probe run concurrently. A check fails, without affecting other
    checks, if it raises, returns anything but a `Check` or does not return within
    its limit, or if the system cannot start a thread for it. If a check still runs
    for another probe, both probes share that call; a check that hangs fails each
    further probe at once, until it ends.

    A process is ready from STARTED on, until a stop or an exit begins or is
    requested, as long as every check passes. It is alive unless a check fails or
    the bus has EXITED.

    An instance lives as long as it is referenced, and takes no part in the life
    cycle. It may be called from any thread and any event loop.

    Args:
        bus: The bus whose state and listeners are probed.
        limit: How long a check may take, in seconds, if its mark gives no limit.
        clock: Returns the time in seconds.

    Raises:
        CheckLimitError: *limit* is not a number above 0.
    """

    bus: Bus
    limit: float = attrs.field(default=1.0, kw_only=True, validator=_limit)
    clock: Callable[[], float] = attrs.field(default=time.monotonic, kw_only=True)
    _lock: threading.Lock = attrs.field(init=False, factory=new_lock)
    #: The checks that have not returned yet, including checks that hang.
    _running: dict[Subscription, _Run] = attrs.field(init=False, factory=dict)

    def alive(self) -> Probe:
        """Probe `ALIVE`; this takes at most the limit of the slowest check."""
        return self._probe(ALIVE)

    def ready(self) -> Probe:
        """Probe `READY`; this takes at most the limit of the slowest check."""
        return self._probe(READY)

    async def alive_async(self) -> Probe:
        """Same as `alive`, without blocking the event loop."""
        return await self._probe_async(ALIVE)

    async def ready_async(self) -> Probe:
        """Same as `ready`, without blocking the event loop."""
        return await self._probe_async(READY)

    def wsgi(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer ``/livez`` and ``/readyz``, as a separate WSGI application or mounted in another application."""
        channel, method = _PATHS.get(environ.get("PATH_INFO", "")), environ["REQUEST_METHOD"]
        probe = None if channel is None or method not in _METHODS else self._probe(channel)
        status, headers, body = _response(channel, method, probe)
        start_response(f"{status} {_PHRASES[status]}", headers)
        return [body]

    @property
    def asgi(self) -> Callable[[Scope, Receive, Send], Coroutine[object, object, None]]:
        """An ASGI application for ``/livez`` and ``/readyz``, served separately or mounted in another application."""

        # A function: servers guess the version of ASGI from the type, and take a bound method for ASGI 2.
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            while scope["type"] == "lifespan":
                stage = (await receive())["type"]
                await send({"type": f"{stage}.complete"})
                if stage == "lifespan.shutdown":
                    return
            if scope["type"] != "http":
                await send({"type": "websocket.close", "code": 1000})
                return
            # Servers differ in whether the path includes the mount point.
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
        """Return why the bus is not ready; empty if it is."""
        if self.bus.state is not State.STARTED:
            return f"the bus is {self.bus.state.name}"
        return "an exit of the bus was requested" if self.bus.is_exit_requested else ""

    def _begin(self, channel: Channel[[], Check]) -> tuple[str, list[_Run]]:
        """Return why no check may be called; otherwise start the checks that do not run yet, and return all calls."""
        runs: list[_Run] = []
        reason = self._reason()
        for subscription in () if reason else self.bus[channel].subscriptions:
            with self._lock:
                run = self._running.get(subscription)
                if run is None:
                    limit = self.limit if subscription.limit is None else subscription.limit
                    run = _Run(subscription.name, limit, self.clock())
                    # `_call` needs the lock to remove the run, so it cannot do so before the run is added below.
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
                detail = f"it returned {answer!r}, which is not a Check"
        except BaseException as error:
            # A check that calls sys.exit() has failed as well. `str` may fail for an error; this function does not.
            detail = "".join(traceback.format_exception_only(error)).rstrip()
        seconds = self.clock() - run.began
        if seconds > run.limit:
            is_ok, detail = False, f"it took {seconds:.2f} s; its limit is {run.limit:g} s"
        with self._lock:
            del self._running[subscription]
        run.answer.set_result(Checked(run.name, is_ok, detail, seconds))

    def _awaited(self, runs: Sequence[_Run]) -> tuple[list[futures.Future[Checked]], float]:
        """Return the answers that may still come in time, and the seconds until the first of them is overdue."""
        now = self.clock()
        awaited = [run for run in runs if not run.answer.done() and run.began + run.limit > now]
        return [run.answer for run in awaited], min((run.began + run.limit - now for run in awaited), default=0.0)

    def _outcome(self, channel: Channel[[], Check], reason: str, runs: Sequence[_Run]) -> Probe:
        # A stop may have begun meanwhile. If a start has ended meanwhile, the first reason stays: no check was called.
        state, reason, now = self.bus.state, reason or self._reason(), self.clock()
        checks = tuple(run.answer.result() if run.answer.done() else run.overrun(now) for run in runs)
        is_well = not reason if channel is READY else state is not State.EXITED
        return Probe(is_well and all(check.is_ok for check in checks), state, reason, checks)


@attrs.define(eq=False)
class _Run:
    """One call of a check, shared by all probes that begin before it returns."""

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
    status, answer = 404, dict[str, object](error=f"the paths are {' and '.join(_PATHS)}")
    if channel is not None and probe is None:
        status, answer = 405, {"error": f"the method {method} is not supported; use GET"}
        headers.append(("Allow", ", ".join(_METHODS)))
    elif probe is not None:
        checks = [
            {"name": check.name, "ok": check.is_ok, "detail": check.detail, "seconds": round(check.seconds, 6)}
            for check in probe.checks
        ]
        status = 200 if probe.is_ok else 503
        answer = {"ok": probe.is_ok, "state": probe.state.name, "reason": probe.reason, "checks": checks}
    body = json.dumps(answer, indent=2, default=str).encode("ascii") + b"\n"
    headers.append(("Content-Length", str(len(body))))
    return status, headers, b"" if method == "HEAD" else body
