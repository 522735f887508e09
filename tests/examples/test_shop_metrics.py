"""The metrics of the shop, scraped over HTTP."""

import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from examples.shop.channels import order_taken
from examples.shop.orders import Order, Receipt
from examples.shop.settings import Product, Settings
from examples.shop.site import Hall, Site
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families
from prometheus_client.samples import Sample

from typedbus.pytest_plugin import RunningFixture

TEA = Product("TEA", "Tea", price=500, stock=90, reorder_level=5)
DASHBOARD = Path(__file__).parents[2] / "docs" / "dashboards" / "typedbus.json"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


class Shop:
    """A running shop, with requests to it."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def get(self, path: str, accept: str = "") -> tuple[int, str, str]:
        """Return status, type and text of the answer."""
        return self.request("GET", path, None, {"Accept": accept} if accept else {})

    def request(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> tuple[int, str, str]:
        """Return status, type and text of the answer."""
        connection = http.client.HTTPConnection(self.site.server().address, timeout=30)
        connection.request(method, path, body and body.encode(), headers)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response.status, response.headers["Content-Type"], text

    def order(self, number: int) -> int:
        """Order some tea, and return the status of the answer."""
        lines = [{"sku": "TEA", "quantity": 1}]
        order = {"number": number, "customer": "Zoë", "email": "zoe@example.org", "date": "2025-03-31", "lines": lines}
        return self.request("POST", "/orders", json.dumps(order), {"Content-Type": "application/json"})[0]

    def scrape(self) -> dict[str, list[Sample]]:
        """Return the samples of each family, in the text format."""
        status, kind, text = self.get("/metrics")
        assert (status, kind.partition(";")[0]) == (200, "text/plain")
        return {family.name: family.samples for family in text_families(text)}


def served(folder: Path, running: RunningFixture, *, has_metrics: bool = True) -> Shop:
    """Run the shop for the duration of a test."""
    site = Site()
    settings = Settings(folder / "books", (TEA,), bind="127.0.0.1:0", metrics=has_metrics)
    running.enter(site.override(Hall.settings).by(settings))
    return Shop(running(site))


@pytest.fixture
def shop(tmp_path: Path, typedbus_running: RunningFixture) -> Shop:
    """Return a running shop."""
    return served(tmp_path, typedbus_running)


def value(samples: list[Sample], **labels: str) -> float:
    """Return the value of the only sample with *labels*."""
    (found,) = [sample.value for sample in samples if labels.items() <= sample.labels.items()]
    return found


def test_the_metrics_show_the_state_of_the_shop(shop: Shop) -> None:
    """The metrics have the starts of all components, the check of the last probe, and the runs."""
    before = shop.scrape()["typedbus_health_check"]
    shop.get("/readyz")
    families = shop.scrape()

    assert before == []
    assert value(families["typedbus_bus_state"], state="STARTED") == 1
    assert value(families["typedbus_health_check"], check="Site.database.check", channel="ready") == 1
    assert value(families["typedbus_run_state"], component="Site.restocking", state="RUNNING") == 1
    assert value(families["typedbus_run_restarts"], component="Site.restocking") == 0
    starts = families["typedbus_component_start_duration_seconds"]
    counts = {sample.labels["component"]: sample.value for sample in starts if sample.name.endswith("_count")}
    assert counts.items() >= {"Site.database": 1, "Site.stock": 1, "Site.server": 1}.items()


def test_an_order_is_counted_on_its_channels(shop: Shop) -> None:
    """The metrics have the durations of the listeners, and the failure of one of them."""

    def fail(order: Order, receipt: Receipt, /) -> None:
        raise OSError("no paper")

    statuses = [shop.order(1)]
    with shop.site.bus()[order_taken].subscribe(fail):
        statuses.append(shop.order(2))
    families = shop.scrape()

    assert statuses == [201, 500]
    publishes = {one.labels["channel"]: one.value for one in families["typedbus_publish"]}
    assert publishes.items() >= {"order_placed": 2, "order_taken": 2, "order_refused": 0, "stock_low": 0}.items()
    (failure,) = families["typedbus_publish_failures"]
    assert (failure.value, failure.labels["channel"], failure.labels["error_type"]) == (1, "order_taken", "OSError")
    assert failure.labels["listener"].endswith(".fail")
    durations = families["typedbus_listener_duration_seconds"]
    counts = {
        one.labels["listener"]: one.value
        for one in durations
        if one.name.endswith("_count") and one.labels["channel"] == "order_taken"
    }
    assert counts.items() >= {"Site.stock.look": 2, "Site.invoicing.write": 2, "Site.daybook.take": 2}.items()


def queries() -> Iterator[tuple[str, str]]:
    """Yield the queries of the dashboard, each with its legend."""
    for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]:
        for target in panel["targets"]:
            yield target["expr"], target["legendFormat"]


@pytest.fixture
def labels_of(shop: Shop) -> dict[str, set[str]]:
    """Return the labels of each series, with those that Prometheus adds, of a shop that has series of all families."""

    def fail(order: Order, receipt: Receipt, /) -> None:
        raise OSError("no paper")

    with shop.site.bus()[order_taken].subscribe(fail):
        shop.order(1)
    shop.get("/readyz")
    samples = [sample for samples in shop.scrape().values() for sample in samples]
    return {sample.name: {*sample.labels, "job", "instance"} for sample in samples}


def test_the_queries_of_the_dashboard_find_the_metrics(labels_of: dict[str, set[str]]) -> None:
    """The shop has every name and every label in the queries."""
    for query, legend in queries():
        selectors = re.findall(r"(typedbus_\w+)(?:\{([^}]*)\})?", query)
        assert selectors != []
        known = set.intersection(*(labels_of[name] for name, _ in selectors))
        matched = [label for _, matchers in selectors for label in re.findall(r"(\w+)\s*(?:=~|=|!~|!=)", matchers)]
        kept = [label.strip() for labels in re.findall(r"by \(([^)]*)\)", query) for label in labels.split(",")]
        shown = re.findall(r"\{\{(\w+)\}\}", legend)
        assert {*matched, *kept, *shown} <= known, query
        assert {*shown} <= ({*kept} or known), legend


def test_the_dashboard_shows_all_metrics(labels_of: dict[str, set[str]]) -> None:
    """The queries contain at least one series of each family."""
    text = " ".join(query for query, _ in queries())
    families = {re.sub(r"_(bucket|count|sum|created)$", "", name) for name in labels_of}

    assert {family for family in families if family not in text} == set()


def test_openmetrics_has_the_same_samples(shop: Shop) -> None:
    """A scrape that accepts OpenMetrics receives the same samples as in the text format."""
    shop.order(1)

    status, kind, text = shop.get("/metrics", OPEN_METRICS)

    assert (status, kind.partition(";")[0]) == (200, "application/openmetrics-text")
    families = {family.name: family.samples for family in openmetrics_families(text)}  # type: ignore[no-untyped-call]  # of the library
    assert families == shop.scrape()


def test_the_metrics_can_be_disabled(tmp_path: Path, typedbus_running: RunningFixture) -> None:
    """The setting `metrics` disables them."""
    assert served(tmp_path, typedbus_running, has_metrics=False).get("/metrics")[0] == 404
