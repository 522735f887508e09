"""Names and signatures of channels that `declare` makes from functions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from typedbus import AsyncChannel, Bus, Channel, ChannelError, ChannelFailures
from typedbus.testing import Recorder


def transfer(item: str, /, *, destination: str = "attic") -> None:
    """Move or copy *item*."""


@Channel.declare
def task_started(sender: str, /, *, args: tuple[int, ...], kwargs: dict[str, int]) -> str:
    """A channel with parameters named `args` and `kwargs`, as signals of Celery have."""
    raise NotImplementedError


@AsyncChannel.declare
async def task_ended(sender: str, /, *, args: tuple[int, ...], kwargs: dict[str, int]) -> str:
    """An async channel with such parameters."""
    raise NotImplementedError


@Channel.declare
def reserved(*, self: int, cls: int, bus: int, channel: int, listener: int, priority: int, signature: int) -> int:
    """Every parameter has the name of a parameter of typedbus."""
    raise NotImplementedError


NAMED = {"self": 1, "cls": 2, "bus": 3, "channel": 4, "listener": 5, "priority": 6, "signature": 7}


def join(sender: str, /, *, args: tuple[int, ...], kwargs: dict[str, int]) -> str:
    """Return the arguments as text."""
    return f"{sender}{args}{kwargs}"


JOINED = "tea(1,){'n': 2}"

# Names


@pytest.mark.parametrize("kind", [Channel, AsyncChannel])
def test_a_declared_channel_can_have_a_name_of_its_own(kind: type[Channel[..., Any]]) -> None:
    """`declare` takes a name as a decorator and in a call; signature and docstring stay those of the function."""

    @kind.declare(name="item.moved")
    def moved(item: str, /) -> None:
        """It is somewhere else."""

    copied = kind.declare(transfer, name="item.copied")

    assert (moved.name, moved.doc, str(moved.signature())) == (
        "item.moved",
        "It is somewhere else.",
        "(item: str, /) -> None",
    )
    assert (copied.name, copied.doc) == ("item.copied", "Move or copy *item*.")
    assert (type(moved), type(copied)) == (kind, kind)


def test_a_named_async_channel_can_be_concurrent() -> None:
    """The decorator passes on both the name and *concurrent*."""

    @AsyncChannel.declare(name="item.moved", concurrent=True)
    async def moved(item: str, /) -> None: ...

    assert (moved.name, moved.concurrent) == ("item.moved", True)
    assert AsyncChannel.declare(transfer, name="item.copied").concurrent is False


def test_an_async_function_declares_no_plain_channel() -> None:
    """A `Channel` would refuse each listener with that signature."""

    async def fetched(sku: str, /) -> int:
        raise NotImplementedError

    with pytest.raises(ChannelError, match=r"is async, .*: use AsyncChannel\.declare, or make it a plain function"):
        Channel.declare(fetched)


def test_channels_of_one_function_are_different_channels() -> None:
    """A listener of one channel is not called for the other."""
    moved, copied = Channel.declare(transfer, name="moved"), Channel.declare(transfer, name="copied")
    bus, calls = Bus(), list[str]()
    bus[moved].subscribe(lambda item, /, *, destination="attic": calls.append(f"{item} to the {destination}"))

    bus[copied].publish("lamp")
    bus[moved].publish("chair")

    assert calls == ["chair to the attic"]


def test_a_failure_names_the_channel_and_not_the_function() -> None:
    """Several channels may have the same function, so its name would be ambiguous."""
    bus = Bus()
    moved = Channel.declare(transfer, name="item.moved")

    @bus[moved].subscribe()
    def fail(item: str, /, *, destination: str = "") -> None:
        raise OSError(item)

    with pytest.raises(ChannelFailures, match=r"channel 'item\.moved'") as caught:
        bus[moved].publish("lamp")

    assert caught.value.exceptions[0].__notes__[0].endswith("on channel 'item.moved'")


def test_a_wrong_call_names_all_channels_of_the_function_that_the_bus_has() -> None:
    """Channels of one signature share the code of a publish."""
    bus = Bus()
    moved, copied = Channel.declare(transfer, name="item.moved"), Channel.declare(transfer, name="item.copied")
    names = {type(bus[channel]) for channel in (moved, copied)}

    with pytest.raises(TypeError, match=r"item\.moved or item\.copied: publish\(\) missing 1 required positional"):
        bus[moved].publish()  # type: ignore[call-arg]  # what checkers refuse

    assert len(names) == 1


def test_a_lambda_declares_a_channel_if_it_is_named() -> None:
    """A lambda lacks only the name."""
    doubled = Channel.declare(lambda number: number, name="doubled")
    bus = Bus()
    bus[doubled].subscribe(lambda number: 2 * number)

    assert bus[doubled].publish(4) == [8]


@pytest.mark.parametrize("kind", [Channel, AsyncChannel])
@pytest.mark.parametrize("name", ["", "  ", 3])
def test_a_name_that_cannot_be_read_is_refused(kind: type[Channel[..., Any]], name: str) -> None:
    """Both forms of `declare` check the name as the constructor does."""
    with pytest.raises(ChannelError, match=r"is not a channel name: pass a string such as 'order_placed'"):
        kind.declare(transfer, name=name)
    with pytest.raises(ChannelError, match=r"is not a channel name"):
        kind.declare(name=name)(transfer)


@pytest.mark.parametrize("kind", [Channel, AsyncChannel])
@pytest.mark.parametrize("signature", ["item.moved", 3, task_started, task_ended], ids=repr)
def test_a_channel_is_declared_with_a_function(kind: type[Channel[..., Any]], signature: Callable[..., None]) -> None:
    """A name alone, or another channel, does not declare a signature."""
    with pytest.raises(
        ChannelError, match=r"is not a function: declare a channel with a function, `(async )?def"
    ) as caught:
        kind.declare(signature, name="item.copied")

    assert str(caught.value).endswith("and add name=... for another name")


def test_declare_without_a_function_and_a_name_is_refused() -> None:
    """The decorator without arguments has no parentheses: ``@Channel.declare``."""
    with pytest.raises(ChannelError, match="None is not a function"):
        Channel.declare()  # type: ignore[call-overload]  # what checkers refuse


# Parameters that have the names of parameters of typedbus


def test_parameters_can_be_named_args_and_kwargs() -> None:
    """Each way to publish passes these arguments by name."""
    bus = Bus()
    bus[task_started].subscribe(join)
    bound = bus[task_started]

    assert bus.publish(task_started, "tea", args=(1,), kwargs={"n": 2}) == [JOINED]
    assert bound.publish("tea", args=(1,), kwargs={"n": 2}) == [JOINED]
    assert bound.first("tea", args=(1,), kwargs={"n": 2}) == JOINED
    assert bound.fold("tea", args=(1,), kwargs={"n": 2}) == JOINED
    assert bound.attempt("tea", args=(1,), kwargs={"n": 2}).results == (JOINED,)
    assert asyncio.run(bound.publish_in_thread("tea", args=(1,), kwargs={"n": 2})) == [JOINED]


def test_parameters_of_an_async_channel_can_be_named_args_and_kwargs() -> None:
    """Each way to publish passes these arguments by name."""
    bus = Bus()
    bus[task_ended].subscribe(join)
    bound = bus[task_ended]

    async def publish() -> None:
        assert await bus.publish(task_ended, "tea", args=(1,), kwargs={"n": 2}) == [JOINED]
        assert await bound.publish("tea", args=(1,), kwargs={"n": 2}) == [JOINED]
        assert await bound.first("tea", args=(1,), kwargs={"n": 2}) == JOINED
        assert await bound.fold("tea", args=(1,), kwargs={"n": 2}) == JOINED
        assert (await bound.attempt("tea", args=(1,), kwargs={"n": 2})).results == (JOINED,)

    asyncio.run(publish())
    assert bound.publish_from_thread("tea", args=(1,), kwargs={"n": 2}) == [JOINED]


def test_parameters_can_have_the_names_of_those_of_typedbus() -> None:
    """Arguments by name reach the listeners, and the recorder of tests."""
    bus = Bus()
    bus[reserved].subscribe(lambda **named: sum(named.values()))

    with Recorder(bus[reserved]).answering(lambda **named: len(named)) as publishes:
        assert bus.publish(reserved, **NAMED) == [28, 7]
        assert bus[reserved].publish(**NAMED) == [28, 7]
        assert bus[reserved].attempt(**NAMED).results == (28, 7)
        assert publishes.times(**NAMED) == 3
    assert asyncio.run(bus[reserved].publish_in_thread(**NAMED)) == [28]


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("channel", [reserved, Channel[..., int]("anything")], ids=["declared", "for checkers only"])
def test_names_reach_listeners_that_are_timed(channel: Channel[..., int], debug: bool) -> None:
    """The event loop of the bus times its listeners in debug mode."""
    bus = Bus()
    bus[channel].subscribe(lambda **named: sum(named.values()))

    async def publish() -> list[int]:
        await bus.start_async()
        try:
            return bus[channel].publish(**NAMED)
        finally:
            await bus.exit_async()

    assert asyncio.run(publish(), debug=debug) == [28]
