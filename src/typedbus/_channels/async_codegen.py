"""
The generated code of an awaited publish: the texts of `codegen`, with ``await``.

`publish` is a plain function that returns the coroutine of `loop` or of the unrolled function. So there is
one coroutine for each publish, and the listeners are those at the time of the call, not of the await.
If all listeners are async functions, their coroutines are awaited directly; any other listener may return its
result or an awaitable, so the result is inspected first.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from typedbus._base.coroutines import CO_COROUTINE, returns_coroutine
from typedbus._channels.codegen import Shape, compiled

_PUBLISH: Final = """\
def publish({parameters}):
    _tb_call = _tb_self._unrolled
    if _tb_call is not None:
        return _tb_call(_tb_self, {passed})
    return _tb_self._loop({passed}_tb_self._warm_up())
"""

# _own_cancellation distinguishes the CancelledError of a listener, which is its failure, from a cancellation of the publisher.
_EACH: Final = """\
            try:
                _tb_result = _tb_listener({call})
                _tb_results.append(await _tb_result if _tb_self._is_awaitable(_tb_result) else _tb_result)
            except RecursionError as _tb_caught:
                if _tb_errors:
                    _tb_self._chain_failures(_tb_caught, _tb_errors, _tb_blames, _tb_results)
                raise
            except Exception as _tb_caught:
                _tb_self._blame(_tb_listener, _tb_caught, _tb_errors, _tb_blames)
            except BaseException as _tb_caught:
                _tb_failure = _tb_self._own_cancellation(_tb_caught)
                if _tb_failure is None:
                    _tb_self._chain_failures(_tb_caught, _tb_errors, _tb_blames, _tb_results)
                    raise
                _tb_self._blame(_tb_listener, _tb_failure, _tb_errors, _tb_blames)
"""

_LOOP: Final = f"""\
async def publish(_tb_self, {{received}}_tb_listeners):
    _tb_results, _tb_errors, _tb_blames, _tb_failure = [], [], [], None
    try:
        for _tb_listener in _tb_listeners:
{_EACH}
        if _tb_errors:
            raise _tb_self._failed(_tb_errors, _tb_blames, _tb_results)
    finally:
        del _tb_errors, _tb_failure
    return _tb_results
"""

_ON_FAILURE: Final = """\
    except RecursionError:
        raise
    except BaseException as _tb_caught:
        _tb_error = _tb_caught
    try:
        _tb_error = {wait} _tb_self._go_on({received}_tb_error, 4, {results}, [{names}])
        raise _tb_error
    finally:
        del _tb_error
"""

_DISPLAYED: Final = f"""\
{{define}} publish(_tb_self, {{received}}{{listeners}}):
    try:
        return [
{{calls}}
        ]
{_ON_FAILURE}"""

_MOST_DISPLAYED: Final = 30
"""The longest list that the compiler builds in one step; to a longer one it appends each value, and the list grows."""

_FILLED: Final = f"""\
{{define}} publish(_tb_self, {{received}}{{listeners}}):
    _tb_results = [None] * {{count}}
    try:
{{calls}}
        return _tb_results
{_ON_FAILURE}"""

AWAITED: Final = "(yield from {name}({call}))"
"""The result of an async function."""

INSPECTED: Final = "await _tb_result if _tb_is_awaitable(_tb_result := {name}({call})) else _tb_result"
"""The result of any listener."""

_CO_GENERATOR: Final = 0x20

_GO_ON: Final = f"""\
async def go_on(_tb_self, {{received}}_tb_error, _tb_first, _tb_results, _tb_all):
    _tb_number = _tb_error.__traceback__.tb_lineno - _tb_first
    if _tb_number < 0:
        return _tb_error
    _tb_results, _tb_errors, _tb_blames, _tb_failure = _tb_results[:_tb_number], [], [], None
    try:
        if not isinstance(_tb_error, Exception):
            _tb_failure = _tb_self._own_cancellation(_tb_error)
            if _tb_failure is None:
                return _tb_error
            _tb_error = _tb_failure
        _tb_self._blame(_tb_all[_tb_number], _tb_error, _tb_errors, _tb_blames)
        for _tb_listener in _tb_all[_tb_number + 1 :]:
{_EACH}
        return _tb_self._failed(_tb_errors, _tb_blames, _tb_results)
    finally:
        del _tb_error, _tb_errors, _tb_failure
"""

SEQUENTIAL: Final[Mapping[str, str]] = {"publish": _PUBLISH, "_loop": _LOOP, "_go_on": _GO_ON}
"""The texts of the generated methods of an `AsyncBoundChannel`."""

CONCURRENT: Final[Mapping[str, str]] = {
    "publish": """\
def publish({parameters}):
    return _tb_self._run(_tb_self._plan(), lambda _tb_listener: _tb_listener({direct}))
"""
}
"""The text of the generated method of a `ConcurrentBoundChannel`."""

CONCURRENT_ATTEMPT: Final = """\
def attempt({parameters}):
    return _tb_self._attempt(_tb_self._plan(), lambda _tb_listener: _tb_listener({direct}))
"""


def is_awaitable(result: object) -> bool:
    """Return whether *result* of a listener must be awaited."""
    return result is not None and hasattr(type(result), "__await__")


_NAMES: Final[dict[str, object]] = {"_tb_is_awaitable": is_awaitable}
_templates: Final[dict[tuple[Shape, int, bool], types.CodeType]] = {}


def unrolled(shape: Shape, listeners: Sequence[Callable[..., object]]) -> types.FunctionType:
    """Return an async function that calls *listeners*, each on a line of its own; see `codegen.unrolled`."""
    # One other listener makes all results inspected: a text for each mixture of listeners would be compiled too often.
    key = shape, len(listeners), all(map(returns_coroutine, listeners))
    template = _templates.get(key)
    if template is None:
        template = _templates[key] = _template(*key)
    return types.FunctionType(template.replace(), _NAMES, "publish", tuple(listeners))


def _template(shape: Shape, count: int, are_async: bool) -> types.CodeType:
    text, line = _FILLED, "        _tb_results[{number}] = {awaited}"
    if count <= _MOST_DISPLAYED:
        text, line = _DISPLAYED, "            ({name} := {awaited}),"
    awaited = AWAITED if are_async else INSPECTED
    names = [f"_tb_{number}" for number in range(count)]
    calls = [
        line.format(number=number, name=name, awaited=awaited.format(name=name, call=shape.call()))
        for number, name in enumerate(names)
    ]
    code = compiled(
        text,
        shape,
        define="def" if are_async else "async def",
        wait="yield from" if are_async else "await",
        count=str(count),
        listeners="".join(f"{name}, " for name in names),
        calls="\n".join(calls),
        results="_tb_results" if text is _FILLED else f"[{', '.join(names)}]",
        names=", ".join(names),
    )
    return as_async(code) if are_async else code


def as_async(code: types.CodeType) -> types.CodeType:
    """
    Return *code* of a generator function as that of an async function.

    ``yield from`` a coroutine skips the search for `__await__`. It is not syntax of an async function, so the text is
    that of a generator function, and the flags make it async, as those that `types.coroutine` sets do.
    """
    return code.replace(co_flags=code.co_flags & ~_CO_GENERATOR | CO_COROUTINE)
