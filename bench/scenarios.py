"""What is published to whom, and the loop that is timed for it."""

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
        key: Its short name.
        title: What it is.
        form: What is published: see `contender.POSITIONAL`.
        count: Listeners on each channel.
        kind: What the listeners are.
        failing: The number of the one that raises.
        channels: Channels that are published on in rotation.
        threads: Threads that publish at once; wall time is what counts then.
        subscribes: Whether a further listener is subscribed and unsubscribed, and nothing published.
        passes: How often each channel is published on in a round; None for as often as a round takes.
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
        name: The contender's.
        run: Runs the loop so many times, and returns the seconds that it took.
        each: What the loop publishes each time.
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
    Channels of a contender, with their listeners on them.

    Attributes:
        declared: What was declared for each.
        bound: The channels.
        listeners: Those of all; several libraries refer to them weakly.
    """

    declared: list[Any]
    bound: list[Any]
    listeners: list[Callable[..., object]]


def call(text: str, **names: Any) -> Any:
    """Run the statement *text* with *names* and return what it gives."""
    return eval(text, names)


def channels_with(contender: Contender, scenario: Scenario) -> Channels:
    """Return channels of *contender* with the scenario's listeners on them."""
    declared = [contender.declare(scenario.form) for _ in range(scenario.channels)]
    bound = [contender.bind(one) for one in declared]
    parameters = contender.parameters[scenario.form]
    listeners = [
        listener(scenario.kind, parameters, FAILS if number == scenario.failing else ANSWERS, number)
        for number in range(scenario.count * scenario.channels)
    ]
    ready = iter(listeners)
    for channel, declaration in zip(bound, declared, strict=True):
        for one in itertools.islice(ready, scenario.count):
            call(contender.subscribe, bus=contender.bus, channel=channel, listener=contender.prepare(declaration, one))
    return Channels(declared, bound, listeners)


def timed(contender: Contender, scenario: Scenario) -> Timed | None:
    """Return *contender* in *scenario*, or None if it knows no such thing."""
    if scenario.form not in contender.publish or scenario.kind not in contender.kinds:
        return None
    if contender.is_async and scenario.threads > 1:
        return None
    made = channels_with(contender, scenario)
    # Its own time alone, not that of others on the machine; no publish waits for anything.
    names: dict[str, Any] = {"clock": time.thread_time, "repeat": itertools.repeat, "bus": contender.bus}
    names.update(channel=made.bound[0], channels=made.bound, kept=made)
    statement = contender.publish[scenario.form]
    if contender.results is not None and scenario.failing is None:
        answers = contender.results(call(statement, bus=contender.bus, channel=made.bound[-1]))
        assert len(answers) == scenario.count, f"{contender.name}: {scenario.key}: {len(answers)} listeners answered"
    if scenario.subscribes:
        extra = listener(scenario.kind, contender.parameters[scenario.form], ANSWERS, scenario.count)
        names["extra"] = extra
        names["listener"] = contender.prepare(made.declared[0], extra)
        statement = f"{contender.subscribe}; {contender.unsubscribe}"
    if scenario.failing is not None:
        statement = _GUARDED.format(statement=statement)
    text = (_ONE if scenario.channels == 1 else _ROTATION).format(
        define="async def" if contender.is_async else "def", statement=statement
    )
    # Compiled anew for each, so that each loop adapts to its own library alone.
    exec(compile(text, f"<{contender.name}: {scenario.key}>", "exec"), names)
    run = names["timed"]
    if contender.is_async:
        loop = asyncio.new_event_loop()
        return Timed(contender.name, lambda number: loop.run_until_complete(run(number)), len(made.bound))
    if scenario.threads > 1:
        return Timed(contender.name, lambda number: _wall(run, number, scenario.threads), scenario.threads)
    return Timed(contender.name, run, len(made.bound))


def _wall(run: Callable[[int], float], number: int, threads: int) -> float:
    """Return the seconds from the first publish of any of *threads* to the last."""
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
