"""
Whether an argument fits an annotation, as far as can be decided before the argument exists.

`fits` returns False only if no instance could fit; anything that only a type
checker could decide fits, so that a working container is never kept from starting.
"""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Final, Union

import typing_extensions

from typedbus._base.hints import annotations_of
from typedbus._base.signatures import BY_NAME, BY_POSITION, VARIADIC, is_required
from typedbus._base.static import (
    MISSING,
    bases_of,
    inherits,
    is_a,
    is_simple,
    lookup,
    module_of,
    namespace_of,
)
from typedbus._channels.async_bound import AsyncBoundChannel
from typedbus._channels.async_faces import AsyncPublishes, AsyncSubscribes
from typedbus._channels.bound import BoundChannel
from typedbus._channels.channel import AnyChannel
from typedbus._channels.faces import Publishes, Subscribes
from typedbus._container.annotation_parts import LITERALS, listener_in, members_of, plain
from typedbus._container.annotations import Exactly, Later, OnBus, OneOf, OrNone, Several, This, class_in

# File objects are not instances of these classes, which exist only for annotations.
_FILES: Final = (typing.IO, typing.TextIO, typing.BinaryIO)
_PROMOTED: Final[dict[type, tuple[type, ...]]] = {
    float: (int,),
    complex: (int, float),
    bytes: (bytearray, memoryview),
}
_FACES: Final = (AsyncBoundChannel, AsyncPublishes, AsyncSubscribes, BoundChannel, Publishes, Subscribes)
#: Generic classes whose first type argument is the type of the object that is opened.
_MANAGERS: Final = (AbstractAsyncContextManager, AbstractContextManager)
# Metaclasses from these modules check instances and subclasses with code of the standard library.
_PLAIN_METACLASSES: Final = ("abc", "typing", "typing_extensions")


def fits(annotation: object, argument: object) -> bool:
    """Whether a parameter with *annotation* takes *argument*; True if only a type checker could decide."""
    if annotation is Any or annotation is object:
        return True
    annotation, argument = plain(annotation), plain(argument)
    if any(side is Any or side is object for side in (annotation, argument)):
        return True
    if isinstance(argument, OneOf):
        return any(fits(annotation, member) for member in argument.members)
    if isinstance(argument, OrNone):
        return fits(annotation, This(None)) and fits(annotation, argument.argument)
    if isinstance(argument, This) and type(argument.value) in LITERALS:
        argument = members_of(argument.value)
    origin, args = typing.get_origin(argument), typing.get_args(argument)
    if origin in (Union, types.UnionType):
        return any(fits(annotation, arg) for arg in args)
    if origin is typing.Literal:
        return any(fits(annotation, This(arg)) for arg in args)
    cls, is_exact = class_in(argument), isinstance(argument, (This, Exactly, Several, OnBus))
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (Union, types.UnionType):
        return any(fits(arg, argument) for arg in args)
    if origin is typing.Literal:
        if isinstance(argument, This):
            return any(_is_equal(arg, argument.value) for arg in args)
        return cls is None or any(is_a(arg, cls) for arg in args)
    if origin is type and args:
        if isinstance(argument, This):
            return fits(args[0], Exactly(argument.value)) if is_a(argument.value, type) else _is_dynamic(cls)
        if typing.get_origin(argument) is type and typing.get_args(argument):
            return fits(args[0], typing.get_args(argument)[0])
        return cls is None or inherits(cls, type) or (not is_exact and inherits(type, cls))
    target = origin or annotation
    if target is Callable and isinstance(argument, Later):
        return not args or fits(args[-1], argument.result)
    if target is Callable:
        return cls is None or _has(cls, "__call__") or cls is type or _is_dynamic(cls)
    if not is_a(target, type) or cls is None:
        return True
    if isinstance(argument, OnBus) and target in _FACES and inherits(cls, target):
        return not args or _channel_fits(target, listener_in(annotation), argument.channel)
    if not _is_kind(target, cls, is_exact=is_exact, value=argument.value if isinstance(argument, This) else MISSING):
        return False
    if target in _MANAGERS and origin is not None and typing.get_origin(argument) is target:
        return fits(args[0], typing.get_args(argument)[0])
    return not isinstance(argument, Several) or not args or _members_fit(target, args, argument)


def _members_fit(target: type, args: tuple[object, ...], argument: Several) -> bool:
    """Whether the members of *argument* fit the type arguments of the generic class *target*."""
    if issubclass(target, Mapping):
        return all(len(args) != len(("key", "value")) or fits(args[1], member) for member in argument.members) and all(
            fits(args[0], key) for key in argument.keys
        )
    if inherits(target, tuple) and args[-1] is not Ellipsis:
        return len(args) == len(argument.members) and all(map(fits, args, argument.members))
    members = argument.keys if argument.kind is dict else argument.members
    return all(fits(args[0], member) for member in members)


def _channel_fits(face: type, listener: inspect.Signature | None, channel: AnyChannel) -> bool:
    """
    Whether *channel* fits the annotation *face* whose listeners have the signature *listener*.

    False only if every call would fail, or if parameters or results are of unrelated types: a component
    need not use the optional parameters that the channel lacks.
    """
    declared = channel.signature()
    if declared is None or listener is None:
        return True
    if not _related(declared.return_annotation, listener.return_annotation):
        return False
    # A publish fills in the defaults of the channel, so its listeners always receive every parameter.
    is_subscriber = face is Subscribes or face is AsyncSubscribes
    caller, taker, is_full = (declared, listener, True) if is_subscriber else (listener, declared, False)
    for index, parameter in enumerate(caller.parameters.values()):
        takers = _counterparts(index, parameter, taker)
        if takers and not any(_related(parameter.annotation, counterpart.annotation) for counterpart in takers):
            return False
        if not takers and (is_required(parameter) or (is_full and parameter.kind not in VARIADIC)):
            return False
    return all(
        _counterparts(index, parameter, caller)
        for index, parameter in enumerate(taker.parameters.values())
        if is_required(parameter)
    )


def _counterparts(index: int, parameter: inspect.Parameter, signature: inspect.Signature) -> list[inspect.Parameter]:
    """Return the parameters of *signature* that a call may pair with *parameter*, the parameter at *index* in its own."""
    by_position, by_name = parameter.kind in BY_POSITION, parameter.kind in BY_NAME
    counterparts = []
    for position, other in enumerate(signature.parameters.values()):
        if other.kind is other.VAR_POSITIONAL:
            is_paired = by_position
        elif other.kind is other.VAR_KEYWORD:
            is_paired = by_name
        else:
            is_paired = (by_position and position == index and other.kind in BY_POSITION) or (
                by_name and other.name == parameter.name and other.kind in BY_NAME
            )
        if is_paired:
            counterparts.append(other)
    return counterparts


def _related(annotation: object, other: object) -> bool:
    """Whether an object may be of both types."""
    return annotation is other or fits(annotation, other) or fits(other, annotation)


def _is_equal(literal: object, value: object) -> bool:
    """Whether *value* is *literal*, a value that a Literal lists; members of an enum are compared by identity."""
    return type(literal) is type(value) and (literal is value or (is_simple(value) and literal == value))


def _is_kind(target: type, cls: type, *, is_exact: bool, value: object) -> bool:
    """Whether an instance of *cls*, or of a subclass unless *is_exact*, may be used where *target* is wanted."""
    if inherits(cls, target) or _is_dynamic(cls) or any(inherits(cls, promoted) for promoted in _promoted_to(target)):
        return True
    if any(kind is target or kind is cls for kind in _FILES):
        return True
    if typing_extensions.is_protocol(target):
        return all(_may_have(cls, name, value) for name in _wanted_of(target, value))
    if _decides_itself(target) or lookup(target, "__set__") is not MISSING:
        return True  # a field annotated with its descriptor takes any value that the descriptor converts
    # An argument that is annotated with a base class or a protocol may be an instance of a more specific class.
    try:
        is_vague = not is_exact and (
            typing_extensions.is_protocol(cls) or _decides_itself(cls) or issubclass(target, cls)
        )
        return is_vague or issubclass(cls, target)
    except TypeError:
        return True  # a class that does not support issubclass()


def _promoted_to(target: type) -> tuple[type, ...]:
    return next((kinds for kind, kinds in _PROMOTED.items() if kind is target), ())


def _decides_itself(target: type) -> bool:
    """Whether user code, a metaclass or a `__subclasshook__`, decides which objects are instances of *target*."""
    checks = [base for base in bases_of(type(target)) if "__subclasscheck__" in namespace_of(base)]
    if not (checks[0] is type or module_of(checks[0]) in _PLAIN_METACLASSES):
        return True
    hook = lookup(target, "__subclasshook__")
    return type(hook) is classmethod and not _is_from_standard_library(hook.__func__)


def _is_from_standard_library(function: object) -> bool:
    module = getattr(function, "__module__", None) if type(function) is types.FunctionType else None
    root = str(module).partition(".")[0]
    return root in sys.stdlib_module_names or root == "typing_extensions"


def _wanted_of(protocol: type, value: object) -> Iterator[str]:
    """Yield the members of *protocol* that can be checked: only the methods if *value* is not known."""
    for name in typing_extensions.get_protocol_members(protocol):
        if value is not MISSING or inspect.isroutine(lookup(protocol, name)):
            yield name


def _may_have(cls: type, name: str, value: object) -> bool:
    """Whether an instance of *cls*, or *value* if it is given, may have the attribute *name*."""
    if _has(cls, name) or (value is not MISSING and inspect.getattr_static(value, name, None) is not None):
        return True
    if any(name in annotations_of(base) for base in bases_of(cls)):
        return True
    # Methods may set instance attributes that the class does not declare.
    members = (member for base in bases_of(cls) for member in namespace_of(base).values())
    return any(name in member.__code__.co_names for member in members if type(member) is types.FunctionType)


def _has(cls: type, name: str) -> bool:
    attribute = lookup(cls, name)
    return attribute is not MISSING and attribute is not None


def _is_dynamic(cls: type | None) -> bool:
    """
    Whether instances may stand for any type, as mocks and proxies do.

    Such classes define `__getattr__` or `__getattribute__`, or report a `__class__` of their own.
    """
    if cls is None or any(base is Any for base in bases_of(cls)) or _has(cls, "__getattr__"):
        return True
    own = [namespace_of(base) for base in bases_of(cls) if base is not object]
    return any("__class__" in names or type(names.get("__getattribute__")) is types.FunctionType for names in own)
