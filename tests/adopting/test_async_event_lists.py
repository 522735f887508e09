"""The event lists once more, with an `AsyncChannel` for each event: the same parameters, verbs and results, awaited."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from tests.adopting.facts import PROGRAMS
from tests.adopting.test_event_lists import AnySignature, Recorder, arguments, channels_of, interface

from typedbus import AsyncChannel, Bus, Component, Container, Listeners, running


class AsyncRecorder(Recorder):
    """A listener that is awaited."""

    async def listen(self, *args: object, **kwargs: object) -> object:
        """Record the call, and return the result."""
        await asyncio.sleep(0)
        return super().listen(*args, **kwargs)


def as_async(channel: AnySignature) -> AsyncChannel[..., Any]:
    """Return an async channel with the name and the signature of *channel*."""
    if channel.declaration is not None:
        return AsyncChannel.declare(channel.declaration, name=channel.name)
    signature = channel.signature()
    assert signature is not None
    kind: Any = AsyncChannel
    parameters = [parameter.annotation for parameter in signature.parameters.values()]
    made: AsyncChannel[..., Any] = kind[parameters, signature.return_annotation](channel.name)
    return made


async def publish_all(program: str) -> int:
    """Publish each event of *program* to three async listeners in a container, and return the number of events."""
    listeners = Listeners()
    recorders_of = {
        as_async(channel): (AsyncRecorder(), AsyncRecorder("second"), AsyncRecorder("third"))
        for channel in channels_of(program)
    }
    for channel, recorders in recorders_of.items():
        for recorder in recorders:
            listeners.on(channel)(recorder.listen)

    class Program(Container):
        bus = Component(Bus)
        plugins = Component(listeners)

    async with running(Program()) as running_program:
        for channel, (first, second, third) in recorders_of.items():
            fact, bound = PROGRAMS[program][1][channel.name], running_program.bus()[channel]
            positional, named = arguments(fact)
            outcome = await getattr(bound, fact.verb)(*positional, **named)

            assert first.calls == [(positional, named)]
            if fact.verb == "fold":
                assert outcome == "third"
                assert third.calls == [(("second", *positional[1:]), named)]
            elif fact.verb == "first":
                assert outcome == "second"
                assert not third.calls
            else:
                results = outcome.results if fact.verb == "attempt" else outcome
                assert [*results] == [None, "second", "third"]
                assert second.calls == third.calls == first.calls
            with pytest.raises(TypeError, match=rf"\b{re.escape(channel.name)}\b|another: "):
                getattr(bound, fact.verb)(*positional, **named, unexpected=1)
    return len(recorders_of)


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_event_is_awaited_as_it_is_published(program: str) -> None:
    """Verbs and results do not depend on the kind of the channel."""
    assert asyncio.run(publish_all(program)) == PROGRAMS[program][0]


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_async_channel_has_the_parameters_of_its_event(program: str) -> None:
    """The signature of a function is the same for both kinds of channels."""
    for channel in channels_of(program):
        signature, fact = as_async(channel).signature(), PROGRAMS[program][1][channel.name]
        assert signature is not None
        assert interface(signature) == interface(fact.signature)
