"""
Reading annotations: the types that a callable takes and returns, and the types of its arguments.

An argument of a component is described in one of several ways: by an annotation,
the object itself, its exact class, a literal with members, or a channel on a bus.
"""

from __future__ import annotations

import builtins
import functools
import inspect
import sys
import types
import typing
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from typedbus._base.hints import annotations_of
from typedbus._base.signatures import call_of, called_by, function_of, is_plainly_made, unparametrised
from typedbus._base.static import MISSING, bases_of, is_a, is_simple, lookup, module_of, namespace_of, stored
from typedbus._channels.async_bound import AsyncBoundChannel
from typedbus._channels.bound import BoundChannel
from typedbus._channels.channel import AnyChannel


@attrs.frozen(eq=False)
class This:
    """The argument itself: this object."""

    value: object


@attrs.frozen(eq=False)
class Later(This):
    """A provider that is passed uncalled, to be called later, and the result of that call."""

    result: object


@attrs.frozen
class Exactly:
    """An instance of *cls* itself, not of a subclass."""

    cls: type


@attrs.frozen
class Several:
    """A list, tuple, set or dict with known *members*, each described as an argument is."""

    kind: type
    members: tuple[object, ...]
    keys: tuple[object, ...] = ()


@attrs.frozen
class OneOf:
    """One of several alternatives, each described as an argument is."""

    members: tuple[object, ...]


@attrs.frozen
class OrNone:
    """The description of an argument that may be None instead; which of the two applies is not known yet."""

    argument: object


@attrs.frozen
class OnBus:
    """A channel on a bus."""

    channel: AnyChannel


#: Flags of code that does not run when it is called: coroutines, generators and both at once.
DEFERRED: Final = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
# Any is a class in newer versions of Python.
_NO_CLASSES: Final[tuple[object, ...]] = (Any, types.UnionType, inspect.Parameter.empty)

Reading: typing.TypeAlias = tuple[inspect.Signature | None, Mapping[str, object]]
_readings: Final[weakref.WeakKeyDictionary[Any, Reading]] = weakref.WeakKeyDictionary()


def read(builds: Callable[..., object]) -> Reading:
    """
    Return the signature of a call of *builds*, or None if it is unknown, and its evaluated annotations.

    An annotation that cannot be evaluated, whatever the reason, is Any. The annotations of a decorated function are
    left out: `functools.wraps` copies the annotations of another function.
    """
    # Callables that compare equal may have different signatures.
    kind: Any = type(builds)
    is_compared_by_identity = lookup(kind, "__hash__") is object.__hash__ and lookup(kind, "__eq__") is object.__eq__
    is_kept = is_compared_by_identity and kind.__weakrefoffset__ != 0
    reading = _readings.get(builds) if is_kept else None
    if reading is not None:
        return reading
    call = call_of(builds)
    signature = call.signature
    if signature is None:
        return None, {}
    annotations = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if parameter.annotation is not parameter.empty
    }
    if signature.return_annotation is not signature.empty:
        annotations["return"] = signature.return_annotation
    hints = _evaluated(annotations, getattr(call.function, "__globals__", {}), _names_around(call.home))
    # Keep complete readings only: a name that cannot be evaluated now may be defined later.
    if is_kept and all(hint is not Any for hint in hints.values()):
        return _readings.setdefault(builds, (signature, hints))
    return signature, hints


def returned_by(builds: Callable[..., object]) -> object:
    """
    Return the type that *builds* returns, as far as it is known before the call.

    Any for a decorated function, whose annotations may be copied from another
    function, and for coroutine functions and generator functions, whose bodies do
    not run when they are called.
    """
    builds = called_by(builds)
    origin = unparametrised(builds)
    if origin is not builds:
        return builds
    if is_a(builds, type):
        return Exactly(builds) if is_plainly_made(builds) else builds
    function = function_of(builds)
    if function is not None and function.__code__.co_flags & DEFERRED:
        return Any
    result = read(builds)[1].get("return", Any)
    if is_a(result, typing.TypeVar):
        # An instance of a parametrised class, such as `Maker[Database]()`, stores the type arguments.
        args = typing.get_args(stored(builds, "__orig_class__"))
        parameters = lookup(type(builds), "__parameters__")
        bindings = zip(parameters, args, strict=False) if type(parameters) is tuple else ()
        return next((arg for parameter, arg in bindings if parameter is result), result)
    return result


def class_in(argument: object) -> type | None:
    """Return the class of *argument*, in any of these descriptions, or None if it is not known."""
    match argument:
        case This(value):
            return type(value)
        case Exactly(cls):
            return cls
        case Several(kind):
            return kind
        case OnBus(channel):
            return AsyncBoundChannel if channel.is_async else BoundChannel
        case _:
            origin = typing.get_origin(argument) or argument
            return origin if is_a(origin, type) and not any(origin is excluded for excluded in _NO_CLASSES) else None


def attribute_of(argument: object, name: str) -> object:
    """Return the description of the attribute *name* of *argument*."""
    if isinstance(argument, This) and type(lookup(type(argument.value), "__getattribute__")) is not types.FunctionType:
        value = stored(argument.value, name)
        if value is not MISSING and lookup(type(value), "__get__") is MISSING:
            return This(value)
    cls = class_in(argument)
    for base in () if cls is None else bases_of(cls):
        annotations = annotations_of(base)
        if name in annotations:
            return evaluated(annotations[name], base)
        member = namespace_of(base).get(name, MISSING)
        if is_a(member, property) and member.fget is not None:
            return returned_by(member.fget)
        if is_a(member, functools.cached_property):
            return returned_by(member.func)
        if type(member) in (types.FunctionType, classmethod, staticmethod):
            return Callable[..., Any]
        if member is not MISSING:
            return Any if member is None or lookup(type(member), "__get__") is not MISSING else type(member)
    return Any


def evaluated(annotation: object, cls: type) -> object:
    """Evaluate an annotation in the body of *cls*; Any if that fails."""
    module = sys.modules.get(module_of(cls), types)
    return _evaluated({"it": annotation}, vars(module), dict(namespace_of(cls)))["it"]


def item_of(argument: object, key: object) -> object:
    """Return the description of the item *key* of *argument*."""
    if isinstance(argument, This):
        value: Any = argument.value
        if type(value) in (list, tuple) and type(key) is int:
            return This(value[key]) if -len(value) <= key < len(value) else Any
        if type(value) is dict:
            return next((This(item) for own_key, item in value.items() if _is_same(own_key, key)), Any)
    if isinstance(argument, Several):
        members, keys = argument.members, argument.keys
        if keys:
            pairs = zip(keys, members, strict=True)
            return next(
                (item for own_key, item in pairs if isinstance(own_key, This) and _is_same(own_key.value, key)), Any
            )
        return members[key] if type(key) is int and -len(members) <= key < len(members) else Any
    cls, args = class_in(argument), typing.get_args(argument)
    if cls is None or type(key) is slice:
        return Any
    if is_a(key, AnyChannel):
        return OnBus(key)
    if issubclass(cls, tuple) and args:
        if args[-1] is Ellipsis:
            return args[0]
        return args[key] if type(key) is int and -len(args) <= key < len(args) else Any
    if issubclass(cls, Mapping) and len(args) == len(("key", "value")):
        return args[1]
    if issubclass(cls, Sequence) and len(args) == 1:
        return args[0]
    return Any


def _is_same(key: object, other: object) -> bool:
    """Whether two keys are the same; objects with a comparison of their own are not compared."""
    return key is other or (is_simple(key) and is_simple(other) and key == other)


def named_type(name: str, function: types.FunctionType, home: type) -> object:
    """Return the object that *name* alone, as an annotation of *function* in the class *home*, refers to, or `MISSING`."""
    return _lookup(name, function.__globals__, _names_around(home))


def _names_around(home: type | None) -> dict[str, Any]:
    """Return the names in the module of the class *home*: a function that attrs generates has globals of its own."""
    module = sys.modules.get(module_of(home)) if home is not None else None
    return {} if module is None else vars(module)


def _lookup(name: str, names: dict[str, Any], inner: dict[str, Any]) -> object:
    return inner.get(name, names.get(name, vars(builtins).get(name, MISSING)))


def _evaluated(annotations: Mapping[str, object], names: dict[str, Any], inner: dict[str, Any]) -> dict[str, object]:
    hints: dict[str, object] = {}
    rest: dict[str, object] = {}
    for name, annotation in annotations.items():
        hint = annotation
        if is_a(annotation, str):
            # Most annotations are a single name, and evaluation is slow.
            hint = _lookup(annotation, names, inner)
        if annotation is None or annotation == "None":
            hint = types.NoneType
        if is_a(hint, type):
            hints[name] = hint
        else:
            rest[name] = annotation
    if not rest:
        return hints
    try:
        return hints | typing.get_type_hints(types.SimpleNamespace(__annotations__=rest), names, inner)
    except Exception:
        # A string may hold any expression, so its evaluation may raise any exception.
        if len(rest) == 1:
            return hints | dict.fromkeys(rest, Any)
    return hints | {name: _evaluated({name: annotation}, names, inner)[name] for name, annotation in rest.items()}
