"""dependency-injector's wiring: functions and classes that get components of a container."""

import asyncio
import importlib
import sys
import types
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from dependency_injector import containers, providers, wiring
from dependency_injector.wiring import Closing, Provide, Provider, inject

from typedbus import Bus, Component, Container, provided, running

# The library's types know less than it does.
library: Any = providers
MODULES = [sys.modules[__name__]]


class Database:
    """A component that others need."""

    def __init__(self, url: str = "memory://") -> None:
        self.url = url
        self.tables = ["orders"]


class Orders:
    """A component that needs it."""

    def __init__(self, database: Database) -> None:
        self.database = database


class Infra(Container):
    """A container that is nested in `Shop`."""

    database = Component(Database)


class Shop(Container):
    """Has a declaration for every kind of marker."""

    bus = Component(Bus)
    config: Any = library.Configuration()
    infra = Infra()
    orders = Component(Orders, infra.database.provided)
    factory = providers.Factory(Orders, infra.database)
    opened: list[str]

    def title(self) -> str:
        """Return the title of the container."""
        return "shop"


class Sub(Shop):
    """Redeclares a component."""

    orders = Component(Orders, Component(Database, "sub").provided)


@inject
def by_declaration(it: Any = Provide[Shop.orders]) -> Any:
    """Return the injected argument."""
    return it


@inject
def by_name(it: Any = Provide["orders"]) -> Any:
    """Return the injected argument."""
    return it


@inject
def by_annotation(it: Annotated[Orders, Provide[Shop.orders]]) -> Any:
    """Return the injected argument."""
    return it


@inject
def nested(it: Any = Provide[Shop.infra.database]) -> Any:
    """Return the injected argument."""
    return it


@inject
def nested_by_name(it: Any = Provide["infra.database"]) -> Any:
    """Return the injected argument."""
    return it


@inject
def attribute(it: Any = Provide[Shop.orders.provided.database.url]) -> Any:
    """Return the injected argument."""
    return it


@inject
def item(it: Any = Provide[Shop.infra.database.provided.tables[0]]) -> Any:
    """Return the injected argument."""
    return it


@inject
def attribute_by_name(it: Any = Provide["infra.database", wiring.provided().tables[0]]) -> Any:
    """Return the injected argument."""
    return it


@inject
def itself(it: Any = Provide[Shop.orders.provided]) -> Any:
    """Return the injected argument."""
    return it


@inject
def option(it: Any = Provide[Shop.config.limit.as_int()]) -> Any:
    """Return the injected argument."""
    return it


@inject
def container(it: Any = Provide[Shop]) -> Any:
    """Return the injected argument."""
    return it


@inject
def container_by_name(it: Any = Provide["<container>"]) -> Any:
    """Return the injected argument."""
    return it


@inject
def inner_container(it: Any = Provide[Shop.infra]) -> Any:
    """Return the injected argument."""
    return it


@inject
def inner_container_by_name(it: Any = Provide["infra"]) -> Any:
    """Return the injected argument."""
    return it


@inject
def uncalled(it: Any = Provider[Shop.orders]) -> Any:
    """Return the injected argument."""
    return it


@inject
def factory(it: Any = Provider[Shop.factory]) -> Any:
    """Return the injected argument."""
    return it


@inject
async def awaited(it: Any = Provide[Shop.orders]) -> Any:
    """Return the injected argument."""
    return it


@inject
async def streamed(it: Any = Provide[Shop.orders]) -> AsyncIterator[Any]:
    """Yield the injected argument."""
    yield it


def undecorated(it: Any = Provide[Shop.orders.provided.database]) -> Any:
    """Return the argument, a marker."""
    return it


class View:
    """Gets its arguments by wiring."""

    @inject
    def __init__(self, orders: Any = Provide[Shop.orders]) -> None:
        self.orders = orders

    @inject
    def method(self, it: Any = Provide[Shop.orders]) -> Any:
        """Return the injected argument."""
        return it

    @classmethod
    @inject
    def of_the_class(cls, it: Any = Provide[Shop.orders]) -> Any:
        """Return the injected argument."""
        return it

    @staticmethod
    @inject
    def of_nothing(it: Any = Provide[Shop.orders]) -> Any:
        """Return the injected argument."""
        return it


def _module(**members: object) -> types.ModuleType:
    """Return a module that has *members*."""
    module = types.ModuleType("wired")
    vars(module).update(members)
    return module


async def _first(stream: AsyncIterator[Any]) -> Any:
    return [one async for one in stream][0]


@pytest.fixture
def shop() -> Iterator[Shop]:
    """Yield a shop that this module is wired to."""
    shop = Shop()
    shop.config.from_dict({"limit": "3"})
    shop.wire(modules=MODULES)
    yield shop
    shop.unwire()


ORDERS = [
    by_declaration,
    by_name,
    by_annotation,
    itself,
    lambda: asyncio.run(awaited()),
    lambda: asyncio.run(_first(streamed())),
    lambda: View().orders,
    lambda: View().method(),
    View.of_the_class,
    View.of_nothing,
]


@pytest.mark.parametrize("call", ORDERS)
def test_a_marker_gives_the_component_of_the_wired_container(call: Any, shop: Shop) -> None:
    """In functions, coroutines, generators and methods of all kinds."""
    assert call() is shop.orders()


@pytest.mark.parametrize("call", [nested, nested_by_name, lambda: undecorated()])
def test_a_marker_may_name_a_component_of_a_nested_container(call: Any, shop: Shop) -> None:
    """By its declaration in the class and by its name."""
    assert call() is shop.infra.database()


@pytest.mark.parametrize(
    ("call", "expected"), [(attribute, "memory://"), (item, "orders"), (attribute_by_name, "orders"), (option, 3)]
)
def test_a_marker_may_name_an_attribute_of_a_component(call: Any, expected: object, shop: Shop) -> None:
    """An attribute, an item, or an option of a configuration."""
    del shop

    assert call() == expected


@pytest.mark.parametrize("call", [container, container_by_name])
def test_a_marker_may_name_the_container(call: Any, shop: Shop) -> None:
    """The argument is the instance, with the methods of its class."""
    assert call() is shop
    assert call().title() == "shop"


@pytest.mark.parametrize("call", [inner_container, inner_container_by_name])
def test_a_marker_may_name_a_nested_container(call: Any, shop: Shop) -> None:
    """The argument is the nested container of the wired instance."""
    assert call() is shop.infra


def test_a_provider_marker_passes_the_provider_uncalled(shop: Shop) -> None:
    """It builds the component when it is called; a factory makes an object for each call."""
    assert uncalled()() is shop.orders()
    assert factory()() is not factory()()
    assert factory()().database is shop.infra.database()


def test_wiring_builds_no_component() -> None:
    """The first call that needs a component builds it."""

    class Lazy(Container):
        orders = Component(Orders, Component(Database).provided)

    lazy = Lazy()
    lazy.wire(modules=MODULES)
    by_name()
    lazy.unwire()

    assert lazy.orders.is_built


def test_wired_functions_take_the_components_of_the_current_run() -> None:
    """The start after an exit builds them again, and functions get the new ones."""
    shop = Shop()
    shop.wire(modules=MODULES)
    with running(shop):
        first = by_declaration()
    with running(shop):
        second = by_declaration()
        running_now = shop.orders()
    shop.unwire()

    assert second is running_now
    assert first is not second


def test_wired_functions_follow_overrides(shop: Shop) -> None:
    """Inside the block they get the replacement, also of nested components and attributes."""
    fake = Database("fake")
    with shop.override(Shop.infra.database).by(fake):
        assert nested() is nested_by_name() is fake
        assert by_declaration().database is fake
        assert attribute() == "fake"

    assert nested().url == "memory://"


def test_a_marker_of_a_base_class_gives_the_redeclared_component() -> None:
    """A container of a subclass can be wired to a module that names the base."""
    sub = Sub()
    sub.wire(modules=MODULES)

    assert by_declaration() is sub.orders()
    assert attribute() == "sub"
    assert nested() is sub.infra.database()
    assert container() is sub
    sub.unwire()


def test_wire_sets_marked_attributes_of_modules_and_classes() -> None:
    """`unwire` restores the markers."""
    page = type("Page", (), {"url": Provide[Shop.infra.database.provided.url], "__module__": "wired"})
    module: Any = _module(Page=page, orders=Provide[Shop.orders.provided])
    shop = Shop()
    shop.wire(modules=[module])
    during = module.Page.url, module.orders
    shop.unwire()

    assert during == ("memory://", shop.orders())
    assert isinstance(module.orders, Provide)
    assert isinstance(module.Page.url, Provide)


def test_after_unwire_functions_get_the_marker(shop: Shop) -> None:
    """The default arguments are the markers again."""
    shop.unwire()

    assert isinstance(by_declaration(), Provide)


def test_wiring_adds_no_provider_to_the_class_or_the_container(shop: Shop) -> None:
    """Their lists of providers are unchanged."""
    on_class: Any = Shop
    instance: Any = shop

    assert "__self__" not in on_class.providers
    assert "__self__" not in instance.providers


def test_closing_shuts_a_resource_down_after_the_call() -> None:
    """`Closing` is the library's marker around a marker."""
    events = []

    def opened() -> Iterator[str]:
        events.append("opened")
        yield "resource"
        events.append("closed")

    class Site(Container):
        resource: Any = library.Resource(opened)

    @inject
    def call(it: Any = Closing[Provide[Site.resource]]) -> None:
        events.append(it)

    site = Site()
    site.wire(modules=MODULES)
    call()
    site.unwire()

    assert events == ["opened", "resource", "closed"]


def test_two_containers_can_be_wired_to_different_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each function gets the component of its container, and `unwire` affects one container alone."""
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("wired_one", "wired_other"):
        (tmp_path / f"{name}.py").write_text(
            "from dependency_injector.wiring import Provide, inject\n"
            "@inject\n"
            "def view(orders=Provide['orders']):\n"
            "    return orders\n"
        )
    one, other = Shop(), Shop()
    one.wire(modules=["wired_one"])
    other.wire(modules=["wired_other"])
    first, second = importlib.import_module("wired_one"), importlib.import_module("wired_other")

    assert first.view() is one.orders()
    assert second.view() is other.orders()
    one.unwire()
    assert isinstance(first.view(), Provide)
    assert second.view() is other.orders()
    other.unwire()


PACKAGE = {
    "wired_site/__init__.py": "",
    "wired_site/containers.py": (
        "from dependency_injector import containers\n"
        "from typedbus import Component, Container\n"
        "class Infra(Container):\n"
        "    wiring_config = containers.WiringConfiguration(modules=['.inner'])\n"
        "    url = Component(lambda: 'url')\n"
        "class Site(Container):\n"
        "    wiring_config = containers.WiringConfiguration(packages=['wired_site.views'], modules=['.tasks'])\n"
        "    infra = Infra()\n"
        "    title = Component(lambda: 'title')\n"
        "class Bare(Container):\n"
        "    title = Component(lambda: 'bare')\n"
    ),
    "wired_site/inner.py": "\n",
    "wired_site/tasks.py": "\n",
    "wired_site/wires.py": (
        "from wired_site.containers import Bare\n"
        "def wire():\n"
        "    bare = Bare()\n"
        "    bare.wire(modules=['.tasks'])\n"
        "    return bare\n"
    ),
    "wired_site/views/__init__.py": "",
    "wired_site/views/pages.py": "\n",
}
VIEW = "from dependency_injector.wiring import Provide, inject\n@inject\ndef view(it=Provide['{}']):\n    return it\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make the package importable."""
    monkeypatch.syspath_prepend(tmp_path)
    for name, text in PACKAGE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        wanted = "url" if "inner" in name else "title"
        (tmp_path / name).write_text(text if text != "\n" else VIEW.format(wanted))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "wired_site"]:
        del sys.modules[name]


@pytest.mark.usefixtures("package")
def test_wiring_config_wires_each_instance_and_the_containers_in_it() -> None:
    """Packages with their modules, and names relative to the package of the class."""
    site = importlib.import_module("wired_site.containers").Site()

    assert importlib.import_module("wired_site.views.pages").view() == "title"
    assert importlib.import_module("wired_site.tasks").view() == "title"
    assert importlib.import_module("wired_site.inner").view() is site.infra.url()


@pytest.mark.usefixtures("package")
def test_names_of_modules_may_be_relative_to_the_caller() -> None:
    """They are resolved as in the library."""
    importlib.import_module("wired_site.wires").wire()

    assert importlib.import_module("wired_site.tasks").view() == "bare"


def test_auto_wire_false_disables_automatic_wiring() -> None:
    """`auto_wire` is the library's option."""

    class Site(Container):
        wiring_config: Any = containers.WiringConfiguration(modules=[__name__], auto_wire=False)
        orders = Component(Orders, Component(Database).provided)

    site = Site()
    before = by_name()
    site.wire()
    after = by_name()
    site.unwire()

    assert isinstance(before, Provide)
    assert after is site.orders()


def test_an_unresolved_marker_is_a_warning_on_request() -> None:
    """By the library's own option."""

    class Other(Container):
        pass

    module = _module(view=by_name)
    with pytest.warns(wiring.UnresolvedMarkerWarning, match="it in by_name"):
        Other().wire(modules=[module], warn_unresolved=True)


def test_provided_of_a_library_provider_follows_attributes(shop: Shop) -> None:
    """This holds for the library's own providers."""

    @inject
    def call(it: Any = Provide[provided(Shop.factory).database]) -> Any:
        return it

    shop.wire(modules=MODULES)

    assert call() is shop.infra.database()
