"""Containers: instances of their own, inheritance, nesting, and the components in start order."""

from __future__ import annotations

import copy
import gc
import os
import subprocess
import sys
import textwrap
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from tests.doubles import ConstructionRecorder

from typedbus import (
    EXIT,
    START,
    STOP,
    Bus,
    Channel,
    Component,
    Container,
    DeclarationError,
    InvalidContainer,
    OutsideContainer,
    State,
    TransitionFailures,
    on,
    running,
)
from typedbus._container.core import components_of
from typedbus.events import LIFECYCLE, ComponentStarted, Constructed

ring = Channel[[], None]("ring")


class Database:
    """Something to be needed."""

    def __init__(self, url: str = "memory://") -> None:
        self.url = url


class Cached(Database):
    """A database that wraps another."""

    def __init__(self, inner: Database) -> None:
        super().__init__(f"cached {inner.url}")
        self.inner = inner


class Orders:
    """Something that needs a database."""

    def __init__(self, database: Database) -> None:
        self.database = database


class Base(Container):
    """Something to inherit from."""

    database = Component(Database, "base")
    orders = Component(Orders, database.provided)


class Infra(Container):
    """Something to nest."""

    bus = Component(Bus)
    database = Component(Database, "infra")


class Noted(ConstructionRecorder):
    """Records its graceful restarts as well."""

    def graceful(self) -> None:
        self.record("graceful")


class Early(Noted):
    """Would like to start before everything else."""

    @on(START, priority=1)
    def start(self) -> None:
        """Note it."""
        super().start()


class Late(Noted):
    """Would like to start after everything else."""

    @on(START, priority=90)
    def start(self) -> None:
        """Note it."""
        super().start()


def during(notes: list[str], what: str) -> list[str]:
    """Return the names in *notes* that *what* happened to, in order."""
    return [name for verb, _, name in (note.partition(" ") for note in notes) if verb == what]


def test_the_components_of_two_instances_are_apart() -> None:
    """Each instance has its own, and the class none."""
    one, other = Base(), Base()

    assert one.database() is not other.database()
    assert one.orders().database is one.database()
    assert not Base.database.is_built


def test_an_instance_is_one_of_its_class() -> None:
    """With its methods, and with what its own __init__ takes."""

    class Shop(Base):
        currency = "EUR"

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def title(self) -> str:
            return f"{self.name} on {self.database().url} in {self.currency}"

    shop = Shop("flowers")

    assert isinstance(shop, Shop)
    assert shop.title() == "flowers on base in EUR"
    assert repr(shop) == "<Shop with 2 declaration(s)>"


def test_components_are_known_by_their_path() -> None:
    """As the errors and the events tell of them."""

    class Shop(Base):
        infra = Infra()

    shop = Shop()

    assert (Shop.infra.database.path, Base.orders.path) == ("Shop.infra.database", "Base.orders")
    assert (shop.orders.path, shop.infra.database.path) == ("Shop.orders", "Shop.infra.database")


def test_what_a_subclass_declares_anew_is_used_by_its_base_s_declarations() -> None:
    """The base itself stays as it is."""

    class Test(Base):
        database = Component(Database, "test")

    test = Test()

    assert test.orders().database is test.database()
    assert test.database().url == "test"
    assert Base().orders().database.url == "base"


def test_a_replacement_may_wrap_what_it_replaces() -> None:
    """It refers to it by the name of the base, and everybody else gets the replacement."""

    class Fast(Base):
        database = Component(Cached, Base.database.provided)

    database = Fast().orders().database

    assert isinstance(database, Cached)
    assert database.inner.url == "base"


def test_a_replacement_that_needs_a_user_of_what_it_replaces_is_refused() -> None:
    """They would go in a circle: the class says so itself, with the component in between."""
    with pytest.raises(
        DeclarationError,
        match=r"^Odd\.database \(.*\): it needs Base\.orders, which needs the declaration that it replaces",
    ):

        class Odd(Base):
            database = Component(lambda orders: Database(f"after {orders.database.url}"), Base.orders.provided)


def test_a_subclass_adds_to_what_its_base_declares() -> None:
    """Base declarations come first, in their order."""

    class Shop(Base):
        jobs = Component(Orders, Base.database.provided)

    shop = Shop()

    assert shop.jobs().database is shop.orders().database
    assert repr(shop) == "<Shop with 3 declaration(s)>"


def test_a_container_can_have_other_bases() -> None:
    """Which hear of their subclasses as they would elsewhere."""
    heard: list[str] = []

    class Hearing:
        def __init_subclass__(cls) -> None:
            super().__init_subclass__()
            heard.append(cls.__name__)

    class Shop(Container, Hearing):
        database = Component(Database)

    assert heard == ["Shop"]
    assert Shop().database().url == "memory://"


class Named:
    """Shows what it was given."""

    def __init__(self, name: str, *needed: object) -> None:
        self.name = name
        self.needed = needed

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.needed))})"


class Pair(Container):
    """Two parts and their user."""

    x = Component(Named, "x")
    y = Component(Named, "y")
    user = Component(Named, "user", x.provided, y.provided)


class OtherX(Pair):
    """Whose part needs the other, through one that nobody replaces."""

    between = Component(Named, "between", Pair.y.provided)
    x = Component(Named, "other x", between.provided)


class OtherY(Pair):
    """Knows nothing of `OtherX`."""

    y = Component(Named, "other y")


class LastX(OtherX):
    """Needs nothing of what it replaces, and has a user of what that needed."""

    x = Component(Named, "last x")
    user = Component(Named, "user", Pair.x.provided, Pair.y.provided, OtherX.between.provided)


class Long(Container):
    """A row of them, and their user."""

    z = Component(Named, "z")
    m = Component(Named, "m", z.provided)
    y = Component(Named, "y", m.provided)
    x = Component(Named, "x")
    user = Component(Named, "user", x.provided, y.provided, m.provided)


class OtherZ(Long):
    """Exchanges the first of the row."""

    z = Component(Named, "other z")


class ShortX(Long):
    """Has what needs the row no longer, and needs that."""

    y = Component(Named, "short y")
    x = Component(Named, "other x", Long.y.provided)


class WrappingY(Long):
    """Wraps what needs the row."""

    y = Component(Named, "wrapping y", Long.y.provided)


class WrappingX(Pair):
    """Wraps what stands in its place otherwise."""

    x = Component(Named, "wrapping x", Pair.x.provided)


class ListingX(Pair):
    """The same, in a list."""

    x = Component(Named, "listing x", [Pair.x.provided.name])


@pytest.mark.parametrize(
    ("bases", "user"),
    [
        ((OtherX, OtherY), "user(other x(between(other y())), other y())"),
        ((OtherY, OtherX), "user(other x(between(other y())), other y())"),
        ((OtherX, WrappingX), "user(other x(between(y())), y())"),
        ((WrappingX, OtherX), "user(wrapping x(other x(between(y()))), y())"),
        ((WrappingX, OtherY, OtherX), "user(wrapping x(other x(between(other y()))), other y())"),
        ((ListingX, WrappingX), "user(listing x(['wrapping x']), y())"),
        ((OtherY, LastX), "user(last x(), other y(), between(other y()))"),
        ((OtherZ, ShortX), "user(other x(short y()), short y(), m(other z()))"),
        ((OtherZ, WrappingY), "user(x(), wrapping y(y(m(other z()))), m(other z()))"),
    ],
    ids=lambda value: " ".join(base.__name__ for base in value) if isinstance(value, tuple) else "",
)
def test_declarations_of_several_bases_merge_as_attributes_are_looked_up(bases: tuple[type, ...], user: str) -> None:
    """What wins takes the place of what lost wherever either base refers to it; what wraps gets the next in line."""
    both: Any = type("Both", bases, {})()

    assert str(both.user()) == user
    assert both.user().needed[:2] == (both.x(), both.y())


def test_bases_that_know_nothing_of_each_other_share_what_they_declare_alike() -> None:
    """The first base has its way, and nothing of what lost is built."""

    class Sales(Container):
        database = Component(Database, "sales")
        orders = Component(Orders, database.provided)

    class Stock(Container):
        database = Component(Database, "stock")
        shelves = Component(Orders, database.provided)

    class Both(Sales, Stock):
        pass

    both = Both()

    assert both.orders().database is both.shelves().database is both.database()
    assert both.database().url == "sales"
    assert [component.path for component in components_of(both)] == ["Both.database", "Both.orders", "Both.shelves"]


def test_nested_containers_of_several_bases_merge_as_well() -> None:
    """By the names inside them."""

    class TestInfra(Infra):
        database = Component(Database, "test")

    class Sales(Container):
        infra = Infra()
        orders = Component(Orders, infra.database.provided)

    class Test(Container):
        infra = TestInfra()

    class TestSales(Test, Sales):  # type: ignore[misc]  # checkers would have TestInfra in both
        pass

    test = TestSales()

    assert test.orders().database is test.infra.database()
    assert test.infra.database().url == "test"


@pytest.mark.parametrize("turned", [False, True])
def test_bases_whose_replacements_need_each_other_cannot_be_merged(turned: bool) -> None:
    """Each was right for itself; together they would go in a circle."""

    class YofX(Pair):
        y = Component(Named, "y of x", Pair.x.provided)

    bases = (YofX, OtherX) if turned else (OtherX, YofX)
    with pytest.raises(
        DeclarationError, match=r"^Both\.[xy] \(.*\): it needs .*, which needs the declaration that it replaces"
    ):
        type("Both", bases, {})


@pytest.mark.parametrize(
    ("wrap", "inner"),
    [
        (lambda x: x.name, "x"),
        (lambda x: [x.name], "['x']"),
        (lambda x: {"inner": x.name}, "{'inner': 'x'}"),
        (lambda x: Component(Named, "between", x).provided, "between(x())"),
    ],
    ids=["part", "list", "dict", "component without a name"],
)
def test_a_replacement_may_wrap_through_what_has_no_name_of_its_own(wrap: Callable[[Any], Any], inner: str) -> None:
    """Nobody else can refer to that, so that it may stay what it was."""

    class Fast(Pair):
        x = Component(Named, "fast", wrap(Pair.x.provided))

    assert str(Fast().user()) == f"user(fast({inner}), y())"


def test_what_lost_has_no_say_in_what_would_be_a_circle() -> None:
    """It is not there: who refers to it gets what took its place, which needs less."""

    class Base(Container):
        p = Component(Named, "p")
        x = Component(Named, "x", p.provided)
        y = Component(Named, "y", x.provided)

    class Turned(Base):
        y = Component(Named, "other y")
        x = Component(Named, "other x", Base.y.provided)
        p = Component(Named, "other p", x.provided)

    assert str(Turned().p()) == "other p(other x(other y()))"


def test_a_name_may_be_given_to_what_is_replaced_under_another() -> None:
    """All who refer to either get the last word."""

    class Aliased(Pair):
        x = Pair.y
        y = Component(Named, "other y")

    aliased = Aliased()

    assert str(aliased.user()) == "user(other y(), other y())"
    assert aliased.x() is aliased.y()


def test_two_declarations_cannot_take_the_place_of_each_other() -> None:
    """Nobody could say which of them is meant."""
    with pytest.raises(DeclarationError, match=r"^Turned\.[xy] \(.*\): it replaces a declaration that replaces it"):

        class Turned(Pair):
            x = Pair.y
            y = Pair.x


def test_a_replacement_of_a_replacement_reaches_all_that_refer_to_either() -> None:
    """However many classes are between them."""

    class Middle(Pair):
        x = Component(Named, "middle x")
        other = Component(Named, "other", x.provided)

    class Last(Middle):
        x = Component(Named, "last x", Middle.x.provided)

    last = Last()

    assert str(last.user()) == "user(last x(middle x()), y())"
    assert last.other().needed == (last.x(),)


def test_a_declaration_in_the_base_s_base_can_be_replaced() -> None:
    """A class in between need not declare anything."""

    class Middle(Base):
        pass

    class Test(Middle):
        database = Component(Database, "test")

    assert Test().orders().database.url == "test"


@pytest.mark.parametrize(
    "name",
    [
        "override",
        "validate",
        "attach",
        "wire",
        "unwire",
        "providers",
        "parent",
        "reset_singletons",
        "_body",
        "_blueprint",
    ]
    + ["__self__", "traverse", "wiring_config", "declarative_parent"],
)
def test_a_name_that_containers_use_themselves_is_refused(name: str) -> None:
    """It is told with the place, instead of a container that breaks in odd ways."""
    database = Component(Database)

    with pytest.raises(DeclarationError, match=f"use the name '{name}' themselves") as refused:
        type("Shop", (Container,), {name: database})

    assert refused.value.path == f"Shop.{name}"
    assert refused.value.place == database.place


def test_a_nested_container_cannot_have_a_reserved_name_either() -> None:
    """A container instance has no place but the module of the class."""
    with pytest.raises(DeclarationError) as refused:
        type("Shop", (Container,), {"parent": Infra(), "__module__": "shops"})

    assert refused.value.place == "shops"


def test_a_nested_container_is_a_part_of_the_instance() -> None:
    """Its components can be needed from outside, and belong to each instance anew."""

    class Shop(Container):
        infra = Infra()
        orders = Component(Orders, infra.database.provided)

    one, other = Shop(), Shop()

    assert isinstance(one.infra, Infra)
    assert one.orders().database is one.infra.database()
    assert one.infra.database() is not other.infra.database()


def test_containers_nest_in_nested_ones() -> None:
    """A component far inside is one and the same wherever it is needed."""

    class Middle(Container):
        infra = Infra()
        orders = Component(Orders, infra.database.provided)

    class Shop(Container):
        middle = Middle()
        jobs = Component(Orders, middle.infra.database.provided)

    shop = Shop()

    assert shop.jobs().database is shop.middle.orders().database is shop.middle.infra.database()
    assert shop.middle.infra.database.path == "Shop.middle.infra.database"


def test_an_alias_is_the_same_component() -> None:
    """A short name for what is declared further inside."""

    class Shop(Container):
        infra = Infra()
        bus = infra.bus

    shop = Shop()
    shop.validate()

    assert shop.bus is shop.infra.bus
    assert shop.bus.path == "Shop.bus"


def test_two_instances_of_one_nested_class_are_two() -> None:
    """Each declaration of a container has components of its own."""

    class Shop(Container):
        here = Infra()
        there = Infra()

    shop = Shop()

    assert shop.here.database() is not shop.there.database()


def test_a_nested_container_can_be_declared_anew() -> None:
    """What the base's declarations took from it comes from the new one, by name."""

    class TestInfra(Infra):
        database = Component(Database, "test")

    class Shop(Container):
        infra = Infra()
        orders = Component(Orders, infra.database.provided)

    class Test(Shop):
        infra = TestInfra()

    test = Test()

    assert test.orders().database is test.infra.database()
    assert test.infra.database().url == "test"


def test_a_nested_declaration_builds_nothing() -> None:
    """The container instance in a class body is a declaration from there on."""
    infra = Infra()

    class Shop(Container):
        nested = infra

    with pytest.raises(OutsideContainer, match="Shop.nested.database"):
        infra.database()
    assert Shop().nested.database().url == "infra"


def test_a_deep_copy_has_components_of_its_own() -> None:
    """It knows of no instance that was built."""
    shop = Base()
    shop.orders()
    copied = copy.deepcopy(shop)

    assert type(copied) is Base
    assert copied.orders() is not shop.orders()
    assert copied.orders().database is copied.database()


def test_a_copy_that_was_made_already_is_given_again() -> None:
    """The memo of a deep copy decides."""
    shop = Base()
    memo: dict[int, Any] = {}

    copied = shop.__deepcopy__(memo)

    assert shop.__deepcopy__(memo) is copied


def test_dependencies_start_first_whatever_the_priorities() -> None:
    """Stop, exit and the reverse of it all follow; graceful goes as the start went."""
    notes: list[str] = []

    class Shop(Container):
        bus = Component(Bus)
        late = Component(Late, notes, "late")
        early = Component(Early, notes, "early", late.provided)

    with running(Shop()) as shop:
        shop.bus().graceful()

    assert during(notes, "build") == during(notes, "start") == during(notes, "graceful") == ["late", "early"]
    assert during(notes, "stop") == during(notes, "exit") == ["early", "late"]


def test_lower_priorities_start_first_and_ties_follow_the_declaration() -> None:
    """Where nothing else is asked for."""
    notes: list[str] = []

    class Shop(Container):
        late = Component(Late, notes, "late")
        b = Component(Noted, notes, "b")
        a = Component(Noted, notes, "a")
        early = Component(Early, notes, "early")
        bus = Component(Bus)

    with running(Shop()):
        pass

    assert during(notes, "start") == ["early", "b", "a", "late"]
    assert during(notes, "stop") == ["late", "a", "b", "early"]


def test_needs_count_past_what_stands_between() -> None:
    """Attributes, literals and functions hide no edge from the order."""
    notes: list[str] = []

    class Shop(Container):
        bus = Component(Bus)
        late = Component(Late, notes, "late")
        early = Component(Early, notes, "early", [{"name": late.provided.name}])
        earlier = Component(Early, notes, "earlier", early.provided.name)

    with running(Shop()):
        pass

    assert during(notes, "start") == ["late", "early", "earlier"]


def test_a_component_that_only_stops_has_its_turn() -> None:
    """It stops where it would have started, between those that it needs and those that need it."""
    notes: list[str] = []

    class Pool:
        @on(STOP, priority=90)
        def drain(self) -> None:
            notes.append("stop pool")

    class Shop(Container):
        bus = Component(Bus)
        early = Component(Early, notes, "early")
        pool = Component(Pool)
        user = Component(Early, notes, "user", pool.provided)
        plain = Component(Noted, notes, "plain")

    with running(Shop()):
        pass

    assert during(notes, "start") == ["early", "plain", "user"]
    assert during(notes, "stop") == ["user", "pool", "plain", "early"]


def test_a_component_that_only_stops_is_left_alone_if_its_turn_never_came() -> None:
    """A start that fails before its turn does not stop it."""
    notes: list[str] = []

    class Pool:
        def __init__(self, name: str, *needed: object) -> None:
            self.name = name

        def stop(self) -> None:
            notes.append(f"stop {self.name}")

    class Broken:
        def start(self) -> None:
            raise OSError("no")

    class Shop(Container):
        bus = Component(Bus)
        before = Component(Pool, "before")
        broken = Component(Broken)
        after = Component(Pool, "after", broken.provided)

    with pytest.raises(TransitionFailures), running(Shop()):
        pass

    assert notes == ["stop before"]


def test_the_components_of_nested_containers_start_with_the_others() -> None:
    """The order goes across all of them."""
    notes: list[str] = []

    class Inner(Container):
        bus = Component(Bus)
        late = Component(Late, notes, "late")
        plain = Component(Noted, notes, "plain")

    class Shop(Container):
        early = Component(Early, notes, "early")
        inner = Inner()
        user = Component(Early, notes, "user", inner.late.provided)

    with running(Shop()):
        pass

    assert during(notes, "start") == ["early", "plain", "late", "user"]


def test_every_start_is_in_the_same_order() -> None:
    """A start after an exit builds anew and repeats the first."""
    notes: list[str] = []

    class Shop(Container):
        bus = Component(Bus)
        a = Component(Noted, notes, "a")
        b = Component(Early, notes, "b", a.provided)

    shop = Shop()
    with running(shop):
        pass
    with running(shop):
        pass

    assert during(notes, "build") == ["a", "b"] * 2
    assert during(notes, "start") == ["a", "b"] * 2
    assert during(notes, "stop") == ["b", "a"] * 2


RANDOM_SHOP = textwrap.dedent("""
    import random
    from typedbus import START, Bus, Component, Container, on, running
    random.seed(7)
    started = []
    class Part:
        def __init__(self, number, *needed): self.number = number
        def go(self): started.append(self.number)
    declared = {"bus": Component(Bus)}
    parts = []
    for number in range(60):
        needed = random.sample(parts, min(len(parts), random.randrange(4)))
        part = Component(Part, number, {"x": [one.provided for one in needed[:1]]}, *(one.provided for one in needed[1:]))
        declared[f"c{number}"] = part.on(START.calls(Part.go, priority=random.choice([1, 50, 90])))
        parts.append(part)
    with running(type("Shop", (Container,), declared)()):
        print(started)
""")


def start_order_under(hash_seed: int) -> str:
    """Return the start order of `RANDOM_SHOP` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", RANDOM_SHOP],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


@pytest.mark.slow
def test_the_order_is_the_same_in_every_process() -> None:
    """Neither hashes nor addresses have a say."""
    orders = {start_order_under(seed) for seed in range(5)}

    assert len(orders) == 1
    assert orders.pop().count(",") == 59


@pytest.mark.slow
@pytest.mark.exhaustive
def test_the_order_is_the_same_in_fifty_processes() -> None:
    """What five may miss."""
    assert len({start_order_under(seed) for seed in range(50)}) == 1


def test_the_bus_is_one_for_the_life_of_the_instance() -> None:
    """Attaching twice is attaching once."""
    notes: list[str] = []

    class Shop(Container):
        bus = Component(Bus)
        a = Component(Noted, notes, "a")

    shop = Shop()
    bus = shop.attach()

    assert shop.attach() is bus is shop.bus()
    bus.start()
    assert notes == ["build a", "start a"]
    bus.exit()


def test_a_bus_that_a_component_called_for_starts_the_container_as_well() -> None:
    """Whoever gets hold of the bus may start it; nobody has to attach anything first."""
    notes: list[str] = []

    class Shop(Container):
        bus = Component(Bus)
        a = Component(Noted, notes, "a")

    bus = Shop().bus()
    bus.start()
    bus.exit()

    assert notes == ["build a", "start a", "stop a", "exit a"]


def test_the_container_lives_as_long_as_its_bus() -> None:
    """And no longer, once its circle is collected."""

    class Shop(Container):
        bus = Component(Bus)

    shop = Shop()
    bus = shop.attach()
    living = weakref.ref(shop)
    del shop
    gc.collect()
    assert living() is not None
    del bus
    gc.collect()

    assert living() is None


def test_an_invalid_container_is_not_started_by_its_bus() -> None:
    """The start looks for faults before it builds anything."""
    notes: list[str] = []
    wrong: Any = Noted

    class Shop(Container):
        bus = Component(Bus)
        a = Component(Noted, notes, "a")
        b = Component(wrong)

    shop = Shop()
    with pytest.raises(TransitionFailures) as failed:
        shop.bus().start()

    assert isinstance(failed.value.exceptions[0], InvalidContainer)
    assert notes == []
    assert shop.bus().state is State.STOPPED


@pytest.mark.parametrize("buses", [0, 2])
def test_only_one_bus_can_be_attached_to(buses: int) -> None:
    """None, or more than one, is a fault."""
    made: Callable[[], Container] = type("Shop", (Container,), {f"bus{n}": Component(Bus) for n in range(buses)})

    with pytest.raises(InvalidContainer) as invalid:
        made().attach()

    (fault,) = invalid.value.exceptions
    assert (
        ("several buses: Shop.bus0 (" in str(fault))
        if buses
        else ("it has no bus, and a start needs one" in str(fault))
    )


def test_what_a_function_returned_listens_if_its_class_does() -> None:
    """Without an annotation that is known only when it was built."""
    notes: list[str] = []

    def make() -> Any:
        return Noted(notes, "a")

    class Shop(Container):
        bus = Component(Bus)
        a = Component(make)

    with running(Shop()):
        pass

    assert notes == ["build a", "start a", "stop a", "exit a"]


def test_what_a_function_returned_is_held_against_the_channels() -> None:
    """A misfit that could not be known before keeps the container from starting."""

    class Odd:
        def start(self, when: int) -> None:
            """Take too much."""

    def make() -> Any:
        return Odd()

    class Shop(Container):
        bus = Component(Bus)
        a = Component(make)

    with pytest.raises(TransitionFailures) as failed, running(Shop()):
        pass

    invalid = failed.value.exceptions[0]
    assert isinstance(invalid, InvalidContainer)
    assert "Odd.start does not fit channel 'start'" in str(invalid)


def test_a_container_handed_over_by_the_library_does_not_listen() -> None:
    """Containers have methods of their own, which are no hooks."""

    class Shop(Container):
        bus = Component(Bus)
        other: Component[Any] = Component(Infra)

    with running(Shop()) as shop:
        assert isinstance(shop.other(), Infra)


def test_the_life_of_the_components_is_told_by_their_paths() -> None:
    """Building and starting, in order."""
    notes: list[str] = []

    class Shop(Container):
        bus = Component(Bus)
        a = Component(Noted, notes, "a")

    shop = Shop()
    told: list[object] = []
    shop.attach()[LIFECYCLE].subscribe(told.append)
    with running(shop):
        pass

    assert [event.path for event in told if isinstance(event, Constructed | ComponentStarted)] == ["Shop.a", "Shop.a"]


def test_subscriptions_name_the_component_and_its_method() -> None:
    """A failure tells who listened, and not only which class."""
    notes: list[str] = []

    class Shop(Container):
        bus = Component(Bus)
        a = Component(Noted, notes, "a")

    with running(Shop()) as shop:
        (start,), (stop,), (last,) = (shop.bus()[channel].subscriptions for channel in (START, STOP, EXIT))

    assert [start.name, stop.name, last.name] == ["Shop.a.start", "Shop.a.stop", "Shop.a.exit"]
    assert start.path == "Shop.a"


def test_the_library_finds_the_components_of_each_instance() -> None:
    """Under its own verbs, also those of a nested container."""

    class Shop(Base):
        infra = Infra()

    shops: list[Any] = [Shop(), Shop()]

    for shop in shops:
        assert shop.providers["database"] is shop.database
        assert shop.infra.providers["database"] is shop.infra.database
        assert (shop.declarative_parent, shop.infra.declarative_parent) == (Shop, Infra)


def test_a_component_beside_the_declared_ones_is_no_part_of_the_container() -> None:
    """What is set on an instance has no home there."""
    shop: Any = Base()
    shop.extra = Component(Database)

    with pytest.raises(OutsideContainer):
        shop.extra()
