"""A hook is bound by the attribute name in its class, whatever decorators are in between."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any
from unittest.mock import Mock

import pytest

from typedbus import START, Bus, Channel, ChannelFailures, Component, Container, InvalidContainer, on, running
from typedbus.graph import Graph
from typedbus.types import Hook

ping = Channel[[str], str]("ping")
other = Channel[[str], str]("other")

Decorator = Callable[[Any], Any]


def bare(function: Any) -> Any:
    """Wrap *function* without `functools.wraps`."""

    def inner(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return inner


def wrapping(function: Any) -> Any:
    @functools.wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return inner


class Wrapper:
    """A decorator class that keeps the function as an attribute."""

    def __init__(self, function: Any) -> None:
        self._function = function

    def __get__(self, owner: Any, cls: Any = None) -> Any:
        return self if owner is None else functools.partial(self, owner)

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)


def decorated(function: Any, decorators: Sequence[Decorator]) -> Any:
    return functools.reduce(lambda inner, decorator: decorator(inner), decorators, function)


def part_of(part: Component[Any]) -> Container:
    class Shop(Container):
        bus = Component(Bus)

    class WithPart(Shop):
        member = part

    return WithPart()


def answers(cls: type, *hooks: Hook[Any]) -> list[str]:
    """Return the results of publishing on `ping` to a component of *cls*, and check the names of the listeners."""
    shop: Any = part_of(Component(cls).on(*hooks))
    with running(shop):
        bus: Bus = shop.bus()
        assert all(one.name.startswith("WithPart.member.") for one in bus[ping].subscriptions)
        return bus[ping].publish("x")


mark = on(ping)
KINDS: dict[str, list[Decorator]] = {
    "none": [mark],
    "bare": [mark, bare],
    "bare below": [bare, mark],
    "bare on both sides": [bare, mark, bare],
    "three times bare": [mark, bare, bare, bare],
    "wraps": [mark, wrapping],
    "wraps below": [wrapping, mark],
    "wraps over bare": [mark, bare, wrapping],
    "bare over wraps": [mark, wrapping, bare],
    "class": [mark, Wrapper],
    "class below": [Wrapper, mark],
    "two classes": [mark, Wrapper, Wrapper],
    "class and bare": [mark, Wrapper, bare],
    "cache": [mark, functools.cache],
    "cache below": [functools.cache, mark],
    "single dispatch": [mark, functools.singledispatchmethod],
    "single dispatch below": [functools.singledispatchmethod, mark],
}

every_kind = pytest.mark.parametrize("decorators", KINDS.values(), ids=KINDS)


@every_kind
def test_a_marked_method_listens_below_and_above_decorators(decorators: Sequence[Decorator]) -> None:
    """The decorated method is called, and the listener has the name of the attribute."""

    class Base:
        def hear(self, text: str, /) -> str:
            return "Base"

        hear = decorated(hear, decorators)

    shop: Any = part_of(Component(Base))
    with running(shop):
        bus: Bus = shop.bus()
        assert bus[ping].publish("x") == ["Base"]
        assert [one.name for one in bus[ping].subscriptions] == ["WithPart.member.hear"]


@every_kind
def test_an_override_is_called_instead_of_a_decorated_method(decorators: Sequence[Decorator]) -> None:
    """The override may be decorated, in a grandchild, or marked again."""

    class Base:
        def hear(self, text: str, /) -> str:
            return "Base"

        hear = decorated(hear, decorators)

    class Sub(Base):
        def hear(self, text: str, /) -> str:
            return "Sub"

    class Grandchild(Sub):
        pass

    class Decorated(Base):
        @bare
        def hear(self, text: str, /) -> str:
            return "Decorated"

    class Marked(Base):
        @on(ping)
        @bare
        def hear(self, text: str, /) -> str:
            return "Marked"

    assert [answers(cls) for cls in (Sub, Grandchild, Decorated, Marked)] == [
        ["Sub"],
        ["Sub"],
        ["Decorated"],
        ["Marked"],
    ]


@pytest.mark.parametrize("is_outside", [False, True], ids=["mark inside", "mark outside"])
@pytest.mark.parametrize("kind", [classmethod, staticmethod])
@pytest.mark.parametrize("decorators", [[], [bare]], ids=["plain", "bare"])
def test_class_and_static_methods_may_be_marked(
    kind: type[classmethod[Any, Any, Any] | staticmethod[Any, Any]], is_outside: bool, decorators: list[Decorator]
) -> None:
    """The mark stands above or below `@classmethod`; an override may be of another kind."""

    def hear(*args: object) -> str:
        return f"Base {len(args)}"

    steps: list[Decorator] = [*decorators, kind, mark] if is_outside else [mark, *decorators, kind]
    base = type("Base", (), {"hear": decorated(hear, steps)})

    class Same(base):  # type: ignore[misc, valid-type]  # a class that was made by hand
        hear = kind(lambda *args: f"Sub {len(args)}")

    class Method(base):  # type: ignore[misc, valid-type]  # as above
        def hear(self, text: str, /) -> str:
            return "method"

    count = 2 if kind is classmethod else 1
    assert [answers(cls) for cls in (base, Same, Method)] == [[f"Base {count}"], [f"Sub {count}"], ["method"]]


def test_marks_above_and_below_a_decorator_both_apply() -> None:
    """The method listens to both channels."""

    class Part:
        @on(ping)
        @classmethod
        @on(other)
        def hear(cls, text: str, /) -> str:
            return text

    shop: Any = part_of(Component(Part))
    with running(shop):
        assert [shop.bus()[channel].publish("x") for channel in (ping, other)] == [["x"], ["x"]]


def test_a_partial_method_may_be_marked() -> None:
    """It is called with its bound arguments, and may be overridden."""

    class Base:
        def _hear(self, prefix: str, text: str, /) -> str:
            return prefix + text

        hear: Any = decorated(functools.partialmethod(_hear, "a "), [mark])

    class Sub(Base):
        def hear(self, text: str, /) -> str:
            return "Sub"

    assert [answers(Base), answers(Sub)] == [["a x"], ["Sub"]]


def test_the_overridden_name_of_an_aliased_method_is_called() -> None:
    """An alias is not a second listener, and the original is not called in addition to an override."""

    class Base:
        @on(ping)
        def hear(self, text: str, /) -> str:
            return "Base"

        listen = hear

    class First(Base):
        def hear(self, text: str, /) -> str:
            return "Sub"

    class Second(Base):
        def listen(self, text: str, /) -> str:
            return "Sub"

    class Renamed(Base):
        old = Base.hear

        def hear(self, text: str, /) -> str:
            return "Sub"

    class Added(Base):
        further = Base.hear

    classes = (Base, First, Second, Renamed, Added)
    assert [answers(cls) for cls in classes] == [["Base"], ["Sub"], ["Sub"], ["Sub"], ["Base"]]


def test_a_method_that_a_subclass_sets_to_none_does_not_listen() -> None:
    """This also holds for methods named after a life-cycle channel."""

    class Base:
        @on(ping)
        def hear(self, text: str, /) -> str:
            return "Base"

    class Sub(Base):
        hear = None  # type: ignore[assignment]  # the point

    assert answers(Sub) == []


def test_the_method_resolution_order_decides_between_mixins() -> None:
    """Marks of all classes apply to the method that Python finds."""

    class Mixin:
        @on(ping)
        @bare
        def hear(self, text: str, /) -> str:
            return "Mixin"

    class Own:
        def hear(self, text: str, /) -> str:
            return "Own"

    class MixinFirst(Mixin, Own):
        pass

    class OwnFirst(Own, Mixin):
        pass

    class Left(Mixin):
        def hear(self, text: str, /) -> str:
            return "Left"

    class Right(Mixin):
        def hear(self, text: str, /) -> str:
            return "Right"

    class Diamond(Left, Right):
        pass

    assert [answers(cls) for cls in (MixinFirst, OwnFirst, Diamond)] == [["Mixin"], ["Own"], ["Left"]]


def test_a_function_that_refers_to_a_marked_method_does_not_listen() -> None:
    """Only functions wrapped by a decorator count as the method."""

    class Marked:
        @on(ping)
        def hear(self, text: str, /) -> str:
            return "Marked"

    class Part:
        forward = bare(Marked.hear)

    assert answers(Part) == []


class Foreign:
    """A third-party class whose methods are declared as hooks."""

    @bare
    def bare(self, text: str, /) -> str:
        return "Base"

    @wrapping
    def wrapped(self, text: str, /) -> str:
        return "Base"

    @classmethod
    def of_the_class(cls, text: str, /) -> str:
        return "Base"

    @staticmethod
    def static(text: str, /) -> str:
        return "Base"

    def _prefixed(self, prefix: str, text: str, /) -> str:
        return prefix

    partial = functools.partialmethod(_prefixed, "Base")
    by_lambda = lambda self, text: "Base"  # noqa: E731  # as code that is generated may have it
    by_class = Wrapper(lambda self, text: "Base")


class Special(Foreign):
    def bare(self, text: str, /) -> str:
        return "Sub"

    def wrapped(self, text: str, /) -> str:
        return "Sub"

    @classmethod
    def of_the_class(cls, text: str, /) -> str:
        return "Sub"

    @staticmethod
    def static(text: str, /) -> str:
        return "Sub"

    def partial(self, text: str, /) -> str:
        return "Sub"

    def by_lambda(self, text: str, /) -> str:
        return "Sub"

    def by_class(self, text: str, /) -> str:
        return "Sub"


@pytest.mark.parametrize("name", ["bare", "wrapped", "of_the_class", "static", "partial", "by_lambda", "by_class"])
def test_an_override_of_a_declared_method_is_called_instead(name: str) -> None:
    """`Component(Sub).on(channel.calls(Base.method))` works with every decorator."""
    method: Any = getattr(Foreign, name)

    assert answers(Foreign, ping.calls(method)) == ["Base"]
    assert answers(Special, ping.calls(method)) == ["Sub"]
    assert answers(Special, ping.calls(getattr(Special, name))) == ["Sub"]
    bound = ping.calls(method).bind(Special())
    assert bound("x") == "Sub"


def test_a_declaration_for_a_decorated_marked_method_sets_its_priority() -> None:
    """The method is one listener."""

    class Base:
        @on(ping)
        @bare
        def hear(self, text: str, /) -> str:
            return "Base"

    shop: Any = part_of(Component(Base).on(ping.calls(Base.hear, priority=7)))
    with running(shop):
        assert [one.priority for one in shop.bus()[ping].subscriptions] == [7]


def test_a_free_function_is_called_with_the_component() -> None:
    """Its name and its origin do not matter."""

    def bare_name(self: Foreign, text: str, /) -> str:
        return "free"

    bare_name.__name__ = bare_name.__qualname__ = "bare"

    assert answers(Special, ping.calls(bare_name)) == ["free"]
    assert answers(Special, ping.calls(bare(bare_name))) == ["free"]
    assert answers(Special, ping.calls(lambda self, text: "free")) == ["free"]


def test_a_decorated_method_of_a_replacement_is_found_by_its_name_in_the_declared_class() -> None:
    """The replacement is a mock of the declared class."""

    class Declared:
        @bare
        def hear(self, text: str, /) -> str:
            return "Declared"

    stand_in = Mock(spec=Declared)
    stand_in.hear.return_value = "mock"

    class Shop(Container):
        bus = Component(Bus)
        member = Component(Declared).on(ping.calls(Declared.hear))

    shop = Shop()
    with shop.override(Shop.member).by(stand_in), running(shop):
        assert shop.bus()[ping].publish("x") == ["mock"]


def test_a_named_hook_that_is_an_alias_may_be_overridden_by_its_name() -> None:
    """The base has `start = run`, the subclass `def start`."""
    notes: list[str] = []

    class Base:
        def run(self) -> None:
            notes.append("run")

        start = run

    class Sub(Base):
        def start(self) -> None:
            notes.append("start")

    with running(part_of(Component(Sub))):
        assert notes == ["start"]


def test_an_override_that_cannot_be_called_is_a_fault() -> None:
    """The fault names the override, not the marked method."""

    class Base:
        @on(START)
        def begin(self) -> None:
            """Begin."""

    class Sub(Base):
        def begin(self, when: int) -> None:  # type: ignore[override]  # the fault
            """Take what no publisher gives."""

    with pytest.raises(InvalidContainer) as raised:
        part_of(Component(Sub)).validate()

    (fault,) = raised.value.exceptions
    assert "Sub.begin does not fit channel 'start'" in str(fault)


def test_failures_and_pictures_name_the_attribute() -> None:
    """They do not name the function inside a decorator."""

    class Base:
        @on(ping)
        @bare
        def hear(self, text: str, /) -> str:
            raise ValueError(text)

    shop: Any = part_of(Component(Base))
    with running(shop), pytest.raises(ChannelFailures) as raised:
        shop.bus()[ping].publish("x")

    assert [failure.name for failure in raised.value.failures] == ["WithPart.member.hear"]
    (channel,) = Graph.of(shop).channels
    assert [listener.method for listener in channel.listeners] == ["hear"]
