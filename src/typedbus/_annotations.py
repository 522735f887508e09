"""
What annotations say: what a callable takes and gives, and what is known of what it is given.

What is handed to a component is known in one of several ways: an annotation,
the very object, the very class, a literal with members, a channel on a bus.
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

from typedbus._bound import BoundChannel
from typedbus._channel import AnyChannel


@attrs.frozen(eq=False)
class This:
    """The very object that is handed over."""

    value: object


@attrs.frozen
class Exactly:
    """An instance of *cls*, and of none of its subclasses."""

    cls: type


@attrs.frozen
class Several:
    """A list, tuple, set or dict of which the *members* are known, each as what is handed over is."""

    kind: type
    members: tuple[object, ...]
    keys: tuple[object, ...] = ()


@attrs.frozen
class OnBus:
    """A channel on a bus."""

    channel: AnyChannel


_MISSING: Final = object()
# Any is a class in newer Pythons.
_NO_CLASSES: Final[tuple[object, ...]] = (Any, types.UnionType, inspect.Parameter.empty)

Reading: typing.TypeAlias = tuple[inspect.Signature | None, Mapping[str, object]]
_readings: Final[weakref.WeakKeyDictionary[Any, Reading]] = weakref.WeakKeyDictionary()


def read(builds: Callable[..., object]) -> Reading:
    """
    Return the signature of *builds*, None if it is written in C, and its annotations, evaluated.

    An annotation that cannot be evaluated, whatever the reason, is Any.
    """
    hashes: Any = type(builds).__hash__
    # Equal callables need not have equal signatures.
    is_kept = hashes is object.__hash__ and (hasattr(builds, "__weakref__") or isinstance(builds, types.FunctionType))
    known = _readings.get(builds) if is_kept else None
    if known is not None:
        return known
    try:
        signature = inspect.signature(builds)
    except (ValueError, TypeError):
        return None, {}
    said = {name: one.annotation for name, one in signature.parameters.items() if one.annotation is not one.empty}
    if signature.return_annotation is not signature.empty:
        said["return"] = signature.return_annotation
    hints = _evaluated(said, *_names_of(builds))
    # What could not be evaluated may be there later.
    if is_kept and all(hint is not Any for hint in hints.values()):
        _readings[builds] = signature, hints
    return signature, hints


def returned_by(builds: Callable[..., object]) -> object:
    """
    Return what *builds* gives, as far as is known before it is called.

    Any for a function that was decorated: the annotation may be that of what is
    inside. Any for one whose result is to be awaited, too.
    """
    while isinstance(builds, functools.partial):
        builds = builds.func
    origin = typing.get_origin(builds)
    if isinstance(origin, type):
        return builds
    if isinstance(builds, type):
        # What has a say in the making may make something more special.
        is_plain = getattr(builds, "__new__") is object.__new__ and type(builds).__call__ is type.__call__  # noqa: B009
        return Exactly(builds) if is_plain else builds
    if hasattr(builds, "__wrapped__") or inspect.iscoroutinefunction(builds):
        return Any
    return read(builds)[1].get("return", Any)


def class_in(given: object) -> type | None:
    """Return the class of what is handed over, or None where that is not known."""
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
            return origin if isinstance(origin, type) and origin not in _NO_CLASSES else None


def attribute_of(given: object, name: str) -> object:
    """Return what the attribute *name* of what is handed over is."""
    if isinstance(given, This):
        value = inspect.getattr_static(given.value, name, _MISSING)
        if value is not _MISSING and not hasattr(type(value), "__get__"):
            return This(value)
    for base in getattr(class_in(given), "__mro__", ()):
        try:
            annotations = inspect.get_annotations(base)
        except Exception:
            return Any  # they are evaluated as late as this in newer Pythons
        if name in annotations:
            names = vars(sys.modules.get(base.__module__, types))
            return _evaluated({name: annotations[name]}, names, dict(vars(base)))[name]
        found = vars(base).get(name, _MISSING)
        if isinstance(found, property) and found.fget is not None:
            return returned_by(found.fget)
        if isinstance(found, functools.cached_property):
            return returned_by(found.func)
        if isinstance(found, (types.FunctionType, classmethod, staticmethod)):
            return Callable[..., Any]
        if found is not _MISSING:
            return Any if found is None or hasattr(type(found), "__get__") else type(found)
    return Any


def item_of(given: object, key: object) -> object:
    """Return what the item *key* of what is handed over is."""
    match given:
        case This(list() | tuple() | dict() as value):
            try:
                return This(value[key])  # type: ignore[call-overload]  # the keys of what was declared
            except (LookupError, TypeError):
                return Any
        case Several(members=members, keys=keys):
            if keys:
                return next(
                    (
                        one
                        for known, one in zip(keys, members, strict=True)
                        if isinstance(known, This) and known.value == key
                    ),
                    Any,
                )
            return members[key] if isinstance(key, int) and -len(members) <= key < len(members) else Any
        case _:
            cls, args = class_in(given), typing.get_args(given)
    if cls is None or isinstance(key, slice):
        return Any
    if isinstance(key, AnyChannel):
        return OnBus(key)
    if issubclass(cls, tuple) and args:
        if args[-1] is Ellipsis:
            return args[0]
        return args[key] if isinstance(key, int) and -len(args) <= key < len(args) else Any
    if issubclass(cls, Mapping) and len(args) == len(("key", "value")):
        return args[1]
    if issubclass(cls, Sequence) and len(args) == 1:
        return args[0]
    return Any


def _evaluated(said: Mapping[str, object], names: dict[str, Any], inner: dict[str, Any]) -> dict[str, object]:
    hints: dict[str, object] = {}
    rest: dict[str, object] = {}
    for name, annotation in said.items():
        found = annotation
        if isinstance(annotation, str):
            # Most are a mere name, and evaluating is slow.
            found = inner.get(annotation, names.get(annotation, vars(builtins).get(annotation)))
        if annotation is None or annotation == "None":
            found = types.NoneType
        if isinstance(found, type):
            hints[name] = found
        else:
            rest[name] = annotation
    if not rest:
        return hints
    try:
        return hints | typing.get_type_hints(types.SimpleNamespace(__annotations__=rest), names, inner)
    except Exception:
        # A string may hold any expression, and raise whatever that raises.
        if len(rest) == 1:
            return hints | dict.fromkeys(rest, Any)
    return hints | {name: _evaluated({name: one}, names, inner)[name] for name, one in rest.items()}


def _names_of(builds: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the names that annotations of *builds* may use: those of its function, and those of its module."""
    while isinstance(builds, functools.partial):
        builds = builds.func
    home, function = builds, builds
    if isinstance(builds, type):
        home = next(base for base in builds.__mro__ if not {"__init__", "__new__"}.isdisjoint(vars(base)))
        function = vars(home).get("__init__", vars(home).get("__new__"))
    elif not inspect.isroutine(builds):
        home = type(builds)
        function = getattr(home, "__call__", None)  # noqa: B004  # the function is wanted
    function = getattr(function, "__func__", function)
    function = inspect.unwrap(function) if callable(function) else function
    # A function that attrs has made has names of its own; those of the class are in its module.
    module = sys.modules.get(str(getattr(home, "__module__", "")))
    return getattr(function, "__globals__", {}), {} if module is None else vars(module)
