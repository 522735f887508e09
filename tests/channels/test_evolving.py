"""Channels that got a parameter, and listeners that were written before."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from typedbus import AsyncChannel, Bus, Channel, ChannelFailures, Component, Container, InvalidContainer, on
from typedbus.faults import HookFault

FILE = str(Path(__file__))


def art(*, album: str, source: str = "") -> None:
    """The signature of the channels; *source* is new."""


art_set = Channel.declare(art, name="art_set")
art_fetched = AsyncChannel.declare(art, name="art_fetched")
art_sent = AsyncChannel.declare(art, name="art_sent", concurrent=True)


def before(album):  # type: ignore[no-untyped-def]  # as in code that no checker reads
    """Listen, as before."""


def failing(album, source):  # type: ignore[no-untyped-def]  # as above
    """Fail for another reason."""
    raise TypeError(album)


async def async_before(album):  # type: ignore[no-untyped-def]  # as above
    """Listen, as before."""


class Before:
    """A listener that is an object."""

    def __call__(self, album):  # type: ignore[no-untyped-def]  # as above
        """Listen, as before."""


class Old:
    """Listens, as before."""

    @on(art_set)  # type: ignore[arg-type]  # what the checkers refuse
    def hear(self, album: str) -> None:
        """Listen."""


def subscribe(bus: Bus, channel: Any, listener: object) -> None:
    """Subscribe *listener*, as code does that no checker reads."""
    bus[channel].subscribe(listener)


def line_of(function: Callable[..., Any]) -> int:
    """Return the line of a function."""
    return function.__code__.co_firstlineno


def notes_of(failed: ChannelFailures) -> list[list[str]]:
    """Return the notes of each member."""
    return [error.__notes__ for error in failed.exceptions]


def refusal(name: str, function: Callable[..., Any], channel: str) -> str:
    """Return the note of a listener that does not accept the arguments."""
    return (
        f"{__name__}.{name} ({FILE}:{line_of(function)}) does not accept the arguments of channel {channel!r}; "
        "give it the parameters of the channel, or **_: object for those that it does not use"
    )


@pytest.mark.parametrize("publishes_before", [0, 100])
def test_a_listener_that_lacks_a_parameter_is_named_with_its_place(publishes_before: int) -> None:
    """A note names it before and after the publish has been unrolled."""
    bus = Bus()
    subscribe(bus, art_set, before)
    subscribe(bus, art_set, Before())
    for _ in range(publishes_before):
        with contextlib.suppress(ChannelFailures):
            bus[art_set].publish(album="a")

    with pytest.raises(ChannelFailures) as caught:
        bus[art_set].publish(album="a")

    first, second = caught.value.exceptions
    assert str(first) == "before() got an unexpected keyword argument 'source'"
    assert first.__notes__ == [
        f"raised by {__name__}.before on channel 'art_set'",
        refusal("before", before, "art_set"),
    ]
    assert f"({FILE}:{line_of(Before.__call__)}) does not accept the arguments" in second.__notes__[1]


def test_every_verb_names_the_listener() -> None:
    """The failures of `attempt` have the note as well."""
    bus = Bus()
    subscribe(bus, art_set, before)
    note = refusal("before", before, "art_set")

    with pytest.raises(ChannelFailures) as caught:
        bus[art_set].first(album="a")

    assert note in caught.value.exceptions[0].__notes__
    assert note in bus[art_set].attempt(album="a").failures[0].error.__notes__


@pytest.mark.parametrize("channel", [art_fetched, art_sent], ids=lambda channel: channel.name)
def test_a_listener_of_an_async_channel_is_named(channel: AsyncChannel[..., None]) -> None:
    """The note is the same for async and plain listeners, concurrent or not."""
    bus = Bus()
    subscribe(bus, channel, before)
    subscribe(bus, channel, async_before)

    with pytest.raises(ChannelFailures) as caught:
        asyncio.run(bus[channel].publish(album="a"))

    assert [notes[1] for notes in notes_of(caught.value)] == [
        refusal("before", before, channel.name),
        refusal("async_before", async_before, channel.name),
    ]


def test_a_channel_that_only_checkers_know_names_the_listener() -> None:
    """`publish` does not check the arguments of such a channel either."""
    bus, anything = Bus(), Channel[..., None]("anything")
    subscribe(bus, anything, before)

    with pytest.raises(ChannelFailures) as caught:
        bus[anything].publish("a", "s")

    assert notes_of(caught.value)[0][1] == refusal("before", before, "anything")


@pytest.mark.parametrize("listener", [failing, "".join], ids=["in the body", "in C"])
def test_a_type_error_of_the_listener_itself_is_not_explained(listener: Callable[..., Any]) -> None:
    """The error has only the note that names the listener and the channel."""
    bus, anything = Bus(), Channel[..., None]("anything")
    subscribe(bus, anything, listener)

    with pytest.raises(ChannelFailures) as caught:
        bus[anything].publish("a", 1)

    ((note,),) = notes_of(caught.value)
    assert note.endswith("on channel 'anything'")


def test_validation_names_the_method_that_lacks_a_parameter() -> None:
    """The fault has class, file and line, before anything is built."""

    class Site(Container):
        bus = Component(Bus)
        old = Component(Old)

    with pytest.raises(InvalidContainer) as caught:
        Site().validate()

    (fault,) = caught.value.exceptions
    assert isinstance(fault, HookFault)
    assert fault.path == "Site.old"
    assert str(fault).endswith(
        f": {__name__}.Old.hear does not fit channel 'art_set': it is called with (*, album: str, source: str = '') and takes "
        "(self, album: str): got an unexpected keyword argument 'source'; "
        f"correct the method ({FILE}:{line_of(Old.hear)}), or remove the mark or declaration that makes it a listener"
    )


def test_a_listener_with_any_other_parameters_accepts_a_new_one() -> None:
    """A listener with `**_` works in a container and outside of a container."""
    albums = list[str]()

    class Open:
        @on(art_set)
        def hear(self, *, album: str, **_: object) -> None:
            albums.append(album)

    class Site(Container):
        bus = Component(Bus)
        listener = Component(Open)

    bus = Bus()
    bus[art_set].subscribe(Open().hear)
    bus[art_set].publish(album="a", source="s")
    Site().validate()

    assert albums == ["a"]
