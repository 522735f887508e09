"""Builds instances of settings classes from sources, and collects the faults."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Collection, Sequence
from typing import Any, Final

import attrs

from typedbus._base.errors import DeclarationError
from typedbus._base.failures import describe
from typedbus.settings._classes import default_of, fields_of, hides, is_secret, name_of, refusals, wanted_by
from typedbus.settings._faults import InvalidSettings, SettingsFault
from typedbus.settings._lines import Key, dotted
from typedbus.settings._sources import File, Said, Sources
from typedbus.settings._types import (
    Misfit,
    choices_of,
    is_optional,
    list_of,
    nested,
    phrase,
    scalar,
    secret_of,
    shown,
    table_of,
)

#: Stands for an invalid value whose fault has been recorded.
_WRONG: Final = object()
_HIDDEN: Final = "*******"
_SHORTEST: Final = 4


class Reader:
    """A single pass over all sources, with the faults found so far."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.faults: list[SettingsFault] = []
        self.files: list[File] = []
        for path in sources.files:
            read = File.read(path)
            if isinstance(read, File):
                self.files.append(read)
            else:
                self.faults.append(read)
        #: True if a file could not be read, so that missing keys cannot be reported.
        self.is_incomplete = bool(self.faults)
        self.options: dict[Key, tuple[str, str]] = {
            tuple(name.split(".")): (name, text) for name, text in sources.options.items()
        }
        self.unused = dict(self.options)
        #: The setting that each environment variable sets.
        self.variables: dict[str, Key] = {}
        self.keys: list[str] = []
        #: Texts that no message may contain.
        self.secrets: set[str] = set()

    def section(self, cls: type[attrs.AttrsInstance], name: str) -> object:
        """Return the instance of *cls* for the section *name*; the result is meaningless if faults were found."""
        said = [Said((name,), file.table[name], file) for file in reversed(self.files) if name in file.table]
        return self.table(cls, (name,), said, is_lost=self.is_incomplete)

    def check(self, sections: Collection[str], skipped: Collection[str]) -> None:
        """Record entries outside all *sections*, and unused options except for sections not read, *skipped*."""
        listed = ", ".join(f"[{section}]" for section in sections)
        for file in self.files:
            for name, value in file.table.items():
                if name not in sections:
                    near = difflib.get_close_matches(name, sections, n=1)
                    hint = (
                        f"did you mean [{near[0]}]?" if near else f"there are: {listed}" if listed else "there are none"
                    )
                    self.faults.append(Said((name,), value, file).fault(f"is no section; {hint}"))
        for key, (name, text) in self.unused.items():
            if key[0] not in skipped:
                near = difflib.get_close_matches(name, self.keys, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                self.faults.append(Said(key, text, None, f"option {name}").fault(f"is no setting{hint}"))

    def finish(self) -> None:
        """
        Raise the recorded faults, if there are any.

        Raises:
            InvalidSettings: There are faults; it holds all of them, sorted by file and line.
        """
        files: list[object] = list(self.sources.files)

        def rank(fault: SettingsFault) -> tuple[int, int]:
            is_in_file = fault.source in files
            place = files.index(fault.source) if is_in_file else len(files) + (fault.source is None)
            return place, fault.line or 0

        if self.faults:
            raise InvalidSettings(sorted(self.faults, key=rank))

    def table(
        self,
        cls: type[attrs.AttrsInstance],
        key: Key,
        tables: Sequence[Said],
        *,
        near: Said | None = None,
        default: object = None,
        is_open: bool = True,
        is_lost: bool = False,
    ) -> object:
        """
        Return an instance of *cls*, or `_WRONG`.

        Args:
            cls: A settings class.
            key: The key of the table.
            tables: The values given for the table, highest precedence first.
            near: The value given for the nearest enclosing table.
            default: An instance that supplies values for settings that are not given.
            is_open: Whether options and the environment may set single settings in the table.
            is_lost: Whether an unreadable source may contain more of the table, so that no setting is reported missing.
        """
        fields = fields_of(cls)
        names = [name_of(field) for field in fields]
        hidden = {name_of(field) for field in fields if hides(field)}
        before = len(self.faults)
        for said in tables:
            if not isinstance(said.value, dict):
                self._misfit("a table", said, is_hidden=is_secret(cls))
        is_lost = is_lost or len(self.faults) > before
        tables = [said for said in tables if isinstance(said.value, dict)]
        near = tables[0] if tables else near
        parts = [said.parts() for said in tables]
        for name, said in (item for one in parts for item in one.items() if item[0] not in names):
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(names)}"
            self.faults.append(said.fault(f"is no setting; {hint}"))
        values: dict[str, object] = {}
        origins: dict[str, Said] = {}
        for field in fields:
            name, wanted = name_of(field), wanted_by(field)
            own = (*key, name)
            said_of = [one[name] for one in parts if name in one]
            inner = nested(wanted)
            if inner is not None and (
                said_of
                or (is_open and self._has_texts(inner, own))
                or (default is None and field.default is attrs.NOTHING and not is_optional(wanted))
            ):
                given = default_of(field) if default is None else getattr(default, field.name)
                values[name] = self.table(
                    inner, own, said_of, near=near, default=given, is_open=is_open, is_lost=is_lost
                )
                continue
            if inner is None and is_open:
                said_of = [*self._texts(own), *said_of]
            if said_of:
                origins[name] = said_of[0]
                values[name] = self.value(wanted, said_of[0], is_hidden=name in hidden)
            elif default is not None:
                values[name] = getattr(default, field.name)
            elif field.default is attrs.NOTHING:
                values[name] = _WRONG if is_lost else self._missing(own, near, is_open=is_open and inner is None)
        found = {name: value for name, value in values.items() if value is not _WRONG}
        for name, error in refusals(cls, found, is_whole=len(found) == len(values)):
            problem = "is refused; it is secret, so that the reason is not shown"
            if name not in hidden:
                problem = self._refusal(error, name, found.get(name))
            self._report(problem, (*key, name), origins.get(name, near))
        if len(self.faults) > before or len(found) < len(values):
            return _WRONG
        try:
            return cls(**found)
        except Exception as error:
            return self._report(self._refusal(error, "", found), key, near)

    def value(self, wanted: Any, said: Said, *, is_hidden: bool) -> object:
        """Return *said* converted to *wanted*, or `_WRONG`."""
        wanted, *others = choices_of(wanted)
        is_hidden = is_hidden or is_secret(wanted)
        if others:
            before = len(self.faults)
            for choice in (wanted, *others):
                found = self.value(choice, said, is_hidden=is_hidden)
                del self.faults[before:]
                if found is not _WRONG:
                    return found
            named = " or ".join(dict.fromkeys(map(phrase, (wanted, *others))))
            return self._misfit(named, said, is_hidden=is_hidden or any(map(is_secret, others)))
        secret, inner, listed, tabled = secret_of(wanted), nested(wanted), list_of(wanted), table_of(wanted)
        if secret is not None:
            found = self.value(secret[1], said, is_hidden=True)
            return found if found is _WRONG else secret[0](found)
        if said.is_text and (inner or listed or tabled):
            try:
                read = tomllib.loads(f"value = {said.value}")
            except (ValueError, RecursionError):
                read = {}
            if read.keys() != {"value"}:
                return self._misfit(f"{phrase(wanted)}, as TOML has it,", said, is_hidden=is_hidden)
            said = attrs.evolve(said, value=read["value"], is_text=False)
        if inner is not None:
            return self.table(inner, said.key, [said], is_open=False)
        if listed is not None:
            make, types, is_fixed = listed
            if not isinstance(said.value, list):
                return self._misfit("a list", said, is_hidden=is_hidden)
            if is_fixed and len(said.value) != len(types):
                problem = f"must have {len(types)} members and has {len(said.value)}"
                return self._report(problem, said.key, said)
            each = types if is_fixed else types * len(said.value)
            members = [
                self.value(one, said.part(index, member), is_hidden=is_hidden)
                for index, (one, member) in enumerate(zip(each, said.value, strict=True))
            ]
            return _WRONG if any(member is _WRONG for member in members) else make(members)
        if tabled is not None:
            make_table, of_key, of_value = tabled
            if not isinstance(said.value, dict):
                return self._misfit("a table", said, is_hidden=is_hidden)
            pairs = [
                (
                    self.value(of_key, attrs.evolve(part, value=name, is_text=True), is_hidden=False),
                    self.value(of_value, part, is_hidden=is_hidden),
                )
                for name, part in said.parts().items()
            ]
            return _WRONG if any(one is _WRONG for pair in pairs for one in pair) else make_table(dict(pairs))
        if is_hidden:
            # Shorter texts occur in messages by chance.
            self.secrets.update(one for one in (str(said.value), repr(said.value)[1:-1]) if len(one) >= _SHORTEST)
        try:
            return scalar(wanted, said.value, said.folder, is_text=said.is_text)
        except Misfit:
            return self._misfit(phrase(wanted), said, is_hidden=is_hidden)
        except TypeError:
            reason = "no setting can be of that type; take a class of attrs, or one of the plain types"
            raise DeclarationError(dotted(said.key), describe(wanted), reason) from None

    def _texts(self, key: Key) -> list[Said]:
        """Return the values that an option and the environment give for *key*."""
        self.keys.append(dotted(key))
        found: list[Said] = []
        if key in self.options:
            name, text = self.options[key]
            self.unused.pop(key, None)
            found.append(Said(key, text, None, f"option {name}", is_text=True))
        variable = variable_of(key)
        if variable in self.sources.environ:
            said = Said(key, self.sources.environ[variable], None, f"environment variable {variable}", is_text=True)
            other = self.variables.setdefault(variable, key)
            if other != key:
                self._report(f"goes by the same name as {dotted(other)}; give both in a file", key, said)
            found.append(said)
        return found

    def _has_texts(self, cls: type[attrs.AttrsInstance], key: Key) -> bool:
        """Whether an option or the environment sets anything in the table *key*."""
        if any(option[: len(key)] == key and option != key for option in self.options):
            return True
        prefix = f"{variable_of(key)}_"
        return any(variable.startswith(prefix) for variable in self.sources.environ) and any(
            variable_of((*key, name_of(field))) in self.sources.environ
            if (inner := nested(wanted_by(field))) is None
            else self._has_texts(inner, (*key, name_of(field)))
            for field in fields_of(cls)
        )

    def _missing(self, key: Key, near: Said | None, *, is_open: bool) -> object:
        where = "here" if near or self.files else "in a file"
        otherwise = f", or as {variable_of(key)} in the environment" if is_open else ""
        return self._report(f"is missing; give it {where}{otherwise}", key, near)

    def _misfit(self, wanted: str, said: Said, *, is_hidden: bool) -> object:
        is_what = "; its value is not shown" if is_hidden else f" and is {shown(said.value)}"
        return self._report(f"must be {wanted}{is_what}", said.key, said)

    def _refusal(self, error: Exception, name: str, value: object) -> str:
        """Return the message of *error* about *value*, with the secrets of other settings masked."""
        message = " ".join(str(error.args[0] if error.args else type(error).__name__).split())
        for secret in sorted(self.secrets, key=len, reverse=True):
            message = message.replace(secret, _HIDDEN)
        message = re.sub(rf"""^['"`]?{re.escape(name)}['"`]? (?=\w)""", "", message) if name else message
        is_told = repr(value) in message or not isinstance(value, (str, int, float))
        problem = message if message.startswith(("must ", "is ", "has ")) else f"is refused: {message}"
        return problem if is_told else f"{problem} and is {shown(value)}"

    def _report(self, problem: str, key: Key, said: Said | None) -> object:
        if said is not None:
            self.faults.append(said.fault(problem, key))
        else:
            self.faults.append(SettingsFault(self.files[-1].path if self.files else None, None, dotted(key), problem))
        return _WRONG


def variable_of(key: Key) -> str:
    """Return the environment variable that sets *key*: ``SHOP_PORT`` for ``shop.port``."""
    return "_".join(map(str, key)).replace("-", "_").upper()
