"""
The generated code of `first`, `fold` and `attempt`.

A class of bound channels gets these methods at their first use, with the parameters of its `publish`; a program that only
publishes does not load this module. As for `publish`, a function with one line for each listener is compiled after many
calls, and the line number of a failure identifies the listener. Before that, and after a failure, a loop calls the listeners.

The same texts serve async channels, with ``await``.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from typedbus._base.channel_errors import ChannelError
from typedbus._base.coroutines import mark_coroutine_function, returns_coroutine
from typedbus._channels.async_codegen import AWAITED, INSPECTED, as_async, is_awaitable
from typedbus._channels.attempt import Attempt
from typedbus._channels.codegen import HEAT, UNKNOWN, UNROLLED, Shape, compiled, function_with
from typedbus._channels.subscriptions import AnyBoundChannel

# In the texts, {name} is the local of a listener, {result} the call of a listener, {value} the value of a fold, and {assigned}
# the assignment of a result to it; `codegen` describes the other parts. The lines of a verb replace <each> and <end>.

_METHOD: Final = """\
def {verb}({parameters}):
    _tb_verbs = _tb_self._verbs
    if _tb_verbs is not None:
        _tb_call = _tb_verbs.{verb}
        if _tb_call is not None:
            return _tb_call(_tb_self, {passed})
    return _tb_self._loop_of_{verb}({passed}_tb_self._warm_up_verb("{verb}"), None, 0, [])
"""

# Calls the listeners from _tb_number on or, if the listener of that number has raised _tb_error, those after it.
# Another number is the line of an exception that no listener raised, as in `codegen`.
_LOOP: Final = """\
{define} {verb}(_tb_self, {received}_tb_listeners, _tb_error, _tb_number, _tb_results):
    _tb_errors, _tb_blames, _tb_failure, _tb_group = [], [], None, None
    try:
        if _tb_error is not None:
            if not 0 <= _tb_number < len(_tb_listeners):
                raise _tb_error
            if not isinstance(_tb_error, Exception):
                _tb_failure = _tb_self._own_cancellation(_tb_error)
                if _tb_failure is None:
                    raise _tb_error
                _tb_error = _tb_failure
            del _tb_results[_tb_number:]
            _tb_self._blame(_tb_listeners[_tb_number], _tb_error, _tb_errors, _tb_blames)
            _tb_number += 1
        for _tb_listener in _tb_listeners[_tb_number:]:
            try:
                _tb_result = {result}
            except RecursionError as _tb_caught:
                if _tb_errors:
                    _tb_self._chain_failures(_tb_caught, _tb_errors, _tb_blames, _tb_results)
                raise
            except Exception as _tb_caught:
                _tb_self._blame(_tb_listener, _tb_caught, _tb_errors, _tb_blames)
                continue
            except BaseException as _tb_caught:
                _tb_failure = _tb_self._own_cancellation(_tb_caught)
                if _tb_failure is None:
                    _tb_self._chain_failures(_tb_caught, _tb_errors, _tb_blames, _tb_results)
                    raise
                _tb_self._blame(_tb_listener, _tb_failure, _tb_errors, _tb_blames)
                continue
            _tb_results.append(_tb_result)
<each>
<end>
    finally:
        del _tb_error, _tb_errors, _tb_failure, _tb_group
"""

# Each local first holds a listener and is then rebound to its result.
_UNROLLED: Final = """\
{define} {verb}(_tb_self, {received}{listeners}_tb_listeners):
    try:
{calls}
<end>
    except RecursionError:
        raise
    except {caught} as _tb_caught:
        _tb_error = _tb_caught
    try:
        _tb_number = _tb_error.__traceback__.tb_lineno - 3
        return ({wait} _tb_self._loop_of_{verb}({received}_tb_listeners, _tb_error, _tb_number, [{names}]))
    finally:
        del _tb_error
"""

_RAISE: Final = """\
        if _tb_errors:
            raise _tb_self._failed(_tb_errors, _tb_blames, _tb_results)
"""


@attrs.frozen
class _Verb:
    """
    The lines of a verb.

    Attributes:
        each: What follows the result of a listener in the loop.
        end: The end of the loop.
        call: The line of a listener in the unrolled function.
        unrolled_end: The end of the unrolled function.
    """

    each: str
    end: str
    call: str
    unrolled_end: str


_VERBS: Final[Mapping[str, _Verb]] = {
    "first": _Verb(
        each="            if _tb_result is not None:\n                break",
        end=f"{_RAISE}        return _tb_results[-1] if _tb_results else None",
        call="        if ({name} := {result}) is not None: return {name}",
        unrolled_end="        return None",
    ),
    "fold": _Verb(
        each="            if _tb_result is not None:\n                {assigned}",
        end=f"{_RAISE}        return {{value}}",
        call="        if ({name} := {result}) is not None: {assigned}",
        unrolled_end="        return {value}",
    ),
    "attempt": _Verb(
        each="",
        end="""\
        if _tb_errors:
            _tb_group = _tb_self._failed(_tb_errors, _tb_blames, _tb_results)
        return _tb_Attempt.of(_tb_self, _tb_listeners, _tb_results, _tb_group)""",
        call="        {name} = {result}",
        unrolled_end="""\
        _tb_attempt = _tb_Attempt()
        _tb_attempt._bound = _tb_self
        _tb_attempt._listeners = _tb_listeners
        _tb_attempt._results = ({names})
        _tb_attempt._failed = None
        return _tb_attempt""",
    ),
}

_NAMES: Final[dict[str, object]] = {"_tb_Attempt": Attempt, "_tb_is_awaitable": is_awaitable}


class Unrolled:
    """
    The unrolled functions for the present listeners of a bound channel, by verb; None until they are compiled.

    Attributes:
        listeners: The listeners, in running order.
        heat: The number of calls that are left before an unrolled function is compiled.
    """

    __slots__ = ("attempt", "first", "fold", "heat", "listeners")

    def __init__(self, listeners: tuple[Callable[..., Any], ...]) -> None:
        self.listeners: Final = listeners
        self.heat = HEAT
        self.first = self.fold = self.attempt = None


class _Verbs(AnyBoundChannel):
    """The method that the generated methods call; a class of bound channels gets a reference to it."""

    def _warm_up_verb(self, verb: str) -> tuple[Callable[..., Any], ...]:
        """Return the listeners and count this call; after `HEAT` calls a function is compiled for *verb*."""
        verbs = self._verbs
        if verbs is None:
            with self._lock:
                changes = self._changes
                verbs = Unrolled(self._arrange())
                # As in `_arrange`, a signal handler may have changed the listeners.
                if changes == self._changes and self._entries[1] is None:
                    self._verbs = verbs
        elif not isinstance(verbs, Unrolled):
            return self._arrange()  # the first watch or observation has begun since the method read `_verbs`
        verbs.heat -= 1
        if verbs.heat < 0 and len(verbs.listeners) <= UNROLLED:
            setattr(verbs, verb, _unrolled(self._shape or UNKNOWN, verb, verbs.listeners, self.channel.is_async))
        return verbs.listeners


def add_verbs(bound: AnyBoundChannel, verb: str) -> None:
    """
    Generate the verbs for the class of *bound*, with the parameters of its `publish`; *verb* is called next.

    Raises:
        ChannelError: *verb* is "fold", and the channel has no positional parameter.
    """
    cls: Any = type(bound)
    shape = bound._shape or UNKNOWN  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    publish = cls.publish
    has_value = bool(shape.unnamed or shape.either or shape.rest)
    if verb == "fold" and not has_value:
        raise ChannelError(
            bound.channel.name, "has no positional parameter, so `fold` cannot pass a value to its listeners"
        )
    for name in _VERBS:
        if name == "fold" and not has_value:
            continue
        text = cls._verb_texts.get(name, _METHOD)
        method = function_with(_method(shape, name, text), publish.__globals__)
        if publish.__defaults__ or publish.__kwdefaults__:  # as for `publish`
            method.__defaults__, method.__kwdefaults__ = publish.__defaults__, publish.__kwdefaults__
        method.__annotations__ = {name: kind for name, kind in publish.__annotations__.items() if name != "return"}
        method.__doc__ = getattr(cls, name).__doc__
        method.__qualname__ = publish.__qualname__.removesuffix("publish") + name
        if bound.channel.is_async:
            mark_coroutine_function(method)
        setattr(cls, f"_loop_of_{name}", function_with(_loop(shape, name, bound.channel.is_async), _NAMES))
        setattr(cls, name, method)
    cls._warm_up_verb = vars(_Verbs)["_warm_up_verb"]


@functools.cache
def _method(shape: Shape, verb: str, text: str) -> types.CodeType:
    return compiled(text, shape, verb=verb)


@functools.cache
def _loop(shape: Shape, verb: str, is_async: bool) -> types.CodeType:
    text = _LOOP.replace("<each>", _VERBS[verb].each).replace("<end>", _VERBS[verb].end)
    listener = {"name": "_tb_listener", "call": shape.call()}
    return compiled(
        text.replace("{assigned}", _assigned(shape, "_tb_result")),
        shape,
        verb=verb,
        define="async def" if is_async else "def",
        result=(INSPECTED if is_async else "{name}({call})").format(**listener),
        value=_value(shape),
    )


def _unrolled(shape: Shape, verb: str, listeners: Sequence[Callable[..., Any]], is_async: bool) -> types.FunctionType:
    """Return a function that calls *listeners*, each on a line of its own; see `codegen.unrolled`."""
    kind = "plain" if not is_async else "async" if all(map(returns_coroutine, listeners)) else "mixed"
    template = _template(shape, verb, len(listeners), kind)
    return types.FunctionType(template.replace(), _NAMES, verb, (*listeners, tuple(listeners)))


@functools.cache
def _template(shape: Shape, verb: str, count: int, kind: str) -> types.CodeType:
    define, wait, result = _KINDS[kind]
    names = [f"_tb_{number}" for number in range(count)]
    calls = [
        _VERBS[verb].call.format(
            name=name, result=result.format(name=name, call=shape.call()), assigned=_assigned(shape, name)
        )
        for name in names
    ]
    code = compiled(
        _UNROLLED.replace("<end>", _VERBS[verb].unrolled_end),
        shape,
        verb=verb,
        define=define,
        wait=wait,
        caught="Exception" if kind == "plain" else "BaseException",
        listeners="".join(f"{name}, " for name in names),
        calls="\n".join(calls),
        names="".join(f"{name}, " for name in names),
        value=_value(shape),
    )
    return as_async(code) if kind == "async" else code


_KINDS: Final[Mapping[str, tuple[str, str, str]]] = {
    "plain": ("def", "", "{name}({call})"),
    "async": ("def", "yield from", AWAITED),
    "mixed": ("async def", "await", INSPECTED),
}
"""How listeners are called, by kind: the definition, the awaiting of a coroutine, and the result of a listener."""


def _value(shape: Shape) -> str:
    """Return the text of the value of a fold: the first argument."""
    return "_tb_args[0]" if shape.rest else next(iter(shape.received()), "None")


def _assigned(shape: Shape, name: str) -> str:
    """Return the statement that makes the result *name* the value of a fold."""
    return f"_tb_args = ({name}, *_tb_args[1:])" if shape.rest else f"{_value(shape)} = {name}"
