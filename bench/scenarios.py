"""The scenarios: channels, listeners and arguments, and the timed loop of each."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

import attrs

from contender import Contender
from listeners import ANSWERS, FAILS, listener


@attrs.frozen
class Scenario:
    """
    One column of the tables.

    Attributes:
        key: Its name on the command line.
        title: The heading of the column.
        form: The form of the arguments, a key of `contender.POSITIONAL`.
        count: The number of listeners on each channel.
        kind: The kind of the listeners, a key of `listeners.KINDS`.
        failing: The number of the listener that raises.
        channels: The number of channels that are published on in rotation.
        threads: The number of threads that publish in parallel; above 1, wall time is measured.
        subscribes: Whether the loop subscribes and unsubscribes another listener, and does not publish.
        passes: The number of publishes on each channel in a round; None to fill the duration of the round.
    """

    key: str
    title: str
    form: str = "positional"
    count: int = 10
    kind: str = "function"
    failing: int | None = None
    channels: int = 1
    threads: int = 1
    subscribes: bool = False
    passes: int | None = None


SCENARIOS = (
    Scenario("n0", "no listener", count=0),
    Scenario("n1", "one listener", count=1),
    Scenario("n5", "five listeners", count=5),
    Scenario("n10", "ten listeners"),
    Scenario("n100", "a hundred listeners", count=100),
    Scenario("keyword", "ten, one argument given by name", form="keyword"),
    Scenario("keyword_only", "ten, one parameter keyword-only", form="keyword_only"),
    Scenario("default", "ten, two of three arguments left to their defaults", form="default"),
    Scenario("variadic", "ten, `*rest` and `**others`", form="variadic"),
    Scenario("method", "ten bound methods", kind="method"),
    Scenario("callable", "ten callable objects", kind="callable"),
    Scenario("fail", "one of ten raises", failing=3),
    Scenario("rotation", "fifty channels of five in rotation", count=5, channels=50),
    Scenario("cold", "10,000 channels of one in rotation", count=1, channels=10_000, passes=1),
    Scenario("threads", "four threads, ten listeners, wall time", threads=4),
    Scenario("subscribe", "subscribe and unsubscribe an eleventh", subscribes=True),
)


@attrs.frozen
class Timed:
    """
    A contender in a scenario.

    Attributes:
        name: The name of the contender.
        run: Runs a number of passes of the loop, and returns their seconds.
        each: The number of publishes in one pass.
    """

    name: str
    run: Callable[[int], float]
    each: int = 1


_ONE = """\
{define} timed(number):
    began = clock()
    for _ in repeat(None, number):
        {statement}
    return clock() - began
"""
_ROTATION = """\
{define} timed(number):
    began = clock()
    for _ in repeat(None, number):
        for channel in channels:
            {statement}
    return clock() - began
"""
_GUARDED = """try:
            {statement}
        except Exception:
            pass"""


@attrs.frozen
class Channels:
    """
    Channels of a contender, with their listeners.

    Attributes:
        declarations: The declaration of each channel.
        bound: The channels.
        listeners: The listeners of all channels; several libraries hold only weak references.
    """

    declarations: list[Any]
    bound: list[Any]
    listeners: list[Callable[..., object]]


def call(text: str, **names: Any) -> Any:
    """Evaluate *text* with *names*, and return the result."""
    return eval(text, names)


def channels_with(contender: Contender, scenario: Scenario) -> Channels:
    """Return channels of *contender* with the listeners of *scenario*."""
    declarations = [contender.declare(scenario.form) for _ in range(scenario.channels)]
    bound = [contender.bind(declaration) for declaration in declarations]
    parameters = contender.parameters[scenario.form]
    listeners = [
        listener(scenario.kind, parameters, FAILS if number == scenario.failing else ANSWERS, number)
        for number in range(scenario.count * scenario.channels)
    ]
    remaining = iter(listeners)
    for channel, declaration in zip(bound, declarations, strict=True):
        for function in itertools.islice(remaining, scenario.count):
            prepared = contender.prepare(declaration, function)
            call(contender.subscribe, bus=contender.bus, channel=channel, listener=prepared)
    return Channels(declarations, bound, listeners)


def timed(contender: Contender, scenario: Scenario) -> Timed | None:
    """Return *contender* in *scenario*, or None if the library does not support it."""
    if scenario.form not in contender.publish or scenario.kind not in contender.kinds:
        return None
    if contender.is_async and scenario.threads > 1:
        return None
    channels = channels_with(contender, scenario)
    # The time of this thread only, which other processes do not change; no publish waits.
    names: dict[str, Any] = {"clock": time.thread_time, "repeat": itertools.repeat, "bus": contender.bus}
    names.update(channel=channels.bound[0], channels=channels.bound, owner=channels)
    statement = contender.publish[scenario.form]
    if contender.results is not None and scenario.failing is None:
        answers = contender.results(call(statement, bus=contender.bus, channel=channels.bound[-1]))
        assert len(answers) == scenario.count, f"{contender.name}: {scenario.key}: {len(answers)} listeners answered"
    if scenario.subscribes:
        extra = listener(scenario.kind, contender.parameters[scenario.form], ANSWERS, scenario.count)
        names["extra"] = extra
        names["listener"] = contender.prepare(channels.declarations[0], extra)
        statement = f"{contender.subscribe}; {contender.unsubscribe}"
    if scenario.failing is not None:
        statement = _GUARDED.format(statement=statement)
    text = (_ONE if scenario.channels == 1 else _ROTATION).format(
        define="async def" if contender.is_async else "def", statement=statement
    )
    # Each contender has its own code object, which the interpreter specialises for its library.
    exec(compile(text, f"<{contender.name}: {scenario.key}>", "exec"), names)
    run = names["timed"]
    if contender.is_async:
        loop = asyncio.new_event_loop()
        return Timed(contender.name, lambda number: loop.run_until_complete(run(number)), len(channels.bound))
    if scenario.threads > 1:
        return Timed(contender.name, lambda number: _wall(run, number, scenario.threads), scenario.threads)
    return Timed(contender.name, run, len(channels.bound))


def _wall(run: Callable[[int], float], number: int, threads: int) -> float:
    """Return the seconds from the first publish of all *threads* to the last."""
    spans: list[tuple[float, float]] = []
    together = threading.Barrier(threads)

    def work() -> None:
        together.wait()
        began = time.perf_counter()
        run(number)
        spans.append((began, time.perf_counter()))

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return max(ended for _, ended in spans) - min(began for began, _ in spans)
