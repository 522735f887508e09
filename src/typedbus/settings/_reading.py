"""Builds instances of settings classes from all sources, and collects the faults."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Sequence
from typing import Any, Final

import attrs

from typedbus.settings._classes import default_of, fields_of, is_hidden, is_secret, name_of, refusals, type_of
from typedbus.settings._faults import InvalidSettings, SettingsFault
from typedbus.settings._lines import Key, dotted
from typedbus.settings._sources import Entry, File, Sources
from typedbus.settings._texts import Texts, variable_of
from typedbus.settings._types import is_optional, nested, text_of
from typedbus.settings._values import INVALID, Values

#: Stands for a value that the settings class supplies itself.
_DEFAULT: Final = object()


@attrs.frozen(kw_only=True)
class _Table:
    """
    A table that is being read.

    Attributes:
        cls: The settings class of which it becomes an instance.
        key: Its key.
        entries: The values of the sources for it, highest precedence first.
        nearest: The entry of the table, or else of the nearest table around it, as the place of faults.
        defaults: An instance that supplies the settings that no source has; None if *cls* does.
        is_open: Whether options and the environment may set single settings in it, as they may outside lists.
        is_incomplete: Whether an unreadable source may have more of it, so that no setting is reported as missing.
    """

    cls: type[attrs.AttrsInstance]
    key: Key
    entries: Sequence[Entry]
    nearest: Entry | None = None
    defaults: object = None
    is_open: bool = True
    is_incomplete: bool = False


class Reader:
    """Reads the settings of a site from its sources, in a single pass."""

    def __init__(self, sources: Sources) -> None:
        self._paths = sources.files
        self._faults: list[SettingsFault] = []
        self._files: list[File] = []
        for path in sources.files:
            file = File.read(path)
            if isinstance(file, File):
                self._files.append(file)
            else:
                self._faults.append(file)
        self._has_unreadable_files = bool(self._faults)
        self._texts = Texts(sources, self._faults)
        self._values = Values(self._faults, self._inner_table)
        #: The entry that decided on each setting that a source sets, by its key.
        self.origins: dict[Key, Entry] = {}

    def section(self, cls: type[attrs.AttrsInstance], name: str) -> object:
        """Return the instance of *cls* for the section *name*; the result is meaningless if faults were found."""
        entries = [Entry((name,), file.table[name], file) for file in reversed(self._files) if name in file.table]
        return self._table(_Table(cls=cls, key=(name,), entries=entries, is_incomplete=self._has_unreadable_files))

    def check(self, sections: Collection[str], unread_sections: Collection[str]) -> None:
        """Record entries outside all *sections*, and unused options except for those of *unread_sections*."""
        for file in self._files:
            for name, value in file.table.items():
                if name not in sections:
                    names = ", ".join(f"[{section}]" for section in sections)
                    listing = f"the sections are: {names}" if sections else "no container declares settings"
                    similar = _similar(name, sections)
                    hint = f"did you mean [{similar}]?" if similar else listing
                    self._faults.append(Entry((name,), value, file).fault(f"is not a section; {hint}"))
        for key, entry in self._texts.unused.items():
            if key[0] not in unread_sections:
                similar = _similar(".".join(map(str, key)), self._texts.settings)
                hint = f"; did you mean {similar}?" if similar else ""
                self._faults.append(entry.fault(f"is not a setting{hint}"))

    def finish(self) -> None:
        """
        Raise the recorded faults, if there are any.

        Raises:
            InvalidSettings: There are faults; it holds all of them, sorted by file and line.
        """
        files: list[object] = list(self._paths)

        def rank(fault: SettingsFault) -> tuple[int, int]:
            is_in_file = fault.source in files
            place = files.index(fault.source) if is_in_file else len(files) + (fault.source is None)
            return place, fault.line or 0

        if self._faults:
            raise InvalidSettings(sorted(self._faults, key=rank))

    def _inner_table(self, cls: type[attrs.AttrsInstance], entry: Entry) -> object:
        """Return the instance of *cls* for a table inside a list, or for one of several types."""
        return self._table(_Table(cls=cls, key=entry.key, entries=[entry], is_open=False))

    def _table(self, table: _Table) -> object:
        """Return the instance for *table*, or `INVALID`."""
        count = len(self._faults)
        table = self._without_misfits(table)
        fields = {name_of(field): field for field in fields_of(table.cls)}
        self._report_unknown_keys(table, fields)
        values: dict[str, object] = {}
        places: dict[str, Entry] = {}
        for name, field in fields.items():
            entry = self._entry(table, field)
            value = self._value(table, field, entry)
            if value is not _DEFAULT:
                values[name] = value
            if entry is not None:
                places[name] = entry
        valid = {name: value for name, value in values.items() if value is not INVALID}
        for name, error in refusals(table.cls, valid, is_whole=len(valid) == len(values)):
            problem = self._rejection(error, name, valid.get(name))
            if name in fields and is_hidden(fields[name]):
                # The message may quote the value.
                problem = "was rejected; the reason is not shown because the value is secret"
            self._report(problem, (*table.key, name), places.get(name, table.nearest))
        if len(self._faults) > count or len(valid) < len(values):
            return INVALID
        try:
            return table.cls(**valid)
        except Exception as error:
            return self._report(self._rejection(error, "", valid), table.key, table.nearest)

    def _without_misfits(self, table: _Table) -> _Table:
        """Return *table* with only the entries that are tables; the others are reported."""
        entries: list[Entry] = []
        for entry in table.entries:
            if isinstance(entry.value, dict):
                entries.append(entry)
            else:
                self._values.misfit("a table", entry, is_hidden=is_secret(table.cls))
        return attrs.evolve(
            table,
            entries=entries,
            nearest=entries[0] if entries else table.nearest,
            is_incomplete=table.is_incomplete or len(entries) < len(table.entries),
        )

    def _report_unknown_keys(self, table: _Table, names: Collection[str]) -> None:
        for entry in table.entries:
            for name, value in entry.table.items():
                if name not in names:
                    similar = _similar(name, names)
                    hint = f"did you mean {similar}?" if similar else f"this table has: {', '.join(names)}"
                    self._faults.append(entry.part(name, value).fault(f"is not a setting; {hint}"))

    def _entry(self, table: _Table, field: attrs.Attribute[Any]) -> Entry | None:
        """Return the entry that decides on a single setting; None for a table, and if no source sets it."""
        if nested(type_of(field)) is not None:
            return None
        entries = self._texts.entries((*table.key, name_of(field))) if table.is_open else []
        return next(iter([*entries, *_parts(table, field)]), None)

    def _value(self, table: _Table, field: attrs.Attribute[Any], entry: Entry | None) -> object:
        """Return the value of *field*, which *entry* sets; or `_DEFAULT`, or `INVALID`."""
        hint, key = type_of(field), (*table.key, name_of(field))
        if entry is not None:
            self.origins[key] = entry
            return self._values.read(hint, entry, is_hidden=is_hidden(field))
        cls = nested(hint)
        if cls is not None:
            entries = _parts(table, field)
            has_default = table.defaults is not None or field.default is not attrs.NOTHING or is_optional(hint)
            if entries or not has_default or (table.is_open and self._texts.has_entries(cls, key)):
                defaults = default_of(field) if table.defaults is None else getattr(table.defaults, field.name)
                return self._table(attrs.evolve(table, cls=cls, key=key, entries=entries, defaults=defaults))
        if table.defaults is not None:
            return getattr(table.defaults, field.name)
        if field.default is not attrs.NOTHING:
            return _DEFAULT
        if table.is_incomplete:
            return INVALID
        place = "here" if table.nearest or self._files else "in a file"
        variable = f" or with the environment variable {variable_of(key)}" if table.is_open and cls is None else ""
        return self._report(f"is missing; set it {place}{variable}", key, table.nearest)

    def _rejection(self, error: Exception, name: str, value: object) -> str:
        """Return the message of *error* about *value*, with the secrets of other settings masked."""
        text = " ".join(str(error.args[0] if error.args else type(error).__name__).split())
        message = self._values.masked(text)
        if name:
            # The name of the setting is in front of the message anyway.
            message = re.sub(rf"""^['"`]?{re.escape(name)}['"`]? (?=\w)""", "", message)
        problem = message if message.startswith(("must ", "is ", "has ")) else f"was rejected: {message}"
        is_complete = repr(value) in message or not isinstance(value, (str, int, float))
        return problem if is_complete else f"{problem} (the value is {text_of(value)})"

    def _report(self, problem: str, key: Key, entry: Entry | None) -> object:
        """Record *problem* with the setting *key*, at the place of *entry* if there is one, and return `INVALID`."""
        if entry is not None:
            self._faults.append(entry.fault(problem, key))
        else:
            file = self._files[-1].path if self._files else None
            self._faults.append(SettingsFault(file, None, dotted(key), problem))
        return INVALID


def _parts(table: _Table, field: attrs.Attribute[Any]) -> list[Entry]:
    """Return the values for *field* in the entries of *table*."""
    name = name_of(field)
    return [entry.part(name, entry.table[name]) for entry in table.entries if name in entry.table]


def _similar(name: str, names: Collection[str]) -> str | None:
    """Return which of *names* the misspelt *name* may stand for, or None."""
    return next(iter(difflib.get_close_matches(name, names, n=1)), None)
