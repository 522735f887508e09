"""The servers of a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.nats.connections import Places
from tests.nats.postgres import Database, Postgres
from tests.nats.servers import NatsServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """A fresh server with JetStream, which accepts clients."""
    with NatsServer(tmp_path / "nats") as running:
        yield running


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server for all tests of this process."""
    with Postgres() as running:
        yield running


@pytest.fixture
def database(postgres: Postgres) -> Database:
    """An empty database of PostgreSQL."""
    return postgres.new_database()


@pytest.fixture
def places(tmp_path: Path, request: pytest.FixtureRequest) -> Places:
    """The databases of a test; a server of PostgreSQL is started when the first test needs one."""
    return Places(tmp_path / "shop.db", lambda: request.getfixturevalue("database"))
