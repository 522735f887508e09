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
from typing import Final, NamedTuple

HEAT: Final = 64
"""After so many publishes to the same listeners the loop is unrolled."""

UNROLLED: Final = 128
"""With more listeners than these the loop stays a loop."""

# In the texts stand names that no parameter has: {parameters} are the channel's
# own; {passed} is what `publish` makes of them for the other functions, which
# receive it by position as {received}; {call} is what a listener is called with.
#
# Three methods of a bound channel are called: _warm_up gives the listeners,
# _blame keeps a failure, _failed makes the exception of all of them. Where a
# name is deleted at the end, the traceback of a failure holds the frame, and
# the frame would hold the failure.
# A frame costs by the number of its names: what is seldom needed is elsewhere.
#
# A RecursionError leaves at once: if the listeners after it were called, each of
# them would exhaust the stack again, at every level that has just been left. Its
# clause calls nothing unless a listener failed before: hardly any stack is left.
_PUBLISH: Final = """\
def publish({parameters}):
    _tb_call = _tb_self._unrolled
    if _tb_call is not None:
        return _tb_call(_tb_self, {passed})
    _tb_call = _tb_self._only
    if _tb_call is not None:
        try:
            return [_tb_call({direct})]
        except RecursionError:
            raise
        except Exception as _tb_caught:
            _tb_error = _tb_caught
        try:
            raise _tb_self._go_on({passed}_tb_error, 8, [_tb_call])
        finally:
            del _tb_error
    _tb_call = _tb_self._listeners
    if _tb_call is not None and not _tb_call:
        return []
    return _tb_self._loop({passed})
"""

_LOOP: Final = """\
def loop(_tb_self, {received}):
    _tb_results, _tb_errors, _tb_blamed = [], [], []
    try:
        for _tb_listener in _tb_self._warm_up():
            try:
                _tb_results.append(_tb_listener({call}))
            except RecursionError as _tb_caught:
                if _tb_errors:
                    _tb_self._leave(_tb_caught, _tb_errors, _tb_blamed, _tb_results)
                raise
            except Exception as _tb_caught:
                _tb_self._blame(_tb_listener, _tb_caught, _tb_errors, _tb_blamed)
            except BaseException as _tb_caught:
                _tb_self._leave(_tb_caught, _tb_errors, _tb_blamed, _tb_results)
                raise
        if _tb_errors:
            raise _tb_self._failed(_tb_errors, _tb_blamed, _tb_results)
    finally:
        del _tb_errors
    return _tb_results
"""

# A name stands for a listener until that was called, and then for its result.
_UNROLLED: Final = """\
def publish(_tb_self, {received}{listeners}):
    try:
        return [
{calls}
        ]
    except RecursionError:
        raise
    except Exception as _tb_caught:
        _tb_error = _tb_caught
    try:
        raise _tb_self._go_on({received}_tb_error, 4, [{names}])
    finally:
        del _tb_error
"""

# What failed above the line of the first listener is no listener's failure: memory for the list, for instance.
_GO_ON: Final = """\
def go_on(_tb_self, {received}_tb_error, _tb_first, _tb_all):
    _tb_number = _tb_error.__traceback__.tb_lineno - _tb_first
    if _tb_number < 0:
        return _tb_error
    _tb_results, _tb_errors, _tb_blamed = _tb_all[:_tb_number], [], []
    try:
        _tb_self._blame(_tb_all[_tb_number], _tb_error, _tb_errors, _tb_blamed)
        del _tb_error
        for _tb_listener in _tb_all[_tb_number + 1 :]:
            try:
                _tb_results.append(_tb_listener({call}))
            except RecursionError as _tb_caught:
                _tb_self._leave(_tb_caught, _tb_errors, _tb_blamed, _tb_results)
                raise
            except Exception as _tb_caught:
                _tb_self._blame(_tb_listener, _tb_caught, _tb_errors, _tb_blamed)
            except BaseException as _tb_caught:
                _tb_self._leave(_tb_caught, _tb_errors, _tb_blamed, _tb_results)
                raise
        return _tb_self._failed(_tb_errors, _tb_blamed, _tb_results)
    finally:
        del _tb_errors
"""


class Shape(NamedTuple):
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

    def direct(self) -> str:
        """Return the text of the arguments that pass the parameters on."""
        parts = [*self.unnamed, *self.either]
        parts += [f"*{self.rest}"] if self.rest else []
        return self._named(parts)

    def passed(self) -> list[str]:
        """Return the texts of what `publish` hands on by position: many arguments are put together once, not for each listener."""
        if not self.rest:
            return [*self.unnamed, *self.either, *self._by_name()]
        leading = "".join(f"{name}, " for name in (*self.unnamed, *self.either))
        return [f"({leading}*{self.rest},)", *self._by_name()]

    def received(self) -> list[str]:
        """Return the names for what `passed` hands on."""
        return ["_tb_args", *self._by_name()] if self.rest else self.passed()

    def call(self) -> str:
        """Return the text of the arguments for a listener, made of what was received."""
        return self._named(["*_tb_args"]) if self.rest else self.direct()

    def _by_name(self) -> list[str]:
        return [*self.named, *([self.others] if self.others else [])]

    def _named(self, parts: list[str]) -> str:
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


_signatures: Final[dict[Shape, dict[str, types.CodeType]]] = {}
_templates: Final[dict[tuple[Shape, int], types.CodeType]] = {}


def methods(shape: Shape, names: dict[str, object]) -> dict[str, types.FunctionType]:
    """
    Return the methods of a bound channel whose channel has parameters of *shape*; compiled once for each.

    *names* become their globals: there annotations are looked up.
    """
    codes = _signatures.get(shape)
    if codes is None:
        codes = _signatures[shape] = {
            "publish": _compiled(_PUBLISH, shape),
            "_loop": _compiled(_LOOP, shape),
            "_go_on": _compiled(_GO_ON, shape),
        }
    return {name: types.FunctionType(code, names, name) for name, code in codes.items()}


def unrolled(shape: Shape, listeners: tuple[Callable[..., object], ...]) -> types.FunctionType:
    """
    Return a function that calls *listeners*, each on a line of its own.

    Its code is a copy of the template's, so that the interpreter adapts each
    call to the one listener that is ever called there. The listeners are its
    defaults and not its constants: code is unknown to the garbage collector, and
    a cycle through it would never be freed.
    """
    template = _templates.get((shape, len(listeners)))
    if template is None:
        names = [f"_tb_{number}" for number in range(len(listeners))]
        template = _templates[shape, len(listeners)] = _compiled(
            _UNROLLED,
            shape,
            listeners="".join(f"{name}, " for name in names),
            calls="\n".join(f"            ({name} := {name}({shape.call()}))," for name in names),
            names=", ".join(names),
        )
    return types.FunctionType(template.replace(), _NO_NAMES, "publish", listeners)


_NO_NAMES: Final[dict[str, object]] = {}


def _compiled(text: str, shape: Shape, **parts: str) -> types.CodeType:
    """Compile *text*, which defines one function, and return its code; its lines are found in `linecache`."""
    source = text.format(
        parameters=shape.parameters("_tb_self"),
        direct=shape.direct(),
        passed="".join(f"{one}, " for one in shape.passed()),
        received="".join(f"{one}, " for one in shape.received()),
        call=shape.call(),
        **parts,
    )
    filename = f"<typedbus: publish({shape.parameters()}) {len(linecache.cache)}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    module = compile(source, filename, "exec")
    return next(constant for constant in module.co_consts if isinstance(constant, types.CodeType))
