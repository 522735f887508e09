"""
What frozen records have in common.

attrs can make all of it for each class, and that is a third of the time that
importing the package would take; here it is made once.
"""

from __future__ import annotations

import attrs


class Record:
    """A frozen attrs class whose equality, hash and repr go by its fields, as attrs has it: `eq=False, repr=False`."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def __repr__(self) -> str:
        shown = (f"{field.name}={getattr(self, field.name)!r}" for field in self._fields() if field.repr)
        return f"{type(self).__qualname__}({', '.join(shown)})"

    def _values(self) -> tuple[object, ...]:
        return tuple(getattr(self, field.name) for field in self._fields())

    def _fields(self) -> tuple[attrs.Attribute[object], ...]:
        # Declared as an attrs class by those that are one alone.
        fields: tuple[attrs.Attribute[object], ...] = attrs.fields(type(self))  # type: ignore[arg-type]
        return fields
