"""Containers that run for the length of a block, on one bus."""

from __future__ import annotations

import contextlib
import functools
import types
from collections.abc import Callable, Generator, Sequence
from typing import Any, overload

from typing_extensions import TypeVar

from typedbus._base.errors import NoContainer, TransitionError
from typedbus._base.failures import chain_failure, describe
from typedbus._base.limits import Limits
from typedbus._base.states import State
from typedbus._bus.bus import Bus, detach_children, parts_of
from typedbus._container.component import Component
from typedbus._container.container import Container
from typedbus._container.core import core_of, run_together
from typedbus._container.faults import Fault, InvalidContainer

C = TypeVar("C", bound=Container)


# With a single signature, C | type[C], mypy would join the members of a union.
@overload
def running(
    container: C, /, *others: Container | type[Container], workers: int | None = None, limits: Limits | None = None
) -> contextlib.AbstractContextManager[C]: ...


@overload
def running(
    container: type[C],
    /,
    *others: Container | type[Container],
    workers: int | None = None,
    limits: Limits | None = None,
) -> contextlib.AbstractContextManager[C]: ...


@contextlib.contextmanager
def running(
    container: C | type[C],
    /,
    *others: Container | type[Container],
    workers: int | None = None,
    limits: Limits | None = None,
) -> Generator[C, None, None]:
    """
    Start *container* and *others*, yield the first, and always exit its bus at the end of the block.

    A class is instantiated first, as by `run`: ``with running(Shop) as shop:``.

    For tests, and for programs that control their own process: it handles no
    signals and does not block. If a component requested the exit with a cause, as
    a `BackgroundTask` does when its function fails, the cause is raised after the
    exit, at the end of the block. Several containers share the bus of the first,
    which the others do not override; each starts after the containers before it,
    as far as priorities allow. At the end the others leave the bus: all of their
    subscriptions there end, and they can be passed again, with any bus.

    Args:
        container: The container that declares the bus, or its class.
        others: Containers that also listen and publish on this bus, or their classes.
        workers: How many components may start or stop in parallel; by default the setting of the bus.
        limits: How long hooks, a start and a stop may take; by default the setting of the bus.

    Raises:
        NoContainer: An argument is neither a container nor a container class.
        InvalidContainer: Before anything is built, with the faults of all of them.
        LimitError: *workers* is not a whole number from 1 up.
        TransitionError: The bus is already running; it is left unchanged.
        TransitionFailures: The container did not start, or did not end well.
        StartCancelled: A stop or an exit was requested during the start; raised from its cause.
        BaseException: The cause that `request_exit` was given, unless `Bus.block` has raised it already.
        BaseExceptionGroup: Several of these, in this order: the exception of the start or the block, the causes, and
            the failure of the exit. An exception that another one carries, for example as its cause, is not repeated.
    """
    instances = [container_of(argument) for argument in (container, *others)]
    first: Any = instances[0]
    with sharing(instances, workers, limits) as bus:
        if bus.state not in (State.STOPPED, State.EXITED):
            raise TransitionError(bus.state, State.STARTING)
        starter, is_ours = object(), False
        try:
            try:
                parts_of(bus).machine.bring_to(State.STARTED, by=starter)
            finally:
                is_ours = parts_of(bus).machine.started_by is starter
            if not is_ours:
                # Other code began the start since the check above, and will end it.
                raise TransitionError(bus.state, State.STARTING)  # noqa: TRY301  # passed on without an exit
            yield first
        except BaseException as error:
            if is_ours:
                exit_after(bus, error)
            raise
        exit_after(bus)


def exit_after(bus: Bus, raised: BaseException | None = None) -> None:
    """
    Exit *bus*, and raise the causes of the exit and its failure, if any.

    Args:
        bus: The bus whose start or block is over.
        raised: The exception of the start or the block. If nothing must be added to it, this returns, and the caller raises it.

    Raises:
        BaseException: The cause of the exit, or its failure; a group if there are several, *raised* first.
    """
    problems = [] if raised is None else [raised]
    leaving: BaseException | None = None
    try:
        bus.exit()
    except Exception as failure:
        problems.append(failure)
    except BaseException as error:
        leaving = error
    first = 0 if raised is None else 1
    problems[first:first] = parts_of(bus).loop.take_causes(problems if leaving is None else [*problems, leaving])
    group = BaseExceptionGroup("the bus has exited, with problems", problems) if len(problems) > 1 else None
    if leaving is not None:
        for problem in [group] if group is not None else problems:
            chain_failure(leaving, problem)
        raise leaving
    if group is not None:
        raise group from None
    if raised is None and problems:
        raise problems[0]


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

    From then on, buses are detached in forked child processes.

    Raises:
        InvalidContainer: With the faults of all of them.
        LimitError: *workers* is not a whole number from 1 up.
    """
    detach_children()
    first, *others = dict.fromkeys(map(core_of, containers))
    faults: list[Fault] = []
    for core in others:
        core.is_guest = True
    run_together([first, *others])
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
    for core in others:
        core.attach(bus)
    if bus.state in (State.STOPPED, State.EXITED):
        # Do not change the settings of a running bus, which will refuse this start.
        if workers is not None:
            bus.workers = workers
        if limits is not None:
            bus.limits = limits
    return bus


# `typedbus.testing` offers it as well, and may be imported before `typedbus.running` is used for the first time.
running.__module__ = "typedbus"
