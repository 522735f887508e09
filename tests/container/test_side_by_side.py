"""Containers of dependency-injector and containers of typedbus in one process, as in a migration."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from dependency_injector import containers, providers
from dependency_injector.wiring import Provide, inject

from typedbus import (
    GRACEFUL,
    Bus,
    Component,
    Container,
    InvalidContainer,
    OutsideContainer,
    Resource,
    on,
    provided,
    running,
)
from typedbus.faults import LibraryFault

# The library's types know less than it does.
library: Any = providers
theirs: Any = containers


class Database:
    """Has a life cycle."""

    def __init__(self, url: str = "memory://") -> None:
        self.url = url
        self.is_open = False

    def start(self) -> None:
        """Open it."""
        self.is_open = True

    def stop(self) -> None:
        """Close it."""
        self.is_open = False


class Orders:
    """Needs a database."""

    def __init__(self, database: Database) -> None:
        self.database = database


class Audit:
    """Needs orders."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders


class Old(theirs.DeclarativeContainer):  # type: ignore[misc]  # Any, so that its attributes are
    """The container of the old application."""

    database: Any = providers.Singleton(Database)
    orders: Any = providers.Singleton(Orders, database)
    copy: Any = providers.Factory(Orders, database)


class Wired(Old):
    """Wires this module when an instance is made."""

    wiring_config = containers.WiringConfiguration(modules=[__name__])


@inject
def orders_of_old(orders: Orders = Provide[Old.orders]) -> Orders:
    """Take what the old container provides."""
    return orders


@inject
def orders_of_wired(orders: Orders = Provide[Wired.orders]) -> Orders:
    """Take what the container provides that wires itself."""
    return orders


class Shop(Container):
    """The new container, around the old one, with the first component that has moved."""

    bus = Component(Bus)
    database = Component(Database, "shop://")
    old: Any = library.Container(Old, database=database)
    audit = Component(Audit, provided(old.container.orders))


@inject
def database_of_shop(database: Database = Provide[Shop.database]) -> Database:
    """Take what the new container provides."""
    return database


@pytest.fixture
def shop() -> Iterator[Shop]:
    """Give a shop whose containers are both wired to this module."""
    made = Shop()
    made.old().wire(modules=[sys.modules[__name__]])
    made.wire(modules=[sys.modules[__name__]])
    yield made
    made.unwire()
    made.old().unwire()


class TestTheOldContainerInsideTheNewOne:
    """`old = providers.Container(Old, database=database)`."""

    def test_both_use_the_same_objects_in_each_run(self, shop: Shop) -> None:
        """The exit discards the singletons of the old container that use a component."""
        shop.validate()
        seen = []
        for _ in range(2):
            with running(shop):
                orders = shop.audit().orders
                seen.append(orders)
                assert orders is shop.old().orders() is orders_of_old()
                assert orders.database is shop.old().copy().database is database_of_shop() is shop.database()
                assert orders.database.is_open

        assert seen[0] is not seen[1]

    def test_an_override_on_either_side_reaches_both(self, shop: Shop) -> None:
        """While a declaration exists in both containers, tests may override it in either."""
        fake = Database("fake://")
        with shop.override(Shop.database).by(fake), running(shop):
            assert shop.audit().orders.database is fake
            assert orders_of_old().database is fake
        other = Orders(fake)
        with shop.old().orders.override(other), running(shop):
            assert shop.audit().orders is orders_of_old() is other
        with running(shop):
            assert shop.audit().orders is orders_of_old() is not other

    def test_a_wiring_configuration_of_the_old_one_wires_the_instance_that_was_made_last(self) -> None:
        """The instance that the library makes in the body of the new class is not wired."""

        class Site(Container):
            bus = Component(Bus)
            database = Component(Database, "site://")
            old: Any = library.Container(Wired, database=database)

        class Outer(Container):
            bus = Component(Bus)
            site = Site()

        first = Site()
        assert orders_of_wired() is first.old().orders()
        second = Outer()
        assert orders_of_wired() is second.site.old().orders()
        assert orders_of_wired().database is second.site.database()

    def test_the_old_program_calls_the_methods_of_its_own_classes(self) -> None:
        """A method `start` of the old program is not a fault, as it is in a container of typedbus."""

        class Site(Container):
            bus = Component(Bus)
            old: Any = library.Container(Old)
            audit = Component(Audit, provided(old.orders))

        with running(Site()) as site:
            assert not site.audit().orders.database.is_open

    def test_a_marked_method_in_the_old_one_is_a_fault_with_the_way_out(self) -> None:
        """The class has been ported, but its declaration has not."""
        reread = []

        class Settings:
            @on(GRACEFUL)
            def reread(self) -> None:
                reread.append("settings")

        class Inner(theirs.DeclarativeContainer):  # type: ignore[misc]
            settings = providers.Singleton(Settings)

        class Middle(theirs.DeclarativeContainer):  # type: ignore[misc]
            inner = library.Container(Inner)

        class Site(Container):
            bus = Component(Bus)
            middle: Any = library.Container(Middle)

        with pytest.raises(InvalidContainer) as invalid:
            Site().validate()
        (fault,) = invalid.value.exceptions
        assert isinstance(fault, LibraryFault)
        assert fault.path == "Site.middle.inner.settings"
        assert "settings = Component(Settings, ...) above that container" in fault.remedy
        assert "providers.Container(..., settings=settings)" in fault.remedy

        class Mended(Container):
            bus = Component(Bus)
            settings = Component(Settings)
            inner: Any = library.Container(Inner, settings=settings)

        with running(Mended()) as mended:
            mended.bus().graceful()
            assert mended.inner().settings() is mended.settings()
        assert reread == ["settings"]


def test_an_async_resource_in_the_old_one_is_a_fault_with_the_way_out() -> None:
    """The new container declares it, and opens and closes it on the event loop of the bus."""
    states = []

    async def open_database() -> AsyncIterator[Database]:
        database = Database("pool://")
        database.start()
        yield database
        database.stop()
        states.append(database.is_open)

    class Pooled(theirs.DeclarativeContainer):  # type: ignore[misc]
        database = providers.Resource(open_database)
        orders = providers.Singleton(Orders, database)

    class Site(Container):
        bus = Component(Bus)
        old: Any = library.Container(Pooled)

    with pytest.raises(InvalidContainer) as invalid:
        Site().validate()
    (fault,) = invalid.value.exceptions
    assert isinstance(fault, LibraryFault)
    assert fault.path == "Site.old.database"
    assert "declare database = Resource(" in fault.remedy
    assert "above that container" in fault.remedy
    assert "providers.Container(..., database=database)" in fault.remedy

    class Mended(Container):
        bus = Component(Bus)
        database = Resource(open_database)
        old: Any = library.Container(Pooled, database=database)

    async def main() -> None:
        async with running(Mended()) as mended:
            states.append(mended.old().orders().database.is_open)

    asyncio.run(main())
    assert states == [True, False]


class Books(Container):
    """A new container beside the old one."""

    bus = Component(Bus)
    database = Component(Database, "books://")
    orders: Any = library.Dependency(instance_of=Orders)
    audit = Component(Audit, provided(orders))


class TestTheOldContainerOutside:
    """`books = Books(orders=old.orders)` and `old.override_providers(database=books.database)`."""

    def test_both_use_the_same_objects_in_each_run(self) -> None:
        """The exit discards the singletons of the old container that the new one received."""
        old = Old()
        books = Books(orders=old.orders)
        old.override_providers(database=books.database)
        books.validate()

        for _ in range(2):
            with running(books):
                assert books.audit().orders is old.orders()
                assert old.orders().database is old.copy().database is books.database()
                assert books.database().is_open

    def test_a_with_block_of_reset_singletons_discards_the_others(self) -> None:
        """The new container cannot find users of its components that it did not receive."""
        old, books = Old(), Books(orders=Orders(Database()))
        old.override_providers(database=books.database)
        with running(books):
            old.orders()
        with running(books):
            assert old.orders().database is not books.database()

        for _ in range(2):
            with old.reset_singletons(), running(books):
                assert old.orders().database is books.database()


def test_an_old_container_takes_a_whole_container_as_its_dependencies() -> None:
    """The dependencies include nested containers, also those of the library."""

    class Infra(Container):
        database = Component(Database, "infra://")

    class Site(Container):
        bus = Component(Bus)
        infra = Infra()
        database = Component(Database, "site://")

    class Receiving(theirs.DeclarativeContainer):  # type: ignore[misc]
        site: Any = library.DependenciesContainer(infra=library.DependenciesContainer())
        orders = providers.Singleton(Orders, site.database)
        inner = providers.Singleton(Orders, site.infra.database)

    site = Site()
    old = Receiving(site=site)
    old.check_dependencies()

    with running(site):
        assert old.orders().database is site.database()
        assert old.inner().database is site.infra.database()


class Sharing(Container):
    """Shares an instance of the old container."""

    bus = Component(Bus)
    legacy: Any = Old()


@inject
def shared_orders(orders: Orders = Provide[Sharing.legacy.orders]) -> Orders:
    """Take what the shared instance provides."""
    return orders


@inject
def shared_url(url: str = Provide[Sharing.legacy.orders.provided.database.url]) -> str:
    """Take an attribute of it."""
    return url


class TestAnInstanceOfTheOldContainerAsAnAttribute:
    """`legacy = old` in the body of the new one, where *old* is an instance."""

    def test_its_providers_are_shared_and_not_copied(self) -> None:
        """Each instance of the class, of a subclass, and of an enclosing container shares them."""

        class Infra(Container):
            legacy = old = Old()
            audit = Component(Audit, provided(legacy.orders))

        class Site(Container):
            bus = Component(Bus)
            infra = Infra()
            later = Component(Audit, provided(Infra.old.copy))

        class Sub(Infra):
            bus = Component(Bus)
            second = Component(Audit, provided(Infra.old.orders))

        one, other, sub = Site(), Site(), Sub()
        for made in (one, other, sub):
            made.validate()

        assert one.infra.legacy is Infra.old
        assert one.infra.audit().orders is other.infra.audit().orders is sub.second().orders is Infra.old.orders()
        assert one.later().orders.database is Infra.old.database()

    def test_markers_may_name_its_providers(self) -> None:
        """A function that is wired to the new container may name a provider of the shared instance."""
        site = Sharing()
        site.wire(modules=[sys.modules[__name__]])
        try:
            assert shared_orders() is site.legacy.orders()
            assert shared_url() == "memory://"
        finally:
            site.unwire()

    def test_a_component_that_overrides_one_of_them_stays_in_its_container(self) -> None:
        """The component belongs to a third container, which starts it."""
        books, old = Books(orders=Orders(Database())), Old()
        old.override_providers(database=books.database)

        class Site(Container):
            bus = Component(Bus)
            legacy = old
            audit = Component(Audit, provided(legacy.orders))

        site = Site()
        with running(books):
            assert site.audit().orders.database is books.database()
            assert books.database().is_open
        with running(books):
            assert books.database() is not site.audit().orders.database

    def test_a_component_of_the_container_itself_may_override_one(self) -> None:
        """The exit discards the singletons of the old one that use it."""

        class Site(Container):
            bus = Component(Bus)
            legacy = Old()
            database = Component(Database, "site://")
            audit = Component(Audit, provided(legacy.orders))

        site = Site()
        site.legacy.override_providers(database=site.database)
        for _ in range(2):
            with running(site):
                assert site.audit().orders is site.legacy.orders()
                assert site.audit().orders.database is site.database()


made_before = Shop()


class Components(theirs.DeclarativeContainer):  # type: ignore[misc]
    """Has components in three ways in which it cannot use them."""

    database = Component(Database)
    of_class = providers.Singleton(Orders, Shop.database)
    of_instance = providers.Singleton(Orders, made_before.database)


@pytest.mark.parametrize("name", ["database", "of_class", "of_instance"])
def test_a_component_in_an_old_container_is_an_error_with_the_way_out(name: str) -> None:
    """The container of the library copies it, and has neither a bus nor an order."""
    old = Components()

    with pytest.raises(OutsideContainer) as refused:
        old.providers[name]()

    assert refused.value.is_in_library
    assert "is in a container of dependency-injector, which does not construct components" in str(refused.value)
    assert "declare database = providers.Dependency() there" in str(refused.value)
    assert "Old(database=new.database)" in str(refused.value)


def test_a_dependency_of_an_old_container_takes_a_component() -> None:
    """This is the remedy in the error for a component in an old container."""

    class Receiving(theirs.DeclarativeContainer):  # type: ignore[misc]
        database = providers.Dependency(instance_of=Database)
        orders = providers.Singleton(Orders, database)

    new = Shop()
    old = Receiving(database=new.database)

    assert old.orders().database is new.database()


def test_self_provides_the_container() -> None:
    """In a nested container, `Self` provides the nested one, as in the library."""

    class Infra(Container):
        own: Any = providers.Self()
        holding = Component(list[object], provided(library.List(own)))

    class Site(Container):
        infra = Infra()

    site, infra = Site(), Infra()

    assert site.infra.holding() == [site.infra]
    assert infra.own() is infra.holding()[0] is infra
