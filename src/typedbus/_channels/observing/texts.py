"""
The generated code of an observed publish: the texts of `codegen` and `async_codegen`, with counts and readings of the clock.

An unrolled function counts a publish with two additions at most: each listener is called on a line of its own, and the
line of an exception identifies the listener. Any other publish goes through an entry function, which calls the loop with
an `ObservedListener` in place of each listener.
"""

from __future__ import annotations

import functools
import itertools
import textwrap
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from typedbus._base.coroutines import returns_coroutine
from typedbus._channels.async_codegen import AWAITED, INSPECTED, as_async, is_awaitable
from typedbus._channels.channel import AnyChannel
from typedbus._channels.codegen import Shape, compiled
from typedbus._channels.entries import ASYNC_ENTRY, VERBS, WATCHED_CALL
from typedbus._channels.observing.counts import PUBLISHES
from typedbus._channels.observing.stats import BUCKETS
from typedbus._channels.observing.tallies import HISTOGRAM, Layout

Level: TypeAlias = Literal["count", "time", "each"]
"""What an observation counts; see `Observation`."""

Channels: TypeAlias = Iterable[AnyChannel] | AnyChannel | None
"""Channels to observe: several, one, or all."""

LEVELS: Final[tuple[Level, ...]] = ("count", "time", "each")
"""From the lowest to the highest."""

# `tallies.Layout` describes the numbers. The handlers of RecursionError call nothing: hardly any stack is left. A plain
# function reads the numbers of the thread once, a coroutine at each use: it need not end in the thread in which it began.
_UNROLLED: Final = """\
{define} publish(_tb_self, {received}{listeners}{further}):
{before}
    except RecursionError as _tb_caught:
        {recursion}
        raise
    except Exception as _tb_caught:
        _tb_error = _tb_caught
    except BaseException as _tb_caught:
{leave}
    else:
        {succeeded}
    try:
{go_on}
    finally:
        {ended}
        del _tb_error
"""

_SYNC_ENTRY: Final = """\
def {verb}(_tb_self, {received}_tb_listeners):
    if _tb_listeners is None:
        _tb_listeners = _tb_self._warm_up()
{decide}
    _tb_numbers = _tb_cells.numbers
    _tb_began = _tb_clock()
    try:
{watched_call}
    finally:
        try:
            _tb_add_duration(_tb_numbers, {histogram}, _tb_clock() - _tb_began)
        except RecursionError:
            _tb_numbers[{untimed}] += 1
""".replace("{watched_call}", textwrap.indent(WATCHED_CALL, " " * 8).rstrip())

_DECIDE: Final = """\
_tb_trace = _tb_decide()
if _tb_trace is not None:
    return ({wait} _tb_traced("{verb}", _tb_trace, _tb_listeners, (_tb_self, {received})))"""


def entry(shape: Shape, verb: str, *, is_async: bool, is_traced: bool, names: dict[str, object]) -> types.FunctionType:
    """
    Return the function that *verb* of an observed channel calls first, with the globals *names*.

    The function of a plain channel also takes the listeners to call; if *is_traced*, it passes publishes to traces.
    """
    code = _entry(shape, verb, is_async, is_traced)
    return types.FunctionType(code, names, verb, None if is_async else (None,))


@functools.cache
def _entry(shape: Shape, verb: str, is_async: bool, is_traced: bool) -> types.CodeType:
    loop, end = VERBS[verb]
    decide = textwrap.indent(_DECIDE.replace("{wait} ", ""), " " * 8) if is_traced else ""
    return compiled(
        ASYNC_ENTRY if is_async else _SYNC_ENTRY.replace("{decide}\n", decide + "\n"),
        shape,
        verb=verb,
        loop=loop,
        end=end,
        histogram=str(PUBLISHES.histogram),
        untimed=str(Layout.UNTIMED),
    )


def unrolled(
    shape: Shape,
    layout: Layout,
    listeners: tuple[Callable[..., Any], ...],
    further: Mapping[str, object],
    *,
    is_counted: bool,
    is_async: bool,
    names: dict[str, object],
) -> types.FunctionType:
    """
    Return a function that calls *listeners*, and counts in a tally of *layout*; see `codegen.unrolled`.

    *further* has the values of its other names; with ``_tb_decide`` among them it passes publishes to their traces.
    """
    kind = "plain" if not is_async else "async" if all(map(returns_coroutine, listeners)) else "mixed"
    template = _template(shape, layout, kind, tuple(further), is_counted)
    return types.FunctionType(template.replace(), names, "publish", (*listeners, *further.values()))


@functools.cache
def _template(shape: Shape, layout: Layout, kind: str, further: tuple[str, ...], is_counted: bool) -> types.CodeType:
    names = [f"_tb_{number}" for number in range(layout.count)]
    listed = f"[{', '.join(names)}]"
    define, wait, result = _KINDS[kind]
    calls = [result.format(name=name, call=shape.call()) for name in names]
    is_plain = kind == "plain"
    numbers = ["_tb_numbers = _tb_cells.numbers"] if is_counted else []
    again = [] if is_plain else numbers
    readings = ["_tb_began", *(f"_tb_at_{number}" for number in range(layout.count))] if layout.is_each else []
    succeeded = [_increase(Layout.SUCCEEDED)] if is_counted else []
    if layout.is_timed:
        succeeded = _timing(layout, readings)
    before = _DECIDE.replace("{wait}", wait).splitlines() if "_tb_decide" in further else []
    before += numbers if is_plain else []
    before += ["_tb_began = _tb_clock()"] if layout.is_timed else []
    before.append("try:")
    if is_plain and not layout.is_each:
        before.append("    _tb_results = [")
        lines = [f"        ({name} := {call})," for name, call in zip(names, calls, strict=True)]
        closing, results = ["    ]"], "_tb_results"
    else:
        reading = "; _tb_at_{number} = _tb_clock()" if layout.is_each else ""
        lines = [
            f"    {name} = {call}{reading.format(number=number)}"
            for number, (name, call) in enumerate(zip(names, calls, strict=True))
        ]
        closing, results = [], listed
    line = len(before) + 2  # of the first listener
    recursion = [
        *again,
        f"_tb_number = _tb_caught.__traceback__.tb_lineno - {line}",
        _increase(Layout.UNTIMED),
        f"_tb_numbers[{Layout.LEFT} + _tb_number] += 1",
        f"_tb_numbers[{layout.recursions} + _tb_number] += 1",
    ]
    ended = "pass" if not is_counted else "_tb_ended(_tb_began)" if layout.is_timed else "_tb_ended()"
    # The readings after the listener that raised have no value.
    read = ["_tb_read = []"]
    if readings:
        read += ["try:", *(f"    _tb_read.append({reading})" for reading in readings), "except UnboundLocalError: pass"]
    failed = f"_tb_failed(_tb_error, {line}, {listed}, _tb_read)"
    if is_plain:
        go_on = [*read, f"raise _tb_self._go_on({{received}}_tb_error, {line}, {failed})"]
        leave = [*read, f"_tb_failed(_tb_caught, {line}, (), _tb_read)", ended, "raise"]
    else:
        going = f"{wait} _tb_self._go_on({{received}}_tb_error, {line}, {listed}, {failed})"
        go_on = [*read, f"_tb_error = {going}", "raise _tb_error"]
        leave = ["_tb_error = _tb_caught"]
    code = compiled(
        _UNROLLED.replace("{go_on}", _indented(go_on, 8)).replace(
            "{before}", _indented([*before, *lines, *closing], 4)
        ),
        shape,
        define=define,
        verb="publish",
        listeners="".join(f"{name}, " for name in names),
        further=", ".join(further),
        recursion=_indented(recursion if is_counted else ["pass"], 8).lstrip(),
        leave=_indented(leave, 8),
        succeeded=_indented([*again, *succeeded, f"return {results}"], 8).lstrip(),
        ended=ended,
    )
    return as_async(code) if kind == "async" else code


def _indented(lines: Iterable[str], columns: int) -> str:
    return textwrap.indent("\n".join(lines), " " * columns)


def _timing(layout: Layout, readings: Sequence[str]) -> list[str]:
    """Return the statements that add the durations between *readings*; without them that of the publish."""
    if not readings:
        return _addition(layout.histogram, "_tb_clock() - _tb_began")
    durations = [f"{other} - {one}" for one, other in itertools.pairwise(readings)]
    # Many publishes as a whole are within the first bucket, and then all their listeners are.
    fast, slow = [_increase(Layout.FAST)], _bucket(layout.histogram, "_tb_duration")
    for number, duration in enumerate(durations):
        histogram = layout.histogram_of(number)
        fast.append(_increase(histogram + HISTOGRAM - 1, duration))
        slow += _addition(histogram, duration)
    return [
        f"_tb_duration = {readings[-1]} - _tb_began",
        _increase(layout.histogram + HISTOGRAM - 1, "_tb_duration"),
        f"if _tb_duration <= {BUCKETS[0]}:",
        *(f"    {line}" for line in fast),
        "else:",
        *(f"    {line}" for line in slow),
    ]


def _addition(histogram: int, duration: str) -> list[str]:
    """Return the lines of `tallies.add_duration`."""
    return [
        f"_tb_duration = {duration}",
        *_bucket(histogram, "_tb_duration"),
        _increase(histogram + HISTOGRAM - 1, "_tb_duration"),
    ]


def _bucket(histogram: int, duration: str) -> list[str]:
    return [
        f"if {duration} <= {BUCKETS[0]}:",
        f"    {_increase(histogram)}",
        "else:",
        f"    _tb_numbers[{histogram} + _tb_bisect(_tb_bounds, {duration})] += 1",
    ]


def _increase(place: int, amount: str = "1") -> str:
    return f"_tb_numbers[{place}] += {amount}"


_KINDS: Final[Mapping[str, tuple[str, str, str]]] = {
    "plain": ("def", "", "{name}({call})"),
    "async": ("def", "yield from", AWAITED),
    "mixed": ("async def", "await", f"({INSPECTED})"),
}
"""How listeners are called, by kind, as in `verbs`."""

NAMES: Final[dict[str, object]] = {"_tb_is_awaitable": is_awaitable, "_tb_bounds": BUCKETS}
"""Names in the texts that are the same for all channels."""
