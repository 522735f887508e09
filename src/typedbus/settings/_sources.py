"""The sources of settings, and the values they give."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

from typedbus._os.input import read_input
from typedbus.settings._faults import SettingsFault
from typedbus.settings._lines import Key, dotted, lines_of

#: Lists the files for settings components that are constructed without `load`.
CONFIG: Final = "TYPEDBUS_CONFIG"
_PLACE: Final = re.compile(r" \(at line (\d+), column (\d+)\)$")


def _paths(files: tuple[Path | str, ...]) -> tuple[Path, ...]:
    return tuple(map(Path, files))


@attrs.frozen(kw_only=True)
class Sources:
    """
    The sources of the settings of a site. Their values may be secret, so the repr shows only the files.

    Precedence, highest first: options, environment, files (later files first). The
    default of the class applies where no source sets a value.

    Args:
        files: TOML files, each of which must exist. Relative paths in a file are relative to its folder.
        environ: The environment; relative paths in it are relative to the working directory.
        options: Texts by key, as in ``{"shop.port": "8081"}``; relative paths are resolved as in the environment.
    """

    files: tuple[Path, ...] = attrs.field(default=(), converter=_paths)
    environ: Mapping[str, str] = attrs.field(factory=lambda: os.environ, repr=False)
    options: Mapping[str, str] = attrs.field(factory=dict, repr=False)

    @classmethod
    def of_environment(cls) -> Sources:
        """Return the process environment and the files that ``TYPEDBUS_CONFIG`` lists, separated as in ``PATH``."""
        names = os.environ.get(CONFIG, "").split(os.pathsep)
        return cls(files=tuple(Path(name) for name in names if name))


@attrs.frozen(slots=False)
class File:
    """A file that has been read."""

    path: Path
    text: str = attrs.field(repr=False)
    table: dict[str, object] = attrs.field(repr=False)

    @functools.cached_property
    def lines(self) -> Mapping[Key, int]:
        """The line of each key, computed only when a fault is reported."""
        return lines_of(self.text)

    @classmethod
    def read(cls, path: Path) -> File | SettingsFault:
        """Return the content of the file at *path*, or the fault if it cannot be read."""
        try:
            raw = read_input(path)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            return SettingsFault(path, None, "", f"cannot be read: {reason}")
        try:
            # Some editors write a byte order mark, which TOML does not allow.
            text = raw.decode("utf-8-sig").replace("\r\n", "\n")
            return cls(path, text, tomllib.loads(text))
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            return SettingsFault(
                path, line, "", "is not valid TOML: it is not encoded in UTF-8; save it in that encoding"
            )
        except RecursionError:
            return SettingsFault(path, None, "", "cannot be read: its lists or tables are nested too deeply")
        except ValueError as error:
            place = _PLACE.search(str(error))
            if place is None:
                return SettingsFault(path, None, "", f"is not valid TOML: {error}")
            reason = str(error)[: place.start()]
            return SettingsFault(path, int(place[1]), "", f"is not valid TOML: {reason} in column {place[2]}")


@attrs.frozen
class Entry:
    """The value that a source gives for one key."""

    key: Key
    value: object = attrs.field(repr=False)
    #: None for an option or an environment variable, which has a *name* instead.
    file: File | None
    name: str = ""
    #: Whether the source has only text, whatever the type of the setting.
    is_text: bool = False

    @property
    def folder(self) -> Path:
        """The folder that relative paths are resolved against."""
        path = Path() if self.file is None else self.file.path.parent
        # If the working directory no longer exists, a relative path stays relative.
        with contextlib.suppress(FileNotFoundError):
            return path.absolute()
        return path

    def part(self, name: str | int, value: object) -> Entry:
        """Return one part of this value, with its key."""
        return attrs.evolve(self, key=(*self.key, name), value=value)

    @property
    def table(self) -> dict[str, object]:
        """The value of an entry that is a table."""
        assert isinstance(self.value, dict)
        return self.value

    @property
    def place(self) -> str:
        """The option, the variable, or the file and the line that has this value."""
        if self.file is None:
            return self.name
        line = self.file.lines.get(self.key)
        return str(self.file.path) if line is None else f"{self.file.path}:{line}"

    def fault(self, problem: str, key: Key | None = None) -> SettingsFault:
        """Return a fault for *problem* at this value's place; *key*, if given, replaces its key."""
        if self.file is None:
            return SettingsFault(self.name, None, dotted(key or self.key), problem)
        return SettingsFault(self.file.path, self.file.lines.get(self.key), dotted(key or self.key), problem)
