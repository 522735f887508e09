"""What may be wrong with the settings of a site, for whoever deploys it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from typedbus._base.errors import OperatorError


class SettingsFault(ValueError):
    """
    One thing wrong with the settings of a site, told by `load`.

    Attributes:
        source: The file; or the environment variable or the option, as people call it, as in
            ``environment variable SHOP_PORT``; None for what is missing where there is no file.
        line: In the file, from 1; None where that is not known, or there is none.
        key: The setting, with dots, as in ``shop.products[2].sku``; "" if it is the whole file.
        problem: What is wrong. Of a secret it has no more than the name.
    """

    def __init__(self, source: Path | str | None, line: int | None, key: str, problem: str) -> None:
        super().__init__(source, line, key, problem)
        self.source = source
        self.line = line
        self.key = key
        self.problem = problem

    def __str__(self) -> str:
        place = (
            "" if self.source is None else f"{self.source}: " if self.line is None else f"{self.source}:{self.line}: "
        )
        return f"{place}{self.key} {self.problem}" if self.key else f"{place}{self.problem}"


class InvalidSettings(ExceptionGroup[SettingsFault], OperatorError):
    """
    Raised by `load`, and where a component of settings is built without it, for everything wrong with them.

    Attributes:
        exceptions: Every `SettingsFault`, by file and line; then those of environment and options.
    """

    def __new__(cls, faults: Sequence[SettingsFault]) -> Self:
        """Make the group of *faults*."""
        return super().__new__(cls, "the settings are wrong", faults)

    def __init__(self, faults: Sequence[SettingsFault]) -> None:
        """See `__new__`."""

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        return type(self), (self.exceptions,)

    def __str__(self) -> str:
        lines = "".join(f"\n- {fault}" for fault in self.exceptions)
        return f"{self.message}: {len(self.exceptions)} fault(s){lines}"

    def derive(self, excs: Sequence[SettingsFault], /) -> InvalidSettings:  # type: ignore[override]  # a group of SettingsFaults has no other members
        """Stay what it is, for `except*` and `split`."""
        return InvalidSettings(excs)


# Tracebacks and pickles name the place from which users import.
SettingsFault.__module__ = InvalidSettings.__module__ = "typedbus.settings"
