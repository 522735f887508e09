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
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, Union

import typing_extensions

from typedbus._base.hints import annotations_of
from typedbus._base.signatures import BY_NAME, BY_POSITION, VARIADIC, is_required
from typedbus._base.static import (
    MISSING,
    annotated_name,
    bases_of,
    inherits,
    is_a,
    is_simple,
    lookup,
    module_of,
    namespace_of,
)
from typedbus._channels.bound import BoundChannel
from typedbus._channels.channel import AnyChannel, Listens
from typedbus._channels.faces import Publishes, Subscribes
from typedbus._container.annotations import Exactly, Later, OnBus, OneOf, OrNone, Several, This, class_in, read

_LITERALS: Final = (list, tuple, set, frozenset, dict)
_SHALLOW: Final = 100  # limit for members of a literal and for layers of an annotation
_WRAPPERS: Final = [
    getattr(module, name)
    for module in (typing, typing_extensions)
    for name in ("Annotated", "ClassVar", "Final", "Required", "NotRequired", "ReadOnly")
    if hasattr(module, name)
]
# File objects are not instances of these classes, which exist only for annotations.
_FILES: Final = (typing.IO, typing.TextIO, typing.BinaryIO)
_PROMOTED: Final[dict[type, tuple[type, ...]]] = {
    float: (int,),
    complex: (int, float),
    bytes: (bytearray, memoryview),
}
_FACES: Final = (BoundChannel, Publishes, Subscribes)
# Metaclasses from these modules check instances and subclasses with code of the standard library.
_PLAIN_METACLASSES: Final = ("abc", "typing", "typing_extensions")
_MANY: Final = 4  # limit for the arguments and members shown of one type
_PARAMETERS: Final = 12  # limit for the parameters shown of one signature
_WIDE: Final = 160  # limit for the characters shown of one type


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
    if isinstance(argument, This) and type(argument.value) in _LITERALS:
        argument = _members_of(argument.value)
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
    if isinstance(argument, OnBus) and target in _FACES:
        return not args or _channel_fits(target, _listener_in(annotation), argument.channel)
    if not _is_kind(target, cls, is_exact=is_exact, value=argument.value if isinstance(argument, This) else MISSING):
        return False
    return not isinstance(argument, Several) or not args or _members_fit(target, args, argument)


def shown(annotation: object) -> str:
    """Return an annotation, or the type of an argument, as it is written in source; long text is cut short."""
    return _cut(_shown(annotation, _MANY))


def _shown(annotation: Any, depth: int) -> str:
    if annotation is None or annotation is types.NoneType:
        return "None"
    if isinstance(annotation, OneOf):
        return " | ".join(dict.fromkeys(_shown(member, depth) for member in annotation.members))
    if isinstance(annotation, Later):
        return f"Callable[[], {_shown(annotation.result, depth - 1) if depth else '...'}]"
    if isinstance(annotation, OrNone):
        return f"{_shown(annotation.argument, depth)} | None"
    if isinstance(annotation, This):
        value = annotation.value
        if value is None:
            return "None"
        if is_a(value, type):
            return f"type[{annotated_name(value)}]"
        if type(value) in _LITERALS:
            return _shown(_members_of(value), depth)
        return annotated_name(type(value))
    if isinstance(annotation, Several):
        names = list(dict.fromkeys(_shown(member, depth - 1) for member in annotation.members)) if depth else ["..."]
        kind = annotated_name(annotation.kind)
        return f"{kind}[{_listed(names)}]" if names else f"an empty {kind}"
    if isinstance(annotation, OnBus):
        signature = annotation.channel.signature()
        called = (
            "" if signature is None else f", which is called with {shown_signature(signature, {}, has_result=True)}"
        )
        return f"channel {annotation.channel.name!r}{called}"
    if isinstance(annotation, Exactly):
        return annotated_name(annotation.cls)
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in _WRAPPERS:
        return _shown(args[0], depth)
    if origin is BoundChannel:
        return f"BoundChannel[{_listed([_shown(arg, depth - 1) for arg in args[:2]] if depth else ['...'])}]"
    if origin is Publishes or origin is Subscribes:
        listener = _listener_in(annotation)
        called = "" if listener is None else f", which is called with {shown_signature(listener, {}, has_result=True)},"
        return f"{origin.__name__}[{_shown(args[0], depth - 1)}]{called}"
    if origin in (Union, types.UnionType):
        return _listed([_shown(arg, depth - 1) for arg in args] if depth else ["..."], " | ")
    if origin is typing.Literal:
        return f"Literal[{_listed([repr(arg) if is_simple(arg) else annotated_name(type(arg)) for arg in args])}]"
    if is_a(origin, type) and args:
        inner = [_shown(arg, depth - 1) for arg in args] if depth else ["..."]
        return f"{annotated_name(origin)}[{_listed(inner)}]"
    if type(annotation) in (list, tuple):  # the parameters of a callable or a channel
        return f"[{_listed([_shown(arg, depth - 1) for arg in annotation] if depth else ['...'])}]"
    if is_a(annotation, type):
        return annotated_name(annotation)
    if is_a(annotation, typing.TypeVar):
        return annotation.__name__
    return inspect.formatannotation(annotation)


def shown_signature(signature: inspect.Signature, hints: Mapping[str, object], *, has_result: bool = False) -> str:
    """
    Return the parameters of a signature as written in source, with the annotations *hints* and optionally the result.

    A default is shown if its repr runs no user code. Long text is cut short.
    """
    words: list[str] = []
    kind = inspect.Parameter
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    for index, parameter in enumerate(signature.parameters.values()):
        earlier = kinds[:index]
        if parameter.kind is kind.KEYWORD_ONLY and not {kind.KEYWORD_ONLY, kind.VAR_POSITIONAL}.intersection(earlier):
            words.append("*")
        stars = "*" if parameter.kind is kind.VAR_POSITIONAL else "**" if parameter.kind is kind.VAR_KEYWORD else ""
        is_annotated = parameter.annotation is not parameter.empty
        hint = hints.get(parameter.name, Any)
        text = parameter.annotation if is_a(parameter.annotation, str) else _shown(parameter.annotation, _MANY)
        word = f"{stars}{parameter.name}"
        if is_annotated:
            word += f": {text if hint is Any else _shown(hint, _MANY)}"
        if parameter.default is not parameter.empty:
            default = _cut(repr(parameter.default)) if is_simple(parameter.default) else "..."
            word += f" = {default}" if is_annotated else f"={default}"
        words.append(word)
        if parameter.kind is kind.POSITIONAL_ONLY and kinds[index + 1 : index + 2] != [kind.POSITIONAL_ONLY]:
            words.append("/")
    result = f" -> {_shown(signature.return_annotation, _MANY)}" if has_result else ""
    return f"({_listed(words, many=_PARAMETERS)}){result}"


def _listed(words: Sequence[str], between: str = ", ", many: int = _MANY) -> str:
    """Return the first *many* of *words* with *between* them."""
    return between.join([*words[:many], "..."] if len(words) > many else words)


def _cut(text: str) -> str:
    return text if len(text) <= _WIDE else f"{text[: _WIDE - 3]}..."


def plain(annotation: Any) -> Any:
    """Remove the wrappers of an annotation that do not matter for the type at run time."""
    for _ in range(_SHALLOW):
        if type(annotation) in (type, This, Exactly):
            return annotation  # the most frequent case
        if annotation is None:
            return types.NoneType
        if annotation is inspect.Parameter.empty or is_a(annotation, str) or is_a(annotation, typing.ForwardRef):
            return Any
        if annotation is typing_extensions.LiteralString:
            return str
        if is_a(annotation, typing.NewType):
            annotation = annotation.__supertype__
        elif typing.get_origin(annotation) in _WRAPPERS:
            annotation = typing.get_args(annotation)[0]
        elif is_a(annotation, type):
            return annotation
        else:
            try:
                if is_a(annotation, typing.TypeVar):
                    choices = annotation.__constraints__
                    annotation = annotation.__bound__ or (Union[choices] if choices else Any)  # noqa: UP007  # of a tuple
                else:
                    annotation = annotation.__value__  # a `type` statement, possibly with arguments
            except AttributeError:
                return annotation
            except Exception:
                break  # it is evaluated only now, and may use an undefined name
    return Any


def _members_of(value: Any) -> Several:
    """Describe a literal by its first members."""
    kind = type(value)
    if kind is not dict:
        return Several(kind, tuple(map(This, islice(value, _SHALLOW))))
    return Several(kind, tuple(map(This, islice(value.values(), _SHALLOW))), tuple(map(This, islice(value, _SHALLOW))))


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


def _listener_in(face: object) -> inspect.Signature | None:
    """Return the signature of the listeners that the annotation *face* names, or None if it is not known."""
    args = typing.get_args(face)
    listener = args if typing.get_origin(face) is BoundChannel else plain(args[0])
    cls = typing.get_origin(listener) or listener
    if cls in (Callable, Listens):
        listener = typing.get_args(listener)
    if isinstance(listener, tuple):
        if not listener or not isinstance(listener[0], (list, tuple)):
            return None
        parameters = [
            inspect.Parameter(f"arg{index}", inspect.Parameter.POSITIONAL_ONLY, annotation=annotation)
            for index, annotation in enumerate(listener[0])
        ]
        result = listener[-1]
    else:
        call = inspect.getattr_static(cls, "__call__", None) if isinstance(cls, type) else None
        if not isinstance(call, types.FunctionType) or hasattr(call, "__wrapped__"):
            return None
        signature, hints = read(call)
        if signature is None:
            return None
        parameters = [
            parameter.replace(annotation=hints.get(parameter.name, Any)) for parameter in signature.parameters.values()
        ]
        if parameters and parameters[0].kind not in VARIADIC:
            del parameters[0]  # self
        result = hints.get("return", Any)
    return inspect.Signature(parameters, return_annotation=None if result is types.NoneType else result)


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
    caller, taker, is_full = (declared, listener, True) if face is Subscribes else (listener, declared, False)
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
