"""The states, and the events of a life cycle."""

from __future__ import annotations

import pickle
import typing

import attrs
import pytest

import typedbus
import typedbus._base.events
from typedbus import State
from typedbus.events import (
    ComponentExited,
    ComponentExiting,
    ComponentStarted,
    ComponentStarting,
    ComponentStopped,
    ComponentStopping,
    Constructed,
    Constructing,
    Disabled,
    Failed,
    LifecycleEvent,
    ListenerFailed,
    Moved,
    RolledBack,
    Subscribed,
)

EVENTS = [
    Moved(State.STOPPED, State.STARTING),
    Constructing("Shop.orders"),
    Constructed("Shop.orders", 0.5),
    Subscribed("Shop.orders", 0.5, ("Shop.database",)),
    Disabled("Shop.orders", "closed today"),
    ComponentStarting("Shop.orders"),
    ComponentStarted("Shop.orders", 0.5),
    ComponentStopping("Shop.orders"),
    ComponentStopped("Shop.orders", 0.5),
    ComponentExiting("Shop.orders"),
    ComponentExited("Shop.orders", 0.5),
    Failed("Shop.orders", "start", 0.5, KeyboardInterrupt()),
    RolledBack(0.5, None, ("Shop.orders",)),
    ListenerFailed("Shop.orders.bill", "order_placed", ValueError()),
]


def test_there_are_six_states() -> None:
    """A bus is always in one of these."""
    assert [state.name for state in State] == ["STOPPED", "STARTING", "STARTED", "STOPPING", "EXITING", "EXITED"]


@pytest.mark.parametrize("state", State)
def test_the_repr_of_a_state_is_code(state: State) -> None:
    """It can be pasted into a program; the value is the name."""
    assert repr(state) == f"State.{state.name}"
    assert State[state.value] is state


@pytest.mark.parametrize("state", State)
def test_a_pickled_state_is_the_same_member(state: State) -> None:
    """In every process."""
    assert pickle.loads(pickle.dumps(state)) is state


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_cannot_be_changed(event: LifecycleEvent) -> None:
    """It is the same for all listeners."""
    name = attrs.fields(type(event))[0].name

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(event, name, "another")


def test_events_with_the_same_data_are_equal() -> None:
    """Tests compare them, and they can be members of sets."""
    assert Moved(State.STOPPED, State.STARTING) == EVENTS[0]
    assert Moved(State.STARTING, State.STOPPED) != EVENTS[0]
    assert (EVENTS[0] == object()) is False
    assert len({*EVENTS, *EVENTS}) == len(EVENTS)


def test_the_union_has_every_event() -> None:
    """A match of all its members covers all events."""
    module = vars(typedbus._base.events).items()
    kinds = {one for name, one in module if attrs.has(one) and not name.startswith("_")}

    assert set(typing.get_args(LifecycleEvent)) == kinds == set(map(type, EVENTS))
