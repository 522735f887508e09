"""
Find the function that a call of a callable runs, and its signature, without running any code.

`inspect.signature` returns the signature that a callable claims: its `__signature__`, or the signature of its
`__wrapped__`. Neither has to describe the call: a decorator with `functools.wraps` may supply an argument, and a
model may take a field from the environment. So signatures are read here from the function that runs.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import types
import typing
from typing import Any, Final

import attrs

from typedbus._base.static import MISSING, bases_of, full_name_of, has_name, is_a, lookup, namespace_of

_BUILTIN_CALLABLES: Final = (
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.MethodWrapperType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
)
_PLACEHOLDER: Final[object] = getattr(functools, "Placeholder", MISSING)
_CACHED: Final = type(functools.cache(lambda: None))
_ALIAS: Final = bases_of(type(typing.List[int]))[1]  # noqa: UP006  # the base class of all of typing's aliases
_DEPTH: Final = 50  # partials around methods around partials
#: The attribute of a function that passes arguments before those of its calls: the function itself, since
#: `functools.wraps` copies attributes, and the partial that takes the same calls.
PARTIAL: Final = "__typedbus_partial__"

#: The kinds of parameters that take an argument by its position, by its name, and any number of arguments.
BY_POSITION: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
BY_NAME: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
VARIADIC: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@contextlib.contextmanager
def _manager() -> typing.Generator[None, None, None]:
    yield


@contextlib.asynccontextmanager
async def _async_manager() -> typing.AsyncGenerator[None, None]:
    yield


#: The code of all functions that `contextlib.contextmanager` returns, and that of `contextlib.asynccontextmanager`.
MANAGER_CODE: Final[types.CodeType] = getattr(_manager, "__code__")  # noqa: B009  # checkers see a callable object
ASYNC_MANAGER_CODE: Final[types.CodeType] = getattr(_async_manager, "__code__")  # noqa: B009  # as above


def is_required(parameter: inspect.Parameter) -> bool:
    """Whether every call must have an argument for *parameter*."""
    return parameter.default is parameter.empty and parameter.kind not in VARIADIC


@attrs.frozen(eq=False)
class Call:
    """
    The function that a call runs and its signature, as far as they are known.

    Attributes:
        signature: With annotations as they were written; None if unknown.
        function: The function that runs; None if unknown.
        home: The class in which the function was found, if any.
        problem: Why the call must fail with any arguments, or "".
    """

    signature: inspect.Signature | None = None
    function: types.FunctionType | None = None
    home: type | None = None
    problem: str = ""


_UNKNOWN: Final = Call()


def call_of(target: object, depth: int = _DEPTH) -> Call:
    """Return the function and the signature of a call of *target*."""
    target = unparametrised(target)
    if not depth:
        return _UNKNOWN
    if is_a(target, types.FunctionType):
        if target.__code__ in (MANAGER_CODE, ASYNC_MANAGER_CODE):
            return _manager_call(target, depth)
        owner, same = vars(target).get(PARTIAL, (None, None))
        if owner is target:
            return _partial(same, depth)
        return Call(_own_signature(target), target)
    if is_a(target, type):
        return _construction(target, depth)
    kind = type(target)
    if kind is types.MethodType:
        method: Any = target
        return _without_instance(call_of(method.__func__, depth - 1))
    if kind is functools.partial:
        partial: Any = target
        return _partial(partial, depth)
    if kind is _CACHED:
        wrapper: Any = target
        return call_of(wrapper.__wrapped__, depth - 1)
    if kind in _BUILTIN_CALLABLES:
        return Call(_signature(target))
    function = lookup(kind, "__call__")
    if type(function) is not types.FunctionType:
        return _UNKNOWN
    return attrs.evolve(_without_instance(call_of(function, depth - 1)), home=kind)


def function_of(target: object) -> types.FunctionType | None:
    """Return the function that a call of *target* runs; None for a class, and if it is unknown."""
    for _ in range(_DEPTH):
        target = unparametrised(target)
        if is_a(target, types.FunctionType):
            return target
        if is_a(target, type) or type(target) in _BUILTIN_CALLABLES:
            return None
        inner: Any = target
        if type(target) is functools.partial:
            target = inner.func
        elif type(target) is types.MethodType:
            target = inner.__func__
        elif type(target) is _CACHED:
            target = inner.__wrapped__
        else:
            target = lookup(type(target), "__call__")
            if type(target) is not types.FunctionType:
                return None
    return None


def called_by(target: Any) -> Any:
    """Return the innermost callable of nested `functools.partial` objects; any other object unchanged."""
    while type(target) is functools.partial:
        target = target.func
    return target


def builder_name(builds: object) -> str:
    """Return the name of the class or function that *builds* calls, without the memory address that a repr would have."""
    builds = unparametrised(called_by(builds))
    return full_name_of(builds if has_name(builds) else type(builds))


def is_parametrised(target: object) -> bool:
    """Whether *target* is a class, or a type alias, with type arguments."""
    return is_a(target, types.GenericAlias) or is_a(target, _ALIAS)


def unparametrised(target: object) -> object:
    """Return the class without its type arguments, `Repo` for ``Repo[User]``; any other object unchanged."""
    if is_parametrised(target):
        origin: object = typing.get_origin(target)
        return origin if is_a(origin, type) else target
    return target


def is_plainly_made(cls: type) -> bool:
    """Whether a call of *cls* makes an instance of exactly *cls*: no metaclass or `__new__` changes the result."""
    return _is_called_as_type(cls) and lookup(cls, "__new__") is object.__new__


def _construction(cls: type, depth: int) -> Call:
    """Return the constructor that a call of the class *cls* runs first, if it is written in Python."""
    if not _is_called_as_type(cls):
        return _UNKNOWN
    for name in ("__new__", "__init__"):
        constructor = lookup(cls, name)
        function = constructor.__func__ if type(constructor) is staticmethod else constructor
        if type(function) is types.FunctionType:
            home = next(base for base in bases_of(cls) if name in namespace_of(base))
            return attrs.evolve(_without_instance(call_of(function, depth - 1)), home=home)
        if type(function) not in (types.BuiltinFunctionType, types.WrapperDescriptorType):
            return _UNKNOWN
    home = next(base for base in bases_of(cls) if not {"__init__", "__new__"}.isdisjoint(namespace_of(base)))
    return Call(inspect.Signature() if home is object else _signature(home))


def _is_called_as_type(cls: type) -> bool:
    return lookup(type(cls), "__call__") is namespace_of(type)["__call__"]


def _partial(target: functools.partial[object], depth: int) -> Call:
    inner = call_of(target.func, depth - 1)
    if inner.signature is None:
        return inner

    def stand_in() -> None: ...

    vars(stand_in)["__signature__"] = inner.signature
    # `inspect` needs the number of arguments, and would show their values in its errors.
    args = [argument if argument is _PLACEHOLDER else MISSING for argument in target.args]
    try:
        signature = inspect.signature(functools.partial(stand_in, *args, **dict.fromkeys(target.keywords, MISSING)))
    except (ValueError, TypeError):
        return Call(None, problem=f"it gives {full_name_of(target.func)} arguments that it does not take")
    return attrs.evolve(inner, signature=signature)


def _manager_call(target: types.FunctionType, depth: int) -> Call:
    """Return the call of a generator function that `contextlib` has decorated; its parameters are passed on, not its result."""
    call = call_of(target.__wrapped__, depth - 1)  # type: ignore[attr-defined]  # `functools.wraps` sets it
    if call.signature is None:
        return call
    return attrs.evolve(call, signature=call.signature.replace(return_annotation=inspect.Signature.empty))


def _without_instance(inner: Call) -> Call:
    """Return *inner* without the first parameter, which receives the instance or the class."""
    if inner.signature is None:
        return inner
    parameters = list(inner.signature.parameters.values())
    if parameters and parameters[0].kind in BY_POSITION:
        del parameters[0]
    elif not parameters or parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL:
        return Call(None, problem="it has no parameter for the instance")
    return attrs.evolve(inner, signature=inner.signature.replace(parameters=parameters))


def _is_decorated(function: types.FunctionType) -> bool:
    return not {"__wrapped__", "__signature__"}.isdisjoint(vars(function))


def _own_signature(function: types.FunctionType) -> inspect.Signature | None:
    """Return the signature of the code of *function*; without the annotations if a decorator copied them."""
    if not _is_decorated(function):
        return _signature(function)
    bare = types.FunctionType(function.__code__, {}, "bare", function.__defaults__, function.__closure__)
    bare.__kwdefaults__ = function.__kwdefaults__
    return _signature(bare)


def _signature(target: Any) -> inspect.Signature | None:
    try:
        if sys.version_info >= (3, 14):
            import annotationlib

            return inspect.signature(target, annotation_format=annotationlib.Format.FORWARDREF)
        return inspect.signature(target)
    except Exception:
        # C code has no signature to read; annotations that are evaluated late may raise anything.
        return None
