"""The graph of components that the chaos test and the processes under test have in common."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any, Final

import attrs

from typedbus import Restart

PATIENT: Final[dict[str, Any]] = {"most": 500, "within": 600.0, "first": 0.005, "longest": 0.02}
"""A policy whose limit a test does not reach."""

BRITTLE: Final[dict[str, Any]] = {"most": 2, "within": 600.0, "first": 0.005, "longest": 0.02}
"""A policy whose limit the third failure exceeds."""

POLICIES: Final = (
    None,
    *[Restart("failure", **PATIENT)] * 2,
    *[Restart("always", **PATIENT)] * 2,
    *[Restart("failure", takes="dependents", **PATIENT)] * 2,
    Restart("always", takes="dependents", **PATIENT),
    Restart("failure", fatal=(PermissionError,), then="unready", **PATIENT),
    Restart("failure", **BRITTLE),
    Restart("always", then="unready", **BRITTLE),
    Restart("failure", takes="dependents", **BRITTLE),
    Restart("never", then="unready"),
)

RUNS: Final = {
    "Plain": (),
    "InThread": ("consume",),
    "AsTask": ("follow",),
    "DeafTask": ("follow",),
    "AwaitedInThread": ("consume",),
    "AwaitedTask": ("follow",),
    "Several": ("consume", "follow"),
    "Background": ("call",),
}
"""The names of the runs of each class of `tests.chaos.site`."""


@attrs.frozen
class Part:
    """
    The declaration of a component.

    Attributes:
        name: Its name in the container.
        kind: The name of its class.
        needs: The names of the components that it needs.
        policy: The policy of its runs.
    """

    name: str
    kind: str
    needs: tuple[str, ...]
    policy: Restart | None

    @property
    def runs(self) -> tuple[str, ...]:
        """The paths of its runs, without the name of the container."""
        methods = RUNS[self.kind]
        return (self.name,) if len(methods) == 1 else tuple(f"{self.name}.{method}" for method in methods)

    @property
    def is_background(self) -> bool:
        """Whether its run begins and ends with the component itself."""
        return self.kind == "Background"

    @property
    def is_awaited(self) -> bool:
        """Whether the start waits for its run."""
        return self.kind.startswith("Awaited")


@attrs.frozen
class Graph:
    """Components in the order of their declaration, which is the order of the start."""

    parts: dict[str, Part]

    def dependents(self, names: Iterable[str]) -> set[str]:
        """Return the components *names* and all components that need one of them, directly or indirectly."""
        found = set(names)
        for part in self.parts.values():
            if found & set(part.needs):
                found.add(part.name)
        return found

    def by_run(self) -> dict[str, Part]:
        """Return the component of each run."""
        return {run: part for part in self.parts.values() for run in part.runs}


def random_graph(seed: int, size: int) -> Graph:
    """Return a graph of *size* components, the same for the same *seed*; each kind and policy is used in turn."""
    chance = random.Random(seed)
    kinds, policies = chance.sample(list(RUNS), len(RUNS)), chance.sample(POLICIES, len(POLICIES))
    parts: dict[str, Part] = {}
    for number in range(size):
        needs = chance.sample(sorted(parts), min(len(parts), chance.choice([0, 1, 1, 2, 3])))
        kind = kinds[number % len(kinds)]
        if kind == "DeafTask" and number >= len(kinds):
            # One of this kind suffices: a stop waits for its whole limit.
            kind = "AsTask"
        policy = policies[number % len(policies)] if RUNS[kind] else None
        if kind == "Background":
            policy = chance.choice([one for one in POLICIES if one is not None and one.takes == "itself"])
        part = Part(f"part{number:02}", kind, tuple(needs), policy)
        parts[part.name] = part
    return Graph(parts)
