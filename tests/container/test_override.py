"""Overrides: something else in the place of a component, for the length of a block."""

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
    """Notes what happens to it."""

    def __init__(self, notes: list[str], url: str) -> None:
        self.notes = notes
        self.url = url
        self.note("build")

    def note(self, what: str) -> None:
        """Note *what*."""
        self.notes.append(f"{what} {self.url}")

    def start(self) -> None:
        """Note it."""
        self.note("start")

    def stop(self) -> None:
        """Note it."""
        self.note("stop")


class Wrapping(Database):
    """Stands in for a database, and uses another."""

    def __init__(self, inner: Database) -> None:
        super().__init__(inner.notes, f"wrapped {inner.url}")
        self.inner = inner


class Orders:
    """Needs a database."""

    def __init__(self, database: Database) -> None:
        self.database = database


def fake(url: str = "fake") -> Database:
    """Return an object to stand in for a database, with notes of its own."""
    return Database([], url)


class Infra(Container):
    """To be nested."""

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


def test_an_object_stands_in_wherever_the_component_is_asked_for() -> None:
    """By those that need it, and by a call."""
    shop, stand_in = Shop(), fake()

    with shop.override(Shop.database).by(stand_in):
        assert shop.orders().database is stand_in
        assert shop.database() is stand_in


def test_the_original_is_neither_built_nor_started() -> None:
    """Nor is what it alone needed; what others need as well is."""
    shop = Shop()

    stand_in = fake()
    with shop.override(Shop.database).by(stand_in), running(shop):
        pass

    assert shop.notes() == ["build shared", "start shared", "stop shared"]
    assert stand_in.notes == ["build fake", "start fake", "stop fake"]


def test_what_only_those_needed_that_are_not_needed_any_more_is_not_built() -> None:
    """However long the way to the overridden component."""

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


def test_a_component_stands_in_with_components_of_the_container() -> None:
    """It may refer to any of them, and gets this instance's."""
    shop = Shop()

    with shop.override(Shop.database).by(Component(Wrapping, Shop.shared.provided)):
        database = shop.orders().database

        assert isinstance(database, Wrapping)
        assert database.inner is shop.shared()


def test_a_component_that_stands_in_is_built_once_and_listens() -> None:
    """As a declared one would."""
    shop = Shop()

    with shop.override(Shop.database).by(Component(Database, Shop.notes.provided, "fake")), running(shop):
        assert shop.database() is shop.orders().database

    assert shop.notes() == ["build shared", "build fake", "start shared", "start fake", "stop fake", "stop shared"]


def test_a_component_that_stands_in_may_have_hooks_of_its_own() -> None:
    """Those of its own declaration are heard too."""

    class Plain(Database):
        def read(self) -> None:
            self.note("read")

    shop = Shop()
    stand_in = Component(Plain, Shop.notes.provided, "fake").on(GRACEFUL.calls(Plain.read))
    with shop.override(Shop.database).by(stand_in), running(shop):
        shop.bus().graceful()

    assert "read fake" in shop.notes()


def test_a_declaration_that_stands_in_builds_nothing_itself() -> None:
    """Each override takes a copy, so that one declaration can stand in for many."""
    stand_in = Component(fake)
    one, other = Shop(), Shop()

    with one.override(Shop.database).by(stand_in), other.override(Shop.database).by(stand_in):
        assert one.database() is not other.database()

    assert not stand_in.is_built


def test_all_is_as_it_was_after_the_block() -> None:
    """The next one who asks gets the real one, and so does who needs it."""
    shop = Shop()

    with shop.override(Shop.database).by(fake()):
        shop.orders()

    assert shop.database().url == "real"
    assert shop.orders().database is shop.database()
    assert shop.database.overriding is None


def test_all_is_as_it_was_after_a_block_that_failed() -> None:
    """The failure comes out as it is."""
    shop = Shop()

    with pytest.raises(KeyError), shop.override(Shop.database).by(fake()):
        shop.orders()
        raise KeyError

    assert shop.orders().database.url == "real"


def test_the_next_start_uses_the_real_one() -> None:
    """Nothing of what stood in is left on the bus."""
    shop, stand_in = Shop(), fake()
    with shop.override(Shop.database).by(stand_in), running(shop):
        pass
    listening = {one.listener for channel in (START, STOP) for one in shop.bus()[channel].subscriptions}

    with running(shop):
        pass

    assert not listening & {stand_in.start, stand_in.stop}
    assert shop.notes().count("start real") == shop.notes().count("stop real") == 1
    assert stand_in.notes == ["build fake", "start fake", "stop fake"]


def test_what_stands_in_starts_after_what_it_needs() -> None:
    """The start order follows the dependencies as they are, and not as they were."""

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
def test_an_override_that_comes_too_late_is_refused(built: str) -> None:
    """The component, or one that needs it, has the real one already."""
    shop = Shop()
    getattr(shop, built)()

    with pytest.raises(OverrideError, match="Shop.database is built already") as refused:
        shop.override(Shop.database).by(fake()).__enter__()

    assert refused.value.path == "Shop.database"
    assert refused.value.place == Shop.database.place
    assert shop.database().url == "real"


def test_the_one_that_is_built_already_is_named() -> None:
    """It was built with another override, which is over for nobody yet."""
    shop = Shop()

    with shop.override(Shop.database).by(fake("outer")):
        shop.orders()
        with pytest.raises(OverrideError, match="Shop.orders is built already"):
            shop.override(Shop.database).by(fake("inner")).__enter__()

        assert shop.orders().database.url == "outer"


def test_a_running_container_cannot_be_overridden() -> None:
    """Everything in it is built."""
    shop = Shop()

    with running(shop), pytest.raises(OverrideError):
        shop.override(Shop.shared).by(fake()).__enter__()


def test_what_is_needed_by_nobody_who_is_built_can_be_overridden() -> None:
    """It does not matter what else the container has built."""
    shop = Shop()
    shop.pool()
    shop.other()

    with shop.override(Shop.database).by(fake()):
        assert shop.orders().database.url == "fake"


def test_what_was_built_without_it_outlives_the_block() -> None:
    """Only those that need the overridden component are forgotten."""
    shop = Shop()

    with shop.override(Shop.database).by(fake()):
        other = shop.other()

    assert shop.other() is other


def test_the_component_of_another_container_is_refused() -> None:
    """A stand-in for it would change nothing here."""
    with pytest.raises(OverrideError, match="is not a component of Shop") as refused:
        Shop().override(Infra.database)

    assert refused.value.path == "Infra.database"


def test_the_component_of_another_instance_is_refused() -> None:
    """It belongs to the other."""
    with pytest.raises(OverrideError):
        Shop().override(Shop().database)


def test_a_component_can_be_named_as_the_instance_has_it() -> None:
    """As well as by the class."""
    shop = Shop()

    with shop.override(shop.database).by(fake()):
        assert shop.orders().database.url == "fake"


def test_other_instances_keep_the_real_one() -> None:
    """An override is one instance's."""
    shop, other = Shop(), Shop()

    with shop.override(Shop.database).by(fake()):
        assert other.orders().database.url == "real"


def test_overrides_nest() -> None:
    """The innermost counts, and at the end of its block the one around it does again."""
    shop = Shop()
    seen: list[str] = []

    with shop.override(Shop.database).by(fake("outer")):
        with shop.override(Shop.database).by(Component(fake, "inner")), shop.override(Shop.shared).by(fake("beside")):
            seen += [shop.orders().database.url, shop.shared().url]
        seen.append(shop.orders().database.url)
    seen.append(shop.orders().database.url)

    assert seen == ["inner", "beside", "outer", "real"]


def test_what_stands_in_can_have_its_needs_overridden() -> None:
    """An inner override of what it refers to reaches it."""
    shop = Shop()

    with shop.override(Shop.database).by(Component(Wrapping, Shop.shared.provided)):
        with shop.override(Shop.shared).by(fake("other")):
            inner = shop.orders().database.url

        assert (inner, shop.orders().database.url) == ("wrapped other", "wrapped shared")


def test_a_component_of_a_nested_container_can_be_overridden() -> None:
    """By the way that leads to it in the class, or in the instance."""

    class Outer(Container):
        infra = Infra()
        orders = Component(Orders, infra.database.provided)

    outer = Outer()
    seen: list[str] = []
    for component in (Outer.infra.database, outer.infra.database):
        with outer.override(component).by(fake()), running(outer):
            seen.append(outer.orders().database.url)

    assert seen == ["fake", "fake"]
    assert outer.orders().database.url == "infra"


def test_an_alias_and_what_it_names_are_overridden_together() -> None:
    """They are one component."""

    class Outer(Container):
        infra = Infra()
        database = infra.database

    outer = Outer()
    with outer.override(Outer.database).by(fake()):
        assert outer.infra.database().url == "fake"


def test_a_circle_that_an_override_closes_is_a_fault() -> None:
    """What stands in needs what needs the overridden component: it is told with the whole path."""
    shop = Shop()

    with shop.override(Shop.database).by(Component(lambda orders: fake(), Shop.orders.provided)):
        with pytest.raises(InvalidContainer) as invalid:
            shop.validate()
        with pytest.raises(InvalidContainer):
            shop.orders()

    (fault,) = invalid.value.exceptions
    assert isinstance(fault, CycleFault)
    assert [member.rpartition(".")[2] for member in fault.cycle] == ["database", "orders"]


def test_what_stands_in_is_validated_and_what_it_replaces_is_not() -> None:
    """Before, inside and after the block the faults are those of what is there."""
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
    seen = [faults()]
    for stand_in in (Component(wrong, 1, 2, 3), fake(), Component(fake)):
        with faulty.override(Faulty.database).by(stand_in):
            seen.append(faults())
    seen.append(faults())

    assert seen == [2, 1, 0, 0, 2]


def test_a_container_that_was_valid_is_looked_at_again_inside_the_block() -> None:
    """Something else is to be built now."""
    shop = Shop()
    shop.validate()
    wrong: Any = Database

    with shop.override(Shop.database).by(Component(wrong)), pytest.raises(InvalidContainer):
        shop.validate()

    shop.validate()


def test_two_containers_share_a_bus() -> None:
    """Both are started and stopped with it, each in its own order."""
    bus = Bus()
    one, other = Shop(), Shop()

    with one.override(Shop.bus).by(bus), other.override(Shop.bus).by(bus):
        other.attach()
        with running(one):
            assert [one.orders.is_built, other.orders.is_built] == [True, True]

    for shop in (one, other):
        assert [note for note in shop.notes() if "real" in note] == ["build real", "start real", "stop real"]
        assert not shop.bus.is_built


def test_a_component_that_alone_uses_the_bus_can_be_overridden() -> None:
    """The container starts on the bus, whoever else refers to it."""

    class Telling(Container):
        bus = Component(Bus)
        orders = Component(lambda bus: Orders(fake()), bus.provided)

    telling = Telling()
    with telling.override(Telling.orders).by(Orders(fake())), running(telling):
        assert telling.bus.is_built


def test_what_stands_in_may_bring_components_of_its_own() -> None:
    """They are built in the container for as long, and are nobody else's."""
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
def test_a_nested_container_can_override_its_own(by_class: bool) -> None:
    """With what it has and what those around it have; it reaches them, and is over for them as well."""

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


def test_an_override_through_a_nested_container_may_come_too_late_for_those_around_it() -> None:
    """The one who is built is named."""

    class Outer(Container):
        infra = Infra()
        orders = Component(Orders, infra.database.provided)

    outer = Outer()
    with outer.override(outer.infra.database).by(fake()):
        outer.orders()
        with pytest.raises(OverrideError, match=r"Outer\.orders is built already"):
            outer.infra.override(Infra.database).by(fake()).__enter__()


def test_overrides_may_end_in_any_order() -> None:
    """Each takes away its own."""
    shop = Shop()
    outer, inner = contextlib.ExitStack(), contextlib.ExitStack()
    outer.enter_context(shop.override(Shop.database).by(fake("outer")))
    inner.enter_context(shop.override(Shop.database).by(fake("inner")))

    outer.close()
    seen = [shop.orders().database.url]
    inner.close()

    assert [*seen, shop.orders().database.url] == ["inner", "real"]


def test_all_is_as_it_was_after_a_start_that_failed() -> None:
    """What had been built with the replacement is forgotten."""

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


def test_a_replacement_of_a_base_s_component_is_overridden_by_either_name() -> None:
    """What a subclass declares anew is what its base's name stands for."""

    class Test(Shop):
        database = Component(Database, Shop.notes.provided, "test")

    test = Test()
    for component in (Shop.database, Test.database):
        with test.override(component).by(fake()):
            assert test.orders().database is test.database()
            assert test.database().url == "fake"


def test_one_of_the_container_may_stand_in_for_another_and_keeps_its_name() -> None:
    """Both names give it; it is built and started once, by its own."""
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
