"""Types as text, and the fields of the classes in them."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from typing import Any, Final

import attrs

from typedbus._base.hints import annotations_of
from typedbus._base.static import is_a
from typedbus.catalogue._model import Field, PayloadType
from typedbus.porting._declarations import classes_in

_PLAIN: Final = ("builtins", "typing", "collections.abc", "types")


def type_text(annotation: object) -> str:
    """Return *annotation* as source, with the full names of classes; the same text in every process."""
    if annotation is None or annotation is types.NoneType:
        return "None"
    if isinstance(annotation, str):
        return annotation
    if annotation is Ellipsis:
        return "..."
    if isinstance(annotation, list):
        return f"[{', '.join(map(type_text, annotation))}]"
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Union or origin is types.UnionType:
        return " | ".join(map(type_text, arguments))
    if origin is typing.Literal:
        return f"Literal[{', '.join(map(repr, arguments))}]"
    if origin is typing.Annotated:
        return type_text(arguments[0])
    if origin is not None:
        return f"{type_text(origin)}[{', '.join(map(type_text, arguments)) or '()'}]"
    if is_a(annotation, type) or isinstance(annotation, typing.NewType):
        return _full_name(annotation)
    return repr(annotation).removeprefix("typing.").removeprefix("typing_extensions.")


def default_text(default: object) -> str:
    """Return a default as source, without a memory address."""
    if isinstance(default, enum.Enum):
        return f"{type(default).__qualname__}.{default.name}"
    if is_a(default, type):
        return _full_name(default)
    text = repr(default)
    return f"<{_full_name(type(default))}>" if " at 0x" in text else text


def payload_types(annotations: list[object]) -> list[PayloadType]:
    """Return the classes with fields in *annotations*, and in the fields of those classes, each once, by name."""
    found: dict[type, PayloadType] = {}
    pending = list(annotations)
    while pending:
        for cls in classes_in(pending.pop()):
            if cls not in found and (fields := _fields_of(cls)) is not None:
                own = tuple(field for field, _ in fields)
                found[cls] = PayloadType(_full_name(cls), own, issubclass(cls, enum.Enum))
                pending.extend(annotation for _, annotation in fields)
    return sorted(found.values(), key=lambda one: one.name)


def _full_name(value: Any) -> str:
    module = value.__module__
    name: str = getattr(value, "__qualname__", None) or value.__name__
    return name if module in _PLAIN else f"{module}.{name}"


def _fields_of(cls: type) -> list[tuple[Field, object]] | None:
    """Return the fields of an attrs class, a dataclass, a TypedDict, a NamedTuple or an enum; None for any other class."""
    hints = _hints_of(cls)
    if attrs.has(cls):
        return [
            (Field(one.name, type_text(hints.get(one.name, one.type)), _attrs_default(one)), hints.get(one.name))
            for one in attrs.fields(cls)
        ]
    if dataclasses.is_dataclass(cls):
        return [
            (Field(one.name, type_text(hints.get(one.name, one.type)), _dataclass_default(one)), hints.get(one.name))
            for one in dataclasses.fields(cls)
        ]
    if typing.is_typeddict(cls):
        optional: frozenset[str] = getattr(cls, "__optional_keys__", frozenset())
        return [
            (Field(name, type_text(hint), "<absent>" if name in optional else None), hint)
            for name, hint in hints.items()
        ]
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        defaults: dict[str, object] = getattr(cls, "_field_defaults", {})
        names: tuple[str, ...] = getattr(cls, "_fields")  # noqa: B009  # type checkers know it of subclasses alone
        return [
            (
                Field(name, type_text(hints.get(name, "")), default_text(defaults[name]) if name in defaults else None),
                hints.get(name),
            )
            for name in names
        ]
    if issubclass(cls, enum.Enum):
        return [(Field(name, repr(member.value)), None) for name, member in cls.__members__.items()]
    return None


def _hints_of(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls)
    except Exception:
        return {name: hint for base in reversed(cls.__mro__) for name, hint in annotations_of(base).items()}


def _attrs_default(field: attrs.Attribute[Any]) -> str | None:
    if field.default is attrs.NOTHING:
        return None
    factory = getattr(field.default, "factory", None)
    return default_text(field.default) if factory is None else f"{getattr(factory, '__name__', '...')}()"


def _dataclass_default(field: dataclasses.Field[Any]) -> str | None:
    if field.default is not dataclasses.MISSING:
        return default_text(field.default)
    if field.default_factory is not dataclasses.MISSING:
        return f"{getattr(field.default_factory, '__name__', '...')}()"
    return None
