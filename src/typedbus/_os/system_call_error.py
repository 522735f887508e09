"""The base class of errors that name a failed system call by its errno."""

from __future__ import annotations

import os

from typedbus._base.errors import OperatorError
from typedbus._base.structured import StructuredError


class SystemCallError(StructuredError, OSError, OperatorError):
    """
    An `OSError` with data of its own; `strerror` is the system's text for *errno*.

    The other attributes of a subclass follow *errno* in the constructor.
    """

    errno: int  # pyright: ignore[reportIncompatibleVariableOverride]  # it is never None

    def __post_init__(self) -> None:
        self.strerror: str | None = os.strerror(self.errno)
