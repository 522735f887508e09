"""The rows of components: what a start of them took, and their present state."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from typedbus._base.run_records import RunRecord, RunState
from typedbus._base.signatures import builder_name
from typedbus._base.states import State
from typedbus._bus.bus import Bus, parts_of
from typedbus._channels.subscriptions import AnyBoundChannel
from typedbus._container.component import Component
from typedbus._container.core import attached_to
from typedbus._container.descriptions import class_of
from typedbus._container.providers import reached
from typedbus.inspector._journal import Journal
from typedbus.report import ComponentRecord, Outcome

#: The states of runs; if a component has several runs, its row shows the first of these.
_WORST: Final = (
    RunState.FAILED,
    RunState.WAITING,
    RunState.STOPPING,
    RunState.IDLE,
    RunState.RUNNING,
    RunState.ENDED,
)


class Components:
    """The rows of the components of the containers on a bus, and of the listeners of `START` outside of them."""

    def __init__(self, bus: Bus, journal: Journal) -> None:
        self._bus = bus
        self._journal = journal
        #: The components and the names of their classes by path, and the number of starts and containers at that time.
        self._components: dict[str, Component[object]] = {}
        self._classes: dict[str, str] = {}
        self._read_for: tuple[int, ...] = ()

    def rows(self) -> list[dict[str, object]]:
        """Return a row for each component, in the order of declaration, then the other listeners."""
        classes = self._declared()
        with self._journal.lock:
            states, errors = dict(self._journal.states), dict(self._journal.errors)
        record = self._journal.report.record()
        records = {one.path: one for one in record.components}
        listens = self._listens()
        runs: dict[str, list[RunRecord]] = defaultdict(list)
        for run in self._bus.runs.values():
            runs[_owner(run.path, classes)].append(run)
        now = self._bus.clock.now()
        paths = dict.fromkeys([*classes, *records, *runs])
        state = self._bus.state
        rows: list[dict[str, object]] = []
        for path in paths:
            start = _start(records[path]) if path in records else self._unseen(path, record.outcome)
            is_disabled = start["outcome"] == Outcome.DISABLED.value
            rows.append(
                {
                    "path": path,
                    "class": classes.get(path, ""),
                    **start,
                    "state": "disabled" if is_disabled else _state(states.get(path, "not started"), state),
                    "error": errors.get(path),
                    "listens": listens.get(path, []),
                    "run": _run(_worst(runs[path]), now) if path in runs else None,
                    "runs": [_run(run, now) for run in runs.get(path, ())],
                }
            )
        return rows

    def _unseen(self, path: str, outcome: Outcome) -> dict[str, object]:
        """Return the columns of a start for a component of which the inspector has seen no event."""
        component = self._components.get(path)
        needs: list[str] = []
        reason = ""
        if outcome is not Outcome.STARTED:
            outcome = Outcome.NOT_STARTED
        if component is not None:
            found = reached(component, lambda node: isinstance(node, Component))
            needs = list({need.path: None for need, is_lazy, _ in found if isinstance(need, Component) and not is_lazy})
            is_enabled, reason = component.participation(is_foreseen=True)
            if is_enabled is False or (outcome is Outcome.STARTED and is_enabled is None and not component.is_built):
                outcome = Outcome.DISABLED
            else:
                reason = ""
        return {
            "outcome": outcome.value,
            "reason": reason,
            "needs": needs,
            "after": [],
            "construct": None,
            "start": None,
        }

    def _declared(self) -> dict[str, str]:
        cores = attached_to(self._bus)
        key = (self._journal.starts, *map(id, cores))
        if key != self._read_for:
            self._components = {component.path: component for core in cores for component in core.components}
            self._classes = {
                path: builder_name(class_of(component) or component.builds)
                for path, component in self._components.items()
            }
            self._read_for = key
        return self._classes

    def _listens(self) -> dict[str, list[str]]:
        listens: dict[str, list[str]] = defaultdict(list)
        bound_channels: list[AnyBoundChannel] = list(parts_of(self._bus).registry.bound.values())
        for bound in bound_channels:
            name = bound.channel.name
            for subscription in bound.subscriptions:
                if not subscription.is_idle and name not in listens[subscription.path]:
                    listens[subscription.path].append(name)
        return listens


def _owner(path: str, classes: dict[str, str]) -> str:
    """Return the path of the component of the run *path*, which may end with the name of its method."""
    head = path.rpartition(".")[0]
    return path if path in classes or head not in classes else head


def _state(state: str, of_bus: State) -> str:
    """Return the state of a component that was in *state* after its last event: it may have no hook for the next one."""
    if of_bus is State.STARTED and state in ("not started", "constructed"):
        return "started"
    if of_bus in (State.STOPPED, State.EXITED) and state == "started":
        return "stopped"
    return state


def _start(record: ComponentRecord) -> dict[str, object]:
    return {
        "outcome": record.outcome.value,
        "reason": record.reason,
        "needs": list(record.needs),
        "after": list(record.after),
        "construct": None if record.construct is None else record.construct.seconds,
        "start": record.start_seconds if record.starts else None,
    }


def _worst(runs: list[RunRecord]) -> RunRecord:
    return min(runs, key=lambda run: _WORST.index(run.state))


def _run(run: RunRecord, now: float) -> dict[str, object]:
    return {
        "path": run.path,
        "state": run.state.value,
        "since": now - run.since,
        "attempt": run.attempt,
        "restarts": run.restarts,
        "next": None if run.next_at is None else run.next_at - now,
        "error": run.last_error,
        "is_ready": run.is_ready,
    }
