"""Containers that run for the length of a block, on one bus."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence

from typing_extensions import TypeVar

from typedbus._bus import Bus
from typedbus._container import Container
from typedbus._failures import TransitionError, leave
from typedbus._faults import Fault, InvalidContainer
from typedbus._forks import detach_children
from typedbus._states import State
from typedbus._turns import Limits

C = TypeVar("C", bound=Container)


@contextlib.contextmanager
def running(
    container: C, /, *others: Container, workers: int | None = None, limits: Limits | None = None
) -> Generator[C, None, None]:
    """
    Start *container* and *others*, give the first, and exit its bus at the end of the block, whatever happens.

    For tests, and for programs that own their process: it touches no signal and
    waits for nothing. If a component requested the exit with a cause, as a
    `BackgroundTask` does whose function failed, the cause is raised after the
    exit, at the end of the block. Several containers share the bus of the first, in whose
    place they put no other; each starts after those before it, as far as
    priorities allow.

    Args:
        container: The one that declares the bus.
        others: Containers that listen and publish on it as well.
        workers: How many components may start, or stop, side by side; unless given, what the bus says.
        limits: How long hooks, a start and a stop may take; unless given, what the bus says.

    Raises:
        InvalidContainer: Before anything is built, with the faults of all of them.
        LimitError: *workers* is no whole number from 1 up.
        TransitionError: The bus is running already, which is then left alone.
        TransitionFailures: The container did not start, or did not end well.
        StartCancelled: A stop or an exit was requested during the start; raised from its cause.
        BaseException: The cause that `request_exit` was given, unless `Bus.block` has raised it already.
        BaseExceptionGroup: Several of these, in this order: what the start or the block raised, the causes, and
            how the exit failed. An exception that another one carries, as its cause for instance, is not repeated.
    """
    bus = attached((container, *others), workers, limits)
    if bus.state not in (State.STOPPED, State.EXITED):
        raise TransitionError(bus.state, State.STARTING)
    try:
        bus.start()
        yield container
    except BaseException as error:
        exit_after(bus, error)
        raise
    exit_after(bus)


def exit_after(bus: Bus, raised: BaseException | None = None) -> None:
    """
    Exit *bus*, and raise why the exit was requested and how it failed.

    Args:
        bus: Whose start or block is over.
        raised: What that raised. If there is nothing to add, this returns, for the caller to raise it.

    Raises:
        BaseException: The cause of the exit, or its failure; a group if there are several, *raised* first.
    """
    problems = [] if raised is None else [raised]
    leaving: BaseException | None = None
    try:
        bus.exit()
    except Exception as failed:
        problems.append(failed)
    except BaseException as left:
        leaving = left
    first = 0 if raised is None else 1
    problems[first:first] = bus._take_causes(problems if leaving is None else [*problems, leaving])
    group = BaseExceptionGroup("the bus has exited, with problems", problems) if len(problems) > 1 else None
    if leaving is not None:
        for problem in [group] if group is not None else problems:
            leave(leaving, problem)
        raise leaving
    if group is not None:
        raise group from None
    if raised is None and problems:
        raise problems[0]


def attached(containers: Sequence[Container], workers: int | None, limits: Limits | None) -> Bus:
    """
    Return the bus of the first of *containers*, with all of them attached to it, ready to be started.

    From then on a process that is forked off has its buses detached.

    Raises:
        InvalidContainer: With the faults of all of them.
        LimitError: *workers* is no whole number from 1 up.
    """
    detach_children()
    first, *others = containers
    faults: list[Fault] = []
    for container in others:
        container._is_guest = True
    for container in containers:
        try:
            container.validate()
        except InvalidContainer as invalid:
            faults.extend(fault for fault in invalid.exceptions if isinstance(fault, Fault))
    if faults:
        raise InvalidContainer(", ".join(type(container).__name__ for container in containers), faults)
    bus = first.attach()
    for container in others:
        container.attach(bus)
    if workers is not None:
        bus.workers = workers
    if limits is not None:
        bus.limits = limits
    return bus
