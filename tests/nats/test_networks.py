"""A cable that is cut parts a server from the others and from clients, and its connections stay open."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.nats.networks import network
from tests.nats.servers import NatsServer
from tests.processes import until

pytestmark = pytest.mark.slow


def test_a_server_behind_a_cut_cable_does_not_answer_until_it_is_joined(tmp_path: Path) -> None:
    with network(2) as (first, second):
        with (
            NatsServer(tmp_path / "first", place=first.place) as parted,
            NatsServer(tmp_path / "second", place=second.place) as other,
        ):
            first.cut()
            assert not parted.is_ready()
            assert other.is_ready()
            first.join()
            until(parted.is_ready)
