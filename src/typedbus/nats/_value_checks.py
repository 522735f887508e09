"""
Functions that check values before they are encoded.

The encoder of msgspec does not know the declared types. Type checkers do not help where a subclass is accepted: True is an
int, an instance of a subclass loses its fields, and NaN becomes null. A receiver would refuse such a
message, or restore another value. So the types are compiled to one Python function, which costs less than the encoder.
"""

from __future__ import annotations

import keyword
import math
import re
import typing
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import attrs
from msgspec import inspect

#: A condition on the value ``{x}``, as source, and the text for a value that does not satisfy it.
Condition = tuple[str, str]

#: A float represents each int up to this one.
_EXACT_INT: Final = 2**53

_CLASSES: Final[Mapping[type[inspect.Type], type]] = {
    inspect.BoolType: bool,
    inspect.IntType: int,
    inspect.StrType: str,
    inspect.BytesType: bytes,
    inspect.ByteArrayType: bytearray,
    inspect.DateTimeType: datetime,
    inspect.DateType: date,
    inspect.TimeType: time,
    inspect.TimeDeltaType: timedelta,
    inspect.UUIDType: UUID,
    inspect.DecimalType: Decimal,
    inspect.DictType: dict,
    inspect.TypedDictType: dict,
    inspect.TupleType: tuple,
    inspect.VarTupleType: tuple,
}
_OBJECTS: Final = (inspect.DataclassType, inspect.StructType, inspect.NamedTupleType, inspect.TypedDictType)
_CONTAINERS: Final = (
    inspect.ListType,
    inspect.SetType,
    inspect.FrozenSetType,
    inspect.VarTupleType,
    inspect.TupleType,
    inspect.DictType,
)
_COMPARISONS: Final = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
#: Python nests at most 20 loops.
_DEEPEST: Final = 12


class Refused(Exception):
    """Raised by the generated code for a value that does not satisfy its conditions; `EncodeFailed` replaces it."""


def _has_whole_offset(value: datetime | time) -> bool:
    """Return whether *value* has an offset from UTC without seconds, as the text of a message has."""
    offset = value.utcoffset()
    return offset is not None and offset.total_seconds() % 60 == 0


_NAMES: Final[Mapping[str, object]] = {
    **{f"__{cls.__name__}": cls for cls in (*_CLASSES.values(), float, list, set, frozenset)},
    "__UTC": UTC,
    "__inf": math.inf,
    "__len": len,
    "__type": type,
    "__has_whole_offset": _has_whole_offset,
    "__Refused": Refused,
}


@attrs.define(eq=False)
class Checks:
    """
    Writes the statements that check values, and keeps the objects that they refer to.

    All names in the source begin with two underscores, as no parameter of a channel does.
    """

    names: dict[str, object] = attrs.field(factory=lambda: dict(_NAMES))
    functions: list[str] = attrs.field(factory=list)
    _known: dict[int, str] = attrs.field(factory=dict)
    _inlined: set[int] = attrs.field(factory=set)
    _locals: int = 0

    def constant(self, value: object) -> str:
        """Return the name of *value* in the source."""
        name = f"__c{len(self.names)}"
        self.names[name] = value
        return name

    def statements(self, described: inspect.Type, x: str, depth: int = 1) -> Iterator[str]:
        """Yield the lines that raise `Refused` unless the expression *x* is a value of the type."""
        indent = "    " * depth
        if isinstance(described, inspect.Metadata):
            yield from self.statements(described.type, x, depth)
            return
        if isinstance(described, inspect.AnyType):
            yield f"{indent}pass"
            return
        members = described.types if isinstance(described, inspect.UnionType) else (described,)
        conditions = [[condition for condition, _ in self.conditions(member)] for member in members]
        used = sum(condition.count("{x}") for several in conditions for condition in several)
        if not x.isidentifier() and (used > 1 or not all(map(_is_leaf, members))):
            self._locals += 1
            local = f"__x{self._locals}"
            yield f"{indent}{local} = {x}"
            x = local
        if len(members) == 1:
            yield f"{indent}if not ({' and '.join(f'({condition})' for condition in conditions[0]).format(x=x)}): raise __Refused"
            yield from self._parts(described, x, depth)
            return
        word = "if"
        for member, (first, *others) in zip(members, conditions, strict=True):
            yield f"{indent}{word} {first.format(x=x)}:"
            yield from (f"{indent}    if not ({other.format(x=x)}): raise __Refused" for other in others)
            yield from self._parts(member, x, depth + 1)
            yield f"{indent}    pass"
            word = "elif"
        yield f"{indent}else: raise __Refused"

    def _parts(self, described: inspect.Type, x: str, depth: int) -> Iterator[str]:
        """Yield the lines for the items of a container, or the fields of an object, of the right class."""
        if _is_leaf(described):
            return
        indent = "    " * depth
        # A class that occurs again, perhaps in itself, and a deep one have a function.
        if id(described) in self._inlined or depth > _DEEPEST:
            yield f"{indent}{self._function(described)}({x})"
            return
        if isinstance(described, _OBJECTS):
            self._inlined.add(id(described))
        match described:
            case inspect.DictType(key_type=key, value_type=value):
                yield f"{indent}for __k{depth}, __v{depth} in {x}.items():"
                yield from self.statements(key, f"__k{depth}", depth + 1)
                yield from self.statements(value, f"__v{depth}", depth + 1)
            case inspect.TupleType(item_types=items):
                for index, item in enumerate(items):
                    yield from self.statements(item, f"{x}[{index}]", depth)
            case inspect.TypedDictType(fields=fields):
                for field in fields:
                    yield f"{indent}if {field.name!r} in {x}:"
                    yield from self.statements(field.type, f"{x}[{field.name!r}]", depth + 1)
            case inspect.DataclassType() | inspect.StructType() | inspect.NamedTupleType():
                for field in described.fields:
                    is_name = not keyword.iskeyword(field.name)
                    read = f"{x}.{field.name}" if is_name else f"getattr({x}, {field.name!r})"
                    yield from self.statements(field.type, read, depth)
            case _:
                yield f"{indent}for __v{depth} in {x}:"
                yield from self.statements(described.item_type, f"__v{depth}", depth + 1)  # type: ignore[attr-defined]

    def _function(self, described: inspect.Type) -> str:
        """Return the name of the function that checks the parts of an object."""
        name = self._known.get(id(described))
        if name is None:
            name = self._known[id(described)] = f"__parts{len(self._known)}"
            self._inlined.discard(id(described))
            self.functions += [f"def {name}(__v0):", *self._parts(described, "__v0", 1), "    return"]
        return name

    def conditions(self, described: inspect.Type) -> Iterator[Condition]:
        """Yield the conditions on a value itself, without its items and fields."""
        match described:
            case inspect.AnyType():
                return  # a codec checks the values
            case inspect.NoneType():
                yield "{x} is None", "expected None"
            case inspect.FloatType():
                yield (
                    f"__type({{x}}) is __float or __type({{x}}) is __int and -{_EXACT_INT} <= {{x}} <= {_EXACT_INT}",
                    "expected float",
                )
                yield "-__inf < {x} < __inf", "JSON has neither NaN nor infinity; send None, declared as float | None"
            case inspect.LiteralType(values=values):
                allowed = self.constant(frozenset((type(value), value) for value in values))
                yield f"(__type({{x}}), {{x}}) in {allowed}", f"expected {' or '.join(map(repr, values))}"
            case inspect.ListType():
                yield "__type({x}) is __list or __type({x}) is __tuple", "expected list"
            case inspect.SetType() | inspect.FrozenSetType():
                yield "__type({x}) is __set or __type({x}) is __frozenset", "expected set or frozenset"
            case (
                inspect.EnumType(cls=cls)
                | inspect.DataclassType(cls=cls)
                | inspect.StructType(cls=cls)
                | inspect.NamedTupleType(cls=cls)
            ):
                cls = typing.get_origin(cls) or cls
                yield f"__type({{x}}) is {self.constant(cls)}", f"expected {cls.__qualname__}, and no subclass of it"
            case _:
                cls = _CLASSES[type(described)]
                yield f"__type({{x}}) is __{cls.__name__}", f"expected {cls.__name__}, and no subclass of it"
        yield from self._limits(described)

    def _limits(self, described: inspect.Type) -> Iterator[Condition]:
        if isinstance(described, inspect.TupleType):
            yield f"__len({{x}}) == {len(described.item_types)}", f"expected {len(described.item_types)} items"
        if isinstance(described, inspect.TypedDictType):
            known = self.constant(frozenset(field.name for field in described.fields))
            needed = self.constant(frozenset(field.name for field in described.fields if field.required))
            yield f"{needed} <= {{x}}.keys() <= {known}", f"expected the keys of {described.cls.__qualname__}"
        if isinstance(described, (inspect.DateTimeType, inspect.TimeType)):
            whole = "({x}.tzinfo is __UTC or __has_whole_offset({x}))"
            is_datetime = isinstance(described, inspect.DateTimeType)
            if described.tz is False:
                yield "{x}.tzinfo is None", "expected no time zone"
            elif described.tz or is_datetime:
                yield whole, "expected a time zone with an offset in whole minutes, as datetime.now(UTC) has"
            else:
                yield f"{{x}}.tzinfo is None or {whole}", "expected no time zone, or an offset in whole minutes"
        for name, sign in _COMPARISONS.items():
            limit = getattr(described, name, None)
            if limit is not None:
                yield f"{{x}} {sign} {self.constant(limit)}", f"expected a number {sign} {limit}"
        if getattr(described, "multiple_of", None) is not None:
            factor: Any = described.multiple_of  # type: ignore[attr-defined]
            yield f"not {{x}} % {self.constant(factor)}", f"expected a multiple of {factor}"
        if getattr(described, "min_length", None) is not None:
            yield f"__len({{x}}) >= {described.min_length}", f"expected a length >= {described.min_length}"  # type: ignore[attr-defined]
        if getattr(described, "max_length", None) is not None:
            yield f"__len({{x}}) <= {described.max_length}", f"expected a length <= {described.max_length}"  # type: ignore[attr-defined]
        if isinstance(described, inspect.StrType) and described.pattern is not None:
            pattern = self.constant(re.compile(described.pattern).search)
            yield f"{pattern}({{x}})", f"expected a text that matches {described.pattern}"


def _is_leaf(described: inspect.Type) -> bool:
    return not isinstance(described, (*_OBJECTS, *_CONTAINERS))
