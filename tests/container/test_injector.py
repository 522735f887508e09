"""dependency-injector's own providers and containers inside a typedbus container, and typedbus containers inside the library's."""

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
    """A component that others need."""

    def __init__(self, url: str = "memory://") -> None:
        self.url = url


class Holding:
    """Keeps its argument."""

    def __init__(self, it: object) -> None:
        self.it = it


class Noted:
    """Records its start."""

    def __init__(self, notes: list[str], name: str, *needed: object) -> None:
        self.notes = notes
        self.name = name

    def start(self) -> None:
        """Record the call."""
        self.notes.append(self.name)


def uncalled(component: Any) -> Any:
    """Return *component* as a function."""
    return component.provider


class Shop(Container):
    """Has one of each provider of the library, each with a component as its argument."""

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
    shop = Shop()
    shop.config.from_dict({"url": 5432, "kind": "held"})
    return shop


def test_configuration_is_read_when_a_component_is_built(shop: Shop) -> None:
    """It is not read at the declaration; the library's conversions apply."""
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
    """Called on the instance, each gets the component of the instance."""
    assert unwrap(getattr(shop, name)()) is shop.database()


@pytest.mark.parametrize("name", ["factory", "a_list", "a_dict", "selector", "function", "value", "dependency"])
def test_components_take_the_library_s_providers(name: str) -> None:
    """The provider is called, and its result is the argument."""
    sub_class: Any = type("Sub", (Shop,), {"holding": Component(Holding, provided(getattr(Shop, name)))})
    sub = sub_class()
    sub.config.from_dict({"url": "x", "kind": "plain"})

    database = sub.holding().it

    assert type(database) is type(getattr(sub, name)())
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
    """In the attributes of the library's own containers, with those of the bases."""

    class Sub(Shop):
        extra = Component(Database)

    on_class: Any = Sub

    assert on_class.providers["extra"] is Sub.extra
    assert on_class.providers["factory"] is Shop.factory


def test_a_selector_follows_the_configuration(shop: Shop) -> None:
    """It is evaluated at each call."""
    held = shop.selector()
    shop.config.kind.from_value("plain")

    assert isinstance(held, Holding)
    assert shop.selector() is shop.database()


def test_a_factory_makes_an_object_for_each_call(shop: Shop) -> None:
    """All of them get the same component."""
    one, other = shop.factory(), shop.factory()

    assert one is not other
    assert one.it is other.it


def test_the_start_order_follows_dependencies_through_library_providers() -> None:
    """A component that is needed through any of them starts first."""

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


def test_a_delegate_passes_a_component_uncalled(shop: Shop) -> None:
    """The component is built by the first call."""

    class Lazy(Shop):
        later = Component(Holding, uncalled(Shop.database))
        deep = Component(Holding, provided(library.Delegate(Shop.factory)))

    lazy = Lazy()
    lazy.config.from_dict({"url": "x"})
    later: Any = lazy.later().it
    deep: Any = lazy.deep().it

    assert not lazy.database.is_built
    assert later() is deep().it is lazy.database()


def test_a_delegate_may_close_a_cycle() -> None:
    """Either component can be built first, and the start order follows the other edge."""

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


def test_a_delegate_as_a_member_is_not_a_dependency() -> None:
    """Nor is a whole container as an argument; both may close a cycle."""

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


def test_a_typedbus_container_nests_by_the_library_s_container_provider() -> None:
    """`providers.Container` makes an instance with its methods; other components can need its components."""

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


def test_components_of_a_container_in_a_container_provider_are_started() -> None:
    """They get the arguments of the provider, and listen on the same bus."""

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


def test_a_library_container_takes_a_typedbus_container() -> None:
    """Each instance of the library's container has its own."""
    old_class: Any = type(
        "Old",
        (theirs.DeclarativeContainer,),
        {"shop": library.Container(Shop), "name": providers.Object("old")},
    )
    one, other = old_class(), old_class()
    one.shop.config.from_dict({"url": "one"})

    assert isinstance(one.shop(), Shop)
    assert one.shop.database().url == "one"
    assert one.shop.database() is not other.shop.database()


def test_a_component_in_a_library_container_is_refused() -> None:
    """Such a container has neither the lock nor the order to build components."""
    old_class: Any = type("Old", (theirs.DeclarativeContainer,), {"database": Component(Database)})

    with pytest.raises(OutsideContainer):
        old_class().database()


def test_an_override_on_the_class_applies_to_every_instance() -> None:
    """It is made by the library's own method at declaration time."""

    class Sub(Container):
        database = Component(Database)
        holding = Component(Holding, database.provided)

    overridden: Any = Sub.database
    overridden.override(providers.Object("class"))
    sub = Sub()

    assert sub.holding().it == "class"
    assert not sub.database.is_built


def test_the_library_s_overrides_of_an_instance_are_used(shop: Shop) -> None:
    """The original is not built."""
    instance: Any = shop

    with instance.override_providers(database=providers.Object("theirs")):
        assert shop.factory().it == "theirs"

    assert not shop.database.is_built
    assert isinstance(shop.factory().it, Database)


def test_reset_singletons_resets_components(shop: Shop) -> None:
    """The library's own method does this."""
    instance: Any = shop
    before = shop.database()
    instance.reset_singletons()

    assert shop.database() is not before


def test_a_dependency_can_be_overridden_with_a_component(shop: Shop) -> None:
    """On the instance, by the library's own method."""

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


def test_a_cycle_through_library_providers_names_the_components() -> None:
    """The providers in between have no name."""

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


def test_the_error_of_a_failing_factory_names_the_component_that_needs_it() -> None:
    """The library's providers have no path."""

    class Sub(Container):
        broken = providers.Factory(int, "x")
        holding = Component(Holding, provided(broken))

    with pytest.raises(ValueError, match="invalid literal") as failed:
        Sub().holding()

    assert failed.value.__notes__ == [f"raised while Sub.holding was built ({Sub.holding.place})"]
