"""Generates a template for a settings file."""

from __future__ import annotations

import datetime as dt
import enum
import json
from collections.abc import Iterator, Mapping
from pathlib import PurePath

import attrs

from typedbus._container.container import Container
from typedbus.settings._classes import default_of, fields_of, is_hidden, name_of, type_of
from typedbus.settings._configured import sections_of
from typedbus.settings._types import choices_of, list_of, nested, phrase


def template(container: Container, /, *others: Container) -> str:
    """
    Return a TOML file with every setting of *container* and *others*, for a deployer to fill in.

    Every setting is a comment with its type, its default if that can be written as
    TOML, and whether it is required. The defaults of secrets are not shown.

    Raises:
        DeclarationError: Two classes share a section, or a class has a field that cannot be read.
    """
    sections = sections_of(container, *others)
    tables = (_table(section.cls, name, "", (), None) for name, section in sections.items())
    return "\n".join(line for lines in tables for line in lines)


def _table(
    cls: type[attrs.AttrsInstance], name: str, mark: str, within: tuple[type, ...], defaults: object
) -> Iterator[str]:
    """Yield the lines of a table: *mark*, its header, and its settings with the values of *defaults* or of *cls*."""
    yield f"{mark}[{name}]"
    inner: list[Iterator[str]] = []
    for field in fields_of(cls):
        hint, key = type_of(field), f"{name.strip('[]')}.{name_of(field)}"
        default = default_of(field) if defaults is None else getattr(defaults, field.name)
        inner_cls = nested(hint)
        list_type = list_of(hint)
        member_cls = nested(list_type.members[0]) if list_type is not None and len(choices_of(hint)) == 1 else None
        if inner_cls is not None and inner_cls not in (cls, *within):
            inner.append(_table(inner_cls, key, "# ", (cls, *within), default))
        elif member_cls is not None and member_cls not in (cls, *within):
            inner.append(_table(member_cls, f"[{key}]", "# ", (cls, *within), None))
        else:
            value = "" if is_hidden(field) else _toml_of(default) or ""
            requirement = "; required" if field.default is attrs.NOTHING else ""
            secrecy = "; secret" if is_hidden(field) else ""
            yield f"# {name_of(field)} = {value}".rstrip() + f"  # {phrase(hint)}{requirement}{secrecy}"
    yield ""
    for lines in inner:
        yield from lines


def _toml_of(value: object) -> str | None:
    """Return *value* as TOML, or None if TOML cannot express it."""
    match value:
        case enum.IntEnum() | enum.StrEnum():
            return _toml_of(value.value)
        case enum.Enum():
            return _toml_of(value.name)
        case bool() | int() | float():
            return json.dumps(value).replace("NaN", "nan").replace("Infinity", "inf")
        case str() | PurePath():
            return json.dumps(str(value)).replace("\x7f", "\\u007f") if str(value).isprintable() else None
        case dt.timedelta():
            return _toml_of(value.total_seconds())
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case list() | tuple() | frozenset() | set():
            members = [_toml_of(member) for member in value]
            return None if None in members else f"[{', '.join(filter(None, members))}]"
        case Mapping():
            pairs = [(_toml_of(str(key)), _toml_of(member)) for key, member in value.items()]
            if any(text is None for pair in pairs for text in pair):
                return None
            return "{" + ", ".join(f"{key} = {member}" for key, member in pairs) + "}"
        case _:
            return None
