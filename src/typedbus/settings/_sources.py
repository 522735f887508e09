"""Where settings come from, and what is said there."""

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

#: Names files for those who cannot hand them over: the components that load themselves.
CONFIG: Final = "TYPEDBUS_CONFIG"
_PLACE: Final = re.compile(r" \(at line (\d+), column (\d+)\)$")


def _paths(files: tuple[Path | str, ...]) -> tuple[Path, ...]:
    return tuple(map(Path, files))


@attrs.frozen(kw_only=True)
class Sources:
    """
    Where the settings of a site come from; what they say may be secret, so that its repr has the files alone.

    What an option says goes before what the environment says, that before the
    files, and each file before those ahead of it in the tuple. What nobody says
    is the default of the class.

    Args:
        files: TOML files, each of which has to be there. Relative paths in one are relative to its folder.
        environ: The environment; relative paths there are relative to the working directory.
        options: Texts by key, as in ``{"shop.port": "8081"}``; paths as in the environment.
    """

    files: tuple[Path, ...] = attrs.field(default=(), converter=_paths)
    environ: Mapping[str, str] = attrs.field(factory=lambda: os.environ, repr=False)
    options: Mapping[str, str] = attrs.field(factory=dict, repr=False)

    @classmethod
    def of_environment(cls) -> Sources:
        """Return the environment of the process, and the files that ``TYPEDBUS_CONFIG`` names there, as ``PATH`` names folders."""
        named = os.environ.get(CONFIG, "")
        return cls(files=tuple(Path(name) for name in named.split(os.pathsep) if name))


@attrs.frozen(slots=False)
class File:
    """A file that has been read."""

    path: Path
    text: str = attrs.field(repr=False)
    table: dict[str, object] = attrs.field(repr=False)

    @functools.cached_property
    def lines(self) -> Mapping[Key, int]:
        """The line of each key; looked for when there is something to tell."""
        return lines_of(self.text)

    @classmethod
    def read(cls, path: Path) -> File | SettingsFault:
        """Return what is in the file at *path*, or why nobody knows."""
        try:
            raw = read_input(path)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            return SettingsFault(path, None, "", f"cannot be read: {reason}")
        try:
            # Editors put a mark in front that TOML does not know.
            text = raw.decode("utf-8-sig").replace("\r\n", "\n")
            return cls(path, text, tomllib.loads(text))
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            return SettingsFault(path, line, "", "is not TOML: it is not written in UTF-8")
        except RecursionError:
            return SettingsFault(path, None, "", "is not TOML that anybody could read: it is nested too deeply")
        except ValueError as error:
            place = _PLACE.search(str(error))
            if place is None:
                return SettingsFault(path, None, "", f"is not TOML: {error}")
            told = str(error)[: place.start()]
            return SettingsFault(path, int(place[1]), "", f"is not TOML: {told} in column {place[2]}")


@attrs.frozen
class Said:
    """What a source says of one key."""

    key: Key
    value: object = attrs.field(repr=False)
    #: None is an option or a variable of the environment, by its *name*.
    file: File | None
    name: str = ""
    #: Whether it is text, whatever is meant.
    is_text: bool = False

    @property
    def folder(self) -> Path:
        """What a relative path is relative to."""
        path = Path() if self.file is None else self.file.path.parent
        # There may be no working directory any more; a relative path stays relative then.
        with contextlib.suppress(FileNotFoundError):
            return path.absolute()
        return path

    def part(self, name: str | int, value: object) -> Said:
        """Return a part of what it says."""
        return attrs.evolve(self, key=(*self.key, name), value=value)

    def parts(self) -> dict[str, Said]:
        """Return the parts of a table."""
        assert isinstance(self.value, dict)
        return {name: self.part(name, value) for name, value in self.value.items()}

    def fault(self, problem: str, key: Key | None = None) -> SettingsFault:
        """Tell of *problem*, and where it stands: at *key* if that is another one."""
        if self.file is None:
            return SettingsFault(self.name, None, dotted(key or self.key), problem)
        return SettingsFault(self.file.path, self.file.lines.get(self.key), dotted(key or self.key), problem)
