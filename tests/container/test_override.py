"""Overrides: a replacement for a component, for the length of a block."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from typedbus import (
    GRACEFUL,
    START,
    STOP,
    Bus,
    Component,
    Container,
    InvalidContainer,
    OverrideError,
    TransitionFailures,
    running,
)
from typedbus.faults import CycleFault


class Database:
    """Records its life cycle."""

    def __init__(self, notes: list[str], url: str) -> None:
        self.notes = notes
        self.url = url
        self.note("build")

    def note(self, what: str) -> None:
        """Record *what*."""
        self.notes.append(f"{what} {self.url}")

    def start(self) -> None:
        """Record the call."""
        self.note("start")

    def stop(self) -> None:
        """Record the call."""
        self.note("stop")


class Wrapping(Database):
    """Replaces a database, and uses another."""

    def __init__(self, inner: Database) -> None:
        super().__init__(inner.notes, f"wrapped {inner.url}")
        self.inner = inner


class Orders:
    """A component that needs a database."""

    def __init__(self, database: Database) -> None:
        self.database = database


def fake(url: str = "fake") -> Database:
    """Return a replacement of a database, with its own notes."""
    return Database([], url)


class Infra(Container):
    """A container that others nest."""

    bus = Component(Bus)
    notes = Component(list[str])
    database = Component(Database, notes.provided, "infra")


def connect(notes: list[str], pool: Database, shared: Database) -> Database:
    """Return the real database."""
    return Database(notes, "real")


class Shop(Container):
    """`pool` is needed by `database` alone, and `shared` by others as well."""

    bus = Component(Bus)
    notes = Component(list[str])
    shared = Component(Database, notes.provided, "shared")
    pool = Component(Database, notes.provided, "pool")
    database = Component(connect, notes.provided, pool.provided, shared.provided)
    orders = Component(Orders, database.provided)
    other = Component(Orders, shared.provided)


def test_an_object_replaces_the_component_for_users_and_callers() -> None:
    """For components that need it, and for a call."""
    shop, stand_in = Shop(), fake()

    with shop.override(Shop.database).by(stand_in):
        assert shop.orders().database is stand_in
        assert shop.database() is stand_in


def test_the_original_is_neither_built_nor_started() -> None:
    """Nor are dependencies that it alone needs; shared ones are."""
    shop = Shop()

    stand_in = fake()
    with shop.override(Shop.database).by(stand_in), running(shop):
        pass

    assert shop.notes() == ["build shared", "start shared", "stop shared"]
    assert stand_in.notes == ["build fake", "start fake", "stop fake"]


def test_indirect_dependencies_of_the_original_alone_are_not_built() -> None:
    """The chain to the overridden component may have any length."""

    class Deep(Container):
        bus = Component(Bus)
        notes = Component(list[str])
        far = Component(Database, notes.provided, "far")
        near = Component(Wrapping, far.provided)
        orders = Component(Orders, near.provided)

    deep = Deep()
    with deep.override(Deep.orders).by(Orders(fake())), running(deep):
        pass

    assert deep.notes() == []


def test_a_replacement_may_need_components_of_the_container() -> None:
    """It gets those of the instance."""
    shop = Shop()

    with shop.override(Shop.database).by(Component(Wrapping, Shop.shared.provided)):
        database = shop.orders().database

        assert isinstance(database, Wrapping)
        assert database.inner is shop.shared()


def test_a_component_as_a_replacement_is_built_once_and_listens() -> None:
    """It is handled like a declared one."""
    shop = Shop()

    with shop.override(Shop.database).by(Component(Database, Shop.notes.provided, "fake")), running(shop):
        assert shop.database() is shop.orders().database

    assert shop.notes() == ["build shared", "build fake", "start shared", "start fake", "stop fake", "stop shared"]


def test_hooks_declared_on_a_replacement_are_called() -> None:
    """In addition to those of the class."""

    class Plain(Database):
        def read(self) -> None:
            self.note("read")

    shop = Shop()
    stand_in = Component(Plain, Shop.notes.provided, "fake").on(GRACEFUL.calls(Plain.read))
    with shop.override(Shop.database).by(stand_in), running(shop):
        shop.bus().graceful()

    assert "read fake" in shop.notes()


def test_each_override_copies_the_replacing_declaration() -> None:
    """One declaration can replace many components."""
    stand_in = Component(fake)
    one, other = Shop(), Shop()

    with one.override(Shop.database).by(stand_in), other.override(Shop.database).by(stand_in):
        assert one.database() is not other.database()

    assert not stand_in.is_built


def test_the_original_is_restored_after_the_block() -> None:
    """Calls and users get the original afterwards."""
    shop = Shop()

    with shop.override(Shop.database).by(fake()):
        shop.orders()

    assert shop.database().url == "real"
    assert shop.orders().database is shop.database()
    assert shop.database.overriding is None


def test_the_original_is_restored_after_a_block_that_failed() -> None:
    """The exception of the block is raised unchanged."""
    shop = Shop()

    with pytest.raises(KeyError), shop.override(Shop.database).by(fake()):
        shop.orders()
        raise KeyError

    assert shop.orders().database.url == "real"


def test_the_next_start_uses_the_original() -> None:
    """The replacement is not subscribed any more."""
    shop, stand_in = Shop(), fake()
    with shop.override(Shop.database).by(stand_in), running(shop):
        pass
    listening = {one.listener for channel in (START, STOP) for one in shop.bus()[channel].subscriptions}

    with running(shop):
        pass

    assert not listening & {stand_in.start, stand_in.stop}
    assert shop.notes().count("start real") == shop.notes().count("stop real") == 1
    assert stand_in.notes == ["build fake", "start fake", "stop fake"]


def test_a_replacement_starts_after_its_dependencies() -> None:
    """The start order follows the dependencies of the replacement."""

    class Turned(Container):
        bus = Component(Bus)
        notes = Component(list[str])
        database = Component(Database, notes.provided, "real")
        shared = Component(Database, notes.provided, "shared")

    turned = Turned()
    with turned.override(Turned.database).by(Component(Wrapping, Turned.shared.provided)), running(turned):
        pass

    assert turned.notes()[:4] == ["build shared", "build wrapped shared", "start shared", "start wrapped shared"]


@pytest.mark.parametrize("built", ["database", "orders"])
def test_an_override_of_a_built_component_is_refused(built: str) -> None:
    """The component, or one that needs it, was built with the original."""
    shop = Shop()
    getattr(shop, built)()

    with pytest.raises(OverrideError, match="Shop.database is built already") as refused:
        shop.override(Shop.database).by(fake()).__enter__()

    assert refused.value.path == "Shop.database"
    assert refused.value.place == Shop.database.place
    assert shop.database().url == "real"


def test_the_error_names_the_component_that_is_already_built() -> None:
    """It was built with another override, whose block has not ended."""
    shop = Shop()

    with shop.override(Shop.database).by(fake("outer")):
        shop.orders()
        with pytest.raises(OverrideError, match="Shop.orders is built already"):
            shop.override(Shop.database).by(fake("inner")).__enter__()

        assert shop.orders().database.url == "outer"


def test_a_running_container_cannot_be_overridden() -> None:
    """All of its components are built."""
    shop = Shop()

    with running(shop), pytest.raises(OverrideError):
        shop.override(Shop.shared).by(fake()).__enter__()


def test_a_component_without_built_users_can_be_overridden() -> None:
    """Other components of the container may be built."""
    shop = Shop()
    shop.pool()
    shop.other()

    with shop.override(Shop.database).by(fake()):
        assert shop.orders().database.url == "fake"


def test_a_component_that_does_not_need_the_override_outlives_the_block() -> None:
    """Only users of the overridden component are forgotten."""
    shop = Shop()

    with shop.override(Shop.database).by(fake()):
        other = shop.other()

    assert shop.other() is other


def test_a_component_of_another_container_is_refused() -> None:
    """Its override would have no effect here."""
    with pytest.raises(OverrideError, match="is not a component of Shop") as refused:
        Shop().override(Infra.database)

    assert refused.value.path == "Infra.database"


def test_a_component_of_another_instance_is_refused() -> None:
    """It belongs to the other instance."""
    with pytest.raises(OverrideError):
        Shop().override(Shop().database)


def test_a_component_of_the_instance_can_be_passed_to_override() -> None:
    """That of the class is accepted as well."""
    shop = Shop()

    with shop.override(shop.database).by(fake()):
        assert shop.orders().database.url == "fake"


def test_other_instances_keep_the_original() -> None:
    """An override applies to one instance."""
    shop, other = Shop(), Shop()

    with shop.override(Shop.database).by(fake()):
        assert other.orders().database.url == "real"


def test_overrides_nest() -> None:
    """The innermost override is used, and at the end of its block the outer one is again."""
    shop = Shop()
    urls: list[str] = []

    with shop.override(Shop.database).by(fake("outer")):
        with shop.override(Shop.database).by(Component(fake, "inner")), shop.override(Shop.shared).by(fake("beside")):
            urls += [shop.orders().database.url, shop.shared().url]
        urls.append(shop.orders().database.url)
    urls.append(shop.orders().database.url)

    assert urls == ["inner", "beside", "outer", "real"]


def test_dependencies_of_a_replacement_can_be_overridden() -> None:
    """An inner override applies to a component that the replacement needs."""
    shop = Shop()

    with shop.override(Shop.database).by(Component(Wrapping, Shop.shared.provided)):
        with shop.override(Shop.shared).by(fake("other")):
            inner = shop.orders().database.url

        assert (inner, shop.orders().database.url) == ("wrapped other", "wrapped shared")


def test_a_component_of_a_nested_container_can_be_overridden() -> None:
    """By the attribute path of the class, or of the instance."""

    class Outer(Container):
        infra = Infra()
        orders = Component(Orders, infra.database.provided)

    outer = Outer()
    urls: list[str] = []
    for component in (Outer.infra.database, outer.infra.database):
        with outer.override(component).by(fake()), running(outer):
            urls.append(outer.orders().database.url)

    assert urls == ["fake", "fake"]
    assert outer.orders().database.url == "infra"


def test_an_alias_and_its_component_are_overridden_together() -> None:
    """They are one component."""

    class Outer(Container):
        infra = Infra()
        database = infra.database

    outer = Outer()
    with outer.override(Outer.database).by(fake()):
        assert outer.infra.database().url == "fake"


def test_an_override_that_closes_a_cycle_is_a_fault() -> None:
    """The replacement needs a user of the overridden component; the fault has the whole path."""
    shop = Shop()

    with shop.override(Shop.database).by(Component(lambda orders: fake(), Shop.orders.provided)):
        with pytest.raises(InvalidContainer) as invalid:
            shop.validate()
        with pytest.raises(InvalidContainer):
            shop.orders()

    (fault,) = invalid.value.exceptions
    assert isinstance(fault, CycleFault)
    assert [member.rpartition(".")[2] for member in fault.cycle] == ["database", "orders"]


def test_the_replacement_is_validated_and_the_original_is_not() -> None:
    """Before, inside and after the block the faults are those of the components in use."""
    wrong: Any = Database

    class Faulty(Container):
        bus = Component(Bus)
        database: Component[Any] = Component(wrong)

    def faults() -> int:
        try:
            faulty.validate()
        except InvalidContainer as invalid:
            return len(invalid.exceptions)
        return 0

    faulty = Faulty()
    problems = [faults()]
    for stand_in in (Component(wrong, 1, 2, 3), fake(), Component(fake)):
        with faulty.override(Faulty.database).by(stand_in):
            problems.append(faults())
    problems.append(faults())

    assert problems == [2, 1, 0, 0, 2]


def test_a_valid_container_is_validated_again_inside_the_block() -> None:
    """Its components have changed."""
    shop = Shop()
    shop.validate()
    wrong: Any = Database

    with shop.override(Shop.database).by(Component(wrong)), pytest.raises(InvalidContainer):
        shop.validate()

    shop.validate()


def test_two_containers_share_a_bus() -> None:
    """The bus starts and stops both, each in its own order."""
    bus = Bus()
    one, other = Shop(), Shop()

    with one.override(Shop.bus).by(bus), other.override(Shop.bus).by(bus):
        other.attach()
        with running(one):
            assert [one.orders.is_built, other.orders.is_built] == [True, True]

    for shop in (one, other):
        assert [note for note in shop.notes() if "real" in note] == ["build real", "start real", "stop real"]
        assert not shop.bus.is_built


def test_the_only_user_of_the_bus_can_be_overridden() -> None:
    """The container starts on the bus nevertheless."""

    class Telling(Container):
        bus = Component(Bus)
        orders = Component(lambda bus: Orders(fake()), bus.provided)

    telling = Telling()
    with telling.override(Telling.orders).by(Orders(fake())), running(telling):
        assert telling.bus.is_built


def test_a_replacement_may_need_anonymous_components() -> None:
    """They are built in the container for the length of the block, and have no other users."""
    shop = Shop()
    stand_in = Component(Wrapping, Component(Database, Shop.notes.provided, "inner").provided)

    with shop.override(Shop.database).by(stand_in), running(shop):
        assert shop.orders().database.url == "wrapped inner"

    assert [note for note in shop.notes() if "inner" in note and "start" in note] == [
        "start inner",
        "start wrapped inner",
    ]
    assert shop.orders().database.url == "real"


@pytest.mark.parametrize("by_class", [True, False])
def test_a_nested_container_can_override_its_components(by_class: bool) -> None:
    """The replacement may need its components and those of the outer containers; the override applies to them as well."""

    class Outer(Container):
        infra = Infra()
        extra = Component(fake, "extra")
        orders = Component(Orders, infra.database.provided)

    def joined(notes: list[str], extra: Database) -> Database:
        notes.append("joined")
        return Wrapping(extra)

    outer = Outer()
    stand_in = Component(joined, Infra.notes.provided, Outer.extra.provided)
    with outer.infra.override(Infra.database if by_class else outer.infra.database).by(stand_in), running(outer):
        database = outer.orders().database
        assert isinstance(database, Wrapping)
        assert database.inner is outer.extra()
        assert outer.infra.notes() == ["joined"]

    assert outer.orders().database.url == "infra"


def test_an_override_through_a_nested_container_is_refused_after_an_outer_user_is_built() -> None:
    """The error names that user."""

    class Outer(Container):
        infra = Infra()
        orders = Component(Orders, infra.database.provided)

    outer = Outer()
    with outer.override(outer.infra.database).by(fake()):
        outer.orders()
        with pytest.raises(OverrideError, match=r"Outer\.orders is built already"):
            outer.infra.override(Infra.database).by(fake()).__enter__()


def test_overrides_may_end_in_any_order() -> None:
    """The end of each removes that override alone."""
    shop = Shop()
    outer, inner = contextlib.ExitStack(), contextlib.ExitStack()
    outer.enter_context(shop.override(Shop.database).by(fake("outer")))
    inner.enter_context(shop.override(Shop.database).by(fake("inner")))

    outer.close()
    urls = [shop.orders().database.url]
    inner.close()

    assert [*urls, shop.orders().database.url] == ["inner", "real"]


def test_the_original_is_restored_after_a_start_that_failed() -> None:
    """Components that were built with the replacement are forgotten."""

    class Failing(Database):
        def start(self) -> None:
            raise OSError("no")

    shop = Shop()
    with (
        pytest.raises(TransitionFailures),
        shop.override(Shop.database).by(Component(Failing, Shop.notes.provided, "failing")),
        running(shop),
    ):
        pass

    with running(shop):
        assert shop.orders().database.url == "real"
    assert "start failing" not in shop.notes()


def test_a_redeclared_component_is_overridden_by_the_name_of_either_class() -> None:
    """The declaration of the base refers to the one of the subclass."""

    class Test(Shop):
        database = Component(Database, Shop.notes.provided, "test")

    test = Test()
    for component in (Shop.database, Test.database):
        with test.override(component).by(fake()):
            assert test.orders().database is test.database()
            assert test.database().url == "fake"


def test_a_component_may_replace_another_of_its_container_and_keeps_its_name() -> None:
    """Both names give it; it is built and started once, under its own name."""
    notes: list[str] = []

    class Two(Container):
        bus = Component(Bus)
        first = Component(Database, notes, "first")
        second = Component(Database, notes, "second")

    two = Two()
    with two.override(Two.first).by(Two.second), running(two):
        assert two.first() is two.second()
        assert two.second.path == "Two.second"

    assert notes.count("start second") == 1
