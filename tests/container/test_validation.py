"""`validate()` reports every fault at once, and builds no component."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from dependency_injector import providers

from typedbus import START, Bus, Component, Container, InvalidContainer, provided, running
from typedbus._container.descriptions import class_of
from typedbus._container.faults import Fault
from typedbus.faults import ArgumentFault, BusFault, CycleFault, DependencyFault, HookFault


class Recording:
    """Takes any arguments, and records on its class that it was built."""

    built: list[object]

    def __init__(self, *needed: object, **named: object) -> None:
        self.built.append(self)


class Database:
    """A class with a constructor whose arguments are checked."""

    def __init__(self, url: str, *, retries: int = 3) -> None:
        self.url = url
        self.retries = retries


def positional_only(url: str, /, retries: int) -> Database:
    """Have a parameter that cannot be passed by name."""
    return Database(url, retries=retries)


def named_and_more(url: str, /, **url_and_more: int) -> Database:
    """Take any name, also that of its positional parameter."""
    return Database(url)


def anything(*args: object, **kwargs: object) -> None:
    """Take anything."""


def with_faults(container: Container) -> list[Fault]:
    """Return the faults that `validate()` reports."""
    try:
        container.validate()
    except InvalidContainer as invalid:
        return [fault for fault in invalid.exceptions if isinstance(fault, Fault)]
    return []


def close(circle: Any, /, **needed: object) -> None:
    """Let the component *circle* need a component that is declared after it, by the library's methods."""
    circle.add_kwargs(**needed)


def declared(builds: Any, *args: Any, **kwargs: Any) -> Component[Any]:
    """Return a component without its static type, so that checkers accept its arguments."""
    component: Component[Any] = Component(builds, *args, **kwargs)
    return component


def test_validate_of_a_container_without_faults_returns() -> None:
    """No component is built."""

    class Shop(Container):
        bus = Component(Bus)
        database = Component(Database, "db:5432", retries=1)

    shop = Shop()
    shop.validate()

    assert not shop.bus.is_built
    assert not shop.database.is_built


def test_all_faults_are_reported_at_once_and_no_component_is_built() -> None:
    """Each with its component, its place and the remedy; no constructor runs."""

    class Part(Recording):
        built: list[object] = []

    class Misfit(Part):
        def start(self, when: int) -> None:
            """Take too much."""

    class Shop(Container):
        wanted: Any = providers.Dependency()
        lacking = declared(Database)
        odd = Component(Misfit)
        needing = Component(Part, provided(wanted))
        chicken = Component(Part)
        egg = Component(Part, chicken.provided)

    close(Shop.chicken, egg=Shop.egg)
    faults = with_faults(Shop())

    assert {(type(fault), fault.path) for fault in faults} == {
        (CycleFault, "Shop.chicken"),
        (DependencyFault, "Shop.needing"),
        (ArgumentFault, "Shop.lacking"),
        (HookFault, "Shop.odd"),
        (BusFault, "Shop"),
    }
    assert all(fault.place.startswith(f"{__file__}:") and fault.remedy for fault in faults)
    assert Part.built == []


def test_the_text_of_the_error_has_a_line_for_each_fault() -> None:
    """It begins with the name of the container."""

    class Shop(Container):
        a = declared(Database)
        b = declared(Database)

    with pytest.raises(InvalidContainer) as invalid:
        Shop().validate()

    lines = str(invalid.value).splitlines()
    assert lines[0] == "Shop cannot be wired: 2 fault(s), nothing was built"
    assert [line.partition(" (")[0] for line in lines[1:]] == ["- Shop.a", "- Shop.b"]


@pytest.mark.parametrize(
    ("component", "problems"),
    [
        (declared(Database), ["misses 'url'"]),
        (declared(Database, "x", 3), ["takes 1 positional argument(s) and is given 2"]),
        (declared(Database, "x", url="y"), ["is given 'url' twice"]),
        (declared(Database, "x", retry=1), ["has no parameter 'retry'"]),
        (declared(Database, retry=1), ["has no parameter 'retry'", "misses 'url'"]),
        (declared(Database, url="x", retries=1), []),
        (declared(positional_only, "x", 1), []),
        (declared(positional_only, "x", retries=1), []),
        (declared(positional_only, url="x", retries=1), ["has no parameter 'url'", "misses 'url'"]),
        (declared(named_and_more, "x", url=1, other=2), []),
        (declared(named_and_more, url=1), ["misses 'url'"]),
        (declared(anything, 1, 2, three=3), []),
        (declared(functools.partial(Database, "x")), []),
        (declared(functools.partial(Database, retries=1)), ["misses 'url'"]),
        (declared(object, 1), ["takes 0 positional argument(s) and is given 1"]),
        (declared(dict, [], a=1), []),
    ],
)
def test_arguments_that_do_not_match_the_signature_are_faults(component: Component[Any], problems: list[str]) -> None:
    """Missing, unknown, surplus and duplicate arguments; a callable without a signature is accepted."""
    shop_class: Any = type("Shop", (Container,), {"part": component})

    faults = with_faults(shop_class())

    assert [type(fault) for fault in faults] == [ArgumentFault] * len(problems)
    assert all(fault.problem.endswith(problem) for fault, problem in zip(faults, problems, strict=True))


def test_an_argument_fault_shows_the_signature() -> None:
    """The reader need not look it up."""
    shop_class: Any = type("Shop", (Container,), {"part": declared(Database)})

    (fault,) = with_faults(shop_class())

    assert fault.problem == f"{__name__}.Database(url: str, *, retries: int = 3) misses 'url'"
    assert fault.remedy == "correct the declaration"


def test_an_undefined_dependency_is_a_fault_of_its_user() -> None:
    """Until it has a provider or a default."""

    class Shop(Container):
        wanted: Any = providers.Dependency()
        had: Any = providers.Dependency(default=5)
        one = Component(anything, provided(wanted), provided(had))
        other = Component(anything, provided(had))

    shop = Shop()
    (fault,) = with_faults(shop)
    shop.wanted.override(providers.Object(3))

    assert isinstance(fault, DependencyFault)
    assert (fault.path, fault.place) == ("Shop.one", Shop.one.place)
    assert with_faults(shop) == []


def test_all_cycles_are_reported() -> None:
    """Each once, with the components along it."""

    class Shop(Container):
        a = Component(anything)
        b = Component(anything, a.provided)
        c = Component(anything)
        d = Component(anything, [b.provided, c.provided])

    close(Shop.a, b=Shop.b)
    close(Shop.c, c=Shop.c)
    faults = with_faults(Shop())

    assert [fault.cycle for fault in faults if isinstance(fault, CycleFault)] == [("Shop.a", "Shop.b"), ("Shop.c",)]


def test_a_container_whose_components_listen_needs_a_bus() -> None:
    """The fault names the first component that would listen."""

    class Listening:
        def start(self) -> None:
            """Listen."""

    class Shop(Container):
        silent = Component(anything)
        one = Component(Listening)
        other = Component(Listening)

    (fault,) = with_faults(Shop())

    assert isinstance(fault, BusFault)
    assert (fault.path, fault.place) == ("Shop", Shop.one.place)
    assert "Shop.one listens to channels" in fault.problem


def test_a_container_without_listeners_needs_no_bus() -> None:
    """It can be validated and used without a start."""

    class Shop(Container):
        silent = Component(anything)

    assert with_faults(Shop()) == []


def test_several_buses_are_one_fault() -> None:
    """It names all of them."""

    class Nested(Container):
        bus = Component(Bus)

    class Shop(Container):
        nested = Nested()
        bus = Component(Bus)

    (fault,) = with_faults(Shop())

    assert isinstance(fault, BusFault)
    assert "Shop.nested.bus" in fault.problem
    assert "Shop.bus" in fault.problem
    assert fault.place == Shop.bus.place


def test_an_alias_of_a_bus_is_not_a_second_bus() -> None:
    """The bus of a nested container may be made by a function with an annotation."""

    def make_bus() -> Bus:
        return Bus()

    class Nested(Container):
        bus = Component(make_bus)

    class Shop(Container):
        nested = Nested()
        bus = nested.bus

    shop = Shop()

    assert with_faults(shop) == []
    assert shop.attach() is shop.nested.bus()


evaluated: list[int] = []


def test_a_valid_container_is_validated_once() -> None:
    """A second `validate()` and a start do not read the signatures again."""

    class Counted:
        """Has an annotation that counts how often it is evaluated."""

        def __call__(self, argument: object = None) -> None:
            """Make an instance, as any class does."""

    Counted.__call__.__annotations__["argument"] = "evaluated.append(1)"

    class Shop(Container):
        bus = Component(Bus)
        part = Component(Counted())

    shop = Shop()
    shop.validate()
    after_the_first = len(evaluated)
    shop.validate()
    with running(shop):
        pass

    assert after_the_first > 0
    assert len(evaluated) == after_the_first


def test_an_invalid_container_is_validated_each_time() -> None:
    """The same faults are reported again."""
    shop_class: Any = type("Shop", (Container,), {"part": declared(Database)})
    shop = shop_class()

    assert [str(fault) for fault in with_faults(shop)] == [str(fault) for fault in with_faults(shop)] != []


class Meta(type):
    """A metaclass."""

    def __call__(cls, *args: Any) -> Any:
        """Build as any other class does."""
        return super().__call__(*args)


class Made(metaclass=Meta):
    """A class with this metaclass."""


def annotated() -> Database:
    """Have a return annotation."""
    return Database("x")


def unannotated():  # type: ignore[no-untyped-def]  # that is the point
    """Have no return annotation."""


def generic() -> list[Database]:
    """Return a generic type."""
    return []


def nowhere() -> Nowhere:  # type: ignore[name-defined]  # noqa: F821  # as under TYPE_CHECKING
    """Return a type that cannot be resolved at run time."""


class Maker:
    """Has methods that return databases."""

    def make(self) -> Database:
        """Return a database."""
        return Database("made")

    @classmethod
    def build(cls) -> Maker:
        """Return a maker."""
        return cls()


class Anonymous:
    """A callable object without a name."""

    def __call__(self) -> Database:
        """Make one."""
        return Database("anonymous")


@pytest.mark.parametrize(
    ("builds", "expected"),
    [
        (Database, Database),
        (Made, Made),
        (annotated, Database),
        (functools.partial(annotated), Database),
        (Maker().make, Database),
        (Maker.build, Maker),
        (generic, list),
        (unannotated, None),
        (nowhere, None),
        (len, None),
        (Anonymous(), Database),
    ],
)
def test_the_class_of_a_component_is_derived_without_building_it(builds: Any, expected: type | None) -> None:
    """Its own, or the return annotation of a function; None without an annotation."""
    assert class_of(Component(builds)) is expected


def test_the_class_of_a_replacement_decides_the_hooks() -> None:
    """It is that of the object, or of the replacing component."""

    class Shop(Container):
        bus = Component(Bus)
        database = Component(Database, "x")

    class Fake(Database):
        def start(self) -> None:
            """Listen."""

    shop = Shop()
    classes: list[type | None] = []
    for stand_in in (Fake("y"), Component(Fake, "y")):
        with shop.override(Shop.database).by(stand_in):
            classes.append(class_of(shop.database))
            with running(shop):
                assert len(shop.bus()[START].subscriptions) == 1

    assert classes == [Fake, Fake]
