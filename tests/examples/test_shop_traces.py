"""The traces of the shop, on stderr."""

import contextlib
import http.client
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from examples.shop.settings import Product, Settings
from examples.shop.site import Hall, Site

from typedbus import running

TEA = Product("TEA", "Tea", price=500, stock=90, reorder_level=5)
ORDER = {
    "number": 1,
    "customer": "Zoë",
    "email": "zoe@example.org",
    "date": "2025-03-31",
    "lines": [{"sku": "TEA", "quantity": 1}],
}


@contextlib.contextmanager
def shop(folder: Path, *, has_traces: bool) -> Iterator[Site]:
    """Run a shop with its books in *folder*."""
    settings = Settings(folder / "books", (TEA,), bind="127.0.0.1:0", traces=has_traces)
    with (site := Site()).override(Hall.settings).by(settings), running(site):
        yield site


def serve_order(folder: Path, *, has_traces: bool) -> None:
    """Run a shop for one order."""
    with shop(folder, has_traces=has_traces) as site:
        connection = http.client.HTTPConnection(site.server().address, timeout=30)
        connection.request("POST", "/orders", json.dumps(ORDER), {"Content-Type": "application/json"})
        assert connection.getresponse().status == 201
        connection.close()


def spans_in(text: str) -> Iterator[tuple[str, str | None]]:
    """Yield the name of each span in *text*, with that of its parent."""
    decoder, position, spans = json.JSONDecoder(), 0, {}
    while (position := text.find("{\n", position)) >= 0:
        span, position = decoder.raw_decode(text, position)
        spans[span["context"]["span_id"]] = span
    for span in spans.values():
        parent = spans.get(span["parent_id"])
        yield span["name"], None if parent is None else parent["name"]


def test_the_life_of_the_shop_is_traced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There are spans of transitions with their components, and of each request with its publishes."""
    serve_order(tmp_path, has_traces=True)

    spans = set(spans_in(capsys.readouterr().err))
    assert spans >= {
        ("typedbus start", None),
        ("construct Site.database", "typedbus start"),
        ("start Site.database", "typedbus start"),
        ("start Site.server", "typedbus start"),
        ("POST /orders", None),
        ("publish order_placed", "POST /orders"),
        ("publish order_taken", "POST /orders"),
        ("typedbus exit", None),
        ("stop Site.database", "typedbus exit"),
    }


def test_a_shop_writes_no_traces_unless_it_is_asked_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The setting `traces` is off by default."""
    serve_order(tmp_path, has_traces=False)

    assert capsys.readouterr().err == ""


def test_traces_without_opentelemetry_end_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the command that installs OpenTelemetry."""
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)

    with pytest.raises(SystemExit) as raised, shop(tmp_path, has_traces=True):
        pass

    assert raised.value.code == (
        'error: shop.traces needs OpenTelemetry: pip install "typedbus[otel]" opentelemetry-sdk'
    )
