"""The container of a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.injection.shop import Shop

from typedbus import running


@pytest.fixture
def shop() -> Iterator[Shop]:
    """A shop that runs."""
    with running(Shop) as shop:
        yield shop


@pytest.fixture
def notes(shop: Shop) -> list[str]:
    """What its sessions have noted."""
    return shop.notes()
