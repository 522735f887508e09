"""The faults in the settings of a site, as reported to its deployer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from typedbus._base.errors import OperatorError
from typedbus._base.structured import StructuredError


class SettingsFault(StructuredError, ValueError):
    """
    One fault in the settings of a site, reported by `load`.

    Attributes:
        source: The file; or the environment variable or option, in words, as in
            ``environment variable SHOP_PORT``; None for a missing setting if there are no files.
        line: The line in the file, from 1; None if it is unknown or there is no file.
        key: The dotted name of the setting, as in ``shop.products[2].sku``; "" if the fault concerns the whole file.
        problem: The description of the fault. It contains the name of a secret, but never its value.
    """

    source: Path | str | None
    line: int | None
    key: str
    problem: str

    def __str__(self) -> str:
        text = f"{self.key} {self.problem}" if self.key else self.problem
        if self.source is None:
            return text
        return f"{self.source}: {text}" if self.line is None else f"{self.source}:{self.line}: {text}"


class InvalidSettings(ExceptionGroup[SettingsFault], OperatorError):
    """
    Raised with all faults in the settings, by `load`, or by the construction of a settings component without `load`.

    Attributes:
        exceptions: Every `SettingsFault`, sorted by file and line; then the faults of environment and options.
    """

    def __new__(cls, faults: Sequence[SettingsFault]) -> Self:
        """Create the group of *faults*."""
        return super().__new__(cls, "invalid settings", faults)

    def __init__(self, faults: Sequence[SettingsFault]) -> None:
        """See `__new__`."""

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        return type(self), (self.exceptions,)

    def __str__(self) -> str:
        lines = "".join(f"\n- {fault}" for fault in self.exceptions)
        return f"{self.message}: {len(self.exceptions)} fault(s){lines}"

    def derive(self, excs: Sequence[SettingsFault], /) -> InvalidSettings:  # type: ignore[override]  # a group of SettingsFaults has no other members
        """Return an `InvalidSettings`, so that `except*` and `split` keep the type."""
        return InvalidSettings(excs)
