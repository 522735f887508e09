"""`validate()` and the picture of a container execute no code of the objects that they examine."""

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

from typedbus import MAIN, START, Bus, Channel, Component, Container, InvalidContainer, provided, running
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
    """Return an object of a class whose special methods raise while it is armed."""
    names: dict[str, Any] = {name: refusing(name) for name in SPECIAL.split()}
    names["__class__"] = property(refusing("__class__"))
    names["__dict__"] = property(refusing("__dict__"))
    return type("Untouchable", (), names)()


def refusing(name: str) -> Callable[..., Any]:
    """Return a special method that raises."""

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
    """The class that an untouchable object reports as its own, like lazy objects."""


UNARMED: dict[str, Any] = {"__class__": Untouched, "__dict__": {}, "__bool__": True, "__call__": None}


@contextmanager
def armed() -> Iterator[None]:
    """Make the untouchable objects raise."""
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
    """Takes one argument of a class."""

    def __init__(self, thing: Untouched) -> None: ...


class AnnotatedInt:
    """Takes one argument of types that cannot be checked for a lazy object."""

    def __init__(self, thing: int | str | list[int] | None) -> None: ...


class Chooses:
    """Takes one of several values."""

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
    """Has lazy objects among its attributes, and a method with one as a default."""

    settings = lazy
    listed = [lazy]  # noqa: RUF012

    def start(self, when: Any = lazy) -> None:
        """Listen."""


def reads_a_global() -> object:
    """Return a global variable."""
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
    """Require an argument, so that the signature is shown."""
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
    """The object is an argument, a global, a default, a cell, a field, a key or an attribute of a class."""
    shop_class: Any = type("Shop", (Container,), {"bus": Component(Bus), "part": component, "lazy": lazy})
    shop = shop_class()

    with armed():
        shop.validate()
        text = Graph.of(shop).json()

    assert "Shop.part" in text


def test_no_special_method_of_a_replacement_is_called() -> None:
    """Its class is unknown, so that it is accepted."""

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
    """A default that is a user's object is shown as three dots."""
    shop_class: Any = type("Shop", (Container,), {"part": component})

    with armed(), pytest.raises(ExceptionGroup) as raised:
        shop_class().validate()

    assert "= ...) misses 'first'" in str(raised.value.exceptions[0])


class Configured:
    """A lazy object like Django's settings: its attributes and its class are those of the object that it makes."""

    def __init__(self, make: Callable[[], object]) -> None:
        self.__dict__["make"] = make

    @property  # type: ignore[misc]  # as lazy objects do
    def __class__(self) -> Any:
        return type(self.make())

    def __getattr__(self, name: str) -> Any:
        return getattr(self.make(), name)


def unconfigured() -> object:
    """Raise: the settings are not configured."""
    raise RuntimeError("the settings are not configured")


connections: list[object] = []


def connect() -> object:
    """Return a connection."""
    connections.append(connection := object())
    return connection


settings = Configured(unconfigured)
connection = Configured(connect)


def cache() -> dict[str, Any]:
    """Read the settings when it is called."""
    return {"url": settings.CACHE_URL}


def orders() -> list[Any]:
    """Return a lazy object."""
    return [connection]


def test_a_factory_may_refer_to_a_lazy_object() -> None:
    """The lazy object is not made by the validation, and is not a fault if it cannot be made yet."""

    class Shop(Container):
        bus = Component(Bus)
        cache = Component(cache)
        orders = Component(orders)

    connections.clear()
    Shop().validate()
    Graph.of(Shop())

    assert connections == []


def test_a_lazy_object_is_accepted_for_any_class() -> None:
    """Its class is known only when it is made."""

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
    """Gives classes a signature that does not describe the call, like the models of pydantic."""

    @property
    def __signature__(cls) -> Any:
        raise AssertionError("it does not say how the class is called")


class FromEnvironment(metaclass=Signed):
    """Takes a field from the environment that its annotation declares as required."""

    url: str

    def __init__(self, /, **data: Any) -> None:
        self.url = data.get("url", "postgresql://x")


class Calls(type):
    """A metaclass that passes an argument to the constructor."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return super().__call__("from the metaclass", *args, **kwargs)


class Given(metaclass=Calls):
    """Gets an argument from its metaclass."""

    def __init__(self, url: str, size: int = 1) -> None:
        self.url = url


class Converting:
    """A descriptor that converts the value of a field, as in the documentation of dataclasses."""

    def __set__(self, instance: Any, value: Any) -> None:
        vars(instance)["size"] = int(value)

    def __get__(self, instance: Any, owner: object = None) -> Any:
        return 1 if instance is None else vars(instance)["size"]


@dataclasses.dataclass
class Stock:
    """Has a field with a converter."""

    size: Converting = Converting()  # noqa: RUF009


def supplies(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate *function* with a wrapper that passes an argument."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function("supplied", *args, **kwargs)

    return call


@supplies
def supplied(url: str, size: int = 1) -> str:
    """Take an argument that the decorator passes."""
    return url


def converts(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate *function* with a wrapper that converts its argument."""

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
        """Return an object."""
        return self, size

    __init__ = supplies(lambda self, url, size=1: None)


class Checked(type):
    """A metaclass with its own instance check."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return True

    def __subclasscheck__(cls, subclass: Any) -> bool:
        return True


class Anything(metaclass=Checked):
    """A class of which every object is an instance."""


def takes_anything(thing: Anything) -> object:
    """Take an object that passes the instance check."""
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
def test_a_signature_that_does_not_describe_the_call_is_not_a_fault(component: Component[Any]) -> None:
    """The function that runs is checked; if it is unknown, no check is made."""
    shop_class: Any = type("Shop", (Container,), {"bus": Component(Bus), "part": component})

    with running(shop_class()) as shop:
        assert shop.part() is not None


def test_a_hook_whose_decorator_supplies_its_argument_listens() -> None:
    """The signature of the wrapper is checked."""
    calls: list[str] = []

    class Part:
        @supplies
        def start(url: Any, self: Any) -> None:  # noqa: N805  # the decorator gives the first
            calls.append(url)

    class Shop(Container):
        bus = Component(Bus)
        part = Component(Part)

    with running(Shop()):
        assert calls == ["supplied"]


awaited = Channel[[], Awaitable[int]]("awaited")
perhaps_awaited = Channel[[], int | Coroutine[Any, Any, int]]("perhaps_awaited")
open_ended = Channel[[], Any]("open_ended")
synchronous = Channel[[], int]("synchronous")
iterated: Channel[[], Iterator[int]] = Channel[[], Iterator[int]]("iterated")


@Channel.declare
def later() -> Awaitable[int]:
    """Declare that results are awaited."""
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
    """The publisher awaits the results."""

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
        (START, Answers.coroutine, None),
        (MAIN, Answers.coroutine, "is async, and its result would not be awaited"),
        (START, Answers.generator, "is a generator, and its body would not run"),
        (START, Answers.stream, "is an async generator, and its body would not run"),
        (awaited, Answers.generator, "is a generator, and its body would not run"),
        (iterated, Answers.generator, None),
        (open_ended, Answers.stream, None),
    ],
)
def test_a_method_whose_body_would_not_run_is_a_fault(channel: Any, method: Any, problem: str | None) -> None:
    """Unless the channel's result may be the object that the call returns."""
    shop_class: Any = type("Shop", (Container,), {"bus": Component(Bus), "part": Component(Answers)})
    shop_class.part.on(channel.calls(method))

    try:
        shop_class().validate()
        found = None
    except InvalidContainer as invalid:
        (fault,) = invalid.exceptions
        found = str(fault)

    assert found is None if problem is None else problem in str(found)


def test_a_replacement_with_the_wrong_class_is_a_fault() -> None:
    """The class of an object without lazy attributes is certain."""
    wrong: Any = Untouched()

    class Shop(Container):
        part = Component(AnnotatedInt, wrong)

    with pytest.raises(ExceptionGroup) as raised:
        Shop().validate()

    assert [type(fault) for fault in raised.value.exceptions] == [TypeFault]
