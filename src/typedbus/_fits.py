"""
Whether what is handed over fits an annotation, as far as can be told before it is there.

`fits` says no only where no instance could do; whatever needs a checker to
tell, fits: a container that works is never kept from starting.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Final, Union

import typing_extensions

from typedbus._annotations import Exactly, OnBus, Several, This, class_in, read
from typedbus._bound import BoundChannel
from typedbus._channel import AnyChannel, Listens
from typedbus._faces import Publishes, Subscribes

_LITERALS: Final = (list, tuple, set, frozenset, dict)
_SHALLOW: Final = 100  # so many members of a literal are looked at, and so many layers of an annotation
_WRAPPERS: Final = [
    getattr(module, name)
    for module in (typing, typing_extensions)
    for name in ("Annotated", "ClassVar", "Final", "Required", "NotRequired", "ReadOnly")
    if hasattr(module, name)
]
# Files are not of these classes, which are there for annotations alone.
_FILES: Final = (typing.IO, typing.TextIO, typing.BinaryIO)
_PROMOTED: Final[dict[type, tuple[type, ...]]] = {
    float: (int,),
    complex: (int, float),
    bytes: (bytearray, memoryview),
}
_MISSING: Final = object()
_FACES: Final = (BoundChannel, Publishes, Subscribes)
_VARIADIC: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def fits(wanted: object, given: object) -> bool:
    """Whether what is annotated *wanted* takes *given*; yes where only a checker could tell."""
    if wanted is Any or wanted is object:
        return True
    wanted, given = _plain(wanted), _plain(given)
    if any(one is Any or one is object for one in (wanted, given)):
        return True
    if isinstance(given, This) and type(given.value) in _LITERALS:
        given = _members_of(given.value)
    origin, args = typing.get_origin(given), typing.get_args(given)
    if origin in (Union, types.UnionType):
        return any(fits(wanted, one) for one in args)
    if origin is typing.Literal:
        return any(fits(wanted, This(one)) for one in args)
    cls, is_exact = class_in(given), isinstance(given, (This, Exactly, Several, OnBus))
    origin, args = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (Union, types.UnionType):
        return any(fits(one, given) for one in args)
    if origin is typing.Literal:
        if isinstance(given, This):
            return any(type(one) is type(given.value) and one == given.value for one in args)
        return cls is None or any(isinstance(one, cls) for one in args)
    if origin is type and args:
        if isinstance(given, This):
            return fits(args[0], Exactly(given.value)) if isinstance(given.value, type) else _is_dynamic(cls)
        if typing.get_origin(given) is type and typing.get_args(given):
            return fits(args[0], typing.get_args(given)[0])
        return cls is None or issubclass(cls, type) or (not is_exact and issubclass(type, cls))
    target = origin or wanted
    if target is Callable:
        return cls is None or _has(cls, "__call__") or cls is type or _is_dynamic(cls)
    if not isinstance(target, type) or cls is None:
        return True
    if isinstance(given, OnBus) and target in _FACES:
        return not args or _channel_fits(target, _listener_in(wanted), given.channel)
    if isinstance(given, This) and _is_instance(given.value, target):
        return True
    if not _is_kind(target, cls, is_exact=is_exact, value=given.value if isinstance(given, This) else _MISSING):
        return False
    return not isinstance(given, Several) or not args or _members_fit(target, args, given)


def shown(annotation: object) -> str:
    """Return what people call an annotation, or what is handed over."""
    match annotation:
        case This(None):
            return "None"
        case This(type() as cls):
            return f"type[{inspect.formatannotation(cls)}]"
        case This(value) if type(value) in _LITERALS:
            return shown(_members_of(value))
        case Several(kind, members):
            names = list(dict.fromkeys(map(shown, members)))
            return f"{kind.__name__}[{', '.join(names)}]" if names else f"an empty {kind.__name__}"
        case OnBus(channel):
            said = channel.signature()
            return f"channel {channel.name!r}, which is called with {said}"
        case This() | Exactly():
            return inspect.formatannotation(class_in(annotation))
        case _:
            origin, args = typing.get_origin(annotation), typing.get_args(annotation)
            if origin is BoundChannel and isinstance(args[0], tuple):
                return f"BoundChannel[[{', '.join(map(shown, args[0]))}], {shown(args[-1])}]"
            if origin is Publishes or origin is Subscribes:
                listener = _listener_in(annotation)
                called = "" if listener is None else f", which is called with {listener},"
                return f"{origin.__name__}[{shown(args[0])}]{called}"
            return "None" if annotation is types.NoneType else inspect.formatannotation(annotation)


def _plain(annotation: Any) -> Any:
    """Take off what says nothing about the type at run time."""
    for _ in range(_SHALLOW):
        if annotation is None:
            return types.NoneType
        if annotation is inspect.Parameter.empty or isinstance(annotation, (str, typing.ForwardRef)):
            return Any
        if annotation is typing_extensions.LiteralString:
            return str
        if isinstance(annotation, typing.NewType):
            annotation = annotation.__supertype__
        elif typing.get_origin(annotation) in _WRAPPERS:
            annotation = typing.get_args(annotation)[0]
        elif isinstance(annotation, type):
            return annotation
        else:
            try:
                if isinstance(annotation, typing.TypeVar):
                    choices = annotation.__constraints__
                    annotation = annotation.__bound__ or (Union[choices] if choices else Any)  # noqa: UP007  # of a tuple
                else:
                    annotation = annotation.__value__  # a `type` statement, or what it made with arguments
            except AttributeError:
                return annotation
            except Exception:
                break  # it is evaluated as late as this, and may name what is not there
    return Any


def _members_of(value: Any) -> Several:
    """Return a literal as its first members."""
    kind = type(value)
    if kind is not dict:
        return Several(kind, tuple(map(This, islice(value, _SHALLOW))))
    return Several(kind, tuple(map(This, islice(value.values(), _SHALLOW))), tuple(map(This, islice(value, _SHALLOW))))


def _members_fit(target: type, args: tuple[object, ...], given: Several) -> bool:
    """Whether the members of *given* are what the generic class *target* has between its brackets."""
    if issubclass(target, Mapping):
        return all(len(args) != len(("key", "value")) or fits(args[1], one) for one in given.members) and all(
            fits(args[0], key) for key in given.keys
        )
    if issubclass(target, tuple) and args[-1] is not Ellipsis:
        return len(args) == len(given.members) and all(map(fits, args, given.members))
    members = given.keys if given.kind is dict else given.members
    return all(fits(args[0], one) for one in members)


def _listener_in(face: object) -> inspect.Signature | None:
    """Return the signature of the listeners that the annotation *face* names, or None where it is not known."""
    args = typing.get_args(face)
    listener = args if typing.get_origin(face) is BoundChannel else _plain(args[0])
    cls = typing.get_origin(listener) or listener
    if cls in (Callable, Listens):
        listener = typing.get_args(listener)
    if isinstance(listener, tuple):
        if not listener or not isinstance(listener[0], (list, tuple)):
            return None
        parameters = [
            inspect.Parameter(f"arg{index}", inspect.Parameter.POSITIONAL_ONLY, annotation=one)
            for index, one in enumerate(listener[0])
        ]
        result = listener[-1]
    else:
        call = inspect.getattr_static(cls, "__call__", None) if isinstance(cls, type) else None
        if not isinstance(call, types.FunctionType) or hasattr(call, "__wrapped__"):
            return None
        signature, hints = read(call)
        if signature is None:
            return None
        parameters = [one.replace(annotation=hints.get(one.name, Any)) for one in signature.parameters.values()]
        if parameters and parameters[0].kind not in _VARIADIC:
            del parameters[0]  # self
        result = hints.get("return", Any)
    return inspect.Signature(parameters, return_annotation=None if result is types.NoneType else result)


def _channel_fits(face: type, listener: inspect.Signature | None, channel: AnyChannel) -> bool:
    """
    Whether *face* of a channel with such listeners may be *channel*.

    No only where every call would fail, or where parameters or results are of unrelated types: a component
    need not use the optional parameters that the channel lacks.
    """
    declared = channel.signature()
    if declared is None or listener is None:
        return True
    if not _related(declared.return_annotation, listener.return_annotation):
        return False
    # A publish fills in the defaults of the channel, so its listeners always receive every parameter.
    caller, taker, is_full = (declared, listener, True) if face is Subscribes else (listener, declared, False)
    for index, one in enumerate(caller.parameters.values()):
        takers = _counterparts(index, one, taker)
        if takers and not any(_related(one.annotation, other.annotation) for other in takers):
            return False
        if not takers and (_is_required(one) or (is_full and one.kind not in _VARIADIC)):
            return False
    return all(
        _counterparts(index, one, caller) for index, one in enumerate(taker.parameters.values()) if _is_required(one)
    )


def _is_required(one: inspect.Parameter) -> bool:
    return one.default is one.empty and one.kind not in _VARIADIC


def _counterparts(index: int, one: inspect.Parameter, signature: inspect.Signature) -> list[inspect.Parameter]:
    """Return the parameters of *signature* that a call may pair with *one*, the parameter at *index* in its own."""
    by_position = one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
    by_name = one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
    found = []
    for place, other in enumerate(signature.parameters.values()):
        if other.kind is other.VAR_POSITIONAL:
            is_paired = by_position
        elif other.kind is other.VAR_KEYWORD:
            is_paired = by_name
        else:
            is_paired = (by_position and place == index and other.kind is not other.KEYWORD_ONLY) or (
                by_name and other.name == one.name and other.kind is not other.POSITIONAL_ONLY
            )
        if is_paired:
            found.append(other)
    return found


def _related(one: object, other: object) -> bool:
    """Whether something may be of both types."""
    return fits(one, other) or fits(other, one)


def _is_instance(value: object, target: type) -> bool:
    try:
        return isinstance(value, target)
    except TypeError:
        return False  # a protocol, or a class that refuses to be asked


def _is_kind(target: type, cls: type, *, is_exact: bool, value: object) -> bool:
    """Whether an instance of *cls*, or of a subclass unless *is_exact*, may do where *target* is wanted."""
    if target in cls.__mro__ or issubclass(cls, _PROMOTED.get(target, ())) or _is_dynamic(cls):
        return True
    if target in _FILES or cls in _FILES:
        return True
    if typing_extensions.is_protocol(target):
        return all(_may_have(cls, name, value) for name in _wanted_of(target, value))
    try:
        # What is said to be of a base class, or of a protocol, may be something more special.
        is_vague = not is_exact and (typing_extensions.is_protocol(cls) or issubclass(target, cls))
        return is_vague or issubclass(cls, target)
    except TypeError:
        return True


def _wanted_of(protocol: type, value: object) -> Iterator[str]:
    """Give the members of *protocol* that can be looked for: in a class, its methods alone."""
    for name in typing_extensions.get_protocol_members(protocol):
        if value is not _MISSING or inspect.isroutine(inspect.getattr_static(protocol, name, None)):
            yield name


def _may_have(cls: type, name: str, value: object) -> bool:
    """Whether an instance of *cls*, and *value* if that is it, may have the attribute *name*."""
    if _has(cls, name) or (value is not _MISSING and inspect.getattr_static(value, name, None) is not None):
        return True
    bases = [vars(base) for base in cls.__mro__]
    if any(name in base.get("__annotations__", ()) for base in bases):
        return True
    # Methods give an instance attributes that its class does not show.
    functions = [one for base in bases for one in base.values() if isinstance(one, types.FunctionType)]
    return any(name in function.__code__.co_names for function in functions)


def _has(cls: type, name: str) -> bool:
    return next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None) is not None


def _is_dynamic(cls: type | None) -> bool:
    """Whether instances answer to whatever they are asked, as mocks and proxies do."""
    return cls is None or Any in cls.__mro__ or _has(cls, "__getattr__")
