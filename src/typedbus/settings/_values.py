"""Converts the value of a single setting to its type."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs

from typedbus._base.errors import DeclarationError
from typedbus._base.failures import describe
from typedbus.settings._classes import is_secret
from typedbus.settings._faults import SettingsFault
from typedbus.settings._lines import dotted
from typedbus.settings._sources import Entry
from typedbus.settings._types import (
    ListType,
    Misfit,
    TableType,
    choices_of,
    list_of,
    nested,
    phrase,
    scalar,
    secret_of,
    table_of,
    text_of,
)

#: Stands for an invalid value whose fault has been recorded.
INVALID: Final = object()
_MASK: Final = "*******"
#: Shorter texts occur in messages by chance.
_SHORTEST_SECRET: Final = 4


class Values:
    """
    Converts the values of settings, and keeps the secrets among them, which no message may contain.

    Args:
        faults: The list to which faults are appended.
        read_table: Makes an instance of a settings class from a table.
    """

    def __init__(
        self,
        faults: list[SettingsFault],
        read_table: Callable[[type[attrs.AttrsInstance], Entry], object],
    ) -> None:
        self._faults = faults
        self._read_table = read_table
        self._secrets: set[str] = set()

    def read(self, hint: Any, entry: Entry, *, is_hidden: bool) -> object:
        """
        Return the value of *entry* converted to the type *hint*, or `INVALID`.

        Raises:
            DeclarationError: No setting can have that type.
        """
        choices = choices_of(hint)
        if len(choices) > 1:
            return self._union(choices, entry, is_hidden=is_hidden)
        (hint,) = choices
        is_hidden = is_hidden or is_secret(hint)
        secret_type = secret_of(hint)
        if secret_type is not None:
            make_secret, content = secret_type
            value = self.read(content, entry, is_hidden=True)
            return value if value is INVALID else make_secret(value)
        cls, list_type, table_type = nested(hint), list_of(hint), table_of(hint)
        if entry.is_text and (cls or list_type or table_type):
            # In the environment and in options, a list or a table is written as in a file.
            try:
                document = tomllib.loads(f"value = {entry.value}")
            except (ValueError, RecursionError):
                document = {}
            if document.keys() != {"value"}:
                return self.misfit(f"{phrase(hint)} in TOML syntax", entry, is_hidden=is_hidden)
            entry = attrs.evolve(entry, value=document["value"], is_text=False)
        if cls is not None:
            return self._read_table(cls, entry)
        if list_type is not None:
            return self._list(list_type, entry, is_hidden=is_hidden)
        if table_type is not None:
            return self._table(table_type, entry, is_hidden=is_hidden)
        return self._scalar(hint, entry, is_hidden=is_hidden)

    def misfit(self, description: str, entry: Entry, *, is_hidden: bool) -> object:
        """Record that *entry* is not *description*, and return `INVALID`."""
        value = "; its value is not shown" if is_hidden else f", not {text_of(entry.value)}"
        self._faults.append(entry.fault(f"must be {description}{value}"))
        return INVALID

    def masked(self, message: str) -> str:
        """Return *message* without the secrets that have been read so far."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            message = message.replace(secret, _MASK)
        return message

    def _union(self, choices: Sequence[object], entry: Entry, *, is_hidden: bool) -> object:
        """Return the value as the first of the types *choices* that it fits."""
        count = len(self._faults)
        for choice in choices:
            value = self.read(choice, entry, is_hidden=is_hidden)
            del self._faults[count:]
            if value is not INVALID:
                return value
        description = " or ".join(dict.fromkeys(map(phrase, choices)))
        return self.misfit(description, entry, is_hidden=is_hidden or any(map(is_secret, choices)))

    def _list(self, list_type: ListType, entry: Entry, *, is_hidden: bool) -> object:
        if not isinstance(entry.value, list):
            return self.misfit("a list", entry, is_hidden=is_hidden)
        count = len(entry.value)
        hints = list_type.members_of(count)
        if len(hints) != count:
            self._faults.append(entry.fault(f"must have {len(hints)} members, not {count}"))
            return INVALID
        members = [
            self.read(hint, entry.part(index, value), is_hidden=is_hidden)
            for index, (hint, value) in enumerate(zip(hints, entry.value, strict=True))
        ]
        return INVALID if any(member is INVALID for member in members) else list_type.make(members)

    def _table(self, table_type: TableType, entry: Entry, *, is_hidden: bool) -> object:
        if not isinstance(entry.value, dict):
            return self.misfit("a table", entry, is_hidden=is_hidden)
        table: dict[object, object] = {}
        for name, value in entry.table.items():
            part = entry.part(name, value)
            key = self.read(table_type.key, attrs.evolve(part, value=name, is_text=True), is_hidden=False)
            table[key] = self.read(table_type.value, part, is_hidden=is_hidden)
        is_invalid = INVALID in table or any(value is INVALID for value in table.values())
        return INVALID if is_invalid else table_type.make(table)

    def _scalar(self, hint: Any, entry: Entry, *, is_hidden: bool) -> object:
        if is_hidden:
            texts = str(entry.value), repr(entry.value)[1:-1]
            self._secrets.update(text for text in texts if len(text) >= _SHORTEST_SECRET)
        try:
            return scalar(hint, entry.value, entry.folder, is_text=entry.is_text)
        except Misfit:
            return self.misfit(phrase(hint), entry, is_hidden=is_hidden)
        except TypeError:
            reason = (
                "a setting cannot have this type; use an attrs class, or a type such as int, str, Path or list[str]"
            )
            raise DeclarationError(dotted(entry.key), describe(hint), reason) from None
