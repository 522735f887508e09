"""`validate()` on declarations that run without an error and do something unexpected."""

import dataclasses
import functools
import logging
import threading
from collections import deque
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import attrs
import pytest
from dependency_injector import providers

from typedbus import (
    EXIT,
    GRACEFUL,
    LOG,
    MAIN,
    START,
    STOP,
    Bus,
    Channel,
    Component,
    Container,
    InvalidContainer,
    on,
    provided,
    running,
)
from typedbus._container.body import blueprint_of
from typedbus.faults import (
    ChannelFault,
    CycleFault,
    Fault,
    HiddenFault,
    LifetimeFault,
    MisspeltFault,
    ReplacementFault,
    TypeFault,
)

# Of the library as it is: its stubs hold what typedbus needs of it.
library: Any = providers
ring = Channel[[], None]("ring")


class Holding:
    """Keeps its arguments."""

    def __init__(self, *held: Any, **named: Any) -> None:
        self.held, self.named = held, named


@attrs.frozen
class Record:
    """An attrs class that holds an object."""

    held: Any


@dataclasses.dataclass
class Data:
    """A dataclass that holds an object."""

    held: Any


def with_faults(container: Container) -> list[Fault]:
    """Return the faults that `validate()` reports."""
    try:
        container.validate()
    except InvalidContainer as invalid:
        return [fault for fault in invalid.exceptions if isinstance(fault, Fault)]
    return []


def kinds(faults: list[Fault]) -> list[tuple[type, str]]:
    """Return the class and the path of each fault."""
    return [(type(fault), fault.path) for fault in faults]


def shop_with(**members: Any) -> Any:
    """Return a container of a bus and *members*."""
    shop_class: Any = type("Shop", (Container,), {"bus": Component(Bus), **members})
    return shop_class()


part: Any = Component(Holding)
lone: Any = library.Singleton(Holding)


def reads_a_global() -> object:
    """Call a component that is a global variable."""
    return part()


def reads_a_global_inside() -> Callable[[], object]:
    """Return a function that calls it."""
    return lambda: lone()


def names_an_attribute(thing: Any) -> object:
    """Read an attribute of the same name."""
    return thing and thing.part


def has_a_default(thing: Any = part) -> object:
    """Have a component as a default."""
    return thing


def names_a_default(*, thing: Any = (part,)) -> object:
    """Have components as keyword defaults."""
    return thing


def closed_over(thing: Any) -> Callable[[], object]:
    """Return a function with *thing* in its closure."""
    return lambda: thing


def not_yet() -> Callable[[], object]:
    """Return a function whose closure is empty when it is checked."""

    def inner() -> object:
        return later

    if part is None:
        later = None
    return inner


HIDDEN: list[Any] = [
    Component(Holding, [part]),
    Component(Holding, (part,)),
    Component(Holding, {"a": [part]}),
    Component(Holding, {"a": {part: 1}}),
    Component(Holding, frozenset([part])),
    Component(Holding, named={lone}),
    Component(Holding, deque([part])),
    Component(Holding, MappingProxyType({"a": part})),
    Component(Holding, Record(part.provided)),
    Component(Holding, Record([part])),
    Component(Holding, Data(part.provided.held)),
    Component(Holding, [part.provider]),
    Component(Holding, functools.partial(Holding, part.provided)),
    Component(Holding, functools.partial(Holding, a=part)),
    Component(Holding, closed_over(part)),
    Component(Holding, closed_over(closed_over([part.provided]))),
    Component(functools.partial(Holding, part.provided)),
    Component(closed_over(part)),
    Component(reads_a_global),
    Component(reads_a_global_inside),
    Component(has_a_default),
    Component(names_a_default),
]

SEEN: list[Any] = [
    Component(Holding, part),
    Component(Holding, part.provided),
    Component(Holding, [part, part.provided]),
    Component(Holding, {"a": [(part.provided,)]}),
    Component(Holding, part.provider),
    Component(Holding, provided(part.provider), [provided(part.provider)]),
    Component(Holding, Record(1), Data(1), [print, Holding]),
    Component(names_an_attribute, 0),
    Component(Holding, not_yet()),
    Component(part),
]


@pytest.mark.parametrize("component", HIDDEN)
def test_a_hidden_provider_is_a_fault(component: Component[Any]) -> None:
    """It would be passed uncalled, as the declaration of the class."""
    assert kinds(with_faults(shop_with(lone=lone, part=part, other=component))) == [(HiddenFault, "Shop.other")]


@pytest.mark.parametrize("component", SEEN)
def test_a_provider_that_is_called_or_passed_on_purpose_is_not_a_fault(component: Component[Any]) -> None:
    """As an argument, beside a provided one, or as a delegate."""
    shop = shop_with(part=part, other=component)

    assert with_faults(shop) == []
    with running(shop):
        assert shop.other.is_built


def test_the_fault_of_a_hidden_provider_shows_the_remedy() -> None:
    """It has the position and the name of the provider."""

    class Shop(Container):
        part = Component(Holding)
        first = Component(Holding, 1, [part])
        named = Component(Holding, parts=[part])
        foreign = Component(Holding, [lone])

    first, named, foreign = with_faults(Shop())

    assert first.problem == (
        "its argument 2 holds Shop.part where the container does not search, "
        "so that the provider itself would be passed, not its instance"
    )
    assert first.remedy == (
        "pass part.provided, as an argument or in a list, tuple or dict; "
        "or part.lazy to a parameter that takes a function, to be called later"
    )
    assert named.problem.startswith("its argument 'parts' holds Shop.part where ")
    assert foreign.problem.startswith("its argument 1 holds a Singleton where ")


def test_the_search_in_a_large_or_recursive_argument_is_bounded() -> None:
    """A list that contains itself, and one of a million items."""
    endless: list[Any] = []
    endless.append(endless)

    assert with_faults(shop_with(one=Component(Holding, Record(endless), [object()] * 1_000_000))) == []


class Connection:
    """An object that belongs to one thread."""

    open = True


class Sessions(Container):
    """Thread-local and context-local providers, and components that would keep their objects."""

    local: Any = library.ThreadLocalSingleton(Connection)
    context: Any = library.ContextLocalSingleton(Connection)
    direct = Component(Holding, provided(local))
    listed = Component(Holding, [provided(context)])
    keyed = Component(Holding, a={"b": provided(local)})
    attribute = Component(Holding, provided(local).open)
    called = Component(Holding, provided(library.Callable(Holding, local)))
    made = Component(Holding, provided(library.Factory(Holding, a=context)))
    handed_over = Component(Holding, provided(local.provider))
    by_factory = Component(Holding, provided(library.Factory(Connection)))
    by_delegate = Component(Holding, provided(library.DelegatedThreadLocalSingleton(Connection)))
    through_another = Component(Holding, direct.provided)


def test_a_component_that_keeps_a_thread_or_context_local_object_is_a_fault() -> None:
    """Delegates and factories are valid, and so are users of the user."""
    faults = with_faults(Sessions())

    names = ["direct", "listed", "keyed", "attribute", "called", "made"]
    assert kinds(faults) == [(LifetimeFault, f"Sessions.{name}") for name in names]
    assert faults[0].problem == (
        f"it would keep one instance of {__name__}.Connection, although each thread has its own (ThreadLocalSingleton)"
    )
    assert "each context has its own" in faults[1].problem


class Base(Container):
    """A component that subclasses replace, and its user."""

    bus = Component(Bus)
    part = Component(Holding, "base")
    user = Component(Holding, part.provided)


@pytest.mark.parametrize("value", [Holding, Holding(), None, 3])
def test_an_attribute_that_hides_a_declaration_is_a_fault(value: Any) -> None:
    """The declaration of the base is still in force, contrary to appearance."""
    replaced: Any = type("Replaced", (Base,), {"part": value})

    (fault,) = with_faults(replaced())

    assert kinds([fault]) == [(ReplacementFault, "Replaced.part")]
    assert fault.place == blueprint_of(replaced).place
    assert "the declaration of the base class stays in force" in fault.problem


def test_an_attribute_that_hides_no_declaration_is_accepted() -> None:
    """Containers may have attributes and methods."""

    class Shop(Base):
        limit = 3

        def part_of(self) -> object:
            """Return the part."""
            return self.part()

    class Sale(Shop):
        limit = 4

    assert with_faults(Sale()) == []


def test_a_replacement_of_a_replacement_reaches_every_user() -> None:
    """This includes users that were declared before the first replacement."""

    class Middle(Base):
        part = Component(Holding, "middle")

    class Wrapping(Base):
        part = Component(Holding, Base.part.provided)

    class Last(Middle):
        part = Component(Holding, "last")

    class LastWrapping(Wrapping):
        part = Component(Holding, Wrapping.part.provided)

    last, wrapping = Last(), LastWrapping()

    assert last.user().held[0] is last.part()
    assert wrapping.user().held[0] is wrapping.part()
    assert wrapping.part().held[0].held[0].held == ("base",)


class Infra(Container):
    """A container that subclasses replace."""

    used = Component(Holding)
    unused = Component(Holding)


class Outer(Container):
    """Refers to components of the nested container."""

    bus = Component(Bus)
    infra = Infra()
    user = Component(Holding, infra.used.provided)


class Whole(Container):
    """A replacement with all components that are referred to."""

    used = Component(Holding)


class Lacking(Container):
    """A replacement that lacks a component."""

    unused = Component(Holding)


def test_a_replacing_container_must_have_the_components_in_use() -> None:
    """Components without users may be missing."""

    class Fine(Outer):
        infra: Any = Whole()

    class Wrong(Outer):
        infra: Any = Lacking()

    class Nesting(Container):
        bus = Component(Bus)
        outer = Wrong()

    fine, wrong = with_faults(Fine()), with_faults(Wrong())

    assert fine == []
    assert kinds(wrong) == [(ReplacementFault, "Wrong.infra")]
    assert wrong[0].problem.startswith("it does not declare Outer.infra.used, which it replaces, ")
    assert (ReplacementFault, "Nesting.outer.infra") in kinds(with_faults(Nesting()))


def test_a_declaration_outside_of_every_container_is_a_fault() -> None:
    """In a plain mix-in class, or assigned to an existing class."""

    class Mixin:
        mixed = Component(Holding)

    class Shop(Mixin, Container):
        bus = Component(Bus)

    late: Any = Shop
    late.late = Component(Holding)

    assert kinds(with_faults(Shop())) == [(ReplacementFault, "Shop.late"), (ReplacementFault, "Shop.mixed")]


class One(Container):
    """The first of two bases."""

    part = Component(Holding, "one")
    user_of_one = Component(Holding, part.provided)


class Two(Container):
    """The second of two bases."""

    bus = Component(Bus)
    part = Component(Holding, "two")
    user_of_two = Component(Holding, part.provided)


class Both(One, Two):
    """Has the declarations of two unrelated bases."""


class Mixin(Two):
    """Knows one of them, and declares its part anew."""

    part = Component(Holding, "mixin")


class Nested(Container):
    """A container to be nested."""

    part = Component(Holding)


class Unlike(Container):
    """Another container."""

    part = Component(Holding)


class Alike(Nested):
    """A variant of `Nested`."""

    part = Component(Holding, "alike")


SHARED = Component(Holding, "shared")


def declaring(name: str, **declarations: Any) -> Any:
    """Return a container class with these declarations."""
    return type(name, (Container,), declarations)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Component(Holding, "first"), Component(Holding, "second")),
        (Component(Holding), Component(Holding)),
        (providers.Factory(Holding), providers.Factory(Holding)),
        (Component(Holding), providers.Singleton(Holding)),
        (Nested(), Unlike()),
        (Nested(), Alike()),
        (Nested(), Component(Holding)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_one_name_for_different_components_in_unrelated_bases_is_a_fault(first: Any, second: Any) -> None:
    """The fault names both declarations with their places."""
    one, other = declaring("One", bus=Component(Bus), part=first), declaring("Other", part=second)

    (fault,) = with_faults(type("Both", (one, other), {})())

    assert kinds([fault]) == [(ReplacementFault, "Both.part")]
    assert fault.place == getattr(first, "place", blueprint_of(one).place)
    assert "One and again in" in fault.problem
    assert f"Other ({getattr(second, 'place', blueprint_of(other).place)})" in fault.problem


def test_a_subclass_of_such_a_class_has_the_fault() -> None:
    """So does a container that nests it; a redeclaration of the name resolves it."""

    class Below(Both):
        more = Component(Holding)

    class Around(Container):
        both = Below()

    class Mended(Both):
        part = Component(Holding, "mended")

    assert kinds(with_faults(Both())) == [(ReplacementFault, "Both.part")]
    assert kinds(with_faults(Below())) == [(ReplacementFault, "Below.part")]
    assert kinds(with_faults(Around())) == [(ReplacementFault, "Around.both.part")]
    assert with_faults(Mended()) == []


@pytest.mark.parametrize(
    "bases",
    [
        (Mixin, Two),
        (type("Left", (Two,), {"part": Component(Holding)}), Mixin),
        (declaring("Left", bus=Component(Bus), part=SHARED), declaring("Right", part=SHARED)),
        (declaring("Left", bus=Component(Bus)), declaring("Right", bus=Component(Bus))),
        (declaring("Left", bus=Component(Bus), part=Alike()), declaring("Right", part=Nested())),
        (declaring("Left", bus=Component(Bus), part=Nested()), declaring("Right", part=Nested())),
        (declaring("Left", bus=Component(Bus), part=Component(Holding)), declaring("Right", part=3)),
    ],
    ids=[
        "one inherits the other",
        "both inherit it from one",
        "the same declaration",
        "each its bus",
        "a variant of a container",
        "containers of one class",
        "no declaration",
    ],
)
def test_related_bases_may_declare_one_name_twice(bases: tuple[type, ...]) -> None:
    """The first replaces the second for the users of both."""
    merged: Any = type("Merged", bases, {})

    assert with_faults(merged()) == []
    with running(merged()):
        pass


def test_a_redeclaration_applies_to_the_users_of_both_bases() -> None:
    """It replaces both."""

    class Mended(Both):
        part = Component(Holding, "mended")

    mended = Mended()

    assert mended.user_of_one().held[0] is mended.user_of_two().held[0] is mended.part()
    assert mended.part().held == ("mended",)


def named(name: str, *bases: type, **more: Any) -> type:
    """Return a class with a method *name* that the bus could call."""

    def method(self: Any) -> None:
        """Be called."""

    def method_of_log(self: Any, message: str, level: int, /) -> None:
        """Be called."""

    return type("Named", bases, {name: method_of_log if "log" in name.lower() else method, **more})


NEARLY = {
    START: ["Start", "START", "start_", "on_start", "onStart", "strat", "satrt", "sttart", "startt"],
    STOP: ["Stop", "stop_", "on_stop", "stpo", "stopp", "sttop"],
    EXIT: ["eixt", "exti", "exitt", "on_exit"],
    GRACEFUL: ["gracefull", "gracful", "garceful", "graceflu", "on_graceful"],
    MAIN: ["mian", "Main", "on_main"],
    LOG: ["on_log", "Log"],
}


@pytest.mark.parametrize(("channel", "name"), [(channel, name) for channel, names in NEARLY.items() for name in names])
def test_a_method_with_a_misspelt_hook_name_is_a_fault(channel: Any, name: str) -> None:
    """Unless it is declared not to listen."""
    cls = named(name)

    (fault,) = with_faults(shop_with(part=Component(cls)))

    assert kinds([fault]) == [(MisspeltFault, "Shop.part")]
    assert f".Named.{name} " not in fault.problem  # it is named by where it was defined
    assert f"by a method named {channel.name!r}" in fault.problem
    assert f".without({channel.name.upper()})" in fault.remedy
    assert with_faults(shop_with(part=Component(cls).without(channel))) == []


@pytest.mark.parametrize(
    "name",
    [
        *(
            "step",
            "stoop",
            "stat",
            "star",
            "tart",
            "edit",
            "exist",
            "exits",
            "mail",
            "min",
            "man",
            "gain",
            "lag",
            "logs",
        ),
        *("restart", "started", "stopped", "starts", "stops", "starting", "grateful", "_start", "__start", "start_all"),
    ],
)
def test_a_method_with_a_different_name_is_not_a_fault(name: str) -> None:
    """However similar it is."""
    assert with_faults(shop_with(part=Component(named(name)))) == []


def needs_more(self: Any, runners: int) -> None:
    """Take arguments that the bus does not pass."""


@pytest.mark.parametrize(
    "component",
    [
        Component(named("on_start", start=lambda self: None)),
        Component(type("Marked", (), {"on_start": on(ring)(lambda self: None)})),
        Component(type("Calling", (), {"on_start": lambda self: None, "run": lambda self: self.on_start()})),
        Component(type("More", (), {"on_start": needs_more})),
        Component(type("Static", (), {"on_start": staticmethod(print)})),
        Component(type("Value", (), {"on_start": 3})),
        Component(type("Computed", (), {"on_start": property(print)})),
        Component(named("emit", logging.NullHandler)),
        Component(named("on_start", type("Framework", (), {"__module__": "threading", "on_start": print}))),
        Component(named("on_stop", Bus)),
    ],
)
def test_a_similar_method_with_another_use_is_not_a_fault(component: Component[Any]) -> None:
    """Its class has the hook, or calls or declares the method, or the bus could not call it, or a base class named it."""
    assert [fault for fault in with_faults(shop_with(part=component)) if type(fault) is MisspeltFault] == []


def test_a_similar_method_that_is_declared_to_listen_is_not_a_fault() -> None:
    """The channel does not matter."""
    cls: Any = named("on_start")

    assert with_faults(shop_with(part=Component(cls).on(START.calls(cls.on_start)))) == []


def test_methods_of_third_party_classes_are_not_checked_for_typos() -> None:
    """Their users cannot rename them."""
    assert with_faults(shop_with(part=Component(threading.Event))) == []


def test_a_method_on_a_channel_named_like_a_life_cycle_channel_is_a_fault() -> None:
    """The bus publishes on the built-in channel alone."""
    start = Channel[[], None]("start")

    class Listening:
        @on(start)
        def begin(self) -> None:
            """Wait for ever."""

    (fault,) = with_faults(shop_with(part=Component(Listening)))

    assert kinds([fault]) == [(ChannelFault, "Shop.part")]
    assert fault.remedy == "use typedbus.START, or give your channel another name"
    assert with_faults(shop_with(part=Component(Listening).without(start))) == []


def test_methods_of_the_class_listen_whichever_decorator_comes_first() -> None:
    """Class methods and static methods."""
    calls: list[str] = []

    class Listening:
        @classmethod
        @on(ring)
        def outer(cls) -> None:
            calls.append(f"outer {cls.__name__}")

        @on(ring)
        @classmethod
        def inner(cls) -> None:
            calls.append(f"inner {cls.__name__}")

        @staticmethod
        @on(ring)  # type: ignore[arg-type]  # checkers see no instance
        def outside() -> None:
            calls.append("outside")

    with running(shop_with(part=Component(Listening))) as shop:
        shop.bus()[ring].publish()

    assert calls == ["outer Listening", "inner Listening", "outside"]


def test_a_method_with_an_annotation_that_cannot_be_evaluated_listens() -> None:
    """Whatever the evaluation raises, in the method and in the channel."""

    def listen(self: Any, thing: Any, /) -> None:
        """Listen."""

    def declared(thing: Any, /) -> None:
        """Be declared."""

    listen.__annotations__ = {"thing": "int.nothing", "return": "None("}
    declared.__annotations__ = {"thing": "1 / 0", "return": None}
    channel = Channel.declare(declared)
    cls: Any = type("Listening", (), {"listen": on(channel)(listen)})

    assert with_faults(shop_with(part=Component(cls))) == []


def test_faults_are_in_the_order_of_the_declarations() -> None:
    """The order of dependencies does not matter; cycles, which have no single place, come first."""

    def take(number: int) -> Holding:
        return Holding(number)

    text: Any = "x"

    class Shop(Container):
        bus = Component(Bus)
        early: Any = Component(Holding)
        wrong = Component(take, text)
        hidden = Component(Holding, [bus])
        late = Component(Holding, wrong.provided.held)

    Shop.early.add_args(Shop.late)
    turned = with_faults(Shop())

    class Circle(Shop):
        chicken: Any = Component(Holding)
        egg = Component(Holding, chicken.provided)

    Circle.chicken.add_args(Circle.egg)

    assert kinds(turned) == [(TypeFault, "Shop.wrong"), (HiddenFault, "Shop.hidden")]
    assert kinds(with_faults(Circle()))[0] == (CycleFault, "Circle.chicken")
