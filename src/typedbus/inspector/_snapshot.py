"""The snapshot that the page requests each second, and the other data of the page."""

from __future__ import annotations

import datetime as dt
import functools
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

import attrs

from typedbus._base.errors import ComponentDisabled
from typedbus._base.failures import error_text
from typedbus._base.states import State
from typedbus._base.sync import new_lock
from typedbus._bus.bus import Bus, parts_of
from typedbus._container.container import Container
from typedbus._container.core import attached_to
from typedbus._os.exhausted import OutOfThreads
from typedbus.graph import Graph, NoDrawing
from typedbus.inspector._answers import (
    NOT_MODIFIED,
    Query,
    Response,
    refusal,
    with_json,
    with_text_of_json,
)
from typedbus.inspector._channels import Channels
from typedbus.inspector._components import Components
from typedbus.inspector._figures import Figures
from typedbus.inspector._journal import Failure, Journal
from typedbus.inspector._stacks import stacks
from typedbus.plugins._last_probes import last_probes
from typedbus.plugins.health import Health, Probe

FORMAT: Final = 1
#: The most components that are drawn.
LARGEST_DRAWING: Final = 300
_BEGAN: Final = time.time()


class Snapshots:
    """
    Answers the requests for data; each method may be called from any thread.

    Args:
        bus: The bus.
        journal: The events of the bus.
        figures: The figures of publishes.
        health_of: Returns the `Health` that is probed; None for one of the inspector's own.
    """

    def __init__(self, bus: Bus, journal: Journal, figures: Figures, health_of: Callable[[], Health] | None) -> None:
        self._bus = bus
        self._journal = journal
        self._figures = figures
        self._health_of = health_of
        self._own_health: Health | None = None
        self._channels = Channels(bus)
        self._components = Components(bus, journal)
        #: The rows of components as they were after the event of that number.
        self._rows: tuple[int, str] = (-1, "")
        #: The state of the bus and the runs, of whose changes there are no events, at the last request.
        self._unreported: object = None
        self._graph: tuple[tuple[int, ...], Response] | None = None
        self._lock = new_lock()

    def renew_lock(self) -> None:
        """Replace the lock in a forked child; see `Journal.renew_lock`."""
        self._lock = new_lock()

    def snapshot(self, query: Query, _rest: str = "", /) -> Response:
        """Answer ``snapshot?since=SEQ&open=channels,log&of=ID,ID``."""
        journal = self._journal
        opened, since = query.get("open", "").split(","), _number(query.get("since", "")) or 0
        self._count_unreported()
        with journal.lock:
            seq, events_seq, components_seq = journal.seq, journal.events_seq, journal.components_seq
            changed = max(events_seq, journal.log_seq if "log" in opened else 0)
        if since > seq:
            since = 0  # of another process
        has_figures = "channels" in opened
        if since >= changed and not has_figures:
            return Response(NOT_MODIFIED)
        now = _iso(time.time())
        try:
            figures = self._figures.renew(now) if has_figures else {}
        except OutOfThreads as error:
            return refusal(503, str(error))
        events, lost_events = journal.events(since)
        lines, lost_lines = journal.lines(since) if "log" in opened else ([], 0)
        unfolded = {number for text in query.get("of", "").split(",") if (number := _number(text)) is not None}
        has_rows = since < components_seq
        rest = json.dumps(
            {
                "format": FORMAT,
                "seq": seq,
                "now": now,
                "bus": self._state(),
                "process": _process(),
                "events": [{"seq": number, **attrs.asdict(one), "at": _iso(one.at)} for number, one in events],
                "failures": [_failure(one) for one in journal.failures(since)],
                "log": [{"seq": number, **attrs.asdict(one), "at": _iso(one.at)} for number, one in lines],
                "lost": {"events": lost_events if since else 0, "log": lost_lines if since else 0},
            }
        )
        components = self._component_rows(components_seq) if has_rows else "null"
        channels = self._channels.rows(figures, unfolded) if has_figures or since < events_seq else "null"
        return with_text_of_json(f'{rest[:-1]},"components":{components},"channels":{channels}}}')

    def failure(self, _query: Query, rest: str, /) -> Response:
        """Answer ``failures/ID``."""
        number = _number(rest)
        trace = None if number is None else self._journal.traceback(number)
        return refusal(404, "this failure is no longer kept") if trace is None else with_json({"traceback": trace})

    def start(self, _query: Query, _rest: str = "", /) -> Response:
        """Answer ``start`` with the report of the last start."""
        return with_text_of_json(self._journal.report.json())

    def threads(self, _query: Query, _rest: str = "", /) -> Response:
        """Answer ``threads``."""
        return with_json(stacks(self._bus))

    def settings(self, _query: Query, _rest: str = "", /) -> Response:
        """Answer ``settings``; a program without settings need not have the package."""
        if "typedbus.settings" not in sys.modules:
            return with_json([])
        from typedbus.settings import loaded

        rows = [
            {"key": one.key, "value": one.value, "secret": one.is_secret, "source": one.source}
            for container in self._containers()
            for one in loaded(container)
        ]
        return with_json(rows)

    def graph(self, _query: Query, _rest: str = "", /) -> Response:
        """Answer ``graph``, which is computed once for each start."""
        with self._lock:
            containers = self._containers()
            key = (self._journal.starts, *map(id, containers))
            is_starting = self._bus.state is State.STARTING
            if self._graph is not None and (self._graph[0] == key or is_starting):
                return self._graph[1]
            try:
                drawn = [_drawn(Graph.of(container)) for container in containers]
            except RuntimeError as error:
                if not is_starting:
                    raise
                # The start builds the components at the same time.
                return refusal(503, f"the graph can be read when the bus has started: {error}")
            first = drawn[0] if drawn else _drawn(Graph("", (), (), (), (), ()))
            response = with_json({"format": FORMAT, **first, "others": drawn[1:]})
            self._graph = (key, response)
            return response

    def health(self, _query: Query, _rest: str = "", /) -> Response:
        """Answer ``health`` with the last probes; no check is called."""
        probes: dict[str, object] = {"ready": None, "alive": None}
        own = self._own_health
        found = last_probes(self._health_of or (None if own is None else lambda: own))
        return with_json(probes | {name: _probe(probe) for name, probe in found})

    def probe(self, _query: Query, _rest: str = "", /) -> Response:
        """Answer ``probe``: call the checks of `ALIVE` and `READY`, and wait for them."""
        try:
            health = self._health()
        except ComponentDisabled as error:
            return refusal(409, str(error))
        return with_json({"ready": _probe(health.ready()), "alive": _probe(health.alive())})

    def _health(self) -> Health:
        if self._health_of is not None:
            return self._health_of()
        if self._own_health is None:
            self._own_health = Health(self._bus)
        return self._own_health

    def _containers(self) -> list[Container]:
        """Return the containers of the site, then those of the options of `typedbus run`."""
        attached: list[object] = [core.container for core in attached_to(self._bus)]
        containers = [container for container in attached if isinstance(container, Container)]
        return sorted(containers, key=lambda container: type(container).__module__.startswith("typedbus.cli"))

    def _count_unreported(self) -> None:
        """Count a change of the state of the bus or of a run for which there was no event."""
        unreported = (
            self._bus.state,
            self._bus.is_exit_requested,
            [(run.path, run.state, run.restarts, run.is_ready) for run in self._bus.runs.values()],
        )
        if unreported != self._unreported:
            self._unreported = unreported
            self._journal.touch()

    def _component_rows(self, seq: int) -> str:
        number, rows = self._rows
        if number != seq:
            rows = json.dumps(self._components.rows())
            self._rows = (seq, rows)
        return rows

    def _state(self) -> dict[str, object]:
        bus = self._bus
        return {
            "state": bus.state.name,
            "since": max(0.0, bus.clock.now() - self._journal.since),
            "exit_requested": bus.is_exit_requested,
            "causes": [error_text(cause) for cause in [*parts_of(bus).requests.causes]],
        }


def _drawn(graph: Graph) -> dict[str, object]:
    try:
        svg = graph.svg() if 0 < len(graph.nodes) <= LARGEST_DRAWING else None
    except NoDrawing:
        svg = None
    return {**attrs.asdict(graph), "svg": svg}


@functools.cache
def _version() -> str:
    from typedbus import __version__

    return __version__


def _process() -> dict[str, object]:
    return {
        "pid": os.getpid(),
        "started": _iso(_BEGAN),
        "python": sys.version.split()[0],
        "typedbus": _version(),
        "argv0": sys.argv[0] if sys.argv else "",
        "threads": threading.active_count(),
    }


def _failure(failure: Failure) -> dict[str, object]:
    return {
        "id": failure.number,
        "at": _iso(failure.at),
        "count": failure.count,
        "channel": failure.channel,
        "listener": failure.listener,
        "error": failure.error,
    }


def _probe(probe: Probe) -> dict[str, object]:
    return {
        "ok": probe.is_ok,
        "state": probe.state.name,
        "reason": probe.reason,
        "checks": [
            {"name": one.name, "ok": one.is_ok, "detail": str(one.detail), "seconds": one.seconds}
            for one in probe.checks
        ],
    }


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None  # noqa: PLR2004  # 64 bits


def _iso(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="milliseconds")
