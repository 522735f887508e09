"""The components that only the owner of a process may have, and the fault that refuses them under a host."""

from __future__ import annotations

from typing import Final

from typedbus._base.structured import computed
from typedbus._container.container import Container
from typedbus._container.core import components_of
from typedbus._container.descriptions import class_of
from typedbus._container.faults import Fault

#: Classes that only the owner of a process may use, once. By name, so that they need not be imported here.
_ACTIONS: Final = {
    "typedbus.plugins.autoreload.Autoreload": "replaces the process",
    "typedbus.plugins.daemon.Daemon": "forks the process",
    "typedbus.plugins.pidfile.PIDFile": "records the pid of the process",
    "typedbus.plugins.privileges.Privileges": "changes the user of the process",
    "typedbus.plugins.signals.Signals": "catches the signals of the process",
}


class HostFault(Fault):
    """A hosted container declares a component that only the owner of a process may have."""

    problem: str = computed()
    remedy: str = computed()
    cls: str
    does: str

    def __post_init__(self) -> None:
        self.problem = f"it is a {self.cls}, which {self.does}, but the process belongs to the server"
        self.remedy = (
            "leave that to the server: declare the component in a container that run() runs, or enable it only there"
        )


def owner_faults(container: Container) -> list[Fault]:
    """Return a fault for each enabled component of *container* that only the owner of a process may have."""
    return [
        HostFault(component.path, component.place, name, action)
        for component in components_of(container)
        for name, action in _actions(class_of(component) or object)
        if component.is_enabled()
    ]


def _actions(cls: type) -> list[tuple[str, str]]:
    """Return the entries of `_ACTIONS` that *cls* is or inherits from."""
    entries = ((base.__name__, _ACTIONS.get(f"{base.__module__}.{base.__qualname__}")) for base in cls.__mro__)
    return [(name, action) for name, action in entries if action is not None]
