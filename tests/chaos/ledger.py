"""The ledger of the chaos test: it checks each line of a site's journal by the rules of the documentation."""

from __future__ import annotations

from typing import Final

from tests.chaos.graph import Graph, Part

#: Each event of a run, and the events that may follow it.
_FOLLOWING: Final = {
    "": {"RunBegan"},
    "RunBegan": {"RunReady", "RunEnded", "RunBroke", "RunGaveUp"},
    "RunReady": {"RunEnded", "RunBroke", "RunGaveUp"},
    "RunEnded": {"RunBegan"},
    "RunBroke": {"RunBegan", "RunEnded"},
    "RunGaveUp": {"RunBegan"},
}


class Ledger:
    """
    Follows the journal of a site, and fails at the first line that breaks a rule.

    Attributes:
        started: The components that have started and not stopped.
        running: The number of the current attempt of each running run.
        deaths: How many runs have died without having been asked to end.
        stopped: The components that have stopped since `watch`.
        ended: The runs that have ended since `watch`.
        gave_up: The run whose failure must exit the bus.
        late: How many runs have failed after they had been asked to end.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.parts: dict[str, Part] = graph.by_run()
        self.deaths = 0
        self.state = "STOPPED"
        self.boots = 0
        self.acknowledged: dict[str, str] = {}
        self.records: dict[str, str] | None = None
        self.watch()
        self.reset()

    def reset(self) -> None:
        """Forget the state of the last process."""
        self.state = "STOPPED"
        self.started: set[str] = set()
        self.running: dict[str, int] = {}
        self.due: set[str] = set()
        self.ready: set[str] = set()
        self.over: dict[str, str] = {}
        self.failures: dict[str, int] = {}
        self.events: dict[str, str] = {}
        self.exited: set[str] = set()
        self.gave_up: str | None = None
        self.late = 0

    def watch(self) -> None:
        """Begin to collect the components that stop and the runs that end."""
        self.stopped: set[str] = set()
        self.ended: set[str] = set()

    def wanted(self) -> set[str]:
        """Return the runs that must run while the bus is STARTED."""
        return set(self.parts) - set(self.over)

    def is_settled(self) -> bool:
        """Whether all wanted runs are running, and no restart is under way."""
        if self.state != "STARTED":
            return not self.running and not self.started
        return not self.due and self.started == set(self.graph.parts) and set(self.running) == self.wanted()

    def expected_records(self) -> dict[str, str]:
        """Return the state of each run, and whether it is ready, of a settled site that is STARTED."""
        return {run: self.over.get(run, "RUNNING/1") for run in self.parts}

    def read(self, line: str) -> None:
        """Check a line of the journal, and update the state."""
        kind, *words = line.split(" ")
        try:
            getattr(self, f"_{kind}")(*words)
        except AssertionError as broken:
            raise AssertionError(f"{line}: {broken}") from None

    def _boot(self, _pid: str) -> None:
        assert not self.running, f"the program was replaced while {self.running} ran"
        assert not self.started, f"the program was replaced while {self.started} were started"
        self.reset()
        # The components are built by the start, and see the later changes of the state.
        self.state = "STARTING"
        self.boots += 1

    def _moved(self, state: str) -> None:
        if state == "STARTED":
            assert self.started == set(self.graph.parts), f"not started: {set(self.graph.parts) - self.started}"
        if state in ("STOPPED", "EXITED"):
            assert not self.running, f"{self.running} still run"
            assert not self.started, f"{self.started} were not stopped"
        if state == "STARTING":
            self.over.clear()
            self.failures.clear()
        if state == "STOPPING":
            self.due.clear()
        self.state = state

    def _start(self, name: str) -> None:
        part = self.graph.parts[name]
        assert name not in self.started, "it was started already"
        assert self.started.issuperset(part.needs), f"{set(part.needs) - self.started} were not started"
        for need in part.needs:
            needed = self.graph.parts[need]
            assert not needed.is_awaited or self.ready.issuperset(needed.runs), f"the run of {need} was not ready"
        self.started.add(name)
        self.due.discard(name)
        for run in part.runs:
            self.over.pop(run, None)
            if part.is_background:
                # A restart with a component that it needs resets its failures.
                self.failures.pop(run, None)

    def _stop(self, name: str) -> None:
        assert name in self.started, "it was not started"
        dependents = self.graph.dependents([name]) - {name}
        assert not self.started & dependents, f"{self.started & dependents} were not stopped"
        running = set(self.graph.parts[name].runs) & set(self.running)
        assert not running, f"{running} still run"
        if self.state == "STOPPING":
            waiting = {run for run in self.running if not self.parts[run].is_background}
            assert not waiting, f"{waiting} still run"
        self.started.remove(name)
        self.stopped.add(name)

    def _exit(self, name: str) -> None:
        assert name not in self.started, "it was not stopped"
        assert name not in self.exited, "it has exited already"
        assert not self.running, f"{self.running} still run"
        self.exited.add(name)

    def _begin(self, run: str, number: str) -> None:
        part = self.parts[run]
        assert run not in self.running, f"attempt {self.running[run]} still runs"
        assert run not in self.over, f"it is {self.over[run]}"
        assert part.name in self.started, "its component is not started"
        # A stop ends the runs one after another, so that a run may run again until it is its turn.
        states = ["STARTED", "STOPPING", *(["STARTING"] if part.is_awaited or part.is_background else [])]
        assert self.state in states, f"the bus is {self.state}"
        self.running[run] = int(number)
        self.ready.discard(run)

    def _ready(self, run: str) -> None:
        self.ready.add(run)

    def _end(self, run: str, number: str, how: str, when: str) -> None:
        assert self.running.get(run) == int(number), "it did not run"
        del self.running[run]
        self.ended.add(run)
        if how == "asked":
            # Each run is asked when the runs of its dependents have ended.
            dependents = self.graph.dependents([self.parts[run].name]) - {self.parts[run].name}
            others = {other: self.parts[other] for other in self.running}
            early = {other for other, part in others.items() if part.name in dependents and not part.is_background}
            assert not early, f"{early} still run"
            return
        if when == "late":
            self.late += how != "return"
            return
        self.deaths += 1
        self._died(run, how)

    def _died(self, run: str, how: str) -> None:
        """Apply the policy of *run*."""
        part = self.parts[run]
        policy = part.policy
        if how == "return" and (policy is None or policy.when != "always"):
            self.over[run] = "ENDED/1"
            return
        self.failures[run] = failures = self.failures.get(run, 0) + 1
        is_final = policy is None or policy.when == "never" or (how == "fatal" and PermissionError in policy.fatal)
        if policy is None or is_final or failures > policy.most:
            self.over[run] = "FAILED/0"
            if policy is None or policy.then == "exit":
                self.gave_up = self.gave_up or run
        elif policy.takes == "dependents" and self.state == "STARTED":
            self.due.add(part.name)

    def _event(self, kind: str, run: str) -> None:
        before = self.events.get(run, "")
        assert kind in _FOLLOWING[before], f"it follows {before or 'nothing'}"
        self.events[run] = kind

    def _ack(self, number: str, outcome: str) -> None:
        self.acknowledged[number] = outcome

    def _records(self, _state: str, *records: str) -> None:
        self.records = dict(record.split("=") for record in records)
