"""A container that runs for the length of a block."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from typing_extensions import TypeVar

from typedbus._container import Container
from typedbus._failures import TransitionError
from typedbus._states import State

C = TypeVar("C", bound=Container)


@contextlib.contextmanager
def running(container: C) -> Generator[C, None, None]:
    """
    Start *container*, give it, and exit its bus at the end of the block, whatever happens.

    For tests, and for programs that own their process: it touches no signal and
    waits for nothing.

    Raises:
        InvalidContainer: Before anything is built.
        TransitionError: The bus is running already, which is then left alone.
        TransitionFailures: The container did not start, or did not end well.
        BaseExceptionGroup: What the block raised, together with how the exit failed.
    """
    container.validate()
    bus = container.attach()
    if bus.state not in (State.STOPPED, State.EXITED):
        raise TransitionError(bus.state, State.STARTING)
    try:
        bus.start()
        yield container
    except BaseException as error:
        try:
            bus.exit()
        except Exception as failed:
            raise BaseExceptionGroup("the block failed, and so did the exit after it", [error, failed]) from None
        raise
    bus.exit()
