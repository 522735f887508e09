"""The costs apart from publishing: subscriptions in bulk, memory, imports, waking up."""

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
    """Return the seconds that *count* subscriptions take in the loop *text*."""
    contender = make()
    declarations = [contender.declare("positional") for _ in range(count)]
    names: dict[str, Any] = {"bind": contender.bind, "bus": contender.bus, "declarations": declarations}
    if text is _ON_ONE:
        declarations[1:] = []
        names["channel"] = contender.bind(declarations[0])
    listeners = [listener("function", contender.parameters["positional"], ANSWERS, number) for number in range(count)]
    names["listeners"] = list(map(contender.prepare, itertools.cycle(declarations), listeners))
    code = compile(text.format(subscribe=contender.subscribe), f"<{contender.name}: in bulk>", "exec")
    gc.collect()
    began = time.thread_time()
    exec(code, names)
    return time.thread_time() - began


def subscribing(makes: Sequence[Callable[[], Contender]], count: int, rounds: int = 3) -> dict[str, dict[str, float]]:
    """
    Return the least seconds that each contender takes for subscriptions in bulk.

    "on_one" is *count* subscriptions on one channel, "on_each" one subscription
    on each of *count* channels, which includes making the channels, and
    "declare" the declarations of these channels.
    """
    seconds: dict[str, dict[str, float]] = {}
    for make in itertools.chain.from_iterable(itertools.repeat(makes, rounds)):
        contender = make()
        least = seconds.setdefault(contender.name, dict.fromkeys(("on_one", "on_each", "declare"), float("inf")))
        began = time.thread_time()
        declarations = [contender.declare("positional") for _ in range(count)]
        least["declare"] = min(least["declare"], time.thread_time() - began)
        del declarations
        least["on_one"] = min(least["on_one"], bulk(make, _ON_ONE, count))
        least["on_each"] = min(least["on_each"], bulk(make, _ON_EACH, count))
    return seconds


def memory(make: Callable[[], Contender], channels: int = 1000, subscriptions: int = 10) -> dict[str, float]:
    """
    Return the bytes of a declaration, a channel and a subscription.

    A subscription is cold after one publish on its channel, and hot after as many
    as the channel needs to be at its fastest.
    """
    contender = make()
    listeners = [listener("function", contender.parameters["positional"], ANSWERS, n) for n in range(subscriptions)]
    _fill(make(), listeners, 1, [])  # the objects that a library makes only once are made here
    sizes: list[int] = []
    tracemalloc.start()
    objects = _fill(contender, listeners, channels, sizes)
    tracemalloc.stop()
    del objects
    declarations, bound, cold, hot = (after - before for before, after in itertools.pairwise(sizes))
    total = channels * subscriptions
    return {
        "declaration": declarations / channels,
        "channel": bound / channels,
        "cold": cold / total,
        "hot": (cold + hot) / total,
    }


def _fill(contender: Contender, listeners: Sequence[Any], count: int, sizes: list[int]) -> list[Any]:
    def trace() -> None:
        gc.collect()
        sizes.append(tracemalloc.get_traced_memory()[0])

    trace()
    declarations = [contender.declare("positional") for _ in range(count)]
    trace()
    channels = [contender.bind(declaration) for declaration in declarations]
    trace()
    for declaration, channel in zip(declarations, channels, strict=True):
        for prepared in (contender.prepare(declaration, function) for function in listeners):
            call(contender.subscribe, bus=contender.bus, channel=channel, listener=prepared)
    publish = _publisher(contender)
    publish(channels)
    trace()
    for _ in range(contender.heat):
        publish(channels)
    trace()
    return [declarations, channels]


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
    Return the least milliseconds that a new process takes to import each of *modules*, and `BASE`.

    Also those of a process that answers `--help`: typedbus, and a program with the same libraries.
    """
    programs = {f"`import {module}`": ["-c", f"import {module}"] for module in (BASE, *modules)}
    programs |= {"nothing": ["-c", ""], HELP: ["-m", "typedbus", "--help"], HELP_BASE: ["-c", _HELPFUL]}
    figures: dict[str, list[float]] = {name: [] for name in programs}
    with tempfile.TemporaryDirectory() as bytecode:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode, "PYTHONDONTWRITEBYTECODE": ""}
        for _ in range(rounds + 1):
            for name, arguments in programs.items():
                figures[name].append(_processor_time([sys.executable, *arguments], environment))
    # The first process of each has compiled the bytecode.
    least = {name: min(times[1:]) for name, times in figures.items()}
    start = least.pop("nothing")
    return {name: milliseconds - start for name, milliseconds in least.items()}


def _processor_time(command: Sequence[str], environment: dict[str, str]) -> float:
    """Return the milliseconds of processor time of *command*, which depend little on other processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3


def waking(rounds: int) -> dict[str, dict[str, float]]:
    """Return the microseconds until a thread that waits for the end of a start continues; see `wait`."""
    return {name: _percentiles([second * 1e6 for second in seconds]) for name, seconds in wait.waking(rounds).items()}


def _percentiles(times: list[float]) -> dict[str, float]:
    hundredths = statistics.quantiles(times, n=100)
    return {"median": hundredths[49], "p90": hundredths[89], "p99": hundredths[98]}


def verbs(make: Callable[[], Contender], rounds: int, seconds: float) -> dict[str, Measured]:
    """Measure the three ways to publish to ten listeners with typedbus."""
    ten = next(scenario for scenario in SCENARIOS if scenario.key == "n10")
    loops = []
    for verb in ("channel.publish(1, 'two')", "bus[declared].publish(1, 'two')", "bus.publish(declared, 1, 'two')"):
        contender = attrs.evolve(make(), name=verb)
        channels = channels_with(contender, ten)
        names = {"channel": channels.bound[0], "declared": channels.declarations[0], "channels": channels}
        names.update(bus=contender.bus, clock=time.thread_time)
        text = "def timed(number):\n began = clock()\n for _ in range(number): {}\n return clock() - began"
        exec(text.format(verb), names)
        loops.append(Timed(verb, names["timed"]))
    return measure(loops, loops[0].name, rounds, seconds)
