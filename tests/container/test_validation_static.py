"""`validate()` and the picture of a container run no code of the objects that they look at."""

import asyncio
import dataclasses
import functools
from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Literal

import attrs
import pytest
from dependency_injector import providers

from typedbus import START, Bus, Channel, Component, Container, InvalidContainer, provided, running
from typedbus.faults import TypeFault
from typedbus.graph import Graph

# Of the library as it is: its stubs hold what typedbus needs of it.
library: Any = providers
SPECIAL = (
    "__getattr__ __getattribute__ __eq__ __ne__ __lt__ __hash__ __repr__ __str__ __format__ __bool__ __len__ __iter__ "
    "__next__ __contains__ __getitem__ __call__ __dir__ __index__ __int__ __float__ __enter__ __exit__ __await__ "
    "__reduce_ex__ __reduce__ __sizeof__ __copy__ __deepcopy__"
)
is_armed = False


def make_untouchable() -> Any:
    """Return an object of a class whose special methods raise, each, while it is armed."""
    names: dict[str, Any] = {name: refusing(name) for name in SPECIAL.split()}
    names["__class__"] = property(refusing("__class__"))
    names["__dict__"] = property(refusing("__dict__"))
    return type("Untouchable", (), names)()


def refusing(name: str) -> Callable[..., Any]:
    """Return a special method."""

    def method(self: object, *args: Any, **kwargs: Any) -> Any:
        if is_armed:
            raise AssertionError(f"{name} of the object was called")
        if name in UNARMED:
            return UNARMED[name]
        if name == "__deepcopy__":
            return self
        if not hasattr(object, name):
            raise AttributeError(name)
        return getattr(object, name)(self, *args, **kwargs)

    return method


class Untouched:
    """What an untouchable object says that it is an instance of, as lazy objects do."""


UNARMED: dict[str, Any] = {"__class__": Untouched, "__dict__": {}, "__bool__": True, "__call__": None}


@contextmanager
def armed() -> Iterator[None]:
    """Let untouchable objects raise."""
    global is_armed
    is_armed = True
    try:
        yield
    finally:
        is_armed = False


lazy = make_untouchable()


class Holding:
    """Keeps its arguments."""

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...


class Annotated:
    """Takes one argument, of a class."""

    def __init__(self, thing: Untouched) -> None: ...


class AnnotatedInt:
    """Takes one argument of types that a lazy object cannot be checked against."""

    def __init__(self, thing: int | str | list[int] | None) -> None: ...


class Chooses:
    """Takes one of some values."""

    def __init__(self, thing: Any = lazy) -> None: ...


Chooses.__init__.__annotations__["thing"] = Literal[lazy, 1]


@attrs.frozen
class Record:
    """Has a field."""

    held: Any


@attrs.define(slots=False)
class Open:
    """Has a field in its `__dict__`."""

    held: Any


@dataclasses.dataclass
class Data:
    """Has a field as well."""

    held: Any


class Attributes:
    """Has lazy objects among its attributes, and a method whose default is one."""

    settings = lazy
    listed = [lazy]  # noqa: RUF012

    def start(self, when: Any = lazy) -> None:
        """Listen."""


def reads_a_global() -> object:
    """Return what stands in a global."""
    return lazy.anything


def reads_inside() -> Callable[[], object]:
    """Return a function that reads a global."""
    return lambda: lazy


def has_defaults(one: Any = lazy, *, other: Any = lazy) -> object:
    """Have defaults."""
    return one, other


def closes_over(thing: Any) -> Callable[[], object]:
    """Return a function with a closure."""
    return lambda: thing


def needs_more(first: int, thing: Any = lazy) -> object:
    """Miss an argument, so that the signature is shown."""
    return first, thing


LOOKED_AT: list[Component[Any]] = [
    Component(Holding, lazy),
    Component(Holding, thing=lazy),
    Component(Annotated, lazy),
    Component(AnnotatedInt, lazy),
    Component(Chooses, lazy),
    Component(Chooses, 1),
    Component(Holding, [lazy], (lazy,), {lazy}, frozenset([lazy]), {"key": lazy}, {lazy: 1}),
    Component(Holding, MappingProxyType({"key": lazy}), OrderedDict(key=lazy), defaultdict(list, key=[lazy])),
    Component(AnnotatedInt, [lazy]),
    Component(Holding, Record(lazy), Open(lazy), Data(lazy)),
    Component(Holding, functools.partial(Holding, lazy, named=lazy)),
    Component(functools.partial(Holding, lazy, named=lazy)),
    Component(Holding, closes_over(lazy)),
    Component(closes_over(lazy)),
    Component(reads_a_global),
    Component(reads_inside),
    Component(has_defaults),
    Component(Attributes),
    Component(lazy),
    Component(Holding).enabled(lazy, reason="the object says so"),
    Component(Holding, provided(library.Object(lazy))),
    Component(Holding, provided(library.Object({lazy: 1}))["key"]),
    Component(Holding, provided(library.Object({"key": 1}))[lazy]),
    Component(Holding, provided(library.Object(lazy)).attribute),
    Component(Holding, provided(library.Dict({"key": lazy}))[lazy]),
    Component(Holding, provided(library.Factory(Holding, lazy))),
]


@pytest.mark.parametrize("component", LOOKED_AT, ids=range(len(LOOKED_AT)))
def test_no_special_method_of_an_object_is_called(component: Component[Any]) -> None:
    """Whether it is an argument, a global, a default, a cell, a field, a key or an attribute of a class."""
    made: Any = type("Shop", (Container,), {"bus": Component(Bus), "part": component, "lazy": lazy})
    shop = made()

    with armed():
        shop.validate()
        text = Graph.of(shop).json()

    assert "Shop.part" in text


def test_an_object_that_replaces_a_component_is_not_asked_either() -> None:
    """It may be of any class, and so it fits."""

    class Shop(Container):
        bus = Component(Bus)
        part = Component(Untouched)
        user = Component(Annotated, part.provided)

    shop = Shop()
    with shop.override(Shop.part).by(lazy), armed():
        shop.validate()


@pytest.mark.parametrize(
    "component",
    [Component(needs_more), Component(functools.partial(needs_more, thing=lazy))],  # type: ignore[call-arg]
)
def test_no_special_method_is_called_for_the_text_of_a_fault(component: Component[Any]) -> None:
    """A default that is an object of the user's is shown as three dots."""
    made: Any = type("Shop", (Container,), {"part": component})

    with armed(), pytest.raises(ExceptionGroup) as raised:
        made().validate()

    assert "= ...) misses 'first'" in str(raised.value.exceptions[0])


class Configured:
    """A lazy object as Django's settings: its attributes and its class are those of the object that it makes."""

    def __init__(self, make: Callable[[], object]) -> None:
        self.__dict__["make"] = make

    @property  # type: ignore[misc]  # as lazy objects do
    def __class__(self) -> Any:
        return type(self.make())

    def __getattr__(self, name: str) -> Any:
        return getattr(self.make(), name)


def unconfigured() -> object:
    """Make nothing."""
    raise RuntimeError("the settings are not configured")


connections: list[object] = []


def connect() -> object:
    """Make a connection."""
    connections.append(connection := object())
    return connection


settings = Configured(unconfigured)
connection = Configured(connect)


def cache() -> dict[str, Any]:
    """Read the settings when it is called, and no sooner."""
    return {"url": settings.CACHE_URL}


def orders() -> list[Any]:
    """Return a lazy object."""
    return [connection]


def test_a_factory_may_mention_a_lazy_object() -> None:
    """A lazy object is not made while nothing is built, and one that cannot be made yet is no fault."""

    class Shop(Container):
        bus = Component(Bus)
        cache = Component(cache)
        orders = Component(orders)

    connections.clear()
    Shop().validate()
    Graph.of(Shop())

    assert connections == []


def test_a_lazy_object_fits_the_class_of_the_object_that_it_makes() -> None:
    """Which class that is shows only when it is made, so any will do."""

    class Client:
        """Takes a connection."""

        def __init__(self, connection: Untouched, retries: int) -> None:
            self.connection = connection

    arguments: Any = (Configured(Untouched), 3)

    class Shop(Container):
        bus = Component(Bus)
        client = Component(Client, *arguments)

    with running(Shop()) as shop:
        assert isinstance(shop.client().connection, Untouched)


class Signed(type):
    """Gives classes a signature that does not describe the call, as the models of pydantic have one."""

    @property
    def __signature__(cls) -> Any:
        raise AssertionError("it does not say how the class is called")


class FromEnvironment(metaclass=Signed):
    """Takes a field from the environment, which its annotation declares as one that must be given."""

    url: str

    def __init__(self, /, **data: Any) -> None:
        self.url = data.get("url", "postgresql://x")


class Calls(type):
    """Gives an argument to the constructor of its classes."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return super().__call__("from the metaclass", *args, **kwargs)


class Given(metaclass=Calls):
    """Is given an argument by its metaclass."""

    def __init__(self, url: str, size: int = 1) -> None:
        self.url = url


class Converting:
    """A field that converts what it is given, as the documentation of dataclasses has it."""

    def __set__(self, instance: Any, value: Any) -> None:
        vars(instance)["size"] = int(value)

    def __get__(self, instance: Any, owner: object = None) -> Any:
        return 1 if instance is None else vars(instance)["size"]


@dataclasses.dataclass
class Stock:
    """Has a field that converts."""

    size: Converting = Converting()  # noqa: RUF009


def supplies(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate *function* with one that gives it an argument."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function("supplied", *args, **kwargs)

    return call


@supplies
def supplied(url: str, size: int = 1) -> str:
    """Take an argument that no caller gives."""
    return url


def converts(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate *function* with one that converts its argument."""

    @functools.wraps(function)
    def call(size: Any) -> Any:
        return function(int(size))

    return call


@converts
def converted(size: int) -> int:
    """Take a number."""
    return size


class Method:
    """Has decorated methods."""

    @supplies
    def make(self, size: int = 1) -> Any:
        """Make something."""
        return self, size

    __init__ = supplies(lambda self, url, size=1: None)


class Checked(type):
    """Says itself what its instances are."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return True

    def __subclasscheck__(cls, subclass: Any) -> bool:
        return True


class Anything(metaclass=Checked):
    """Whose instance everything is."""


def takes_anything(thing: Anything) -> object:
    """Take what says that it is an instance."""
    return thing


declared: Any = Component

WORKING: list[Component[Any]] = [
    declared(FromEnvironment),
    declared(FromEnvironment, url="x"),
    declared(Given),
    declared(Given, 3),
    declared(Stock, "2"),
    declared(supplied),
    declared(supplied, size=2),
    declared(functools.partial(supplied, size=2)),
    declared(converted, "2"),
    declared(takes_anything, 3),
]


@pytest.mark.parametrize("component", WORKING, ids=range(len(WORKING)))
def test_a_signature_that_does_not_describe_the_call_is_no_fault(component: Component[Any]) -> None:
    """The function that runs is looked at, and where that is unknown nothing is."""
    made: Any = type("Shop", (Container,), {"bus": Component(Bus), "part": component})

    with running(made()) as shop:
        assert shop.part() is not None


def test_a_hook_whose_decorator_supplies_its_argument_listens() -> None:
    """What counts is what the decorated method takes."""
    started: list[str] = []

    class Part:
        @supplies
        def start(url: Any, self: Any) -> None:  # noqa: N805  # the decorator gives the first
            started.append(url)

    class Shop(Container):
        bus = Component(Bus)
        part = Component(Part)

    with running(Shop()):
        assert started == ["supplied"]


awaited = Channel[[], Awaitable[int]]("awaited")
perhaps_awaited = Channel[[], int | Coroutine[Any, Any, int]]("perhaps_awaited")
open_ended = Channel[[], Any]("open_ended")
synchronous = Channel[[], int]("synchronous")
iterated: Channel[[], Iterator[int]] = Channel[[], Iterator[int]]("iterated")


@Channel.declare
def later() -> Awaitable[int]:
    """Say in a declaration that results are awaited."""
    raise NotImplementedError


class Answers:
    """Has a method of each kind."""

    async def coroutine(self) -> int:
        return 1

    def generator(self) -> Iterator[int]:
        yield 1

    async def stream(self) -> AsyncIterator[int]:
        yield 1


@pytest.mark.parametrize("channel", [awaited, perhaps_awaited, open_ended, later])
def test_an_async_method_may_listen_to_a_channel_whose_result_is_awaitable(channel: Any) -> None:
    """The publisher awaits what it is given."""

    class Shop(Container):
        bus = Component(Bus)
        answers = Component(Answers).on(channel.calls(Answers.coroutine))

    with running(Shop()) as shop:
        (result,) = shop.bus()[channel].publish()

    assert asyncio.run(result) == 1


@pytest.mark.parametrize(
    ("channel", "method", "problem"),
    [
        (synchronous, Answers.coroutine, "is async, and its result would not be awaited"),
        (START, Answers.coroutine, "is async, and its result would not be awaited"),
        (START, Answers.generator, "is a generator, and its body would not run"),
        (START, Answers.stream, "is an async generator, and its body would not run"),
        (awaited, Answers.generator, "is a generator, and its body would not run"),
        (iterated, Answers.generator, None),
        (open_ended, Answers.stream, None),
    ],
)
def test_a_method_whose_body_would_not_run_is_a_fault(channel: Any, method: Any, problem: str | None) -> None:
    """Unless the channel's result may be the object that the call returns."""
    made: Any = type("Shop", (Container,), {"bus": Component(Bus), "part": Component(Answers)})
    made.part.on(channel.calls(method))

    try:
        made().validate()
        found = None
    except InvalidContainer as invalid:
        (fault,) = invalid.exceptions
        found = str(fault)

    assert found is None if problem is None else problem in str(found)


def test_a_fake_with_a_faulty_type_is_a_fault_still() -> None:
    """An object whose class computes nothing is what its type says."""
    wrong: Any = Untouched()

    class Shop(Container):
        part = Component(AnnotatedInt, wrong)

    with pytest.raises(ExceptionGroup) as raised:
        Shop().validate()

    assert [type(fault) for fault in raised.value.exceptions] == [TypeFault]
