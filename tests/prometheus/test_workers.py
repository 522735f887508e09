"""The page about metrics, with its commands in real processes: a site, and several workers of gunicorn."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.processes import Program, free_port, until

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "export-prometheus-metrics.md").read_text(encoding="utf-8")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="gunicorn does not run there")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the files of the page."""
    for name, text in re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.DOTALL):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@contextlib.contextmanager
def running(folder: Path, command: str, *options: str) -> Iterator[Program]:
    """Run *command*, which the page shows, in *folder*, with *options* for the test."""
    assert f"\n$ {command}\n" in PAGE
    program = Program(
        sys.executable, "-m", *command.split(), *options, cwd=folder, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    try:
        yield program
    finally:
        program.kill()


def get(address: str, path: str = "/metrics") -> tuple[int, str]:
    """Return status and body of the answer."""
    connection = http.client.HTTPConnection(address, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()


def samples_of(text: str) -> dict[tuple[str, ...], float]:
    """Return the samples of an answer by their names and the values of their labels."""
    families = text_string_to_metric_families(text)
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def test_the_command_of_the_page_serves_the_metrics(folder: Path) -> None:
    """The test replaces the address that the page gives."""
    port = free_port()
    shop = folder / "shop.py"
    assert "curl http://127.0.0.1:9464/metrics\n" in PAGE
    shop.write_text(shop.read_text(encoding="utf-8").replace("127.0.0.1:9464", f"127.0.0.1:{port}"), encoding="utf-8")
    with running(folder, "typedbus run shop:Site") as program:
        program.reach("STARTED")
        status, text = get(f"127.0.0.1:{port}")

    assert status == 200
    samples = samples_of(text)
    assert samples["typedbus_publish_total", "order_placed"] == 0
    assert samples["typedbus_component_start_duration_seconds_count", "Site.exporter", "started"] == 1


def test_each_worker_has_a_port_with_its_own_counts(folder: Path) -> None:
    """The sum of the counts of the workers is the number of publishes."""
    bind = f"127.0.0.1:{free_port()}"
    command = "gunicorn --config python:typedbus.hosting.gunicorn --workers 2 workers:application"
    targets = folder / "targets"
    with running(folder, command, "--bind", bind, "--no-control-socket") as program:
        # A file is empty for a moment.
        until(
            lambda: len([file for file in targets.glob("*.json") if file.stat().st_size]) == 2, lambda: program.output
        )
        addresses = [json.loads(file.read_text(encoding="utf-8"))[0]["targets"][0] for file in targets.glob("*.json")]

        def counts() -> list[float]:
            return [samples_of(get(address)[1])["typedbus_publish_total", "order_placed"] for address in addresses]

        requests = 0
        while min(counts()) < 2:
            get(bind, "/")
            requests += 1
            assert requests < 1000
        total = sum(counts())
        os.kill(program.pid, 15)
        program.child.wait(60)

    assert len(set(addresses)) == 2
    assert total == requests
    assert list(targets.iterdir()) == []
