"""`validate()` on what runs without an error, and does something else than it looks like."""

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
    """Keeps whatever it is given."""

    def __init__(self, *held: Any, **named: Any) -> None:
        self.held, self.named = held, named


@attrs.frozen
class Record:
    """Holds something."""

    held: Any


@dataclasses.dataclass
class Data:
    """Holds something as well."""

    held: Any


def with_faults(container: Container) -> list[Fault]:
    """Return what `validate()` has to say."""
    try:
        container.validate()
    except InvalidContainer as invalid:
        return [fault for fault in invalid.exceptions if isinstance(fault, Fault)]
    return []


def kinds(faults: list[Fault]) -> list[tuple[type, str]]:
    """Return the kind and the path of each."""
    return [(type(fault), fault.path) for fault in faults]


def shop_with(**members: Any) -> Any:
    """Return a container of a bus and *members*."""
    made: Any = type("Shop", (Container,), {"bus": Component(Bus), **members})
    return made()


part: Any = Component(Holding)
lone: Any = library.Singleton(Holding)


def reads_a_global() -> object:
    """Ask a component that it was not given."""
    return part()


def reads_a_global_inside() -> Callable[[], object]:
    """Ask it later."""
    return lambda: lone()


def names_an_attribute(thing: Any) -> object:
    """Ask for something of this name that is none of ours."""
    return thing and thing.part


def has_a_default(thing: Any = part) -> object:
    """Be given a component by nobody."""
    return thing


def names_a_default(*, thing: Any = (part,)) -> object:
    """Be given several by nobody."""
    return thing


def closed_over(thing: Any) -> Callable[[], object]:
    """Return a function that holds *thing*."""
    return lambda: thing


def not_yet() -> Callable[[], object]:
    """Return a function whose closure is empty when it is looked at."""

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
def test_a_provider_where_nobody_sees_it_is_a_fault(component: Component[Any]) -> None:
    """It would be handed over uncalled, as the class of the container has it."""
    assert kinds(with_faults(shop_with(lone=lone, part=part, other=component))) == [(HiddenFault, "Shop.other")]


@pytest.mark.parametrize("component", SEEN)
def test_a_provider_that_is_called_or_asked_for_is_none(component: Component[Any]) -> None:
    """By itself, beside a stand-in, or as a delegate."""
    shop = shop_with(part=part, other=component)

    assert with_faults(shop) == []
    with running(shop):
        assert shop.other.is_built


def test_a_hidden_provider_is_told_with_what_to_hand_over() -> None:
    """Where it is, what it is, and the way out."""

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


def test_an_argument_without_end_is_looked_through_for_a_while() -> None:
    """A literal that holds itself, and one of a million, cost next to nothing."""
    endless: list[Any] = []
    endless.append(endless)

    assert with_faults(shop_with(one=Component(Holding, Record(endless), [object()] * 1_000_000))) == []


class Connection:
    """What is made for one thread."""

    open = True


class Sessions(Container):
    """What is made for one thread or context, and those who would keep it."""

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


def test_what_is_made_for_a_thread_or_a_context_is_kept_by_no_component() -> None:
    """However it gets there by value; a delegate of it, and a factory, are fine, and so are users of the user."""
    faults = with_faults(Sessions())

    names = ["direct", "listed", "keyed", "attribute", "called", "made"]
    assert kinds(faults) == [(LifetimeFault, f"Sessions.{name}") for name in names]
    assert faults[0].problem == (
        f"it would keep one instance of {__name__}.Connection, although each thread has its own (ThreadLocalSingleton)"
    )
    assert "each context has its own" in faults[1].problem


class Base(Container):
    """Something to be replaced, and who needs it."""

    bus = Component(Bus)
    part = Component(Holding, "base")
    user = Component(Holding, part.provided)


@pytest.mark.parametrize("value", [Holding, Holding(), None, 3])
def test_a_name_that_is_taken_by_something_else_is_a_fault(value: Any) -> None:
    """The declaration of the base is still in force, and looks as if it was not."""
    replaced: Any = type("Replaced", (Base,), {"part": value})

    (fault,) = with_faults(replaced())

    assert kinds([fault]) == [(ReplacementFault, "Replaced.part")]
    assert fault.place == blueprint_of(replaced).place
    assert "the declaration of the base class stays in force" in fault.problem


def test_a_name_that_was_no_declaration_may_be_taken() -> None:
    """Attributes and methods of containers are their own business."""

    class Shop(Base):
        limit = 3

        def part_of(self) -> object:
            """Return the part."""
            return self.part()

    class Sale(Shop):
        limit = 4

    assert with_faults(Sale()) == []


def test_a_replacement_of_a_replacement_reaches_every_user() -> None:
    """Also those that were declared before the first of them."""

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
    """A container to be replaced."""

    used = Component(Holding)
    unused = Component(Holding)


class Outer(Container):
    """What refers to it."""

    bus = Component(Bus)
    infra = Infra()
    user = Component(Holding, infra.used.provided)


class Whole(Container):
    """A replacement for all that is referred to."""

    used = Component(Holding)


class Lacking(Container):
    """A replacement that lacks something."""

    unused = Component(Holding)


def test_a_container_that_takes_the_place_of_another_has_what_is_used_of_it() -> None:
    """What nobody refers to may be missing."""

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
    """In a plain class that is mixed in, or put there when the class was made already."""

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
    """The second of them."""

    bus = Component(Bus)
    part = Component(Holding, "two")
    user_of_two = Component(Holding, part.provided)


class Both(One, Two):
    """Has the declarations of both, of which neither knows the other."""


class Mixin(Two):
    """Knows one of them, and declares its part anew."""

    part = Component(Holding, "mixin")


class Nested(Container):
    """A container to be nested."""

    part = Component(Holding)


class Unlike(Container):
    """Another one."""

    part = Component(Holding)


class Alike(Nested):
    """A variant of the first."""

    part = Component(Holding, "alike")


SHARED = Component(Holding, "shared")


def declaring(name: str, **declarations: Any) -> Any:
    """Return a class of containers with these declarations."""
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
def test_one_name_for_two_things_in_unrelated_bases_is_a_fault(first: Any, second: Any) -> None:
    """The fault names both declarations with their places."""
    one, other = declaring("One", bus=Component(Bus), part=first), declaring("Other", part=second)

    (fault,) = with_faults(type("Both", (one, other), {})())

    assert kinds([fault]) == [(ReplacementFault, "Both.part")]
    assert fault.place == getattr(first, "place", blueprint_of(one).place)
    assert "One and again in" in fault.problem
    assert f"Other ({getattr(second, 'place', blueprint_of(other).place)})" in fault.problem


def test_a_class_below_such_a_class_has_the_fault_as_well() -> None:
    """And a container that nests one; a new declaration of the name ends it."""

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
    """The first takes the place of the second for the users of both."""
    merged: Any = type("Merged", bases, {})

    assert with_faults(merged()) == []
    with running(merged()):
        pass


def test_a_declaration_that_is_made_again_reaches_the_users_of_both_bases() -> None:
    """It takes the place of both."""

    class Mended(Both):
        part = Component(Holding, "mended")

    mended = Mended()

    assert mended.user_of_one().held[0] is mended.user_of_two().held[0] is mended.part()
    assert mended.part().held == ("mended",)


def named(name: str, *bases: type, **more: Any) -> type:
    """Return a class with a method of this *name* that could be called by the bus."""

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
def test_a_method_that_has_nearly_the_name_of_a_hook_is_a_fault(channel: Any, name: str) -> None:
    """Until it is declared not to listen."""
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
def test_an_honest_name_is_none(name: str) -> None:
    """However near it is."""
    assert with_faults(shop_with(part=Component(named(name)))) == []


def needs_more(self: Any, runners: int) -> None:
    """Take what the bus would not give."""


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
def test_a_method_that_has_a_use_of_its_own_is_none(component: Component[Any]) -> None:
    """Its class knows the hook, or calls or declares it, or it could not be called, or another named it."""
    assert [fault for fault in with_faults(shop_with(part=component)) if type(fault) is MisspeltFault] == []


def test_a_method_that_was_declared_to_listen_is_none() -> None:
    """By whatever name."""
    cls: Any = named("on_start")

    assert with_faults(shop_with(part=Component(cls).on(START.calls(cls.on_start)))) == []


def test_classes_of_others_are_left_alone() -> None:
    """Whoever uses them cannot rename their methods."""
    assert with_faults(shop_with(part=Component(threading.Event))) == []


def test_a_method_that_listens_to_a_namesake_of_a_life_cycle_channel_is_a_fault() -> None:
    """Nobody would publish there when the bus starts."""
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
    """Static ones as well."""
    heard: list[str] = []

    class Listening:
        @classmethod
        @on(ring)
        def outer(cls) -> None:
            heard.append(f"outer {cls.__name__}")

        @on(ring)
        @classmethod
        def inner(cls) -> None:
            heard.append(f"inner {cls.__name__}")

        @staticmethod
        @on(ring)  # type: ignore[arg-type]  # checkers see no instance
        def outside() -> None:
            heard.append("outside")

    with running(shop_with(part=Component(Listening))) as shop:
        shop.bus()[ring].publish()

    assert heard == ["outer Listening", "inner Listening", "outside"]


def test_annotations_that_cannot_be_evaluated_let_a_method_listen() -> None:
    """Whatever they raise, in the method and in the channel."""

    def listen(self: Any, thing: Any, /) -> None:
        """Listen."""

    def declared(thing: Any, /) -> None:
        """Be declared."""

    listen.__annotations__ = {"thing": "int.nothing", "return": "None("}
    declared.__annotations__ = {"thing": "1 / 0", "return": None}
    channel = Channel.declare(declared)
    cls: Any = type("Listening", (), {"listen": on(channel)(listen)})

    assert with_faults(shop_with(part=Component(cls))) == []


def test_the_faults_of_a_container_come_in_the_order_of_its_declarations() -> None:
    """Whatever is needed first; circles, which have no one place, before all."""

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
