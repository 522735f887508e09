"""The two programs of the how-to page, in processes of their own."""

from __future__ import annotations

import contextlib
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.nats.servers import binary, unused_port
from tests.processes import Program

if sys.platform == "win32":
    pytest.skip("an interrupt of one process is sent in another way", allow_module_level=True)

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "use-nats.md"

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def running(target: str, folder: Path) -> Iterator[Program]:
    """Run a container as the page does, until its bus has STARTED; interrupt it at the end of the block."""
    program = Program(sys.executable, "-m", "typedbus", "run", target, cwd=folder)
    try:
        program.reach("STARTED")
        yield program
        assert program.end(signal.SIGINT) == 0, program.output
    finally:
        program.kill()


def test_each_order_of_the_front_is_invoiced_also_if_invoicing_did_not_run(tmp_path: Path) -> None:
    binary()
    port = str(unused_port())
    for name, text in re.findall(
        r"^```python\n(?=# (\w+\.py)\n)(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    ):
        (tmp_path / name).write_text(text.replace("4222", port), encoding="utf-8")

    with running("front:Front", tmp_path), running("invoicing:Invoicing", tmp_path) as invoicing:
        invoicing.reach_line("invoice for 2 mug")
    with running("front:Front", tmp_path), running("invoicing:Invoicing", tmp_path) as invoicing:
        invoicing.reach_line("invoice for 2 mug")
    assert invoicing.lines.count("invoice for 2 mug") == 1
