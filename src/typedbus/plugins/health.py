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

An async check runs as a task on the event loop of the bus, to which the connections
that it inspects belong. It is cancelled at its limit.

The bus never waits for a check, nor a check for the bus. Checks are called only
while the bus is STARTED: before and after that, components do not have the
resources that their checks inspect.

Each run has a check that needs no code: a probe reads the records of the runs.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import json
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from concurrent import futures
from typing import Final, TypeAlias
from wsgiref.types import StartResponse, WSGIEnvironment

import attrs

from typedbus._base.coroutines import is_async_callable
from typedbus._base.errors import LimitError
from typedbus._base.limits import checked_limit
from typedbus._base.states import State
from typedbus._base.sync import new_lock
from typedbus._bus.bus import Bus, parts_of
from typedbus._bus.event_loop import would_block
from typedbus._channels.channel import Channel
from typedbus._channels.subscriptions import Subscription, has_async_listeners
from typedbus._os.exhausted import start_thread
from typedbus.plugins._asgi_scopes import Receive, Scope, Send, end_other
from typedbus.plugins._check_call import Check, CheckCall, Checked
from typedbus.plugins._run_checks import alive_checks, ready_checks

__all__ = ("ALIVE", "READY", "Check", "CheckLimitError", "Checked", "Health", "Probe")


ALIVE = Channel[[], Awaitable[Check] | Check]("alive")
"""Published to ask whether the process should continue; if a check fails, it should be started again."""

READY = Channel[[], Awaitable[Check] | Check]("ready")
"""Published to ask whether the process can serve; if a check fails, requests should go elsewhere for a while."""


@attrs.frozen
class Probe:
    """
    The outcome of one probe.

    Attributes:
        is_ok: Whether the bus and every check passed.
        state: The state of the bus.
        reason: Why the bus itself is not ready, for example after a stop; else empty. No check is called then.
        checks: The checks of listeners in running order, then the checks of runs in the order of the start.
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


CheckChannel: TypeAlias = Channel[[], Awaitable[Check] | Check]


@attrs.define(eq=False)
class Health:
    """
    Calls the listeners of `ALIVE` and `READY`, and reports their results: to Python, over WSGI and over ASGI.

    A component contributes a check with a marked method: ``@on(READY) def check(self) -> Check``,
    or ``async def check``. The checks of a probe run concurrently: each in a thread of its own, async
    checks on the event loop of the bus. A check fails, without affecting other
    checks, if it raises, returns anything but a `Check` or does not return within
    its limit, or if there is no thread or event loop for it. An async check is cancelled
    at its limit. If a check still runs for another probe, both probes share that call;
    a check that hangs fails each further probe at once, until it ends.

    Each run has a check on both channels, named by its path. The check of `READY` fails while the run does
    not work: it waits to run again, has not called `Stopping.ready` although the start awaits it, or has
    failed. Both fail while it has not called `Stopping.beat` for longer than `Restart.silent`; the detail has
    the stack of its thread or task.

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
    _running: dict[Subscription, CheckCall] = attrs.field(init=False, factory=dict)
    _last: dict[CheckChannel, Probe] = attrs.field(init=False, factory=dict)

    def alive(self) -> Probe:
        """
        Probe `ALIVE`; this takes at most the limit of the slowest check, and 0.1 s more if it is async.

        Raises:
            LoopError: The caller runs on the event loop of the bus, which async checks need; use `alive_async`.
        """
        return self._probe(ALIVE)

    def ready(self) -> Probe:
        """Same as `alive`, but probe `READY`."""
        return self._probe(READY)

    @property
    def last_alive(self) -> Probe | None:
        """The probe of `ALIVE` that ended last, however long ago; None before the first. Reading it calls no check."""
        return self._last.get(ALIVE)

    @property
    def last_ready(self) -> Probe | None:
        """Same as `last_alive`, but of `READY`."""
        return self._last.get(READY)

    async def alive_async(self) -> Probe:
        """Same as `alive`, without blocking the event loop."""
        return await self._probe_async(ALIVE)

    async def ready_async(self) -> Probe:
        """Same as `alive_async`, but probe `READY`."""
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
            if scope["type"] != "http":
                await end_other(scope, receive, send)
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

    def _probe(self, channel: CheckChannel) -> Probe:
        if parts_of(self.bus).event_loop.is_running_here and has_async_listeners(self.bus[channel]):
            name = f"health.{channel.name}"
            raise would_block(f"{name}()", "async checks", f"await {name}_async()")
        reason, calls = self._begin(channel)
        while (pending := self._pending(calls))[0]:
            futures.wait(*pending)
        return self._outcome(channel, reason, calls)

    async def _probe_async(self, channel: CheckChannel) -> Probe:
        reason, calls = self._begin(channel)
        while (pending := self._pending(calls))[0]:
            await asyncio.wait(map(asyncio.wrap_future, pending[0]), timeout=pending[1])
        return self._outcome(channel, reason, calls)

    def _reason(self) -> str:
        """Return why the bus is not ready; empty if it is."""
        if self.bus.state is not State.STARTED:
            return f"the bus is {self.bus.state.name}"
        return "an exit of the bus was requested" if self.bus.is_exit_requested else ""

    def _begin(self, channel: CheckChannel) -> tuple[str, list[CheckCall]]:
        """Return why no check may be called; otherwise start the checks that do not run yet, and return all calls."""
        calls: list[CheckCall] = []
        reason = self._reason()
        for subscription in () if reason else self.bus[channel].subscriptions:
            with self._lock:
                call = self._running.get(subscription)
                if call is None or call.is_lost:
                    limit = self.limit if subscription.limit is None else subscription.limit
                    call = CheckCall(subscription.name, limit, self.clock())
                    try:
                        # `_end` needs the lock to remove the call, so it cannot do so before the call is added below.
                        self._call(subscription, call)
                    except Exception as error:
                        # There is no thread or no event loop for it.
                        call.answer.set_result(Checked(call.name, is_ok=False, detail=str(error), seconds=0.0))
                    else:
                        self._running[subscription] = call
            calls.append(call)
        return reason, calls

    def _call(self, subscription: Subscription, call: CheckCall) -> None:
        """Begin the call of a check, in a thread or on the event loop of the bus."""
        listener = subscription.listener
        if not is_async_callable(listener):
            target = functools.partial(self._call_here, subscription, call)
            start_thread(threading.Thread(target=target, name=f"check {call.name}", daemon=True))
            return
        loop = parts_of(self.bus).event_loop.get(call.name)
        loop.refuse_if_dead("it was not called")

        async def check() -> None:
            call.result = await listener()

        # As in a thread of its own, the check sees no context variables of a probe, which it may share with others.
        done = functools.partial(self._end, subscription, call)
        call.task = loop.prepare(check, contextvars.Context(), f"check {call.name}", done)
        loop.begin_all([call.task])

    def _call_here(self, subscription: Subscription, call: CheckCall) -> None:
        try:
            call.result = subscription.listener()
        except BaseException as error:
            # A check that calls sys.exit() has failed as well.
            self._end(subscription, call, error)
        else:
            self._end(subscription, call, None)

    def _end(self, subscription: Subscription, call: CheckCall, error: BaseException | None) -> None:
        """Set the answer of a check that has returned, or raised *error*."""
        seconds = self.clock() - call.began
        try:
            checked = call.checked(error, seconds)
        except BaseException as failure:
            # The result has no repr.
            checked = call.checked(failure, seconds)
        with self._lock:
            del self._running[subscription]
        call.answer.set_result(checked)

    def _pending(self, calls: Sequence[CheckCall]) -> tuple[list[futures.Future[Checked]], float]:
        """
        Return the answers that may still come in time, and the seconds until the first of them is overdue.

        Async checks that have reached their limit are cancelled.
        """
        now = self.clock()
        with self._lock:
            for call in calls:
                call.cancel_if_due(now)
        pending = [call for call in calls if not call.answer.done() and call.due > now]
        return [call.answer for call in pending], min((call.due - now for call in pending), default=0.0)

    def _outcome(self, channel: CheckChannel, reason: str, calls: Sequence[CheckCall]) -> Probe:
        # A stop may have begun meanwhile. If a start has ended meanwhile, the first reason stays: no check was called.
        state, reason, now = self.bus.state, reason or self._reason(), self.clock()
        checks = [call.answer.result() if call.answer.done() else call.overrun(now) for call in calls]
        if not reason:
            runs = self.bus.runs
            checks += alive_checks(runs) if channel is ALIVE else ready_checks(runs, self.bus.clock.now())
        is_well = not reason if channel is READY else state is not State.EXITED
        probe = self._last[channel] = Probe(
            is_well and all(check.is_ok for check in checks), state, reason, tuple(checks)
        )
        return probe


_PATHS: Final = {"/livez": ALIVE, "/readyz": READY}
_METHODS: Final = ("GET", "HEAD")
_PHRASES: Final = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


def _response(
    channel: CheckChannel | None, method: str, probe: Probe | None
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
