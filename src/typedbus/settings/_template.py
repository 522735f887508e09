"""Generates a template for a settings file."""

from __future__ import annotations

import datetime as dt
import enum
import json
from collections.abc import Iterator, Mapping
from pathlib import PurePath

import attrs

from typedbus._container.container import Container
from typedbus.settings._classes import default_of, fields_of, hides, name_of, wanted_by
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
    tables = (_table(section.cls, name, "", (), None) for name, section in sections_of(container, *others).items())
    return "\n".join(line for lines in tables for line in lines)


def _table(
    cls: type[attrs.AttrsInstance], name: str, mark: str, within: tuple[type, ...], given: object
) -> Iterator[str]:
    """Yield the lines of a table: *mark*, its header, and its settings with the values of *given* or *cls*."""
    yield f"{mark}[{name}]"
    inner: list[Iterator[str]] = []
    for field in fields_of(cls):
        wanted, key = wanted_by(field), f"{name.strip('[]')}.{name_of(field)}"
        below = nested(wanted)
        members = list_of(wanted)
        of_members = nested(members[1][0]) if members is not None and len(choices_of(wanted)) == 1 else None
        default = default_of(field) if given is None else getattr(given, field.name)
        if below is not None and below not in (cls, *within):
            inner.append(_table(below, key, "# ", (cls, *within), default))
        elif of_members is not None and of_members not in (cls, *within):
            inner.append(_table(of_members, f"[{key}]", "# ", (cls, *within), None))
        else:
            written = "" if hides(field) else _written(default) or ""
            needed = "; has to be given" if field.default is attrs.NOTHING else ""
            hidden = "; secret" if hides(field) else ""
            yield f"# {name_of(field)} = {written}".rstrip() + f"  # {phrase(wanted)}{needed}{hidden}"
    yield ""
    for lines in inner:
        yield from lines


def _written(value: object) -> str | None:
    """Return *value* as TOML, or None if TOML cannot express it."""
    match value:
        case enum.IntEnum() | enum.StrEnum():
            return _written(value.value)
        case enum.Enum():
            return _written(value.name)
        case bool() | int() | float():
            return json.dumps(value).replace("NaN", "nan").replace("Infinity", "inf")
        case str() | PurePath():
            return json.dumps(str(value)).replace("\x7f", "\\u007f") if str(value).isprintable() else None
        case dt.timedelta():
            return _written(value.total_seconds())
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case list() | tuple() | frozenset() | set():
            members = [_written(member) for member in value]
            return None if None in members else f"[{', '.join(filter(None, members))}]"
        case Mapping():
            pairs = [(_written(str(key)), _written(one)) for key, one in value.items()]
            if any(one is None for pair in pairs for one in pair):
                return None
            return "{" + ", ".join(f"{key} = {one}" for key, one in pairs) + "}"
        case _:
            return None
