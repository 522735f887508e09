"""Fixtures for telemetry."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.otel.recorded import Recorded

from typedbus.otel import TypedbusInstrumentor


@pytest.fixture
def recorded() -> Recorded:
    """Return a provider whose spans stay in memory."""
    return Recorded()


@pytest.fixture
def instrumented(recorded: Recorded) -> Iterator[Recorded]:
    """Instrument every bus that the test creates, and return the provider."""
    instrumentor = TypedbusInstrumentor()
    instrumentor.instrument(tracer_provider=recorded.provider)
    yield recorded
    instrumentor.uninstrument()
