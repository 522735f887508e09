"""The data of the other sections: graph, start, settings, threads and tasks, health."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from tests.inspector.clients import TOKEN, Client
from typed_settings import Secret

from typedbus import RUN, Bus, Channel, Component, Container, Stopping, on, running
from typedbus.graph import Graph
from typedbus.inspector import Inspector
from typedbus.plugins.health import ALIVE, READY, Check
from typedbus.settings import Sources, configured, load, loaded

order_placed = Channel[[str], None]("order_placed")


class Stock:
    @on(order_placed)
    def reserve(self, sku: str, /) -> None: ...


class Shop(Container):
    bus = Component(Bus)
    inspector = Component(Inspector, bus.provided, token=TOKEN)
    stock = Component(Stock)


class Audit(Container):
    stock = Component(Stock)


@pytest.fixture
def client() -> Iterator[Client]:
    """A client of the inspector of a shop that has started, with a second container."""
    with running(Shop(), Audit()) as shop:
        yield Client.of(shop.inspector())


def test_the_graph_has_the_nodes_of_each_container_and_a_drawing(client: Client) -> None:
    """The first container at the top, the others beside it."""
    graph = client.get("graph")

    assert [node["path"] for node in graph["nodes"]] == ["Shop.bus", "Shop.inspector", "Shop.stock"]
    assert [(edge["source"], edge["target"]) for edge in graph["edges"]] == [("Shop.inspector", "Shop.bus")]
    assert graph["svg"].startswith("<svg")
    assert [other["container"] for other in graph["others"]] == ["Audit"]


def test_the_graph_is_computed_once_for_each_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes a second for thousands of components, and each client asks for it."""
    computed: list[Container] = []
    of = Graph.of

    def counted(container: Container) -> Graph:
        computed.append(container)
        return of(container)

    monkeypatch.setattr(Graph, "of", counted)
    with running(Shop()) as shop:
        client = Client.of(shop.inspector())
        for _ in range(3):
            client.get("graph")
        assert computed == [shop]
        shop.bus().stop()
        shop.bus().start()
        client.get("graph")

    assert computed == [shop, shop]


def test_a_bus_without_containers_has_an_empty_graph() -> None:
    """A program may use a bus alone."""
    inspector = Inspector(Bus(), token=TOKEN)
    inspector.start()
    graph = Client.of(inspector).get("graph")
    inspector.close()

    assert (graph["nodes"], graph["others"]) == ([], [])


def test_the_start_is_the_report(client: Client) -> None:
    """With the components that were constructed after the inspector."""
    start = client.get("start")

    assert start["outcome"] == "started"
    assert "Shop.stock" in [component["path"] for component in start["components"]]


@attrs.frozen
class Database:
    url: str = "sqlite://"
    password: Secret[str] = attrs.field(default=Secret("built-in-password"))


@attrs.frozen
class ShopSettings:
    port: int
    name: str = "shop"
    pin: str = attrs.field(default="0000-pin", repr=False)
    database: Database = attrs.field(factory=Database)
    tags: list[str] = attrs.field(factory=list)


class SettledShop(Container):
    bus = Component(Bus)
    settings = configured(ShopSettings, section="shop")
    inspector = Component(Inspector, bus.provided, token=TOKEN)


def test_settings_have_their_source_and_no_secret(tmp_path: Path) -> None:
    """Option, environment variable, file and line, or the default of the class."""
    file = tmp_path / "site.toml"
    file.write_text('[shop]\nname = "corner"\n\n[shop.database]\npassword = "file-password"\n')
    shop = SettledShop()
    load(
        shop,
        sources=Sources(
            files=(file,),
            environ={"SHOP_DATABASE_URL": "postgres://db"},
            options={"shop.port": "8081", "shop.pin": "1234-pin"},
        ),
    )
    with running(shop):
        client = Client.of(shop.inspector())
        settings = client.get("settings")
        body = client.request("/api/v1/settings")[2]

    assert [(one["key"], one["value"], one["secret"], one["source"]) for one in settings] == [
        ("shop.port", "8081", False, "option shop.port"),
        ("shop.name", "'corner'", False, f"{file}:2"),
        ("shop.pin", None, True, "option shop.pin"),
        ("shop.database.url", "'postgres://db'", False, "environment variable SHOP_DATABASE_URL"),
        ("shop.database.password", None, True, f"{file}:5"),
        ("shop.tags", "a list", False, "default"),
    ]
    assert b'password"' not in body.replace(b"shop.database.password", b"")
    assert b"1234-pin" not in body


def test_settings_that_were_not_loaded_are_left_out() -> None:
    """A section that no component has needed is not read for the page."""
    shop = SettledShop()

    assert loaded(shop) == ()


def test_settings_that_a_component_needed_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are read from the environment without `load`."""
    monkeypatch.setenv("SHOP_PORT", "99")
    shop = SettledShop()
    shop.settings()

    port = loaded(shop)[0]

    assert (port.key, port.value, port.source) == ("shop.port", "99", "environment variable SHOP_PORT")


def test_threads_have_a_stack_and_an_owner(client: Client) -> None:
    """From the outermost call inwards, and without values."""
    released = threading.Event()
    waiting = threading.Event()

    def wait_for_release(password: str) -> None:
        waiting.set()
        released.wait()

    thread = threading.Thread(target=wait_for_release, args=["secret-value"], name="worker <b>", daemon=True)
    thread.start()
    waiting.wait()
    rows = {row["name"]: row for row in client.get("threads")}
    body = client.request("/api/v1/threads")[2]
    released.set()
    thread.join()

    functions = [frame["function"] for frame in rows["worker <b>"]["stack"]]
    assert functions.index("Thread.run") < next(
        number for number, name in enumerate(functions) if name.endswith("wait_for_release")
    )
    assert (rows["worker <b>"]["owner"], rows["worker <b>"]["daemon"], rows["worker <b>"]["kind"]) == (
        "",
        True,
        "thread",
    )
    assert rows["MainThread"]["owner"] == "main"
    assert [row["owner"] for name, row in rows.items() if name.startswith("inspector 127")] == ["bus"]
    assert b"secret-value" not in body


class Poller:
    @on(RUN)
    async def poll(self, stopping: Stopping) -> None:
        task = asyncio.create_task(self.wait(), name="poll <i>")
        await stopping.until_set()
        task.cancel()

    async def wait(self) -> None:
        await asyncio.sleep(60)


class AsyncShop(Container):
    bus = Component(Bus)
    inspector = Component(Inspector, bus.provided, token=TOKEN)
    poller = Component(Poller)


def test_tasks_of_the_event_loop_of_the_bus_are_shown() -> None:
    """With the line at which each waits."""
    from tests.processes import until

    with running(AsyncShop()) as shop:
        client = Client.of(shop.inspector())

        def task() -> dict[str, object] | None:
            rows = [row for row in client.get("threads") if row["kind"] == "task" and row["name"] == "poll <i>"]
            return rows[0] if rows and rows[0]["stack"] else None

        until(task)
        found = task()

    assert found is not None
    assert found["stack"][-1]["function"].endswith("Poller.wait")  # type: ignore[index]
    assert found["owner"] == "event loop"


def test_health_is_the_last_probe_and_a_probe_calls_the_checks() -> None:
    """Looking at the page calls no check."""
    calls: list[str] = []

    class Checked:
        @on(READY)
        def ready(self) -> Check:
            calls.append("ready")
            return Check(is_ok=False, detail="no <database>")

        @on(ALIVE)
        def alive(self) -> Check:
            calls.append("alive")
            return Check(is_ok=True)

    class Site(Container):
        bus = Component(Bus)
        inspector = Component(Inspector, bus.provided, token=TOKEN)
        checked = Component(Checked)

    with running(Site()) as site:
        client = Client.of(site.inspector())
        assert client.get("health") == {"ready": None, "alive": None}
        client.snapshot("open=channels,log")
        assert calls == []
        probed = client.get("probe", method="POST")
        assert sorted(calls) == ["alive", "ready"]
        assert client.get("health") == probed
        assert len(calls) == 2

    assert (probed["ready"]["ok"], probed["alive"]["ok"]) == (False, True)
    assert [(one["name"], one["detail"]) for one in probed["ready"]["checks"]] == [
        ("Site.checked.ready", "no <database>")
    ]


def test_an_answer_that_cannot_be_computed_is_an_error_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client gets no traceback, and the inspector goes on."""
    with running(Shop()) as shop:
        client = Client.of(shop.inspector())
        monkeypatch.setattr("typedbus.inspector._snapshot.stacks", lambda bus: 1 / 0)
        status, _, body = client.request("/api/v1/threads")
        assert (status, body) == (500, b'{"error":"ZeroDivisionError; the log has the traceback"}')
        lines = client.snapshot("open=log")["log"]

    assert "ZeroDivisionError: division by zero" in lines[-1]["text"]
    assert lines[-1]["level"] == 40
