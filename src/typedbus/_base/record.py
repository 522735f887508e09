"""
The base class of frozen records.

attrs could generate these methods for each class, which would take a third of the
time to import the package; here they are defined once.
"""

from __future__ import annotations

import attrs


class Record:
    """A base for frozen attrs classes with `eq=False, repr=False`: equality, hash and repr as attrs generates them."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def __repr__(self) -> str:
        fields = (f"{field.name}={getattr(self, field.name)!r}" for field in self._fields() if field.repr)
        return f"{type(self).__qualname__}({', '.join(fields)})"

    def _values(self) -> tuple[object, ...]:
        return tuple(getattr(self, field.name) for field in self._fields())

    def _fields(self) -> tuple[attrs.Attribute[object], ...]:
        # Only the subclasses are declared as attrs classes.
        fields: tuple[attrs.Attribute[object], ...] = attrs.fields(type(self))  # type: ignore[arg-type]
        return fields
