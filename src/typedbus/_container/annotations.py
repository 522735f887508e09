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

    given: object


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
    known = _readings.get(builds) if is_kept else None
    if known is not None:
        return known
    call = call_of(builds)
    signature = call.signature
    if signature is None:
        return None, {}
    said = {name: one.annotation for name, one in signature.parameters.items() if one.annotation is not one.empty}
    if signature.return_annotation is not signature.empty:
        said["return"] = signature.return_annotation
    hints = _evaluated(said, getattr(call.function, "__globals__", {}), _names_around(call.home))
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
        known = zip(parameters, args, strict=False) if type(parameters) is tuple else ()
        return next((arg for parameter, arg in known if parameter is result), result)
    return result


def class_in(given: object) -> type | None:
    """Return the class of the argument that *given* describes, or None if it is not known."""
    match given:
        case This(value):
            return type(value)
        case Exactly(cls):
            return cls
        case Several(kind):
            return kind
        case OnBus():
            return BoundChannel
        case _:
            origin = typing.get_origin(given) or given
            return origin if is_a(origin, type) and not any(origin is one for one in _NO_CLASSES) else None


def attribute_of(given: object, name: str) -> object:
    """Return the description of the attribute *name* of the argument that *given* describes."""
    if isinstance(given, This) and type(lookup(type(given.value), "__getattribute__")) is not types.FunctionType:
        value = stored(given.value, name)
        if value is not MISSING and lookup(type(value), "__get__") is MISSING:
            return This(value)
    cls = class_in(given)
    for base in () if cls is None else bases_of(cls):
        annotations = annotations_of(base)
        if name in annotations:
            return evaluated(annotations[name], base)
        found = namespace_of(base).get(name, MISSING)
        if is_a(found, property) and found.fget is not None:
            return returned_by(found.fget)
        if is_a(found, functools.cached_property):
            return returned_by(found.func)
        if type(found) in (types.FunctionType, classmethod, staticmethod):
            return Callable[..., Any]
        if found is not MISSING:
            return Any if found is None or lookup(type(found), "__get__") is not MISSING else type(found)
    return Any


def evaluated(annotation: object, cls: type) -> object:
    """Evaluate an annotation in the body of *cls*; Any if that fails."""
    module = sys.modules.get(module_of(cls), types)
    return _evaluated({"it": annotation}, vars(module), dict(namespace_of(cls)))["it"]


def item_of(given: object, key: object) -> object:
    """Return the description of the item *key* of the argument that *given* describes."""
    if isinstance(given, This):
        value: Any = given.value
        if type(value) in (list, tuple) and type(key) is int:
            return This(value[key]) if -len(value) <= key < len(value) else Any
        if type(value) is dict:
            return next((This(one) for known, one in value.items() if _is_same(known, key)), Any)
    if isinstance(given, Several):
        members, keys = given.members, given.keys
        if keys:
            pairs = zip(keys, members, strict=True)
            return next((one for known, one in pairs if isinstance(known, This) and _is_same(known.value, key)), Any)
        return members[key] if type(key) is int and -len(members) <= key < len(members) else Any
    cls, args = class_in(given), typing.get_args(given)
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


def _is_same(one: object, other: object) -> bool:
    """Whether two keys are the same; objects with a comparison of their own are not compared."""
    return one is other or (is_simple(one) and is_simple(other) and one == other)


def named_type(name: str, function: types.FunctionType, home: type) -> object:
    """Return the object that *name* alone, as an annotation of *function* in the class *home*, refers to, or `MISSING`."""
    return _lookup(name, function.__globals__, _names_around(home))


def _names_around(home: type | None) -> dict[str, Any]:
    """Return the names in the module of the class *home*: a function that attrs generates has globals of its own."""
    module = sys.modules.get(module_of(home)) if home is not None else None
    return {} if module is None else vars(module)


def _lookup(name: str, names: dict[str, Any], inner: dict[str, Any]) -> object:
    return inner.get(name, names.get(name, vars(builtins).get(name, MISSING)))


def _evaluated(said: Mapping[str, object], names: dict[str, Any], inner: dict[str, Any]) -> dict[str, object]:
    hints: dict[str, object] = {}
    rest: dict[str, object] = {}
    for name, annotation in said.items():
        found = annotation
        if is_a(annotation, str):
            # Most annotations are a single name, and evaluation is slow.
            found = _lookup(annotation, names, inner)
        if annotation is None or annotation == "None":
            found = types.NoneType
        if is_a(found, type):
            hints[name] = found
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
    return hints | {name: _evaluated({name: one}, names, inner)[name] for name, one in rest.items()}
