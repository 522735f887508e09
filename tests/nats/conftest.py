"""The server of a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.nats.servers import NatsServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """A fresh server with JetStream, which accepts clients."""
    with NatsServer(tmp_path / "nats") as running:
        yield running
