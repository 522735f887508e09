"""The programs of the how-to pages, in processes of their own."""

from __future__ import annotations

import contextlib
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.nats.servers import binary
from tests.processes import Program, free_port

if sys.platform == "win32":
    pytest.skip("an interrupt of one process is sent in another way", allow_module_level=True)

PAGES = Path(__file__).parents[2] / "docs" / "how-to"

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


def write_programs(page: str, folder: Path) -> None:
    """Write the programs of a page to *folder*, with a free port in place of the port in the page."""
    binary()
    port = str(free_port())
    programs = re.findall(
        r"^```python\n(?=# (\w+\.py)\n)(.*?)^```$", (PAGES / page).read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    for name, text in programs:
        (folder / name).write_text(text.replace("4222", port), encoding="utf-8")


def test_each_order_of_the_front_is_invoiced_also_if_invoicing_did_not_run(tmp_path: Path) -> None:
    write_programs("use-nats.md", tmp_path)
    with running("front:Front", tmp_path), running("invoicing:Invoicing", tmp_path) as invoicing:
        invoicing.reach_line("invoice for 2 mug")
    with running("front:Front", tmp_path), running("invoicing:Invoicing", tmp_path) as invoicing:
        invoicing.reach_line("invoice for 2 mug")
    assert invoicing.lines.count("invoice for 2 mug") == 1


def test_the_front_gets_quotes_of_pricing(tmp_path: Path) -> None:
    write_programs("ask-other-processes.md", tmp_path)
    with running("pricing:Pricing", tmp_path), running("front:Front", tmp_path) as front:
        front.reach_line("mug 1500 cents")
        front.reach_line("elephant not known: KeyError")


def test_a_process_gathers_the_results_of_all_listeners(tmp_path: Path) -> None:
    write_programs("ask-other-processes.md", tmp_path)
    program = Program(sys.executable, tmp_path / "stock.py", cwd=tmp_path)
    try:
        program.reach_line("42 True")
        assert program.end() == 0
    finally:
        program.kill()
