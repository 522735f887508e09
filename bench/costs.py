"""What is no publish: subscribing in bulk, memory, imports, waking up."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import attrs

import wait
from contender import Contender
from listeners import ANSWERS, listener
from rounds import Measured, measure
from scenarios import SCENARIOS, Timed, call, channels_with

_ON_ONE = """\
for listener in listeners:
    {subscribe}
"""
_ON_EACH = """\
for declared, listener in zip(declarations, listeners):
    channel = bind(declared)
    {subscribe}
"""


def bulk(make: Callable[[], Contender], text: str, count: int) -> float:
    """Return the seconds that *count* subscriptions take, as *text* says."""
    contender = make()
    declarations = [contender.declare("positional") for _ in range(count)]
    names: dict[str, Any] = {"bind": contender.bind, "bus": contender.bus, "declarations": declarations}
    if text is _ON_ONE:
        declarations[1:] = []
        names["channel"] = contender.bind(declarations[0])
    ready = [listener("function", contender.parameters["positional"], ANSWERS, number) for number in range(count)]
    names["listeners"] = list(map(contender.prepare, itertools.cycle(declarations), ready))
    code = compile(text.format(subscribe=contender.subscribe), f"<{contender.name}: in bulk>", "exec")
    gc.collect()
    began = time.thread_time()
    exec(code, names)
    return time.thread_time() - began


def subscribing(makes: Sequence[Callable[[], Contender]], count: int, rounds: int = 3) -> dict[str, dict[str, float]]:
    """
    Return the least seconds that each contender takes in bulk.

    For *count* subscriptions on one channel; for one on each of *count*
    channels, which are made on the way; and for declaring these, where that is
    something of its own.
    """
    taken: dict[str, dict[str, float]] = {}
    for make in itertools.chain.from_iterable(itertools.repeat(makes, rounds)):
        contender = make()
        least = taken.setdefault(contender.name, dict.fromkeys(("on_one", "on_each", "declare"), float("inf")))
        began = time.thread_time()
        declarations = [contender.declare("positional") for _ in range(count)]
        least["declare"] = min(least["declare"], time.thread_time() - began)
        del declarations
        least["on_one"] = min(least["on_one"], bulk(make, _ON_ONE, count))
        least["on_each"] = min(least["on_each"], bulk(make, _ON_EACH, count))
    return taken


def memory(make: Callable[[], Contender], channels: int = 1000, subscriptions: int = 10) -> dict[str, float]:
    """
    Return the bytes of a declaration, a channel and a subscription.

    A subscription is cold when its channel was published on once, and hot when
    that was so often that the channel is as fast as it gets.
    """
    contender = make()
    shared = [listener("function", contender.parameters["positional"], ANSWERS, n) for n in range(subscriptions)]
    _fill(make(), shared, 1, [])  # what a library makes once, it makes here
    traced: list[int] = []
    tracemalloc.start()
    kept = _fill(contender, shared, channels, traced)
    tracemalloc.stop()
    del kept
    declared, bound, cold, hot = (after - before for before, after in itertools.pairwise(traced))
    each = channels * subscriptions
    return {
        "declaration": declared / channels,
        "channel": bound / channels,
        "cold": cold / each,
        "hot": (cold + hot) / each,
    }


def _fill(contender: Contender, shared: Sequence[Any], count: int, traced: list[int]) -> list[Any]:
    def trace() -> None:
        gc.collect()
        traced.append(tracemalloc.get_traced_memory()[0])

    trace()
    declared = [contender.declare("positional") for _ in range(count)]
    trace()
    channels = [contender.bind(one) for one in declared]
    trace()
    for declaration, channel in zip(declared, channels, strict=True):
        for one in shared:
            prepared = contender.prepare(declaration, one)
            call(contender.subscribe, bus=contender.bus, channel=channel, listener=prepared)
    publish = _publisher(contender)
    publish(channels)
    trace()
    for _ in range(contender.heat):
        publish(channels)
    trace()
    return [declared, channels]


def _publisher(contender: Contender) -> Callable[[Sequence[Any]], None]:
    define = "async def" if contender.is_async else "def"
    names: dict[str, Any] = {"bus": contender.bus}
    exec(f"{define} publish(channels):\n for channel in channels: {contender.publish['positional']}", names)
    publish: Callable[[Sequence[Any]], Any] = names["publish"]
    return (lambda channels: asyncio.run(publish(channels))) if contender.is_async else publish


BASE = "attrs, typing_extensions"
HELP = "`typedbus --help`"
HELP_BASE = "a program of click, rich and attrs that answers `--help`"
_HELPFUL = """\
import sys, attrs, rich.markup, typing_extensions, click
@click.group()
def commands(): "Do nothing."
@commands.command()
def nothing(): "Do it."
commands(["--help"])
"""


def imports(modules: Sequence[str], rounds: int = 15) -> dict[str, float]:
    """
    Return the least milliseconds that importing each of *modules*, and `BASE`, takes a new process.

    And those of a process that answers `--help`: ours, and one with the same libraries.
    """
    programs = {f"`import {module}`": ["-c", f"import {module}"] for module in (BASE, *modules)}
    programs |= {"nothing": ["-c", ""], HELP: ["-m", "typedbus", "--help"], HELP_BASE: ["-c", _HELPFUL]}
    taken: dict[str, list[float]] = {name: [] for name in programs}
    with tempfile.TemporaryDirectory() as bytecode:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode, "PYTHONDONTWRITEBYTECODE": ""}
        for _ in range(rounds + 1):
            for name, arguments in programs.items():
                taken[name].append(_processor_time([sys.executable, *arguments], environment))
    # The first of each compiled it.
    least = {name: min(times[1:]) for name, times in taken.items()}
    start = least.pop("nothing")
    return {name: one - start for name, one in least.items()}


def _processor_time(command: Sequence[str], environment: dict[str, str]) -> float:
    """Return the milliseconds for which *command* kept a processor busy, which others on the machine change little."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3


def waking(rounds: int) -> dict[str, dict[str, float]]:
    """Return the microseconds until a thread goes on that waits for a start to be over; see `wait`."""
    return {name: _percentiles([second * 1e6 for second in taken]) for name, taken in wait.waking(rounds).items()}


def _percentiles(times: list[float]) -> dict[str, float]:
    hundredths = statistics.quantiles(times, n=100)
    return {"median": hundredths[49], "p90": hundredths[89], "p99": hundredths[98]}


def verbs(make: Callable[[], Contender], rounds: int, seconds: float) -> dict[str, Measured]:
    """Measure the three ways to publish to ten listeners of ours."""
    ten = next(one for one in SCENARIOS if one.key == "n10")
    found = []
    for verb in ("channel.publish(1, 'two')", "bus[declared].publish(1, 'two')", "bus.publish(declared, 1, 'two')"):
        contender = attrs.evolve(make(), name=verb)
        made = channels_with(contender, ten)
        names = {"channel": made.bound[0], "declared": made.declared[0], "kept": made}
        names.update(bus=contender.bus, clock=time.thread_time)
        text = "def timed(number):\n began = clock()\n for _ in range(number): {}\n return clock() - began"
        exec(text.format(verb), names)
        found.append(Timed(verb, names["timed"]))
    return measure(found, found[0].name, rounds, seconds)
