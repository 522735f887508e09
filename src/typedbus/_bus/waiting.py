"""The threads and tasks that wait for a state of the bus, and the check of the states that they pass."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING

from typedbus._base.errors import WaitError
from typedbus._base.states import State
from typedbus._bus.event_loop import is_on_any_loop
from typedbus._channels.channel import AnyChannel
from typedbus._os.forks import notice

if TYPE_CHECKING:
    from typedbus._bus.machine import StateMachine


class Waiter:
    """A thread in `Bus.wait`: the states it waits for, the state that was reached, and the lock it sleeps on."""

    __slots__ = ("reached", "states", "woken")

    def __init__(self, states: frozenset[State]) -> None:
        self.states = states
        self.reached: State | None = None
        self.woken = threading.Lock()
        self.woken.acquire()

    def wake(self) -> None:
        """Wake the thread; called once, under the lock of the bus, by the thread that changes the state."""
        self.woken.release()


def checked_states(argument: object) -> frozenset[State]:
    """
    Return the states that *argument* consists of, member or several.

    Raises:
        WaitError: *argument* is empty, or contains something other than a state.
    """
    members: list[object] = [argument]
    if isinstance(argument, Iterable) and not isinstance(argument, (str, AnyChannel)):
        members = list(argument)
    states = frozenset(member for member in members if isinstance(member, State))
    for member in members:
        if isinstance(member, AnyChannel):
            reason = (
                "it is a channel, and wait() takes states: write bus.wait(State.STARTED) to wait for the whole bus, "
                "or subscribe to the channel to be called for each event"
            )
            raise WaitError(states, reason, member)
        if isinstance(member, str) and member.upper() in State.__members__:
            raise WaitError(states, f"it is a string, not a state: write State.{member.upper()}", member)
        if not isinstance(member, State):
            raise WaitError(states, f"it is not a state: give one of {', '.join(map(str, State))}", member)
    if not states:
        raise WaitError(states, "give at least one state")
    return states


def refuse_in_transition(machine: StateMachine, states: frozenset[State]) -> None:
    """Raise `WaitError` if the caller belongs to the transition under way, and would wait in it for *states*."""
    current = machine.current
    if current is None or not current.includes_caller():
        return
    remedy = "wait in a thread of your own"
    if is_on_any_loop():
        remedy = "wait in a task that does not belong to it: create_task(..., context=contextvars.Context())"
    raise WaitError(states, f"the bus is {machine.state.name} and goes on only when this listener returns; {remedy}")


@contextlib.contextmanager
def waiting(
    machine: StateMachine, states: State | Iterable[State], create: Callable[[frozenset[State]], Waiter]
) -> Generator[Waiter]:
    """
    Yield a waiter for *states*, made by *create*, which is woken if *machine* reaches one of them while the block runs.

    Raises:
        WaitError: *states* is unusable, or the caller belongs to the transition that the waiter would wait for.
    """
    wanted = checked_states(states)
    notice()
    waiter = create(wanted)
    # Add the waiter before reading the state, so that no transition is missed
    # in between, not even one made by a signal handler in this thread.
    machine.waiters.append(waiter)
    try:
        state = machine.state
        if state in wanted:
            waiter.reached = state
        else:
            refuse_in_transition(machine, wanted)
        yield waiter
    finally:
        machine.waiters.remove(waiter)
