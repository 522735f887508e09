"""What telemetry of a bus records, and where."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final

import attrs
from opentelemetry.trace import Tracer, TracerProvider, get_tracer

_NAME: Final = "typedbus"

#: The semantic conventions of `error.type` and of exception events.
_SCHEMA: Final = "https://opentelemetry.io/schemas/1.30.0"


@attrs.frozen(eq=False)
class Settings:
    """
    What telemetry of a bus records, and where.

    Attributes:
        tracer_provider: Provides the tracer; None for the provider of the process.
    """

    tracer_provider: TracerProvider | None = attrs.field(default=None, kw_only=True)

    def tracer(self) -> Tracer:
        """Return the tracer of typedbus."""
        return get_tracer(_NAME, _version(), self.tracer_provider, _SCHEMA)


def _version() -> str:
    try:
        return version(_NAME)
    except PackageNotFoundError:  # it is imported from its sources
        return ""
