"""`typedbus graph` draws a part of a container."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def graph(*options: str) -> tuple[int, str, str]:
    """Draw the shop of the examples, and return the status, stdout and stderr."""
    command = [sys.executable, "-m", "typedbus", "graph", "examples.shop.container:Shop", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False)
    return done.returncode, done.stdout, done.stderr


def test_a_component_is_drawn_with_its_neighbours() -> None:
    """In the direction and the frames that the options name."""
    status, output, _ = graph("--focus", "stock", "--follow", "needs", "--format", "json")
    assert (status, {node["path"] for node in json.loads(output)["nodes"]}) == (
        0,
        {"Shop.stock", "Shop.database", "Shop.bus", "Shop.purchasing", "Shop.report", "Shop.settings"},
    )
    status, output, _ = graph("--focus", "stock", "--depth", "0", "--direction", "down", "--group", "package")
    assert status == 0
    assert "flowchart TB\n" in output
    assert 'subgraph g1["examples.shop"]' in output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--depth", "2"], "--depth and --follow have no effect without --focus; add --focus COMPONENT"),
        (["--focus", "stok"], "Shop has no component 'stok'; did you mean Shop.stock?"),
        (["--focus", "stock", "--depth", "-1"], "-1 is not in the range x>=0"),
    ],
)
def test_wrong_options_are_refused(options: list[str], message: str) -> None:
    """With status 2, and nothing on stdout."""
    status, output, error = graph(*options)

    assert (status, output) == (2, "")
    assert message in " ".join(error.split())
