"""The runs that a container declares, with their policies; no component is built to find them."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from typedbus._base.restart import Restart
from typedbus._bus.builtin import RUN
from typedbus._channels.channel import Hook
from typedbus._container.component import Component


@attrs.frozen
class DeclaredRun:
    """
    A method of a component that listens to `RUN`.

    Attributes:
        path: The path of the run, as in `Bus.runs`.
        method: The name of the method.
        policy: Its restart policy; None if it is never called again.
        is_awaited: Whether a start waits until it is ready.
    """

    path: str
    method: str
    policy: Restart | None
    is_awaited: bool


def run_name(hook: Hook[object]) -> str:
    """Return the name of the method of the run *hook*, or that of its function, if no method is known."""
    return hook.attribute or getattr(hook.method, "__name__", "run")


def declared_runs(component: Component[object], hooks: Sequence[Hook[object]]) -> list[DeclaredRun]:
    """Return the runs among *hooks*, those of *component*."""
    runs = [hook for hook in hooks if hook.channel is RUN]
    names = list(map(run_name, runs))
    return [
        DeclaredRun(
            component.path if len(runs) == 1 else f"{component.path}.{name}",
            name,
            component.policy or hook.restart,
            hook.awaited,
        )
        for hook, name in zip(runs, names, strict=True)
    ]
