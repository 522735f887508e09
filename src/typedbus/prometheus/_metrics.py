"""The component that collects the metrics of a bus."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from typing import Final
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import attrs
from prometheus_client import CollectorRegistry, Metric, make_asgi_app, make_wsgi_app

from typedbus._base.events import LifecycleEvent, Moved
from typedbus._base.states import State
from typedbus._base.structured import StructuredError
from typedbus._bus.builtin import LIFECYCLE, START, STOP
from typedbus._bus.bus import Bus
from typedbus._channels.marks import on
from typedbus._os.forks import after_fork, keeps_buses
from typedbus._telemetry import ended_start
from typedbus.observe import Level, Observation
from typedbus.plugins._asgi_scopes import Receive, Scope, Send, end_other
from typedbus.plugins._last_probes import last_probes
from typedbus.plugins.health import ALIVE, READY, Health
from typedbus.prometheus._families import BUS_FAMILIES, StartDurations, bus_families
from typedbus.prometheus._publishes import PUBLISH_FAMILIES, publish_families

FAMILIES: Final[Sequence[Callable[[], Metric]]] = (*PUBLISH_FAMILIES, *BUS_FAMILIES)


class MetricsConflict(StructuredError, ValueError):
    """
    Raised by the start of `Metrics` if its registry already has metrics of these names.

    Attributes:
        names: The names of the families, as `Metrics` would register them.
    """

    names: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"the registry already has {', '.join(self.names)}, perhaps of the Metrics of another bus; "
            "give each Metrics a registry of its own, as Metrics(bus) does"
        )


@attrs.define(eq=False)
class Metrics:
    """
    Collects the metrics of a bus for Prometheus; an application serves them over WSGI or ASGI.

    From its start to its stop it observes the publishes of the bus, on all channels but
    the bus's own, and the registry has the metrics. The counts begin at 0 with each start.
    In a forked child only the state of its bus is collected, which is EXITED, and no
    counts of the parent. A collection calls no listener and no check, and may be made in any
    thread.

    On a bus without a container, call `start` and `stop`, and subscribe `record_event` to
    `LIFECYCLE`.

    Args:
        bus: The bus whose metrics are collected.
        health: Returns the `Health` whose last probes are collected as well. In a container pass ``health.lazy``,
            so that `Metrics` does not depend on it and starts early.
        level: "count" counts publishes and failures, "time" measures each publish as
            well, and "each" also each call of a listener; `Bus.observe` has the costs.
        registry: The registry that has the metrics from the start to the stop, such as
            `prometheus_client.REGISTRY`; by default a new registry without other metrics.

    Raises:
        MetricsConflict: At the start, if *registry* has metrics of the same names.
        ObserveError: At the start, for an unknown *level*.
    """

    bus: Bus
    health: Callable[[], Health] | None = attrs.field(default=None, kw_only=True)
    level: Level = attrs.field(default="time", kw_only=True)
    registry: CollectorRegistry = attrs.field(factory=CollectorRegistry, kw_only=True)
    _observation: Observation | None = attrs.field(init=False, default=None)
    #: By component and outcome.
    _starts: dict[tuple[str, str], StartDurations] = attrs.field(init=False, factory=dict)

    def wsgi(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a GET request for any path with the metrics of the registry, in the format that its headers accept."""
        app: WSGIApplication = make_wsgi_app(self.registry)
        return app(environ, start_response)

    @property
    def asgi(self) -> Callable[[Scope, Receive, Send], Coroutine[object, object, None]]:
        """The same as `wsgi`, as an ASGI application."""
        app = make_asgi_app(self.registry)

        # A function, since servers take a bound method for ASGI 2.
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await end_other(scope, receive, send)
            elif scope["method"] == "GET":
                await app(scope, receive, send)
            else:  # `app` would answer with the metrics
                status = 200 if scope["method"] == "OPTIONS" else 405
                headers = [(b"allow", b"OPTIONS,GET")]
                await send({"type": "http.response.start", "status": status, "headers": headers})
                await send({"type": "http.response.body", "body": b""})

        return answer

    @on(START, priority=15)
    def start(self) -> None:
        """
        Register in the registry, and observe the bus.

        Raises:
            MetricsConflict: The registry has metrics of the same names.
        """
        for inherited in list(_INHERITED):
            if inherited.registry is self.registry:
                inherited.stop()
        try:
            self.registry.register(self)
        except ValueError as error:
            raise MetricsConflict(tuple(_names_in(self.registry))) from error
        try:
            self._observation = self.bus.observe(level=self.level)
        except BaseException:
            self.registry.unregister(self)
            raise
        _STARTED.add(self)

    @on(STOP)
    def stop(self) -> None:
        """Unregister from the registry, and end the observation; does nothing before `start`."""
        _STARTED.discard(self)
        _INHERITED.discard(self)
        observation, self._observation = self._observation, None
        if observation is not None:
            self.registry.unregister(self)
            observation.close()

    @on(LIFECYCLE)
    def record_event(self, event: LifecycleEvent, /) -> None:
        """Record the duration of a start hook that has ended with *event*; forget all at a start after an exit."""
        if (hook := ended_start(event)) is not None:
            key = hook.path, hook.outcome
            # Start hooks end one after the other, and a collection copies the dict in one step: so no lock is needed.
            self._starts[key] = self._starts.get(key, StartDurations()).with_one(hook.seconds)
        elif isinstance(event, Moved) and (event.before, event.after) == (State.EXITED, State.STARTING):
            self._starts = {}

    def describe(self) -> Iterable[Metric]:
        """Return the metric families without samples; for the registry."""
        return [family() for family in FAMILIES]

    def collect(self) -> Iterable[Metric]:
        """Yield the metric families as they are now; for the registry."""
        state, observation = self.bus.state, self._observation
        if state is State.EXITED:
            # Other figures would be from before the exit of the bus, or from the parent of this process.
            yield from publish_families({})
            yield from bus_families(state, {}, (), ())
        else:
            stats = {} if observation is None else observation.stats()
            # `Health` calls the listeners of these channels without a publish.
            yield from publish_families({channel: stats[channel] for channel in stats if channel not in (ALIVE, READY)})
            yield from bus_families(state, dict(self._starts), last_probes(self.health), self.bus.runs.values())


_STARTED: Final[weakref.WeakSet[Metrics]] = weakref.WeakSet()
#: Those that were started in the parent of this process, and leave their registry to the first that starts here.
_INHERITED: Final[weakref.WeakSet[Metrics]] = weakref.WeakSet()


def _inherit() -> None:
    if not keeps_buses():
        _INHERITED.update(_STARTED)
        _STARTED.clear()


after_fork(_inherit)


def _names_in(registry: CollectorRegistry) -> Iterator[str]:
    """Yield the names of the families that *registry* already has."""
    for family in FAMILIES:
        collector = _FamilyCollector(family())
        try:
            registry.register(collector)
        except ValueError:
            yield collector.family.name
        else:
            registry.unregister(collector)


@attrs.frozen(eq=False)
class _FamilyCollector:
    """A collector of one family, without samples."""

    family: Metric

    def describe(self) -> Iterable[Metric]:
        return [self.family]

    def collect(self) -> Iterable[Metric]:
        return []
