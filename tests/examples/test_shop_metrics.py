"""The metrics of the shop, scraped over HTTP."""

import http.client
from pathlib import Path

import pytest
from examples.shop.settings import Product, Settings
from examples.shop.site import Hall, Site
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families
from prometheus_client.samples import Sample

from typedbus.pytest_plugin import RunningFixture

TEA = Product("TEA", "Tea", price=500, stock=90, reorder_level=5)
OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


class Served:
    """A running shop, with requests to it."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def get(self, path: str, accept: str = "") -> tuple[int, str, str]:
        """Return status, type and text of the answer."""
        host, port = self.site.server().address.rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        connection.request("GET", path, headers={"Accept": accept} if accept else {})
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response.status, response.headers["Content-Type"], text

    def scrape(self) -> dict[str, list[Sample]]:
        """Return the samples of each family, in the text format."""
        status, kind, text = self.get("/metrics")
        assert (status, kind.partition(";")[0]) == (200, "text/plain")
        return {family.name: family.samples for family in text_families(text)}


def served(folder: Path, running: RunningFixture, *, has_metrics: bool = True) -> Served:
    """Run the shop for the duration of a test."""
    site = Site()
    settings = Settings(folder / "books", (TEA,), bind="127.0.0.1:0", metrics=has_metrics)
    running.enter(site.override(Hall.settings).by(settings))
    return Served(running(site))


@pytest.fixture
def shop(tmp_path: Path, typedbus_running: RunningFixture) -> Served:
    """Return a running shop."""
    return served(tmp_path, typedbus_running)


def value(samples: list[Sample], **labels: str) -> float:
    """Return the value of the only sample with *labels*."""
    (found,) = [sample.value for sample in samples if labels.items() <= sample.labels.items()]
    return found


def test_the_metrics_show_the_state_of_the_shop(shop: Served) -> None:
    """The starts of all components, the check of the last probe, and the runs."""
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


def test_openmetrics_has_the_same_samples(shop: Served) -> None:
    """For a scrape that accepts it."""
    status, kind, text = shop.get("/metrics", OPEN_METRICS)

    assert (status, kind.partition(";")[0]) == (200, "application/openmetrics-text")
    families = {family.name: family.samples for family in openmetrics_families(text)}  # type: ignore[no-untyped-call]  # of the library
    assert families["typedbus_bus_state"] == shop.scrape()["typedbus_bus_state"]


def test_the_metrics_can_be_disabled(tmp_path: Path, typedbus_running: RunningFixture) -> None:
    """By a setting."""
    assert served(tmp_path, typedbus_running, has_metrics=False).get("/metrics")[0] == 404
