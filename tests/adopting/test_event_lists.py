"""The complete event lists of eight programs: each event has the signature of its program, and is published as there."""

from __future__ import annotations

import importlib
import inspect
import re
import warnings
from collections.abc import Generator, Mapping
from contextlib import ExitStack
from typing import Any, TypeAlias

import attrs
import pytest
from tests.adopting.facts import PROGRAMS, Fact

from typedbus import BoundChannel, Bus, Channel, Component, Container, InvalidContainer, Listeners, Published, running
from typedbus.faults import HookFault

AnySignature: TypeAlias = Channel[..., Any]
Call: TypeAlias = tuple[tuple[object, ...], dict[str, object]]


@attrs.define(eq=False)
class Recorder:
    """A listener that returns its result, or raises it, and records its calls."""

    result: object = None
    calls: list[Call] = attrs.field(factory=list)

    def listen(self, *args: object, **kwargs: object) -> object:
        """Record the call, and return the result."""
        self.calls.append((args, kwargs))
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


@attrs.frozen
class OnBus:
    """A channel on the bus of a program, its three listeners, and what a watcher of the bus has received."""

    bound: BoundChannel[..., Any]
    listeners: tuple[Recorder, Recorder, Recorder]
    published: list[Published]

    @property
    def watched(self) -> list[Call]:
        """The arguments that the watcher has received, on this channel alone."""
        assert {published.channel for published in self.published} <= {self.bound.channel}
        return [(published.args, dict(published.kwargs)) for published in self.published]

    def answers(self, *results: object) -> tuple[list[Call], ...]:
        """Prepare the results of the listeners, and return the lists of their calls."""
        for listener, result in zip(self.listeners, results, strict=True):
            listener.result = result
            listener.calls.clear()
        self.published.clear()
        return tuple(listener.calls for listener in self.listeners)


def channels_of(program: str) -> list[AnySignature]:
    """Return the channels that the module of *program* declares."""
    module = importlib.import_module(f"tests.adopting.{program}")
    return [value for value in vars(module).values() if isinstance(value, Channel)]


@pytest.fixture(scope="module")
def on_bus() -> Generator[Mapping[AnySignature, OnBus]]:
    """Run a container for each program, and yield its channels, each with three listeners."""
    by_channel: dict[AnySignature, OnBus] = {}
    with ExitStack() as stack:
        for program in PROGRAMS:
            listeners = Listeners()
            recorders_of = {channel: (Recorder(), Recorder(), Recorder()) for channel in channels_of(program)}
            for channel, recorders in recorders_of.items():
                for recorder in recorders:
                    listeners.on(channel)(recorder.listen)

            class Program(Container):
                bus = Component(Bus)
                plugins = Component(listeners)

            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                bus = stack.enter_context(running(Program())).bus()
            published: list[Published] = []
            bus.watch(published.append)
            for channel, recorders in recorders_of.items():
                by_channel[channel] = OnBus(bus[channel], recorders, published)
        yield by_channel


def events(*uses: str) -> list[Any]:
    """Return the channels and facts of all programs, of some *uses* if there are any, as parameters of a test."""
    return [
        pytest.param(channel, facts[channel.name], id=f"{program} {channel.name}")
        for program, (_, facts) in PROGRAMS.items()
        for channel in channels_of(program)
        if channel.name in facts and (not uses or facts[channel.name].use in uses)
    ]


def arguments(fact: Fact, *, optional: bool = True) -> Call:
    """Return a different object for each parameter: by position if it is positional-only, else by name."""
    parameters = fact.signature.parameters.values()
    positional = tuple(object() for parameter in parameters if parameter.kind is parameter.POSITIONAL_ONLY)
    named = {
        parameter.name: object()
        for parameter in parameters
        if parameter.kind is not parameter.POSITIONAL_ONLY and (optional or parameter.default is parameter.empty)
    }
    return positional, named


def interface(signature: inspect.Signature) -> list[tuple[str, object, bool]]:
    """Return the name, the kind and the optionality of each parameter; the name of a positional-only one does not count."""
    return [
        (
            "" if parameter.kind is parameter.POSITIONAL_ONLY else name,
            parameter.kind,
            parameter.default is not parameter.empty,
        )
        for name, parameter in signature.parameters.items()
    ]


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_event_has_a_channel_with_its_parameters(program: str) -> None:
    """No event is lost, and a channel declares a result where the program uses it."""
    number, facts = PROGRAMS[program]
    signatures = {channel.name: channel.signature() for channel in channels_of(program)}

    assert len(signatures) == len(channels_of(program)) == number
    assert {name: signature and interface(signature) for name, signature in signatures.items()} == {
        name: interface(fact.signature) for name, fact in facts.items()
    }
    assert {name for name, signature in signatures.items() if signature and signature.return_annotation} == {
        name for name, fact in facts.items() if fact.has_result
    }


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_listener_of_a_deprecated_event_is_reported(program: str) -> None:
    """The program runs as before, and a warning for each listener names the channel and what to use instead."""
    channels = channels_of(program)
    bus = Bus()

    with warnings.catch_warnings(record=True) as reports:
        warnings.simplefilter("always")
        for channel in channels:
            bus[channel].subscribe(Recorder().listen)

    deprecated = [channel for channel in channels if PROGRAMS[program][1][channel.name].is_deprecated]
    assert len(reports) == len(deprecated)
    for report, channel in zip(reports, deprecated, strict=True):
        assert report.category is DeprecationWarning
        assert str(report.message).startswith(f"channel {channel.name!r} is deprecated: {channel.deprecated}; ")


@pytest.mark.parametrize("program", PROGRAMS)
def test_validation_reports_each_listener_that_drops_the_parameters(program: str) -> None:
    """A function without annotations is compared with the declaration before the program starts."""
    listeners = Listeners()

    def drop():  # type: ignore[no-untyped-def]
        """Return nothing, and receive nothing."""

    for channel in channels_of(program):
        listeners.on(channel)(drop)

    class Program(Container):
        bus = Component(Bus)
        plugins = Component(listeners)

    with pytest.raises(InvalidContainer) as caught:
        Program().validate()

    refused = {match[1] for fault in caught.value.exceptions if (match := re.search("channel '(.+?)'", str(fault)))}
    assert refused == {name for name, fact in PROGRAMS[program][1].items() if fact.signature.parameters}
    assert all(isinstance(fault, HookFault) for fault in caught.value.exceptions)


@pytest.mark.parametrize(("channel", "fact"), events("", "results"))
def test_each_listener_receives_the_arguments(
    channel: AnySignature, fact: Fact, on_bus: Mapping[AnySignature, OnBus]
) -> None:
    """A publish calls all listeners in order, and returns their results."""
    first, second, third = on_bus[channel].answers("one", None, "three")
    positional, named = arguments(fact)

    results = on_bus[channel].bound.publish(*positional, **named)

    assert results == ["one", None, "three"]
    assert first == second == third == on_bus[channel].watched == [(positional, named)]


@pytest.mark.parametrize(("channel", "fact"), events("first"))
def test_the_first_answer_wins(channel: AnySignature, fact: Fact, on_bus: Mapping[AnySignature, OnBus]) -> None:
    """A listener that returns None has not answered, and listeners after the answer are not called."""
    silent, answering, late = on_bus[channel].answers(None, "answer", "late")
    positional, named = arguments(fact)

    answer = on_bus[channel].bound.first(*positional, **named)

    assert answer == "answer"
    assert silent == answering == on_bus[channel].watched == [(positional, named)]
    assert not late


@pytest.mark.parametrize(("channel", "fact"), events("fold"))
def test_the_first_argument_passes_through_all_listeners(
    channel: AnySignature, fact: Fact, on_bus: Mapping[AnySignature, OnBus]
) -> None:
    """Each listener receives the value of the previous one, with the other arguments, and may leave it unchanged."""
    changing, keeping, last = on_bus[channel].answers("changed", None, "last")
    (value, *others), named = arguments(fact)

    folded: object = on_bus[channel].bound.fold(value, *others, **named)

    assert folded == "last"
    assert changing == on_bus[channel].watched == [((value, *others), named)]
    assert keeping == last == [(("changed", *others), named)]


@pytest.mark.parametrize(("channel", "fact"), events("attempt"))
def test_a_failure_is_part_of_the_attempt(
    channel: AnySignature, fact: Fact, on_bus: Mapping[AnySignature, OnBus]
) -> None:
    """All listeners are called, and the publisher receives the results and the failure."""
    failure = ValueError("no")
    before, failing, after = on_bus[channel].answers("before", failure, "after")
    positional, named = arguments(fact)

    attempt = on_bus[channel].bound.attempt(*positional, **named)

    assert attempt.results == ("before", "after")
    assert [answer.error for answer in attempt] == [None, failure, None]
    assert before == failing == after == on_bus[channel].watched == [(positional, named)]


@pytest.mark.parametrize(("channel", "fact"), events())
def test_a_wrong_publish_calls_no_listener_and_names_the_channel(
    channel: AnySignature, fact: Fact, on_bus: Mapping[AnySignature, OnBus]
) -> None:
    """A missing or an additional argument is an error of the publisher."""
    first, second, third = on_bus[channel].answers(None, None, None)
    positional, named = arguments(fact, optional=False)
    wrong: list[Call] = [(positional, {**named, "unexpected": object()}), ((*positional, object()), named)]
    wrong += [(positional[:-1], named)] if positional else []
    wrong += [(positional, {name: named[name] for name in named if name != missing}) for missing in named]

    for args, kwargs in wrong:
        with pytest.raises(TypeError) as caught:
            getattr(on_bus[channel].bound, fact.verb)(*args, **kwargs)
        names, _, reason = str(caught.value).partition(": ")
        # Channels of one signature share a method, and the error names some of them.
        assert channel.name in names.split(" or ") or names.endswith(" or another")
        assert reason.startswith(f"{fact.verb}() ")

    assert not (first or second or third or on_bus[channel].watched)
