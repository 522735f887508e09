"""
What a setting may be: the types of fields, what they are called to people, and how a plain value becomes one.

A file has types of its own, and is held to them: ``port = "80"`` is text and no
number. What the environment and options say is text, and read as what is wanted.
Whatever is more than plain, durations and dates and what else it knows, is
typed-settings' to convert.
"""

from __future__ import annotations

import collections.abc
import datetime as dt
import enum
import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from typing import Any, Final, Union

import attrs
from cattrs.errors import StructureHandlerNotFoundError
from typed_settings import Secret
from typed_settings.converters import get_default_cattrs_converter

_CONVERTER: Final = get_default_cattrs_converter(resolve_paths=False)
_CONVERTER.register_structure_hook(
    dt.time, lambda value, _: value if isinstance(value, dt.time) else dt.time.fromisoformat(value)
)
_LONGEST: Final = 60
_LISTS: Final[Mapping[object, Callable[[list[object]], object]]] = {
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    collections.abc.Sequence: tuple,
    collections.abc.Set: frozenset,
    collections.abc.Collection: tuple,
    collections.abc.Iterable: tuple,
}
_TABLES: Final[Mapping[object, Callable[[dict[object, object]], object]]] = {
    dict: dict,
    types.MappingProxyType: types.MappingProxyType,
    collections.abc.Mapping: types.MappingProxyType,
}
_PHRASES: Final[Mapping[type, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    PurePath: "a path",
    dt.datetime: "a date with a time (2024-05-31T09:30:00Z)",
    dt.date: "a date (2024-05-31)",
    dt.time: "a time (09:30:00)",
    dt.timedelta: "a duration (90, in seconds, or 1h30m)",
    re.Pattern: "a regular expression",
}


class Misfit(Exception):
    """Raised for a value that is none of what was wanted; it says no more, since the value may be secret."""


def plain(wanted: Any) -> Any:
    """Take off what says nothing about the value."""
    while True:
        if isinstance(wanted, typing.NewType):
            wanted = wanted.__supertype__
        elif typing.get_origin(wanted) is typing.Annotated:
            wanted = typing.get_args(wanted)[0]
        elif hasattr(wanted, "__value__"):
            wanted = wanted.__value__  # a `type` statement
        else:
            return wanted


def choices_of(wanted: Any) -> list[object]:
    """Return the types of which a value may be any, without None, which nobody can write."""
    wanted = plain(wanted)
    if typing.get_origin(wanted) in (Union, types.UnionType):
        return [choice for one in typing.get_args(wanted) if one is not types.NoneType for choice in choices_of(one)]
    return [wanted]


def nested(wanted: Any) -> type[attrs.AttrsInstance] | None:
    """Return the class of a table of settings, which may be absent; None for whatever is no such table."""
    (wanted, *others) = choices_of(wanted) or [None]
    return wanted if isinstance(wanted, type) and attrs.has(wanted) and not others else None


def is_optional(wanted: Any) -> bool:
    """Whether None will do."""
    return types.NoneType in typing.get_args(plain(wanted))


def list_of(wanted: Any) -> tuple[Callable[[list[object]], object], tuple[object, ...], bool] | None:
    """Return what makes such a list, the types of its members, and whether there are as many of them as there are."""
    origin = typing.get_origin(wanted) or wanted
    make, args = _LISTS.get(origin) if isinstance(origin, collections.abc.Hashable) else None, typing.get_args(wanted)
    if make is None:
        return None
    if origin is tuple and args and args[-1] is not Ellipsis:
        return make, args, True
    return make, (args or (Any,))[:1], False


def table_of(wanted: Any) -> tuple[Callable[[dict[object, object]], object], object, object] | None:
    """Return what makes such a table of any keys, and the types of keys and values."""
    origin = typing.get_origin(wanted) or wanted
    make = _TABLES.get(origin) if isinstance(origin, collections.abc.Hashable) else None
    if make is None:
        return None
    of_key, of_value = typing.get_args(wanted) or (str, Any)
    return make, of_key, of_value


def secret_of(wanted: Any) -> tuple[type, object] | None:
    """Return the class that hides a value, and the type of what it hides."""
    origin = typing.get_origin(wanted) or wanted
    if isinstance(origin, type) and issubclass(origin, Secret):
        return origin, (typing.get_args(wanted) or (str,))[0]
    return None


def phrase(wanted: Any) -> str:
    """Return what people call a value of that type."""
    options = [one for one in choices_of(wanted) if one is not wanted]
    if options:
        return " or ".join(dict.fromkeys(map(phrase, options)))
    named = _named(wanted)
    if named is not None:
        return f"one of {', '.join(map(shown, named))}"
    secret = secret_of(wanted)
    if secret is not None:
        return phrase(secret[1])
    of_list = list_of(wanted)
    if of_list is not None:
        return "a list"
    if table_of(wanted) is not None or nested(wanted) is not None:
        return "a table"
    origin = typing.get_origin(wanted) or wanted
    known = (_PHRASES[base] for base in getattr(origin, "__mro__", ()) if base in _PHRASES)
    return next(known, f"a {inspect.formatannotation(wanted)}")


def shown(value: object) -> str:
    """Return a plain value as a deployer would write it, on one line; of lists and tables what they are."""
    match value:
        case bool():
            said = str(value).lower()
        case dict():
            return "a table"
        case list():
            return "a list"
        case str():
            said = repr(str(value))
        case dt.datetime() | dt.date() | dt.time():
            said = value.isoformat()
        case _:
            said = str(value)
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}..."


def scalar(wanted: Any, value: Any, folder: Path, *, is_text: bool) -> object:
    """
    Return *value* as a *wanted*; a relative path is put under *folder*.

    Args:
        wanted: A type that is neither a list nor a table.
        value: A plain value, as TOML has them.
        folder: Where relative paths begin.
        is_text: It is text whatever is wanted, as from the environment.

    Raises:
        Misfit: It is none.
        TypeError: No value could ever be one.
    """
    if wanted is Any or wanted is object:
        return value
    named = _named(wanted)
    if named is not None:
        for name, member in named.items():
            if (type(name) is type(value) and name == value) or (is_text and str(name) == value):
                return member
        raise Misfit
    origin = typing.get_origin(wanted) or wanted
    kind = type(value)
    if not is_text and origin in (int, float, bool):
        if kind is origin or (origin is float and kind is int):
            return origin(value)
        raise Misfit
    if isinstance(origin, type) and issubclass(origin, PurePath):
        if kind is not str or not value:
            raise Misfit
        return origin(folder, str(value))
    if isinstance(origin, type) and issubclass(origin, str) and kind is not str:
        raise Misfit
    if isinstance(value, (list, dict)) or (kind in (bool, dt.datetime) and kind is not origin):
        raise (TypeError if phrase(wanted) == f"a {inspect.formatannotation(wanted)}" else Misfit)
    try:
        return _CONVERTER.structure(value, origin if origin is re.Pattern else wanted)
    except StructureHandlerNotFoundError:
        raise TypeError from None
    except Exception:
        raise Misfit from None


def _named(wanted: Any) -> dict[object, object] | None:
    """Return what a value of that type may be called, and what each is; None where there is no end to them."""
    if typing.get_origin(wanted) is typing.Literal:
        return {one: one for one in typing.get_args(wanted)}
    if isinstance(wanted, type) and issubclass(wanted, enum.Enum):
        by_value = issubclass(wanted, (enum.IntEnum, enum.StrEnum))
        return {member.value if by_value else name: member for name, member in wanted.__members__.items()}
    return None
