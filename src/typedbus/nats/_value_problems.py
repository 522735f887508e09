"""The place of a value that cannot be sent, and the reason."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from msgspec import inspect

from typedbus.nats._value_checks import Checks

#: The classes whose `repr` is short and does not fail.
_BASIC: Final = (type(None), bool, int, float, str, bytes, datetime, date, time, timedelta, Decimal, UUID)


def problem_of(described: inspect.Type, value: Any, path: str) -> tuple[str, str] | None:
    """Return the path and the text of the first problem of a value; None if it has none."""
    if isinstance(described, inspect.Metadata):
        return problem_of(described.type, value, path)
    checks = Checks()
    if isinstance(described, inspect.UnionType):
        texts: list[str] = []
        for member in described.types:
            of_class, text = next(checks.conditions(member))
            if _holds(checks, of_class, value):
                return problem_of(member, value, path)
            texts.append(text)
        return path, f"got {_shown(value)}; {', or '.join(texts)}"
    for condition, text in checks.conditions(described):
        if not _holds(checks, condition, value):
            return path, f"got {_shown(value)}; {text}"
    for node, item, below_it in _children(described, value, path):
        problem = problem_of(node, item, below_it)
        if problem is not None:
            return problem
    return None


def _holds(checks: Checks, condition: str, value: object) -> bool:
    try:
        return bool(eval(condition.format(x="__x"), checks.names | {"__x": value}))  # noqa: S307  # our own text
    except Exception:
        return False  # such as an item that has no hash


def _children(described: inspect.Type, value: Any, path: str) -> Iterator[tuple[inspect.Type, object, str]]:
    match described:
        case inspect.DictType(key_type=key, value_type=item):
            for k, v in value.items():
                yield key, k, f"{path}.keys()"
                yield item, v, f"{path}[{k!r}]"
        case inspect.TupleType(item_types=items):
            for index, item in enumerate(items):
                yield item, value[index], f"{path}[{index}]"
        case inspect.TypedDictType(fields=fields):
            for field in fields:
                if field.name in value:
                    yield field.type, value[field.name], f"{path}[{field.name!r}]"
        case (
            inspect.DataclassType(fields=fields)
            | inspect.StructType(fields=fields)
            | inspect.NamedTupleType(fields=fields)
        ):
            for field in fields:
                yield field.type, getattr(value, field.name, None), f"{path}.{field.name}"
        case inspect.SetType(item_type=item) | inspect.FrozenSetType(item_type=item):
            yield from ((item, member, f"{path}[]") for member in value)
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            yield from ((item, member, f"{path}[{index}]") for index, member in enumerate(value))
        case _:
            pass


def _shown(value: object) -> str:
    """Return a value of a basic type, and the class of any other, whose `repr` may be long or fail."""
    cls = type(value)
    return reprlib.repr(value) if cls in _BASIC else f"an instance of {cls.__qualname__}"
