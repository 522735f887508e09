"""The runs of a container in the output of `typedbus check`."""

from __future__ import annotations

import attrs

from typedbus._base.static import full_name_of
from typedbus._container.container import Container
from typedbus._container.core import analysis_of, components_of
from typedbus._container.declared_runs import DeclaredRun, declared_runs


def runs_of(container: Container) -> list[DeclaredRun]:
    """Return the runs of *container* whose components may take part in a start, in order of declaration."""
    analysis = analysis_of(container)
    return [
        run
        for component in components_of(container)
        if component.participation(is_foreseen=True)[0] is not False
        for run in declared_runs(component, analysis.listening(component)[1])
    ]


def run_line(run: DeclaredRun) -> str:
    """Return *run* as a line of text."""
    awaited = ", awaited by the start" if run.is_awaited else ""
    policy = "a failure exits the bus" if run.policy is None else run.policy.summary
    return f"  run {run.path}{awaited}: {policy}"


def run_record(run: DeclaredRun) -> dict[str, object]:
    """Return *run* for JSON; docs/command-line.md has the schema."""
    policy = None
    if run.policy is not None:
        policy = attrs.asdict(run.policy) | {"fatal": [full_name_of(error) for error in run.policy.fatal]}
    return {"path": run.path, "method": run.method, "awaited": run.is_awaited, "policy": policy}
