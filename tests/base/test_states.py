"""The states, and what is told of a life."""

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
def test_a_state_shows_as_it_is_written(state: State) -> None:
    """Its repr can be pasted into a program, and its value is its name."""
    assert repr(state) == f"State.{state.name}"
    assert State[state.value] is state


@pytest.mark.parametrize("state", State)
def test_a_state_is_itself_in_every_process(state: State) -> None:
    """Pickling gives the very member."""
    assert pickle.loads(pickle.dumps(state)) is state


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_what_was_told_cannot_be_changed(event: LifecycleEvent) -> None:
    """An event is a fact, and the same for everybody who hears it."""
    name = attrs.fields(type(event))[0].name

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(event, name, "another")


def test_events_of_the_same_contents_are_equal() -> None:
    """Tests compare them, and sets hold them."""
    assert Moved(State.STOPPED, State.STARTING) == EVENTS[0]
    assert Moved(State.STARTING, State.STOPPED) != EVENTS[0]
    assert (EVENTS[0] == object()) is False
    assert len({*EVENTS, *EVENTS}) == len(EVENTS)


def test_the_union_names_every_event() -> None:
    """Who matches all of its members has missed none."""
    module = vars(typedbus._base.events).items()
    kinds = {one for name, one in module if attrs.has(one) and not name.startswith("_")}

    assert set(typing.get_args(LifecycleEvent)) == kinds == set(map(type, EVENTS))
