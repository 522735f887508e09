"""The settings that options and environment variables set: single ones, as text."""

from __future__ import annotations

import attrs

from typedbus.settings._classes import fields_of, name_of, type_of
from typedbus.settings._faults import SettingsFault
from typedbus.settings._lines import Key, dotted
from typedbus.settings._sources import Entry, Sources
from typedbus.settings._types import nested


class Texts:
    """The options and the environment of one pass, and the settings that were looked up in them."""

    def __init__(self, sources: Sources, faults: list[SettingsFault]) -> None:
        """Read *sources*, and append to *faults*."""
        self._environ = sources.environ
        self._faults = faults
        self._options: dict[Key, Entry] = {}
        for name, text in sources.options.items():
            key: Key = tuple(name.split("."))
            self._options[key] = Entry(key, text, None, f"option {name}", is_text=True)
        #: The options that no setting has used.
        self.unused = dict(self._options)
        #: The dotted names of the settings that can be set here.
        self.settings: list[str] = []
        self._keys_by_variable: dict[str, Key] = {}

    def entries(self, key: Key) -> list[Entry]:
        """Return the entries for the setting *key*: that of an option, and then that of the environment."""
        self.settings.append(dotted(key))
        entries: list[Entry] = []
        if key in self._options:
            entries.append(self._options[key])
            self.unused.pop(key, None)
        variable = variable_of(key)
        if variable in self._environ:
            entry = Entry(key, self._environ[variable], None, f"environment variable {variable}", is_text=True)
            other = self._keys_by_variable.setdefault(variable, key)
            if other != key:
                self._faults.append(entry.fault(f"shares this variable with {dotted(other)}; set both in a file"))
            entries.append(entry)
        return entries

    def has_entries(self, cls: type[attrs.AttrsInstance], key: Key) -> bool:
        """Whether an option or the environment sets anything in the table *key*, which becomes an instance of *cls*."""
        if any(option[: len(key)] == key and option != key for option in self._options):
            return True
        # The search ends here for a class that contains itself.
        prefix = f"{variable_of(key)}_"
        if not any(variable.startswith(prefix) for variable in self._environ):
            return False
        for field in fields_of(cls):
            inner, inner_key = nested(type_of(field)), (*key, name_of(field))
            if variable_of(inner_key) in self._environ if inner is None else self.has_entries(inner, inner_key):
                return True
        return False


def variable_of(key: Key) -> str:
    """Return the environment variable that sets *key*: ``SHOP_PORT`` for ``shop.port``."""
    return "_".join(map(str, key)).replace("-", "_").upper()
