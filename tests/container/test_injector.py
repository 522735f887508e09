"""What dependency-injector's own providers and containers do in a container of ours, and ours in theirs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dependency_injector import containers, providers

from typedbus import Bus, Component, Container, InvalidContainer, OutsideContainer, provided, running
from typedbus.faults import CycleFault, DependencyFault

# The library's types know less than it does.
library: Any = providers
theirs: Any = containers


class Database:
    """Something to be needed."""

    def __init__(self, url: str = "memory://") -> None:
        self.url = url


class Holding:
    """Takes something, and keeps it."""

    def __init__(self, it: object) -> None:
        self.it = it


class Noted:
    """Notes that it was started."""

    def __init__(self, notes: list[str], name: str, *needed: object) -> None:
        self.notes = notes
        self.name = name

    def start(self) -> None:
        """Note it."""
        self.notes.append(self.name)


def uncalled(component: Any) -> Any:
    """Return what hands *component* over as a function."""
    return component.provider


class Shop(Container):
    """Has one of everything that the library offers, each on top of a component."""

    config: Any = library.Configuration()
    database = Component(Database, provided(config.url.as_(str)))

    factory = providers.Factory(Holding, database)
    a_list = providers.List(database, 1)
    a_dict = providers.Dict(db=database)
    selector: Any = library.Selector(config.kind, plain=database, held=factory)
    function = providers.Callable(Holding, database)
    value = providers.Object("value")
    dependency: Any = library.Dependency(instance_of=Database, default=database)
    singleton = providers.Singleton(Holding, database)


@pytest.fixture
def shop() -> Shop:
    """Return a shop that was configured."""
    made = Shop()
    made.config.from_dict({"url": 5432, "kind": "held"})
    return made


def test_configuration_is_read_when_a_component_is_built(shop: Shop) -> None:
    """And not where it is declared; the library's conversions are made."""
    assert shop.database().url == "5432"


@pytest.mark.parametrize(
    ("name", "unwrap"),
    [
        ("factory", lambda made: made.it),
        ("a_list", lambda made: made[0]),
        ("a_dict", lambda made: made["db"]),
        ("selector", lambda made: made.it),
        ("function", lambda made: made.it),
        ("dependency", lambda made: made),
        ("singleton", lambda made: made.it),
    ],
)
def test_the_library_s_providers_take_components(name: str, unwrap: Callable[[Any], object], shop: Shop) -> None:
    """Called on the instance each gets the one component."""
    assert unwrap(getattr(shop, name)()) is shop.database()


@pytest.mark.parametrize("name", ["factory", "a_list", "a_dict", "selector", "function", "value", "dependency"])
def test_components_take_the_library_s_providers(name: str) -> None:
    """What one provides is handed over, called."""
    made: Any = type("Sub", (Shop,), {"holding": Component(Holding, provided(getattr(Shop, name)))})
    sub = made()
    sub.config.from_dict({"url": "x", "kind": "plain"})

    given = sub.holding().it

    assert type(given) is type(getattr(sub, name)())
    assert sub.database.is_built is (name != "value")


def test_configuration_files_are_loaded_with_each_instance(tmp_path: Path) -> None:
    """As the library does for its own containers."""
    file = tmp_path / "shop.json"
    file.write_text('{"url": "first"}')

    class Sub(Container):
        config: Any = library.Configuration(json_files=[file])
        database = Component(Database, provided(config.url))

    first = Sub()
    file.write_text('{"url": "second"}')

    assert (first.database().url, Sub().database().url) == ("first", "second")


def test_the_class_lists_its_providers_for_the_library() -> None:
    """Where the library's own containers have them, those of the bases included."""

    class Sub(Shop):
        extra = Component(Database)

    on_class: Any = Sub

    assert on_class.providers["extra"] is Sub.extra
    assert on_class.providers["factory"] is Shop.factory


def test_a_selector_gives_what_the_configuration_says(shop: Shop) -> None:
    """The choice is made at the call."""
    held = shop.selector()
    shop.config.kind.from_value("plain")

    assert isinstance(held, Holding)
    assert shop.selector() is shop.database()


def test_a_factory_makes_another_each_time(shop: Shop) -> None:
    """Of one and the same component."""
    one, other = shop.factory(), shop.factory()

    assert one is not other
    assert one.it is other.it


def test_the_library_s_providers_hide_no_edge_from_the_start_order() -> None:
    """What is needed through them starts first, whatever stands in between."""

    class Through(Container):
        bus = Component(Bus)
        notes = Component(list[str])
        a = Component(Noted, notes.provided, "a")
        b = Component(Noted, notes.provided, "b", provided(providers.List(providers.Dict(a=a))))
        c = Component(Noted, notes.provided, "c", provided(providers.Callable(Holding, b)).it)
        d = Component(Noted, notes.provided, "d", provided(library.Dependency(default=providers.Factory(Holding, c))))

    class Turned(Through):
        early: Component[Noted] = Component(Noted, Through.notes.provided, "early", Through.d.provided)

    turned = Turned()
    with running(turned):
        pass

    assert turned.notes() == ["a", "b", "c", "d", "early"]


def test_a_delegate_hands_a_component_over_uncalled(shop: Shop) -> None:
    """Nothing is built until it is called, and then as one's own call would."""

    class Lazy(Shop):
        later = Component(Holding, uncalled(Shop.database))
        deep = Component(Holding, provided(library.Delegate(Shop.factory)))

    lazy = Lazy()
    lazy.config.from_dict({"url": "x"})
    later: Any = lazy.later().it
    deep: Any = lazy.deep().it

    assert not lazy.database.is_built
    assert later() is deep().it is lazy.database()


def test_a_delegate_may_close_a_circle() -> None:
    """Each of the two can be had first, and the order follows the other edge."""

    class Both(Container):
        bus = Component(Bus)
        notes = Component(list[str])
        one = Component(Noted, notes.provided, "one")
        other = Component(Noted, notes.provided, "other", one.provided)

    one: Any = Both.one
    one.add_args(uncalled(Both.other))
    both = Both()
    both.validate()
    with running(both):
        pass

    assert both.notes() == ["one", "other"]


def test_a_delegate_as_a_member_needs_nothing() -> None:
    """Nor does a whole container that is handed over; both may close a circle."""

    class Infra(Container):
        wanted: Any = library.Dependency()
        holding = Component(Holding, provided(wanted))

    class Outer(Container):
        database = Component(Holding, None)
        later: Any = uncalled(database)
        infra: Any = library.Container(Infra, wanted=database)

    closing: Any = Outer.database
    closing.set_args(Outer.infra)
    outer = Outer()
    outer.validate()

    assert outer.infra.holding().it is outer.later()() is outer.database()


def test_a_container_of_ours_nests_in_the_library_s_way() -> None:
    """`providers.Container` makes one with its methods; others can need its components."""

    class Infra(Container):
        database = Component(Database, "infra")

        def title(self) -> str:
            return self.database().url

    class Outer(Container):
        infra: Any = library.Container(Infra)
        holding = Component(Holding, provided(infra.database))
        whole = Component(Holding, provided(infra))

    one, other = Outer(), Outer()
    whole = one.whole().it

    assert isinstance(whole, Infra)
    assert whole.title() == "infra"
    assert one.holding().it is one.infra.database() is whole.database()
    assert other.infra.database() is not one.infra.database()


def test_the_components_of_a_container_nested_in_the_library_s_way_start_with_who_needs_them() -> None:
    """They take what was given to it, and listen on the one bus."""

    class Infra(Container):
        notes: Any = library.Dependency()
        a = Component(Noted, provided(notes), "a")

    class Outer(Container):
        bus = Component(Bus)
        notes = Component(list[str])
        infra: Any = library.Container(Infra, notes=notes)
        b = Component(Noted, notes.provided, "b", provided(infra.a))

    outer = Outer()
    with running(outer):
        pass

    assert outer.notes() == ["a", "b"]


def test_a_container_of_the_library_takes_one_of_ours() -> None:
    """Declared there, each of its instances has its own."""
    made: Any = type(
        "Old",
        (theirs.DeclarativeContainer,),
        {"shop": library.Container(Shop), "name": providers.Object("old")},
    )
    one, other = made(), made()
    one.shop.config.from_dict({"url": "one"})

    assert isinstance(one.shop(), Shop)
    assert one.shop.database().url == "one"
    assert one.shop.database() is not other.shop.database()


def test_components_live_in_containers_of_ours_alone() -> None:
    """A container of the library has no lock and no order to build them in."""
    made: Any = type("Old", (theirs.DeclarativeContainer,), {"database": Component(Database)})

    with pytest.raises(OutsideContainer):
        made().database()


def test_an_override_on_the_class_is_every_instance_s() -> None:
    """The library's own verb, at declaration time."""

    class Sub(Container):
        database = Component(Database)
        holding = Component(Holding, database.provided)

    overridden: Any = Sub.database
    overridden.override(providers.Object("class"))
    sub = Sub()

    assert sub.holding().it == "class"
    assert not sub.database.is_built


def test_the_library_s_overrides_of_an_instance_are_followed(shop: Shop) -> None:
    """The original is not built for them either."""
    instance: Any = shop

    with instance.override_providers(database=providers.Object("theirs")):
        assert shop.factory().it == "theirs"

    assert not shop.database.is_built
    assert isinstance(shop.factory().it, Database)


def test_the_library_resets_components(shop: Shop) -> None:
    """`reset_singletons` is what its users know for it."""
    instance: Any = shop
    before = shop.database()
    instance.reset_singletons()

    assert shop.database() is not before


def test_a_dependency_can_be_given_a_component(shop: Shop) -> None:
    """On the instance, with the library's own verb."""

    class Sub(Container):
        wanted: Any = library.Dependency(instance_of=Database)
        database = Component(Database, "given")
        holding = Component(Holding, provided(wanted))

    sub = Sub()
    with pytest.raises(InvalidContainer) as invalid:
        sub.validate()
    sub.wanted.override(sub.database)
    sub.validate()

    assert isinstance(invalid.value.exceptions[0], DependencyFault)
    assert sub.holding().it is sub.database()


def test_a_circle_through_the_library_s_providers_is_told_by_the_components() -> None:
    """What stands between them has no name."""

    class Sub(Container):
        database = Component(Holding, None)
        listed = providers.List(providers.Factory(Holding, database))
        holding = Component(Holding, provided(listed))

    closing: Any = Sub.database
    closing.set_args(Sub.holding)
    with pytest.raises(InvalidContainer) as invalid:
        Sub().validate()

    (fault,) = invalid.value.exceptions
    assert isinstance(fault, CycleFault)
    assert fault.cycle == ("Sub.database", "Sub.holding")


def test_a_failing_factory_is_told_by_the_component_that_needed_it() -> None:
    """The library's providers have no path of their own."""

    class Sub(Container):
        broken = providers.Factory(int, "x")
        holding = Component(Holding, provided(broken))

    with pytest.raises(ValueError, match="invalid literal") as failed:
        Sub().holding()

    assert failed.value.__notes__ == [f"raised while Sub.holding was built ({Sub.holding.place})"]
