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
    """A component that others need."""

    def __init__(self, url: str = "memory://") -> None:
        self.url = url


class Cached(Database):
    """A database that wraps another."""

    def __init__(self, inner: Database) -> None:
        super().__init__(f"cached {inner.url}")
        self.inner = inner


class Orders:
    """A component that needs a database."""

    def __init__(self, database: Database) -> None:
        self.database = database


class Base(Container):
    """Something to inherit from."""

    database = Component(Database, "base")
    orders = Component(Orders, database.provided)


class Infra(Container):
    """A container that others nest."""

    bus = Component(Bus)
    database = Component(Database, "infra")


class Noted(ConstructionRecorder):
    """Records its graceful restarts as well."""

    def graceful(self) -> None:
        self.record("graceful")


class Early(Noted):
    """Has a lower priority than all others."""

    @on(START, priority=1)
    def start(self) -> None:
        """Record the call."""
        super().start()


class Late(Noted):
    """Has a higher priority than all others."""

    @on(START, priority=90)
    def start(self) -> None:
        """Record the start."""
        super().start()


def during(notes: list[str], what: str) -> list[str]:
    """Return the names in *notes* with the event *what*, in order."""
    return [name for verb, _, name in (note.partition(" ") for note in notes) if verb == what]


def test_two_instances_have_separate_components() -> None:
    """Each instance has its own, and the class has none."""
    one, other = Base(), Base()

    assert one.database() is not other.database()
    assert one.orders().database is one.database()
    assert not Base.database.is_built


def test_an_instance_has_the_methods_and_the_constructor_of_its_class() -> None:
    """`isinstance` holds, and the arguments go to the __init__ of the class."""

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


def test_a_component_has_a_path() -> None:
    """Errors and events use it."""

    class Shop(Base):
        infra = Infra()

    shop = Shop()

    assert (Shop.infra.database.path, Base.orders.path) == ("Shop.infra.database", "Base.orders")
    assert (shop.orders.path, shop.infra.database.path) == ("Shop.orders", "Shop.infra.database")


def test_a_redeclared_component_is_used_by_the_declarations_of_the_base() -> None:
    """The base class does not change."""

    class Test(Base):
        database = Component(Database, "test")

    test = Test()

    assert test.orders().database is test.database()
    assert test.database().url == "test"
    assert Base().orders().database.url == "base"


def test_a_replacement_may_wrap_the_component_that_it_replaces() -> None:
    """It refers to the original by the name of the base; all other users get the replacement."""

    class Fast(Base):
        database = Component(Cached, Base.database.provided)

    database = Fast().orders().database

    assert isinstance(database, Cached)
    assert database.inner.url == "base"


def test_a_replacement_that_needs_a_user_of_the_original_is_refused() -> None:
    """They would form a cycle: the class statement raises, with the component in between."""
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
    """Their `__init_subclass__` is called with its arguments."""
    names: list[str] = []

    class Hearing:
        def __init_subclass__(cls) -> None:
            super().__init_subclass__()
            names.append(cls.__name__)

    class Shop(Container, Hearing):
        database = Component(Database)

    assert names == ["Shop"]
    assert Shop().database().url == "memory://"


class Named:
    """Its string shows its arguments."""

    def __init__(self, name: str, *needed: object) -> None:
        self.name = name
        self.needed = needed

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.needed))})"


class Pair(Container):
    """Two components and their user."""

    x = Component(Named, "x")
    y = Component(Named, "y")
    user = Component(Named, "user", x.provided, y.provided)


class OtherX(Pair):
    """Replaces `x`, which then needs `y` through another component."""

    between = Component(Named, "between", Pair.y.provided)
    x = Component(Named, "other x", between.provided)


class OtherY(Pair):
    """Replaces `y`, and does not refer to `OtherX`."""

    y = Component(Named, "other y")


class LastX(OtherX):
    """Replaces `OtherX.x` by a component without dependencies, and `user` by one that needs `between`."""

    x = Component(Named, "last x")
    user = Component(Named, "user", Pair.x.provided, Pair.y.provided, OtherX.between.provided)


class Long(Container):
    """A chain of components, and their user."""

    z = Component(Named, "z")
    m = Component(Named, "m", z.provided)
    y = Component(Named, "y", m.provided)
    x = Component(Named, "x")
    user = Component(Named, "user", x.provided, y.provided, m.provided)


class OtherZ(Long):
    """Replaces the first component of the chain."""

    z = Component(Named, "other z")


class ShortX(Long):
    """Replaces `y` by a component without dependencies, and `x` by one that needs `y`."""

    y = Component(Named, "short y")
    x = Component(Named, "other x", Long.y.provided)


class WrappingY(Long):
    """Wraps `y`, which needs the chain."""

    y = Component(Named, "wrapping y", Long.y.provided)


class WrappingX(Pair):
    """Wraps the next `x` of the bases."""

    x = Component(Named, "wrapping x", Pair.x.provided)


class ListingX(Pair):
    """Wraps it in a list."""

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
def test_declarations_of_several_bases_merge_in_method_resolution_order(bases: tuple[type, ...], user: str) -> None:
    """The first declaration replaces the others wherever a base refers to them; a wrapper wraps the next in line."""
    both: Any = type("Both", bases, {})()

    assert str(both.user()) == user
    assert both.user().needed[:2] == (both.x(), both.y())


def test_unrelated_bases_share_a_component_of_the_same_name_and_type() -> None:
    """The first base wins, and the declaration of the other is not built."""

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


def test_nested_containers_of_several_bases_are_merged() -> None:
    """Components correspond by their names inside them."""

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
    """Each base is valid alone; merged they would form a cycle."""

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
def test_a_replacement_may_wrap_the_original_through_an_anonymous_provider(
    wrap: Callable[[Any], Any], inner: str
) -> None:
    """An anonymous provider has no other users, so that it may keep the original."""

    class Fast(Pair):
        x = Component(Named, "fast", wrap(Pair.x.provided))

    assert str(Fast().user()) == f"user(fast({inner}), y())"


def test_a_replaced_declaration_does_not_count_in_cycles() -> None:
    """Its users get the replacement, which has fewer dependencies."""

    class Base(Container):
        p = Component(Named, "p")
        x = Component(Named, "x", p.provided)
        y = Component(Named, "y", x.provided)

    class Turned(Base):
        y = Component(Named, "other y")
        x = Component(Named, "other x", Base.y.provided)
        p = Component(Named, "other p", x.provided)

    assert str(Turned().p()) == "other p(other x(other y()))"


def test_an_alias_of_a_replaced_component_gives_the_replacement() -> None:
    """Users of either name get the last declaration."""

    class Aliased(Pair):
        x = Pair.y
        y = Component(Named, "other y")

    aliased = Aliased()

    assert str(aliased.user()) == "user(other y(), other y())"
    assert aliased.x() is aliased.y()


def test_two_declarations_cannot_replace_each_other() -> None:
    """It would be ambiguous which of them is meant."""
    with pytest.raises(DeclarationError, match=r"^Turned\.[xy] \(.*\): it replaces a declaration that replaces it"):

        class Turned(Pair):
            x = Pair.y
            y = Pair.x


def test_a_replacement_of_a_replacement_reaches_the_users_of_both() -> None:
    """This holds for any number of classes in between."""

    class Middle(Pair):
        x = Component(Named, "middle x")
        other = Component(Named, "other", x.provided)

    class Last(Middle):
        x = Component(Named, "last x", Middle.x.provided)

    last = Last()

    assert str(last.user()) == "user(last x(middle x()), y())"
    assert last.other().needed == (last.x(),)


def test_a_declaration_of_an_indirect_base_can_be_replaced() -> None:
    """The class in between may be empty."""

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
def test_a_component_with_a_reserved_name_is_refused(name: str) -> None:
    """The error names the place of the declaration."""
    database = Component(Database)

    with pytest.raises(DeclarationError, match=f"use the name '{name}' themselves") as refused:
        type("Shop", (Container,), {name: database})

    assert refused.value.path == f"Shop.{name}"
    assert refused.value.place == database.place


def test_a_nested_container_with_a_reserved_name_is_refused() -> None:
    """A container instance has no declaration line, so the error names the module of the class."""
    with pytest.raises(DeclarationError) as refused:
        type("Shop", (Container,), {"parent": Infra(), "__module__": "shops"})

    assert refused.value.place == "shops"


def test_a_nested_container_belongs_to_the_instance() -> None:
    """Its components can be needed from outside, and each instance has its own."""

    class Shop(Container):
        infra = Infra()
        orders = Component(Orders, infra.database.provided)

    one, other = Shop(), Shop()

    assert isinstance(one.infra, Infra)
    assert one.orders().database is one.infra.database()
    assert one.infra.database() is not other.infra.database()


def test_nested_containers_may_nest_others() -> None:
    """A component at any depth is the same object wherever it is needed."""

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
    """An alias is a second name for a component of a nested container."""

    class Shop(Container):
        infra = Infra()
        bus = infra.bus

    shop = Shop()
    shop.validate()

    assert shop.bus is shop.infra.bus
    assert shop.bus.path == "Shop.bus"


def test_two_nested_instances_of_one_class_are_independent() -> None:
    """Each declaration of a container has components of its own."""

    class Shop(Container):
        here = Infra()
        there = Infra()

    shop = Shop()

    assert shop.here.database() is not shop.there.database()


def test_a_nested_container_can_be_redeclared() -> None:
    """Declarations of the base take the components of the new container, by name."""

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


def test_calling_a_component_of_a_nested_container_in_a_class_is_refused() -> None:
    """A container instance in a class body becomes a declaration."""
    infra = Infra()

    class Shop(Container):
        nested = infra

    with pytest.raises(OutsideContainer, match="Shop.nested.database"):
        infra.database()
    assert Shop().nested.database().url == "infra"


def test_a_deep_copy_has_components_of_its_own() -> None:
    """Instances that the original has built are not copied."""
    shop = Base()
    shop.orders()
    copied = copy.deepcopy(shop)

    assert type(copied) is Base
    assert copied.orders() is not shop.orders()
    assert copied.orders().database is copied.database()


def test_a_copy_in_the_memo_is_returned() -> None:
    """This is the contract of `copy.deepcopy`."""
    shop = Base()
    memo: dict[int, Any] = {}

    copied = shop.__deepcopy__(memo)

    assert shop.__deepcopy__(memo) is copied


def test_dependencies_start_first_whatever_the_priorities() -> None:
    """Stop and exit run in the reverse order; graceful runs in the order of the start."""
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
    """This applies to components without dependencies on each other."""
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


def test_indirect_dependencies_order_the_start() -> None:
    """A dependency through attributes, literals and functions orders the start as well."""
    notes: list[str] = []

    class Shop(Container):
        bus = Component(Bus)
        late = Component(Late, notes, "late")
        early = Component(Early, notes, "early", [{"name": late.provided.name}])
        earlier = Component(Early, notes, "earlier", early.provided.name)

    with running(Shop()):
        pass

    assert during(notes, "start") == ["late", "early", "earlier"]


def test_a_component_with_only_a_stop_hook_has_a_turn() -> None:
    """It stops between the components that need it and those that it needs."""
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


def test_a_component_with_only_a_stop_hook_is_not_stopped_before_its_turn() -> None:
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


def test_nested_containers_share_one_start_order() -> None:
    """Components of all of them are sorted together."""
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
    """A start after an exit builds the components again and repeats the order."""
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
    process = subprocess.run(
        [sys.executable, "-c", RANDOM_SHOP],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return process.stdout


@pytest.mark.slow
def test_the_order_is_the_same_in_every_process() -> None:
    """It does not depend on hashes or addresses."""
    orders = {start_order_under(seed) for seed in range(5)}

    assert len(orders) == 1
    assert orders.pop().count(",") == 59


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.timeout(600)
def test_the_order_is_the_same_in_fifty_processes() -> None:
    """A larger sample than the five processes above."""
    assert len({start_order_under(seed) for seed in range(50)}) == 1


def test_an_instance_keeps_one_bus() -> None:
    """A second `attach` has no effect."""
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


def test_a_bus_obtained_by_a_call_starts_the_container() -> None:
    """`attach` is not required first."""
    notes: list[str] = []

    class Shop(Container):
        bus = Component(Bus)
        a = Component(Noted, notes, "a")

    bus = Shop().bus()
    bus.start()
    bus.exit()

    assert notes == ["build a", "start a", "stop a", "exit a"]


def test_the_container_lives_as_long_as_its_bus() -> None:
    """It is collected together with the bus."""

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
    """The start validates the container before it builds a component."""
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
def test_a_container_must_have_exactly_one_bus(buses: int) -> None:
    """None, or more than one, is a fault."""
    shop_class: Callable[[], Container] = type("Shop", (Container,), {f"bus{n}": Component(Bus) for n in range(buses)})

    with pytest.raises(InvalidContainer) as invalid:
        shop_class().attach()

    (fault,) = invalid.value.exceptions
    assert (
        ("several buses: Shop.bus0 (" in str(fault))
        if buses
        else ("it has no bus, and a start needs one" in str(fault))
    )


def test_an_object_from_a_function_without_annotation_listens() -> None:
    """Its class is known only when it was built."""
    notes: list[str] = []

    def make() -> Any:
        return Noted(notes, "a")

    class Shop(Container):
        bus = Component(Bus)
        a = Component(make)

    with running(Shop()):
        pass

    assert notes == ["build a", "start a", "stop a", "exit a"]


def test_hooks_of_an_object_from_a_function_are_checked_at_the_start() -> None:
    """A hook that does not fit its channel cancels the start."""

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


def test_a_container_that_is_a_component_does_not_listen() -> None:
    """The methods of containers are not hooks."""

    class Shop(Container):
        bus = Component(Bus)
        other: Component[Any] = Component(Infra)

    with running(Shop()) as shop:
        assert isinstance(shop.other(), Infra)


def test_life_cycle_events_have_the_paths_of_components() -> None:
    """Building and starting are published in order."""
    notes: list[str] = []

    class Shop(Container):
        bus = Component(Bus)
        a = Component(Noted, notes, "a")

    shop = Shop()
    events: list[object] = []
    shop.attach()[LIFECYCLE].subscribe(events.append)
    with running(shop):
        pass

    assert [event.path for event in events if isinstance(event, Constructed | ComponentStarted)] == ["Shop.a", "Shop.a"]


def test_subscriptions_name_the_component_and_its_method() -> None:
    """A failure has this name."""
    notes: list[str] = []

    class Shop(Container):
        bus = Component(Bus)
        a = Component(Noted, notes, "a")

    with running(Shop()) as shop:
        (start,), (stop,), (last,) = (shop.bus()[channel].subscriptions for channel in (START, STOP, EXIT))

    assert [start.name, stop.name, last.name] == ["Shop.a.start", "Shop.a.stop", "Shop.a.exit"]
    assert start.path == "Shop.a"


def test_the_library_s_methods_find_the_components_of_each_instance() -> None:
    """Components of a nested container are found, too."""

    class Shop(Base):
        infra = Infra()

    shops: list[Any] = [Shop(), Shop()]

    for shop in shops:
        assert shop.providers["database"] is shop.database
        assert shop.infra.providers["database"] is shop.infra.database
        assert (shop.declarative_parent, shop.infra.declarative_parent) == (Shop, Infra)


def test_a_component_assigned_to_an_instance_is_not_part_of_the_container() -> None:
    """A call raises OutsideContainer."""
    shop: Any = Base()
    shop.extra = Component(Database)

    with pytest.raises(OutsideContainer):
        shop.extra()
