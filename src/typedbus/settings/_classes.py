"""The fields of settings classes: their types, which are secret, and which values they reject."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
from typed_settings import Secret, SecretStr

from typedbus._base.errors import DeclarationError
from typedbus._base.failures import describe
from typedbus._container.annotations import read
from typedbus.settings._types import nested, plain


def fields_of(cls: type[attrs.AttrsInstance]) -> list[attrs.Attribute[Any]]:
    """
    Return the fields of *cls* that can be set, with their types evaluated.

    Raises:
        DeclarationError: A type refers to an undefined name.
    """
    try:
        cls = attrs.resolve_types(cls)
    except Exception as error:
        # Evaluating annotations may raise any exception.
        reason = f"the types of its fields cannot be evaluated: {error}; correct their annotations"
        raise DeclarationError(describe(cls), cls.__module__, reason) from None
    return [field for field in attrs.fields(cls) if field.init]


def name_of(field: attrs.Attribute[Any]) -> str:
    """Return the name of *field* in `__init__`, which is its key in files and options."""
    return field.alias or field.name


def type_of(field: attrs.Attribute[Any]) -> object:
    """Return the type that *field* accepts: the annotated argument type of its converter, if any."""
    converter: Any = field.converter
    if converter is None or isinstance(converter, type):
        return Any if field.type is None else field.type
    converter = getattr(converter, "converter", converter)
    signature, hints = read(converter)
    return hints.get(next(iter(signature.parameters), ""), Any) if signature is not None else Any


def is_hidden(field: attrs.Attribute[Any], within: tuple[object, ...] = ()) -> bool:
    """Whether the value of *field* must not be shown, which holds for every field that is left out of the repr."""
    return field.repr is not True or is_secret(field.type, within)


def is_secret(hint: Any, within: tuple[object, ...] = ()) -> bool:
    """Whether a value of that type contains a secret."""
    hint = plain(hint)
    origin = typing.get_origin(hint) or hint
    if isinstance(origin, type) and issubclass(origin, (Secret, SecretStr)):
        return True
    cls = nested(hint)
    if cls is not None:
        return cls not in within and any(is_hidden(field, (*within, cls)) for field in fields_of(cls))
    return any(is_secret(argument, within) for argument in typing.get_args(hint))


def default_of(field: attrs.Attribute[Any]) -> object:
    """Return the default of *field*, from its factory if need be; None without one, or if the factory takes self."""
    default: Any = field.default
    if hasattr(default, "takes_self"):
        return None if default.takes_self else default.factory()
    return None if default is attrs.NOTHING else default


def refusals(
    cls: type[attrs.AttrsInstance], values: Mapping[str, object], *, is_whole: bool
) -> Iterator[tuple[str, Exception]]:
    """
    Yield the errors that converters and validators of *cls* raise for *values*, each with the name of its field.

    `__init__` would stop at the first error. So this runs them on a draft instance,
    in the order of attrs: all converters, then all validators.

    Args:
        cls: A settings class.
        values: Values by argument name of `__init__`.
        is_whole: Whether *values* is complete. If not, a validator may fail because another value is missing.
    """
    draft = object.__new__(cls)
    fields = [field for field in attrs.fields(cls) if field.converter is not None or field.validator is not None]
    for field in attrs.fields(cls) if fields else ():
        default: Any = field.default
        try:
            if field.init and name_of(field) in values:
                value = values[name_of(field)]
            elif default is attrs.NOTHING:
                continue
            elif hasattr(default, "takes_self"):
                value = default.factory(draft) if default.takes_self else default.factory()
            else:
                value = default
            convert: Any = field.converter
            if hasattr(convert, "takes_self"):
                value = convert(value, draft, field)
            elif convert is not None:
                value = convert(value)
            object.__setattr__(draft, field.name, value)
        except Exception as error:
            is_whole = False
            yield name_of(field), error
    for field in fields:
        if field.validator is None or not hasattr(draft, field.name):
            continue
        try:
            field.validator(draft, field, getattr(draft, field.name))
        except Exception as error:
            if is_whole or not isinstance(error, AttributeError):
                yield name_of(field), error
