"""The shop of three processes in `examples/shop_nats`, which are killed while it works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def demonstrate(folder: Path, *options: str) -> str:
    """Run the demonstration, and return its output."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    command = [sys.executable, "-m", "examples.shop_nats", "--folder", str(folder), *options]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_each_order_has_an_invoice_and_a_parcel_after_a_kill_of_every_part(tmp_path: Path) -> None:
    """The server and the three processes are killed once each."""
    output = demonstrate(tmp_path, "--orders", "150", "--kills", "4", "--seconds", "120")

    assert "killed: server 1, front 1, invoicing 1, shipping 1" in output
    assert output.endswith("each of 150 orders has one invoice and one parcel\n")


@pytest.mark.exhaustive
def test_redelivered_events_are_recognised(tmp_path: Path) -> None:
    """The processes that receive events are killed while events are on their way."""
    output = demonstrate(tmp_path, "--orders", "3000", "--kills", "24", "--seconds", "500")

    assert output.endswith("each of 3,000 orders has one invoice and one parcel\n")
    redelivered, duplicates = map(int, re.findall(r"│\s*([\d,]+) │\s*([\d,]+) │\n", output.replace(",", ""))[-1])
    assert redelivered > 0
    assert duplicates >= 0
