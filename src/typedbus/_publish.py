"""
How a publish comes to cost what calling the listeners costs.

Passing ``*args, **kwargs`` on is what makes a generic publish slow. So each
signature gets a `publish` of its own, with the channel's own parameters, made
once from the text below: the loop that one would write by hand.

A channel that is published on again and again with the same listeners then gets
that loop unrolled: one line for each listener. There every call has its own
place in the code, which the interpreter adapts to that very listener, and a
failure is told by the line that it came from, so that no listener needs a
``try`` of its own. docs/explanation/publishing.md has the figures.

All of this is text, compiled once for each signature and number of listeners;
listeners, defaults and annotations are never in the text.
"""

from __future__ import annotations

import linecache
import types
from collections.abc import Callable
from typing import Final

import attrs

HEAT: Final = 64
"""After so many publishes to the same listeners the loop is unrolled."""

UNROLLED: Final = 128
"""With more listeners than these the loop stays a loop."""

# What follows calls three methods of a bound channel: _warm_up gives the
# listeners, _note keeps a failure, _failed makes the exception of them. Where a
# name is deleted at the end, the traceback of a failure holds the frame, and
# the frame would hold the failure.
# A frame costs by the number of its names: what is seldom needed is elsewhere.
_PUBLISH: Final = """\
def publish({parameters}):
    _tb_call = _tb_self._unrolled
    if _tb_call is not None:
        return _tb_call({call})
    _tb_call = _tb_self._only
    if _tb_call is not None:
        try:
            return [_tb_call({call})]
        except Exception as _tb_caught:
            _tb_error = _tb_caught
        try:
            return _tb_self._go_on({only_failed})
        finally:
            del _tb_error
    _tb_call = _tb_self._listeners
    if _tb_call is not None and not _tb_call:
        return []
    return _tb_self._loop({call})
"""

_LOOP: Final = """\
def loop({parameters}):
    _tb_results, _tb_failures = [], []
    try:
        for _tb_listener in _tb_self._warm_up():
            try:
                _tb_results.append(_tb_listener({call}))
            except Exception as _tb_caught:
                _tb_self._note(_tb_listener, _tb_caught, _tb_failures)
            except BaseException as _tb_caught:
                _tb_self._leave(_tb_caught, _tb_failures, _tb_results)
                raise
        if _tb_failures:
            raise _tb_self._failed(_tb_failures, _tb_results)
    finally:
        del _tb_failures
    return _tb_results
"""

_UNROLLED: Final = """\
def publish({parameters}):
    try:
{calls}
    except Exception as _tb_caught:
        _tb_error = _tb_caught
    else:
        return [{results}]
    try:
        return _tb_self._go_on({one_failed})
    finally:
        del _tb_error
"""
_LINES_BEFORE: Final = 3

_GO_ON: Final = """\
def go_on({parameters}):
    _tb_failures = []
    try:
        _tb_self._note(_tb_failing, _tb_error, _tb_failures)
        del _tb_error
        for _tb_listener in _tb_rest:
            try:
                _tb_results.append(_tb_listener({call}))
            except Exception as _tb_caught:
                _tb_self._note(_tb_listener, _tb_caught, _tb_failures)
            except BaseException as _tb_caught:
                _tb_self._leave(_tb_caught, _tb_failures, _tb_results)
                raise
        raise _tb_self._failed(_tb_failures, _tb_results)
    finally:
        del _tb_failures
"""


def split_at(
    error: Exception, seen: dict[str, object], listeners: tuple[Callable[..., object], ...]
) -> tuple[Callable[..., object], tuple[Callable[..., object], ...], list[object]]:
    """
    Tell where an unrolled publish was when *error* came, by the line that it came from.

    Args:
        error: What the listener raised.
        seen: The names of the unrolled publish, which are cleared.
        listeners: Those that it calls.

    Returns:
        The listener that failed, those after it, and the results of those before it.
    """
    assert error.__traceback__ is not None
    failing = error.__traceback__.tb_lineno - _LINES_BEFORE
    results = [seen[f"_tb_{number}"] for number in range(failing)]
    # On some Pythons these are the frame's own, and would keep the error alive.
    seen.clear()
    return listeners[failing], listeners[failing + 1 :], results


@attrs.frozen
class Shape:
    """
    The parameters of a signature, without their defaults and annotations.

    Attributes:
        unnamed: Those that are positional-only.
        either: Those that go by position or by name.
        rest: The name of ``*rest``, or "".
        named: Those that are keyword-only.
        others: The name of ``**others``, or "".
    """

    unnamed: tuple[str, ...] = ()
    either: tuple[str, ...] = ()
    rest: str = ""
    named: tuple[str, ...] = ()
    others: str = ""

    def parameters(self, *before: str) -> str:
        """Return the text of a parameter list that begins with *before*."""
        unnamed = (*before, *self.unnamed)
        star = [f"*{self.rest}"] if self.rest else ["*"] if self.named else []
        parts = [*unnamed, *(["/"] if unnamed else []), *self.either, *star, *self.named]
        return ", ".join(parts + ([f"**{self.others}"] if self.others else []))

    def call(self, *before: str) -> str:
        """Return the text of the arguments that pass the parameters on, after *before*."""
        parts = [*before, *self.unnamed, *self.either]
        parts += [f"*{self.rest}"] if self.rest else []
        parts += [f"{name}={name}" for name in self.named]
        return ", ".join(parts + ([f"**{self.others}"] if self.others else []))


def shape_of(function: types.FunctionType) -> Shape:
    """Return the shape of a function's parameters, read from its code: no import is as cheap."""
    code = function.__code__
    names = code.co_varnames
    positional, total = code.co_argcount, code.co_argcount + code.co_kwonlyargcount
    has_rest, has_others = bool(code.co_flags & 0x04), bool(code.co_flags & 0x08)  # CO_VARARGS, CO_VARKEYWORDS
    return Shape(
        unnamed=names[: code.co_posonlyargcount],
        either=names[code.co_posonlyargcount : positional],
        rest=names[total] if has_rest else "",
        named=names[positional:total],
        others=names[total + has_rest] if has_others else "",
    )


_BEFORE: Final = ("_tb_self", "_tb_failing", "_tb_rest", "_tb_results", "_tb_error")

_signatures: Final[dict[Shape, dict[str, types.CodeType]]] = {}
_templates: Final[dict[tuple[Shape, int], types.CodeType]] = {}


def methods(shape: Shape, names: dict[str, object]) -> dict[str, types.FunctionType]:
    """
    Return the methods of a bound channel whose channel has parameters of *shape*; compiled once for each.

    *names* become their globals: there annotations are looked up.
    """
    codes = _signatures.get(shape)
    if codes is None:
        only_failed = shape.call("_tb_call", "()", "[]", "_tb_error")
        codes = _signatures[shape] = {
            "publish": _compiled(_PUBLISH, shape, shape.parameters("_tb_self"), only_failed=only_failed),
            "_loop": _compiled(_LOOP, shape, shape.parameters("_tb_self")),
            "_go_on": _compiled(_GO_ON, shape, shape.parameters(*_BEFORE)),
        }
    return {name: types.FunctionType(code, names, name) for name, code in codes.items()}


def unrolled(shape: Shape, bound: object, listeners: tuple[Callable[..., object], ...]) -> types.FunctionType:
    """
    Return a function that calls *listeners*, each on a line of its own.

    Its code is a copy of the template's, so that the interpreter adapts each
    call to the one listener that is ever called there. The listeners are its
    globals and not its constants: code is unknown to the garbage collector, and
    a cycle through it would never be freed.
    """
    template = _templates.get((shape, len(listeners)))
    if template is None:
        numbers = range(len(listeners))
        template = _templates[shape, len(listeners)] = _compiled(
            _UNROLLED,
            shape,
            shape.parameters(),
            calls="\n".join(f"        _tb_{number} = _tb_listener_{number}({shape.call()})" for number in numbers),
            results=", ".join(f"_tb_{number}" for number in numbers),
            one_failed=shape.call("*_tb_split_at(_tb_error, locals(), _tb_listeners)", "_tb_error"),
        )
    names: dict[str, object] = {f"_tb_listener_{number}": listener for number, listener in enumerate(listeners)}
    names.update(_tb_self=bound, _tb_listeners=listeners, _tb_split_at=split_at)
    return types.FunctionType(template.replace(), names, "publish")


def _compiled(text: str, shape: Shape, parameters: str, **parts: str) -> types.CodeType:
    """Compile *text*, which defines one function, and return its code; its lines are found in `linecache`."""
    source = text.format(call=shape.call(), parameters=parameters, **parts)
    filename = f"<typedbus: publish({shape.parameters()}) {len(linecache.cache)}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    module = compile(source, filename, "exec")
    return next(constant for constant in module.co_consts if isinstance(constant, types.CodeType))
