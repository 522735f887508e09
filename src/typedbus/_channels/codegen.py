"""
Generated code that makes a publish as fast as calling the listeners directly.

Passing on ``*args, **kwargs`` makes a generic publish slow. So each
signature gets its own `publish`, with the channel's parameters, generated
once from the text below: the same loop as written by hand.

After many publishes to the same listeners this loop is unrolled: one line for each
listener. Every call then has its own place in the code, which the interpreter
specialises for that listener, and the line number of a failure identifies the
listener, so that no call needs a ``try`` of its own.
docs/explanation/publishing.md has the figures.

The text is compiled once for each signature and number of listeners;
listeners, defaults and annotations are never part of the text.
"""

from __future__ import annotations

import functools
import linecache
import types
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeVar, cast

from typedbus._base.coroutines import CO_COROUTINE, mark_coroutine_function
from typedbus._base.failures import GENERATED

Method = TypeVar("Method", bound=Callable[..., Any])

HEAT: Final = 64
"""The number of publishes to the same listeners after which the loop is unrolled."""

UNROLLED: Final = 128
"""The largest number of listeners for which the loop is unrolled."""

# The local names in the texts differ from those of all parameters. {parameters} are
# the channel's parameters; {passed} are the arguments that `publish` passes to the
# other functions, which receive them by position as {received}; {call} are the
# arguments for a listener.
#
# Three methods of a bound channel are called: _warm_up returns the listeners,
# _blame records a failure, _failed creates the exception for all failures. A name is
# deleted at the end to break a cycle: the traceback of a failure refers to the frame,
# and the frame would refer to the failure.
# Frame setup cost grows with the number of locals, so rarely used code is in separate functions.
#
# A RecursionError propagates at once: if the remaining listeners were called, each of
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
    return _tb_self._loop({passed}_tb_self._warm_up())
"""

_LOOP: Final = """\
def loop(_tb_self, {received}_tb_listeners):
    _tb_results, _tb_errors, _tb_blames = [], [], []
    try:
        for _tb_listener in _tb_listeners:
            try:
                _tb_results.append(_tb_listener({call}))
            except RecursionError as _tb_caught:
                if _tb_errors:
                    _tb_self._chain_failures(_tb_caught, _tb_errors, _tb_blames, _tb_results)
                raise
            except Exception as _tb_caught:
                _tb_self._blame(_tb_listener, _tb_caught, _tb_errors, _tb_blames)
            except BaseException as _tb_caught:
                _tb_self._chain_failures(_tb_caught, _tb_errors, _tb_blames, _tb_results)
                raise
        if _tb_errors:
            raise _tb_self._failed(_tb_errors, _tb_blames, _tb_results)
    finally:
        del _tb_errors
    return _tb_results
"""

# Each local first holds a listener and is then rebound to its result.
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

# A failure above the line of the first listener was not raised by a listener; for example, memory ran out for the list.
_GO_ON: Final = """\
def go_on(_tb_self, {received}_tb_error, _tb_first, _tb_all):
    _tb_number = _tb_error.__traceback__.tb_lineno - _tb_first
    if _tb_number < 0:
        return _tb_error
    _tb_results, _tb_errors, _tb_blames = _tb_all[:_tb_number], [], []
    try:
        _tb_self._blame(_tb_all[_tb_number], _tb_error, _tb_errors, _tb_blames)
        del _tb_error
        for _tb_listener in _tb_all[_tb_number + 1 :]:
            try:
                _tb_results.append(_tb_listener({call}))
            except RecursionError as _tb_caught:
                _tb_self._chain_failures(_tb_caught, _tb_errors, _tb_blames, _tb_results)
                raise
            except Exception as _tb_caught:
                _tb_self._blame(_tb_listener, _tb_caught, _tb_errors, _tb_blames)
            except BaseException as _tb_caught:
                _tb_self._chain_failures(_tb_caught, _tb_errors, _tb_blames, _tb_results)
                raise
        return _tb_self._failed(_tb_errors, _tb_blames, _tb_results)
    finally:
        del _tb_errors
"""


class Shape(NamedTuple):
    """
    The parameters of a signature, without their defaults and annotations.

    Attributes:
        unnamed: The positional-only parameters.
        either: The positional-or-keyword parameters.
        rest: The name of ``*rest``, or "".
        named: The keyword-only parameters.
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
        """Return the text of arguments that pass the parameters on directly."""
        parts = [*self.unnamed, *self.either]
        parts += [f"*{self.rest}"] if self.rest else []
        return self._named(parts)

    def passed(self) -> list[str]:
        """
        Return the texts of the arguments that `publish` passes on by position.

        A variable number of arguments is packed once, not for each listener.
        """
        if not self.rest:
            return [*self.unnamed, *self.either, *self._by_name()]
        leading = "".join(f"{name}, " for name in (*self.unnamed, *self.either))
        return [f"({leading}*{self.rest},)", *self._by_name()]

    def received(self) -> list[str]:
        """Return the names of the parameters that receive the arguments of `passed`."""
        return ["_tb_args", *self._by_name()] if self.rest else self.passed()

    def call(self) -> str:
        """Return the text of the arguments for a listener, in terms of the names in `received`."""
        return self._named(["*_tb_args"]) if self.rest else self.direct()

    def _by_name(self) -> list[str]:
        return [*self.named, *([self.others] if self.others else [])]

    def _named(self, parts: list[str]) -> str:
        parts += [f"{name}={name}" for name in self.named]
        return ", ".join(parts + ([f"**{self.others}"] if self.others else []))


UNKNOWN: Final = Shape(rest="args", others="kwargs")
"""The parameters of a channel whose signature only type checkers know."""


def shape_of(function: types.FunctionType) -> Shape:
    """Return the shape of a function's parameters, read from its code, which avoids importing `inspect`."""
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


SYNC: Final[Mapping[str, str]] = {"publish": _PUBLISH, "_loop": _LOOP, "_go_on": _GO_ON}
"""The texts of the generated methods of a `BoundChannel`."""

_signatures: Final[dict[tuple[Shape, str], dict[str, types.CodeType]]] = {}
_templates: Final[dict[tuple[Shape, int], types.CodeType]] = {}


def methods(shape: Shape, names: dict[str, object], texts: Mapping[str, str]) -> dict[str, types.FunctionType]:
    """
    Return the methods in *texts* for bound channels with parameters of *shape*; compiled once for each shape.

    *names* become their globals, in which annotations are looked up.
    """
    key = shape, texts["publish"]
    codes = _signatures.get(key)
    if codes is None:
        codes = _signatures[key] = {name: compiled(text, shape) for name, text in texts.items()}
    return {name: function_with(code, names) for name, code in codes.items()}


def function_with(code: types.CodeType, names: dict[str, object]) -> types.FunctionType:
    """
    Return a function with *code* and the globals *names*, made as a ``def`` makes it.

    From Python 3.13 on, the interpreter does not specialise calls of a function that was made by `types.FunctionType`.
    """
    making = _make_function.__code__
    constants = tuple(code if isinstance(constant, types.CodeType) else constant for constant in making.co_consts)
    function: types.FunctionType = types.FunctionType(making.replace(co_consts=constants), names)()
    return function


def _make_function() -> Callable[[], None]:
    return lambda: None


def generated(verb: Method) -> Method:
    """
    Return the method *verb* of a bound channel, which generates the code of all verbs at its first call.

    From then on the class of the bound channel has methods of its own.
    """

    @functools.wraps(verb)
    def generate(bound: Any, /, *args: Any, **kwargs: Any) -> Any:
        from typedbus._channels.verbs import add_verbs  # a program that only publishes does not need it

        add_verbs(bound, verb.__name__)
        return getattr(bound, verb.__name__)(*args, **kwargs)

    if verb.__code__.co_flags & CO_COROUTINE:
        mark_coroutine_function(generate)
    return cast("Method", generate)


def unrolled(shape: Shape, listeners: tuple[Callable[..., object], ...]) -> types.FunctionType:
    """
    Return a function that calls *listeners*, each on a line of its own.

    Its code is a copy of the template's, so that the interpreter specialises each
    call for the only listener that is called there. The listeners are its
    defaults and not its constants: the garbage collector does not track code, and
    a cycle through it would never be freed.
    """
    template = _templates.get((shape, len(listeners)))
    if template is None:
        names = [f"_tb_{number}" for number in range(len(listeners))]
        template = _templates[shape, len(listeners)] = compiled(
            _UNROLLED,
            shape,
            listeners="".join(f"{name}, " for name in names),
            calls="\n".join(f"            ({name} := {name}({shape.call()}))," for name in names),
            names=", ".join(names),
        )
    return types.FunctionType(template.replace(), _NO_NAMES, "publish", listeners)


_NO_NAMES: Final[dict[str, object]] = {}


def compiled(text: str, shape: Shape, **parts: str) -> types.CodeType:
    """Compile *text*, which defines one function, and return its code; its lines are added to `linecache`."""
    source = text.format(
        parameters=shape.parameters("_tb_self"),
        direct=shape.direct(),
        passed="".join(f"{one}, " for one in shape.passed()),
        received="".join(f"{one}, " for one in shape.received()),
        call=shape.call(),
        **parts,
    )
    filename = f"{GENERATED}{parts.get('verb', 'publish')}({shape.parameters()}) {len(linecache.cache)}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    module = compile(source, filename, "exec")
    return next(constant for constant in module.co_consts if isinstance(constant, types.CodeType))
