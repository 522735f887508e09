"""The bookshop in processes of its own: its demo, under uvicorn, and with its own server."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from examples.books.wholesaler import Wholesaler
from httpx2 import Client
from tests.processes import LIMIT, Program

from typedbus.pytest_plugin import RunningFixture

ROOT = Path(__file__).parents[2]
EMMA = "9780141439587"
pytestmark = pytest.mark.slow


def test_the_demo_runs_to_its_end() -> None:
    """It needs no network beyond this machine, and leaves nothing on stderr but its log."""
    demo = subprocess.run(
        [sys.executable, "-m", "examples.books"], cwd=ROOT, check=False, capture_output=True, text=True, timeout=LIMIT
    )

    assert demo.returncode == 0, demo.stderr
    assert "409" in demo.stdout
    assert "to ada@example.org: your order 1 comes to" in demo.stdout
    assert "Traceback" not in demo.stderr
    assert "bus EXITED" in demo.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent")
@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["uvicorn", "examples.books.site:app", "--port", "{port}"], id="uvicorn"),
        pytest.param(
            ["typedbus", "run", "examples.books.site:Site", "--set", "books.bind=127.0.0.1:{port}"], id="typedbus"
        ),
    ],
)
def test_the_shop_is_served_under_uvicorn_and_by_itself(
    served: Callable[..., tuple[Program, str]],
    typedbus_running: RunningFixture,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
) -> None:
    """Both commit and roll back alike, deliver letters, and end in order at SIGTERM."""
    wholesaler = typedbus_running(Wholesaler)
    monkeypatch.setenv("BOOKS_WHOLESALER", f"http://{wholesaler.server().address}")
    server, address = served(*command)

    with Client(base_url=f"http://{address}", trust_env=False) as client:
        client.put(f"/books/{EMMA}", json={"title": "Emma", "copies": 4}).raise_for_status()
        orders = [{"email": "ada@example.org", "copies": {EMMA: copies}} for copies in (3, 2)]
        assert [client.post("/orders", json=order).status_code for order in orders] == [201, 409]
        assert client.get("/books").json()[0]["copies"] == 1
    server.reach("to ada@example.org: your order 1 comes to")
    status = server.end(signal.SIGTERM)

    assert status in (0, -signal.SIGTERM), server.output  # uvicorn ends by the signal that it was sent
    assert "Traceback" not in server.output
