"""
OpenTelemetry for buses: spans of transitions, components and publishes, and metrics.

Needs the extra: ``pip install 'typedbus[otel]'``. Only the API of OpenTelemetry is used; the program configures the
SDK and its exporters, or starts under ``opentelemetry-instrument``. `TypedbusInstrumentor` instruments every bus of
the process that is created later, `Telemetry` is a component that instruments one bus.
"""

from __future__ import annotations

from typedbus._base.exports import export

try:
    from typedbus.otel._instrumentor import TypedbusInstrumentor
    from typedbus.otel._settings import TelemetryError
    from typedbus.otel._telemetry import Telemetry
except ModuleNotFoundError as _missing:
    if not (_missing.name or "").startswith("opentelemetry"):
        raise
    raise ImportError(
        f"typedbus.otel needs {_missing.name}: pip install 'typedbus[otel]'", name=_missing.name
    ) from None

__all__ = ("Telemetry", "TelemetryError", "TypedbusInstrumentor")

export(globals())
