"""The containers that a program passes to `run` or `running`, and their attachment to the bus of the first."""

from __future__ import annotations

import contextlib
import functools
import types
from collections.abc import Callable, Generator, Sequence

from typedbus._base.errors import NoContainer
from typedbus._base.failures import describe
from typedbus._base.limits import Limits
from typedbus._base.states import State
from typedbus._bus.bus import Bus
from typedbus._bus.forked import detach_children
from typedbus._container.component import Component
from typedbus._container.container import Container
from typedbus._container.core import attached_to, core_of, run_on_first, run_together
from typedbus._container.faults import Fault, InvalidContainer


def container_of(container: object, /) -> Container:
    """
    Return *container*, or an instance of it if it is a container class.

    Raises:
        NoContainer: It is neither, or is a container that is declared inside another container.
    """
    cls = type(container)
    if isinstance(container, type) and issubclass(container, Container):
        return container()
    if issubclass(cls, Container):
        assert isinstance(container, Container)
        if core_of(container).is_outermost:
            return container
        reason = f"{container!r} is nested in another container; give the outer container"
    elif container is None:
        reason = "None is not a container; a function that makes a container has to return it"
    elif isinstance(container, type):
        reason = (
            f"{describe(container)} is a class that does not inherit typedbus.Container; inherit it, "
            f"or declare it in a container: name = Component({container.__name__})"
        )
    elif issubclass(cls, types.ModuleType):
        name = getattr(container, "__name__", "module")
        reason = f"{name} is a module, not a container; give the container in it, as in {name}.Shop"
    elif issubclass(cls, (list, tuple, set, frozenset, dict)):
        reason = f"a {cls.__name__} is not a container; give each container as an argument of its own"
    elif issubclass(cls, (types.FunctionType, types.MethodType, functools.partial)):
        reason = (
            f"{describe(container)} is a function, not a container; call it, and give the container that it returns"
        )
    elif issubclass(cls, Component):
        reason = f"{container!r} is a component, not a container; give the container that declares it"
    else:
        reason = (
            f"an instance of {describe(cls).removeprefix('builtins.')} is not a container; "
            "give a class that inherits typedbus.Container, or an instance of one"
        )
    raise NoContainer(container, reason)


@contextlib.contextmanager
def sharing(containers: Sequence[Container], workers: int | None, limits: Limits | None) -> Generator[Bus, None, None]:
    """
    Attach *containers* for a block, as `attached` does, and yield the bus of the first.

    At the end the others leave the bus, unless they were attached to it before.
    """
    detach = detaching(containers)
    try:
        yield attached(containers, workers, limits)
    finally:
        detach()


def detaching(containers: Sequence[Container]) -> Callable[[], None]:
    """Return a function to undo `attached`: all but the first of *containers* leave a bus they are not on now."""
    first = core_of(containers[0])
    others = [core for container in containers[1:] if (core := core_of(container)) is not first]
    before = [(core, core.bus, core.is_guest) for core in others]

    def detach() -> None:
        for core, bus, was_guest in before:
            core.leave(bus, was_guest=was_guest)
        if len(containers) > 1:
            run_together([first, *(core for core in others if core.bus is not None and core.bus is first.bus)])

    return detach


def attached(containers: Sequence[Container], workers: int | None, limits: Limits | None) -> Bus:
    """
    Return the bus of the first of *containers*, with all of them attached to it, ready to be started.

    From then on, buses are detached in forked child processes. A container that has run on this bus, and is not among
    *containers*, leaves it unless it is a guest there.

    Raises:
        InvalidContainer: With the faults of all of them.
        LimitError: *workers* is not a whole number from 1 up.
    """
    detach_children()
    first, *others = dict.fromkeys(map(core_of, containers))
    faults: list[Fault] = []
    run_on_first([first, *others])
    for core in (first, *others):
        # The program may have changed a class since an earlier `validate`.
        core.group.analysis.forget_hooks()
    for container in containers:
        try:
            container.validate()
        except InvalidContainer as invalid:
            faults.extend(fault for fault in invalid.exceptions if isinstance(fault, Fault))
    if faults:
        raise InvalidContainer(", ".join(type(container).__name__ for container in containers), faults)
    bus = first.attach()
    over = [core for core in attached_to(bus) if core not in (first, *others) and core.is_over]
    for core in over:
        core.leave(None, was_guest=False)
    if over:
        run_together([first, *others])
    for core in others:
        core.attach(bus)
    if bus.state in (State.STOPPED, State.EXITED):
        # Do not change the settings of a running bus, which will refuse this start.
        if workers is not None:
            bus.workers = workers
        if limits is not None:
            bus.limits = limits
    return bus
