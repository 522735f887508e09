"""
The generated code of an observed publish: the texts of `codegen` and `async_codegen`, with counts and readings of the clock.

An unrolled function counts a publish with two additions at most: each listener is called on a line of its own, and the
line of an exception identifies the listener. Any other publish goes through an entry function, which calls the loop with
an `ObservedListener` in place of each listener.
"""

from __future__ import annotations

import functools
import itertools
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias

from typedbus._base.coroutines import returns_coroutine
from typedbus._channels.async_codegen import AWAITED, INSPECTED, as_async, is_awaitable
from typedbus._channels.channel import AnyChannel
from typedbus._channels.codegen import Shape, compiled, function_with
from typedbus._channels.observing.stats import BUCKETS
from typedbus._channels.observing.tallies import HISTOGRAM, Layout

Level: TypeAlias = Literal["count", "time", "each"]
"""What an observation counts; see `Observation`."""

Channels: TypeAlias = Iterable[AnyChannel] | AnyChannel | None
"""Channels to observe: several, one, or all."""

LEVELS: Final[tuple[Level, ...]] = ("count", "time", "each")
"""From the lowest to the highest."""

# `tallies.Layout` describes the numbers. The handlers of RecursionError call nothing: hardly any stack is left. {numbers} is
# the list of the thread: a plain function reads it at the beginning, a coroutine again at each use, since it need not end in
# the same thread.
_UNROLLED: Final = """\
{define} publish(_tb_self, {received}{listeners}_tb_cells, _tb_clock, _tb_failed):
    {first}
    {began}
    try:
        {open}
{calls}
        {close}
    except RecursionError as _tb_caught:
        {again}
        _tb_number = _tb_caught.__traceback__.tb_lineno - {line}
        _tb_numbers[{untimed}] += 1
        _tb_numbers[{left} + _tb_number] += 1
        _tb_numbers[{recursions} + _tb_number] += 1
        raise
    except Exception as _tb_caught:
        _tb_error = _tb_caught
    except BaseException as _tb_caught:
        {leave}
    else:
        {again}
        {succeeded}
        return {results}
    try:
        {go_on}
    finally:
        {ended}
        del _tb_error
"""
_LINE: Final = 6
"""The line of the first listener in the text above."""

_SYNC_ENTRY: Final = """\
def {verb}(_tb_self, {received}):
    _tb_listeners = _tb_self._warm_up()
    _tb_numbers = _tb_cells.numbers
    _tb_began = _tb_clock()
    try:
        for _tb_watch, _tb_watcher in _tb_self._watches:
            try:
                _tb_watcher({call})
            except RecursionError:
                raise
            except Exception as _tb_error:
                _tb_self._watcher_failed(_tb_watch, _tb_error)
        return _tb_self.{loop}({received}_tb_listeners{end})
    finally:
        try:
            _tb_add_duration(_tb_numbers, {histogram}, _tb_clock() - _tb_began)
        except RecursionError:
            _tb_numbers[{untimed}] += 1
"""

_ASYNC_ENTRY: Final = """\
def {verb}(_tb_self, {received}):
    return _tb_observed(
        _tb_self,
        _tb_self._watches,
        lambda _tb_watcher: _tb_watcher({call}),
        lambda _tb_listeners: _tb_self.{loop}({received}_tb_listeners{end}),
        _tb_self._warm_up(),
    )
"""

PUBLISHES: Final = Layout(0, is_timed=True, is_each=False)
"""The numbers of the publishes that no unrolled function counts."""

VERBS: Final[Mapping[str, tuple[str, str]]] = {
    "publish": ("_loop", ""),
    **{verb: (f"_loop_of_{verb}", ", None, 0, []") for verb in ("first", "fold", "attempt")},
}
"""The method that calls the listeners, by the verb, and its further arguments."""


def entry(shape: Shape, verb: str, *, is_async: bool, names: dict[str, object]) -> types.FunctionType:
    """Return the function that *verb* of an observed channel calls first, with the globals *names*."""
    return function_with(_entry(shape, verb, is_async), names)


@functools.cache
def _entry(shape: Shape, verb: str, is_async: bool) -> types.CodeType:
    loop, end = VERBS[verb]
    return compiled(
        _ASYNC_ENTRY if is_async else _SYNC_ENTRY,
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
    *further: object,
    is_async: bool,
    names: dict[str, object],
) -> types.FunctionType:
    """Return a function that calls *listeners*, and counts in a tally of *layout*; see `codegen.unrolled`."""
    kind = "plain" if not is_async else "async" if all(map(returns_coroutine, listeners)) else "mixed"
    template = _template(shape, layout, kind)
    return types.FunctionType(template.replace(), names, "publish", (*listeners, *further))


@functools.cache
def _template(shape: Shape, layout: Layout, kind: str) -> types.CodeType:
    names = [f"_tb_{number}" for number in range(layout.count)]
    listed = f"[{', '.join(names)}]"
    define, wait, result = _KINDS[kind]
    calls = [result.format(name=name, call=shape.call()) for name in names]
    numbers = "_tb_numbers = _tb_cells.numbers"
    began, succeeded, readings = _timing(layout) if layout.is_timed else ("pass", [_increase(Layout.SUCCEEDED)], "()")
    ended = "_tb_ended(_tb_began)" if layout.is_timed else "_tb_ended()"
    failed = f"_tb_failed(_tb_error, {_LINE}, {listed}, {readings})"
    if kind == "plain":
        go_on = f"raise _tb_self._go_on({{received}}_tb_error, {_LINE}, {failed})"
        leave = f"_tb_failed(_tb_caught, {_LINE}, (), {readings}); {ended}; raise"
    else:
        go_on = (
            f"_tb_error = {wait} _tb_self._go_on({{received}}_tb_error, {_LINE}, {listed}, {failed}); raise _tb_error"
        )
        leave = "_tb_error = _tb_caught"
    if kind == "plain" and not layout.is_each:
        lines = [f"            ({name} := {call})," for name, call in zip(names, calls, strict=True)]
        opening, closing, results = "_tb_results = [", "]", "_tb_results"
    else:
        reading = "; _tb_at_{number} = _tb_clock()" if layout.is_each else ""
        lines = [
            f"        {name} = {call}{reading.format(number=number)}"
            for number, (name, call) in enumerate(zip(names, calls, strict=True))
        ]
        opening, closing, results = "pass", "pass", listed
    code = compiled(
        _UNROLLED.replace("{go_on}", go_on),
        shape,
        define=define,
        listeners="".join(f"{name}, " for name in names),
        first=numbers if kind == "plain" else "pass",
        again="pass" if kind == "plain" else numbers,
        began=began,
        open=opening,
        calls="\n".join(lines),
        close=closing,
        line=str(_LINE),
        untimed=str(Layout.UNTIMED),
        left=str(Layout.LEFT),
        recursions=str(layout.recursions),
        leave=leave,
        succeeded="\n        ".join(succeeded),
        results=results,
        ended=ended,
    )
    return as_async(code) if kind == "async" else code


def _timing(layout: Layout) -> tuple[str, list[str], str]:
    """Return the statement that reads the clock, those that add the durations, and the readings after the listeners."""
    if not layout.is_each:
        return "_tb_began = _tb_clock()", _addition(layout.histogram, "_tb_clock() - _tb_began"), "()"
    readings = ["_tb_began", *(f"_tb_at_{number}" for number in range(layout.count))]
    begun = " = ".join([*readings, "_tb_clock()"])  # the readings exist whichever listener raises
    lines = _addition(layout.histogram, f"{readings[-1]} - _tb_began")
    durations = [f"_tb_took_{number}" for number in range(layout.count)]
    for number, (one, other) in enumerate(itertools.pairwise(readings)):
        lines.append(f"{durations[number]} = {other} - {one}")
        lines.append(_increase(layout.histogram_of(number) + HISTOGRAM - 1, durations[number]))
    # Most listeners are so fast that the first bucket of all of them is worth a count of its own.
    lines.append(f"if {' and '.join(f'{duration} <= {BUCKETS[0]}' for duration in durations)}:")
    lines.append(f"    {_increase(Layout.FAST)}")
    lines.append("else:")
    for number, duration in enumerate(durations):
        lines += [f"    {line}" for line in _bucket(layout.histogram_of(number), duration)]
    return begun, lines, f"[{', '.join(readings)}]"


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
